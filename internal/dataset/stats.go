package dataset

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
)

// Bounds on statistics. The keys of duplicates need 16 bytes each.
const (
	maxValues         = 10_000 // labels, sources
	maxValue          = 200    // bytes of one
	maxKeys           = 3 << 19
	maxClusters       = 50 // that are listed
	maxClusterRecords = 20
	maxShingleWords   = 400 // words of a text that are compared
)

// Two texts are nearly equal when all minima of one band are equal (MinHash:
// Broder 1997; banding: Indyk, Motwani 1998): texts that share 90 % of their
// word triples are found with probability .99, those that share half with .09.
const (
	bands    = 6
	bandRows = 6
	shingle  = 3
)

// row is what statistics see of a record.
type row struct {
	label, source string
	labelled      bool
	content       []byte // without id and label
	text          string // the longest text in it
}

// statistics collects them. What a file adds counts only once it is committed,
// for it may turn out to be of another format.
type statistics struct {
	labels, sources map[string]int64
	unlabelled      int64
	more            bool
	exact, near     keys
	names           []string // of labels, by number
	numbers         map[string]uint32
	files           []fileSpan
	records         uint32
	undo            undo
}

type fileSpan struct {
	path  string
	first uint32
}

type undo struct {
	labels, sources map[string]int64
	unlabelled      int64
	records         uint32
}

func newStatistics() *statistics {
	return &statistics{labels: map[string]int64{}, sources: map[string]int64{}, numbers: map[string]uint32{}}
}

func (s *statistics) begin(path string) {
	s.files = append(s.files, fileSpan{path, s.records})
	s.undo = undo{labels: map[string]int64{}, sources: map[string]int64{}, records: s.records}
}

func (s *statistics) add(r *row) {
	u := &s.undo
	if r.labelled {
		s.count(s.labels, u.labels, r.label)
	} else {
		u.unlabelled++
		s.unlabelled++
	}
	if r.source != "" {
		s.count(s.sources, u.sources, r.source)
	}
	number, ok := s.numbers[r.label]
	if !ok && len(s.names) < maxValues {
		number = uint32(len(s.names))
		s.numbers[strings.Clone(r.label)] = number
		s.names = append(s.names, strings.Clone(r.label))
	} else if !ok {
		number = maxValues
	}
	at := s.records
	s.records++
	if len(r.content) > 0 {
		sum := sha256.Sum256(r.content)
		s.exact.add(binary.BigEndian.Uint64(sum[:]), at, number)
	}
	var band [bands]uint64
	if minima(r.text, &band) {
		for _, b := range band {
			s.near.add(b, at, number)
		}
	}
}

func (s *statistics) count(in, undo map[string]int64, value string) {
	if len(value) > maxValue {
		value = strings.ToValidUTF8(value[:maxValue], "")
	}
	if _, ok := in[value]; !ok && len(in) >= maxValues {
		s.more = true
		return
	}
	if _, ok := in[value]; !ok {
		value = strings.Clone(value)
	}
	in[value]++
	undo[value]++
}

// forget takes back what was added since begin.
func (s *statistics) forget() {
	u := &s.undo
	take := func(from, to map[string]int64) {
		for v, n := range from {
			if to[v] -= n; to[v] == 0 {
				delete(to, v)
			}
		}
	}
	take(u.labels, s.labels)
	take(u.sources, s.sources)
	s.unlabelled -= u.unlabelled
	s.exact.drop(u.records)
	s.near.drop(u.records)
	s.records = u.records
	s.undo = undo{labels: map[string]int64{}, sources: map[string]int64{}, records: s.records}
}

// keys is a bounded list of hashes. When it is full, half of the hashes are
// dropped, by their value: equal ones stay together, so that what is counted in
// the rest can be scaled.
type keys struct {
	list []key
	mask uint64
}

type key struct {
	hash       uint64
	row, label uint32
}

func (k *keys) add(hash uint64, row, label uint32) {
	if hash&k.mask != 0 {
		return
	}
	if len(k.list) == 1<<18 { // it will likely fill up: growing in steps would need twice as much
		k.list = slices.Grow(k.list, maxKeys+1-len(k.list))
	}
	k.list = append(k.list, key{hash, row, label})
	if len(k.list) > maxKeys {
		k.mask = k.mask<<1 | 1
		k.list = slices.DeleteFunc(k.list, func(e key) bool { return e.hash&k.mask != 0 })
	}
}

func (k *keys) drop(from uint32) {
	k.list = slices.DeleteFunc(k.list, func(e key) bool { return e.row >= from })
}

