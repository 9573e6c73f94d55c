package advisory

import (
	"slices"
	"sort"

	"github.com/apexlogic/apex/internal/advisory/order"
	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/internal/advisory/snapshot"
)

// answer is what an entry says about a version.
type answer uint8

const (
	no answer = iota
	maybe
	yes
)

// asked is a version as the entries of a package are asked about it.
type asked struct {
	order.Version
	ok bool // it could be parsed
	// full and public are the listed versions that are equal to it.
	full, public snapshot.Run
}

// ask prepares a version.
func (c *compiled) ask(version string) asked {
	v, err := c.rules.Parse(version)
	a := asked{Version: v, ok: err == nil}
	a.full = c.equal(snapshot.ListedKey(c.rules, version))
	a.public = a.full
	if a.ok && v.Public != v.Full {
		a.public = c.equal(v.Public)
	}
	return a
}

// equal returns the run of listed versions with the key.
func (c *compiled) equal(key order.Key) snapshot.Run {
	from, _ := slices.BinarySearch(c.keys, key)
	to := from
	for to < len(c.keys) && c.keys[to] == key {
		to++
	}
	return snapshot.Run{From: from, To: to}
}

// judge evaluates one entry: "versions OR ranges", by the OSV schema. why
// explains maybe, or how a bound was read.
func (e *entry) judge(v asked) (a answer, why string) {
	if overlaps(e.listed, v.full) || overlaps(e.listed, v.public) {
		return yes, ""
	}
	if len(e.ranges) == 0 && len(e.listed) == 0 {
		return maybe, "the record names neither versions nor a range that can be evaluated"
	}
	for i := range e.ranges {
		got, reason := e.ranges[i].judge(v)
		if got > a {
			a, why = got, reason
		}
		if a == yes {
			break
		}
	}
	return a, why
}

// overlaps reports whether any index of run is in the sorted runs.
func overlaps(runs []snapshot.Run, run snapshot.Run) bool {
	if run.From == run.To {
		return false
	}
	i := sort.Search(len(runs), func(i int) bool { return runs[i].To > run.From })
	return i < len(runs) && runs[i].From < run.To
}

// judge evaluates the events in order of their versions, as the schema's
// algorithm does; where a bound is not exact, the answer may be maybe.
func (s *span) judge(v asked) (a answer, why string) {
	if s.why != "" {
		return maybe, s.why
	}
	if !v.ok {
		return maybe, "the installed version cannot be ordered"
	}
	// closed says that a last_affected ended the range with nothing introduced
	// since. A later one then contradicts it: the record lists affected
	// versions in the wrong field, and which of them it means is not known.
	closed := false
	for i := range s.events {
		e := &s.events[i]
		at := e.position(v)
		switch e.kind {
		case osv.Introduced:
			switch {
			case at == after || at == on:
				a, why, closed = yes, e.Read, false
			case at == unsure && a == no:
				a, why = maybe, "the record's bound "+quote(e.version)+" is no version"
			}
		case osv.Fixed:
			switch {
			case at == after || at == on:
				a = no
			case at == unsure && a == yes:
				a, why = maybe, "the record's bound "+quote(e.version)+" is no version"
			}
		case osv.LastAffected:
			switch {
			case at == after:
				closed = a != no || closed
				a = no
			case at == unsure && a == yes:
				a, why = maybe, "the record's bound "+quote(e.version)+" is no version"
			case closed && a == no:
				a, why = maybe, "the record ends one range twice"
			}
		}
		if e.Read != "" && a == yes && why == "" {
			why = "the record's bound " + quote(e.version) + " was read as " + e.Read
		}
	}
	if a == no || len(s.limits) == 0 {
		return a, why
	}
	within := no // before any of the limits
	for i := range s.limits {
		switch s.limits[i].position(v) {
		case before:
			within = yes
		case unsure:
			within = max(within, maybe)
		}
	}
	return min(a, within), why
}

// position is where a version lies from a bound.
type position uint8

const (
	before position = iota
	on
	after
	unsure
)

func (e *event) position(v asked) position {
	key := v.Public
	if e.Local {
		key = v.Full
	}
	switch {
	case key < e.Lo:
		return before
	case key > e.Hi:
		return after
	case e.Lo == e.Hi:
		return on
	}
	return unsure
}

// fixes returns the versions above v at which the entry's ranges end.
func (e *entry) fixes(v asked) []event {
	var out []event
	for i := range e.ranges {
		for _, ev := range e.ranges[i].events {
			if ev.kind == osv.Fixed && ev.Exact() && ev.position(v) == before {
				out = append(out, ev)
			}
		}
	}
	return out
}

func quote(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "…"
	}
	return `"` + s + `"`
}
