package advisory_test

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// This file is a second evaluation of the OSV schema, written for these tests
// from its text ("Evaluation"), on the JSON as published, with its own orders
// of versions. It shares nothing with what it judges and takes no care to be fast.

// reference is one record as published.
type reference struct {
	ID        string   `json:"id"`
	Withdrawn string   `json:"withdrawn"`
	Aliases   []string `json:"aliases"`
	Affected  []struct {
		Package struct{ Ecosystem, Name string }
		Ranges  []struct {
			Type   string
			Events []map[string]string
		}
		Versions []string
	} `json:"affected"`
}

func references(t *testing.T, lines []byte) (out []reference) {
	t.Helper()
	for l := range strings.Lines(string(lines)) {
		if strings.TrimSpace(l) == "" {
			continue
		}
		var r reference
		if err := json.Unmarshal([]byte(l), &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// judgement is what the evaluation says about a record and a package.
type judgement int

const (
	safe judgement = iota
	unclear
	vulnerable
)

var punctuation = regexp.MustCompile(`[-_.]+`)

// affects is "IsVulnerable(pkg, version, osv)" of the schema, with the rules
// that Apex adds written out: withdrawn records say nothing, PyPI compares
// public versions, and what cannot be told is unclear.
func (r *reference) affects(ecosystem, name, version string) judgement {
	if r.Withdrawn != "" {
		return safe
	}
	worst := safe
	for _, a := range r.Affected {
		theirs := a.Package.Name
		if ecosystem == "PyPI" {
			theirs = strings.ToLower(punctuation.ReplaceAllString(theirs, "-"))
			name = strings.ToLower(punctuation.ReplaceAllString(name, "-"))
		}
		if a.Package.Ecosystem != ecosystem || theirs != name {
			continue
		}
		listed := slices.ContainsFunc(a.Versions, func(v string) bool { return v == version || sameVersion(ecosystem, v, version) })
		if listed {
			return vulnerable
		}
		if len(a.Versions) == 0 && !slices.ContainsFunc(a.Ranges, func(g struct {
			Type   string
			Events []map[string]string
		}) bool {
			return g.Type != "GIT"
		}) {
			worst = max(worst, unclear)
		}
		for _, g := range a.Ranges {
			if g.Type == "GIT" {
				continue
			}
			worst = max(worst, inRange(ecosystem, version, g.Events))
		}
	}
	return worst
}

// sameVersion reports whether a listed version is the one at hand, or its
// public version.
func sameVersion(ecosystem, listed, version string) bool {
	if c, ok := refCompare(ecosystem, listed, version); ok && c == 0 {
		return true
	}
	public, _, local := strings.Cut(version, "+")
	if ecosystem != "PyPI" || !local {
		return false
	}
	c, ok := refCompare(ecosystem, listed, public)
	return ok && c == 0
}

// inRange is "IncludedInRanges" for one range. A bound that is no version is
// tried where it could be at the lowest and at the highest: when that makes a
// difference, it is unclear.
func inRange(ecosystem, version string, events []map[string]string) judgement {
	if _, ok := refCompare(ecosystem, version, version); !ok {
		return unclear
	}
	type ev struct{ kind, version string }
	var fixedEvents []ev
	var options [][2]string // of the bounds that are no versions
	var at []int
	for _, e := range events {
		for _, kind := range []string{"introduced", "fixed", "last_affected", "limit"} {
			v, ok := e[kind]
			if !ok {
				continue
			}
			if v == "0" || v == "*" {
			} else if _, ok := refCompare(ecosystem, v, v); !ok {
				low, high := reading(ecosystem, v)
				options, at = append(options, [2]string{low, high}), append(at, len(fixedEvents))
			}
			fixedEvents = append(fixedEvents, ev{kind, v})
		}
	}
	seen := map[bool]bool{}
	for choice := range 1 << len(options) {
		all := slices.Clone(fixedEvents)
		for i, o := range options {
			all[at[i]].version = o[choice>>i&1]
		}
		vulnerable, limited, within := false, false, false
		slices.SortStableFunc(all, func(a, b ev) int { return bound(ecosystem, a.version, b.version) })
		for _, e := range all {
			// Local labels do not take part, except that a fix in one build is
			// in that build only.
			mine, theirs := version, e.version
			if ecosystem == "PyPI" {
				if e.kind != "fixed" || !strings.Contains(theirs, "+") {
					mine, _, _ = strings.Cut(mine, "+")
					theirs, _, _ = strings.Cut(theirs, "+")
				}
			}
			c := bound(ecosystem, mine, theirs)
			switch {
			case e.kind == "introduced" && c >= 0:
				vulnerable = true
			case e.kind == "fixed" && c >= 0:
				vulnerable = false
			case e.kind == "last_affected" && c > 0:
				vulnerable = false
			case e.kind == "limit":
				limited = limited || e.version != "*"
				within = within || c < 0
			}
		}
		seen[vulnerable && (!limited || within)] = true
	}
	switch {
	case seen[true] && seen[false]:
		return unclear
	case seen[true]:
		return vulnerable
	}
	return safe
}

// The ends of all versions.
const (
	lowest  = "0"
	highest = "∞"
)

func bound(ecosystem, a, b string) int {
	rank := map[string]int{lowest: -1, highest: 1, "*": 1}
	if rank[a] != rank[b] {
		return cmp.Compare(rank[a], rank[b])
	}
	if rank[a] != 0 {
		return 0
	}
	c, _ := refCompare(ecosystem, a, b)
	return c
}

var releaseOf = regexp.MustCompile(`^v?([0-9]+(?:\.[0-9]+)+)`)

// reading returns the lowest and highest version that text, which is none, may
// mean.
func reading(ecosystem, text string) (low, high string) {
	if ecosystem != "PyPI" {
		return lowest, highest
	}
	text = strings.ReplaceAll(text, `\`, "")
	if _, ok := refCompare("PyPI", text, text); ok {
		return text, text
	}
	m := releaseOf.FindStringSubmatch(text)
	if m == nil {
		return lowest, highest
	}
	rest := text[len(m[0]):]
	switch {
	case rest == "-NA":
		return m[1], m[1]
	case regexp.MustCompile(`^-(cu[0-9]+|cpu)$`).MatchString(rest):
		return m[1] + "+" + rest[1:], m[1] + "+" + rest[1:]
	}
	return m[1] + ".dev0", m[1] + ".post999999999"
}
