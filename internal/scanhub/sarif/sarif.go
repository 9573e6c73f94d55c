// Package sarif reads what scanners found, in one shape, and writes it again.
//
// Start at [Read], which takes the SARIF of any tool and gives [Run]s of
// [Result]s, and at [Write], which writes one log for what was merged from
// many. [Class] is what kind of weakness a result is about: the word by which
// results of different tools are compared.
//
// Everything that is read is foreign: it is bounded in bytes, values, depth and
// results, and a document beyond a bound is refused, never read in part. What
// is written holds no source text, so that a secret that was found does not
// travel on in the report about it.
//
// Source: SARIF 2.1.0 (OASIS), whose sections are named as §.
package sarif

import (
	"errors"
	"time"

	"github.com/apexlogic/apex/internal/fact"
)

// The limits on one report.
const (
	// MaxBytes is 256 bytes for each of MaxResults twice over; reports of
	// 50,000 results are 30 to 50 MB.
	MaxBytes = 128 << 20
	// MaxResults is four times what the largest reports hold.
	MaxResults = 200_000
	// maxRules bounds the descriptions of rules. Tools ship up to 3,000.
	maxRules = 20_000
	// maxDepth is what code flows within results need, twice over.
	maxDepth = 48
	// maxValues is 40 values for each of MaxResults.
	maxValues = 8_000_000
	// maxText bounds the message of a result; longer ones are clipped.
	maxText = 2048
	// maxName bounds names of rules, files and places; longer ones are clipped.
	maxName = 1024
	// maxTags bounds the tags, ids and fingerprints that are kept of one result.
	maxTags = 32
)

// ErrFormat is wrapped by every error about a report that is not what it
// should be.
var ErrFormat = errors.New("not a readable report")

// Run is what one tool says about one target.
type Run struct {
	// Tool and Version as the report states them.
	Tool    string
	Version string
	// Finished is when the tool says it ended; zero when it does not say.
	Finished time.Time
	// Problem says why the results may be incomplete, in the tool's own
	// account; "" when it claims success. A run with a problem proves what it
	// found, and never that there is nothing else.
	Problem string
	Results []Result
}

// Result is one thing that one tool found.
type Result struct {
	Rule    string // the tool's id: "G401"
	Title   string // what the rule is about
	Message string // what was found here
	// Level is "error", "warning", "note" or "none" (§3.27.10).
	Level string
	// Severity is what the report states in its properties; unknown when it
	// states none. Score is the CVSS base score, 0 when not given.
	Severity fact.Severity
	Score    float64
	// CWE are the numbers of weaknesses (CWE-89: 89) that tags and taxa name.
	CWE []int
	// IDs are further names of the same thing: the aliases of a vulnerability.
	IDs []string
	// Class is set by whoever knows the tool; "" from Read.
	Class Class
	// Package is the software package that a vulnerability is in.
	Package string
	Place   Place
	// Partial are the tool's own fingerprints (§3.27.17).
	Partial []Fingerprint
	// Muted says why the tool itself does not count it: its suppression
	// (§3.27.23), "" when there is none.
	Muted string
	// Request shows a finding of a running service: the request that made it.
	Request string
}

// Place is where a result is.
type Place struct {
	// File is relative to the root that was scanned, with slashes: "cmd/a.go";
	// "" when the result is about no file of it.
	File string
	// Line and End count from 1; 0 when not given. End is at least Line.
	Line, End, Column int
	// Snippet is the source that the report quotes. It is compared, never
	// written.
	Snippet string
	// Name is what it is about where there is no file: a URL, a layer, a path
	// outside of the root.
	Name string
}

// Fingerprint is one entry of partialFingerprints.
type Fingerprint struct{ Key, Value string }
