package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/advisory"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci"
)

// FixOptions say what is to be mended.
type FixOptions struct {
	Clock      clock.Clock
	Advisories string // see [LoadAdvisories]
	Version    string
	// Least is the severity from which on a vulnerability counts. One whose
	// severity is not known counts, and so does what is exploited or malicious.
	Least fact.Severity
	// Major allows versions that are another major version: for npm those that
	// "^" does not allow, for PyPI those with another first number.
	Major bool
	// Statements are what suppliers say. Those that count leave out what they suppress.
	Statements []fact.VEX
}

// Fix is what [PlanFix] would change, and what it cannot.
type Fix struct {
	Source     string    `json:"source"`
	Advisories time.Time `json:"advisories"` // when they were fetched
	Edits      []FixEdit `json:"edits"`
	// Left is what some version mends and these edits do not, with the reason.
	Left []FixLeft `json:"left,omitempty"`
	// Unfixed is what no version mends.
	Unfixed []FixLeft `json:"unfixed,omitempty"`
	// Then are commands that make lock files anew, which only their tools can.
	Then []FixCommand `json:"then,omitempty"`
	// Gaps are what could not be looked at: nothing is known about it.
	Gaps []string `json:"gaps,omitempty"`

	files []fixFile
}

// FixEdit is one pin with another version.
type FixEdit struct {
	File      string `json:"file"`
	Line      int    `json:"line"`
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
	From      string `json:"from"`
	To        string `json:"to"`
	// Mends are the vulnerabilities that the new version does not have, by group.
	Mends []string `json:"mends"`
	// Before and After are the pin as the file writes it.
	Before string `json:"before"`
	After  string `json:"after"`
}

// FixLeft is a package whose vulnerabilities stay.
type FixLeft struct {
	File            string   `json:"file"`
	Ecosystem       string   `json:"ecosystem"`
	Name            string   `json:"name"`
	Version         string   `json:"version"`
	Vulnerabilities []string `json:"vulnerabilities"` // by group
	To              string   `json:"to,omitempty"`    // the version that mends them
	Why             string   `json:"why"`
	Command         string   `json:"command,omitempty"` // to be run in the file's folder
}

// FixCommand is a command for a person to run.
type FixCommand struct {
	Folder  string `json:"folder"` // of the source, "." for itself
	Command string `json:"command"`
}

// fixFile is one file that changes.
type fixFile struct {
	path          string
	before, after []byte
}

// Complete reports whether everything that can be mended is, and everything was
// looked at.
func (f *Fix) Complete() bool { return len(f.Left) == 0 && len(f.Gaps) == 0 }

// PlanFix finds the smallest versions, of what the files of a folder pin, that
// have none of the vulnerabilities that count. It changes nothing: [Fix.Write]
// and [Fix.Commit] do.
//
// A plan is proved before it is returned: the files as they would be are
// listed and matched again, and must hold the same packages, with the new
// versions, and none of the vulnerabilities that it promises to mend. No index
// of packages is asked, so that it is not known whether versions agree with
// what other packages demand: that is for the tools that install them.
func PlanFix(ctx context.Context, dir string, o FixOptions) (*Fix, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !info.IsDir() || oci.IsLayout(dir) {
		return nil, fmt.Errorf("%s is an image: what mends it is mended in the folder that it is built from", dir)
	}
	s, err := LoadAdvisories(ctx, o.Advisories, o.Clock)
	if err != nil {
		return nil, err
	}
	index := advisory.New(s)
	inventory, err := TakeInventory(ctx, dir, InventoryOptions{Clock: o.Clock, Version: o.Version})
	if err != nil {
		return nil, err
	}
	pins, err := readPins(ctx, dir)
	if err != nil {
		return nil, err
	}
	listed := len(inventory.Packages)
	inventory.Packages = pins.join(inventory.Packages)
	p := mender{index: index, o: &o, pins: pins, edits: map[pinAt]*raised{}}
	for _, a := range p.affected(inventory.Packages) {
		p.plan(&a)
	}
	if err := p.apply(); err != nil {
		return nil, err
	}
	f := &Fix{
		Source: dir, Advisories: s.Taken(), Edits: p.done, Left: p.left, Unfixed: p.unfixed, files: p.files,
		Then: pins.relock(p.files), Gaps: slices.Concat(pins.gaps, pins.unread()),
	}
	for _, g := range gapsOf(index, &inventory) {
		f.Gaps = append(f.Gaps, g.why)
	}
	f.Then = slices.DeleteFunc(f.Then, func(c FixCommand) bool {
		return slices.ContainsFunc(f.Left, func(l FixLeft) bool { return l.Command == c.Command && path.Dir(l.File) == c.Folder })
	})
	if f.Edits == nil {
		f.Edits = []FixEdit{}
	}
	if len(f.files) == 0 {
		return f, nil
	}
	if err := p.prove(ctx, f, inventory.Packages[:listed:listed]); err != nil {
		return nil, err
	}
	return f, nil
}

var errUnproved = errors.New("the plan does not hold, and nothing was changed")

// counts reports whether a finding is to be mended: as [Vulns.AtOrAbove] does.
func (o *FixOptions) counts(f *advisory.Finding) bool {
	return f.Severity.Level >= o.Least || !f.Severity.Known() || f.Exploited != nil || f.Malicious
}

// affected is one package in one place with what counts about it.
type affected struct {
	pkg      *fact.Package
	target   advisory.Target
	findings []advisory.Finding
	// ignored are the names of what statements suppress.
	ignored map[string]bool
}

// affected matches the packages, those that a distribution owns as their
// owners, by file and name. Some have nothing but what statements suppress.
func (p *mender) affected(packages []fact.Package) []affected {
	matches := p.index.Match(packages)
	advisory.ApplyVEX(matches, packages, p.o.Statements, advisory.Product{}, p.o.Clock.Now())
	type key struct {
		path string
		advisory.Target
	}
	at := map[key]int{}
	var out []affected
	for i := range matches {
		m := &matches[i]
		if m.Removed {
			continue
		}
		pkg := &packages[m.Package]
		k := key{pkg.Path, m.Target}
		j, ok := at[k]
		if !ok {
			j = len(out)
			at[k] = j
			out = append(out, affected{pkg: pkg, target: m.Target, ignored: map[string]bool{}})
		}
		a := &out[j]
		switch {
		case slices.ContainsFunc(a.findings, func(f advisory.Finding) bool { return f.Group == m.Group }):
		case m.Suppressed():
			note(a.ignored, &m.Finding)
		case p.o.counts(&m.Finding):
			a.findings = append(a.findings, m.Finding)
		}
	}
	slices.SortStableFunc(out, func(a, b affected) int {
		if c := strings.Compare(a.pkg.Path, b.pkg.Path); c != 0 {
			return c
		}
		return strings.Compare(a.pkg.Name, b.pkg.Name)
	})
	return out
}
