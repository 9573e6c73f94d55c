package feed_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/advisory/feed"
	"github.com/apexlogic/apex/internal/advisory/snapshot"
	"github.com/apexlogic/apex/internal/clock"
)

var now = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func record(id, name, modified string) string {
	return fmt.Sprintf(`{"id":%q,"modified":%q,"affected":[{"package":{"ecosystem":"PyPI","name":%q},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2.0"}]}]}]}`, id, modified, name)
}

func archive(t *testing.T, records ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i, r := range records {
		w, err := z.Create(fmt.Sprintf("PYSEC-%d.json", i))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// publisher serves feeds as their publishers do, and counts what it sent.
type publisher struct {
	*httptest.Server
	files map[string][]byte
	sent  atomic.Int64
	cut   bool
}

func publish(t *testing.T) *publisher {
	p := &publisher{files: map[string][]byte{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := p.files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		tag := fmt.Sprintf(`"%d-%s"`, len(data), r.URL.Path)
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		p.sent.Add(1)
		if p.cut {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			data = data[:len(data)/2]
		}
		_, _ = w.Write(data) // who hangs up is no error of the publisher
	}))
	t.Cleanup(p.Close)
	return p
}

func open(t *testing.T) *snapshot.Dir {
	t.Helper()
	d, err := snapshot.OpenDir(t.TempDir(), clock.At(now))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOnlyWhatHasChangedIsFetchedAgain(t *testing.T) {
	p := publish(t)
	p.files["/PyPI/all.zip"] = archive(t, record("PYSEC-1", "pillow", "2026-01-01T00:00:00Z"))
	p.files["/kev.json"] = []byte(`{"catalogVersion":"1","vulnerabilities":[{"cveID":"CVE-2026-0001","dateAdded":"2026-01-02"}]}`)
	dir := open(t)
	o := feed.Options{Cache: t.TempDir(), Client: p.Client(), Now: now, Feeds: []feed.Feed{
		{Name: "PyPI", Kind: feed.OSV, URL: p.URL + "/PyPI/all.zip"}, {Name: "KEV", Kind: feed.KEV, URL: p.URL + "/kev.json"},
	}}
	first, err := feed.Sync(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if first.Snapshot.Len() != 1 || len(first.Snapshot.KEV()) != 1 || p.sent.Load() != 2 {
		t.Errorf("%d records, %d KEV, %d sent", first.Snapshot.Len(), len(first.Snapshot.KEV()), p.sent.Load())
	}
	o.Now = now.Add(time.Hour)
	again, err := feed.Sync(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if p.sent.Load() != 2 || len(again.Unchanged) != 2 || again.Snapshot.Len() != 1 || !again.Snapshot.Taken().After(first.Snapshot.Taken()) {
		t.Errorf("%d sent, unchanged %v, taken %s", p.sent.Load(), again.Unchanged, again.Snapshot.Taken())
	}
	p.files["/PyPI/all.zip"] = archive(t, record("PYSEC-1", "pillow", "2026-01-01T00:00:00Z"), record("PYSEC-2", "ray", "2026-02-01T00:00:00Z"))
	o.Now = now.Add(2 * time.Hour)
	third, err := feed.Sync(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if d := snapshot.Diff(again.Snapshot, third.Snapshot); len(d.Added) != 1 || d.Added[0] != "PYSEC-2" || p.sent.Load() != 3 {
		t.Errorf("added %v, %d sent", d.Added, p.sent.Load())
	}
}

func TestABadFeedReplacesNothing(t *testing.T) {
	good := archive(t, record("PYSEC-1", "pillow", "2026-01-01T00:00:00Z"), record("PYSEC-2", "ray", "2026-02-01T00:00:00Z"))
	for _, tc := range []struct {
		name string
		ruin func(*publisher)
		want string
	}{
		{"it is cut off", func(p *publisher) { p.cut = true; p.files["/all.zip"] = append(bytes.Clone(good), 0) }, "unexpected EOF"},
		{"it is no archive", func(p *publisher) { p.files["/all.zip"] = []byte("<html>") }, "feed PyPI"},
		{"it is gone", func(p *publisher) { delete(p.files, "/all.zip") }, "404"},
		{"it holds nothing", func(p *publisher) { p.files["/all.zip"] = archive(t) }, "no .json file"},
		{"it ends earlier than before", func(p *publisher) {
			p.files["/all.zip"] = archive(t, record("PYSEC-1", "pillow", "2026-01-01T00:00:00Z"))
		}, "go back"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := publish(t)
			p.files["/all.zip"] = good
			dir := open(t)
			o := feed.Options{Cache: t.TempDir(), Client: p.Client(), Now: now, Feeds: []feed.Feed{{Name: "PyPI", Kind: feed.OSV, URL: p.URL + "/all.zip"}}}
			first, err := feed.Sync(t.Context(), dir, o)
			if err != nil {
				t.Fatal(err)
			}
			tc.ruin(p)
			o.Now = now.Add(time.Hour)
			if _, err := feed.Sync(t.Context(), dir, o); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v", err)
			}
			if current, err := dir.CurrentDigest(); err != nil || current != first.Snapshot.Digest() {
				t.Errorf("the current snapshot is %s, %v", current, err)
			}
		})
	}
}

func TestABadRecordIsLeftOutAndTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "PyPI.jsonl")
	if err := os.WriteFile(file, []byte(record("PYSEC-1", "pillow", "2026-01-01T00:00:00Z")+"\n{\"id\":3}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := feed.Sync(t.Context(), open(t), feed.Options{Now: now, Feeds: []feed.Feed{{Name: "PyPI", Kind: feed.OSV, Path: file}}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Snapshot.Len() != 1 || len(r.Bad["PyPI"]) != 1 {
		t.Errorf("%d records, bad: %v", r.Snapshot.Len(), r.Bad)
	}
}

func TestFeedsAreFetchedSafely(t *testing.T) {
	for _, at := range []string{"http://osv.example/all.zip", "https://me:secret@osv.example/all.zip", "ftp://127.0.0.1/all.zip"} {
		_, err := feed.Sync(t.Context(), open(t), feed.Options{Cache: t.TempDir(), Now: now, Feeds: []feed.Feed{{Name: "PyPI", Kind: feed.OSV, URL: at}}})
		if err == nil || strings.Contains(err.Error(), "secret") || errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", at, err)
		}
	}
}

func TestAFeedIsToldByItsName(t *testing.T) {
	for text, want := range map[string]feed.Feed{
		"pypi-2026-07-23.jsonl.gz":              {Name: "pypi-2026-07-23", Kind: feed.OSV, Path: "pypi-2026-07-23.jsonl.gz"},
		"PyPI=some/pypi.jsonl.gz":               {Name: "PyPI", Kind: feed.OSV, Path: "some/pypi.jsonl.gz"},
		"https://osv.example/PyPI/all.zip":      {Name: "PyPI", Kind: feed.OSV, URL: "https://osv.example/PyPI/all.zip"},
		"cisa-kev-2025-08-25.json":              {Name: "KEV", Kind: feed.KEV, Path: "cisa-kev-2025-08-25.json"},
		"known_exploited_vulnerabilities.json":  {Name: "KEV", Kind: feed.KEV, Path: "known_exploited_vulnerabilities.json"},
		"epss_scores-current.csv.gz":            {Name: "EPSS", Kind: feed.EPSS, Path: "epss_scores-current.csv.gz"},
		"kev-epss-2026-08-22.csv.gz":            {Name: "EPSS", Kind: feed.EPSS, Path: "kev-epss-2026-08-22.csv.gz"},
		"EPSS=https://mirror.example/s.csv.gz":  {Name: "EPSS", Kind: feed.EPSS, URL: "https://mirror.example/s.csv.gz"},
		"KEV=https://mirror.example/known.json": {Name: "KEV", Kind: feed.KEV, URL: "https://mirror.example/known.json"},
	} {
		got, err := feed.Parse(text)
		if err != nil || got != want {
			t.Errorf("%s is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "PyPI=", "https://"} {
		if f, err := feed.Parse(text); err == nil {
			t.Errorf("%q is %+v", text, f)
		}
	}
}
