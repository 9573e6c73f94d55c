package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
)

// Migration is one step of a room's schema. Steps are numbered 1, 2, 3, … and
// never change once they were released: a new step mends an old one.
type Migration struct {
	Number int
	// Name says what the step does, for people.
	Name string
	// SQL is one or more statements without parameters that run on both
	// engines; {{blob}} is the type of a column of bytes. They run inside a
	// transaction, so they neither begin nor commit one.
	SQL string
}

// ErrNewer is wrapped when the database has migrations that this binary does
// not know: a newer one has been here.
var ErrNewer = errors.New("database is newer than this program")

// ErrEdited is wrapped when a migration that was applied reads differently now.
var ErrEdited = errors.New("applied migration was changed")

// lockMigrations is the PostgreSQL advisory lock that is held while a migration
// runs: the ASCII of "apexmigr". It is per database.
const lockMigrations int64 = 0x617065786d696772

const createApplied = `CREATE TABLE IF NOT EXISTS apex_migrations (
	room TEXT NOT NULL,
	number BIGINT NOT NULL,
	name TEXT NOT NULL,
	checksum TEXT NOT NULL,
	applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
	PRIMARY KEY (room, number)
)`

// Migrate brings the room's tables up to the last of migrations. Each one that
// is missing is applied in a transaction of its own, exactly once however many
// processes start at the same time; when one fails, those before it stay. When
// nothing is missing it only reads.
//
// The error wraps [ErrNewer] when the database has steps beyond the last, and
// [ErrEdited] when a step that was applied has changed since.
func (db *DB) Migrate(ctx context.Context, room string, migrations []Migration) error {
	steps, err := prepare(db.dialect, room, migrations)
	if err != nil {
		return err
	}
	done, err := db.peek(ctx, room)
	if err != nil {
		return fmt.Errorf("migrate %s: read what was applied: %w", room, err)
	}
	for {
		if err := compare(room, steps, done); err != nil {
			return fmt.Errorf("%s: %w", db.name, err)
		}
		if len(done) == len(steps) {
			return nil
		}
		if done, err = db.advance(ctx, room, steps); err != nil {
			return err
		}
	}
}

type step struct {
	Migration
	checksum string
}

func prepare(d Dialect, room string, migrations []Migration) ([]step, error) {
	if room == "" {
		return nil, errors.New("migrate: the room has no name")
	}
	steps := make([]step, len(migrations))
	for i, m := range migrations {
		if m.Number != i+1 {
			return nil, fmt.Errorf("migrate %s: migration %q has number %d, expected %d: number them 1, 2, 3, …", room, m.Name, m.Number, i+1)
		}
		sum := sha256.Sum256([]byte(m.SQL))
		expanded, err := d.expand(m.SQL)
		if err != nil {
			return nil, fmt.Errorf("migrate %s: migration %d (%s): %w", room, m.Number, m.Name, err)
		}
		m.SQL = expanded
		steps[i] = step{Migration: m, checksum: hex.EncodeToString(sum[:])}
	}
	return steps, nil
}

// applied is a row of apex_migrations.
type applied struct {
	number         int
	name, checksum string
}

// peek reads what was applied without taking any lock; a database without the
// table has nothing applied.
func (db *DB) peek(ctx context.Context, room string) ([]applied, error) {
	exists := "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'apex_migrations'"
	if db.dialect == Postgres {
		exists = "SELECT count(*) FROM pg_catalog.pg_class WHERE oid = to_regclass('apex_migrations')"
	}
	var n int
	if err := db.QueryRow(ctx, exists).Scan(&n); err != nil {
		return nil, db.wrap(err)
	}
	if n == 0 {
		return nil, nil
	}
	return readApplied(ctx, db, room)
}

func readApplied(ctx context.Context, q Querier, room string) ([]applied, error) {
	rows, err := q.Query(ctx, "SELECT number, name, checksum FROM apex_migrations WHERE room = ? ORDER BY number", room)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var done []applied
	for rows.Next() {
		var a applied
		if err := rows.Scan(&a.number, &a.name, &a.checksum); err != nil {
			return nil, err
		}
		done = append(done, a)
	}
	return done, rows.Err()
}

// compare reports an error unless done is a beginning of steps.
func compare(room string, steps []step, done []applied) error {
	for i, a := range done {
		switch {
		case a.number != i+1:
			return fmt.Errorf("migrate %s: migration %d is missing although %d was applied: restore the database from a backup", room, i+1, a.number)
		case i >= len(steps):
			return fmt.Errorf("migrate %s: %w: it is at migration %d (%s), this program knows %d: run the newer program, or restore the backup from before it", room, ErrNewer, len(done), done[len(done)-1].name, len(steps))
		case a.checksum != steps[i].checksum:
			return fmt.Errorf("migrate %s: %w: migration %d (%s) is not what was applied: undo the change and add a new migration", room, ErrEdited, a.number, steps[i].Name)
		}
	}
	return nil
}

// advance applies the first step that is missing, if it is still missing once
// the lock is held, and returns what is applied then.
func (db *DB) advance(ctx context.Context, room string, steps []step) ([]applied, error) {
	var done []applied
	// PostgreSQL: a serializable transaction would look at the database as it
	// was before it waited for the lock. On SQLite the transaction is the lock.
	opts := &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	if db.dialect == SQLite {
		opts.Isolation = sql.LevelSerializable
	}
	apply := func(tx *Tx) error {
		if tx.dialect == Postgres {
			if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(?)", lockMigrations); err != nil {
				return fmt.Errorf("wait for other migrations: %w", err)
			}
		}
		if _, err := tx.Exec(ctx, createApplied); err != nil {
			return fmt.Errorf("create apex_migrations: %w", err)
		}
		var err error
		if done, err = readApplied(ctx, tx, room); err != nil {
			return err
		}
		if err := compare(room, steps, done); err != nil || len(done) == len(steps) {
			return err
		}
		next := steps[len(done)]
		if _, err := tx.Exec(ctx, next.SQL); err != nil {
			return fmt.Errorf("migration %d (%s): %w", next.Number, next.Name, err)
		}
		if _, err := tx.Exec(ctx, "INSERT INTO apex_migrations (room, number, name, checksum) VALUES (?, ?, ?, ?)",
			room, next.Number, next.Name, next.checksum); err != nil {
			return fmt.Errorf("record migration %d: %w", next.Number, err)
		}
		done = append(done, applied{next.Number, next.Name, next.checksum})
		return nil
	}
	if err := db.retry(ctx, func() error { return db.once(ctx, db.write, opts, apply) }); err != nil {
		return nil, fmt.Errorf("%s: migrate %s: %w", db.name, room, err)
	}
	return done, nil
}
