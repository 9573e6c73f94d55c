package archive_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"github.com/apexlogic/apex/internal/model/archive"
	"github.com/apexlogic/apex/internal/model/scan"
)

func squeeze(t testing.TB, open func(io.Writer) (io.WriteCloser, error), content string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := open(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bzip2 of "EVIL payload\n" and of tame; the library writes none.
const (
	bzEvil = "425a6839314159265359159a91e8000001578000104000022401002404c02020002200d06840d0342e9c01bda498f177245385090159a91e80"
)

func stream(t testing.TB, name, content string) []byte {
	t.Helper()
	return squeeze(t, func(w io.Writer) (io.WriteCloser, error) {
		switch name {
		case "gzip":
			return gzip.NewWriter(w), nil
		case "zlib":
			return zlib.NewWriter(w), nil
		case "zfile":
			_, err := fmt.Fprintf(w, "ZF%-19s", fmt.Sprintf("%#x", len(content)))
			return zlib.NewWriter(w), err
		case "xz":
			return xz.NewWriter(w)
		case "lzma":
			return lzma.NewWriter(w)
		case "zstd":
			return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		}
		z := lz4.NewWriter(w)
		return z, z.Apply(lz4.BlockSizeOption(lz4.Block64Kb))
	}, content)
}

// noise does not compress.
func noise(n int) string {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}
	return string(b)
}

func TestWhatIsCompressedIsRead(t *testing.T) {
	long := noise(300_000)
	for _, name := range []string{"gzip", "zlib", "zfile", "xz", "lzma", "zstd", "lz4"} {
		t.Run(name, func(t *testing.T) {
			b, good := stream(t, name, payload+long), stream(t, name, tame+long)
			wantRules(t, examine(t, b), scan.Malicious, "test.evil")
			res := examine(t, good)
			wantRules(t, res, scan.Clean)
			if !slices.Contains(res.Formats, name) {
				t.Errorf("want %s: %s", name, said(res))
			}
			// what is broken is read as far as it goes
			wantRules(t, examine(t, b[:len(b)*2/3]), scan.Malicious, "test.evil", "stream.broken")
			if name != "zlib" && name != "lzma" { // without a magic, what breaks off and holds nothing is other data
				wantRules(t, examine(t, good[:len(b)*2/3]), scan.Unscannable, "stream.broken")
			}
			// in an archive, and twice
			wantRules(t, examine(t, zipOf(part{name: "model", content: string(b)})), scan.Malicious, "test.evil")
			wantRules(t, examine(t, stream(t, "gzip", string(b))), scan.Malicious, "test.evil")
		})
	}
	b, err := hex.DecodeString(bzEvil)
	if err != nil {
		t.Fatal(err)
	}
	wantRules(t, examine(t, b), scan.Malicious, "test.evil")
	wantRules(t, examine(t, b[:len(b)-8]), scan.Malicious, "stream.broken", "test.evil")
}

func TestAllMembersOfAGzipFileAreRead(t *testing.T) {
	good, evil := stream(t, "gzip", ""), stream(t, "gzip", payload)
	wantRules(t, examine(t, slices.Concat(good, good, evil)), scan.Malicious, "test.evil")
	wantRules(t, examine(t, slices.Concat(good, make([]byte, 500))), scan.Clean)
}

func TestWhatFollowsAStreamIsRead(t *testing.T) {
	for _, name := range []string{"gzip", "zlib", "zfile"} {
		b := stream(t, name, tame)
		wantRules(t, examine(t, append(bytes.Clone(b), "and more"...)), scan.Unscannable, "stream.trailing")
		wantRules(t, examine(t, append(bytes.Clone(b), payload...)), scan.Malicious, "stream.trailing", "test.evil")
	}
}

func TestDataThatBeginsLikeAStreamIsNone(t *testing.T) {
	for _, head := range []string{"\x78\x9c", "\x78\x01", "\x5d\x00\x00\x80\x00" + strings.Repeat("\xff", 8) + "\x00", "BZh9", "ZF0x", "\x04\x22"} {
		if res := examine(t, []byte(head+noise(20_000))); res.Verdict != scan.Unknown {
			t.Errorf("%q: %s", head, said(res))
		}
	}
}

func TestABombIsNotUnpacked(t *testing.T) {
	zeros := strings.Repeat("\x00", 64<<20)
	for _, name := range []string{"gzip", "zlib", "zstd"} {
		wantRules(t, examine(t, stream(t, name, zeros)), scan.Suspicious, "archive.bomb")
	}
	// a window of 4 GiB
	b := bytes.Clone(stream(t, "lzma", tame))
	copy(b[1:], "\x00\x00\x00\xc0")
	if res := examine(t, b); res.Verdict > scan.Unscannable {
		t.Errorf("%s", said(res))
	}
}

func TestLongStreamsKeepToTheMemoryOfTheirWindows(t *testing.T) {
	const opened = 4                            // as often as the stream is begun anew, at least
	content := strings.Repeat(noise(1<<20), 40) // too long to keep
	reader := scan.Format{Name: "reader", Claim: func(*scan.File) bool { return true }, Scan: func(_ *scan.Place, f *scan.File) error {
		for range opened {
			for _, at := range []int64{39 << 20, 1 << 20} {
				if b, err := f.Read(at, 100); err != nil || string(b) != content[at:at+100] {
					return fmt.Errorf("at %d: %w", at, err)
				}
			}
		}
		return nil
	}}
	limits := scan.Limits{Work: 1 << 40, Memory: 96 << 20, Depth: 8, Findings: 10, Tensors: 1}
	res := scan.NewFormats(limits, append(archive.Streams(), reader)...).Scan(t.Context(), scan.Bytes(stream(t, "zstd", content)), scan.Options{})
	for _, f := range res.Findings {
		if f.Where.Member != "" { // the reader also looks at the packed file
			t.Errorf("%s", said(res))
		}
	}
	if !slices.Contains(res.Inner, "reader") {
		t.Errorf("%s", said(res))
	}
}
