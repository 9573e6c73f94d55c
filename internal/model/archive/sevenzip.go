package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/apexlogic/apex/internal/model/scan"
)

const sevenMend = "Unpack it in isolation, scan what it holds, and publish the files themselves."

var (
	ruleSeven = &scan.Rule{ID: "7z.model", Severity: scan.Doubtful,
		Why:        "No loader of models reads 7z: it was packed so to get past scanners, or somebody is meant to unpack it by hand.",
		Mend:       sevenMend,
		References: []string{"CWE-693"}}
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
		Rules: append(nameRules(), ruleSeven, ruleSevenBroken, ruleSevenMember, ruleSevenPrefix, ruleSevenTrailing),
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

// errSeven is wrapped by errors about the archive's structure.
var errSeven = errors.New("the archive is damaged")

func scanSeven(p *scan.Place, f *scan.File) error {
	at := findSeven(f)
	if at < 0 {
		return scan.ErrOther
	}
	p.Report(ruleSeven, scan.At(at), "it is a 7z archive")
	if f.IsDear() {
		if f.Size() > remoteSeven {
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
	p *limited
	f *scan.File
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
			s.p.Report(ruleSevenMember, scan.Where{Member: name, Offset: -1}, err.Error())
			continue
		}
		for _, c := range list.folders[i].coders {
			if isBranch(c.id) {
				s.p.Report(ruleSevenMember, scan.Where{Member: name, Offset: -1}, fmt.Sprintf("the filter %x is not undone", c.id))
			}
		}
		var ended error
		format := scan.Format{Name: "7z-folder", Claim: func(*scan.File) bool { return true }, Scan: func(p *scan.Place, _ *scan.File) error {
			ended = s.unpack(p, open, packed, list.folders[i].cost(), names, sizes)
			return ended
		}}
		s.p.With(&format, "", -1, s.f)
		if ended != nil {
			return nil // has been reported
		}
	}
	return nil
}

func (s *seven) unpack(p *scan.Place, open func(*window) (io.Reader, error), packed int64, cost scan.Cost, names []string, sizes []int64) error {
	w := &window{place: p}
	inner, err := p.Unpack(func() (io.Reader, error) { return open(w) }, packed, cost)
	if inner != nil {
		var at int64
		for i, size := range sizes {
			if err := p.Spend(scan.CostMember); err != nil {
				return err
			}
			if part := inner.Section(at, size); part.Size() > 0 {
				p.Inside(printable(names[i]), -1, part)
			}
			at += size
		}
	}
	if err != nil && !over(err) && p.Context().Err() == nil {
		name := "(no name)"
		if len(names) > 0 {
			name = printable(names[0])
		}
		p.Report(ruleSevenMember, scan.Where{Member: name, Offset: -1}, fmt.Sprintf("it cannot be unpacked: %v", err))
	}
	return ended(p, err)
}
