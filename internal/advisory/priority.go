package advisory

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/apexlogic/apex/internal/fact"
)

// Tri is an answer that may be missing.
type Tri uint8

// The answers.
const (
	Untold Tri = iota
	No
	Yes
)

// Circumstances are what is known about where a match runs.
type Circumstances struct {
	// Exposed says whether the workload can be reached from outside.
	Exposed Tri
	// Imported says whether the program loads the package at all, by its
	// imports or by what was observed.
	Imported Tri
}

// Urgency is how soon somebody should act, in the words of CISA's SSVC guide.
type Urgency uint8

// The urgencies, least first.
const (
	Track        Urgency = iota // mend it with the next regular update
	TrackClosely                // the same, and watch it
	Attend                      // mend it sooner than regular updates come
	Act                         // mend it now
)

var urgencyNames = [...]string{"track", "track-closely", "attend", "act"}

// String returns the name in lower case.
func (u Urgency) String() string {
	if int(u) < len(urgencyNames) {
		return urgencyNames[u]
	}
	return urgencyNames[Track]
}

// MarshalText writes the name.
func (u Urgency) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// Priority says how urgent a match is, and why.
type Priority struct {
	Urgency Urgency  `json:"urgency"`
	Reasons []string `json:"reasons,omitempty"`

	key [8]float64 // compared from the first on; greater is more urgent
}

// Compare orders priorities, the more urgent first.
func (p Priority) Compare(q Priority) int {
	return cmp.Or(cmp.Compare(q.Urgency, p.Urgency), slices.Compare(q.key[:], p.key[:]))
}

// The probabilities of EPSS that make a difference. Ten percent is the
// neighbourhood of the model's best balance of effort and coverage (FIRST, "The
// EPSS Model"); differences below one percent are noise.
const (
	epssHigh   = 0.5
	epssRaised = 0.1
	epssNoise  = 0.01
)

func epssBand(p float64) float64 {
	switch {
	case p >= epssHigh:
		return 3
	case p >= epssRaised:
		return 2
	case p >= epssNoise:
		return 1
	}
	return 0
}

// Rank says how urgent a match is. What is exploited, or malicious, comes
// first; then by EPSS, severity (an unknown one counts as high), exposure,
// whether it is imported, and whether there is a fix. What statements suppress
// comes last, and what is not visible at run time, or undecided, is a step
// less urgent.
func Rank(m *Match, c Circumstances) Priority {
	var p Priority
	say := func(format string, args ...any) { p.Reasons = append(p.Reasons, fmt.Sprintf(format, args...)) }
	severity := m.Severity.Level
	if !m.Severity.Known() {
		severity = fact.SeverityHigh
	}
	hot := m.Exploited != nil || m.Malicious
	band := epssBand(m.EPSS)

	switch {
	case hot:
		p.Urgency = Act
	case band >= 2,
		severity == fact.SeverityCritical && c.Imported != No,
		severity == fact.SeverityHigh && c.Exposed == Yes && c.Imported != No:
		p.Urgency = Attend
	case band == 1 || severity >= fact.SeverityHigh:
		p.Urgency = TrackClosely
	}
	if m.Malicious {
		say("the package is malicious")
	}
	if m.Exploited != nil {
		say("known to be exploited (KEV)")
		if m.Exploited.Ransomware {
			say("used by ransomware")
		}
	}
	if m.EPSS > 0 {
		say("EPSS %.3f", m.EPSS)
	}
	switch {
	case !m.Severity.Known():
		say("no severity is known")
	case m.Severity.Score > 0:
		say("%s, %s %.1f", m.Severity.Level, m.Severity.Basis, m.Severity.Score)
	default:
		say("%s", m.Severity.Level)
	}
	switch c.Exposed {
	case Yes:
		say("reachable from outside")
	case No:
		say("not reachable from outside")
	}
	switch c.Imported {
	case Yes:
		say("imported")
	case No:
		say("never imported")
	}
	if m.Fixed != "" {
		say("fixed in %s", m.Fixed)
	}
	if (m.Removed || m.Status == Undecided) && p.Urgency > Track {
		p.Urgency--
	}
	if m.Removed {
		say("deleted in a later layer")
	}
	if m.Status == Undecided {
		say("not certain that it is affected")
	}
	if m.Suppressed() {
		p.Urgency = Track
		say("suppressed by a VEX statement until %s", m.VEX.Until.Format("2006-01-02"))
	}

	truth := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	tri := [...]float64{Untold: 1, No: 0, Yes: 2}
	p.key = [8]float64{
		truth(hot), band, float64(severity), tri[min(c.Exposed, Yes)], tri[min(c.Imported, Yes)],
		truth(m.Fixed != ""), m.EPSS, m.Severity.Score,
	}
	if m.Suppressed() {
		p.key[0] = -1
	}
	return p
}
