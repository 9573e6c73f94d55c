package app

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/internal/gitops/source"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// GateRevision judges all that a revision would deploy: the images and models
// that its objects name, read from the bytes that are applied, the functions that
// its files declare, and documents of our own kinds.
func (e *Engine) GateRevision(ctx context.Context, r source.Revision) (verdict.Report, error) {
	refs, refused := render.References(r.Set)
	asked := Asked{Unresolved: refused}
	for i := range refs {
		asked.Questions = append(asked.Questions, refs[i].Question(nil))
	}
	wrong, err := ownDocuments(ctx, r.Set)
	if err != nil {
		return verdict.Report{}, err
	}
	asked.Unresolved = append(asked.Unresolved, wrong...)
	report := e.Ask(ctx, asked)
	if g := e.Verifier.Generation(); g == nil || len(g.Functions()) == 0 {
		return report, nil
	}
	functions, err := DeclaredFunctions(ctx, r.Tree, nil, e.clock.Now())
	if err != nil {
		return verdict.Report{}, err
	}
	report.Verdicts = append(report.Verdicts, e.Verifier.Functions(ctx, functions).Verdicts...)
	return report, nil
}

// ownDocuments holds the set's documents of our kinds to the validator, so that a
// policy that an API server would refuse, or that could not be in force, stops
// the revision with the same words as apex policy lint.
func ownDocuments(ctx context.Context, set *gitops.Set) ([]verdict.Unresolved, error) {
	var sources []config.Source
	where := map[string]verdict.Origin{}
	for _, o := range set.Objects() {
		if o.Group != v1alpha1.GroupVersion.Group {
			continue
		}
		data, err := json.Marshal(o.Body)
		if err != nil {
			return nil, err
		}
		name := o.ID.String()
		where[name] = o.Where
		sources = append(sources, config.Bytes(name, data))
	}
	if len(sources) == 0 {
		return nil, nil
	}
	documents, err := config.Load(ctx, sources...)
	if err != nil {
		return nil, err
	}
	var out []verdict.Unresolved
	for _, p := range documents.Problems {
		if p.Severity == config.Error {
			out = append(out, verdict.Unresolved{Text: p.Object, Where: where[p.File], Code: p.Code, Why: fmt.Sprintf("%s: %s", p.Path, p.Message)})
		}
	}
	return out, nil
}

// ResolveTag returns the digest that a reference names now.
func (e *Engine) ResolveTag(ctx context.Context, ref reference.Reference) (verdict.Digest, error) {
	m, err := e.Registry.Resolve(ctx, ref)
	if err != nil {
		return "", err
	}
	return m.Digest, nil
}

// Record writes to the ledger what has to be provable, and returns when it is
// durable.
func (e *Engine) Record(ctx context.Context, kind string, payload any) error {
	data, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	_, err = recorder{e.Ledger}.Record(ctx, kind, data, true)
	return err
}

// Generation names the policies in force; "" when there are none.
func (e *Engine) Generation() string {
	if g := e.Verifier.Generation(); g != nil {
		return g.Name
	}
	return ""
}
