package waf

import "regexp/syntax"

// Many expressions about commands allow quotes, carets and brackets between any
// two letters, because shells leave them out; what a match must contain is then
// single letters, which every text does. And several transformations of the rules
// only take out such bytes, or make spaces of them. So there is a second look, at
// what is left of a text without those bytes, for what is left of the expressions
// without them: taking bytes out of all texts of a language gives the language of
// the expression with them taken out, so a text that matches is still found.

// squeezedOut are the bytes that are taken out.
var squeezedOut = bytesOf(" \t\n\r\v\f\"'\\^,;)[")

// dollar begins what the expressions allow between letters of a command beside
// squeezedOut: a variable that is empty. It is assumed to be absent.
const dollar = '$'

// squeeze returns the expression without the bytes of squeezedOut, for texts that
// hold no dollar; nil when it matches none of those.
func squeeze(re *syntax.Regexp) *syntax.Regexp {
	switch re.Op {
	case syntax.OpNoMatch:
		return nil
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText,
		syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return empty()
	case syntax.OpLiteral:
		return squeezeLiteral(re)
	case syntax.OpCharClass:
		return squeezeClass(re)
	case syntax.OpCapture:
		return squeeze(re.Sub[0])
	case syntax.OpStar, syntax.OpQuest, syntax.OpPlus:
		sub := squeeze(re.Sub[0])
		switch {
		case sub == nil && re.Op == syntax.OpPlus:
			return nil
		case sub == nil || sub.Op == syntax.OpEmptyMatch:
			return empty()
		}
		return &syntax.Regexp{Op: re.Op, Flags: re.Flags, Sub: []*syntax.Regexp{sub}}
	case syntax.OpConcat:
		all := &syntax.Regexp{Op: syntax.OpConcat, Flags: re.Flags}
		for _, part := range re.Sub {
			sub := squeeze(part)
			if sub == nil {
				return nil
			}
			all.Sub = append(all.Sub, sub)
		}
		return all
	case syntax.OpAlternate:
		all := &syntax.Regexp{Op: syntax.OpAlternate, Flags: re.Flags}
		for _, branch := range re.Sub {
			if sub := squeeze(branch); sub != nil {
				all.Sub = append(all.Sub, sub)
			}
		}
		if len(all.Sub) == 0 {
			return nil
		}
		return all
	default: // any character
		return re
	}
}

func empty() *syntax.Regexp { return &syntax.Regexp{Op: syntax.OpEmptyMatch} }

func squeezeLiteral(re *syntax.Regexp) *syntax.Regexp {
	left := &syntax.Regexp{Op: syntax.OpLiteral, Flags: re.Flags}
	for _, r := range re.Rune {
		switch {
		case r == dollar:
			return nil
		case r < 0x80 && squeezedOut.has(byte(r)):
		default:
			left.Rune = append(left.Rune, r)
		}
	}
	if len(left.Rune) == 0 {
		return empty()
	}
	return left
}

// squeezeClass takes bytes out of a class. One that held some of them can also be
// nothing at all.
func squeezeClass(re *syntax.Regexp) *syntax.Regexp {
	left := &syntax.Regexp{Op: syntax.OpCharClass, Flags: re.Flags}
	optional := false
	for i := 0; i+1 < len(re.Rune); i += 2 {
		lo, hi := re.Rune[i], re.Rune[i+1]
		for ; lo <= hi && lo < 0x80; lo++ {
			switch {
			case squeezedOut.has(lower[lo]):
				optional = true
			case lo != dollar:
				left.Rune = append(left.Rune, lo, lo)
			}
		}
		if lo <= hi {
			left.Rune = append(left.Rune, lo, hi)
		}
	}
	switch {
	case len(left.Rune) == 0 && optional:
		return empty()
	case len(left.Rune) == 0:
		return nil
	case optional:
		return &syntax.Regexp{Op: syntax.OpQuest, Flags: re.Flags, Sub: []*syntax.Regexp{left}}
	}
	return left
}

// squeezedNeeds derives what a text without dollars must contain, once the bytes
// of squeezedOut are taken out of it, to match the expression: one of the literals.
// Nothing is known when there are none; never says that it cannot match at all.
func squeezedNeeds(re *syntax.Regexp) (literals []string, never bool) {
	left := squeeze(re)
	if left == nil {
		return nil, true
	}
	found, ok := best(derive(left).all())
	if !ok || found.score() < worthSqueezing {
		return nil, false
	}
	return found.literals, false
}

// worthSqueezing is the score of literals of three letters or two signs: with
// nothing between words, shorter ones are in every text.
const worthSqueezing = 40 + 100*3 - 50

// squeezedWords are words without the bytes of squeezedOut; nil when one of them
// holds a dollar, or is too short to be looked for.
func squeezedWords(words []string) []string {
	var all []string
	for _, w := range words {
		var left []byte
		for i := range len(w) {
			if !squeezedOut.has(w[i]) {
				left = append(left, w[i])
			}
		}
		if len(left) < 3 {
			return nil
		}
		all = append(all, string(left))
	}
	return all
}
