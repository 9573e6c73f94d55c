package osv

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/advisory/order"
	"github.com/apexlogic/apex/internal/bounded"
)

// ErrRecord is wrapped by errors about a record that breaks the schema or a limit.
var ErrRecord = errors.New("not a usable OSV record")

// document is the part of the schema that is read.
type document struct {
	ID        string    `json:"id"`
	Modified  string    `json:"modified"`
	Published string    `json:"published"`
	Withdrawn string    `json:"withdrawn"`
	Aliases   []string  `json:"aliases"`
	Upstream  []string  `json:"upstream"`
	Summary   string    `json:"summary"`
	Details   string    `json:"details"`
	Severity  []scoring `json:"severity"`
	Affected  []struct {
		Package struct {
			Ecosystem string `json:"ecosystem"`
			Name      string `json:"name"`
		} `json:"package"`
		Severity []scoring `json:"severity"`
		Ranges   []struct {
			Type   string              `json:"type"`
			Events []map[string]string `json:"events"`
		} `json:"ranges"`
		Versions          []string                   `json:"versions"`
		EcosystemSpecific map[string]json.RawMessage `json:"ecosystem_specific"`
		DatabaseSpecific  map[string]json.RawMessage `json:"database_specific"`
	} `json:"affected"`
	DatabaseSpecific map[string]json.RawMessage `json:"database_specific"`
}

// scoring is one entry of a list of severities.
type scoring struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

// Decode reads one record. The error wraps ErrRecord or one of package bounded.
func Decode(data []byte) (*Record, error) {
	if len(data) > MaxRecord {
		return nil, fmt.Errorf("%w of %d bytes", bounded.ErrTooLarge, MaxRecord)
	}
	rules := bounded.Rules{Depth: MaxDepth, FreeMaps: []string{"database_specific", "ecosystem_specific"}}
	var doc document
	if err := rules.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	r, err := doc.record()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrRecord, clip(doc.ID), err)
	}
	return r, nil
}

func (d *document) record() (*Record, error) {
	if !isID(d.ID) {
		return nil, errors.New("its id is missing, too long, or holds spaces or control characters")
	}
	r := &Record{ID: d.ID, Summary: summary(d.Summary, d.Details)}
	for _, t := range []struct {
		name, text string
		to         *time.Time
	}{{"modified", d.Modified, &r.Modified}, {"published", d.Published, &r.Published}, {"withdrawn", d.Withdrawn, &r.Withdrawn}} {
		if t.text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, t.text)
		if err != nil {
			return nil, fmt.Errorf("%s is no RFC 3339 time", t.name)
		}
		*t.to = at.UTC().Truncate(time.Second)
	}
	var err error
	if r.Aliases, err = ids("aliases", d.Aliases, d.ID); err != nil {
		return nil, err
	}
	if r.Upstream, err = ids("upstream", d.Upstream, d.ID); err != nil {
		return nil, err
	}
	r.Severity = rate(d.Severity, text(d.DatabaseSpecific["severity"]))
	if len(d.Affected) > MaxAffected {
		return nil, fmt.Errorf("it has more than %d affected packages", MaxAffected)
	}
	left := MaxEvents
	for i := range d.Affected {
		a := &d.Affected[i]
		if a.Package.Name == "" && a.Package.Ecosystem == "" {
			continue // about commits of a repository, which no inventory holds
		}
		if !isText(a.Package.Name, MaxName) || !isText(a.Package.Ecosystem, MaxID) {
			return nil, fmt.Errorf("affected[%d]: the package's name or ecosystem is missing, too long, or holds control characters", i)
		}
		rules, _ := order.For(a.Package.Ecosystem)
		out := Affected{
			Ecosystem: order.Ecosystem(a.Package.Ecosystem),
			Name:      rules.Name(a.Package.Name),
			Severity:  rate(a.Severity, text(a.EcosystemSpecific["severity"]), text(a.DatabaseSpecific["severity"]), text(a.EcosystemSpecific["urgency"])),
		}
		if left -= len(a.Versions); left < 0 {
			return nil, fmt.Errorf("it lists more than %d versions and events", MaxEvents)
		}
		for _, v := range a.Versions {
			if !isText(v, MaxText) {
				return nil, fmt.Errorf("affected[%d]: a version is empty, too long, or holds control characters", i)
			}
		}
		out.Versions = a.Versions
		if len(a.Ranges) > MaxAffected {
			return nil, fmt.Errorf("affected[%d] has more than %d ranges", i, MaxAffected)
		}
		for j, in := range a.Ranges {
			if left -= len(in.Events); left < 0 {
				return nil, fmt.Errorf("it lists more than %d versions and events", MaxEvents)
			}
			rg, err := events(in.Type, in.Events)
			if err != nil {
				return nil, fmt.Errorf("affected[%d].ranges[%d]: %w", i, j, err)
			}
			out.Ranges = append(out.Ranges, rg)
		}
		if out.Imports, err = imports(a.EcosystemSpecific["imports"], &left); err != nil {
			return nil, fmt.Errorf("affected[%d]: %w", i, err)
		}
		r.Affected = append(r.Affected, out)
	}
	return r, nil
}

