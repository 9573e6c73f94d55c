package report

import (
	"encoding/xml"
	"io"

	"github.com/apexlogic/apex/verdict"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Failure *junitProblem `xml:"failure,omitempty"`
	Error   *junitProblem `xml:"error,omitempty"`
	Skipped *junitProblem `xml:"skipped,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report as JUnit XML, as CI systems read it: a suite per
// subject and a case per check. A check that denies is a failure, or an error
// when it could not be made; one that does not deny is skipped, with its reason.
func JUnit(w io.Writer, r *verdict.Report) error {
	all := junitSuites{Name: "Apex"}
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		s := junitSuite{Name: plain(subject(v))}
		for j := range v.Checks {
			c := &v.Checks[j]
			one := junitCase{Name: plain(c.Rule), Class: plain(c.Policy)}
			if c.Platform != "" {
				one.Name += " on " + plain(c.Platform)
			}
			problem := &junitProblem{Message: plain(reason(c)), Type: string(c.Code), Text: plain(c.Advice())}
			switch {
			case !open(c):
			case bites(c) != verdict.Deny:
				one.Skipped = problem
			case c.Outcome == verdict.Unknown:
				one.Error = problem
			default:
				one.Failure = problem
			}
			s.add(one)
		}
		if v.Decision == verdict.Deny && !explained(v) {
			s.add(junitCase{Name: "decision", Class: "apex", Failure: &junitProblem{Message: plain(verdictReason(v)), Type: string(v.Code), Text: v.Code.Info().Mend}})
		}
		all.add(s)
	}
	for i := range r.Unresolved {
		u := &r.Unresolved[i]
		why := u.Why
		if why == "" {
			why = u.Code.Info().Meaning
		}
		s := junitSuite{Name: plain(u.Text)}
		s.add(junitCase{Name: "reference", Class: "apex", Error: &junitProblem{Message: plain(why), Type: string(u.Code), Text: u.Code.Info().Mend}})
		all.add(s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) add(c junitCase) {
	s.Cases = append(s.Cases, c)
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
}

func (a *junitSuites) add(s junitSuite) {
	a.Suites = append(a.Suites, s)
	a.Tests += s.Tests
	a.Failures += s.Failures
	a.Errors += s.Errors
}
