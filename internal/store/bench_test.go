package store_test

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/store"
	"github.com/apexlogic/apex/internal/store/storetest"
)

// cpu is the CPU time of this process so far: wall time is noise on a shared machine.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func reportCPU(b *testing.B) func() {
	before := cpu()
	return func() {
		b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
	}
}

// What Open, and Open with a first statement, cost a process that has just
// started and finds a database: the budget is 3 ms.
func BenchmarkColdStart(b *testing.B) {
	url := "sqlite:" + filepath.Join(b.TempDir(), "apex.db")
	db := storetest.Open(b, url)
	if err := db.Migrate(b.Context(), "things", steps); err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	var open, first int
	for b.Loop() {
		cmd, _, stdout := process(b, "first", url)
		var o, f int
		if _, err := fmt.Fscan(stdout, &o, &f); err != nil {
			b.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
		open, first = open+o, first+f
	}
	b.ReportMetric(float64(open)/float64(b.N), "open-cpu-µs/op")
	b.ReportMetric(float64(first)/float64(b.N), "first-cpu-µs/op")
}

func BenchmarkDurableCommit(b *testing.B) {
	each(b, func(b *testing.B, db *store.DB) {
		for b.Loop() {
			if _, err := db.Exec(b.Context(), "UPDATE things SET size = size + ?", 1); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	each(b, func(b *testing.B, db *store.DB) {
		var size int
		for b.Loop() {
			if err := db.QueryRow(b.Context(), "SELECT size FROM things WHERE id = ?", "first").Scan(&size); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMigrateNothing(b *testing.B) {
	each(b, func(b *testing.B, db *store.DB) {
		for b.Loop() {
			if err := db.Migrate(b.Context(), "things", steps); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func each(b *testing.B, run func(b *testing.B, db *store.DB)) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			db := storetest.Open(b, url(b))
			if err := db.Migrate(b.Context(), "things", steps); err != nil {
				b.Fatal(err)
			}
			defer reportCPU(b)()
			run(b, db)
		})
	}
}

func BenchmarkRebind(b *testing.B) {
	for b.Loop() {
		_ = store.Postgres.Rebind("INSERT INTO t (a, b, c) VALUES (?, ?, ?) ON CONFLICT (a) DO UPDATE SET b = excluded.b")
	}
}
