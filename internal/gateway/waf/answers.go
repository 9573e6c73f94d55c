package waf

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/experimental"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"github.com/apexlogic/apex/verdict"
)

// mostAnswerWork is how many bytes of one answer expressions are run over, each of
// them counted by itself; nearly all are ruled out before. It is half a second of
// CPU at worst, and an answer of that many bytes with one expression to run.
const mostAnswerWork = 16 << 20

// Answer is what is checked of a server's answer, decoded. It is only read during
// the call.
type Answer struct {
	Status int
	// Structure are the texts by which a server speaks of itself: pages, messages
	// of errors, keys and values of data. Each is looked at by itself.
	Structure [][]byte
	// Texts are those that a model wrote, which are scored and never blocked: one
	// that explains an error is no server that leaks it.
	Texts [][]byte
}

// AnswerResult is what the rules say of an answer.
type AnswerResult struct {
	Block bool
	// Code says why, when Block is set: verdict.AnswerBlocked or AnswerUnchecked.
	Code  verdict.Code
	Score int   // of the structure
	Rules []int // ids of the rules that matched the structure, ascending
	Text  int   // score of the texts
	// Partial says that not everything was looked at. Structure is then blocked.
	Partial bool
}

// answerRules are the rules about answers, compiled.
type answerRules struct {
	engine coraza.WAF
	filter *filter
}

// errAnswerWork says that an answer would be too much work.
var errAnswerWork = errors.New("the answer makes the rules look at too much")

func newAnswerRules(p Profile) (*answerRules, error) {
	f, err := newAnswerFilter(coreruleset.FS, p.Paranoia)
	if err != nil {
		return nil, err
	}
	config := coraza.NewWAFConfig().WithRootFS(&ruleFiles{FS: coreruleset.FS, filter: f}).WithDirectives(p.answerDirectives())
	a := &answerRules{filter: f}
	if a.engine, err = coraza.NewWAF(config); err != nil {
		return nil, fmt.Errorf("compile the rules about answers: %w", err)
	}
	return a, nil
}

// CheckAnswer holds an answer against the rules about answers, those about leaked
// errors, source text and web shells. Headers are not looked at, since no rule of
// the set is about them, and an encoding is not, since the answer is decoded. It
// never fails open: structure that cannot be looked at in full is blocked, unless
// the profile only observes answers.
func (w *WAF) CheckAnswer(a *Answer) AnswerResult {
	if w.answers == nil {
		return AnswerResult{}
	}
	structure, err := w.judgeAnswer(a.Status, a.Structure)
	result := AnswerResult{Score: structure.Score, Rules: structure.Rules}
	if len(a.Texts) > 0 {
		texts, partly := w.judgeAnswer(0, a.Texts)
		result.Text, result.Partial = texts.Score, partly != nil
	}
	result.Partial = result.Partial || err != nil
	switch {
	case w.profile.Answers != Block:
	case err != nil:
		result.Block, result.Code = true, verdict.AnswerUnchecked
	case result.Score >= w.profile.AnswerThreshold:
		result.Block, result.Code = true, verdict.AnswerBlocked
	}
	return result
}

// judgeAnswer finds which rules match any of the texts, and has Coraza run those
// over the texts that they match. Mostly there are none.
func (w *WAF) judgeAnswer(status int, texts [][]byte) (result Result, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the engine failed") // not the value: it could hold content
		}
	}()
	f := w.answers.filter
	var set conditions
	var found []string
	work := 0
	for _, b := range texts {
		text := unsafe.String(unsafe.SliceData(b), len(b)) // nobody keeps it
		matched, err := f.matching(text, &set, &work)
		if err != nil {
			return Result{}, err
		}
		if matched {
			found = append(found, text)
		}
	}
	if len(found) == 0 && !(f.statuses && status >= 500) {
		return Result{}, nil
	}
	return w.runAnswer(status, strings.Join(append(found, ""), "\n"), &set)
}

// matching adds to the set the conditions that a text fulfils, and tells whether
// there is one that no text before did.
func (f *filter) matching(text string, set *conditions, work *int) (matched bool, err error) {
	candidates := f.byGroup[inBody]
	if candidates == nil || text == "" {
		return false, nil
	}
	var s scanned
	s.look(f, text)
	for i := range f.conditions {
		if !candidates.has(i) || set.has(i) || !s.could(f, i) {
			continue
		}
		if *work += len(text) + 16; *work > mostAnswerWork {
			return false, errAnswerWork
		}
		c := &f.conditions[i]
		if c.does.change != 0 { // the operator sees the text without its spaces
			// Beyond ASCII there are spaces that the squeezed text keeps.
			if c.does.shift&traits(text, &s.present) == 0 && !s.squeezedHas(f, i) {
				continue
			}
		} else {
			if c.expression != nil && !c.expression.matches(text) {
				continue
			}
			if list := f.lists[i]; list != nil && !list.isIn(text) {
				continue
			}
		}
		set.add(i)
		matched = true
	}
	return matched, nil
}

// runAnswer takes an answer through Coraza, with only the rules in the set.
func (w *WAF) runAnswer(status int, text string, set *conditions) (result Result, err error) {
	f := w.answers.filter
	tx, ok := w.answers.engine.(experimental.WAFWithOptions).NewTransactionWithOptions(experimental.Options{ID: "answer", Context: context.Background()}).(transaction)
	if !ok {
		return Result{}, errors.New("the engine's transactions are not those that this was written for")
	}
	body, ok := tx.Variables().ResponseBody().(interface{ Set(string) })
	if !ok {
		return Result{}, errors.New("the engine's variables are not those that this was written for")
	}
	t := w.texts.Get().(*texts)
	t.allowed = workFactor * (len(text) + 4096)
	f.texts.Store(tx, t)
	defer func() { // a panic goes on, and leaves the transaction to the garbage collector
		f.texts.Delete(tx)
		t.forget()
		w.texts.Put(t)
	}()
	body.Set(text)
	f.skip(tx, set)
	active := w.profile.active()
	for i := range active {
		active[i].apply(tx)
	}
	tx.ProcessResponseHeaders(status, "HTTP/1.1")
	if _, err := tx.ProcessResponseBody(); err != nil {
		return Result{}, fmt.Errorf("run the rules: %w", err)
	}
	score := tx.Variables().TX().Get("blocking_outbound_anomaly_score")
	if len(score) == 0 {
		return Result{}, errors.New("the rules left no score")
	}
	if result.Score, err = strconv.Atoi(score[0]); err != nil {
		return Result{}, fmt.Errorf("the rules left a score that is no number: %w", err)
	}
	result.Rules = matchedIn(tx.MatchedRules(), 950000, 959000)
	return result, tx.Close()
}
