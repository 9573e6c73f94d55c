// Package bounded reads foreign bytes with a limit that fails instead of
// truncating.
//
// Use [ReadAll] for whole documents, [ReadFile] for files and [JSON] to parse a
// document of foreign JSON strictly enough to trust it. [CheckJSON] is the same
// without the parsing; [Rules] are for documents that need other limits, or
// that hold free maps. All of them are safe for concurrent use.
//
// Sources: RFC 8259 for the grammar of JSON, and encoding/json for which keys
// mean the same field.
package bounded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// ErrTooLarge is wrapped by every error about a limit on bytes.
var ErrTooLarge = errors.New("larger than the limit")

// ReadAll reads r to its end. If r holds more than limit bytes the error wraps
// ErrTooLarge and no more than limit+1 bytes were read.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w of %d bytes", ErrTooLarge, limit)
	}
	return data, nil
}

// ReadFile reads a regular file of at most limit bytes. Pipes, devices and
// directories are refused.
func ReadFile(path string, limit int64) ([]byte, error) {
	// Opening a pipe that nobody writes to would wait for somebody who does.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: not a regular file", path)
	}
	data, err := ReadAll(f, limit)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}
