package snapshot

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/internal/fact"
)

func putInt(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

func putText(b []byte, s string) []byte { return append(putInt(b, len(s)), s...) }

func putTexts(b []byte, all []string) []byte {
	b = putInt(b, len(all))
	for _, s := range all {
		b = putText(b, s)
	}
	return b
}

// putTime writes seconds since 1970, shifted so that "not stated" is 0.
func putTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return binary.AppendVarint(append(b, 1), t.Unix())
}

func putSeverity(b []byte, s osv.Severity) []byte {
	b = append(b, byte(s.Basis))
	if !s.Known() {
		return b
	}
	b = append(b, byte(s.Level), byte(math.Round(s.Score*10))) // CVSS has one decimal
	return putText(putText(b, s.Vector), s.From)
}

// reader steps through encoded bytes. After the first thing that is wrong,
// everything reads as zero and err stays.
type reader struct {
	s   string
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrInvalid, what)
	}
	r.s = ""
}

func (r *reader) byte() byte {
	if r.s == "" {
		r.fail("it ends too early")
		return 0
	}
	c := r.s[0]
	r.s = r.s[1:]
	return c
}

func (r *reader) uvarint() uint64 {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		c := r.byte()
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if c == 0 && shift > 0 {
				break // the same number has a shorter form: the bytes are not ours
			}
			return n
		}
	}
	r.fail("a number is malformed")
	return 0
}

// int reads a number of at most limit.
func (r *reader) int(limit int) int {
	n := r.uvarint()
	if n > uint64(limit) {
		r.fail("a number is out of range")
		return 0
	}
	return int(n)
}

// maxItems is how long a list may be: it bounds what a short hostile document
// makes us allocate, and no package has as many versions.
const maxItems = 4 << 20

// count reads how many items of at least size bytes follow.
func (r *reader) count(size int) int { return r.int(min(len(r.s)/size, maxItems)) }

func (r *reader) take(n int) string {
	if n > len(r.s) {
		r.fail("it ends too early")
		return ""
	}
	out := r.s[:n]
	r.s = r.s[n:]
	return out
}

func (r *reader) text() string { return r.take(r.int(len(r.s))) }

func (r *reader) texts() []string {
	n := r.count(1)
	if n == 0 {
		return nil
	}
	out := make([]string, n)
	for i := range out {
		out[i] = r.text()
	}
	return out
}

func (r *reader) time() time.Time {
	if r.int(1) == 0 {
		return time.Time{}
	}
	u := r.uvarint()
	return time.Unix(int64(u>>1)^-int64(u&1), 0).UTC()
}

func (r *reader) severity() osv.Severity {
	var s osv.Severity
	s.Basis = osv.Basis(r.int(int(osv.BasisCVSSv4)))
	if s.Known() {
		s.Level = fact.Severity(r.int(int(fact.SeverityCritical)))
		s.Score = float64(min(r.byte(), 100)) / 10
		s.Vector = r.text()
		s.From = r.text()
	}
	return s
}

// done fails unless everything was read.
func (r *reader) done() error {
	if r.err == nil && r.s != "" {
		r.fail("bytes are left over")
	}
	return r.err
}

func encodeRecord(b []byte, r *osv.Record, source int) []byte {
	b = putInt(putText(b, r.ID), source)
	b = putTime(putTime(putTime(b, r.Modified), r.Published), r.Withdrawn)
	b = putTexts(putTexts(putText(b, r.Summary), r.Aliases), r.Upstream)
	b = putSeverity(b, r.Severity)
	names := affectedNames(r)
	b = putInt(b, len(names))
	for _, n := range names {
		b = putText(putText(b, n.Ecosystem), n.Name)
	}
	return b
}

// affectedNames returns the packages that the record is about, sorted, each once.
func affectedNames(r *osv.Record) []Name {
	names := make([]Name, len(r.Affected))
	for i := range r.Affected {
		names[i] = Name{r.Affected[i].Ecosystem, r.Affected[i].Name}
	}
	slices.SortFunc(names, compareNames)
	return slices.Compact(names)
}

