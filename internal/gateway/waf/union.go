package waf

import (
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/wasilibs/go-re2"
)

// Some expressions hold no literal that prose is without: those about commands,
// which are short words after a line's end. RE2 would run each over the whole
// text, to find nothing. So several are run as one first, which takes as long as
// one of them; only where that matches is it asked which.

// together are the rules whose expressions are run as one. They have parts in
// common, or nothing that goes on over a text, so that RE2's automaton does not
// multiply. A rule that ordinary prose often matches is in none.
var together = [...][]int{
	{932125, 932370, 932380},                 // commands of Windows, after what ends another
	{932230, 932250, 932260, 932340},         // commands of Unix, likewise
	{930100, 933160, 942190, 942350, 942360}, // paths, functions of PHP, SQL
}

// union is several conditions, one of which a text can only fulfil when it
// matches one expression.
type union struct {
	members []int
	matcher func() *re2.Regexp // nil when RE2 does not take it
}

// unite makes the unions of the conditions that there are.
func (f *filter) unite() {
	for _, rules := range together {
		var u union
		var all []string
		for _, id := range rules {
			for i := range f.conditions {
				// What ignores case says the same of a text as of that in lower case,
				// which is what some of the rules see.
				c := &f.conditions[i]
				if c.rule == id && c.expression != nil && !c.does.cuts && strings.HasPrefix(c.expression.argument, "(?i)") {
					u.members = append(u.members, i)
					all = append(all, "(?:"+c.expression.argument+")")
				}
			}
		}
		if len(all) < 2 {
			continue
		}
		u.matcher = sync.OnceValue(func() *re2.Regexp {
			re, err := re2.Compile(multiline + strings.Join(all, "|"))
			if err != nil {
				return nil
			}
			return re
		})
		f.unions = append(f.unions, u)
	}
}

// narrow takes conditions from the set that a text does not fulfil, as a union of
// them says, when they were not in the set before and see the text as it is, but
// for the case of letters.
func (f *filter) narrow(t *texts, s *scanned, has trait, before, set *conditions) {
	if s.present[2]|s.present[3] != 0 && !utf8.ValidString(s.text) {
		return // not for RE2
	}
	for i := range f.unions {
		u := &f.unions[i]
		var open conditions
		n := 0
		for _, m := range u.members {
			if set.has(m) && !before.has(m) && f.conditions[m].does.change&has == 0 {
				open.add(m)
				n++
			}
		}
		if n < 2 {
			continue
		}
		re := u.matcher()
		if re == nil {
			continue
		}
		t.spend(len(s.text))
		if !re.MatchString(s.text) {
			for w := range set {
				set[w] &^= open[w]
			}
		}
	}
}
