package body

import (
	"bytes"
	"unsafe"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// open is what an object that is being read has to remember until its end,
// because its members come in any order.
type open struct {
	role   []byte
	lane   []byte
	format []byte
}

// waiting is a member that is bare base64, and is decoded once its object's format
// is known.
type waiting struct {
	bare  []byte
	slot  slot
	key   []byte
	place *place
}

// document reads data as one JSON document.
func (p *Parser) document(at *place) error {
	if bytes.HasPrefix(p.data, bom) {
		return p.refuse(verdict.BodyMalformed, "the body begins with a byte order mark")
	}
	p.space()
	if err := p.value(at, 1, nil, nil); err != nil {
		return err
	}
	p.space()
	if p.at != len(p.data) {
		return p.malformed("something follows the end of the document")
	}
	return nil
}

var bom = []byte("\xef\xbb\xbf")

func (p *Parser) malformed(what string) error {
	return p.refuse(verdict.BodyMalformed, "byte %d: %s", p.at, what)
}

func (p *Parser) space() {
	for p.at < len(p.data) {
		switch p.data[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// value reads one value. In is the object that holds it, under key; nil in an array.
func (p *Parser) value(at *place, depth int, in *open, key []byte) error {
	if p.values++; p.values > p.limits.Values {
		return p.refuse(verdict.BodyLimit, "the document has more than %d values", p.limits.Values)
	}
	if p.at >= len(p.data) {
		return p.malformed("the document ends where a value is expected")
	}
	c := p.data[p.at]
	if at.is == outside && !(c == 'n' && p.api.fetched) { // as an option null names nothing
		return p.refuse(verdict.BodyOutside, "it names what the message does not hold, which nobody has looked at")
	}
	if at.is == kept && c != 'n' && c != '{' { // what stands in an object has a place of its own
		p.keep(at.of)
	}
	if at.is == prompt && (c == '"' || c == '[' || c == '{') {
		p.body.Prompts++
	}
	if !fits(at.is, c) {
		return p.refuse(verdict.BodyAmbiguous, "the value has another type than the API gives it: readers differ in what they make of it")
	}
	switch c {
	case '"':
		return p.stringAt(at, in, key)
	case '{':
		return p.object(at, depth)
	case '[':
		return p.array(at, depth)
	case 't':
		if at.is == stream {
			p.body.Stream = true
		}
		return p.word("true")
	case 'f':
		return p.word("false")
	case 'n':
		return p.word("null")
	default:
		from := p.at
		n, whole, err := p.number()
		if err != nil {
			return err
		}
		if at.is == text || at.is == prompt {
			p.body.TokenIDs++
		}
		if at.is == lane && in != nil {
			if n := p.data[from:p.at]; len(in.lane) == 0 {
				in.lane = n
			} else { // of an output, the piece of content
				in.lane = append(append(append(p.arena.take(len(in.lane) + 1 + len(n))[:0], in.lane...), ' '), n...)
			}
		}
		if n < 0 && (at.is == maxTokens || at.is == maxAnswer || at.is == choices) {
			return p.refuse(verdict.BodyAmbiguous, "a count is negative: some servers take that for no bound")
		}
		if at.is == ranked && (n < 0 || n > maxRanked || !whole) {
			return p.refuse(verdict.BodyLimit, "each token is to be told with others, of which 0 to %d may be asked for", maxRanked)
		}
		if whole {
			p.number64(at, n)
		} else if isCount(at.is) {
			return p.refuse(verdict.BodyAmbiguous, "a count is not written as a whole number: readers differ in what they make of it")
		}
		return nil
	}
}

// fits reports whether a value that begins so has the type that what it bounds or
// steers has. Servers take "5000" for a number, and 1 for true; a bound that is
// only seen in the right type would be none.
func fits(is what, first byte) bool {
	switch {
	case is == maxAnswer && first == '"': // "inf"; see stringAt
		return true
	case isCount(is):
		return first == 'n' || first == '-' || '0' <= first && first <= '9'
	case is == ranked: // of a chat, whether there are any
		return first == 'n' || first == 't' || first == 'f' || first == '-' || '0' <= first && first <= '9'
	case is == stream:
		return first == 'n' || first == 't' || first == 'f'
	case is == model:
		return first == 'n' || first == '"'
	}
	return true
}

// maxRanked is what the OpenAI API takes. Some servers take -1 for every token that
// a model knows, which makes an answer of megabytes out of each of its words.
const maxRanked = 20

func isCount(is what) bool {
	return is == maxTokens || is == maxAnswer || is == choices || is == binaryData
}

// number64 keeps a whole number that a table asks for.
func (p *Parser) number64(at *place, n int64) {
	switch at.is {
	case maxTokens, maxAnswer, saidMost:
		p.body.MaxTokens = max(p.body.MaxTokens, n)
	case choices:
		p.body.Choices = max(p.body.Choices, n)
	case binaryData:
		if p.tensor >= 0 {
			t := &p.tensors[p.tensor]
			t.binary, t.inBinary = n, true
		}
	}
}

func (p *Parser) word(w string) error {
	if len(p.data)-p.at < len(w) || string(p.data[p.at:p.at+len(w)]) != w {
		return p.malformed("this is no JSON value")
	}
	p.at += len(w)
	return nil
}

func (p *Parser) array(at *place, depth int) error {
	if depth > p.limits.Depth {
		return p.refuse(verdict.BodyLimit, "values are nested more than %d deep", p.limits.Depth)
	}
	switch {
	case at.is == shape && p.tensor >= 0:
		return p.shape()
	case at.is == values && p.tensor >= 0:
		p.tensors[p.tensor].inJSON = true
		return p.elements(depth)
	}
	p.at++
	p.space()
	if p.at < len(p.data) && p.data[p.at] == ']' {
		p.at++
		return nil
	}
	each := at.element()
	for i := 0; ; i++ {
		n := p.pushIndex(i)
		p.space()
		if err := p.value(each, depth+1, nil, nil); err != nil {
			return err
		}
		p.pop(n)
		p.space()
		done, err := p.separator(']')
		if done || err != nil {
			return err
		}
	}
}

// separator reads the comma between two elements, or what closes them.
func (p *Parser) separator(closing byte) (done bool, err error) {
	if p.at >= len(p.data) {
		return false, p.malformed("the document ends within a list or an object")
	}
	switch p.data[p.at] {
	case ',':
		p.at++
		return false, nil
	case closing:
		p.at++
		return true, nil
	}
	return false, p.malformed("a comma or the end is expected")
}

// keysCompared is up to how many keys of one object are compared with each
// other; beyond, a map remembers them.
const keysCompared = 24

func (p *Parser) object(at *place, depth int) error {
	if depth > p.limits.Depth {
		return p.refuse(verdict.BodyLimit, "values are nested more than %d deep", p.limits.Depth)
	}
	p.at++
	var (
		o     open
		seen  map[string]struct{}
		base  = len(p.keys)
		bares = len(p.waiting)
		texts = len(p.body.Texts)
	)
	if at.is == tensor {
		if err := p.beginTensor(); err != nil {
			return err
		}
	}
	p.space()
	if p.at < len(p.data) && p.data[p.at] == '}' {
		p.at++
		return p.close(at, &o, base, bares, texts)
	}
	for {
		p.space()
		if p.at >= len(p.data) || p.data[p.at] != '"' {
			return p.malformed("a key in quotes is expected")
		}
		key, err := p.text8()
		if err != nil {
			return err
		}
		if len(key) > p.limits.KeyBytes {
			return p.refuse(verdict.BodyLimit, "a key has more than %d bytes", p.limits.KeyBytes)
		}
		if bytes.IndexByte(key, 0) >= 0 {
			return p.refuse(verdict.BodyAmbiguous, "a key holds NUL, where some readers end it")
		}
		if seen, err = p.firstTime(base, key, seen); err != nil {
			return err
		}
		member, mistaken := at.member(key)
		if mistaken != "" {
			return p.refuse(verdict.BodyAmbiguous, "a key differs from %q by case only: some readers would take one for the other", mistaken)
		}
		n := p.pushKey(key)
		if member.unnamed() && !p.nested {
			p.body.Unnamed += int64(len(key))
		}
		if member.unnamed() && (p.api.strict || !isName(key)) {
			if err := p.addControl(key); err != nil {
				return err
			}
		}
		p.space()
		if p.at >= len(p.data) || p.data[p.at] != ':' {
			return p.malformed("a colon is expected")
		}
		p.at++
		p.space()
		if err := p.value(member, depth+1, &o, key); err != nil {
			return err
		}
		p.pop(n)
		p.space()
		done, err := p.separator('}')
		if err != nil {
			return err
		}
		if done {
			return p.close(at, &o, base, bares, texts)
		}
	}
}

// firstTime refuses a key that the object has already.
func (p *Parser) firstTime(base int, key []byte, seen map[string]struct{}) (map[string]struct{}, error) {
	twice := false
	switch n := len(p.keys) - base; {
	case seen != nil:
		_, twice = seen[string(key)]
	case n < keysCompared:
		for _, k := range p.keys[base:] {
			if bytes.Equal(k, key) {
				twice = true
				break
			}
		}
	default:
		seen = make(map[string]struct{}, 4*keysCompared)
		for _, k := range p.keys[base:] {
			seen[string(k)] = struct{}{}
		}
		_, twice = seen[string(key)]
	}
	if twice {
		return seen, p.refuse(verdict.BodyAmbiguous, "an object has a key twice: readers differ in which of the two counts")
	}
	if seen != nil {
		seen[string(key)] = struct{}{}
	} else {
		p.keys = append(p.keys, key)
	}
	return seen, nil
}

// close ends an object: what had to wait for all of its members is done.
func (p *Parser) close(at *place, o *open, base, bares, texts int) error {
	if at.is == keptOrNew && p.bareItem(base) {
		p.keep(at.of)
	}
	p.keys = p.keys[:base]
	if at.is == tensor {
		p.tensor = -1
	}
	if len(o.role) > 0 {
		said := p.arena.text(o.role)
		for i := texts; i < len(p.body.Texts); i++ {
			if t := &p.body.Texts[i]; t.Role == "" {
				t.Role = said
			}
		}
	}
	if len(o.lane) > 0 {
		for i := texts; i < len(p.body.Texts); i++ {
			t := &p.body.Texts[i]
			said := p.arena.take(len(o.lane) + 1 + len(t.Role))[:0]
			said = append(append(append(said, o.lane...), ' '), t.Role...)
			t.Role = unsafe.String(&said[0], len(said))
		}
	}
	for i := bares; i < len(p.waiting); i++ {
		w := &p.waiting[i]
		n := p.pushKey(w.key)
		if err := p.liftBare(w.bare, declaredBy(w.place, o.format), w.slot); err != nil {
			return err
		}
		p.pop(n)
	}
	p.waiting = p.waiting[:bares]
	return nil
}

// stringAt reads a string and does with it what its place says.
func (p *Parser) stringAt(at *place, in *open, key []byte) error {
	switch at.is {
	case dataURL:
		return p.liftString(at)
	case bare:
		begin := p.at
		raw, err := p.raw()
		if err != nil {
			return err
		}
		if in == nil {
			return p.liftBare(raw, at.declared, p.quoted(begin, asBase64))
		}
		p.waiting = append(p.waiting, waiting{raw, p.quoted(begin, asBase64), key, at})
		return nil
	}
	begin := p.at
	s, err := p.text8()
	if err != nil {
		return err
	}
	if p.api.fetched && !p.nested && (at == elsewhere || at.is == kept) && isFetched(s) {
		p.at = begin
		return p.liftString(at)
	}
	plain := isName(s)
	if !p.nested && (at.unnamed() || at.is == document || at.is == control && !plain) {
		p.body.Unnamed += int64(len(s))
	}
	switch at.is {
	case text, prompt, values:
		return p.addText(s)
	case document:
		return p.embedded(s)
	case role:
		if in != nil {
			in.role = s
		}
	case format:
		if in != nil {
			in.format = s
		}
	case model:
		p.body.Model = p.arena.text(s)
	case maxAnswer:
		if string(s) != "inf" {
			return p.refuse(verdict.BodyAmbiguous, "a bound is a whole number, or inf: readers differ in what they make of anything else")
		}
		p.body.Unbounded = true
	case itemType:
		if string(s) == "item_reference" {
			p.keep(at.of)
		}
	case toolName:
		p.body.Tools = append(p.body.Tools, p.arena.text(s))
	case datatype:
		if p.tensor >= 0 {
			p.tensors[p.tensor].datatype = p.arena.text(s)
		}
	}
	if plain && !((p.api.names || p.api.strict) && at.unnamed()) {
		return nil
	}
	return p.addControl(s)
}

// isName reports whether a string is a plain name, which can steer nothing but
// what it names.
func isName(s []byte) bool {
	if len(s) == 0 || len(s) > 64 {
		return len(s) == 0
	}
	for _, c := range s {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// embedded reads a string that is a document of its own, for example a tool's
// arguments. One that is none is looked at as a whole.
func (p *Parser) embedded(s []byte) error {
	if p.nested {
		return p.addControl(s)
	}
	data, at, texts, controls, values, keys, path := p.data, p.at, p.text, len(p.body.Controls), p.values, len(p.keys), len(p.path)
	p.data, p.at, p.nested = s, 0, true
	err := p.document(elsewhere)
	p.data, p.at, p.nested = data, at, false
	if err == nil {
		return nil
	}
	if media.CodeOf(err) == verdict.BodyLimit {
		return err
	}
	p.text, p.values, p.keys, p.path = texts, values, p.keys[:keys], p.path[:path]
	clear(p.body.Controls[controls:])
	p.body.Controls = p.body.Controls[:controls]
	return p.addControl(s)
}
