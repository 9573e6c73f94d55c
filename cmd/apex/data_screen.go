package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/apexlogic/apex/internal/dataset/screen"
)

func newDataScreenCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "screen DATASET",
		Short: "Find rows that may have been poisoned: flipped labels and triggers",
		Long: `Screen looks for labels that were flipped and for triggers of back doors: values,
n-grams or pixel blocks that repeat under one label on rows that otherwise look
like another one. It scores every row and raises an alert where chance and
honest overlap do not explain what it found. It names its methods and what they
cannot see.

DATASET is a CSV file with a column "label" and columns of numbers or "text"; a
JSONL file with "label" and "text", "features" or "image" (base64 of PNG, JPEG,
GIF or raw pixels with "width" and "height", or a path beside the file); or a
folder that holds one of these, or one folder of pictures per label.

The exit code is 1 when there are alerts; with -o jsonl every row is written
with its score, and the exit code is 0.`,
		Example: `  apex data screen ./train
  apex data screen -o jsonl features.csv`,
		Args: cobra.ExactArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml", "jsonl")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		bar := newStepBar(cmd.ErrOrStderr())
		o := screen.Options{Progress: bar.set}
		set, err := screen.Read(cmd.Context(), args[0], o)
		var report *screen.Report
		if err == nil {
			report, err = screen.Run(cmd.Context(), set, o)
		}
		bar.end()
		if err != nil {
			return err
		}
		w := bufio.NewWriter(cmd.OutOrStdout())
		switch *output {
		case "jsonl":
			err = writeScreenLines(w, report)
		case "json":
			err = printJSON(w, screenDocumentOf(set, report))
		case "yaml":
			err = printYAML(w, screenDocumentOf(set, report))
		default:
			writeScreened(w, set, report)
		}
		if err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if *output != "jsonl" && len(report.Alerts) > 0 {
			return &exit{code: exitDeny}
		}
		return nil
	}
	return c
}

// stepBar shows how far work of several steps is, on a terminal and nowhere else.
type stepBar struct {
	bars *mpb.Progress
	bar  *mpb.Bar
	step string
}

func newStepBar(w io.Writer) *stepBar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return &stepBar{}
	}
	return &stepBar{bars: mpb.New(mpb.WithOutput(f), mpb.WithWidth(40), mpb.WithRefreshRate(150*time.Millisecond))}
}

// set says how far a step is, of how much; a total of 0 is not known.
func (p *stepBar) set(step string, done, total int) {
	if p.bars == nil {
		return
	}
	if p.bar == nil || p.step != step {
		if p.bar != nil {
			p.bar.Abort(true)
		}
		p.step = step
		p.bar = p.bars.AddBar(int64(total), mpb.PrependDecorators(decor.Name(step+" "), decor.CountersNoUnit("%d / %d")),
			mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO)))
	}
	p.bar.SetTotal(int64(total), false)
	p.bar.SetCurrent(int64(done))
}

// end takes the bar away.
func (p *stepBar) end() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.bars.Wait()
	}
}

// writeScreenLines writes the stable lines of "data screen -o jsonl".
func writeScreenLines(w io.Writer, r *screen.Report) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for i := range r.Rows {
		row := &r.Rows[i]
		if err := enc.Encode(struct {
			Row    int     `json:"row"`
			Score  float64 `json:"score"`
			Reason string  `json:"reason"`
		}{row.Row, math.Round(row.Score*1e8) / 1e8, row.Reason}); err != nil {
			return err
		}
	}
	return nil
}

type screenDocument struct {
	Schema  string         `json:"schema"`
	Kind    screen.Kind    `json:"kind"`
	Rows    int            `json:"rows"`
	Labels  []string       `json:"labels"`
	Alerts  []screen.Group `json:"alerts"`
	Methods []string       `json:"methods"`
	Limits  []string       `json:"limits"`
}

func screenDocumentOf(s *screen.Set, r *screen.Report) screenDocument {
	d := screenDocument{"apex.data-screen/v1", r.Kind, len(r.Rows), s.Labels, r.Alerts, r.Methods, r.Limits}
	if d.Alerts == nil {
		d.Alerts = []screen.Group{}
	}
	return d
}

func writeScreened(w io.Writer, s *screen.Set, r *screen.Report) {
	for i := range r.Alerts {
		a := &r.Alerts[i]
		label := ""
		if a.Label != "" {
			label = " under label " + oneLine(a.Label)
		}
		fmt.Fprintf(w, "alert: %s, %s%s: %d rows, chance 1e%.0f\n  %s\n", a.Method, oneLine(a.Pattern), label, len(a.Rows), a.Chance, a.Detail)
	}
	for _, i := range r.Alerted() {
		id := ""
		if i < len(s.IDs) {
			id = " id " + oneLine(s.IDs[i])
		}
		fmt.Fprintf(w, "  row %d%s %.3f %s\n", i, id, r.Rows[i].Score, oneLine(r.Rows[i].Reason))
	}
	fmt.Fprintf(w, "%d of %d rows (%s, %d labels) with an alert\n", len(r.Alerted()), len(r.Rows), r.Kind, len(s.Labels))
	for _, m := range r.Methods {
		fmt.Fprintln(w, "looked for:", m)
	}
	for _, l := range r.Limits {
		fmt.Fprintln(w, "cannot see:", l)
	}
}
