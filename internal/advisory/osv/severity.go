package osv

import (
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"

	"github.com/apexlogic/apex/internal/fact"
)

// Basis says what a severity rests on, weakest first.
type Basis uint8

// The bases of a severity.
const (
	BasisNone   Basis = iota
	BasisLabel        // a database's word: "MODERATE"
	BasisNVD          // the score that a list of CVEs gives, without its vector
	BasisCVSSv2       // a vector, as are the next
	BasisCVSSv3
	BasisCVSSv4
)

var basisNames = [...]string{"", "label", "NVD", "CVSS v2", "CVSS v3", "CVSS v4"}

// String names the basis for people; "" for none.
func (b Basis) String() string {
	if int(b) < len(basisNames) {
		return basisNames[b]
	}
	return ""
}

// MarshalText writes the name.
func (b Basis) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// Severity is how bad a vulnerability is, and who says so. The zero value is
// unknown, which is not low.
type Severity struct {
	Level  fact.Severity `json:"level"`
	Score  float64       `json:"score,omitempty"` // 0 to 10; 0 where only a label is known
	Basis  Basis         `json:"basis,omitempty"`
	Vector string        `json:"vector,omitempty"`
	// From is the alias whose severity it is; "" when it is the record's own.
	From string `json:"from,omitempty"`
}

// Known reports whether there is a severity at all.
func (s Severity) Known() bool { return s.Basis != BasisNone }

// Stronger reports whether s is to be preferred to other: the newer scoring
// system, and within one the higher score.
func (s Severity) Stronger(other Severity) bool {
	if s.Basis != other.Basis {
		return s.Basis > other.Basis
	}
	if s.Score != other.Score {
		return s.Score > other.Score
	}
	return s.Level > other.Level
}

// FromScore is a severity of which only the CVSS v3 base score is known.
func FromScore(score float64) Severity {
	if !(score > 0 && score <= 10) {
		return Severity{}
	}
	return Severity{Level: level(score), Score: score, Basis: BasisNVD}
}

// maxVector is the longest vector that is read: CVSS 4.0 with every metric has
// some 200 bytes.
const maxVector = 512

// rate returns the strongest of the scores, or else that of the labels, which
// come most trusted first. Vectors that do not parse say nothing.
func rate(scores []scoring, labels ...string) Severity {
	var best Severity
	for _, s := range scores[:min(len(scores), 64)] {
		if got := score(s); got.Stronger(best) {
			best = got
		}
	}
	for _, l := range labels {
		if best.Known() {
			break
		}
		best = label(l)
	}
	return best
}

func score(s scoring) Severity {
	if len(s.Score) > maxVector {
		return Severity{}
	}
	out := Severity{Vector: s.Score}
	switch s.Type {
	case "CVSS_V4":
		v, err := gocvss40.ParseVector(s.Score)
		if err != nil {
			return Severity{}
		}
		out.Basis, out.Score = BasisCVSSv4, v.Score()
	case "CVSS_V3":
		if v, err := gocvss31.ParseVector(s.Score); err == nil {
			out.Basis, out.Score = BasisCVSSv3, v.BaseScore()
		} else if v, err := gocvss30.ParseVector(s.Score); err == nil {
			out.Basis, out.Score = BasisCVSSv3, v.BaseScore()
		} else {
			return Severity{}
		}
	case "CVSS_V2":
		v, err := gocvss20.ParseVector(strings.Trim(s.Score, "()"))
		if err != nil {
			return Severity{}
		}
		out.Basis, out.Score = BasisCVSSv2, v.BaseScore()
		// Version 2 has no "critical", and nothing above high.
		if out.Level = level(out.Score); out.Level == fact.SeverityCritical {
			out.Level = fact.SeverityHigh
		}
		return out
	default:
		return label(s.Score) // {"type": "Ubuntu", "score": "medium"}
	}
	out.Level = level(out.Score)
	return out
}

// level is the qualitative rating of CVSS 3.1 §5 and 4.0 §6.
func level(score float64) fact.Severity {
	switch {
	case score >= 9:
		return fact.SeverityCritical
	case score >= 7:
		return fact.SeverityHigh
	case score >= 4:
		return fact.SeverityMedium
	case score > 0:
		return fact.SeverityLow
	}
	return fact.SeverityNegligible
}

func label(word string) Severity {
	s := Severity{Basis: BasisLabel}
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "critical":
		s.Level = fact.SeverityCritical
	case "high", "important":
		s.Level = fact.SeverityHigh
	case "medium", "moderate":
		s.Level = fact.SeverityMedium
	case "low":
		s.Level = fact.SeverityLow
	case "negligible", "unimportant", "none":
		s.Level = fact.SeverityNegligible
	default:
		return Severity{}
	}
	return s
}
