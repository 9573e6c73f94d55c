package waf

import (
	"regexp/syntax"
	"strings"
	"unicode"
)

// byteSet is a set of bytes, in lower case: an upper-case ASCII letter is never in one.
type byteSet [4]uint64

func (s *byteSet) add(b byte)      { s[b>>6] |= 1 << (b & 63) }
func (s *byteSet) has(b byte) bool { return s[b>>6]&(1<<(b&63)) != 0 }
func (s *byteSet) meets(o *byteSet) bool {
	return s[0]&o[0]|s[1]&o[1]|s[2]&o[2]|s[3]&o[3] != 0
}

func (s *byteSet) join(o *byteSet) {
	for i := range s {
		s[i] |= o[i]
	}
}

// clause is one condition that every match fulfils: the text, in lower case,
// contains one of the literals, or, where there are none, one byte of the set.
type clause struct {
	literals []string
	set      byteSet
	// branches, where there are any: all sets of one of them are met as well.
	branches [][]byteSet
}

// Bounds of what is derived from one expression, so that an alternation of
// alternations does not multiply: more literals select less and cost more.
const (
	mostExact    = 96   // strings that a part of an expression can be, spelled out
	mostLiterals = 2048 // literals of one clause
	mostBranches = 96   // branches of one clause
)

// need is what is known of the strings that (a part of) an expression matches.
type need struct {
	exact   []string // every string it can match, in lower case; nil when that is not known
	clauses []clause
}

// parse reads an expression as Coraza's operator does.
func parse(argument string) (*syntax.Regexp, error) {
	re, err := syntax.Parse(multiline+argument, syntax.Perl)
	if err != nil {
		return nil, err
	}
	return re.Simplify(), nil
}

// needs derives what every match of the expression must contain. An empty answer
// means that nothing is known, and that the expression must be run.
func needs(re *syntax.Regexp) []clause { return derive(re).all() }

// all returns the clauses, with what is spelled out as one of them.
func (n need) all() []clause {
	if c, ok := spelled(n.exact); ok {
		return append(n.clauses, c)
	}
	return n.clauses
}

// spelled makes a clause of the strings that a part can be, unless one of them
// is empty, which every text contains.
func spelled(exact []string) (clause, bool) {
	if len(exact) == 0 {
		return clause{}, false
	}
	for _, s := range exact {
		if s == "" {
			return clause{}, false
		}
	}
	return literalClause(exact), true
}

// literalClause makes a clause of literals. Its set holds the least usual byte of
// each, so that a text without any of those bytes is known not to contain one.
func literalClause(literals []string) clause {
	c := clause{literals: literals}
	for _, s := range literals {
		c.set.add(rarest(s))
	}
	return c
}

// rarest returns the byte of s that ordinary text is least likely to hold.
func rarest(s string) byte {
	best, rank := s[0], 0
	for i := range len(s) {
		if r := rarity(s[i]); r > rank {
			best, rank = s[i], r
		}
	}
	return best
}

// rarity ranks a byte by how unlikely it is in ordinary text.
func rarity(b byte) int {
	switch {
	case strings.IndexByte("etaoinsrhldcu", b) >= 0:
		return 1
	case 'a' <= b && b <= 'z', b == ' ' || b == '.' || b == '-' || b == '/' || b == '_' || b == ',':
		return 2
	case '0' <= b && b <= '9':
		return 3
	default:
		return 4
	}
}

func derive(re *syntax.Regexp) need {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText,
		syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return need{exact: []string{""}}
	case syntax.OpLiteral:
		return deriveLiteral(re)
	case syntax.OpCharClass:
		return deriveClass(re)
	case syntax.OpCapture:
		return derive(re.Sub[0])
	case syntax.OpPlus:
		n := derive(re.Sub[0])
		return need{clauses: n.all()}
	case syntax.OpQuest:
		n := derive(re.Sub[0])
		if n.exact != nil && len(n.exact) < mostExact {
			return need{exact: unique(append([]string{""}, n.exact...))}
		}
		return need{}
	case syntax.OpConcat:
		return deriveConcat(re.Sub)
	case syntax.OpAlternate:
		return deriveAlternate(re.Sub)
	default: // any character, star, no match: nothing is known
		return need{}
	}
}

