package scan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// maxMessage bounds the part of a SARIF message that is looked at.
const maxMessage = 2048

type sarifProperties struct {
	Security score        `json:"security-severity"`
	Tags     list[string] `json:"tags"`
	Severity string       `json:"severity"`
}

// severity is the word in the properties, as Trivy puts it into the tags.
func (p *sarifProperties) severity() fact.Severity {
	worst := ParseSeverity(p.Severity)
	for _, tag := range p.Tags {
		worst = max(worst, ParseSeverity(tag))
	}
	return worst
}

type sarifRule struct {
	ID      string `json:"id"`
	Default struct {
		Level string `json:"level"`
	} `json:"defaultConfiguration"`
	Properties sarifProperties `json:"properties"`
}

type sarifResult struct {
	RuleID    string `json:"ruleId"`
	RuleIndex *int   `json:"ruleIndex"`
	Rule      struct {
		ID    string `json:"id"`
		Index *int   `json:"index"`
	} `json:"rule"`
	Kind     string `json:"kind"`
	Level    string `json:"level"`
	Baseline string `json:"baselineState"`
	Message  struct {
		Text string `json:"text"`
	} `json:"message"`
	Suppressions list[struct {
		Status string `json:"status"`
	}] `json:"suppressions"`
	Properties sarifProperties `json:"properties"`
}

type sarifNotification struct {
	Level string `json:"level"`
}

type sarifInvocation struct {
	Successful   *bool                   `json:"executionSuccessful"`
	End          string                  `json:"endTimeUtc"`
	StartFailure string                  `json:"processStartFailureMessage"`
	Execution    list[sarifNotification] `json:"toolExecutionNotifications"`
	Settings     list[sarifNotification] `json:"toolConfigurationNotifications"`
}

// sarifRun is one run of one tool. Its parts come in any order.
type sarifRun struct {
	name, version string
	rules         []sarifRule
	results       []sarifResult
	present       bool // there is a list of results
	finished      time.Time
}

// readSARIF reads SARIF 2.1.0 (OASIS). A run without a list of results was not
// made to produce any (§3.14.23) and proves nothing. The time is the end of the
// run that ended first, and none when a run does not say.
func readSARIF(p *parsed, w *walker) error {
	runs, timed := 0, true
	err := w.object(func(key string) error {
		if key != "runs" {
			return w.skip()
		}
		_, err := w.array(func() error {
			run, err := p.sarifRun(w)
			if err != nil {
				return err
			}
			if runs++; runs > 1 && run.name != p.report.Scanner {
				return fmt.Errorf("%w: runs of two tools, %q and %q", ErrFormat, clip(p.report.Scanner, 40), clip(run.name, 40))
			}
			p.report.Scanner, p.report.Version = run.name, run.version
			timed = timed && !run.finished.IsZero()
			if runs == 1 || run.finished.Before(p.report.Finished) {
				p.report.Finished = run.finished
			}
			if !run.present {
				p.fail("a run has no list of results, so the tool did not look")
			}
			return p.sarifFindings(run)
		})
		return err
	})
	if err != nil {
		return err
	}
	if !timed {
		p.report.Finished = time.Time{}
	}
	if runs == 0 {
		p.fail("it holds no run")
	}
	return nil
}

func (p *parsed) sarifRun(w *walker) (*sarifRun, error) {
	run := &sarifRun{}
	err := w.object(func(key string) (err error) {
		switch key {
		case "tool":
			return run.tool(w)
		case "invocations":
			_, err = w.array(func() error { return p.sarifInvocation(w, run) })
			return err
		case "results":
			run.present, err = w.array(func() error {
				var r sarifResult
				if err := w.decode(&r); err != nil {
					return err
				}
				if len(run.results) == maxFindings {
					return fmt.Errorf("%w (%d)", ErrTooMany, maxFindings)
				}
				r.Message.Text = clip(r.Message.Text, maxMessage)
				run.results = append(run.results, r)
				return nil
			})
			return err
		case "properties":
			return p.sarifImage(w)
		}
		return w.skip()
	})
	return run, err
}

func (r *sarifRun) tool(w *walker) error {
	return w.object(func(key string) error {
		if key != "driver" {
			return w.skip()
		}
		return w.object(func(key string) error {
			switch key {
			case "name":
				return w.text(&r.name)
			case "version":
				return w.text(&r.version)
			case "semanticVersion":
				if r.version == "" {
					return w.text(&r.version)
				}
			case "rules":
				_, err := w.array(func() error {
					var rule sarifRule
					if err := w.decode(&rule); err != nil {
						return err
					}
					if len(r.rules) == maxFindings {
						return fmt.Errorf("%w (%d)", ErrTooMany, maxFindings)
					}
					r.rules = append(r.rules, rule)
					return nil
				})
				return err
			}
			return w.skip()
		})
	})
}

