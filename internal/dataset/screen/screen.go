// Package screen looks for rows of a labelled training set that somebody may
// have poisoned: labels that were flipped, and triggers of back doors.
//
// Start with [Read], which loads a table, texts or images, and [Run], which
// gives every row a score and a reason. A [Report] also lists the groups of rows
// that raise an alert, by which method each was found, and what none of the
// methods can see.
//
// A label is suspicious where models that did not see the row expect another
// one (confident learning: Northcutt, Jiang, Chuang, JAIR 2021). A trigger is a
// pattern that repeats, nearly always under one label, on rows whose remainder
// looks like another label (BadNets: Gu, Dolan-Gavitt, Garg 2017): both
// properties are needed, because honest data has the first one, too. Global
// patterns are looked for by spectral signatures (Tran, Li, Madry, NeurIPS 2018).
//
// Everything is deterministic: the same rows give the same report.
package screen

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// Kind is what the rows are.
type Kind string

// The kinds of rows.
const (
	Table Kind = "table"
	Text  Kind = "text"
	Image Kind = "image"
)

// Set is a labelled data set in memory. The fields of the other kinds are empty.
type Set struct {
	Kind Kind
	// Label of each row, an index into Labels, which is sorted.
	Label  []int32
	Labels []string
	IDs    []string // of the rows, where they have some; else nil

	Columns []string  // of a table
	Values  []float32 // of a table, row by row; NaN where the cell is no number

	Texts []string

	Width, Height, Channels int
	Pixels                  []byte // of all images, row by row, channels interleaved
}

// Len is the number of rows.
func (s *Set) Len() int { return len(s.Label) }

// Options bound the work.
type Options struct {
	// Progress is told what is being done, and how much of that; nil: nobody is.
	Progress func(step string, done, total int)
}

// watch tells how far long work is, and whether it is still wanted. Each of its
// methods returns the context's error.
type watch struct {
	ctx      context.Context
	progress func(step string, done, total int)
}

func (w *watch) step(what string, done, total int) error {
	if w.progress != nil {
		w.progress(what, done, total)
	}
	return w.ctx.Err()
}

// often is step for work on single rows: most calls do nothing.
func (w *watch) often(what string, done, total int) error {
	if done%512 != 0 {
		return nil
	}
	return w.step(what, done, total)
}

// Row is what was found about one row.
type Row struct {
	Row    int     // from 0, in the order of the data set
	Score  float64 // 0 to 1; higher is more suspicious
	Reason string
	Alert  bool
}

// Group is a set of rows that raised an alert together.
type Group struct {
	Method  string  `json:"method"`
	Pattern string  `json:"pattern"`
	Label   string  `json:"label"`
	Rows    []int   `json:"rows"`
	Detail  string  `json:"detail"`
	Chance  float64 `json:"log10Chance"` // log10 of the probability that it is chance
}

// Report is the outcome of a screen.
type Report struct {
	Kind    Kind
	Rows    []Row
	Alerts  []Group
	Methods []string // what was done, in words
	Limits  []string // what cannot be seen
}

// Limits name what no method of this package finds.
func limits() []string {
	return []string{
		"clean-label attacks: rows whose label is right and whose change is small",
		"back doors that are already inside of weights, or in data that is not here",
		"faint patterns over whole pictures: they are ranked, but raise no alert",
		"triggers that are different on every row (input-aware, warping), and triggers on fewer than 5 rows",
		"flips where honest labels are as uncertain as chance; they are ranked, but raise no alert",
	}
}

// The score is split so that what raises an alert ranks before what does not.
const alertFloor = 0.9

// Run screens the set. Time grows with n·log n for texts, with n·√n·d for
// tables and images of more than 8,192 rows, and with n²·d below that.
func Run(ctx context.Context, s *Set, o Options) (*Report, error) {
	n := s.Len()
	if n == 0 {
		return nil, fmt.Errorf("screen: the data set has no rows")
	}
	r := &Report{Kind: s.Kind, Rows: make([]Row, n), Limits: limits()}
	w := &watch{ctx, o.Progress}
	m, err := newMaterial(s, w)
	if err != nil {
		return nil, err
	}
	r.Methods = m.methods()
	found, weak, err := m.triggers()
	if err != nil {
		return nil, err
	}
	flips := m.flips
	flips.exempt = make([]bool, n)
	for _, g := range found {
		for _, i := range g.rows {
			flips.exempt[i] = true
		}
	}
	for i := range r.Rows {
		r.Rows[i] = Row{Row: i, Score: flips.score[i] * alertFloor, Reason: flips.reason(i)}
	}
	for _, g := range weak {
		for _, i := range g.rows {
			row := &r.Rows[i]
			row.Score += (alertFloor - row.Score) * 0.5
			row.Reason = g.method + ": " + g.pattern + "; " + row.Reason
		}
	}
	for _, g := range found {
		alert := Group{Method: g.method, Pattern: g.pattern, Label: s.Labels[g.label], Detail: g.detail(), Chance: g.chance / math.Ln10}
		for _, i := range g.rows {
			alert.Rows = append(alert.Rows, int(i))
			row := &r.Rows[i]
			row.Alert = true
			row.Score = max(row.Score, alertFloor+(1-alertFloor)*(0.5+0.5*flips.score[i]))
			row.Reason = g.method + ": " + g.pattern + " under label " + fmt.Sprintf("%.40q", s.Labels[g.label])
		}
		r.Alerts = append(r.Alerts, alert)
	}
	if a := flips.alert(); a != nil {
		for _, i := range a.Rows {
			row := &r.Rows[i]
			if !row.Alert {
				row.Alert = true
				row.Score = max(row.Score, alertFloor+(1-alertFloor)*0.5*flips.score[i])
			}
		}
		r.Alerts = append(r.Alerts, *a)
	}
	return r, ctx.Err()
}

// Alerted are the indexes of the rows with an alert, ascending.
func (r *Report) Alerted() []int {
	var out []int
	for i := range r.Rows {
		if r.Rows[i].Alert {
			out = append(out, i)
		}
	}
	return slices.Clip(out)
}
