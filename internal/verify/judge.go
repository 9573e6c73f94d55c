package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/image"
	"github.com/apexlogic/apex/internal/policy"
	"github.com/apexlogic/apex/verdict"
)

// judge makes all checks of all selected policies about all platforms and
// folds them into one verdict.
func (v *Verifier) judge(ctx context.Context, g *Generation, q verdict.Question, selected []*policy.Policy, subjects []verdict.Subject) verdict.Verdict {
	now := v.o.Clock.Now()
	var checks []verdict.Check
	for _, s := range platformsToJudge(selected, subjects) {
		platform := q
		platform.Subject = s.Subject
		found := v.checks(ctx, g, &platform, s.policies, now)
		if s.Index != "" {
			for i := range found {
				found[i].Platform = s.Platform
			}
		}
		checks = append(checks, found...)
	}
	checks = append(checks, missingPlatforms(selected, subjects)...)

	d := conclude(q, selected, checks)
	if len(checks) == 0 {
		d.Code, d.Reason = verdict.ImagePlatformMissing, "none of the image's platforms is one that the policies judge"
	}
	return d
}

// conclude folds the checks into the verdict.
func conclude(q verdict.Question, selected []*policy.Policy, checks []verdict.Check) verdict.Verdict {
	d := verdict.Verdict{Question: q, Checks: checks}
	for _, p := range selected {
		d.Policies = append(d.Policies, p.Name)
	}
	decision, decisive, until := verdict.Decide(checks)
	d.Decision, d.Until = decision, until
	d.Code, d.Reason = verdict.OK, passed(checks)
	if decisive >= 0 {
		d.Code, d.Reason = checks[decisive].Code, reason(&checks[decisive])
	}
	return d
}

// except applies the exceptions in force to the checks, and adds the notes
// about those that had no effect.
func (v *Verifier) except(g *Generation, q *verdict.Question, checks []verdict.Check, now time.Time) []verdict.Check {
	used, notes := policy.Apply(g.policy.Exceptions, q, checks, now)
	for _, e := range used {
		if e.BreakGlass {
			v.o.Logger.Warn("a break-glass exception is used", "exception", e.Name, "subject", q.Ref.String(), "approver", e.Approver)
		}
	}
	return append(checks, notes...)
}

func reason(c *verdict.Check) string {
	if c.Platform != "" {
		return fmt.Sprintf("%s: %s", c.Platform, c.Detail)
	}
	return c.Detail
}

func passed(checks []verdict.Check) string {
	var exceptions []string
	observed := 0
	for i := range checks {
		if e := checks[i].Exception; e != "" && !slices.Contains(exceptions, e) {
			exceptions = append(exceptions, e)
		}
		if checks[i].Observed && checks[i].Outcome != verdict.Pass {
			observed++
		}
	}
	switch {
	case len(exceptions) > 0:
		return fmt.Sprintf("allowed by exception %v", exceptions)
	case observed > 0:
		return fmt.Sprintf("%d checks would deny, but their policies only observe", observed)
	}
	return fmt.Sprintf("all %d checks passed", len(checks))
}

type judged struct {
	verdict.Subject
	policies []*policy.Policy
}

// platformsToJudge pairs each platform with the policies that speak about it: a
// policy that names platforms judges those, any other judges all. An entry of an
// index that does not say its platform may be what a runtime picks for any, so
// it is judged by all.
func platformsToJudge(selected []*policy.Policy, subjects []verdict.Subject) []judged {
	var out []judged
	for _, s := range subjects {
		j := judged{Subject: s}
		for _, p := range selected {
			if s.Index == "" || s.Platform == "" || len(p.Platforms) == 0 || namesPlatform(p.Platforms, s.Platform) {
				j.policies = append(j.policies, p)
			}
		}
		if len(j.policies) > 0 {
			out = append(out, j)
		}
	}
	return out
}