func (p *parsed) sarifInvocation(w *walker, run *sarifRun) error {
	var i sarifInvocation
	if err := w.decode(&i); err != nil {
		return err
	}
	if end := instant(i.End); end.After(run.finished) {
		run.finished = end
	}
	failed := func(n sarifNotification) bool { return n.Level == "error" }
	switch {
	case i.Successful != nil && !*i.Successful, i.StartFailure != "":
		p.fail("the tool says that its run did not succeed")
	case slices.ContainsFunc(i.Execution, failed), slices.ContainsFunc(i.Settings, failed):
		// Level error: "the analysis was halted or its results are
		// incorrect or incomplete" (§3.58.6).
		p.fail("the tool reports an error during its run, so its results may be incomplete")
	}
	return nil
}

// sarifImage reads where Trivy says what it scanned.
func (p *parsed) sarifImage(w *walker) error {
	var image struct {
		RepoDigests list[string] `json:"repoDigests"`
		ImageID     string       `json:"imageID"`
	}
	if err := w.decode(&image); err != nil {
		return err
	}
	for _, r := range image.RepoDigests {
		p.addReference(r)
	}
	p.report.Config, _ = verdict.ParseDigest(image.ImageID)
	return nil
}

func (p *parsed) sarifFindings(run *sarifRun) error {
	byID := make(map[string]*sarifRule, len(run.rules))
	for i := range run.rules {
		byID[run.rules[i].ID] = &run.rules[i]
	}
	for i := range run.results {
		r := &run.results[i]
		switch {
		case r.Kind == "pass", r.Kind == "notApplicable", r.Kind == "informational", r.Baseline == "absent":
			continue
		case r.suppressed():
			p.report.Suppressed++
			continue
		}
		if err := p.add(r.finding(run, byID)); err != nil {
			return fmt.Errorf("results: [%d]: %w", i, err)
		}
	}
	return nil
}

// suppressed follows §3.27.23: one suppression that is under review or
// rejected keeps the result alive.
func (r *sarifResult) suppressed() bool {
	for _, s := range r.Suppressions {
		if s.Status != "" && s.Status != "accepted" {
			return false
		}
	}
	return len(r.Suppressions) > 0
}

func (r *sarifResult) finding(run *sarifRun, byID map[string]*sarifRule) finding {
	rule := &sarifRule{}
	id := r.RuleID
	if id == "" {
		id = r.Rule.ID
	}
	for _, index := range []*int{r.RuleIndex, r.Rule.Index} {
		if index != nil && *index >= 0 && *index < len(run.rules) {
			rule = &run.rules[*index]
		}
	}
	if known, ok := byID[id]; ok {
		rule = known
	}
	if id == "" {
		id = rule.ID
	}
	f := finding{Vulnerability: fact.Vulnerability{ID: id, Score: max(float64(r.Properties.Security), float64(rule.Properties.Security))}}
	f.Aliases = addAlias(nil, id, advisory(id))
	f.Severity = max(r.Properties.severity(), rule.Properties.severity())
	r.readMessage(&f)
	if f.Severity == fact.SeverityUnknown {
		f.Severity = byScore(f.Score)
	}
	level := r.Level
	if level == "" {
		level = rule.Default.Level
	}
	f.database = byLevel(level)
	return f
}

// byLevel is the worst severity that a level stands for: scanners put High and
// Critical under "error". The level that is not given is "warning" (§3.27.10).
func byLevel(level string) fact.Severity {
	switch level {
	case "error":
		return fact.SeverityCritical
	case "warning", "":
		return fact.SeverityMedium
	case "note":
		return fact.SeverityLow
	}
	return fact.SeverityUnknown
}

// readMessage reads the lines of Trivy's messages ("Package: openssl").
func (r *sarifResult) readMessage(f *finding) {
	for line := range strings.SplitSeq(r.Message.Text, "\n") {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch name {
		case "Package":
			f.Package = value
		case "Installed Version":
			f.Version = value
		case "Fixed Version":
			f.Fixed, f.Unfixed = value, value == ""
		case "Severity":
			f.Severity = max(f.Severity, ParseSeverity(value))
		}
	}
}

// advisory finds "CVE-2024-1234" and "GHSA-aaaa-bbbb-cccc" at the beginning of
// a rule's id, to which Grype appends the package's name; "" when there is none.
func advisory(id string) string {
	parts := strings.SplitN(id, "-", 5)
	switch {
	case len(parts) >= 3 && parts[0] == "CVE":
		return strings.Join(parts[:3], "-")
	case len(parts) >= 4 && parts[0] == "GHSA":
		return strings.Join(parts[:4], "-")
	}
	return ""
}
