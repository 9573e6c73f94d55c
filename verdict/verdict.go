// Package verdict holds the words that every room of Apex shares: what a
// decision is about, what was asked, what was checked, and what was decided.
//
// Start with [Question] (what a door asks), [Verdict] (what it gets back) and
// [Decide] (how checks become a decision). Reasons are [Code]s; the table of
// all codes, with their meaning and their mend, is in codes.go.
//
// The package imports the standard library only. Values are plain data: they
// are safe to share once built, and nothing here does I/O or reads a clock.
//
// Zero values fail closed: the zero [Outcome] is Unknown, the zero [Decision]
// is Deny, the zero [Action] denies.
package verdict

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what sort of thing a subject is.
type Kind uint8

// The kinds of subject.
const (
	KindUnknown Kind = iota
	KindImage
	KindModel
	KindDataset
	KindManifest
	KindCommit
	KindRequest
	KindFunction
)

var kindNames = [...]string{"unknown", "image", "model", "dataset", "manifest", "commit", "request", "function"}

// String returns the kind's name in lower case.
func (k Kind) String() string { return name(kindNames[:], uint8(k)) }

// MarshalText writes the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a name written by MarshalText; any other text is an error.
func (k *Kind) UnmarshalText(text []byte) error {
	i, err := index("kind", kindNames[:], text)
	*k = Kind(i)
	return err
}

// Digest is a content digest in the form "sha256:<64 lower-case hex digits>".
// The zero value means "not resolved". Use [ParseDigest] on foreign text.
type Digest string

// ErrDigest is returned for text that is not a sha256 digest.
var ErrDigest = errors.New(`digest must be "sha256:" and 64 lower-case hex digits`)

// ParseDigest accepts exactly "sha256:" followed by 64 lower-case hex digits.
// Other algorithms are refused: nothing in Apex verifies them.
func ParseDigest(text string) (Digest, error) {
	hex, ok := strings.CutPrefix(text, "sha256:")
	if !ok || len(hex) != 64 {
		return "", fmt.Errorf("%q: %w", clip(text, 96), ErrDigest)
	}
	for i := range len(hex) {
		if c := hex[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", fmt.Errorf("%q: %w", clip(text, 96), ErrDigest)
		}
	}
	return Digest(text), nil
}

// Hex returns the 64 hex digits, or "" for the zero Digest.
func (d Digest) Hex() string {
	_, hex, _ := strings.Cut(string(d), ":")
	return hex
}

// Short returns the first twelve hex digits, for people.
func (d Digest) Short() string {
	return clip(d.Hex(), 12)
}

// Ref names one immutable thing. The repository is part of the name because
// signatures live per repository: the same digest elsewhere is another subject.
type Ref struct {
	Kind Kind `json:"kind"`
	// Repo is the canonical repository, for example
	// "index.docker.io/library/nginx"; it holds neither tag nor digest.
	Repo   string `json:"repo,omitempty"`
	Digest Digest `json:"digest,omitempty"`
}

// String returns "repo@digest".
func (r Ref) String() string {
	switch {
	case r.Digest == "":
		return r.Repo
	case r.Repo == "":
		return string(r.Digest)
	}
	return r.Repo + "@" + string(r.Digest)
}

// Subject is what a rule sees: always one platform. When the question named a
// multi-platform index, Index is the digest of that index and Digest that of
// the platform's manifest.
type Subject struct {
	Ref
	Index    Digest `json:"index,omitempty"`
	Platform string `json:"platform,omitempty"` // "os/arch[/variant]"
}

// Origin says where a reference was found, for people and for SARIF.
type Origin struct {
	File      string `json:"file,omitempty"`
	Line      int    `json:"line,omitempty"`   // from 1; 0 means unknown
	Column    int    `json:"column,omitempty"` // from 1; 0 means unknown
	Object    string `json:"object,omitempty"` // "apps/v1/Deployment vision/captioner"
	Pointer   string `json:"pointer,omitempty"`
	Container string `json:"container,omitempty"`
}

