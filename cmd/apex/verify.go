package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/image"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/report"
	"github.com/apexlogic/apex/verdict"
)

// engineFlags are the flags of commands that verify.
type engineFlags struct {
	policies     []string
	allowPrivate []string
	plainHTTP    []string
	reports      []string
	deadline     time.Duration
	noCache      bool
}

func (f *engineFlags) add(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.policies, "policy", nil, "file or folder with policies and trust roots (default: the commit at the workspace's head)")
	f.addConnection(c)
}

// addConnection adds the flags that are not about policies.
func (f *engineFlags) addConnection(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.allowPrivate, "allow-private-registry", nil, "registry host, host:port or CIDR that may be called although its address is private")
	c.Flags().StringSliceVar(&f.plainHTTP, "plain-http", nil, "registry host:port that is called without TLS")
	c.Flags().StringSliceVar(&f.reports, "report", nil, "vulnerability report that counts as handed in by you")
	c.Flags().BoolVar(&f.noCache, "no-cache", false, "neither use nor keep facts and verdicts of other runs")
	c.Flags().DurationVar(&f.deadline, "timeout", 30*time.Second, "what is not found out by then is denied")
}

// open returns an engine with the policies in force.
func (f *engineFlags) open(cmd *cobra.Command) (*app.Engine, error) {
	ctx := cmd.Context()
	workspace, inside := app.FindWorkspace(".")
	set, err := f.load(ctx, workspace, inside)
	if err != nil {
		return nil, err
	}
	e, err := f.engine(cmd)
	if err != nil {
		return nil, err
	}
	if err := e.Publish(ctx, set); err != nil {
		return nil, errors.Join(err, e.Close(ctx))
	}
	return e, nil
}

// engine returns an engine without policies.
func (f *engineFlags) engine(cmd *cobra.Command) (*app.Engine, error) {
	workspace, inside := app.FindWorkspace(".")
	state, err := stateDir(cmd, workspace, inside)
	if err != nil {
		return nil, err
	}
	o := app.EngineOptions{
		State: state, Role: "cli", Version: version, AllowPrivate: f.allowPrivate, PlainHTTP: f.plainHTTP,
		Keychain: oci.DockerKeychain(), Deadline: f.deadline, WithoutCache: f.noCache,
		Logger: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if inside {
		o.Keychain = workspace.Keychain(o.Keychain)
		if host := workspace.RegistryHost(); host != "" {
			o.AllowPrivate = append(o.AllowPrivate, host)
			o.PlainHTTP = append(o.PlainHTTP, host)
		}
	}
	if o.Reports, err = handedIn(f.reports); err != nil {
		return nil, err
	}
	return app.OpenEngine(cmd.Context(), o)
}

func (f *engineFlags) load(ctx context.Context, w app.Workspace, inside bool) (*config.Set, error) {
	if len(f.policies) == 0 {
		if !inside {
			return nil, usage("there are no policies: name them with --policy, or run inside a workspace that apex up has made")
		}
		set, _, err := w.Load(ctx)
		return set, err
	}
	var sources []config.Source
	for _, p := range f.policies {
		sources = append(sources, config.Path(p))
	}
	return config.Load(ctx, sources...)
}

// stateDir is where the command keeps its ledger.
func stateDir(cmd *cobra.Command, w app.Workspace, inside bool) (string, error) {
	if dir, err := cmd.Flags().GetString("state"); err == nil && dir != "" {
		return dir, nil
	}
	if inside {
		return w.State(), nil
	}
	return app.StateDir()
}

// maxReport bounds a report file, as the room that parses it does.
const maxReport = 64 << 20

func handedIn(paths []string) ([]fact.Report, error) {
	var out []fact.Report
	for _, p := range paths {
		data, err := bounded.ReadFile(p, maxReport)
		if err != nil {
			return nil, err
		}
		r, err := image.HandedIn(data, p)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func newVerifyCommand() *cobra.Command {
	var flags engineFlags
	var labels []string
	var scanWith string
	var verbose bool
	c := &cobra.Command{
		Use:   "verify IMAGE | oci://MODEL | MANIFEST.yaml | DIR | -",
		Short: "May this image or model, or all that these manifests name, be deployed?",
		Long: `Verify judges one image, one model (oci://…), or all that manifests name, by the
policies in force, and lists what was checked and what could not be. Models in
manifests are judged once a ModelSecurityPolicy is in force.

An image that no policy selects is not allowed: the answer is "unselected".
Policies select by the labels of the workload; for a bare image, give them with
--label. Every answer is recorded in the ledger (apex why, apex ledger).`,
		Example: `  apex verify registry.example.com/vision/captioner:1.0 --label app=multimodal-inference
  apex verify deploy/ --policy policies/ -o sarif > apex.sarif
  helm template . | apex verify -`,
		Args: cobra.MinimumNArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml", "sarif", "markdown")
	flags.add(c)
	c.Flags().StringSliceVarP(&labels, "label", "l", nil, "label of the workload, k=v; in manifests it stands in where a workload lacks it")
	c.Flags().StringVar(&scanWith, "scan-with", "", "run this scanner of the machine on each image, in a cage, and hand its report in: Trivy, Grype, OSV-Scanner")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "show every check, not only those that decide")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		ctx := cmd.Context()
		given, err := parseLabels(labels)
		if err != nil {
			return err
		}
		asked, err := ask(cmd, args, given)
		if err != nil {
			return err
		}
		e, err := flags.open(cmd)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, e.Close(context.WithoutCancel(ctx))) }()
		if scanWith != "" {
			problems, err := e.ScanWith(ctx, scanWith, asked, clock.System{}, version)
			if err != nil {
				return err
			}
			for _, p := range problems {
				fmt.Fprintf(cmd.ErrOrStderr(), "apex: not scanned: %s\n", report.Plain(p.Error()))
			}
		}
		r := e.Ask(ctx, asked)
		if err := writeReport(cmd, *output, &r, verbose); err != nil {
			return err
		}
		if code := report.ExitCode(&r); code != exitAllow {
			return &exit{code: code}
		}
		return nil
	}
	return c
}

