package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// maxInventory bounds a kept inventory, unpacked: a million packages.
const maxInventory = 512 << 20

// Inventories keeps what is inside of images as evidence, so that what was
// admitted can be matched again without a pull. It is a directory with one file
// for each digest; files are complete before they get their name, and several
// processes may use it.
type Inventories struct{ dir string }

// Kept is one inventory with when its image was admitted; zero: it was not.
type Kept struct {
	Inventory fact.Inventory `json:"inventory"`
	Admitted  time.Time      `json:"admitted,omitzero"`
}

// OpenInventories returns the store in the directory, which is made when missing.
func OpenInventories(dir string) (*Inventories, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &Inventories{dir}, nil
}

const keptSuffix = ".json.zst"

func (s *Inventories) file(d verdict.Digest) (string, error) {
	d, err := verdict.ParseDigest(string(d)) // it becomes a file's name
	if err != nil {
		return "", err
	}
	return filepath.Join(s.dir, d.Hex()+keptSuffix), nil
}

// Get returns what is kept of the digest; the error wraps [fs.ErrNotExist] when
// nothing is. A file that cannot be read is an error, never an empty inventory.
func (s *Inventories) Get(d verdict.Digest) (*Kept, error) {
	name, err := s.file(d)
	if err != nil {
		return nil, err
	}
	packed, err := bounded.ReadFile(name, maxInventory)
	if err != nil {
		return nil, err
	}
	unpack, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxInventory))
	if err != nil {
		return nil, err
	}
	defer unpack.Close()
	data, err := io.ReadAll(io.LimitReader(unpack, maxInventory+1))
	if err == nil && len(data) > maxInventory {
		err = bounded.ErrTooLarge
	}
	k := &Kept{}
	if err == nil {
		err = json.Unmarshal(data, k)
	}
	if err == nil && k.Inventory.Subject.Digest != d {
		err = fmt.Errorf("it is about %s", k.Inventory.Subject.Digest)
	}
	if err != nil {
		return nil, fmt.Errorf("kept inventory %s: %w", name, err)
	}
	return k, nil
}

// Put keeps the inventory of a digest, durably. What is there is replaced.
func (s *Inventories) Put(k *Kept) error {
	name, err := s.file(k.Inventory.Subject.Digest)
	if err != nil {
		return err
	}
	data, err := json.Marshal(k)
	if err != nil {
		return err
	}
	pack, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	defer pack.Close()
	f, err := os.CreateTemp(s.dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is there once it was renamed
	_, err = f.Write(pack.EncodeAll(data, nil))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(s.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Admit notes when the digest was first admitted. It reports whether an
// inventory of it is kept.
func (s *Inventories) Admit(d verdict.Digest, now time.Time) (bool, error) {
	k, err := s.Get(d)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !k.Admitted.IsZero():
		return true, nil
	}
	k.Admitted = now
	return true, s.Put(k)
}

// Digests lists what is kept, sorted.
func (s *Inventories) Digests() ([]verdict.Digest, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var out []verdict.Digest
	for _, e := range entries {
		if hex, ok := strings.CutSuffix(e.Name(), keptSuffix); ok {
			if d, err := verdict.ParseDigest("sha256:" + hex); err == nil {
				out = append(out, d)
			}
		}
	}
	return out, nil
}
