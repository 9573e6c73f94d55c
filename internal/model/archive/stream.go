package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz/lzma"

	"github.com/apexlogic/apex/internal/model/scan"
)

var (
	ruleStreamBroken = &scan.Rule{ID: "stream.broken", Severity: scan.Unreadable,
		Why:  "The stream breaks off or is damaged; a loader that reads as it unpacks has acted on what stands before.",
		Mend: "Fetch the file again and compare its digest; if it is damaged at its source, do not load it."}
	ruleStreamTrailing = &scan.Rule{ID: "stream.trailing", Severity: scan.Unreadable,
		Why:  "Bytes behind the end of a stream are read by some loaders and not by others.",
		Mend: "Pack it again, without what follows."}
	ruleStreamNested = &scan.Rule{ID: "stream.nested", Severity: scan.Doubtful,
		Why:        "Nobody compresses a model so many times: it makes scanners give up before they see what it holds.",
		Mend:       "Unpack it in isolation, and scan what it holds.",
		References: []string{"CWE-409"}}
	ruleStreamRemote = &scan.Rule{ID: "stream.remote", Severity: scan.Unreadable,
		Why:  "Only the beginning of a long packed file is read over the network.",
		Mend: "Fetch the file and scan it here."}
)

const (
	// maxDictionary is the largest window of LZMA and zstd that is honoured:
	// that of xz -9. A larger one is a header that wants memory.
	maxDictionary = 64 << 20
	// remoteStream is how much of a packed file is read over a network.
	remoteStream = 4 << 20
	// mostLayers is how often honest files are compressed, one stream in the
	// other: an archive that somebody compressed once more, perhaps again.
	mostLayers = 3
	// leastWeak is how much must come out of a broken stream that nothing but
	// itself tells from other data: less than the shortest pickle that calls.
	leastWeak = 16
	// costDictionary is how many bytes of a window are taken and cleared in a
	// nanosecond.
	costDictionary = 2
)

// errUnsupported marks streams that may be sound but are not read here.
var errUnsupported = errors.New("not supported")

// A codec is one kind of compressed stream.
type codec struct {
	name  string
	claim func(head []byte) bool
	// open begins to unpack. It takes the memory of its window from w.
	open func(w *window, f *scan.File) (io.Reader, error)
	cost scan.Cost
	// skips says that frames which every reader passes over may come first.
	skips bool
	weak  bool // nothing but the stream itself tells it from other data
	// after is where the stream ends, known once it was read.
	after func(io.Reader) int64
	// starts are where the streams begin that follow the first one.
	starts func(*scan.Place, *scan.File, io.Reader) ([]int64, error)
}

// Streams reads what gzip, zlib, bzip2, xz, LZMA, zstd and lz4 packed, and
// joblib's old zlib frame: single files, as joblib and saveRDS write them.
func Streams() []scan.Format {
	table := []codec{
		{name: "gzip", claim: magic("\x1f\x8b"), cost: scan.CostInflate,
			open:   func(w *window, f *scan.File) (io.Reader, error) { return openGzip(w.place, f) },
			after:  func(r io.Reader) int64 { return r.(*gunzip).trailing },
			starts: func(_ *scan.Place, _ *scan.File, r io.Reader) ([]int64, error) { return r.(*gunzip).starts, nil }},
		{name: "zlib", claim: isZlib, cost: scan.CostInflate, weak: true,
			open: func(_ *window, f *scan.File) (io.Reader, error) { return openZlib(f) }, after: endOf},
		{name: "zfile", claim: isZfile, cost: scan.CostInflate, open: openZfile, after: endOf},
		{name: "bzip2", claim: isBzip2, cost: scan.CostSlow,
			open: func(_ *window, f *scan.File) (io.Reader, error) { return bzip2.NewReader(buffered(f)), nil }, starts: bzip2Starts},
		{name: "xz", claim: magic("\xfd7zXZ\x00"), cost: scan.CostSlow, open: openXZ, starts: xzStarts},
		{name: "lzma", claim: isLZMA, cost: scan.CostSlow, open: openLZMA, weak: true},
		{name: "zstd", claim: isZstd, cost: scan.CostInflate, open: openZstd, starts: zstdStarts, skips: true},
		{name: "lz4", claim: isLZ4, cost: scan.CostInflate, skips: true,
			open: func(_ *window, f *scan.File) (io.Reader, error) { return lz4.NewReader(buffered(f)), nil }, starts: lz4Starts},
	}
	formats := make([]scan.Format, len(table))
	for i, c := range table {
		formats[i] = scan.Format{Name: c.name, Scan: c.scan,
			Rules: []*scan.Rule{ruleStreamBroken, ruleStreamTrailing, ruleStreamNested, ruleStreamRemote},
			Claim: func(f *scan.File) bool {
				head, err := f.Head()
				return err == nil && (c.claim(head) || c.skips && isSkippable(head))
			}}
	}
	return formats
}

