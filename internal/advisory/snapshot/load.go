package snapshot

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"

	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/verdict"
)

// Load reads a snapshot and checks all of it. The error wraps ErrInvalid.
func Load(data []byte) (*Snapshot, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%w: %w of %d bytes", ErrInvalid, bounded.ErrTooLarge, MaxSize)
	}
	s := &Snapshot{data: string(data)}
	if !strings.HasPrefix(s.data, magic) {
		if strings.HasPrefix(s.data, magic[:len(magic)-1]) {
			return nil, fmt.Errorf("%w: it has another version of the format; make it anew from its feeds", ErrInvalid)
		}
		return nil, fmt.Errorf("%w: it does not begin as one", ErrInvalid)
	}
	r := &reader{s: s.data[len(magic):]}
	s.taken = r.time()
	s.sources = make([]Source, r.count(4))
	total := 0
	for i := range s.sources {
		src := &s.sources[i]
		*src = Source{Name: r.text(), Digest: verdict.Digest(r.text()), Records: r.int(MaxSize), Newest: r.time()}
		total += src.Records
		if i > 0 && src.Name <= s.sources[i-1].Name {
			r.fail("the sources are not in order")
		}
	}
	s.records = s.blocks(r, func(in *reader) (block, error) {
		rec, source, err := decodeRecord(in)
		if err == nil && source >= len(s.sources) {
			err = fmt.Errorf("%w: a record is from no source", ErrInvalid)
		}
		return block{a: rec.ID}, err
	})
	if r.err == nil && total != len(s.records) {
		r.fail("the sources have another number of records")
	}
	s.packages = s.blocks(r, func(in *reader) (block, error) {
		p, err := decodePackage(in)
		for i := range p.Entries {
			if _, ok := s.FindRecord(p.Entries[i].ID); err == nil && !ok {
				err = fmt.Errorf("%w: a package names a record that is not there", ErrInvalid)
			}
		}
		return block{a: p.Ecosystem, b: p.Name.Name}, err
	})
	if n := r.count(5); n > 0 {
		s.kev = make([]osv.Exploited, n)
	}
	for i := range s.kev {
		e := &s.kev[i]
		*e = osv.Exploited{CVE: r.text(), Ransomware: r.int(1) == 1, Added: r.time(), Due: r.time(), Name: r.text()}
		if i > 0 && e.CVE <= s.kev[i-1].CVE {
			r.fail("KEV is not in order")
		}
	}
	s.epss = r.take(r.count(epssSize) * epssSize)
	for at := epssSize; at < len(s.epss); at += epssSize {
		if s.epss[at:at+8] <= s.epss[at-epssSize:at-epssSize+8] {
			r.fail("EPSS is not in order")
			break
		}
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	s.digest = digestOf(s.data)
	return s, nil
}

// blocks reads a list of blocks in strictly ascending order.
func (s *Snapshot) blocks(r *reader, decode func(*reader) (block, error)) []block {
	out := make([]block, r.count(2))
	for i := range out {
		text := r.text()
		if r.err != nil {
			return nil
		}
		b, err := decode(&reader{s: text})
		if err != nil {
			r.err = err
			return nil
		}
		b.end = len(s.data) - len(r.s)
		b.at = b.end - len(text)
		if i > 0 && compareBlocks(out[i-1], b) >= 0 {
			r.fail("the blocks are not in order")
			return nil
		}
		out[i] = b
	}
	return out
}

func compareBlocks(x, y block) int {
	return cmp.Or(strings.Compare(x.a, y.a), strings.Compare(x.b, y.b))
}

func find(blocks []block, a, b string) (int, bool) {
	return slices.BinarySearchFunc(blocks, block{a: a, b: b}, compareBlocks)
}

// decodeAll returns the records as Build took them.
func (s *Snapshot) decodeAll() []sourced {
	out := make([]sourced, len(s.records))
	for i := range out {
		rec, source, err := decodeRecord(&reader{s: s.block(s.records[i])})
		if err != nil {
			panic(err) // Load has decoded it already
		}
		if rec.Severity.From != "" {
			rec.Severity = osv.Severity{}
		}
		rec.Affected = nil
		out[i] = sourced{rec, source}
	}
	for i := range s.packages {
		p := s.Package(i)
		for j := range p.Entries {
			e := &p.Entries[j]
			at, _ := s.FindRecord(e.ID)
			a := osv.Affected{Ecosystem: p.Ecosystem, Name: p.Name.Name, Ranges: e.Ranges, Imports: e.Imports, Severity: e.Severity}
			for _, run := range e.Listed {
				a.Versions = append(a.Versions, p.Versions[run.From:run.To]...)
			}
			out[at].Affected = append(out[at].Affected, a)
		}
	}
	return out
}

// Exploited returns the CVE's entry in KEV.
func (s *Snapshot) Exploited(cve string) (osv.Exploited, bool) {
	i, ok := slices.BinarySearchFunc(s.kev, cve, func(e osv.Exploited, cve string) int { return strings.Compare(e.CVE, cve) })
	if !ok {
		return osv.Exploited{}, false
	}
	return s.kev[i], true
}

// Prediction returns the CVE's EPSS.
func (s *Snapshot) Prediction(cve string) (osv.Prediction, bool) {
	year, n, ok := osv.ParseCVE(cve)
	if !ok {
		return osv.Prediction{}, false
	}
	var want [8]byte
	putBig(want[0:2], year)
	putBig(want[2:8], n)
	key := string(want[:])
	count := len(s.epss) / epssSize
	i := sort.Search(count, func(i int) bool { return s.epss[i*epssSize:i*epssSize+8] >= key })
	if i == count || s.epss[i*epssSize:i*epssSize+8] != key {
		return osv.Prediction{}, false
	}
	return s.prediction(i), true
}

func (s *Snapshot) prediction(i int) osv.Prediction {
	e := s.epss[i*epssSize : (i+1)*epssSize]
	number := func(from, to int) (n int) {
		for _, c := range []byte(e[from:to]) {
			n = n<<8 | int(c)
		}
		return n
	}
	return osv.Prediction{
		CVE:         fmt.Sprintf("CVE-%04d-%04d", number(0, 2), number(2, 8)),
		Probability: float64(number(8, 11)) / 1e5,
		Percentile:  float64(number(11, 14)) / 1e5,
		CVSS3:       float64(number(14, 15)) / 10,
	}
}

func (s *Snapshot) predictions() iter.Seq[osv.Prediction] {
	return func(yield func(osv.Prediction) bool) {
		for i := range len(s.epss) / epssSize {
			if !yield(s.prediction(i)) {
				return
			}
		}
	}
}
