package apply_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/target/dir"
	"github.com/apexlogic/apex/internal/gitops/target/dir/state"
	"github.com/apexlogic/apex/internal/gitops/target/embedded"
	"github.com/apexlogic/apex/internal/kube/kubetest"
)

// The test binary starts itself: with this variable it is the process that is
// killed. Its value is "target step checkpoint": the checkpoint is a name or a
// number with an @, at which the process kills itself, or "-", where it says each
// one and is killed from outside.
const killVariable = "APEX_TEST_KILL"

func TestMain(m *testing.M) {
	if v := os.Getenv(killVariable); v != "" {
		if err := victim(strings.Fields(v)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	kubetest.Main(m)
}

// world is a target and its store on disk.
type world struct {
	target interface {
		gitops.Target
		gitops.Lister
		Close() error
	}
	store *state.Store
	*apply.Applier
}

func openWorld(kind, root string, checkpoint func(string)) (*world, error) {
	w := &world{}
	var err error
	if kind == "dir" {
		var d *dir.Dir
		if d, err = dir.Open(dir.Options{Path: filepath.Join(root, "target")}); err == nil {
			w.target, w.store = d, d.State()
		}
	} else {
		if w.target, err = embedded.Open(embedded.Options{Dir: filepath.Join(root, "target")}); err == nil {
			w.store, err = state.Open(filepath.Join(root, "state"))
		}
	}
	if err != nil {
		return nil, err
	}
	w.Applier, err = apply.New(apply.Config{Target: refuser{w.target, w.target}, Store: w.store, Sign: signState, Verify: verifyState,
		Clock: clock.At(noon), Workers: 4, Checkpoint: checkpoint})
	return w, err
}

func (w *world) close() error {
	return errors.Join(w.target.Close(), w.store.Close())
}

// revision returns the objects of the story's commits.
func revision(t testing.TB, n string) []gitops.Object {
	texts := []string{
		"Namespace vision", "CustomResourceDefinition widgets.example.com", "ServiceAccount vision/runner",
		"Role vision/runner", "ValidatingWebhookConfiguration guard v=" + n, "Deployment vision/captioner v=" + n,
	}
	for i := range 12 {
		texts = append(texts, fmt.Sprintf("ConfigMap vision/stays-%d a=b", i))
	}
	for i := range 3 {
		texts = append(texts, fmt.Sprintf("ConfigMap vision/changes-%d v=%s", i, n), fmt.Sprintf("ConfigMap vision/only-%s-%d a=b", n, i))
	}
	return objects(t, append(texts, "Widget vision/only-"+n)...)
}

const victimsSource = "vision"

func storyRequest(t testing.TB, n, after string) apply.Request {
	return apply.Request{Source: apply.Source{Name: victimsSource}, Set: setOf(t, revision(t, n)...), Commit: "commit-" + n, After: after, Look: apply.LookChanged, AllowPrune: true}
}

func rollbackRequest() apply.RollbackRequest {
	return apply.RollbackRequest{
		Source: apply.Source{Name: victimsSource},
		Record: func(context.Context, *apply.State, apply.Transition) ([]byte, error) { return []byte("record"), nil },
		Verify: func(_ context.Context, _ *apply.State, _ apply.Transition, r []byte) (json.RawMessage, error) {
			if string(r) != "record" {
				return nil, errors.New("not the record")
			}
			return nil, nil
		},
	}
}

// story brings the world to just before the step, or through it.
func (w *world) step(ctx context.Context, t testing.TB, step string) error {
	do := func(r apply.Request) error {
		p, err := w.Plan(ctx, r)
		if err != nil {
			return err
		}
		_, err = w.Apply(ctx, p)
		return err
	}
	switch step {
	case "first":
		return do(storyRequest(t, "one", ""))
	case "healthy":
		_, err := w.CheckHealth(ctx, victimsSource)
		return err
	case "change":
		return do(storyRequest(t, "two", "commit-one"))
	case "refused":
		return returned(do(storyRequest(t, "bad", "commit-one")))
	case "rollback":
		_, err := w.Rollback(ctx, rollbackRequest())
		return err
	case "next":
		return do(storyRequest(t, "three", "commit-two"))
	}
	return fmt.Errorf("no step %q", step)
}

var story = []string{"first", "healthy", "change", "rollback", "next"}

// holds is the revision that the target holds after a step.
var holds = map[string]string{"first": "one", "healthy": "one", "change": "two", "rollback": "one", "next": "three"}

// victim makes one step and dies in it.
func victim(args []string) error {
	kind, step, at, root := args[0], args[1], args[2], args[3]
	t := &testing.B{} // only for its Helper and Fatal
	out := bufio.NewWriterSize(os.Stdout, 1)
	var mu sync.Mutex
	var passed atomic.Int64
	w, err := openWorld(kind, root, func(name string) {
		if name == at || fmt.Sprintf("@%d", passed.Add(1)) == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(out, name)
		out.Flush()
	})
	if err != nil {
		return err
	}
	return w.step(context.Background(), t, step)
}

// runVictim starts it and kills it after so many checkpoints, unless it kills
// itself; it reports whether the process was killed.
func runVictim(t *testing.T, kind, step, at, root string, after int) (killed bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), killVariable+"="+strings.Join([]string{kind, step, at, root}, " "))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); {
		if n++; at == "-" && n == after {
			_ = cmd.Process.Kill()
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true
	}
	if err != nil {
		t.Fatalf("%s: %v", step, err)
	}
	return false
}

