package source

import (
	"cmp"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/follow"
	"github.com/apexlogic/apex/internal/gitops/history"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/verdict"
)

// origin is where revisions come from: a Git repository or a registry.
type origin interface {
	// head brings the newest revision here and names it.
	head(ctx context.Context) (string, error)
	// prove says whether a revision may follow what is remembered.
	prove(ctx context.Context, state *apply.State, revision string) (*proof, error)
	// agreed says whether those whom a rule names signed every change in the
	// files, beside what prove asks for.
	agreed(ctx context.Context, state *apply.State, revision string, by kindRule, files []string) error
	// set is what a revision stands for, within the bounds of the options.
	set(ctx context.Context, revision string, o render.Options) (*gitops.Set, error)
	// files are those of a revision, for policies that judge files.
	files(ctx context.Context, revision string, set *gitops.Set) (fs.FS, error)
	// allowsPrune says whether a revision may delete more than a mistake may.
	allowsPrune(revision string) (bool, error)
	// accept keeps what the applied revision needs.
	accept(revision string) error
	// sign makes the record of a rollback. Rollback judges one, and returns what
	// is remembered afterwards. Neither a remote nor a registry is asked.
	sign(state *apply.State, t apply.Transition, reason string, by crypto.Signer) ([]byte, error)
	rollback(ctx context.Context, state *apply.State, t apply.Transition, record []byte) (json.RawMessage, error)
	close() error
}

// gitOrigin is a mirror of a Git repository.
type gitOrigin struct {
	s      *Source
	remote *repo.Remote

	mu     sync.Mutex
	mirror *repo.Mirror // nil until something is fetched
	aside  string       // where it is, when it is not in the source's place
}

var _ origin = (*gitOrigin)(nil)

func newGitOrigin(s *Source) (*gitOrigin, error) {
	remote, err := repo.NewRemote(s.spec.URL, s.o.Remote)
	return &gitOrigin{s: s, remote: remote}, err
}

// opened opens the mirror the first time.
func (g *gitOrigin) opened() (*repo.Mirror, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mirror != nil {
		return g.mirror, nil
	}
	m, err := repo.OpenMirror(g.dir(), g.remote, g.branch())
	if errors.Is(err, repo.ErrLocked) {
		if g.s.o.Looks {
			return g.openAside()
		}
		return nil, fmt.Errorf("another process follows the source %s: %w", g.s.name, err)
	}
	g.mirror = m
	return m, err
}

func (g *gitOrigin) branch() string { return cmp.Or(g.s.spec.Branch, "main") }

// openAside opens a mirror of its own, for as long as the source is open.
func (g *gitOrigin) openAside() (_ *repo.Mirror, err error) {
	if g.aside == "" { // it is there when opening it failed before
		if g.aside, err = os.MkdirTemp(g.s.o.State, "look-"); err != nil {
			return nil, err
		}
	}
	g.mirror, err = repo.OpenMirror(g.aside, g.remote, g.branch())
	return g.mirror, err
}

func (g *gitOrigin) dir() string { return filepath.Join(g.s.o.State, "mirror") }

func (g *gitOrigin) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var err error
	if g.mirror != nil {
		err = g.mirror.Close()
	}
	if g.aside != "" {
		err = errors.Join(err, os.RemoveAll(g.aside))
	}
	return err
}

// commits is the copy of the repository, to be read while somebody else may
// fetch into it. The second result closes it.
func (g *gitOrigin) commits() (*repo.Repo, func() error, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mirror != nil {
		return g.mirror.Repo(), func() error { return nil }, nil
	}
	r, err := repo.Open(g.dir())
	if err != nil {
		return nil, nil, err
	}
	return r, r.Close, nil
}

func (g *gitOrigin) head(ctx context.Context) (string, error) {
	mirror, err := g.opened()
	if err != nil {
		return "", err
	}
	fetched, err := mirror.Fetch(ctx)
	if err != nil {
		return "", err
	}
	return string(fetched.Head), nil
}

func (g *gitOrigin) prove(ctx context.Context, state *apply.State, commit string) (*proof, error) {
	commits, done, err := g.commits()
	if err != nil {
		return nil, err
	}
	defer done()
	accepted, err := g.verify(ctx, commits, g.s.trust.history, state, commit)
	if err != nil {
		return nil, err
	}
	for _, w := range accepted.Warnings {
		g.s.o.Logger.Warn("a history is accepted with a warning", "source", g.s.name, "commit", commit, "code", w.Code, "why", w.Why)
	}
	allowPrune, err := g.allowsPrune(commit)
	if err != nil {
		return nil, refusal(err)
	}
	memory, err := json.Marshal(accepted.State)
	if err != nil {
		return nil, err
	}
	return &proof{memory: memory, authors: g.s.owners(signersOf(accepted)...), allowPrune: allowPrune}, nil
}

