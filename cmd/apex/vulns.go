package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/advisory"
	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/report"
	"github.com/apexlogic/apex/internal/sbom/format/vex"
	"github.com/apexlogic/apex/internal/verify"
)

func newVulnsCommand() *cobra.Command {
	var flags clientFlags
	var advisories, platform, failOn, exposed string
	var fleet, unfixed bool
	var vexFiles, observed, policies []string
	c := &cobra.Command{
		Use:   "vulns IMAGE | SBOM | DIR | ARCHIVE... | --fleet",
		Short: "Known vulnerabilities of what is inside, the most urgent first",
		Long: `Vulns finds what is inside of an image or a folder, or what an SBOM lists, and which advisories
are about it. Aliases of one vulnerability are one finding; each has its priority
(known to be exploited, EPSS, severity, exposure, whether it is imported at all)
and the smallest version that mends it.

With --fleet it says so of everything that was admitted, from the inventories that
were kept then: nothing is pulled.

A package that a distribution brought is matched with the distribution's advisories.
What cannot be decided, such as a version that no order knows, is listed as unknown.
An ecosystem of which there are no advisories is named: it is not clean, it was not
looked at.

The exit code is 1 when something at or above --fail-on is affected, 4 when
not everything could be looked at; with -o jsonl it is 0.`,
		Example: `  apex vulns registry.example.com/vision/captioner:1.0
  apex vulns . --fail-on High
  apex vulns -o jsonl --advisories pypi.jsonl.gz env1 env2
  apex vulns --fleet -o json
  apex vulns app:1.0 -o openvex > app.vex.json   # to be edited, signed and committed`,
	}
	flags.add(c)
	output := outputFlag(c, "table", "json", "yaml", "jsonl", "sarif", "openvex")
	c.Flags().StringVar(&advisories, "advisories", "", "snapshot, or feed in OSV's form (default: what apex advisories sync has fetched)")
	c.Flags().StringVar(&platform, "platform", "", "of an index, the platform to look at, os/arch")
	c.Flags().StringVar(&failOn, "fail-on", "Low", "least severity for which the exit code is 1: Low, Medium, High, Critical")
	c.Flags().StringVar(&exposed, "exposed", "", "yes or no: can what runs there be reached from outside")
	c.Flags().StringSliceVar(&vexFiles, "vex", nil, "document with statements (OpenVEX, CSAF, CycloneDX); they count when the bundle beside it is by a signer for VEX")
	c.Flags().StringSliceVar(&policies, "policy", nil, "file or folder with trust roots for --vex (default: the commit at the workspace's head)")
	c.Flags().StringSliceVar(&observed, "observed-imports", nil, "what was loaded when it ran: JSON lines with \"module\", Python's -X importtime or -v, or /proc/PID/maps")
	c.Flags().BoolVar(&unfixed, "ignore-unfixed", false, "leave out what no version mends")
	c.Flags().BoolVar(&fleet, "fleet", false, "everything that was admitted, from the inventories that were kept")
	c.Args = func(_ *cobra.Command, args []string) error {
		if fleet != (len(args) == 0) {
			return usage("name images, folders, archives or SBOMs, or give --fleet")
		}
		return nil
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var least fact.Severity
		if err := least.UnmarshalText([]byte(failOn)); err != nil {
			return usage("--fail-on: %v", err)
		}
		o := app.VulnOptions{Advisories: advisories, Clock: clock.System{}, Platform: platform, Version: version, IgnoreUnfixed: unfixed, VEX: vexFiles, ObservedImports: observed}
		switch exposed {
		case "":
		case "yes":
			o.Exposed = advisory.Yes
		case "no":
			o.Exposed = advisory.No
		default:
			return usage("--exposed %q is not yes or no", exposed)
		}
		client, err := flags.open()
		if err != nil {
			return err
		}
		defer client.Close()
		o.Registry = client
		if len(vexFiles) > 0 {
			if o.Trust, err = trustForVEX(cmd, policies); err != nil {
				return err
			}
		}
		var found []app.Vulns
		if fleet {
			workspace, inside := app.FindWorkspace(".")
			state, err := stateDir(cmd, workspace, inside)
			if err != nil {
				return err
			}
			if found, err = app.FleetVulns(cmd.Context(), state, o); err != nil {
				return err
			}
		} else if found, err = app.FindVulns(cmd.Context(), args, o); err != nil {
			return err
		}
		w := bufio.NewWriter(cmd.OutOrStdout())
		if err := writeVulns(w, *output, found); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if *output == "jsonl" {
			for _, v := range found {
				if n := v.Undecided(); n > 0 {
					fmt.Fprintf(cmd.ErrOrStderr(), "apex: %s: %d findings could not be decided and are not among the lines; -o json lists them\n", v.Source, n)
				}
				for _, g := range v.Gaps {
					fmt.Fprintf(cmd.ErrOrStderr(), "apex: %s: not looked at: %s\n", v.Source, g)
				}
			}
			return nil
		}
		return vulnsExit(found, least)
	}
	c.AddCommand(newVulnsFixCommand())
	return c
}

// trustForVEX is whose statements count; nil where no trust is named.
func trustForVEX(cmd *cobra.Command, policies []string) (*verify.Generation, error) {
	workspace, inside := app.FindWorkspace(".")
	if !inside && len(policies) == 0 {
		return nil, nil
	}
	flags := engineFlags{policies: policies}
	set, err := flags.load(cmd.Context(), workspace, inside)
	if err == nil {
		err = set.Err()
	}
	if err != nil {
		return nil, err
	}
	return verify.Compile(set.Hash(), app.Documents(set), time.Now())
}

