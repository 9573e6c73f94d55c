package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/apexlogic/apex/internal/bounded"
)

// Files of a mirror that are not Git's.
const (
	mirrorLock   = "apex.lock"    // held while the mirror is open
	mirrorSource = "apex.source"  // what it is a mirror of
	mirrorDrop   = "apex.drop"    // packs that are about to be removed
	mirrorLoose  = "apex.garbage" // there may be objects that nothing needs
	acceptedRef  = "refs/apex/accepted"
)

// Mirror is a bare copy of one branch or tag of a remote: all of its commits,
// and nothing else. It is safe for concurrent use by one process; a second one
// cannot open it.
//
// It is an ordinary repository, which git can read too. Packs come in whole and
// checked or not at all, and the reference moves last, so that a fetch which was
// interrupted at any point has not happened.
type Mirror struct {
	remote *Remote
	ref    string
	repo   *Repo
	lock   *os.File

	mu sync.Mutex // one Fetch, Accept or Close at a time
}

// Fetched is what a fetch found.
type Fetched struct {
	Head   Commit // what the reference names now
	Before Commit // what it named at the fetch before; "" at the first one
	// Forced says that Before is not an ancestor of Head: history was rewritten
	// or rewound. Whether that may be followed is for others to say; the commits
	// that were accepted stay, see [Mirror.Accept].
	Forced bool
}

// OpenMirror opens the mirror in dir, or begins one: of a branch, or of another
// reference by its whole name. The error wraps ErrLocked while another process
// has it open, and ErrUnsupported when it is a mirror of something else.
func OpenMirror(dir string, remote *Remote, ref string) (*Mirror, error) {
	m := &Mirror{remote: remote}
	err := m.open(dir, ref)
	if err != nil {
		return nil, fmt.Errorf("open mirror %s: %w", dir, errors.Join(err, m.Close()))
	}
	return m, nil
}

