package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/egress"
	"github.com/apexlogic/apex/internal/gateway/message"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/internal/report"
	"github.com/apexlogic/apex/verdict"
)

// PassageSchema is the value of [Passage.Schema].
const PassageSchema = "apex.passage/v1"

// Passage is all that is recorded of one request, message or connection: the
// decision, and what became of it.
type Passage struct {
	Schema  string   `json:"schema"`
	ID      string   `json:"id"`
	Records []Record `json:"records"` // in the order in which they were written
}

// passages are the types of records about what asks to pass, with how each is
// explained.
var passages = map[string]func(*report.Passage, []byte) error{
	gateway.DecisionSchema:  explain(explainDecision),
	gateway.OutcomeSchema:   explain(explainOutcome),
	gateway.StrangersSchema: explain(explainStrangers),
	message.RecordSchema:    explain(explainMessage),
	egress.RecordSchema:     explain(explainEgress),
}

// explain reads what is explained.
func explain[T any](tell func(*report.Passage, *T)) func(*report.Passage, []byte) error {
	return func(p *report.Passage, data []byte) error {
		var v T
		if err := json.Unmarshal(data, &v); err != nil {
			return err
		}
		tell(p, &v)
		return nil
	}
}

// longest is how long after its decision something may still be recorded of a
// request: streams are cut before.
const longest = 25 * time.Hour

