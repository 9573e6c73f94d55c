package advisory_test

import (
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/internal/advisory/snapshot"
)

// shared returns the path of a file of the shared advisories: under
// $APEX_SHARED, else in a folder "shared" beside one of the folders above.
func shared(tb testing.TB, name string) string {
	tb.Helper()
	if root := os.Getenv("APEX_SHARED"); root != "" {
		return filepath.Join(root, "advisories", name)
	}
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		path := filepath.Join(dir, "shared", "advisories", name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
		up := filepath.Dir(dir)
		if up == dir {
			tb.Skip("the shared advisories are not here; name their folder with APEX_SHARED")
		}
		dir = up
	}
}

func readFeed(tb testing.TB, path string) []*osv.Record {
	tb.Helper()
	var out []*osv.Record
	for r, err := range osv.RecordsFile(context.Background(), path) {
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func unzipped(tb testing.TB, path string) []byte {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

var real = struct {
	sync.Once
	snap *snapshot.Snapshot
}{}

// realSnapshot is the newest of PyPI and Go with KEV and EPSS, built once.
func realSnapshot(tb testing.TB) *snapshot.Snapshot {
	tb.Helper()
	pypi, golang := shared(tb, "pypi-2026-07-23.jsonl.gz"), shared(tb, "go-2026-08-21.jsonl.gz")
	real.Do(func() {
		f, err := os.Open(shared(tb, "kev-epss-2026-08-22.csv.gz"))
		if err != nil {
			tb.Fatal(err)
		}
		defer f.Close()
		epss, err := osv.ReadEPSS(f)
		if err != nil {
			tb.Fatal(err)
		}
		k, err := os.Open(shared(tb, "kev-epss-2026-08-22.csv.gz"))
		if err != nil {
			tb.Fatal(err)
		}
		defer k.Close()
		kev, err := osv.ReadKEV(k)
		if err != nil {
			tb.Fatal(err)
		}
		real.snap, err = snapshot.Build(snapshot.Input{
			Taken: time.Date(2026, 8, 22, 0, 0, 0, 0, time.UTC),
			Feeds: []snapshot.Feed{{Name: "PyPI", Records: readFeed(tb, pypi)}, {Name: "Go", Records: readFeed(tb, golang)}},
			KEV:   &kev, EPSS: epss,
		})
		if err != nil {
			tb.Fatal(err)
		}
	})
	if real.snap == nil {
		tb.Fatal("the snapshot could not be built")
	}
	return real.snap
}
