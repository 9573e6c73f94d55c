package source

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/artifact"
	"github.com/apexlogic/apex/internal/gitops/follow"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/internal/gitops/target/embedded"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

func TestAnArtifactIsASourceLikeACommit(t *testing.T) {
	p := newPublished(t, nil)
	one := p.release("1")
	f := p.follower(one.Digest, nil)
	plan, err := f.Plan(t.Context())
	if err != nil || plan.Created != 1 || f.value("a") != "" {
		t.Fatalf("%+v %v", plan, err)
	}
	f.pass()
	if f.value("a") != "1" || f.Status().Commit != string(one.Digest) || !new(f.Status()).Ready() {
		t.Errorf("a is %q, %+v", f.value("a"), f.Status())
	}
	if sick, err := f.CheckHealth(t.Context()); err != nil || len(sick) > 0 {
		t.Fatal(sick, err)
	}
	p.release("2") // which is skipped
	three := p.release("3")
	f.pass()
	if f.value("a") != "3" || f.Status().Commit != string(three.Digest) {
		t.Errorf("a is %q, %+v", f.value("a"), f.Status())
	}
	mine, err := f.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := p.State(t.Context())
	if err != nil || mine.Applied.Set != theirs.Applied.Set {
		t.Errorf("%s and %s are applied, %v", mine.Applied.Set, theirs.Applied.Set, err)
	}
	f.deny = "a"
	p.release("4")
	f.refused(verdict.SignatureMissing) // the gate is the follower's own
	if f.value("a") != "3" {
		t.Errorf("a is %q", f.value("a"))
	}
	f.deny = ""
	p.release("5")
	f.pass()
}

func TestATagThatIsMovedBackIsRefusedWhoeverSignedIt(t *testing.T) {
	p := newPublished(t, nil)
	one := p.release("1")
	f := p.follower(one.Digest, nil)
	two := p.release("2")
	f.pass()
	p.move("main", one)
	f.refused(verdict.HistoryRewound)
	if f.value("a") != "2" {
		t.Errorf("a is %q", f.value("a"))
	}
	p.move("main", two)
	f.pass()
	if st := f.Status(); !st.Ready() {
		t.Errorf("%+v", st)
	}
}

func TestAnArtifactOfSomebodyElseIsRefused(t *testing.T) {
	p := newPublished(t, nil)
	one := p.release("1")
	f := p.follower(one.Digest, nil)
	f.pass()
	thief, _ := signingKey(t)
	for by, want := range map[crypto.Signer]verdict.Code{thief: verdict.ArtifactUntrusted, p.signer: ""} {
		st, err := p.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		data, err := p.place.store.GetSet(t.Context(), st.Applied.Set)
		if err != nil {
			t.Fatal(err)
		}
		set, err := gitops.ReadSet(data)
		if err != nil {
			t.Fatal(err)
		}
		counter := uint64(50)
		if want == "" {
			counter = 60
		}
		d, err := render.Push(t.Context(), p.client, p.repo, "main", set, render.Provenance{Source: "story", Commit: "x", Counter: counter},
			func(ctx context.Context, repo string, d oci.Descriptor) error {
				predicate := `{"source":"story","commit":"x","content":"` + string(set.Digest()) + `","counter":` + map[bool]string{true: "50", false: "60"}[want != ""] + `,"predecessor":"` + string(one.Digest) + `"}`
				bundle, err := trust.Attest(by, repo, d.Digest, artifact.PredicateType, []byte(predicate))
				if err != nil {
					return err
				}
				_, err = p.client.Attach(ctx, repo, d, oci.ArtifactBundleV03, nil, oci.Blob{MediaType: trust.MediaTypeBundle, Data: bundle})
				return err
			})
		if err != nil {
			t.Fatal(err)
		}
		p.move("main", p.manifest(d))
		g := p.follower(one.Digest, nil)
		if want == "" {
			g.pass()
		} else {
			g.refused(want)
		}
	}
}

func (d *depot) manifest(digest verdict.Digest) oci.Manifest {
	d.at.Helper()
	ref, err := reference.Parse(d.repo + "@" + string(digest))
	if err != nil {
		d.at.Fatal(err)
	}
	m, err := d.client.Resolve(d.at.Context(), ref)
	if err != nil {
		d.at.Fatal(err)
	}
	return m
}

