// Package repo reads and writes Git repositories: the workspace that policies
// are kept in, and the histories that deployments come from.
//
// Start with [Init] or [Open], or with [OpenMirror] for a repository elsewhere, then [Repo.Resolve] a name to a [Commit] once,
// and look at it with [Repo.At], an fs.FS over what was committed. What is
// written goes through [Repo.Commit]; [Repo.Clean] says whether the work tree
// is what was committed.
//
// A repository is foreign: its names, sizes, nesting and links are chosen by
// whoever wrote it. Every object that is read is bounded, and its bytes are
// hashed and compared with its name. Names that would reach outside of a
// directory or into .git on any file system are errors; symbolic links and
// submodules show in listings and refuse to be read. Nothing of the user's
// configuration is read, and no hook ever runs.
//
// Sources: gitformat-pack(5), gitformat-index(5), gitrepository-layout(5) and
// the checks of git-fsck(1), gitprotocol-v2(5), gitprotocol-http(5); the index
// and status are github.com/go-git/go-git/v5.
package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// What a repository may hold. Policies, manifests and their tests are text:
// what is larger is not meant for Apex, or is meant to hurt.
const (
	MaxFile  = 16 << 20 // bytes of one file
	MaxFiles = 100_000  // entries of one commit's tree, directories included
	MaxDepth = 64       // directories within each other

	maxTree    = 8 << 20 // bytes of one directory: more than MaxFiles entries with usual names
	maxCommit  = 1 << 20 // bytes of one commit or tag, signatures included
	maxMessage = 64 << 10
	// Files that go-git reads whole.
	maxHead   = 4 << 10
	maxConfig = 1 << 20
	maxRefs   = 64 << 20
	maxIndex  = 256 << 20
	// Objects that were read are kept up to this size.
	objectCache = 16 << 20
)

// Commit names a commit by the 40 lower-case hex digits of its hash.
type Commit string

// Author is who commits; both parts are needed.
type Author struct{ Name, Email string }

// The errors that callers tell apart.
var (
	ErrNotRepository = errors.New("not a Git repository")
	ErrNoCommit      = errors.New("repository has no commit yet")
	ErrNotFound      = errors.New("not in the repository")
	ErrAmbiguous     = errors.New("name means several commits")
	ErrUnsupported   = errors.New("repository layout is not supported")
	ErrTooLarge      = errors.New("larger than a repository may be")
	ErrCorrupt       = errors.New("repository is damaged")
	ErrBadName       = errors.New("name is not safe as a file name")
	ErrClash         = errors.New("some file systems take two names for one")
	ErrSymlink       = errors.New("symbolic link")
	ErrSubmodule     = errors.New("submodule")
	ErrLocked        = errors.New("another program is writing to the repository")
	ErrUncommitted   = errors.New("work tree has changes that are not committed")
)

// PathError is about one path of a repository. It wraps one of ErrTooLarge,
// ErrBadName, ErrClash, ErrSymlink, ErrSubmodule, ErrCorrupt or ErrUncommitted.
type PathError struct {
	Path string
	Err  error
}

func (e *PathError) Error() string { return fmt.Sprintf("%q: %v", e.Path, e.Err) }

// Unwrap returns the reason.
func (e *PathError) Unwrap() error { return e.Err }

// Repo is an open repository. It is safe for concurrent use, beside other
// processes and the git command.
type Repo struct {
	dir  string
	dot  *os.Root // the .git directory; nothing is opened outside of it
	work *os.Root // nil when the repository is bare

	mu     sync.Mutex // guards store, packs and git: go-git's storage is not safe for concurrent use
	store  *filesystem.Storage
	packs  []*pack // stay open: opening them for each object costs more than reading it
	git    *git.Repository
	writer sync.Mutex // one Commit at a time
}

// Init makes dir, which is created when it is missing, a repository whose first
// branch is main. The author is kept in the repository's own configuration, so
// that the git command commits there under the same name. What is in dir
// already stays there, uncommitted.
func Init(dir string, author Author) (*Repo, error) {
	if err := author.check(); err != nil {
		return nil, fmt.Errorf("init repository %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("init repository: %w", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, ".git")); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("init repository %s: there is one already: open it, or choose another directory", dir)
	}
	store := storage(filepath.Join(dir, ".git"))
	g, err := git.InitWithOptions(store, bound(dir), git.InitOptions{DefaultBranch: "refs/heads/main"})
	if err != nil {
		return nil, fmt.Errorf("init repository %s: %w", dir, err)
	}
	cfg, err := store.Config()
	if err != nil {
		return nil, fmt.Errorf("init repository %s: %w", dir, err)
	}
	cfg.User.Name, cfg.User.Email = author.Name, author.Email
	if err := g.SetConfig(cfg); err != nil {
		return nil, fmt.Errorf("init repository %s: %w", dir, err)
	}
	return Open(dir)
}

// Open opens the repository whose work tree is dir, or the bare one in dir. The
// error wraps ErrNotRepository when there is none, and ErrUnsupported when its
// parts are elsewhere (a linked work tree, borrowed objects) or its objects are
// named by SHA-256.
func Open(dir string) (*Repo, error) {
	r, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", dir, err)
	}
	return r, nil
}

