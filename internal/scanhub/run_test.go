package scanhub

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
	"github.com/apexlogic/apex/internal/scanhub/tools"
	"github.com/apexlogic/apex/verdict"
)

// fakeName is what a scanner is called whose program is this test binary.
const fakeName = "fake-scanner"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == fakeName {
		os.Exit(fakeScanner(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// oneResult is a report about a.go, line 3.
const oneResult = `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"fake","version":"7"}},"results":[
 {"ruleId":"R1","level":"error","message":{"text":"bad"},"properties":{"tags":["CWE-89"]},
  "locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.go"},"region":{"startLine":3}}}]}]}]}`

const noResult = `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"fake"}},"results":[]}]}`

// fakeScanner does what its first argument says. It sees only its arguments:
// whatever the runner keeps from tools is kept from it.
func fakeScanner(args []string) int {
	switch args[0] {
	case "version":
		fmt.Println("fake scanner\nVersion: 7.1")
	case "found":
		fmt.Print(oneResult)
		return 9
	case "clean":
		fmt.Print(noResult)
	case "say":
		fmt.Print(args[2])
		code := 0
		fmt.Sscan(args[1], &code)
		return code
	case "fail":
		fmt.Fprintln(os.Stderr, "loading rules\nthe rules are broken")
		return 1
	case "environment":
		wd, _ := os.Getwd()
		var in [1]byte
		n, _ := os.Stdin.Read(in[:])
		text := fmt.Sprintf("stdin=%d wd=%s env=%s", n, wd, strings.Join(os.Environ(), "|"))
		fmt.Print(strings.Replace(oneResult, "bad", strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text), 1))
		return 9
	case "dial":
		conn, err := net.DialTimeout("tcp", args[1], 5*time.Second)
		if err == nil {
			conn.Close()
			fmt.Print(oneResult)
			return 9
		}
		fmt.Print(noResult)
	case "flood":
		line := strings.Repeat("x", 1<<20)
		for range 200 {
			fmt.Print(line)
		}
	case "eat":
		var held [][]byte
		for range 64 {
			b := make([]byte, 32<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			held = append(held, b)
		}
		runtime.KeepAlive(held)
		fmt.Print(noResult)
	case "linger": // leaves a child behind, in a session of its own, that holds a lock
		self, _ := os.Executable()
		child := exec.Command(self, "hold", args[1])
		child.Args[0] = fakeName
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: args[2] == "away"}
		child.Stdout = nil
		ready, _ := child.StdoutPipe()
		child.Start()
		ready.Read(make([]byte, 1))
		if args[3] == "wait" {
			child.Wait()
		}
		fmt.Print(noResult)
	case "hold":
		f, err := os.OpenFile(args[1], os.O_RDWR, 0)
		if err == nil {
			err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		}
		fmt.Println(err)
		r, w, _ := os.Pipe()
		r.Read(make([]byte, 1)) // until it is killed
		runtime.KeepAlive(w)
	}
	return 0
}

// fake is a tool that runs fakeScanner with args.
func fake(args ...string) tools.Tool {
	return tools.Tool{
		Name: "fake", Programs: []string{fakeName}, Version: []string{"version"}, Targets: tools.Dir,
		Args:    func(tools.Request) ([]string, error) { return args, nil },
		Exit:    map[int]tools.Exit{0: tools.Clean, 9: tools.Found, 8: tools.Nothing},
		Network: func(tools.Request) bool { return false },
	}
}

// fakePath is a folder on which fake-scanner is found.
func fakePath(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, fakeName)); err != nil {
		t.Skip("this system makes no links: ", err)
	}
	return dir
}

