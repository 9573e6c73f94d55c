package body

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// slot is where in the message a part stands, and how it is written there.
type slot struct {
	from, to int
	as       writing
}

// writing is how a part is written. The zero value is one that cannot be
// replaced by another, because something else counts its bytes.
type writing uint8

const (
	asItIs writing = iota + 1
	asBase64
	asDataURL // or as an address, in whose place a data: URL may stand
)

// quoted is the slot of the string that begins at the quote here, and was just
// read.
func (p *Parser) quoted(quote int, as writing) slot {
	s := p.data[quote+1 : p.at-1]
	from, ok := p.within(s)
	if !ok {
		return slot{}
	}
	return slot{from, from + len(s), as}
}

// plain is the slot of a piece of the message.
func (p *Parser) plain(piece []byte) slot {
	from, ok := p.within(piece)
	if !ok {
		return slot{}
	}
	return slot{from, from + len(piece), asItIs}
}

// Change is other content for a part.
type Change struct {
	Part int    // its index in Parts
	Type string // the new content's media type, which a data: URL names
	Data []byte
}

// Rewrite returns a copy of the message in which parts are replaced, each
// written as it was: bytes as they are, bare base64, or a data: URL, also in
// place of an address. Message is what was parsed. Everything else stays, to the
// byte. A part that stands within counted bytes, like an element of a tensor,
// cannot be replaced.
//
// Parse the result again before it is used: that is how it is known to hold
// what it should, and nothing else.
func (b *Body) Rewrite(message []byte, changes []Change) ([]byte, error) {
	sorted := slices.Clone(changes)
	slices.SortFunc(sorted, func(x, y Change) int { return cmp.Compare(b.slots[x.Part].from, b.slots[y.Part].from) })
	size, end := len(message), 0
	for _, c := range sorted {
		s := b.slots[c.Part]
		if s.as == 0 || s.from < end || s.to > len(message) {
			return nil, fmt.Errorf("part %d of the message cannot be replaced", c.Part)
		}
		end = s.to
		size += len("data:;base64,") + len(c.Type) + base64.StdEncoding.EncodedLen(len(c.Data)) - (s.to - s.from)
	}
	out, at := make([]byte, 0, size), 0
	for _, c := range sorted {
		s := b.slots[c.Part]
		out = append(out, message[at:s.from]...)
		switch s.as {
		case asDataURL:
			out = append(append(append(out, "data:"...), c.Type...), ";base64,"...)
			out = base64.StdEncoding.AppendEncode(out, c.Data)
		case asBase64:
			out = base64.StdEncoding.AppendEncode(out, c.Data)
		default:
			out = append(out, c.Data...)
		}
		at = s.to
	}
	return append(out, message[at:]...), nil
}

// Content returns a part's bytes without its encoding. Bytes that are as they
// are in the message are not copied. A part that is an address, or that cannot
// be replaced, has none.
func (b *Body) Content(message []byte, part int) ([]byte, error) {
	s := b.slots[part]
	if s.as == 0 || b.Parts[part].URL != "" {
		return nil, errors.New("the message does not hold the part's bytes in one piece")
	}
	raw := message[s.from:s.to]
	if s.as == asItIs {
		return raw, nil
	}
	if bytes.IndexByte(raw, '\\') >= 0 {
		var plain string
		if err := json.Unmarshal(message[s.from-1:s.to+1], &plain); err != nil {
			return nil, err
		}
		raw = []byte(plain)
	}
	if _, payload, ok := splitData(raw); ok && s.as == asDataURL {
		raw = payload
	}
	return base64.StdEncoding.Strict().AppendDecode(nil, raw)
}
