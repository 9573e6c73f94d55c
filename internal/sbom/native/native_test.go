package native

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract/extracttest"
)

// find runs the extractors over a file system.
func find(t testing.TB, fsys fs.FS) ([]fact.Package, error) {
	t.Helper()
	return extracttest.Find(t, fsys, Extractors())
}

// say writes packages one a line.
func say(packages []fact.Package) string {
	var b strings.Builder
	for _, p := range packages {
		fmt.Fprintf(&b, "%s %s", p.PURL, p.State)
		if len(p.Attributes) > 0 {
			fmt.Fprintf(&b, " %s", strings.Join(p.Attributes, ","))
		}
		if p.Owner != "" {
			fmt.Fprintf(&b, " of %s", p.Owner)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// elf makes a small library: one loaded segment with its dynamic section and
// constant text, and a table of sections unless it is stripped.
type elf struct {
	soname   string
	needed   []string
	text     string
	stripped bool
	order    binary.ByteOrder // little endian when nil
}

func (e elf) bytes() []byte {
	var o interface {
		binary.ByteOrder
		binary.AppendByteOrder
	} = binary.LittleEndian
	mark := byte(1)
	if e.order == binary.BigEndian {
		o, mark = binary.BigEndian, 2
	}
	const base = 0x10000
	// Offsets: header 64, two program headers 112, then what they describe.
	const start = 64 + 2*56
	texts := []byte{0}
	put := func(s string) uint64 {
		at := uint64(len(texts))
		texts = append(append(texts, s...), 0)
		return at
	}
	var dynamic []byte
	entry := func(tag, value uint64) { dynamic = o.AppendUint64(o.AppendUint64(dynamic, tag), value) }
	for _, n := range e.needed {
		entry(1, put(n))
	}
	if e.soname != "" {
		entry(14, put(e.soname))
	}
	size := uint64(len(dynamic) + 2*16)
	entry(5, base+start+size)
	entry(0, 0)
	text := append([]byte{0}, e.text...)
	text = append(text, 0)
	body := bytes.Join([][]byte{dynamic, texts, text}, nil)
	names := []byte("\x00.rodata\x00.shstrtab\x00")
	sections := uint64(start + len(body) + len(names))

	h := []byte{0x7f, 'E', 'L', 'F', 2, mark, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	h = o.AppendUint16(o.AppendUint16(h, 3), 62)
	h = o.AppendUint32(h, 1)
	h = o.AppendUint64(o.AppendUint64(h, 0), 64)
	if e.stripped {
		h = o.AppendUint64(h, 0)
	} else {
		h = o.AppendUint64(h, sections)
	}
	h = o.AppendUint32(h, 0)
	for _, v := range []uint16{64, 56, 2, 64, 3, 2} {
		h = o.AppendUint16(h, v)
	}
	segment := func(kind uint32, offset, size uint64) {
		h = o.AppendUint32(o.AppendUint32(h, kind), 4)
		for _, v := range []uint64{offset, base + offset, base + offset, size, size, 8} {
			h = o.AppendUint64(h, v)
		}
	}
	segment(1, 0, start+uint64(len(body)))
	segment(2, start, uint64(len(dynamic)))
	out := append(append(h, body...), names...)
	if e.stripped {
		return out
	}
	section := func(name, kind uint32, offset, size uint64) {
		out = o.AppendUint32(o.AppendUint32(out, name), kind)
		for _, v := range []uint64{2, 0, offset, size} {
			out = o.AppendUint64(out, v)
		}
		out = o.AppendUint64(o.AppendUint64(o.AppendUint64(out, 0), 1), 0)
	}
	section(0, 0, 0, 0)
	section(1, 1, uint64(start+len(dynamic)+len(texts)), uint64(len(text)))
	section(9, 3, uint64(start+len(body)), uint64(len(names)))
	return out
}

func files(pairs ...any) fstest.MapFS {
	out := fstest.MapFS{}
	for i := 0; i+1 < len(pairs); i += 2 {
		var data []byte
		switch v := pairs[i+1].(type) {
		case string:
			data = []byte(v)
		case elf:
			data = v.bytes()
		case []byte:
			data = v
		}
		out[pairs[i].(string)] = &fstest.MapFile{Data: data, Mode: 0o755}
	}
	return out
}
