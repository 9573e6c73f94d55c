package gateway

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/apexlogic/apex/internal/config"
)

// process is a gateway that is the built program, in a process of its own.
type process struct{ id int }

// built builds the program once for all tests.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "apex-gateway-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "apex")
	out, err := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "../../cmd/apex").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program: %w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if program != "" {
		os.RemoveAll(filepath.Dir(program))
	}
	os.Exit(code)
}

// program is the built program, once a test has asked for it.
var program string

// spawn runs the gateway as a process until the test ends, and waits for its first
// routes. Its clock is the machine's; more are further arguments.
func (h *house) spawn(more ...string) *process {
	h.t.Helper()
	path, err := built()
	if err != nil {
		h.t.Fatal(err)
	}
	program = path
	arguments := append([]string{"gateway", "--config", h.dir, "--trust-domain", "vision.example",
		"--trust-bundles", h.bundles, "--address", "127.0.0.1:0", "--health-address", "127.0.0.1:0"}, more...)
	cmd := exec.CommandContext(context.WithoutCancel(h.t.Context()), path, arguments...)
	cmd.Env = append(os.Environ(), "APEX_STATE="+h.state)
	cmd.Stderr = h.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	listening, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(read)
		for in := bufio.NewScanner(out); in.Scan(); {
			if rest, ok := strings.CutPrefix(in.Text(), "the gateway listens on "); ok {
				h.address, h.health, _ = strings.Cut(rest, ", probes on ")
				close(listening)
			}
			if generation, ok := strings.CutPrefix(in.Text(), "in force: "); ok {
				h.healths <- config.Health{Generation: generation}
			}
		}
	}()
	h.end = sync.OnceValue(func() error {
		cmd.Process.Signal(syscall.SIGTERM)
		<-read
		return cmd.Wait()
	})
	h.t.Cleanup(func() {
		h.end()
		if h.t.Failed() {
			h.t.Logf("the gateway said:\n%.4000s", h.log)
		}
	})
	select {
	case <-listening:
	case <-read:
		h.t.Fatalf("the gateway does not start: %s", h.log)
	}
	h.now = h.wait(func(config.Health) bool { return true }).Generation
	return &process{cmd.Process.Pid}
}

// memory is what a process has resident now, and had at most, in bytes.
func (p *process) memory(t testing.TB) (now, most int64) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.id))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		f := strings.Fields(string(line))
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "VmRSS:":
			now = n << 10
		case "VmHWM:":
			most = n << 10
		}
	}
	return now, most
}
