package tools

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// gosec looks for mistakes in Go code (github.com/securego/gosec, v2). Its JSON
// is read and not its SARIF, which leaves out the packages that did not load:
// with them its code 1 means "found something" or "could not look".
func gosec() Tool {
	return Tool{
		Name: "gosec", Programs: []string{"gosec"}, Version: []string{"-version"}, Targets: Dir,
		Applies: func(t *Tree) bool { return t.has(".go") },
		Args: func(r Request) ([]string, error) {
			// -nosec: the comments of the author do not silence it.
			return []string{"-nosec", "-fmt=json", "-out=" + r.Report, "./..."}, nil
		},
		InTree: true, File: true, Go: true, Read: readGosec,
		Exit:    map[int]Exit{0: Clean, 1: Found},
		Network: offline,
		Classes: map[string]sarif.Class{
			"G101": sarif.Secret, "G102": sarif.NetworkExposure, "G107": sarif.RequestForgery, "G108": sarif.Disclosure,
			"G109": sarif.NumericError, "G110": sarif.ResourceExhaustion, "G112": sarif.ResourceExhaustion, "G114": sarif.ResourceExhaustion,
			"G115": sarif.NumericError, "G201": sarif.SQLInjection, "G202": sarif.SQLInjection, "G203": sarif.CrossSiteScripting,
			"G204": sarif.CommandInjection, "G301": sarif.FilePermissions, "G302": sarif.FilePermissions, "G304": sarif.PathTraversal,
			"G305": sarif.PathTraversal, "G306": sarif.FilePermissions, "G307": sarif.FilePermissions, "G401": sarif.WeakCryptography,
			"G402": sarif.TransportSecurity, "G403": sarif.WeakCryptography, "G404": sarif.WeakRandomness, "G405": sarif.WeakCryptography,
			"G406": sarif.WeakCryptography, "G407": sarif.WeakCryptography, "G501": sarif.WeakCryptography, "G502": sarif.WeakCryptography,
			"G503": sarif.WeakCryptography, "G505": sarif.WeakCryptography, "G601": sarif.MemorySafety, "G602": sarif.MemorySafety,
		},
	}
}

// gosecIssue is one entry of "Issues". Line is "12" or "12-14".
type gosecIssue struct {
	Severity string `json:"severity"`
	CWE      struct {
		ID string `json:"id"`
	} `json:"cwe"`
	Rule         string `json:"rule_id"`
	Details      string `json:"details"`
	File         string `json:"file"`
	Line         string `json:"line"`
	Column       string `json:"column"`
	Suppressions []struct {
		Kind string `json:"kind"`
	} `json:"suppressions"`
}

// readGosec reads the JSON report.
func readGosec(data []byte, root string) ([]sarif.Run, error) {
	var doc struct {
		Errors map[string][]struct {
			Error string `json:"error"`
		} `json:"Golang errors"`
		Issues  *[]gosecIssue `json:"Issues"`
		Version string        `json:"GosecVersion"`
	}
	rules := bounded.Rules{Depth: 8, FreeMaps: []string{"Golang errors"}}
	if err := rules.Check(data); err != nil {
		return nil, message("gosec: %w", err)
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, message("gosec: %w", err)
	}
	run := sarif.Run{Tool: "gosec", Version: doc.Version}
	if doc.Issues == nil {
		return nil, message("gosec: there is no list of issues")
	}
	if len(*doc.Issues) > sarif.MaxResults {
		return nil, message("gosec: more than %d issues", sarif.MaxResults)
	}
	if len(doc.Errors) > 0 {
		first := slices.Min(slices.Collect(maps.Keys(doc.Errors)))
		why := ""
		if list := doc.Errors[first]; len(list) > 0 {
			why = ": " + sarif.Clip(list[0].Error, 200)
		}
		run.Problem = fmt.Sprintf("%d packages or files could not be looked at; the first is %s%s", len(doc.Errors), sarif.Clip(first, 200), why)
	}
	place := sarif.Places(root)
	for _, is := range *doc.Issues {
		r := sarif.Result{
			Rule: is.Rule, Title: sarif.Clip(is.Details, 200), Message: sarif.Clip(is.Details, 2048), Level: "warning",
			Severity: sarif.SeverityWord(is.Severity), Place: place(is.File),
		}
		if n, err := strconv.Atoi(is.CWE.ID); err == nil {
			r.CWE = []int{n}
		}
		first, last, _ := strings.Cut(is.Line, "-")
		r.Place.Line = number(first)
		r.Place.End = max(r.Place.Line, number(last))
		r.Place.Column = number(is.Column)
		if len(is.Suppressions) > 0 {
			r.Muted = "suppressed: " + sarif.Clip(is.Suppressions[0].Kind, 40)
		}
		run.Results = append(run.Results, r)
	}
	return []sarif.Run{run}, nil
}

// number reads a line or column; 0 for what is none.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 1<<30 {
		return 0
	}
	return n
}