// namesPlatform reports whether the platform is one of those named.
func namesPlatform(named []string, platform string) bool {
	return slices.ContainsFunc(named, func(want string) bool { return isPlatform(want, platform) })
}

// isPlatform takes every variant for its architecture when want names none:
// linux/amd64 is also linux/amd64/v3, which a runtime prefers where it can.
func isPlatform(want, platform string) bool {
	return platform == want || (strings.Count(want, "/") == 1 && strings.HasPrefix(platform, want+"/"))
}

// missingPlatforms denies an index that lacks a platform which a policy names.
// The platform of a single image is in its configuration, and checked there.
func missingPlatforms(selected []*policy.Policy, subjects []verdict.Subject) []verdict.Check {
	if len(subjects) == 0 || subjects[0].Index == "" {
		return nil
	}
	var out []verdict.Check
	for _, p := range selected {
		for _, want := range p.Platforms {
			if !slices.ContainsFunc(subjects, func(s verdict.Subject) bool { return isPlatform(want, s.Platform) }) {
				out = append(out, platformCheck(p, want, "the index lists no image for it"))
			}
		}
	}
	return out
}

func platformCheck(p *policy.Policy, want, found string) verdict.Check {
	c := verdict.Check{Rule: "Platforms", Platform: want, Outcome: verdict.Fail, Code: verdict.ImagePlatformMissing,
		Expected: want, Found: found, Detail: fmt.Sprintf("the policy asks for %s: %s", want, found)}
	return p.Bind(c, verdict.ActionDeny)
}

// checks judges one platform. It looks first where evidence usually is; only
// when that does not satisfy the rules does it look everywhere, and only when
// what was cached is not fresh does it look again.
func (v *Verifier) checks(ctx context.Context, g *Generation, q *verdict.Question, policies []*policy.Policy, now time.Time) []verdict.Check {
	var needs fact.Need
	for _, p := range policies {
		needs |= p.Needs()
		if q.Index == "" && len(p.Platforms) > 0 {
			needs |= fact.NeedImage
		}
	}
	sound := v.soundness(ctx, q, needs)
	matched := v.matched(ctx, q, needs)
	var img fact.Fact[fact.Image]
	var checks []verdict.Check
	for _, look := range []look{{}, {everywhere: true}, {everywhere: true, fresh: true}} {
		facts, more := v.gather(ctx, g, q, needs, look)
		img, facts.Matched = facts.Image, matched
		checks = checks[:0]
		for _, p := range policies {
			checks = append(checks, p.Check(q, facts, now)...)
			if q.Index == "" && len(p.Platforms) > 0 {
				if img, _, ok := facts.Image.All(); ok && !namesPlatform(p.Platforms, img.Platform) {
					checks = append(checks, platformCheck(p, p.Platforms[0], "the image is for "+img.Platform))
				}
			}
		}
		if !more || allPass(checks) || ctx.Err() != nil {
			break
		}
	}
	return append(v.except(g, q, checks, now), sound(&img)...)
}

// soundness begins to look whether a platform of an index is an image that can
// run from its registry alone, whatever the rules need to know. The function
// that it returns waits for the answer: nothing, or a check that denies. Like
// what cannot be resolved it is no rule's, so neither an exception nor a policy
// that only observes covers it. A single image was checked when it was resolved.
func (v *Verifier) soundness(ctx context.Context, q *verdict.Question, needs fact.Need) func(*fact.Fact[fact.Image]) []verdict.Check {
	if q.Index == "" {
		return func(*fact.Fact[fact.Image]) []verdict.Check { return nil }
	}
	if needs.Has(fact.NeedImage) {
		return func(known *fact.Fact[fact.Image]) []verdict.Check {
			if !known.Incomplete() {
				return nil // it was established by way of the same check
			}
			return unsound(v.o.Inspector.Check(ctx, q.Ref))
		}
	}
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("the look at the manifest panicked: %v", p)
			}
		}()
		done <- v.o.Inspector.Check(ctx, q.Ref)
	}()
	return func(*fact.Fact[fact.Image]) []verdict.Check { return unsound(<-done) }
}

