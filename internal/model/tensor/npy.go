package tensor

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/apexlogic/apex/internal/model/scan"
)

const (
	npyMagic = "\x93NUMPY"
	// npyHeader is the longest header that numpy reads by default;
	// maxNPYHeader the longest that is read here, of 20,000 named fields.
	npyHeader, maxNPYHeader = 10_000, 1 << 20
	// costLiteral is a byte of a Python literal read.
	costLiteral scan.Cost = 15
)

var (
	ruleNPYHeader = &scan.Rule{ID: "numpy.header", Severity: scan.Doubtful,
		Why:        "numpy refuses such a header; readers that evaluate it as Python run what is in it.",
		Mend:       "Have the author save the array again with numpy.save.",
		References: []string{"CWE-95"}}
	ruleNPYShape = &scan.Rule{ID: "numpy.shape", Severity: scan.Doubtful,
		Why:        "A shape whose size overflows makes readers written in C reserve too little memory.",
		Mend:       "Have the author save the array again with numpy.save.",
		References: []string{"CWE-190"}}
	ruleNPYShort = &scan.Rule{ID: "numpy.short", Severity: scan.Unreadable,
		Why:  "The array is not all there.",
		Mend: "Download the file again."}
	ruleNPYTrailing = &scan.Rule{ID: "numpy.trailing", Severity: scan.Doubtful,
		Why:  "Bytes behind the array belong to none: the file can be another one at the same time.",
		Mend: "Have the author save the array again with numpy.save."}
	ruleNPYObject = &scan.Rule{ID: "numpy.object", Severity: scan.Unreadable,
		Why:        "An array of objects is a pickle, and what follows the header is none that could be read.",
		Mend:       "Have the author save the array with a type of numbers.",
		References: []string{"CVE-2019-6446"}}
	ruleNPYPickle = &scan.Rule{ID: "numpy.object.pickle", Severity: scan.Note,
		Why:        "An array of objects is a pickle: numpy loads it with allow_pickle only. What is in it was looked at.",
		References: []string{"CVE-2019-6446"}}
	ruleNPYLong = &scan.Rule{ID: "numpy.header.long", Severity: scan.Note,
		Why: "numpy reads a header of more than 10,000 bytes only when it is told to."}
	ruleNPYVersion = &scan.Rule{ID: "numpy.version", Severity: scan.Unreadable,
		Why:  "Only versions 1 to 3 of the format are known.",
		Mend: "Have the author save the array again with numpy.save."}
	ruleNPYDType = &scan.Rule{ID: "numpy.dtype", Severity: scan.Unreadable,
		Why:  "The length of an array whose type is not known cannot be checked.",
		Mend: "Have the author save the array with a type that numpy.save writes."}
)

// NumPy reads arrays as numpy.save writes them, also several in one file.
// Those of numpy.savez are members of a zip archive.
func NumPy() scan.Format {
	return scan.Format{Name: "numpy", Claim: func(f *scan.File) bool { return f.HasPrefix(npyMagic) }, Scan: scanNumPy,
		Rules: []*scan.Rule{ruleNPYHeader, ruleNPYShape, ruleNPYShort, ruleNPYTrailing, ruleNPYObject,
			ruleNPYPickle, ruleNPYLong, ruleNPYVersion, ruleNPYDType}}
}

func scanNumPy(p *scan.Place, f *scan.File) error {
	n := &npy{report(p), newCursor(p, f)}
	for {
		err := n.array()
		switch {
		case errors.Is(err, errTold):
			return nil
		case errors.Is(err, errShort):
			n.say(ruleNPYShort, scan.At(n.pos), "the file ends within its header")
			return nil
		case err != nil:
			return err
		}
		if n.left() == 0 {
			return nil
		}
		// numpy.save appends to a file that is open, so arrays may follow.
		at := n.pos
		magic, err := n.take(min(n.left(), int64(len(npyMagic))))
		if err != nil {
			return err
		}
		n.pos = at
		if string(magic) != npyMagic {
			n.say(ruleNPYTrailing, scan.At(at), "%d bytes follow the array", n.left())
			n.Inside("", at, f.Section(at, n.left()))
			return nil
		}
		if err := p.Spend(scan.CostMember); err != nil {
			return err
		}
	}
}

