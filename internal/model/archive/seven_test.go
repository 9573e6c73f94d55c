package archive_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/bodgit/sevenzip"
	"github.com/ulikunitz/xz/lzma"

	"github.com/apexlogic/apex/internal/model/scan"
)

// number writes 7z's variable length, for small ones.
func number(n int) []byte {
	if n < 0x80 {
		return []byte{byte(n)}
	}
	return []byte{0xc0, byte(n), byte(n >> 8)}
}

// coderOf packs content and describes how.
func coderOf(method string, content []byte) (coder, packed []byte) {
	switch method {
	case "copy":
		return []byte{1, 0x01, 0x00}, content
	case "deflate":
		return []byte{1, 0x03, 0x04, 0x01, 0x08}, deflated(string(content))
	}
	var b bytes.Buffer
	w, err := lzma.WriterConfig{Size: int64(len(content)), DictCap: 1 << 16}.NewWriter(&b)
	if err != nil {
		panic(err)
	}
	if _, err := w.Write(content); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return slices.Concat([]byte{1, 0x23, 0x03, 0x01, 0x01, 5}, b.Bytes()[:5]), b.Bytes()[13:]
}

// sevenOf writes a 7z archive with one folder of two files.
func sevenOf(method, name, content string, packHeader bool) []byte {
	return sevenWith(method, name, content, packHeader, func(b []byte) []byte { return b })
}

func sevenWith(method, name, content string, packHeader bool, change func(header []byte) []byte) []byte {
	const second = "second file\n"
	coder, packed := coderOf(method, []byte(content+second))
	utf := func(s string) (b []byte) {
		for _, u := range utf16.Encode([]rune(s + "\x00")) {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
		return b
	}
	names := slices.Concat([]byte{0}, utf(name), utf("second"))
	header := slices.Concat([]byte{0x01, 0x04},
		[]byte{0x06, 0, 1, 0x09}, number(len(packed)), []byte{0},
		[]byte{0x07, 0x0b, 1, 0}, coder, []byte{0x0c}, number(len(content)+len(second)), []byte{0},
		[]byte{0x08, 0x0d, 2, 0x09}, number(len(content)), []byte{0, 0},
		[]byte{0x05, 2, 0x11}, number(len(names)), names, []byte{0, 0})
	header = change(header)
	body := packed
	if packHeader {
		coder, again := coderOf("lzma", header)
		body = slices.Concat(packed, again)
		header = slices.Concat([]byte{0x17, 0x06}, number(len(packed)), []byte{1, 0x09}, number(len(again)), []byte{0},
			[]byte{0x07, 0x0b, 1, 0}, coder, []byte{0x0c}, number(len(header)), []byte{0, 0})
	}
	b := make([]byte, 32)
	copy(b, "7z\xbc\xaf\x27\x1c\x00\x04")
	le := binary.LittleEndian
	le.PutUint64(b[12:], uint64(len(body)))
	le.PutUint64(b[20:], uint64(len(header)))
	le.PutUint32(b[28:], crc32.ChecksumIEEE(header))
	le.PutUint32(b[8:], crc32.ChecksumIEEE(b[12:32]))
	return slices.Concat(b, body, header)
}

func TestTheArchivesOfTheseTestsAreRead(t *testing.T) {
	for _, method := range []string{"copy", "deflate", "lzma"} {
		for _, pack := range []bool{false, true} {
			b := sevenOf(method, "data.pkl", payload, pack)
			r, err := sevenzip.NewReader(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatalf("%s %v: %v", method, pack, err)
			}
			f, err := r.File[0].Open()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(f); err != nil || string(got) != payload || r.File[0].Name != "data.pkl" {
				t.Errorf("%s %v: %q %v", method, pack, got, err)
			}
		}
	}
}

func TestA7zIsSuspiciousAndWhatItHoldsIsRead(t *testing.T) {
	for _, method := range []string{"copy", "deflate", "lzma"} {
		for _, pack := range []bool{false, true} {
			wantRules(t, examine(t, sevenOf(method, "data.pkl", tame, pack)), scan.Suspicious, "7z.model")
			res := examine(t, sevenOf(method, "data.pkl", payload, pack))
			wantRules(t, res, scan.Malicious, "7z.model", "test.evil")
			if !strings.Contains(said(res), "data.pkl@0") {
				t.Errorf("the member has no name: %s", said(res))
			}
		}
	}
	wantRules(t, examine(t, sevenOf("lzma", "../../data.pkl", tame, true)), scan.Malicious, "archive.name.escape")
}

func TestA7zIsReadInSpiteOfTricks(t *testing.T) {
	good := sevenOf("copy", "data.pkl", payload, true)
	badStart := bytes.Clone(good)
	badStart[8] ^= 1
	noHeader := bytes.Clone(good)
	binary.LittleEndian.PutUint64(noHeader[12:], 1<<40)
	broken := sevenWith("copy", "data.pkl", payload, false, func(b []byte) []byte { b[1] = 0x77; return b })
	for name, one := range map[string]struct {
		file []byte
		rule string
	}{
		"a wrong checksum":           {badStart, "7z.broken"},
		"a header that is not there": {noHeader, "7z.broken"},
		"a broken header":            {broken, "7z.broken"},
		"bytes behind it":            {append(bytes.Clone(good), payload...), "7z.trailing"},
		"two archives":               {append(sevenOf("lzma", "a", tame, true), good...), "7z.trailing"},
		"bytes before it":            {append([]byte(payload), good...), "7z.prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			wantRules(t, examine(t, one.file), scan.Malicious, "7z.model", one.rule, "test.evil")
		})
	}
	for name, header := range map[string]func([]byte) []byte{
		"more files than the header has bytes": func(b []byte) []byte {
			at := bytes.Index(b, []byte{0x05, 2, 0x11})
			return slices.Concat(b[:at+1], []byte{0xfe, 1, 2, 3, 4, 5, 6, 7, 0}, b[at+2:])
		},
		"more folders than the header has bytes": func(b []byte) []byte {
			at := bytes.Index(b, []byte{0x0b, 1})
			return slices.Concat(b[:at+1], []byte{0xf0, 1, 2, 3, 0x7f}, b[at+2:])
		},
	} {
		t.Run(name, func(t *testing.T) {
			wantRules(t, examine(t, sevenWith("lzma", "a", tame, false, header)), scan.Suspicious, "7z.model", "7z.broken")
		})
	}
}
