package source

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/follow"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/internal/gitops/target/embedded"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/verdict"
)

// story is a repository with a signer, and a source that follows it into an
// embedded target.
type story struct {
	t    *testing.T
	dir  string // the work tree
	key  string // of the signer
	deny string // an object's name that the gate denies
	*Source
	mu      sync.Mutex
	records []string
	// operator may roll back, a stranger may not.
	operator, stranger crypto.Signer
	drifts             chan heal.Report
}

func (s *story) git(args ...string) string {
	s.t.Helper()
	c := exec.CommandContext(s.t.Context(), "git", append([]string{"-C", s.dir}, args...)...)
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := c.CombinedOutput()
	if err != nil {
		s.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func sshKey(t *testing.T, dir, name string) (file, public string) {
	t.Helper()
	file = filepath.Join(dir, name)
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file).CombinedOutput(); err != nil {
		t.Skipf("ssh-keygen is needed: %v %s", err, out)
	}
	data, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return file, strings.TrimSpace(string(data))
}

func promoter(t *testing.T) (crypto.Signer, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// commit writes files and commits them, signed unless the key is "".
func (s *story) commit(message, key string, files map[string]string) string {
	s.t.Helper()
	for name, text := range files {
		p := filepath.Join(s.dir, name)
		if text == "" {
			s.git("rm", "-q", name)
			continue
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	s.git("add", "-A")
	args := []string{"-c", "gpg.format=ssh", "-c", "user.signingkey=" + key, "commit", "-q", "--allow-empty", "-m", message}
	if key != "" {
		args = append(args, "-S")
	}
	s.git(args...)
	return s.git("rev-parse", "HEAD")
}

func configMap(name, value string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: vision}\ndata: {key: \"" + value + "\"}\n"
}

func newStory(t *testing.T, change func(*v1alpha1.GitSource)) *story {
	t.Helper()
	return newStoryWith(t, func(o *Options) {
		if change != nil {
			change(o.Source)
		}
	})
}

// newStoryWith also lets the test change whom the source trusts, and what it is
// given.
func newStoryWith(t *testing.T, change func(*Options)) *story {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is needed")
	}
	home := t.TempDir()
	s := &story{t: t, dir: filepath.Join(home, "repo"), drifts: make(chan heal.Report, 100)}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var public string
	s.key, public = sshKey(t, home, "platform")
	s.git("init", "-q", "-b", "main")
	s.git("config", "user.name", "a")
	s.git("config", "user.email", "a@example.com")
	first := s.commit("begin", "", map[string]string{"README.md": "hello\n"})
	gs := &v1alpha1.GitSource{}
	gs.Name = "story"
	gs.Spec.URL, gs.Spec.Path, gs.Spec.Branch = s.dir, "deploy", "main"
	gs.Spec.Trust = v1alpha1.GitTrust{FirstCommit: first, Signers: []string{"platform"}}
	gs.Spec.Target.Embedded = &v1alpha1.EmbeddedTarget{}
	root := v1alpha1.TrustRoot{}
	root.Spec.Entries = []v1alpha1.TrustEntry{{Name: "platform", Owner: "platform", Uses: []v1alpha1.TrustUse{v1alpha1.UseCommits}, SSH: &v1alpha1.SSHEntry{PublicKey: public}}}
	var operator string
	s.operator, operator = promoter(t)
	s.stranger, _ = promoter(t)
	root.Spec.Entries = append(root.Spec.Entries, v1alpha1.TrustEntry{Name: "operator", Owner: "operator", Uses: []v1alpha1.TrustUse{v1alpha1.UsePromotions}, Key: &v1alpha1.KeyEntry{PEM: operator}})
	o := s.options(home)
	o.Source, o.TrustRoots = gs, []v1alpha1.TrustRoot{root}
	if change != nil {
		change(&o)
	}
	s.open(o)
	return s
}

// open opens the source and closes it with the test.
func (s *story) open(o Options) {
	s.t.Helper()
	var err error
	if s.Source, err = Open(s.t.Context(), o); err != nil {
		s.t.Fatal(err)
	}
	opened := s.Source
	s.t.Cleanup(func() {
		if err := opened.Close(); err != nil && !errors.Is(err, os.ErrClosed) { // a story may have begun anew
			s.t.Error(err)
		}
	})
}

// options are those that do not depend on the source.
func (s *story) options(home string) Options {
	seed := sha256.Sum256([]byte("state"))
	key := ed25519.NewKeyFromSeed(seed[:])
	return Options{
		State: filepath.Join(home, "state"),
		Sign:  func(_ context.Context, m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil },
		Verify: func(_ context.Context, m, sig []byte) error {
			if !ed25519.Verify(key.Public().(ed25519.PublicKey), m, sig) {
				return errors.New("the signature does not verify")
			}
			return nil
		},
		Gate: func(_ context.Context, r Revision) (verdict.Report, error) {
			report := verdict.Report{Schema: verdict.ReportSchema, Verdicts: []verdict.Verdict{{Decision: verdict.Allow}}}
			for _, o := range r.Set.Objects() {
				if o.Name == s.deny {
					report.Verdicts = append(report.Verdicts, verdict.Verdict{Decision: verdict.Deny, Code: verdict.SignatureMissing, Reason: "nobody signed it"})
				}
			}
			return report, nil
		},
		Record: func(_ context.Context, kind string, payload any) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if e, ok := payload.(follow.Event); ok {
				kind += " " + e.Kind
			}
			s.records = append(s.records, kind)
			return nil
		},
		Drift: func(r heal.Report) { s.drifts <- r },
	}
}

func (s *story) value(name string) string {
	s.t.Helper()
	live, err := s.place.target.Get(s.t.Context(), gitops.ID{Kind: "ConfigMap", Namespace: "vision", Name: name}, "v1")
	if errors.Is(err, gitops.ErrNotFound) {
		return ""
	}
	if err != nil {
		s.t.Fatal(err)
	}
	data, _ := live.Body["data"].(map[string]any)
	v, _ := data["key"].(string)
	return v
}

func (s *story) refused(code verdict.Code) {
	s.t.Helper()
	err := s.Pass(s.t.Context())
	r, is := errors.AsType[*follow.Refused](err)
	if !is || r.Code != code {
		s.t.Errorf("%v, want a refusal with %s", err, code)
	}
}

func TestASignedCommitIsAppliedAndAnUnsignedOneIsNot(t *testing.T) {
	s := newStory(t, nil)
	s.commit("one", s.key, map[string]string{"deploy/a.yaml": configMap("a", "1")})
	if err := s.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.value("a"); got != "1" {
		t.Errorf("a is %q", got)
	}
	s.commit("two", "", map[string]string{"deploy/a.yaml": configMap("a", "2")})
	s.refused(verdict.CommitUnsigned)
	if got := s.value("a"); got != "1" {
		t.Errorf("an unsigned commit was applied: %q", got)
	}
	// A signed one on top does not make it good.
	s.commit("three", s.key, map[string]string{"deploy/b.yaml": configMap("b", "3")})
	s.refused(verdict.CommitUnsigned)
	if got := s.value("b"); got != "" {
		t.Errorf("it was: %q", got)
	}
	st := s.Status()
	if st.Ready() || st.Refused == nil || st.Objects != 1 {
		t.Errorf("%+v", st)
	}
}

func TestABranchThatWasMovedBackIsRefused(t *testing.T) {
	s := newStory(t, nil)
	old := s.commit("one", s.key, map[string]string{"deploy/a.yaml": configMap("a", "1")})
	s.commit("two", s.key, map[string]string{"deploy/a.yaml": configMap("a", "2")})
	if err := s.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.git("reset", "-q", "--hard", old)
	s.refused(verdict.HistoryRewound)
	if got := s.value("a"); got != "2" {
		t.Errorf("a is %q", got)
	}
}

func TestOneDeniedObjectStopsTheRevision(t *testing.T) {
	s := newStory(t, nil)
	s.deny = "evil"
	s.commit("one", s.key, map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/e.yaml": configMap("evil", "1")})
	s.refused(verdict.SignatureMissing)
	if s.value("a")+s.value("evil") != "" {
		t.Error("a part of it was applied")
	}
	s.commit("two", s.key, map[string]string{"deploy/e.yaml": ""})
	if err := s.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.value("a") != "1" {
		t.Error("the good part is not applied")
	}
}

func TestAModeThatIsNoneIsRefused(t *testing.T) {
	s := newStory(t, nil)
	with := func(mode string) string {
		return strings.Replace(configMap("a", "1"), "namespace: vision}", "namespace: vision, annotations: {apexlogic.com/heal: "+mode+"}}", 1)
	}
	s.commit("a typing error", s.key, map[string]string{"deploy/a.yaml": with("Wran")})
	s.refused(verdict.ObjectInvalid)
	s.commit("corrected", s.key, map[string]string{"deploy/a.yaml": with("Warn")})
	if err := s.Pass(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWhatIsTamperedWithIsHealedAndRecorded(t *testing.T) {
	s := newStory(t, nil)
	s.commit("one", s.key, map[string]string{"deploy/a.yaml": configMap("a", "1")})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() { stop(); <-done }()
	await(t, "the first apply", func() bool { return s.value("a") == "1" })
	store := s.place.target.(*embedded.Store)
	id := gitops.ID{Kind: "ConfigMap", Namespace: "vision", Name: "a"}
	if _, err := store.Update(ctx, id, "evil", "", func(body map[string]any) error {
		body["data"] = map[string]any{"key": "bad", "more": "x"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var r heal.Report
	select {
	case r = <-s.drifts:
	case <-time.After(2 * time.Minute):
		t.Fatal("nothing was reported")
	}
	if r.Code != verdict.DriftHealed || r.ID != id || len(r.By) == 0 || r.By[0].Name != "evil" {
		t.Errorf("%+v", r)
	}
	await(t, "the healing", func() bool { return s.value("a") == "1" })
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.records, RecordDrift) {
		t.Errorf("it is not on record: %q", s.records)
	}
}

func TestWhatARestartFindsIsHealed(t *testing.T) {
	s := newStory(t, nil)
	s.commit("one", s.key, map[string]string{"deploy/a.yaml": configMap("a", "1")})
	if err := s.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	store := s.place.target.(*embedded.Store)
	if err := store.Delete(t.Context(), gitops.ID{Kind: "ConfigMap", Namespace: "vision", Name: "a"}, "v1", gitops.Precondition{}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() { stop(); <-done }()
	await(t, "the healing", func() bool { return s.value("a") == "1" })
}

func TestAProcessThatBeginsAnewHealsWhatAnotherApplied(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.GitSource){
		"an embedded target": func(*v1alpha1.GitSource) {},
		"a directory": func(g *v1alpha1.GitSource) {
			g.Spec.Target = v1alpha1.GitTarget{Directory: &v1alpha1.DirectoryTarget{Path: filepath.Join(t.TempDir(), "deployed")}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var o Options
			s := newStoryWith(t, func(given *Options) { change(given.Source); o = *given })
			s.commit("one", s.key, map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/b.yaml": configMap("b", "1")})
			if err := s.Pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			begin := func() (end func()) {
				t.Helper()
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				// The commit may no longer pass: what is applied is healed all the same.
				o.Gate = func(context.Context, Revision) (verdict.Report, error) {
					return verdict.Report{Unresolved: []verdict.Unresolved{{Code: verdict.Revoked, Why: "it was stopped"}}}, nil
				}
				s.open(o)
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- s.Run(ctx) }()
				return func() { stop(); <-done }
			}
			end := begin()
			await(t, "the start", s.ready.Load)
			id := gitops.ID{Kind: "ConfigMap", Namespace: "vision", Name: "a"}
			if err := s.place.target.Delete(t.Context(), id, "v1", gitops.Precondition{}); err != nil {
				t.Fatal(err)
			}
			await(t, "the healing of what was tampered with after the start", func() bool { return s.value("a") == "1" })
			end()
			if err := s.place.target.Delete(t.Context(), id, "v1", gitops.Precondition{}); err != nil {
				t.Fatal(err)
			}
			end = begin()
			defer end()
			await(t, "the healing of what was tampered with before it", func() bool { return s.value("a") == "1" })
			if s.value("b") != "1" {
				t.Error("what nobody touched is gone")
			}
		})
	}
}

func TestARollbackWorksWithoutGitAndHolds(t *testing.T) {
	s := newStory(t, nil)
	one := s.commit("one", s.key, map[string]string{"deploy/a.yaml": configMap("a", "1")})
	if err := s.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if sick, err := s.CheckHealth(t.Context()); err != nil || len(sick) > 0 {
		t.Fatal(sick, err)
	}
	s.commit("two", s.key, map[string]string{"deploy/a.yaml": configMap("a", "2"), "deploy/b.yaml": configMap("b", "2")})
	if err := s.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone := s.dir + ".gone"
	if err := os.Rename(s.dir, gone); err != nil { // Git is unreachable
		t.Fatal(err)
	}
	if _, err := s.Rollback(t.Context(), "", "it answers nonsense", s.stranger); err == nil {
		t.Error("a stranger may roll back")
	}
	r, err := s.Rollback(t.Context(), "", "it answers nonsense", s.operator)
	if err != nil {
		t.Fatal(err)
	}
	if r.Revision.Commit != one || s.value("a") != "1" || s.value("b") != "" {
		t.Errorf("%+v, a is %q, b is %q", r, s.value("a"), s.value("b"))
	}
	if err := os.Rename(gone, s.dir); err != nil {
		t.Fatal(err)
	}
	// Automation is on, and what was left does not come back.
	if err := s.Pass(t.Context()); err != nil || s.value("a") != "1" {
		t.Errorf("%v, a is %q", err, s.value("a"))
	}
	if st := s.Status(); !st.Ready() || st.Held == "" {
		t.Errorf("%+v", st)
	}
	s.commit("three", s.key, map[string]string{"deploy/a.yaml": configMap("a", "3")})
	if err := s.Pass(t.Context()); err != nil || s.value("a") != "3" || s.value("b") != "2" {
		t.Errorf("%v, a is %q, b is %q", err, s.value("a"), s.value("b"))
	}
}

// TestARollbackByAnotherProcessHolds has one process that follows and heals, and
// another that rolls back beside it.
func TestARollbackByAnotherProcessHolds(t *testing.T) {
	s := newStory(t, nil)
	s.commit("one", s.key, map[string]string{"deploy/a.yaml": configMap("a", "1")})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() { stop(); <-done }()
	good := func() bool {
		state, err := s.State(ctx)
		return err == nil && len(state.Good) > 0 && state.Good[len(state.Good)-1] == state.Applied
	}
	await(t, "the first revision's health", good)
	s.commit("two", s.key, map[string]string{"deploy/a.yaml": configMap("a", "2")})
	s.Notify()
	await(t, "the second revision", func() bool { return s.value("a") == "2" && good() })
	o := s.o
	o.State = filepath.Join(filepath.Dir(o.State), "state") // the same mirror, which is locked
	other, err := openBeside(t, s, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Rollback(ctx, "", "it answers nonsense", s.operator); err != nil {
		t.Fatal(err)
	}
	await(t, "the rollback is taken up", func() bool { return s.counter.Load() == 3 })
	await(t, "the old value", func() bool {
		p, err := s.Diff(ctx)
		return err == nil && p.Empty() && s.value("a") == "1" && s.Healer().Idle()
	})
}

func TestAPlanIsMadeBesideWhoFollows(t *testing.T) {
	s := newStory(t, nil)
	s.commit("one", s.key, map[string]string{"deploy/a.yaml": configMap("a", "1")})
	if err := s.Pass(t.Context()); err != nil { // and has the mirror open
		t.Fatal(err)
	}
	s.commit("two", s.key, map[string]string{"deploy/a.yaml": configMap("a", "2")})
	other, err := openBeside(t, s, s.o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Plan(t.Context()); !errors.Is(err, repo.ErrLocked) {
		t.Errorf("who may apply: %v", err)
	}
	o := s.o
	o.Looks = true
	if other, err = openBeside(t, s, o); err != nil {
		t.Fatal(err)
	}
	if p, err := other.Plan(t.Context()); err != nil || p.Changed != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(o.State, "look-*")); err != nil || len(left) > 0 {
		t.Errorf("%q is left, %v", left, err)
	}
}

// openBeside opens the same source again, on the same target.
func openBeside(t *testing.T, s *story, o Options) (*Source, error) {
	t.Helper()
	other, err := Open(t.Context(), func() Options {
		o.Source = o.Source.DeepCopy()
		o.Source.Spec.Target.Embedded.Path = t.TempDir()
		return o
	}())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { other.Close() })
	other.place = place{target: s.place.target, store: s.place.store}
	other.applier, err = apply.New(apply.Config{Target: s.place.target, Store: s.place.store, Sign: o.Sign, Verify: o.Verify, Clock: o.Clock})
	return other, err
}

func TestADiffShowsTheDriftAndHealMendsIt(t *testing.T) {
	s := newStory(t, nil)
	s.commit("one", s.key, map[string]string{"deploy/a.yaml": configMap("a", "1")})
	if err := s.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Diff(t.Context()); err != nil || !p.Empty() {
		t.Fatalf("%+v %v", p, err)
	}
	store := s.place.target.(*embedded.Store)
	if _, err := store.Update(t.Context(), gitops.ID{Kind: "ConfigMap", Namespace: "vision", Name: "a"}, "evil", "", func(body map[string]any) error {
		body["data"] = map[string]any{"key": "bad"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	p, err := s.Diff(t.Context())
	if err != nil || p.Changed != 1 {
		t.Fatalf("%+v %v", p, err)
	}
	if _, err := s.Heal(t.Context()); err != nil || s.value("a") != "1" {
		t.Errorf("%v, a is %q", err, s.value("a"))
	}
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestTheRevisionsThatAreKeptAreThoseThatCanBeGoneBackTo(t *testing.T) {
	s := newStory(t, nil)
	id := gitops.ID{Kind: "ConfigMap", Namespace: "vision", Name: "a"}
	for _, value := range []string{"1", "2"} {
		s.commit(value, s.key, map[string]string{"deploy/a.yaml": configMap("a", value)})
		if err := s.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !s.healthy(t.Context()) {
			t.Fatal("it is not healthy")
		}
	}
	all, err := s.kept(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var values []any
	for _, o := range all {
		values = append(values, o.Body["data"].(map[string]any)["key"])
	}
	if !slices.Equal(values, []any{"1", "2"}) {
		t.Errorf("kept %v", values)
	}
	if all, err := s.kept(t.Context(), gitops.ID{Kind: "ConfigMap", Namespace: "vision", Name: "other"}); err != nil || len(all) > 0 {
		t.Errorf("of another, kept %v %v", all, err)
	}
}
