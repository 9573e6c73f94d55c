// Package snapshot keeps all advisories of one moment in one immutable,
// content-addressed document.
//
// Start with [Build] (records, KEV and EPSS in, a [Snapshot] out), [Load] (one
// from its bytes), [Diff] (what changed between two) and [Dir] (a directory of
// them with a current one, which does not go back unless it is asked to).
//
// The format is Apex's own, because a feed as published takes half a second to
// parse and this takes some milliseconds. The same input gives the same bytes,
// so the digest of the bytes names what a verdict was based on:
//
//	"APEXADV" version | taken | sources | records by id | packages by
//	ecosystem and name | KEV by CVE | EPSS by CVE
//
// Numbers are varints, texts have their length before them. There is no table
// of texts for the whole document: each record and each package is a block
// that stands for itself, so that two snapshots are compared block by block
// without being decoded, and a block is decoded when somebody asks for it. What
// repeats most, the versions that advisories list, is a table of its package,
// in order, of which each advisory lists runs.
package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"iter"
	"time"

	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/verdict"
)

// ErrInvalid is wrapped by errors about bytes that are no snapshot.
var ErrInvalid = errors.New("not an advisory snapshot")

// magic is what a snapshot begins with; its last byte is the version of the
// format. Another version is refused: a snapshot is made anew from its feeds.
const magic = "APEXADV\x01"

// MaxSize is the largest snapshot that is read: all of OSV would be some
// 300 MB.
const MaxSize = 1 << 30

// Snapshot is all that was known at one moment. It is immutable and safe for
// concurrent use.
type Snapshot struct {
	data    string
	digest  verdict.Digest
	taken   time.Time
	sources []Source

	records  []block // by id, which is a
	packages []block // by ecosystem and name, which are a and b
	kev      []osv.Exploited
	epss     string // entries of epssSize bytes
}

// block is one encoded record or package: data[at:end], with its sort key.
type block struct {
	a, b    string
	at, end int
}

// Source is one feed of a snapshot.
type Source struct {
	Name string `json:"name"`
	// Digest is that of the bytes that the feed was read from; "" when unknown.
	Digest verdict.Digest `json:"digest,omitempty"`
	// Records is how many of the snapshot's records are from this feed.
	Records int `json:"records"`
	// Newest is when one of them was last modified.
	Newest time.Time `json:"newest,omitzero"`
}

// Name names a package in its ecosystem, both in normal form (package order).
type Name struct {
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
}

// Package is what is known about one package.
type Package struct {
	Name
	// Versions are all versions that any of the entries lists, in the order of
	// the ecosystem; what is no version there is last, in order of its bytes.
	Versions []string
	Entries  []Entry
}

// Entry is what one record says about the package.
type Entry struct {
	ID     string
	Ranges []osv.Range
	// Listed are runs of indices into Package.Versions.
	Listed   []Run
	Imports  []osv.Import
	Severity osv.Severity // for this package; unknown: the record's counts
}

// Run is the indices From to To, To excluded.
type Run struct{ From, To int }

// Digest is the sha256 of the snapshot's bytes.
func (s *Snapshot) Digest() verdict.Digest { return s.digest }

// Taken is the moment that the feeds were fetched or, for a handed-in feed, that it is of.
func (s *Snapshot) Taken() time.Time { return s.taken }

// Sources are the feeds, by name. The caller does not change them.
func (s *Snapshot) Sources() []Source { return s.sources }

// Bytes returns the snapshot as Load reads it.
func (s *Snapshot) Bytes() []byte { return []byte(s.data) }

// Len is the number of records, withdrawn ones included.
func (s *Snapshot) Len() int { return len(s.records) }

// Packages is the number of packages that records are about.
func (s *Snapshot) Packages() int { return len(s.packages) }

// PackageName names the i-th package, in order of ecosystem and name.
func (s *Snapshot) PackageName(i int) Name { return Name{s.packages[i].a, s.packages[i].b} }

// Find returns the index of the package's block.
func (s *Snapshot) Find(name Name) (int, bool) { return find(s.packages, name.Ecosystem, name.Name) }

// Package decodes the i-th package.
func (s *Snapshot) Package(i int) *Package {
	p, err := decodePackage(&reader{s: s.block(s.packages[i])})
	if err != nil {
		panic(err) // Load has decoded it already
	}
	return p
}

// FindRecord returns the index of the record with the id.
func (s *Snapshot) FindRecord(id string) (int, bool) { return find(s.records, id, "") }

// Record decodes the i-th record, in order of ids. Its Affected names the
// packages only: what it says about them is in theirs. Where the record has no
// severity and an alias has one, Severity is the alias's.
func (s *Snapshot) Record(i int) *osv.Record {
	r, _, err := decodeRecord(&reader{s: s.block(s.records[i])})
	if err != nil {
		panic(err) // Load has decoded it already
	}
	return r
}

// All steps through the records as they were handed to Build, each with the
// name of its feed, with what it affects, and without severities of aliases.
func (s *Snapshot) All() iter.Seq2[string, *osv.Record] {
	return func(yield func(string, *osv.Record) bool) {
		for _, r := range s.decodeAll() {
			if !yield(s.sources[r.source].Name, r.Record) {
				return
			}
		}
	}
}

// KEV are the vulnerabilities that are known to be exploited, by CVE. The
// caller does not change them.
func (s *Snapshot) KEV() []osv.Exploited { return s.kev }

func (s *Snapshot) block(b block) string { return s.data[b.at:b.end] }

func digestOf(data string) verdict.Digest {
	h := sha256.New()
	const chunk = 1 << 16 // a conversion of the whole would copy it
	var buf [chunk]byte
	for rest := data; rest != ""; {
		n := copy(buf[:], rest)
		h.Write(buf[:n])
		rest = rest[n:]
	}
	return verdict.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}
