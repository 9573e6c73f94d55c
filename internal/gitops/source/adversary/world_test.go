package adversary

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gitops/follow"
	"github.com/apexlogic/apex/internal/gitops/source"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/verify/verifytest"
	"github.com/apexlogic/apex/verdict"
)

// settings is how many ConfigMaps every revision holds beside the workload: so
// many that the few objects of a case may come and go.
const settings = 30

// attempt is a commit that somebody pushes, and what has to become of it.
type attempt struct {
	name string
	code verdict.Code // that refuses it; "" when all of it has to be applied
	text string       // of deploy/x.yaml, with the words of [world.words]
	more files        // other files; without a mode they are removed
	by   string       // who signs: "" is platform, "-" nobody
	says string       // the commit's message, with trailers
	// objects that come to those of the first revision, when it is let in; 0
	// stands for one.
	objects int
	// keep says that the later revisions hold its files, too.
	keep bool
	// make writes the commits itself and returns the branch's new head.
	make func(w *world) string
}

// none of attempt.objects: the revision holds as many as the first one.
const none = -1 << 10

// world is a repository, a registry with good and bad images and models, and a
// source that follows the repository behind the real gate.
type world struct {
	*testing.T
	*repository
	kit    *verifytest.Kit
	engine *app.Engine
	source *source.Source
	keys   map[string]signer
	public map[string]ssh.PublicKey
	lines  map[string]string // of authorized_keys
	words  *strings.Replacer

	at     string // the directory of the target's objects
	first  string // the first trusted commit
	head   string // that is applied
	before string // the one that was applied before it
	files  files  // of every revision
	kept   int    // objects of those, beside the first revision's

	refused, allowed int
}

// people hold keys. Who is not in the TrustRoot is not known at all.
var people = []string{"platform", "second", "infra", "sealer", "ended", "early", "revoked", "elsewhere", "stranger"}

// newWorld makes a world; target changes the source.
func newWorld(t *testing.T, change func(*v1alpha1.GitSource, *v1alpha1.TrustRoot), policies func(*verifytest.Kit), cluster *kube.Client) *world {
	t.Helper()
	w := &world{T: t, repository: newRepository(t), keys: map[string]signer{}, public: map[string]ssh.PublicKey{}, lines: map[string]string{}}
	w.kit = verifytest.New(t).WithModels()
	everything := &metav1.LabelSelector{}
	w.kit.Docs.Policies[0].Spec.ImageSelector, w.kit.Docs.Models[0].Spec.ModelSelector = everything, everything
	if policies != nil {
		policies(w.kit)
	}
	w.stock()
	root := w.people()
	w.files = files{"README.md": {regular, "hello\n"}}
	w.first = w.commit(verifytest.Now.Add(-2*time.Hour), commit{files: w.files, message: "begin"})
	w.head, w.before = w.first, w.first
	gs := &v1alpha1.GitSource{ObjectMeta: metav1.ObjectMeta{Name: "story"}}
	gs.Spec = v1alpha1.GitSourceSpec{
		URL: w.dir, Path: "deploy", Branch: "main", Namespace: "vision",
		Quota: v1alpha1.GitQuota{Objects: settings + 30},
		Trust: v1alpha1.GitTrust{
			FirstCommit: w.first, Signers: []string{"platform", "second", "ended", "early", "revoked"}, Sealers: []string{"sealer"},
			Paths: []v1alpha1.GitPathTrust{
				{Pattern: "deploy/policies/**", Signers: []string{"platform", "second"}, Threshold: 2},
				{Pattern: "deploy/infra/**", Signers: []string{"infra"}},
			},
		},
		Target: v1alpha1.GitTarget{Embedded: &v1alpha1.EmbeddedTarget{Path: filepath.Join(t.TempDir(), "target")}},
	}
	if change != nil {
		change(gs, root)
	}
	if gs.Spec.Target.Embedded != nil {
		w.at = filepath.Join(gs.Spec.Target.Embedded.Path, "objects")
	}
	w.open(gs, root, cluster)
	w.files["deploy/settings.yaml"] = file{regular, configMaps(settings)}
	w.files["deploy/app.yaml"] = file{regular, w.words.Replace(deployment("captioner", "«good»"))}
	w.must(attempt{name: "the first revision", objects: none})
	w.allowed = 0 // it is no case
	return w
}

