// Package body takes one message apart, in one strict pass over bytes that are
// already in memory: what is text, what is control, and which binary parts it
// carries. Nothing is serialised again, so the bytes that were looked at are
// the bytes that can be passed on.
//
// Start with [Parser.Parse] and [Body]. An [API] says where in a message the
// text and the media of a protocol stand; the tables are in openai.go and
// openinference.go. A string is taken for media only where the table expects
// media, and only when all of it is base64: base64 in a text stays text.
//
// The parser is stricter than the servers behind it, so that no two readers
// see two messages: duplicate keys (also when spelled with escapes), keys that
// differ from a known one by case only, invalid UTF-8, lone surrogates, a byte
// order mark, numbers that do not fit, and anything after the end are refused.
//
// Sources: RFC 8259 (JSON), RFC 7493 (I-JSON), RFC 6901 (pointers), RFC 2397
// (data URLs), RFC 7578 (multipart/form-data), WHATWG URL (urlencoded), the
// OpenAI API reference, the Open Inference Protocol with its binary tensors.
package body

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// Inspect describes a piece of binary content. It reads to the end; declared is
// the media type that the message claims, "" when it claims none.
type Inspect func(r io.Reader, where, declared string, l *media.Limits) (media.Part, error)

// Message is what came in: the body as it was sent, without its
// Content-Encoding.
type Message struct {
	// Type holds all values of the header Content-Type; more than one is refused.
	Type []string
	// TensorHeader holds all values of Inference-Header-Content-Length.
	TensorHeader []string
	API          *API
	Data         []byte
	// Passing says that everything in the Body is used before the next Parse and
	// not kept, strings and addresses too: its memory is then used again. It is
	// for streams of many small messages.
	Passing bool
}

// Body is what a message consists of. Its slices are the parser's: they hold
// until the next Parse; the strings and bytes in them live on as long as
// somebody refers to them or to the message.
type Body struct {
	// Texts are read by a model or a person: prompts, messages, instructions.
	Texts []media.Text
	// Controls steer a program: keys that no table knows, names, formats, tools'
	// arguments, names of files, and every string that no table calls text.
	Controls []media.Text
	// Parts are the pieces of binary content, in the order of the message.
	Parts []media.Part
	// Kept is what the message names that the server keeps and nobody has looked at:
	// by kind the place of the first; "" where there is none.
	Kept [References]string
	// Length of the message, in bytes.
	Length int64
	Fields

	spans []span
	slots []slot // of each part
}

// PartAt reports whether a part stands at a pointer.
func (b *Body) PartAt(where string) bool {
	for i := range b.Parts {
		if b.Parts[i].Where == where {
			return true
		}
	}
	return false
}

// span is where in the message a part stands, still encoded.
type span struct{ from, to, part int }

// Digest names the message by one SHA-256 without reading its parts again: of
// the message's length and its bytes, in which every part is replaced by its
// place, its length and its own digest. Two messages have the same digest only
// when they are the same, since a part has one spelling only.
func (b *Body) Digest(message []byte) [sha256.Size]byte {
	h := sha256.New()
	var n [8]byte
	number := func(v int) { h.Write(binary.LittleEndian.AppendUint64(n[:0], uint64(v))) }
	number(len(message))
	at := 0
	for _, s := range b.spans {
		h.Write(message[at:s.from])
		number(s.from)
		number(s.to)
		h.Write(b.Parts[s.part].Digest[:])
		at = s.to
	}
	h.Write(message[at:])
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum
}

// Fields are what the gateway itself reads of a message. A field that is not
// there, or not of its type, has the zero value.
type Fields struct {
	Model     string
	Version   string // of the model
	Stream    bool
	MaxTokens int64 // the largest of all fields that bound the answer
	Unbounded bool  // a field that bounds the answer says "inf"
	Choices   int64 // how many answers are asked for
	Tools     []string
	TokenIDs  int64 // numbers where a text is expected: tokens that the caller made itself
	Unnamed   int64 // bytes of keys and strings where no table names a text, and that are more than a name
	Prompts   int64 // how many of a list of prompts, each of which is answered
}

// Parser parses one message after the other. The zero value is ready; it is
// not safe for concurrent use, and meant to be kept in a pool.
type Parser struct {
	body    Body
	limits  *media.Limits
	inspect Inspect
	api     *API

	whole  []byte // the message
	data   []byte // of it, what is being read
	at     int
	values int
	text   int64 // bytes of text so far
	// pointers is how many bytes those have that were made so far.
	pointers int
	path     []byte   // of the value at hand, as a pointer
	keys     [][]byte // of the objects that are open, unescaped
	waiting  []waiting
	arena    arena
	nested   bool // a document within a string is read

	slot    slot         // where the part that is described next stands
	tensors []tensorHead // in the order of the message
	tensor  int          // that is being read; -1 outside of one
	coder   decoder
}

// Parse takes the message apart. The error is a *media.Refusal; a body that
// was refused halfway must not be used.
func (p *Parser) Parse(m Message, l *media.Limits, inspect Inspect) (*Body, error) {
	p.reset(m, l, inspect)
	if int64(len(m.Data)) > l.Bytes {
		return nil, media.Refuse(verdict.BodyLimit, "", "the body has %d bytes, allowed are %d", len(m.Data), l.Bytes)
	}
	read, params, err := formatOf(m)
	if err != nil {
		return nil, err
	}
	if err := read(p, m, params); err != nil {
		return nil, err
	}
	return &p.body, nil
}

