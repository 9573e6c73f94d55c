package repo

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// packEntry is the header, with its base, and the content of an entry.
func packEntry(kind plumbing.ObjectType, size int, base, content []byte) []byte {
	first := byte(kind)<<4 | byte(size&15)
	var out []byte
	for size >>= 4; size > 0; size >>= 7 {
		out = append(out, first|0x80)
		first = byte(size & 0x7f)
	}
	out = append(append(out, first), base...)
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write(content)
	_ = w.Close()
	return append(out, z.Bytes()...)
}

// writePack writes a pack and an index that lists the entries under the hashes.
func writePack(t testing.TB, r *Repo, hashes []plumbing.Hash, entries [][]byte) {
	t.Helper()
	pack := []byte("PACK\x00\x00\x00\x02")
	pack = binary.BigEndian.AppendUint32(pack, uint32(len(entries)))
	offsets := map[plumbing.Hash]uint32{}
	for i, e := range entries {
		offsets[hashes[i]] = uint32(len(pack))
		pack = append(pack, e...)
	}
	sum := sha1.Sum(pack)
	pack = append(pack, sum[:]...)

	hashes = slices.Clone(hashes)
	slices.SortFunc(hashes, func(a, b plumbing.Hash) int { return bytes.Compare(a[:], b[:]) })
	idx := []byte("\xfftOc\x00\x00\x00\x02")
	for i := range 256 {
		n := 0
		for _, h := range hashes {
			if int(h[0]) <= i {
				n++
			}
		}
		idx = binary.BigEndian.AppendUint32(idx, uint32(n))
	}
	for _, h := range hashes {
		idx = append(idx, h[:]...)
	}
	idx = append(idx, make([]byte, 4*len(hashes))...) // checksums, which only git reads
	for _, h := range hashes {
		idx = binary.BigEndian.AppendUint32(idx, offsets[h])
	}
	idx = append(idx, sum[:]...)
	idxSum := sha1.Sum(idx)
	idx = append(idx, idxSum[:]...)

	base := filepath.Join(r.Dir(), ".git/objects/pack/pack-"+plumbing.Hash(sum).String())
	writeFile(t, "/", base+".pack", string(pack))
	writeFile(t, "/", base+".idx", string(idx))
}

func TestPacksThatGitDidNotWrite(t *testing.T) {
	content := []byte("the content of the object")
	a := plumbing.ComputeHash(plumbing.BlobObject, content)
	b := plumbing.NewHash(strings.Repeat("1", 40))
	n := byte(len(content))
	ref := func(h plumbing.Hash, delta ...byte) []byte {
		return packEntry(plumbing.REFDeltaObject, len(delta), h[:], delta)
	}
	base := packEntry(plumbing.BlobObject, 4, nil, []byte("base"))
	insert := append([]byte{4, n, n}, content...) // from 4 bytes, to n: insert n
	tests := []struct {
		name    string
		entries [][]byte // of a and b
		is      error
	}{
		{"an object that is its own base", [][]byte{ref(a, 1, 1, 0x90, 1)}, ErrTooLarge},
		{"two objects that are each other's base", [][]byte{ref(b, 1, 1, 0x90, 1), ref(a, 1, 1, 0x90, 1)}, ErrTooLarge},
		{"a base that is elsewhere", [][]byte{ref(b, insert...)}, ErrCorrupt},
		{"a base before the pack", [][]byte{packEntry(plumbing.OFSDeltaObject, len(insert), []byte{100}, insert)}, ErrCorrupt},
		{"a base that is itself", [][]byte{packEntry(plumbing.OFSDeltaObject, len(insert), []byte{0}, insert)}, ErrCorrupt},
		{"an offset without an end", [][]byte{packEntry(plumbing.OFSDeltaObject, len(insert), bytes.Repeat([]byte{0xff}, 19), insert)}, ErrCorrupt},
		{"more bytes than stated", [][]byte{packEntry(plumbing.BlobObject, 3, nil, content)}, ErrCorrupt},
		{"fewer bytes than stated", [][]byte{packEntry(plumbing.BlobObject, 100, nil, content)}, ErrCorrupt},
		{"more bytes than a file may have", [][]byte{packEntry(plumbing.BlobObject, MaxFile+1, nil, content)}, ErrTooLarge},
		{"a base larger than any", [][]byte{ref(b, insert...), packEntry(plumbing.BlobObject, maxBase+1, nil, content)}, ErrTooLarge},
		{"a difference that makes more than a file may have", [][]byte{ref(b, 4, 0xff, 0xff, 0xff, 0xff, 0x0f), base}, ErrTooLarge},
		{"a difference to another base", [][]byte{ref(b, append([]byte{5}, insert[1:]...)...), base}, ErrCorrupt},
		{"a difference that copies past the base", [][]byte{ref(b, 4, n, 0x90, 5), base}, ErrCorrupt},
		{"a difference that inserts past its end", [][]byte{ref(b, 4, n, n, 'x'), base}, ErrCorrupt},
		{"a difference that makes more than it states", [][]byte{ref(b, 4, 2, 0x90, 4), base}, ErrCorrupt},
		{"a difference that makes less than it states", [][]byte{ref(b, 4, 9, 0x90, 4), base}, ErrCorrupt},
		{"a difference with an unknown step", [][]byte{ref(b, 4, n, 0), base}, ErrCorrupt},
		{"a difference without sizes", [][]byte{ref(b, 0xff), base}, ErrCorrupt},
		{"a difference that makes something else", [][]byte{ref(b, 4, 4, 0x90, 4), base}, ErrCorrupt},
		{"an unknown type", [][]byte{packEntry(5, len(content), nil, content)}, ErrCorrupt},
		{"another type", [][]byte{packEntry(plumbing.TreeObject, len(content), nil, content)}, ErrCorrupt},
		{"no compressed data", [][]byte{[]byte("\xb9\x01garbage")}, ErrCorrupt},
		{"the object itself", [][]byte{packEntry(plumbing.BlobObject, len(content), nil, content)}, nil},
		{"the object as a difference", [][]byte{ref(b, insert...), base}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRepo(t)
			writePack(t, r, []plumbing.Hash{a, b}[:len(tt.entries)], tt.entries)
			data, err := r.object(plumbing.BlobObject, a, MaxFile)
			if !errors.Is(err, tt.is) {
				t.Errorf("got %q, %v; want %v", data, err, tt.is)
			}
			if tt.is == nil && !bytes.Equal(data, content) {
				t.Errorf("got %q", data)
			}
		})
	}
}

