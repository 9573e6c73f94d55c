package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

const (
	// maxArchived is how many members an archive of an image has at most: three
	// files for each of a thousand layers, with room for several images.
	maxArchived = 20_000
	// maxLinks is how many links in an archive are followed one after another.
	maxLinks = 8
)

// archive is a blob store in an uncompressed tar archive: it is read once for
// where its members lie, and each of them then where it lies.
type archive struct {
	file    *os.File
	members map[string]member
}

type member struct {
	off, size int64
	link      string // the member that this one is a link to
}

func openArchive(ctx context.Context, name string) (_ *archive, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	magic := make([]byte, 4)
	if n, err := f.ReadAt(magic, 0); err != nil && err != io.EOF {
		return nil, err
	} else if magic = magic[:n]; bytes.HasPrefix(magic, []byte{0x1f, 0x8b}) || bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		return nil, faultf(verdict.ImageMediaType, "the archive is compressed as a whole; unpack it first, for example with \"gunzip\" or \"zstd -d\"")
	}
	a := &archive{file: f, members: map[string]member{}}
	if err := a.read(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *archive) read(ctx context.Context) error {
	// Not buffered: after Next the file stands at the member's first byte.
	r := tar.NewReader(a.file)
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return faultf(verdict.ImageMediaType, "it is no tar archive that can be read: %w", err)
		}
		if n == maxArchived {
			return faultf(verdict.RegistryTooMany, "the archive has more than %d members", maxArchived)
		}
		name := clean(h.Name)
		var m member
		switch h.Typeflag {
		case tar.TypeReg:
			for key := range h.PAXRecords {
				if strings.HasPrefix(key, "GNU.sparse.") {
					return faultf(verdict.ImageMediaType, "the member %.120q is sparse; save the image again", name)
				}
			}
			off, err := a.file.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			m = member{off: off, size: h.Size}
		case tar.TypeSymlink:
			m.link = clean(path.Join(path.Dir(name), h.Linkname))
		case tar.TypeLink:
			m.link = clean(h.Linkname)
		case tar.TypeDir:
			continue
		default:
			return faultf(verdict.ImageMediaType, "the member %.120q is neither a file nor a folder", name)
		}
		if _, twice := a.members[name]; twice {
			return faultf(verdict.ImageMediaType, "the archive holds %.120q twice, and readers differ in which counts", name)
		}
		a.members[name] = m
	}
}

// clean makes a member's name one within the archive.
func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

func (a *archive) open(name string) (io.ReadCloser, int64, error) {
	at := clean(name)
	for range maxLinks {
		m, ok := a.members[at]
		if !ok {
			return nil, 0, fmt.Errorf("%.120q: %w", name, fs.ErrNotExist)
		}
		if m.link == "" {
			return io.NopCloser(io.NewSectionReader(a.file, m.off, m.size)), m.size, nil
		}
		at = m.link
	}
	return nil, 0, faultf(verdict.ImageMediaType, "%.120q is a link to a link to a link …", name)
}

func (a *archive) Close() error { return a.file.Close() }

// asFault is errors.AsType for faults and for what they became.
func asFault(err error) (error, bool) {
	if f, ok := errors.AsType[*fault](err); ok {
		return f, true
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e, true
	}
	return nil, false
}
