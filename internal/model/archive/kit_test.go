package archive_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"

	"github.com/apexlogic/apex/internal/model/archive"
	"github.com/apexlogic/apex/internal/model/scan"
)

// The payload stands for what a pickle scanner would find.
const payload = "EVIL payload\n"

var ruleEvil = &scan.Rule{ID: "test.evil", Severity: scan.Harmful}

// evil is a format of files that begin with the payload's first word.
func evil() scan.Format {
	return scan.Format{Name: "evil", Rules: []*scan.Rule{ruleEvil},
		Claim: func(f *scan.File) bool { return f.HasPrefix("EVIL") },
		Scan: func(p *scan.Place, _ *scan.File) error {
			p.Report(ruleEvil, scan.At(0), "it would run")
			return nil
		}}
}

func formats(limits scan.Limits) *scan.Formats {
	return scan.NewFormats(limits, append(archive.Formats(), evil())...)
}

func examine(t testing.TB, content []byte) scan.Result {
	t.Helper()
	return formats(scan.Limits{}).Scan(t.Context(), scan.Bytes(content), scan.Options{})
}

func has(res scan.Result, rule string) bool {
	for _, f := range res.Findings {
		if f.Rule == rule {
			return true
		}
	}
	return false
}

func said(res scan.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v as %v (inside: %v)", res.Verdict, res.Formats, res.Inner)
	for _, f := range res.Findings {
		fmt.Fprintf(&b, "\n  %v %s %v: %s", f.Severity, f.Rule, f.Where, f.Detail)
	}
	return b.String()
}

// wantRules checks the verdict, and that each of the rules was reported.
func wantRules(t *testing.T, res scan.Result, verdict scan.Verdict, rules ...string) {
	t.Helper()
	if res.Verdict != verdict {
		t.Errorf("want %v, got %s", verdict, said(res))
	}
	for _, rule := range rules {
		if !has(res, rule) {
			t.Errorf("want a finding by %s, got %s", rule, said(res))
		}
	}
	if has(res, "scan.internal") {
		t.Errorf("a scanner broke: %s", said(res))
	}
}

// A part is one member of a zip file as a test wants it. The zero values of
// what begins with "l" are those of the central directory.
type part struct {
	name, content  string
	method, flags  uint16
	version, host  uint16
	extra, lextra  []byte
	lname          string
	lmethod        *uint16
	lflags         *uint16
	lcrc           *uint32
	lsize          *uint32
	crc            *uint32
	size           *uint32
	unlisted, lost bool // not in the directory; without its own header
	gap            string
}

func ptr[T any](v T) *T { return &v }

func or[T any](p *T, other T) T {
	if p != nil {
		return *p
	}
	return other
}

