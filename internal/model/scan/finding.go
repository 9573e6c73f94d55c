package scan

import "fmt"

// Verdict is what is said of a file as a whole. The zero value is Unknown:
// what nobody recognised is never clean.
type Verdict uint8

// The verdicts, from the least to the most that is said. Clean is said only of
// a file that at least one format took.
const (
	Unknown     Verdict = iota // no format that loaders of models read
	Clean                      // read to its end; nothing in it runs or escapes
	Unscannable                // could not be read to its end, or not within the limits
	Suspicious                 // may run or escape, or asks for trust that it does not earn
	Malicious                  // runs or escapes when it is loaded
)

var verdictNames = [...]string{"unknown", "clean", "unscannable", "suspicious", "malicious"}

// String returns the verdict's name.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return verdictNames[0]
}

// MarshalText writes the verdict's name.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads a name.
func (v *Verdict) UnmarshalText(text []byte) error {
	for i, name := range verdictNames {
		if name == string(text) {
			*v = Verdict(i)
			return nil
		}
	}
	return fmt.Errorf("no verdict is called %q", clip(string(text)))
}

// Blocked says whether a careful door keeps the file out: malicious,
// suspicious or unscannable. Of unknown files the policy decides.
func (v Verdict) Blocked() bool { return v >= Unscannable }

// Severity is what one finding says of its file.
type Severity uint8

// The severities.
const (
	Note          Severity = iota // worth knowing; changes no verdict
	Unreadable                    // keeps the scanner from saying that the file is clean
	Doubtful                      // makes the file suspicious
	Harmful                       // makes the file malicious
	numSeverities = iota
)

var severityNames = [numSeverities]string{"note", "unscannable", "suspicious", "malicious"}

// String returns the severity as the verdict that it makes; "note" for none.
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return severityNames[Harmful]
}

// MarshalText writes the severity's name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name.
func (s *Severity) UnmarshalText(text []byte) error {
	for i, name := range severityNames {
		if name == string(text) {
			*s = Severity(i)
			return nil
		}
	}
	return fmt.Errorf("no severity is called %q", clip(string(text)))
}

func (s Severity) verdict() Verdict {
	switch s {
	case Note:
		return Unknown
	case Unreadable:
		return Unscannable
	case Doubtful:
		return Suspicious
	}
	return Malicious
}

// Rule is one thing that scanners look for. Rules are package variables that
// nothing changes; their documentation is generated (docs/model-findings.md).
type Rule struct {
	ID         string // "format.thing", lower case, never renamed
	Severity   Severity
	Why        string   // why it matters, in one sentence
	Mend       string   // what a person does about it
	References []string // CVE, GHSA, CWE identifiers or a paper
}

// Where is the place of a finding.
type Where struct {
	Member string `json:"member,omitempty"` // members from the outermost, joined by "!"
	Offset int64  `json:"offset"`           // bytes from the beginning of the member (of the file, where Member is empty); -1: none
	Op     string `json:"op,omitempty"`     // opcode, node, layer or key path
}

// Nowhere is the place of what concerns a whole file.
var Nowhere = Where{Offset: -1}

// At is a place that only an offset names.
func At(offset int64) Where { return Where{Offset: offset} }

// Op is the place of an opcode at an offset.
func Op(offset int64, op string) Where { return Where{Offset: offset, Op: op} }

// Path is a place that only a path names: a node, a layer or a key.
func Path(path string) Where { return Where{Offset: -1, Op: path} }

// String writes the place for people: "member@12 REDUCE".
func (w Where) String() string {
	s := w.Member
	if w.Offset >= 0 {
		s += fmt.Sprintf("@%d", w.Offset)
	}
	if w.Op != "" {
		if s != "" {
			s += " "
		}
		s += w.Op
	}
	return s
}

// Finding is one thing that was found.
type Finding struct {
	Rule       string   `json:"rule"`
	Severity   Severity `json:"severity"`
	Format     string   `json:"format"`
	Where      Where    `json:"where"`
	Detail     string   `json:"detail"` // what exactly: printable, at most some 300 bytes
	Why        string   `json:"why,omitempty"`
	Mend       string   `json:"mend,omitempty"`
	References []string `json:"references,omitempty"`
}

// Property is something that a file says of itself: nobody vouches for it.
type Property struct {
	Key   string `json:"key"` // "license", "base_model", "architecture", "framework", …
	Value string `json:"value"`
}

// Tensor is one array of numbers, where the format names it.
type Tensor struct {
	Member string  // the member that holds it
	Name   string  // as the format names it
	DType  string  // as the format names it, for example "F32" or "Q4_K"
	Shape  []int64 // row-major, as the format gives it
	Offset int64   // of its first byte in the member; -1 when it is packed
	Size   int64   // bytes
}

// The rules of the engine itself.
var (
	ruleRead = &Rule{ID: "scan.read", Severity: Unreadable,
		Why: "What was not read may hold anything.", Mend: "Make the file readable and scan it again."}
	ruleBudget = &Rule{ID: "scan.budget", Severity: Unreadable,
		Why:  "A file that takes this much to read was not read to its end.",
		Mend: "Ask its author for a plain format (safetensors), or scan it with a larger --budget."}
	ruleStopped = &Rule{ID: "scan.stopped", Severity: Unreadable,
		Why: "The scan was ended before the file was.", Mend: "Scan it again with more time."}
	ruleDepth = &Rule{ID: "scan.depth", Severity: Doubtful,
		Why: "Nobody packs a model into so many files in files; it hides from scanners what they hold.", Mend: "Unpack the archive and scan what it holds."}
	ruleInternal = &Rule{ID: "scan.internal", Severity: Unreadable,
		Why: "The scanner broke on this file, so nothing is known of it.", Mend: "Do not load the file, and report it to Apex."}
)

// EngineRules are the rules that any file can be reported by.
func EngineRules() []*Rule {
	return []*Rule{ruleRead, ruleBudget, ruleStopped, ruleDepth, ruleInternal, ruleBomb, ruleChanged}
}