func open(dir string) (*Repo, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	dot, bare := filepath.Join(dir, ".git"), false
	info, err := os.Lstat(dot)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		dot, bare = dir, true
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%w: .git is not a directory: open the main work tree instead of a linked one", ErrUnsupported)
	}
	r := &Repo{dir: dir}
	if r.dot, err = os.OpenRoot(dot); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: the directory does not exist", ErrNotRepository)
		}
		return nil, err
	}
	if err := r.open(dot, bare); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Repo) open(dot string, bare bool) error {
	for _, part := range []string{"HEAD", "objects", "refs"} {
		if _, err := r.dot.Stat(part); err != nil {
			return fmt.Errorf("%w: it has no %s: run git init, or name another directory", ErrNotRepository, part)
		}
	}
	for file, limit := range map[string]int64{"HEAD": maxHead, "config": maxConfig, "packed-refs": maxRefs, "index": maxIndex} {
		if info, err := r.dot.Stat(file); err == nil && (info.Size() > limit || !info.Mode().IsRegular()) {
			return fmt.Errorf("%w: .git/%s has %d bytes, the limit is %d", ErrTooLarge, file, info.Size(), limit)
		}
	}
	for file, what := range map[string]string{
		"commondir":               "its parts are in another directory",
		"objects/info/alternates": "it borrows objects of another repository: run git repack -a -d and remove objects/info/alternates",
	} {
		if _, err := r.dot.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s", ErrUnsupported, what)
		}
	}
	var err error
	var tree billy.Filesystem
	if !bare {
		if r.work, err = os.OpenRoot(r.dir); err != nil {
			return err
		}
		tree = bound(r.dir)
	}
	r.store = storage(dot)
	cfg, err := r.store.Config()
	if err != nil {
		return fmt.Errorf("read its config: %w", err)
	}
	for _, opt := range cfg.Raw.Section("extensions").Options {
		if strings.EqualFold(opt.Key, "objectFormat") && !strings.EqualFold(opt.Value, "sha1") {
			return fmt.Errorf("%w: its objects are named by %q; make one with git init --object-format=sha1", ErrUnsupported, opt.Value)
		}
	}
	if cfg.Core.Worktree != "" {
		return fmt.Errorf("%w: core.worktree puts its work tree elsewhere", ErrUnsupported)
	}
	r.git, err = git.Open(unhurried{r.store}, tree)
	switch {
	case errors.Is(err, git.ErrUnknownExtension), errors.Is(err, git.ErrUnsupportedExtensionRepositoryFormatVersion):
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNotRepository, err)
	}
	return nil
}

// unhurried is a storage whose index remembers no times and no wish to skip
// files, so that a comparison with the work tree reads every file: a change
// that kept the size and put the time back is seen too.
type unhurried struct{ *filesystem.Storage }

func (s unhurried) Index() (*index.Index, error) {
	idx, err := s.Storage.Index()
	if err != nil {
		return nil, err
	}
	for _, e := range idx.Entries {
		e.ModifiedAt, e.SkipWorktree = time.Time{}, false
	}
	return idx, nil
}

// Close releases the directories and packs. The repository is not used afterwards.
func (r *Repo) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	errs := []error{r.closePacks()}
	for _, root := range []*os.Root{r.dot, r.work} {
		if root != nil {
			errs = append(errs, root.Close())
		}
	}
	return errors.Join(errs...)
}

// Dir is the work tree, or the bare repository itself.
func (r *Repo) Dir() string { return r.dir }

func bound(dir string) billy.Filesystem { return osfs.New(dir, osfs.WithBoundOS()) }

func storage(dot string) *filesystem.Storage {
	return filesystem.NewStorageWithOptions(bound(dot), cache.NewObjectLRU(objectCache),
		filesystem.Options{LargeObjectThreshold: MaxFile})
}

// check refuses what would not survive the one line that a commit has for it.
func (a Author) check() error {
	for what, s := range map[string]string{"name": a.Name, "email": a.Email} {
		if strings.TrimSpace(s) == "" {
			return fmt.Errorf("the author has no %s", what)
		}
		if strings.ContainsAny(s, "<>\n\r\x00") {
			return fmt.Errorf("the author's %s %q has a character that Git cannot store: leave out <, > and line breaks", what, s)
		}
	}
	return nil
}

func (c Commit) hash() (plumbing.Hash, error) {
	if !plumbing.IsHash(string(c)) || strings.ToLower(string(c)) != string(c) || len(c) != 40 {
		return plumbing.ZeroHash, fmt.Errorf("%.60q is not a commit: 40 lower-case hex digits are", string(c))
	}
	return plumbing.NewHash(string(c)), nil
}
