package message

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

// Journal is a [Memory] whose processed messages survive the death of the process
// and of the machine: a message is in the file before it is acknowledged. One that
// was passed on when the process died, and not yet acknowledged, is passed on once
// more; its receiver knows it by source and id.
//
// The file has a JSON object a line. A last line that is not whole is what a death
// left behind; it is taken off. One process has it open.
type Journal struct {
	memory *Memory
	clock  clock.Clock
	path   string
	most   int

	mu    sync.Mutex
	file  *os.File
	lines int
	torn  bool // a line may be there in part, or not on the disk: the file is made anew before it is added to
}

// line is one processed message.
type line struct {
	Key
	Digest []byte    `json:"digest"`
	Until  time.Time `json:"until"`
}

// maxLine bounds a line: an identity has up to 2,048 bytes, a source and an id
// 12,288 each, and JSON may write a byte as six.
const maxLine = 6 * (2048 + 2*maxValue + 256)

// OpenJournal opens the file, or makes it, for up to so many messages.
func OpenJournal(path string, c clock.Clock, most int) (*Journal, error) {
	j := &Journal{memory: NewMemory(c, most), clock: c, path: path, most: most}
	old, err := os.Open(path)
	if err == nil {
		err = j.read(old)
		old.Close()
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the messages that were processed, %s: %w", path, err)
	}
	return j, j.rewrite()
}

// read remembers what has not expired.
func (j *Journal) read(f *os.File) error {
	s := bufio.NewScanner(f)
	s.Buffer(nil, maxLine)
	now := j.clock.Now()
	for n := 1; s.Scan(); n++ {
		var l line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil || len(l.Digest) != sha256.Size {
			if s.Scan() { // only the last line may be torn
				return fmt.Errorf("line %d cannot be read: move the file away, and messages within the window may be processed again", n)
			}
			break
		}
		if l.Until.After(now) {
			j.memory.known[l.Key] = &entry{[sha256.Size]byte(l.Digest), l.Until, true}
		}
	}
	return s.Err()
}

// rewrite makes the file anew, of what has not expired.
func (j *Journal) rewrite() error {
	next, err := os.CreateTemp(filepath.Dir(j.path), filepath.Base(j.path)+".*")
	if err != nil {
		return err
	}
	w := bufio.NewWriter(next)
	now, lines := j.clock.Now(), 0
	j.memory.mu.Lock()
	for k, e := range j.memory.known {
		if e.done && e.until.After(now) {
			w.Write(encode(k, e))
			lines++
		}
	}
	j.memory.mu.Unlock()
	if err := errors.Join(w.Flush(), next.Sync()); err != nil {
		next.Close()
		os.Remove(next.Name())
		return err
	}
	if err := os.Rename(next.Name(), j.path); err != nil {
		next.Close()
		os.Remove(next.Name())
		return err
	}
	if j.file != nil {
		j.file.Close()
	}
	j.file, j.lines = next, lines
	dir, err := os.Open(filepath.Dir(j.path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func encode(k Key, e *entry) []byte {
	data, err := json.Marshal(line{k, e.digest[:], e.until})
	if err != nil {
		panic("message: strings and times are always JSON: " + err.Error())
	}
	return append(data, '\n')
}

// Begin implements [Seen].
func (j *Journal) Begin(ctx context.Context, k Key, digest [sha256.Size]byte, until time.Time) (State, error) {
	return j.memory.Begin(ctx, k, digest, until)
}

// End implements [Seen]. What is done is in the file when it returns without an
// error; with one it counts as done in this process only.
func (j *Journal) End(ctx context.Context, k Key, done bool) error {
	j.memory.mu.Lock()
	e := j.memory.known[k]
	j.memory.mu.Unlock()
	if err := j.memory.End(ctx, k, done); err != nil || !done || e == nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.torn || j.lines >= 2*j.most {
		err := j.rewrite() // which has it
		j.torn = j.torn && err != nil
		return err
	}
	_, err := j.file.Write(encode(k, e))
	if err == nil {
		err = j.file.Sync()
	}
	// The next line behind the half of one would make a file that nobody reads.
	j.torn = err != nil
	j.lines++
	return err
}

// Close closes the file.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file.Close()
}

var _ Seen = (*Journal)(nil)
