package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/advisory/snapshot"
	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/report"
	"github.com/apexlogic/apex/internal/scanhub"
	"github.com/apexlogic/apex/internal/scanhub/dast"
	"github.com/apexlogic/apex/internal/scanhub/tools"
	"github.com/apexlogic/apex/verdict"
)

func newScanCommand() *cobra.Command {
	var only, require []string
	var failOn, baselineFile, write, until, reason string
	var timeout time.Duration
	var openapi, headers string
	var remote bool
	var data tools.Data
	c := &cobra.Command{
		Use:   "scan DIR | IMAGE | https://SERVICE",
		Short: "Run the scanners that are there, and decide once",
		Long: `Scan runs every scanner of its table that is on PATH (gosec, Semgrep, gitleaks,
govulncheck, Trivy, Grype, osv-scanner, hadolint, checkov; ZAP and nuclei against a
service; with --openapi a small replay of its own), each in a cage with limits on time, memory and output, with no network where
its work needs none. On a folder the built-in ones run beside them: models, functions,
and vulnerabilities when there are advisories. What several tools say about one place is one finding.

A tool that failed or was cut off has not scanned; it is named, and the answer is no.
What the scanned tree says about the tools (ignore files, comments) does not count: what
is accepted stands in the baseline, a file in Git with a reason and an expiry for each
finding, so that only new findings block.

The exit code is 1 when something blocks or a tool failed, 4 when no scanner is there.`,
		Example: `  apex scan .
  apex scan . --baseline apex-baseline.json --fail-on High -o sarif > scan.sarif
  apex scan . --write-baseline apex-baseline.json --reason "before Apex" --until 2027-01-31`,
		Args: cobra.ExactArgs(1),
	}
	output := outputFlag(c, "table", "json", "sarif")
	c.Flags().StringSliceVar(&only, "tool", nil, "run only these")
	c.Flags().StringSliceVar(&require, "require", nil, "these must have scanned, or have nothing to look at")
	c.Flags().StringVar(&failOn, "fail-on", "High", "least severity that blocks: Low, Medium, High, Critical; what is unknown blocks")
	c.Flags().StringVar(&baselineFile, "baseline", "", "file with accepted findings")
	c.Flags().StringVar(&write, "write-baseline", "", "accept all that is found now, and write it to this file")
	c.Flags().StringVar(&reason, "reason", "", "why, for --write-baseline")
	c.Flags().StringVar(&until, "until", "", "last day on which that holds, as 2027-01-31")
	c.Flags().DurationVar(&timeout, "timeout", 0, "limit for each tool (default: its own, or 10 minutes)")
	c.Flags().StringVar(&headers, "header-file", "", "file with the headers, one \"Name: value\" a line, that --openapi sends with every request: credentials")
	c.Flags().StringVar(&openapi, "openapi", "", "OpenAPI description of the service: its operations are replayed with hostile values")
	c.Flags().BoolVar(&remote, "allow-remote", false, "replay against a service that is not on this machine")
	c.Flags().BoolVar(&data.AllowFetching, "fetch", false, "tools may fetch databases and rules")
	c.Flags().StringVar(&data.GoAdvisories, "go-advisories", "", "folder in the layout of vuln.go.dev, for govulncheck")
	c.Flags().StringVar(&data.SemgrepRules, "semgrep-rules", "", "file or folder of rules")
	c.Flags().StringVar(&data.NucleiRules, "nuclei-templates", "", "folder of templates")
	c.Flags().StringVar(&data.TrivyCache, "trivy-cache", "", "folder with Trivy's database")
	c.Flags().StringVar(&data.GrypeDB, "grype-db", "", "folder with Grype's database")
	c.Flags().StringVar(&data.OSVDatabase, "osv-database", "", "folder with osv-scanner's database")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		threshold := scanhub.Threshold{Required: require}
		if err := threshold.Severity.UnmarshalText([]byte(failOn)); err != nil || threshold.Severity < fact.SeverityLow {
			return usage("--fail-on %q is not Low, Medium, High or Critical", failOn)
		}
		var day time.Time
		if write != "" {
			var err error
			if day, err = time.Parse(time.DateOnly, until); err != nil || reason == "" {
				return usage("--write-baseline needs --reason and --until, as 2027-01-31")
			}
		}
		table, err := pick(append(only, require...), len(only) > 0)
		if err != nil {
			return err
		}
		target, err := targetOf(args[0])
		if err != nil {
			return err
		}
		if openapi != "" && target.URL == "" {
			return usage("--openapi needs the URL of a service, not %s", args[0])
		}
		if headers != "" && openapi == "" {
			return usage("--header-file is for --openapi")
		}
		var baseline *scanhub.Baseline
		if baselineFile != "" {
			text, err := bounded.ReadFile(baselineFile, 16<<20)
			if err != nil {
				return err
			}
			if baseline, err = scanhub.ReadBaseline(text); err != nil {
				return fmt.Errorf("%s: %w", baselineFile, err)
			}
		}
		runner := scanhub.Runner{Tools: table, Data: data, Time: timeout}
		scans, err := runner.Run(cmd.Context(), target)
		if err != nil {
			return err
		}
		if target.Dir != "" && len(only) == 0 {
			own, err := runOwn(cmd.Context(), target.Dir)
			if err != nil {
				return err
			}
			scans = append(scans, own...)
		}
		if openapi != "" {
			more, err := replay(cmd.Context(), openapi, headers, target.URL, remote)
			if err != nil {
				return err
			}
			scans = append(scans, more)
		}
		if !anyScanned(scans) {
			if err := writeScanTools(cmd.ErrOrStderr(), scans); err != nil {
				return err
			}
			return &exit{exitPartial, errors.New("no scanner has scanned: install one, or say what it needs")}
		}
		merged, err := scanhub.Merge(scans, target.Dir, groups(cmd, scans))
		if err != nil {
			return err
		}
		if write != "" {
			return writeBaseline(write, merged, reason, day)
		}
		v := scanhub.Decide(merged, baseline, threshold, time.Now())
		if err := writeScan(cmd.OutOrStdout(), *output, merged, &v); err != nil {
			return err
		}
		if v.Decision == verdict.Deny {
			return &exit{code: exitDeny}
		}
		return nil
	}
	return c
}

