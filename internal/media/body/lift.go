package body

import (
	"bytes"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// Bounds of what stands before and instead of content.
const (
	maxDataHeader = 128  // "image/png;base64" and parameters
	maxAddress    = 4096 // an URL
)

// raw reads a string of which all is expected to be base64: it is not looked
// at here, since the decoder refuses whatever is not of its alphabet.
func (p *Parser) raw() ([]byte, error) {
	start := p.at + 1
	n := bytes.IndexByte(p.data[start:], '"')
	if n < 0 {
		return nil, p.malformed("a string has no end")
	}
	s := p.data[start : start+n]
	if bytes.IndexByte(s, '\\') >= 0 { // some writers escape the slash
		return p.text8()
	}
	p.at = start + n + 1
	return s, nil
}

// liftString reads a string that is a data: URL, or the address of content.
func (p *Parser) liftString(at *place) error {
	begin := p.at
	s, err := p.raw()
	if err != nil {
		return err
	}
	if declared, payload, ok := splitData(s); ok {
		p.slot = p.quoted(begin, asDataURL)
		return p.decode(payload, declared)
	}
	p.at = begin
	if s, err = p.text8(); err != nil { // now with every check of a string
		return err
	}
	if hasData(s) {
		return p.refuse(verdict.MediaEncoding, "a data: URL is TYPE;base64, and its content")
	}
	if !hasScheme(s) {
		return p.refuse(verdict.MediaEncoding, "content is a data: URL, or the address of content with its scheme")
	}
	if len(s) > maxAddress {
		return p.refuse(verdict.BodyLimit, "an address has more than %d bytes", maxAddress)
	}
	if err := p.countText(len(s)); err != nil {
		return err
	}
	p.slot = p.quoted(begin, asDataURL)
	return p.addPart(media.Part{Kind: at.kind, Where: p.where(), URL: p.arena.text(s)})
}

// liftBare has bare base64 described, which stands at a slot; a data: URL is
// taken as well.
func (p *Parser) liftBare(s []byte, declared string, at slot) error {
	p.slot = at
	if of, payload, ok := splitData(s); ok {
		p.slot.as = asDataURL
		return p.decode(payload, of)
	}
	return p.decode(s, declared)
}

func hasData(s []byte) bool {
	return len(s) >= 5 && bytes.EqualFold(s[:5], []byte("data:"))
}

// splitData takes a data: URL of base64 apart (RFC 2397).
func splitData(s []byte) (declared string, payload []byte, ok bool) {
	if !hasData(s) {
		return "", nil, false
	}
	comma := bytes.IndexByte(s[:min(len(s), maxDataHeader)], ',')
	if comma < 0 {
		return "", nil, false
	}
	header, isBase64 := bytes.CutSuffix(bytes.ToLower(s[5:comma]), []byte(";base64"))
	if !isBase64 {
		return "", nil, false
	}
	kind, _, _ := bytes.Cut(header, []byte(";"))
	for _, c := range kind {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || bytes.IndexByte([]byte("/.+-"), c) >= 0) {
			return "", nil, false
		}
	}
	return string(kind), s[comma+1:], true
}

// hasScheme reports whether s begins like "https://".
func hasScheme(s []byte) bool {
	scheme, _, ok := bytes.Cut(s[:min(len(s), 32)], []byte("://"))
	return ok && len(scheme) > 0 && isScheme(scheme)
}

func isScheme(scheme []byte) bool {
	for i, c := range scheme {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || !('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.')) {
			return false
		}
	}
	return true
}

// isFetched reports whether some server takes a string for a data: URL or an
// address. Some drop what stands before it, and some need one slash only.
func isFetched(s []byte) bool {
	for len(s) > 0 && s[0] <= ' ' {
		s = s[1:]
	}
	if hasData(s) {
		return true
	}
	scheme, _, ok := bytes.Cut(s[:min(len(s), 32)], []byte(":/"))
	if !ok || len(scheme) < 2 { // of one letter it is a drive
		return false
	}
	return isScheme(scheme)
}

// formats are the names that APIs have for the types of bare audio.
var formats = map[string]string{
	"wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac", "ogg": "audio/ogg", "opus": "audio/ogg",
	"aac": "audio/aac", "m4a": "audio/mp4", "webm": "audio/webm",
}

// declaredBy returns the type that a sibling claims for bare content.
func declaredBy(at *place, format []byte) string {
	if len(format) == 0 {
		return at.declared
	}
	if known, ok := formats[string(format)]; ok {
		return known
	}
	return at.kind.String() + "/" + string(format)
}
