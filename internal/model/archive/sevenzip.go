package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/apexlogic/apex/internal/model/scan"
)

const sevenMend = "Unpack it in isolation, scan what it holds, and publish the files themselves."

var (
	ruleSeven = &scan.Rule{ID: "7z.model", Severity: scan.Doubtful,
		Why:        "No loader of models reads 7z: it was packed so to get past scanners, or somebody is meant to unpack it by hand.",
		Mend:       sevenMend,
		References: []string{"CWE-693"}}
	ruleSevenPlain = &scan.Rule{ID: "7z.plain", Severity: scan.Note,
		Why:  "No loader of models reads 7z: somebody unpacks it by hand, and what comes out is not what was checked by name.",
		Mend: "Publish the files themselves."}
	ruleSevenBroken = &scan.Rule{ID: "7z.broken", Severity: scan.Unreadable,
		Why: "The archive is damaged, so what it holds is not known; unpackers differ in what they still read.", Mend: sevenMend}
	ruleSevenMember = &scan.Rule{ID: "7z.member", Severity: scan.Unreadable,
		Why: "What is packed or encrypted in this way is not read here.", Mend: sevenMend}
	ruleSevenPrefix = &scan.Rule{ID: "7z.prefix", Severity: scan.Doubtful,
		Why: "Something stands before the archive: it is one thing to who reads the front and another to an unpacker.", Mend: sevenMend}
	ruleSevenTrailing = &scan.Rule{ID: "7z.trailing", Severity: scan.Doubtful,
		Why: "Something follows the archive, which unpackers do not read.", Mend: sevenMend}
)

const (
	sevenMagic = "7z\xbc\xaf\x27\x1c"
	sevenStart = 32 // bytes of the start header
	// maxSevenHeader bounds a header, packed and unpacked.
	maxSevenHeader = 8 << 20
	// remoteSeven is the longest archive that is fetched.
	remoteSeven = 8 << 20
)

// SevenZip reads 7z archives (LZMA SDK, 7zFormat.txt): stored, LZMA, LZMA2,
// deflate, bzip2 and zstd members. It reads the headers itself, because every
// count in them must be checked before memory is taken for it.
func SevenZip() scan.Format {
	return scan.Format{Name: "7z", Scan: scanSeven,
		Rules: append(nameRules(), ruleSeven, ruleSevenPlain, ruleSevenBroken, ruleSevenMember, ruleSevenPrefix, ruleSevenTrailing),
		Claim: func(f *scan.File) bool { return findSeven(f) >= 0 }}
}

// findSeven returns where an archive begins: at the front, or behind a prefix
// in the head if its header is sound.
func findSeven(f *scan.File) int64 {
	head, err := f.Head()
	if err != nil {
		return -1
	}
	if bytes.HasPrefix(head, []byte(sevenMagic)) {
		return 0
	}
	for at := 0; ; at++ {
		next := bytes.Index(head[at:], []byte(sevenMagic))
		if next < 0 {
			return -1
		}
		at += next
		if b := head[at:]; len(b) >= sevenStart && crc32.ChecksumIEEE(b[12:32]) == binary.LittleEndian.Uint32(b[8:]) {
			return int64(at)
		}
	}
}

// sevenPacked is where the members of an archive are that a file begins as.
func sevenPacked(f *scan.File) (start, size int64, ok bool) {
	head, err := f.Head()
	if err != nil || len(head) < sevenStart || !bytes.HasPrefix(head, []byte(sevenMagic)) ||
		crc32.ChecksumIEEE(head[12:32]) != binary.LittleEndian.Uint32(head[8:]) {
		return 0, 0, false
	}
	size = int64(binary.LittleEndian.Uint64(head[12:]))
	return sevenStart, size, size > 0 && size <= f.Size()-sevenStart
}

// errSeven is wrapped by errors about the archive's structure.
var errSeven = errors.New("the archive is damaged")

