package scanhub

import (
	"iter"
	"strings"

	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// Groups tells which vulnerabilities of a package are one: it returns the name
// of the group that an id belongs to ("GHSA-…" → "CVE-…"), or the id itself.
// The package is as the report names it, "" when it names none. Who knows the
// advisories hands it in ([GroupsOf]); nil leaves it to the aliases that reports
// state.
type Groups func(pkg, id string) string

// GroupsOf makes Groups of advisories: the names of packages, each with all the
// names (CVE, GHSA, PYSEC, …) that one record gives to one of its
// vulnerabilities. Records that share a name about one package are one group; a
// name that they share about different packages joins nothing, because one CVE
// may be several advisories.
//
// It keeps only what is about the packages, and without a package the ids, that
// the scans name, so that its size is theirs and not that of the advisories.
func GroupsOf(scans []Scan, advisories iter.Seq2[string, []string]) Groups {
	packages, unpackaged := map[string]bool{}, map[string]bool{}
	for i := range scans {
		for j := range scans[i].Results {
			r := &scans[i].Results[j]
			switch {
			case r.Class != sarif.Vulnerability:
			case r.Package != "":
				packages[packageName(r.Package)] = true
			default:
				for _, id := range r.IDs {
					unpackaged[id] = true
				}
			}
		}
	}
	all := names{}
	for pkg, ids := range advisories {
		if pkg = packageName(pkg); packages[pkg] {
			for _, id := range ids {
				all.join(name{pkg, id}, name{pkg, ids[0]})
			}
		}
		for _, id := range ids {
			if !unpackaged[id] {
				continue
			}
			for _, other := range ids {
				all.join(name{"", other}, name{"", id})
			}
		}
	}
	for n := range all {
		all[n] = all.find(n) // so that asking changes nothing, from several goroutines too
	}
	return func(pkg, id string) string { return all.find(name{packageName(pkg), id}).id }
}

// name is what a vulnerability of one package is called. Aliases hold within a
// package.
type name struct{ pkg, id string }

// names are sets of names that mean the same (union-find). A name that is not in
// it is alone.
type names map[name]name

// find returns the name of the set that n is in: a CVE where there is one, the
// first in order of those.
func (s names) find(n name) name {
	for {
		p, ok := s[n]
		if !ok {
			return n
		}
		if above, ok := s[p]; ok {
			s[n] = above // halves the path
		}
		n = p
	}
}

func (s names) join(a, b name) {
	a, b = s.find(a), s.find(b)
	if a == b {
		return
	}
	if betterID(b.id, a.id) {
		a, b = b, a
	}
	s[b] = a
}

// betterID says which of two names a group has.
func betterID(a, b string) bool {
	ca, cb := strings.HasPrefix(a, "CVE-"), strings.HasPrefix(b, "CVE-")
	if ca != cb {
		return ca
	}
	return a < b
}

// packageName is a name as its registry compares it (PEP 503, lower case).
func packageName(name string) string {
	return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
}

// group names the vulnerabilities: ids that one report calls the same are one,
// and so are those that groups puts together. The name is a CVE where there is one.
func group(all []entry, groups Groups) {
	same := names{}
	for i := range all {
		r := all[i].r
		if r.Class != sarif.Vulnerability {
			continue
		}
		pkg := packageName(r.Package)
		for _, id := range r.IDs {
			same.join(name{pkg, id}, name{pkg, r.IDs[0]})
			if groups != nil {
				same.join(name{pkg, id}, name{pkg, groups(r.Package, id)})
			}
		}
	}
	for i := range all {
		if r := all[i].r; r.Class == sarif.Vulnerability && len(r.IDs) > 0 {
			all[i].group = same.find(name{packageName(r.Package), r.IDs[0]}).id
		}
	}
}
