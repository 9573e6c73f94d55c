package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/function/permissions"
	"github.com/apexlogic/apex/internal/function/stack"
	"github.com/apexlogic/apex/internal/report"
)

func newFunctionPermissionsCommand() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:   "permissions DIR | FILE...",
		Short: "List what functions and their roles may do",
		Long: `Permissions adds up the rights of every role, user, group and service account that
the code declares, with the functions that run as it: by service, what kind of access,
how many of all actions, on how much, under which conditions, and the statements that
say so. What a Deny takes away and a boundary does not allow is not listed. For
Kubernetes it lists verbs by resource.

RESOURCES is "*" for whatever there is, "wide" for all of a kind, "narrow" for what is
named, and "none" where the actions take no resource. What depends on values outside of
the files counts as allowed; what is not known at all is listed as unresolved.

The exit code is 4 when a file could not be read to its end.`,
		Example: `  apex function permissions infra/
  apex function permissions --function captioner infra/
  apex function permissions -o json infra/`,
		Args: cobra.MinimumNArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.Flags().StringVar(&name, "function", "", "only what this function runs as")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var all app.Rights
		for _, arg := range args {
			r, err := app.Permissions(cmd.Context(), arg)
			if err != nil {
				return err
			}
			all.Permissions = append(all.Permissions, r.Permissions...)
			all.Gaps = append(all.Gaps, r.Gaps...)
		}
		if name != "" {
			of, names, ok := all.Of(name)
			if !ok {
				return usage("no function %q that runs as somebody; there are: %s", name, strings.Join(names, ", "))
			}
			all.Permissions = of
		}
		w := bufio.NewWriter(cmd.OutOrStdout())
		if err := writePermissions(w, *output, &all); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if len(all.Gaps) > 0 {
			return &exit{code: exitPartial}
		}
		return nil
	}
	return c
}

func writePermissions(w io.Writer, format string, r *app.Rights) error {
	document := struct {
		Schema      string                   `json:"schema"`
		Permissions []permissions.Permission `json:"permissions"`
		Gaps        []stack.Gap              `json:"gaps,omitempty"`
	}{"apex.function-permissions/v1", r.Permissions, r.Gaps}
	if document.Permissions == nil {
		document.Permissions = []permissions.Permission{}
	}
	switch format {
	case "json":
		return printJSON(w, document)
	case "yaml":
		return printYAML(w, document)
	}
	for i := range r.Permissions {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := writePermission(w, &r.Permissions[i]); err != nil {
			return err
		}
	}
	for _, g := range r.Gaps {
		fmt.Fprintf(w, "not read to its end: %s:%d: %s\n", report.Plain(g.File), g.Line, report.Plain(g.Why))
	}
	return nil
}

func writePermission(w io.Writer, p *permissions.Permission) error {
	fmt.Fprintf(w, "%s %s", p.Kind, report.Plain(p.ID))
	if p.Name != "" && p.Name != p.ID && !strings.HasSuffix(p.ID, "/"+p.Name) {
		fmt.Fprintf(w, " (%s)", report.Plain(p.Name))
	}
	fmt.Fprintf(w, "  %s:%d\n", report.Plain(p.File), p.Line)
	if len(p.Functions) > 0 {
		fmt.Fprintf(w, "  runs: %s\n", report.Plain(strings.Join(p.Functions, ", ")))
	}
	if p.Boundary {
		fmt.Fprintln(w, "  within its permissions boundary")
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(p.Services) > 0 {
		fmt.Fprintln(t, "  SERVICE\tACTIONS\tACCESS\tRESOURCES\tCONDITIONS\tFROM")
	}
	for i := range p.Services {
		s := &p.Services[i]
		fmt.Fprintf(t, "  %s\t%d of %d\t%s\t%s\t%s\t%s\n", s.Service, s.Actions, s.Of, strings.Join(s.Levels, ", "), s.Width, orDash(fewOf(s.Conditions, "; ")), fewPlaces(s.From))
	}
	if len(p.Rules) > 0 {
		fmt.Fprintln(t, "  NAMESPACE\tRESOURCE\tNAMES\tVERBS\tFROM")
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		what := r.Resource
		switch {
		case r.URL != "":
			what = r.URL
		case r.Group != "":
			what += "." + r.Group
		}
		namespace := r.Namespace
		if namespace == "" {
			namespace = "all"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", report.Plain(namespace), report.Plain(what), orDash(fewOf(r.Names, ", ")), report.Plain(strings.Join(r.Verbs, ", ")), fewPlaces(r.From))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(p.Services)+len(p.Rules)+len(p.Unresolved) == 0 {
		fmt.Fprintln(w, "  nothing is allowed")
	}
	for _, u := range p.Unresolved {
		fmt.Fprintf(w, "  unresolved: %s:%d: %s\n", report.Plain(u.File), u.Line, report.Plain(u.Why))
	}
	return nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// fewOf writes a list up to a length that a person reads.
func fewOf(list []string, between string) string {
	const most = 3
	if len(list) <= most {
		return report.Plain(strings.Join(list, between))
	}
	return report.Plain(fmt.Sprintf("%s and %d more", strings.Join(list[:most], between), len(list)-most))
}

func fewPlaces(list []stack.Where) string {
	texts := make([]string, 0, len(list))
	for _, w := range list {
		texts = append(texts, fmt.Sprintf("%s:%d", w.File, w.Line))
	}
	return fewOf(texts, ", ")
}