func (g *gitOrigin) allowsPrune(commit string) (bool, error) {
	commits, done, err := g.commits()
	if err != nil {
		return false, err
	}
	defer done()
	raw, err := commits.RawCommit(repo.Commit(commit))
	if err != nil {
		return false, err
	}
	return slices.Contains(raw.Trailers(TrailerPrune), "allow"), nil
}

// verify asks a verifier about all commits since the accepted one.
func (g *gitOrigin) verify(ctx context.Context, commits *repo.Repo, by *history.Verifier, state *apply.State, commit string) (*history.Accepted, error) {
	last, err := remembered(state)
	if err != nil {
		return nil, err
	}
	accepted, err := by.Verify(ctx, commits, last, repo.Commit(commit), g.s.o.Clock.Now())
	if r, is := errors.AsType[*history.Refusal](err); is {
		return nil, &follow.Refused{Step: "trust", Code: r.Code, Where: verdict.Origin{Object: "commit " + string(r.Commit)}, Why: r.Why}
	}
	return accepted, refusal(err)
}

func (g *gitOrigin) tree(ctx context.Context, commit string) (fs.FS, error) {
	mirror, err := g.opened()
	if err != nil {
		return nil, err
	}
	return mirror.Repo().At(ctx, repo.Commit(commit))
}

func (g *gitOrigin) set(ctx context.Context, commit string, o render.Options) (*gitops.Set, error) {
	tree, err := g.tree(ctx, commit)
	if err != nil {
		return nil, err
	}
	return render.Render(ctx, tree, g.s.dir(), o)
}

func (g *gitOrigin) files(ctx context.Context, commit string, _ *gitops.Set) (fs.FS, error) {
	tree, err := g.tree(ctx, commit)
	if err != nil {
		return nil, err
	}
	if dir := g.s.dir(); dir != "" {
		if info, err := fs.Stat(tree, dir); err == nil && info.IsDir() {
			return fs.Sub(tree, dir)
		}
	}
	return tree, nil
}

// accept keeps what the commit needs, whatever the remote does meanwhile.
func (g *gitOrigin) accept(commit string) error {
	mirror, err := g.opened()
	if err != nil {
		return err
	}
	return mirror.Accept(repo.Commit(commit))
}

func (g *gitOrigin) sign(state *apply.State, t apply.Transition, reason string, by crypto.Signer) ([]byte, error) {
	last, err := remembered(state)
	if err != nil {
		return nil, err
	}
	return history.Rollback{
		Source: t.Source, From: last.Commit, To: repo.Commit(t.To.Commit),
		Counter: last.Counter, Reason: reason, At: g.s.o.Clock.Now().UTC(),
	}.Sign(by)
}

func (g *gitOrigin) rollback(ctx context.Context, state *apply.State, t apply.Transition, record []byte) (json.RawMessage, error) {
	commits, done, err := g.commits()
	if err != nil {
		return nil, err
	}
	defer done()
	last, err := remembered(state)
	if err != nil {
		return nil, err
	}
	back, err := g.s.trust.history.Rollback(ctx, commits, last, record, g.s.o.Clock.Now())
	if err != nil {
		return nil, err
	}
	if err := goesTo(back.Record, t); err != nil {
		return nil, err
	}
	return json.Marshal(back.State)
}

// goesTo holds a record to the revision that is gone back to.
func goesTo(r history.Rollback, t apply.Transition) error {
	if r.To != repo.Commit(t.To.Commit) {
		return fmt.Errorf("it goes back to %s and not to %s", r.To, t.To.Commit)
	}
	return nil
}

func signersOf(a *history.Accepted) (names []string) {
	for i := range a.Commits {
		names = append(names, a.Commits[i].Signers...)
	}
	return names
}

// remembered is what history remembers of the decision that was made last. It is
// kept beside the target with the decision.
func remembered(s *apply.State) (h history.State, err error) {
	if s.Memory == nil {
		return h, nil
	}
	if err := json.Unmarshal(s.Memory, &h); err != nil {
		return h, fmt.Errorf("what is remembered of the source's history: %w", err)
	}
	if h.Commit == "" {
		return h, errors.New("what is remembered of the source is no commit: it followed a registry; give the source another name")
	}
	return h, nil
}
