package waf

import (
	"context"

	"github.com/corazawaf/coraza/v3/experimental"
	"github.com/corazawaf/coraza/v3/types"
)

// TextScore says how much a text looks like an attack.
type TextScore struct {
	Score int   // sum of the matched rules' anomaly scores
	Rules []int // ids of the rules that matched, ascending; shared, not to be changed
	// Complete is false when the text could not be looked at in full; its score
	// is then what was found until there.
	Complete bool
}

// MostText is how much of one text is scored at once.
const MostText = 4 << 20

// Score holds a text against the rules about attacks as if it were the value of
// an argument. It decides nothing: text about attacks is not an attack.
//
// A score is kept: a conversation sends all that was said before with every turn,
// and a service the same instructions with every request.
func (w *WAF) Score(text []byte) TextScore {
	if len(text) > MostText {
		score := w.score(string(text[:MostText]))
		score.Complete = false
		return score
	}
	key := w.results.textKey(text)
	if kept, ok := w.results.scores.get(key[0], key); ok {
		return kept
	}
	score := w.score(string(text))
	if score.Complete {
		w.results.scores.put(key[0], key, score)
	}
	return score
}

// score runs the rules over a text.
func (w *WAF) score(value string) (score TextScore) {
	tx, ok := w.text.(experimental.WAFWithOptions).NewTransactionWithOptions(experimental.Options{ID: "text", Context: context.Background()}).(transaction)
	if !ok {
		return TextScore{}
	}
	t := w.texts.Get().(*texts)
	t.allowed = workFactor * (len(value) + 4096)
	w.filter.texts.Store(tx, t)
	defer func() {
		w.filter.texts.Delete(tx)
		t.forget()
		w.texts.Put(t)
		if failure := recover(); failure != nil {
			score.Complete = false
			return
		}
		if err := tx.Close(); err != nil {
			score.Complete = false
		}
	}()
	tx.AddPostRequestArgument("text", value)
	var set conditions
	w.filter.possible(t, inArgNames, "text", &set)
	if candidates := w.filter.byGroup[inArgs]; candidates != nil {
		w.filter.look(t, candidates, value, false, &set) // a text does not come again
	}
	w.filter.skip(tx, &set)
	tx.ProcessRequestHeaders()
	_, err := tx.ProcessRequestBody()
	score = textScore(tx.MatchedRules())
	score.Complete = err == nil
	return score
}

// severityScores are the set's own scores of a rule by its severity.
var severityScores = map[types.RuleSeverity]int{
	types.RuleSeverityCritical: 5, types.RuleSeverityError: 4, types.RuleSeverityWarning: 3, types.RuleSeverityNotice: 2,
}

// textScore adds up the rules about what a value says; those about how a request
// is put together (91x, 92x) have nothing to say of a text.
func textScore(matched []types.MatchedRule) TextScore {
	var s TextScore
	s.Rules = matchedIn(matched, 930000, 949000)
	for _, m := range matched {
		if id := m.Rule().ID(); id >= 930000 && id < 949000 && m.Message() != "" {
			s.Score += severityScores[m.Rule().Severity()]
		}
	}
	return s
}