// people makes everybody's key, and says whom the source may believe.
func (w *world) people() *v1alpha1.TrustRoot {
	w.Helper()
	root := &v1alpha1.TrustRoot{ObjectMeta: metav1.ObjectMeta{Name: "commits"}}
	for _, name := range people {
		private, line, err := trust.NewSSHKey(name)
		if err != nil {
			w.Fatal(err)
		}
		if w.keys[name], err = trust.SSHCommitSigner(private); err != nil {
			w.Fatal(err)
		}
		key, err := ssh.ParsePrivateKey(private)
		if err != nil {
			w.Fatal(err)
		}
		w.public[name], w.lines[name] = key.PublicKey(), line
		if name == "stranger" {
			continue
		}
		e := v1alpha1.TrustEntry{Name: name, Owner: name + "@example.com", Uses: []v1alpha1.TrustUse{v1alpha1.UseCommits}, SSH: &v1alpha1.SSHEntry{PublicKey: line}}
		yesterday, tomorrow := metav1.NewTime(verifytest.Now.AddDate(0, 0, -1)), metav1.NewTime(verifytest.Now.AddDate(0, 0, 1))
		switch name {
		case "ended":
			e.SSH.ValidUntil = &yesterday
		case "early":
			e.SSH.ValidFrom = &tomorrow
		}
		root.Spec.Entries = append(root.Spec.Entries, e)
	}
	return root
}

// stock fills the registry. Each word stands for one reference.
func (w *world) stock() {
	w.Helper()
	k := w.kit
	good, unsigned := k.Good("vision/good"), k.Push("vision/unsigned", verifytest.App("unsigned"))
	k.Scanned(unsigned)
	wrong := k.Push("vision/wrong", verifytest.App("wrong"))
	k.Sign("thief", wrong)
	k.Scanned(wrong)
	bare := k.Push("vision/bare", verifytest.App("bare"))
	k.Sign("release", bare)
	holed := k.Push("vision/holed", verifytest.App("holed"))
	k.Sign("release", holed)
	k.Attest("scanner", holed, "vuln", verifytest.Scan(holed.Digest, k.Clock.Now().Add(-time.Hour), "CRITICAL"))
	img := verifytest.App("own")
	img.Layers = img.Layers[1:]
	own := k.Push("vision/own", img)
	k.Sign("release", own)
	k.Scanned(own)
	model, naked := k.GoodModel("models/good"), k.PushModel("models/naked", map[string]string{"config.json": "{}", "model.safetensors": "other weights"}, "Apache-2.0")
	half := k.PushModel("models/half", map[string]string{"config.json": "{}", "model.safetensors": "further weights"}, "Apache-2.0")
	k.AttachEvidence(half, k.Evidence(half), "scan")
	host := k.Server.Host
	w.words = strings.NewReplacer(
		"«good»", good.Pinned(), "«good:tag»", good.Image(), "«unsigned»", unsigned.Pinned(), "«unsigned:tag»", unsigned.Image(),
		"«wrong»", wrong.Pinned(), "«bare»", bare.Pinned(), "«holed»", holed.Pinned(), "«own»", own.Pinned(),
		"«gone»", host+"/vision/gone@sha256:"+strings.Repeat("ab", 32), "«gone:tag»", host+"/vision/gone:1.0",
		"«moved»", host+"/vision/unsigned@"+string(good.Digest), // a good image's digest in another repository
		"«repo»", good.Repo, "«digest»", string(good.Digest), "«bad repo»", unsigned.Repo, "«bad digest»", string(unsigned.Digest), "«host»", host,
		"«model»", model.Fixed(), "«model:tag»", model.URI(), "«naked»", naked.Fixed(), "«naked:tag»", naked.URI(), "«half»", half.Fixed(),
		"«no model»", "oci://"+host+"/models/gone@sha256:"+strings.Repeat("cd", 32),
	)
}

