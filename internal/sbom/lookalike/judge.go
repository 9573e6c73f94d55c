package lookalike

import "strings"

// The shortest words in which a slip is told from another word. In four letters
// nearly every slip is a word; from seven on hardly any is.
const (
	minSame    = 4 // for what reads the same
	minSwapped = 5 // for swapped and doubled letters and neighbouring keys
	minLetter  = 6 // for a letter too many or too few
	minOther   = 7 // for any other letter
)

// of judges a name in its normal form.
func (t *table) of(name string) (Like, bool) {
	if t.names[name] || name == "" {
		return Like{}, false
	}
	if strings.HasPrefix(name, "@") {
		return t.scoped(name)
	}
	if same, ok := t.squashed[squash(name)]; ok && len(name) >= minSame {
		return Like{same, Separator}, true
	}
	if same, ok := t.skeleton[skeleton(name)]; ok && len(name) >= minSame {
		return Like{same, Homoglyph}, true
	}
	if words := split(name); len(words) > 1 {
		if same, ok := t.ordered[inOrder(words)]; ok {
			return Like{same, WordOrder}, true
		}
	}
	if like, ok := t.added(name); ok {
		return like, true
	}
	return nearest(name, t.near)
}

// added looks for a name of the table behind words that add nothing. A project
// that publishes builds for hardware under such names has them in the table, and
// then another build of it is taken for its own.
func (t *table) added(name string) (Like, bool) {
	if rest := t.unglued(name); rest != "" {
		return Like{rest, Affix}, true
	}
	core, built := t.strip(name)
	if core == name || len(core) < minSame || built && t.builds[core] {
		return Like{}, false
	}
	if t.names[core] {
		return Like{core, Affix}, true
	}
	if same, ok := t.core[core]; ok && !built {
		return Like{same, Affix}, true
	}
	return Like{}, false
}

// unglued takes a language off that stands without a separator ("nodefabric",
// "typescriptjs"), where what is left is a name of the table; else it returns "".
func (t *table) unglued(name string) string {
	for _, word := range t.glued {
		for _, rest := range [...]string{strings.TrimPrefix(name, word), strings.TrimSuffix(name, word)} {
			if rest != name && len(rest) >= minSwapped && t.names[rest] {
				return rest
			}
		}
	}
	return ""
}

// scoped judges the scope alone: who owns one owns all names in it.
func (t *table) scoped(name string) (Like, bool) {
	scope, _, _ := strings.Cut(name, "/")
	if t.scopes[scope] {
		return Like{}, false
	}
	for other := range t.scopes {
		if len(scope) > minSame && (squash(scope) == squash(other) || skeleton(scope) == skeleton(other)) {
			return Like{other, Scope}, true
		}
	}
	like, ok := nearest(scope, t.nearScope)
	if !ok {
		return Like{}, false
	}
	return Like{like.Name, Scope}, true
}

// nearest looks for a name that is one slip away; the likeliest slip counts.
func nearest(name string, names near) (Like, bool) {
	best, rank := Like{}, len(slips)
	for n := len(name) - 1; n <= len(name)+1; n++ {
		for _, key := range keysOf(name, n) {
			for _, other := range names[key] {
				kind, ok := slip(name, other)
				if !ok {
					continue
				}
				for r, k := range slips[:rank] {
					if k == kind {
						best, rank = Like{other, kind}, r
					}
				}
			}
		}
	}
	return best, best.Name != ""
}

// slips are the kinds that slip tells, the likeliest first.
var slips = [...]Kind{Transposed, Doubled, Neighbour, Missing, Extra, Replaced}

// slip tells the one slip that makes name out of other. One that concerns a
// digit is none: projects count their generations (markdown2, psycopg3).
func slip(name, other string) (Kind, bool) {
	p := 0
	for p < len(name) && p < len(other) && name[p] == other[p] {
		p++
	}
	s := 0
	for s < len(name)-p && s < len(other)-p && name[len(name)-1-s] == other[len(other)-1-s] {
		s++
	}
	got, want := name[p:len(name)-s], other[p:len(other)-s]
	if len(got) > 2 || len(want) > 2 || strings.ContainsAny(got+want, "0123456789-_.@/") {
		return "", false
	}
	word := wordAt(other, p)
	switch {
	case len(got) == 2 && len(want) == 2:
		return Transposed, got[0] == want[1] && got[1] == want[0] && word >= minSwapped
	case len(got) == 1 && len(want) == 1:
		if neighbours(got[0], want[0]) {
			return Neighbour, word >= minSwapped
		}
		return Replaced, word >= minOther
	case len(got) == 1 && want == "":
		if doubles(name, p) {
			return Doubled, word >= minSwapped
		}
		return Extra, word >= minLetter
	case got == "" && len(want) == 1:
		if doubles(other, p) {
			return Doubled, word >= minSwapped
		}
		return Missing, word >= minLetter
	}
	return "", false
}

// doubles says whether the letter at the place stands beside itself.
func doubles(s string, at int) bool {
	return at > 0 && s[at-1] == s[at] || at+1 < len(s) && s[at+1] == s[at]
}

// wordAt is the length of the word of the name that the place is in.
func wordAt(name string, at int) int {
	const separators = "-_./@"
	from := strings.LastIndexAny(name[:at], separators) + 1
	if n := strings.IndexAny(name[at:], separators); n >= 0 {
		return at + n - from
	}
	return len(name) - from
}

// rows of a keyboard; each is shifted by about half a key against the one above.
var rows = [...]string{"qwertyuiop", "asdfghjkl", "zxcvbnm"}

// neighbours says whether two letters are on keys that touch.
func neighbours(a, b byte) bool {
	ra, ca := keyOf(a)
	rb, cb := keyOf(b)
	if ra < 0 || rb < 0 {
		return false
	}
	if ra > rb {
		ra, ca, rb, cb = rb, cb, ra, ca
	}
	switch rb - ra {
	case 0:
		return ca-cb == 1 || cb-ca == 1
	case 1: // the lower key touches the one above it and the one to the right of that
		return ca == cb || ca == cb+1
	}
	return false
}

func keyOf(c byte) (row, column int) {
	for r, keys := range rows {
		if i := strings.IndexByte(keys, c); i >= 0 {
			return r, i
		}
	}
	return -1, -1
}
