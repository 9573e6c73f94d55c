// Package osv reads what is published about vulnerabilities: OSV records, CISA's
// catalogue of exploited ones (KEV) and FIRST's predictions of exploitation (EPSS).
//
// Start with [Records], which steps through a feed in any of its forms (one
// record, JSON lines, a zip of records, each of them possibly gzipped), and
// [ReadKEV] and [ReadEPSS]. A [Record] is what matching, priority and people
// need of a record: references, credits and long texts are left out, names are
// in their ecosystem's normal form, and the severity is worked out.
//
// Everything is bounded: bytes of a feed and of a record, counts, lengths,
// depth. A record that breaks a bound or the schema is an error of its own
// ([RecordError]), so that the caller sees what is missing; it is never left
// out silently.
//
// Sources: https://ossf.github.io/osv-schema/ (1.7), the KEV catalogue's JSON
// schema, https://www.first.org/epss/data_stats, CVSS 2.0, 3.0, 3.1 and 4.0.
package osv

import (
	"strings"
	"time"
)

// Record is one advisory.
type Record struct {
	ID string
	// Modified, Published and Withdrawn are in UTC; zero: not stated. A
	// withdrawn record affects nothing.
	Modified, Published, Withdrawn time.Time
	// Summary is one line for people, at most MaxSummary bytes.
	Summary string
	// Aliases are other ids of the same vulnerability, sorted, without ID.
	Aliases []string
	// Upstream are ids of vulnerabilities that the record passes on: an update
	// of a distribution names all CVEs that it mends. Sorted.
	Upstream []string
	Severity Severity
	Affected []Affected
}

// Malicious reports whether the record is about a package that is itself the
// attack, and not about a flaw in one.
func (r *Record) Malicious() bool { return strings.HasPrefix(r.ID, "MAL-") }

// Affected is what the record says about one package.
type Affected struct {
	// Ecosystem and Name are in normal form (package order).
	Ecosystem, Name string
	Ranges          []Range
	// Versions are listed one by one, as the record spells them.
	Versions []string
	// Imports are the parts of the package that are vulnerable, where the
	// record names them; none: the record does not say.
	Imports []Import
	// Severity is this package's, when the record has one for it.
	Severity Severity
}

// Import is a package of a module and the vulnerable symbols in it; no symbols
// means all of them.
type Import struct {
	Path    string
	Symbols []string
}

// RangeType says what the versions of a range are.
type RangeType uint8

// The types of ranges. What is of no known type is kept as RangeOther.
const (
	RangeEcosystem RangeType = iota
	RangeSemVer
	RangeGit
	RangeOther
)

// Range is a list of events on one line of versions, as the record orders them.
type Range struct {
	Type   RangeType
	Events []Event
}

// EventKind is what happens at a version.
type EventKind uint8

// The kinds of event.
const (
	Introduced EventKind = iota
	Fixed
	LastAffected
	Limit
)

// Event is one event of a range.
type Event struct {
	Kind    EventKind
	Version string
}

// The limits on a feed and its records, with room over the largest seen.
const (
	MaxRecord   = 16 << 20 // bytes; the longest lists of versions are some 2 MB
	MaxFeed     = 4 << 30  // bytes, decompressed; all of OSV is about 2 GB
	MaxRecords  = 4 << 20  // all of OSV has some 500,000
	MaxDepth    = 32       // of JSON; database_specific may hold anything
	MaxID       = 128      // bytes of an id
	MaxName     = 1024     // bytes of a package's name
	MaxText     = 1024     // bytes of a version or symbol
	MaxAliases  = 1024     // updates of kernels name some hundred CVEs
	MaxAffected = 65536    // packages, ranges and imports of a record, each
	MaxEvents   = 1 << 20  // events, versions and symbols of a record, each
	MaxSummary  = 200      // bytes that are kept
)