// unsound is the check that denies what is no sound image.
func unsound(err error) []verdict.Check {
	if err == nil {
		return nil
	}
	c := verdict.Check{Rule: "Image", Code: verdict.Internal, Action: verdict.ActionDeny, Detail: err.Error()}
	if e, ok := errors.AsType[*image.Error](err); ok {
		c.Code = e.Code
	}
	if strings.HasPrefix(string(c.Code), "image.") {
		c.Outcome = verdict.Fail // any other reason is one for not knowing
	}
	return []verdict.Check{c}
}

func allPass(checks []verdict.Check) bool {
	return !slices.ContainsFunc(checks, func(c verdict.Check) bool { return c.Outcome != verdict.Pass })
}

// look says how hard to look for evidence.
type look struct {
	everywhere bool // also at the places that are asked last
	fresh      bool // not in the cache, unless it is younger than Recheck
}

// gather collects the facts that are needed. more says that looking harder
// could find more.
func (v *Verifier) gather(ctx context.Context, g *Generation, q *verdict.Question, needs fact.Need, how look) (*fact.Set, bool) {
	facts := &fact.Set{}
	readImage := func() { facts.Image = v.image(ctx, q.Ref) }
	if needs&^(fact.NeedImage|fact.NeedMatched|fact.NeedRematched) == 0 {
		if needs.Has(fact.NeedImage) {
			readImage()
		}
		return facts, false
	}
	var reading sync.WaitGroup
	if needs.Has(fact.NeedImage) {
		reading.Go(readImage)
	}
	e, more := v.evidenceOf(ctx, &g.images, q, needs, how)
	facts.Signatures, facts.Attestations = e.Signatures, e.Attestations
	facts.Reports, facts.Provenance = v.withHandedIn(e.Reports), e.Provenance
	reading.Wait()
	return facts, more
}

// evidenceOf joins what is signed about the platform with what is signed about
// the index through which it was asked for.
func (v *Verifier) evidenceOf(ctx context.Context, by *trusted, q *verdict.Question, needs fact.Need, how look) (image.Evidence, bool) {
	team := q.Labels[LabelTeam]
	own, more := v.look(ctx, by, q.Ref, nil, team, needs, how)
	if q.Index == "" || q.Index == q.Digest {
		return own, more
	}
	index, moreOfIndex := v.look(ctx, by, verdict.Ref{Kind: q.Kind, Repo: q.Repo, Digest: q.Index}, nil, team, needs, how)
	return image.Merge(&index, &own), more || moreOfIndex
}

// withHandedIn adds the reports that the caller gave to those that were found.
func (v *Verifier) withHandedIn(found fact.Fact[[]fact.Report]) fact.Fact[[]fact.Report] {
	if len(v.o.Reports) == 0 {
		return found
	}
	reports, code, _ := found.Some()
	all := append(slices.Clone(reports), v.o.Reports...)
	if found.Incomplete() {
		return fact.Partial(all, found.Source(), found.At(), code, found.Why())
	}
	return fact.Complete(all, found.Source()+" and the reports handed in", found.At())
}

func imageKey(ref verdict.Ref) string { return "image|" + image.Version + "|" + ref.String() }

// image returns the fact about what the image consists of. The bytes behind a
// digest do not change, so it is kept for good.
func (v *Verifier) image(ctx context.Context, ref verdict.Ref) fact.Fact[fact.Image] {
	return established(ctx, v, v.images, imageKey(ref), ref, v.o.Inspector.Image)
}

