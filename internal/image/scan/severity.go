package scan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
)

// ParseSeverity turns a scanner's or vendor's word into a severity, whatever
// its case. "Important" and "Moderate" are Red Hat's and GitHub's words,
// "Unimportant" is Debian's. Words that nobody knows are Unknown, and so is
// "none": some tools mean "harmless" by it, others "not assessed".
func ParseSeverity(word string) fact.Severity {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "critical":
		return fact.SeverityCritical
	case "high", "important":
		return fact.SeverityHigh
	case "medium", "moderate":
		return fact.SeverityMedium
	case "low":
		return fact.SeverityLow
	case "negligible", "unimportant", "info", "informational":
		return fact.SeverityNegligible
	}
	return fact.SeverityUnknown
}

// byScore turns a CVSS base score into a severity by the bands of CVSS
// v3.1 §5, which v4.0 kept. Zero stands for "not given" and is Unknown.
func byScore(score float64) fact.Severity {
	switch {
	case score <= 0 || score > 10:
		return fact.SeverityUnknown
	case score < 4:
		return fact.SeverityLow
	case score < 7:
		return fact.SeverityMedium
	case score < 9:
		return fact.SeverityHigh
	}
	return fact.SeverityCritical
}

// level is a severity as Trivy's database states it: a number from 0 (unknown)
// to 4 (critical), or a word.
type level fact.Severity

func (l *level) UnmarshalJSON(data []byte) error {
	var word string
	if json.Unmarshal(data, &word) == nil {
		*l = level(ParseSeverity(word))
		return nil
	}
	steps := [...]fact.Severity{fact.SeverityUnknown, fact.SeverityLow, fact.SeverityMedium, fact.SeverityHigh, fact.SeverityCritical}
	n, err := strconv.Atoi(string(data))
	if err != nil || n < 0 || n >= len(steps) {
		return nil // Unknown
	}
	*l = level(steps[n])
	return nil
}

// score is a CVSS score that formats write as a number or as text, or a CVSS
// v3 vector. Anything else is 0, "not given".
type score float64

func (s *score) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) != nil {
		text = string(data)
	}
	*s = score(parseScore(text))
	return nil
}

func parseScore(text string) float64 {
	if strings.HasPrefix(text, "CVSS:3.") {
		return vectorScore(text)
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n > 0 && n <= 10) {
		return 0
	}
	return n
}

// finding is a vulnerability before its severity is settled.
type finding struct {
	fact.Vulnerability
	// database is the severity in the scanner's database, for a finding to
	// which the scanner itself gave none.
	database fact.Severity
}

// resolve settles severities and folds repeated findings.
//
// A finding without a severity takes the worst one of its aliases inside the
// same report, then its database's, then the one of its CVSS score; if there
// is still none it stays Unknown, which policies block by default.
func resolve(findings []finding) []fact.Vulnerability {
	worst := map[string]fact.Severity{}
	for i := range findings {
		f := &findings[i]
		for _, id := range f.names() {
			worst[id] = max(worst[id], f.Severity)
		}
	}
	for i := range findings {
		f := &findings[i]
		if f.Severity != fact.SeverityUnknown {
			continue
		}
		for _, id := range f.names() {
			f.Severity = max(f.Severity, worst[id])
		}
		if f.Severity == fact.SeverityUnknown {
			f.Severity = f.database
		}
		if f.Severity == fact.SeverityUnknown {
			f.Severity = byScore(f.Score)
		}
	}
	return fold(findings)
}

// names are the id and the aliases.
func (f *finding) names() []string { return append([]string{f.ID}, f.Aliases...) }

// fold keeps one finding per id, package and version: scanners repeat it per
// path. The worse statement of two stands.
func fold(findings []finding) []fact.Vulnerability {
	type key struct{ id, pkg, version string }
	at := make(map[key]int, len(findings))
	out := make([]fact.Vulnerability, 0, len(findings))
	for i := range findings {
		v := findings[i].Vulnerability
		k := key{v.ID, v.Package, v.Version}
		j, seen := at[k]
		if !seen {
			at[k] = len(out)
			out = append(out, v)
			continue
		}
		have := &out[j]
		have.Severity = max(have.Severity, v.Severity)
		have.Score = max(have.Score, v.Score)
		have.Unfixed = have.Unfixed && v.Unfixed
		if have.Fixed == "" {
			have.Fixed = v.Fixed
		}
		for _, a := range v.Aliases {
			have.Aliases = addAlias(have.Aliases, have.ID, a)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// addAlias appends an alias once; the id itself is none.
func addAlias(aliases []string, id, alias string) []string {
	alias = clip(strings.TrimSpace(alias), maxID)
	if alias == "" || alias == id || len(aliases) >= maxAliases || slices.Contains(aliases, alias) {
		return aliases
	}
	return append(aliases, alias)
}

// add notes a finding. Its id must not be empty: a finding that cannot be named
// cannot be excepted either.
func (p *parsed) add(f finding) error {
	if f.ID == "" {
		return fmt.Errorf("a finding without an id")
	}
	if len(p.findings) == maxFindings {
		return fmt.Errorf("findings: %w (%d)", ErrTooMany, maxFindings)
	}
	f.ID = clip(f.ID, maxID)
	f.Package = clip(f.Package, maxText)
	f.Version = clip(f.Version, maxID)
	f.Fixed = clip(f.Fixed, maxText)
	p.findings = append(p.findings, f)
	return nil
}
