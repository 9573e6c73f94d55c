package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// defaultScanAge is how old a scan may be where the policy does not say: the
// bytes do not change, but what is known of attacks does.
const defaultScanAge = 30 * 24 * time.Hour

// scanned is what the rules about scans share: the signed scans of exactly this
// model that are in force.
type scanned struct {
	from   []string
	maxAge time.Duration
}

func compileScanned(p *v1alpha1.ModelRuleParameters, env *environment) (scanned, []string) {
	a := scanned{from: p.ScanFrom, maxAge: defaultScanAge}
	if p.MaxScanAge != nil {
		a.maxAge = p.MaxScanAge.Duration
	}
	return a, env.missing("scanFrom", a.from, v1alpha1.UseModels)
}

func (a *scanned) Needs() fact.Need { return fact.NeedModel | fact.NeedAttestations }

// objection is what a scan says against a model, or why it is not enough.
type objection struct {
	code  verdict.Code
	found string
}

// judge makes the check of a rule about scans. No scan that is in force may say
// anything against the model, and one of them has to be enough to speak for it.
// against and lacks return nil where there is nothing to object.
func (a *scanned) judge(q *verdict.Question, facts *fact.Set, now time.Time, expected string,
	against, lacks func(*fact.ModelScan) *objection, says func(*fact.ModelScan) string) verdict.Check {
	m, all, problem := statements(facts, "whether the model was scanned")
	if problem != nil {
		return *problem
	}
	c := verdict.Check{
		Expected: fmt.Sprintf("%s, in a scan signed by %s that is at most %s old", expected, list(a.from), age(a.maxAge)),
		Evidence: []verdict.Evidence{facts.Attestations.Evidence(fact.NeedAttestations), facts.Model.Evidence(fact.NeedModel)},
	}
	var refusals []refusal
	var scans []*fact.ModelScan
	for i := range all {
		s := &all[i]
		if s.PredicateType != fact.PredicateModelScan {
			continue
		}
		scan, why := a.accept(q, s, m, now)
		if why != nil {
			refusals = append(refusals, *why)
			continue
		}
		scans = append(scans, scan)
		c.Until = verdict.Earliest(c.Until, verdict.Earliest(s.Until, scan.Finished.Add(a.maxAge)))
	}
	scans = inForce(scans)
	for _, s := range scans {
		if why := against(s); why != nil {
			return fail(c, why.code, why.found)
		}
	}
	// A scan that says something else may stand where nobody has looked.
	if incomplete(&c, &facts.Attestations, "attestations") {
		return c
	}
	var best *objection
	for _, s := range scans {
		why := unread(s)
		if why == nil {
			why = lacks(s)
		}
		if why == nil {
			return pass(c, says(s))
		}
		if best == nil {
			best = why
		}
	}
	if best != nil {
		return fail(c, best.code, best.found)
	}
	return refused(c, refusals, refusal{0, verdict.ModelScanMissing, "nobody has attested a scan of the model"})
}

// inForce leaves out the scans that a later one has replaced: by the same
// scanner, with lists that are no older, of no fewer bytes. What a scan has found
// is so not undone by one that knows less or has read less, nor by another scanner.
func inForce(scans []*fact.ModelScan) []*fact.ModelScan {
	var out []*fact.ModelScan
	for _, s := range scans {
		if !slices.ContainsFunc(scans, func(later *fact.ModelScan) bool {
			return later.Finished.After(s.Finished) && later.Scanner.Name == s.Scanner.Name &&
				later.Scanner.Lists >= s.Scanner.Lists && later.Unhashed <= s.Unhashed
		}) {
			out = append(out, s)
		}
	}
	return out
}

// unread objects to a scan of ranges: a registry can serve other bytes to who
// reads a part than to who reads and hashes the whole.
func unread(s *fact.ModelScan) *objection {
	if s.Unhashed == 0 {
		return nil
	}
	return &objection{verdict.ModelScanPartial, fmt.Sprintf("%d bytes were not read", s.Unhashed)}
}

// The verdicts that scans state, and those that can be blocked, from the least.
const (
	scanClean       = "clean"
	scanUnknown     = "unknown"
	scanUnscannable = "unscannable"
)

var scanVerdicts = []string{scanUnscannable, "suspicious", "malicious"}

