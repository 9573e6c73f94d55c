package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// Options say how [Table] and [Why] show a report.
type Options struct {
	// Color writes terminal colours. The caller decides: not when NO_COLOR is
	// set, and not when the output is no terminal.
	Color bool
	// Width of the terminal in columns, at which sentences are broken; 0 does
	// not break them. References and commands are never broken.
	Width int
	// Verbose shows every check, also those that passed, with its evidence.
	Verbose bool
}

// minWidth is the narrowest text column that is still worth breaking lines for.
const minWidth = 24

// tolerated marks a check that did not pass and is not held against the subject.
const tolerated = "~"

const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	dim    = "\x1b[2m"
	bold   = "\x1b[1m"
	reset  = "\x1b[0m"
)

// printer writes lines and remembers the first error.
type printer struct {
	*bufio.Writer
	o Options
}

func (p *printer) paint(color, text string) string {
	if !p.o.Color || text == "" {
		return text
	}
	return color + text + reset
}

// field writes "label  text" with the text's further lines below its first.
func (p *printer) field(indent int, label, text string) {
	if text = plain(text); text == "" {
		return
	}
	const labels = 9
	width := 0
	if p.o.Width > 0 {
		width = max(p.o.Width-indent-labels, minWidth)
	}
	for i, line := range wrap(text, width) {
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(p, "%*s%s%s\n", indent, "", p.paint(dim, fmt.Sprintf("%-*s", labels, label)), line)
	}
}

// verbatim writes what a person will copy: it is never broken.
func (p *printer) verbatim(indent int, label, text string) {
	if text = plain(text); text != "" {
		fmt.Fprintf(p, "%*s%s%s\n", indent, "", p.paint(dim, fmt.Sprintf("%-9s", label)), text)
	}
}

func (p *printer) mark(d verdict.Decision) string {
	switch d {
	case verdict.Allow:
		return p.paint(green, "✓")
	case verdict.Warn:
		return p.paint(yellow, "!")
	}
	return p.paint(red, "✗")
}

func (p *printer) word(d verdict.Decision) string {
	switch d {
	case verdict.Allow:
		return p.paint(green, d.String())
	case verdict.Warn:
		return p.paint(yellow, d.String())
	}
	return p.paint(red+bold, d.String())
}

// Table writes the report for people: per subject its mark, reference, platform
// and decision, and for whatever did not pass the reason and the way to mend it.
func Table(w io.Writer, r *verdict.Report, o Options) error {
	p := &printer{bufio.NewWriter(w), o}
	width := 0
	for i := range r.Verdicts {
		width = max(width, columns(plain(subject(&r.Verdicts[i]))))
	}
	width = min(width, 72)
	for i := range r.Verdicts {
		p.verdict(&r.Verdicts[i], width)
	}
	for i := range r.Unresolved {
		u := &r.Unresolved[i]
		fmt.Fprintf(p, "%s %-*s  %s\n", p.mark(verdict.Deny), width, plain(u.Text), p.word(verdict.Deny))
		why := u.Why
		if why == "" {
			why = u.Code.Info().Meaning
		}
		p.field(2, "reason", why)
		p.verbatim(2, "code", string(u.Code))
		p.verbatim(2, "where", u.Where.String())
		p.field(2, "mend", u.Code.Info().Mend)
	}
	for i := range r.NotJudged {
		u := &r.NotJudged[i]
		fmt.Fprintf(p, "%s %-*s  %s\n", p.paint(dim, "-"), width, plain(u.Text), p.paint(dim, "not judged: no kind of policy speaks about it"))
		if p.o.Verbose {
			p.verbatim(2, "where", u.Where.String())
		}
	}
	if len(r.Verdicts) == 0 && len(r.Unresolved) == 0 {
		fmt.Fprintf(p, "%s nothing was asked, so nothing is allowed\n", p.mark(verdict.Deny))
	} else {
		fmt.Fprintf(p, "%s %s: %s\n", p.mark(r.Decision()), p.word(r.Decision()), count(r))
	}
	return p.Flush()
}

func (p *printer) verdict(v *verdict.Verdict, width int) {
	line := fmt.Sprintf("%s %-*s  ", p.mark(v.Decision), width, plain(subject(v)))
	if v.Platform != "" {
		line += fmt.Sprintf("%-12s  ", plain(v.Platform))
	}
	fmt.Fprintln(p, line+p.word(v.Decision))
	if v.Decision != verdict.Allow || p.o.Verbose {
		p.reason(v)
		if v.Decision != verdict.Allow {
			p.verbatim(2, "code", string(v.Code))
		}
		p.verbatim(2, "where", v.Where.String())
	}
	if p.o.Verbose {
		if v.Asked != "" {
			p.verbatim(2, "digest", v.Ref.String())
		}
		p.verbatim(2, "policies", strings.Join(v.Policies, ", "))
		p.verbatim(2, "record", v.ID)
	}
	for i := range v.Checks {
		if c := &v.Checks[i]; p.o.Verbose || open(c) {
			p.check(c)
		}
	}
	if !explained(v) {
		p.field(2, "mend", v.Code.Info().Mend)
	}
}

// reason writes why; an allow without words needs none.
func (p *printer) reason(v *verdict.Verdict) {
	if v.Decision != verdict.Allow || v.Reason != "" {
		p.field(2, "reason", verdictReason(v))
	}
}

func verdictReason(v *verdict.Verdict) string {
	if v.Reason != "" {
		return v.Reason
	}
	return v.Code.Info().Meaning
}

func (p *printer) check(c *verdict.Check) {
	mark, outcome := p.mark(verdict.Allow), "passed"
	if open(c) {
		mark = p.mark(bites(c))
		if bites(c) == verdict.Allow {
			mark = p.paint(yellow, tolerated)
		}
		outcome = "failed"
		if c.Outcome == verdict.Unknown {
			outcome = "could not be made"
		}
	}
	fmt.Fprintf(p, "  %s %s %s%s\n", mark, p.paint(bold, plain(ruleName(c))), outcome, p.paint(dim, leniency(c)))
	if !open(c) {
		p.field(4, "found", c.Found)
	} else {
		p.field(4, "reason", reason(c))
		p.field(4, "expected", c.Expected)
		p.field(4, "found", c.Found)
		p.verbatim(4, "code", string(c.Code))
		if c.Mend != "" {
			p.verbatim(4, "mend", c.Mend) // often a command
		} else {
			p.field(4, "mend", c.Advice())
		}
	}
	if p.o.Verbose {
		for _, e := range c.Evidence {
			p.verbatim(4, "evidence", evidence(&e))
		}
	}
}

// leniency says why an open check does not deny, " (…)" or "".
func leniency(c *verdict.Check) string {
	switch {
	case !open(c):
		return ""
	case c.Exception != "":
		return " (excepted by " + plain(c.Exception) + ")"
	case c.Observed:
		return " (the policy only observes)"
	case c.Action == verdict.ActionAudit:
		return " (the rule only audits)"
	}
	return ""
}

func evidence(e *verdict.Evidence) string {
	s := e.Fact
	if e.Source != "" {
		s += " from " + e.Source
	}
	if !e.At.IsZero() {
		s += " at " + e.At.UTC().Format("2006-01-02 15:04:05Z")
	}
	if !e.Until.IsZero() {
		s += ", until " + e.Until.UTC().Format("2006-01-02 15:04:05Z")
	}
	return s
}
