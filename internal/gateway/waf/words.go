package waf

import (
	"fmt"
	"strings"
	"sync"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
	ahocorasick "github.com/petar-dambovaliev/aho-corasick"
)

// words matches texts that contain one of many words, as Coraza's @pm does and
// with its matcher, which is asked only when one of them is there.
type words struct {
	filter  *filter
	number  int
	matcher func() ahocorasick.AhoCorasick
}

var _ plugintypes.Operator = (*words)(nil)

func newWords(o plugintypes.OperatorOptions) (plugintypes.Operator, error) {
	files, ok := o.Root.(*ruleFiles)
	if !ok || files.filter == nil {
		return nil, fmt.Errorf("@%s is for the rules that Apex loads itself", wordsName)
	}
	list := strings.Split(strings.ToLower(o.Arguments), " ")
	if strings.HasSuffix(o.Arguments, ".data") {
		var err error
		if list, err = wordsOf(files, o.Arguments); err != nil {
			return nil, err
		}
	}
	number, ok := files.filter.words[o.Arguments]
	if !ok { // a rule of a higher level than is in force
		number = -1
	}
	w := &words{filter: files.filter, number: number}
	w.matcher = sync.OnceValue(func() ahocorasick.AhoCorasick { // what is in a list is rarely in a text
		made, err := o.Memoizer.Do(wordsName+":"+o.Arguments, func() (any, error) {
			b := ahocorasick.NewAhoCorasickBuilder(ahocorasick.Opts{AsciiCaseInsensitive: true, MatchKind: ahocorasick.LeftMostLongestMatch})
			return b.Build(list), nil
		})
		if err != nil {
			panic("waf: the words of a rule: " + err.Error()) // blocks what is looked at
		}
		return made.(ahocorasick.AhoCorasick)
	})
	if number >= 0 && files.filter.lists != nil {
		files.filter.lists[number] = w
	}
	return w, nil
}

// Evaluate tells whether one of the words is in the text, and hands the first ten
// to the rule when that asks for them.
func (w *words) Evaluate(tx plugintypes.TransactionState, text string) bool {
	if !w.filter.could(tx, w.number, text) {
		return false
	}
	found := w.matcher().Iter(text)
	n := 0
	for m := found.Next(); m != nil; m = found.Next() {
		if !tx.Capturing() {
			return true
		}
		tx.CaptureField(n, text[m.Start():m.End()])
		if n++; n == 10 {
			break
		}
	}
	return n > 0
}

// isIn tells whether one of the words is in the text.
func (w *words) isIn(text string) bool { return w.matcher().Iter(text).Next() != nil }