func compareNames(a, b Name) int {
	return cmp.Or(strings.Compare(a.Ecosystem, b.Ecosystem), strings.Compare(a.Name, b.Name))
}

func decodeRecord(r *reader) (rec *osv.Record, source int, err error) {
	rec = &osv.Record{ID: r.text()}
	source = r.int(math.MaxInt32)
	rec.Modified, rec.Published, rec.Withdrawn = r.time(), r.time(), r.time()
	rec.Summary, rec.Aliases, rec.Upstream = r.text(), r.texts(), r.texts()
	rec.Severity = r.severity()
	if n := r.count(2); n > 0 {
		rec.Affected = make([]osv.Affected, n)
	}
	for i := range rec.Affected {
		rec.Affected[i].Ecosystem, rec.Affected[i].Name = r.text(), r.text()
	}
	return rec, source, r.done()
}

// eachName calls each with the names of the vulnerability that an encoded
// record is about: its id, its aliases and its upstream. It allocates nothing.
func eachName(text string, each func(name string)) {
	r := &reader{s: text}
	each(r.text())
	r.int(math.MaxInt32)
	r.time()
	r.time()
	r.time()
	r.text()
	for range 2 {
		for n := r.count(1); n > 0; n-- {
			each(r.text())
		}
	}
}

func encodePackage(b []byte, p *Package) []byte {
	b = putText(putText(b, p.Ecosystem), p.Name.Name)
	b = putTexts(b, p.Versions)
	b = putInt(b, len(p.Entries))
	for i := range p.Entries {
		e := &p.Entries[i]
		b = putText(b, e.ID)
		b = putInt(b, len(e.Ranges))
		for _, rg := range e.Ranges {
			b = putInt(append(b, byte(rg.Type)), len(rg.Events))
			for _, ev := range rg.Events {
				b = putText(append(b, byte(ev.Kind)), ev.Version)
			}
		}
		b = putInt(b, len(e.Listed))
		at := 0
		for _, run := range e.Listed {
			b = putInt(putInt(b, run.From-at), run.To-run.From)
			at = run.To
		}
		b = putInt(b, len(e.Imports))
		for _, im := range e.Imports {
			b = putTexts(putText(b, im.Path), im.Symbols)
		}
		b = putSeverity(b, e.Severity)
	}
	return b
}

func decodePackage(r *reader) (*Package, error) {
	p := &Package{Name: Name{r.text(), r.text()}, Versions: r.texts()}
	p.Entries = make([]Entry, r.count(5))
	for i := range p.Entries {
		e := &p.Entries[i]
		e.ID = r.text()
		if n := r.count(2); n > 0 {
			e.Ranges = make([]osv.Range, n)
		}
		for j := range e.Ranges {
			rg := &e.Ranges[j]
			rg.Type = osv.RangeType(r.int(int(osv.RangeOther)))
			if n := r.count(2); n > 0 {
				rg.Events = make([]osv.Event, n)
			}
			for k := range rg.Events {
				rg.Events[k] = osv.Event{Kind: osv.EventKind(r.int(int(osv.Limit))), Version: r.text()}
			}
		}
		if n := r.count(2); n > 0 {
			e.Listed = make([]Run, n)
		}
		at := 0
		for j := range e.Listed {
			from := at + r.int(len(p.Versions)-at)
			at = from + r.int(len(p.Versions)-from)
			e.Listed[j] = Run{from, at}
		}
		if n := r.count(2); n > 0 {
			e.Imports = make([]osv.Import, n)
		}
		for j := range e.Imports {
			e.Imports[j] = osv.Import{Path: r.text(), Symbols: r.texts()}
		}
		e.Severity = r.severity()
	}
	return p, r.done()
}
