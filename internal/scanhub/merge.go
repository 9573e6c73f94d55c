package scanhub

import (
	"cmp"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// maxSpan is the longest region, in lines, that takes in another tool's finding
// within it. A longer one is a whole function or file: two different mistakes
// of one class fit into it.
const maxSpan = 12

// Merge makes one list of what tools found. dir is the folder that they
// scanned, whose files tell what stands around a finding; "" when there is none.
//
// Two results are one finding when they are of one class and begin at the same
// line, or when one lies within the other's lines and different tools say so.
// Vulnerabilities are one per group of aliases, package and file. A result
// whose class is not known is one finding per rule and line. Results of scans
// that are not Scanned are kept: what was found is there.
func Merge(scans []Scan, dir string, groups Groups) (*Merged, error) {
	var tree *os.Root
	if dir != "" {
		var err error
		if tree, err = os.OpenRoot(dir); err != nil {
			return nil, err
		}
		defer tree.Close()
	}
	m := &Merged{}
	var all []entry
	for i := range scans {
		s := &scans[i]
		for j := range s.Results {
			all = append(all, entry{tool: s.Tool, r: &s.Results[j]})
		}
		head := *s
		head.Results = nil
		m.Scans = append(m.Scans, head)
	}
	group(all, groups)
	for i := range all {
		all[i].key = all[i].class()
	}
	// By file, so that each is read once and only one is held.
	slices.SortStableFunc(all, func(a, b entry) int {
		return cmp.Or(strings.Compare(a.r.Place.File, b.r.Place.File), cmp.Compare(a.r.Place.Line, b.r.Place.Line),
			strings.Compare(a.key, b.key))
	})
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].r.Place.File == all[0].r.Place.File {
			n++
		}
		m.file(readSource(tree, all[0].r.Place.File), all[:n])
		all = all[n:]
	}
	slices.SortStableFunc(m.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(weight(b.Severity), weight(a.Severity)), strings.Compare(a.Place.File, b.Place.File),
			cmp.Compare(a.Place.Line, b.Place.Line), strings.Compare(a.Fingerprint, b.Fingerprint))
	})
	return m, nil
}

// weight orders severities: what nobody rated may be anything.
func weight(s fact.Severity) int {
	if s == fact.SeverityUnknown {
		return int(fact.SeverityHigh)
	}
	return int(s)
}

// entry is one result on its way into a finding.
type entry struct {
	tool  string
	r     *sarif.Result
	group string // of a vulnerability
	key   string
}

// class is what a result is compared by.
func (e *entry) class() string {
	switch {
	case e.r.Class == sarif.Vulnerability && e.group != "":
		return string(sarif.Vulnerability) + "/" + e.group + "/" + packageName(e.r.Package)
	case e.r.Class != "" && e.r.Class != sarif.Vulnerability:
		return string(e.r.Class)
	}
	return e.tool + "/" + e.r.Rule
}

// file makes findings of the results about one file, which are in its order.
func (m *Merged) file(src *source, results []entry) {
	start := len(m.Findings)
	known := map[string]int{}
	counts := map[string][]int{} // lines of equal snippets where there is no source
	for i := range results {
		e := &results[i]
		f := e.fingerprint(src, counts)
		at, ok := known[f]
		if !ok {
			known[f] = len(m.Findings)
			m.Findings = append(m.Findings, e.finding(f))
			continue
		}
		m.Findings[at].add(e)
	}
	m.unpackaged(start)
	m.overlaps(start)
}

// unpackaged joins vulnerabilities of which one tool names no package with the
// only one of that group in the file.
func (m *Merged) unpackaged(start int) {
	named := map[string][]int{}
	for i, f := range m.Findings[start:] {
		if f.Class == sarif.Vulnerability && f.Package != "" {
			named[f.IDs[0]] = append(named[f.IDs[0]], start+i)
		}
	}
	if len(named) == 0 {
		return
	}
	gone := map[int]bool{}
	for i := start; i < len(m.Findings); i++ {
		f := &m.Findings[i]
		if f.Class != sarif.Vulnerability || f.Package != "" {
			continue
		}
		if same := named[f.IDs[0]]; len(same) == 1 {
			m.Findings[same[0]].absorb(f)
			gone[i] = true
		}
	}
	kept := m.Findings[:start]
	for i := start; i < len(m.Findings); i++ {
		if !gone[i] {
			kept = append(kept, m.Findings[i])
		}
	}
	m.Findings = kept
}

