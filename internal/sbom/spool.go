package sbom

import (
	"fmt"
	"io"
	"os"
)

const (
	// notKept marks content that was not spooled.
	notKept = -1
	// passing is added to the offset of content in the file of one layer.
	passing = 1 << 60
	// smallFile is what is kept until the end, because extractors of layers above
	// may ask for it; a larger file is kept until its layer is done.
	smallFile = 8 << 20
	// maxFile is how much of one file is spooled: more than the largest shared
	// library of CUDA. A larger one is a gap.
	maxFile = 4 << 30
	// maxSpool is how much disk one inventory may take.
	maxSpool = 32 << 30
)

var errSpool = fmt.Errorf("more than %d GiB would have to be kept on disk", maxSpool>>30)

// spool keeps contents of files in two temporary files: one for the whole
// inventory, one for the layer that is being looked at.
type spool struct {
	dir        string
	keep, pass *os.File
	keepEnd    int64
	passEnd    int64
}

func newSpool(parent string) (_ *spool, err error) {
	s := &spool{}
	if s.dir, err = os.MkdirTemp(parent, "apex-sbom-"); err != nil {
		return nil, fmt.Errorf("make a folder for parts of layers: %w", err)
	}
	if s.keep, err = os.CreateTemp(s.dir, "keep"); err == nil {
		s.pass, err = os.CreateTemp(s.dir, "pass")
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close removes the files.
func (s *spool) Close() error {
	for _, f := range []*os.File{s.keep, s.pass} {
		if f != nil {
			f.Close()
		}
	}
	return os.RemoveAll(s.dir)
}

// add spools the content of d, which r yields; until the end if it is lasting or
// small.
func (s *spool) add(d *data, r io.Reader, lasting bool) error {
	if d.at != notKept {
		return nil
	}
	if s.keepEnd+s.passEnd+d.size > maxSpool {
		return errSpool
	}
	file, end, mark := s.keep, &s.keepEnd, int64(0)
	if d.size > smallFile && !lasting {
		file, end, mark = s.pass, &s.passEnd, passing
	}
	n, err := io.Copy(io.NewOffsetWriter(file, *end), io.LimitReader(r, d.size))
	if err == nil && n != d.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	d.at = *end + mark
	*end += n
	return nil
}

// next forgets the large files of a layer.
func (s *spool) next(large []*data) error {
	for _, d := range large {
		if d.at >= passing {
			d.at = notKept
		}
	}
	s.passEnd = 0
	return s.pass.Truncate(0)
}

// section is content that was spooled, ready to be read.
type section struct{ *io.SectionReader }

func (section) Close() error { return nil }

var errNotKept = fmt.Errorf("the file's content was not kept; files of more than %d GiB are not", maxFile>>30)

func (s *spool) open(d *data) (section, error) {
	switch {
	case d.at == notKept:
		return section{}, errNotKept
	case d.at >= passing:
		return section{io.NewSectionReader(s.pass, d.at-passing, d.size)}, nil
	}
	return section{io.NewSectionReader(s.keep, d.at, d.size)}, nil
}
