package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/policytest"
)

func newPolicyTestCommand() *cobra.Command {
	var minCoverage int
	var verbose bool
	c := &cobra.Command{
		Use:   "test FILE|DIR...",
		Short: "Hold policies to cases, without a registry",
		Long: `Test judges the cases of files that say what is known about an image and what
should be decided. Policies, trust roots, locks, exceptions and revocations are
compiled as for a verdict; only the facts are stated instead of gathered.

Of a folder it reads every *_test.yaml and *.policytest.yaml. After the cases it
lists every rule that no case has seen passing, or failing: a rule that was never
seen failing has not been tried.

The exit code is 1 when a case fails, a file or policy is wrong, or the coverage
is below --min-coverage.`,
		Example: `  apex policy test policies/
  apex policy test policies/images_test.yaml --min-coverage 100
  apex policy test . -o junit > policy-tests.xml`,
		Args: cobra.MinimumNArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml", "junit")
	c.Flags().IntVar(&minCoverage, "min-coverage", 0, "percentage of outcomes (pass and fail of each rule) that the cases have to show")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "show every check, and the coverage of every rule")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if minCoverage < 0 || minCoverage > 100 {
			return usage("--min-coverage %d is not between 0 and 100", minCoverage)
		}
		files, err := policytest.Find(cmd.Context(), args)
		if err != nil {
			return err
		}
		r, err := policytest.Run(cmd.Context(), files)
		if err != nil {
			return err
		}
		if err := writeCases(cmd.OutOrStdout(), *output, r, verbose); err != nil {
			return err
		}
		if !r.OK() {
			return &exit{code: exitDeny}
		}
		if r.Share*100 < float64(minCoverage) {
			return &exit{exitDeny, fmt.Errorf("coverage is %.0f%%, and --min-coverage asks for %d%%", r.Share*100, minCoverage)}
		}
		return nil
	}
	return c
}

func writeCases(w io.Writer, format string, r *policytest.Result, verbose bool) error {
	switch format {
	case "json":
		return printJSON(w, r)
	case "yaml":
		return printYAML(w, r)
	case "junit":
		return junitCases(w, r)
	}
	var b strings.Builder
	for _, p := range r.Problems {
		fmt.Fprintln(&b, problemLine(p))
	}
	for i := range r.Cases {
		c := &r.Cases[i]
		word := "ok  "
		if !c.OK {
			word = "FAIL"
		}
		fmt.Fprintf(&b, "%s  %s:%d  %s\n", word, oneLine(c.File), c.Line, oneLine(c.Name))
		for _, wrong := range c.Wrong {
			fmt.Fprintf(&b, "      %s\n", oneLine(wrong))
		}
		for j := 0; verbose && j < len(c.Checks); j++ {
			k := &c.Checks[j]
			fmt.Fprintf(&b, "      %s %s/%s %s: %s\n", k.Outcome, oneLine(k.Policy), oneLine(k.Rule), k.Code, oneLine(k.Detail))
		}
	}
	fmt.Fprintf(&b, "%s passed, %d failed\n", count(r.Passed, "case"), r.Failed)
	if len(r.Coverage) > 0 {
		fmt.Fprintf(&b, "coverage %.0f%% of %s\n", r.Share*100, count(len(r.Coverage), "rule"))
	}
	for i := range r.Coverage {
		c := &r.Coverage[i]
		switch missing := c.Missing(); {
		case missing != "":
			fmt.Fprintf(&b, "  %s/%s was never seen to %s\n", oneLine(c.Policy), c.Rule, missing)
		case verbose:
			fmt.Fprintf(&b, "  %s/%s passed %d, failed %d, could not be checked %d\n", oneLine(c.Policy), c.Rule, c.Passed, c.Failed, c.Unknown)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// The elements of JUnit XML that CI systems read.
type (
	caseSuites struct {
		XMLName  xml.Name    `xml:"testsuites"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Suites   []caseSuite `xml:"testsuite"`
	}
	caseSuite struct {
		Name     string    `xml:"name,attr"`
		Tests    int       `xml:"tests,attr"`
		Failures int       `xml:"failures,attr"`
		Errors   int       `xml:"errors,attr"`
		Cases    []caseXML `xml:"testcase"`
	}
	caseXML struct {
		Name    string      `xml:"name,attr"`
		Class   string      `xml:"classname,attr"`
		Line    int         `xml:"line,attr,omitempty"`
		Failure *caseFailed `xml:"failure,omitempty"`
		Error   *caseFailed `xml:"error,omitempty"`
	}
	caseFailed struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

func junitCases(w io.Writer, r *policytest.Result) error {
	all := caseSuites{Tests: len(r.Cases) + len(r.Problems), Failures: r.Failed, Errors: len(r.Problems)}
	suites := map[string]int{}
	add := func(file string, c caseXML) {
		i, ok := suites[file]
		if !ok {
			i = len(all.Suites)
			suites[file] = i
			all.Suites = append(all.Suites, caseSuite{Name: file})
		}
		s := &all.Suites[i]
		c.Class = file
		s.Cases = append(s.Cases, c)
		s.Tests++
		if c.Failure != nil {
			s.Failures++
		}
		if c.Error != nil {
			s.Errors++
		}
	}
	for _, p := range r.Problems {
		add(oneLine(p.File), caseXML{Name: "load", Line: p.Line, Error: &caseFailed{Message: problemLine(p)}})
	}
	for i := range r.Cases {
		c := &r.Cases[i]
		x := caseXML{Name: oneLine(c.Name), Line: c.Line}
		if !c.OK {
			x.Failure = &caseFailed{Message: oneLine(c.Wrong[0]), Text: oneLine(strings.Join(c.Wrong, "; "))}
		}
		add(oneLine(c.File), x)
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