func magic(prefix string) func([]byte) bool {
	return func(head []byte) bool { return bytes.HasPrefix(head, []byte(prefix)) }
}

// scan unpacks the stream, and has what it holds looked at: of a broken one
// the prefix that can be read.
func (c codec) scan(p *scan.Place, f *scan.File) error {
	base := int64(0)
	if c.skips {
		at, head, err := skipped(p, f)
		switch {
		case err != nil:
			return err
		case !c.claim(head):
			return scan.ErrOther
		}
		base = at
	}
	packed, partly := f.Section(base, f.Size()-base), false
	if f.IsDear() {
		part, err := packed.Read(0, min(packed.Size(), remoteStream))
		if err != nil {
			return err
		}
		packed, partly = scan.Bytes(part), packed.Size() > remoteStream
	}
	var first io.Reader
	w := &window{place: p}
	inner, err := p.UnpackFile(packed, func(f *scan.File) (io.Reader, error) {
		r, err := c.open(w, f)
		if err == nil && first == nil {
			first = r
		}
		return r, err
	}, c.cost)
	chance := c.weak && err != nil && !over(err) // that it is other data, which begins like a stream
	if chance && (inner == nil || inner.Size() < leastWeak) {
		return scan.ErrOther
	}
	took := false
	if inner != nil && inner.Size() > 0 {
		took = p.Inside("unpacked", -1, inner)
	}
	if chance && !took {
		return scan.ErrOther
	}
	if layers(p) == mostLayers+1 {
		p.Report(ruleStreamNested, scan.Nowhere, fmt.Sprintf("it is the stream number %d, one in the other", mostLayers+1))
	}
	if !took && !over(err) && c.starts != nil && first != nil {
		if err := c.apart(p, packed, base, first); err != nil {
			return err
		}
	}
	switch {
	case partly:
		p.Report(ruleStreamRemote, scan.Nowhere, fmt.Sprintf("of %d packed bytes the first %d were read", f.Size()-base, packed.Size()))
	case err != nil && !over(err) && p.Context().Err() == nil:
		p.Report(ruleStreamBroken, scan.Nowhere, fmt.Sprintf("the %s stream cannot be read to its end: %v", c.name, err))
	}
	if err != nil {
		return ended(p, err)
	}
	if c.after == nil || partly || first == nil {
		return nil
	}
	return trailing(p, packed, c.after(first), ruleStreamTrailing)
}

// apart has every format look at what each of several streams holds by itself,
// when all together they are nothing: a reader of the first stops there, and
// others take each for a file.
func (c codec) apart(p *scan.Place, packed *scan.File, base int64, first io.Reader) error {
	starts, err := c.starts(p, packed, first)
	if err != nil || len(starts) == 0 {
		return err
	}
	starts = append(append([]int64{0}, starts...), packed.Size())
	for i, at := range starts[:len(starts)-1] {
		if err := p.Spend(scan.CostMember); err != nil {
			return err
		}
		p.Inside(fmt.Sprintf("stream %d", i+1), base+at, packed.Section(at, starts[i+1]-at))
	}
	return nil
}

// layers counts the streams that a file is packed in, one right in the other.
func layers(p *scan.Place) int {
	within := p.Within()
	n := 1
	for i := len(within) - 1; i >= 0 && slices.Contains(codecs[:], within[i]); i-- {
		n++
	}
	return n
}

var codecs = [...]string{"gzip", "zlib", "zfile", "joblib-z", "bzip2", "xz", "lzma", "zstd", "lz4"}

// trailing reports what stands behind the end, unless it is padding, and has
// it looked at.
func trailing(p *scan.Place, f *scan.File, end int64, rule *scan.Rule) error {
	if end < 0 || end >= f.Size() {
		return nil
	}
	rest := f.Section(end, f.Size()-end)
	zero, err := isZero(p, rest)
	if err != nil || zero {
		return err
	}
	p.Report(rule, scan.At(end), fmt.Sprintf("%d bytes follow the end", rest.Size()))
	p.Inside("", end, rest)
	return nil
}