// checkpoints returns the names that a step passes, each once, by doing it.
func checkpoints(t *testing.T, kind, step string) (names []string, total int) {
	t.Helper()
	var mu sync.Mutex
	var record atomic.Bool
	w, err := openWorld(kind, t.TempDir(), func(name string) {
		mu.Lock()
		defer mu.Unlock()
		if !record.Load() {
			return
		}
		if total++; !slices.Contains(names, name) {
			names = append(names, name)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	steps := story
	if step == "refused" {
		steps = []string{"first", "healthy", "refused"}
	}
	for _, s := range steps {
		record.Store(s == step)
		if err := w.step(t.Context(), t, s); err != nil {
			t.Fatal(err)
		}
		if s == step {
			break
		}
	}
	return names, total
}

// before makes a world in which the step is the next one; prepared keeps those
// that were made, to be copied.
func before(t *testing.T, prepared map[string]string, kind, step string) (root string) {
	t.Helper()
	from := prepared[kind+step]
	if from == "" {
		from = t.TempDir()
		w, err := openWorld(kind, from, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range story {
			if s == step {
				break
			}
			if err := w.step(t.Context(), t, s); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
		if prepared != nil {
			prepared[kind+step] = from
		}
	}
	return from
}

func copyOf(t *testing.T, from string) (root string) {
	t.Helper()
	root = t.TempDir()
	if err := os.CopyFS(root, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(filepath.Join(root, "target", ".apex"), 0o700) // where there is one
	return root
}

// converges opens what a killed process left and goes on in one of several ways;
// then nothing may remind of the death.
func converges(t *testing.T, kind, step, root, how string) {
	t.Helper()
	w, err := openWorld(kind, root, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	ctx := t.Context()
	left, err := w.Load(ctx, victimsSource)
	if err != nil {
		t.Fatalf("what is left cannot be read: %v", err)
	}
	index := slices.Index(story, step)
	started := left.Unfinished() || left.Counter == counters[step]
	want := holds[step]
	switch how {
	case "resume":
		if _, err := w.Resume(ctx, apply.Source{Name: victimsSource}); err != nil {
			t.Fatalf("resume: %v", err)
		}
		if !started {
			if step == "first" {
				return // nothing was decided, nothing may be there
			}
			want = holds[story[index-1]]
		}
	case "again":
		if started && step == "rollback" {
			// A rollback that was decided is not decided again; it is finished.
			if _, err := w.Resume(ctx, apply.Source{Name: victimsSource}); err != nil {
				t.Fatal(err)
			}
		} else if err := w.step(ctx, t, step); err != nil {
			t.Fatalf("again: %v", err)
		}
	case "supersede":
		if left.Accepted.Commit == "" {
			if err := w.step(ctx, t, "first"); err != nil {
				t.Fatal(err)
			}
		} else {
			p, err := w.Plan(ctx, storyRequest(t, "nine", left.Accepted.Commit))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Apply(ctx, p); err != nil {
				t.Fatal(err)
			}
			want = "nine"
		}
	}
	check(t, w, kind, root, want)
	after, err := w.Load(ctx, victimsSource)
	if err != nil {
		t.Fatal(err)
	}
	if after.Counter < left.Counter {
		t.Errorf("the counter fell from %d to %d", left.Counter, after.Counter)
	}
}

// counters are the counters that the steps lead to.
var counters = map[string]uint64{"first": 1, "change": 2, "rollback": 3, "next": 4}

// check holds the whole world against a revision.
func check(t *testing.T, w *world, kind, root, n string) {
	t.Helper()
	ctx := t.Context()
	want := map[gitops.ID]bool{}
	for _, o := range revision(t, n) {
		want[o.ID] = true
		live, err := w.target.Get(ctx, o.ID, o.Version)
		if err != nil {
			t.Fatalf("revision %s: %v", n, err)
		}
		got, _ := live.Body["spec"].(map[string]any)
		if o.Kind == "ConfigMap" {
			got, _ = live.Body["data"].(map[string]any)
		}
		for _, field := range []string{"spec", "data"} {
			wanted, _ := o.Body[field].(map[string]any)
			if v, ok := wanted["v"]; ok && got["v"] != v {
				t.Errorf("%s holds %v, revision %s says %v", o.ID, got["v"], n, v)
			}
		}
	}
	for k, version := range kinds {
		group, _, ok := strings.Cut(version, "/")
		if !ok {
			group = ""
		}
		err := w.target.List(ctx, gitops.Kind{Group: group, Kind: k}, func(h gitops.Held) {
			if !want[h.ID] {
				t.Errorf("%s is there and revision %s does not have it", h.ID, n)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := w.Load(ctx, victimsSource)
	if err != nil {
		t.Fatal(err)
	}
	if s.Phase != apply.PhaseApplied || s.Applied.Commit != "commit-"+n || s.Objects != len(want) {
		t.Errorf("the state is %s of %s with %d objects, want %s with %d", s.Phase, s.Applied.Commit, s.Objects, n, len(want))
	}
	items := s.Items()
	if len(items) != len(want) {
		t.Errorf("the inventory has %d objects, want %d", len(items), len(want))
	}
	for _, item := range items {
		if live, err := w.target.Get(ctx, item.ID, item.Version); err != nil || live.UID != item.UID || item.Desired == "" {
			t.Errorf("the inventory has %+v: %v", item, err)
		}
	}
	// The store holds what the state names, and nothing else.
	sets := filepath.Join(root, "state", "sets")
	if kind == "dir" {
		sets = filepath.Join(root, "target", ".apex", "sets")
	}
	entries, err := os.ReadDir(sets)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") { // what a killed writer left is written over
			names = append(names, e.Name())
		}
	}
	var blobs []string
	for _, d := range s.Blobs {
		blobs = append(blobs, d.Hex())
	}
	slices.Sort(blobs)
	if !slices.Equal(names, blobs) {
		t.Errorf("the store holds %v, the state names %v", names, blobs)
	}
	applied := 0
	for _, e := range s.Journal {
		if e.What == apply.Applied && e.Counter == s.Counter {
			applied++
		}
	}
	if applied != 1 {
		t.Errorf("the journal says %d times that revision %d was applied", applied, s.Counter)
	}
}

var ways = []string{"resume", "again", "supersede"}

func TestAProcessThatIsKilledAtAnyStageLeavesWhatConverges(t *testing.T) {
	for _, kind := range []string{"embedded", "dir"} {
		for _, step := range []string{"first", "change", "rollback"} {
			names, _ := checkpoints(t, kind, step)
			if len(names) < 8 {
				t.Fatalf("%s passes %v", step, names)
			}
			world := before(t, nil, kind, step)
			for i, name := range names {
				t.Run(kind+"/"+step+"/"+name, func(t *testing.T) {
					t.Parallel() // most of it is waiting for the disk
					root := copyOf(t, world)
					if !runVictim(t, kind, step, name, root, 0) {
						t.Fatal("the process was not killed")
					}
					converges(t, kind, step, root, ways[i%len(ways)])
				})
			}
		}
	}
}

// APEX_KILLS is how often a process is killed at random; 30 when it is not set.
func TestAProcessThatIsKilledAtRandomLeavesWhatConverges(t *testing.T) {
	kills := 30
	if v, err := strconv.Atoi(os.Getenv("APEX_KILLS")); err == nil {
		kills = v
	}
	killed := 0
	prepared := map[string]string{}
	for _, kind := range []string{"embedded", "dir"} {
		for _, step := range story {
			before(t, prepared, kind, step)
		}
	}
	for i := range kills {
		kind, step := []string{"embedded", "dir"}[i%2], []string{"first", "change", "rollback", "next"}[i/2%4]
		t.Run(fmt.Sprintf("%s %s %d", kind, step, i), func(t *testing.T) {
			root := copyOf(t, prepared[kind+step])
			// The most checkpoints that a step has: 45 objects and 30 stages.
			if runVictim(t, kind, step, "-", root, 1+rand.IntN(40)) {
				killed++
			}
			converges(t, kind, step, root, ways[rand.IntN(len(ways))])
		})
	}
	if killed < kills/2 {
		t.Errorf("only %d of %d processes were killed", killed, kills)
	}
}

func TestWhatIsMadeInPlaceOfSomethingPrunedIsNotPrunedAgain(t *testing.T) {
	root := before(t, nil, "embedded", "change")
	if !runVictim(t, "embedded", "change", "pruned-configuration", root, 0) {
		t.Fatal("the process was not killed")
	}
	target, err := embedded.Open(embedded.Options{Dir: filepath.Join(root, "target")})
	if err != nil {
		t.Fatal(err)
	}
	o := object(t, "ConfigMap vision/only-one-0 new=one "+ours)
	if _, err := target.Create(t.Context(), &o, "somebody"); err != nil {
		t.Fatal(err)
	}
	if err := target.Close(); err != nil {
		t.Fatal(err)
	}
	w, err := openWorld("embedded", root, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if _, err := w.Resume(t.Context(), apply.Source{Name: victimsSource}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.target.Get(t.Context(), o.ID, "v1"); err != nil {
		t.Errorf("what somebody made was pruned: %v", err)
	}
}
