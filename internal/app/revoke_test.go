package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

// liveUp is an Up that runs while a test does.
type liveUp struct {
	Workspace
	t        *testing.T
	verdicts chan Verdicts
	done     chan error
	host     string // of the registry
}

func goLive(t *testing.T, c clock.Clock) *liveUp {
	t.Helper()
	l := &liveUp{t: t, Workspace: Workspace{filepath.Join(t.TempDir(), "ws")}, verdicts: make(chan Verdicts, 64), done: make(chan error, 1)}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		l.done <- Up(ctx, UpOptions{
			Dir: l.Dir, RegistryAddress: "127.0.0.1:0", APIAddress: "127.0.0.1:0", Clock: c,
			Verdicts: func(v Verdicts) { l.verdicts <- v },
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-l.done; err != nil {
			t.Errorf("up: %v", err)
		}
		close(l.done)
	})
	l.host = l.next().Registry
	return l
}

// next waits for the verdicts of the next commit.
func (l *liveUp) next() Verdicts {
	l.t.Helper()
	select {
	case v := <-l.verdicts:
		return v
	case err := <-l.done:
		l.done <- err
		l.t.Fatalf("up ended: %v", err)
	}
	return Verdicts{}
}

// at waits until the commit is in force.
func (l *liveUp) at(commit string) Verdicts {
	l.t.Helper()
	for {
		if v := l.next(); v.Commit == commit {
			return v
		}
	}
}

// of returns the verdict about the repository's tag 1.0.
func (l *liveUp) of(v Verdicts, repository string) verdict.Verdict {
	l.t.Helper()
	i := slices.IndexFunc(v.Report.Verdicts, func(v verdict.Verdict) bool { return v.Asked == l.host+"/"+repository+":1.0" })
	if i < 0 {
		l.t.Fatalf("no verdict about %s", repository)
	}
	return v.Report.Verdicts[i]
}

func (l *liveUp) commit(files map[string][]byte) Verdicts {
	l.t.Helper()
	id, err := l.Commit(l.t.Context(), files, "Change\n")
	if err != nil {
		l.t.Fatal(err)
	}
	return l.at(id)
}

func (l *liveUp) revoke(key string, r RevocationRequest) Verdicts {
	l.t.Helper()
	doc, err := NewRevocation(l.key(key), r)
	if err != nil {
		l.t.Fatal(err)
	}
	done, err := l.Revoke(l.t.Context(), doc, time.Now())
	if err != nil {
		l.t.Fatal(err)
	}
	return l.at(done.Commit)
}

func (l *liveUp) key(name string) trusttest.Key {
	l.t.Helper()
	signer, err := LoadKey(filepath.Join(l.State(), "keys", name+".key"), nil)
	if err != nil {
		l.t.Fatal(err)
	}
	return trusttest.KeyOf(l.t, signer)
}

func (l *liveUp) client() *oci.Client {
	l.t.Helper()
	c, err := oci.New(oci.Options{AllowPrivate: []string{l.host}, PlainHTTP: []string{l.host}, Keychain: l.Keychain(authn.DefaultKeychain)})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(c.Close)
	return c
}

func check(t *testing.T, v verdict.Verdict, rule string) verdict.Check {
	t.Helper()
	i := slices.IndexFunc(v.Checks, func(c verdict.Check) bool { return c.Rule == rule })
	if i < 0 {
		t.Fatalf("no check of %s", rule)
	}
	return v.Checks[i]
}