// isZero says whether a file holds zeros only. One longer than 64 MiB is no
// padding, whatever it holds.
func isZero(p *scan.Place, f *scan.File) (bool, error) {
	const longest, block = 64 << 20, 64 << 10
	if f.Size() > longest {
		return false, nil
	}
	for at := int64(0); at < f.Size(); at += block {
		b, err := f.Read(at, min(block, f.Size()-at))
		if err != nil {
			return false, err
		}
		if err := p.Spend(scan.Cost(len(b)) * scan.CostRead); err != nil {
			return false, err
		}
		for _, c := range b {
			if c != 0 {
				return false, nil
			}
		}
	}
	return true, nil
}

// buffered reads a file from its beginning.
func buffered(f *scan.File) *bufio.Reader {
	return bufio.NewReaderSize(io.NewSectionReader(f, 0, f.Size()), 32<<10)
}

// A position counts what was read from a file through a buffer.
type position struct {
	*bufio.Reader
	section *io.SectionReader
}

func positioned(f *scan.File) *position {
	section := io.NewSectionReader(f, 0, f.Size())
	return &position{Reader: bufio.NewReaderSize(section, 32<<10), section: section}
}

func (p *position) at() int64 {
	at, err := p.section.Seek(0, io.SeekCurrent)
	if err != nil {
		return -1
	}
	return at - int64(p.Buffered())
}

// gunzip reads all members of a gzip file (RFC 1952 §2.2) and remembers where
// the last one ended.
type gunzip struct {
	*gzip.Reader
	place    *scan.Place
	from     *position
	trailing int64
	starts   []int64 // of the members behind the first
}

func openGzip(p *scan.Place, f *scan.File) (*gunzip, error) {
	from := positioned(f)
	z, err := gzip.NewReader(from.Reader)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return &gunzip{place: p, Reader: z, from: from, trailing: -1}, nil
}

// Read implements io.Reader.
func (g *gunzip) Read(b []byte) (int, error) {
	n, err := g.Reader.Read(b)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	g.trailing = g.from.at()
	if err := g.padding(); err != nil {
		return n, err
	}
	if next, _ := g.from.Peek(2); string(next) != "\x1f\x8b" {
		return n, err
	}
	g.trailing = g.from.at()
	if err := g.Reset(g.from.Reader); err != nil {
		return n, err
	}
	g.Multistream(false)
	if len(g.starts) < maxStreams {
		g.starts = append(g.starts, g.trailing)
	}
	return n, nil
}

// padding steps over zeros behind a member, as gzip(1) and Python's gzip do
// (Lib/gzip.py, _GzipReader._read_eof): another member may follow them.
func (g *gunzip) padding() error {
	for {
		b, _ := g.from.Peek(g.from.Size())
		zeros := len(b) - len(bytes.TrimLeft(b, "\x00"))
		if zeros == 0 {
			return nil
		}
		if _, err := g.from.Discard(zeros); err != nil {
			return err
		}
		if err := g.place.Spend(scan.Cost(zeros) * scan.CostRead); err != nil {
			return err
		}
	}
}

// A tail is a stream that knows where it ended.
type tail struct {
	io.Reader
	from  *position
	start int64
}

func endOf(r io.Reader) int64 {
	t := r.(*tail)
	return t.start + t.from.at()
}

func openZlib(f *scan.File) (io.Reader, error) {
	from := positioned(f)
	z, err := zlib.NewReader(from.Reader)
	if err != nil {
		return nil, err
	}
	return &tail{Reader: z, from: from}, nil
}

// isZlib checks the header of RFC 1950 §2.2, and that something comes out.
func isZlib(head []byte) bool {
	if len(head) < 6 || head[0]&0x0f != 8 || head[0]>>4 > 7 || binary.BigEndian.Uint16(head)%31 != 0 || head[1]&0x20 != 0 {
		return false
	}
	var first [1]byte
	n, _ := io.ReadFull(flate.NewReader(bytes.NewReader(head[2:])), first[:])
	return n == 1
}

// The frame of joblib before 0.10: "ZF", the length as a hexadecimal number
// padded to 19 characters, perhaps one more space, a zlib stream.
const zfileHeader = 2 + 19

