package history_test

import (
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/gitops/history"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/verdict"
)

// What one hostile repository may cost until it is refused. The time is the
// context's: who exceeds it is refused for that and not for its reason.
const (
	hostileTime = 30 * time.Second
	hostileDisk = 32 << 20
)

const settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {level: info}\n"

// attack is a hostile repository: what is pushed after the commits first and
// last, of which last is applied.
type attack struct {
	name string
	// push makes the new head.
	push func(f *forge, first, last repo.Commit) repo.Commit
	// plant is written into our own copy of the repository.
	plant string
	// code is that of the refusal; where a fetch ends it is fails instead.
	code  verdict.Code
	fails error
}

// files is a tree with what the last commit holds, and more.
func files(more ...string) map[string]string {
	out := map[string]string{"deploy/settings.yaml": settings, "infra/net.yaml": "a", "policies/p.yaml": "a"}
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

// of commits a tree, signed by somebody.
func (f *forge) of(tree, by string, parents ...repo.Commit) repo.Commit {
	return f.commit(spec{by: by, parents: parents, payload: func(text string) string { return "tree " + tree + text[45:] }})
}

// pushes a tree on top of the last commit, signed by alice.
func pushes(tree func(f *forge) string) func(*forge, repo.Commit, repo.Commit) repo.Commit {
	return func(f *forge, _, last repo.Commit) repo.Commit { return f.of(tree(f), "alice", last) }
}

func holds(more ...string) func(*forge, repo.Commit, repo.Commit) repo.Commit {
	return pushes(func(f *forge) string { return f.tree(files(more...)) })
}

// entry adds one entry to the folder deploy as the bytes say, in git's order or not.
func entry(mode, name, hash string) func(*forge, repo.Commit, repo.Commit) repo.Commit {
	return pushes(func(f *forge) string {
		raw := func(mode, name, hash string) string {
			sum, _ := hex.DecodeString(hash)
			return mode + " " + name + "\x00" + string(sum)
		}
		to := hash // of this forge: the next one does not have it
		switch {
		case hash == "" && mode == "40000":
			to = f.tree(map[string]string{"x.yaml": settings})
		case hash == "":
			to = f.object("blob", []byte("/etc/passwd"))
		}
		list := []string{raw(mode, name, to), raw("100644", "settings.yaml", f.object("blob", []byte(settings)))}
		if name > "settings.yaml" {
			list[0], list[1] = list[1], list[0]
		}
		deploy := f.object("tree", []byte(strings.Join(list, "")))
		return f.object("tree", []byte(raw("40000", "deploy", deploy)+raw("40000", "infra", f.tree(map[string]string{"net.yaml": "a"}))+raw("40000", "policies", f.tree(map[string]string{"p.yaml": "a"}))))
	})
}

// gibibyte stores a blob of 1 GiB, which git keeps in a megabyte.
func gibibyte(f *forge) string {
	const size = 1 << 30
	header := fmt.Sprintf("blob %d\x00", size)
	zeros := make([]byte, 1<<20)
	sum := sha1.New()
	path := filepath.Join(f.dir, ".git", "objects", "large")
	out, err := os.Create(path)
	if err != nil {
		f.t.Fatal(err)
	}
	z, err := zlib.NewWriterLevel(out, zlib.BestSpeed)
	both := io.MultiWriter(z, sum)
	if err == nil {
		_, err = io.WriteString(both, header)
	}
	for i := 0; i < size && err == nil; i += len(zeros) {
		_, err = both.Write(zeros)
	}
	hash := hex.EncodeToString(sum.Sum(nil))
	to := filepath.Join(f.dir, ".git", objectPath(hash))
	if err := errors.Join(err, z.Close(), out.Close(), os.MkdirAll(filepath.Dir(to), 0o755), os.Rename(path, to)); err != nil {
		f.t.Fatal(err)
	}
	return hash
}

// nested is a tree whose every folder is the folder below it, ten times: 10^12
// files in a dozen objects.
func nested(f *forge) string {
	hash := f.tree(map[string]string{"x.yaml": settings})
	for range 12 {
		raw, _ := hex.DecodeString(hash)
		var b strings.Builder
		for i := range 10 {
			fmt.Fprintf(&b, "40000 %d\x00%s", i, raw)
		}
		hash = f.object("tree", []byte(b.String()))
	}
	return hash
}

// kustomized names what a kustomization says beside the settings.
func kustomized(text string, more ...string) func(*forge, repo.Commit, repo.Commit) repo.Commit {
	return holds(append([]string{"deploy/kustomization.yaml", text}, more...)...)
}

// hostile are the attacks, one for each way that is known to us.
var hostile = []attack{
	// The history.
	{name: "a branch that is set back to an older, signed commit", push: func(_ *forge, first, _ repo.Commit) repo.Commit { return first }, code: verdict.HistoryRewound},
	{name: "a branch that is rewritten beside what is applied", push: func(f *forge, first, _ repo.Commit) repo.Commit {
		return f.of(f.tree(files("deploy/x.txt", "1")), "alice", first)
	}, code: verdict.HistoryDiverged},
	{name: "a branch that is deleted and made again", push: func(f *forge, _, _ repo.Commit) repo.Commit { return f.of(f.tree(files()), "alice") }, code: verdict.HistoryUnrelated},
	{name: "a head that nobody signed", push: func(f *forge, _, last repo.Commit) repo.Commit {
		return f.of(f.tree(files("deploy/x.txt", "1")), "", last)
	}, code: verdict.CommitUnsigned},
	{name: "an unsigned commit below a signed head", push: func(f *forge, _, last repo.Commit) repo.Commit {
		return f.of(f.tree(files("deploy/x.txt", "2")), "alice", f.of(f.tree(files("deploy/x.txt", "1")), "", last))
	}, code: verdict.CommitUnsigned},
	{name: "a merge whose second parent nobody signed", push: func(f *forge, _, last repo.Commit) repo.Commit {
		side := f.of(f.tree(files("deploy/x.txt", "1")), "", last)
		return f.of(f.tree(files("deploy/x.txt", "1")), "alice", last, side)
	}, code: verdict.CommitUnsigned},
	{name: "a merge that changes what neither side changes", push: func(f *forge, _, last repo.Commit) repo.Commit {
		side := f.of(f.tree(files("deploy/x.txt", "1")), "alice", last)
		return f.of(f.tree(files("deploy/x.txt", "1", "infra/net.yaml", "b")), "alice", last, side)
	}, code: verdict.CommitPath},
	{name: "a merge with more parents than a person reads", push: func(f *forge, _, last repo.Commit) repo.Commit {
		parents := []repo.Commit{last}
		for i := range 40 {
			parents = append(parents, f.of(f.tree(files("deploy/x.txt", itoa(i+1))), "alice", last))
		}
		return f.of(f.tree(files()), "alice", parents...)
	}, code: verdict.HistoryTooLong},
	{name: "a signature of a stranger", push: func(f *forge, _, last repo.Commit) repo.Commit {
		return f.of(f.tree(files("deploy/x.txt", "1")), "mallory", last)
	}, code: verdict.CommitUntrusted},
	{name: "a signature of a key that is revoked", push: func(f *forge, _, last repo.Commit) repo.Commit {
		return f.of(f.tree(files("deploy/x.txt", "1")), "lost", last)
	}, code: verdict.CommitKeyRevoked},
	{name: "a signature of another commit", push: func(f *forge, _, last repo.Commit) repo.Commit {
		return f.commit(spec{by: "alice", files: "a=1", parents: []repo.Commit{last}, raw: func(text string) string { return strings.Replace(text, "\n\nChange", "\n\nAnother change", 1) }})
	}, code: verdict.CommitInvalid},
	{name: "a signature that was made for files", push: func(f *forge, _, last repo.Commit) repo.Commit {
		return f.commit(spec{by: "alice", files: "a=1", parents: []repo.Commit{last}, space: "file"})
	}, code: verdict.CommitInvalid},
	{name: "a policy that one person changes instead of two", push: holds("policies/p.yaml", "b"), code: verdict.CommitThreshold},
	{name: "a commit that can be read in two ways", push: func(f *forge, _, last repo.Commit) repo.Commit {
		return f.commit(spec{by: "alice", files: "a=1", parents: []repo.Commit{last}, payload: func(text string) string {
			return strings.Replace(text, "\nauthor", "\ntree "+f.tree(files())+"\nauthor", 1)
		}})
	}, code: verdict.CommitMalformed},
	{name: "a parent that is kept back", push: func(f *forge, _, last repo.Commit) repo.Commit {
		return f.of(f.tree(files()), "alice", last, repo.Commit(strings.Repeat("1", 40)))
	}, fails: repo.ErrIncomplete},
	{name: "an object under the name of another", push: func(f *forge, _, last repo.Commit) repo.Commit {
		head := f.of(f.tree(files("deploy/x.txt", "one")), "alice", last)
		f.put(f.object("blob", []byte("one")), []byte("blob 3\x00two"))
		return head
	}, fails: repo.ErrCorrupt},
	{name: "a repository that is shallow", push: func(f *forge, _, last repo.Commit) repo.Commit {
		head := f.of(f.tree(files("deploy/x.txt", "1")), "alice", last)
		f.write("shallow", string(last)+"\n")
		return head
	}, fails: repo.ErrShallow},
	{name: "a graft in our copy", push: holds("deploy/x.txt", "1"), plant: "info/grafts", code: verdict.HistoryReplaced},
	{name: "a replace reference in our copy", push: holds("deploy/x.txt", "1"), plant: "refs/replace/", code: verdict.HistoryReplaced},

	// The tree.
	{name: "a symbolic link out of the root", push: entry("120000", "link.yaml", ""), code: verdict.RenderPath},
	{name: "a submodule", push: entry("160000", "more", strings.Repeat("ab", 20)), code: verdict.RenderPath},
	{name: "a folder called ..", push: entry("40000", "..", ""), code: verdict.CommitMalformed},
	{name: "a folder called .git", push: entry("40000", ".git", ""), code: verdict.CommitMalformed},
	{name: "a name with a slash", push: entry("100644", "a/../../x.yaml", ""), code: verdict.CommitMalformed},
	{name: "two files whose names differ in case", push: holds("deploy/Settings.yaml", settings), code: verdict.RenderPath},
	{name: "folders that hold each other ten times, twelve deep", push: pushes(nested), code: verdict.HistoryTooLong},
	{name: "a file of 1 GiB", push: func(f *forge, first, last repo.Commit) repo.Commit {
		return entry("100644", "large.yaml", gibibyte(f))(f, first, last)
	}, fails: repo.ErrTooLarge},

	// What is rendered.
	{name: "a pointer of Git LFS", push: holds("deploy/x.yaml", "version https://git-lfs.github.com/spec/v1\noid sha256:"+strings.Repeat("0", 64)+"\nsize 1\n"), code: verdict.RenderEncrypted},
	{name: "values that SOPS encrypted", push: holds("deploy/x.yaml", strings.Replace(settings, "info", "'ENC[AES256_GCM,data:x]'", 1)), code: verdict.RenderEncrypted},
	{name: "a bomb of aliases", push: holds("deploy/x.yaml", bomb()), code: verdict.ManifestInvalid},
	{name: "a key that stands there twice", push: holds("deploy/x.yaml", strings.Replace(settings, "{level: info}", "{level: info, level: debug}", 1)), code: verdict.ManifestInvalid},
	{name: "lists ten thousand deep", push: holds("deploy/x.yaml", settings+"deep: "+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)+"\n"), code: verdict.ManifestInvalid},
	{name: "a Helm chart", push: holds("deploy/chart/Chart.yaml", "name: x\n"), code: verdict.RenderChart},
	{name: "a base at a remote address", push: kustomized("resources: [settings.yaml, \"https://example.com/base?ref=v1\"]\n"), code: verdict.RenderRemote},
	{name: "a base outside of the repository", push: kustomized("resources: [settings.yaml, ../../x]\n"), code: verdict.RenderPath},
	{name: "a generator that is a program", push: kustomized("resources: [settings.yaml]\ngenerators: [g.yaml]\n"), code: verdict.RenderFeature},
	{name: "a variable of the process", push: kustomized("secretGenerator: [{name: x, envs: [e]}]\n", "deploy/e", "HOME\n"), code: verdict.RenderFeature},
	{name: "kustomizations that double with every level", push: pushes(func(f *forge) string { return f.tree(doubling()) }), code: verdict.RenderTooLarge},
}