func runFake(t *testing.T, ctx context.Context, r Runner, tool tools.Tool, dir string) Scan {
	t.Helper()
	r.Path, r.Tools = fakePath(t), []tools.Tool{tool}
	scans, err := r.Run(ctx, tools.Target{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if len(scans) != 1 {
		t.Fatalf("%d scans for one tool", len(scans))
	}
	return scans[0]
}

func TestWhatCodeAndReportSayTogether(t *testing.T) {
	say := func(code int, report string) tools.Tool { return fake("say", fmt.Sprint(code), report) }
	for _, c := range []struct {
		name   string
		tool   tools.Tool
		status Status
		reason string
		found  int
	}{
		{"a code for clean and an empty list is clean", fake("clean"), Scanned, "", 0},
		{"a code for findings and a finding are a scan", fake("found"), Scanned, "", 1},
		{"a code for clean with a finding loses nothing", say(0, oneResult), Scanned, "", 1},
		{"a code that is not listed is a failure, with its last words", fake("fail"), NotScanned, "code 1: the rules are broken", 0},
		{"a failure with an empty list of results is no scan", say(127, noResult), NotScanned, "code 127", 0},
		{"a failure with a finding is no scan", say(127, oneResult), NotScanned, "code 127", 0},
		{"a code for findings and an empty list contradict", say(9, noResult), NotScanned, "code 9 says", 0},
		{"a code for nothing to do is not applicable", say(8, ""), NotApplicable, "nothing in the target", 0},
		{"an empty report is no scan", say(0, " \n"), NotScanned, "empty report", 0},
		{"a report that is cut off is no scan", say(0, noResult[:40]), NotScanned, "not a readable report", 0},
		{"words instead of a report are no scan", say(0, "all good"), NotScanned, "not a readable report", 0},
		{"a report without a run is no scan", say(0, `{"version":"2.1.0","runs":[]}`), NotScanned, "no run", 0},
		{"a run without a list of results is no scan", say(0, `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}}}]}`), NotScanned, "did not look", 0},
		{"a run that calls itself failed is no scan", say(0, `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"invocations":[{"executionSuccessful":false}],"results":[]}]}`), NotScanned, "did not succeed", 0},
		{"a run that calls itself good is one", say(0, `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"invocations":[{"executionSuccessful":true}],"results":[]}]}`), Scanned, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := runFake(t, t.Context(), Runner{}, c.tool, t.TempDir())
			if s.Status != c.status || !strings.Contains(s.Reason, c.reason) || (c.reason == "") != (s.Reason == "") || len(s.Results) != c.found {
				t.Errorf("%s (%s), %d results", s.Status, s.Reason, len(s.Results))
			}
			if s.Version != "Version: 7.1" {
				t.Errorf("version %q", s.Version)
			}
		})
	}
}

func TestAToolThatIsNotThereIsNotInstalled(t *testing.T) {
	r := Runner{Path: t.TempDir(), Tools: []tools.Tool{fake("clean")}}
	scans, err := r.Run(t.Context(), tools.Target{Dir: t.TempDir()})
	if err != nil || len(scans) != 1 || scans[0].Status != NotInstalled {
		t.Fatal(scans, err)
	}
	// A program in the scanned folder is never run.
	r.Path = "."
	t.Chdir(fakePath(t))
	if scans, _ = r.Run(t.Context(), tools.Target{Dir: "."}); scans[0].Status != NotInstalled {
		t.Error(scans)
	}
}

func TestAToolThatNeedsMoreSaysWhat(t *testing.T) {
	tool := fake("clean")
	tool.Args = func(tools.Request) ([]string, error) { return nil, fmt.Errorf("it needs rules") }
	if s := runFake(t, t.Context(), Runner{}, tool, t.TempDir()); s.Status != NotScanned || s.Reason != "it needs rules" {
		t.Error(s)
	}
}

func TestAToolSeesNothingOfOurs(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "do-not-pass")
	t.Setenv("LANG", "C.UTF-8")
	s := runFake(t, t.Context(), Runner{}, fake("environment"), t.TempDir())
	if len(s.Results) != 1 {
		t.Fatal(s)
	}
	text := s.Results[0].Message
	if strings.Contains(text, "do-not-pass") || !strings.Contains(text, "LANG=C.UTF-8") || !strings.Contains(text, "stdin=0") {
		t.Error(text)
	}
	_, home, _ := strings.Cut(text, "HOME=")
	home, _, _ = strings.Cut(home, "|")
	if !strings.Contains(text, "wd="+home) || home == os.Getenv("HOME") {
		t.Error("its home is not its own: ", text)
	}
	if _, err := os.Stat(home); err == nil {
		t.Error("its home was left behind")
	}
}

