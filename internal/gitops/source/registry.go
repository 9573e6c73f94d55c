package source

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/artifact"
	"github.com/apexlogic/apex/internal/gitops/follow"
	"github.com/apexlogic/apex/internal/gitops/history"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/verdict"
)

// schemeArtifacts begins the URL of a registry's repository.
const schemeArtifacts = "oci://"

func artifactsOf(url string) bool { return strings.HasPrefix(url, schemeArtifacts) }

// openOrigin opens where the source's URL leads.
func (s *Source) openOrigin() (origin, error) {
	if !artifactsOf(s.spec.URL) {
		return newGitOrigin(s)
	}
	return newRegistryOrigin(s)
}

// compileArtifacts takes the signers of artifacts from the TrustRoots.
func compileArtifacts(o *Options, promotions *trust.Root, options trust.Options) (*artifact.Verifier, error) {
	var entries []trust.Entry
	for i := range o.TrustRoots {
		for j := range o.TrustRoots[i].Spec.Entries {
			e := &o.TrustRoots[i].Spec.Entries[j]
			if slices.Contains(e.Uses, v1alpha1.UseCommits) && (e.Key != nil || e.KMS != nil || e.Keyless != nil) {
				entries = append(entries, verify.TrustEntry(e))
			}
		}
	}
	root, err := trust.Compile(entries, options)
	if err != nil {
		return nil, err
	}
	in := &o.Source.Spec.Trust
	for i, k := range in.Kinds {
		for _, name := range k.Signers {
			if !slices.Contains(in.Signers, name) {
				return nil, fmt.Errorf("kinds[%d]: %q is none of the source's signers, who sign its artifacts", i, name)
			}
		}
	}
	return artifact.Compile(artifact.Trust{
		Source: o.Source.Name, First: verdict.Digest(in.FirstDigest), Signers: in.Signers,
	}, root, promotions)
}

// registryOrigin is a repository of a registry. Its revisions are named by the
// digests of artifacts.
type registryOrigin struct {
	s      *Source
	client *oci.Client
	repo   string // "host/path"
	tag    reference.Reference

	mu    sync.Mutex
	found map[string]*artifact.Accepted // that were proved, by digest
}

var _ origin = (*registryOrigin)(nil)

func newRegistryOrigin(s *Source) (*registryOrigin, error) {
	if s.o.Registry == nil {
		return nil, errors.New("the source follows a registry, and none can be asked here")
	}
	name := strings.TrimSuffix(strings.TrimPrefix(s.spec.URL, schemeArtifacts), "/")
	tag := s.spec.Branch
	if tag == "" {
		tag = "main"
	}
	ref, err := reference.Parse(name + ":" + tag)
	if err != nil {
		return nil, fmt.Errorf("spec.url: %w", err)
	}
	return &registryOrigin{s: s, client: s.o.Registry, repo: ref.Name(), tag: ref, found: map[string]*artifact.Accepted{}}, nil
}

func (r *registryOrigin) head(ctx context.Context) (string, error) {
	m, err := r.client.Resolve(ctx, r.tag)
	if err != nil {
		return "", err
	}
	return string(m.Digest), nil
}

func (r *registryOrigin) prove(ctx context.Context, state *apply.State, revision string) (*proof, error) {
	last, err := rememberedArtifact(state)
	if err != nil {
		return nil, err
	}
	accepted, err := r.s.trust.artifacts.Verify(ctx, r.client, r.repo, last, verdict.Digest(revision), r.s.o.Clock.Now())
	if err != nil {
		return nil, artifactRefused("trust", err)
	}
	memory, err := json.Marshal(accepted.State)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	clear(r.found)
	r.found[revision] = accepted
	r.mu.Unlock()
	return &proof{memory: memory, authors: r.s.owners(slices.Concat(accepted.Signatures...)...), allowPrune: accepted.AllowPrune}, nil
}

func (r *registryOrigin) proved(revision string) (*artifact.Accepted, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.found[revision]
	if !ok {
		return nil, fmt.Errorf("artifact %s is not verified", revision)
	}
	return a, nil
}