// events reads one range. Events of GIT ranges are left out: nothing is
// matched by commits, but that there is such a range matters.
func events(kind string, in []map[string]string) (Range, error) {
	rg := Range{Type: RangeOther}
	switch kind {
	case "ECOSYSTEM":
		rg.Type = RangeEcosystem
	case "SEMVER":
		rg.Type = RangeSemVer
	case "GIT":
		return Range{Type: RangeGit}, nil
	}
	for _, e := range in {
		known := 0
		// An object with two of them is against the schema; both are taken, in this order.
		for k, name := range [...]string{"introduced", "fixed", "last_affected", "limit"} {
			version, ok := e[name]
			if !ok {
				continue
			}
			known++
			if !isText(version, MaxText) {
				return rg, fmt.Errorf("the version of %s is empty, too long, or holds control characters", name)
			}
			if EventKind(k) == Limit && version == "*" {
				continue // no limit
			}
			rg.Events = append(rg.Events, Event{EventKind(k), version})
		}
		if known == 0 {
			return rg, errors.New("an event is none of introduced, fixed, last_affected and limit")
		}
	}
	return rg, nil
}

// imports reads the vulnerable parts of a package: the Go database's
// "imports", a list of paths with symbols. Other databases use the name for
// other things, which say nothing here.
func imports(raw json.RawMessage, left *int) ([]Import, error) {
	var in []struct {
		Path    string   `json:"path"`
		Symbols []string `json:"symbols"`
	}
	if len(raw) == 0 || json.Unmarshal(raw, &in) != nil {
		return nil, nil
	}
	var out []Import
	for _, i := range in {
		if !isText(i.Path, MaxName) {
			return nil, nil
		}
		if *left -= 1 + len(i.Symbols); *left < 0 {
			return nil, fmt.Errorf("it lists more than %d versions, events and symbols", MaxEvents)
		}
		for _, s := range i.Symbols {
			if !isText(s, MaxText) {
				return nil, nil
			}
		}
		slices.Sort(i.Symbols)
		out = append(out, Import{i.Path, i.Symbols})
	}
	return out, nil
}

// ids returns the list sorted and without repetitions and self.
func ids(field string, in []string, self string) ([]string, error) {
	if len(in) > MaxAliases {
		return nil, fmt.Errorf("%s has more than %d entries", field, MaxAliases)
	}
	for _, id := range in {
		if !isID(id) {
			return nil, fmt.Errorf("%s holds an id that is empty, too long, or has spaces or control characters", field)
		}
	}
	out := slices.Clone(in)
	slices.Sort(out)
	out = slices.DeleteFunc(slices.Compact(out), func(id string) bool { return id == self })
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

func isID(s string) bool { return isText(s, MaxID) && !strings.ContainsRune(s, ' ') }

// isText reports whether s is 1 to limit bytes without control characters.
func isText(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// text is a JSON string, "" for anything else.
func text(raw json.RawMessage) string {
	var s string
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// summary is one line: the record's own, or the beginning of its details.
func summary(short, long string) string {
	s := short
	if strings.TrimSpace(s) == "" {
		s = strings.TrimLeft(long, "#\r\n\t ")
		s, _, _ = strings.Cut(s, "\n\n")
	}
	if len(s) > 4*MaxSummary {
		s = s[:4*MaxSummary]
	}
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == utf8.RuneError }), " ")
	if len(s) <= MaxSummary {
		return s
	}
	cut := MaxSummary - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

func clip(s string) string {
	if len(s) > MaxID {
		return s[:MaxID] + "…"
	}
	return s
}
