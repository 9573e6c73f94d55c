package access

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What one document may cost to read. Cedar's parser and type checker recurse
// once per nesting and compare what is known of each attribute with all of it.
const (
	maxDocument = 256 << 10 // bytes, as the kind AccessPolicy allows
	maxTokens   = 1024      // of one policy; a long hand-written one has 200
	maxDepth    = 32        // of brackets and of if
	maxGuards   = 16        // has and hasTag in one policy: 120 of them cost the checker half a second
)

// Problem is what is wrong with a policy or a grant.
type Problem struct {
	Policy       string // the document's or the grant's name
	Line, Column int    // from 1; 0 when it is about the whole
	Detail       string // what is wrong, and how to mend it
}

// Error returns NAME:LINE:COLUMN: detail.
func (p *Problem) Error() string {
	if p.Line == 0 {
		return p.Policy + ": " + p.Detail
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.Policy, p.Line, p.Column, p.Detail)
}

// Problems are all that was found, in the order of the documents.
type Problems []*Problem

// Error returns one line per problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}

type tokenKind uint8

const (
	word tokenKind = iota
	text           // a string literal, with its quotes
	sign
)

// token is a word, a string or a sign of Cedar with its place.
type token struct {
	kind                 tokenKind
	text                 string
	offset, line, column int
}

// tokens splits a document into tokens, for their places, and refuses what
// would cost too much to parse. It accepts more than Cedar does.
func tokens(src string) ([]token, *Problem) {
	var all []token
	line, column, counted := 1, 1, 0 // column is that of the offset counted
	depth, inPolicy, ifs, guards := 0, 0, 0, 0
	for i := 0; i < len(src); {
		c := src[i]
		column, counted = column+utf8.RuneCountInString(src[counted:i]), i
		at := func(detail string) *Problem { return &Problem{Line: line, Column: column, Detail: detail} }
		switch {
		case c == '\n':
			i++
			line, column, counted = line+1, 1, i
			continue
		case c == ' ' || c == '\t' || c == '\r':
			i++
			continue
		case strings.HasPrefix(src[i:], "/*"):
			return nil, at("Cedar has no comments between /* and */: begin each line with //")
		case strings.HasPrefix(src[i:], "//"):
			for i < len(src) && src[i] != '\n' {
				i++
			}
			continue
		}
		t := token{kind: sign, offset: i, line: line, column: column}
		end := i + 1
		switch {
		case c == '"':
			t.kind = text
			for end < len(src) && src[end] != '"' && src[end] != '\n' {
				if src[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(src) || src[end] != '"' {
				return nil, at("a string does not end: write \" at its end")
			}
			end++
		case isWord(src[i:]):
			t.kind = word
			for end = i; end < len(src) && isWord(src[end:]); {
				_, n := utf8.DecodeRuneInString(src[end:])
				end += n
			}
		case strings.HasPrefix(src[i:], "::"):
			end = i + 2
		}
		t.text = src[i:end]
		switch t.text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		case "if":
			ifs++
		case "has", "hasTag":
			guards++
		}
		if n := len(all); t.text == "." && n > 1 && all[n-2].text == "has" {
			return nil, at("no attribute has parts: write has with one name") // and the checker's time grows with the third power of them
		}
		if guards > maxGuards {
			return nil, at(fmt.Sprintf("a policy asks more than %d times with has or hasTag: write several policies", maxGuards))
		}
		if depth > maxDepth || ifs > maxDepth {
			return nil, at(fmt.Sprintf("brackets or if are nested deeper than %d: write several policies", maxDepth))
		}
		if inPolicy++; inPolicy > maxTokens {
			return nil, at(fmt.Sprintf("a policy has more than %d words: write several policies", maxTokens))
		}
		if t.text == ";" {
			inPolicy, ifs, guards = 0, 0, 0
		}
		all = append(all, t)
		i = end
	}
	return all, nil
}

func isWord(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r)
}

// nearest returns the name that was probably meant; "" when none is close.
func nearest(name string, known []string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k), least); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of edits between two names, or limit when it is that
// or more (Levenshtein 1966).
func distance(a, b string, limit int) int {
	if len(a) > 64 || len(b) > 64 || len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			edit := diagonal
			if a[i] != b[j] {
				edit = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], edit
		}
	}
	return min(limit, row[len(b)])
}

// didYouMean ends a sentence with the name that was meant, or with all there are.
func didYouMean(name string, known []string) string {
	if n := nearest(name, known); n != "" {
		return fmt.Sprintf("; did you mean %s?", n)
	}
	if len(known) == 0 {
		return ""
	}
	return "; there are " + strings.Join(known, ", ")
}
