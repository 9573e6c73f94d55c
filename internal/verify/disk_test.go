package verify_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/store"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/internal/verify/verifytest"
)

func openDisk(t *testing.T, k *verifytest.Kit, path string, key []byte) (*verify.Disk, *store.DB) {
	t.Helper()
	db, err := store.Open(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	d, err := verify.OpenDisk(t.Context(), db, key, k.Clock, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return d, db
}

func TestAnotherProcessReusesWhatWasFoundOut(t *testing.T) {
	k := verifytest.New(t)
	path := filepath.Join(t.TempDir(), "cache.db")
	k.Options.Store, _ = openDisk(t, k, path, []byte("key"))
	p := k.Good("vision/app")
	k.Restart()
	k.Allowed(p.Pinned())

	k.Options.Store, _ = openDisk(t, k, path, []byte("key"))
	k.Server.Forget()
	k.RestartSame()
	if v := k.Allowed(p.Pinned()); !v.Cached {
		t.Fatal("the verdict was not reused")
	}
	if n := len(k.Server.Requests()); n != 0 {
		t.Fatalf("%d requests for what is known: %v", n, k.Server.Requests())
	}
}

func TestACacheThatWasNotWrittenByUsIsNotBelieved(t *testing.T) {
	for _, row := range []struct {
		name   string
		tamper func(t *testing.T, db *store.DB)
		key    []byte
	}{
		{"another key", func(*testing.T, *store.DB) {}, []byte("other")},
		{"a changed value", func(t *testing.T, db *store.DB) {
			exec(t, db, `UPDATE verify_cache SET value = replace(CAST(value AS TEXT), 'allow', 'allow ')`)
		}, []byte("key")},
		{"a later end", func(t *testing.T, db *store.DB) { exec(t, db, `UPDATE verify_cache SET until = until + 1`) }, []byte("key")},
		{"an entry under another key", func(t *testing.T, db *store.DB) { exec(t, db, `UPDATE verify_cache SET key = key || 'x'`) }, []byte("key")},
	} {
		t.Run(row.name, func(t *testing.T) {
			k := verifytest.New(t)
			path := filepath.Join(t.TempDir(), "cache.db")
			disk, db := openDisk(t, k, path, []byte("key"))
			k.Options.Store = disk
			p := k.Good("vision/app")
			k.Restart()
			k.Allowed(p.Pinned())

			row.tamper(t, db)
			k.Options.Store, _ = openDisk(t, k, path, row.key)
			k.Server.Forget()
			k.RestartSame()
			if v := k.Allowed(p.Pinned()); v.Cached {
				t.Fatal("a verdict came from a cache that nobody vouches for")
			}
			if len(k.Server.Requests()) == 0 {
				t.Fatal("nothing was fetched")
			}
		})
	}
}

func TestACachedVerdictEndsWithItsEvidence(t *testing.T) {
	k := verifytest.New(t)
	path := filepath.Join(t.TempDir(), "cache.db")
	k.Options.Store, _ = openDisk(t, k, path, []byte("key"))
	k.Options.Keep = 48 * time.Hour
	p := k.Good("vision/app")
	k.Restart()
	k.Allowed(p.Pinned())
	k.Clock.Advance(24 * time.Hour)
	k.Options.Store, _ = openDisk(t, k, path, []byte("key"))
	k.RestartSame()
	k.Denied(p.Pinned(), "image.vulnerability.report.stale")
}

func exec(t *testing.T, db *store.DB, query string) {
	t.Helper()
	if _, err := db.Exec(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}
