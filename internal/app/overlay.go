package app

import (
	"bytes"
	"errors"
	"io/fs"
)

// overlay is a tree in which one file has another content.
type overlay struct {
	fs.FS
	name string
	data []byte
}

func (o overlay) Open(name string) (fs.File, error) {
	f, err := o.FS.Open(name)
	if err != nil || name != o.name {
		return f, err
	}
	info, err := f.Stat()
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return &overlaid{bytes.NewReader(o.data), overlaidInfo{info, int64(len(o.data))}}, nil
}

type overlaid struct {
	*bytes.Reader
	info overlaidInfo
}

func (f *overlaid) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *overlaid) Close() error               { return nil }

type overlaidInfo struct {
	fs.FileInfo
	size int64
}

func (i overlaidInfo) Size() int64 { return i.size }

var _ fs.FS = overlay{}