func scanSeven(p *scan.Place, f *scan.File) error {
	at := findSeven(f)
	if at < 0 {
		return scan.ErrOther
	}
	if f.IsDear() {
		if f.Size() > remoteSeven {
			p.Report(ruleSeven, scan.At(at), "it is a 7z archive that was not read")
			p.Report(ruleSevenMember, scan.At(at), fmt.Sprintf("over the network archives of at most %d bytes are read", remoteSeven))
			return nil
		}
		if _, err := p.Hold(f.Size()); err != nil {
			return err
		}
		b, err := f.Read(0, f.Size())
		if err != nil {
			return err
		}
		f = scan.Bytes(b)
	}
	if at > 0 {
		p.Report(ruleSevenPrefix, scan.At(0), fmt.Sprintf("%d bytes stand before the archive", at))
	}
	s := &seven{p: limit(p), f: f.Section(at, f.Size()-at)}
	end, err := s.scan()
	switch {
	case at > 0 || err != nil || s.unread:
		p.Report(ruleSeven, scan.At(at), "it is a 7z archive that is odd, or was not read to its end")
	case s.loads != "":
		p.Report(ruleSeven, scan.At(at), "it is a 7z archive, in which "+s.loads)
	default:
		p.Report(ruleSevenPlain, scan.At(at), "it is a 7z archive of plain files")
	}
	switch {
	case errors.Is(err, errSeven) || errors.Is(err, errUnsupported):
		p.Report(ruleSevenBroken, scan.At(at), err.Error())
		p.Inside("", at+sevenStart, f.Section(at+sevenStart, f.Size())) // what is stored is seen all the same
		return nil
	case err != nil:
		return err
	}
	return trailing(p, f, at+end, ruleSevenTrailing)
}

// seven is one archive while it is scanned.
type seven struct {
	p      *limited
	f      *scan.File
	unread bool   // some of it
	loads  string // why it is more than plain files, "" when it is not
}

// scan reads the header and the members; end is where the archive ends.
func (s *seven) scan() (end int64, err error) {
	if s.f.Size() < sevenStart {
		return 0, fmt.Errorf("%w: it breaks off in its first header", errSeven)
	}
	b, err := s.f.Read(0, sevenStart)
	if err != nil {
		return 0, err
	}
	le := binary.LittleEndian
	if crc32.ChecksumIEEE(b[12:]) != le.Uint32(b[8:]) {
		s.unread = true
		s.p.Report(ruleSevenBroken, scan.At(0), "the checksum of its first header is wrong")
	}
	offset, size := int64(le.Uint64(b[12:])), int64(le.Uint64(b[20:]))
	rest := s.f.Size() - sevenStart
	if offset < 0 || size < 0 || offset > rest || size > rest-offset {
		return 0, fmt.Errorf("%w: its header lies behind its end", errSeven)
	}
	end = sevenStart + offset + size
	if size == 0 {
		return end, nil
	}
	if size > maxSevenHeader {
		return 0, fmt.Errorf("%w: its header has more than %d bytes", errSeven, maxSevenHeader)
	}
	header, err := s.f.Read(sevenStart+offset, size)
	if err != nil {
		return 0, err
	}
	if crc32.ChecksumIEEE(header) != le.Uint32(b[28:]) {
		s.unread = true
		s.p.Report(ruleSevenBroken, scan.At(sevenStart+offset), "the checksum of its header is wrong")
	}
	list, err := s.header(header)
	if err != nil {
		return 0, err
	}
	return end, s.members(list)
}