func TestARevokedDigestIsStoppedByARunningUp(t *testing.T) {
	l := goLive(t, nil)
	before := l.commit(map[string][]byte{"note.md": []byte("nothing that decides\n")})
	good := l.of(before, "vision/captioner")
	if good.Decision != verdict.Allow {
		t.Fatalf("before: %v %s", good.Decision, good.Reason)
	}
	after := l.revoke(approverKey, RevocationRequest{Target: RevocationTarget{Digest: good.Digest}, Reason: "leaks credentials"})
	v := l.of(after, "vision/captioner")
	if v.Decision != verdict.Deny || v.Code != verdict.Revoked || !strings.Contains(v.Reason, "leaks credentials") {
		t.Errorf("after: %v %s %s", v.Decision, v.Code, v.Reason)
	}

	// It is Git that says so: without the file the image is allowed again.
	if err := os.Remove(filepath.Join(l.Dir, filepath.FromSlash(RevocationFile("digest-"+good.Digest.Short())))); err != nil {
		t.Fatal(err)
	}
	other := l.revoke(approverKey, RevocationRequest{Target: RevocationTarget{Digest: trusttest.Digest("another")}, Reason: "another"})
	if v := l.of(other, "vision/captioner"); v.Code != verdict.Revoked {
		t.Errorf("a file that nobody has removed from the repository is still in force, and the verdict is %s", v.Code)
	}
}

func TestARevokedKeyStopsAllThatItSigned(t *testing.T) {
	l := goLive(t, nil)
	set, _, err := l.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	entry, _, _ := set.TrustEntry(signingKey)
	file := filepath.Join(t.TempDir(), "signing.pub")
	if err := os.WriteFile(file, []byte(entry.Key.PEM), 0o600); err != nil {
		t.Fatal(err)
	}
	target, err := ParseRevocationTarget(file, set, nil)
	if err != nil {
		t.Fatal(err)
	}
	// They were all made before, but nothing vouches for that.
	after := l.revoke(approverKey, RevocationRequest{Target: target, Reason: "stolen", Since: time.Now()})
	v := l.of(after, "vision/captioner")
	if c := check(t, v, "RequireImageSignature"); v.Decision != verdict.Deny || c.Code != verdict.SignatureRevokedKey {
		t.Errorf("%v: %s %s", v.Decision, c.Code, c.Detail)
	}
	// The scanner's key is another one: its reports still count.
	if c := check(t, v, "VulnerabilityScanThreshold"); c.Outcome != verdict.Pass {
		t.Errorf("the scan: %s %s", c.Code, c.Detail)
	}
}