// FindPassage returns what the ledgers of a state directory hold about a request,
// a message or a connection outwards. id is the one that its caller was told, or
// that of one of its records. The error wraps ErrNoVerdict where there is nothing.
func FindPassage(ctx context.Context, state string, id ledger.ID) (*Passage, error) {
	dirs, err := SelectLedgers(state, "")
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		p, err := passageIn(ctx, dir, id)
		if err != nil {
			return nil, fmt.Errorf("ledger %s: %w", dir.Dir, err)
		}
		if p != nil {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w about a request %s; apex ledger tail --type %s shows what there is", ErrNoVerdict, id, gateway.DecisionSchema)
}

// passageIn is FindPassage in one ledger; nil: it holds nothing of it.
func passageIn(ctx context.Context, dir LedgerDir, id ledger.ID) (*Passage, error) {
	l, err := ledger.Open(ctx, dir.Dir, ledger.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	switch e, err := l.Get(ctx, id); {
	case err == nil: // a record's: what is it about?
		if _, ok := passages[e.Type]; !ok || e.Erased {
			return nil, nil
		}
		about := passageOf(e.Data)
		if id, err = ledger.ParseID(about); err != nil {
			return &Passage{Schema: PassageSchema, ID: e.ID.String(), Records: []Record{NewRecord(dir.Role, &e)}}, nil
		}
	case !errors.Is(err, ledger.ErrNotFound):
		return nil, err
	}
	// An id is made when a request arrives, and its records follow; the clock may be
	// set back by a little meanwhile.
	from, err := l.Since(id.Time().Add(-time.Minute))
	if err != nil {
		return nil, err
	}
	p := &Passage{Schema: PassageSchema, ID: id.String()}
	text := []byte(`"` + p.ID + `"`)
	for e, err := range l.Records(ctx, from) {
		if err != nil {
			return nil, err
		}
		if _, ok := passages[e.Type]; ok && bytes.Contains(e.Data, text) && (passageOf(e.Data) == p.ID || e.Type == gateway.StrangersSchema) {
			p.Records = append(p.Records, NewRecord(dir.Role, &e))
		}
		if e.Time.Sub(id.Time()) > longest {
			break
		}
	}
	if p.Records == nil {
		return nil, nil
	}
	return p, nil
}

// passageOf returns the id of what a record is about.
func passageOf(data []byte) string {
	var about struct{ Request, ID string }
	if json.Unmarshal(data, &about) != nil {
		return ""
	}
	if about.Request != "" { // of a message, whose ID is its producer's
		return about.Request
	}
	return about.ID
}

// Explain says what was decided, why, and what mends it.
func (p *Passage) Explain(now time.Time) (*report.Passage, error) {
	out := &report.Passage{ID: p.ID}
	for i := range p.Records {
		r := &p.Records[i]
		if r.Erased {
			out.Say("erased", "record "+r.ID)
			continue
		}
		if err := passages[r.Type](out, r.Data); err != nil {
			return nil, fmt.Errorf("record %s: %w", r.ID, err)
		}
		out.Say("record", r.ID+", "+report.Ago(now.Sub(r.Time)))
	}
	return out, nil
}

// judged is the beginning of each line and explanation.
func judged(allowed bool) verdict.Decision {
	if allowed {
		return verdict.Allow
	}
	return verdict.Deny
}

// somebody is who asked, for people.
func somebody(principal string) string {
	if principal == "" {
		return "nobody who is known"
	}
	return principal
}

func explainDecision(p *report.Passage, d *gateway.Decision) {
	p.Kind, p.Decision = "request", judged(d.Allowed)
	p.Refused(verdict.Code(d.Code), d.Detail)
	p.Say("stage", d.Stage)
	p.Say("who", line(somebody(d.Principal), bracketed(d.Method)))
	p.Say("asked", line(d.Action, d.Model, d.Digest))
	p.Say("class", d.Class)
	p.Say("route", line(d.Route, bracketed(d.Door)))
	p.Say("policies", strings.Join(d.Policies, ", "))
	p.Say("observed", strings.Join(d.Observed, ", "))
	if d.Bytes > 0 {
		p.Say("body", fmt.Sprintf("%d bytes, sha256:%s", d.Bytes, d.Body))
	}
	for i := range d.Parts {
		part := &d.Parts[i]
		p.Say("part", fmt.Sprintf("%s, %d bytes, %s", line(part.Kind.String(), part.Type, part.Where), part.Bytes, line(part.Digest, part.From)))
	}
	if w := d.WAF; w != nil {
		p.Say("firewall", fmt.Sprintf("%s: score %d, of texts %d%s", w.RuleSet, w.Score, w.Text, listed(", rules", w.Rules)))
	}
	if d.Tokens != (gateway.Tokens{}) {
		p.Say("tokens", fmt.Sprintf("%d in, %d out, as predicted", d.Tokens.Input, d.Tokens.Output))
	}
	p.Say("trace", d.Trace)
	p.Say("in force", d.Generation)
}

func codesOf(s *gateway.Strangers) []string {
	var codes []string
	for code := range s.Denied {
		codes = append(codes, string(code))
	}
	slices.Sort(codes)
	return codes
}

func explainStrangers(p *report.Passage, s *gateway.Strangers) {
	p.Kind, p.Decision = "request", verdict.Deny
	for _, code := range codesOf(s) {
		ids := s.Denied[verdict.Code(code)]
		if slices.Contains(ids, p.ID) || p.ID == s.ID {
			p.Refused(verdict.Code(code), "")
			p.Say("who", fmt.Sprintf("nobody who is known, one of %d of whom so little is recorded, since they came too fast", len(ids)))
		}
	}
	p.Say("in force", s.Generation)
}

// bracketed is a remark.
func bracketed(text string) string {
	if text == "" {
		return ""
	}
	return "(" + text + ")"
}

// listed names numbers, where there are some.
func listed(label string, all []int) string {
	if len(all) == 0 {
		return ""
	}
	return label + " " + strings.Trim(fmt.Sprint(all), "[]")
}

// endOf says how a request was answered.
func endOf(o *gateway.Outcome) string {
	if o.Status == 0 {
		return fmt.Sprintf("no answer after %d ms", o.Milliseconds)
	}
	return fmt.Sprintf("%d with %d bytes after %d ms", o.Status, o.Bytes, o.Milliseconds)
}

func explainOutcome(p *report.Passage, o *gateway.Outcome) {
	p.Kind = "request"
	p.Say("answered", endOf(o))
	if o.Attempts > 1 {
		p.Say("sent", fmt.Sprintf("%d times", o.Attempts))
	}
	if s := o.Stream; s != nil {
		p.Say("stream", fmt.Sprintf("%d events, %d bytes, %d pieces of media", s.Events, s.Bytes, s.Parts))
	}
	if o.Code != "" {
		p.Refused(verdict.Code(o.Code), "")
	}
}

func explainMessage(p *report.Passage, m *message.Record) {
	p.Kind, p.Decision = "message", judged(m.Allowed)
	p.Refused(verdict.Code(m.Code), m.Detail)
	p.Say("who", line(somebody(m.Principal), bracketed(m.Method)))
	p.Say("event", line(m.Type, m.Source, m.ID))
	p.Say("data", fmt.Sprintf("%d bytes, %s", m.Bytes, m.Data))
	for i := range m.Parts {
		part := &m.Parts[i]
		p.Say("part", fmt.Sprintf("%s, %d bytes, %s", line(part.Kind.String(), part.Type, part.Where), part.Bytes, part.Digest))
	}
	if m.Repeated {
		p.Say("repeated", "it had been passed on before")
	}
}

func explainEgress(p *report.Passage, c *egress.Record) {
	p.Kind = "connection"
	p.Refused(verdict.Code(c.Code), c.Detail)
	if c.Event == egress.Closed {
		p.Say("carried", fmt.Sprintf("%d bytes out, %d bytes in, in %s", c.Sent, c.Received, c.Lasted))
		return
	}
	p.Decision = judged(c.Allowed)
	p.Say("who", line(somebody(c.Principal), bracketed(c.Method)))
	p.Say("to", line(fmt.Sprintf("%s:%d", c.Host, c.Port), bracketed(c.Address), c.Kind))
	p.Say("policies", strings.Join(c.Policies, ", "))
	p.Say("in force", c.Generation)
}
