package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/config"
)

func newAccessCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "access",
		Short: "Ask and test who may do what with which model",
		Long: `Access asks the AccessPolicies and what ProtectedRoutes allow, as the gateway does,
without a gateway.`,
		Example: `  apex access test --config policies
  apex access check --config policies --principal spiffe://claims.example/intake --action infer --route captioner --model captioner
  apex access graph --config policies`,
	}
	c.AddCommand(newAccessCheckCommand(), newAccessExplainCommand(), newAccessTestCommand(), newAccessGraphCommand(), newAccessServeCommand())
	return c
}

// accessFlags are what all of the commands ask by.
type accessFlags struct {
	config   []string
	question app.AccessQuestion
}

func (f *accessFlags) documents(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.config, "config", nil, "files and folders with the AccessPolicies and ProtectedRoutes")
}

func (f *accessFlags) asked(c *cobra.Command) {
	f.documents(c)
	q := &f.question
	c.Flags().StringVar(&q.Principal, "principal", "anonymous", "who asks: a SPIFFE ID, ISSUER#SUBJECT, or anonymous")
	c.Flags().StringSliceVar(&q.Groups, "group", nil, "group that the principal is in")
	c.Flags().StringVar(&q.Claims, "claims", "", "claims of the principal, as a JSON object")
	c.Flags().StringVar(&q.Action, "action", "infer", "what is asked for")
	c.Flags().StringVar(&q.Route, "route", "", "route of the model")
	c.Flags().StringVar(&q.Resource, "model", "", "what it is asked of: a model, or the name of a tool, a topic or a host")
	c.Flags().StringVar(&q.Properties, "properties", "", "what is known of the model, as a JSON object: digest, verdict, labels")
	c.Flags().StringVar(&q.Context, "context", "", "what is known of the request, as a JSON object")
}

// load compiles the documents. Those that are wrong are findings.
func (f *accessFlags) load(cmd *cobra.Command) (*app.AccessRules, error) {
	if len(f.config) == 0 {
		return nil, usage("name the files or folders with the policies: --config")
	}
	rules, err := app.LoadAccess(cmd.Context(), f.config)
	if invalid, is := errors.AsType[*config.Invalid](err); is {
		var lines []string
		for i := range invalid.Problems {
			lines = append(lines, invalid.Problems[i].String())
		}
		return nil, &exit{exitDeny, errors.New(strings.Join(lines, "\n"))}
	}
	return rules, err
}

// newAccessCheckCommand answers one question.
func newAccessCheckCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check --config PATH",
		Short: "Say whether somebody may do something",
		Long: `Check answers one question, with the policies that decided.

Exit codes: 0 allow, 1 deny or policies that are wrong, 2 usage, 3 environment.`,
		Example: `  apex access check --config policies --principal spiffe://claims.example/intake --action infer --route captioner --model captioner
  apex access check --config policies --model captioner --context '{"bytes": 9000000}' -o json`,
	}
	return answering(c, func(x *access.Explanation) (document any, lines string) { return x.Decision, decisionLine(&x.Decision) })
}

// newAccessExplainCommand answers the same question with all that was looked at.
func newAccessExplainCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain --config PATH",
		Short: "Say why somebody may or may not do something",
		Long: `Explain answers one question with every policy whose scope holds, and each of its
conditions, as far as they were looked at; and with the policies that are about another
principal, action or resource only.

Exit codes: 0 allow, 1 deny or policies that are wrong, 2 usage, 3 environment.`,
		Example: `  apex access explain --config policies --principal spiffe://claims.example/intake --action infer --route captioner --model captioner`,
	}
	return answering(c, func(x *access.Explanation) (document any, lines string) { return x, explanationLines(x) })
}

// answering has a command ask its question, and show what came of it.
func answering(c *cobra.Command, show func(*access.Explanation) (document any, lines string)) *cobra.Command {
	var f accessFlags
	c.Args = cobra.NoArgs
	f.asked(c)
	output := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		rules, err := f.load(cmd)
		if err != nil {
			return err
		}
		x, err := rules.Explain(&f.question, time.Now())
		if err != nil {
			return usage("%w", err)
		}
		document, lines := show(&x)
		if *output != "table" {
			err = writeDocument(cmd.OutOrStdout(), *output, document)
		} else {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), lines)
		}
		if err == nil && !x.Decision.Allow {
			return &exit{code: exitDeny}
		}
		return err
	}
	return c
}