// twins are what people push that looks like it.
var twins = []attack{
	{name: "a signed commit", push: holds("deploy/x.txt", "1")},
	{name: "a signed merge of signed commits", push: func(f *forge, _, last repo.Commit) repo.Commit {
		side := f.of(f.tree(files("deploy/x.txt", "1")), "bob", last)
		other := f.of(f.tree(files("deploy/y.txt", "1")), "alice", last)
		return f.of(f.tree(files("deploy/x.txt", "1", "deploy/y.txt", "1")), "alice", other, side)
	}},
	{name: "what is applied already", push: func(_ *forge, _, last repo.Commit) repo.Commit { return last }},
	{name: "infrastructure by whom it belongs to", push: func(f *forge, _, last repo.Commit) repo.Commit {
		return f.of(f.tree(files("infra/net.yaml", "b")), "bob", last)
	}},
	{name: "an alias that is no bomb", push: holds("deploy/x.yaml", strings.Replace(strings.Replace(settings, "name: settings", "name: x", 1), "{level: info}", "{level: &a info, other: *a}", 1))},
	{name: "a kustomization with a base beside it", push: kustomized("resources: [settings.yaml, ../base]\n", "base/kustomization.yaml", "resources: [c.yaml]\n", "base/c.yaml", strings.Replace(settings, "name: settings", "name: base", 1))},
	{name: "a file of a megabyte that is no manifest", push: holds("deploy/x.txt", strings.Repeat("x", 1<<20))},
}