func (m *Mirror) open(dir, ref string) (err error) {
	if m.ref, err = wholeRef(ref); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if m.lock, err = os.OpenFile(filepath.Join(dir, mirrorLock), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	// The kernel lets go of it when the process ends, however it ends.
	if err := syscall.Flock(int(m.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("%w: another process has the mirror open", ErrLocked)
	}
	if err := m.begin(dir); err != nil {
		return err
	}
	if m.repo, err = open(dir); err != nil {
		return err
	}
	if err := m.repo.dot.RemoveAll(quarantine); err != nil {
		return err
	}
	if err := m.repo.dot.Mkdir(quarantine, 0o700); err != nil {
		return err
	}
	if err := m.finishDrop(); err != nil {
		return err
	}
	return m.repo.reopenPacks()
}

// begin makes the repository unless it is there. HEAD comes last: without it
// there is none.
func (m *Mirror) begin(dir string) error {
	source := m.remote.String() + "\n" + m.ref + "\n"
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err == nil {
		was, err := bounded.ReadFile(filepath.Join(dir, mirrorSource), maxHead)
		if err != nil {
			return fmt.Errorf("%w: it is not a mirror: %w", ErrUnsupported, err)
		}
		if string(was) != source {
			return fmt.Errorf("%w: it is a mirror of %.300q: choose another directory", ErrUnsupported, was)
		}
		return nil
	}
	for _, sub := range []string{packDir, "refs/heads", "refs/tags", "refs/apex"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	head := m.ref
	if !plumbing.ReferenceName(m.ref).IsBranch() {
		head = "refs/heads/none" // HEAD names a branch, or git takes it for damaged
	}
	for _, f := range [][2]string{
		{mirrorSource, source},
		{"config", "[core]\n\trepositoryformatversion = 0\n\tbare = true\n[gc]\n\tauto = 0\n"},
		{"HEAD", "ref: " + head + "\n"},
	} {
		if err := replaceFile(filepath.Join(dir, f[0]), f[1]); err != nil {
			return err
		}
	}
	return nil
}

func replaceFile(name, text string) error {
	f, err := os.OpenFile(name+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(name+".tmp", name)
}

// Close lets others open the mirror.
func (m *Mirror) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	if m.repo != nil {
		errs = append(errs, m.repo.Close())
	}
	if m.lock != nil {
		errs = append(errs, m.lock.Close())
	}
	m.repo, m.lock = nil, nil
	return errors.Join(errs...)
}

// Repo is the copy: commits are read from it by their hashes, while fetches go
// on too. It is closed with the mirror.
func (m *Mirror) Repo() *Repo { return m.repo }

// Head is what the reference named at the last fetch. Before the first one the
// error wraps ErrNoCommit.
func (m *Mirror) Head() (Commit, error) { return m.named(m.ref) }

// Accepted is the commit of the last [Mirror.Accept]; the error wraps
// ErrNoCommit when there was none.
func (m *Mirror) Accepted() (Commit, error) { return m.named(acceptedRef) }

func (m *Mirror) named(ref string) (Commit, error) {
	h, err := m.repo.reference(ref)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return "", fmt.Errorf("mirror %s: %s: %w", m.repo.dir, ref, ErrNoCommit)
	}
	if err == nil {
		var c Commit
		if c, err = m.repo.peel(h); err == nil {
			return c, nil
		}
	}
	return "", fmt.Errorf("mirror %s: %s: %w", m.repo.dir, ref, err)
}

// Accept keeps a commit, with all that it needs, until another one is accepted,
// whatever the remote says meanwhile. It is durable when it returns.
func (m *Mirror) Accept(c Commit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.repo.commit(c); err != nil {
		return fmt.Errorf("accept in mirror %s: %w", m.repo.dir, err)
	}
	if err := m.point(acceptedRef, string(c)); err != nil {
		return fmt.Errorf("accept in mirror %s: %w", m.repo.dir, err)
	}
	return nil
}

// point lets a reference name an object. Nobody else writes here, so that git's
// lock files are not needed, nor in the way after a crash.
func (m *Mirror) point(ref, object string) error {
	dot := m.repo.dot
	if err := dot.MkdirAll(path.Dir(ref), 0o700); err != nil {
		return err
	}
	if err := m.repo.writeSync(scratch, []byte(object+"\n")); err != nil {
		return err
	}
	if err := dot.Rename(scratch, ref); err != nil {
		return err
	}
	return syncDir(dot, path.Dir(ref))
}

// Fetch asks the remote what the reference names and takes what is missing.
// After an error the mirror is as it was before. The error wraps ErrTooLarge
// when a limit of the remote's options was reached, ErrIncomplete or ErrCorrupt
// when what came is not whole.
func (m *Mirror) Fetch(ctx context.Context) (Fetched, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found Fetched
	err := m.remote.within(ctx, func(ctx context.Context) (err error) {
		found, err = m.fetch(ctx)
		return err
	})
	if err != nil {
		return Fetched{}, fmt.Errorf("fetch %s of %s: %w", m.ref, m.remote, err)
	}
	return found, nil
}

func (m *Mirror) fetch(ctx context.Context) (Fetched, error) {
	if err := m.tidy(ctx); err != nil {
		return Fetched{}, err
	}
	var found Fetched
	var err error
	if found.Before, err = m.Head(); err != nil && !errors.Is(err, ErrNoCommit) {
		return Fetched{}, err
	}
	was, err := m.repo.reference(m.ref)
	if err != nil && !errors.Is(err, plumbing.ErrReferenceNotFound) {
		return Fetched{}, err
	}
	tip, err := m.take(ctx)
	if err != nil {
		return Fetched{}, err
	}
	if found.Head, err = m.settle(tip); err != nil {
		return Fetched{}, errors.Join(err, m.noteGarbage())
	}
	if tip.Object == was.String() {
		return found, nil
	}
	if found.Before != "" {
		descends, err := m.repo.descends(ctx, found.Head, found.Before, m.remote.limits.Objects)
		if err != nil {
			return Fetched{}, err
		}
		if found.Forced = !descends; found.Forced {
			if err := m.noteGarbage(); err != nil {
				return Fetched{}, err
			}
		}
	}
	return found, m.point(m.ref, tip.Object)
}

// take looks at the remote and brings what is missing here.
func (m *Mirror) take(ctx context.Context) (tip Tip, err error) {
	// What an earlier fetch left behind, which failed.
	for _, name := range []string{newPack, newIdx} {
		if err := m.repo.dot.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Tip{}, err
		}
	}
	limits := m.remote.limits
	used, err := m.repo.packBytes()
	if err != nil {
		return Tip{}, err
	}
	if limits.Bytes = min(limits.Bytes, limits.Disk-used); limits.Bytes <= 0 {
		return Tip{}, fmt.Errorf("%w: the mirror has %d bytes, the limit is %d", ErrTooLarge, used, limits.Disk)
	}
	if m.remote.url == nil {
		tip, err = m.takeLocal(ctx, limits)
	} else {
		tip, err = m.takeRemote(ctx, limits)
	}
	return tip, err
}

// wanted is the object that the remote names, and whether it is here already.
func (m *Mirror) wanted(tip Tip) (want plumbing.Hash, here bool, err error) {
	if want, err = parseHash(tip.Object); err != nil {
		return want, false, err
	}
	here, err = m.repo.has(want)
	return want, here, err
}

func (m *Mirror) takeRemote(ctx context.Context, limits Limits) (tip Tip, err error) {
	s, err := m.remote.dial(ctx)
	if err != nil {
		return Tip{}, err
	}
	defer func() { err = errors.Join(err, s.close(err)) }()
	s.left = min(s.left, limits.Bytes)
	if tip, err = s.lsRefs(ctx, m.ref); err != nil {
		return Tip{}, err
	}
	want, here, err := m.wanted(tip)
	if err != nil || here {
		return tip, err
	}
	haves, err := m.haves()
	if err != nil {
		return Tip{}, err
	}
	pack, err := s.fetch(ctx, want, haves)
	if err != nil {
		return Tip{}, err
	}
	if _, err := receive(ctx, m.repo.dot, pack, limits, m.repo.has); err != nil {
		return Tip{}, err
	}
	return tip, m.refresh(want)
}

// refresh reads the list of packs again; the wanted object has to be in one.
func (m *Mirror) refresh(want plumbing.Hash) error {
	m.repo.mu.Lock()
	err := m.repo.reopenPacks()
	m.repo.mu.Unlock()
	if err != nil {
		return err
	}
	here, err := m.repo.has(want)
	if err == nil && !here {
		err = errors.Join(fmt.Errorf("%w: the server sent other objects than %s, which was asked for", ErrIncomplete, want), m.noteGarbage())
	}
	return err
}

// maxHaves is how far back along first parents commits are offered to a server
// that may not have the last one any more, at distances that double.
const maxHaves = 256

// haves are commits that the server probably has.
func (m *Mirror) haves() ([]plumbing.Hash, error) {
	var out []plumbing.Hash
	for _, ref := range []string{m.ref, acceptedRef} {
		c, err := m.named(ref)
		if errors.Is(err, ErrNoCommit) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for back := 0; back <= maxHaves; back++ {
			commit, err := m.repo.commit(c)
			if err != nil {
				return nil, err
			}
			if back&(back-1) == 0 {
				out = append(out, commit.Hash)
			}
			if len(commit.ParentHashes) == 0 {
				break
			}
			c = Commit(commit.ParentHashes[0].String())
		}
	}
	return out, nil
}

func (m *Mirror) takeLocal(ctx context.Context, limits Limits) (tip Tip, err error) {
	src, err := openLocal(m.remote.dir)
	if err != nil {
		return Tip{}, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	if tip, err = src.tipOf(m.ref); err != nil {
		return Tip{}, err
	}
	want, here, err := m.wanted(tip)
	if err != nil || here {
		return tip, err
	}
	w, err := newPackWriter(m.repo.dot)
	if err != nil {
		return Tip{}, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	all := walk{src, limits,
		func(l linked) (bool, error) { return m.repo.has(l.hash) },
		func(kind plumbing.ObjectType, h plumbing.Hash, data []byte) error {
			// Hashed once more, for content that was made to have another one's.
			if _, err := hashObject(kind, data); err != nil {
				return err
			}
			if err := w.whole(kind, h, data); err != nil {
				return err
			}
			if w.off > limits.Bytes {
				return fmt.Errorf("%w: the objects have more than %d bytes packed", ErrTooLarge, limits.Bytes)
			}
			return nil
		}}
	if err := all.from(ctx, want); err != nil {
		return Tip{}, err
	}
	if _, err := w.finish(); err != nil {
		return Tip{}, err
	}
	return tip, m.refresh(want)
}

// settle makes sure that what the remote names is a commit, or for a tag leads
// to one, and the one that the remote says.
func (m *Mirror) settle(tip Tip) (Commit, error) {
	h, err := parseHash(tip.Object)
	if err != nil {
		return "", err
	}
	c, err := m.repo.peel(h)
	if err != nil {
		return "", missing(err)
	}
	if c != tip.Commit {
		return "", fmt.Errorf("%w: it says that %s is the commit %s, and it is %s", ErrProtocol, tip.Object, tip.Commit, c)
	}
	if plumbing.ReferenceName(m.ref).IsBranch() && tip.Object != string(c) {
		return "", fmt.Errorf("%w: the branch names a tag instead of a commit", ErrCorrupt)
	}
	return c, nil
}

// has says whether an object is in the packs.
func (r *Repo) has(h plumbing.Hash) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.packs {
		if err := p.load(); err != nil {
			return false, err
		}
	}
	_, _, err := r.inPacks(h)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return false, nil
	}
	return err == nil, err
}

// descends says whether c is before or one of its descendants. At most limit
// commits are looked at, the nearest ones first.
func (r *Repo) descends(ctx context.Context, c, before Commit, limit int) (bool, error) {
	goal, err := before.hash()
	if err != nil {
		return false, err
	}
	start, err := c.hash()
	if err != nil {
		return false, err
	}
	queue, seen := []plumbing.Hash{start}, map[plumbing.Hash]bool{start: true}
	for len(queue) > 0 {
		h := queue[0]
		if queue = queue[1:]; h == goal {
			return true, nil
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		data, err := r.object(plumbing.CommitObject, h, maxCommit)
		if err != nil {
			return false, err
		}
		if err := commitLinks(data, func(l linked) {
			if l.kind == plumbing.CommitObject && !seen[l.hash] {
				seen[l.hash] = true
				queue = append(queue, l.hash)
			}
		}); err != nil {
			return false, err
		}
		if len(seen) > limit {
			return false, fmt.Errorf("%w: more than %d commits", ErrTooLarge, limit)
		}
	}
	return false, nil
}