func (p *Parser) reset(m Message, l *media.Limits, inspect Inspect) {
	b := &p.body
	clear(b.Texts)
	clear(b.Controls)
	clear(b.Parts)
	*b = Body{Length: int64(len(m.Data)), Texts: b.Texts[:0], Controls: b.Controls[:0], Parts: b.Parts[:0], spans: b.spans[:0], slots: b.slots[:0]}
	clear(p.keys[:cap(p.keys)])
	clear(p.waiting[:cap(p.waiting)])
	var names arena
	if m.Passing {
		names = p.arena.again()
	}
	*p = Parser{arena: names, body: *b, limits: l, inspect: inspect, api: m.API, whole: m.Data, data: m.Data, path: p.path[:0], keys: p.keys[:0], waiting: p.waiting[:0], tensors: p.tensors[:0], tensor: -1}
	if p.api == nil {
		p.api = generic()
	}
}

// where is the pointer to the value at hand.
func (p *Parser) where() string { return p.arena.text(p.path) }

func (p *Parser) refuse(code verdict.Code, format string, args ...any) error {
	return media.Refuse(code, p.where(), format, args...)
}

// addText keeps a text, within its bounds.
func (p *Parser) addText(value []byte) error {
	if err := p.countText(len(value)); err != nil {
		return err
	}
	p.body.Texts = append(p.body.Texts, media.Text{Where: p.where(), Value: value})
	return nil
}

// addControl keeps a string that steers.
func (p *Parser) addControl(value []byte) error {
	if err := p.countText(len(value)); err != nil {
		return err
	}
	p.body.Controls = append(p.body.Controls, media.Text{Where: p.where(), Value: value})
	return nil
}

// maxPointers bounds the bytes of all pointers to what is kept: a short list
// below long keys would have as many of them as it has values, each in full.
const maxPointers = 16 << 20

func (p *Parser) countText(n int) error {
	if p.pointers += len(p.path); p.pointers > maxPointers {
		return p.refuse(verdict.BodyLimit, "the document has many values below long keys: their places have more than %d bytes", maxPointers)
	}
	if p.text += int64(n); p.text > p.limits.TextBytes {
		return p.refuse(verdict.BodyLimit, "the body has more than %d bytes of text", p.limits.TextBytes)
	}
	return nil
}

// addPart keeps a part, within its bounds.
func (p *Parser) addPart(part media.Part) error {
	if len(p.body.Parts) >= p.limits.Parts {
		return p.refuse(verdict.BodyLimit, "the body has more than %d parts", p.limits.Parts)
	}
	p.body.Parts = append(p.body.Parts, part)
	p.body.slots = append(p.body.slots, p.slot)
	p.slot = slot{}
	return nil
}

// describe has a piece of binary content inspected, and keeps what it is.
// Encoded are the bytes of the message that hold it.
func (p *Parser) describe(r io.Reader, encoded []byte, declared string) error {
	if len(p.body.Parts) >= p.limits.Parts {
		return p.refuse(verdict.BodyLimit, "the body has more than %d parts", p.limits.Parts)
	}
	part, err := p.inspect(r, p.where(), declared, p.limits)
	if err != nil {
		return err
	}
	// What had to be unescaped is hashed with the rest.
	from, ok := p.within(encoded)
	if n := len(p.body.spans); ok && (n == 0 || from >= p.body.spans[n-1].to) {
		p.body.spans = append(p.body.spans, span{from, from + len(encoded), len(p.body.Parts)})
	}
	return p.addPart(part)
}

// within returns where in the message a piece of it begins; false for what is
// no piece of it. A slice's capacity tells where in its array it begins.
func (p *Parser) within(piece []byte) (from int, ok bool) {
	from = cap(p.whole) - cap(piece)
	if len(piece) == 0 || from < 0 || from+len(piece) > len(p.whole) || &p.whole[from] != &piece[0] {
		return 0, false
	}
	return from, true
}

// push and pop keep the pointer to the value at hand.
func (p *Parser) pushKey(key []byte) int {
	n := len(p.path)
	p.path = append(p.path, '/')
	for _, c := range key {
		switch c {
		case '~':
			p.path = append(p.path, '~', '0')
		case '/':
			p.path = append(p.path, '~', '1')
		default:
			p.path = append(p.path, c)
		}
	}
	return n
}

func (p *Parser) pushIndex(i int) int {
	n := len(p.path)
	p.path = append(p.path, '/')
	p.path = appendInt(p.path, i)
	return n
}

func (p *Parser) pop(n int) { p.path = p.path[:n] }

func appendInt(b []byte, i int) []byte {
	if i >= 10 {
		b = appendInt(b, i/10)
	}
	return append(b, byte('0'+i%10))
}

// product multiplies a shape's dimensions; false when one is negative or the
// product does not fit.
func product(shape []int64) (int64, bool) {
	n := int64(1)
	for _, d := range shape {
		if d < 0 || d > 0 && n > math.MaxInt64/d {
			return 0, false
		}
		n *= d
	}
	return n, true
}
