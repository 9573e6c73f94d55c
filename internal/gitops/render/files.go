package render

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/verdict"
)

// files reads a tree within limits. A file that is read twice counts twice.
type files struct {
	ctx    context.Context
	fsys   fs.FS
	count  int
	bytes  int64
	values int
}

func newFiles(ctx context.Context, fsys fs.FS) *files { return &files{ctx: ctx, fsys: fsys} }

// stat describes a file or folder; a link or a submodule is refused.
func (f *files) stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(f.fsys, name)
	if err != nil {
		return nil, f.unread(name, err)
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return nil, f.special(name)
	}
	return info, nil
}

func (f *files) special(name string) *Error {
	return refuse(verdict.RenderPath, in(name), "a symbolic link or a submodule: keep the files themselves in the repository")
}

// unread turns an error of the tree into a refusal: what cannot be read there
// once cannot be read there ever, since a commit does not change.
func (f *files) unread(name string, err error) error {
	if f.ctx.Err() != nil {
		return f.ctx.Err()
	}
	why := err.Error()
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		why = pathError.Err.Error()
	}
	return refuse(verdict.RenderPath, in(clip(name)), "cannot be read: %s", clip(why))
}

// read returns a regular file's content.
func (f *files) read(name string) ([]byte, error) {
	if err := f.ctx.Err(); err != nil {
		return nil, err
	}
	if f.count++; f.count > MaxFiles {
		return nil, refuse(verdict.RenderTooLarge, in(name), "more than %d files: split the source", MaxFiles)
	}
	info, err := f.stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, refuse(verdict.RenderPath, in(name), "a folder where a file is expected: name the file")
	}
	file, err := f.fsys.Open(name)
	if err != nil {
		return nil, f.unread(name, err)
	}
	defer file.Close()
	data, err := bounded.ReadAll(file, manifest.MaxBytes)
	if err != nil {
		if info.Size() > manifest.MaxBytes {
			return nil, refuse(verdict.RenderTooLarge, in(name), "the file has %d bytes and the limit is %d: split it", info.Size(), manifest.MaxBytes)
		}
		return nil, f.unread(name, err)
	}
	if f.bytes += int64(len(data)); f.bytes > MaxBytes {
		return nil, refuse(verdict.RenderTooLarge, in(name), "more than %d MiB of files: split the source", MaxBytes>>20)
	}
	if err := ciphertext(name, data); err != nil {
		return nil, err
	}
	return data, nil
}

// documents parses a file.
func (f *files) documents(name string, data []byte) ([]manifest.Document, error) {
	docs, err := manifest.Documents(name, data, manifest.Limits{Nodes: maxFileValues})
	if err != nil {
		return nil, invalid(err)
	}
	for _, d := range docs {
		if f.values += d.Values(); f.values > MaxValues {
			return nil, refuse(verdict.RenderTooLarge, in(name), "more than %d values in all files, aliases written out: split the source", MaxValues)
		}
	}
	return docs, nil
}

// invalid makes a refusal of what package manifest says.
func invalid(err error) *Error {
	var p *manifest.Problem
	if !errors.As(err, &p) {
		return refuse(verdict.ManifestInvalid, verdict.Origin{}, "%v", err)
	}
	return &Error{[]verdict.Unresolved{{Where: p.Where, Code: p.Code, Why: p.Why}}}
}

// kustomizations are the names that make a folder a kustomization.
var kustomizations = [...]string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// kustomization returns the folder's kustomization file, "" when it has none.
func (f *files) kustomization(dir string) (string, error) {
	found := ""
	for _, name := range kustomizations {
		name = path.Join(dir, name)
		info, err := fs.Stat(f.fsys, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return "", f.unread(name, err)
		case !info.Mode().IsRegular():
			return "", f.special(name)
		case found != "":
			return "", refuse(verdict.ManifestInvalid, in(name), "%s says what the folder is as well: keep one of them", path.Base(found))
		}
		found = name
	}
	return found, nil
}

// walk calls each with the manifests of a folder and those below it, in the
// order of their names.
func (f *files) walk(dir string, each func(name string) error) error {
	entries := 0
	return fs.WalkDir(f.fsys, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return f.unread(name, err)
		}
		if err := f.ctx.Err(); err != nil {
			return err
		}
		if entries++; entries > maxEntries {
			return refuse(verdict.RenderTooLarge, in(dir), "more than %d files and folders: name the folder that holds the manifests", maxEntries)
		}
		base := path.Base(name)
		switch {
		case name == dir:
			return nil
		case strings.HasPrefix(base, "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			if strings.Count(name, "/") > maxDepth {
				return refuse(verdict.RenderTooLarge, in(clip(name)), "more than %d folders deep: flatten it", maxDepth)
			}
			return nil
		case !d.Type().IsRegular():
			return f.special(name)
		}
		return each(name)
	})
}

// ciphertext refuses files that stand for something else: applied as they are,
// they would put ciphertext, or a pointer, in the place of a value.
func ciphertext(name string, data []byte) error {
	what := ""
	head := data[:min(len(data), 256)]
	switch {
	case bytes.HasPrefix(head, []byte("version https://git-lfs.github.com/spec/")):
		what = "a pointer of Git LFS: the commit's signature does not cover what it points to; commit the file itself"
	case bytes.Contains(data, []byte("ENC[AES256_GCM,data:")):
		what = "values encrypted by SOPS: they are not decrypted here"
	case bytes.HasPrefix(head, []byte("age-encryption.org/")), bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("-----BEGIN AGE ENCRYPTED FILE-----")):
		what = "encrypted with age: it is not decrypted here"
	case bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("-----BEGIN PGP MESSAGE-----")):
		what = "encrypted with OpenPGP: it is not decrypted here"
	case bytes.HasPrefix(head, []byte("\x00GITCRYPT\x00")):
		what = "encrypted with git-crypt: it is not decrypted here"
	case bytes.HasPrefix(head, []byte("$ANSIBLE_VAULT;")):
		what = "an Ansible vault: it is not decrypted here"
	default:
		return nil
	}
	return refuse(verdict.RenderEncrypted, in(name), "%s; commit the content, or an object that a controller in the target decrypts (SealedSecret, ExternalSecret)", what)
}
