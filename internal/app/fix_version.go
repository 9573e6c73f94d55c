package app

import (
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/advisory"
)

// goal is a version to go to, and what stays.
type goal struct {
	version string // "": there is none
	mends   []advisory.Finding
	stays   []stay
}

// stay is what a goal does not mend; a reason of "" means that no version does.
type stay struct {
	findings []advisory.Finding
	version  string
	why      string
}

// goal finds the smallest version with none of the findings. Where only another
// major version mends some of them, and that is not asked for, it is one that
// mends the others.
func (p *mender) goal(a *affected) goal {
	var g goal
	var unfixed stay
	var mendable []advisory.Finding
	hopeless := map[string]bool{}
	for _, f := range a.findings {
		switch {
		case f.Fixed != "":
			mendable = append(mendable, f)
			continue
		case f.Malicious:
			g.stays = append(g.stays, stay{[]advisory.Finding{f}, "", "the package is an attack: remove it"})
		default:
			unfixed.findings = append(unfixed.findings, f)
		}
		note(hopeless, &f)
	}
	if len(unfixed.findings) > 0 {
		g.stays = append(g.stays, unfixed)
	}
	if len(mendable) == 0 {
		return g
	}
	upgrade := func() (version string, ok bool) {
		// What statements suppress here they may not suppress in another version.
		for _, ignore := range []bool{false, true} {
			version, ok = p.index.Upgrade(a.target, func(f *advisory.Finding) bool {
				return p.o.counts(f) && !noted(hopeless, f) && !(ignore && noted(a.ignored, f))
			})
			if ok && (p.o.Major || sameMajor(a.target.Ecosystem, a.target.Version, version)) {
				break
			}
		}
		return version, ok
	}
	version, ok := upgrade()
	if ok && (p.o.Major || sameMajor(a.target.Ecosystem, a.target.Version, version)) {
		g.version, g.mends = version, mendable
		return g
	}
	if !ok {
		g.stays = append(g.stays, stay{mendable, "", "no version that advisories name is free of all that counts"})
		return g
	}
	// What only another major version mends has to stay.
	const why = "only another major version mends it: --major takes it"
	var within, beyond []advisory.Finding
	for _, f := range mendable {
		if sameMajor(a.target.Ecosystem, a.target.Version, f.Fixed) {
			within = append(within, f)
		} else {
			beyond = append(beyond, f)
			note(hopeless, &f)
		}
	}
	if len(within) > 0 && len(beyond) > 0 {
		if near, ok := upgrade(); ok && sameMajor(a.target.Ecosystem, a.target.Version, near) {
			g.version, g.mends = near, within
			g.stays = append(g.stays, stay{beyond, version, why})
			return g
		}
	}
	g.stays = append(g.stays, stay{mendable, version, why})
	return g
}

// note remembers all names of a vulnerability, and noted reports whether one of
// them is known: of another version fewer records may be true, and the group
// be called by another of its names.
func note(names map[string]bool, f *advisory.Finding) {
	names[f.Group] = true
	for _, all := range [][]string{f.IDs, f.Aliases} {
		for _, n := range all {
			names[n] = true
		}
	}
}

func noted(names map[string]bool, f *advisory.Finding) bool {
	known := func(n string) bool { return names[n] }
	return names[f.Group] || slices.ContainsFunc(f.IDs, known) || slices.ContainsFunc(f.Aliases, known)
}

// sameMajor reports whether two versions of the ecosystem are of one major
// version. With SemVer, below 1.0.0 the first number that is not 0 counts, as
// it does for "^"; a module of Go has another name from 2 on. Distributions
// mend within a release, where every update is meant for everybody.
func sameMajor(ecosystem, a, b string) bool {
	base, _, _ := strings.Cut(ecosystem, ":")
	switch base {
	case "PyPI":
		return majorPyPI(a) == majorPyPI(b) && majorPyPI(a) != ""
	case "npm", "crates.io":
		return majorSemVer(a) == majorSemVer(b) && majorSemVer(a) != ""
	case "Go":
		return numbers(a, 1) == numbers(b, 1) && numbers(a, 1) != ""
	case "Debian", "Ubuntu", "Alpine", "Wolfi", "Chainguard", "Red Hat", "Rocky Linux", "AlmaLinux", "SUSE", "openSUSE", "Azure Linux", "Photon OS":
		return true
	}
	return numbers(a, 1) == numbers(b, 1) && numbers(a, 1) != ""
}

// majorPyPI is the epoch and the first number.
func majorPyPI(version string) string {
	epoch, rest, ok := strings.Cut(version, "!")
	if !ok {
		epoch, rest = "0", version
	}
	first := numbers(strings.TrimLeft(rest, "vV"), 1)
	if first == "" {
		return ""
	}
	return epoch + "!" + first
}

// majorSemVer is what "^" keeps.
func majorSemVer(version string) string {
	for n := range 3 {
		kept := numbers(version, n+1)
		if kept == "" {
			return ""
		}
		if last := kept[strings.LastIndexByte(kept, '.')+1:]; last != "0" || n == 2 {
			return kept
		}
	}
	return ""
}

// numbers returns the first n numbers, "" when there are fewer.
func numbers(version string, n int) string {
	version = strings.TrimPrefix(version, "v")
	if i := strings.IndexFunc(version, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); i >= 0 {
		version = version[:i]
	}
	parts := strings.Split(version, ".")
	if len(parts) < n || slices.Contains(parts[:n], "") {
		return ""
	}
	for i := range parts[:n] {
		if parts[i] = strings.TrimLeft(parts[i], "0"); parts[i] == "" {
			parts[i] = "0"
		}
	}
	return strings.Join(parts[:n], ".")
}