func isZfile(head []byte) bool {
	if len(head) < zfileHeader+2 || !bytes.HasPrefix(head, []byte("ZF0x")) {
		return false
	}
	digits := strings.TrimRight(string(head[4:zfileHeader]), " L")
	_, err := strconv.ParseUint(digits, 16, 64)
	return err == nil
}

func openZfile(_ *window, f *scan.File) (io.Reader, error) {
	start := int64(zfileHeader)
	if next, err := f.Read(start, 1); err == nil && next[0] == ' ' {
		start++
	}
	r, err := openZlib(f.Section(start, f.Size()-start))
	if err != nil {
		return nil, err
	}
	r.(*tail).start = start
	return r, nil
}

func isBzip2(head []byte) bool {
	return len(head) >= 10 && bytes.HasPrefix(head, []byte("BZh")) && head[3] >= '1' && head[3] <= '9' &&
		(string(head[4:10]) == "1AY&SY" || string(head[4:10]) == "\x17\x72\x45\x38\x50\x90")
}

// isLZMA tells the header of lzma-alone as xz does: a sane window, a sane
// length, and the range coder's first byte, which is 0.
func isLZMA(head []byte) bool {
	return len(head) > lzma.HeaderLen && head[0] < 225 && head[lzma.HeaderLen] == 0 && lzma.ValidHeader(head[:lzma.HeaderLen])
}

func openLZMA(w *window, f *scan.File) (io.Reader, error) {
	head, err := f.Read(0, min(f.Size(), lzma.HeaderLen))
	if err != nil {
		return nil, err
	}
	return lzmaReader(w, head, io.NewSectionReader(f, int64(len(head)), f.Size()))
}

// lzmaReader reads classic LZMA by a header of 13 bytes.
func lzmaReader(w *window, header []byte, packed io.Reader) (io.Reader, error) {
	if len(header) < lzma.HeaderLen {
		return nil, io.ErrUnexpectedEOF
	}
	size := int64(binary.LittleEndian.Uint32(header[1:]))
	if whole := int64(binary.LittleEndian.Uint64(header[5:])); whole >= 0 {
		size = min(size, whole)
	}
	if err := w.open(size); err != nil {
		return nil, err
	}
	r, err := lzma.ReaderConfig{DictCap: maxDictionary}.NewReader(
		bufio.NewReaderSize(io.MultiReader(bytes.NewReader(header), packed), 32<<10))
	if err != nil {
		return nil, err
	}
	return &drained{from: r}, nil
}

// drained hands on what a decoder has unpacked before an error: the decoder of
// LZMA keeps it in its window, and returns it when it is asked again.
type drained struct {
	from io.Reader
	err  error
}

func (d *drained) Read(b []byte) (int, error) {
	n, err := d.from.Read(b)
	if d.err == nil {
		if err == nil || errors.Is(err, io.EOF) {
			return n, err
		}
		d.err = err
		if n == 0 {
			n, _ = d.from.Read(b)
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, d.err
}

// A window takes the memory and the time of a decoder's window from the
// budget. A stream has one at a time, however often it is begun anew.
type window struct {
	place *scan.Place
	close func() // nil when none is open
}

// open gives back the window before and takes one of n bytes.
func (w *window) open(n int64) error {
	if n > maxDictionary {
		return fmt.Errorf("a window of %d bytes is %w (at most %d)", n, errUnsupported, maxDictionary)
	}
	if err := w.place.Spend(scan.Cost(n / costDictionary)); err != nil {
		return err
	}
	if w.close != nil {
		w.close()
	}
	var err error
	w.close, err = w.place.Hold(n)
	return err
}

func isZstd(head []byte) bool { return magic("\x28\xb5\x2f\xfd")(head) }

func isLZ4(head []byte) bool {
	return magic("\x04\x22\x4d\x18")(head) || magic("\x02\x21\x4c\x18")(head)
}

func openZstd(w *window, f *scan.File) (io.Reader, error) { return zstdReader(w, buffered(f)) }

func zstdReader(w *window, packed io.Reader) (io.Reader, error) {
	const largest = 32 << 20 // zstd -19 needs 8 MiB, --ultra -22 128 MiB
	if err := w.open(largest); err != nil {
		return nil, err
	}
	return zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(largest), zstd.WithDecoderLowmem(true))
}
