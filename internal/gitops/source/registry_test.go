package source

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/registry"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// depot is the registry that Apex brings, over HTTP, with a switch to turn it off.
type depot struct {
	at     *testing.T
	repo   string // "host/path"
	client *oci.Client
	down   atomic.Bool
}

func newDepot(t *testing.T) *depot {
	t.Helper()
	dir := t.TempDir()
	local, err := registry.OpenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := registry.New(registry.Options{Dir: dir, Mutable: func(_, tag string) bool { return tag != "fixed" }})
	if err != nil {
		t.Fatal(err)
	}
	d := &depot{at: t}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if d.down.Load() {
			http.Error(w, "down", http.StatusInternalServerError)
			return
		}
		r.ServeHTTP(w, q)
	}))
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	d.repo = host + "/sets/story"
	d.client, err = oci.New(oci.Options{
		AllowPrivate: []string{host}, PlainHTTP: []string{host}, Keychain: oci.HostKeychain(host, registry.LocalUser, local.Token(), nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.client.Close)
	return d
}

// tagged is the artifact that a tag names.
func (d *depot) tagged(tag string) oci.Manifest {
	d.at.Helper()
	ref, err := reference.Parse(d.repo + ":" + tag)
	if err != nil {
		d.at.Fatal(err)
	}
	m, err := d.client.Resolve(d.at.Context(), ref)
	if err != nil {
		d.at.Fatal(err)
	}
	return m
}

// move lets a tag name another artifact.
func (d *depot) move(tag string, m oci.Manifest) {
	d.at.Helper()
	if _, err := d.client.PushManifest(d.at.Context(), d.repo, tag, m.MediaType, m.Raw); err != nil {
		d.at.Fatal(err)
	}
}

func signingKey(t *testing.T) (crypto.Signer, string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := trust.PublicPEM(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return k, string(pem)
}

// published is a story whose source publishes, with what was told of it.
type published struct {
	*story
	*depot
	signer crypto.Signer
	public string
	told   []Publication
}

func newPublished(t *testing.T, change func(*Options)) *published {
	t.Helper()
	p := &published{depot: newDepot(t)}
	p.signer, p.public = signingKey(t)
	p.story = newStoryWith(t, func(o *Options) {
		o.Source.Spec.Publish = &v1alpha1.GitPublish{Repository: p.repo}
		o.Registry, o.Publisher = p.client, p.signer
		o.Published = func(n Publication) { p.told = append(p.told, n) }
		if change != nil {
			change(o)
		}
	})
	return p
}

// release commits, applies and publishes a value, and returns its artifact.
func (p *published) release(value string) oci.Manifest {
	p.at.Helper()
	p.commit(value, p.key, map[string]string{"deploy/a.yaml": configMap("a", value)})
	if err := p.Pass(p.at.Context()); err != nil {
		p.at.Fatal(err)
	}
	now, err := p.Publication(p.at.Context())
	if err != nil || now.Problem != "" || now.Last == nil {
		p.at.Fatalf("%+v %v", now, err)
	}
	return p.tagged("main")
}

// follower follows what p publishes.
func (p *published) follower(first verdict.Digest, change func(*Options)) *story {
	t := p.at
	t.Helper()
	s := &story{t: t, drifts: make(chan heal.Report, 100), operator: p.operator, stranger: p.stranger}
	o := s.options(t.TempDir())
	gs := &v1alpha1.GitSource{}
	gs.Name = "follower"
	gs.Spec.URL, gs.Spec.Branch = "oci://"+p.repo, "main"
	gs.Spec.Trust = v1alpha1.GitTrust{FirstDigest: string(first), Signers: []string{"releases"}}
	gs.Spec.Target.Embedded = &v1alpha1.EmbeddedTarget{}
	pem, err := trust.PublicPEM(p.operator.Public())
	if err != nil {
		t.Fatal(err)
	}
	root := v1alpha1.TrustRoot{}
	root.Spec.Entries = []v1alpha1.TrustEntry{
		{Name: "releases", Owner: "releases", Uses: []v1alpha1.TrustUse{v1alpha1.UseCommits}, Key: &v1alpha1.KeyEntry{PEM: p.public}},
		{Name: "operator", Owner: "operator", Uses: []v1alpha1.TrustUse{v1alpha1.UsePromotions}, Key: &v1alpha1.KeyEntry{PEM: string(pem)}},
	}
	o.Source, o.TrustRoots, o.Registry = gs, []v1alpha1.TrustRoot{root}, p.client
	if change != nil {
		change(&o)
	}
	s.open(o)
	return s
}

func (s *story) pass() {
	s.t.Helper()
	if err := s.Pass(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func TestWhatIsAppliedIsPublishedByteForByte(t *testing.T) {
	p := newPublished(t, nil)
	m := p.release("1")
	state, err := p.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	applied, err := p.place.store.GetSet(t.Context(), state.Applied.Set)
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.client.PullArtifact(t.Context(), p.repo, m.Digest, render.ArtifactType, render.SetMediaType, gitops.MaxSetBytes)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Layers[0].Data, applied) || a.Layers[0].Digest != state.Applied.Set {
		t.Error("other bytes are published than were applied")
	}
	if n := len(p.told); n != 1 || p.told[0].Last.Digest != m.Digest || p.told[0].Last.Commit != state.Applied.Commit || p.told[0].Key != p.public {
		t.Errorf("%+v", p.told)
	}
	if !slices.Contains(p.records, RecordArtifact) {
		t.Errorf("it is not on record: %q", p.records)
	}
	for _, value := range a.Annotations {
		if strings.Contains(value, p.dir) {
			t.Errorf("a path of this machine is published: %s", value)
		}
	}
	p.pass()
	if n := len(p.told); n != 1 || p.tagged("main").Digest != m.Digest {
		t.Errorf("the same again is published: %+v", p.told)
	}
	if next := p.release("2"); next.Digest == m.Digest || p.told[1].Last.Predecessor != m.Digest {
		t.Errorf("%+v", p.told)
	}
}

func TestAPushThatFailsUndoesNothingAndIsTriedAgain(t *testing.T) {
	p := newPublished(t, nil)
	first := p.release("1")
	p.down.Store(true)
	p.commit("two", p.key, map[string]string{"deploy/a.yaml": configMap("a", "2")})
	p.pass()
	if p.value("a") != "2" || p.Status().Problem != "" {
		t.Errorf("a is %q, %+v", p.value("a"), p.Status())
	}
	if n := len(p.told); n != 2 || p.told[1].Problem == "" || p.told[1].Last.Digest != first.Digest {
		t.Errorf("%+v", p.told)
	}
	p.pass()
	if n := len(p.told); n != 2 {
		t.Errorf("the same problem is told again: %+v", p.told)
	}
	p.down.Store(false)
	p.pass()
	if n := len(p.told); n != 3 || p.told[2].Problem != "" || p.told[2].Last.Digest != p.tagged("main").Digest || p.told[2].Last.Predecessor != first.Digest {
		t.Errorf("%+v", p.told)
	}
}

func TestATagThatMayNotMoveIsAProblemWithAName(t *testing.T) {
	p := newPublished(t, func(o *Options) { o.Source.Spec.Publish.Tag = "fixed" })
	for _, value := range []string{"1", "2"} {
		p.commit(value, p.key, map[string]string{"deploy/a.yaml": configMap("a", value)})
		p.pass()
	}
	if n := len(p.told); n != 2 || p.told[0].Problem != "" || p.told[1].Problem == "" {
		t.Errorf("%+v", p.told)
	}
}

func TestRunPublishesWhatItApplies(t *testing.T) {
	told := make(chan Publication, 10)
	p := newPublished(t, func(o *Options) { o.Published = func(n Publication) { told <- n } })
	p.down.Store(true)
	p.commit("one", p.key, map[string]string{"deploy/a.yaml": configMap("a", "1")})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	defer func() { stop(); <-done }()
	for n := range told {
		if n.Problem != "" {
			p.down.Store(false)
			continue
		}
		if n.Last != nil {
			break
		}
	}
	if p.tagged("main").Digest == "" || p.value("a") != "1" {
		t.Error("it is not there")
	}
}

func TestASourceDoesNotPublishWhereItFollows(t *testing.T) {
	p := newPublished(t, nil)
	m := p.release("1")
	s := &story{t: t, drifts: make(chan heal.Report, 1)}
	o := s.options(t.TempDir())
	o.Registry, o.Publisher, o.TrustRoots = p.client, p.signer, p.story.Source.o.TrustRoots
	o.TrustRoots = append(o.TrustRoots, v1alpha1.TrustRoot{Spec: v1alpha1.TrustRootSpec{Entries: []v1alpha1.TrustEntry{
		{Name: "releases", Uses: []v1alpha1.TrustUse{v1alpha1.UseCommits}, Key: &v1alpha1.KeyEntry{PEM: p.public}}}}})
	o.Source = &v1alpha1.GitSource{}
	o.Source.Name = "loop"
	o.Source.Spec.URL = "oci://" + p.repo
	o.Source.Spec.Trust = v1alpha1.GitTrust{FirstDigest: string(m.Digest), Signers: []string{"releases"}}
	o.Source.Spec.Target.Embedded = &v1alpha1.EmbeddedTarget{}
	o.Source.Spec.Publish = &v1alpha1.GitPublish{Repository: p.repo}
	if loop, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "follows") {
		t.Errorf("%v %v", loop, err)
	}
	o.Source.Spec.Publish.Repository += "-again"
	s.open(o)
	s.pass()
	if now, err := s.Publication(t.Context()); err != nil || now.Problem != "" || now.Last.Commit != string(m.Digest) {
		t.Errorf("%+v %v", now, err)
	}
}
