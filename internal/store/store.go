// Package store is Apex's database: one handle over SQLite (embedded, the
// default) or PostgreSQL (when several processes share the state), the few
// differences between the two, and migrations. It holds no tables of its own
// beyond the record of migrations: each room owns its tables.
//
// Start with [Open], then let each room call [DB.Migrate] with its numbered
// migrations, and use [DB.Tx] for everything that writes more than one
// statement. A room's functions take a [Querier], so that the same function
// runs inside a transaction and outside of one.
//
// SQL is written once, with "?" for parameters and in the dialect that both
// engines share: TEXT, BIGINT, BOOLEAN and {{blob}} columns, "INSERT ... ON
// CONFLICT (key) DO UPDATE SET x = excluded.x", "RETURNING". Times are BIGINT
// microseconds since 1970 in UTC: the two engines disagree about every other
// form of a time.
//
// Sources: https://sqlite.org/wal.html, https://sqlite.org/pragma.html,
// https://www.postgresql.org/docs/current/transaction-iso.html and
// https://www.postgresql.org/docs/current/explicit-locking.html (advisory locks).
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// DB is an open database. It is safe for concurrent use.
//
// On SQLite all writes go through one connection, which waits its turn among
// processes, and reads through a few others that see the last commit without
// waiting. On PostgreSQL both use one pool.
type DB struct {
	dialect Dialect
	write   *sql.DB
	read    *sql.DB
	name    string // for people: no user, no password
}

// Querier runs statements. [DB] runs each on its own, [Tx] all in one
// transaction. Parameters are "?" on both engines.
type Querier interface {
	// Exec runs a statement that changes something.
	Exec(ctx context.Context, query string, args ...any) (sql.Result, error)
	// Query runs a statement that only reads. The caller closes the rows.
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	// QueryRow is Query for at most one row; Scan reports sql.ErrNoRows when there is none.
	QueryRow(ctx context.Context, query string, args ...any) *sql.Row
	// Dialect says which engine it is.
	Dialect() Dialect
}

var (
	_ Querier = (*DB)(nil)
	_ Querier = (*Tx)(nil)
)

// ErrURL is wrapped by errors about the text that Open was given.
var ErrURL = errors.New("not a database URL")

// Open returns the database that url names:
//
//   - "" is SQLite in the user's state directory (see [DefaultPath]);
//   - "sqlite:/path/apex.db" is SQLite in that file. The path is taken
//     literally, relative paths from the working directory. The file is
//     created with mode 0600, missing directories with 0700. It must be on a
//     local disk: SQLite's log needs shared memory, which network file systems
//     do not give.
//   - "postgres://user:password@host:5432/database?sslmode=verify-full" (or
//     postgresql://) is PostgreSQL, with the parameters and PG* environment
//     variables of libpq. A connection that leaves this machine must be
//     protected: sslmode is verify-full, verify-ca or require, or states
//     "disable".
//
// SQLite's engine starts with the first statement, so a process that opens the
// store and never asks it anything pays for a few system calls only.
// PostgreSQL is asked once, so that a wrong address shows at the start.
// No error holds the password.
func Open(ctx context.Context, url string) (*DB, error) {
	scheme, rest, ok := strings.Cut(url, ":")
	switch {
	case url == "":
		path, err := DefaultPath()
		if err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
		return openSQLite(path)
	case ok && scheme == "sqlite":
		path, err := sqlitePath(rest)
		if err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
		return openSQLite(path)
	case ok && (scheme == "postgres" || scheme == "postgresql"):
		return openPostgres(ctx, url)
	}
	// The text is not shown: whatever it is, it may hold a password.
	return nil, fmt.Errorf("open store: %w: write sqlite:/path/apex.db or postgres://user@host:5432/database", ErrURL)
}

// DefaultPath is where the embedded database is when nothing names another
// one: apex/apex.db under $XDG_STATE_HOME, by default ~/.local/state.
func DefaultPath() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "apex", "apex.db"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no home directory for the embedded database; name a file with sqlite:/path/apex.db: %w", err)
	}
	return filepath.Join(home, ".local", "state", "apex", "apex.db"), nil
}

// Dialect says which engine it is.
func (db *DB) Dialect() Dialect { return db.dialect }

// String names the database for logs: the engine and where it is, without credentials.
func (db *DB) String() string { return db.name }

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	if err := db.QueryRow(ctx, "SELECT 1").Scan(&one); err != nil {
		return db.wrap(err)
	}
	return nil
}

// Exec runs one statement that changes something, in a transaction of its own.
// Conflicts with other writers are waited out as in [DB.Tx].
func (db *DB) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	query = db.dialect.Rebind(query)
	var result sql.Result
	err := db.retry(ctx, func() (err error) {
		result, err = db.write.ExecContext(ctx, query, args...)
		return err
	})
	if err != nil {
		return nil, db.wrap(err)
	}
	return result, nil
}

// Query runs one statement that only reads; on SQLite a statement that writes
// is refused. The caller closes the rows.
func (db *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := db.read.QueryContext(ctx, db.dialect.Rebind(query), args...)
	if err != nil {
		return nil, db.wrap(err)
	}
	return rows, nil
}

// QueryRow is Query for at most one row.
func (db *DB) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return db.read.QueryRowContext(ctx, db.dialect.Rebind(query), args...)
}

// Close waits for statements under way and closes all connections.
func (db *DB) Close() error {
	if db.read == db.write {
		return db.write.Close()
	}
	// The writer last: the last connection to close folds SQLite's log into the file.
	return errors.Join(db.read.Close(), db.write.Close())
}

func (db *DB) wrap(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return fmt.Errorf("%s: %w", db.name, err)
}
