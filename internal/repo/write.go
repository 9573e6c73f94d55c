package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/apexlogic/apex/internal/bounded"
)

// maxSignature is far more than any signature with its certificates has.
const maxSignature = 64 << 10

// Change is what one commit changes.
type Change struct {
	// Files maps slash-separated paths to their new content; nil removes the
	// file. A file that is there keeps its executable bit.
	Files   map[string][]byte
	Message string    // not empty
	At      time.Time // when, to the second; stored in UTC
	// Sign, when not nil, is given the commit as it will be stored and returns a
	// detached signature in armour (SSH's or OpenPGP's), which is stored in it.
	Sign func(payload []byte) (armored string, err error)
}

// Commit commits exactly the files of the change on the branch that is checked
// out, in the name of the author in the repository's own configuration, and
// writes them to the work tree and the index. Other changes there, staged or
// not, stay as they are. When the files are committed as they are, nothing
// happens and the result is the commit that is checked out.
//
// The error wraps ErrUncommitted when the work tree or the index holds another
// content of one of the files than the last commit and the change, which would
// be lost, or taken for committed;
// ErrLocked while another program writes. The branch moves last: a commit that
// was interrupted is simply made again.
func (r *Repo) Commit(ctx context.Context, change Change) (Commit, error) {
	c, err := r.doCommit(ctx, change)
	if err != nil {
		return "", fmt.Errorf("commit to repository %s: %w", r.dir, err)
	}
	return c, nil
}

func (r *Repo) doCommit(ctx context.Context, change Change) (_ Commit, err error) {
	message, err := change.check()
	if err != nil {
		return "", err
	}
	if r.work == nil {
		return "", fmt.Errorf("%w: it is bare, and a commit is made in a work tree", ErrUnsupported)
	}
	author, err := r.author(change.At)
	if err != nil {
		return "", err
	}
	r.writer.Lock()
	defer r.writer.Unlock()
	// The lock of git itself: it and other processes of Apex wait for it.
	unlock, err := r.lock(ctx, "index.lock")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unlock()) }()

	branch, parents, base, err := r.tip()
	if err != nil {
		return "", err
	}
	changes, err := r.blobs(ctx, change.Files)
	if err != nil {
		return "", err
	}
	root, err := r.rewrite(base, "", changes)
	if err != nil {
		return "", err
	}
	if root.IsZero() { // nothing is left: Git writes that as an empty directory
		if root, err = r.put(plumbing.TreeObject, nil); err != nil {
			return "", err
		}
	}
	if len(parents) > 0 && root == base {
		return Commit(parents[0].String()), r.checkCommitted(ctx, root, change.Files)
	}
	commit := object.Commit{Author: author, Committer: author, Message: message, TreeHash: root, ParentHashes: parents}
	data, err := change.sign(&commit) // first: who signs may say no
	if err != nil {
		return "", err
	}
	if err := r.checkOut(ctx, base, root, change.Files); err != nil {
		return "", err
	}
	h, err := r.put(plumbing.CommitObject, data)
	if err != nil {
		return "", err
	}
	return Commit(h.String()), r.move(ctx, branch, parents, h)
}

// sign encodes the commit, with a signature if one is wanted.
func (c Change) sign(commit *object.Commit) ([]byte, error) {
	data, err := encodeCommit(commit)
	if err != nil || c.Sign == nil {
		return data, err
	}
	armored, err := c.Sign(data)
	if err != nil {
		return nil, fmt.Errorf("sign the commit: %w", err)
	}
	armored = strings.TrimSpace(armored)
	if !strings.HasPrefix(armored, "-----BEGIN ") || len(armored) > maxSignature || strings.ContainsAny(armored, "\x00\r") {
		return nil, errors.New("sign the commit: the signature is not in armour (-----BEGIN SSH SIGNATURE----- or -----BEGIN PGP SIGNATURE-----)")
	}
	commit.PGPSignature = armored + "\n" // the header gpgsig, which holds SSH's too
	return encodeCommit(commit)
}

func encodeCommit(commit *object.Commit) ([]byte, error) {
	encoded := memory(plumbing.CommitObject, nil)
	if err := commit.Encode(encoded); err != nil {
		return nil, err
	}
	reader, err := encoded.Reader()
	if err != nil {
		return nil, err
	}
	return bounded.ReadAll(reader, maxCommit)
}

