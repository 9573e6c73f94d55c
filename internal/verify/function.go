package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// Function is one function with the files that declare it. Their bytes were
// read once: what is judged is what was signed.
type Function struct {
	Fact fact.Fact[fact.Function]
	// Sources are the files; the fact's own list is made from them.
	Sources []Source
}

// Source is one file and the sigstore bundle that lies beside it, nil: none.
type Source struct {
	Path            string
	Content, Bundle []byte
}

// Functions answers whether functions may be deployed as their files declare
// them, in their order, under one generation. Nothing is fetched and nothing is
// cached: whoever asks has read the files.
func (v *Verifier) Functions(ctx context.Context, functions []Function) verdict.Report {
	g := v.generation.Load()
	report := verdict.Report{Schema: verdict.ReportSchema, At: v.o.Clock.Now(), Verdicts: make([]verdict.Verdict, len(functions))}
	if g != nil {
		report.Generation = g.Name
	}
	for i := range functions {
		d := v.decideFunction(g, &functions[i])
		d.At, d.Generation = report.At, report.Generation
		v.units.decided(&d)
		report.Verdicts[i] = v.record(ctx, d)
	}
	return report
}

func (v *Verifier) decideFunction(g *Generation, f *Function) (d verdict.Verdict) {
	known, code, readable := f.Fact.Some()
	q := verdict.Question{Where: known.Where, Labels: known.Labels, Asked: known.Name}
	q.Kind, q.Repo = verdict.KindFunction, known.Root
	if known.Name != "" {
		q.Repo += "/" + known.Name
	}
	defer func() {
		if p := recover(); p != nil {
			v.o.Logger.Error("the judgement of a function panicked", "panic", p)
			d = deny(q, verdict.Internal, fmt.Sprintf("the judgement panicked: %v", p))
		}
	}()
	if !readable {
		return deny(q, code, f.Fact.Why())
	}
	known.Sources, q.Digest = digests(f.Sources)
	if g == nil {
		return deny(q, verdict.PolicyInvalid, "no policies are in force")
	}
	if r, revoked := g.policy.Revoked(&q); revoked {
		return revokedVerdict(q, r)
	}
	selected := selecting(g.policy.Functions, q.Labels)
	if len(selected) == 0 {
		return deny(q, verdict.Unselected, "no policy selects a function with "+describeLabels(q.Labels))
	}
	now := v.o.Clock.Now()
	for i := range f.Sources {
		if s := &f.Sources[i]; len(s.Bundle) > 0 {
			known.Sources[i].Signing = signings(g.sources.VerifyFile(s.Bundle, s.Content, s.Path, now))
		}
	}
	facts := &fact.Set{Function: fact.Complete(known, f.Fact.Source(), f.Fact.At())}
	if f.Fact.Incomplete() {
		facts.Function = fact.Partial(known, f.Fact.Source(), f.Fact.At(), f.Fact.Code(), f.Fact.Why())
	}
	var checks []verdict.Check
	for _, p := range selected {
		checks = append(checks, p.Check(&q, facts, now)...)
	}
	return conclude(q, selected, v.except(g, &q, checks, now))
}

// digests names the files, and all of them together by one digest.
func digests(sources []Source) ([]fact.FunctionSource, verdict.Digest) {
	all := sha256.New()
	out := make([]fact.FunctionSource, len(sources))
	for i := range sources {
		sum := sha256.Sum256(sources[i].Content)
		out[i] = fact.FunctionSource{Path: sources[i].Path, Digest: verdict.Digest("sha256:" + hex.EncodeToString(sum[:]))}
		fmt.Fprintf(all, "%s %s\n", out[i].Digest.Hex(), sources[i].Path)
	}
	return out, verdict.Digest("sha256:" + hex.EncodeToString(all.Sum(nil)))
}

// VEX says who signed a document with statements that products are not affected.
func (g *Generation) VEX(s *Source, now time.Time) []fact.Signing {
	if len(s.Bundle) == 0 {
		return nil
	}
	return signings(g.vex.VerifyFile(s.Bundle, s.Content, s.Path, now))
}

func signings(r trust.Result) []fact.Signing {
	var out []fact.Signing
	for i := range r.Signatures {
		out = append(out, r.Signatures[i].Signing)
	}
	for i := range r.Attestations {
		out = append(out, r.Attestations[i].Signing)
	}
	return out
}
