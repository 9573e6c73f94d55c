package ca_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity/ca"
)

const (
	childDir = "APEX_TEST_CA_DIR"
	step     = 25 * time.Hour // after which a rotation is due
)

// TestMain is a process that rotates each time it is told to, when the variable
// names its directory.
func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	now := clock.At(noon)
	a, err := ca.Open(dir, domain, now)
	if err != nil {
		os.Exit(1)
	}
	var one [1]byte
	for {
		os.Stdout.WriteString("\n")
		if _, err := io.ReadFull(os.Stdin, one[:]); err != nil {
			os.Exit(0)
		}
		now.Advance(step)
		if err := a.Rotate(); err != nil {
			os.Exit(1)
		}
	}
}

func TestAProcessThatIsKilledInARotationLeavesAuthoritiesThatWork(t *testing.T) {
	rotated := 0
	const rounds = 12
	for round := range rounds {
		dir := t.TempDir()
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatalf("it did not open: %v", err)
		}
		if _, err := in.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		// Rounds differ in how far the rotation gets: some are not waited for,
		// the last ones are.
		if round >= rounds-2 {
			if _, err := lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		for range round * 1_000_000 {
		}
		cmd.Process.Kill()
		cmd.Wait()
		now := clock.At(noon.Add(20 * time.Hour)) // when the first authority signs, rotated or not
		a, err := ca.Open(dir, domain, now)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if len(a.Bundle().X509Authorities()) == 2 {
			rotated++
		}
		chain, token := issue(t, a, ca.MinLife)
		if c, j := accepts(t, a, now, chain, token); c != nil || j != nil {
			t.Errorf("round %d: %v, %v", round, c, j)
		}
		a.Close()
	}
	t.Logf("%d of %d rotations had come to their end", rotated, rounds)
	if rotated < 2 {
		t.Errorf("%d rotations came to their end, and two were waited for", rotated)
	}
}