func parseLabels(pairs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range pairs {
		k, v, ok := strings.Cut(p, "=")
		if !ok || k == "" {
			return nil, usage("--label %q is not key=value", p)
		}
		out[k] = v
	}
	return out, nil
}

// ask turns arguments into questions: what exists as a file, or looks like one,
// is a manifest; anything else is an image.
func ask(cmd *cobra.Command, args []string, labels map[string]string) (app.Asked, error) {
	var all app.Asked
	for _, arg := range args {
		if !isManifest(arg) {
			all.Questions = append(all.Questions, app.QuestionAbout(arg, labels))
			continue
		}
		a, err := app.AskManifests(cmd.Context(), cmd.InOrStdin(), []string{arg}, labels)
		if err != nil {
			return all, err
		}
		all.Questions = append(all.Questions, a.Questions...)
		all.Unresolved = append(all.Unresolved, a.Unresolved...)
	}
	if len(all.Questions)+len(all.Unresolved) == 0 {
		return all, fmt.Errorf("%s: no image is named there, so there is nothing to verify", strings.Join(args, " "))
	}
	return all, nil
}

func isManifest(arg string) bool {
	if arg == "-" {
		return true
	}
	if _, err := os.Stat(arg); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return true
	}
	switch filepath.Ext(arg) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return strings.HasPrefix(arg, "./") || strings.HasPrefix(arg, "/")
}

func writeReport(cmd *cobra.Command, format string, r *verdict.Report, verbose bool) error {
	w := cmd.OutOrStdout()
	switch format {
	case "json":
		return report.JSON(w, r)
	case "yaml":
		return report.YAML(w, r)
	case "sarif":
		return report.SARIF(w, r)
	case "markdown":
		return report.Markdown(w, r)
	}
	return report.Table(w, r, report.Options{Color: colourful(w), Width: width(w), Verbose: verbose})
}
