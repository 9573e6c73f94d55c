package embedded

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"reflect"
)

// encodeRecord writes a row: the revision, six texts, each after its length, and
// the body. A row without a body says that the object is gone; one without a
// name says nothing but the revision.
func encodeRecord(r *row) []byte {
	out := make([]byte, 0, r.size()+64)
	out = binary.AppendUvarint(out, r.revision)
	for _, s := range [...]string{r.id.Group, r.id.Kind, r.id.Namespace, r.id.Name, r.version, r.uid, r.source} {
		out = binary.AppendUvarint(out, uint64(len(s)))
		out = append(out, s...)
	}
	return append(out, r.body...)
}

func decodeRecord(data []byte) (*row, error) {
	broken := fmt.Errorf("a record is cut short: %w", ErrCorrupt)
	r := &row{}
	var n int
	if r.revision, n = binary.Uvarint(data); n <= 0 {
		return nil, broken
	}
	data = data[n:]
	for _, s := range [...]*string{&r.id.Group, &r.id.Kind, &r.id.Namespace, &r.id.Name, &r.version, &r.uid, &r.source} {
		size, n := binary.Uvarint(data)
		if n <= 0 || size > uint64(len(data)-n) {
			return nil, broken
		}
		*s = string(data[n : n+int(size)])
		data = data[n+int(size):]
	}
	if len(data) > 0 {
		// A copy: the frame's memory is not kept for one object's sake.
		r.body = bytes.Clone(data)
	}
	return r, nil
}

// newUID returns a random UUID (RFC 9562, version 4).
func newUID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// same compares two objects with everything in them but the times of managed fields.
func same(a, b map[string]any) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		w, ok := b[k]
		if !ok {
			return false
		}
		if k != "metadata" && !reflect.DeepEqual(v, w) {
			return false
		}
	}
	m, _ := a["metadata"].(map[string]any)
	n, _ := b["metadata"].(map[string]any)
	return reflect.DeepEqual(m, n)
}

// sameSpec says whether what somebody wants of the object is the same: all but
// its metadata and its status.
func sameSpec(a, b map[string]any) bool {
	for _, pair := range [2][2]map[string]any{{a, b}, {b, a}} {
		for k, v := range pair[0] {
			if k != "metadata" && k != "status" && !reflect.DeepEqual(v, pair[1][k]) {
				return false
			}
		}
	}
	return true
}
