package repo

import (
	"fmt"
	"io/fs"
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
