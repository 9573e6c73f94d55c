package sarif

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/fact"
)

// Read reads a SARIF log of at most MaxBytes. root is the folder that was
// scanned, as an absolute path, or "": files below it become relative to it.
// Results that the tool calls passed, not applicable, informational or absent
// are left out; those it suppressed are kept and marked.
//
// Errors wrap ErrFormat. A log without a run, and a run without a list of
// results (§3.14.23: the tool was not made to produce any), are runs with a
// problem, or an error where there is none to hold it.
func Read(data []byte, root string) ([]Run, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, and at most %d are read", ErrFormat, len(data), MaxBytes)
	}
	c, err := newCursor(data)
	if err != nil {
		return nil, err
	}
	var runs []Run
	var version string
	total := 0
	err = c.object(func(key []byte) (err error) {
		switch string(key) {
		case "version":
			version, err = c.text(maxName)
			return err
		case "runs":
			_, err = c.array(func() error {
				r := reader{c: c, root: newRoot(root), total: &total}
				run, err := r.run()
				runs = append(runs, run)
				return err
			})
			return err
		}
		return c.skip()
	})
	switch {
	case err != nil:
		return nil, err
	case !strings.HasPrefix(version, "2.1."):
		return nil, fmt.Errorf("%w: SARIF 2.1.0 is read, this says version %q", ErrFormat, clip(version, 40))
	case len(runs) == 0:
		return nil, fmt.Errorf("%w: it holds no run of a tool", ErrFormat)
	}
	return runs, nil
}

// rule is what a result takes over from the description of its rule.
type rule struct {
	id, title, level string
	bag              bag
	ids              []string
}

// bag is what is read of a property bag.
type bag struct {
	score    float64
	severity fact.Severity
	cwe      []int
	ids      []string
}

// reader reads one run. Parts of a run come in any order, so that results wait
// for the rules they point to.
type reader struct {
	c       *cursor
	root    root
	total   *int
	rules   []rule
	bases   map[string]string
	pending []pending
}

// pending is a result and what it says about its rule and its files.
type pending struct {
	Result
	bag   bag
	index int // of its rule, -1: none
	uri   string
	base  string
}

func (r *reader) run() (Run, error) {
	run, present := Run{}, false
	err := r.c.object(func(key []byte) (err error) {
		switch string(key) {
		case "tool":
			return r.tool(&run)
		case "invocations":
			_, err = r.c.array(func() error { return r.invocation(&run) })
			return err
		case "originalUriBaseIds":
			r.bases, err = r.baseIDs()
			return err
		case "results":
			present, err = r.c.array(r.result)
			return err
		}
		return r.c.skip()
	})
	if err != nil {
		return run, err
	}
	if !present && run.Problem == "" {
		run.Problem = "the report has no list of results, so the tool did not look"
	}
	r.resolve(&run)
	return run, nil
}

func (r *reader) tool(run *Run) error {
	return r.c.object(func(key []byte) error {
		switch string(key) {
		case "driver":
			return r.component(run)
		case "extensions": // rule packs: found by id
			_, err := r.c.array(func() error { return r.component(nil) })
			return err
		}
		return r.c.skip()
	})
}

// component reads the driver, or with a nil run an extension, whose rules are
// found by their id alone.
func (r *reader) component(run *Run) error {
	return r.c.object(func(key []byte) (err error) {
		switch string(key) {
		case "name", "version", "semanticVersion":
			var s string
			s, err = r.c.text(maxName)
			switch {
			case run == nil:
			case string(key) == "name":
				run.Tool = s
			case run.Version == "" || string(key) == "version":
				run.Version = s
			}
			return err
		case "rules":
			_, err = r.c.array(func() error {
				if len(r.rules) == maxRules {
					return fmt.Errorf("%w: more than %d rules", ErrFormat, maxRules)
				}
				ru, err := r.rule()
				r.rules = append(r.rules, ru)
				return err
			})
			return err
		}
		return r.c.skip()
	})
}

func (r *reader) rule() (ru rule, err error) {
	err = r.c.object(func(key []byte) (err error) {
		switch string(key) {
		case "id":
			ru.id, err = r.c.text(maxName)
			return err
		case "shortDescription":
			ru.title, err = r.message(maxName)
			return err
		case "deprecatedIds": // osv-scanner: the aliases of the vulnerability
			ru.ids, err = r.texts()
			return err
		case "defaultConfiguration":
			return r.c.object(func(key []byte) (err error) {
				if string(key) != "level" {
					return r.c.skip()
				}
				ru.level, err = r.c.text(maxName)
				return err
			})
		case "properties":
			return r.bag(&ru.bag)
		case "relationships": // to taxa: CWE by its number
			_, err = r.c.array(func() error {
				return r.c.object(func(key []byte) error {
					if string(key) != "target" {
						return r.c.skip()
					}
					return r.taxon(&ru.bag)
				})
			})
			return err
		}
		return r.c.skip()
	})
	return ru, err
}

