package sarif

import (
	"fmt"
	"slices"
	"strings"
)

// result reads one result; a nil error and no new pending one when it says that
// nothing is wrong.
func (r *reader) result() error {
	if *r.total++; *r.total > MaxResults {
		return fmt.Errorf("%w: more than %d results", ErrFormat, MaxResults)
	}
	p, kind, state := pending{index: -1}, "", ""
	err := r.c.object(func(key []byte) (err error) {
		switch string(key) {
		case "ruleId":
			p.Rule, err = r.c.text(maxName)
			return err
		case "ruleIndex":
			p.index, err = r.index()
			return err
		case "rule":
			return r.ruleReference(&p)
		case "kind":
			kind, err = r.c.text(maxName)
			return err
		case "level":
			p.Level, err = r.c.text(maxName)
			return err
		case "baselineState":
			state, err = r.c.text(maxName)
			return err
		case "message":
			p.Message, err = r.message(maxText)
			return err
		case "locations":
			first := true
			_, err = r.c.array(func() error {
				if !first { // the first is where it is to be mended (§3.27.12)
					return r.c.skip()
				}
				first = false
				return r.location(&p)
			})
			return err
		case "partialFingerprints", "fingerprints":
			return r.fingerprints(&p)
		case "suppressions":
			return r.suppressions(&p)
		case "properties":
			return r.bag(&p.bag)
		case "taxa":
			_, err = r.c.array(func() error { return r.taxon(&p.bag) })
			return err
		}
		return r.c.skip()
	})
	if err != nil {
		return fmt.Errorf("results: [%d]: %w", *r.total-1, err)
	}
	switch kind {
	case "pass", "notApplicable", "informational":
		return nil
	}
	if state != "absent" {
		r.pending = append(r.pending, p)
	}
	return nil
}

// index reads an index into a list; -1 stands for none (§3.27.6).
func (r *reader) index() (int, error) {
	f, err := r.c.number()
	if err != nil || f < 0 || f >= maxRules {
		return -1, err
	}
	return int(f), nil
}

// ruleReference reads a rule that a result names by reference (§3.27.7). The
// index into an extension's list is not one into ours: its id finds it.
func (r *reader) ruleReference(p *pending) error {
	index, own := -1, true
	err := r.c.object(func(key []byte) (err error) {
		switch string(key) {
		case "id":
			var id string
			id, err = r.c.text(maxName)
			if p.Rule == "" {
				p.Rule = id
			}
			return err
		case "index":
			index, err = r.index()
			return err
		case "toolComponent":
			own = false
		}
		return r.c.skip()
	})
	if own && p.index < 0 {
		p.index = index
	}
	return err
}

func (r *reader) location(p *pending) error {
	return r.c.object(func(key []byte) error {
		switch string(key) {
		case "physicalLocation":
			return r.physical(p)
		case "logicalLocations":
			_, err := r.c.array(func() error {
				return r.c.object(func(key []byte) error {
					switch string(key) {
					case "fullyQualifiedName", "name":
						s, err := r.c.text(maxName)
						if p.Place.Name == "" {
							p.Place.Name = s
						}
						return err
					}
					return r.c.skip()
				})
			})
			return err
		}
		return r.c.skip()
	})
}

func (r *reader) physical(p *pending) error {
	return r.c.object(func(key []byte) error {
		switch string(key) {
		case "artifactLocation":
			return r.c.object(func(key []byte) (err error) {
				switch string(key) {
				case "uri":
					p.uri, err = r.c.text(maxName)
					return err
				case "uriBaseId":
					p.base, err = r.c.text(maxName)
					return err
				}
				return r.c.skip()
			})
		case "region":
			return r.c.object(func(key []byte) (err error) {
				switch string(key) {
				case "startLine":
					p.Place.Line, err = r.c.integer()
					return err
				case "endLine":
					p.Place.End, err = r.c.integer()
					return err
				case "startColumn":
					p.Place.Column, err = r.c.integer()
					return err
				case "snippet":
					p.Place.Snippet, err = r.message(maxText)
					return err
				}
				return r.c.skip()
			})
		}
		return r.c.skip()
	})
}

