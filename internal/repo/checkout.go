package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"

	"github.com/apexlogic/apex/internal/bounded"
)

const (
	// How often and how long Commit waits for git or another process.
	lockAttempts = 20
	lockPause    = 25 * time.Millisecond
	// New content is written here, then renamed over the file, so that nobody
	// reads half of it. It is under .git, so that a crash leaves no litter in
	// the work tree.
	scratch = "apex.tmp"
)

// lock creates a lock file under .git, as git does, and returns how to remove it.
func (r *Repo) lock(ctx context.Context, name string) (func() error, error) {
	for attempt := 1; ; attempt++ {
		f, err := r.dot.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err == nil {
			return func() error { return r.dot.Remove(name) }, f.Close()
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if attempt == lockAttempts {
			return nil, fmt.Errorf("%w: .git/%s is there: wait for it, or remove the file when no git runs", ErrLocked, name)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for .git/%s: %w", name, ctx.Err())
		case <-time.After(lockPause):
		}
	}
}

// checkOut writes the files to the work tree and the index. It first makes sure
// that nothing which only exists there would be lost.
func (r *Repo) checkOut(ctx context.Context, base, root plumbing.Hash, files map[string][]byte) error {
	idx, names, err := r.kept(ctx, files, base, root)
	if err != nil {
		return err
	}
	fresh := make(map[string]*index.Entry, len(names))
	for _, name := range names {
		e, err := r.place(name, root, files[name])
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		fresh[name] = e
	}
	idx.Entries = slices.DeleteFunc(idx.Entries, func(e *index.Entry) bool {
		_, ours := fresh[e.Name]
		return ours
	})
	for _, e := range fresh {
		if e != nil {
			idx.Entries = append(idx.Entries, e)
		}
	}
	if err := r.settleTimes(idx, fresh); err != nil {
		return fmt.Errorf("write the index: %w", err)
	}
	var out bytes.Buffer
	if err := index.NewEncoder(&out).Encode(idx); err != nil {
		return fmt.Errorf("write the index: %w", err)
	}
	if err := r.writeSync(scratch, out.Bytes()); err != nil {
		return fmt.Errorf("write the index: %w", err)
	}
	return r.dot.Rename(scratch, "index")
}

// kept reads the index and makes sure that nothing of the files, whose names it
// returns sorted, only exists there or in the work tree.
func (r *Repo) kept(ctx context.Context, files map[string][]byte, base, root plumbing.Hash) (*index.Index, []string, error) {
	r.mu.Lock()
	idx, err := r.store.Index()
	r.mu.Unlock()
	if err != nil {
		return nil, nil, fmt.Errorf("read the index: %w", err)
	}
	names := slices.Sorted(maps.Keys(files))
	return idx, names, r.checkAllKept(ctx, idx, names, base, root)
}

// checkCommitted makes sure that the work tree and the index hold what is
// committed of the files.
func (r *Repo) checkCommitted(ctx context.Context, root plumbing.Hash, files map[string][]byte) error {
	idx, names, err := r.kept(ctx, files, root, root)
	if err != nil {
		return err
	}
	for _, name := range names {
		if files[name] == nil {
			continue // nothing else is there, or it would have been refused
		}
		if _, err := r.work.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return &PathError{name, fmt.Errorf("%w: it is missing in the work tree; git restore it", ErrUncommitted)}
		}
		if i := slices.IndexFunc(idx.Entries, func(e *index.Entry) bool { return e.Name == name }); i < 0 {
			return &PathError{name, fmt.Errorf("%w: its removal is staged; git restore --staged it", ErrUncommitted)}
		}
	}
	return nil
}

func (r *Repo) checkAllKept(ctx context.Context, idx *index.Index, names []string, base, root plumbing.Hash) error {
	staged := make(map[string]plumbing.Hash, len(idx.Entries))
	for _, e := range idx.Entries {
		if e.Stage != 0 { // sides of a merge; go-git has no name for none
			return fmt.Errorf("%q has a conflict: resolve it and git commit", clip(e.Name))
		}
		staged[e.Name] = e.Hash
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.checkKept(name, base, root, staged); err != nil {
			return err
		}
	}
	return nil
}

// settleTimes keeps git from believing the times of files that were written
// just now: one that changes again in the same second keeps its time and may keep
// its size. An entry that is as new as the index is read by git for that reason;
// the new index is younger, so such an entry loses its size, which makes git read
// the file once (racy-git in its technical documentation). The entries in fresh
// are younger than any index that was there.
func (r *Repo) settleTimes(idx *index.Index, fresh map[string]*index.Entry) error {
	for _, e := range fresh {
		if e != nil {
			e.Size = 0
		}
	}
	old, err := r.dot.Stat("index")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	written := old.ModTime().Truncate(time.Second) // git compares seconds
	for _, e := range idx.Entries {
		if !e.ModifiedAt.Before(written) {
			e.Size = 0
		}
	}
	return nil
}

