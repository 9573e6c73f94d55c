package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/verdict"
)

// ErrNone is returned when a directory has no current snapshot yet.
var ErrNone = errors.New("there is no advisory snapshot yet")

// ErrOlder is wrapped by errors about a snapshot that knows less than the
// current one.
var ErrOlder = errors.New("it would go back")

// The limits of a directory.
const (
	// maxHistory is how many bytes of history are read: a line has some 200, so
	// this is a sync every ten minutes for two years.
	maxHistory = 32 << 20
	// mostVanished is the share of a feed's records, in percent, that may vanish
	// from one snapshot to the next. Real feeds withdraw records and hardly ever
	// drop them; a feed that was cut short drops many. Up to fewVanished are
	// not counted, for small feeds.
	mostVanished = 10
	fewVanished  = 20
)

// Dir is a directory of snapshots: one file each, called by its digest, the
// name of the current one in "current", and one line for each change of it in
// "history". Several processes may use one directory; files are complete
// before they get their name.
type Dir struct {
	path  string
	clock clock.Clock
}

// OpenDir returns the directory. One that is not there has no snapshot; the
// first one that is put makes it.
func OpenDir(path string, c clock.Clock) (*Dir, error) {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("open the directory of advisories: %s is a file", path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open the directory of advisories: %w", err)
	}
	return &Dir{path: path, clock: c}, nil
}

// Change is one change of the current snapshot.
type Change struct {
	At     time.Time      `json:"at"`
	Digest verdict.Digest `json:"digest"`
	Taken  time.Time      `json:"taken"`
	// Back says that somebody asked for a snapshot that knows less, and Why how.
	Back bool   `json:"back,omitempty"`
	Why  string `json:"why,omitempty"`
}

// Current loads the current snapshot; ErrNone when there is none.
func (d *Dir) Current() (*Snapshot, error) {
	digest, err := d.CurrentDigest()
	if err != nil {
		return nil, err
	}
	return d.Load(digest)
}

// CurrentDigest names the current snapshot; ErrNone when there is none. It is
// cheap enough to ask before every decision.
func (d *Dir) CurrentDigest() (verdict.Digest, error) {
	text, err := bounded.ReadFile(filepath.Join(d.path, "current"), 256)
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrNone
	}
	if err != nil {
		return "", fmt.Errorf("read the current snapshot's name: %w", err)
	}
	digest, err := verdict.ParseDigest(strings.TrimSpace(string(text)))
	if err != nil {
		return "", fmt.Errorf("read the current snapshot's name: %w", err)
	}
	return digest, nil
}

// Load loads a snapshot by its digest, and verifies that it has it.
func (d *Dir) Load(digest verdict.Digest) (*Snapshot, error) {
	digest, err := verdict.ParseDigest(string(digest)) // it becomes a file's name
	if err != nil {
		return nil, fmt.Errorf("load a snapshot: %w", err)
	}
	data, err := bounded.ReadFile(d.file(digest), MaxSize)
	if err != nil {
		return nil, fmt.Errorf("load snapshot %s: %w", digest.Short(), err)
	}
	s, err := Load(data)
	if err != nil {
		return nil, fmt.Errorf("load snapshot %s: %w", digest.Short(), err)
	}
	if s.digest != digest {
		return nil, fmt.Errorf("load snapshot %s: %w: its bytes have the digest %s; sync anew", digest.Short(), ErrInvalid, s.digest.Short())
	}
	return s, nil
}

// Put stores the snapshot and makes it the current one. It refuses, with an
// error that wraps ErrOlder, one that knows less than the current one: that was
// taken earlier, lacks a feed, has a feed that ends earlier or of which much has
// vanished. back allows that, and is written to the history.
func (d *Dir) Put(s *Snapshot, back bool) error {
	unlock, err := d.lock()
	if err != nil {
		return err
	}
	defer unlock()
	why := ""
	switch current, err := d.Current(); {
	case errors.Is(err, ErrNone):
	case err != nil && !back:
		return fmt.Errorf("compare with the current snapshot: %w; to replace it all the same, allow to go back", err)
	case err != nil:
		why = "the current snapshot could not be read"
	case current.digest == s.digest:
		return nil
	default:
		if why = older(current, s); why != "" && !back {
			return fmt.Errorf("keep snapshot %s: %w: %s", current.digest.Short(), ErrOlder, why)
		}
	}
	if err := d.write(filepath.Base(d.file(s.digest)), []byte(s.data)); err != nil {
		return fmt.Errorf("store snapshot %s: %w", s.digest.Short(), err)
	}
	// The history first: a change that is written and did not happen is seen by
	// comparing; one that happened and is not written is not.
	line, err := json.Marshal(Change{At: d.clock.Now().UTC(), Digest: s.digest, Taken: s.taken, Back: why != "", Why: why})
	if err != nil {
		return err
	}
	if err := d.append("history", append(line, '\n')); err != nil {
		return fmt.Errorf("write the history of snapshots: %w", err)
	}
	if err := d.write("current", []byte(string(s.digest)+"\n")); err != nil {
		return fmt.Errorf("make snapshot %s the current one: %w", s.digest.Short(), err)
	}
	return nil
}