func deflated(content string) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 6)
	if err != nil {
		panic(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// torch are the members that torch.save writes, in its order.
func torch(pickle string) []part {
	align := func(n int) []byte {
		return append([]byte{'F', 'B', byte(n), 0}, bytes.Repeat([]byte("Z"), n)...)
	}
	one := func(name, content string, pad int) part {
		return part{name: "archive/" + name, content: content, flags: 0x0808, lextra: align(pad)}
	}
	return []part{one("data.pkl", pickle, 12), one(".format_version", "1", 40), one(".storage_alignment", "64", 3),
		one("byteorder", "little", 50), one("data/0", strings.Repeat("\x00\x01\x80?", 500), 60), one("data/1", "\x00\x00\x80\x7f", 9),
		one("version", "3\n", 7), one(".data/serialization_id", strings.Repeat("1", 40), 22)}
}

// zipOf writes a zip file; tail changes the end record.
func zipOf(parts ...part) []byte { return zipWith(zipTail{}, parts...) }

type zipTail struct {
	prefix, comment, trailing string
	relative                  bool // offsets do not count the prefix
	count                     *uint16
	size, offset              *uint32
	zip64                     bool
}

func zipWith(tail zipTail, parts ...part) []byte {
	var b, central bytes.Buffer
	b.WriteString(tail.prefix)
	le := binary.LittleEndian
	count := 0
	for _, m := range parts {
		b.WriteString(m.gap)
		packed := []byte(m.content)
		if m.method == 8 {
			packed = deflated(m.content)
		}
		crc := or(m.crc, crc32.ChecksumIEEE([]byte(m.content)))
		at := b.Len()
		if tail.relative {
			at -= len(tail.prefix)
		}
		size := or(m.size, uint32(len(m.content)))
		version := m.version
		if version == 0 {
			version = 20
		}
		lname := m.lname
		if lname == "" {
			lname = m.name
		}
		lflags := or(m.lflags, m.flags)
		lcrc, lpacked, lsize := or(m.lcrc, crc), or(m.lsize, uint32(len(packed))), size
		if lflags&8 != 0 {
			lcrc, lpacked, lsize = or(m.lcrc, 0), or(m.lsize, 0), 0
		}
		h := make([]byte, 30)
		copy(h, "PK\x03\x04")
		le.PutUint16(h[4:], version)
		le.PutUint16(h[6:], lflags)
		le.PutUint16(h[8:], or(m.lmethod, m.method))
		le.PutUint32(h[14:], lcrc)
		le.PutUint32(h[18:], lpacked)
		le.PutUint32(h[22:], lsize)
		le.PutUint16(h[26:], uint16(len(lname)))
		le.PutUint16(h[28:], uint16(len(m.lextra)))
		if m.lost {
			copy(h, "QQQQ")
		}
		b.Write(h)
		b.WriteString(lname)
		b.Write(m.lextra)
		b.Write(packed)
		if lflags&8 != 0 {
			d := make([]byte, 16)
			copy(d, "PK\x07\x08")
			le.PutUint32(d[4:], crc)
			le.PutUint32(d[8:], uint32(len(packed)))
			le.PutUint32(d[12:], size)
			b.Write(d)
		}
		if m.unlisted {
			continue
		}
		count++
		c := make([]byte, 46)
		copy(c, "PK\x01\x02")
		le.PutUint16(c[4:], m.host<<8|20)
		le.PutUint16(c[6:], version)
		le.PutUint16(c[8:], m.flags)
		le.PutUint16(c[10:], m.method)
		le.PutUint32(c[16:], crc)
		le.PutUint32(c[20:], uint32(len(packed)))
		le.PutUint32(c[24:], size)
		le.PutUint16(c[28:], uint16(len(m.name)))
		le.PutUint16(c[30:], uint16(len(m.extra)))
		le.PutUint32(c[42:], uint32(at))
		central.Write(c)
		central.WriteString(m.name)
		central.Write(m.extra)
	}
	start := b.Len()
	b.Write(central.Bytes())
	stated := start
	if tail.relative {
		stated -= len(tail.prefix)
	}
	if tail.zip64 {
		at := b.Len()
		r := make([]byte, 56+20)
		copy(r, "PK\x06\x06")
		le.PutUint64(r[4:], 44)
		le.PutUint64(r[24:], uint64(count))
		le.PutUint64(r[32:], uint64(count))
		le.PutUint64(r[40:], uint64(central.Len()))
		le.PutUint64(r[48:], uint64(stated))
		copy(r[56:], "PK\x06\x07")
		le.PutUint64(r[56+8:], uint64(at))
		le.PutUint32(r[56+16:], 1)
		b.Write(r)
	}
	e := make([]byte, 22)
	copy(e, "PK\x05\x06")
	le.PutUint16(e[8:], or(tail.count, uint16(count)))
	le.PutUint16(e[10:], or(tail.count, uint16(count)))
	le.PutUint32(e[12:], or(tail.size, uint32(central.Len())))
	le.PutUint32(e[16:], or(tail.offset, uint32(stated)))
	le.PutUint16(e[20:], uint16(len(tail.comment)))
	b.Write(e)
	b.WriteString(tail.comment)
	b.WriteString(tail.trailing)
	return b.Bytes()
}