func (a *scanned) accept(q *verdict.Question, s *fact.Attestation, m *fact.Model, now time.Time) (*fact.ModelScan, *refusal) {
	const another = "the scan is about other files"
	if s.Code == verdict.SignatureSubject {
		return nil, &refusal{2, verdict.ModelScanSubject, another}
	}
	if len(signedBy(&s.Signing, a.from)) == 0 {
		return nil, &refusal{1, verdict.ModelScanUntrusted, "the scan is not signed by " + list(a.from) + ": " + orElse(s.Detail, "somebody else signed it")}
	}
	var scan fact.ModelScan
	if err := json.Unmarshal(s.Predicate, &scan); err != nil {
		return nil, &refusal{3, verdict.ModelScanInvalid, "the scan cannot be read: " + clean(err.Error())}
	}
	switch {
	case !concerns(s.Subjects, q, m), m.Root != "" && scan.Root != m.Root:
		return nil, &refusal{4, verdict.ModelScanSubject, another}
	case m.Root != "" && scan.Files != len(m.Files):
		return nil, &refusal{5, verdict.ModelScanInvalid, fmt.Sprintf("the scan is of %d files and the model has %d", scan.Files, len(m.Files))}
	case scan.Unhashed < 0 || scan.Verdict != scanClean && scan.Verdict != scanUnknown && !slices.Contains(scanVerdicts, scan.Verdict):
		return nil, &refusal{5, verdict.ModelScanInvalid, fmt.Sprintf("the scan says %q, which is no verdict", clean(scan.Verdict))}
	case scan.Finished.IsZero() || scan.Finished.After(now.Add(clockSkew)):
		return nil, &refusal{5, verdict.ModelScanInvalid, "the scan does not say when it was made, or says a time that has not come"}
	case now.Sub(scan.Finished) > a.maxAge:
		return nil, &refusal{6, verdict.ModelScanStale, fmt.Sprintf("the scan is %s old; at most %s are allowed", age(now.Sub(scan.Finished)), age(a.maxAge))}
	}
	return &scan, nil
}

// modelScanRule is ModelScanThreshold: a trusted scan found nothing that the
// policy blocks.
type modelScanRule struct {
	scanned
	blocked      []string
	blockUnknown bool
	minLists     string
}

func compileModelScan(p *v1alpha1.ModelRuleParameters, env *environment) (Rule, string, []string) {
	shared, missing := compileScanned(p, env)
	r := &modelScanRule{scanned: shared, blocked: scanVerdicts, blockUnknown: p.UnknownFiles == "Block", minLists: p.MinListVersion}
	switch p.BlockAtOrAbove {
	case "", "Unscannable":
	case "Suspicious":
		r.blocked = scanVerdicts[1:]
	case "Malicious":
		r.blocked = scanVerdicts[2:]
	default:
		missing = append(missing, fmt.Sprintf("blockAtOrAbove: %q is not known", p.BlockAtOrAbove))
	}
	return r, fmt.Sprintf("blocks models that %s calls %s or worse", list(r.from), r.blocked[0]), missing
}

func (r *modelScanRule) Check(q *verdict.Question, facts *fact.Set, now time.Time) verdict.Check {
	return r.judge(q, facts, now, "nothing "+r.blocked[0]+" or worse", r.against, r.lacks, func(s *fact.ModelScan) string {
		return fmt.Sprintf("%s, scanned by %s %s with lists %s", s.Verdict, clean(s.Scanner.Name), clean(s.Scanner.Version), clean(orElse(s.Scanner.Lists, "of no version")))
	})
}

func (r *modelScanRule) against(s *fact.ModelScan) *objection {
	switch {
	case slices.Contains(r.blocked, s.Verdict):
		return &objection{verdict.ModelScanBlocked, fmt.Sprintf("the model is %s: %s", s.Verdict, firstFinding(s))}
	case r.blockUnknown && (len(s.Unknown) > 0 || s.Verdict == scanUnknown):
		return &objection{verdict.ModelScanUnknown, "of no known format: " + clean(some(s.Unknown, 3))}
	}
	return nil
}

func (r *modelScanRule) lacks(s *fact.ModelScan) *objection {
	if s.Scanner.Lists >= r.minLists {
		return nil
	}
	return &objection{verdict.ModelScanLists, fmt.Sprintf("the scan was made with lists of version %q, the policy asks for %s", clean(s.Scanner.Lists), r.minLists)}
}

func firstFinding(s *fact.ModelScan) string {
	if len(s.Findings) == 0 {
		return "the scan lists no reason"
	}
	f := &s.Findings[0]
	return clean(fmt.Sprintf("%s: %s (%s)", f.Path, f.Detail, f.Rule))
}

var _ Rule = (*modelScanRule)(nil)
