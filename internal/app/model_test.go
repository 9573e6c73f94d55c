package app

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/registry"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

// modelHost is the embedded registry with a gate that judges models, the engine
// behind it, and the key that the policy in force asks for.
type modelHost struct {
	t      *testing.T
	engine *Engine
	meets  ModelRegistries
	host   string
	key    trusttest.Key
	gated  atomic.Int64 // how often the gate was asked
}

func newModelHost(t *testing.T) *modelHost {
	t.Helper()
	h := &modelHost{t: t, key: trusttest.NewKey(t)}
	srv := httptest.NewUnstartedServer(nil)
	h.host = srv.Listener.Addr().String()
	dir := t.TempDir()
	local, err := registry.OpenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	h.meets = ModelRegistries{AllowPrivate: []string{h.host}, PlainHTTP: []string{h.host}, Keychain: LocalKeychain(h.host, local.Token(), nil)}
	h.engine, err = OpenEngine(t.Context(), EngineOptions{
		State: t.TempDir(), Role: "cli", AllowPrivate: []string{h.host}, PlainHTTP: []string{h.host},
		Keychain: LocalKeychain(h.host, local.Token(), nil), Recheck: time.Nanosecond, WithoutCache: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := registry.New(registry.Options{Dir: dir, Auth: local, Gate: func(ctx context.Context, repo, tag string, digest verdict.Digest) (verdict.Decision, string, error) {
		h.gated.Add(1)
		return h.engine.Gate(h.host, nil)(ctx, repo, tag, digest)
	}})
	if err != nil {
		t.Fatal(err)
	}
	srv.Config = registry.Server(r)
	srv.Start()
	t.Cleanup(func() {
		srv.Close()
		if err := errors.Join(r.Close(), h.engine.Close(context.WithoutCancel(t.Context()))); err != nil {
			t.Error(err)
		}
	})
	signers := []string{"models"}
	root := &v1alpha1.TrustRoot{TypeMeta: typeMeta("TrustRoot"), ObjectMeta: metav1.ObjectMeta{Name: "ours"}}
	root.Spec.Entries = []v1alpha1.TrustEntry{{Name: "models", Uses: []v1alpha1.TrustUse{v1alpha1.UseModels}, Key: &v1alpha1.KeyEntry{PEM: string(h.key.PEM)}}}
	models := &v1alpha1.ModelSecurityPolicy{TypeMeta: typeMeta("ModelSecurityPolicy"), ObjectMeta: metav1.ObjectMeta{Name: "models"}}
	models.Spec.ModelSelector = &metav1.LabelSelector{}
	models.Spec.Rules = make([]v1alpha1.ModelRule, 2)
	models.Spec.Rules[0].Name, models.Spec.Rules[0].Parameters.RequireSignatureFrom = v1alpha1.RequireModelSignature, signers
	models.Spec.Rules[1].Name, models.Spec.Rules[1].Parameters.ScanFrom = v1alpha1.ModelScanThreshold, signers
	if err := h.engine.Publish(t.Context(), load(t, root, models)); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *modelHost) ref(text string) reference.Reference {
	h.t.Helper()
	ref, err := reference.Parse(h.host + "/" + text)
	if err != nil {
		h.t.Fatal(err)
	}
	return ref
}

func (h *modelHost) folder(name string, files map[string]string) string {
	h.t.Helper()
	dir := filepath.Join(h.t.TempDir(), name)
	for file, text := range files {
		full := filepath.Join(dir, filepath.FromSlash(file))
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(text), 0o644)); err != nil {
			h.t.Fatal(err)
		}
	}
	return dir
}

func (h *modelHost) pack(dir, to string, o PackOptions) (*PackedModel, error) {
	return PackModel(h.t.Context(), h.engine.Registry, dir, h.ref(to), o)
}

var (
	plainModel = map[string]string{"config.json": `{"model_type":"tiny"}`, "notes and more/léame.md": "# Notes\n", "empty.txt": ""}
	// A pickle that runs a command when it is loaded; nothing here loads it.
	badModel = map[string]string{"config.json": "{}", "model.pkl": "cos\nsystem\n(S'true'\ntR."}
)

func TestAGateSeesAModelTogetherWithItsEvidence(t *testing.T) {
	h := newModelHost(t)
	dir := h.folder("captioner", plainModel)
	// Without a signature the tag is refused, and the artifact is kept.
	_, err := h.pack(dir, "vision/model:1.0", PackOptions{})
	if err == nil || !strings.Contains(err.Error(), "apex verify oci://") || h.gated.Load() != 1 {
		t.Fatalf("unsigned: %v, and the gate was asked %d times", err, h.gated.Load())
	}
	if _, err := h.engine.Registry.Resolve(t.Context(), h.ref("vision/model:1.0")); !oci.IsNotFound(err) {
		t.Fatalf("the tag is there: %v", err)
	}
	// Signed by a stranger, too.
	if _, err := h.pack(dir, "vision/model:1.0", PackOptions{Key: trusttest.NewKey(t).Signer}); err == nil {
		t.Fatal("a stranger's model has its tag")
	}
	packed, err := h.pack(dir, "vision/model:1.0", PackOptions{Key: h.key.Signer})
	if err != nil {
		t.Fatal(err)
	}
	if !packed.Signed || packed.Files != len(plainModel) || packed.Scan.Blocked() || h.gated.Load() != 3 {
		t.Errorf("%+v, and the gate was asked %d times", packed, h.gated.Load())
	}
	m, err := h.engine.Registry.Resolve(t.Context(), h.ref("vision/model:1.0"))
	if err != nil || m.Digest != packed.Ref.Digest {
		t.Errorf("the tag names %s, %v", m.Digest, err)
	}
	// The same again changes nothing; another model cannot have the tag.
	if again, err := h.pack(dir, "vision/model:1.0", PackOptions{Key: h.key.Signer}); err != nil || again.Ref != packed.Ref || again.Root != packed.Root {
		t.Errorf("again: %+v, %v", again, err)
	}
	other := h.folder("other", map[string]string{"config.json": "{}"})
	if _, err := h.pack(other, "vision/model:1.0", PackOptions{Key: h.key.Signer}); err == nil || !strings.Contains(err.Error(), "give it another tag") {
		t.Errorf("another model under the same tag: %v", err)
	}
	if _, err := h.pack(other, "vision/model:1.1", PackOptions{Key: h.key.Signer}); err != nil {
		t.Errorf("another model under another tag: %v", err)
	}
}

