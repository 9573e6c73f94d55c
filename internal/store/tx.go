package store

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"time"
)

// Tx is a transaction under way. It is used by one goroutine at a time and only
// inside the function that it was given to.
type Tx struct {
	tx      *sql.Tx
	dialect Dialect
}

// Dialect says which engine it is.
func (tx *Tx) Dialect() Dialect { return tx.dialect }

// Exec runs a statement that changes something.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return tx.tx.ExecContext(ctx, tx.dialect.Rebind(query), args...)
}

// Query runs a statement. The caller closes the rows before the next statement.
func (tx *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return tx.tx.QueryContext(ctx, tx.dialect.Rebind(query), args...)
}

// QueryRow is Query for at most one row.
func (tx *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return tx.tx.QueryRowContext(ctx, tx.dialect.Rebind(query), args...)
}

const (
	// A transaction that loses to others this often meets a row that all of
	// them write; waiting longer would hide that.
	maxAttempts = 12
	// The pause doubles from the first to the second, with jitter, so that
	// writers who met once do not meet again.
	firstPause = time.Millisecond
	maxPause   = 250 * time.Millisecond
)

// Tx runs fn in a serializable transaction that may write, commits when fn
// returns nil and rolls back otherwise. When another writer came first the
// whole of fn runs again, up to 12 times, so fn changes nothing outside of the
// database before it returns. After nil the transaction is on disk.
//
// An error of fn is returned as it is. An error from the commit itself that is
// not a conflict (a lost connection) leaves open whether the transaction took
// place: what must happen once carries its own key.
//
// On SQLite there is one writer: fn must not call the DB's own Exec, Tx or
// Migrate, which would wait for the connection that fn holds, until ctx ends.
func (db *DB) Tx(ctx context.Context, fn func(*Tx) error) error {
	return db.retry(ctx, func() error {
		return db.once(ctx, db.write, &sql.TxOptions{Isolation: sql.LevelSerializable}, fn)
	})
}

// View runs fn in a transaction that only reads and sees one state of the
// whole database, however long it takes and whoever writes meanwhile.
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	opts := &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}
	if db.dialect == SQLite {
		opts.Isolation = sql.LevelDefault // every SQLite transaction is a snapshot
	}
	return db.once(ctx, db.read, opts, fn)
}

func (db *DB) once(ctx context.Context, pool *sql.DB, opts *sql.TxOptions, fn func(*Tx) error) error {
	tx, err := pool.BeginTx(ctx, opts)
	if err != nil {
		return fmt.Errorf("%s: begin transaction: %w", db.name, err)
	}
	// After a commit this does nothing; it is here for errors and panics of fn.
	defer func() { _ = tx.Rollback() }()
	if err := fn(&Tx{tx: tx, dialect: db.dialect}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%s: commit: %w", db.name, err)
	}
	return nil
}

// retry runs try again while it reports a conflict.
func (db *DB) retry(ctx context.Context, try func() error) error {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := try()
		if err == nil || !Conflict(err) {
			return err
		}
		if attempt == maxAttempts {
			return fmt.Errorf("given up after %d attempts, other writers always came first: %w", attempt, err)
		}
		if err := sleep(ctx, pause/2+rand.N(pause)); err != nil {
			return fmt.Errorf("%s: waiting for other writers: %w", db.name, err)
		}
		pause = min(2*pause, maxPause)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
