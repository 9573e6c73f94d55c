package advisory

import (
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/apexlogic/apex/internal/advisory/order"
	"github.com/apexlogic/apex/internal/fact"
)

// unknownOwner is a distribution that cannot be told from its package's PURL.
const unknownOwner = "?"

// Targets returns what is looked up for each package, in the packages' order;
// none for a requirement that names no version, which says nothing about what
// is there.
//
// A package of another ecosystem that a distribution's package owns (a Python
// module from dpkg) has the distribution's fixes under the upstream's version:
// its findings are those of the owner. When the owner is not among packages, it
// is looked up for the owned one.
func Targets(packages []fact.Package) [][]Target {
	present := map[string]*fact.Package{}
	for i := range packages {
		if p := &packages[i]; p.PURL != "" && isDistribution(p.PURL) {
			present[p.PURL] = p
		}
	}
	out := make([][]Target, len(packages))
	for i := range packages {
		p := &packages[i]
		if p.State == fact.Declared && p.Version == "" {
			continue
		}
		t := target(p)
		if p.Owner == "" || !isDistribution(p.Owner) || isDistribution(p.PURL) {
			out[i] = []Target{t}
			continue
		}
		if owner := present[p.Owner]; owner != nil {
			t.OwnedBy = order.Ecosystem(owner.Ecosystem)
			out[i] = []Target{t}
			continue
		}
		owner, ok := fromPURL(p.Owner)
		if !ok {
			t.OwnedBy = unknownOwner
			out[i] = []Target{t}
			continue
		}
		t.OwnedBy = owner.Ecosystem
		out[i] = []Target{t, owner}
	}
	return out
}

func target(p *fact.Package) Target {
	rules, _ := order.For(p.Ecosystem)
	t := Target{Ecosystem: order.Ecosystem(p.Ecosystem), Name: p.Name, Version: p.Version}
	if rules.Source == order.BySource {
		if p.SourceName != "" {
			t.Name = p.SourceName
		}
		if p.SourceVersion != "" {
			t.Version = p.SourceVersion
		}
	}
	t.Name = rules.Name(t.Name)
	return t
}

func isDistribution(purl string) bool {
	return strings.HasPrefix(purl, "pkg:deb/") || strings.HasPrefix(purl, "pkg:rpm/") || strings.HasPrefix(purl, "pkg:apk/")
}

// fromPURL returns the target of a distribution's package by its PURL alone.
// ok is false when the PURL does not say which release it is of.
func fromPURL(purl string) (t Target, ok bool) {
	u, err := packageurl.FromString(purl)
	if err != nil || u.Version == "" {
		return Target{}, false
	}
	q := u.Qualifiers.Map()
	p := fact.Package{Name: u.Name, Version: u.Version}
	if source, version, ok := strings.Cut(q["upstream"], "@"); ok {
		p.SourceName, p.SourceVersion = source, version
	} else {
		p.SourceName = source
	}
	if e := q["epoch"]; e != "" && e != "0" {
		p.Version = e + ":" + p.Version
	}
	_, release, _ := strings.Cut(q["distro"], "-")
	names := map[string]string{
		"debian": "Debian", "ubuntu": "Ubuntu", "alpine": "Alpine", "rocky": "Rocky Linux", "almalinux": "AlmaLinux",
	}
	switch name := names[u.Namespace]; {
	case u.Namespace == "wolfi":
		p.Ecosystem = "Wolfi"
	case u.Namespace == "chainguard":
		p.Ecosystem = "Chainguard"
	case name != "" && release != "" && release[0] >= '0' && release[0] <= '9':
		p.Ecosystem = name + ":" + release
	default:
		return Target{}, false
	}
	return target(&p), true
}
