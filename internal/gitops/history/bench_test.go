package history_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/apexlogic/apex/internal/gitops/history"
	"github.com/apexlogic/apex/internal/repo"
)

// cpu is the processor time that this process, or those that it waited for, used.
func cpu(b *testing.B, whose int) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(whose, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// long is a history of n signed commits over 100 files in ten directories, one
// file changed by each, packed by git as a clone would be.
func long(b *testing.B, n int) (f *forge, first, head repo.Commit) {
	b.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		b.Skip("git is not on the PATH: it packs the history")
	}
	f = newForge(b)
	content := map[string]string{}
	for i := range 100 {
		content[fmt.Sprintf("app/d%d/f%d.yaml", i%10, i/10)] = "0"
	}
	names := slices.Sorted(maps.Keys(content))
	files := func() string {
		var out strings.Builder
		for _, name := range names {
			fmt.Fprintf(&out, "%s=%s ", name, content[name])
		}
		return out.String()
	}
	first = f.commit(spec{files: files()})
	head = first
	for i := range n {
		content[names[i%len(names)]] = fmt.Sprint(i)
		head = f.commit(spec{by: "alice", files: files(), parents: []repo.Commit{head}, message: fmt.Sprintf("Change number %d\n", i)})
	}
	f.write("refs/heads/main", string(head)+"\n")
	git(b, f.dir, "repack", "-a", "-d", "-q")
	return f, first, head
}

func git(b *testing.B, dir string, args ...string) string {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), "git", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// BenchmarkHistory verifies 10,000 commits, and has git verify the newest 100 of
// the same in the same run. Wall time is that of all processors, and of whatever
// else the machine does; commits/core-s is not.
//
//	go test -run xxx -bench History -benchtime 3x ./internal/gitops/history
func BenchmarkHistory(b *testing.B) {
	const commits, byGit = 10_000, 100
	f, first, head := long(b, commits)
	v, r := compile(b, rules(first)), f.repo()
	b.Run("Apex", func(b *testing.B) {
		start, spent := time.Now(), cpu(b, syscall.RUSAGE_SELF)
		for b.Loop() {
			got, err := v.Verify(b.Context(), r, history.State{}, head, now)
			if err != nil || len(got.Commits) != commits {
				b.Fatalf("got %v, %v", got, err)
			}
		}
		total := float64(commits * b.N)
		b.ReportMetric(total/time.Since(start).Seconds(), "commits/s")
		b.ReportMetric(total/(cpu(b, syscall.RUSAGE_SELF)-spent).Seconds(), "commits/core-s")
	})
	b.Run("OneMore", func(b *testing.B) { // the usual case: what was accepted is one commit back
		raw, err := r.RawCommit(head)
		if err != nil {
			b.Fatal(err)
		}
		last := accepted(raw.Parents[0])
		last.First = first
		for b.Loop() {
			if got, err := v.Verify(b.Context(), r, last, head, now); err != nil || len(got.Commits) != 1 {
				b.Fatalf("got %v, %v", got, err)
			}
		}
	})
	b.Run("git", func(b *testing.B) {
		allowed := filepath.Join(b.TempDir(), "allowed")
		if err := os.WriteFile(allowed, []byte("a@example.com "+string(ssh.MarshalAuthorizedKey(person("alice").PublicKey()))), 0o600); err != nil {
			b.Fatal(err)
		}
		start, spent := time.Now(), cpu(b, syscall.RUSAGE_CHILDREN)
		for b.Loop() {
			out := git(b, f.dir, "-c", "gpg.ssh.allowedSignersFile="+allowed, "log", "--format=%G?", fmt.Sprintf("-%d", byGit), string(head))
			if strings.Count(out, "G\n") != byGit {
				b.Fatalf("git says %q", out)
			}
		}
		b.ReportMetric(float64(byGit*b.N)/time.Since(start).Seconds(), "commits/s")
		b.ReportMetric(float64(byGit*b.N)/(cpu(b, syscall.RUSAGE_CHILDREN)-spent).Seconds(), "commits/core-s")
	})
}
