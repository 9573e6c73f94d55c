package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/report"
	"github.com/apexlogic/apex/internal/sbom/format/cyclonedx"
	"github.com/apexlogic/apex/internal/sbom/format/spdx"
	"github.com/apexlogic/apex/internal/sbom/integrity"
)

func newSBOMCommand() *cobra.Command {
	var flags clientFlags
	var platform, made, file string
	c := &cobra.Command{
		Use:   "sbom IMAGE | ARCHIVE | OCI-LAYOUT | DIR | SBOM",
		Short: "What is inside: every package, with its layer, path and owner",
		Long: `Sbom finds the packages in an image, an archive of one ("docker save", OCI), an OCI
layout or a folder: Python, Node.js, Go, what distributions installed (dpkg, apk,
rpm), conda, lock files, and the native libraries that wheels carry. A package that a
later layer deleted is listed as removed: it is in the image, and cannot be seen at
run time.

An SBOM or report of another tool (CycloneDX, SPDX, Syft, Trivy, Grype, OSV-Scanner)
is read and written in the form that -o names.

What could not be read is listed, and the exit code is 4 then: such an inventory
proves what is there, never what is not.`,
		Example: `  apex sbom registry.example.com/vision/captioner:1.0 -o cyclonedx > bom.json
  apex sbom . -o spdx --file bom.spdx.json
  docker save -o app.tar app:1 && apex sbom app.tar -o json`,
		Args: cobra.ExactArgs(1),
	}
	flags.add(c)
	output := outputFlag(c, "table", "cyclonedx", "spdx", "json", "yaml")
	c.Flags().StringVar(&platform, "platform", "", "of an index, the platform to look at, os/arch")
	c.Flags().StringVar(&made, "made", "", "when it was made, as 2026-11-23T00:00:00Z (default: now); \"none\" leaves it out, so that the same source gives the same bytes")
	c.Flags().StringVar(&file, "file", "", "write to this file")
	c.AddCommand(newSBOMCompareCommand())
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o := app.InventoryOptions{Platform: platform, Clock: clock.System{}, Version: version}
		switch made {
		case "":
		case "none":
			o.Clock = nil
		default:
			at, err := time.Parse(time.RFC3339, made)
			if err != nil {
				return usage("--made: %v", err)
			}
			o.Clock = clock.At(at)
		}
		client, err := flags.open()
		if err != nil {
			return err
		}
		defer client.Close()
		o.Registry = client
		inventory, _, err := app.ReadInventory(cmd.Context(), args[0], o)
		if err != nil {
			return err
		}
		if err := writeInventoryTo(cmd.OutOrStdout(), file, *output, &inventory); err != nil {
			return err
		}
		if len(inventory.Gaps) == 0 {
			return nil
		}
		if *output != "table" || file != "" {
			for _, g := range inventory.Gaps {
				fmt.Fprintf(cmd.ErrOrStderr(), "apex: not read: %s: %s\n", report.Plain(g.Path), report.Plain(g.Why))
			}
		}
		return &exit{code: exitPartial}
	}
	return c
}

