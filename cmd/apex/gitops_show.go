package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/release"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/internal/gitops/source"
	"github.com/apexlogic/apex/internal/report"
	"github.com/apexlogic/apex/verdict"
)

// The documents that these commands print.
type (
	planDocument struct {
		Schema   string         `json:"schema"`
		Source   string         `json:"source"`
		Revision apply.Revision `json:"revision"`
		Steps    []planStep     `json:"steps"`
		Warnings []planWarning  `json:"warnings,omitempty"`
	}
	planWarning struct {
		Code  verdict.Code   `json:"code"`
		Where verdict.Origin `json:"where"`
		Why   string         `json:"why"`
	}
	planStep struct {
		Stage  string        `json:"stage"`
		Action apply.Action  `json:"action"`
		Object string        `json:"object"`
		Fields []apply.Field `json:"fields,omitempty"`
		Why    string        `json:"why,omitempty"`
	}
	statusDocument struct {
		Schema string        `json:"schema"`
		Status source.Status `json:"status"`
		State  *apply.State  `json:"state"`
		// Published is there for sources that publish.
		Published *source.Publication `json:"published,omitempty"`
	}
	refusedDocument struct {
		Schema  string          `json:"schema"`
		Refused *source.Refused `json:"refused"`
	}
)

func planOf(p *apply.Plan) planDocument {
	d := planDocument{Schema: "apex.gitops.plan/v1", Source: p.Source, Revision: p.Revision, Steps: []planStep{}}
	add := func(stage string, steps []apply.Step) {
		for _, s := range steps {
			if s.Action != apply.Unchanged {
				d.Steps = append(d.Steps, planStep{stage, s.Action, s.ID.String(), s.Fields, s.Why})
			}
		}
	}
	for _, s := range p.Stages {
		add(s.Name, s.Steps)
	}
	for _, s := range p.Deletions {
		add(s.Name, s.Steps)
	}
	add("", p.Kept)
	return d
}

var planSigns = map[apply.Action]string{apply.Create: "+", apply.Change: "~", apply.Delete: "-", apply.Keep: "="}

func writePlan(out io.Writer, format string, p *apply.Plan, warnings []render.Warning) error {
	d := planOf(p)
	for _, w := range warnings {
		d.Warnings = append(d.Warnings, planWarning(w))
	}
	if format != "table" {
		return writeDocument(out, format, d)
	}
	for _, s := range d.Steps {
		fmt.Fprintf(out, "%s %s", planSigns[s.Action], report.Plain(s.Object))
		if s.Why != "" {
			fmt.Fprintf(out, "  (%s)", report.Plain(s.Why))
		}
		fmt.Fprintln(out)
		for _, f := range s.Fields {
			switch {
			case f.Old == "":
				fmt.Fprintf(out, "    %s: %s\n", report.Plain(f.Path), report.Plain(f.New))
			case f.New == "":
				fmt.Fprintf(out, "    %s: %s is removed\n", report.Plain(f.Path), report.Plain(f.Old))
			default:
				fmt.Fprintf(out, "    %s: %s is now %s\n", report.Plain(f.Path), report.Plain(f.Old), report.Plain(f.New))
			}
		}
	}
	for _, w := range d.Warnings {
		fmt.Fprintf(out, "! %s: %s\n", w.Where, report.Plain(w.Why))
	}
	_, err := fmt.Fprintf(out, "commit %s: %d to make, %d to change, %d to delete, %d as they are\n", revision(p.Revision.Commit), p.Created, p.Changed, p.Deleted, p.Unchanged)
	return err
}

func writeStatus(ctx context.Context, out io.Writer, format string, s *opened) error {
	state, err := s.State(ctx)
	if err != nil {
		return err
	}
	status := s.Status()
	published, err := s.Publication(ctx)
	if err != nil {
		return err
	}
	if format != "table" {
		return writeDocument(out, format, statusDocument{"apex.gitops.status/v1", status, state, published})
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, report.Plain(value))
		}
	}
	row("source", s.Name())
	if state.Counter == 0 {
		row("applied", "nothing yet")
	} else {
		row("applied", fmt.Sprintf("%s, %d objects, revision %d", revision(state.Applied.Commit), state.Objects, state.Counter))
		row("set", state.Applied.Set.Short())
	}
	if state.Unfinished() {
		row("under way", fmt.Sprintf("%s, %s %s", revision(state.Current.Commit), state.Phase, state.Stage))
	}
	if state.Pin != nil {
		row("held", fmt.Sprintf("%s was rolled back at %s; a commit on top of it ends that", revision(state.Pin.Left.Commit), state.Pin.At.Format(time.RFC3339)))
	}
	if published != nil {
		row("published", publicationText(published, state))
		for i, line := range strings.Split(strings.TrimSpace(published.Key), "\n") {
			row([]string{"verified with", " "}[min(i, 1)], line)
		}
	}
	for i := max(0, len(state.Journal)-5); i < len(state.Journal); i++ {
		e := &state.Journal[i]
		row(e.At.Format(time.DateTime), strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.What, revision(e.Commit), e.Code, e.Note)))
	}
	return t.Flush()
}