func TestIndexesThatGitDidNotWrite(t *testing.T) {
	content := []byte("the content of the object")
	h := plumbing.ComputeHash(plumbing.BlobObject, content)
	const names = idxHeader + fanoutSize
	tests := []struct {
		name  string
		spoil func(idx []byte) []byte
		is    error
	}{
		{"an old version", func(idx []byte) []byte { return idx[8:] }, ErrCorrupt},
		{"an end in the middle", func(idx []byte) []byte { return idx[:names+10] }, ErrCorrupt},
		{"a count that is not there", func(idx []byte) []byte {
			binary.BigEndian.PutUint32(idx[names-4:], 1<<31)
			return idx
		}, ErrCorrupt},
		{"counts that fall", func(idx []byte) []byte {
			binary.BigEndian.PutUint32(idx[idxHeader:], 9)
			return idx
		}, ErrCorrupt},
		{"a place outside of the pack", func(idx []byte) []byte {
			binary.BigEndian.PutUint32(idx[names+24:], 1<<30)
			return idx
		}, ErrCorrupt},
		{"a place in the pack's header", func(idx []byte) []byte {
			binary.BigEndian.PutUint32(idx[names+24:], 1)
			return idx
		}, ErrCorrupt},
		{"a place in a table that is not there", func(idx []byte) []byte {
			binary.BigEndian.PutUint32(idx[names+24:], 1<<31|1<<20)
			return idx
		}, ErrCorrupt},
		{"nothing wrong", func(idx []byte) []byte { return idx }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRepo(t)
			writePack(t, r, []plumbing.Hash{h}, [][]byte{packEntry(plumbing.BlobObject, len(content), nil, content)})
			found, err := filepath.Glob(filepath.Join(r.Dir(), ".git/objects/pack/*.idx"))
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			idx, err := os.ReadFile(found[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(found[0], tt.spoil(idx), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := r.object(plumbing.BlobObject, h, MaxFile); !errors.Is(err, tt.is) {
				t.Errorf("got %v, want %v", err, tt.is)
			}
			if _, _, err := r.Clean(t.Context()); tt.is != nil && strings.Contains(tt.name, "count") && !errors.Is(err, tt.is) {
				t.Errorf("Clean: %v, want %v", err, tt.is)
			}
		})
	}
}

// Whatever a pack holds, reading it ends within its bounds.
func FuzzPack(f *testing.F) {
	head := "PACK\x00\x00\x00\x02\x00\x00\x00\x02"
	whole := packEntry(plumbing.BlobObject, 4, nil, []byte("base"))
	f.Add([]byte(head+string(whole)), uint16(packHeader))
	delta := packEntry(plumbing.OFSDeltaObject, 4, []byte{byte(len(whole))}, []byte{4, 4, 0x90, 4})
	f.Add([]byte(head+string(whole)+string(delta)), uint16(packHeader+len(whole)))
	f.Add([]byte(head+string(packEntry(plumbing.REFDeltaObject, 1, make([]byte, 20), []byte{4}))), uint16(packHeader))
	f.Fuzz(func(t *testing.T, data []byte, at uint16) {
		p := &pack{data: bytes.NewReader(data), idx: bytes.NewReader(nil), size: int64(len(data))}
		const limit = 1 << 16
		if kind, out, err := p.read(int64(at), limit); err == nil && (len(out) > limit || kind.IsDelta()) {
			t.Errorf("a %s of %d bytes", kind, len(out))
		}
	})
}

func FuzzApplyDelta(f *testing.F) {
	f.Add([]byte("base"), []byte{4, 6, 2, 'a', 'b', 0x90, 4})
	f.Add([]byte("base"), []byte{4, 2, 0x91, 1, 2})
	f.Add([]byte("base"), []byte{4, 0xff, 0xff, 3, 0x80})
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		out, err := applyDelta(base, delta, 1<<12)
		if err == nil && len(out) > 1<<12 {
			t.Errorf("made %d bytes", len(out))
		}
	})
}
