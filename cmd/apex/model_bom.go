package main

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/model"
	"github.com/apexlogic/apex/internal/model/bom"
	"github.com/apexlogic/apex/internal/model/oms"
	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/verdict"
)

// origins reads NAME=URI@sha256:HEX, of which NAME= and the digest may be left out.
func origins(texts []string) ([]bom.Origin, error) {
	var out []bom.Origin
	for _, text := range texts {
		var o bom.Origin
		rest := text
		if name, after, ok := strings.Cut(text, "="); ok && !strings.ContainsAny(name, "/:") {
			o.Name, rest = name, after
		}
		uri, digest, ok := strings.Cut(rest, "@sha256:")
		if uri == "" {
			return nil, usage("%q names nothing: write [NAME=]URI@sha256:HEX", text)
		}
		if ok {
			d, err := verdict.ParseDigest("sha256:" + digest)
			if err != nil {
				return nil, usage("%q: %w", text, err)
			}
			o.Digest = d
		}
		o.URI = uri
		if o.Name == "" {
			o.Name = uri
		}
		out = append(out, o)
	}
	return out, nil
}

func newModelBOMCommand() *cobra.Command {
	var m bom.Model
	var bases, datasets, ignore []string
	var created string
	c := &cobra.Command{
		Use:   "bom PATH",
		Short: "Write a CycloneDX ML-BOM of a model",
		Long: `Bom hashes and scans the model and writes a CycloneDX 1.6 document: the model with
its card, every file with its digest, the base models and datasets that you name,
and what the scan said. The same input gives the same bytes.

Attest it with apex attest --type cyclonedx.`,
		Example: `  apex model bom --name captioner --base-model tiny=hf://owner/tiny@sha256:4f5e… --dataset cars=s3://data/cars@sha256:77aa… ./captioner > captioner.cdx.json`,
		Args:    cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&m.Name, "name", "", "name of the model (default: the folder's)")
	c.Flags().StringVar(&m.Version, "version", "", "version of the model")
	c.Flags().StringVar(&m.Family, "family", "", "family of the architecture")
	c.Flags().StringVar(&m.Task, "task", "", "what it does, for example image-to-text")
	c.Flags().StringSliceVar(&m.Licenses, "license", nil, "its licence (default: what the files say)")
	c.Flags().StringArrayVar(&bases, "base-model", nil, "[NAME=]URI[@sha256:HEX] of a model that it was made from; may be repeated")
	c.Flags().StringArrayVar(&datasets, "dataset", nil, "[NAME=]URI[@sha256:HEX] of data that it was trained on; may be repeated")
	c.Flags().StringArrayVar(&ignore, "ignore", nil, "path that is not part of the model; may be repeated")
	c.Flags().StringVar(&created, "created", "", "time that the document states, RFC 3339 (default: none)")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if m.Bases, err = origins(bases); err != nil {
			return err
		}
		if m.Datasets, err = origins(datasets); err != nil {
			return err
		}
		if created != "" {
			if m.Created, err = time.Parse(time.RFC3339, created); err != nil {
				return usage("--created: %w", err)
			}
		}
		if m.Name == "" {
			full, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			m.Name = filepath.Base(full)
		}
		bar := newByteBar(cmd.ErrOrStderr(), "hashing and scanning", 0)
		o := oms.Options{Ignore: ignore, Work: oms.Work{Progress: func(p oms.Progress) { bar.set(p.Bytes, p.TotalBytes) }}}
		examined, err := model.New(scan.Limits{}).Examine(cmd.Context(), args[0], o, scan.Options{})
		bar.end()
		if err != nil {
			return err
		}
		m.Root, m.Files = examined.Manifest.Root(), examined.FilesOf()
		scanned := examined.Report.Predicate(m.Root, m.Created)
		m.Scan = &scanned
		if len(m.Licenses) == 0 {
			m.Licenses = examined.Report.Property("license")
		}
		if a := examined.Report.Property("architecture"); len(a) > 0 {
			m.Architecture = a[0]
		}
		var document bytes.Buffer
		if err := bom.Write(&document, &m); err != nil {
			return usage("%w", err)
		}
		_, err = document.WriteTo(cmd.OutOrStdout())
		return err
	}
	return c
}