// decisionLine says allow or deny, with the code, the policies and the reason.
func decisionLine(d *access.Decision) string {
	said := "deny"
	if d.Allow {
		said = "allow"
	}
	words := append([]string{said, string(d.Code)}, d.Policies...)
	if d.Detail != "" && len(d.Policies) == 0 { // with policies it repeats them
		words = append(words, d.Detail)
	}
	return app.Printable(strings.Join(words, " "))
}

// explanationLines are the decision, the policies that were looked at with
// their conditions, and those that nearly were.
func explanationLines(x *access.Explanation) string {
	lines := []string{decisionLine(&x.Decision)}
	for _, p := range x.Policies {
		holds := "does not hold"
		switch {
		case p.Failed:
			holds = "failed"
		case p.Holds:
			holds = "holds"
		}
		if p.Observed {
			holds += ", observed only"
		}
		lines = append(lines, fmt.Sprintf("  %-6s %s %s", p.Effect, app.Printable(p.Name), holds))
		for _, c := range p.Conditions {
			result := c.Result
			if result == "" {
				result = "not reached"
			}
			lines = append(lines, fmt.Sprintf("    %-6s %s: %s", c.Kind, app.Printable(c.Text), app.Printable(result)))
		}
	}
	for _, n := range x.Near {
		lines = append(lines, fmt.Sprintf("  not    %s: it is about another %s", app.Printable(n.Name), n.Part))
	}
	if x.Others > 0 {
		lines = append(lines, fmt.Sprintf("  not    %d other policies: they are about something else", x.Others))
	}
	return strings.Join(lines, "\n")
}

func newAccessTestCommand() *cobra.Command {
	var f accessFlags
	c := &cobra.Command{
		Use:   "test --config PATH",
		Short: "Ask the tests that stand in the policies",
		Long: `Test asks every test of the AccessPolicies, as the gateway does before they come
into force. A test passes when the answer is the one that it expects, and the policies
that it names are among those that decided. Policies that decide no test's answer are
listed: they could be gone, and no test would tell.

Exit codes: 0 all answers are as expected, 1 some are not, or there are no tests, 2 usage,
3 environment.`,
		Example: `  apex access test --config policies
  apex access test --config policies -o json`,
		Args: cobra.NoArgs,
	}
	f.documents(c)
	output := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		rules, err := f.load(cmd)
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		unreached := rules.Unreached()
		if *output != "table" {
			err = writeDocument(w, *output, struct {
				Schema    string          `json:"schema"`
				Tests     int             `json:"tests"`
				Failed    int             `json:"failed"`
				Results   []access.Result `json:"results"`
				Unreached []string        `json:"unreached,omitempty"`
			}{"apex.access-test/v1", len(rules.Tests), len(rules.Failed), rules.Tests, unreached})
		} else {
			for i := range rules.Failed {
				fmt.Fprintln(w, app.Printable(rules.Failed[i].String()))
			}
			for _, name := range unreached {
				fmt.Fprintln(w, app.Printable("no test is decided by "+name))
			}
			_, err = fmt.Fprintf(w, "%d tests, %d failed\n", len(rules.Tests), len(rules.Failed))
		}
		switch {
		case err != nil:
			return err
		case len(rules.Failed) > 0:
			return &exit{code: exitDeny}
		case len(rules.Tests) == 0: // a pipeline that names the wrong folder is not to be green
			return &exit{exitDeny, fmt.Errorf("no AccessPolicy in %s has tests (spec.tests)", strings.Join(f.config, ", "))}
		}
		return nil
	}
	return c
}

func newAccessGraphCommand() *cobra.Command {
	var f accessFlags
	c := &cobra.Command{
		Use:   "graph --config PATH",
		Short: "Print who can reach what",
		Long: `Graph prints which identities can do what with which models, and by which policies.
Where it depends on the request, the line says so.`,
		Example: `  apex access graph --config policies
  apex access graph --config policies -o dot | dot -Tsvg > access.svg`,
		Args: cobra.NoArgs,
	}
	f.documents(c)
	output := outputFlag(c, "table", "json", "yaml", "dot")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		rules, err := f.load(cmd)
		if err != nil {
			return err
		}
		g, err := rules.Graph()
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		switch *output {
		case "dot":
			return g.WriteDOT(w)
		case "json", "yaml":
			return writeDocument(w, *output, g)
		}
		for _, e := range g.Edges {
			when := ""
			if e.Conditional {
				when = "  (under conditions)"
			}
			line := fmt.Sprintf("%s -> %s: %s, by %s%s", e.Identity, e.Target, strings.Join(e.Actions, " "), strings.Join(e.Policies, " "), when)
			if _, err := fmt.Fprintln(w, app.Printable(line)); err != nil {
				return err
			}
		}
		return nil
	}
	return c
}