// What a log dates before the identity was lost still counts; that is what
// since is for.
func TestARevokedIdentityCountsForWhatALogDatesBefore(t *testing.T) {
	const identity, issuer = "ci@apexlogic.example", "https://issuer.example"
	signedAt := time.Now().UTC().Add(-24 * time.Hour).Truncate(time.Second)
	sigstore := trusttest.NewSigstore(t, signedAt)
	leaf := sigstore.Certify(trusttest.Certify{Subject: identity, Issuer: issuer})

	l := goLive(t, nil)
	client := l.client()
	ref, err := reference.Parse(l.host + "/vision/captioner-unsigned:1.0")
	if err != nil {
		t.Fatal(err)
	}
	m, err := client.Resolve(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	bundle := sigstore.Bundle(trusttest.Keyless{Leaf: leaf, Payload: trusttest.Statement(ref.Name(), m.Digest, predicateSign, map[string]any{})})
	if err := AttachBundle(t.Context(), client, ref.Name(), m.Descriptor, bundle, predicateSign); err != nil {
		t.Fatal(err)
	}
	root := &v1alpha1.TrustRoot{TypeMeta: typeMeta("TrustRoot")}
	root.Name = "keyless"
	root.Spec.Entries = []v1alpha1.TrustEntry{{Name: "ci", Keyless: &v1alpha1.KeylessEntry{
		Issuer: issuer, Subject: identity, TrustedRoot: string(sigstore.TrustedRoot(nil)),
	}}}
	text, err := DocumentYAML(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	policyFile := "policies/multimodal-ai-model-image-policy.yaml"
	policy, err := os.ReadFile(filepath.Join(l.Dir, filepath.FromSlash(policyFile)))
	if err != nil {
		t.Fatal(err)
	}
	policy = []byte(strings.Replace(string(policy), `- "`+signingKey+`"`, `- "ci"`, 1))
	signature := func(v Verdicts) verdict.Check {
		return check(t, l.of(v, "vision/captioner-unsigned"), "RequireImageSignature")
	}

	if c := signature(l.commit(map[string][]byte{"trust/keyless.yaml": text, policyFile: policy})); c.Outcome != verdict.Pass {
		t.Fatalf("before: %s %s", c.Code, c.Detail)
	}
	target := RevocationTarget{Identity: &v1alpha1.RevokedIdentity{Issuer: issuer, Subject: identity}}
	if c := signature(l.revoke(approverKey, RevocationRequest{Target: target, Reason: "taken over", Since: signedAt.Add(time.Hour)})); c.Outcome != verdict.Pass {
		t.Errorf("revoked an hour after it signed: %s %s", c.Code, c.Detail)
	}
	stops := RevocationRequest{Target: target, Reason: "taken over long before", Since: signedAt.Add(-time.Hour), Name: "earlier"}
	if c := signature(l.revoke(approverKey, stops)); c.Code != verdict.SignatureRevokedKey {
		t.Errorf("revoked an hour before it signed: %s %s", c.Code, c.Detail)
	}
}

// A key that nobody trusts for revocations stops the target and dates nothing.
func TestARevocationByAStrangerStopsAndIsToldOn(t *testing.T) {
	w := onceUp(t)
	stranger, err := LoadKey(filepath.Join(w.State(), "keys", strangerKey+".key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	approver, err := LoadKey(filepath.Join(w.State(), "keys", approverKey+".key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	digest := trusttest.Digest("image")
	byStranger, err := NewRevocation(stranger, RevocationRequest{Target: RevocationTarget{Digest: digest}, Reason: "why not"})
	if err != nil {
		t.Fatal(err)
	}
	done, err := w.Revoke(t.Context(), byStranger, time.Now())
	if err != nil || done.Commit == "" || done.Unvouched == "" {
		t.Fatalf("%+v, %v", done, err)
	}
	byApprover, err := NewRevocation(approver, RevocationRequest{Target: RevocationTarget{KeyID: string(digest)}, Reason: "why not"})
	if err != nil {
		t.Fatal(err)
	}
	done, err = w.Revoke(t.Context(), byApprover, time.Now())
	if err != nil || done.Commit == "" || done.Unvouched != "" {
		t.Fatalf("%+v, %v", done, err)
	}
}

// On top of a commit that is not in force a revocation would not be in force
// either, and nobody must believe that it is.
func TestNothingIsRevokedOnTopOfABrokenCommit(t *testing.T) {
	w := onceUp(t)
	key, err := LoadKey(filepath.Join(w.State(), "keys", approverKey+".key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := NewRevocation(key, RevocationRequest{Target: RevocationTarget{Digest: trusttest.Digest("image")}, Reason: "test"})
	if err != nil {
		t.Fatal(err)
	}
	broken := "policies/broken.yaml"
	if _, err := w.Commit(t.Context(), map[string][]byte{broken: []byte("apiVersion: " + v1alpha1.GroupVersion.String() + "\nkind: ImageSecurityPolicy\nmetadata: {name: broken}\nspec: {}\n")}, "Break\n"); err != nil {
		t.Fatal(err)
	}
	head, err := w.Head()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Revoke(t.Context(), doc, time.Now()); err == nil || !strings.Contains(err.Error(), "mend them first") || !strings.Contains(err.Error(), broken) {
		t.Errorf("error %v", err)
	}
	if now, err := w.Head(); err != nil || now != head {
		t.Errorf("there is a commit %s on top of it (%v)", now, err)
	}
	mended := []byte("# nothing\n")
	if _, err := w.Commit(t.Context(), map[string][]byte{broken: mended}, "Mend\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Revoke(t.Context(), doc, time.Now()); err != nil {
		t.Errorf("after it was mended: %v", err)
	}
}

func onceUp(t *testing.T) Workspace {
	t.Helper()
	w := Workspace{filepath.Join(t.TempDir(), "ws")}
	if err := Up(t.Context(), UpOptions{Dir: w.Dir, RegistryAddress: "127.0.0.1:0", APIAddress: "127.0.0.1:0", Once: true}); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestRevocationTargets(t *testing.T) {
	w := onceUp(t)
	set, _, err := w.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, err := LoadPublicKey(filepath.Join(w.State(), "keys", signingKey+".pub"), nil)
	if err != nil {
		t.Fatal(err)
	}
	encrypted, _, err := trust.GenerateKeyPair([]byte("pw"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "k.key")
	if err := os.WriteFile(file, encrypted, 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := trust.LoadSigner(encrypted, []byte("pw"))
	if err != nil {
		t.Fatal(err)
	}
	ofFile, err := Public(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	digest := string(trusttest.Digest("image"))
	password := func() ([]byte, error) { return []byte("pw"), nil }
	for _, c := range []struct {
		name, text, want, wrong string
	}{
		{"a digest", digest, "the image " + digest, ""},
		{"an image at a digest", "ghcr.io/team/app:1.0@" + digest, "the image " + digest, ""},
		{"the id of a key that the trust roots hold", key.ID, "the key " + key.ID, ""},
		{"a key's id in so many words", "key:" + digest, "the key " + digest, ""},
		{"a public key's file", filepath.Join(w.State(), "keys", signingKey+".pub"), "the key " + key.ID, ""},
		{"an encrypted private key's file", file, "the key " + ofFile.ID, ""},
		{"the name of an entry", signingKey, "the key " + key.ID, ""},
		{"an identity", "https://issuer.example,https://git.example/a/b,c", "the identity https://git.example/a/b,c of https://issuer.example", ""},

		{"the name of a scanner's entry", "Trivy", "", "neither one key nor one identity"},
		{"a tag", "ghcr.io/team/app:1.0", "", "is a tag"},
		{"an image without a tag", "ghcr.io/team/app", "", "is a tag"},
		{"a key file that is not there", "nobody.pub", "", "no key file nobody.pub"},
		{"a key id that is cut off", "key:" + digest[:70], "", "64 lower-case hex digits"},
		{"an issuer alone", "https://issuer.example,", "", "names an issuer and no subject"},
		{"a file that holds no key", filepath.Join(w.Dir, "README.md"), "", "no PEM block"},
		{"nothing", "", "", "is not a digest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseRevocationTarget(c.text, set, password)
			switch {
			case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
				t.Errorf("%v, error %v, want %q", got, err, c.wrong)
			case c.wrong == "" && (err != nil || got.String() != c.want):
				t.Errorf("%v, error %v, want %q", got, err, c.want)
			}
		})
	}
	if _, err := ParseRevocationTarget(file, set, func() ([]byte, error) { return nil, errors.New("no terminal") }); err == nil || !strings.Contains(err.Error(), "no terminal") {
		t.Errorf("without a password: %v", err)
	}
}

func FuzzRevocationTarget(f *testing.F) {
	for _, s := range []string{"sha256:", "key:sha256:", "https://a,b", "a.pub", "ghcr.io/a/b@sha256:" + strings.Repeat("a", 64), "key:" + string(trusttest.Digest("x")), ",", "://,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "/\\.") && !strings.Contains(text, "://") && !strings.Contains(text, "@") {
			return // could name a file of this machine
		}
		target, err := ParseRevocationTarget(text, nil, func() ([]byte, error) { return nil, trust.ErrPasswordNeeded })
		if err != nil {
			return
		}
		named := 0
		for _, set := range []bool{target.Digest != "", target.KeyID != "", target.Identity != nil} {
			if set {
				named++
			}
		}
		if named != 1 {
			t.Errorf("%q names %d things", text, named)
		}
		if target.Digest != "" && !strings.Contains(text, string(target.Digest)) {
			t.Errorf("%q became %s", text, target)
		}
	})
}