// open opens the engine with the policies in force, and the source.
func (w *world) open(gs *v1alpha1.GitSource, root *v1alpha1.TrustRoot, cluster *kube.Client) {
	w.Helper()
	ctx := w.Context()
	state := w.TempDir()
	host := []string{w.kit.Server.Host}
	var err error
	w.engine, err = app.OpenEngine(ctx, app.EngineOptions{
		State: state, Role: "test", AllowPrivate: host, PlainHTTP: host, Advisories: w.TempDir(), Clock: w.kit.Clock, Deadline: 30 * time.Second,
	})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := w.engine.Close(context.Background()); err != nil {
			w.Error(err)
		}
	})
	docs := w.kit.Docs
	var all []config.Source
	add := func(kind string, doc any) { all = append(all, w.document(kind, doc)) }
	for i := range docs.Policies {
		add("ImageSecurityPolicy", &docs.Policies[i])
	}
	for i := range docs.Models {
		add("ModelSecurityPolicy", &docs.Models[i])
	}
	for i := range docs.TrustRoots {
		add("TrustRoot", &docs.TrustRoots[i])
	}
	for i := range docs.Locks {
		for j := range docs.Locks[i].Spec.Images {
			docs.Locks[i].Spec.Images[j].ResolvedAt = metav1.NewTime(verifytest.Now.AddDate(0, 0, -1))
		}
		add("BaseImageLock", &docs.Locks[i])
	}
	if err := w.engine.Publish(ctx, w.load(all)); err != nil {
		w.Fatal(err)
	}
	key, ok := w.public["revoked"].(ssh.CryptoPublicKey)
	if !ok {
		w.Fatal("the key is of no use")
	}
	id, err := trust.KeyID(key.CryptoPublicKey())
	if err != nil {
		w.Fatal(err)
	}
	revocation := &v1alpha1.Revocation{ObjectMeta: metav1.ObjectMeta{Name: "stolen"}}
	revocation.Spec.KeyID, revocation.Spec.Reason = id, "the notebook was stolen"
	stages, err := w.engine.OpenSource(ctx, app.SourceOptions{
		Documents: w.load([]config.Source{w.document("TrustRoot", root), w.document("GitSource", gs), w.document("Revocation", revocation)}),
		State:     filepath.Join(state, "gitops"), Cluster: cluster, Clock: w.kit.Clock,
	})
	if err != nil {
		w.Fatal(err)
	}
	w.source = stages[0]
	w.Cleanup(func() {
		if err := w.source.Close(); err != nil {
			w.Error(err)
		}
	})
}

func (w *world) load(all []config.Source) *config.Set {
	w.Helper()
	set, err := config.Load(w.Context(), all...)
	if err == nil {
		err = set.Err()
	}
	if err != nil {
		w.Fatal(err)
	}
	return set
}

