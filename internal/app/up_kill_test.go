package app

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// childWorkspace tells a re-executed test binary to be apex up on a workspace.
const childWorkspace = "APEX_TEST_UP"

// TestUpChild is the child of the tests below: a process of its own that can be
// killed. It prints each stage of its start, and its verdicts, as a line.
func TestUpChild(t *testing.T) {
	dir := os.Getenv(childWorkspace)
	if dir == "" {
		t.Skip("it is run by other tests")
	}
	out := json.NewEncoder(os.Stdout)
	say := func(l childLine) {
		fmt.Println() // the testing package may have written a beginning of a line
		if err := out.Encode(l); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := Up(ctx, UpOptions{
		Dir: dir, RegistryAddress: "127.0.0.1:0", APIAddress: "127.0.0.1:0",
		Progress: func(stage string) { say(childLine{Stage: stage}) },
		Verdicts: func(v Verdicts) { say(childLine{Verdicts: &v}) },
	})
	if err != nil {
		t.Fatal(err)
	}
}

type childLine struct {
	Stage    string    `json:"stage,omitempty"`
	Verdicts *Verdicts `json:"verdicts,omitempty"`
}

// child is apex up in another process.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	seen  lockedBuffer // of its standard error, too, which is read beside its lines
}

func startChild(t *testing.T, dir string) *child {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestUpChild$", "-test.v")
	cmd.Env = append(os.Environ(), childWorkspace+"="+dir)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: cmd, lines: bufio.NewScanner(stdout)}
	c.lines.Buffer(nil, 4<<20)
	cmd.Stderr = &c.seen
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return c
}

// until reads the child's lines up to one that is wanted.
func (c *child) until(wanted func(childLine) bool) childLine {
	c.t.Helper()
	for c.lines.Scan() {
		var l childLine
		if json.Unmarshal(c.lines.Bytes(), &l) == nil && wanted(l) {
			return l
		}
		fmt.Fprintf(&c.seen, "%s\n", c.lines.Bytes())
	}
	err := c.cmd.Wait()
	c.t.Fatalf("the child ended (%v) and said:\n%s", err, c.seen.String())
	return childLine{}
}

func (c *child) verdicts() *Verdicts {
	c.t.Helper()
	return c.until(func(l childLine) bool { return l.Verdicts != nil }).Verdicts
}

func (c *child) kill() {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	for c.lines.Scan() {
	}
	c.cmd.Wait() // says that it was killed
}

func TestUpEndsWellWhenItIsToldTo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ws")
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		c := startChild(t, dir)
		c.verdicts()
		if err := c.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		for c.lines.Scan() {
		}
		if err := c.cmd.Wait(); err != nil {
			t.Errorf("%v: %v\n%s", signal, err, c.seen.String())
		}
		if data, err := os.ReadFile(filepath.Join(dir, folderState, "ledger", roleUp, "LOCK")); err != nil || len(data) > 0 {
			t.Errorf("%v: the ledger was not closed: %q, %v", signal, data, err)
		}
	}
}

func TestUpAfterAKillContinuesWithAllThatItMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ws")
	c := startChild(t, dir)
	before := c.verdicts()
	c.kill()
	after := start(t, dir, nil)
	if after.first.Commit != before.Commit {
		t.Errorf("commit %s, before the kill %s", after.first.Commit, before.Commit)
	}
	if after.registry != before.Registry {
		t.Errorf("the registry is at %s, before the kill at %s", after.registry, before.Registry)
	}
	if got, want := digests(&after.first.Report), digests(&before.Report); !maps.Equal(got, want) {
		t.Errorf("digests %v, before the kill %v", got, want)
	}
	if got, want := decided(&after.first.Report), decided(&before.Report); !maps.Equal(got, want) {
		t.Errorf("verdicts %v, before the kill %v", got, want)
	}
	for _, status := range []string{"201", "202"} {
		if n := after.metric(`apex_registry_answers_total{status="` + status + `"}`); n != "" {
			t.Errorf("%s answers with %s: something was pushed again", n, status)
		}
	}
	if n := after.metric("apex_registry_received_bytes_total"); n != "0" {
		t.Errorf("%s bytes were pushed again", n)
	}
	// What was recorded before the kill is there.
	for i := range before.Report.Verdicts {
		v := &before.Report.Verdicts[i]
		if _, err := LastVerdict(t.Context(), after.state, v.ID); err != nil {
			t.Errorf("%s: %v", v.Asked, err)
		}
	}
}

// TestAStartThatWasKilledIsFinishedByTheNext kills the first start at several
// points. APEX_KILLS repeats each: where exactly it falls is left to chance.
func TestAStartThatWasKilledIsFinishedByTheNext(t *testing.T) {
	want := promised(t)
	times := 1
	if text := os.Getenv("APEX_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		times = n
	}
	killed := func(name string, wait func(t *testing.T, dir string, c *child)) {
		t.Run("killed "+name, func(t *testing.T) {
			for range times {
				dir := filepath.Join(t.TempDir(), "ws")
				c := startChild(t, dir)
				wait(t, dir, c)
				c.kill()
				mustDecide(t, dir, want)
			}
		})
	}
	stage := func(text string) func(*testing.T, string, *child) {
		return func(_ *testing.T, _ string, c *child) {
			c.until(func(l childLine) bool { return strings.HasPrefix(l.Stage, text) })
		}
	}
	// A sample's manifest comes first and its tag last, so that a tag that is
	// there stands for a signature that is there too.
	file := func(name string) func(*testing.T, string, *child) {
		return func(t *testing.T, dir string, c *child) {
			stage("stocking")(t, dir, c)
			waitForFile(t, filepath.Join(dir, folderState, "registry", "repos", filepath.FromSlash(name)))
		}
	}
	killed("while it made the workspace", stage("reading the workspace"))
	killed("while it opened the ledger", stage("opening the ledger"))
	killed("before the first sample was signed", file("vision/captioner/_manifests"))
	killed("when the first sample had its tag", file("vision/captioner/_tags/1.0"))
	killed("when a later sample had its tag", file("vision/captioner-vulnerable/_tags/1.0"))
}

func mustDecide(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	var report *verdict.Report
	err := Up(t.Context(), UpOptions{
		Dir: dir, RegistryAddress: "127.0.0.1:0", APIAddress: "127.0.0.1:0", Once: true,
		Verdicts: func(v Verdicts) { report = &v.Report },
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := decided(report); !maps.Equal(got, want) {
		t.Errorf("after the kill %v, want %v", got, want)
	}
}

// waitForFile returns when the file is there; the test's own limit is the bound.
func waitForFile(t *testing.T, name string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		_, err := os.Stat(name)
		if err == nil {
			return
		}
		if !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
}
