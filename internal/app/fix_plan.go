package app

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/apexlogic/apex/internal/advisory"
	"github.com/apexlogic/apex/internal/advisory/order"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/bump"
)

// mender decides, package by package, what changes and what stays.
type mender struct {
	index *advisory.Index
	o     *FixOptions
	pins  *pinFiles

	edits   map[pinAt]*raised
	done    []FixEdit
	left    []FixLeft
	unfixed []FixLeft
	files   []fixFile
	// promised are the groups that are to be gone, by the file and package.
	promised map[promise]bool
}

type promise struct{ path, ecosystem, name, group string }

// raised is another version for one pin.
type raised struct {
	to    string
	mends []string
	from  []*affected
}

// plan decides about one package in one place.
func (p *mender) plan(a *affected) {
	if len(a.findings) == 0 {
		return
	}
	g := p.goal(a)
	for _, s := range g.stays {
		l := leftOf(a, s.findings, s.version, s.why)
		switch {
		case s.why == "":
			l.Why = "no version mends it"
			p.unfixed = append(p.unfixed, l)
		default:
			p.left = append(p.left, l)
		}
	}
	if g.version == "" {
		return
	}
	lock, isLock := bump.LockOf(a.pkg.Path)
	places := p.pins.places(a.pkg)
	leave := func(why, command string) {
		l := leftOf(a, g.mends, g.version, why)
		l.Command = command
		p.left = append(p.left, l)
	}
	if a.target.Name != normalName(a.pkg.Ecosystem, a.pkg.Name) || a.target.Version != a.pkg.Version {
		// The version is that of the source that the package was built from.
		leave("it comes from "+a.target.Name+" of the distribution", bump.Install(a.pkg.Ecosystem, a.pkg.Name, g.version))
		return
	}
	if a.pkg.Has("replaced") || a.pkg.Has("local") || a.pkg.Has("editable") {
		leave("its code comes from a folder beside it", "")
		return
	}
	// One pin that is held holds those that have to agree with it.
	for _, at := range places {
		f := p.pins.files[at.path]
		pin := &f.Pins[at.pin]
		if pin.Held != "" {
			leave(elsewhere(pin, at.path, a.pkg.Path)+pin.Held, pin.Fill(g.version))
			return
		}
		if _, err := f.Spell(pin, g.version); err != nil {
			leave(elsewhere(pin, at.path, a.pkg.Path)+err.Error(), "")
			return
		}
	}
	switch {
	case isLock && len(places) == 0:
		leave("it is in a lock file, because another package needs it", lock.Raise(a.pkg.Name, g.version))
	case isLock:
		leave("it is in a lock file, which its own tool writes after "+places[0].path+" is changed", lock.Relock())
	case len(places) == 0 && a.pkg.State == fact.Installed:
		leave("it is installed here", bump.Install(a.pkg.Ecosystem, a.pkg.Name, g.version))
	case len(places) == 0:
		leave("the place where its version is chosen was not found in a file that Apex can change", "")
	}
	for _, at := range places {
		p.ask(at, a, &g)
	}
}

// elsewhere names the place of a pin that is in another file.
func elsewhere(pin *bump.Pin, at, from string) string {
	if at == from {
		return ""
	}
	return fmt.Sprintf("%s:%d: ", at, pin.Line)
}

// ask asks for a version of a pin. Of two the greater counts: a lock file may
// hold a greater one than the least that the pin allows.
func (p *mender) ask(at pinAt, a *affected, g *goal) {
	e := p.edits[at]
	if e == nil {
		e = &raised{to: g.version}
		p.edits[at] = e
	}
	rules, _ := order.For(a.pkg.Ecosystem)
	if c, err := rules.Compare(e.to, g.version); err == nil && c < 0 {
		e.to = g.version
	}
	e.mends = append(e.mends, groupsOf(g.mends)...)
	e.from = append(e.from, a)
}

// apply makes the changes in memory.
func (p *mender) apply() error {
	p.promised = map[promise]bool{}
	for _, at := range p.pins.paths() {
		f := p.pins.files[at]
		var edits []bump.Edit
		first := len(p.done)
		for i := range f.Pins {
			e := p.edits[pinAt{at, i}]
			if e == nil {
				continue
			}
			pin := &f.Pins[i]
			spelled, err := f.Spell(pin, e.to)
			if err != nil {
				return fmt.Errorf("%w: %s:%d: %w", errUnproved, at, pin.Line, err)
			}
			slices.Sort(e.mends)
			e.mends = slices.Compact(e.mends)
			edits = append(edits, bump.Edit{Ecosystem: pin.Ecosystem, Name: pin.Name, From: pin.Version, To: e.to})
			p.done = append(p.done, FixEdit{
				File: at, Line: pin.Line, Ecosystem: pin.Ecosystem, Name: pin.Name, From: pin.Version, To: spelled, Mends: e.mends,
				Before: f.Text(pin, ""), After: f.Text(pin, spelled),
			})
			for _, a := range e.from {
				if _, lock := bump.LockOf(a.pkg.Path); lock {
					continue
				}
				for _, group := range e.mends {
					p.promised[promise{a.pkg.Path, a.target.Ecosystem, a.target.Name, group}] = true
				}
			}
		}
		if len(edits) == 0 {
			continue
		}
		after, err := f.Apply(edits)
		if err != nil {
			return fmt.Errorf("%w: %w", errUnproved, err)
		}
		if string(after) == string(f.Data()) {
			p.done = p.done[:first]
			continue
		}
		p.files = append(p.files, fixFile{at, f.Data(), after})
	}
	byPlace := func(a, b FixLeft) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Name, b.Name)) }
	slices.SortStableFunc(p.left, byPlace)
	slices.SortStableFunc(p.unfixed, byPlace)
	return nil
}

func leftOf(a *affected, findings []advisory.Finding, version, why string) FixLeft {
	return FixLeft{
		File: a.pkg.Path, Ecosystem: a.pkg.Ecosystem, Name: a.pkg.Name, Version: a.pkg.Version,
		Vulnerabilities: groupsOf(findings), To: version, Why: why,
	}
}

func groupsOf(findings []advisory.Finding) []string {
	out := make([]string, 0, len(findings))
	for i := range findings {
		out = append(out, findings[i].Group)
	}
	return out
}
