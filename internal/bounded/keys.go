package bounded

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// manyKeys is where looking through a list of keys becomes slower than a
	// table, and where a hostile object would cost the square of its keys.
	manyKeys = 32
	// longKey is a length that real keys stay below; a few megabyte-long keys
	// that differ in one byte would otherwise cost as much as many short ones.
	longKey = 256
	// shownKey is how much of a key an error quotes.
	shownKey = 64
)

// key is one key of an object that is open: its bytes in the document, or its
// decoded and folded form where that is not the same.
type key []byte

// object is an object whose members are being read.
type object struct {
	base  int  // where its keys begin in checker.keys
	exact bool // a free map: keys are equal only when they are the same
	// table holds the hashes of the keys once there are many. It is seeded, so
	// nobody can choose keys that meet in it.
	table map[uint64]struct{}
	seed  maphash.Seed
}

// add notes a key of o, or says that it was there before. plain text is ASCII
// without escapes; at is where it stands.
func (c *checker) add(o *object, text []byte, plain bool, at int) error {
	if len(c.keys) >= c.rules.Keys {
		return fmt.Errorf("%w of %d keys in one object", ErrTooMany, c.rules.Keys)
	}
	k := key(text)
	if !plain {
		k = decode(text, !o.exact)
	}
	own := c.keys[o.base:]
	if o.table == nil && (len(own) >= manyKeys || len(k) > longKey) {
		o.table = make(map[uint64]struct{}, 2*manyKeys)
		o.seed = maphash.MakeSeed()
		for _, other := range own {
			o.table[o.hash(other)] = struct{}{}
		}
	}
	look := true
	if o.table != nil {
		h := o.hash(k)
		// Two keys may have one hash without being equal, so it is looked at.
		if _, look = o.table[h]; !look {
			o.table[h] = struct{}{}
		}
	}
	if look {
		for _, other := range own {
			if o.equal(other, k) {
				return fmt.Errorf("%w %q at byte %d", ErrDuplicateKey, text[:min(len(text), shownKey)], at)
			}
		}
	}
	c.keys = append(c.keys, k)
	return nil
}

func (o *object) equal(a, b key) bool {
	if len(a) != len(b) {
		return false
	}
	if o.exact {
		return bytes.Equal(a, b)
	}
	for i, x := range a {
		if y := b[i]; x != y && upper(x) != upper(y) {
			return false
		}
	}
	return true
}

// hash is equal for keys that are.
func (o *object) hash(k key) uint64 {
	if o.exact {
		return maphash.Bytes(o.seed, k)
	}
	var h maphash.Hash
	h.SetSeed(o.seed)
	var part [64]byte
	for len(k) > 0 {
		n := copy(part[:], k)
		for i := range part[:n] {
			part[i] = upper(part[i])
		}
		h.Write(part[:n])
		k = k[n:]
	}
	return h.Sum64()
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - ('a' - 'A')
	}
	return c
}

// decode returns what the text of a string means, as encoding/json reads it: a
// lone surrogate is U+FFFD. With fold each character is the smallest of those
// that differ from it in case only, so that two keys which encoding/json takes
// for one field are equal but for the case of ASCII letters.
func decode(text []byte, fold bool) key {
	out := make(key, 0, len(text))
	for i := 0; i < len(text); {
		r, n := rune(text[i]), 1
		switch {
		case r == '\\':
			r, n = unescape(text[i:])
		case r >= utf8.RuneSelf:
			r, n = utf8.DecodeRune(text[i:])
		}
		if fold && r >= utf8.RuneSelf {
			r = smallest(r)
		}
		out = utf8.AppendRune(out, r)
		i += n
	}
	return out
}

// unescape reads one escape, which was checked, and returns its length.
func unescape(text []byte) (rune, int) {
	switch c := text[1]; c {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
	default:
		return rune(c), 2
	}
	r := hex4(text[2:])
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(text) >= 12 && text[6] == '\\' && text[7] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(text[8:])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

func hex4(text []byte) rune {
	var r rune
	for _, c := range text[:4] {
		switch {
		case c <= '9':
			c -= '0'
		case c <= 'F':
			c -= 'A' - 10
		default:
			c -= 'a' - 10
		}
		r = r<<4 | rune(c)
	}
	return r
}

// smallest returns the first of the characters that differ in case only.
func smallest(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}
