package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/footprint"
	"github.com/apexlogic/apex/internal/gitops/source"
	"github.com/apexlogic/apex/internal/report"
)

func newUpCommand() *cobra.Command {
	var o app.UpOptions
	var verbose bool
	c := &cobra.Command{
		Use:   "up",
		Short: "Run everything on this machine, with an example workspace",
		Long: `Up makes a workspace, or reuses one: a Git repository with policies, a trust
root and workloads, beside a registry with a few real images. It verifies every
workload against the policies of the commit at the head, prints the verdicts,
and keeps serving the registry, the HTTP API and the gateway in front of the
example's server on loopback until it is stopped.

Commit a change to the workspace and it is in force within a second. What is in its
folder deploy is judged and applied to the folder deployed, all of it or nothing; what
is changed there is put back. However up ends, the next one continues with all that it
had made.

Exit codes: 0 when it was stopped, and for --once when the verdicts are there,
whatever they are; 3 when it cannot run.`,
		Example: `  apex up                         # in ./apex-workspace
  apex up --workspace /tmp/demo --once
  apex up --once -o json          # the report, for programs`,
		Args: cobra.NoArgs,
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.Flags().StringVar(&o.Dir, "workspace", "apex-workspace", "the workspace's folder; made when it is not there")
	c.Flags().StringVar(&o.RegistryAddress, "registry-address", "", "where the registry listens in a new workspace; port 0 takes a free one (default "+app.DefaultRegistryAddress+")")
	c.Flags().StringVar(&o.APIAddress, "api-address", "", "where the HTTP API listens; port 0 takes a free one (default "+app.DefaultAPIAddress+", or as last time)")
	c.Flags().StringVar(&o.GatewayAddress, "gateway-address", "", "where the gateway listens, in front of the example's server; port 0 takes a free one (default "+app.DefaultGatewayAddress+" where that is free, or as last time)")
	c.Flags().BoolVar(&o.Once, "once", false, "end after the verdicts")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "show every check")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		w := cmd.OutOrStdout()
		o.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
		p := newProgress(cmd.ErrOrStderr(), progressAfter)
		defer p.end()
		o.Progress = p.stage
		var failed error
		o.Verdicts = func(v app.Verdicts) {
			p.end()
			if *output != "table" {
				failed = writeReport(cmd, *output, &v.Report, verbose)
				return
			}
			fmt.Fprintf(w, "workspace %s at commit %.12s\n\n", v.Workspace, v.Commit)
			if err := report.Table(w, &v.Report, report.Options{Color: colourful(w), Width: width(w), Verbose: verbose}); err != nil {
				failed = err
			}
			if !o.Once {
				fmt.Fprintf(w, "\nregistry http://%s   API http://%s   gateway http://%s   tokens in %s/.apex\n", v.Registry, v.API, v.Gateway, v.Workspace)
				fmt.Fprintf(w, "ask the captioner as team claims, with the token of: apex identity fetch --socket %s/.apex/workload.sock --audience captioner\n", v.Workspace)
				fmt.Fprintf(w, "stop with Ctrl-C; explain a verdict with: cd %s && apex why captioner-unsigned\n", v.Workspace)
			}
		}
		if *output == "table" {
			o.Source = func(st source.Status) { fmt.Fprintln(w, statusLine(&st)) }
			o.Drift = func(d source.Drift) { fmt.Fprintln(w, driftLine(&d)) }
		}
		go footprint.Keep(cmd.Context())
		if err := app.Up(cmd.Context(), o); err != nil {
			return err
		}
		return failed
	}
	return c
}

// progressAfter is how long a start may take before a person is told what it
// is doing.
const progressAfter = time.Second

// progress shows on one line of a terminal what is being done, once it takes
// long. It writes nothing where there is no terminal.
type progress struct {
	mu    sync.Mutex
	w     io.Writer
	timer *time.Timer
	text  string
	shown bool
	ended bool
}

func newProgress(w io.Writer, after time.Duration) *progress {
	p := &progress{w: w}
	if f, ok := w.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		p.ended = true
		return p
	}
	p.timer = time.AfterFunc(after, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.shown = !p.ended
		p.draw()
	})
	return p
}

// stage says what begins now.
func (p *progress) stage(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = text
	p.draw()
}

func (p *progress) draw() {
	if p.shown {
		fmt.Fprintf(p.w, "\r\x1b[K%s …", p.text)
	}
}

// end removes the line. Nothing is shown afterwards.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	p.shown, p.ended = false, true
}
