package scanhub

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
	"github.com/apexlogic/apex/internal/scanhub/tools"
)

// The limits on one run of one tool, where its table or the caller set no others.
const (
	// defaultTime is three times what the slowest tool takes for a large
	// repository.
	defaultTime = 10 * time.Minute
	// defaultMemory is what each process may write to: scanners load whole
	// programs or databases, 2.3 GB at most as measured.
	defaultMemory = 3 << 30
	// probeTime bounds the question for a version. A tool that begins with
	// importing 1,000 modules takes some seconds for it.
	probeTime = 30 * time.Second
	// dialTime bounds the question whether a service is there.
	dialTime = 5 * time.Second
)

// Runner runs the tools of a table. The zero value runs all of them with the
// default limits. A Runner is not changed by running and is safe for concurrent
// use.
type Runner struct {
	// Tools is the table; nil takes tools.All.
	Tools []tools.Tool
	// Path is where programs are looked for, as PATH is; "" takes the
	// environment's.
	Path string
	// Data are the databases and rules that tools need.
	Data tools.Data
	// Time bounds each tool; 0 takes its own limit or 10 minutes.
	Time time.Duration
	// Memory bounds what each process of a tool may write to, in bytes; 0 takes
	// its own limit or 3 GiB.
	Memory uint64
}

// Run runs every tool that scans this kind of target, one after the other, and
// returns one Scan for each. The error is about the target alone; whatever goes
// wrong with a tool is in its Scan.
func (r *Runner) Run(ctx context.Context, target tools.Target) ([]Scan, error) {
	kind := target.Kind()
	if kind == 0 || kind == tools.SBOM {
		return nil, errors.New("scan one folder, one image or one URL")
	}
	table := r.Tools
	if table == nil {
		table = tools.All()
	}
	var tree *tools.Tree
	if kind == tools.Dir {
		dir, err := filepath.Abs(target.Dir)
		if err != nil {
			return nil, err
		}
		if info, err := os.Stat(dir); err != nil {
			return nil, err
		} else if !info.IsDir() {
			return nil, fmt.Errorf("scan %s: not a folder", target.Dir)
		}
		target.Dir = dir
		tree = tools.Walk(dir)
	}
	if strings.HasPrefix(target.Image, "-") || strings.HasPrefix(target.URL, "-") {
		return nil, errors.New("an image or URL that begins with a dash would be taken for a flag")
	}
	var scans []Scan
	for i := range table {
		t := &table[i]
		if t.Targets&kind == 0 {
			continue
		}
		s := Scan{Tool: t.Name}
		r.one(ctx, t, target, tree, &s)
		scans = append(scans, s)
	}
	return scans, nil
}

func (r *Runner) one(ctx context.Context, t *tools.Tool, target tools.Target, tree *tools.Tree, s *Scan) {
	s.Status = NotScanned // until it is shown
	program := r.find(t)
	switch {
	case program == "":
		s.Status, s.Reason = NotInstalled, strings.Join(t.Programs, " or ")+" is not on PATH"
		return
	case tree != nil && t.Applies != nil && !t.Applies(tree):
		s.Status, s.Reason = NotApplicable, "there is nothing in the folder that it looks at"
		return
	}
	work, err := os.MkdirTemp("", "apex-scan-")
	if err != nil {
		s.Reason = err.Error()
		return
	}
	defer removeAll(work)
	if err := r.scan(ctx, t, program, work, target, s); err != nil {
		s.Reason = err.Error()
		return
	}
}

// removeAll removes a folder in which a tool may have left read-only ones, as
// the go command does.
func removeAll(dir string) {
	if os.RemoveAll(dir) == nil {
		return
	}
	filepath.WalkDir(dir, func(p string, d os.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			os.Chmod(p, 0o700)
		}
		return nil
	})
	os.RemoveAll(dir)
}

