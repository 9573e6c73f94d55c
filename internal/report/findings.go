package report

import (
	"fmt"
	"io"

	"github.com/apexlogic/apex/internal/fact"
)

// Finding is something that a scan found, wherever it looked.
type Finding struct {
	Rule     string // stable id: "CVE-2026-0001", "star_resource"
	Title    string // what the rule is about, in one sentence
	Message  string // what was found here
	Severity fact.Severity
	Score    float64 // CVSS, 0: none
	// File and Line point into the sources; Line 0: the whole file. Name says
	// what it is about where there is no file to show.
	File string
	Line int
	Name string
	// Identity is what makes it the same finding tomorrow, without lines.
	Identity []string
	Mend     string
	// Muted says why it does not count, as by a baseline or a VEX statement.
	Muted string
}

// findingsKey names how the fingerprint of a finding is made.
const findingsKey = "apexFinding/v1"

// FindingsSARIF writes findings as SARIF 2.1.0: an error is what is high or
// worse or of unknown severity, a warning what is medium, the rest a note.
func FindingsSARIF(w io.Writer, found []Finding) error {
	run := sarifRun{Tool: sarifTool{Driver: sarifDriver{Name: "Apex", Rules: []sarifRule{}}}, Invocations: []sarifInvocation{{Successful: true}}, Results: []sarifResult{}}
	index := map[string]int{}
	for i := range found {
		f := &found[i]
		at, known := index[f.Rule]
		if !known {
			at = len(run.Tool.Driver.Rules)
			index[f.Rule] = at
			title := f.Title
			if title == "" {
				title = f.Rule
			}
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{f.Rule, sarifText{sarifPlain(title)}})
		}
		res := sarifResult{
			RuleID: f.Rule, RuleIndex: at, Kind: "fail", Level: levelOf(f.Severity), Message: sarifText{sarifPlain(f.Message)},
			Fingerprints: map[string]string{findingsKey: fingerprint(append([]string{f.Rule}, f.Identity...)...)},
			Properties:   map[string]string{"severity": f.Severity.String()},
			Locations:    []sarifLocation{},
		}
		if f.Mend != "" {
			res.Properties["mend"] = plain(f.Mend)
		}
		if f.Score > 0 {
			res.Properties["security-severity"] = fmt.Sprintf("%.1f", f.Score)
		}
		if f.Muted != "" {
			res.Suppressions = []sarifSuppression{{Kind: "external", Status: "accepted", Justification: plain(f.Muted)}}
		}
		var place sarifLocation
		if f.File != "" {
			place.Physical = &sarifPhysical{}
			place.Physical.Artifact.URI = sarifURI(f.File)
			if f.Line > 0 {
				place.Physical.Region = &sarifRegion{StartLine: f.Line}
			}
		}
		if f.Name != "" {
			place.Logical = []sarifLogical{{Name: plain(f.Name), Kind: "resource"}}
		}
		if place.Physical != nil || place.Logical != nil {
			res.Locations = append(res.Locations, place)
		}
		run.Results = append(run.Results, res)
	}
	return writeJSON(w, sarifLog{Schema: sarifSchema, Version: sarifVersion, Runs: []sarifRun{run}})
}

func levelOf(s fact.Severity) string {
	switch {
	case s >= fact.SeverityHigh, s == fact.SeverityUnknown:
		return "error"
	case s == fact.SeverityMedium:
		return "warning"
	}
	return "note"
}

// Plain makes foreign text safe to show at a terminal.
func Plain(s string) string { return plain(s) }
