// Package waf holds requests against the OWASP Core Rule Set, with Coraza.
//
// Start with [New] (an engine from a [Profile]), [WAF.Check] (may this request
// pass, by its line, its headers and the structure of its body?) and [WAF.Score]
// (how much does this text look like an attack?). Structure is what programs act
// on: keys, control fields, file names, arguments of tools; there the rules block.
// Free text is what people write, to whom the rules are as strict as to programs
// and mostly wrong; there they only count. Binary content never comes here.
//
// The rules are those of github.com/corazawaf/coraza-coreruleset, unchanged, and
// Coraza runs them. What is ours is that most rules need not be run: from every
// expression it is derived what any match must contain, one pass over a text
// finds which of those are there, and a rule whose needs are not met is left out.
// The answer is the same as without, which the tests hold.
//
// [WAF.CheckAnswer] does the same for what a server answers, by the rules about
// leaks (95x): how a server speaks of itself is blocked, what a model writes is
// scored. Streams do not come here; they are inspected while they pass.
package waf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/experimental"
	"github.com/corazawaf/coraza/v3/types"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"github.com/apexlogic/apex/verdict"
)

// Bounds of what one request may bring before the rules. Reaching one blocks:
// what was not looked at does not pass.
const (
	// MostFields is how many query arguments and fields of the body together are
	// looked at. It is below Coraza's own limit, at which that drops silently.
	MostFields = 900
	// MostBytes is how long the URI, the headers and all fields may be together.
	// Structure is short: arguments of a tool of some pages fit.
	MostBytes = 256 << 10
	// workFactor bounds how often the rules may look at a byte; the whole set at
	// the highest paranoia level, over every transformation, needs a third of it.
	workFactor = 1500
)

// Field is a name with its value.
type Field struct{ Name, Value string }

// Request is what is checked of a request. The strings are only read during the
// call.
type Request struct {
	Method   string // "POST"
	URI      string // path and query, as they were sent
	Protocol string // "HTTP/1.1"
	// Headers in the order they came, Host and Cookie among them.
	Headers []Field
	// Fields are the structure of the body: keys (the path to one, joined by
	// dots, with an empty value), control fields, arguments of tools. Numbers,
	// booleans and free text do not belong here.
	Fields []Field
	// Files are the fields of a form that hold a file, with the file's name.
	Files []Field
}

// Result is the answer about a request.
type Result struct {
	Block bool
	// Code says why, when Block is set: verdict.WAFBlocked, WAFLimit or WAFFailed.
	Code  verdict.Code
	Score int   // sum of the matched rules' anomaly scores
	Rules []int // ids of the rules that matched, ascending; shared, not to be changed
	// Cached says that the same request was checked before by this engine.
	Cached bool
}

// WAF is a compiled profile. It is safe for concurrent use until it is closed.
type WAF struct {
	profile Profile
	engine  coraza.WAF
	text    coraza.WAF   // for Score
	answers *answerRules // nil: answers are not looked at
	filter  *filter
	results *results
	texts   sync.Pool
}

// New compiles a profile. It takes some 200 ms of CPU: an engine is made when its
// profile changes, never for a request. Close releases what it shares with others.
func New(p Profile) (*WAF, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	if err := p.excludable(coreruleset.FS); err != nil {
		return nil, err
	}
	return compile(p, p.directives())
}

func compile(p Profile, directives string) (*WAF, error) {
	register()
	f, err := newFilter(coreruleset.FS, p.Paranoia)
	if err != nil {
		return nil, err
	}
	w := &WAF{profile: p, filter: f, results: newResults(), texts: sync.Pool{New: func() any { return new(texts) }}}
	config := coraza.NewWAFConfig().WithRootFS(&ruleFiles{FS: coreruleset.FS, filter: f})
	if w.engine, err = coraza.NewWAF(config.WithDirectives(directives)); err != nil {
		return nil, fmt.Errorf("compile the rules: %w", err)
	}
	if w.text, err = coraza.NewWAF(config.WithDirectives(p.textDirectives())); err != nil {
		return nil, errors.Join(fmt.Errorf("compile the rules for texts: %w", err), closeEngine(w.engine))
	}
	if p.Answers != 0 {
		if w.answers, err = newAnswerRules(p); err != nil {
			return nil, errors.Join(err, w.Close())
		}
	}
	return w, nil
}

// Close releases the engine's share of what Coraza keeps for the whole process.
// No Check may be under way, or come after.
func (w *WAF) Close() error {
	err := errors.Join(closeEngine(w.engine), closeEngine(w.text))
	if w.answers != nil {
		err = errors.Join(err, closeEngine(w.answers.engine))
	}
	return err
}

func closeEngine(engine coraza.WAF) error {
	if c, ok := engine.(experimental.WAFCloser); ok {
		return c.Close()
	}
	return nil
}

// Check holds a request against the rules. It never fails open: what cannot be
// looked at in full, and whatever goes wrong, is blocked with its code.
func (w *WAF) Check(r *Request) Result {
	size := len(r.URI) + len(r.Method) + len(r.Protocol)
	for _, fields := range [...][]Field{r.Headers, r.Fields, r.Files} {
		for i := range fields {
			size += len(fields[i].Name) + len(fields[i].Value)
		}
	}
	arguments := len(r.Fields) + len(r.Files) + strings.Count(r.URI, "&") + 1
	if size > MostBytes || arguments > MostFields || len(r.Headers) > MostFields {
		return Result{Block: true, Code: verdict.WAFLimit}
	}
	active := w.profile.active()
	key := w.results.key(r, len(active))
	if kept, ok := w.results.checks.get(key[0], key); ok {
		kept.Cached = true
		return kept
	}
	result, err := w.run(r, active, size)
	if err != nil {
		return Result{Block: true, Code: verdict.WAFFailed}
	}
	if result.Score >= w.profile.BlockingThreshold && w.profile.Mode == Block {
		result.Block, result.Code = true, verdict.WAFBlocked
	}
	w.results.checks.put(key[0], key, result)
	return result
}