// groups joins the names that advisories give to one vulnerability, when there
// are some on this machine; without them a vulnerability that two scanners name
// differently is listed twice.
func groups(cmd *cobra.Command, scans []scanhub.Scan) scanhub.Groups {
	s, err := app.LoadAdvisories(cmd.Context(), "", clock.System{})
	if err != nil {
		if !errors.Is(err, snapshot.ErrNone) {
			fmt.Fprintf(cmd.ErrOrStderr(), "apex: vulnerabilities with several names may be listed twice: %v\n", err)
		}
		return nil
	}
	return scanhub.GroupsOf(scans, app.VulnerabilityNames(s))
}

// replay runs the built-in scan of a service by its description.
func replay(ctx context.Context, file, headers, url string, remote bool) (scanhub.Scan, error) {
	description, err := bounded.ReadFile(file, 16<<20)
	if err != nil {
		return scanhub.Scan{}, err
	}
	header, err := readHeaders(headers)
	if err != nil {
		return scanhub.Scan{}, err
	}
	run, err := dast.Scan(ctx, description, dast.Options{Base: url, AllowRemote: remote, Header: header})
	if errors.Is(err, dast.ErrNotLoopback) {
		return scanhub.Scan{}, fmt.Errorf("%w; say --allow-remote if it is yours to test", err)
	}
	if err != nil {
		return scanhub.Scan{}, fmt.Errorf("%s: %w", file, err)
	}
	return scanhub.Report(run), nil
}

// readHeaders reads "Name: value" lines; the errors repeat no value.
func readHeaders(file string) (http.Header, error) {
	if file == "" {
		return nil, nil
	}
	text, err := bounded.ReadFile(file, 64<<10)
	if err != nil {
		return nil, err
	}
	header, err := textproto.NewReader(bufio.NewReader(io.MultiReader(bytes.NewReader(text), strings.NewReader("\n\n")))).ReadMIMEHeader()
	if err != nil || len(header) == 0 {
		return nil, fmt.Errorf("%s: a header is written \"Name: value\", one a line", file)
	}
	return http.Header(header), nil
}

func writeScanTools(out io.Writer, scans []scanhub.Scan) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i := range scans {
		s := &scans[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.Tool, s.Status, report.Plain(s.Version), report.Plain(s.Reason))
	}
	return t.Flush()
}

