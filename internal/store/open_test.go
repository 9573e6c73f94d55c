package store_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/store"
	"github.com/apexlogic/apex/internal/store/storetest"
)

func TestOpenAnswersOnEveryEngine(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if err := db.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(db.String(), db.Dialect().String()) {
			t.Errorf("the name %q does not begin with the engine", db)
		}
	})
}

func TestOpenCreatesPrivateFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "deep")
	db := storetest.Open(t, "sqlite:"+filepath.Join(dir, "odd name%20#.db"))
	if _, err := db.Exec(t.Context(), "CREATE TABLE t (a TEXT)"); err != nil {
		t.Fatal(err)
	}
	wantMode(t, dir, 0o700)
	wantMode(t, filepath.Dir(dir), 0o700)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		wantMode(t, filepath.Join(dir, "odd name%20#.db"+suffix), 0o600)
	}
}

func TestOpenClosesAFileThatOthersCouldRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apex.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o664); err != nil {
		t.Fatal(err)
	}
	if err := storetest.Open(t, "sqlite:"+path).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantMode(t, path, 0o600)
}

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %o, want %o", path, got, want)
	}
}

func TestOpenRefusesADirectoryThatEveryoneMayWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "apex.db")
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), "sqlite:"+path); err == nil || !strings.Contains(err.Error(), "chmod o-w") {
		t.Errorf("got %v, want an error that says how to mend it", err)
	}
	if err := os.Chmod(dir, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	storetest.Open(t, "sqlite:"+path)
}

func TestOpenOfAFileThatIsNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apex.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := storetest.Open(t, "sqlite:"+path).Ping(t.Context()); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

func TestTheEngineStartsWithTheFirstStatement(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apex.db")
	db := storetest.Open(t, "sqlite:"+path)
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Fatalf("after Open: %v, %v; want an empty file", info, err)
	}
	if _, err := db.Exec(t.Context(), "CREATE TABLE t (a TEXT)"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		t.Fatalf("after the first statement: %v, %v; want a database", info, err)
	}
}

func TestOpenOfNothingIsTheStateDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	storetest.Open(t, "")
	wantMode(t, filepath.Join(dir, "apex", "apex.db"), 0o600)
	t.Setenv("XDG_STATE_HOME", "relative/is/ignored")
	t.Setenv("HOME", dir)
	if got, err := store.DefaultPath(); err != nil || got != filepath.Join(dir, ".local", "state", "apex", "apex.db") {
		t.Errorf("DefaultPath() = %q, %v", got, err)
	}
}

func TestOpenRefusesOtherURLs(t *testing.T) {
	for name, url := range map[string]string{
		"another engine":     "mysql://u:" + password + "@h/db",
		"a bare path":        "/var/lib/apex.db",
		"no file":            "sqlite:",
		"only memory":        "sqlite::memory:",
		"a host":             "sqlite://apex.db",
		"parameters":         "sqlite:/tmp/x.db?mode=memory",
		"an unescaped slash": "postgres://u:" + password + "/x@127.0.0.1/db",
		"an unescaped hash":  "postgres://u:" + password + "#x@127.0.0.1/db",
		"a bad port":         "postgres://u:" + password + "@127.0.0.1:99999/db",
		"a bad parameter":    "postgres://u:" + password + "@127.0.0.1/db?sslmode=maybe",
		"a control byte":     "postgres://u:" + password + "\x7f@127.0.0.1/db",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := store.Open(t.Context(), url)
			if !errors.Is(err, store.ErrURL) {
				t.Fatalf("got %v, want ErrURL", err)
			}
			noSecret(t, err)
		})
	}
}

const password = "correct-horse"

func noSecret(t *testing.T, err error) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.Contains(e.Error(), password) {
			t.Errorf("the error shows the password: %v", e)
		}
	}
}

func TestOpenNamesAServerThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil { // nobody listens there now
		t.Fatal(err)
	}
	_, err = store.Open(t.Context(), "postgres://apex:"+password+"@"+addr+"/apex?sslmode=disable")
	if err == nil || !strings.Contains(err.Error(), addr) {
		t.Fatalf("got %v, want an error that names %s", err, addr)
	}
	noSecret(t, err)
}

func TestAServerThatRepeatsThePasswordIsNotQuoted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1024))
			body := "SFATAL\x00C28P01\x00Mno entry with " + password + "\x00\x00"
			_, _ = conn.Write(append([]byte{'E', 0, 0, 0, byte(len(body) + 4)}, body...))
			_ = conn.Close()
		}
	}()
	_, err = store.Open(t.Context(), "postgres://apex:"+password+"@"+l.Addr().String()+"/apex?sslmode=disable")
	if err == nil || !strings.Contains(err.Error(), "no entry with") {
		t.Fatalf("got %v, want what the server said", err)
	}
	noSecret(t, err)
}

func TestAWrongPasswordIsNotShown(t *testing.T) {
	right := storetest.Postgres(t)
	u, err := url.Parse(right)
	if err != nil {
		t.Fatal(err)
	}
	if _, has := u.User.Password(); !has {
		t.Skip("the server at hand asks for no password")
	}
	u.User = url.UserPassword(u.User.Username(), password)
	_, err = store.Open(t.Context(), u.String())
	if err == nil {
		t.Fatal("the wrong password opened the database")
	}
	noSecret(t, err)
	storetest.Open(t, right)
}

// The twin of each refusal differs in one thing only. The context is over, so
// that the allowed ones fail later, before they would connect to anything.
func TestAConnectionThatLeavesTheMachineIsProtected(t *testing.T) {
	const far = "postgres://u:" + password + "@192.0.2.1:1/db?application_name=t"
	const near = "postgres://u:" + password + "@127.0.0.1:1/db?application_name=t"
	tests := []struct {
		name, url, env string
		refused        bool
	}{
		{"the default falls back to plain text", far, "", true},
		{"prefer falls back to plain text", far + "&sslmode=prefer", "", true},
		{"prefer from the environment too", far, "prefer", true},
		{"allow begins in plain text", far + "&sslmode=allow", "", true},
		{"one of two hosts is far", "postgres://u@127.0.0.1:1,192.0.2.1:1/db?application_name=t", "", true},
		{"verify-full is protected", far + "&sslmode=verify-full", "", false},
		{"require is protected", far + "&sslmode=require", "", false},
		{"require from the environment is protected", far, "require", false},
		{"disable was said", far + "&sslmode=disable", "", false},
		{"loopback does not leave the machine", near, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PGSSLMODE", tt.env)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := store.Open(ctx, tt.url)
			if tt.refused && (err == nil || !strings.Contains(err.Error(), "plain text")) {
				t.Errorf("got %v, want a refusal", err)
			}
			if !tt.refused && !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want to come as far as connecting", err)
			}
			noSecret(t, err)
		})
	}
}
