package scanhub

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

const (
	baselineSchema = "apex.scan-baseline/v1"
	// maxBaseline is 50,000 accepted findings of 300 bytes.
	maxBaseline = 16 << 20
	dateFormat  = "2006-01-02"
)

// Baseline lists findings that people know and have accepted for a time. It is
// a file in Git, reviewed like any other: what it lists does not block.
type Baseline struct {
	Schema   string     `json:"schema"`
	Findings []Accepted `json:"findings"`
	index    map[string]int
}

// Accepted is one finding that does not block until it expires.
type Accepted struct {
	Fingerprint string `json:"fingerprint"`
	// Others are the finding's names where one tool alone finds it.
	Others []string `json:"others,omitempty"`
	// Rule and File are for the people who read the file; the fingerprint decides.
	Rule string `json:"rule"`
	File string `json:"file,omitempty"`
	// Severity is what was accepted. A finding that has become worse blocks again.
	Severity fact.Severity `json:"severity"`
	Reason   string        `json:"reason"`
	// Expires is the last day, in UTC, on which it holds: "2027-01-31".
	Expires string `json:"expires"`
}

// until is the first moment at which it holds no more.
func (a *Accepted) until() (time.Time, error) {
	day, err := time.Parse(dateFormat, a.Expires)
	return day.AddDate(0, 0, 1), err
}

// ReadBaseline reads a baseline of at most 16 MiB. Every entry needs a reason
// and an expiry; unknown fields, findings listed twice and anything after the
// document are errors.
func ReadBaseline(data []byte) (*Baseline, error) {
	if len(data) > maxBaseline {
		return nil, fmt.Errorf("read baseline: %w of %d bytes", bounded.ErrTooLarge, maxBaseline)
	}
	if err := bounded.CheckJSON(data, 4); err != nil {
		return nil, fmt.Errorf("read baseline: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	b := &Baseline{}
	if err := dec.Decode(b); err != nil {
		return nil, fmt.Errorf("read baseline: %w", err)
	}
	if b.Schema != baselineSchema {
		return nil, fmt.Errorf("read baseline: schema is %q; write %q", b.Schema, baselineSchema)
	}
	b.index = make(map[string]int, len(b.Findings))
	for i := range b.Findings {
		a := &b.Findings[i]
		_, bad := a.until()
		names := append([]string{a.Fingerprint}, a.Others...)
		twice := slices.ContainsFunc(names, func(n string) bool { _, ok := b.index[n]; return ok })
		var wrong string
		switch {
		case slices.ContainsFunc(names, func(n string) bool { return len(n) != 2*fingerprintBytes }):
			wrong = "fingerprint is not one of a finding; copy it from the report"
		case twice:
			wrong = "the fingerprint is listed before; keep one of the two"
		case strings.TrimSpace(a.Reason) == "":
			wrong = "reason is missing; say why the finding is accepted"
		case bad != nil:
			wrong = "expires is not a day; write it as 2027-01-31"
		}
		if wrong != "" {
			return nil, fmt.Errorf("read baseline: findings[%d] (%s %s): %s", i, a.Rule, a.File, wrong)
		}
		for _, n := range names {
			b.index[n] = i
		}
	}
	return b, nil
}

// NewBaseline accepts all findings that are there, for one reason, up to and
// including the day of until (UTC). It is how a project with old findings begins.
func NewBaseline(m *Merged, reason string, until time.Time) (*Baseline, error) {
	if strings.TrimSpace(reason) == "" {
		return nil, errors.New("a baseline needs a reason")
	}
	b := &Baseline{Schema: baselineSchema, Findings: []Accepted{}, index: map[string]int{}}
	for i := range m.Findings {
		f := &m.Findings[i]
		b.Findings = append(b.Findings, Accepted{
			Fingerprint: f.Fingerprint, Others: f.Others, Rule: f.Rule(), File: f.Place.File, Severity: f.Severity,
			Reason: reason, Expires: until.UTC().Format(dateFormat),
		})
	}
	slices.SortFunc(b.Findings, func(x, y Accepted) int {
		return cmp.Or(strings.Compare(x.File, y.File), strings.Compare(x.Rule, y.Rule), strings.Compare(x.Fingerprint, y.Fingerprint))
	})
	for i := range b.Findings {
		for _, n := range append([]string{b.Findings[i].Fingerprint}, b.Findings[i].Others...) {
			b.index[n] = i
		}
	}
	return b, nil
}

// Write writes the baseline, one finding after the other by file, so that a
// change of it reads well in a review.
func (b *Baseline) Write(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(b)
}

// find returns the entry for a finding, under any of its names.
func (b *Baseline) find(f *Finding) *Accepted {
	if b == nil {
		return nil
	}
	for _, name := range append([]string{f.Fingerprint}, f.Others...) {
		if i, ok := b.index[name]; ok {
			return &b.Findings[i]
		}
	}
	return nil
}

// Threshold is the policy: what blocks.
type Threshold struct {
	// Severity is the lowest that blocks; unknown stands for High.
	Severity fact.Severity
	// Classes replaces Severity for some classes: Secret blocks from Low on,
	// say. A class that must never block is not a threshold; accept the finding.
	Classes map[sarif.Class]fact.Severity
	// Required names tools that must have scanned, or have nothing to look at.
	Required []string
	// TrustSuppressions lets a tool's own suppressions count, as by a comment
	// in the source. Otherwise the author of a change could accept it alone.
	TrustSuppressions bool
}

func (t *Threshold) blocks(f *Finding) bool {
	limit, ok := t.Classes[f.Class]
	if !ok {
		limit = t.Severity
	}
	if limit == fact.SeverityUnknown {
		limit = fact.SeverityHigh
	}
	// What nobody rated may be anything: it blocks.
	return f.Severity == fact.SeverityUnknown || f.Severity >= limit
}
