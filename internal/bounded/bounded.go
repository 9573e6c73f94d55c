// Package bounded reads foreign bytes with a limit that fails instead of
// truncating. Use [ReadAll] for whole documents, [ReadFile] for files and
// [JSON] to parse a document of foreign JSON strictly enough to trust it.
package bounded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// ErrTooLarge is wrapped by every error about a limit on bytes.
var ErrTooLarge = errors.New("larger than the limit")

// ErrTooDeep is wrapped by every error about a limit on nesting.
var ErrTooDeep = errors.New("nested deeper than the limit")

// ErrDuplicateKey is wrapped by errors about a JSON object that has a key twice.
var ErrDuplicateKey = errors.New("duplicate key")

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
	f, err := os.Open(path)
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

// CheckJSON reports an error when data is not one JSON value, is nested deeper
// than depth, or has an object with the same key twice. Parsers disagree on
// which of two equal keys counts, so a document with both says two things.
func CheckJSON(data []byte, depth int) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := checkValue(dec, depth); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

func checkValue(dec *json.Decoder, depth int) error {
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return nil
	}
	if depth <= 0 {
		return ErrTooDeep
	}
	if delim == '[' {
		for dec.More() {
			if err := checkValue(dec, depth-1); err != nil {
				return err
			}
		}
		_, err = dec.Token()
		return err
	}
	// Keys are compared without case, as encoding/json matches them to fields.
	seen := map[string]struct{}{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return err
		}
		key, ok := tok.(string)
		if !ok {
			return errors.New("object key is not a string")
		}
		fold := strings.ToLower(key)
		if _, dup := seen[fold]; dup {
			return fmt.Errorf("%w %q", ErrDuplicateKey, key)
		}
		seen[fold] = struct{}{}
		if err := checkValue(dec, depth-1); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// JSON checks data with [CheckJSON] and unmarshals it into v. Unknown fields
// are ignored: foreign documents grow fields.
func JSON(data []byte, depth int, v any) error {
	if err := CheckJSON(data, depth); err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}