// find returns the program's path, "" when it is not on Path. Relative entries
// of Path are left out: the scanned folder may be the current one.
func (r *Runner) find(t *tools.Tool) string {
	for _, name := range t.Programs {
		for _, dir := range filepath.SplitList(r.path()) {
			p := filepath.Join(dir, name)
			if !filepath.IsAbs(dir) {
				continue
			}
			if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return p
			}
		}
	}
	return ""
}

func (r *Runner) path() string {
	if r.Path != "" {
		return r.Path
	}
	return os.Getenv("PATH")
}

// scan runs the tool and reads what it says. A nil error means that the status
// is settled.
func (r *Runner) scan(ctx context.Context, t *tools.Tool, program, work string, target tools.Target, s *Scan) error {
	for name, text := range t.Files {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	req := tools.Request{Target: target, Data: r.Data, Work: work}
	if t.File {
		req.Report = filepath.Join(work, "report")
		if t.ReportName != "" {
			req.Report = filepath.Join(work, t.ReportName)
		}
	}
	args, err := t.Args(req)
	if err != nil {
		return err
	}
	if target.URL != "" {
		if err := reachable(ctx, target.URL); err != nil {
			return err
		}
	}
	run := r.prepare(t, program, req)
	s.Version = r.version(ctx, t, run)
	if t.InTree {
		run.dir = target.Dir
	}
	run.args, run.time = args, r.time(t)
	run.network = t.Network == nil || t.Network(req)
	out := run.run(ctx)
	s.Took, s.CPU, s.Confined, s.Open = out.took, out.cpu, out.confined, out.open
	if out.err != nil {
		return out.err
	}
	return r.judge(t, req, &out, s)
}

// prepare is a start of the tool without arguments.
func (r *Runner) prepare(t *tools.Tool, program string, req tools.Request) command {
	return command{
		program: program, env: r.environment(t, req), dir: req.Work, work: req.Work,
		limits: limits{memory: r.memory(t), file: sarif.MaxBytes},
	}
}

// version asks the program of which version it is; "" when it does not say.
func (r *Runner) version(ctx context.Context, t *tools.Tool, run command) string {
	if v := builtVersion(run.program); v != "" {
		return v
	}
	run.args, run.time = t.Version, probeTime
	if out := run.run(ctx); out.err == nil {
		return version(out.stdout)
	}
	return ""
}

// judge holds exit code and report against each other: what one of them alone
// says is not enough.
func (r *Runner) judge(t *tools.Tool, req tools.Request, out *outcome, s *Scan) error {
	meaning := t.Exit[out.code]
	switch meaning {
	case tools.Failed:
		return fmt.Errorf("it failed with code %d%s", out.code, out.lastWords())
	case tools.Nothing:
		s.Status, s.Reason = NotApplicable, "it says that there is nothing in the target that it looks at"
		return nil
	}
	data, err := reportOf(t, req, out, sarif.MaxBytes)
	if errors.Is(err, os.ErrNotExist) && t.Silent && meaning != tools.Found {
		s.Status = Scanned
		return nil
	}
	if err != nil {
		return err
	}
	read := t.Read
	if read == nil {
		read = sarif.Read
	}
	runs, err := read(data, req.Target.Dir)
	if err != nil {
		return err
	}
	problem := ""
	for _, run := range runs {
		if s.Version == "" {
			s.Version = sarif.Clip(run.Version, 100)
		}
		if problem == "" {
			problem = run.Problem
		}
		for _, res := range run.Results {
			t.Normalize(&res)
			s.Results = append(s.Results, res)
		}
	}
	switch {
	case len(runs) == 0:
		return errors.New("its report holds no run")
	case problem != "":
		return errors.New("it has not looked at everything: " + problem)
	case meaning == tools.Found && len(s.Results) == 0:
		return fmt.Errorf("its code %d says that it found something, and its report that it did not", out.code)
	}
	s.Status = Scanned
	return nil
}

// reportOf returns the bytes of what a tool reported, which are never none.
func reportOf(t *tools.Tool, req tools.Request, out *outcome, limit int64) ([]byte, error) {
	data := out.stdout
	if t.File {
		var err error
		if data, err = bounded.ReadFile(req.Report, limit); err != nil {
			return nil, fmt.Errorf("it ended with code %d and left no report that can be read: %w", out.code, withoutPath(err))
		}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, fmt.Errorf("it ended with code %d and an empty report%s", out.code, out.lastWords())
	}
	return data, nil
}

// withoutPath drops the name of a temporary file, which tells a reader nothing.
func withoutPath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func reachable(ctx context.Context, target string) error {
	u, err := url.Parse(target)
	if err != nil || u.Hostname() == "" {
		return errors.New("the URL names no host")
	}
	port := u.Port()
	if port == "" {
		if port = "80"; u.Scheme == "https" {
			port = "443"
		}
	}
	conn, err := (&net.Dialer{Timeout: dialTime}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return fmt.Errorf("nothing answers there: %w", err)
	}
	return conn.Close()
}

func (r *Runner) time(t *tools.Tool) time.Duration {
	switch {
	case r.Time > 0:
		return r.Time
	case t.Time > 0:
		return t.Time
	}
	return defaultTime
}

func (r *Runner) memory(t *tools.Tool) uint64 {
	switch {
	case r.Memory > 0:
		return r.Memory
	case t.Memory > 0:
		return t.Memory
	}
	return defaultMemory
}

// environment is all that a tool sees of ours: nothing that could be a secret,
// and a home of its own.
func (r *Runner) environment(t *tools.Tool, req tools.Request) []string {
	env := []string{
		"PATH=" + r.path(), "HOME=" + req.Work, "TMPDIR=" + req.Work, "XDG_CACHE_HOME=" + filepath.Join(req.Work, "cache"),
		"XDG_CONFIG_HOME=" + filepath.Join(req.Work, "config"), "XDG_DATA_HOME=" + filepath.Join(req.Work, "data"),
		"NO_COLOR=1", "TERM=dumb", "GIT_TERMINAL_PROMPT=0",
	}
	for _, name := range []string{"LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "SYSTEMROOT"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	if t.Go {
		env = append(env, goEnvironment()...)
	}
	if t.Env != nil {
		env = append(env, t.Env(req)...)
	}
	return env
}

// goEnvironment lets the go command use the modules and the build cache that
// are there, and nothing from elsewhere: no proxy, no other toolchain, no C
// compiler.
func goEnvironment() []string {
	env := []string{"GOTOOLCHAIN=local", "GOPROXY=off", "GOFLAGS=-mod=readonly", "GOSUMDB=off", "GOWORK=off", "CGO_ENABLED=0", "GOENV=off"}
	home, _ := os.UserHomeDir()
	gopath := os.Getenv("GOPATH")
	if gopath == "" && home != "" {
		gopath = filepath.Join(home, "go")
	}
	if first := filepath.SplitList(gopath); len(first) > 0 {
		env = append(env, "GOPATH="+first[0])
	}
	for _, name := range []string{"GOROOT", "GOMODCACHE"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	cache := os.Getenv("GOCACHE")
	if cache == "" {
		if dir, err := os.UserCacheDir(); err == nil {
			cache = filepath.Join(dir, "go-build")
		}
	}
	if cache != "" {
		env = append(env, "GOCACHE="+cache)
	}
	return env
}

// builtVersion is the version of a program in Go that was built from its
// module. What such a program prints is often "dev": its makers set it apart.
func builtVersion(program string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil || !strings.HasPrefix(info.Main.Version, "v") {
		return ""
	}
	return sarif.Clip(info.Main.Version, 100)
}

// version is the first line that has a digit, as tools print it.
func version(out []byte) string {
	for line := range strings.SplitSeq(string(out), "\n") {
		if line = strings.TrimSpace(line); strings.ContainsAny(line, "0123456789") {
			return sarif.Clip(strings.Map(printable, line), 100)
		}
	}
	return ""
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}
