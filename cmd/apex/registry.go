package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/registry"
)

func newRegistryCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "registry",
		Short: "An OCI registry whose tags never move and which can ask policies first",
		Long: `Registry serves the registry that Apex carries inside on its own: for teams that
have none yet, and as a door that policies guard. Every request needs credentials.`,
		Example: "  apex registry serve --dir /var/lib/apex-registry",
	}
	c.AddCommand(newRegistryServeCommand())
	return c
}

// registryFlags are the flags of apex registry serve.
type registryFlags struct {
	dir, address, users string
	anonymous, mutable  []string
	cert, key           string
	gate                bool
	labels              []string
	policies            engineFlags
}

func newRegistryServeCommand() *cobra.Command {
	var f registryFlags
	c := &cobra.Command{
		Use:   "serve --dir DIR",
		Short: "Serve a directory as an OCI registry",
		Long: `Serve makes the directory a registry and serves it until it is stopped. A push
that was answered is on the disk; a tag never moves unless --mutable says so.

Its operator is the user "apex" with the token in DIR/token. --users names a file
with further users, a line each: name:bcrypt-hash:prefix=actions prefix=actions.

With --gate a tag becomes visible only after the policies allowed its digest. An
image is stored and can be pulled by digest before, so that it can be signed and
scanned, and then tagged. Policies select by label; a push has none, so that
--gate-label says which apply. Changed policies are in force within a second.

An address that is not loopback needs TLS.`,
		Example: `  apex registry serve --dir /var/lib/apex-registry
  apex registry serve --dir registry --gate --policy policies/ --gate-label app=multimodal-inference
  apex registry serve --dir registry --address 0.0.0.0:443 --tls-cert tls.crt --tls-key tls.key --users users`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&f.dir, "dir", "", "the registry's directory; made when it is not there")
	c.Flags().StringVar(&f.address, "address", "127.0.0.1:5011", "where to listen; port 0 takes a free one")
	c.Flags().StringVar(&f.users, "users", "", "file with users beside the operator")
	c.Flags().StringSliceVar(&f.anonymous, "anonymous-pull", nil, `prefix ("public/") or repository that everybody may pull from`)
	c.Flags().StringSliceVar(&f.mutable, "mutable", nil, `tags that may be moved and deleted: "latest", or "REPOSITORY:TAG"; * stands for anything`)
	c.Flags().StringVar(&f.cert, "tls-cert", "", "certificate chain (PEM)")
	c.Flags().StringVar(&f.key, "tls-key", "", "private key of the certificate (PEM)")
	c.Flags().BoolVar(&f.gate, "gate", false, "ask the policies before a tag becomes visible")
	c.Flags().StringSliceVar(&f.labels, "gate-label", nil, "label k=v that the gate's questions carry")
	c.Flags().StringSliceVar(&f.policies.policies, "policy", nil, "file or folder with policies and trust roots for the gate (default: the commit at the workspace's head)")
	c.RunE = func(cmd *cobra.Command, _ []string) error { return serveRegistry(cmd, &f) }
	return c
}

// check refuses what does not fit together.
func (f *registryFlags) check(cmd *cobra.Command) error {
	host, _, err := net.SplitHostPort(f.address)
	if err != nil {
		return usage("--address: %w", err)
	}
	ip := net.ParseIP(host)
	switch {
	case f.dir == "":
		return usage("--dir is needed: the registry's directory")
	case (f.cert == "") != (f.key == ""):
		return usage("--tls-cert and --tls-key go together")
	case f.cert == "" && (ip == nil || !ip.IsLoopback()):
		return usage("%s is not a loopback address, and passwords must not cross a network in the clear: add TLS with --tls-cert and --tls-key, or listen on 127.0.0.1", f.address)
	case f.gate && f.cert != "":
		return usage("--gate with TLS is not possible yet: put a proxy that ends TLS before a registry on loopback")
	}
	if !f.gate {
		for _, name := range []string{"gate-label", "policy"} {
			if cmd.Flags().Changed(name) {
				return usage("--%s is for the gate: add --gate", name)
			}
		}
	}
	return nil
}

// registryShutdown is how long pushes under way may take to end.
const registryShutdown = 10 * time.Second

