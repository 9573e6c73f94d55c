// Package extract is what extractors of packages share: a file of a tree as
// they see it, and the list that they add to.
//
// Start at [Extractor]: a name, which paths it wants, and what it does with one.
// An extractor reads one kind of evidence (a database of dpkg, the metadata of a
// wheel, a lock file) and adds what that says is present. It judges nothing and
// looks at no network; it is safe for concurrent use. Where it needs a second
// file (the RECORD beside METADATA), it asks the tree for it.
//
// A path is slash-separated, relative to the root of the tree, cleaned, without
// a leading slash.
package extract

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/apexlogic/apex/internal/fact"
)

// MaxText is how many bytes of a text file an extractor reads: several times
// the largest lock file and dpkg database that are seen in practice.
const MaxText = 64 << 20

// ErrSkip is returned by an extractor that finds, on looking, that the file is
// none of its kind: nothing is added and nothing is noted.
var ErrSkip = errors.New("the file is of another kind")

// Extractor finds packages in files of one kind.
type Extractor struct {
	// Name is what its findings are marked with, for example "dpkg".
	Name string
	// Wants decides by path, mode and size. It is called for every regular file and must
	// be quick: no allocation in the common case.
	Wants func(path string, mode fs.FileMode, size int64) bool
	// Extract reads the file and adds what it says. An error is a gap: what was
	// added before it stands.
	Extract func(ctx context.Context, f *File, add func(fact.Package)) error
}

// File is one regular file of a layer or folder.
type File struct {
	Path string
	Size int64
	Mode fs.FileMode
	// Tree is the layer that the file is in, merged with those below: what a
	// program would see if this layer were the last.
	Tree Tree
	// Open reads the file from its start; it may be called again.
	Open func() (io.ReadCloser, error)
	// At reads at any offset, for formats that are read in parts; it returns
	// fs.ErrInvalid when the file can only be streamed.
	At func() (ReaderAtCloser, error)
}

// ReaderAtCloser is a file that is read in parts.
type ReaderAtCloser interface {
	io.ReaderAt
	io.Closer
}

// Tree is the file system around a file.
type Tree interface {
	// Read returns a file's bytes, at most limit of them; a longer file is an
	// error. It wraps fs.ErrNotExist when there is none.
	Read(path string, limit int64) ([]byte, error)
	// List returns the names in a folder, sorted; folders end in a slash.
	List(path string) ([]string, error)
	// Distribution is what os-release says, zero when there is none.
	Distribution() fact.Distribution
}
