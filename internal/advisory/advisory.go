// Package advisory says which packages of an inventory have known
// vulnerabilities, how urgent each is, and what would mend it.
//
// Start with [New], which makes an [Index] of a snapshot, and [Index.Match],
// which turns packages into matches: one for each package and vulnerability,
// however many ids the vulnerability was given. [Rank] orders matches by what
// to mend first, [ApplyVEX] takes statements of suppliers into account, and
// [Index.Upgrade] finds the smallest version that is free of findings. Package
// fleet keeps the answers of everything that was admitted up to date.
//
// The rules are those of the OSV schema ("Evaluation"): a version is affected
// when it is listed, or when a range says so. What cannot be told is
// [Undecided], never safe: a bound that is no version, a record without
// versions, an installed version that cannot be ordered. Versions of PyPI are
// compared without their local label, as PEP 440 does for bounds that have
// none: "2.1.0+cu121" is a build of 2.1.0, and has its flaws.
//
// Sources: https://ossf.github.io/osv-schema/, PEP 440, OpenVEX 0.2.0, CISA's
// SSVC guide for the names of urgencies. Subpackages: order (versions and
// names), osv (feeds), snapshot (what is kept), fleet.
package advisory

import (
	"fmt"

	"github.com/apexlogic/apex/internal/advisory/osv"
)

// Status is what is known about a package and a vulnerability. The zero value
// is Undecided.
type Status uint8

// The states. What is not affected is not reported.
const (
	Undecided Status = iota // it cannot be told, and the notes say why
	Affected
)

// String returns "affected" or "unknown".
func (s Status) String() string {
	if s == Affected {
		return "affected"
	}
	return "unknown"
}

// MarshalText writes the name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Status) UnmarshalText(text []byte) error {
	switch string(text) {
	case "affected":
		*s = Affected
	case "unknown":
		*s = Undecided
	default:
		return fmt.Errorf("unknown status %q", text)
	}
	return nil
}

// Target is what is looked up for a package: the name and version that its
// advisories go by. It is comparable, and equal targets have equal findings.
type Target struct {
	// Ecosystem and Name are in normal form; Name is the source package's where
	// the ecosystem's advisories name sources.
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
	Version   string `json:"version"`
	// OwnedBy is the distribution (an ecosystem, or "?") that brought a package
	// of another ecosystem and mends it in its own packages; "": nobody.
	OwnedBy string `json:"ownedBy,omitempty"`
}

// Finding is one vulnerability of one target. Records that are aliases of each
// other are one finding.
type Finding struct {
	// Group names the vulnerability: its CVE, the first of several; without one
	// the first of IDs.
	Group string `json:"group"`
	// IDs are the records that say so, sorted.
	IDs []string `json:"ids"`
	// Aliases are the other names in the group, sorted.
	Aliases []string `json:"aliases,omitempty"`
	Status  Status   `json:"status"`
	// Notes say what was not plain about the comparison.
	Notes    []string     `json:"notes,omitempty"`
	Severity osv.Severity `json:"severity"`
	// Fixed is the smallest version above the one at hand that none of the
	// records affects; "": none is known.
	Fixed string `json:"fixed,omitempty"`
	// Exploited is the entry in KEV, nil when there is none.
	Exploited *osv.Exploited `json:"exploited,omitempty"`
	// EPSS and Percentile are 0 to 1; both 0: there is no prediction.
	EPSS       float64 `json:"epss,omitempty"`
	Percentile float64 `json:"percentile,omitempty"`
	// Malicious says that the package itself is the attack.
	Malicious bool `json:"malicious,omitempty"`
	// Imports are the vulnerable parts, where the records name them; none: any part.
	Imports []osv.Import `json:"imports,omitempty"`
	Summary string       `json:"summary,omitempty"`
}

// Match is a finding about one package of an inventory.
type Match struct {
	// Package is its index in the packages that were handed in.
	Package int    `json:"-"`
	Target  Target `json:"target"`
	Finding
	// Removed says that the package is in a layer and not visible at run time.
	Removed bool `json:"removed,omitempty"`
	// Yanked says that its index withdrew this version.
	Yanked bool `json:"yanked,omitempty"`
	// VEX is what a supplier's statement changed or failed to change; nil: no
	// statement is about this.
	VEX *Exploitability `json:"vex,omitempty"`
}

// Suppressed reports whether a statement that counts says that the product is
// not affected.
func (m *Match) Suppressed() bool { return m.VEX != nil && m.VEX.Counts }