func TestWithTheRegistryDownWhatIsAppliedStaysHealedAndCanBeRolledBack(t *testing.T) {
	p := newPublished(t, nil)
	one := p.release("1")
	f := p.follower(one.Digest, nil)
	f.pass()
	if _, err := f.CheckHealth(t.Context()); err != nil {
		t.Fatal(err)
	}
	two := p.release("2")
	f.pass()
	p.down.Store(true)
	if err := f.Pass(t.Context()); err == nil || errors.As(err, new(*follow.Refused)) {
		t.Errorf("got %v", err)
	}
	id := gitops.ID{Kind: "ConfigMap", Namespace: "vision", Name: "a"}
	store := f.place.target.(*embedded.Store)
	if _, err := store.Update(t.Context(), id, "evil", "", func(body map[string]any) error {
		body["data"] = map[string]any{"key": "bad"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if plan, err := f.Heal(t.Context()); err != nil || plan.Changed != 1 || f.value("a") != "2" {
		t.Errorf("%v, a is %q", err, f.value("a"))
	}
	if _, err := f.Rollback(t.Context(), "", "it answers nonsense", p.stranger); err == nil {
		t.Error("a stranger rolled it back")
	}
	r, err := f.Rollback(t.Context(), "", "it answers nonsense", p.operator)
	if err != nil || r.Revision.Commit != string(one.Digest) || f.value("a") != "1" {
		t.Fatalf("%+v %v, a is %q", r, err, f.value("a"))
	}
	// The registry comes back: what was left is not applied again, what follows is.
	p.down.Store(false)
	f.pass()
	if st := f.Status(); f.value("a") != "1" || st.Held != string(two.Digest) {
		t.Errorf("a is %q, %+v", f.value("a"), st)
	}
	p.release("3")
	f.pass()
	if f.value("a") != "3" {
		t.Errorf("a is %q", f.value("a"))
	}
}

func TestARollbackIsPublishedToo(t *testing.T) {
	p := newPublished(t, nil)
	one := p.release("1")
	if _, err := p.CheckHealth(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.release("2")
	f := p.follower(one.Digest, nil)
	f.pass()
	if _, err := p.Rollback(t.Context(), "", "it answers nonsense", p.operator); err != nil {
		t.Fatal(err)
	}
	p.pass()
	f.pass()
	if f.value("a") != "1" || f.Status().Commit == string(one.Digest) {
		t.Errorf("a is %q, %+v", f.value("a"), f.Status())
	}
}

func TestWhatIsRememberedOfARepositoryIsNotTakenForARegistrys(t *testing.T) {
	p := newPublished(t, nil)
	m := p.release("1")
	at := filepath.Join(t.TempDir(), "target")
	f := p.follower(m.Digest, func(o *Options) { o.Source.Spec.Target.Embedded.Path = at })
	f.pass()
	other := p.follower(m.Digest, func(o *Options) { o.Source.Spec.Target.Embedded.Path = filepath.Join(t.TempDir(), "another") })
	other.pass()
	state, err := p.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rememberedArtifact(state); err == nil {
		t.Error("a commit is taken for an artifact")
	}
	if state, err = f.State(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := remembered(state); err == nil {
		t.Error("an artifact is taken for a commit")
	}
	if _, err := rememberedArtifact(state); err != nil {
		t.Error(err)
	}
}

// countersign signs the statement about an artifact with another key, too.
func (p *published) countersign(m oci.Manifest, by crypto.Signer) {
	p.at.Helper()
	now, err := p.Publication(p.at.Context())
	if err != nil {
		p.at.Fatal(err)
	}
	st := artifact.Statement{
		Source: now.Last.Source, Commit: now.Last.Commit, Content: now.Last.Set, Counter: now.Last.Counter, Predecessor: now.Last.Predecessor,
	}
	predicate, err := json.Marshal(&st)
	if err != nil {
		p.at.Fatal(err)
	}
	bundle, err := trust.Attest(by, p.repo, m.Digest, artifact.PredicateType, predicate)
	if err != nil {
		p.at.Fatal(err)
	}
	if _, err := p.client.Attach(p.at.Context(), p.repo, m.Descriptor, oci.ArtifactBundleV03, nil, oci.Blob{MediaType: trust.MediaTypeBundle, Data: bundle}); err != nil {
		p.at.Fatal(err)
	}
}
