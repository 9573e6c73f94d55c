package gitops

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/apexlogic/apex/verdict"
)

// What one set may hold. A cluster of 10,000 managed objects fits ten times; the
// bytes are those of a rendered revision, which is text.
const (
	MaxObjects     = 100_000
	MaxSetBytes    = 256 << 20
	MaxObjectBytes = 1 << 20 // an API server's own limit is 1.5 MiB
)

// Set is what one revision renders to. It does not change.
type Set struct {
	objects []Object
	data    []byte
	digest  verdict.Digest
}

type line struct {
	Where  verdict.Origin  `json:"where"`
	Object json.RawMessage `json:"object"`
}

// NewSet orders the objects by their IDs and names them together. Two objects
// with one ID, an object without a kind or a name, and one that is too large
// are errors.
func NewSet(objects []Object) (*Set, error) {
	if len(objects) > MaxObjects {
		return nil, fmt.Errorf("%d objects: a revision may hold %d", len(objects), MaxObjects)
	}
	s := &Set{objects: slices.Clone(objects)}
	slices.SortFunc(s.objects, func(a, b Object) int { return compare(a.ID, b.ID) })
	var out, body bytes.Buffer
	for i := range s.objects {
		o := &s.objects[i]
		if o.Kind == "" || o.Name == "" || o.Version == "" {
			return nil, fmt.Errorf("%s: an object needs apiVersion, kind and metadata.name", o.Where)
		}
		if i > 0 && s.objects[i-1].ID == o.ID {
			return nil, fmt.Errorf("%s is defined twice: %s and %s", o.ID, s.objects[i-1].Where, o.Where)
		}
		body.Reset()
		if err := encode(&body, o.Body); err != nil {
			return nil, fmt.Errorf("%s: %w", o.ID, err)
		}
		if n := body.Len() - 1; n > MaxObjectBytes {
			return nil, fmt.Errorf("%s has %d bytes: an object may have %d", o.ID, n, MaxObjectBytes)
		}
		if err := encode(&out, line{o.Where, body.Bytes()}); err != nil {
			return nil, fmt.Errorf("%s: %w", o.ID, err)
		}
		if out.Len() > MaxSetBytes {
			return nil, fmt.Errorf("a revision may render to %d bytes", MaxSetBytes)
		}
	}
	s.data = bytes.Clone(out.Bytes()) // without the room for more
	sum := sha256.Sum256(s.data)
	s.digest = verdict.Digest("sha256:" + hex.EncodeToString(sum[:]))
	return s, nil
}

// ReadSet reads what [Set.Bytes] returned. Bytes that are not exactly what the
// objects in them encode to are an error.
func ReadSet(data []byte) (*Set, error) {
	if len(data) > MaxSetBytes {
		return nil, fmt.Errorf("a rendered set may have %d bytes", MaxSetBytes)
	}
	var objects []Object
	for text := range bytes.Lines(data) {
		if len(objects) == MaxObjects {
			return nil, fmt.Errorf("a rendered set may hold %d objects", MaxObjects)
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("object %d of the rendered set: %w", len(objects)+1, err)
		}
		var body map[string]any
		if err := utiljson.Unmarshal(l.Object, &body); err != nil {
			return nil, fmt.Errorf("object %d of the rendered set: %w", len(objects)+1, err)
		}
		o, err := NewObject(body, l.Where)
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	s, err := NewSet(objects)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(s.data, data) {
		return nil, fmt.Errorf("the rendered set is not in its canonical form")
	}
	return s, nil
}

// NewObject takes an object's ID and version from its body, which it keeps.
func NewObject(body map[string]any, where verdict.Origin) (Object, error) {
	text := func(m map[string]any, key string) string { s, _ := m[key].(string); return s }
	meta, _ := body["metadata"].(map[string]any)
	o := Object{Body: body, Where: where}
	o.Kind, o.Name, o.Namespace = text(body, "kind"), text(meta, "name"), text(meta, "namespace")
	o.Group, o.Version = "", text(body, "apiVersion")
	if group, version, ok := strings.Cut(o.Version, "/"); ok {
		o.Group, o.Version = group, version
	}
	if o.Kind == "" || o.Name == "" || o.Version == "" {
		return Object{}, fmt.Errorf("%s: an object needs apiVersion, kind and metadata.name", where)
	}
	return o, nil
}

// Objects returns the objects, ordered by ID. The slice is shared.
func (s *Set) Objects() []Object { return s.objects }

// Bytes returns what is gated, stored and applied: a line per object, JSON with
// sorted keys. The slice is shared.
func (s *Set) Bytes() []byte { return s.data }

// Digest names the bytes.
func (s *Set) Digest() verdict.Digest { return s.digest }

// encode writes JSON and a line's end, with sorted keys, numbers as they are, and
// no HTML escapes.
func encode(to *bytes.Buffer, v any) error {
	e := json.NewEncoder(to)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func compare(a, b ID) int {
	return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
