package repo

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// noise is text that does not compress.
func noise(seed uint64, bytes int) string {
	r := rand.New(rand.NewPCG(seed, 1))
	var b strings.Builder
	for b.Len() < bytes {
		fmt.Fprintf(&b, "%x\n", r.Uint64())
	}
	return b.String()
}

func TestPacksDoNotGather(t *testing.T) {
	for name, serve := range map[string]func(testing.TB) served{"a path": ways(t)["a path"], "HTTP": ways(t)["HTTP"]} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			m := openMirror(t, filepath.Join(t.TempDir(), "m"), s, "main")
			var head Commit
			for i := range 2*manyPacks + 3 {
				s.commit(t, "a", strings.Repeat("line\n", 200)+fmt.Sprint(i))
				s.commit(t, "b", noise(uint64(i), 500))
				head = s.commit(t, "a", strings.Repeat("line\n", 200)+fmt.Sprint(i, "again"))
				fetch(t, m)
			}
			if n := len(packFiles(t, m, ".pack")); n > manyPacks+1 || n != len(packFiles(t, m, ".idx")) {
				t.Errorf("%d packs", n)
			}
			same(t, m, s, head)
			deltas := 0
			for _, idx := range packFiles(t, m, ".idx") {
				for l := range strings.Lines(gitCmd(t, m.Repo().Dir(), "verify-pack", "-v", idx)) {
					if len(strings.Fields(l)) == 7 {
						deltas++
					}
				}
			}
			if name == "HTTP" && deltas == 0 {
				t.Error("no difference stayed one")
			}
		})
	}
}

func TestWhatNothingNeedsGoes(t *testing.T) {
	s := ways(t)["HTTP"](t)
	s.opt.Limits = Limits{Disk: 200 << 10}
	m := openMirror(t, filepath.Join(t.TempDir(), "m"), s, "main")
	first := s.commit(t, "a", "1")
	accepted := s.commit(t, "b", noise(1, 20<<10))
	fetch(t, m)
	if err := m.Accept(accepted); err != nil {
		t.Fatal(err)
	}
	// History is written anew again and again, 40 KiB each time.
	var heads []Commit
	for i := range 12 {
		gitCmd(t, s.dir, "reset", "-q", "--hard", string(first))
		heads = append(heads, s.commit(t, "c", noise(uint64(100+i), 40<<10)))
		if f := fetch(t, m); f.Head != heads[i] || !f.Forced {
			t.Fatalf("%+v", f)
		}
	}
	used, err := m.Repo().packBytes()
	if err != nil || used > s.opt.Limits.Disk {
		t.Errorf("%d bytes, %v", used, err)
	}
	if _, err := m.Repo().At(t.Context(), heads[0]); !errors.Is(err, ErrNotFound) {
		t.Errorf("the first of the heads is still here: %v", err)
	}
	same(t, m, s, heads[11])
	same(t, m, s, accepted)
	if data, err := at(t, m.Repo(), accepted).ReadFile("b"); err != nil || len(data) < 20<<10 {
		t.Errorf("the accepted commit: %d bytes, %v", len(data), err)
	}

	// What is needed and does not fit is refused, and what is here stays.
	s.commit(t, "d", noise(3, 250<<10))
	if _, err := m.Fetch(t.Context()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("more than fits: %v", err)
	}
	if head, err := m.Head(); err != nil || head != heads[11] {
		t.Errorf("after that the head is %s, %v", head, err)
	}
	at(t, m.Repo(), accepted)
}

func TestAcceptKeepsOnlyCommitsThatAreHere(t *testing.T) {
	s := ways(t)["a path"](t)
	c := s.commit(t, "a", "1")
	m := openMirror(t, filepath.Join(t.TempDir(), "m"), s, "main")
	if err := m.Accept(c); !errors.Is(err, ErrNotFound) {
		t.Errorf("before it was fetched: %v", err)
	}
	if _, err := m.Accepted(); !errors.Is(err, ErrNoCommit) {
		t.Errorf("nothing was accepted: %v", err)
	}
	fetch(t, m)
	if err := m.Accept(Commit(gitCmd(t, s.dir, "rev-parse", "HEAD:a"))); err == nil {
		t.Error("a file was accepted")
	}
	if err := m.Accept(c); err != nil {
		t.Error(err)
	}
	if got, err := m.Accepted(); err != nil || got != c {
		t.Errorf("%s, %v", got, err)
	}
}

func TestAMirrorIsOpenOnceAndOfOneThing(t *testing.T) {
	s := ways(t)["a path"](t)
	c := s.commit(t, "a", "1")
	dir := filepath.Join(t.TempDir(), "m")
	m := openMirror(t, dir, s, "main")
	if _, err := OpenMirror(dir, s.remote(t), "main"); !errors.Is(err, ErrLocked) {
		t.Errorf("a second time: %v", err)
	}
	fetch(t, m)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	other := ways(t)["a path"](t)
	if _, err := OpenMirror(dir, other.remote(t), "main"); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), s.dir) {
		t.Errorf("of another repository: %v", err)
	}
	if _, err := OpenMirror(dir, s.remote(t), "other"); !errors.Is(err, ErrUnsupported) {
		t.Errorf("of another branch: %v", err)
	}
	if _, err := OpenMirror(filepath.Join(other.dir, ".git"), s.remote(t), "main"); !errors.Is(err, ErrUnsupported) {
		t.Errorf("in somebody's repository: %v", err)
	}
	m = openMirror(t, dir, s, "main")
	if head, err := m.Head(); err != nil || head != c {
		t.Errorf("the first one again: %s, %v", head, err)
	}
}

