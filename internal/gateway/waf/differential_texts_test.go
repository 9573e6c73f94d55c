package waf

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/types"

	"github.com/apexlogic/apex/internal/clock"
)

// agree holds that a text scores as it does by stock Coraza, and returns the score.
func agree(t *testing.T, ours, theirs *WAF, text string) int {
	t.Helper()
	got, want := ours.Score([]byte(text)), theirs.Score([]byte(text))
	if got.Score != want.Score || got.Complete != want.Complete || !slices.Equal(got.Rules, want.Rules) {
		t.Fatalf("%q:\n ours  %+v\n stock %+v", text, got, want)
	}
	return got.Score
}

// attacks returns the attacks of the corpus.
func attacks() (all []string) {
	for attack := range strings.Lines(attacksText) {
		if !strings.HasPrefix(attack, "# ") {
			all = append(all, strings.TrimSuffix(attack, "\n"))
		}
	}
	return all
}

// mutated changes an attack in a few places: what shells leave out, what browsers
// and databases read over, other spellings of the same, and cuts.
func mutated(r *rand.Rand, attack string) string {
	b := []byte(attack)
	for range r.IntN(4) {
		at := r.IntN(len(b) + 1)
		switch r.IntN(5) {
		case 0:
			b = slices.Insert(b, at, []byte(between[r.IntN(len(between))])...)
		case 1:
			b = append(b[:at], strings.ToUpper(string(b[at:]))...)
		case 2:
			b = b[at:]
		case 3:
			b = b[:at]
		default:
			b = append(b, pieces[r.IntN(len(pieces))]...)
		}
	}
	return string(b)
}

// between is what is put into attacks.
var between = []string{
	" ", "\n", "\r\n", "\t", "\x00", "'", "\"", "''", "\\", "^", ",", ";", "; ", "(", ")", "[", "$", "$x", "${x}", "`", "|", "||", "&&", "=", "<", ">",
	"/", "//", "/./", "/../", ".", "..", ":", "%20", "%2f", "%", "+", "&lt;", "\\u0027", "/**/", "--", "#", "*", "\u00a0", "\u017f", "\u212a", "\xff", "é",
}

func TestScoringTextsWithAttacksInThemAgreesWithStockRules(t *testing.T) {
	p := Strict(clock.System{})
	ours, theirs := newWAF(t, p), stock(t, p)
	r := rand.New(rand.NewPCG(3, 1))
	all, ordinary := attacks(), chats()
	n, found := *requests, 0
	for range n {
		text := mutated(r, all[r.IntN(len(all))])
		switch r.IntN(4) {
		case 0: // by itself
		case 1: // in a sentence
			at := r.IntN(len(prose))
			text = prose[:at] + text + prose[at:]
		case 2: // after code
			chat := ordinary[r.IntN(len(ordinary))]
			text = chat[:r.IntN(len(chat))] + text
		default: // in front of what people write
			text += " " + prose[:r.IntN(len(prose))]
		}
		if agree(t, ours, theirs, text) > 0 {
			found++
		}
	}
	if found < n/4 || found == n {
		t.Errorf("%d of %d texts score: they say nothing", found, n)
	}
}

func TestScoringOrdinaryChatsAgreesWithStockRules(t *testing.T) {
	p := Strict(clock.System{})
	ours, theirs := newWAF(t, p), stock(t, p)
	all := chats()
	step := max(1, len(all)/max(1, *requests/4))
	for i := 0; i < len(all); i += step {
		agree(t, ours, theirs, all[i])
	}
}

// FuzzScore holds scores against those of stock Coraza.
func FuzzScore(f *testing.F) {
	for _, a := range attacks() {
		f.Add(a)
	}
	for _, s := range []string{"C:\\a\\.\\b: ...", ". ..", "a;\n  cat /etc/passwd", "x = \"select\"; drop", "\u212a'; exec(", "it's; \"so\" (at most)"} {
		f.Add(s)
	}
	p := Strict(clock.System{})
	ours, theirs := newWAF(f, p), stock(f, p)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4<<10 {
			return
		}
		agree(t, ours, theirs, text)
	})
}

// FuzzMarkup holds that libinjection finds no script in a text without the bytes
// for want of which it is not asked.
func FuzzMarkup(f *testing.F) {
	for _, s := range []string{"onerror=alert(1)", "<script>", "' onclick x", "\" style `javascript:a", "href\x00 /onload >", "xmlns:a b>"} {
		f.Add(s)
	}
	engine, err := coraza.NewWAF(coraza.NewWAFConfig().WithDirectives(`SecRuleEngine DetectionOnly
SecRule ARGS "@detectXSS" "id:1,phase:2,pass,log,msg:'found'"`))
	if err != nil {
		f.Fatal(err)
	}
	finds := func(text string) bool {
		tx := engine.NewTransaction()
		defer tx.Close()
		tx.AddPostRequestArgument("a", text)
		tx.ProcessRequestHeaders()
		if _, err := tx.ProcessRequestBody(); err != nil {
			return false
		}
		return slices.ContainsFunc(tx.MatchedRules(), func(m types.MatchedRule) bool { return m.Rule().ID() == 1 })
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !finds("<script>") || !finds("a onerror=b") {
			t.Fatal("no script is found where one is")
		}
		without := strings.Map(func(c rune) rune {
			if c < 0x80 && markup.has(byte(c)) {
				return ' '
			}
			return c
		}, text)
		if finds(without) {
			t.Fatalf("a script is found in %q", without)
		}
	})
}
