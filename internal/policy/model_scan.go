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

// scanned is what the rules about scans share: the newest signed scan of
// exactly this model.
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

// newest returns the newest scan that counts, or the check that says why none
// does. An older scan never speaks for a newer one: what a later scan has found
// is not undone by keeping the earlier attestation.
func (a *scanned) newest(q *verdict.Question, facts *fact.Set, now time.Time) (*fact.ModelScan, verdict.Check, bool) {
	m, all, problem := statements(facts, "whether the model was scanned")
	if problem != nil {
		return nil, *problem, false
	}
	c := verdict.Check{
		Expected: fmt.Sprintf("a scan signed by %s, at most %s old", list(a.from), age(a.maxAge)),
		Evidence: []verdict.Evidence{facts.Attestations.Evidence(fact.NeedAttestations), facts.Model.Evidence(fact.NeedModel)},
	}
	var refusals []refusal
	var best *fact.ModelScan
	var until time.Time
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
		if best == nil || scan.Finished.After(best.Finished) {
			best, until = scan, verdict.Earliest(s.Until, scan.Finished.Add(a.maxAge))
		}
	}
	if best == nil {
		return nil, refused(c, facts, refusals, refusal{0, verdict.ModelScanMissing, "nobody has attested a scan of the model"}), false
	}
	// A newer scan may stand where nobody has looked.
	if _, code, ok := facts.Attestations.All(); !ok {
		c.Outcome, c.Code = verdict.Unknown, code
		c.Detail = "not all attestations could be looked at: " + facts.Attestations.Why()
		return nil, c, false
	}
	c.Until = until
	return best, c, true
}

func (a *scanned) accept(q *verdict.Question, s *fact.Attestation, m *fact.Model, now time.Time) (*fact.ModelScan, *refusal) {
	if len(signedBy(&s.Signing, a.from)) == 0 {
		return nil, &refusal{1, verdict.ModelScanUntrusted, "the scan is not signed by " + list(a.from) + ": " + orElse(s.Detail, "somebody else signed it")}
	}
	var scan fact.ModelScan
	if err := json.Unmarshal(s.Predicate, &scan); err != nil {
		return nil, &refusal{2, verdict.ModelScanInvalid, "the scan cannot be read: " + clean(err.Error())}
	}
	switch {
	case !concerns(s.Subjects, q, m), m.Root != "" && scan.Root != m.Root:
		return nil, &refusal{3, verdict.ModelScanSubject, "the scan is about other files"}
	case scan.Finished.IsZero() || scan.Finished.After(now.Add(clockSkew)):
		return nil, &refusal{4, verdict.ModelScanInvalid, "the scan does not say when it was made, or says a time that has not come"}
	case now.Sub(scan.Finished) > a.maxAge:
		return nil, &refusal{5, verdict.ModelScanStale, fmt.Sprintf("the scan is %s old; at most %s are allowed", age(now.Sub(scan.Finished)), age(a.maxAge))}
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

// scanVerdicts are the verdicts that can be blocked, from the least.
var scanVerdicts = []string{"unscannable", "suspicious", "malicious"}

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
	scan, c, ok := r.newest(q, facts, now)
	if !ok {
		return c
	}
	known := slices.Contains(scanVerdicts, scan.Verdict) || scan.Verdict == "clean" || scan.Verdict == "unknown"
	switch {
	case !known:
		return fail(c, verdict.ModelScanInvalid, fmt.Sprintf("the scan says %q, which is no verdict", clean(scan.Verdict)))
	case scan.Scanner.Lists < r.minLists:
		return fail(c, verdict.ModelScanLists, fmt.Sprintf("the scan was made with lists of version %q, the policy asks for %s", clean(scan.Scanner.Lists), r.minLists))
	case slices.Contains(r.blocked, scan.Verdict):
		return fail(c, verdict.ModelScanBlocked, fmt.Sprintf("the model is %s: %s", scan.Verdict, firstFinding(scan)))
	case scan.Unhashed > 0:
		return fail(c, verdict.ModelScanPartial, fmt.Sprintf("%d bytes were not read", scan.Unhashed))
	case r.blockUnknown && (len(scan.Unknown) > 0 || scan.Verdict == "unknown"):
		return fail(c, verdict.ModelScanUnknown, "of no known format: "+clean(some(scan.Unknown, 3)))
	}
	return pass(c, fmt.Sprintf("%s, scanned by %s %s with lists %s", scan.Verdict, clean(scan.Scanner.Name), clean(scan.Scanner.Version), clean(orElse(scan.Scanner.Lists, "of no version"))))
}

func firstFinding(s *fact.ModelScan) string {
	if len(s.Findings) == 0 {
		return "the scan lists no reason"
	}
	f := &s.Findings[0]
	return clean(fmt.Sprintf("%s: %s (%s)", f.Path, f.Detail, f.Rule))
}

var _ Rule = (*modelScanRule)(nil)
