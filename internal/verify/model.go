package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/policy"
	"github.com/apexlogic/apex/verdict"
)

// decideModel answers whether a model may be served.
func (v *Verifier) decideModel(ctx context.Context, g *Generation, q verdict.Question) verdict.Verdict {
	ref, err := modelReference(&q)
	if err != nil {
		return deny(q, verdict.ModelReference, err.Error())
	}
	if g == nil {
		return deny(q, verdict.PolicyInvalid, "no policies are in force")
	}
	selected := selecting(g.policy.Models, q.Labels)
	if ref.Digest != "" {
		q.Repo, q.Digest = ref.Name(), ref.Digest
		if r, revoked := g.policy.Revoked(&q); revoked {
			return revokedVerdict(q, r)
		}
	}
	if len(selected) == 0 {
		return deny(q, verdict.Unselected, "no policy selects a model with "+describeLabels(q.Labels))
	}
	if v.o.Models == nil {
		return deny(q, verdict.Internal, "models are not looked at here")
	}
	if ref.Digest != "" {
		if d, ok := v.remembered(ctx, g, &q); ok {
			return d
		}
	}
	resolved, err := v.o.Models.Resolve(ctx, ref)
	if err != nil {
		code := oci.CodeOf(err)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			code = verdict.DeadlineExceeded
		}
		return deny(q, code, err.Error())
	}
	q.Ref = resolved
	m := v.model(ctx, resolved)
	// What a model consists of is needed whatever the rules ask: without it
	// nothing says that its files can be laid down safely.
	known, code, ok := m.All()
	if !ok {
		return deny(q, code, m.Why())
	}
	// A model is revoked by the digest of its artifact, or by the root of its files.
	for _, digest := range []verdict.Digest{q.Digest, known.Root} {
		about := q
		about.Digest = digest
		if r, revoked := g.policy.Revoked(&about); revoked {
			return revokedVerdict(q, r)
		}
	}
	if d, ok := v.remembered(ctx, g, &q); ok {
		return d
	}
	d := v.judgeModel(ctx, g, q, &m, &known, selected)
	v.remember(ctx, g, &d)
	return d
}

// asModel is the question about an image as one about a model, where policies
// about models are in force and the reference names one. It is bound to the
// digest that was looked at: a tag may name something else the next time.
func (v *Verifier) asModel(ctx context.Context, g *Generation, q verdict.Question, ref reference.Reference) (verdict.Question, bool) {
	if v.o.Models == nil || len(g.policy.Models) == 0 {
		return q, false
	}
	resolved, err := v.o.Models.Resolve(ctx, ref)
	if err != nil {
		return q, false
	}
	ref.Tag, ref.Digest = "", resolved.Digest
	q.Ref = resolved
	return q, v.o.Models.IsModel(ctx, ref)
}

// modelReference reads what was asked. Only an artifact in a registry has a
// digest that everything which is signed can be about.
func modelReference(q *verdict.Question) (reference.Reference, error) {
	text := q.Asked
	if text == "" {
		text = q.Ref.String()
	}
	scheme, rest, found := strings.Cut(text, "://")
	switch {
	case found && (scheme == "oci" || scheme == "oci+native" || scheme == "docker"):
		text = rest
	case found, q.Digest == "" && !strings.ContainsAny(text, ":@"):
		return reference.Reference{}, fmt.Errorf("%s is not bound to a digest that evidence could be about", reference.Redact(text))
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

// judgeModel makes all checks of all selected policies.
func (v *Verifier) judgeModel(ctx context.Context, g *Generation, q verdict.Question, m *fact.Fact[fact.Model], known *fact.Model, selected []*policy.Policy) verdict.Verdict {
	now := v.o.Clock.Now()
	var needs fact.Need
	for _, p := range selected {
		needs |= p.Needs()
	}
	var checks []verdict.Check
	for _, look := range []look{{}, {everywhere: true}, {everywhere: true, fresh: true}} {
		facts := &fact.Set{Model: *m}
		more := false
		if needs&^fact.NeedModel != 0 {
			e, harder := v.look(ctx, &g.models, q.Ref, artifact.Roots(known), q.Labels[LabelTeam], needs, look)
			facts.Signatures, facts.Attestations, facts.Reports, facts.Provenance = e.Signatures, e.Attestations, e.Reports, e.Provenance
			more = harder
		}
		checks = checks[:0]
		for _, p := range selected {
			checks = append(checks, p.Check(&q, facts, now)...)
		}
		if !more || allPass(checks) || ctx.Err() != nil {
			break
		}
	}
	return conclude(q, selected, v.except(g, &q, checks, now))
}

func modelKey(ref verdict.Ref) string { return "model|" + artifact.Version + "|" + ref.String() }

// model returns the fact about what the model consists of, which the bytes
// behind its digest settle for good.
func (v *Verifier) model(ctx context.Context, ref verdict.Ref) fact.Fact[fact.Model] {
	return established(ctx, v, v.models, modelKey(ref), ref, v.o.Models.Model)
}
