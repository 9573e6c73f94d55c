package heal

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"sync"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/apexlogic/apex/internal/gitops"
)

// shelf keeps the desired bodies of one kind, each deflated against the first
// that came: objects of a kind in one source differ in little. It does not change
// after it was made.
type shelf struct {
	dictionary []byte
	writers    sync.Pool
	readers    sync.Pool
}

// window is how far deflate looks back (RFC 1951 §2).
const window = 32 << 10

func newShelf(first []byte) *shelf {
	return &shelf{dictionary: bytes.Clone(first[:min(len(first), window)])}
}

func (s *shelf) put(body []byte) ([]byte, error) {
	var out bytes.Buffer
	w, _ := s.writers.Get().(*flate.Writer)
	if w == nil {
		var err error
		if w, err = flate.NewWriterDict(&out, flate.BestSpeed+2, s.dictionary); err != nil {
			return nil, err
		}
	} else {
		w.Reset(&out) // keeps the dictionary
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	s.writers.Put(w)
	return bytes.Clone(out.Bytes()), nil
}

func (s *shelf) get(kept []byte) (map[string]any, error) {
	r, _ := s.readers.Get().(io.ReadCloser)
	if r == nil {
		r = flate.NewReaderDict(bytes.NewReader(kept), s.dictionary)
	} else if err := r.(flate.Resetter).Reset(bytes.NewReader(kept), s.dictionary); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, gitops.MaxObjectBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the desired body: %w", err)
	}
	s.readers.Put(r)
	var body map[string]any
	if err := utiljson.Unmarshal(data, &body); err != nil {
		return nil, fmt.Errorf("read the desired body: %w", err)
	}
	return body, nil
}
