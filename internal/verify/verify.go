// Package verify is the artifact engine: it answers whether an image may be
// used, from facts that it gathers concurrently and policies that it judges
// them by.
//
// [Compile] turns documents into a [Generation]; [Verifier.Use] puts one in
// force; [Verifier.Verify] answers questions, all of one call under one
// generation. Every answer is written to a [Recorder] before it is given, and
// what cannot be recorded is denied.
//
// Nothing is allowed because something broke: a reference that cannot be
// resolved, a fact that cannot be established, a deadline, a panic are each a
// deny with its own code.
//
// Facts are cached by the digest in its repository, the kind of fact, the
// inspector's version and the hash of the trust material, so that an edited
// policy fetches nothing again. Verdicts are cached by subject, labels,
// namespace and generation, until the earliest time at which any check may turn
// out differently. A denial rests on evidence that is at most [Options.Recheck]
// old: what is missing may be attached later to the same digest.
package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/image"
	"github.com/apexlogic/apex/internal/meter"
	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/policy"
	"github.com/apexlogic/apex/verdict"
)

// Recorder writes verdicts down. Record returns when the record has the
// durability that was asked for, with the record's id.
type Recorder interface {
	Record(ctx context.Context, kind string, payload []byte, durable bool) (id string, err error)
}

// RecordVerdict is the type of the records of verdicts.
const RecordVerdict = "apex.verdict/v1"

// Options configure a Verifier. Inspector and Recorder are needed.
type Options struct {
	Inspector *image.Inspector
	// Models establishes facts about models; nil: every model is denied.
	Models *artifact.Inspector
	// Matcher knows the advisories; nil: a rule that needs them denies.
	Matcher  Matcher
	Recorder Recorder
	Clock    clock.Clock
	Logger   *slog.Logger
	Meter    *meter.Meter
	// Store keeps facts and verdicts beyond the process; nil: memory only.
	Store Store
	// Deadline of one call; 0: 8 s, which leaves an admission webhook of 10 s
	// the time to answer.
	Deadline time.Duration
	// Parallel is how many subjects are looked at at the same time; 0: 16.
	Parallel int
	// Recheck is how old evidence may be when it leads to a denial; 0: 30 s.
	Recheck time.Duration
	// Keep is how long complete evidence is kept; 0: 10 min.
	Keep time.Duration
	// Reports are vulnerability reports that the caller hands in.
	Reports []fact.Report
}

// Sizes of the caches in memory, in entries. A digest's facts take some
// kilobytes, so ten thousand of them fit a small process.
const (
	cachedFacts    = 10_000
	cachedVerdicts = 10_000
)

// Verifier answers questions. It is safe for concurrent use.
type Verifier struct {
	o          Options
	generation atomic.Pointer[Generation]
	images     *cache[fact.Fact[fact.Image]]
	models     *cache[fact.Fact[fact.Model]]
	evidence   *cache[image.Evidence]
	verdicts   *cache[verdict.Verdict]
	units      *units
}