// Each repository goes all the way: it is fetched into a copy, its history is
// verified, and what it holds is rendered.
func TestEachHostileRepositoryIsRefusedForItsReasonWithinItsBudget(t *testing.T) {
	if len(hostile) < 30 {
		t.Errorf("%d hostile repositories", len(hostile))
	}
	for _, a := range append(hostile, twins...) {
		t.Run(a.name, func(t *testing.T) {
			f := newForge(t)
			first := f.of(f.tree(files("deploy/old.txt", "1")), "")
			last := f.of(f.tree(files()), "bob", first)
			f.write("refs/heads/main", string(last)+"\n")
			remote, err := repo.NewRemote(f.dir, repo.RemoteOptions{Limits: repo.Limits{Bytes: hostileDisk, Disk: hostileDisk, Time: hostileTime}})
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "copy")
			mirror, err := repo.OpenMirror(dir, remote, "main")
			if err != nil {
				t.Fatal(err)
			}
			defer mirror.Close()
			trust := compile(t, rules(first))
			applied, err := followed(t.Context(), mirror, trust, history.State{})
			if err != nil {
				t.Fatal(err)
			}

			f.write("refs/heads/main", string(a.push(f, first, last))+"\n")
			if a.plant != "" {
				name := filepath.Join(gitDir(t, dir), a.plant)
				if strings.HasSuffix(a.plant, "/") {
					name = filepath.Join(name, string(last))
				}
				if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(string(last)+"\n"), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), hostileTime)
			defer cancel()
			_, err = followed(ctx, mirror, trust, applied)
			if ctx.Err() != nil {
				t.Fatalf("it took longer than %s: %v", hostileTime, err)
			}
			if n := diskUse(t, dir); n > hostileDisk {
				t.Errorf("it left %d bytes", n)
			}
			code, ok := codeOf(err)
			switch {
			case a.fails != nil:
				if !errors.Is(err, a.fails) {
					t.Errorf("got %v, want %v", err, a.fails)
				}
			case a.code == "":
				if err != nil {
					t.Error(err)
				}
			case !ok || code != a.code || code.Info().Mend == "":
				t.Errorf("got %s, %v, want %s", code, err, a.code)
			}
		})
	}
}