func (r *reader) fingerprints(p *pending) error {
	return r.c.object(func(key []byte) error {
		if r.c.space() != '"' {
			return r.c.skip()
		}
		name := clip(string(key), maxName)
		value, err := r.c.text(maxName)
		if value != "" && len(p.Partial) < maxTags {
			p.Partial = append(p.Partial, Fingerprint{name, value})
		}
		return err
	})
}

// suppressions follows §3.27.23: one that is under review or rejected keeps the
// result alive.
func (r *reader) suppressions(p *pending) error {
	alive, why := false, ""
	n := 0
	_, err := r.c.array(func() error {
		n++
		kind, status := "", ""
		err := r.c.object(func(key []byte) (err error) {
			switch string(key) {
			case "kind":
				kind, err = r.c.text(maxName)
				return err
			case "status":
				status, err = r.c.text(maxName)
				return err
			case "justification":
				why, err = r.c.text(maxName)
				return err
			}
			return r.c.skip()
		})
		alive = alive || status != "" && status != "accepted"
		if why == "" {
			why = kind
		}
		return err
	})
	if n > 0 && !alive {
		p.Muted = "suppressed"
		if why != "" {
			p.Muted += ": " + why
		}
	}
	return err
}

// baseIDs reads the folders that results are relative to.
func (r *reader) baseIDs() (map[string]string, error) {
	bases := map[string]string{}
	err := r.c.object(func(key []byte) error {
		name := string(key)
		return r.c.object(func(key []byte) error {
			if string(key) != "uri" || len(bases) == maxTags {
				return r.c.skip()
			}
			uri, err := r.c.text(maxName)
			bases[name] = uri
			return err
		})
	})
	return bases, err
}

// resolve gives the results what their rules say, and their files.
func (r *reader) resolve(run *Run) {
	byID := make(map[string]int, len(r.rules))
	for i := range r.rules {
		if _, ok := byID[r.rules[i].id]; !ok {
			byID[r.rules[i].id] = i
		}
	}
	places := map[[2]string]Place{}
	run.Results = make([]Result, len(r.pending))
	for i := range r.pending {
		p := &r.pending[i]
		known, at := p.index >= 0 && p.index < len(r.rules), p.index
		if p.Rule != "" {
			if j, ok := byID[p.Rule]; ok {
				known, at = true, j
			} else if known && r.rules[at].id != "" && !strings.HasPrefix(p.Rule, r.rules[at].id+"/") {
				known = false // the index points to some other rule
			}
		}
		if known {
			p.inherit(&r.rules[at])
		}
		if p.Rule == "" {
			p.Rule = "unnamed"
		}
		p.settle()
		key := [2]string{p.uri, p.base}
		place, ok := places[key]
		if !ok {
			place = r.root.place(p.uri, r.bases[p.base])
			places[key] = place
		}
		p.Place.File = place.File
		if p.Place.Name == "" {
			p.Place.Name = place.Name
		}
		p.Place.End = max(p.Place.End, p.Place.Line)
		run.Results[i] = p.Result
	}
	r.pending = nil
}

func (p *pending) inherit(ru *rule) {
	if p.Rule == "" {
		p.Rule = ru.id
	}
	p.Title = ru.title
	if p.Level == "" {
		p.Level = ru.level
	}
	p.bag.score = max(p.bag.score, ru.bag.score)
	p.bag.severity = max(p.bag.severity, ru.bag.severity)
	for _, n := range ru.bag.cwe {
		if !slices.Contains(p.bag.cwe, n) {
			p.bag.cwe = append(p.bag.cwe, n)
		}
	}
	p.bag.ids = append(p.bag.ids, ru.ids...)
	p.bag.ids = append(p.bag.ids, ru.bag.ids...)
}

// settle turns the bag into the result's own fields.
func (p *pending) settle() {
	if p.Level == "" {
		p.Level = "warning" // §3.27.10
	}
	if p.bag.score > 0 && p.bag.score <= 10 {
		p.Score = p.bag.score
	}
	p.Severity = max(p.bag.severity, SeverityOfScore(p.Score))
	p.CWE, p.IDs = p.bag.cwe, p.bag.ids
}
