package app

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/internal/gitops/source"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/repo"
)

// SourceOptions say which GitSource is opened, and with what.
type SourceOptions struct {
	// Documents hold the GitSource and whom it trusts. They are kept beside the
	// target, not in the repository.
	Documents *config.Set
	// Name of the GitSource; "" when there is only one.
	Name string
	// Target replaces the one of the GitSource: "dir:PATH", "embedded",
	// "embedded:PATH"; "" keeps it.
	Target string
	// State is the directory below which sources keep their mirrors.
	State string
	// Cluster is needed for targets of that kind.
	Cluster *kube.Client
	// Looks says that nothing will be applied, see [source.Options].
	Looks bool
	// Key seeds the signatures over what is remembered beside targets; "": one
	// in State, made the first time.
	Key     string
	Drift   func(source.Drift)
	Changed func(source.Status)
	// Published is told what became of pushing a revision to a registry.
	Published func(source.Publication)
	// Holder says what Apex itself has stopped; nil: nothing.
	Holder heal.Holder
	Remote repo.RemoteOptions
	Clock  clock.Clock
	Logger *slog.Logger
}

// OpenSource opens a GitSource whose revisions the engine judges, one for each of
// its stages in their order. The policies in force are the engine's.
func (e *Engine) OpenSource(ctx context.Context, o SourceOptions) ([]*source.Source, error) {
	found, err := findSource(o.Documents, o.Name)
	if err != nil {
		return nil, err
	}
	if ready := o.Documents.SourceReadiness(found.Name); !ready.Ready {
		return nil, &config.Invalid{Problems: ready.Reasons}
	}
	gs := found.DeepCopy()
	if o.Target != "" {
		if len(gs.Spec.Stages) > 0 {
			return nil, fmt.Errorf("the source %s has stages with targets of their own; another target is for sources without", gs.Name)
		}
		if gs.Spec.Target, err = targetOf(o.Target); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(o.State, 0o700); err != nil {
		return nil, err
	}
	seed := o.Key
	if seed == "" {
		if seed, err = secret(filepath.Join(o.State, "gitops.key")); err != nil {
			return nil, err
		}
	}
	key := stateKey(seed)
	return source.OpenAll(ctx, source.Options{
		Source: gs, TrustRoots: specs(o.Documents.TrustRoots), Revocations: specs(o.Documents.Revocations),
		State: filepath.Join(o.State, "sources", gs.Name), Cluster: o.Cluster, Looks: o.Looks,
		Sign: key.sign, Verify: key.verify,
		Gate: e.GateRevision, Resolve: e.ResolveTag, Record: e.Record, Generation: e.Generation,
		Registry: e.Registry, Publisher: key.publisher(), Published: o.Published,
		Drift: o.Drift, Changed: o.Changed, Holder: o.Holder, Remote: o.Remote, Clock: o.Clock, Logger: o.Logger,
	})
}

func findSource(s *config.Set, name string) (*v1alpha1.GitSource, error) {
	var names []string
	for _, g := range s.GitSources {
		if g.Value.Name == name || name == "" && len(s.GitSources) == 1 {
			return g.Value, nil
		}
		names = append(names, g.Value.Name)
	}
	switch {
	case len(names) == 0:
		return nil, errors.New("no GitSource is configured; see docs/gitops.md for one to begin with")
	case name == "":
		return nil, fmt.Errorf("there are several sources, name one of %s", strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("no GitSource is called %q; known: %s", name, strings.Join(names, ", "))
}

// targetOf reads a target as the command line names it.
func targetOf(text string) (v1alpha1.GitTarget, error) {
	kind, at, _ := strings.Cut(text, ":")
	switch {
	case kind == "dir" && at != "":
		path, err := filepath.Abs(at)
		return v1alpha1.GitTarget{Directory: &v1alpha1.DirectoryTarget{Path: path}}, err
	case kind == "embedded" && at == "":
		return v1alpha1.GitTarget{Embedded: &v1alpha1.EmbeddedTarget{}}, nil
	case kind == "embedded":
		path, err := filepath.Abs(at)
		return v1alpha1.GitTarget{Embedded: &v1alpha1.EmbeddedTarget{Path: path}}, err
	}
	return v1alpha1.GitTarget{}, fmt.Errorf("the target %q is none of dir:PATH, embedded and embedded:PATH", text)
}

// stateKey signs what is remembered beside a target. Who can write there and has
// not the key can destroy it and not forge it.
type stateKey string

func (k stateKey) private() ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("apex gitops state\x00" + string(k)))
	return ed25519.NewKeyFromSeed(seed[:])
}

// publisher signs the artifacts of what is applied. It is another key, since its
// public half is believed elsewhere.
func (k stateKey) publisher() ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("apex gitops publish\x00" + string(k)))
	return ed25519.NewKeyFromSeed(seed[:])
}

func (k stateKey) sign(_ context.Context, message []byte) ([]byte, error) {
	return ed25519.Sign(k.private(), message), nil
}

func (k stateKey) verify(_ context.Context, message, signature []byte) error {
	if !ed25519.Verify(k.private().Public().(ed25519.PublicKey), message, signature) {
		return errors.New("it was not signed with this installation's key")
	}
	return nil
}
