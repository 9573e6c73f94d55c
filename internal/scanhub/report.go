package scanhub

import (
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/scanhub/sarif"
	"github.com/apexlogic/apex/internal/scanhub/tools"
)

// Report is the scan that a run is the report of: one that was handed in as a
// file, or of a scanner that is built in. Its results get class and severity as
// the table of its tool has them; a tool that is not in the table is taken as it
// is. A run with a problem has not scanned, and keeps what it found.
//
// A report that is handed in proves as much as whoever vouches for it: that it
// is about this target is the caller's to know.
func Report(run sarif.Run) Scan {
	s := Scan{Tool: toolName(run.Tool), Version: run.Version, Status: Scanned, Results: run.Results}
	if run.Problem != "" {
		s.Status, s.Reason = NotScanned, run.Problem
	}
	if s.Tool == "" {
		s.Tool, s.Status, s.Reason = "unnamed", NotScanned, "the report does not say which tool made it"
	}
	t := tools.Tool{Name: s.Tool}
	for _, known := range slices.Concat(tools.All(), tools.Own()) {
		if known.Name == s.Tool {
			t = known
		}
	}
	for i := range s.Results {
		t.Normalize(&s.Results[i])
	}
	return s
}

// toolName is what a tool is called here: reports write "Trivy", "Semgrep OSS"
// or "Gosec".
func toolName(name string) string {
	name, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(name)), " ")
	return sarif.Clip(name, 100)
}
