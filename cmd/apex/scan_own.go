package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apexlogic/apex/internal/advisory/snapshot"
	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/function/judge"
	"github.com/apexlogic/apex/internal/function/stack"
	"github.com/apexlogic/apex/internal/model"
	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/internal/report"
	"github.com/apexlogic/apex/internal/scanhub"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// ownScanners are those that are built in; each says of a folder what it finds,
// and in words what it could not look at.
var ownScanners = []struct {
	name string
	run  func(ctx context.Context, dir string, w io.Writer) (problem string, err error)
}{
	{"apex-models", ownModels},
	{"apex-functions", ownFunctions},
	{"apex-vulns", ownVulns},
}

// runOwn runs the built-in scanners on a folder.
func runOwn(ctx context.Context, dir string) ([]scanhub.Scan, error) {
	var out []scanhub.Scan
	for _, own := range ownScanners {
		var b bytes.Buffer
		problem, err := own.run(ctx, dir, &b)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, snapshot.ErrNone) {
			out = append(out, scanhub.Scan{Tool: own.name, Version: version, Status: scanhub.NotInstalled, Reason: err.Error()})
			continue
		}
		if err != nil {
			out = append(out, scanhub.Scan{Tool: own.name, Version: version, Status: scanhub.NotScanned, Reason: err.Error()})
			continue
		}
		runs, err := sarif.Read(b.Bytes(), dir)
		if err != nil || len(runs) != 1 {
			return nil, fmt.Errorf("%s: its report cannot be read: %w", own.name, err)
		}
		runs[0].Tool, runs[0].Version, runs[0].Problem = own.name, version, problem
		out = append(out, scanhub.Report(runs[0]))
	}
	return out, nil
}

func ownModels(ctx context.Context, dir string, w io.Writer) (string, error) {
	var files []model.File
	err := model.New(scan.DefaultLimits).Tree(ctx, dir, model.Options{}, func(f *model.File) error {
		// What is in no format of models is no model; a tree of sources is full of it.
		if f.Verdict >= scan.Suspicious {
			files = append(files, *f)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	found := model.Summarize(files)
	return "", found.SARIF(w)
}

func ownFunctions(ctx context.Context, dir string, w io.Writer) (string, error) {
	units, err := app.ScanFunctions(ctx, dir, judge.Options{})
	if err != nil {
		return "", err
	}
	var found []stack.Finding
	problem := ""
	for _, u := range units {
		found = append(found, u.Findings...)
		for _, g := range u.Gaps {
			problem = fmt.Sprintf("%s:%d: %s", g.File, g.Line, g.Why)
		}
	}
	return problem, report.FindingsSARIF(w, functionFindings(found))
}

func ownVulns(ctx context.Context, dir string, w io.Writer) (string, error) {
	found, err := app.FindVulns(ctx, []string{dir}, app.VulnOptions{Clock: clock.System{}, Version: version})
	if err != nil {
		return "", err
	}
	problem := ""
	if len(found[0].Gaps) > 0 {
		problem = found[0].Gaps[0]
	}
	return problem, report.FindingsSARIF(w, vulnFindings(found))
}