// groups sorts the keys and calls yield for every hash that several rows have.
func (k *keys) groups(yield func([]key)) {
	slices.SortFunc(k.list, func(a, b key) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.row, b.row)) })
	for from := 0; from < len(k.list); {
		to := from + 1
		for to < len(k.list) && k.list[to].hash == k.list[from].hash {
			to++
		}
		if to-from > 1 {
			yield(k.list[from:to])
		}
		from = to
	}
}

func mixed(g []key) bool {
	return slices.ContainsFunc(g, func(e key) bool { return e.label != g[0].label })
}

func (s *statistics) result() Statistics {
	out := Statistics{Labels: sorted(s.labels), Sources: sorted(s.sources), Unlabelled: s.unlabelled, More: s.more,
		SampledOneIn: int64(max(s.exact.mask, s.near.mask) + 1), Clusters: []Cluster{}}
	scale := int64(s.exact.mask + 1)
	s.exact.groups(func(g []key) {
		out.Duplicates += int64(len(g)-1) * scale
		if mixed(g) {
			out.Conflicts += scale
		}
	})
	// Rows that share a band are joined; a cluster is what hangs together.
	parent := map[uint32]uint32{}
	root := func(r uint32) uint32 {
		for {
			p, ok := parent[r]
			if !ok || p == r {
				return r
			}
			if next, ok := parent[p]; ok {
				parent[r] = next
			}
			r = p
		}
	}
	label := map[uint32]uint32{}
	s.near.groups(func(g []key) {
		for _, e := range g {
			label[e.row] = e.label
			a, b := root(g[0].row), root(e.row)
			if a != b {
				parent[max(a, b)] = min(a, b)
			}
		}
	})
	members := map[uint32][]uint32{}
	for r := range label {
		members[root(r)] = append(members[root(r)], r)
	}
	var roots []uint32
	for r, all := range members {
		slices.Sort(all)
		if slices.ContainsFunc(all, func(m uint32) bool { return label[m] != label[all[0]] }) {
			roots = append(roots, r)
		}
	}
	slices.Sort(roots)
	out.NearConflicts = int64(len(roots))
	for _, r := range roots[:min(len(roots), maxClusters)] {
		var c Cluster
		for _, m := range members[r] {
			if n := int(label[m]); n < len(s.names) && !slices.Contains(c.Labels, s.names[n]) {
				c.Labels = append(c.Labels, s.names[n])
			}
			if len(c.Records) < maxClusterRecords {
				c.Records = append(c.Records, s.where(m))
			}
		}
		slices.Sort(c.Labels)
		out.Clusters = append(out.Clusters, c)
	}
	return out
}

// where names a record as "path#index".
func (s *statistics) where(record uint32) string {
	at, ok := slices.BinarySearchFunc(s.files, record, func(f fileSpan, r uint32) int { return cmp.Compare(f.first, r) })
	if !ok {
		at--
	}
	for at+1 < len(s.files) && s.files[at+1].first <= record { // files without rows begin where the next one does
		at++
	}
	return fmt.Sprintf("%s#%d", s.files[at].path, record-s.files[at].first)
}

func sorted(of map[string]int64) []Count {
	out := make([]Count, 0, len(of))
	for v, n := range of {
		out = append(out, Count{strings.ToValidUTF8(v, "\ufffd"), n})
	}
	slices.SortFunc(out, func(a, b Count) int { return cmp.Compare(a.Value, b.Value) })
	return out
}

// minima are the bands of a text's MinHash; false: it is too short to compare.
func minima(text string, out *[bands]uint64) bool {
	var low [bands * bandRows]uint64
	for i := range low {
		low[i] = math.MaxUint64
	}
	var ring [shingle]uint64
	n, h, inside := 0, uint64(0), false
	word := func() {
		ring[n%shingle] = h
		n++
		if n < shingle {
			return
		}
		s := ring[n%shingle]*3 + ring[(n+1)%shingle]*5 + ring[(n+2)%shingle]*7
		for i := range low {
			// Multiplication by odd numbers, different for each function.
			v := (s ^ uint64(i)*0x9e3779b97f4a7c15) * 0xd6e8feb86659fd93
			v = (v ^ v>>32) * 0xd6e8feb86659fd93
			low[i] = min(low[i], v^v>>29)
		}
	}
	for _, r := range text {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			if !inside {
				h, inside = 0xcbf29ce484222325, true
			}
			h = (h ^ uint64(unicode.ToLower(r))) * 0x100000001b3
			continue
		}
		if inside {
			if word(); n >= maxShingleWords {
				break
			}
		}
		inside = false
	}
	if inside && n < maxShingleWords {
		word()
	}
	if n < 2*shingle {
		return false
	}
	for b := range out {
		h := uint64(b + 1)
		for _, v := range low[b*bandRows : (b+1)*bandRows] {
			h = (h ^ v) * 0x9fb21c651e98df25
			h ^= h >> 28
		}
		out[b] = h
	}
	return true
}