// taxon reads a reference to a weakness (§3.54): "id": "327" of the component "CWE".
func (r *reader) taxon(b *bag) error {
	var id, component string
	err := r.c.object(func(key []byte) (err error) {
		switch string(key) {
		case "id":
			id, err = r.c.text(maxName)
			return err
		case "toolComponent":
			return r.c.object(func(key []byte) (err error) {
				if string(key) != "name" {
					return r.c.skip()
				}
				component, err = r.c.text(maxName)
				return err
			})
		}
		return r.c.skip()
	})
	if lower(component) == "cwe" {
		b.addCWE(strings.TrimPrefix(lower(id), "cwe-"))
	} else {
		b.tag(id)
	}
	return err
}

func (r *reader) message(most int) (text string, err error) {
	err = r.c.object(func(key []byte) (err error) {
		if string(key) != "text" {
			return r.c.skip()
		}
		text, err = r.c.text(most)
		return err
	})
	return text, err
}

// texts reads a list of strings, of which maxTags are kept.
func (r *reader) texts() (list []string, err error) {
	_, err = r.c.array(func() error {
		s, err := r.c.text(maxName)
		if len(list) < maxTags && s != "" {
			list = append(list, s)
		}
		return err
	})
	return list, err
}

func (r *reader) bag(b *bag) error {
	return r.c.object(func(key []byte) (err error) {
		switch string(key) {
		case "security-severity":
			b.score, err = r.c.number()
			return err
		case "severity", "issue_severity", "problem.severity":
			if r.c.space() != '"' {
				return r.c.skip()
			}
			var s string
			s, err = r.c.text(maxName)
			b.severity = max(b.severity, SeverityWord(s))
			return err
		case "tags", "cwe":
			if r.c.space() != '[' {
				return r.c.skip()
			}
			var tags []string
			if tags, err = r.texts(); err != nil {
				return err
			}
			for _, t := range tags {
				b.tag(t)
			}
			return nil
		case "aliases":
			if r.c.space() != '[' {
				return r.c.skip()
			}
			b.ids, err = r.texts()
			return err
		}
		return r.c.skip()
	})
}

// tag reads what a tag says: "CWE-89: SQL injection", "external/cwe/cwe-089", "HIGH".
func (b *bag) tag(t string) {
	if isAdvisory(t) { // govulncheck: the aliases of the vulnerability
		if len(b.ids) < maxTags && !slices.Contains(b.ids, t) {
			b.ids = append(b.ids, t)
		}
		return
	}
	t = lower(t)
	if i := strings.LastIndex(t, "cwe-"); i >= 0 {
		b.addCWE(t[i+len("cwe-"):])
		return
	}
	switch t {
	case "critical", "high", "medium", "low":
		b.severity = max(b.severity, SeverityWord(t))
	}
}

// isAdvisory says whether s is the id of a vulnerability in one of the feeds
// that scanners take their names from.
func isAdvisory(s string) bool {
	for _, prefix := range []string{"CVE-", "GHSA-", "GO-", "PYSEC-", "RUSTSEC-", "OSV-"} {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			return rest != "" && len(s) <= 40 && !strings.ContainsAny(rest, " /:")
		}
	}
	return false
}

func (b *bag) addCWE(s string) {
	end := 0
	for end < len(s) && end < 6 && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(s[:end])
	if err == nil && n > 0 && len(b.cwe) < maxTags && !slices.Contains(b.cwe, n) {
		b.cwe = append(b.cwe, n)
	}
}

// invocation reads whether the tool itself says that it did its work.
func (r *reader) invocation(run *Run) error {
	problem := func(s string) {
		if run.Problem == "" {
			run.Problem = s
		}
	}
	return r.c.object(func(key []byte) error {
		switch string(key) {
		case "executionSuccessful":
			ok, set, err := r.c.boolean()
			if set && !ok {
				problem("the tool says that its run did not succeed")
			}
			return err
		case "processStartFailureMessage":
			s, err := r.c.text(maxText)
			if s != "" {
				problem("the tool could not start a part of itself")
			}
			return err
		case "endTimeUtc":
			s, err := r.c.text(maxName)
			if t, bad := time.Parse(time.RFC3339Nano, s); bad == nil {
				run.Finished = t
			}
			return err
		case "toolExecutionNotifications", "toolConfigurationNotifications":
			_, err := r.c.array(func() error {
				var level, text string
				err := r.c.object(func(key []byte) (err error) {
					switch string(key) {
					case "level":
						level, err = r.c.text(maxName)
						return err
					case "message":
						text, err = r.message(200)
						return err
					}
					return r.c.skip()
				})
				// "The analysis was halted or its results are incorrect or
				// incomplete" (§3.58.6).
				if level == "error" {
					problem("the tool reports an error during its run: " + text)
				}
				return err
			})
			return err
		}
		return r.c.skip()
	})
}
