package waf

import (
	"errors"
	"hash/maphash"
	"math/bits"
	"strings"
	"unsafe"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
)

// scanned is what the filter found in one text.
type scanned struct {
	text    string
	found   conditions
	present byteSet
	// odd texts hold a letter whose lower case is in ASCII while it is not: the
	// long s and the Kelvin sign. Nothing is said about them.
	odd bool

	squeezed     conditions // what was found in the text when it is squeezed
	squeezedDone bool
}

func (s *scanned) look(f *filter, text string) {
	s.text, s.found, s.present, s.squeezedDone = text, conditions{}, byteSet{}, false
	f.literals.scan(text, &s.found, &s.present)
	s.odd = s.present[2]|s.present[3] != 0 && (strings.Contains(text, "\u017f") || strings.Contains(text, "\u212a"))
}

// could tells whether the text could fulfil a condition.
func (s *scanned) could(f *filter, number int) bool {
	c := &f.conditions[number]
	return s.odd || c.could(&s.found, &s.present) && s.couldSqueezed(f, number)
}

// couldSqueezed tells whether the squeezed text could.
func (s *scanned) couldSqueezed(f *filter, number int) bool {
	c := &f.conditions[number]
	if !c.squeezed && !c.never || len(s.text) < keptText || s.present.has(dollar) {
		return true
	}
	return !c.never && s.squeezedHas(f, number)
}

// squeezedHas tells whether the squeezed text has a literal of a condition.
func (s *scanned) squeezedHas(f *filter, number int) bool {
	if !s.squeezedDone {
		s.squeezed, s.squeezedDone = conditions{}, true
		f.squeezed.scanSqueezed(s.text, &s.squeezed)
	}
	return s.squeezed.has(number)
}

const (
	// keptText is the length from which the answer about a text is kept for the
	// next rule that looks at it; shorter ones are scanned as quickly as found.
	keptText = 48
	// keptTexts is how many are kept: one request has few values, in a few dozen
	// transformations at most.
	keptTexts = 64
)

// texts keeps what was found in the texts of one transaction.
type texts struct {
	kept    []scanned
	short   scanned
	last    int
	work    int // bytes that operators have looked at
	allowed int
}

// errBudget ends a transaction that makes the rules look at too much.
var errBudget = errors.New("the request makes the rules look at too much")

// spend counts what an operator looks at. It panics when that is too much, since
// an operator has no other way to end a transaction; Check recovers.
func (t *texts) spend(n int) {
	if t.work += n + 16; t.work > t.allowed {
		panic(errBudget)
	}
}

// scan returns what is found in a text; it is valid until the next call. A nil
// receiver keeps nothing.
func (t *texts) scan(f *filter, text string) *scanned {
	if t == nil {
		t = new(texts)
	}
	if len(text) < keptText {
		t.short.look(f, text)
		return &t.short
	}
	for i := range t.kept {
		s := &t.kept[(i+t.last)%len(t.kept)] // mostly the one of the rule before
		if len(s.text) == len(text) && (unsafe.StringData(s.text) == unsafe.StringData(text) || s.text == text) {
			t.last = (i + t.last) % len(t.kept)
			return s
		}
	}
	if len(t.kept) == keptTexts {
		t.short.look(f, text)
		return &t.short
	}
	t.kept = append(t.kept, scanned{})
	t.last = len(t.kept) - 1
	s := &t.kept[t.last]
	s.look(f, text)
	return s
}

// skipper is what Coraza's transactions can do beside their interface.
type skipper interface {
	plugintypes.TransactionState
	RemoveRuleByID(id int)
}

// possible adds to the set the conditions that a value in a group could fulfil.
func (f *filter) possible(t *texts, in group, value string, set *conditions) {
	candidates := f.byGroup[in]
	if candidates == nil {
		return
	}
	if len(value) > keptValue {
		f.look(t, candidates, value, false, set)
		return
	}
	hash := maphash.String(f.seed, value)
	if known, ok := f.values.get(hash, groupValue{in, value}); ok {
		set.join(&known)
		return
	}
	var own conditions
	f.look(t, candidates, value, true, &own)
	f.values.put(hash, groupValue{in, strings.Clone(value)}, own)
	set.join(&own)
}

// look finds the conditions that a value could fulfil; when it is exact, by
// running those expressions that see the value as it is. That pays for short
// values, which come again.
func (f *filter) look(t *texts, candidates *conditions, value string, exact bool, set *conditions) {
	s := t.scan(f, value)
	if s.odd {
		set.join(candidates)
		return
	}
	has := traits(value, &s.present)
	before := *set
	moved := s.present
	moved.join(&mayAdd)
	lowered := value
	if exact {
		lowered = strings.ToLower(value)
	}
	for w := range candidates {
		for rest := candidates[w] &^ set[w]; rest != 0; rest &= rest - 1 {
			i := w<<6 + bits.TrailingZeros64(rest)
			c := &f.conditions[i]
			switch {
			case c.does.create&has != 0:
				set.add(i) // what the operator will see is not known here
			case c.does.change&has != 0:
				if c.holds(&moved) && (c.does.shift&has != 0 || s.couldSqueezed(f, i)) {
					set.add(i)
				}
			case !s.could(f, i):
			case exact && c.expression != nil && !c.does.cuts:
				if c.expression.matches(value) || lowered != value && c.expression.matches(lowered) {
					set.add(i)
				}
			default:
				set.add(i)
			}
		}
	}
	if !exact {
		f.narrow(t, s, has, &before, set)
	}
}

// keptValue is the length up to which it is kept what a value could match: keys,
// roles and names of models come with every request.
const keptValue = 128

type groupValue struct {
	in    group
	value string
}

// skip leaves out of a transaction every rule whose condition is not in the set.
func (f *filter) skip(tx skipper, set *conditions) {
	for i := range f.conditions {
		if id := f.conditions[i].rule; id != 0 && !set.has(i) {
			tx.RemoveRuleByID(id)
		}
	}
}