// What a process leaves that died is cleared up or goes on where it was.
func TestAfterACrash(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, dir string, m *Mirror){
		"before anything":      func(t *testing.T, dir string, _ *Mirror) {},
		"before HEAD is there": func(t *testing.T, dir string, _ *Mirror) { remove(t, dir); writeFile(t, dir, "config", "[core]\n\tba") },
		"while the pack came": func(t *testing.T, dir string, _ *Mirror) {
			writeFile(t, dir, newPack, packMagic+"\x00\x00\x00\x09half of it")
		},
		"before the pack was moved": func(t *testing.T, dir string, _ *Mirror) {
			writeFile(t, dir, newPack, packMagic)
			writeFile(t, dir, newIdx, idxMagic)
		},
		"before its index was moved": func(t *testing.T, dir string, _ *Mirror) {
			writeFile(t, dir, packDir+"/pack-"+strings.Repeat("1", 40)+".pack", packMagic)
			writeFile(t, dir, newIdx, idxMagic)
		},
		"before the reference moved": func(t *testing.T, dir string, m *Mirror) {
			if _, err := m.take(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"while the reference was written": func(t *testing.T, dir string, _ *Mirror) { writeFile(t, dir, scratch, "123") },
		"before packs were removed": func(t *testing.T, dir string, m *Mirror) {
			packs, err := openPacks(m.repo.dot)
			if err != nil || len(packs) != 2 {
				t.Fatal(packs, err)
			}
			defer closeAll(packs)
			old := strings.TrimSuffix(packFiles(t, m, ".pack")[0], ".pack")
			var kept [2][]byte
			for i, suffix := range []string{".pack", ".idx"} {
				if kept[i], err = os.ReadFile(old + suffix); err != nil {
					t.Fatal(err)
				}
			}
			if err := m.repack(t.Context(), packs, func(plumbing.Hash) bool { return true }); err != nil {
				t.Fatal(err)
			}
			writeFile(t, dir, mirrorDrop, filepath.Base(old)+"\npack-gone-already\n")
			for i, suffix := range []string{".pack", ".idx"} {
				writeFile(t, "/", old+suffix, string(kept[i]))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := ways(t)["HTTP"](t)
			dir := filepath.Join(t.TempDir(), "m")
			m := openMirror(t, dir, s, "main")
			s.commit(t, "a", "0")
			fetch(t, m)
			first := s.commit(t, "a", "1")
			fetch(t, m)
			second := s.commit(t, "a", "2")
			leave(t, dir, m)
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			m = openMirror(t, dir, s, "main")
			if name != "before HEAD is there" {
				if head, err := m.Head(); err != nil || head != first {
					t.Errorf("the head is %s, %v", head, err)
				}
				at(t, m.Repo(), first)
			}
			if f := fetch(t, m); f.Head != second || f.Forced {
				t.Errorf("%+v", f)
			}
			same(t, m, s, second)
			if name == "before packs were removed" && len(packFiles(t, m, ".pack")) != 2 {
				t.Errorf("packs that were to go are here: %q", packFiles(t, m, ".pack"))
			}
			for _, left := range []string{newPack, newIdx, mirrorDrop} {
				if _, err := os.Stat(filepath.Join(dir, left)); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s is left: %v", left, err)
				}
			}
		})
	}
}

// The test's own program, as the process that is killed.
const victim = "APEX_REPO_VICTIM"

func TestFetchIsKilledAnywhere(t *testing.T) {
	if at := os.Getenv(victim); at != "" {
		url, dir, _ := strings.Cut(at, " ")
		r, err := NewRemote(url, RemoteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		m, err := OpenMirror(dir, r, "main")
		if err != nil {
			t.Fatal(err)
		}
		if f, err := m.Fetch(t.Context()); err != nil || m.Accept(f.Head) != nil {
			t.Fatal(err)
		}
		return
	}
	s := ways(t)["a path"](t)
	dir := filepath.Join(t.TempDir(), "m")
	for i := range 300 {
		writeFile(t, s.dir, fmt.Sprintf("d%d/f%d", i%20, i), noise(uint64(i), 2000))
	}
	s.commit(t, "a", "0")
	killed := 0
	for i := range 20 {
		head := s.commit(t, "a", noise(uint64(i), 100_000))
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFetchIsKilledAnywhere$")
		cmd.Env = append(os.Environ(), victim+"="+s.url+" "+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := time.AfterFunc(time.Duration(rand.IntN(60))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		if cmd.Wait() != nil {
			killed++
		}
		stop.Stop()
		m, err := OpenMirror(dir, s.remote(t), "main")
		if err != nil {
			t.Fatal(err)
		}
		for _, ref := range []string{m.ref, acceptedRef} { // what is named is whole
			if c, err := m.named(ref); err == nil {
				gitCmd(t, dir, "rev-list", "--objects", "--quiet", string(c))
			} else if !errors.Is(err, ErrNoCommit) {
				t.Error(err)
			}
		}
		if i%5 == 4 {
			if f := fetch(t, m); f.Head != head {
				t.Errorf("%+v", f)
			}
			same(t, m, s, head)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("killed %d of 20 times", killed)
}

func TestFetchBesideReaders(t *testing.T) {
	s := ways(t)["a path"](t)
	first := s.commit(t, "a", "1")
	m := openMirror(t, filepath.Join(t.TempDir(), "m"), s, "main")
	fetch(t, m)
	stop := make(chan struct{})
	done := make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			tree, err := m.Repo().At(t.Context(), first)
			if err == nil {
				_, err = tree.ReadFile("a")
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	for i := range manyPacks + 4 {
		s.commit(t, "a", fmt.Sprint("new", i))
		fetch(t, m)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
