package capture

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/apexlogic/apex/internal/seal"
)

// Entry is a capture that is kept, as far as it can be seen without a key. Nothing
// of it is verified.
type Entry struct {
	ID      string    `json:"id"`
	Route   string    `json:"route"`
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires"`
	Bytes   int64     `json:"bytes"`
	// Keys that open it, by their ids.
	Keys []string `json:"keys"`

	path string
}

// List returns what is in the folder of a [Store], in the order of routes and of
// time. What is deleted meanwhile may be missing.
func List(dir string) ([]Entry, error) {
	var all []Entry
	err := walk(dir, func(route, name string) {
		id, ours := strings.CutSuffix(name, suffix)
		u, err := uuid.Parse(id)
		if !ours || err != nil {
			return
		}
		e := Entry{ID: id, Route: route, path: filepath.Join(dir, route, name)}
		h, size, err := header(e.path)
		if err != nil {
			return // it was deleted, or will be by the next sweep
		}
		if u.Version() == 7 {
			seconds, nanoseconds := u.Time().UnixTime()
			e.At = time.Unix(seconds, nanoseconds).UTC().Truncate(time.Millisecond)
		}
		e.Bytes, e.Expires, e.Keys = size, h.Expires, h.Recipients
		all = append(all, e)
	})
	if err != nil {
		return nil, fmt.Errorf("list captures: %w", err)
	}
	return all, nil
}

// Open opens a capture, and returns the digest of its envelope with it, which the
// ledger has where the gateway wrote it.
func (e *Entry) Open(key *seal.PrivateKey, now time.Time) (*Capture, string, error) {
	f, err := os.Open(e.path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	hash := sha256.New()
	r, _, err := seal.Open(io.TeeReader(f, hash), key, seal.Expected{Context: Schema, AAD: aad(e.Route, e.ID), Now: now})
	if err != nil {
		return nil, "", fmt.Errorf("open the capture %s: %w", e.ID, err)
	}
	c, err := read(r)
	if err != nil {
		return nil, "", fmt.Errorf("read the capture %s: %w", e.ID, err)
	}
	if c.ID != e.ID || c.Route != e.Route {
		return nil, "", fmt.Errorf("read the capture %s: it is that of another request", e.ID)
	}
	return c, "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}

// Remove deletes a capture. One that is gone is no error.
func (e *Entry) Remove() error {
	if err := os.Remove(e.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete the capture %s: %w", e.ID, err)
	}
	return nil
}
