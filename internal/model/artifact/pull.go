package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/verdict"
)

// pullBlock is how much of a file is asked for at a time: what an interrupted
// pull loses, and what is in memory.
const pullBlock = 8 << 20

// Pull brings the model's files into dir, which must not exist or be an empty
// folder. Nothing is to be seen there before every file has the digest that the
// manifest gives it: the files are gathered in a folder beside it, which a later
// call takes up again after an interruption, and which takes dir's place in one
// step. The caller has judged the model before; ref names its digest.
//
// The files can be read and not be written, so that what was verified stays.
// progress is told the bytes as they come, those that were there already too.
func Pull(ctx context.Context, registry *oci.Client, ref verdict.Ref, m *fact.Model, dir string, progress func(int64)) error {
	if m.Root == "" {
		return errors.New("the artifact holds packed layers, whose files its manifest does not name; they are not unpacked here")
	}
	if progress == nil {
		progress = func(int64) {}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := vacant(dir); err != nil {
		return err
	}
	w, err := openWork(dir + ".partial-" + ref.Digest.Hex()[:16])
	if err != nil {
		return err
	}
	defer w.close()
	for i := range m.Files {
		if err := w.pull(ctx, registry, ref.Repo, &m.Files[i], progress); err != nil {
			return fmt.Errorf("%s: %w", m.Files[i].Path, err)
		}
	}
	if err := w.onlyThese(m.Files); err != nil {
		return err
	}
	return w.become(dir)
}

// vacant refuses a place that is taken.
func vacant(dir string) error {
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no folder; name one that does not exist yet", dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty; name a folder that does not exist yet", dir)
	}
	return nil
}

// work is the folder in which a model's files are gathered. Its name can be
// foreseen, so whatever is there already is taken up only if nobody else can
// have made it or can write to it.
type work struct {
	path string
	root *os.Root
	lock *os.File // of the folder; nil where the system has no such locks
}

func openWork(name string) (_ *work, err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, err
	}
	if err := os.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	w := &work{path: name}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.root, err = os.OpenRoot(name); err != nil {
		return nil, err
	}
	if w.lock, err = lockFolder(w.root); err != nil {
		return nil, fmt.Errorf("%s is in use by another pull: %w", name, err)
	}
	// The name may be a link, and while this call waited the folder may have
	// become the one that was asked for.
	opened, err := w.root.Stat(".")
	if err != nil {
		return nil, err
	}
	named, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !named.IsDir() || !os.SameFile(opened, named) || !isOurs(opened) {
		return nil, fmt.Errorf("%s was made by somebody else; remove it and pull again", name)
	}
	return w, w.root.Chmod(".", 0o700)
}

func (w *work) close() {
	if w.lock != nil {
		_ = w.lock.Close() // gives the lock back
	}
	if w.root != nil {
		_ = w.root.Close() // every file in it was synchronised
	}
}

// pull brings one file. What an earlier call has left of it saves the transfer
// if it proves right; otherwise the file is fetched from its beginning.
func (w *work) pull(ctx context.Context, registry *oci.Client, repo string, f *fact.ModelFile, progress func(int64)) error {
	if err := CheckPath(f.Path); err != nil {
		return err
	}
	if err := w.root.MkdirAll(path.Dir(f.Path), 0o755); err != nil {
		return err
	}
	had, err := w.look(f)
	if err != nil {
		return err
	}
	got, err := w.fetch(ctx, registry, repo, f, progress)
	if err == nil && got != f.Digest && had > 0 {
		if err := w.root.Remove(f.Path); err != nil {
			return err
		}
		progress(-f.Size)
		got, err = w.fetch(ctx, registry, repo, f, progress)
	}
	if err == nil && got != f.Digest {
		return errors.Join(fmt.Errorf("%s sent bytes with the digest %s, not %s", repo, got, f.Digest), w.root.Remove(f.Path))
	}
	return err
}

// look returns how many bytes of the file are there, and refuses what is no
// file of ours.
func (w *work) look(f *fact.ModelFile) (int64, error) {
	info, err := w.root.Lstat(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() || !isOurs(info) || !hasOneName(info) {
		return 0, fmt.Errorf("what is there was made by somebody else; remove %s and pull again", w.path)
	}
	if info.Size() > f.Size {
		return 0, w.root.Remove(f.Path)
	}
	return info.Size(), nil
}

// fetch brings what is missing of a file and returns the digest of the whole.
func (w *work) fetch(ctx context.Context, registry *oci.Client, repo string, f *fact.ModelFile, progress func(int64)) (verdict.Digest, error) {
	// A file that was finished cannot be written to any more; one that was begun can.
	file, err := w.root.OpenFile(f.Path, os.O_RDWR|os.O_CREATE, 0o644)
	if errors.Is(err, fs.ErrPermission) {
		file, err = w.root.Open(f.Path)
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	have, err := io.Copy(sum, io.NewSectionReader(file, 0, f.Size))
	if err != nil {
		return "", err
	}
	progress(have)
	d := oci.Descriptor{MediaType: f.MediaType, Digest: f.Digest, Size: f.Size}
	for have < f.Size {
		block, err := registry.BlobRange(ctx, repo, d, have, min(pullBlock, f.Size-have))
		if err != nil {
			return "", err
		}
		if _, err := file.WriteAt(block, have); err != nil {
			return "", err
		}
		sum.Write(block)
		have += int64(len(block))
		progress(int64(len(block)))
	}
	return digest(sum), errors.Join(file.Chmod(0o444), file.Sync())
}

func digest(sum hash.Hash) verdict.Digest {
	return verdict.Digest("sha256:" + hex.EncodeToString(sum.Sum(nil)))
}

// onlyThese refuses files and folders that somebody else has put among those of
// the model, and other names of its files.
func (w *work) onlyThese(files []fact.ModelFile) error {
	ours := map[string]bool{".": true} // whether it is a folder
	for i := range files {
		ours[files[i].Path] = false
		for dir := path.Dir(files[i].Path); dir != "."; dir = path.Dir(dir) {
			ours[dir] = true
		}
	}
	return fs.WalkDir(w.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		folder, known := ours[name]
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !known || folder != d.IsDir() || !folder && (!info.Mode().IsRegular() || !hasOneName(info)) || !isOurs(info) {
			return fmt.Errorf("%s is among the model's files and is none of them; remove %s and pull again", name, w.path)
		}
		return nil
	})
}

// become puts the folder, which is whole, in dir's place.
func (w *work) become(dir string) error {
	if err := w.root.Chmod(".", 0o755); err != nil {
		return err
	}
	err := fs.WalkDir(w.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return syncFolder(filepath.Join(w.path, filepath.FromSlash(name)))
	})
	if err != nil {
		return err
	}
	// Rmdir takes nothing away but an empty folder, whatever is there by now.
	if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is no empty folder any more: %w", dir, err)
	}
	if err := os.Rename(w.path, dir); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(dir))
}

func syncFolder(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
