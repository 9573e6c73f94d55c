package waf

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/clock"
)

// united holds that a union says of a text what its members say, of the text and
// of it in lower case, and returns whether it matches.
func united(t *testing.T, f *filter, u *union, text string) bool {
	t.Helper()
	re := u.matcher()
	if re == nil {
		t.Fatal("RE2 does not take a union")
	}
	any := slices.ContainsFunc(u.members, func(m int) bool {
		e := f.conditions[m].expression.large()
		return e.MatchString(text) || e.MatchString(strings.ToLower(text))
	})
	if re.MatchString(text) != any {
		t.Fatalf("the union of %v says %v of %q, its members %v", u.members, !any, text, any)
	}
	return any
}

func TestAUnionSaysWhatItsMembersSay(t *testing.T) {
	f := newWAF(t, Strict(clock.System{})).filter
	r := rand.New(rand.NewPCG(4, 1))
	all, ordinary := attacks(), chats()
	for i := range f.unions {
		u := &f.unions[i]
		if len(u.members) != len(together[i]) {
			t.Errorf("of the rules %v only %d are known", together[i], len(u.members))
		}
		matched := 0
		const texts = 400
		for range texts {
			text := ordinary[r.IntN(len(ordinary))]
			if r.IntN(2) == 0 {
				text = text[:r.IntN(len(text))] + mutated(r, all[r.IntN(len(all))])
			}
			if utf8.ValidString(text) && !strings.ContainsAny(text, "\u017f\u212a") && united(t, f, u, text) {
				matched++
			}
		}
		if matched == 0 || matched == texts {
			t.Errorf("%d of %d texts match the union of %v: they say nothing", matched, texts, together[i])
		}
	}
	if len(f.unions) != len(together) {
		t.Errorf("there are %d unions of %d", len(f.unions), len(together))
	}
}

func TestAUnionTakesBackOnlyWhatItsTextWasSaidToFulfil(t *testing.T) {
	f := newWAF(t, Strict(clock.System{})).filter
	members := f.unions[0].members
	of := func(which []int) (set conditions) {
		for _, m := range which {
			set.add(m)
		}
		return set
	}
	text := "An ordinary sentence; it goes on."
	attack := "An ordinary sentence; powershell goes on."
	for _, tc := range []struct {
		name         string
		text         string
		before, want []int
	}{
		{"prose", text, nil, nil},
		{"an attack", attack, nil, members},
		{"prose after another value that could match", text, members[:1], members[:1]},
		{"prose after others that could match, but for one", text, members[1:], members},
		{"bytes that are no text", text + "\xff", nil, members},
	} {
		before, set := of(tc.before), of(members)
		var s scanned
		s.look(f, tc.text)
		f.narrow(&texts{allowed: 1 << 20}, &s, traits(tc.text, &s.present), &before, &set)
		if want := of(tc.want); set != want {
			t.Errorf("%s: %v is left of %v, want %v", tc.name, set, members, want)
		}
	}
}

// FuzzUnion holds unions to their members over any text.
func FuzzUnion(f *testing.F) {
	for _, a := range attacks() {
		f.Add("It says so.\n" + a)
	}
	w := newWAF(f, Strict(clock.System{}))
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4<<10 || !utf8.ValidString(text) || strings.ContainsAny(text, "\u017f\u212a") {
			return // those are not looked at so
		}
		for i := range w.filter.unions {
			united(t, w.filter, &w.filter.unions[i], text)
		}
	})
}