// run takes a request through Coraza. A panic there is an error; its transaction
// is left to the garbage collector, since nobody knows its state.
func (w *WAF) run(r *Request, active []Exclusion, size int) (result Result, err error) {
	tx, ok := w.engine.(experimental.WAFWithOptions).NewTransactionWithOptions(experimental.Options{ID: "request", Context: context.Background()}).(transaction)
	if !ok {
		return Result{}, errors.New("the engine's transactions are not those that this was written for")
	}
	t := w.texts.Get().(*texts)
	t.allowed = workFactor * (size + 4096)
	w.filter.texts.Store(tx, t)
	defer func() {
		w.filter.texts.Delete(tx)
		t.forget()
		w.texts.Put(t)
		if failure := recover(); failure != nil {
			err = errors.New("the engine failed") // not the value: it could hold content
			return
		}
		err = errors.Join(err, tx.Close())
	}()

	tx.ProcessURI(r.URI, r.Method, r.Protocol)
	for i := range r.Headers {
		h := &r.Headers[i]
		if strings.EqualFold(h.Name, "host") {
			tx.SetServerName(h.Value)
		}
		tx.AddRequestHeader(h.Name, steady(h.Name, h.Value))
	}
	for i := range r.Fields {
		tx.AddPostRequestArgument(r.Fields[i].Name, r.Fields[i].Value)
	}
	v := tx.Variables()
	for i := range r.Files {
		v.Files().Add("", r.Files[i].Value)
		v.FilesNames().Add("", r.Files[i].Name)
		tx.AddPostRequestArgument(r.Files[i].Name, r.Files[i].Value) // a name is held against all rules, not only those about uploads
	}
	if v.ArgumentsLimitReached().Get() != "0" {
		return Result{Block: true, Code: verdict.WAFLimit}, nil
	}
	w.leaveOut(tx, t, r)
	for i := range active {
		active[i].apply(tx)
	}
	tx.ProcessRequestHeaders()
	if _, err := tx.ProcessRequestBody(); err != nil {
		return Result{}, fmt.Errorf("run the rules: %w", err)
	}
	return resultOf(tx)
}

// transaction is what is used of Coraza's transactions.
type transaction interface {
	types.Transaction
	skipper
	io.Closer
}

// leaveOut leaves out the rules that no value of the request can match.
func (w *WAF) leaveOut(tx transaction, t *texts, r *Request) {
	var set conditions
	f, v := w.filter, tx.Variables()
	for _, s := range [...]string{
		r.Method, r.Protocol, v.RequestLine().Get(), v.RequestURI().Get(), r.URI,
		v.RequestFilename().Get(), v.RequestBasename().Get(), v.QueryString().Get(),
	} {
		f.possible(t, inLine, s, &set)
	}
	cookies := false
	for i := range r.Headers {
		h := &r.Headers[i]
		f.possible(t, inHeaderNames, h.Name, &set)
		f.possible(t, inHeaders, steady(h.Name, h.Value), &set)
		cookies = cookies || strings.EqualFold(h.Name, "cookie")
	}
	if cookies {
		for _, c := range v.RequestCookies().FindAll() {
			f.possible(t, inCookieNames, c.Key(), &set)
			f.possible(t, inCookies, c.Value(), &set)
		}
	}
	if strings.IndexByte(r.URI, '?') >= 0 {
		for _, a := range v.ArgsGet().FindAll() {
			f.possible(t, inArgNames, a.Key(), &set)
			f.possible(t, inArgs, a.Value(), &set)
		}
	}
	for i := range r.Fields {
		f.possible(t, inArgNames, r.Fields[i].Name, &set)
		f.possible(t, inArgs, r.Fields[i].Value, &set)
	}
	for i := range r.Files {
		f.possible(t, inArgNames, r.Files[i].Name, &set)
		f.possible(t, inArgs, r.Files[i].Value, &set)
		f.possible(t, inFiles, r.Files[i].Name, &set)
		f.possible(t, inFiles, r.Files[i].Value, &set)
	}
	f.skip(tx, &set)
}

// resultOf reads what the rules have added up.
func resultOf(tx transaction) (Result, error) {
	var result Result
	vars := tx.Variables().TX()
	score := vars.Get("blocking_inbound_anomaly_score")
	if len(score) == 0 {
		return Result{}, errors.New("the rules left no score")
	}
	var err error
	if result.Score, err = strconv.Atoi(score[0]); err != nil {
		return Result{}, fmt.Errorf("the rules left a score that is no number: %w", err)
	}
	result.Rules = matchedIn(tx.MatchedRules(), 911000, 949000)
	return result, nil
}

// matchedIn returns the ids from one to before another among those that matched:
// not of the rules that initialise, and not of those that judge the sum.
func matchedIn(matched []types.MatchedRule, from, to int) []int {
	var ids []int
	for _, m := range matched {
		if id := m.Rule().ID(); id >= from && id < to && m.Message() != "" {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// forget makes the texts ready for the next transaction, without holding on to
// what the last one brought.
func (t *texts) forget() {
	clear(t.kept)
	t.kept, t.short.text, t.last, t.work = t.kept[:0], "", 0, 0
}
