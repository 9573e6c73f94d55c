// Command startup runs a program with GODEBUG=inittrace=1 and fails when its
// package initialisation takes longer than a budget.
//
//	startup -budget 30ms bin/apex version
//
// The fastest of several runs counts: a noisy machine makes runs slower, never
// faster.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strconv"
	"strings"
	"time"
)

func main() {
	budget := flag.Duration("budget", 30*time.Millisecond, "package initialisation may take this long")
	runs := flag.Int("runs", 25, "how often to run")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: startup [-budget D] PROGRAM [ARG...]")
		os.Exit(2)
	}
	var best time.Duration
	var trace map[string]time.Duration
	for range *runs {
		total, packages, err := run(flag.Args())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		if best == 0 || total < best {
			best, trace = total, packages
		}
	}
	fmt.Printf("package initialisation: %v of %v\n", best, *budget)
	for _, name := range costliest(trace, 8) {
		fmt.Printf("  %8v  %s\n", trace[name], name)
	}
	if best > *budget {
		os.Exit(1)
	}
}

// run returns the sum and the parts of what inittrace prints, for example
// "init internal/bytealg @0.008 ms, 0.003 ms clock, 0 bytes, 0 allocs".
func run(args []string) (time.Duration, map[string]time.Duration, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return 0, nil, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	var total time.Duration
	packages := map[string]time.Duration{}
	for line := range strings.Lines(stderr.String()) {
		f := strings.Fields(line)
		if len(f) < 6 || f[0] != "init" {
			continue
		}
		ms, err := strconv.ParseFloat(f[4], 64)
		if err != nil {
			return 0, nil, fmt.Errorf("inittrace line %q: %w", line, err)
		}
		d := time.Duration(ms * float64(time.Millisecond))
		packages[f[1]] += d
		total += d
	}
	if len(packages) == 0 {
		return 0, nil, fmt.Errorf("%s printed no trace", args[0])
	}
	return total, packages, nil
}

func costliest(trace map[string]time.Duration, n int) []string {
	names := make([]string, 0, len(trace))
	for name := range trace {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool { return trace[names[i]] > trace[names[j]] })
	return names[:min(n, len(names))]
}
