// Package text reads the formats that people can read and loaders obey:
// configurations in JSON and YAML, chat templates, XML, Python, and plain text.
//
// [Formats] lists them. Start from json.go and yaml.go, which walk a document
// and hand every object in it to the shapes of object.go: what a document is
// follows from what its objects look like, never from its name. A new shape is
// one function in a file of its own and one line in the table there.
//
// Sources: RFC 8259 (JSON), YAML 1.1 and 1.2 and PyYAML's constructors, the
// documentation of Jinja, Hydra, transformers, diffusers, PEFT,
// sentence-transformers, skops, MLflow, and PMML 4.4.
package text

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/model/scan"
)

// Formats returns the formats of this package, in the order in which reports
// name them.
func Formats() []scan.Format {
	return []scan.Format{Template(), JSON(), YAML(), XML(), Python(), TorchScript(), Plain()}
}

// looksBinary says whether the beginning of a file cannot be text.
func looksBinary(head []byte) bool {
	if _, ok := utf16Order(head); ok {
		return false
	}
	return bytes.IndexByte(head, 0) >= 0
}

// utf16Order says whether text is in UTF-16, by its mark or by its zeros.
func utf16Order(head []byte) (bigEndian, ok bool) {
	switch {
	case len(head) < 4 || len(head)%2 != 0 && len(head) < scan.HeadSize:
		return false, false
	case head[0] == 0xfe && head[1] == 0xff:
		return true, true
	case head[0] == 0xff && head[1] == 0xfe:
		return false, true
	case head[0] == 0 && head[1] != 0 && head[2] == 0 && head[3] != 0:
		return true, true
	case head[0] != 0 && head[1] == 0 && head[2] != 0 && head[3] == 0:
		return false, true
	}
	return false, false
}

// toUTF8 returns text without a mark of its order, and in UTF-8.
func toUTF8(b []byte) []byte {
	big, ok := utf16Order(b[:min(len(b), scan.HeadSize)])
	if !ok {
		return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	}
	units := make([]uint16, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		if big {
			units = append(units, uint16(b[i])<<8|uint16(b[i+1]))
		} else {
			units = append(units, uint16(b[i+1])<<8|uint16(b[i]))
		}
	}
	out := make([]byte, 0, len(units))
	for _, r := range utf16.Decode(units) {
		out = utf8.AppendRune(out, r)
	}
	return bytes.TrimPrefix(out, []byte("\xef\xbb\xbf"))
}

// load reads up to limit bytes of a text and takes their memory and time from
// the budget. whole says whether that was all.
func load(p *scan.Place, f *scan.File, limit int64, cost scan.Cost) (b []byte, whole bool, err error) {
	if f.IsDear() && limit > maxTemplateFile {
		limit = min(limit, dearText)
	} else if f.IsDear() {
		limit = min(limit, dearOther)
	}
	n := min(f.Size(), limit)
	if err := p.Spend(scan.Cost(n) * cost); err != nil {
		return nil, false, err
	}
	if _, err := p.Hold(n); err != nil {
		return nil, false, err
	}
	if b, err = f.Read(0, n); err != nil {
		return nil, false, err
	}
	return b, n == f.Size(), nil
}

// How much of one text is read from another machine. All formats that look at
// it together stay below the 16 MiB that one file may cost.
const (
	dearText  = 11 << 20 // of JSON or XML, which are not both
	dearOther = 1 << 20  // of anything else
)

// significant returns the head without a mark and leading white space.
func significant(f *scan.File) []byte {
	head, err := f.Head()
	if err != nil || looksBinary(head) {
		return nil
	}
	return bytes.TrimLeft(toUTF8(head), " \t\r\n\f\v")
}
