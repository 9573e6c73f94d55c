package store_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"

	"github.com/apexlogic/apex/internal/store"
	"github.com/apexlogic/apex/internal/store/storetest"
)

func counter(t *testing.T, db *store.DB) {
	t.Helper()
	err := db.Migrate(t.Context(), "counter", []store.Migration{{Number: 1, Name: "counter", SQL: `
		CREATE TABLE counter (name TEXT PRIMARY KEY, n BIGINT NOT NULL, raw {{blob}});
		INSERT INTO counter (name, n) VALUES ('a', 0), ('b', 0);`}})
	if err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, q store.Querier, name string) (n int) {
	t.Helper()
	if err := q.QueryRow(t.Context(), "SELECT n FROM counter WHERE name = ?", name).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTx(t *testing.T) {
	broken := errors.New("broken")
	set := func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE counter SET n = ? WHERE name = ?", 7, "a")
		return err
	}
	tests := []struct {
		name string
		fn   func(context.Context, *store.Tx) error
		err  error
		want int
	}{
		{"commits when the function returns nil", set, nil, 7},
		{"rolls back when the function fails", func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(set(ctx, tx), broken)
		}, broken, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				counter(t, db)
				err := db.Tx(t.Context(), func(tx *store.Tx) error { return tt.fn(t.Context(), tx) })
				if !errors.Is(err, tt.err) {
					t.Errorf("got %v, want %v", err, tt.err)
				}
				if got := count(t, db, "a"); got != tt.want {
					t.Errorf("n = %d, want %d", got, tt.want)
				}
			})
		})
	}
}

func TestTxRollsBackWhenTheFunctionPanics(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counter(t, db)
		func() {
			defer func() { _ = recover() }()
			_ = db.Tx(t.Context(), func(tx *store.Tx) error {
				if _, err := tx.Exec(t.Context(), "UPDATE counter SET n = 7"); err != nil {
					t.Error(err)
				}
				panic("in the middle")
			})
		}()
		if got := count(t, db, "a"); got != 0 {
			t.Errorf("n = %d, want 0", got)
		}
		// The connection is usable again.
		if _, err := db.Exec(t.Context(), "UPDATE counter SET n = 1 WHERE name = 'a'"); err != nil {
			t.Fatal(err)
		}
	})
}

