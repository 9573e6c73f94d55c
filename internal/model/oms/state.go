package oms

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/apexlogic/apex/internal/bounded"
)

const (
	// resumeFrom is the size from which files are remembered. Reading so many
	// bytes takes longer than a file system's clock stands still, so that a
	// write after the digest was taken changes the file's change time. Smaller
	// files are hashed again, which costs next to nothing.
	resumeFrom = 64 << 20
	// saveEvery is how many bytes may have to be hashed again after a crash.
	saveEvery = 4 << 30
	// maxState holds the digests of maxFiles shards.
	maxState = 256 << 20
)

// isEOF says whether err is the end of a file.
func isEOF(err error) bool { return errors.Is(err, io.EOF) }

// state is what a state file remembers. Its methods are safe for concurrent use.
type state struct {
	path string

	mu      sync.Mutex
	doc     stateDoc
	unsaved int64 // bytes hashed since the file was written
	dirty   bool
}

type stateDoc struct {
	Version   int                  `json:"version"`
	Algorithm Algorithm            `json:"algorithm"`
	Method    Method               `json:"method"`
	ShardSize int64                `json:"shardSize,omitempty"`
	Files     map[string]stateFile `json:"files"`
}

type stateFile struct {
	stamp
	Digests []string `json:"digests"`
}

// openState reads the state file at path; one that is not there yet, or is
// about another way of hashing, is empty.
func openState(path string, t *tree, s Serialization) (*state, error) {
	if rel, err := t.relative(path); err != nil || rel != "" {
		return nil, errors.Join(err, fmt.Errorf("state file %s: keep it outside of the model", path))
	}
	fresh := stateDoc{Version: 1, Algorithm: s.Algorithm, Method: s.Method, ShardSize: s.ShardSize, Files: map[string]stateFile{}}
	st := &state{path: path, doc: fresh}
	raw, err := bounded.ReadFile(path, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err != nil {
		return nil, fmt.Errorf("state file: %w", err)
	}
	var doc stateDoc
	rules := bounded.Rules{Depth: 4, Keys: maxFiles, FreeMaps: []string{"files"}}
	if err := rules.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("state file %s: %w; delete it to begin anew", path, err)
	}
	if doc.Version == fresh.Version && doc.Algorithm == s.Algorithm && doc.Method == s.Method && doc.ShardSize == s.ShardSize && doc.Files != nil {
		st.doc = doc
	}
	return st, nil
}

// known fills in the digests of a file that is as it was when they were taken.
func (s *state) known(f *file, sums [][]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	had, ok := s.doc.Files[f.name]
	if !ok || had.stamp != f.stamp || len(had.Digests) != len(sums) || !memorable(f) {
		return false
	}
	for i, text := range had.Digests {
		sum, err := hex.DecodeString(text)
		if err != nil || len(sum) != s.doc.Algorithm.size() {
			return false
		}
		sums[i] = sum
	}
	return true
}

// memorable says whether a file's stamp proves that it is the same.
func memorable(f *file) bool {
	return f.stamp.Size >= resumeFrom && f.stamp.Inode != 0 && f.stamp.Ctime != 0
}

// add remembers a file that was hashed and did not change meanwhile.
func (s *state) add(f *file, sums [][]byte) error {
	if !memorable(f) {
		return nil
	}
	entry := stateFile{stamp: f.stamp}
	for _, sum := range sums {
		entry.Digests = append(entry.Digests, hex.EncodeToString(sum))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doc.Files[f.name] = entry
	s.dirty = true
	if s.unsaved += f.stamp.Size; s.unsaved < saveEvery {
		return nil
	}
	return s.write()
}

// save writes what was not written yet.
func (s *state) save() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dirty {
		return nil
	}
	return s.write()
}

// write replaces the file as a whole, so that a crash leaves the old one.
func (s *state) write() (err error) {
	raw, err := json.Marshal(s.doc)
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	_, err = tmp.Write(raw)
	if err == nil {
		err = tmp.Sync()
	}
	if closed := tmp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(tmp.Name(), s.path)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return fmt.Errorf("state file: %w", err)
	}
	s.unsaved, s.dirty = 0, false
	return nil
}
