package config

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/apexlogic/apex/verdict"
)

const (
	// watchInterval is how often a directory is looked at. A change is in force
	// within one second: this, the load, and room for a busy machine.
	watchInterval = 250 * time.Millisecond
	// racy is how long after a file's last change its time stamp says nothing:
	// file systems keep time in steps of up to two seconds (FAT, some network
	// file systems), and a second change in the same step leaves no trace.
	racy = 2 * time.Second
	// reread is how often the content is read even though no time stamp has
	// changed: tools can set time stamps back.
	reread = 30 * time.Second
)

// Health says whether what is in the directory is in force.
type Health struct {
	// Generation in force; "" when there is none.
	Generation string
	// Problems that keep the directory's present content from being in force;
	// empty when it is in force.
	Problems []Problem
	// Since is when this became so.
	Since time.Time
}

// OK reports whether the directory's content is in force.
func (h Health) OK() bool { return h.Generation != "" && len(h.Problems) == 0 }

// Watcher publishes a directory whenever it changes. A broken edit leaves the
// generation in force and shows in [Watcher.Health].
type Watcher struct {
	publisher *Publisher
	dir       string
	changed   func(Health)

	mu     sync.Mutex
	health Health

	print  string    // of the directory when it was last read
	newest time.Time // the latest time stamp in it
	loaded time.Time // when it was last read
}

// NewWatcher returns a watcher of dir, which has the meaning that [Dir] gives
// it. Changed is called, when it is not nil, after every publication, failed
// publication and recovery; it must not block for long. The times that the
// watcher compares are those of files, so it asks the machine's clock; the
// publisher's clock is for Health.Since.
func NewWatcher(p *Publisher, dir string, changed func(Health)) *Watcher {
	return &Watcher{publisher: p, dir: dir, changed: changed}
}

// Health returns how things stand. It is safe for concurrent use.
func (w *Watcher) Health() Health {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.health
}

// Run looks at once and then several times a second, until ctx is done. It
// returns nil then: every failure is a state of health, not an end.
func (w *Watcher) Run(ctx context.Context) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		w.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look publishes the directory if it may have changed since the last look.
func (w *Watcher) look(ctx context.Context) {
	now := time.Now()
	print, newest, err := fingerprint(w.dir)
	if err == nil && print == w.print && w.loaded.Sub(w.newest) > racy && now.Sub(w.loaded) < reread {
		return
	}
	set, loadErr := Load(ctx, Dir(w.dir))
	if ctx.Err() != nil {
		return
	}
	w.print, w.newest, w.loaded = print, newest, now
	if err != nil || loadErr != nil {
		w.print = "" // look again at the next tick
	}
	if loadErr != nil {
		w.settle(nil, loadErr)
		return
	}
	g, publishErr := w.publisher.Publish(ctx, set)
	if ctx.Err() != nil {
		return
	}
	w.settle(g, publishErr)
}

// settle records the outcome and tells it when it is another than before.
func (w *Watcher) settle(g *Generation, err error) {
	var next Health
	if current := w.publisher.Current(); current != nil {
		next.Generation = current.Hash
	}
	if g != nil {
		next.Generation = g.Hash
	}
	var invalid *Invalid
	switch {
	case errors.As(err, &invalid):
		next.Problems = invalid.Problems
	case err != nil:
		next.Problems = []Problem{{Position: Position{File: w.dir}, Code: verdict.PolicyInvalid, Message: err.Error()}}
	}
	w.mu.Lock()
	same := !w.health.Since.IsZero() && next.Generation == w.health.Generation && equalProblems(next.Problems, w.health.Problems)
	if !same {
		next.Since = w.publisher.clock.Now()
		w.health = next
	}
	w.mu.Unlock()
	if !same && w.changed != nil {
		w.changed(next)
	}
}

func equalProblems(a, b []Problem) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// fingerprint sums up names, sizes and times of what [Dir] would read, links
// included by what they lead to, and returns the latest time among them.
func fingerprint(dir string) (print string, newest time.Time, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", time.Time{}, err
	}
	defer root.Close()
	h := sha256.New()
	entries := 0
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entries++; entries > maxEntries {
			return errors.New("too many entries")
		}
		if skipped(name) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.IsDir() && !isDocument(name) {
			return nil
		}
		info, err := root.Stat(name)
		if err != nil {
			fmt.Fprintf(h, "%q broken\n", name)
			return nil
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
		fmt.Fprintf(h, "%q %d %d %o\n", name, info.Size(), info.ModTime().UnixNano(), info.Mode())
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), newest, err
}