// String returns "file:line:column object pointer" with the unknown parts left out.
func (o Origin) String() string {
	var b strings.Builder
	b.WriteString(o.File)
	if o.Line > 0 {
		fmt.Fprintf(&b, ":%d", o.Line)
		if o.Column > 0 {
			fmt.Fprintf(&b, ":%d", o.Column)
		}
	}
	for _, part := range []string{o.Object, o.Pointer} {
		if part == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(part)
	}
	return b.String()
}

// Question is what a door asks: may this subject be used here?
//
// A door that holds only a tag leaves Subject.Digest empty and sets Asked; the
// verifier resolves it once, to a digest, and never uses the tag again.
type Question struct {
	Subject
	// Asked is the reference as it was written, for example "app:1.2".
	Asked     string            `json:"asked,omitempty"`
	Namespace string            `json:"namespace,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Where     Origin            `json:"where,omitzero"`
}

// Outcome of one check. The zero value is Unknown: a check that nobody made
// has not passed.
type Outcome uint8

// The outcomes.
const (
	Unknown Outcome = iota
	Fail
	Pass
)

var outcomeNames = [...]string{"unknown", "fail", "pass"}

// String returns the outcome's name.
func (o Outcome) String() string { return name(outcomeNames[:], uint8(o)) }

// MarshalText writes the outcome's name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads a name written by MarshalText; any other text is an error.
func (o *Outcome) UnmarshalText(text []byte) error {
	i, err := index("outcome", outcomeNames[:], text)
	*o = Outcome(i)
	return err
}

// Action is what a rule asks for when its check does not pass. The zero value denies.
type Action uint8

// The actions.
const (
	ActionDeny Action = iota
	ActionWarn
	ActionAudit // recorded, never shown as a warning
)

var actionNames = [...]string{"Deny", "Warn", "Audit"}

// String returns the action's name as policies spell it.
func (a Action) String() string { return name(actionNames[:], uint8(a)) }

// MarshalText writes the action's name.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads a name written by MarshalText; any other text is an error.
func (a *Action) UnmarshalText(text []byte) error {
	i, err := index("action", actionNames[:], text)
	*a = Action(i)
	return err
}

// Decision is what a door does. The zero value is Deny.
type Decision uint8

// The decisions, from the strictest.
const (
	Deny Decision = iota
	Warn
	Allow
)

var decisionNames = [...]string{"deny", "warn", "allow"}

// String returns the decision's name.
func (d Decision) String() string { return name(decisionNames[:], uint8(d)) }

// MarshalText writes the decision's name.
func (d Decision) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a name written by MarshalText; any other text is an error.
func (d *Decision) UnmarshalText(text []byte) error {
	i, err := index("decision", decisionNames[:], text)
	*d = Decision(i)
	return err
}

// Evidence names one fact that a check rested on.
type Evidence struct {
	// Fact is the kind of fact, for example "signatures".
	Fact string `json:"fact"`
	// Source says where it came from: a descriptor, a file, a key.
	Source string    `json:"source,omitempty"`
	At     time.Time `json:"at,omitzero"`    // when it was established
	Until  time.Time `json:"until,omitzero"` // when it stops being usable; zero: does not expire
}

// Check is one rule's answer about one subject.
type Check struct {
	Policy string `json:"policy,omitempty"`
	Rule   string `json:"rule"`
	// Platform that was checked, when the question was about several.
	Platform string  `json:"platform,omitempty"`
	Outcome  Outcome `json:"outcome"`
	Action   Action  `json:"action"`
	Code     Code    `json:"code"`
	// Detail is the reason in one sentence, about this subject.
	Detail   string `json:"detail,omitempty"`
	Expected string `json:"expected,omitempty"`
	Found    string `json:"found,omitempty"`
	// Mend overrides the code's general mend with a concrete command or change.
	Mend string `json:"mend,omitempty"`
	// Where is the place that causes it, when that is another than the question's.
	Where    Origin     `json:"where,omitzero"`
	Evidence []Evidence `json:"evidence,omitempty"`
	// Until is when the answer has to be asked again; zero: only when its inputs change.
	Until time.Time `json:"until,omitzero"`
	// Exception is the name of the PolicyException that covers this failed check.
	Exception string `json:"exception,omitempty"`
	// Observed is true when the policy's enforcement keeps the check from biting.
	Observed bool `json:"observed,omitempty"`
}

// Advice returns the check's own mend, or the one of its code.
func (c *Check) Advice() string {
	if c.Mend != "" {
		return c.Mend
	}
	return c.Code.Info().Mend
}

// Verdict is the answer to one question. A question about an index has one
// verdict over all of its platforms; its checks say which platform each is about.
type Verdict struct {
	// ID is the UUIDv7 of the ledger record; empty until recorded.
	ID string `json:"id,omitempty"`
	Question
	Decision Decision `json:"decision"`
	// Code is the code of the check that decided, or of the state that did.
	Code   Code    `json:"code"`
	Reason string  `json:"reason,omitempty"`
	Checks []Check `json:"checks,omitempty"`
	// Policies names all policies that selected the subject.
	Policies   []string  `json:"policies,omitempty"`
	Generation string    `json:"generation,omitempty"`
	At         time.Time `json:"at"`
	Until      time.Time `json:"until,omitzero"`
	// Cached is true when the verdict was not computed for this question anew.
	Cached bool `json:"cached,omitempty"`
}

// Report is the answer to all questions of one call. All its verdicts were
// reached in one generation.
type Report struct {
	Schema     string    `json:"schema"` // "apex.report/v1"
	Generation string    `json:"generation"`
	At         time.Time `json:"at"`
	Verdicts   []Verdict `json:"verdicts"`
	// Unresolved are references that were found but could not be turned into a
	// question; each of them is a deny.
	Unresolved []Unresolved `json:"unresolved,omitempty"`
	// NotJudged are references that no kind of policy speaks about. They do
	// not count; a reader sees that nothing was said about them.
	NotJudged []Unresolved `json:"notJudged,omitempty"`
}

// ReportSchema is the value of [Report.Schema].
const ReportSchema = "apex.report/v1"

// Unresolved is something that looks like a reference and could not be judged.
type Unresolved struct {
	Text  string `json:"text"`
	Where Origin `json:"where,omitzero"`
	Code  Code   `json:"code"`
	Why   string `json:"why,omitempty"`
}

// Decision folds the report: the strictest decision of all. An empty report
// and a report with anything unresolved are denies.
func (r *Report) Decision() Decision {
	if len(r.Verdicts) == 0 || len(r.Unresolved) > 0 {
		return Deny
	}
	worst := Allow
	for i := range r.Verdicts {
		worst = min(worst, r.Verdicts[i].Decision)
	}
	return worst
}

// Decide turns the checks of all policies that selected a subject into a
// decision, the index of the check that decided it (-1 when none did), and the
// earliest Until of all checks.
//
// A check that failed or could not be made follows its rule's action unless an
// exception covers it or its policy only observes. No checks at all is a Deny:
// the caller tells the unselected case apart.
func Decide(checks []Check) (d Decision, decisive int, until time.Time) {
	if len(checks) == 0 {
		return Deny, -1, time.Time{}
	}
	d, decisive = Allow, -1
	for i := range checks {
		c := &checks[i]
		until = Earliest(until, c.Until)
		if c.Outcome == Pass || c.Exception != "" || c.Observed {
			continue
		}
		bite := Deny
		switch c.Action {
		case ActionWarn:
			bite = Warn
		case ActionAudit:
			continue
		}
		if bite < d {
			d, decisive = bite, i
		}
	}
	return d, decisive, until
}

// Earliest returns the earlier of two instants, where zero means "never".
func Earliest(a, b time.Time) time.Time {
	switch {
	case a.IsZero():
		return b
	case b.IsZero() || a.Before(b):
		return a
	}
	return b
}

func name(names []string, i uint8) string {
	if int(i) < len(names) {
		return names[i]
	}
	return names[0]
}

func index(what string, names []string, text []byte) (uint8, error) {
	for i, n := range names {
		if n == string(text) {
			return uint8(i), nil
		}
	}
	return 0, fmt.Errorf("unknown %s %q (one of %s)", what, clip(string(text), 40), strings.Join(names, ", "))
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n]
}