func TestAModelIsPulledOnlyWhenItMayBeServed(t *testing.T) {
	h := newModelHost(t)
	packed, err := h.pack(h.folder("captioner", plainModel), "vision/model:1.0", PackOptions{Key: h.key.Signer})
	if err != nil {
		t.Fatal(err)
	}
	// The same files without evidence, by their digest.
	bare := artifactOf(t, h, "mirror/model:1.0")
	dir := filepath.Join(t.TempDir(), "here")
	report, err := h.engine.PullModel(t.Context(), "oci://"+bare, dir, PullOptions{})
	if err != nil || report.Decision() != verdict.Deny || report.Verdicts[0].Code != verdict.ModelSignatureMissing {
		t.Fatalf("%s, %v", report.Decision(), err)
	}
	if rest, _ := filepath.Glob(dir + "*"); len(rest) != 0 {
		t.Errorf("pulled %q", rest)
	}
	report, err = h.engine.PullModel(t.Context(), "oci://"+h.host+"/vision/model:1.0", dir, PullOptions{})
	if err != nil || report.Decision() != verdict.Allow || report.Verdicts[0].Ref != packed.Ref {
		t.Fatalf("%s, %v", report.Decision(), err)
	}
	for name, text := range plainModel {
		if got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name))); err != nil || string(got) != text {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	// What cannot be bound to a digest is not pulled.
	report, err = h.engine.PullModel(t.Context(), "hf://owner/model", filepath.Join(t.TempDir(), "there"), PullOptions{})
	if err != nil || report.Decision() != verdict.Deny || report.Verdicts[0].Code != verdict.ModelReference {
		t.Errorf("%s, %v", report.Decision(), err)
	}
}

// artifactOf pushes the plain model without a tag and without evidence, and
// returns it by its digest.
func artifactOf(t *testing.T, h *modelHost, to string) string {
	t.Helper()
	var files []fact.ModelFile
	for name, text := range plainModel {
		files = append(files, fact.ModelFile{Path: name, Digest: trusttest.Digest(text), Size: int64(len(text))})
	}
	ref := h.ref(to)
	p, err := artifact.Pack(t.Context(), h.engine.Registry, ref, h.folder("bare", plainModel), files, nil, artifact.Description{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ref.Name() + "@" + string(p.Descriptor.Digest)
}

func TestAModelThatTheScanBlocksIsPackedOnlyByForceAndStaysDenied(t *testing.T) {
	h := newModelHost(t)
	dir := h.folder("bad", badModel)
	_, err := h.pack(dir, "vision/bad:1.0", PackOptions{Key: h.key.Signer})
	if blocked, ok := errors.AsType[*BlockedError](err); !ok || !strings.Contains(blocked.Error(), "model.pkl") {
		t.Fatalf("%v", err)
	}
	// By force it is pushed with what was found, so the gate keeps its tag away.
	if _, err := h.pack(dir, "vision/bad:1.0", PackOptions{Key: h.key.Signer, Force: true}); err == nil || !strings.Contains(err.Error(), "kept as") {
		t.Fatalf("%v", err)
	}
	good := h.folder("good", plainModel)
	if _, err := h.pack(good, "vision/bad:1.0", PackOptions{Key: h.key.Signer}); err != nil {
		t.Fatalf("its honest twin: %v", err)
	}
}

func TestAModelsFolderMayHaveAnyName(t *testing.T) {
	h := newModelHost(t)
	for i, name := range []string{"model:v1", "model@2", "ein Modell", "模型"} {
		if _, err := h.pack(h.folder(name, plainModel), "vision/named:"+string(rune('a'+i)), PackOptions{Key: h.key.Signer}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheSameModelIsPackedToTheSameDigest(t *testing.T) {
	h := newModelHost(t)
	o := PackOptions{Key: h.key.Signer, Description: artifact.Description{Created: time.Unix(1_800_000_000, 0)}, Clock: clock.System{}}
	one, err := h.pack(h.folder("one", plainModel), "vision/one:1.0", o)
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.pack(h.folder("two", plainModel), "vision/two:1.0", o)
	if err != nil || one.Ref.Digest != two.Ref.Digest || one.Root != two.Root {
		t.Errorf("%+v and %+v, %v", one, two, err)
	}
}
