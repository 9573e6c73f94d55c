// Package scanhub runs the scanners that a machine has, makes one list of what
// they found, and decides.
//
// Start at [Runner.Run], which runs every tool of the table (package tools)
// that is on PATH against a folder, an image or a URL; then [Merge], which
// makes one [Finding] of what several tools say about one place; then [Decide],
// which holds the findings against a [Threshold] and a [Baseline], so that only
// new ones block.
//
// A tool that failed, timed out, was cut off or contradicted itself has not
// scanned: its [Scan] says so with the reason, what it printed until then is
// not taken for the whole, and Decide denies. No tool's silence is ever "clean".
//
// The tree that is scanned may be hostile. Tools are told to disregard what it
// says about them (ignore files, configuration, comments) wherever they can be:
// what is accepted stands in the baseline, which people review.
package scanhub

import (
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// Status is what came of a tool.
type Status string

// The states. Only Scanned says anything about what is not there.
const (
	// Scanned: it ran to its end and its report was read.
	Scanned Status = "scanned"
	// NotScanned: it should have run and has not, or not to a readable end.
	NotScanned Status = "not scanned"
	// NotInstalled: it is not on PATH.
	NotInstalled Status = "not installed"
	// NotApplicable: there is nothing in the target that it looks at.
	NotApplicable Status = "not applicable"
)

// Scan is one tool and what came of it.
type Scan struct {
	Tool    string
	Version string // as the tool prints it; "" when it does not
	Status  Status
	// Reason says why in every state but Scanned.
	Reason string
	// Confined lists the walls that stood around the tool ("no network", …),
	// and Open those that this machine could not build, with the reason.
	Confined []string
	Open     []string
	Took     time.Duration
	// CPU is what the tool and its children used; 0 where the system does not say.
	CPU     time.Duration
	Results []sarif.Result
}

// Source is one tool's report of a finding.
type Source struct {
	Tool    string              `json:"tool"`
	Rule    string              `json:"rule"`
	Partial []sarif.Fingerprint `json:"-"`
}

// Finding is one thing that is wrong, whichever tools found it.
type Finding struct {
	// Fingerprint names the finding: its class, file and the source around it,
	// without line numbers. Others are what it is called by the tools that
	// begin it at another line; each names it just as well.
	Fingerprint string
	Others      []string
	// Class is "" for what only one tool knows: By then holds one source.
	Class    sarif.Class
	Severity fact.Severity // the worst that any of the tools states
	Score    float64
	Title    string
	Message  string
	Place    sarif.Place
	CWE      []int
	IDs      []string // names of a vulnerability
	Package  string
	Request  string
	By       []Source
	// Muted says why every tool that found it suppressed it; "" when one did not.
	Muted string
}

// Rule is the name of the finding in reports: its class, its vulnerability, or
// the rule of the one tool that found it.
func (f *Finding) Rule() string {
	switch {
	case f.Class == sarif.Vulnerability && len(f.IDs) > 0:
		return f.IDs[0]
	case f.Class != "":
		return string(f.Class)
	}
	return f.By[0].Tool + "/" + f.By[0].Rule
}

// Merged is what all tools together found: worst first, then by place.
type Merged struct {
	Findings []Finding
	// Scans are the tools, in the order in which they were given, without results.
	Scans []Scan
}