// older says in what the next snapshot knows less; "" when in nothing.
func older(current, next *Snapshot) string {
	if next.taken.Before(current.taken) {
		return fmt.Sprintf("it was taken on %s, the current one on %s", next.taken.Format(time.RFC3339), current.taken.Format(time.RFC3339))
	}
	for _, was := range current.sources {
		i := slices.IndexFunc(next.sources, func(s Source) bool { return s.Name == was.Name })
		if i < 0 {
			return fmt.Sprintf("it has no feed %q", was.Name)
		}
		is := next.sources[i]
		if is.Newest.Before(was.Newest) {
			return fmt.Sprintf("its feed %q ends on %s, the current one's on %s", was.Name, is.Newest.Format(time.RFC3339), was.Newest.Format(time.RFC3339))
		}
	}
	for i, gone := range vanished(current, next) {
		if was := current.sources[i]; gone > fewVanished && gone*100 > was.Records*mostVanished {
			return fmt.Sprintf("%d of the %d records of its feed %q have vanished", gone, was.Records, was.Name)
		}
	}
	if len(next.kev) == 0 && len(current.kev) > 0 {
		return "it has no KEV catalogue"
	}
	return ""
}

// vanished counts, by source, the records that are gone.
func vanished(current, next *Snapshot) []int {
	out := make([]int, len(current.sources))
	merge(current.records, next.records, func(old, now *block) {
		if now == nil {
			_, source, err := decodeRecord(&reader{s: current.block(*old)})
			if err != nil {
				panic(err) // Load has decoded it already
			}
			out[source]++
		}
	})
	return out
}

// History returns the changes, oldest first.
func (d *Dir) History() ([]Change, error) {
	data, err := bounded.ReadFile(filepath.Join(d.path, "history"), maxHistory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the history of snapshots: %w", err)
	}
	var out []Change
	for n, line := range bytes.Split(data, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var c Change
		if err := bounded.JSON(line, 2, &c); err != nil {
			return nil, fmt.Errorf("read the history of snapshots: line %d: %w", n+1, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// Prune removes snapshots so that at most keep are left, oldest changes first;
// the current one always stays, and the history does too.
func (d *Dir) Prune(keep int) error {
	unlock, err := d.lock()
	if err != nil {
		return err
	}
	defer unlock()
	current, err := d.CurrentDigest()
	if err != nil {
		return err
	}
	history, err := d.History()
	if err != nil {
		return err
	}
	stay := map[string]bool{filepath.Base(d.file(current)): true}
	for i := len(history) - 1; i >= 0 && len(stay) < keep; i-- {
		stay[filepath.Base(d.file(history[i].Digest))] = true
	}
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) && !stay[e.Name()] {
			if err := os.Remove(filepath.Join(d.path, e.Name())); err != nil {
				return fmt.Errorf("remove an old snapshot: %w", err)
			}
		}
	}
	return nil
}

const suffix = ".advisories"

func (d *Dir) file(digest verdict.Digest) string {
	return filepath.Join(d.path, digest.Hex()+suffix)
}

// write puts a file in place that is complete from the moment it has its name,
// and survives the death of the machine.
func (d *Dir) write(name string, data []byte) error {
	f, err := os.CreateTemp(d.path, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(d.path, name)); err != nil {
		return err
	}
	return d.sync()
}

func (d *Dir) append(name string, data []byte) error {
	f, err := os.OpenFile(filepath.Join(d.path, name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d *Dir) sync() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// lock waits until this process may write. It guards against other processes
// and, because each call opens the file anew, other goroutines.
func (d *Dir) lock() (unlock func(), err error) {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of advisories: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(d.path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the directory of advisories: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock the directory of advisories: %w", err)
	}
	return func() { f.Close() }, nil
}