func vulnsExit(found []app.Vulns, least fact.Severity) error {
	code := exitAllow
	for i := range found {
		switch {
		case found[i].AtOrAbove(least):
			return &exit{code: exitDeny}
		case len(found[i].Gaps) > 0:
			code = exitPartial
		}
	}
	if code != exitAllow {
		return &exit{code: code}
	}
	return nil
}

// vulnLine is the stable line of "vulns -o jsonl".
type vulnLine struct {
	Env       string   `json:"env"`
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Ecosystem string   `json:"ecosystem"`
	IDs       []string `json:"ids"`
	Group     string   `json:"group"`
	Severity  string   `json:"severity"`
}

func writeVulns(w io.Writer, format string, found []app.Vulns) error {
	document := struct {
		Schema  string      `json:"schema"`
		Sources []app.Vulns `json:"sources"`
	}{"apex.vulns/v1", found}
	switch format {
	case "json":
		return printJSON(w, document)
	case "yaml":
		return printYAML(w, document)
	case "sarif":
		return report.FindingsSARIF(w, vulnFindings(found))
	case "jsonl":
		return writeVulnLines(w, found)
	case "openvex":
		return vex.Write(w, statementsOf(found), vexAuthor, time.Now())
	}
	return writeVulnTable(w, found)
}

func writeVulnLines(w io.Writer, found []app.Vulns) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for i := range found {
		seen := map[string]bool{} // a package that lies in two places is one line
		for _, m := range found[i].Findings {
			key := m.Ecosystem + "\x00" + m.Name + "\x00" + m.Version + "\x00" + m.Group
			if seen[key] || m.Status != advisory.Affected {
				continue
			}
			seen[key] = true
			line := vulnLine{found[i].Source, m.Name, m.Version, m.Ecosystem, m.IDs, m.Group, m.Severity.Level.String()}
			if err := enc.Encode(line); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeVulnTable(w io.Writer, found []app.Vulns) error {
	for i := range found {
		v := &found[i]
		fmt.Fprintf(w, "%s: %d packages, advisories of %s\n", report.Plain(v.Source), v.Packages, v.Advisories.Format("2006-01-02 15:04"))
		if len(v.Findings) > 0 {
			t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "URGENCY\tSEVERITY\tVULNERABILITY\tPACKAGE\tVERSION\tFIXED\tWHY")
			for _, f := range v.Findings {
				fixed := f.Fixed
				if fixed == "" {
					fixed = "-"
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Priority.Urgency, f.Severity.Level, report.Plain(f.Group), report.Plain(f.Name),
					report.Plain(f.Version), report.Plain(fixed), report.Plain(strings.Join(f.Priority.Reasons, ", ")))
			}
			if err := t.Flush(); err != nil {
				return err
			}
		}
		for _, n := range v.Names {
			fmt.Fprintf(w, "%s: %s %s: %s\n", n.Code, report.Plain(n.Name), report.Plain(n.Version), report.Plain(n.Detail))
		}
		for _, g := range v.Gaps {
			fmt.Fprintf(w, "not looked at: %s\n", report.Plain(g))
		}
	}
	return nil
}

func vulnFindings(found []app.Vulns) []report.Finding {
	var out []report.Finding
	for i := range found {
		for _, f := range found[i].Findings {
			r := report.Finding{
				Rule: f.Group, Title: f.Summary, Severity: f.Severity.Level, Score: f.Severity.Score, File: f.Path,
				Name: f.Ecosystem + "/" + f.Name + "@" + f.Version, Identity: []string{f.Ecosystem, f.Name, f.Version},
				Message: fmt.Sprintf("%s %s is affected by %s: %s", f.Name, f.Version, f.Group, strings.Join(f.Priority.Reasons, ", ")),
			}
			if f.Fixed != "" {
				r.Mend = "update to " + f.Fixed
			}
			if f.Suppressed() {
				r.Muted = "a VEX statement: " + f.VEX.Justification
			}
			out = append(out, r)
		}
		for _, n := range found[i].Names {
			out = append(out, report.Finding{
				Rule: string(n.Code), Title: n.Code.Info().Meaning, Severity: fact.SeverityMedium, File: n.Path, Name: n.Name + "@" + n.Version,
				Identity: []string{n.Package, n.Like}, Message: n.Name + ": " + n.Detail, Mend: n.Code.Info().Mend,
			})
		}
	}
	return out
}

// vexAuthor is who makes the document; who signs it is who stands for it.
const vexAuthor = "apex"

// statementsOf says of each finding what is known: that it is affected and what
// mends it, or that it is being investigated. What somebody's statement already
// suppresses is repeated as it was said.
func statementsOf(found []app.Vulns) []fact.VEX {
	var out []fact.VEX
	for i := range found {
		seen := map[string]bool{}
		for _, f := range found[i].Findings {
			if f.PURL == "" || f.Removed || seen[f.Group+" "+f.PURL] {
				continue
			}
			seen[f.Group+" "+f.PURL] = true
			s := fact.VEX{Vulnerability: f.Group, Aliases: f.IDs, Products: []string{f.PURL}, Status: fact.Affected, Action: "no version is known that mends it"}
			if d := found[i].Digest; d != "" {
				s.Products, s.Subcomponents = []string{d}, []string{f.PURL}
			}
			switch {
			case f.Suppressed():
				s.Status, s.Justification, s.Impact, s.Until, s.Action = f.VEX.Status, f.VEX.Justification, f.VEX.Impact, f.VEX.Until, ""
			case f.Status == advisory.Undecided:
				s.Status, s.Action = fact.UnderInvestigation, ""
			case f.Fixed != "":
				s.Action = "update " + f.Name + " to " + f.Fixed
			}
			out = append(out, s)
		}
	}
	return out
}
