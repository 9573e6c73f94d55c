package main

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
)

func newPolicyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "Check, test and explain policies, and see what manifests name",
		Long: `Policy works on files where they stand, before they are in force: it says what is
wrong with them and where, tests them against cases without a registry, explains
every field, and lists what manifests would have judged.`,
		Example: `  apex policy lint policies/
  apex policy test policies/
  apex policy explain ImageSecurityPolicy.spec.rules
  apex policy refs deploy/`,
	}
	c.AddCommand(newPolicyLintCommand(), newPolicyTestCommand(), newPolicyExplainCommand(), newPolicyRefsCommand())
	return c
}

// oneLine makes foreign text safe to show on one line of a terminal.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' || r == '\t' }), " ")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