// header parses a header, unpacking it as often as it is packed.
func (s *seven) header(b []byte) (*sevenList, error) {
	for range 4 { // writers pack it once
		if err := s.p.Spend(scan.Cost(len(b)) * scan.CostInflate); err != nil {
			return nil, err
		}
		if _, err := s.p.Hold(int64(len(b)) * 8); err != nil {
			return nil, err
		}
		r := &sevenReader{b: b}
		list := &sevenList{}
		switch id := r.byte(); id {
		case 0x01:
			r.list(list)
			return list, r.err
		case 0x17:
			r.streams(list)
			if r.err != nil {
				return nil, r.err
			}
			if len(list.folders) != 1 || list.folders[0].size() > maxSevenHeader {
				return nil, fmt.Errorf("%w: its header is packed in an odd way", errSeven)
			}
			open, _, err := s.folder(list, 0)
			if err != nil {
				return nil, err
			}
			if err := s.p.Spend(scan.Cost(list.folders[0].size()) * list.folders[0].cost()); err != nil {
				return nil, err
			}
			from, err := open(&window{place: s.p.Place})
			if err != nil {
				return nil, sevenError(err)
			}
			if b, err = io.ReadAll(from); err != nil {
				return nil, sevenError(err)
			}
		default:
			return nil, fmt.Errorf("%w: its header begins with %#02x", errSeven, id)
		}
	}
	return nil, fmt.Errorf("%w: its header is packed too often", errSeven)
}

// sevenError keeps the budget's errors, and makes others those of a damaged
// archive.
func sevenError(err error) error {
	if over(err) || errors.Is(err, errSeven) || errors.Is(err, errUnsupported) {
		return err
	}
	return fmt.Errorf("%w: %w", errSeven, err)
}

// members unpacks each folder and has every format look at each file in it.
func (s *seven) members(list *sevenList) error {
	next := 0 // of the files that have content
	for _, file := range list.files {
		checkName(s.p, file, -1)
	}
	for i := range list.folders {
		sizes := list.sizes(i)
		names := make([]string, len(sizes))
		for j := range sizes {
			if next < len(list.filled) {
				names[j] = list.filled[next]
			}
			next++
		}
		name := "(no name)"
		if len(names) > 0 {
			name = printable(names[0])
		}
		open, packed, err := s.folder(list, i)
		if err != nil {
			s.lost(scan.Where{Member: name, Offset: -1}, err.Error())
			continue
		}
		for _, c := range list.folders[i].coders {
			if isBranch(c.id) {
				s.lost(scan.Where{Member: name, Offset: -1}, fmt.Sprintf("the filter %x is not undone", c.id))
			}
		}
		err = s.p.Scoped(func() error {
			return s.unpack(open, packed, list.folders[i].cost(), names, sizes)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unpack has every format look at the files of one folder.
func (s *seven) unpack(open func(*window) (io.Reader, error), packed int64, cost scan.Cost, names []string, sizes []int64) error {
	p := s.p
	w := &window{place: p.Place}
	inner, err := p.Unpack(func() (io.Reader, error) { return open(w) }, packed, cost)
	if inner != nil {
		var at int64
		for i, size := range sizes {
			if err := p.Spend(scan.CostMember); err != nil {
				return err
			}
			if part := inner.Section(at, size); part.Size() > 0 {
				s.content(printable(names[i]), part)
			}
			at += size
		}
	}
	if err != nil && !over(err) && p.Context().Err() == nil {
		name := "(no name)"
		if len(names) > 0 {
			name = printable(names[0])
		}
		s.lost(scan.Where{Member: name, Offset: -1}, fmt.Sprintf("it cannot be unpacked: %v", err))
	}
	return ended(p.Place, err)
}

// plainFormats are those of the members that nobody would hide from a scanner:
// no loader runs anything for them.
var plainFormats = [...]string{"empty", "text", "json", "yaml", "xml", "safetensors", "safetensors-index", "gguf", "numpy", "rds"}

// content has every format look at a file, and remembers whether it is one
// that is loaded as a model.
func (s *seven) content(name string, f *scan.File) {
	formats := s.p.InsideAs(name, -1, f)
	if len(formats) == 0 && s.loads == "" && hasSuffix(name, ".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".dill") {
		s.loads = fmt.Sprintf("%q is named like a pickle", cut(name))
	}
	for _, format := range formats {
		if !slices.Contains(plainFormats[:], format) && s.loads == "" {
			s.loads = fmt.Sprintf("%q is read as %s", cut(name), format)
		}
	}
}

// lost reports a file that was not read.
func (s *seven) lost(where scan.Where, why string) {
	s.unread = true
	s.p.Report(ruleSevenMember, where, why)
}
