package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/app/controller"
	"github.com/apexlogic/apex/internal/footprint"
	"github.com/apexlogic/apex/internal/kube"
)

// envController makes of the test binary the process of a controller; its value
// are the processOptions as JSON. It says "ready" and its webhook's address in a
// line, and ends with its standard input, which is its parent's.
const envController = "APEX_TEST_CONTROLLER"

type processOptions struct{ Kubeconfig, State, WebhookURL, Registry string }

func TestMain(m *testing.M) {
	if v := os.Getenv(envController); v != "" {
		if err := runController(v); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func runController(options string) error {
	var o processOptions
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	go footprint.Keep(ctx) // as the command does
	return controller.Run(ctx, controller.Options{
		Kube: kube.Config{Kubeconfig: o.Kubeconfig}, State: o.State, Identity: "process", Version: "test",
		WebhookURL: o.WebhookURL, WebhookAddress: "127.0.0.1:0", HealthAddress: "127.0.0.1:0",
		AllowPrivate: []string{o.Registry}, PlainHTTP: []string{o.Registry},
		Ready: func(webhook, _ net.Addr) { fmt.Println("ready", webhook) },
	})
}

// process is a controller in a process of its own, behind the cluster's Service.
type process struct {
	c       *cluster
	cmd     *exec.Cmd
	input   io.Closer
	address string
	errors  *strings.Builder
}

// begin starts a controller on the state directory. It is nil with the reason when
// the process ends before it is ready.
func (c *cluster) begin(state string, env ...string) (*process, error) {
	c.t.Helper()
	options, err := json.Marshal(processOptions{c.server.Kubeconfig(), state, "https://" + c.service.address, c.registry.Host})
	if err != nil {
		c.t.Fatal(err)
	}
	p := &process{c: c, cmd: exec.Command(os.Args[0]), errors: &strings.Builder{}}
	p.cmd.Env = append(append(os.Environ(), envController+"="+string(options)), env...)
	p.cmd.Stderr = p.errors
	output, err := p.cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		c.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	lines := make(chan string, 1)
	go func() {
		defer close(lines)
		in := bufio.NewScanner(output)
		for in.Scan() {
			if address, ok := strings.CutPrefix(in.Text(), "ready "); ok {
				lines <- address
			}
		}
	}()
	select {
	case address, ok := <-lines:
		if !ok {
			return nil, fmt.Errorf("%w: %s", p.cmd.Wait(), p.errors)
		}
		p.address = address
	case <-time.After(patience):
		p.kill()
		return nil, fmt.Errorf("it is not ready: %s", p.errors)
	}
	c.service.add(p.address)
	c.t.Cleanup(p.kill)
	return p, nil
}

// kill ends it as a node does that fails: at once, whatever it is doing.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		p.c.service.remove(p.address)
	}
}

// end lets it end by itself.
func (p *process) end() error {
	p.c.service.remove(p.address)
	_ = p.input.Close()
	return p.cmd.Wait()
}
