package verify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"log/slog"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/store"
)

// Disk is a [Store] in the database. Each entry carries a MAC under a key that
// is not in the database: a cache that was restored from a shared place, or
// edited, cannot make a verdict. It is safe for concurrent use, and for
// several processes.
type Disk struct {
	db    *store.DB
	key   []byte
	clock clock.Clock
	log   *slog.Logger
}

var diskMigrations = []store.Migration{{
	Number: 1, Name: "facts and verdicts that are kept beyond a process",
	SQL: `CREATE TABLE verify_cache (key TEXT PRIMARY KEY, value {{blob}} NOT NULL, mac {{blob}} NOT NULL, until BIGINT NOT NULL);
CREATE INDEX verify_cache_until ON verify_cache (until);`,
}}

// maxEntry bounds one entry: the facts about an image with many layers and
// environment variables take some 100 KiB.
const maxEntry = 4 << 20

// OpenDisk returns the cache in the database, and forgets what is over.
func OpenDisk(ctx context.Context, db *store.DB, key []byte, c clock.Clock, log *slog.Logger) (*Disk, error) {
	if err := db.Migrate(ctx, "verify", diskMigrations); err != nil {
		return nil, err
	}
	d := &Disk{db: db, key: key, clock: c, log: log}
	if _, err := db.Exec(ctx, `DELETE FROM verify_cache WHERE until <= ?`, c.Now().UnixMicro()); err != nil {
		return nil, err
	}
	return d, nil
}

// Get implements [Store]. What is over, or was not put here by the holder of
// the key, is not there.
func (d *Disk) Get(ctx context.Context, key string) ([]byte, bool) {
	var value, mac []byte
	var until int64
	row := d.db.QueryRow(ctx, `SELECT value, mac, until FROM verify_cache WHERE key = ?`, key)
	if err := row.Scan(&value, &mac, &until); err != nil {
		return nil, false // absent, or a database that fails: the fact is gathered anew
	}
	if until <= d.clock.Now().UnixMicro() || !hmac.Equal(mac, d.mac(key, value, until)) {
		return nil, false
	}
	return value, true
}

// Put implements [Store]. A cache that cannot be written costs time and nothing else.
func (d *Disk) Put(ctx context.Context, key string, value []byte, until time.Time) {
	if len(value) > maxEntry {
		return
	}
	at := until.UnixMicro()
	_, err := d.db.Exec(ctx, `INSERT INTO verify_cache (key, value, mac, until) VALUES (?, ?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value, mac = excluded.mac, until = excluded.until`,
		key, value, d.mac(key, value, at), at)
	if err != nil {
		d.log.Warn("the cache could not be written", "err", err)
	}
}

// mac binds the value to its key and its end, each with its length.
func (d *Disk) mac(key string, value []byte, until int64) []byte {
	m := hmac.New(sha256.New, d.key)
	var n [8]byte
	for _, part := range [][]byte{[]byte("apex verify cache v1"), []byte(key), value} {
		put64(n[:], uint64(len(part)))
		m.Write(n[:])
		m.Write(part)
	}
	put64(n[:], uint64(until))
	m.Write(n[:])
	return m.Sum(nil)
}

func put64(b []byte, v uint64) {
	for i := range 8 {
		b[i] = byte(v >> (8 * i))
	}
}

var _ Store = (*Disk)(nil)