// pick returns the tools of the table that are named; all when none is.
func pick(names []string, limited bool) ([]tools.Tool, error) {
	all := tools.All()
	var known []string
	wanted := map[string]bool{}
	for _, n := range names {
		wanted[n] = true
	}
	var out []tools.Tool
	for _, t := range all {
		known = append(known, t.Name)
		if wanted[t.Name] {
			out = append(out, t)
		}
		delete(wanted, t.Name)
	}
	for n := range wanted {
		return nil, usage("no scanner is called %q; known are %s", n, strings.Join(known, ", "))
	}
	if !limited {
		return all, nil
	}
	return out, nil
}

func targetOf(arg string) (tools.Target, error) {
	if strings.HasPrefix(arg, "http://") || strings.HasPrefix(arg, "https://") {
		return tools.Target{URL: arg}, nil
	}
	info, err := os.Stat(arg)
	if errors.Is(err, fs.ErrNotExist) {
		return tools.Target{Image: arg}, nil
	}
	if err != nil {
		return tools.Target{}, err
	}
	path, err := filepath.Abs(arg)
	if err != nil {
		return tools.Target{}, err
	}
	if info.IsDir() {
		return tools.Target{Dir: path}, nil
	}
	return tools.Target{Image: path}, nil
}

func anyScanned(scans []scanhub.Scan) bool {
	for i := range scans {
		if scans[i].Status == scanhub.Scanned {
			return true
		}
	}
	return false
}

func writeBaseline(file string, m *scanhub.Merged, reason string, until time.Time) error {
	for i := range m.Scans {
		if s := &m.Scans[i]; s.Status == scanhub.NotScanned {
			return fmt.Errorf("%s has not scanned (%s): what it would have found cannot be accepted", s.Tool, s.Reason)
		}
	}
	b, err := scanhub.NewBaseline(m, reason, until)
	if err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(b.Write(f), f.Close())
}

// scanDocument is what "scan -o json" writes.
type scanDocument struct {
	Schema   string        `json:"schema"`
	Decision string        `json:"decision"`
	Reasons  []string      `json:"reasons"`
	Tools    []scanTool    `json:"tools"`
	Findings []scanFinding `json:"findings"`
}

type scanTool struct {
	Name     string   `json:"name"`
	Version  string   `json:"version,omitempty"`
	Status   string   `json:"status"`
	Reason   string   `json:"reason,omitempty"`
	Confined []string `json:"confined,omitempty"`
	Open     []string `json:"open,omitempty"`
	Seconds  float64  `json:"seconds"`
}

type scanFinding struct {
	Fingerprint string           `json:"fingerprint"`
	Rule        string           `json:"rule"`
	Severity    fact.Severity    `json:"severity"`
	Message     string           `json:"message"`
	File        string           `json:"file,omitempty"`
	Line        int              `json:"line,omitempty"`
	By          []scanhub.Source `json:"by"`
	State       scanhub.State    `json:"state"`
	Note        string           `json:"note,omitempty"`
}

func writeScan(out io.Writer, format string, m *scanhub.Merged, v *scanhub.Verdict) error {
	if format == "sarif" {
		return scanhub.WriteSARIF(out, m, v)
	}
	d := scanDocument{Schema: "apex.scan/v1", Decision: v.Decision.String(), Reasons: v.Reasons, Tools: []scanTool{}, Findings: []scanFinding{}}
	for i := range m.Scans {
		s := &m.Scans[i]
		d.Tools = append(d.Tools, scanTool{s.Tool, s.Version, string(s.Status), s.Reason, s.Confined, s.Open, s.Took.Seconds()})
	}
	for i := range m.Findings {
		f := &m.Findings[i]
		d.Findings = append(d.Findings, scanFinding{f.Fingerprint, f.Rule(), f.Severity, f.Message, f.Place.File, f.Place.Line, f.By, v.States[i], v.Notes[i]})
	}
	if format == "json" {
		return printJSON(out, d)
	}
	w := bufio.NewWriter(out)
	if err := writeScanTools(w, m.Scans); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(d.Findings) > 0 {
		fmt.Fprintln(t, "\nSEVERITY\tSTATE\tRULE\tWHERE\tBY\tMESSAGE")
	}
	for i := range d.Findings {
		f := &d.Findings[i]
		var by []string
		for _, s := range f.By {
			by = append(by, s.Tool)
		}
		where := report.Plain(f.File)
		if f.Line > 0 {
			where = fmt.Sprintf("%s:%d", where, f.Line)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", f.Severity, f.State, report.Plain(f.Rule), where, strings.Join(by, ", "), report.Plain(f.Message))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s: %s\n", d.Decision, report.Plain(strings.Join(d.Reasons, "; ")))
	return w.Flush()
}
