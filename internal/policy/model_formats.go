package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// formatsRule is AllowOnlyFormats: what a trusted scan read the files as, by
// their content and inside of archives too, is on the policy's list.
type formatsRule struct {
	scanned
	allowed []string
}

func compileModelFormats(p *v1alpha1.ModelRuleParameters, env *environment) (Rule, string, []string) {
	shared, missing := compileScanned(p, env)
	r := &formatsRule{scanned: shared, allowed: p.AllowedFormats}
	if len(r.allowed) == 0 {
		missing = append(missing, "allowedFormats: at least one format is needed")
	}
	return r, "allows only " + some(r.allowed, 5), missing
}

func (r *formatsRule) Check(q *verdict.Question, facts *fact.Set, now time.Time) verdict.Check {
	return r.judge(q, facts, now, "only "+list(r.allowed), r.against, r.lacks, func(s *fact.ModelScan) string {
		return "only " + clean(some(s.Formats, 8))
	})
}

func (r *formatsRule) against(s *fact.ModelScan) *objection {
	var denied []string
	for _, format := range s.Formats {
		if !slices.ContainsFunc(r.allowed, func(a string) bool { return strings.EqualFold(a, format) }) {
			denied = append(denied, clean(format))
		}
	}
	switch {
	case len(denied) > 0:
		return &objection{verdict.ModelFormatDenied, "the model holds " + some(denied, 5)}
	case len(s.Unknown) > 0 || s.Verdict == scanUnknown:
		return &objection{verdict.ModelFormatDenied, "of no known format: " + clean(some(s.Unknown, 3))}
	}
	return nil
}

func (r *formatsRule) lacks(s *fact.ModelScan) *objection {
	if len(s.Formats) > 0 {
		return nil
	}
	return &objection{verdict.ModelFormatDenied, "the scan names no format"}
}

// remoteCodeRule is DenyRemoteCode: a trusted scan found nothing that asks a
// loader to run code of the model's own.
type remoteCodeRule struct{ scanned }

func compileRemoteCode(p *v1alpha1.ModelRuleParameters, env *environment) (Rule, string, []string) {
	shared, missing := compileScanned(p, env)
	return &remoteCodeRule{shared}, "denies models that bring code", missing
}

func (r *remoteCodeRule) Check(q *verdict.Question, facts *fact.Set, now time.Time) verdict.Check {
	return r.judge(q, facts, now, "no file that asks for remote code", r.against, r.lacks, func(*fact.ModelScan) string {
		return "no file asks for remote code"
	})
}

func (r *remoteCodeRule) against(s *fact.ModelScan) *objection {
	if len(s.RemoteCode) == 0 {
		return nil
	}
	return &objection{verdict.ModelRemoteCode, "remote code is asked for by " + clean(some(s.RemoteCode, 3))}
}

// lacks objects to a scan that could not read every file to its end: what it
// did not read may ask for code.
func (r *remoteCodeRule) lacks(s *fact.ModelScan) *objection {
	if s.Verdict != scanUnscannable {
		return nil
	}
	return &objection{verdict.ModelScanPartial, "a file could not be read to its end: " + firstFinding(s)}
}

var (
	_ Rule = (*formatsRule)(nil)
	_ Rule = (*remoteCodeRule)(nil)
)