// New returns a verifier without a generation: it denies everything until Use.
func New(o Options) (*Verifier, error) {
	if o.Inspector == nil || o.Recorder == nil {
		return nil, errors.New("verify: an inspector and a recorder are needed")
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Meter == nil {
		o.Meter = meter.New(o.Clock)
	}
	o.Deadline = orElse(o.Deadline, 8*time.Second)
	o.Parallel = orElse(o.Parallel, 16)
	o.Recheck = orElse(o.Recheck, 30*time.Second)
	o.Keep = orElse(o.Keep, 10*time.Minute)
	return &Verifier{
		o:        o,
		images:   newCache[fact.Fact[fact.Image]](o.Clock, cachedFacts),
		models:   newCache[fact.Fact[fact.Model]](o.Clock, cachedFacts),
		evidence: newCache[image.Evidence](o.Clock, cachedFacts),
		verdicts: newCache[verdict.Verdict](o.Clock, cachedVerdicts),
		units:    newUnits(o.Meter),
	}, nil
}

func orElse[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// HandIn adds reports that the caller has; they count as if they had been given
// in [Options.Reports]. It is called before the first Verify.
func (v *Verifier) HandIn(reports ...fact.Report) {
	v.o.Reports = append(slices.Clone(v.o.Reports), reports...)
}

// Use puts the generation in force for every call that begins from now on.
func (v *Verifier) Use(g *Generation) { v.generation.Store(g) }

// Generation returns the generation in force, or nil.
func (v *Verifier) Generation() *Generation { return v.generation.Load() }

// Verify answers all questions under one generation, in their order. It always
// answers: what could not be found out by the deadline is denied.
func (v *Verifier) Verify(ctx context.Context, questions []verdict.Question) verdict.Report {
	g := v.generation.Load()
	now := v.o.Clock.Now()
	report := verdict.Report{Schema: verdict.ReportSchema, At: now, Verdicts: make([]verdict.Verdict, len(questions))}
	if g != nil {
		report.Generation = g.Name
	}
	ctx, cancel := context.WithTimeout(ctx, v.o.Deadline)
	defer cancel()
	each(len(questions), v.o.Parallel, func(i int) { report.Verdicts[i] = v.answer(ctx, g, questions[i]) })
	return report
}

// answer decides one question and records the decision.
func (v *Verifier) answer(ctx context.Context, g *Generation, q verdict.Question) verdict.Verdict {
	started := v.o.Clock.Now()
	d := v.decideSafely(oci.ChargeTo(ctx, v.units.traffic(&q)), g, q)
	d.At = started
	if g != nil {
		d.Generation = g.Name
	}
	v.units.decided(&d)
	return v.record(ctx, d)
}

// decideSafely turns a panic into a denial: one hostile image must not take
// the answers to all other questions away.
func (v *Verifier) decideSafely(ctx context.Context, g *Generation, q verdict.Question) (d verdict.Verdict) {
	defer func() {
		if p := recover(); p != nil {
			v.o.Logger.Error("the verification of an image panicked", "asked", reference.Redact(q.Asked), "panic", p)
			d = deny(q, verdict.Internal, fmt.Sprintf("the verification panicked: %v", p))
		}
	}()
	return v.decide(ctx, g, q)
}

func (v *Verifier) decide(ctx context.Context, g *Generation, q verdict.Question) verdict.Verdict {
	if q.Kind == verdict.KindModel {
		return v.decideModel(ctx, g, q)
	}
	ref, err := referenceOf(&q)
	if err != nil {
		return deny(q, verdict.ReferenceInvalid, err.Error())
	}
	if g == nil {
		return deny(q, verdict.PolicyInvalid, "no policies are in force")
	}
	selected := selecting(g.policy.Policies, q.Labels)
	if ref.Digest != "" {
		q.Kind, q.Repo, q.Digest = verdict.KindImage, ref.Name(), ref.Digest
		if r, revoked := g.policy.Revoked(&q); revoked {
			return revokedVerdict(q, r)
		}
	}
	if len(selected) == 0 {
		if model, ok := v.asModel(ctx, g, q, ref); ok {
			return v.decideModel(ctx, g, model)
		}
		return deny(q, verdict.Unselected, "no policy selects an image with "+describeLabels(q.Labels))
	}
	if ref.Digest != "" {
		if d, ok := v.remembered(ctx, g, &q); ok {
			return d
		}
	}
	resolved, err := v.o.Inspector.Resolve(ctx, ref)
	if err != nil {
		code := verdict.Internal
		if e, ok := errors.AsType[*image.Error](err); ok {
			code = e.Code
		}
		if code == verdict.ImageConfigInvalid || code == verdict.ImageMediaType {
			// An image volume mounts models too: it is judged as what it is.
			if model, ok := v.asModel(ctx, g, q, ref); ok {
				return v.decideModel(ctx, g, model)
			}
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			code = verdict.DeadlineExceeded
		}
		return deny(q, code, err.Error())
	}
	q.Ref = resolved.Ref
	// An index is stopped with any of its platforms: which one runs is not
	// decided here.
	for _, subject := range resolved.Subjects {
		platform := q
		platform.Subject = subject
		if r, revoked := g.policy.Revoked(&platform); revoked {
			return revokedVerdict(q, r)
		}
	}
	if d, ok := v.remembered(ctx, g, &q); ok {
		return d
	}
	d := v.judge(ctx, g, q, selected, resolved.Subjects)
	v.admitted(&d, resolved.Subjects)
	v.remember(ctx, g, &d)
	return d
}

// selecting returns the policies that speak about a workload with the labels.
// Selects says whether some policy about images asks about a workload with these
// labels.
func (v *Verifier) Selects(labels map[string]string) bool {
	g := v.generation.Load()
	return g != nil && len(selecting(g.policy.Policies, labels)) > 0
}

func selecting(policies []policy.Policy, labels map[string]string) []*policy.Policy {
	var selected []*policy.Policy
	for i := range policies {
		if policies[i].Selects(labels) {
			selected = append(selected, &policies[i])
		}
	}
	return selected
}

// referenceOf reads what was asked. The digest of the subject wins over the text.
func referenceOf(q *verdict.Question) (reference.Reference, error) {
	text := q.Asked
	if text == "" {
		text = q.Ref.String()
	}
	ref, err := reference.Parse(text)
	if err != nil {
		return reference.Reference{}, err
	}
	if q.Digest != "" {
		if ref.Digest != "" && ref.Digest != q.Digest {
			return reference.Reference{}, fmt.Errorf("%s names another digest than %s", reference.Redact(text), q.Digest)
		}
		if ref.Digest, err = verdict.ParseDigest(string(q.Digest)); err != nil {
			return reference.Reference{}, err
		}
	}
	return ref, nil
}

// record writes the verdict down. Denials and first verdicts are durable
// before they are given; the repetition of a cached verdict may be lost with
// the machine, for at most the ledger's fsync lag.
func (v *Verifier) record(ctx context.Context, d verdict.Verdict) verdict.Verdict {
	payload, err := json.Marshal(&d)
	if err == nil {
		// The deadline of the question must not keep its denial out of the ledger.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
		defer cancel()
		d.ID, err = v.o.Recorder.Record(ctx, RecordVerdict, payload, !d.Cached || d.Decision == verdict.Deny)
	}
	if err != nil {
		v.o.Logger.Error("a verdict could not be recorded, so it is denied", "err", err)
		denied := deny(d.Question, verdict.LedgerClosed, "the verdict could not be recorded")
		denied.At, denied.Generation, denied.Checks = d.At, d.Generation, d.Checks
		return denied
	}
	return d
}

// recordLimit bounds how long a verdict waits for its record.
const recordLimit = 5 * time.Second

func deny(q verdict.Question, code verdict.Code, reason string) verdict.Verdict {
	return verdict.Verdict{Question: q, Decision: verdict.Deny, Code: code, Reason: reason}
}

func revokedVerdict(q verdict.Question, r policy.Revocation) verdict.Verdict {
	return deny(q, verdict.Revoked, fmt.Sprintf("revocation %s stops %s: %s", r.Name, r.Digest, r.Reason))
}

func describeLabels(labels map[string]string) string {
	if len(labels) == 0 {
		return "no labels"
	}
	var keys []string
	for k := range labels {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	const shown = 8
	text := "the labels"
	for i, k := range keys {
		if i == shown {
			return fmt.Sprintf("%s and %d more", text, len(keys)-shown)
		}
		text += fmt.Sprintf(" %s=%s", k, labels[k])
	}
	return text
}