func (e *entry) fingerprint(src *source, counts map[string][]int) string {
	p := &e.r.Place
	place := p.File
	if place == "" {
		place = "name:" + p.Name
	}
	if e.r.Class == sarif.Vulnerability && e.group != "" {
		return digest(e.key, place)
	}
	window, ordinal, ok := src.at(p.Line)
	if !ok {
		// No source to look at. Equal snippets are counted as they are reported.
		window = strings.Join(normalLines(p.Snippet), "\n")
		if p.Snippet == "" && p.Line > 0 {
			window = "line:" + strconv.Itoa(p.Line)
		}
		k := e.key + "\x00" + place + "\x00" + window
		lines := counts[k]
		if ordinal = slices.Index(lines, p.Line); ordinal < 0 {
			ordinal = len(lines)
			counts[k] = append(lines, p.Line)
		}
	}
	return digest(e.key, place, window, strconv.Itoa(ordinal))
}

func (e *entry) finding(fingerprint string) Finding {
	r := e.r
	f := Finding{
		Fingerprint: fingerprint, Class: r.Class, Severity: r.Severity, Score: r.Score, Title: r.Title, Message: r.Message,
		Place: r.Place, CWE: slices.Clone(r.CWE), IDs: slices.Clone(r.IDs), Package: r.Package, Request: r.Request, Muted: r.Muted,
		By: []Source{{e.tool, r.Rule, r.Partial}},
	}
	f.Place.Snippet = ""
	if r.Class == sarif.Vulnerability && e.group == "" {
		f.Class = "" // nothing that another tool could mean too
	}
	if e.group != "" {
		f.name(e.group)
	}
	return f
}

// name puts the name of the group first.
func (f *Finding) name(group string) {
	if i := slices.Index(f.IDs, group); i >= 0 {
		f.IDs = slices.Delete(f.IDs, i, i+1)
	}
	f.IDs = slices.Insert(f.IDs, 0, group)
}

// add takes another tool's report of the same finding.
func (f *Finding) add(e *entry) {
	other := e.finding(f.Fingerprint)
	f.absorb(&other)
}

func (f *Finding) absorb(other *Finding) {
	// Unknown is the smallest: who rates it wins over who does not.
	f.Severity, f.Score = max(f.Severity, other.Severity), max(f.Score, other.Score)
	if other.Muted == "" {
		f.Muted = ""
	}
	if f.Title == "" {
		f.Title = other.Title
	}
	if f.Request == "" {
		f.Request = other.Request
	}
	for _, id := range other.IDs {
		if !slices.Contains(f.IDs, id) {
			f.IDs = append(f.IDs, id)
		}
	}
	for _, n := range other.CWE {
		if !slices.Contains(f.CWE, n) {
			f.CWE = append(f.CWE, n)
		}
	}
	for _, s := range other.By {
		if !slices.ContainsFunc(f.By, func(b Source) bool { return b.Tool == s.Tool && b.Rule == s.Rule }) {
			f.By = append(f.By, s)
		}
	}
	if other.Fingerprint != f.Fingerprint && !slices.Contains(f.Others, other.Fingerprint) {
		f.Others = append(f.Others, other.Fingerprint)
	}
}

// overlaps joins findings of the file whose findings begin at start: tools
// disagree on whether a mistake begins at the call or at its argument.
func (m *Merged) overlaps(start int) {
	open := map[sarif.Class]int{} // the last finding of a class that is kept
	kept := m.Findings[:start]
	for _, f := range m.Findings[start:] {
		if f.Class == "" || f.Class == sarif.Vulnerability || f.Place.File == "" || f.Place.Line == 0 {
			kept = append(kept, f)
			continue
		}
		if at, ok := open[f.Class]; ok && kept[at].takesIn(&f) {
			kept[at].absorb(&f)
			continue
		}
		open[f.Class] = len(kept)
		kept = append(kept, f)
	}
	m.Findings = kept
}

func (f *Finding) takesIn(other *Finding) bool {
	if f.Place.End-f.Place.Line >= maxSpan || other.Place.Line > f.Place.End || other.Place.End > f.Place.End {
		return false
	}
	for _, s := range other.By {
		if slices.ContainsFunc(f.By, func(b Source) bool { return b.Tool == s.Tool }) {
			return false // one tool that says it twice means two
		}
	}
	return true
}
