package bounded

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
)

func TestReadAllReadsUpToTheLimit(t *testing.T) {
	for _, tc := range []struct {
		name  string
		have  int
		limit int64
		ok    bool
	}{
		{"nothing", 0, 10, true},
		{"less than the limit", 9, 10, true},
		{"as much as the limit", 10, 10, true},
		{"a byte more", 11, 10, false},
		{"far more", 1 << 20, 10, false},
		{"nothing where nothing is allowed", 0, 0, true},
		{"a byte where nothing is allowed", 1, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			all := bytes.Repeat([]byte("x"), tc.have)
			r := bytes.NewReader(all)
			data, err := ReadAll(iotest.OneByteReader(r), tc.limit)
			if tc.ok && (err != nil || !bytes.Equal(data, all)) {
				t.Errorf("%d bytes, %v", len(data), err)
			}
			if !tc.ok && (!errors.Is(err, ErrTooLarge) || data != nil) {
				t.Errorf("%d bytes, %v; want %v", len(data), err, ErrTooLarge)
			}
			if read := int64(tc.have) - int64(r.Len()); read > tc.limit+1 {
				t.Errorf("%d bytes were read", read)
			}
		})
	}
}

func TestReadAllPassesErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	r := io.MultiReader(bytes.NewReader([]byte("abc")), iotest.ErrReader(broken))
	if data, err := ReadAll(r, 10); !errors.Is(err, broken) || data != nil {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestReadFileReadsRegularFilesOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, link} {
		if data, err := ReadFile(p, 10); err != nil || string(data) != "0123456789" {
			t.Errorf("%s: %q, %v", filepath.Base(p), data, err)
		}
	}
	if _, err := ReadFile(path, 9); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a file that is too large: %v", err)
	}
	if _, err := ReadFile(filepath.Join(dir, "none"), 10); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that does not exist: %v", err)
	}
	for _, p := range []string{dir, os.DevNull} {
		if _, err := ReadFile(p, 10); err == nil {
			t.Errorf("%s is no regular file and was read", p)
		}
	}
}
