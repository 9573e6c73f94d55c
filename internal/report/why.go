package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// Why explains one verdict to a person: for each check that did not pass the
// rule, what it expected and found, the evidence with its age at now, and the
// command or change that mends it. approvers are who may except a check; the
// sentence is left out when there are none. Checks that passed are only listed,
// unless the options are verbose.
func Why(w io.Writer, v *verdict.Verdict, now time.Time, approvers []string, o Options) error {
	p := &printer{bufio.NewWriter(w), o}
	fmt.Fprintf(p, "%s %s: %s\n", p.mark(v.Decision), plain(subject(v)), p.word(v.Decision))
	p.reason(v)
	p.verbatim(2, "digest", v.Ref.String())
	p.verbatim(2, "platform", v.Platform)
	p.verbatim(2, "where", v.Where.String())
	p.verbatim(2, "policies", strings.Join(v.Policies, ", "))
	if !v.At.IsZero() {
		age := "just now"
		if d := now.Sub(v.At); d >= time.Second {
			age = Ago(d)
		}
		if v.Cached {
			age += ", from the cache"
		}
		p.verbatim(2, "decided", age)
	}
	p.verbatim(2, "record", v.ID)

	var passed []string
	excepting := false
	for i := range v.Checks {
		c := &v.Checks[i]
		if !open(c) && !o.Verbose {
			name := plain(c.Rule)
			if c.Platform != "" {
				name += " on " + plain(c.Platform)
			}
			passed = append(passed, name)
			continue
		}
		excepting = excepting || (open(c) && bites(c) != verdict.Allow)
		p.explain(c, now)
	}
	if !explained(v) {
		p.verbatim(2, "code", string(v.Code))
		p.field(2, "mend", v.Code.Info().Mend)
	}
	if len(passed) > 0 {
		fmt.Fprintf(p, "\n  %s passed: %s\n", p.mark(verdict.Allow), strings.Join(passed, ", "))
	}
	if excepting && len(approvers) > 0 {
		fmt.Fprintln(p)
		p.field(2, "except", "a PolicyException for this digest and rule has to be signed by one of "+strings.Join(approvers, ", ")+", who must not be its author")
	}
	return p.Flush()
}

func (p *printer) explain(c *verdict.Check, now time.Time) {
	fmt.Fprintln(p)
	p.check(&verdict.Check{
		Policy: c.Policy, Rule: c.Rule, Platform: c.Platform, Outcome: c.Outcome, Action: c.Action, Code: c.Code, Detail: c.Detail,
		Expected: c.Expected, Found: c.Found, Mend: c.Mend, Exception: c.Exception, Observed: c.Observed,
	})
	for i := range c.Evidence {
		e := &c.Evidence[i]
		text := e.Fact
		if e.Source != "" {
			text += " from " + e.Source
		}
		if !e.At.IsZero() {
			text += ", established " + Ago(now.Sub(e.At))
		}
		if !e.Until.IsZero() {
			if left := e.Until.Sub(now); left > 0 {
				text += ", good for " + span(left)
			} else {
				text += ", no longer good for " + span(-left)
			}
		}
		p.verbatim(4, "evidence", text)
	}
}

// Ago writes how long ago something was, in its largest unit.
func Ago(d time.Duration) string {
	if d < 0 {
		return span(-d) + " in the future"
	}
	return span(d) + " ago"
}

// span writes a duration in its largest unit, as people say it.
func span(d time.Duration) string {
	units := []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}}
	for _, u := range units {
		if n := d / u.of; n == 1 {
			return "1 " + u.name
		} else if n > 1 {
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	return "less than a second"
}
