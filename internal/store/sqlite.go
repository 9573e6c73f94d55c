package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
)

const (
	// One statement waits this long for another process's write; [DB.Tx] and
	// [DB.Exec] then try again.
	busyTimeout = 2 * time.Second
	// Readers do not wait for the writer, so a few suffice for a process that
	// answers in microseconds; each costs up to 2 MiB of page cache.
	maxReaders = 4
	// A log that a large transaction has grown is cut back to this size.
	journalLimit = 64 << 20
)

// sqlitePath takes the path out of what follows "sqlite:".
func sqlitePath(rest string) (string, error) {
	path := rest
	if strings.HasPrefix(path, "//") {
		path = strings.TrimPrefix(path, "//")
		if !strings.HasPrefix(path, "/") {
			return "", fmt.Errorf("%w: sqlite://%s names a host; write sqlite:/path/apex.db", ErrURL, path)
		}
	}
	switch {
	case path == "":
		return "", fmt.Errorf("%w: sqlite: names no file; write sqlite:/path/apex.db", ErrURL)
	case strings.HasPrefix(path, ":"):
		return "", fmt.Errorf("%w: sqlite:%s is not a file; the store is always on disk", ErrURL, path)
	case strings.ContainsAny(path, "?\x00"):
		return "", fmt.Errorf("%w: sqlite:%q: the path takes no parameters", ErrURL, path)
	}
	return filepath.Abs(path)
}

func openSQLite(path string) (*DB, error) {
	if err := prepareFile(path); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	writer, err := sqliteConnector(path, url.Values{
		"_txlock": {"immediate"}, // a transaction that will write says so at its start, and never has to be undone
		"_pragma": {
			"journal_mode(WAL)",
			"synchronous(FULL)", // after a commit it is on disk
			fmt.Sprintf("journal_size_limit(%d)", journalLimit),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	reader, err := sqliteConnector(path, url.Values{"_query_only": {"1"}})
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	db := &DB{dialect: SQLite, write: sql.OpenDB(writer), read: sql.OpenDB(reader), name: "sqlite " + path}
	db.write.SetMaxOpenConns(1)
	db.write.SetMaxIdleConns(1)
	db.read.SetMaxOpenConns(maxReaders)
	db.read.SetMaxIdleConns(maxReaders)
	return db, nil
}

func sqliteConnector(path string, params url.Values) (driver.Connector, error) {
	params.Set("mode", "rw") // the file is ours and there; SQLite would create it with other permissions
	params.Set("_busy_timeout", fmt.Sprint(busyTimeout.Milliseconds()))
	params.Set("_foreign_keys", "1")
	params.Set("_defensive", "1")
	params.Set("_dqs", "0") // "x" is a column, never silently a text
	params.Add("_pragma", "trusted_schema(0)")
	params.Add("_pragma", "temp_store(MEMORY)") // nothing of the data outside of our directory
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: params.Encode()}
	base, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	return patient{base}, nil
}

// patient waits for processes that are just switching the file to its log:
// SQLite reports those as busy without asking the busy timeout, because two
// that hold the file for reading and want it alone could wait forever.
type patient struct{ driver.Connector }

func (p patient) Connect(ctx context.Context) (driver.Conn, error) {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		conn, err := p.Connector.Connect(ctx)
		if err == nil || !Conflict(err) || attempt == maxAttempts {
			return conn, err
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
		pause = min(2*pause, maxPause)
	}
}

// prepareFile makes sure that the file is there, is a regular file, and is
// nobody else's to read. SQLite gives its log and shared memory the same mode.
func prepareFile(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create the directory of the store: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if mode := info.Mode(); mode.Perm()&0o002 != 0 && mode&fs.ModeSticky == 0 {
		return fmt.Errorf("directory %s can be written by everyone, who could put another database in its place: chmod o-w %s", dir, dir)
	}
	if err := createFile(path, dir); err != nil {
		return err
	}
	if info, err = os.Stat(path); err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file: name a file for the database", path)
	}
	// A volume may come back with wider permissions after a restart (fsGroup).
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		err := os.Chmod(path+suffix, 0o600)
		if err != nil && !(suffix != "" && errors.Is(err, fs.ErrNotExist)) {
			return fmt.Errorf("%s can be read by others and cannot be closed to them: %w", path+suffix, err)
		}
	}
	return nil
}

func createFile(path, dir string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create the store: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	// The name must survive a crash as the commits do.
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
