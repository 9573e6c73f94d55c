package waf

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"sync"
	"unicode/utf8"

	"github.com/corazawaf/coraza/v3/experimental/plugins"
	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
	"github.com/wasilibs/go-re2"
)

const (
	// operatorName is the name of our operator in rules: @rx with the filter.
	operatorName = "rxNeeds"
	// wordsName is that of @pm and @pmFromFile.
	wordsName = "pmNeeds"
	// multiline is what Coraza puts before every expression.
	multiline = "(?sm)"
	// smallText is the length up to which Go's own matcher is quicker than the
	// way into RE2's memory and back.
	smallText = 24
)

// register makes the operator known to Coraza; its table is the process's.
var register = sync.OnceFunc(func() {
	plugins.RegisterOperator(operatorName, newOperator)
	plugins.RegisterOperator(wordsName, newWords)
})

// expression is one of a rule's, compiled when it is first needed: most never
// are, in most processes.
type expression struct {
	number   int // of its condition; -1 when nothing is known of it
	argument string
	small    func() *regexp.Regexp
	large    func() *re2.Regexp // nil when RE2 does not take it
}

func newExpression(argument string) *expression {
	return &expression{
		number: -1, argument: argument,
		small: sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(multiline + argument) }),
		large: sync.OnceValue(func() *re2.Regexp {
			re, err := re2.Compile(multiline + argument)
			if err != nil {
				return nil
			}
			return re
		}),
	}
}

// largeFor returns RE2's matcher where it is the quicker one; else nil.
func (e *expression) largeFor(text string) *re2.Regexp {
	if len(text) <= smallText || !utf8.ValidString(text) {
		return nil
	}
	return e.large()
}

// matches tells whether the expression matches the text.
func (e *expression) matches(text string) bool {
	if re := e.largeFor(text); re != nil {
		return re.MatchString(text)
	}
	return e.small().MatchString(text)
}

// operator matches an expression against texts that contain what it needs.
type operator struct {
	filter *filter
	*expression
}

var _ plugintypes.Operator = (*operator)(nil)

func newOperator(o plugintypes.OperatorOptions) (plugintypes.Operator, error) {
	files, ok := o.Root.(*ruleFiles)
	if !ok || files.filter == nil {
		return nil, fmt.Errorf("@%s is for the rules that Apex loads itself", operatorName)
	}
	if _, err := syntax.Parse(multiline+o.Arguments, syntax.Perl); err != nil {
		return nil, err
	}
	e := files.filter.expressions[o.Arguments]
	if e == nil { // the filter read the rule otherwise than Coraza, and would be wrong about it
		return nil, fmt.Errorf("@%s: the expression %.40q was not read beforehand", operatorName, o.Arguments)
	}
	return &operator{filter: files.filter, expression: e}, nil
}

// Evaluate tells whether the expression matches the text, and hands its groups
// to the rule when that asks for them.
func (o *operator) Evaluate(tx plugintypes.TransactionState, text string) bool {
	if !o.filter.could(tx, o.number, text) {
		return false
	}
	if !tx.Capturing() {
		return o.matches(text)
	}
	var at []int
	if re := o.largeFor(text); re != nil {
		at = re.FindStringSubmatchIndex(text)
	} else {
		at = o.small().FindStringSubmatchIndex(text)
	}
	if at == nil {
		return false
	}
	for i := 0; i < len(at)/2 && i < 9; i++ { // Coraza keeps nine groups
		if at[2*i] < 0 {
			tx.CaptureField(i, "")
			continue
		}
		tx.CaptureField(i, text[at[2*i]:at[2*i+1]])
	}
	return true
}

// could tells whether a text could fulfil a condition, as far as that is known.
func (f *filter) could(tx plugintypes.TransactionState, number int, text string) bool {
	if number < 0 {
		return true
	}
	var t *texts
	if v, ok := f.texts.Load(tx); ok {
		t = v.(*texts)
		t.spend(len(text))
	}
	return t.scan(f, text).could(f, number)
}