func serveRegistry(cmd *cobra.Command, f *registryFlags) (err error) {
	if err := f.check(cmd); err != nil {
		return err
	}
	labels, err := parseLabels(f.labels)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	local, err := registry.OpenLocal(f.dir)
	if err != nil {
		return err
	}
	o := registry.Options{Dir: f.dir, Auth: local, AnonymousPull: f.anonymous, Mutable: mutableTags(f.mutable), Logger: log}
	if f.users != "" {
		users, err := registry.LoadUsers(f.users)
		if err != nil {
			return err
		}
		o.Auth, o.Tenants = registry.Authenticators{local, users}, users.Tenants()
	}
	listener, err := net.Listen("tcp", f.address)
	if err != nil {
		return fmt.Errorf("the registry cannot listen on %s: %w; --address names another", f.address, err)
	}
	defer listener.Close()
	host := listener.Addr().String()
	if f.gate {
		e, err := f.openGate(cmd, host, local, log)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, e.Close(context.WithoutCancel(ctx))) }()
		o.Gate = e.Gate(host, labels)
		following := make(chan struct{})
		go func() { defer close(following); f.follow(ctx, e, log) }()
		defer func() { stop(); <-following }()
	}
	r, err := registry.New(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	scheme := "http"
	if f.cert != "" {
		scheme = "https"
	}
	token, err := filepath.Abs(filepath.Join(f.dir, "token"))
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "registry %s://%s serves %s\nlog in with: docker login -u %s --password-stdin %s < %s\n",
		scheme, host, f.dir, registry.LocalUser, host, token)
	return serveUntil(ctx, registry.Server(r), listener, f.cert, f.key)
}

// serveUntil serves until the context ends, and lets requests under way end.
func serveUntil(ctx context.Context, s *http.Server, l net.Listener, cert, key string) error {
	ended := make(chan error, 1)
	go func() {
		if cert != "" {
			ended <- s.ServeTLS(l, cert, key)
		} else {
			ended <- s.Serve(l)
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), registryShutdown)
	defer cancel()
	if err := s.Shutdown(ending); err != nil {
		s.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// gateRecheck lets a push that follows a signature be judged by that signature.
const gateRecheck = time.Nanosecond

// openGate opens the engine that the gate asks. It looks at the images in this
// registry itself, as the local operator.
func (f *registryFlags) openGate(cmd *cobra.Command, host string, local *registry.Local, log *slog.Logger) (*app.Engine, error) {
	ctx := cmd.Context()
	workspace, inside := app.FindWorkspace(".")
	set, err := f.policies.load(ctx, workspace, inside)
	if err != nil {
		return nil, err
	}
	state, err := stateDir(cmd, workspace, inside)
	if err != nil {
		return nil, err
	}
	e, err := app.OpenEngine(ctx, app.EngineOptions{
		State: state, Role: "registry", AllowPrivate: []string{host}, PlainHTTP: []string{host},
		Keychain: app.LocalKeychain(host, local.Token(), oci.DockerKeychain()), Recheck: gateRecheck, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	if err := e.Publish(ctx, set); err != nil {
		return nil, errors.Join(err, e.Close(ctx))
	}
	return e, nil
}

// follow puts changed policies in force. Broken ones leave those before them.
func (f *registryFlags) follow(ctx context.Context, e *app.Engine, log *slog.Logger) {
	workspace, inside := app.FindWorkspace(".")
	var last string
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		set, err := f.policies.load(ctx, workspace, inside)
		if err == nil && set.Hash() == last {
			continue
		}
		if err == nil {
			last = set.Hash()
			err = e.Publish(ctx, set)
		}
		if err != nil && ctx.Err() == nil {
			log.Error("the policies before stay in force: the new ones cannot be", "err", err)
		}
	}
}

// mutableTags matches "TAG" in every repository, or "REPOSITORY:TAG"; * stands
// for any characters.
func mutableTags(patterns []string) func(repo, tag string) bool {
	if len(patterns) == 0 {
		return nil
	}
	return func(repo, tag string) bool {
		for _, p := range patterns {
			if !strings.Contains(p, ":") {
				p = "*:" + p
			}
			if glob(p, repo+":"+tag) {
				return true
			}
		}
		return false
	}
}

// glob matches text against a pattern in which * stands for any characters. It
// takes time in the product of both lengths at most.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	if len(parts) == 1 {
		return rest == ""
	}
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}