// followed takes a source one step: fetch, trust, render.
func followed(ctx context.Context, m *repo.Mirror, v *history.Verifier, last history.State) (history.State, error) {
	fetched, err := m.Fetch(ctx)
	if err != nil {
		return last, err
	}
	accepted, err := v.Verify(ctx, m.Repo(), last, fetched.Head, now)
	if err != nil {
		return last, err
	}
	tree, err := m.Repo().At(ctx, fetched.Head)
	if err != nil {
		return last, err
	}
	_, err = render.Render(ctx, tree, "deploy", render.Options{Namespace: "vision"})
	return accepted.State, err
}

// codeOf is the code of a refusal, whichever step refuses.
func codeOf(err error) (verdict.Code, bool) {
	if r, is := errors.AsType[*history.Refusal](err); is {
		return r.Code, true
	}
	if r, is := errors.AsType[*render.Error](err); is {
		return r.Reasons[0].Code, true
	}
	return "", false
}

// gitDir is where a copy keeps its objects.
func gitDir(t *testing.T, dir string) string {
	t.Helper()
	for _, d := range []string{dir, filepath.Join(dir, ".git")} {
		if _, err := os.Stat(filepath.Join(d, "objects")); err == nil {
			return d
		}
	}
	t.Fatalf("no objects in %s", dir)
	return ""
}

func diskUse(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			info, statErr := d.Info()
			if err = statErr; err == nil {
				n += info.Size()
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// bomb is text of a kilobyte that stands for 10^9 values.
func bomb() string {
	var b strings.Builder
	b.WriteString(settings + "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 9; i++ {
		list := strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ",")
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, list)
	}
	return b.String()
}

// doubling is a kustomization whose every level is the level below it, twice.
func doubling() map[string]string {
	out := files("l0/kustomization.yaml", "resources: [c.yaml]\n", "l0/c.yaml", settings, "deploy/kustomization.yaml", "resources: [../l20a, ../l20b]\n")
	for i := 1; i <= 20; i++ {
		for _, half := range []string{"a", "b"} {
			below := fmt.Sprintf("../l%da, ../l%db", i-1, i-1)
			if i == 1 {
				below = "../l0"
			}
			maps.Copy(out, map[string]string{fmt.Sprintf("l%d%s/kustomization.yaml", i, half): fmt.Sprintf("namePrefix: %s-\nresources: [%s]\n", half, below)})
		}
	}
	return out
}
