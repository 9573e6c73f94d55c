package feed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/internal/advisory/snapshot"
	"github.com/apexlogic/apex/verdict"
)

// Options say what is synced and how.
type Options struct {
	Feeds []Feed
	// Cache is a directory for what was fetched, so that only what has changed
	// is fetched again.
	Cache  string
	Client *http.Client
	Now    time.Time
	// Back allows a snapshot that knows less than the current one.
	Back bool
	// Partial says that the feeds hold only what was added or changed.
	Partial bool
	// Progress is told what is being done; nil: nobody.
	Progress func(feed, what string)
}

// Result is what a sync did.
type Result struct {
	Snapshot *snapshot.Snapshot
	// Before is the snapshot that was current; nil: there was none.
	Before *snapshot.Snapshot
	// Unchanged are feeds of which nothing new was published.
	Unchanged []string
	// Bad are records that could not be read, by feed; they are left out.
	Bad map[string][]error
}

// maxBad is how many records of a feed may be unreadable before the feed is not
// believed to be one.
const maxBad = 1000

// Sync fetches the feeds and makes the result the directory's current snapshot.
// What is not among the feeds stays as it was. An error leaves the current
// snapshot in force.
func Sync(ctx context.Context, dir *snapshot.Dir, o Options) (*Result, error) {
	r := &Result{Bad: map[string][]error{}}
	before, err := dir.Current()
	switch {
	case err == nil:
		r.Before = before
	case !errors.Is(err, snapshot.ErrNone) && !o.Back:
		return nil, err
	}
	in := snapshot.Input{Taken: o.Now, Base: r.Before}
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	for _, f := range o.Feeds {
		o.tell(f.Name, "fetching")
		got, err := fetch(ctx, o.Client, f, o.Cache)
		if err != nil {
			return nil, fmt.Errorf("feed %s: %w", f.Name, err)
		}
		if !got.changed && r.Before != nil && has(r.Before, f) {
			r.Unchanged = append(r.Unchanged, f.Name)
			continue
		}
		o.tell(f.Name, "reading")
		if err := read(ctx, f, got, &in, r, o.Partial); err != nil {
			return nil, fmt.Errorf("feed %s: %w", f.Name, err)
		}
	}
	o.tell("", "building")
	if r.Snapshot, err = snapshot.Build(in); err != nil {
		return nil, err
	}
	return r, dir.Put(r.Snapshot, o.Back)
}

func (o *Options) tell(feed, what string) {
	if o.Progress != nil {
		o.Progress(feed, what)
	}
}

// has says whether the snapshot holds the feed already.
func has(s *snapshot.Snapshot, f Feed) bool {
	switch f.Kind {
	case KEV:
		return len(s.KEV()) > 0
	case EPSS:
		return true // predictions are taken over with the base
	}
	for _, source := range s.Sources() {
		if source.Name == f.Name {
			return true
		}
	}
	return false
}

func read(ctx context.Context, f Feed, got *fetched, in *snapshot.Input, r *Result, partial bool) error {
	switch f.Kind {
	case KEV, EPSS:
		file, err := os.Open(filepath.Clean(got.path))
		if err != nil {
			return err
		}
		defer file.Close()
		if f.Kind == EPSS {
			in.EPSS, err = osv.ReadEPSS(bufio.NewReader(file))
			return err
		}
		kev, err := osv.ReadKEV(bufio.NewReader(file))
		in.KEV = &kev
		return err
	}
	records, err := records(ctx, f, got.path, r)
	if err != nil {
		return err
	}
	in.Feeds = append(in.Feeds, snapshot.Feed{Name: f.Name, Digest: verdict.Digest(got.digest), Records: records, Partial: partial})
	return nil
}

func records(ctx context.Context, f Feed, path string, r *Result) ([]*osv.Record, error) {
	var out []*osv.Record
	for record, err := range osv.RecordsFile(ctx, path) {
		if err == nil {
			out = append(out, record)
			continue
		}
		if _, one := errors.AsType[*osv.RecordError](err); !one {
			return nil, err
		}
		if r.Bad[f.Name] = append(r.Bad[f.Name], err); len(r.Bad[f.Name]) > maxBad {
			return nil, fmt.Errorf("more than %d records cannot be read, the last one because %w", maxBad, err)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("it holds no advisory")
	}
	return out, nil
}
