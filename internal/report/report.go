// Package report writes a [verdict.Report] for those who read it: [Table] and
// [Why] for people at a terminal, [Markdown] for pull requests, [JSON] and
// [YAML] for programs, [SARIF] for code scanning, [JUnit] for CI, and
// [OpenReports] and [PolicyReport] for dashboards in a cluster.
//
// Every writer takes the whole report and writes it at once; none keeps state,
// reads a clock or looks at the environment, so all are safe for concurrent
// use. [ExitCode] is what a command returns for the report.
//
// Reasons and references come from registries, manifests and scanners, so all
// of them are foreign text: control characters, terminal escapes and characters
// that reorder text are made visible before a person sees them, and every
// format escapes what would be its own markup.
package report

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/apexlogic/apex/verdict"
	"sigs.k8s.io/yaml"
)

// ExitCode returns 0 when the report allows (warnings included), and 1 when it
// denies. A report without any verdict denies.
func ExitCode(r *verdict.Report) int {
	if r.Decision() == verdict.Deny {
		return 1
	}
	return 0
}

// JSON writes the report as it is, indented, with a line break at the end. Its
// shape is [verdict.Report] and is stable within [verdict.ReportSchema].
func JSON(w io.Writer, r *verdict.Report) error {
	return writeJSON(w, r)
}

// YAML writes the same fields as [JSON], as one YAML document.
func YAML(w io.Writer, r *verdict.Report) error {
	return writeYAML(w, r)
}

func writeJSON(w io.Writer, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	_, err = w.Write(append(data, '\n'))
	return err
}

func writeYAML(w io.Writer, v any) error {
	data, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	_, err = w.Write(data)
	return err
}

// subject is how people know what a verdict is about: what was asked, or else
// the reference.
func subject(v *verdict.Verdict) string {
	if v.Asked != "" {
		return v.Asked
	}
	if s := v.Ref.String(); s != "" {
		return s
	}
	return "(nothing)"
}

// open reports whether a check did not pass, whatever follows from that.
func open(c *verdict.Check) bool { return c.Outcome != verdict.Pass }

// reason is what a check says, or what its code says in general.
func reason(c *verdict.Check) string {
	if c.Detail != "" {
		return c.Detail
	}
	return c.Code.Info().Meaning
}

// bites reports what an open check led to: deny, warn, or allow when it is
// excepted, only observed or only audited.
func bites(c *verdict.Check) verdict.Decision {
	decision, _, _ := verdict.Decide([]verdict.Check{*c})
	return decision
}

// explained reports whether one of the checks led to the decision. Otherwise it
// has another reason, such as a revocation or that no policy selects the
// subject, which must not get lost.
func explained(v *verdict.Verdict) bool {
	if v.Decision == verdict.Allow {
		return true
	}
	for i := range v.Checks {
		if c := &v.Checks[i]; open(c) && bites(c) == v.Decision {
			return true
		}
	}
	return false
}

// ruleName is "policy/rule", with the platform when the check was about one of several.
func ruleName(c *verdict.Check) string {
	name := c.Rule
	if c.Policy != "" {
		name = c.Policy + "/" + name
	}
	if c.Platform != "" {
		name += " on " + c.Platform
	}
	return name
}

// tally counts decisions; everything unresolved is a deny.
type tally struct{ allow, warn, deny int }

func count(r *verdict.Report) tally {
	t := tally{deny: len(r.Unresolved)}
	for i := range r.Verdicts {
		switch r.Verdicts[i].Decision {
		case verdict.Allow:
			t.allow++
		case verdict.Warn:
			t.warn++
		default:
			t.deny++
		}
	}
	return t
}

func (t tally) String() string {
	return fmt.Sprintf("%d allowed, %d with warnings, %d denied", t.allow, t.warn, t.deny)
}
