package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/config"
)

func newPolicyExplainCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain [KIND[.FIELD...]]",
		Short: "Explain a kind or one of its fields",
		Long: `Explain says what a kind or a field is for, what it may hold, and what is below it,
from the same schema that validates the documents. Without an argument it lists
the kinds.`,
		Example: `  apex policy explain
  apex policy explain TrustRoot
  apex policy explain ImageSecurityPolicy.spec.rules.parameters.maxSeverity`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeFields,
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		w := cmd.OutOrStdout()
		if len(args) == 0 {
			return listKinds(w, *output)
		}
		e, err := config.Explain(args[0])
		if err != nil {
			return &exit{exitUsage, err}
		}
		switch *output {
		case "json":
			return printJSON(w, e)
		case "yaml":
			return printYAML(w, e)
		}
		return writeExplanation(w, &e)
	}
	return c
}

func listKinds(w io.Writer, format string) error {
	type kind struct {
		Kind    string `json:"kind"`
		Summary string `json:"summary"`
	}
	var all []kind
	for _, name := range config.Kinds() {
		e, err := config.Explain(name)
		if err != nil {
			return err
		}
		all = append(all, kind{name, firstSentence(e.Description)})
	}
	switch format {
	case "json":
		return printJSON(w, all)
	case "yaml":
		return printYAML(w, all)
	}
	for _, k := range all {
		if _, err := fmt.Fprintf(w, "%-20s  %s\n", k.Kind, k.Summary); err != nil {
			return err
		}
	}
	return nil
}

func firstSentence(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if i := strings.Index(text, ". "); i >= 0 {
		return text[:i+1]
	}
	return text
}

func writeExplanation(w io.Writer, e *config.Explanation) error {
	var b strings.Builder
	name := e.Kind
	if e.Path != "" {
		name += "." + e.Path
	}
	fmt.Fprintf(&b, "%s  %s", name, e.Type)
	if e.Required {
		b.WriteString(", required")
	}
	b.WriteString("\n")
	if e.Description != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(e.Description))
	}
	list := func(title string, items []string) {
		if len(items) > 0 {
			fmt.Fprintf(&b, "\n%s: %s\n", title, strings.Join(items, "; "))
		}
	}
	if len(e.Enum) > 0 {
		list("one of", []string{strings.Join(e.Enum, ", ")})
	}
	if e.Default != "" {
		list("default", []string{e.Default})
	}
	list("limits", e.Limits)
	if len(e.Rules) > 0 {
		b.WriteString("\nrules:\n")
	}
	for _, rule := range e.Rules {
		fmt.Fprintf(&b, "  - %s\n", rule)
	}
	if len(e.Children) > 0 {
		b.WriteString("\n")
	}
	width := 0
	for _, c := range e.Children {
		width = max(width, len(c.Name))
	}
	for _, c := range e.Children {
		kind := c.Type
		if c.Required {
			kind += ", required"
		}
		fmt.Fprintf(&b, "  %-*s  %s\n", width, c.Name, kind)
		if c.Summary != "" {
			fmt.Fprintf(&b, "  %-*s    %s\n", width, "", c.Summary)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// completeFields offers kinds, and below a kind its fields.
func completeFields(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	dot := strings.LastIndexByte(typed, '.')
	if dot < 0 {
		return config.Kinds(), cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	}
	e, err := config.Explain(typed[:dot])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, c := range e.Children {
		if name := typed[:dot+1] + c.Name; strings.HasPrefix(name, typed) {
			out = append(out, name)
		}
	}
	return out, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}
