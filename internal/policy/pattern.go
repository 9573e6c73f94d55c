package policy

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/apexlogic/apex/internal/oci/reference"
)

// basePattern is "repository:tag" where the repository is exact and the tag is
// a pattern, anchored at both ends: "*" stands for anything, and an "x" that is
// a component of its own (2.x-gpu, but not in linux) for one or more numeric
// components, such as 6, 6.0 or 6.0.1.
type basePattern struct {
	name       string // the repository as it was written
	repository string // canonical
	tag        string
}

func (p basePattern) String() string { return p.name + ":" + p.tag }

// maxTag is the longest tag (OCI distribution specification, section 3).
const maxTag = 128

func parseBasePattern(text string) (basePattern, error) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 || strings.ContainsRune(text[i:], '/') {
		return basePattern{}, fmt.Errorf("%q has no tag: write repository:tag, with x or * in the tag", clean(text))
	}
	name, tag := text[:i], text[i+1:]
	if tag == "" || len(tag) > maxTag {
		return basePattern{}, fmt.Errorf("%q: a tag has 1 to %d characters", clean(text), maxTag)
	}
	for _, c := range tag {
		if c > unicode.MaxASCII || !(c == '*' || c == '.' || c == '-' || c == '_' || isDigit(byte(c)) || isLetter(byte(c))) {
			return basePattern{}, fmt.Errorf("%q: %q cannot be in a tag", clean(text), c)
		}
	}
	ref, err := reference.Parse(name)
	if err != nil {
		return basePattern{}, fmt.Errorf("%q: %w", clean(text), err)
	}
	return basePattern{name: name, repository: ref.Name(), tag: tag}, nil
}

// splitImage returns the canonical repository and the tag of "repository:tag".
func splitImage(text string) (repository, tag string, err error) {
	ref, err := reference.Parse(text)
	if err != nil {
		return "", "", err
	}
	return ref.Name(), ref.Tag, nil
}

func (p basePattern) matches(repository, tag string) bool {
	return repository == p.repository && matchTag(p.tag, tag)
}

// matchTag matches the whole tag against the whole pattern. Each pair of
// positions is tried once, so that no pattern takes more than their product.
func matchTag(pattern, tag string) bool {
	if len(tag) > maxTag {
		return false
	}
	m := tagMatch{pattern: pattern, tag: tag}
	return m.from(0, 0)
}

type tagMatch struct {
	pattern, tag string
	failed       [maxTag + 1][maxTag + 1]bool
}

func (m *tagMatch) from(i, j int) bool {
	if i == len(m.pattern) {
		return j == len(m.tag)
	}
	if m.failed[i][j] {
		return false
	}
	if m.step(i, j) {
		return true
	}
	m.failed[i][j] = true
	return false
}

func (m *tagMatch) step(i, j int) bool {
	switch {
	case m.pattern[i] == '*':
		return m.from(i+1, j) || (j < len(m.tag) && m.from(i, j+1))
	case m.numeric(i):
		for end := number(m.tag, j); end > j; {
			if m.from(i+1, end) {
				return true
			}
			if end == len(m.tag) || m.tag[end] != '.' {
				return false
			}
			next := number(m.tag, end+1)
			if next == end+1 {
				return false
			}
			end = next
		}
		return false
	}
	return j < len(m.tag) && m.tag[j] == m.pattern[i] && m.from(i+1, j+1)
}

// numeric reports whether the pattern has at i an x that is a component of its own.
func (m *tagMatch) numeric(i int) bool {
	p := m.pattern
	return p[i] == 'x' && (i == 0 || isSeparator(p[i-1])) && (i+1 == len(p) || isSeparator(p[i+1]) || p[i+1] == '*')
}

// number returns the end of the digits that begin at j, or j when there are none.
func number(s string, j int) int {
	for j < len(s) && isDigit(s[j]) {
		j++
	}
	return j
}

// suggest returns a tag pattern that matches tag and differs from p as little
// as possible: p with a star at its end, or else tag with its numbers after the
// first replaced by x.
func (p basePattern) suggest(tag string) string {
	if wider := strings.TrimRight(p.tag, "*") + "*"; matchTag(wider, tag) {
		return wider
	}
	head, rest, found := strings.Cut(tag, ".")
	if !found || !allDigits(head) {
		return tag
	}
	i := 0
	for i < len(rest) && (isDigit(rest[i]) || rest[i] == '.') {
		i++
	}
	if i == 0 || rest[i-1] == '.' || (i < len(rest) && !isSeparator(rest[i])) {
		return tag
	}
	return head + ".x" + rest[i:]
}

func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func isDigit(c byte) bool     { return c >= '0' && c <= '9' }
func isLetter(c byte) bool    { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isSeparator(c byte) bool { return c == '.' || c == '-' || c == '_' }

// clean makes foreign text safe to print: control characters become "?", and
// the length is bounded.
func clean(s string) string {
	const limit = 200
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}
