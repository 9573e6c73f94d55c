package waf

import (
	"hash/maphash"
	"strconv"
	"strings"
	"sync"
)

// The same request, but for its text, comes again and again: a client sends the
// same headers, the same keys and the same model. What the rules say of it is a
// function of what they are given, so it is kept.

// resultKey is made by two hashes with secret seeds: 128 bits, which nobody
// outside can aim at.
type resultKey [2]uint64

type results struct {
	seeds  [2]maphash.Seed
	hashes sync.Pool
	checks remembered[resultKey, Result]
	scores remembered[resultKey, TextScore]
}

func newResults() *results {
	r := &results{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	r.hashes.New = func() any { return new([]byte) }
	return r
}

// key names all that the rules are given: every piece with its length before it,
// so that no two requests are spelled alike.
func (r *results) key(q *Request, exclusions int) (key resultKey) {
	buffer := r.hashes.Get().(*[]byte)
	b := (*buffer)[:0]
	piece := func(s string) {
		b = strconv.AppendInt(b, int64(len(s)), 36)
		b = append(b, ':')
		b = append(b, s...)
	}
	b = strconv.AppendInt(b, int64(exclusions), 10)
	piece(q.Method)
	piece(q.URI)
	piece(q.Protocol)
	for i, fields := range [...][]Field{q.Headers, q.Fields, q.Files} {
		b = append(b, '|')
		for j := range fields {
			piece(fields[j].Name)
			if i == 0 {
				piece(steady(fields[j].Name, fields[j].Value))
				continue
			}
			piece(fields[j].Value)
		}
	}
	key = resultKey{maphash.Bytes(r.seeds[0], b), maphash.Bytes(r.seeds[1], b)}
	if cap(b) <= 64<<10 {
		*buffer = b
		r.hashes.Put(buffer)
	}
	return key
}

// textKey names a text.
func (r *results) textKey(text []byte) resultKey {
	return resultKey{maphash.Bytes(r.seeds[0], text), maphash.Bytes(r.seeds[1], text)}
}

// steady returns what the rules are given of a header's value. Those that differ
// with every request, and have the plain form that they must have, are given as
// one constant of that form; any other is given as it is.
func steady(name, value string) string {
	switch {
	case strings.EqualFold(name, "content-length"):
		if plain(value, 1, 15, digits) && value[0] != '0' {
			return "1"
		}
	case strings.EqualFold(name, "authorization"):
		if token, ok := strings.CutPrefix(value, "Bearer "); ok && plain(token, 1, 16<<10, token64) {
			return "Bearer token"
		}
	case strings.EqualFold(name, "traceparent"), strings.EqualFold(name, "x-request-id"), strings.EqualFold(name, "idempotency-key"):
		if plain(value, 1, 64, identifier) {
			return "0"
		}
	}
	return value
}

const (
	digits     = "0123456789"
	identifier = digits + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-"
	token64    = identifier + "_."
)

// plain tells whether a value has a length and is made of some characters only.
func plain(value string, least, most int, of string) bool {
	if len(value) < least || len(value) > most {
		return false
	}
	for i := range len(value) {
		if strings.IndexByte(of, value[i]) < 0 {
			return false
		}
	}
	return true
}
