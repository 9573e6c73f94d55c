package artifact

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// Version is part of the key of cached facts: it is raised whenever the
// inspector establishes something else from the same bytes.
const Version = "model/2"

// Inspector establishes facts about models in registries. It is safe for
// concurrent use.
type Inspector struct {
	registry *oci.Client
	clock    clock.Clock
}

// New returns an inspector that asks registries through the client.
func New(registry *oci.Client, c clock.Clock) *Inspector {
	return &Inspector{registry: registry, clock: c}
}

// Resolve asks the registry once what the reference names. The code of the
// error is that of [oci.CodeOf].
func (i *Inspector) Resolve(ctx context.Context, ref reference.Reference) (verdict.Ref, error) {
	m, err := i.registry.Resolve(ctx, ref)
	if err != nil {
		return verdict.Ref{}, err
	}
	if _, err := m.Document(); err != nil {
		return verdict.Ref{}, err
	}
	return verdict.Ref{Kind: verdict.KindModel, Repo: ref.Name(), Digest: m.Digest}, nil
}

// IsModel says whether the reference names a model in ModelPack's format and
// nothing else: an artifact that a runtime could also start as a container, by
// its configuration or by its layers, is no model. What cannot be read is none.
func (i *Inspector) IsModel(ctx context.Context, ref reference.Reference) bool {
	m, err := i.registry.Resolve(ctx, ref)
	if err != nil {
		return false
	}
	doc, err := m.Document()
	return err == nil && isModelOnly(&doc)
}

func isModelOnly(doc *oci.Document) bool {
	return doc.ArtifactType == TypeModel && doc.Config.MediaType == TypeConfig && len(doc.Layers) > 0 &&
		!slices.ContainsFunc(doc.Layers, func(l oci.Descriptor) bool { return !strings.HasPrefix(l.MediaType, typePrefix) })
}

// Model establishes what the artifact consists of: two requests, and none for
// the files.
func (i *Inspector) Model(ctx context.Context, ref verdict.Ref) fact.Fact[fact.Model] {
	now := i.clock.Now()
	m, err := i.read(ctx, ref)
	if err != nil {
		code := oci.CodeOf(err)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			code = verdict.DeadlineExceeded
		}
		return fact.Problem[fact.Model](code, err.Error(), ref.String(), now)
	}
	return fact.Complete(m, ref.String(), now)
}

func (i *Inspector) read(ctx context.Context, ref verdict.Ref) (fact.Model, error) {
	named, err := reference.Parse(ref.String())
	if err != nil {
		return fact.Model{}, &oci.Error{Code: verdict.ReferenceInvalid, Op: "read", Ref: ref.String(), Err: err}
	}
	manifest, err := i.registry.Resolve(ctx, named)
	if err != nil {
		return fact.Model{}, err
	}
	doc, err := manifest.Document()
	if err != nil {
		return fact.Model{}, err
	}
	raw, err := i.registry.Blob(ctx, ref.Repo, doc.Config, maxConfig)
	if err != nil {
		return fact.Model{}, fmt.Errorf("the model's configuration: %w", err)
	}
	m, err := Read(&doc, raw)
	if err != nil {
		return fact.Model{}, &oci.Error{Code: verdict.ModelManifest, Op: "read", Ref: ref.String(), Err: err}
	}
	return m, nil
}