// checkKept refuses a file of which the work tree or the index holds something
// that is neither committed nor about to be.
func (r *Repo) checkKept(name string, base, root plumbing.Hash, staged map[string]plumbing.Hash) error {
	before, err := r.find(base, name)
	if err != nil {
		return err
	}
	after, err := r.find(root, name)
	if err != nil {
		return err
	}
	if h, ok := staged[name]; ok && h != before.hash && h != after.hash {
		return &PathError{name, fmt.Errorf("%w: something else is staged; git commit it, or git restore --staged it", ErrUncommitted)}
	}
	if err := r.checkParents(name); err != nil {
		return err
	}
	info, err := r.work.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() && info.Size() <= MaxFile {
		data, err := r.readWork(name)
		if err != nil {
			return err
		}
		if h := plumbing.ComputeHash(plumbing.BlobObject, data); h == before.hash || h == after.hash {
			return nil
		}
	}
	return &PathError{name, fmt.Errorf("%w: the work tree has another content; git commit it, or git restore it", ErrUncommitted)}
}

// checkParents makes sure that the way to a file is made of directories: a
// link could lead into .git.
func (r *Repo) checkParents(name string) error {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		info, err := r.work.Lstat(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return &PathError{dir, fmt.Errorf("%w in the work tree: make it a directory", ErrSymlink)}
		}
		if err == nil && !info.IsDir() {
			return &PathError{dir, fmt.Errorf("%w: it is a file in the work tree", ErrUncommitted)}
		}
	}
	return nil
}

// find returns the entry at a path of a tree; the zero entry when there is none.
func (r *Repo) find(root plumbing.Hash, name string) (entry, error) {
	at := entry{mode: modeDir, hash: root}
	for part := range strings.SplitSeq(name, "/") {
		if at.mode != modeDir {
			return entry{}, nil
		}
		entries, err := r.tree(at.hash)
		if err != nil {
			return entry{}, err
		}
		i := slices.IndexFunc(entries, func(e entry) bool { return e.name == part })
		if i < 0 {
			return entry{}, nil
		}
		at = entries[i]
	}
	return at, nil
}

func (r *Repo) readWork(name string) ([]byte, error) {
	f, err := r.work.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return bounded.ReadAll(f, MaxFile)
}

// place writes one file to the work tree, or removes it, and returns its line
// of the index.
func (r *Repo) place(name string, root plumbing.Hash, data []byte) (*index.Entry, error) {
	if data == nil {
		return nil, r.removeWork(name)
	}
	e, err := r.find(root, name)
	if err != nil {
		return nil, err
	}
	if err := r.writeSync(scratch, data); err != nil {
		return nil, err
	}
	perm := fs.FileMode(0o644)
	if e.mode == modeExecutable {
		perm = 0o755
	}
	if err := r.dot.Chmod(scratch, perm); err != nil {
		return nil, err
	}
	if err := r.work.MkdirAll(path.Dir(name), 0o777); err != nil {
		return nil, err
	}
	if err := r.work.Rename(path.Join(".git", scratch), name); err != nil {
		return nil, err
	}
	info, err := r.work.Lstat(name)
	if err != nil {
		return nil, err
	}
	return &index.Entry{Name: name, Hash: e.hash, Mode: filemode.FileMode(e.mode),
		Size: uint32(len(data)), CreatedAt: info.ModTime(), ModifiedAt: info.ModTime()}, nil
}

// removeWork removes a file and the directories that it leaves empty, as git does.
func (r *Repo) removeWork(name string) error {
	if err := r.work.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if r.work.Remove(dir) != nil { // it holds something else
			return nil
		}
	}
	return nil
}

// writeSync writes a file under .git to the disk.
func (r *Repo) writeSync(name string, data []byte) error {
	f, err := r.dot.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Clean reports whether the work tree and the index are what was committed, and
// otherwise lists, sorted, what differs, is staged, or is not tracked and not
// ignored by a .gitignore of the repository. Every file is read: neither times
// nor the index's wish not to look at a file are believed.
func (r *Repo) Clean(ctx context.Context) (bool, []string, error) {
	if r.work == nil {
		return false, nil, fmt.Errorf("repository %s: %w: it is bare and has no work tree", r.dir, ErrUnsupported)
	}
	// Everything that go-git is about to read of the commit is read here first,
	// with bounds.
	head, err := r.Head()
	if err == nil {
		_, err = r.At(ctx, head)
	}
	if err != nil && !errors.Is(err, ErrNoCommit) {
		return false, nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.reopenPacks(); err != nil { // go-git believes what their indexes state
		return false, nil, fmt.Errorf("repository %s: %w", r.dir, err)
	}
	tree, err := r.git.Worktree()
	if err != nil {
		return false, nil, fmt.Errorf("repository %s: %w", r.dir, err)
	}
	status, err := tree.Status()
	if err != nil {
		return false, nil, fmt.Errorf("compare work tree of repository %s: %w", r.dir, err)
	}
	var differ []string
	for name, s := range status {
		if s.Worktree != git.Unmodified || s.Staging != git.Unmodified {
			differ = append(differ, name)
		}
	}
	slices.Sort(differ)
	return len(differ) == 0, differ, nil
}
