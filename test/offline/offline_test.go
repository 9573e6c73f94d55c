//go:build linux

// Package offline runs the shipped program where there is no network: trust, gate,
// apply, drift, healing and rollback need none of it when the target is a directory
// or the program itself.
package offline

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take on a machine that does much else.
const patience = 2 * time.Minute

// scene is a workspace without the example's images, whose verification would ask
// their registry.
type scene struct {
	testing.TB
	apex, dir string
}

// newScene makes a workspace that deploys n ConfigMaps.
func newScene(t testing.TB, n int) *scene {
	t.Helper()
	s := &scene{t, filepath.Join(t.TempDir(), "apex"), filepath.Join(t.TempDir(), "ws")}
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", s.apex, "./cmd/apex")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), s.apex, "up", "--workspace", s.dir, "--once",
		"--registry-address", "127.0.0.1:0", "--api-address", "127.0.0.1:0").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	s.git("rm", "-q", "deploy/captioner.yaml")
	if err := os.MkdirAll(filepath.Join(s.dir, "deploy"), 0o700); err != nil { // git leaves no empty folder
		t.Fatal(err)
	}
	s.fleet(n, "good")
	s.git("commit", "-qm", "A fleet", "--trailer", "Apex-Prune: allow")
	return s
}

// fleet writes and adds the ConfigMaps, a hundred in a file.
func (s *scene) fleet(n int, value string) {
	s.Helper()
	for from := 0; from < n; from += 100 {
		var b bytes.Buffer
		for i := from; i < min(from+100, n); i++ {
			fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c-%05d, namespace: vision}\ndata: {value: %s, of: '%d'}\n", i, value, i)
		}
		if err := os.WriteFile(filepath.Join(s.dir, "deploy", fmt.Sprintf("fleet-%05d.yaml", from)), b.Bytes(), 0o600); err != nil {
			s.Fatal(err)
		}
	}
	s.git("add", "-A")
}

func (s *scene) git(args ...string) {
	s.Helper()
	c := exec.CommandContext(s.Context(), "git", args...)
	c.Dir = s.dir
	if out, err := c.CombinedOutput(); err != nil {
		s.Fatalf("git %v: %v %s", args, err, out)
	}
}

// head is the commit at the head, as the program shows it.
func (s *scene) head() string {
	s.Helper()
	c := exec.CommandContext(s.Context(), "git", "rev-parse", "HEAD")
	c.Dir = s.dir
	out, err := c.Output()
	if err != nil {
		s.Fatal(err)
	}
	return string(out[:12])
}

// command is the program in the workspace, with a network that has nothing in it,
// not even its own loopback.
func (s *scene) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, s.apex, args...)
	c.Dir = s.dir
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	return c
}

func (s *scene) run(args ...string) string {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	out, err := s.command(ctx, args...).CombinedOutput()
	if err != nil {
		s.Fatalf("apex %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (s *scene) await(what string, done func() bool) {
	s.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("%s did not happen", what)
		}
	}
}

// file is where an object lies in the target.
func (s *scene) file(i int) string {
	return filepath.Join(s.dir, "deployed", "vision", "ConfigMap", fmt.Sprintf("c-%05d.yaml", i))
}

func (s *scene) holds(i int, value string) bool {
	data, err := os.ReadFile(s.file(i))
	return err == nil && strings.Contains(string(data), "value: "+value)
}

// tamper changes an object in the target, and returns how long it stayed so.
func (s *scene) tamper(i int) time.Duration {
	s.Helper()
	data, err := os.ReadFile(s.file(i))
	if err != nil {
		s.Fatal(err)
	}
	began := time.Now()
	if err := os.WriteFile(s.file(i), bytes.Replace(data, []byte("value: good"), []byte("value: evil"), 1), 0o600); err != nil {
		s.Fatal(err)
	}
	s.await("the healing", func() bool { return s.holds(i, "good") })
	return time.Since(began)
}

// healing begins to heal, and returns the process once it does.
func (s *scene) healing(env ...string) *exec.Cmd {
	s.Helper()
	c := s.command(s.Context(), "gitops", "run")
	c.Env = append(os.Environ(), env...)
	said := &said{text: make(chan struct{})}
	c.Stdout, c.Stderr = said, said
	if err := c.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { end(c) })
	select {
	case <-said.text:
	case <-time.After(patience):
		s.Fatal("it says nothing")
	}
	return c
}

