// Package hdf5 finds what an HDF5 file reaches for outside of itself, and
// hands the text that it holds to the formats that understand it: Keras keeps
// the architecture of a model in the attribute model_config.
//
// Start at [Format]; [Formats] is the package's table. [Format] is a walk of
// the file's objects (walk.go) over object headers (header.go), groups
// (group.go) and heaps (heap.go, fractal.go, btree2.go). Numbers are never
// read, only where they lie.
//
// What counts as dangerous: data that HDF5 takes from another file when this
// one is read (external links, external file lists, virtual datasets), filters
// that make the library load a shared object, and parts of the file that stand
// in for others (a metadata cache image).
//
// Source: HDF5 File Format Specification Version 3.0, with the sections named
// where they are read (https://docs.hdfgroup.org/hdf5/develop/_f_m_t3.html).
package hdf5

import (
	"errors"
	"fmt"

	"github.com/apexlogic/apex/internal/model/scan"
)

// Formats are the formats of this package.
func Formats() []scan.Format { return []scan.Format{Format()} }

// Format reads HDF5 files: Keras .h5, NetCDF-4, MATLAB 7.3, PyTables.
func Format() scan.Format {
	return scan.Format{Name: "hdf5", Claim: claim, Scan: examine, Rules: rules()}
}

// signature is what a superblock begins with (section II.A).
const signature = "\x89HDF\r\n\x1a\n"

// claim looks for a superblock.
func claim(f *scan.File) bool {
	_, found := locate(f)
	return found
}

// locate returns where the superblock is: at 0, 512 and every power of two
// beyond (section II.A). Behind a network only the places in the head are
// looked at, because each of the others is a request to ask of every file.
func locate(f *scan.File) (at int64, found bool) {
	head, err := f.Head()
	if err != nil {
		return 0, false
	}
	for at = 0; at <= f.Size()-int64(len(signature)); at = max(512, 2*at) {
		if end := at + int64(len(signature)); end <= int64(len(head)) {
			if string(head[at:end]) == signature {
				return at, true
			}
			continue
		}
		if f.IsDear() {
			break
		}
		b, err := f.Read(at, int64(len(signature)))
		if err != nil {
			return 0, false
		}
		if string(b) == signature {
			return at, true
		}
	}
	return 0, false
}

func examine(p *scan.Place, f *scan.File) error {
	base, found := locate(f)
	if !found {
		return scan.ErrOther
	}
	if base > 0 {
		p.Report(ruleUserBlock, scan.At(0), fmt.Sprintf("%d bytes stand before the superblock", base))
	}
	w := &walker{place: p, file: newReader(p, f.Section(base, f.Size()-base)), base: base, seen: map[uint64]bool{}}
	err := w.superblock()
	if err == nil {
		err = w.walk()
	}
	switch {
	case errors.Is(err, errBroken):
		p.Report(ruleBroken, scan.At(base), err.Error())
	case errors.Is(err, errMost):
		p.Report(ruleLimit, scan.At(base), err.Error())
	case errors.Is(err, errRemote):
		p.Report(ruleRemote, scan.At(base), err.Error())
	default:
		return err
	}
	return nil
}