// agreed counts the owners who signed the artifact: its statement is about all
// that is in it.
func (r *registryOrigin) agreed(_ context.Context, _ *apply.State, revision string, by kindRule, _ []string) error {
	a, err := r.proved(revision)
	if err != nil {
		return err
	}
	var people [][]string // the owners of each; those who share one are the same
	for _, names := range a.Signatures {
		owners := r.s.owners(slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !slices.Contains(by.signers, n) })...)
		if len(owners) == 0 {
			continue
		}
		people = slices.DeleteFunc(people, func(p []string) bool {
			same := slices.ContainsFunc(p, func(o string) bool { return slices.Contains(owners, o) })
			if same {
				owners = append(owners, p...)
			}
			return same
		})
		people = append(people, owners)
	}
	if len(people) >= by.threshold {
		return nil
	}
	return &follow.Refused{Step: "trust", Code: verdict.CommitThreshold, Why: fmt.Sprintf(
		"the artifact needs the signatures of %d different owners among %q: %d signed", by.threshold, by.signers, len(people))}
}

func (r *registryOrigin) set(ctx context.Context, revision string, o render.Options) (*gitops.Set, error) {
	a, err := r.proved(revision)
	if err != nil {
		return nil, err
	}
	set, err := artifact.Pull(ctx, r.client, r.repo, verdict.Digest(revision), &a.Statement, o)
	if err != nil {
		return nil, artifactRefused("render", err)
	}
	for i := range set.Objects() {
		if object := &set.Objects()[i]; object.Group == gitops.LambdaGroup {
			return nil, &follow.Refused{Step: "render", Code: verdict.RenderFeature, Where: object.Where,
				Why: fmt.Sprintf("%s: functions of AWS are judged by the files that declare them, which an artifact does not hold: follow the repository", object.ID)}
		}
	}
	return set, nil
}

// files are the objects of the set as a manifest: what it was rendered from stays
// in the repository.
func (r *registryOrigin) files(_ context.Context, _ string, set *gitops.Set) (fs.FS, error) {
	var all bytes.Buffer
	for i := range set.Objects() {
		all.WriteString("---\n")
		if err := json.NewEncoder(&all).Encode(set.Objects()[i].Body); err != nil {
			return nil, err
		}
	}
	return artifact.Files{"set.yaml": all.Bytes()}, nil
}

// allowsPrune is false: what an artifact of others allows is not passed on.
func (r *registryOrigin) allowsPrune(string) (bool, error) { return false, nil }

// accept has nothing to keep: the set is stored by its digest.
func (r *registryOrigin) accept(string) error { return nil }

func (r *registryOrigin) sign(state *apply.State, t apply.Transition, reason string, by crypto.Signer) ([]byte, error) {
	last, err := rememberedArtifact(state)
	if err != nil {
		return nil, err
	}
	return history.Rollback{
		Source: r.s.o.Source.Name, From: repo.Commit(last.Current.Digest), To: repo.Commit(t.To.Commit),
		Counter: last.Number, Reason: reason, At: r.s.o.Clock.Now().UTC(),
	}.Sign(by)
}

func (r *registryOrigin) rollback(_ context.Context, state *apply.State, t apply.Transition, record []byte) (json.RawMessage, error) {
	last, err := rememberedArtifact(state)
	if err != nil {
		return nil, err
	}
	back, next, err := r.s.trust.artifacts.Rollback(last, record, r.s.o.Clock.Now())
	if err != nil {
		return nil, err
	}
	if err := goesTo(back, t); err != nil {
		return nil, err
	}
	return json.Marshal(next)
}

func (r *registryOrigin) close() error { return nil }

// rememberedArtifact is what is remembered of the artifact that was accepted last.
func rememberedArtifact(s *apply.State) (a artifact.State, err error) {
	if s.Memory == nil {
		return a, nil
	}
	if err := json.Unmarshal(s.Memory, &a); err != nil {
		return a, fmt.Errorf("what is remembered of the source's artifacts: %w", err)
	}
	if a.Current.Digest == "" {
		return a, errors.New("what is remembered of the source is no artifact: it followed a repository; give the source another name")
	}
	return a, nil
}

// artifactRefused makes what package artifact decided the follower's refusal.
func artifactRefused(step string, err error) error {
	if r, is := errors.AsType[*artifact.Refusal](err); is {
		return &follow.Refused{Step: step, Code: r.Code, Where: verdict.Origin{Object: "artifact " + string(r.Digest)}, Why: r.Why}
	}
	return err
}