// Each transaction reads and then writes what depends on what it read. Without
// serializable transactions that are tried again some additions would be lost.
func TestNoAdditionIsLost(t *testing.T) {
	const writers, each = 6, 8
	storetest.EachURL(t, func(t *testing.T, url string) {
		handles := []*store.DB{storetest.Open(t, url), storetest.Open(t, url)}
		counter(t, handles[0])
		var wg sync.WaitGroup
		for i := range writers {
			db := handles[i%len(handles)]
			wg.Go(func() {
				for range each {
					err := db.Tx(t.Context(), func(tx *store.Tx) error {
						var n int
						if err := tx.QueryRow(t.Context(), "SELECT n FROM counter WHERE name = 'a'").Scan(&n); err != nil {
							return err
						}
						_, err := tx.Exec(t.Context(), "UPDATE counter SET n = ? WHERE name = 'a'", n+1)
						return err
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if got := count(t, handles[1], "a"); got != writers*each {
			t.Errorf("n = %d, want %d", got, writers*each)
		}
	})
}

func TestAConflictRunsTheFunctionAgain(t *testing.T) {
	url := storetest.Postgres(t)
	db, other := storetest.Open(t, url), storetest.Open(t, url)
	counter(t, db)
	runs := 0
	err := db.Tx(t.Context(), func(tx *store.Tx) error {
		runs++
		n := count(t, tx, "a")
		if runs == 1 {
			if _, err := other.Exec(t.Context(), "UPDATE counter SET n = 10 WHERE name = 'a'"); err != nil {
				return err
			}
		}
		_, err := tx.Exec(t.Context(), "UPDATE counter SET n = ? WHERE name = 'a'", n+1)
		return err
	})
	if err != nil || runs != 2 || count(t, db, "a") != 11 {
		t.Errorf("after %d runs n = %d, %v; want 11 after 2", runs, count(t, db, "a"), err)
	}
}

func TestAConflictThatNeverEndsIsReported(t *testing.T) {
	url := storetest.Postgres(t)
	db, other := storetest.Open(t, url), storetest.Open(t, url)
	counter(t, db)
	err := db.Tx(t.Context(), func(tx *store.Tx) error {
		n := count(t, tx, "a")
		if _, err := other.Exec(t.Context(), "UPDATE counter SET n = n + 1 WHERE name = 'a'"); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), "UPDATE counter SET n = ? WHERE name = 'a'", n+1)
		return err
	})
	if !store.Conflict(err) {
		t.Errorf("got %v, want a conflict", err)
	}
}

func TestReadersDoNotWaitForTheWriter(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counter(t, db)
		err := db.Tx(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.Exec(t.Context(), "UPDATE counter SET n = 5 WHERE name = 'a'"); err != nil {
				return err
			}
			if inside, outside := count(t, tx, "a"), count(t, db, "a"); inside != 5 || outside != 0 {
				t.Errorf("inside n = %d, outside n = %d; want 5 and 0", inside, outside)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := count(t, db, "a"); got != 5 {
			t.Errorf("after the commit n = %d, want 5", got)
		}
	})
}

func TestViewSeesOneState(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counter(t, db)
		err := db.View(t.Context(), func(tx *store.Tx) error {
			before := count(t, tx, "a")
			if _, err := db.Exec(t.Context(), "UPDATE counter SET n = 9"); err != nil {
				return err
			}
			if after := count(t, tx, "b"); before != 0 || after != 0 {
				t.Errorf("saw a = %d and b = %d, want both before the change", before, after)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		err = db.View(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(t.Context(), "UPDATE counter SET n = 1")
			return err
		})
		if err == nil || count(t, db, "a") != 9 {
			t.Errorf("a view wrote: %v", err)
		}
	})
}

func TestQueryOnSQLiteRefusesToWrite(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	counter(t, db)
	const write = "UPDATE counter SET n = 3 WHERE name = 'a' RETURNING n"
	var n int
	if err := db.QueryRow(t.Context(), write).Scan(&n); err == nil {
		t.Error("a reader wrote")
	}
	if err := db.Tx(t.Context(), func(tx *store.Tx) error { return tx.QueryRow(t.Context(), write).Scan(&n) }); err != nil || n != 3 {
		t.Errorf("in a transaction: %d, %v", n, err)
	}
}

func TestValuesComeBackAsTheyWere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counter(t, db)
		raw := "\x00\xff'?;\x00"
		const upsert = "INSERT INTO counter (name, n, raw) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET n = excluded.n, raw = excluded.raw"
		for _, n := range []int64{-1, 1<<63 - 1} {
			if _, err := db.Exec(t.Context(), upsert, "é'?", n, []byte(raw)); err != nil {
				t.Fatal(err)
			}
			var gotN int64
			var gotRaw []byte
			if err := db.QueryRow(t.Context(), "SELECT n, raw FROM counter WHERE name = ?", "é'?").Scan(&gotN, &gotRaw); err != nil {
				t.Fatal(err)
			}
			if gotN != n || string(gotRaw) != raw {
				t.Errorf("got %d %q, want %d %q", gotN, gotRaw, n, raw)
			}
		}
	})
}

func TestErrorsAreToldApart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counter(t, db)
		_, err := db.Exec(t.Context(), "INSERT INTO counter (name, n) VALUES ('a', 1)")
		if !store.Duplicate(err) || store.Conflict(err) {
			t.Errorf("a second row with the key: %v", err)
		}
		_, err = db.Exec(t.Context(), "INSERT INTO counter (name, n) VALUES ('c', NULL)")
		if err == nil || store.Duplicate(err) || store.Conflict(err) {
			t.Errorf("a missing value: %v", err)
		}
		err = db.QueryRow(t.Context(), "SELECT n FROM counter WHERE name = 'nobody'").Scan(new(int))
		if !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("no row: %v", err)
		}
	})
}

func TestACancelledContextEndsTheWaitForTheWriter(t *testing.T) {
	url := storetest.SQLite(t)
	db, other := storetest.Open(t, url), storetest.Open(t, url)
	counter(t, db)
	err := db.Tx(t.Context(), func(*store.Tx) error { // holds the file's write lock
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := other.Exec(ctx, "UPDATE counter SET n = 1")
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if _, err := other.Exec(t.Context(), "UPDATE counter SET n = 1"); err != nil {
		t.Error(err)
	}
}