// established returns a fact that the bytes behind the digest settle for good:
// from memory, from the store, or gathered once for all who ask. One that is not
// complete is not kept.
func established[T any](ctx context.Context, v *Verifier, kept *cache[fact.Fact[T]], key string, ref verdict.Ref, gather func(context.Context, verdict.Ref) fact.Fact[T]) fact.Fact[T] {
	if f, ok := kept.get(key); ok {
		return f
	}
	var stored fact.Fact[T]
	if v.load(ctx, key, &stored) {
		kept.put(key, stored, forever)
		return stored
	}
	f, err := kept.once(ctx, key, v.o.Deadline, func(ctx context.Context) fact.Fact[T] {
		// Whoever computed it before may have ended since the look above.
		if f, ok := kept.get(key); ok {
			return f
		}
		f := gather(ctx, ref)
		if !f.Incomplete() {
			kept.put(key, f, forever)
			v.save(ctx, key, f, v.o.Clock.Now().Add(storeFacts))
		}
		return f
	})
	if err != nil {
		return fact.Problem[T](waitCode(err), "nobody could tell: "+err.Error(), ref.String(), v.o.Clock.Now())
	}
	return f
}

// look returns the evidence about one digest, and whether looking harder could
// find more.
func (v *Verifier) look(ctx context.Context, by *trusted, ref verdict.Ref, contents []verdict.Digest, team string, needs fact.Need, how look) (image.Evidence, bool) {
	first, all := by.where(needs)
	first.Contents, all.Contents = contents, contents
	at, deferred := first, first.LegacySignatures != all.LegacySignatures || first.LegacyAttestations != all.LegacyAttestations
	if how.everywhere {
		at, deferred = all, false
	}
	key := fmt.Sprintf("evidence|%s|%s|%s|%v", image.Version, by.factHash, ref, at)
	fresh := func(e *image.Evidence) bool { return v.o.Clock.Now().Sub(e.Signatures.At()) < v.o.Recheck }
	if e, ok := v.evidence.get(key); ok && (fresh(&e) || !how.fresh) {
		return e, deferred || !fresh(&e)
	}
	e, err := v.evidence.once(ctx, key, v.o.Deadline, func(ctx context.Context) image.Evidence {
		// Whoever computed it before may have ended since the look above.
		if e, ok := v.evidence.get(key); ok && fresh(&e) {
			return e
		}
		started := threadCPU()
		e := v.o.Inspector.Evidence(ctx, ref, by.root, at, deferred)
		v.units.inspected(ref.Kind, team, e.Checked, threadCPU()-started)
		if e.Signatures.Code() == verdict.OK || e.Signatures.Code() == verdict.EvidenceDeferred {
			v.evidence.put(key, e, verdict.Earliest(e.Until, v.o.Clock.Now().Add(v.o.Keep)))
		}
		return e
	})
	if err != nil {
		why, now := "nobody could tell: "+err.Error(), v.o.Clock.Now()
		return image.Evidence{
			Signatures:   fact.Problem[[]fact.Signature](waitCode(err), why, ref.String(), now),
			Attestations: fact.Problem[[]fact.Attestation](waitCode(err), why, ref.String(), now),
			Reports:      fact.Problem[[]fact.Report](waitCode(err), why, ref.String(), now),
			Provenance:   fact.Problem[[]fact.Provenance](waitCode(err), why, ref.String(), now),
		}, false
	}
	return e, deferred
}

func waitCode(err error) verdict.Code {
	if errors.Is(err, context.DeadlineExceeded) {
		return verdict.DeadlineExceeded
	}
	return verdict.Internal
}

// where says at which places to look first, and which places there are.
// Bundles come first because one request finds all of them.
func (t *trusted) where(needs fact.Need) (first, all image.Places) {
	all = image.Places{Bundles: t.bundles, Notation: t.notation && needs.Has(fact.NeedSignatures)}
	if t.legacy {
		all.LegacySignatures = needs.Has(fact.NeedSignatures)
		all.LegacyAttestations = needs&(fact.NeedAttestations|fact.NeedReports|fact.NeedProvenance) != 0
	}
	first = all
	if first.Bundles || first.Notation {
		first.LegacySignatures, first.LegacyAttestations = false, false
	}
	return first, all
}
