// Package storetest runs a room's tests against every engine of
// internal/store: SQLite always, and a real PostgreSQL when there is one.
//
// Start with [Main] in the package's TestMain and [Each] in its tests:
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
//
//	func TestRows(t *testing.T) {
//		storetest.Each(t, func(t *testing.T, db *store.DB) { … })
//	}
//
// PostgreSQL is the server that APEX_TEST_POSTGRES names (a URL whose user may
// create databases), otherwise a private one that is started from the programs
// under /usr/lib/postgresql or on the PATH when the first test asks for it, and
// that stops when the test process ends, however it ends. Without either the
// tests for it are skipped and say what is missing.
package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/apexlogic/apex/internal/store"
)

// Env names the environment variable with the URL of a PostgreSQL server.
const Env = "APEX_TEST_POSTGRES"

// errMissing says that there is no PostgreSQL to test against.
var errMissing = errors.New("no PostgreSQL")

// server is the one PostgreSQL of this test process; Main stops it.
var server struct {
	once sync.Once
	url  string
	stop func()
	err  error
}

// Main runs the tests of a package and stops what they started.
func Main(m *testing.M) {
	code := m.Run()
	if server.stop != nil {
		server.stop()
	}
	os.Exit(code)
}

// Each runs test once per engine, each time with an empty database of its own.
func Each(t *testing.T, test func(t *testing.T, db *store.DB)) {
	t.Helper()
	EachURL(t, func(t *testing.T, url string) { test(t, Open(t, url)) })
}

// EachURL is [Each] for tests that open the database themselves, or several times.
func EachURL(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// Open opens the database and closes it when the test ends.
func Open(t testing.TB, url string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// SQLite returns the URL of a new SQLite database.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "apex.db")
}

// Postgres returns the URL of a new database on the PostgreSQL server, which is
// dropped when the test ends. It skips the test when there is no server.
func Postgres(t testing.TB) string {
	t.Helper()
	server.once.Do(func() {
		if server.url = os.Getenv(Env); server.url == "" {
			server.url, server.stop, server.err = start()
		}
	})
	if errors.Is(server.err, errMissing) {
		t.Skip(server.err)
	}
	if server.err != nil {
		t.Fatalf("start PostgreSQL: %v", server.err)
	}
	admin, err := store.Open(t.Context(), server.url)
	if err != nil {
		t.Fatal(err)
	}
	name := "apex_test_" + strings.ToLower(rand.Text()[:16])
	if _, err := admin.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context is over by now.
		if _, err := admin.Exec(context.WithoutCancel(t.Context()), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
		if err := admin.Close(); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(server.url)
	if err != nil {
		t.Fatal(fmt.Errorf("%s is not a URL", Env))
	}
	u.Path = "/" + name
	return u.String()
}
