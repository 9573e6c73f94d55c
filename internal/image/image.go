// Package image establishes facts about container images: what a reference
// names, which platforms are behind it, what each consists of, and what is
// signed about it.
//
// Start with [Inspector.Resolve], which turns a reference into subjects, then
// [Inspector.Image] and [Inspector.Evidence]. The inspector joins the registry
// client (package oci) with the signature engine (package trust); it judges
// nothing, and what it cannot establish it returns as a fact with the reason.
// It holds no cache: package verify does.
package image

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// Version is part of the key of cached facts: it is raised whenever the
// inspector establishes something else from the same bytes.
const Version = "image/1"

// Inspector establishes facts. It is safe for concurrent use.
type Inspector struct {
	registry *oci.Client
	clock    clock.Clock
}

// New returns an inspector that asks registries through the client.
func New(registry *oci.Client, c clock.Clock) *Inspector {
	return &Inspector{registry: registry, clock: c}
}

// Resolved is what a reference named at one moment.
type Resolved struct {
	// Ref is the digest that the reference named: of an image or of an index.
	Ref verdict.Ref
	// Subjects are the images behind it, one per platform, each with the index
	// when there is one. BuildKit's attestation manifests are left out: they
	// do not run.
	Subjects []verdict.Subject
}

// Error is why a reference could not be resolved.
type Error struct {
	Code verdict.Code
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Resolve asks the registry once what the reference names. From then on only
// digests are used. A single image is checked by [oci.CheckImage]; the platforms
// of an index are not, because not all of them need be judged: see [Inspector.Check].
func (i *Inspector) Resolve(ctx context.Context, ref reference.Reference) (Resolved, error) {
	m, err := i.registry.Resolve(ctx, ref)
	if err != nil {
		return Resolved{}, &Error{oci.CodeOf(err), err}
	}
	r := Resolved{Ref: verdict.Ref{Kind: verdict.KindImage, Repo: ref.Name(), Digest: m.Digest}}
	if !m.IsIndex() {
		if err := oci.CheckImage(&m); err != nil {
			return Resolved{}, &Error{oci.CodeOf(err), err}
		}
		r.Subjects = []verdict.Subject{{Ref: r.Ref}}
		return r, nil
	}
	platforms, err := oci.ParseIndex(m.Raw)
	if err != nil {
		return Resolved{}, &Error{oci.CodeOf(err), fmt.Errorf("index %s: %w", r.Ref, err)}
	}
	for _, p := range platforms {
		if p.Attestation {
			continue
		}
		s := verdict.Subject{Ref: r.Ref, Index: m.Digest, Platform: p.Platform}
		s.Digest = p.Digest
		r.Subjects = append(r.Subjects, s)
	}
	if len(r.Subjects) == 0 {
		return Resolved{}, &Error{verdict.ImageIndexEmpty, fmt.Errorf("index %s lists no image that could run", r.Ref)}
	}
	return r, nil
}

// Check looks at the manifest of one platform of an index, and says why it is
// nothing that can run from this registry alone: an artifact, or an image with
// layers that are fetched from elsewhere. It costs one request, and none when
// [Inspector.Image] has asked before. [Inspector.Resolve] has checked a single
// image already.
func (i *Inspector) Check(ctx context.Context, ref verdict.Ref) error {
	named, err := reference.Parse(ref.String())
	if err != nil {
		return &Error{verdict.ReferenceInvalid, err}
	}
	m, err := i.registry.Resolve(ctx, named)
	if err == nil {
		err = oci.CheckImage(&m)
	}
	if err != nil {
		return &Error{code(ctx, err), err}
	}
	return nil
}

// Image establishes what one platform's image consists of.
func (i *Inspector) Image(ctx context.Context, ref verdict.Ref) fact.Fact[fact.Image] {
	now := i.clock.Now()
	img, err := i.registry.Image(ctx, ref.Repo, ref.Digest)
	if err != nil {
		return fact.Problem[fact.Image](code(ctx, err), err.Error(), ref.String(), now)
	}
	return fact.Complete(img, ref.String(), now)
}

// code prefers the deadline over whatever it made fail.
func code(ctx context.Context, err error) verdict.Code {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return verdict.DeadlineExceeded
	}
	return oci.CodeOf(err)
}

// latest returns the later of two instants.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