func writeInventoryTo(stdout io.Writer, file, format string, inventory *fact.Inventory) (err error) {
	w := bufio.NewWriter(stdout)
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		defer func() {
			if cerr := f.Close(); err == nil {
				err = cerr
			}
		}()
		w = bufio.NewWriter(f)
	}
	switch format {
	case "cyclonedx":
		err = cyclonedx.Write(w, inventory)
	case "spdx":
		err = spdx.Write(w, inventory)
	case "json", "yaml":
		document := struct {
			Schema string `json:"schema"`
			*fact.Inventory
		}{"apex.inventory/v1", inventory}
		if format == "json" {
			err = printJSON(w, document)
		} else {
			err = printYAML(w, document)
		}
	default:
		err = writeInventoryTable(w, inventory)
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

func writeInventoryTable(w io.Writer, inventory *fact.Inventory) error {
	if d := inventory.Distribution; d.ID != "" {
		fmt.Fprintf(w, "%s %s\n", report.Plain(d.ID), report.Plain(d.Version))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ECOSYSTEM\tNAME\tVERSION\tSTATE\tLAYER\tPATH\tOWNER")
	for i := range inventory.Packages {
		p := &inventory.Packages[i]
		state := p.State.String()
		if p.Removed {
			state += ", removed"
		}
		layer := "-"
		if p.Layer >= 0 {
			layer = fmt.Sprint(p.Layer)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", report.Plain(p.Ecosystem), report.Plain(p.Name), report.Plain(p.Version), state, layer, report.Plain(p.Path), report.Plain(p.Owner))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "%d packages\n", len(inventory.Packages))
	for i := range inventory.Findings {
		f := &inventory.Findings[i]
		fmt.Fprintf(w, "%s: %s %s: %s (%s)\n", f.Code, report.Plain(f.Name), report.Plain(f.Version), report.Plain(f.Detail), report.Plain(f.Path))
	}
	for _, g := range inventory.Gaps {
		fmt.Fprintf(w, "not read: %s: %s\n", report.Plain(g.Path), report.Plain(g.Why))
	}
	return nil
}

func newSBOMCompareCommand() *cobra.Command {
	var flags clientFlags
	var platform string
	c := &cobra.Command{
		Use:   "compare IMAGE | ARCHIVE | OCI-LAYOUT | DIR",
		Short: "Is what is installed what its packages recorded?",
		Long: `Compare takes the inventory and compares every file with what its package recorded
when it was built: RECORD of wheels, and the checksums of dpkg, apk and rpm. It lists
files that were changed, are missing, or lie among a package's modules without being
recorded (such as a *.pth file, which Python runs at every start).

The exit code is 1 when something differs, 4 when not everything could be read.`,
		Example: `  apex sbom compare registry.example.com/vision/captioner:1.0
  apex sbom compare / -o json`,
		Args: cobra.ExactArgs(1),
	}
	flags.add(c)
	output := outputFlag(c, "table", "json", "yaml", "sarif")
	c.Flags().StringVar(&platform, "platform", "", "of an index, the platform to look at, os/arch")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := flags.open()
		if err != nil {
			return err
		}
		defer client.Close()
		inventory, compared, err := app.CompareInstalled(cmd.Context(), args[0], app.InventoryOptions{Registry: client, Platform: platform, Clock: clock.System{}, Version: version})
		if err != nil {
			return err
		}
		compared.Gaps = append(compared.Gaps, inventory.Gaps...)
		w := bufio.NewWriter(cmd.OutOrStdout())
		if err := writeCompared(w, *output, &compared); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		switch {
		case len(compared.Findings) > 0:
			return &exit{code: exitDeny}
		case len(compared.Gaps) > 0:
			return &exit{code: exitPartial}
		}
		return nil
	}
	return c
}

func writeCompared(w io.Writer, format string, r *integrity.Report) error {
	document := struct {
		Schema string `json:"schema"`
		*integrity.Report
	}{"apex.compared/v1", r}
	switch format {
	case "json":
		return printJSON(w, document)
	case "yaml":
		return printYAML(w, document)
	case "sarif":
		var found []report.Finding
		for _, f := range r.Findings {
			found = append(found, report.Finding{
				Rule: "file_" + f.Kind.String(), Title: "What is installed is not what its package recorded.", Severity: fact.SeverityHigh,
				Message: strings.TrimSpace(fmt.Sprintf("%s: %s (%s of %s) %s", f.Path, f.Kind, f.Source, f.Package, f.Detail)), File: f.Path, Name: f.Package, Identity: []string{f.Path},
			})
		}
		return report.FindingsSARIF(w, found)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.Kind, report.Plain(f.Path), f.Source, report.Plain(f.Package), report.Plain(f.Detail))
	}
	for _, a := range r.Attested {
		fmt.Fprintf(w, "attested\t%s\t%s\t%s\n", report.Plain(a.Path), report.Plain(a.Package), report.Plain(fmt.Sprint(a.Publisher)))
	}
	for _, g := range r.Gaps {
		fmt.Fprintf(w, "not read: %s: %s\n", report.Plain(g.Path), report.Plain(g.Why))
	}
	fmt.Fprintf(w, "%d files compared, %d differ\n", r.Checked, len(r.Findings))
	return nil
}
