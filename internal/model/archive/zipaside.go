package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// leastAside is how long a comment or an extra field is at least to be looked
// at: the shortest pickle that calls something.
const leastAside = 16

// wordFormats are those that comments of honest archives are read as.
var wordFormats = [...]string{"empty", "text", "json", "yaml", "xml"}

// aside has every format look at bytes that no reader of members sees.
func (z *zipFile) aside(what string, where scan.Where, at, n int64) {
	if n < leastAside {
		return
	}
	f := z.f.Section(at, n)
	b, err := f.Read(0, min(f.Size(), 1<<16)) // none is longer
	if err != nil || isFiller(b) || z.p.Spend(scan.Cost(len(b))) != nil {
		return
	}
	for _, format := range z.p.InsideAs("", at, scan.Bytes(b)) {
		if !slices.Contains(wordFormats[:], format) {
			z.p.Report(ruleZipAside, where, fmt.Sprintf("%s is read as %s", what, format))
		}
	}
}

// carried says whether the archive from start to end is a value of bytes in a
// pickle: the file begins as pickles of protocols 2 to 5 do, and the opcode
// before the archive says exactly its length. All that stands around it is then
// read as a pickle, of the file as a whole, or by the first opcode that is
// wrong fails to be one.
func carried(f *scan.File, start, end int64) bool {
	head, err := f.Head()
	if err != nil || len(head) < 2 || head[0] != 0x80 || head[1] < 2 || head[1] > 5 {
		return false
	}
	from := max(start-9, 2)
	b, err := f.Read(from, max(start-from, 0))
	if err != nil {
		return false
	}
	n := uint64(end - start)
	ends := func(op byte, size int) bool {
		at := len(b) - 1 - size
		if at < 0 || b[at] != op {
			return false
		}
		var length [8]byte
		copy(length[:], b[at+1:])
		return binary.LittleEndian.Uint64(length[:]) == n
	}
	return ends('C', 1) || ends('B', 4) || ends(0x8e, 8) || ends(0x96, 8) // SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8
}

// isFiller says whether one byte is all there is, as in torch's padding.
func isFiller(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c != b[0] })
}

// comment looks at the comment of the archive, and at what newer writers put
// between the two records of its end.
func (z *zipFile) comment(e end) {
	z.aside("the comment", scan.At(e.at), e.at+eocdSize, e.after-e.at-eocdSize)
	if e.zip64 {
		from := e.recordsEnd + eocd64Size
		z.aside("what stands in the record of the end", scan.At(from), from, e.at-locatorSize-from)
	}
}

// asides looks at the comment of a member and at its extra fields, of which
// readers know few.
func (z *zipFile) asides(e *entry, l *local) {
	where := scan.Where{Member: printable(e.name), Offset: -1}
	fields := e.at + centralSize + int64(len(e.name))
	z.fields(where, fields, int64(e.extra))
	z.aside("the comment of the member", where, fields+int64(e.extra), int64(e.comment))
	z.fields(where, l.data-l.extra, l.extra)
}

func (z *zipFile) fields(where scan.Where, at, n int64) {
	if n < 4+leastAside {
		return
	}
	b, err := z.f.Read(at, n)
	if err != nil {
		return
	}
	extras(b, func(id uint16, data []byte) {
		at += 4
		z.aside(fmt.Sprintf("the extra field %#04x", id), where, at, int64(len(data)))
		at += int64(len(data))
		b = b[4+len(data):]
	})
	z.aside("what stands among the extra fields", where, at, int64(len(b)))
}

// special judges a member that is no plain file.
func (z *zipFile) special(e *entry) {
	where := scan.Where{Member: printable(e.name), Offset: -1}
	switch e.kind() {
	case modeLink:
		const longest = 4096 // of a path
		b, err := z.content(e, longest)
		if err != nil {
			z.p.Report(ruleZipMember, where, fmt.Sprintf("where the link leads is not known: %v", err))
			return
		}
		name := path.Clean(strings.TrimLeft(strings.ReplaceAll(e.name, `\`, "/"), "/"))
		if z.links == nil {
			z.links = map[string]bool{}
		}
		z.links[name] = true
		target, _, _ := strings.Cut(strings.ReplaceAll(string(b), `\`, "/"), "\x00")
		if _, leaves := climbs(path.Dir(name) + "/" + target); leaves || isAbsolute(target) {
			z.p.Report(ruleZipLink, where, fmt.Sprintf("%q leads to %q", cut(e.name), cut(target)))
		}
	case 0o060000, 0o020000, 0o010000, 0o140000:
		z.p.Report(ruleZipDevice, where, fmt.Sprintf("%q is a device, a pipe or a socket", cut(e.name)))
	}
}

// through reports members that are written through links, wherever these stand.
func (z *zipFile) through(all []entry) {
	if len(z.links) == 0 {
		return
	}
	for i := range all {
		name := path.Clean(strings.TrimLeft(strings.ReplaceAll(all[i].name, `\`, "/"), "/"))
		for dir := path.Dir(name); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if z.links[dir] {
				z.p.Report(ruleZipThrough, scan.Where{Member: printable(all[i].name), Offset: -1}, fmt.Sprintf("%q is a link in this archive", cut(dir)))
				break
			}
		}
	}
}

// isMember says whether the file is another archive, in members of which all
// that was found lies: a reader of that archive hands the members on.
func (z *zipFile) isMember(found []end) (bool, error) {
	left := slices.Clone(found)
	without := func(from, to int64) (none bool) {
		left = slices.DeleteFunc(left, func(e end) bool { return e.base >= from && e.after <= to })
		return len(left) == 0
	}
	if slices.ContainsFunc(found, func(e end) bool { return e.base <= 0 }) {
		return false, nil
	}
	if start, size, ok := sevenPacked(z.f); ok {
		return without(start, start+size), nil
	}
	if !beginsTar(z.f) {
		return false, nil
	}
	if z.f.IsDear() {
		return true, nil // walking it is left to who reads tars, and says how far
	}
	t := newTar(z.p.Place, z.f)
	for at := int64(0); ; {
		m, end, err := t.next(at)
		switch {
		case errors.Is(err, errTar), err == nil && end:
			return false, nil
		case err != nil:
			return false, err
		}
		if without(m.data, m.data+m.size) {
			return true, nil
		}
		at = m.after()
	}
}