func (c Change) check() (message string, err error) {
	switch {
	case strings.TrimSpace(c.Message) == "":
		return "", errors.New("the message is empty: say why the files change")
	case len(c.Message) > maxMessage:
		return "", fmt.Errorf("the message has %d bytes, the limit is %d", len(c.Message), maxMessage)
	case strings.Contains(c.Message, "\x00"):
		return "", errors.New("the message holds a zero byte")
	case c.At.Unix() <= 0:
		return "", errors.New("the change says no time")
	case len(c.Files) > MaxFiles:
		return "", fmt.Errorf("%w: %d files, the limit is %d", ErrTooLarge, len(c.Files), MaxFiles)
	}
	for name, data := range c.Files {
		if err := checkPath(name); err != nil {
			return "", err
		}
		if len(data) > MaxFile {
			return "", &PathError{name, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrTooLarge, len(data), MaxFile)}
		}
	}
	return strings.TrimRight(c.Message, "\n") + "\n", nil
}

// author is the identity in the repository's own configuration; the user's and
// the system's are not read.
func (r *Repo) author(at time.Time) (object.Signature, error) {
	cfg, err := r.store.Config()
	if err != nil {
		return object.Signature{}, fmt.Errorf("read its config: %w", err)
	}
	author := Author{cfg.User.Name, cfg.User.Email}
	if err := author.check(); err != nil {
		return object.Signature{}, fmt.Errorf("%w: set it with git config --local user.name NAME and git config --local user.email ADDRESS", err)
	}
	return object.Signature{Name: author.Name, Email: author.Email, When: at.UTC()}, nil
}

// tip is the branch that is checked out, its commit as parents, and its tree;
// before the first commit there are none.
func (r *Repo) tip() (plumbing.ReferenceName, []plumbing.Hash, plumbing.Hash, error) {
	none := plumbing.ZeroHash
	if _, err := r.dot.Lstat("MERGE_HEAD"); !errors.Is(err, fs.ErrNotExist) {
		return "", nil, none, errors.New("a merge is under way: finish it with git commit, or git merge --abort")
	}
	r.mu.Lock()
	head, err := r.store.Reference(plumbing.HEAD)
	r.mu.Unlock()
	if err != nil {
		return "", nil, none, fmt.Errorf("read HEAD: %w", err)
	}
	branch := head.Target()
	if head.Type() != plumbing.SymbolicReference || !branch.IsBranch() || branch.Validate() != nil {
		return "", nil, none, errors.New("no branch is checked out: git switch BRANCH")
	}
	c, err := r.Head()
	if errors.Is(err, ErrNoCommit) {
		return branch, nil, none, nil
	}
	if err != nil {
		return "", nil, none, err
	}
	commit, err := r.commit(c)
	if err != nil {
		return "", nil, none, err
	}
	return branch, []plumbing.Hash{commit.Hash}, commit.TreeHash, nil
}

func (r *Repo) blobs(ctx context.Context, files map[string][]byte) ([]change, error) {
	changes := make([]change, 0, len(files))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c := change{parts: strings.Split(name, "/"), delete: files[name] == nil}
		if !c.delete {
			h, err := r.put(plumbing.BlobObject, files[name])
			if err != nil {
				return nil, fmt.Errorf("store %s: %w", name, err)
			}
			c.hash = h
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// move lets the branch name the new commit, unless it moved meanwhile. It is
// done as git does it: with the reference's own lock file, renamed into place.
func (r *Repo) move(ctx context.Context, branch plumbing.ReferenceName, parents []plumbing.Hash, h plumbing.Hash) error {
	name := branch.String()
	if err := r.dot.MkdirAll(path.Dir(name), 0o777); err != nil {
		return err
	}
	lock := name + ".lock"
	unlock, err := r.lock(ctx, lock)
	if err != nil {
		return err
	}
	r.mu.Lock()
	ref, err := r.store.Reference(branch)
	r.mu.Unlock()
	moved := false
	switch {
	case errors.Is(err, plumbing.ErrReferenceNotFound):
		moved = len(parents) > 0
	case err != nil:
		return errors.Join(err, unlock())
	default:
		moved = len(parents) == 0 || ref.Hash() != parents[0]
	}
	if moved {
		return errors.Join(fmt.Errorf("%w: %s moved meanwhile; commit again", ErrLocked, branch.Short()), unlock())
	}
	if err := r.writeSync(lock, []byte(h.String()+"\n")); err != nil {
		return errors.Join(err, unlock())
	}
	return r.dot.Rename(lock, name)
}