// npy is one scan.
type npy struct {
	*reporter
	*cursor
}

func (n *npy) stop(rule *scan.Rule, at int64, detail string, args ...any) error {
	n.say(rule, scan.At(at), detail, args...)
	return errTold
}

// array reads one array and steps over its numbers.
func (n *npy) array() error {
	begin := n.pos
	b, err := n.take(8)
	if err != nil {
		return err
	}
	version := b[6]
	if version < 1 || version > 3 {
		return n.stop(ruleNPYVersion, begin+6, "it is of version %d.%d", version, b[7])
	}
	wide := int64(4)
	if version == 1 {
		wide = 2
	}
	b, err = n.take(wide)
	if err != nil {
		return err
	}
	length := int64(0)
	if wide == 2 {
		length = int64(binary.LittleEndian.Uint16(b))
	} else {
		length = int64(binary.LittleEndian.Uint32(b))
	}
	switch {
	case length > n.left():
		return n.stop(ruleNPYHeader, begin+8, "the header is said to be %d bytes long, %d follow", length, n.left())
	case length > maxNPYHeader:
		return n.stop(ruleNPYHeader, begin+8, "the header is %d bytes long", length)
	case length > npyHeader:
		n.say(ruleNPYLong, scan.At(begin+8), "the header is %d bytes long", length)
	}
	if err := n.Spend(scan.Cost(length) * costLiteral); err != nil {
		return err
	}
	// A value takes two bytes of text at least, and some 64 of memory.
	release, err := n.Hold(32*length + length)
	if err != nil {
		return err
	}
	defer release()
	at := n.pos
	b, err = n.take(length)
	if err != nil {
		return err
	}
	return n.described(at, string(b))
}

// described checks the header, and steps over what it describes.
func (n *npy) described(at int64, header string) error {
	v, err := literal(header)
	if err != nil {
		return n.stop(ruleNPYHeader, at, "the header is %v", err)
	}
	h, _ := v.(dict)
	var (
		shape tuple
		descr any
		known int
		right = len(h) == 3
	)
	for _, e := range h {
		var ok bool
		switch e.key {
		case "descr":
			descr, ok = e.value, true
			known |= 1
		case "fortran_order":
			_, ok = e.value.(bool)
			known |= 2
		case "shape":
			shape, ok = e.value.(tuple)
			known |= 4
		}
		right = right && ok
	}
	if !right || known != 7 {
		return n.stop(ruleNPYHeader, at, "the header must have descr, fortran_order and shape, each once, and nothing else")
	}
	dims := make([]int64, 0, min(len(shape), maxRank))
	for _, d := range shape {
		i, ok := d.(int64)
		if !ok || i < 0 || len(dims) == maxRank {
			return n.stop(ruleNPYShape, at, "the shape is not a tuple of at most %d sizes", maxRank)
		}
		dims = append(dims, i)
	}
	t, ok := dtypeOf(descr, 0)
	if !ok && !t.objects {
		n.say(ruleNPYDType, scan.At(at), "the type is not understood: %s", short(header))
	}
	if t.objects || !ok {
		return n.objects(t.objects)
	}
	total, ok := product(dims, t.size)
	if t.size == 0 {
		_, ok = product(dims, 1)
	}
	if !ok || total > math.MaxInt64-n.pos {
		return n.stop(ruleNPYShape, at, "the size of %v elements of %d bytes overflows", dims, t.size)
	}
	if total > n.left() {
		return n.stop(ruleNPYShort, n.pos, "the array has %d bytes, %d follow", total, n.left())
	}
	if n.WantsTensors() {
		n.Tensor(scan.Tensor{DType: t.name, Shape: dims, Offset: n.pos, Size: total})
	}
	return n.skip(total)
}

// objects hands on the pickle that an array of objects is; with a type that is
// not understood there may be one. It takes all of the rest.
func (n *npy) objects(sure bool) error {
	took := n.left() > 0 && n.Inside("", n.pos, n.file.Section(n.pos, n.left()))
	switch {
	case sure && took:
		n.say(ruleNPYPickle, scan.At(n.pos), "the array is one of objects")
	case sure:
		n.say(ruleNPYObject, scan.At(n.pos), "the array is one of objects, and no pickle follows")
	}
	return n.skip(n.left())
}
