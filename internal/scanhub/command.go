package scanhub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

const (
	// maxErrors bounds what is kept of standard error; the rest is drained.
	maxErrors = 64 << 10
	// graceTime is how long pipes may stay open once the tool has ended.
	graceTime = 2 * time.Second
)

// command is one start of a program.
type command struct {
	program   string
	args, env []string
	dir, work string
	time      time.Duration
	network   bool
	limits    limits
}

// limits are what the system enforces on each process, where it can.
type limits struct {
	memory uint64 // bytes of data
	file   uint64 // bytes of a file that it writes
}

// outcome is how it ended. err is set when it was not left to end by itself.
type outcome struct {
	code           int
	stdout, stderr []byte
	took, cpu      time.Duration
	confined, open []string
	err            error
}

// lastWords is the last line of standard error, for a person. Scanners of
// secrets are told to redact; no other tool prints any.
func (o *outcome) lastWords() string {
	lines := strings.Split(strings.TrimSpace(string(o.stderr)), "\n")
	last := strings.TrimSpace(strings.Map(printable, lines[len(lines)-1]))
	if last == "" {
		return ""
	}
	return ": " + sarif.Clip(last, 300)
}

// run starts the program and waits until it and all that it started have ended
// or been killed.
func (c *command) run(ctx context.Context) (out outcome) {
	ctx, cancel := context.WithTimeout(ctx, c.time)
	defer cancel()
	// The system kills the tool when the thread that started it dies.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	stdout := &capped{limit: sarif.MaxBytes, full: cancel}
	stderr := &capped{limit: maxErrors}
	start := time.Now()
	cmd, err := c.start(ctx, stdout, stderr, &out)
	if err != nil {
		out.err = fmt.Errorf("it could not be started: %w", withoutPath(err))
		return out
	}
	err = cmd.Wait()
	killGroup(cmd) // what it left behind
	out.took = time.Since(start)
	out.stdout, out.stderr = stdout.b.Bytes(), stderr.b.Bytes()
	if cmd.ProcessState != nil {
		out.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		out.code = cmd.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	switch {
	case stdout.over:
		out.err = fmt.Errorf("it printed more than %d bytes and was killed", stdout.limit)
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		out.err = fmt.Errorf("it did not end within %s and was killed", c.time)
	case ctx.Err() != nil:
		out.err = fmt.Errorf("it was stopped: %w", ctx.Err())
	case errors.As(err, &exit) && out.code < 0:
		out.err = fmt.Errorf("it was killed by the system (%s)%s", exit.ProcessState, out.lastWords())
	case err != nil && !errors.As(err, &exit):
		out.err = fmt.Errorf("it did not end in order: %w", err)
	}
	return out
}

// start starts it within walls where this machine can build them.
func (c *command) start(ctx context.Context, stdout, stderr io.Writer, out *outcome) (*exec.Cmd, error) {
	build := func(walls bool) *exec.Cmd {
		cmd := exec.CommandContext(ctx, c.program, c.args...)
		cmd.Env, cmd.Dir = c.env, c.dir
		cmd.Stdout, cmd.Stderr = stdout, stderr // and no standard input
		cmd.WaitDelay = graceTime
		cmd.Cancel = func() error { killGroup(cmd); return nil }
		confine(cmd, walls, c.network)
		return cmd
	}
	cmd := build(true)
	err := cmd.Start()
	if err != nil && ctx.Err() == nil {
		// Containers often forget namespaces: without them the rest still holds.
		first := err
		cmd = build(false)
		if err = cmd.Start(); err == nil {
			out.open = append(out.open, "network and processes of others: "+withoutPath(first).Error())
		}
	} else if err == nil {
		out.confined = walls(c.network)
		if out.confined == nil {
			out.open = append(out.open, "network and processes of others: this system has no namespaces")
		}
	}
	if err != nil {
		return nil, err
	}
	if why := limit(cmd.Process.Pid, c.limits); why != nil {
		out.open = append(out.open, "memory: "+why.Error())
	} else {
		out.confined = append(out.confined, "limits on memory and files")
	}
	return cmd, nil
}

// capped keeps at most limit bytes. What is beyond is dropped, so that the tool
// never waits for a full pipe; full is told.
type capped struct {
	b     bytes.Buffer
	limit int
	over  bool
	full  func()
}

func (c *capped) Write(p []byte) (int, error) {
	if room := c.limit - c.b.Len(); len(p) > room {
		c.b.Write(p[:max(room, 0)])
		if !c.over && c.full != nil {
			c.full()
		}
		c.over = true
		return len(p), nil
	}
	return c.b.Write(p)
}
