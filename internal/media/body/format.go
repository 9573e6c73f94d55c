package body

import (
	"bytes"
	"crypto/sha256"
	"mime"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

func digest(b []byte) media.Digest { return sha256.Sum256(b) }

// reader reads the body of one media type.
type reader func(p *Parser, m Message, params map[string]string) error

// readers are the media types of bodies that are understood. Content of any
// other type is one part.
var readers = map[string]reader{
	"application/json":                  readJSON,
	"application/cloudevents+json":      readJSON,
	"application/x-ndjson":              readLines,
	"application/jsonl":                 readLines,
	"application/x-www-form-urlencoded": readForm,
	"multipart/form-data":               readMultipart,
	"application/octet-stream":          readTensors,
	"text/plain":                        readText,
}

// whole are the beginnings of media types whose body is one piece of content.
var whole = []string{"image/", "audio/", "video/", "application/pdf"}

// formatOf says how the body is to be read. A type that names several things,
// none, or what no reader knows is refused: the server behind would guess.
func formatOf(m Message) (reader, map[string]string, error) {
	if len(m.Type) != 1 {
		if len(m.Data) == 0 && len(m.Type) == 0 {
			return readNothing, nil, nil
		}
		return nil, nil, media.Refuse(verdict.BodyType, "", "a body has one Content-Type, this one has %d", len(m.Type))
	}
	if m.Type[0] == "application/json" { // as nearly everybody writes it
		return readJSON, nil, nil
	}
	kind, params, ok := typeOf(m.Type[0])
	if !ok {
		return nil, nil, media.Refuse(verdict.BodyType, "", "the Content-Type cannot be read in one way only")
	}
	if charset, said := params["charset"]; said && !isUTF8(charset) {
		return nil, nil, media.Refuse(verdict.BodyType, "", "the charset is not UTF-8")
	}
	if m.API != nil && !m.API.has(kind) {
		return nil, nil, media.Refuse(verdict.BodyType, "", "the API has no messages of this Content-Type")
	}
	if kind != "multipart/form-data" && !jsonTypes(kind) && isJSON(m.Data) && len(m.TensorHeader) == 0 {
		return nil, nil, media.Refuse(verdict.BodyType, "", "a JSON document is sent as something else: some servers read it as what it is")
	}
	if read, known := readers[kind]; known {
		return read, params, nil
	}
	if jsonTypes(kind) {
		return readJSON, params, nil
	}
	for _, prefix := range whole {
		if strings.HasPrefix(kind, prefix) {
			return readWhole(kind), params, nil
		}
	}
	return nil, nil, media.Refuse(verdict.BodyType, "", "bodies of this Content-Type are not understood")
}

// maxType bounds a Content-Type, of a body or of a part.
const maxType = 256

// typeOf reads a media type with its parameters. False is for one that readers
// differ in: some know the extended parameters of RFC 2231 and let them win over
// the plain ones, some do not; and some look for "boundary=" in the whole line,
// the values of other parameters included.
func typeOf(line string) (kind string, params map[string]string, ok bool) {
	if len(line) > maxType || strings.ContainsAny(line, "*\\") {
		return "", nil, false
	}
	kind, params, err := mime.ParseMediaType(line)
	if err != nil {
		return "", nil, false
	}
	form := kind == "multipart/form-data"
	for name, value := range params {
		switch {
		case name == "boundary" && form:
			ok = isBoundary(value)
		default:
			ok = name != "boundary" && !strings.ContainsAny(value, `;="`) && !strings.Contains(strings.ToLower(value), "multipart")
		}
		if !ok {
			return "", nil, false
		}
	}
	return kind, params, true
}

// isBoundary reports whether a boundary has the characters that RFC 2046 section
// 5.1.1 gives it, without the space.
func isBoundary(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("'()+_,-./:=?", c) >= 0) {
			return false
		}
	}
	return true
}

// jsonTypes reports whether bodies of a type are JSON, or lines of it.
func jsonTypes(kind string) bool {
	return strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json") ||
		kind == "application/json" || kind == "application/x-ndjson" || kind == "application/jsonl"
}

// peeked is how much of a body is looked at for the beginning of a document.
const peeked = 256

// isJSON reports whether a body begins as a JSON object or list does, in any of
// the encodings that readers know by the first bytes. Servers in Go and Triton
// read a body as JSON whatever its type says; the beginning suffices to them,
// since many stop at the end of the first document.
func isJSON(data []byte) bool {
	opened := byte(0)
	for _, c := range data[:min(len(data), peeked)] {
		switch {
		case c <= ' ' || c >= 0xfe || c == 0xef || c == 0xbb || c == 0xbf: // spaces, the NULs of UTF-16 and UTF-32, byte order marks
		case opened == 0:
			if opened = c; c != '{' && c != '[' {
				return false
			}
		case opened == '{':
			return c == '"' || c == '}'
		default: // the beginning of any value
			return strings.IndexByte(`{["]-0123456789tfn`, c) >= 0
		}
	}
	return false
}

// isUTF8 reports whether a charset's text is UTF-8 whatever it says.
func isUTF8(charset string) bool {
	return strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "us-ascii")
}

func readNothing(*Parser, Message, map[string]string) error { return nil }

func readJSON(p *Parser, m Message, _ map[string]string) error {
	if len(m.TensorHeader) > 0 {
		return p.refuse(verdict.BodyType, "binary tensors are application/octet-stream")
	}
	if err := p.document(p.api.root); err != nil {
		return err
	}
	return p.finishTensors(nil)
}

// readLines reads one document a line.
func readLines(p *Parser, m Message, _ map[string]string) error {
	rest := m.Data
	for i := 0; len(rest) > 0; i++ {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		rest = after
		if len(bytes.TrimRight(line, "\r")) == 0 {
			continue
		}
		p.path = p.path[:0]
		p.pushIndex(i)
		p.data, p.at = line, 0
		if err := p.document(p.api.root); err != nil {
			return err
		}
	}
	p.path = p.path[:0]
	return p.finishTensors(nil)
}

// readTensors reads JSON that is followed by the tensors' bytes. Without the
// header that says where the JSON ends, the body is one piece of content.
func readTensors(p *Parser, m Message, params map[string]string) error {
	if len(m.TensorHeader) == 0 {
		return readWhole("application/octet-stream")(p, m, params)
	}
	n, err := strconv.ParseUint(m.TensorHeader[0], 10, 31)
	if err != nil || len(m.TensorHeader) > 1 || n > uint64(len(m.Data)) {
		return p.refuse(verdict.BodyType, "Inference-Header-Content-Length is not one length within the body")
	}
	p.data = m.Data[:n]
	if err := p.document(p.api.root); err != nil {
		return err
	}
	clear(p.body.slots) // the header counts the bytes of the JSON
	return p.finishTensors(m.Data[n:])
}

// readText takes the body for a text.
func readText(p *Parser, m Message, _ map[string]string) error {
	if !validText(m.Data) {
		return p.refuse(verdict.BodyMalformed, "the text is not valid UTF-8")
	}
	if p.api.root != nil && p.api.root.is == text {
		return p.addText(m.Data)
	}
	return p.addControl(m.Data) // no table says that somebody reads it
}

func readWhole(kind string) reader {
	return func(p *Parser, m Message, _ map[string]string) error {
		if n := int64(len(m.Data)); n > p.limits.PartBytes {
			return p.refuse(verdict.BodyLimit, "the content has %d bytes, allowed are %d", n, p.limits.PartBytes)
		}
		p.slot = p.plain(m.Data)
		return p.describe(media.InMemory(m.Data), m.Data, kind)
	}
}
