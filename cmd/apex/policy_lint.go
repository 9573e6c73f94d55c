package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/policytest"
)

// lintReport is what machines get.
type lintReport struct {
	Schema    string           `json:"schema"`
	Documents int              `json:"documents"`
	Errors    int              `json:"errors"`
	Warnings  int              `json:"warnings"`
	Problems  []config.Problem `json:"problems"`
}

func newPolicyLintCommand() *cobra.Command {
	var strict bool
	c := &cobra.Command{
		Use:   "lint [PATH...]",
		Short: "Say what is wrong with policies, and where",
		Long: `Lint reads policies, trust roots, exceptions, revocations and base image locks and
says what keeps them from being in force, what leaves a policy not ready, and what
is probably not meant, each with file, line and column.

Without a path it reads the files of the workspace as they are on disk, committed
or not; outside of a workspace it reads the current folder. What policies refer to
has to be read with them: name the folder of the trust roots too.

The exit code is 1 when there are errors, and with --strict also for warnings.`,
		Example: `  apex policy lint
  apex policy lint policies/ trust/ --strict
  apex policy lint -o sarif > lint.sarif`,
		Args: cobra.ArbitraryArgs,
	}
	output := outputFlag(c, "table", "json", "yaml", "sarif")
	c.Flags().BoolVar(&strict, "strict", false, "warnings count as errors")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			args = lintPaths()
		}
		var sources []config.Source
		for _, path := range args {
			sources = append(sources, config.Path(path))
		}
		set, err := config.Load(cmd.Context(), sources...)
		if err != nil {
			return err
		}
		r := lintReport{Schema: "apex.lint/v1", Documents: set.Len(), Problems: policytest.Lint(set, time.Now())}
		for _, p := range r.Problems {
			if p.Severity == config.Error {
				r.Errors++
			} else {
				r.Warnings++
			}
		}
		if r.Documents == 0 && r.Errors == 0 {
			return fmt.Errorf("no policy and no trust root in %s", oneLine(fmt.Sprint(args)))
		}
		if err := writeLint(cmd.OutOrStdout(), *output, &r); err != nil {
			return err
		}
		if r.Errors > 0 || strict && r.Warnings > 0 {
			return &exit{code: exitDeny}
		}
		return nil
	}
	return c
}

// lintPaths are the folders of the workspace that hold documents, or ".".
func lintPaths() []string {
	workspace, inside := app.FindWorkspace(".")
	if !inside {
		return []string{"."}
	}
	dir := workspace.Dir
	if here, err := os.Getwd(); err == nil {
		if shorter, err := filepath.Rel(here, dir); err == nil {
			dir = shorter
		}
	}
	var paths []string
	for _, folder := range []string{"policies", "trust", "exceptions"} {
		path := filepath.Join(dir, folder)
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return []string{dir}
	}
	return paths
}

func writeLint(w io.Writer, format string, r *lintReport) error {
	switch format {
	case "json":
		return printJSON(w, r)
	case "yaml":
		return printYAML(w, r)
	case "sarif":
		return printJSON(w, lintSARIF(r))
	}
	for _, p := range r.Problems {
		if _, err := fmt.Fprintln(w, problemLine(p)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s: %s, %s\n", count(r.Documents, "document"), count(r.Errors, "error"), count(r.Warnings, "warning"))
	return err
}

// problemLine is "file:line:col: error: path: message (did you mean …?)".
func problemLine(p config.Problem) string {
	line := fmt.Sprintf("%s: %s: ", p.Position, p.Severity)
	if p.Position == (config.Position{}) {
		line = p.Severity.String() + ": "
	}
	if p.Path != "" {
		line += p.Path + ": "
	}
	line += p.Message
	if p.Suggestion != "" {
		line += " (did you mean " + p.Suggestion + "?)"
	}
	return oneLine(line)
}

// lintSARIF is the report as SARIF 2.1.0 (OASIS), with the fields that code
// scanning shows: the rule is the problem's code.
func lintSARIF(r *lintReport) any {
	type m = map[string]any
	rules, results := []m{}, []m{}
	index := map[string]int{}
	for _, p := range r.Problems {
		code := string(p.Code)
		i, known := index[code]
		if !known {
			i = len(rules)
			index[code] = i
			rules = append(rules, m{"id": code, "shortDescription": m{"text": p.Code.Info().Meaning}})
		}
		text := p.Message
		if p.Path != "" {
			text = p.Path + ": " + text
		}
		if p.Suggestion != "" {
			text += " (did you mean " + p.Suggestion + "?)"
		}
		result := m{"ruleId": code, "ruleIndex": i, "level": p.Severity.String(), "message": m{"text": oneLine(text)}}
		if p.File != "" {
			place := m{"artifactLocation": m{"uri": filepath.ToSlash(p.File)}}
			if p.Line > 0 {
				place["region"] = m{"startLine": p.Line, "startColumn": max(1, p.Column)}
			}
			result["locations"] = []m{{"physicalLocation": place}}
		}
		results = append(results, result)
	}
	return m{
		"$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
		"version": "2.1.0",
		"runs":    []m{{"tool": m{"driver": m{"name": "Apex policy lint", "rules": rules}}, "results": results}},
	}
}