func newModelProvenanceCommand() *cobra.Command {
	var r bom.Run
	var bases, datasets []string
	var image, kind, started, finished string
	c := &cobra.Command{
		Use:   "provenance --builder URI",
		Short: "Write the SLSA provenance of a training or conversion",
		Long: `Provenance writes the predicate of SLSA provenance v1 for the run that made a
model: who ran it, from which commit, in which image, from which base models and
datasets. Everything that it names has a digest; what can change proves nothing.

Attest it with apex model pack --provenance, or apex attest --type slsaprovenance1.
A policy believes it when it is signed by a builder that the policy names.`,
		Example: `  apex model provenance --builder https://ci.example.com/training@v2 \
    --code git+https://git.example.com/vision/captioner --commit 3f2a… --entry-point train.py \
    --base-model tiny=hf://owner/tiny@sha256:4f5e… --dataset cars=s3://data/cars@sha256:77aa… > training.json`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&r.Builder, "builder", "", "URI of who runs trainings, as policies name it")
	c.Flags().StringVar(&kind, "type", "training", "training, conversion, or the URI of a build type")
	c.Flags().StringVar(&r.Invocation, "invocation", "", "id of the run")
	c.Flags().StringVar(&r.Code, "code", "", "source repository, as git+https://…")
	c.Flags().StringVar(&r.CodeCommit, "commit", "", "commit of the source repository, in hex")
	c.Flags().StringVar(&r.EntryPoint, "entry-point", "", "script or workflow that ran")
	c.Flags().StringVar(&image, "image", "", "URI@sha256:HEX of the image that it ran in")
	c.Flags().StringArrayVar(&bases, "base-model", nil, "[NAME=]URI@sha256:HEX; may be repeated")
	c.Flags().StringArrayVar(&datasets, "dataset", nil, "[NAME=]URI@sha256:HEX; may be repeated")
	c.Flags().StringToStringVar(&r.Parameters, "parameter", nil, "k=v of the run; may be repeated")
	c.Flags().StringVar(&started, "started", "", "time at which it began, RFC 3339")
	c.Flags().StringVar(&finished, "finished", "", "time at which it ended, RFC 3339")
	c.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if r.Builder == "" {
			return usage("--builder is missing: name who runs trainings, as policies do")
		}
		switch kind {
		case "training":
			r.BuildType = bom.BuildTraining
		case "conversion":
			r.BuildType = bom.BuildConversion
		default:
			r.BuildType = kind
		}
		if r.Bases, err = origins(bases); err != nil {
			return err
		}
		if r.Datasets, err = origins(datasets); err != nil {
			return err
		}
		if image != "" {
			in, err := origins([]string{image})
			if err != nil {
				return err
			}
			r.Image = in[0]
		}
		for _, t := range []struct {
			flag, text string
			into       *time.Time
		}{{"--started", started, &r.Started}, {"--finished", finished, &r.Finished}} {
			if t.text == "" {
				continue
			}
			if *t.into, err = time.Parse(time.RFC3339, t.text); err != nil {
				return usage("%s: %w", t.flag, err)
			}
		}
		predicate, err := bom.Provenance(&r)
		if err != nil {
			return usage("%w", err)
		}
		_, err = cmd.OutOrStdout().Write(append(predicate, '\n'))
		return err
	}
	return c
}

func newModelDiffCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "diff BASE MODEL",
		Short: "How does a model differ from the base that it declares?",
		Long: `Diff compares tensors by name: which numbers changed and by how much, which tensors
were added, removed or reshaped; and all other files, those that a loader runs or
obeys first, with what a scan finds in the model and not in its base.

It is the only place where a back door inside of weights can show, and it shows
as numbers: a difference is no proof of one, and a full fine-tuning changes them all.

The exit code is 1 when code-bearing files differ or the scan finds something new.`,
		Example: `  apex model diff ./llama-base ./llama-tuned
  apex model diff -o json base.safetensors tuned.safetensors`,
		Args: cobra.ExactArgs(2),
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		d, err := model.New(scan.Limits{}).Compare(cmd.Context(), args[0], args[1], model.Options{})
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		switch *output {
		case "json":
			err = printJSON(w, d)
		case "yaml":
			err = printYAML(w, d)
		default:
			err = writeDiff(w, d)
		}
		if err != nil {
			return err
		}
		if d.Alarming() {
			return &exit{code: exitDeny}
		}
		return nil
	}
	return c
}

func writeDiff(w io.Writer, d *model.Diff) error {
	fmt.Fprintf(w, "tensors: %d the same, %d changed, %d added, %d removed, %d reshaped\n", d.Same, len(d.Changed), len(d.Added), len(d.Removed), len(d.Reshaped))
	for _, t := range d.Changed {
		fmt.Fprintf(w, "  changed  %s %s%v: %d elements, at most %.4g, relative %.3g\n", oneLine(t.Name), t.DType, t.Shape, t.Elements, t.MaxAbs, t.Relative)
	}
	for _, list := range []struct {
		what  string
		names []string
	}{{"added", d.Added}, {"removed", d.Removed}, {"reshaped", d.Reshaped}, {"not compared", d.Unread}} {
		for _, name := range list.names {
			fmt.Fprintf(w, "  %s  %s\n", list.what, oneLine(name))
		}
	}
	for _, f := range d.Files {
		code := ""
		if f.Code {
			code = " (a loader runs or obeys it)"
		}
		fmt.Fprintf(w, "file %s: %s%s\n", f.What, oneLine(f.Path), code)
	}
	for i := range d.New {
		f := &d.New[i]
		if _, err := fmt.Fprintf(w, "new: %s %s at %s: %s\n", f.Severity, f.Rule, oneLine(f.Where.String()), oneLine(f.Detail)); err != nil {
			return err
		}
	}
	return nil
}
