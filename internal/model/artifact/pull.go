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

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/verdict"
)

// pullBlock is how much of a file is asked for at a time: what an interrupted
// pull loses, and what is in memory.
const pullBlock = 8 << 20

// Pull brings the model's files into dir, which must not exist or be empty.
// Nothing is to be seen there before every file has the digest that the
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
	if err := vacant(dir); err != nil {
		return err
	}
	partial := filepath.Clean(dir) + ".partial-" + ref.Digest.Hex()[:16]
	if err := os.MkdirAll(partial, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(partial)
	if err != nil {
		return err
	}
	defer root.Close()
	for i := range m.Files {
		if err := pullFile(ctx, registry, ref.Repo, &m.Files[i], root, progress); err != nil {
			return fmt.Errorf("%s: %w", m.Files[i].Path, err)
		}
	}
	if err := onlyThese(root, m.Files); err != nil {
		return err
	}
	if err := syncFolders(root); err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not empty any more: %w", dir, err)
	}
	if err := os.Rename(partial, dir); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(filepath.Clean(dir)))
}

// vacant refuses a place that is taken.
func vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty; name a folder that does not exist yet", dir)
	}
	return nil
}

// pullFile fetches what is missing of one file and hashes the whole.
func pullFile(ctx context.Context, registry *oci.Client, repo string, f *fact.ModelFile, root *os.Root, progress func(int64)) error {
	if err := CheckPath(f.Path); err != nil {
		return err
	}
	if err := root.MkdirAll(path.Dir(f.Path), 0o755); err != nil {
		return err
	}
	// A file that was finished cannot be written to any more; one that was begun can.
	file, err := root.OpenFile(f.Path, os.O_RDWR|os.O_CREATE, 0o644)
	if errors.Is(err, fs.ErrPermission) {
		file, err = root.Open(f.Path)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	have, err := hashed(file, sum, f.Size)
	if err != nil {
		return err
	}
	progress(have)
	d := oci.Descriptor{MediaType: f.MediaType, Digest: f.Digest, Size: f.Size}
	for have < f.Size {
		block, err := registry.BlobRange(ctx, repo, d, have, min(pullBlock, f.Size-have))
		if err != nil {
			return err
		}
		if _, err := file.WriteAt(block, have); err != nil {
			return err
		}
		sum.Write(block)
		have += int64(len(block))
		progress(int64(len(block)))
	}
	if got := verdict.Digest("sha256:" + hex.EncodeToString(sum.Sum(nil))); got != f.Digest {
		// What is there is worth nothing, whether it came now or earlier.
		return errors.Join(fmt.Errorf("its bytes have the digest %s, not %s; pull again", got, f.Digest), root.Remove(f.Path))
	}
	return errors.Join(file.Chmod(0o444), file.Sync())
}

// hashed hashes what an earlier call has left of the file, at most size bytes.
func hashed(file *os.File, sum hash.Hash, size int64) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, errors.New("something else than a file has its name")
	}
	if info.Size() > size {
		if err := file.Truncate(size); err != nil {
			return 0, err
		}
	}
	return io.Copy(sum, io.NewSectionReader(file, 0, size))
}

// onlyThese refuses files that somebody else has put among those of the model.
func onlyThese(root *os.Root, files []fact.ModelFile) error {
	ours := map[string]bool{}
	for i := range files {
		ours[files[i].Path] = true
	}
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !ours[name] || !d.Type().IsRegular() {
			return fmt.Errorf("%s is among the model's files and is none of them; remove %s and pull again", name, root.Name())
		}
		return nil
	})
}

func syncFolders(root *os.Root) error {
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return syncFolder(filepath.Join(root.Name(), filepath.FromSlash(name)))
	})
}

func syncFolder(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