func TestAToolHasNoNetworkUnlessItsWorkNeedsOne(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := runFake(t, t.Context(), Runner{}, fake("dial", l.Addr().String()), t.TempDir())
	if !slices.Contains(s.Confined, "no network") {
		t.Skip("this machine builds no namespaces: ", s.Open)
	}
	if s.Status != Scanned || len(s.Results) != 0 {
		t.Error("it reached the network: ", s)
	}
	open := fake("dial", l.Addr().String())
	open.Network = func(tools.Request) bool { return true }
	if s := runFake(t, t.Context(), Runner{}, open, t.TempDir()); len(s.Results) != 1 {
		t.Error("one that needs it has none: ", s)
	}
}

func TestAToolIsKilledAtItsLimits(t *testing.T) {
	t.Run("of output", func(t *testing.T) {
		if s := runFake(t, t.Context(), Runner{}, fake("flood"), t.TempDir()); s.Status != NotScanned || !strings.Contains(s.Reason, "printed more") {
			t.Error(s)
		}
	})
	t.Run("of memory", func(t *testing.T) {
		s := runFake(t, t.Context(), Runner{Memory: 512 << 20}, fake("eat"), t.TempDir())
		if !slices.Contains(s.Confined, "limits on memory and files") {
			t.Skip("this system sets no limits: ", s.Open)
		}
		if s.Status != NotScanned {
			t.Error(s)
		}
	})
	t.Run("of time, with all that it started", func(t *testing.T) {
		lock := filepath.Join(t.TempDir(), "lock")
		os.WriteFile(lock, nil, 0o600)
		s := runFake(t, t.Context(), Runner{Time: 2 * time.Second}, fake("linger", lock, "near", "wait"), t.TempDir())
		if s.Status != NotScanned || !strings.Contains(s.Reason, "did not end within") {
			t.Error(s)
		}
		waitForLock(t, lock)
	})
	t.Run("when the caller stops", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if s := runFake(t, ctx, Runner{}, fake("clean"), t.TempDir()); s.Status != NotScanned {
			t.Error(s)
		}
	})
}

func TestWhatAToolLeavesBehindEndsWithIt(t *testing.T) {
	for _, where := range []string{"near", "away"} {
		t.Run(where, func(t *testing.T) {
			lock := filepath.Join(t.TempDir(), "lock")
			os.WriteFile(lock, nil, 0o600)
			s := runFake(t, t.Context(), Runner{}, fake("linger", lock, where, "go"), t.TempDir())
			if where == "away" && !slices.Contains(s.Confined, "no network") {
				t.Skip("only a namespace holds what leaves its session: ", s.Open)
			}
			if s.Status != Scanned {
				t.Error(s)
			}
			waitForLock(t, lock)
		})
	}
}

// waitForLock returns once nobody holds the lock: the system gives it back when
// its holder dies.
func waitForLock(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyOneTargetIsScanned(t *testing.T) {
	for _, target := range []tools.Target{{}, {Dir: ".", URL: "http://127.0.0.1"}, {Image: "-x"}, {Dir: "/does/not/exist"}} {
		if _, err := (&Runner{Tools: []tools.Tool{}}).Run(t.Context(), target); err == nil {
			t.Errorf("%+v was scanned", target)
		}
	}
	if _, err := (&Runner{Tools: []tools.Tool{}}).Run(t.Context(), tools.Target{Dir: t.TempDir()}); err != nil {
		t.Error(err)
	}
}

func TestFromToolToVerdict(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "a.go"), []byte("package a\n\nfunc f() { query(x) }\n"), 0o600)
	s := runFake(t, t.Context(), Runner{}, fake("found"), dir)
	m, err := Merge([]Scan{s}, dir, nil)
	if err != nil || len(m.Findings) != 1 {
		t.Fatal(m, err)
	}
	f := m.Findings[0]
	if f.Class != sarif.SQLInjection || f.Severity != fact.SeverityHigh || f.Place.File != "a.go" || f.Place.Line != 3 {
		t.Errorf("%+v", f)
	}
	if v := Decide(m, nil, Threshold{}, time.Now()); v.Decision != verdict.Deny || v.Count[Blocking] != 1 {
		t.Error(v)
	}
}