func (w *world) document(kind string, doc any) config.Source {
	w.Helper()
	data, err := json.Marshal(doc)
	if err != nil {
		w.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(data, &body); err != nil {
		w.Fatal(err)
	}
	body["apiVersion"], body["kind"] = v1alpha1.GroupVersion.String(), kind
	delete(body, "status")
	meta := body["metadata"].(map[string]any)
	delete(meta, "creationTimestamp")
	if data, err = json.Marshal(body); err != nil {
		w.Fatal(err)
	}
	return config.Bytes(fmt.Sprintf("%s-%s.json", kind, meta["name"]), data)
}

// write makes the commit of an attempt.
func (w *world) write(a *attempt) string {
	w.Helper()
	if a.make != nil {
		return a.make(w)
	}
	all := w.files.with(nil)
	if a.text != "" {
		all["deploy/x.yaml"] = file{regular, w.words.Replace(a.text)}
	}
	for name, f := range a.more {
		f.text = w.words.Replace(f.text)
		if all[name] = f; f.mode == "" {
			delete(all, name)
		}
	}
	return w.next(all, a.by, a.says)
}

// next is a commit after the applied one.
func (w *world) next(all files, by, message string, parents ...string) string {
	w.Helper()
	if len(parents) == 0 {
		parents = []string{w.head}
	}
	if message == "" {
		message = "Change it"
	}
	return w.commit(w.kit.Clock.Now().Add(-time.Hour), commit{files: all, parents: parents, message: message, sign: w.signer(by)})
}

func (w *world) signer(by string) signer {
	switch by {
	case "-":
		return nil
	case "":
		by = "platform"
	}
	return w.keys[by]
}

// held is the target, byte for byte.
func (w *world) held() string {
	w.Helper()
	if w.at == "" {
		return ""
	}
	sum := sha256.New()
	err := filepath.WalkDir(w.at, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		fmt.Fprintf(sum, "%s %d\n%s\n", name, len(data), data)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// try pushes an attempt, and says what is wrong with what became of it; "" when
// nothing is.
func (w *world) try(a attempt) string {
	w.Helper()
	was := w.held()
	head := w.write(&a)
	w.point(head)
	err := w.source.Pass(w.Context())
	state, stateErr := w.source.State(w.Context())
	if stateErr != nil {
		w.Fatal(stateErr)
	}
	if a.code == "" {
		return w.applied(&a, head, state.Accepted.Commit, err, state.Objects)
	}
	defer w.point(w.head)
	refused, is := errors.AsType[*follow.Refused](err)
	switch {
	case err == nil:
		w.before, w.head = w.head, head // the next ones are to follow it
		return "IT WAS APPLIED"
	case !is:
		w.head = state.Accepted.Commit // the next ones are to follow it
		return fmt.Sprintf("no refusal but an error: %v", err)
	case w.held() != was:
		return fmt.Sprintf("the target is another one: %v", err)
	case state.Applied.Commit != w.head:
		return fmt.Sprintf("%s is what counts as applied, not %s: %v", state.Applied.Commit, w.head, err)
	case refused.Code != a.code:
		return fmt.Sprintf("%v, want %s", err, a.code)
	case refused.Why == "":
		return "it is refused without a reason"
	}
	w.refused++
	return ""
}

func (w *world) applied(a *attempt, head, accepted string, err error, objects int) string {
	w.Helper()
	if err != nil {
		w.head = accepted // it may have begun
		w.point(w.head)
		return fmt.Sprintf("it is good, and: %v", err)
	}
	want := settings + 1 + w.kept
	switch a.objects {
	case none:
	case 0:
		want++
	default:
		want += a.objects
	}
	w.before, w.head = w.head, head
	if status := w.source.Status(); status.Commit != head || objects != want {
		return fmt.Sprintf("%s with %d objects is applied, want %s with %d", status.Commit, objects, head, want)
	}
	if plan, err := w.source.Diff(w.Context()); err != nil || !plan.Empty() {
		return fmt.Sprintf("the target holds something else: %v", err)
	}
	if a.keep {
		w.files, w.kept = w.trees[head], want-settings-1
	}
	w.allowed++
	return ""
}

// must pushes what has to be applied.
func (w *world) must(a attempt) {
	w.Helper()
	if wrong := w.try(a); wrong != "" {
		w.Fatalf("%s: %s", a.name, wrong)
	}
}

// tryAll pushes all attempts, one after the other, and reports each that goes wrong.
func (w *world) tryAll(groups ...[]attempt) {
	w.Helper()
	names := map[string]bool{}
	for _, a := range slices.Concat(groups...) {
		if names[a.name] {
			w.Errorf("%q is there twice", a.name)
		}
		names[a.name] = true
		if wrong := w.try(a); wrong != "" {
			w.Errorf("%s: %s", a.name, wrong)
		}
	}
}

func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {key: value}\n"
}

func configMaps(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "---\n%s", configMap(fmt.Sprintf("settings-%d", i)))
	}
	return b.String()
}

func deployment(name, image string) string {
	return `{apiVersion: apps/v1, kind: Deployment, metadata: {name: ` + name + `}, spec: {selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c, image: "` + image + `"}]}}}}` + "\n"
}