// publicationText says which artifact holds what is applied.
func publicationText(p *source.Publication, state *apply.State) string {
	switch {
	case p.Problem != "":
		return "not: " + p.Problem
	case p.Last == nil || p.Last.Counter != state.Counter:
		return "not yet"
	}
	return fmt.Sprintf("%s@%s as %s", p.Last.Repository, p.Last.Digest, p.Last.Tag)
}

// revision is a commit, or an artifact's digest, as people write it.
func revision(name string) string {
	name = strings.TrimPrefix(name, "sha256:")
	return name[:min(len(name), 12)]
}

func statusLine(s *source.Status) string {
	switch {
	case s.Refused != nil:
		return fmt.Sprintf("%s: %s is refused: %s", s.Source, revision(s.Head), report.Plain(s.Refused.Error()))
	case s.Problem != "":
		return fmt.Sprintf("%s: %s", s.Source, report.Plain(s.Problem))
	case s.Held != "" && s.Head == s.Held:
		return fmt.Sprintf("%s: %s is applied, %s was rolled back", s.Source, revision(s.Commit), revision(s.Held))
	}
	return fmt.Sprintf("%s: %s is applied, objects: %d", s.Source, revision(s.Commit), s.Objects)
}

func driftLine(d *source.Drift) string {
	var what []string
	if d.Deleted {
		what = append(what, "it was deleted")
	}
	for _, c := range d.Changes {
		what = append(what, c.What.String()+" "+c.Path)
	}
	var by []string
	for _, m := range d.By {
		by = append(by, m.Name)
	}
	line := fmt.Sprintf("%s %s: %s", d.Code, d.ID, strings.Join(what, ", "))
	if len(by) > 0 {
		line += " by " + strings.Join(by, ", ")
	}
	if d.Took > 0 {
		line += fmt.Sprintf(", put back in %s", d.Took.Round(100*time.Microsecond))
	}
	if d.Err != nil {
		line += ": " + d.Err.Error()
	}
	return report.Plain(line)
}

// writeGates says what still keeps a revision out of a stage.
func writeGates(out io.Writer, format, stage string, d *release.Decision) error {
	var err error
	if format != "table" {
		type gate struct {
			Gate  string       `json:"gate"`
			State string       `json:"state"`
			Code  verdict.Code `json:"code"`
			Why   string       `json:"why,omitempty"`
			Until *time.Time   `json:"until,omitempty"`
		}
		document := struct {
			Schema string `json:"schema"`
			Stage  string `json:"stage"`
			Open   bool   `json:"open"`
			Gates  []gate `json:"gates"`
		}{"apex.gitops.gates/v1", stage, d.Open, []gate{}}
		for _, g := range d.Gates {
			one := gate{g.Gate, g.State.String(), g.Code, g.Why, nil}
			if !g.Until.IsZero() {
				one.Until = &g.Until
			}
			document.Gates = append(document.Gates, one)
		}
		err = writeDocument(out, format, document)
	} else {
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, g := range d.Gates {
			fmt.Fprintf(t, "%s\t%s\t%s\n", g.Gate, g.State, report.Plain(g.Why))
		}
		err = t.Flush()
	}
	if err == nil && !d.Open {
		return &exit{code: exitPartial}
	}
	return err
}

// refusedExit prints a refusal, which is a decision and no failure of the command.
func refusedExit(cmd *cobra.Command, format string, err error) error {
	var refused *source.Refused
	if !errors.As(err, &refused) {
		return err
	}
	if format != "table" {
		err = writeDocument(cmd.OutOrStdout(), format, refusedDocument{"apex.gitops.refused/v1", refused})
	} else {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "refused: %s\n  to mend it: %s\n", report.Plain(refused.Error()), refused.Code.Info().Mend)
	}
	return errors.Join(err, &exit{code: exitDeny})
}
