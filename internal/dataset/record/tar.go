package record

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// maxMembers bounds the members of one sample: loaders hold a whole one.
const maxMembers = 4096

// Member is one file of a tar.
type Member struct {
	Name string
	Size int64
	Link bool // symbolic or hard
}

// Sample is one record of a webdataset tar: the consecutive members whose
// names are equal up to the first dot of the last component.
type Sample struct {
	Key    string
	Offset int64
	// Digest is SHA-256 over the members: kind, length of the name, name, size,
	// SHA-256 of the content.
	Digest  [sha256.Size]byte
	Members []Member
}

// Tar hands out the samples of r.
func Tar(r io.Reader, emit func(*Sample) error) error {
	count := &counter{r: r}
	t := tar.NewReader(count)
	var now *Sample
	sum := sha256.New()
	flush := func() error {
		if now == nil {
			return nil
		}
		sum.Sum(now.Digest[:0])
		return emit(now)
	}
	for {
		// The reader is at the end of a member's content; the next one begins at
		// the block after it.
		at := (count.n + 511) &^ 511
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return flush()
		}
		if err != nil {
			return count.wrong(err)
		}
		if h.Typeflag == tar.TypeDir || h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		key := sampleKey(h.Name)
		if now == nil || now.Key != key {
			if err := flush(); err != nil {
				return err
			}
			now = &Sample{Key: key, Offset: at}
			sum.Reset()
		}
		if len(now.Members) == maxMembers {
			return fmt.Errorf("%w: the sample %.100q has more than %d members", ErrFormat, key, maxMembers)
		}
		link := h.Typeflag == tar.TypeLink || h.Typeflag == tar.TypeSymlink
		now.Members = append(now.Members, Member{h.Name, h.Size, link})
		content := sha256.New()
		n, err := io.Copy(content, t)
		if err != nil {
			return count.wrong(err)
		}
		content.Write([]byte(h.Linkname))
		var fixed [17]byte
		fixed[0] = h.Typeflag
		binary.BigEndian.PutUint64(fixed[1:], uint64(len(h.Name)))
		binary.BigEndian.PutUint64(fixed[9:], uint64(n))
		sum.Write(fixed[:])
		sum.Write([]byte(h.Name))
		sum.Write(content.Sum(nil))
	}
}

func sampleKey(name string) string {
	dir, base := path.Split(name)
	stem, _, _ := strings.Cut(base, ".")
	return dir + stem
}

// counter counts what was read, and remembers whether reading failed.
type counter struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// wrong says whose fault an error is: the medium's or the content's.
func (c *counter) wrong(err error) error {
	if c.err != nil {
		return c.err
	}
	return fmt.Errorf("%w: %v", ErrFormat, err)
}