func end(c *exec.Cmd) {
	if c.ProcessState == nil {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
	}
}

// said closes text with the first line.
type said struct {
	text chan struct{}
	once bool
}

func (s *said) Write(p []byte) (int, error) {
	if !s.once {
		s.once = true
		close(s.text)
	}
	return len(p), nil
}

func rights(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("root is needed to take the network away")
	}
	c := exec.Command("true")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := c.Run(); err != nil {
		t.Skipf("a network namespace cannot be made here: %v", err)
	}
}

func TestTheWholeFlowNeedsNoNetwork(t *testing.T) {
	rights(t)
	s := newScene(t, 120)
	s.run("gitops", "apply")
	if !s.holds(0, "good") || !s.holds(119, "good") {
		t.Fatal("it is not applied")
	}
	run := s.healing()
	s.tamper(7)
	if err := os.Remove(s.file(8)); err != nil {
		t.Fatal(err)
	}
	s.await("what was deleted comes back", func() bool { return s.holds(8, "good") })
	end(run)

	// A commit that nobody whom the source trusts has signed is refused.
	s.fleet(120, "worse")
	s.git("-c", "commit.gpgsign=false", "commit", "-qm", "Nobody's")
	if out, err := s.command(t.Context(), "gitops", "apply").CombinedOutput(); err == nil || !s.holds(0, "good") {
		t.Fatalf("it is applied: %s", out)
	}
	s.git("reset", "-q", "--hard", "HEAD~1")
	s.fleet(120, "worse")
	s.git("commit", "-qm", "What is regretted")
	s.run("gitops", "apply")
	if !s.holds(0, "worse") {
		t.Fatal("the change is not applied")
	}
	s.run("gitops", "rollback", "--reason", "it answers nonsense")
	if !s.holds(0, "good") || !s.holds(119, "good") {
		t.Error("it is not rolled back")
	}

	// The same in the program itself.
	embedded := []string{"--target", "embedded:" + filepath.Join(t.TempDir(), "db")}
	gitops := func(args ...string) string { return s.run(append(append([]string{"gitops"}, args...), embedded...)...) }
	gitops("apply")
	worse := s.head()
	s.fleet(120, "good")
	s.git("commit", "-qm", "What was right")
	gitops("apply")
	if out := gitops("status"); !strings.Contains(out, s.head()+", 120 objects, revision 2") {
		t.Errorf("embedded, applied: %s", out)
	}
	gitops("rollback", "--reason", "it was not right either")
	if out := gitops("status"); !strings.Contains(out, worse+", 120 objects") {
		t.Errorf("embedded, rolled back to %s: %s", worse, out)
	}
}

// BenchmarkTenThousandFiles measures the program with a target of 10,000 files: the
// start of a command, a process that heals (its own memory, and with the program's
// pages), and the time to heal one of 50 files.
func BenchmarkTenThousandFiles(b *testing.B) {
	rights(b)
	const files = 10_000
	s := newScene(b, files)
	s.run("gitops", "apply")
	for b.Loop() {
		began := time.Now()
		status := s.command(b.Context(), "gitops", "status")
		if out, err := status.CombinedOutput(); err != nil {
			b.Fatalf("%v %s", err, out)
		}
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "start-ms")
		b.ReportMetric(float64((status.ProcessState.UserTime() + status.ProcessState.SystemTime()).Milliseconds()), "start-cpu-ms")
		run := s.healing()
		var healed []time.Duration
		for i := range 50 {
			healed = append(healed, s.tamper(i*files/50))
		}
		slices.Sort(healed)
		b.ReportMetric(float64(healed[len(healed)-1].Milliseconds()), "heal-max-ms")
		b.ReportMetric(float64(healed[len(healed)/2].Milliseconds()), "heal-p50-ms")
		time.Sleep(35 * time.Second) // at rest
		b.ReportMetric(s.memory(run, "VmRSS"), "rss-MB")
		b.ReportMetric(s.memory(run, "RssAnon"), "own-MB")
		b.ReportMetric(s.memory(run, "VmHWM"), "peak-MB")
		end(run)
	}
}

// memory is a figure of a process in MB; see proc(5).
func (s *scene) memory(c *exec.Cmd, what string) float64 {
	s.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
	if err != nil {
		s.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), what+":")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		s.Fatal(err)
	}
	return float64(kb) / 1024
}
