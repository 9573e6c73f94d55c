package sarif

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
)

const (
	version = "2.1.0"
	schema  = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)

// Log is what is written: one run of Apex, with everything that tools found.
type Log struct {
	// Problems say which tools have not scanned: the run is then not successful.
	Problems []string
	Entries  []Entry
}

// Entry is one result of a log.
type Entry struct {
	Rule, Title, Message string
	Severity             fact.Severity
	Score                float64
	Place                Place // its Snippet is left out
	// Fingerprints tell that it is the same tomorrow.
	Fingerprints []Fingerprint
	// By names the tools and rules that found it: "gosec/G401".
	By []string
	// Baseline is "new" or "unchanged" (§3.27.24), "" for neither.
	Baseline string
	// Muted says why it does not count: it is then written as suppressed.
	Muted string
	CWE   []int
	// Request shows a finding of a running service.
	Request string
}

type text struct {
	Text string `json:"text"`
}

type outRule struct {
	ID    string `json:"id"`
	Title text   `json:"shortDescription"`
}

type outResult struct {
	Rule         string            `json:"ruleId"`
	Index        int               `json:"ruleIndex"`
	Kind         string            `json:"kind"`
	Level        string            `json:"level"`
	Message      text              `json:"message"`
	Locations    []outLocation     `json:"locations"`
	Fingerprints map[string]string `json:"partialFingerprints,omitempty"`
	Baseline     string            `json:"baselineState,omitempty"`
	Suppressions []outSuppression  `json:"suppressions,omitempty"`
	Properties   outProperties     `json:"properties"`
}

type outLocation struct {
	Physical *outPhysical `json:"physicalLocation,omitempty"`
	Logical  []outLogical `json:"logicalLocations,omitempty"`
}

type outPhysical struct {
	Artifact struct {
		URI string `json:"uri"`
	} `json:"artifactLocation"`
	Region *outRegion `json:"region,omitempty"`
}

type outRegion struct {
	Line   int `json:"startLine"`
	Column int `json:"startColumn,omitempty"`
	End    int `json:"endLine,omitempty"`
}

type outLogical struct {
	Name string `json:"fullyQualifiedName"`
	Kind string `json:"kind"`
}

type outSuppression struct {
	Kind          string `json:"kind"`
	Status        string `json:"status"`
	Justification string `json:"justification"`
}

type outProperties struct {
	Severity string   `json:"severity"`
	Score    string   `json:"security-severity,omitempty"`
	By       []string `json:"tools"`
	Tags     []string `json:"tags,omitempty"`
	Request  string   `json:"request,omitempty"`
}

type outNotification struct {
	Level   string `json:"level"`
	Message text   `json:"message"`
}

type outInvocation struct {
	Successful    bool              `json:"executionSuccessful"`
	Notifications []outNotification `json:"toolExecutionNotifications,omitempty"`
}

// Write writes the log as SARIF 2.1.0, result by result.
func Write(w io.Writer, l *Log) error {
	b := bufio.NewWriter(w)
	index, rules := map[string]int{}, []outRule{}
	for i := range l.Entries {
		e := &l.Entries[i]
		if _, ok := index[e.Rule]; ok {
			continue
		}
		index[e.Rule] = len(rules)
		title := e.Title
		if title == "" {
			title = e.Rule
		}
		rules = append(rules, outRule{e.Rule, text{plain(title)}})
	}
	invocation := outInvocation{Successful: len(l.Problems) == 0}
	for _, p := range l.Problems {
		invocation.Notifications = append(invocation.Notifications, outNotification{"error", text{plain(p)}})
	}
	head, err := json.Marshal(map[string]any{"name": "Apex", "rules": rules})
	if err != nil {
		return err
	}
	ran, err := json.Marshal(invocation)
	if err != nil {
		return err
	}
	fmt.Fprintf(b, `{"$schema":%q,"version":%q,"runs":[{"tool":{"driver":%s},"invocations":[%s],"results":[`, schema, version, head, ran)
	for i := range l.Entries {
		if i > 0 {
			b.WriteByte(',')
		}
		one, err := json.Marshal(l.Entries[i].result(index))
		if err != nil {
			return err
		}
		b.WriteByte('\n')
		if _, err := b.Write(one); err != nil {
			return err
		}
	}
	b.WriteString("\n]}]}\n")
	return b.Flush()
}

func (e *Entry) result(index map[string]int) outResult {
	r := outResult{
		Rule: e.Rule, Index: index[e.Rule], Kind: "fail", Level: levelOf(e.Severity), Message: text{plain(e.Message)},
		Locations: []outLocation{}, Baseline: e.Baseline,
		Properties: outProperties{Severity: e.Severity.String(), By: e.By, Request: e.Request},
	}
	if r.Message.Text == "" {
		r.Message.Text = plain(e.Rule)
	}
	if e.Score > 0 {
		r.Properties.Score = strconv.FormatFloat(e.Score, 'f', 1, 64)
	}
	for _, n := range e.CWE {
		r.Properties.Tags = append(r.Properties.Tags, "external/cwe/cwe-"+strconv.Itoa(n))
	}
	if len(e.Fingerprints) > 0 {
		r.Fingerprints = make(map[string]string, len(e.Fingerprints))
		for _, f := range e.Fingerprints {
			r.Fingerprints[f.Key] = f.Value
		}
	}
	if e.Muted != "" {
		r.Suppressions = []outSuppression{{"external", "accepted", plain(e.Muted)}}
	}
	p := &e.Place
	var at outLocation
	if p.File != "" {
		at.Physical = &outPhysical{}
		at.Physical.Artifact.URI = (&url.URL{Path: p.File}).EscapedPath()
		if first, _, _ := strings.Cut(at.Physical.Artifact.URI, "/"); strings.Contains(first, ":") {
			at.Physical.Artifact.URI = "./" + at.Physical.Artifact.URI // not a scheme (RFC 3986 §4.2)
		}
		if p.Line > 0 {
			at.Physical.Region = &outRegion{p.Line, p.Column, p.End}
		}
	}
	if p.Name != "" {
		at.Logical = []outLogical{{p.Name, "resource"}}
	}
	if at.Physical != nil || at.Logical != nil {
		r.Locations = append(r.Locations, at)
	}
	return r
}

func levelOf(s fact.Severity) string {
	switch {
	case s >= fact.SeverityHigh, s == fact.SeverityUnknown:
		return "error"
	case s == fact.SeverityMedium:
		return "warning"
	}
	return "note"
}

// plain is foreign text in a message: brackets would form links (§3.11.6), and
// control characters would reach terminals.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`).Replace(s)
}