// deriveLiteral spells a literal in lower case. A letter that folds to one
// outside of ASCII (k and the Kelvin sign, s and the long s) is looked for as
// ASCII only: texts with those two are never skipped, see odd.
func deriveLiteral(re *syntax.Regexp) need {
	var b strings.Builder
	for _, r := range re.Rune {
		if r >= 0x80 {
			return need{clauses: []clause{{set: highBytes()}}}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return need{exact: []string{b.String()}}
}

// deriveClass spells a small class of ASCII characters, and takes a large one, or
// one that reaches beyond ASCII, as a set of bytes.
func deriveClass(re *syntax.Regexp) need {
	var set byteSet
	high := false
	for i := 0; i+1 < len(re.Rune); i += 2 {
		lo, hi := re.Rune[i], re.Rune[i+1]
		for r := lo; r <= hi && r < 0x80; r++ {
			set.add(lower[r])
		}
		if hi >= 0x80 && !foldOnly(max(lo, 0x80), hi) {
			high = true
		}
	}
	if high {
		h := highBytes()
		set.join(&h)
		return need{clauses: []clause{{set: set}}}
	}
	var exact []string
	for b := range 128 {
		if set.has(byte(b)) {
			exact = append(exact, string(rune(b)))
		}
	}
	if len(exact) > 12 || len(exact) == 0 {
		return need{clauses: []clause{{set: set}}}
	}
	return need{exact: exact}
}

// foldOnly tells that a range beyond ASCII is only the fold of k or s.
func foldOnly(lo, hi rune) bool { return lo == hi && (lo == 0x17f || lo == 0x212a) }

func highBytes() byteSet { return byteSet{0, 0, ^uint64(0), ^uint64(0)} }

func deriveConcat(subs []*syntax.Regexp) need {
	run := []string{""} // what the parts since the last unknown one can be
	known := true
	var out need
	flush := func() {
		if c, ok := spelled(run); ok {
			out.clauses = append(out.clauses, c)
		}
		run = []string{""}
	}
	for _, sub := range subs {
		n := derive(sub)
		if n.exact == nil {
			known = false
			flush()
			out.clauses = append(out.clauses, n.clauses...)
			continue
		}
		out.clauses = append(out.clauses, n.clauses...)
		if len(run)*len(n.exact) > mostExact {
			known = false
			flush()
			run = n.exact
			continue
		}
		run = cross(run, n.exact)
	}
	if known {
		out.exact = run
		return out
	}
	flush()
	return out
}

// deriveAlternate knows what each of its branches needs: the strings of all of
// them when they are few, else one clause of each, joined.
func deriveAlternate(subs []*syntax.Regexp) need {
	branches := make([]need, len(subs))
	var exact []string
	all := true
	for i, sub := range subs {
		branches[i] = derive(sub)
		all = all && branches[i].exact != nil
		exact = append(exact, branches[i].exact...)
	}
	if exact = unique(exact); all && len(exact) <= mostLiterals {
		return need{exact: exact}
	}
	joined, literal := clause{}, true
	for _, b := range branches {
		all := b.all()
		c, ok := best(all)
		if !ok {
			return need{}
		}
		var sets []byteSet
		for i := range all {
			sets = append(sets, all[i].set)
		}
		joined.branches = append(joined.branches, sets)
		literal = literal && len(c.literals) > 0
		joined.literals = append(joined.literals, c.literals...)
		joined.set.join(&c.set)
	}
	joined.literals = unique(joined.literals)
	if !literal || len(joined.literals) > mostLiterals {
		joined.literals = nil
	}
	if len(joined.branches) > mostBranches {
		joined.branches = nil
	}
	return need{clauses: []clause{joined}}
}

// best returns the clause that the fewest texts fulfil, as far as one can tell.
func best(clauses []clause) (clause, bool) {
	at, score := -1, -1
	for i := range clauses {
		if s := clauses[i].score(); s > score {
			at, score = i, s
		}
	}
	if at < 0 {
		return clause{}, false
	}
	return clauses[at], true
}

// score is higher the rarer a text that fulfils the clause: by the shortest
// literal, where a sign counts for more than a letter, and among sets by how few
// bytes they have.
func (c *clause) score() int {
	if len(c.literals) == 0 {
		n := 0
		for b := range 256 {
			if c.set.has(byte(b)) {
				n++
			}
		}
		return (256 - n) / 4
	}
	least := 600
	for _, s := range c.literals {
		weight := 0
		for i := range len(s) {
			weight += 100
			if isSign(s[i]) { // two are rarer than two letters, and say less than three
				weight += 45
			}
		}
		least = min(least, weight)
	}
	return 40 + least - min(len(c.literals), 50)
}

func isSign(b byte) bool { return b > ' ' && b < 0x80 && strings.IndexByte(letters+digits, b) < 0 }

func cross(heads, tails []string) []string {
	if len(heads) == 1 && heads[0] == "" {
		return tails
	}
	out := make([]string, 0, len(heads)*len(tails))
	for _, h := range heads {
		for _, t := range tails {
			out = append(out, h+t)
		}
	}
	return unique(out)
}

// unique drops repeated strings, and keeps the order.
func unique(in []string) []string {
	seen := make(map[string]bool, len(in))
	out := in[:0:0]
	for _, s := range in {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
