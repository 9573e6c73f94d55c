package repo

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cpu is the CPU time of this process so far: wall time is noise on a shared machine.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func reportCPU(b *testing.B) func() {
	before := cpu()
	return func() { b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op") }
}

// A workspace of 1,000 small files in 20 directories, packed by git.
func workspace(b *testing.B) *Repo {
	b.Helper()
	dir := byGit(b)
	for i := range 1000 {
		writeFile(b, dir, fmt.Sprintf("team-%02d/policy-%03d.yaml", i%20, i), fmt.Sprintf("kind: Policy\nname: p%d\n", i))
	}
	gitCmd(b, dir, "add", ".")
	gitCmd(b, dir, "commit", "-qm", "one")
	writeFile(b, dir, "team-07/policy-007.yaml", "changed\n")
	gitCmd(b, dir, "commit", "-qam", "two")
	gitCmd(b, dir, "gc", "-q", "--prune=now")
	return openRepo(b, dir)
}

func BenchmarkOpenAndResolve(b *testing.B) {
	dir := workspace(b).Dir()
	defer reportCPU(b)()
	for b.Loop() {
		r, err := Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Resolve("main"); err != nil {
			b.Fatal(err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAt(b *testing.B) {
	r := workspace(b)
	head, err := r.Head()
	if err != nil {
		b.Fatal(err)
	}
	for name, read := range map[string]bool{"list 1000 files": false, "read 1000 files": true} {
		b.Run(name, func(b *testing.B) {
			defer reportCPU(b)()
			for b.Loop() {
				tree := at(b, r, head)
				if !read {
					continue
				}
				err := fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
					if err == nil && !d.IsDir() {
						_, err = tree.ReadFile(p)
					}
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkChanged(b *testing.B) {
	r := workspace(b)
	head, err := r.Resolve("HEAD")
	if err != nil {
		b.Fatal(err)
	}
	before, err := r.Resolve("HEAD~1")
	if err != nil {
		b.Fatal(err)
	}
	defer reportCPU(b)()
	for b.Loop() {
		if paths, err := r.Changed(b.Context(), before, head); err != nil || len(paths) != 1 {
			b.Fatal(paths, err)
		}
	}
}

func BenchmarkClean(b *testing.B) {
	r := workspace(b)
	defer reportCPU(b)()
	for b.Loop() {
		if clean, paths, err := r.Clean(b.Context()); err != nil || !clean {
			b.Fatal(paths, err)
		}
	}
}

func BenchmarkCommit(b *testing.B) {
	r := workspace(b)
	defer reportCPU(b)()
	for i := 0; b.Loop(); i++ {
		commit(b, r, files("team-01/policy-001.yaml", fmt.Sprint(i)))
	}
}

// longHistory is a repository of 10,000 commits of 200 files, made by git in one go.
func longHistory(b *testing.B) served {
	b.Helper()
	dir := byGit(b)
	var in strings.Builder
	for i := range 10_000 {
		text := fmt.Sprintf("kind: Policy\nname: p%d\n", i)
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter A <a@example.com> %d +0000\ndata 1\nm\nM 644 inline team-%02d/policy-%03d.yaml\ndata %d\n%s\n",
			1772366400+i, i%20, i%200, len(text), text)
	}
	gitInput(b, dir, in.String(), "fast-import", "--quiet")
	gitCmd(b, dir, "reset", "-q", "--hard")
	gitCmd(b, dir, "gc", "-q", "--prune=now")
	return served{dir: dir, url: dir}
}

// A commit of one file arrives in the mirror of a history of 10,000: what a
// notification costs.
func BenchmarkFetchOneCommit(b *testing.B) {
	for _, way := range []string{"path", "HTTP"} {
		b.Run(way, func(b *testing.B) {
			s := longHistory(b)
			if way == "HTTP" {
				s = overHTTP(b, s.dir, nil)
			}
			m := openMirror(b, filepath.Join(b.TempDir(), "m"), s, "main")
			fetch(b, m)
			src := openRepo(b, s.dir)
			var spent time.Duration
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				c := commit(b, src, files("team-01/policy-001.yaml", fmt.Sprint(i)))
				before := cpu()
				b.StartTimer()
				if f := fetch(b, m); f.Head != c || f.Forced {
					b.Fatal(f)
				}
				spent += cpu() - before
			}
			b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// The first fetch of a history of 10,000 commits.
func BenchmarkFetchAll(b *testing.B) {
	for _, way := range []string{"path", "HTTP"} {
		b.Run(way, func(b *testing.B) {
			s := longHistory(b)
			if way == "HTTP" {
				s = overHTTP(b, s.dir, nil)
			}
			defer reportCPU(b)()
			for b.Loop() {
				m := openMirror(b, filepath.Join(b.TempDir(), "m"), s, "main")
				fetch(b, m)
			}
		})
	}
}

// A look that finds nothing new: what polling costs.
func BenchmarkHead(b *testing.B) {
	for _, way := range []string{"path", "HTTP"} {
		b.Run(way, func(b *testing.B) {
			s := served{dir: byGit(b)}
			s.commit(b, "a", "1")
			s.url = s.dir
			if way == "HTTP" {
				s = overHTTP(b, s.dir, nil)
			}
			r := s.remote(b)
			defer reportCPU(b)()
			for b.Loop() {
				if _, err := r.Head(b.Context(), "main"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
