package artifact_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/artifact"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/internal/gitops/target/dir/state"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// world is a registry, somebody who publishes to it, and somebody who follows.
type world struct {
	*testing.T
	server   *ocitest.Server
	client   *oci.Client
	repo     string
	signer   crypto.Signer
	operator crypto.Signer
	other    crypto.Signer // in the TrustRoot, and no signer of the source
	store    gitops.Store
	pub      *artifact.Publisher
	last     artifact.State
	first    verdict.Digest
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s := ocitest.Registry(t)
	w := &world{T: t, server: s, client: client(t, s), repo: s.Repo("sets/vision"), signer: key(t), operator: key(t), other: key(t)}
	store, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	w.store = store
	w.pub = w.publisher(nil)
	return w
}

func client(t *testing.T, s *ocitest.Server) *oci.Client {
	t.Helper()
	c, err := oci.New(oci.Options{AllowPrivate: []string{s.Host}, PlainHTTP: []string{s.Host}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func key(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// seal is the installation's own signature over what is remembered.
var seal = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func (w *world) publisher(change func(*artifact.Config)) *artifact.Publisher {
	w.Helper()
	c := artifact.Config{
		Source: "vision", URL: "https://bot:secret@git.example.com/vision?x=y", Repository: w.repo, Tag: "main",
		Registry: w.client, Signer: w.signer, Store: w.store, Clock: clock.At(now),
		Sign: func(_ context.Context, m []byte) ([]byte, error) { return ed25519.Sign(seal, m), nil },
		Verify: func(_ context.Context, m, sig []byte) error {
			if !ed25519.Verify(seal.Public().(ed25519.PublicKey), m, sig) {
				return errors.New("another key")
			}
			return nil
		},
	}
	if change != nil {
		change(&c)
	}
	p, err := artifact.NewPublisher(c)
	if err != nil {
		w.Fatal(err)
	}
	return p
}

func (w *world) root(keys map[string]crypto.Signer) *trust.Root {
	w.Helper()
	var entries []trust.Entry
	for name, k := range keys {
		pem, err := trust.PublicPEM(k.Public())
		if err != nil {
			w.Fatal(err)
		}
		entries = append(entries, trust.Entry{Name: name, Key: &trust.KeyEntry{PEM: pem}})
	}
	r, err := trust.Compile(entries, trust.Options{})
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func (w *world) verifier(first verdict.Digest) *artifact.Verifier {
	w.Helper()
	root := w.root(map[string]crypto.Signer{"release": w.signer, "other": w.other})
	v, err := artifact.Compile(artifact.Trust{Source: "follower", First: first, Signers: []string{"release"}}, root, w.root(map[string]crypto.Signer{"operator": w.operator}))
	if err != nil {
		w.Fatal(err)
	}
	return v
}

func set(t *testing.T, value string) *gitops.Set {
	t.Helper()
	o, err := gitops.NewObject(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "settings", "namespace": "vision"}, "data": map[string]any{"key": value},
	}, verdict.Origin{File: "deploy/settings.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := gitops.NewSet([]gitops.Object{o})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func revision(t *testing.T, n uint64) artifact.Revision {
	s := set(t, fmt.Sprint(n))
	return artifact.Revision{
		Commit: fmt.Sprintf("%040d", n), Set: s.Digest(), Counter: n,
		Read: func(context.Context) (*gitops.Set, bool, error) { return s, false, nil },
	}
}

func (w *world) publish(n uint64) verdict.Digest {
	w.Helper()
	p, _, err := w.pub.Publish(w.Context(), revision(w.T, n))
	if err != nil {
		w.Fatal(err)
	}
	if w.first == "" {
		w.first = p.Digest
	}
	return p.Digest
}

func (w *world) tagged(tag string) verdict.Digest {
	w.Helper()
	ref, err := reference.Parse(w.repo + ":" + tag)
	if err != nil {
		w.Fatal(err)
	}
	m, err := w.client.Resolve(w.Context(), ref)
	if err != nil {
		w.Fatal(err)
	}
	return m.Digest
}

func (w *world) verify(v *artifact.Verifier, head verdict.Digest) (*artifact.Accepted, error) {
	return v.Verify(w.Context(), w.client, w.repo, w.last, head, now)
}

// accept follows an artifact that has to be good.
func (w *world) accept(v *artifact.Verifier, head verdict.Digest) *artifact.Accepted {
	w.Helper()
	a, err := w.verify(v, head)
	if err != nil {
		w.Fatal(err)
	}
	w.last = a.State
	return a
}

func (w *world) refused(v *artifact.Verifier, head verdict.Digest, code verdict.Code) {
	w.Helper()
	_, err := w.verify(v, head)
	r, is := errors.AsType[*artifact.Refusal](err)
	if !is || r.Code != code {
		w.Errorf("%v, want a refusal with %s", err, code)
	}
}

// forge pushes an artifact with any statement, signed by anybody.
func (w *world) forge(s *gitops.Set, st *artifact.Statement, by ...crypto.Signer) verdict.Digest {
	w.Helper()
	from := render.Provenance{Source: st.Source, Commit: st.Commit, Counter: st.Counter}
	d, err := render.Push(w.Context(), w.client, w.repo, "", s, from, func(ctx context.Context, repo string, d oci.Descriptor) error {
		for _, k := range by {
			w.attest(d, st, artifact.PredicateType, k)
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return d
}

func (w *world) attest(d oci.Descriptor, st any, kind string, by crypto.Signer) {
	w.Helper()
	predicate, err := json.Marshal(st)
	if err != nil {
		w.Fatal(err)
	}
	bundle, err := trust.Attest(by, w.repo, d.Digest, kind, predicate)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.client.Attach(w.Context(), w.repo, d, oci.ArtifactBundleV03, nil, oci.Blob{MediaType: trust.MediaTypeBundle, Data: bundle}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) statement(s *gitops.Set, counter uint64, predecessor verdict.Digest) *artifact.Statement {
	return &artifact.Statement{Source: "vision", Commit: fmt.Sprintf("%040d", counter), Content: s.Digest(), Counter: counter, Predecessor: predecessor}
}

func TestAnArtifactTellsNobodyWhereOnADiskItsRepositoryIs(t *testing.T) {
	for address, want := range map[string]string{
		"https://bot:secret@git.example.com/vision?token=x#y": "https://git.example.com/vision",
		"ssh://git@git.example.com/vision":                    "ssh://git.example.com/vision",
		"file://host/home/ada/vision":                         "",
		"/home/ada/vision":                                    "",
	} {
		w := newWorld(t)
		w.pub = w.publisher(func(c *artifact.Config) { c.URL = address })
		d := w.publish(1)
		if got := w.accept(w.verifier(d), d).Statement.URL; got != want {
			t.Errorf("%s is published as %q, want %q", address, got, want)
		}
	}
}

func TestWhatIsPublishedIsFollowedByteForByte(t *testing.T) {
	w := newWorld(t)
	d := w.publish(3)
	if got := w.tagged("main"); got != d {
		t.Errorf("the tag names %s, %s is published", got, d)
	}
	v := w.verifier(d)
	a := w.accept(v, d)
	want := artifact.Statement{Source: "vision", URL: "https://git.example.com/vision", Commit: fmt.Sprintf("%040d", 3), Content: set(t, "3").Digest(), Counter: 3}
	if a.Statement != want || len(a.Signatures) != 1 || a.Signatures[0][0] != "release" {
		t.Errorf("%+v", a)
	}
	got, err := artifact.Pull(t.Context(), w.client, w.repo, d, &a.Statement, render.Options{Namespaces: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), set(t, "3").Bytes()) {
		t.Error("it is another set")
	}
	// It descends over what was not seen one by one.
	w.publish(4)
	e := w.publish(5)
	if a := w.accept(v, e); len(a.Between) != 2 || a.State.Highest != 5 {
		t.Errorf("%+v", a)
	}
	if a := w.accept(v, e); a.State.Number != 2 {
		t.Errorf("the same again changes what is remembered: %+v", a.State)
	}
}

func TestPublishingAgainChangesNothing(t *testing.T) {
	w := newWorld(t)
	d := w.publish(3)
	w.server.Forget()
	again, changed, err := w.pub.Publish(t.Context(), revision(t, 3))
	if err != nil || changed || again.Digest != d {
		t.Errorf("%+v %v %v", again, changed, err)
	}
	if n := len(w.server.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
	// Another process knows it too, from what is remembered.
	again, changed, err = w.publisher(nil).Publish(t.Context(), revision(t, 3))
	if err != nil || changed || again.Digest != d {
		t.Errorf("%+v %v %v", again, changed, err)
	}
	if _, _, err := w.pub.Publish(t.Context(), revision(t, 2)); err == nil {
		t.Error("an older revision is published")
	}
	// Another tag names the same artifact; another repository begins a chain.
	p, changed, err := w.publisher(func(c *artifact.Config) { c.Tag = "stable" }).Publish(t.Context(), revision(t, 3))
	if err != nil || !changed || p.Digest != d || w.tagged("stable") != d {
		t.Errorf("%+v %v %v", p, changed, err)
	}
	p, _, err = w.publisher(func(c *artifact.Config) { c.Repository = w.server.Repo("sets/moved") }).Publish(t.Context(), revision(t, 4))
	if err != nil || p.Predecessor != "" {
		t.Errorf("%+v %v", p, err)
	}
	p, _, err = w.pub.Publish(t.Context(), revision(t, 5)) // and the first one goes on
	if err != nil || p.Predecessor != d {
		t.Errorf("%+v %v", p, err)
	}
	wrong := revision(t, 6)
	wrong.Set = d
	if _, _, err := w.pub.Publish(t.Context(), wrong); err == nil {
		t.Error("another set is published than was applied")
	}
}

func TestWhatIsRememberedAndNotOursStopsPublishing(t *testing.T) {
	w := newWorld(t)
	w.publish(3)
	p := w.publisher(func(c *artifact.Config) {
		c.Verify = func(context.Context, []byte, []byte) error { return errors.New("another key") }
	})
	if _, _, err := p.Publish(t.Context(), revision(t, 4)); err == nil || !strings.Contains(err.Error(), "signature") {
		t.Errorf("got %v", err)
	}
	if _, _, err := w.pub.Publish(t.Context(), revision(t, 4)); err != nil {
		t.Errorf("with its own key: %v", err)
	}
}

func TestAPublisherThatIsKilledAtAnyPointLeavesOneChain(t *testing.T) {
	for _, point := range []string{"pushed", "signed", "remembered", "tagged"} {
		t.Run(point, func(t *testing.T) {
			w := newWorld(t)
			v := w.verifier(w.publish(1))
			w.accept(v, w.first)
			killed := w.publisher(func(c *artifact.Config) {
				c.Checkpoint = func(name string) {
					if name == point {
						panic(point)
					}
				}
			})
			func() {
				defer func() {
					if recover() == nil {
						t.Error("it was not killed")
					}
				}()
				_, _, _ = killed.Publish(t.Context(), revision(t, 2))
			}()
			// Somebody follows what the tag names now.
			w.accept(v, w.tagged("main"))
			// Another revision was decided on meanwhile.
			w.pub = w.publisher(nil)
			w.accept(v, w.publish(3))
		})
	}
}
