//go:build unix

package config

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const coldVariable = "APEX_TEST_COLD_LOAD"

// TestColdChild is the process that BenchmarkColdLoad measures: one that loads
// once, with nothing read, compiled or cached before.
func TestColdChild(t *testing.T) {
	path := os.Getenv(coldVariable)
	if path == "" {
		t.Skip("only BenchmarkColdLoad runs this")
	}
	before := cpuTime(t)
	if s, err := Load(t.Context(), File(path)); err != nil || s.Err() != nil {
		t.Fatal(err, s.Err())
	}
	fmt.Printf("cpu=%d\n", cpuTime(t)-before)
}

// cpuTime returns the CPU time that the process has used.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkColdLoad reports the CPU time of loading and validating the
// reference policy in a new process, the process's own start left out.
func BenchmarkColdLoad(b *testing.B) {
	var total time.Duration
	for b.Loop() {
		cmd := exec.Command(os.Args[0], "-test.run=^TestColdChild$")
		cmd.Env = append(os.Environ(), coldVariable+"=testdata/reference.yaml")
		out, err := cmd.CombinedOutput()
		if err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		_, rest, _ := strings.Cut(string(out), "cpu=")
		var ns int64
		if _, err := fmt.Sscan(rest, &ns); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		total += time.Duration(ns)
	}
	b.ReportMetric(float64(total.Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// TestNoCELParserIsLinked holds what start-up relies on: rules are parsed when
// schemas are generated, so neither the parser nor its tables are in the binary
// because of this package.
func TestNoCELParserIsLinked(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skip("no go command here:", err)
	}
	if !strings.Contains(string(out), "cel-go/interpreter\n") {
		t.Error("the list of dependencies does not hold the evaluator, so it says nothing")
	}
	for _, heavy := range []string{"github.com/google/cel-go/cel", "github.com/google/cel-go/parser", "github.com/google/cel-go/checker", "github.com/antlr4-go/antlr/v4"} {
		if strings.Contains(string(out), heavy+"\n") {
			t.Errorf("%s is linked", heavy)
		}
	}
}
