package inspect

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// withSize replaces the dimensions in a PNG's header, checksum included.
func withSize(file []byte, w, h int) []byte {
	ihdr := join(be32(w), be32(h), file[24:29])
	return join(file[:8], pngChunk("IHDR", ihdr), file[33:])
}

func TestEachLimitHoldsAndItsTwinPasses(t *testing.T) {
	for _, tc := range []struct {
		name  string
		data  []byte
		limit func(*media.Limits) // refused with it
		twin  func(*media.Limits) // allowed with it
	}{
		{"pixels of a PNG", pngOf(40, 30), func(l *media.Limits) { l.Pixels = 1199 }, func(l *media.Limits) { l.Pixels = 1200 }},
		{"pixels of a JPEG", jpegOf(40, 30), func(l *media.Limits) { l.Pixels = 1199 }, func(l *media.Limits) { l.Pixels = 1200 }},
		{"pixels of a GIF", gifOf(40, 30, 1), func(l *media.Limits) { l.Pixels = 1199 }, func(l *media.Limits) { l.Pixels = 1200 }},
		{"pixels of a WebP", webpOf(2, 40, 30, chunk("ANMF", join(make([]byte, 16), vp8))), func(l *media.Limits) { l.Pixels = 1199 }, func(l *media.Limits) { l.Pixels = 1200 }},
		{"pixels of a BMP", bmpOf(40, 30), func(l *media.Limits) { l.Pixels = 1199 }, func(l *media.Limits) { l.Pixels = 1200 }},
		{"pixels of a TIFF", tiffOf(40, 30), func(l *media.Limits) { l.Pixels = 1199 }, func(l *media.Limits) { l.Pixels = 1200 }},
		{"pixels of an AVIF", heif("avif", 40, 30), func(l *media.Limits) { l.Pixels = 1199 }, func(l *media.Limits) { l.Pixels = 1200 }},
		{"pixels of a video", mp4Of(60), func(l *media.Limits) { l.Pixels = 76799 }, func(l *media.Limits) { l.Pixels = 76800 }},
		{"pixels of a WebM", webmOf("webm", 5), func(l *media.Limits) { l.Pixels = 76799 }, func(l *media.Limits) { l.Pixels = 76800 }},
		{"pixels of an AVI", aviOf(5), func(l *media.Limits) { l.Pixels = 76799 }, func(l *media.Limits) { l.Pixels = 76800 }},
		{"frames of a GIF", gifOf(8, 8, 9), func(l *media.Limits) { l.Frames = 8 }, func(l *media.Limits) { l.Frames = 9 }},
		{"frames of an APNG", apng(8, 8, 9), func(l *media.Limits) { l.Frames = 8 }, func(l *media.Limits) { l.Frames = 9 }},
		{"frames of a video", mp4Of(60), func(l *media.Limits) { l.FilmFrames = 59 }, func(l *media.Limits) { l.FilmFrames = 60 }},
		{"pixels of all frames of a video", mp4Of(60), func(l *media.Limits) { l.FilmPixels = 320*240*60 - 1 }, func(l *media.Limits) { l.FilmPixels, l.Frames, l.AllPixels = 320*240*60, 1, 1 }},
		{"frames in fragments", fragmented(60), func(l *media.Limits) { l.FilmFrames = 59 }, func(l *media.Limits) { l.FilmFrames = 60 }},
		{"frames of a WebM", webmOf("webm", 50), func(l *media.Limits) { l.FilmFrames = 49 }, func(l *media.Limits) { l.FilmFrames = 50 }},
		{"frames of an AVI", aviOf(25), func(l *media.Limits) { l.FilmFrames = 24 }, func(l *media.Limits) { l.FilmFrames = 25 }},
		{"pixels of all frames", gifOf(10, 10, 9), func(l *media.Limits) { l.AllPixels = 899 }, func(l *media.Limits) { l.AllPixels = 900 }},
		{"seconds of a WAV", wavOf(8000, 1, 16000), func(l *media.Limits) { l.Duration = 1999 * time.Millisecond }, func(l *media.Limits) { l.Duration = 2 * time.Second }},
		{"seconds of an MP3", mp3Of(100), func(l *media.Limits) { l.Duration = 2 * time.Second }, func(l *media.Limits) { l.Duration = 3 * time.Second }},
		{"seconds of an AAC", adtsOf(100), func(l *media.Limits) { l.Duration = 2 * time.Second }, func(l *media.Limits) { l.Duration = 3 * time.Second }},
		{"seconds of a FLAC", flacOf(50), func(l *media.Limits) { l.Duration = 4 * time.Second }, func(l *media.Limits) { l.Duration = 5 * time.Second }},
		{"seconds of an Opus", opusOf(15), func(l *media.Limits) { l.Duration = 2 * time.Second }, func(l *media.Limits) { l.Duration = 3 * time.Second }},
		{"seconds of an M4A", m4aOf(), func(l *media.Limits) { l.Duration = time.Second }, func(l *media.Limits) { l.Duration = 2 * time.Second }},
		{"seconds of a video", mp4Of(30), func(l *media.Limits) { l.Duration = time.Second }, func(l *media.Limits) { l.Duration = 2 * time.Second }},
		{"seconds of a live WebM", live(), func(l *media.Limits) { l.Duration = time.Second }, func(l *media.Limits) { l.Duration = 2 * time.Second }},
		{"samples on all channels", wavOf(8000, 2, 8000), func(l *media.Limits) { l.Samples = 15999 }, func(l *media.Limits) { l.Samples = 16000 }},
		{"pages of a PDF", pdfOf(9), func(l *media.Limits) { l.Pages = 8 }, func(l *media.Limits) { l.Pages = 9 }},
		{"pages of a DOCX", docx(), func(l *media.Limits) { l.Pages = 2 }, func(l *media.Limits) { l.Pages = 3 }},
		{"entries of an archive", docx(), func(l *media.Limits) { l.Entries = 3 }, func(l *media.Limits) { l.Entries = 4 }},
		{"bytes of all entries", docx(file{"word/a.xml", strings.Repeat(" ", 9000)}), func(l *media.Limits) { l.EntryBytes = 9000 }, func(l *media.Limits) { l.EntryBytes = 12000 }},
		{"what an archive unfolds into", docx(file{"word/a.xml", strings.Repeat(" ", 17<<20)}), func(*media.Limits) {}, func(l *media.Limits) { l.Ratio = 2000 }},
		{"bytes", pngOf(40, 30), func(l *media.Limits) { l.PartBytes = 1000 }, func(l *media.Limits) { l.PartBytes = 10_000 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := limits()
			tc.limit(l)
			if p, err := Inspect(bytes.NewReader(tc.data), "", "", l); media.CodeOf(err) != verdict.MediaLimit {
				t.Errorf("over the limit: %+v, %v", p, err)
			}
			l = limits()
			tc.twin(l)
			if _, err := Inspect(bytes.NewReader(tc.data), "", "", l); err != nil {
				t.Errorf("within it: %v", err)
			}
		})
	}
}

func TestBombsAreRefusedByWhatTheyDeclare(t *testing.T) {
	jpegHead := jpegOf(8, 8)
	at := bytes.Index(jpegHead, []byte{0xff, 0xc0})
	copy(jpegHead[at+5:], join(be16(65535), be16(65535)))
	for name, data := range map[string][]byte{
		"a PNG of 2^31 pixels a side": withSize(pngOf(2, 2), 1<<31-1, 1<<31-1),
		"a JPEG of 65,535 a side":     jpegHead,
		"a GIF of 65,535 a side":      join([]byte("GIF89a\xff\xff\xff\xff\x00\x00\x00"), gifOf(2, 2, 1)[13:]),
		"an AVIF of 2^31 a side":      heif("avif", 1<<31-1, 1<<31-1),
		"an animation of 2^31 frames": withChunk(pngOf(2, 2), pngChunk("acTL", join(be32(1<<31-1), be32(0)))),
		"an MP4 of 2^31 frames":       mp4Of(1 << 31),
		"a fragment of 10^6 frames":   fragmented(1_000_000),
		"an MP4 whose time runs over": bytes.Replace(mp4Of(10), full("stts", be32(1), be32(10), be32(3000)), full("stts", be32(1), be32(1<<32-1), be32(1<<32-1)), 1),
		"a PDF of 10^6 pages":         bytes.Replace(pdfOf(1), []byte("/Count 1"), []byte("/Count 1000000"), 1),
		"a FLAC of 2^36 samples":      bytes.Replace(flacOf(1), be64(44100<<44|1<<41|15<<36|4096), be64(44100<<44|1<<41|15<<36|1<<36-1), 1),
	} {
		refused(t, data, "", verdict.MediaLimit)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	// A zip bomb that lies about its lengths is found while it is unfolded.
	lying := docx(file{"word/a.xml", strings.Repeat(" ", 1<<20)})
	lying = bytes.ReplaceAll(lying, le32(1<<20), le32(1<<10))
	refused(t, lying, "", verdict.MediaMalformed)
}

func TestDeclaredSizesBeyondTheEndAreRefused(t *testing.T) {
	wav := wavOf(8000, 1, 800)
	for name, data := range map[string][]byte{
		"a WAV whose data are longer than the file":  bytes.Replace(wav, le32(1600), le32(160_000), 1),
		"a WAV of a stream without its length":       join(wav[:40], le32(-1), wav[44:]),
		"a WAV with another rate of bytes":           join(wav[:28], le32(1), wav[32:]),
		"a WebP longer than itself":                  join([]byte("RIFF"), le32(1000), riff("WEBP", vp8)[8:]),
		"an MP4 whose samples lie behind the data":   movie("isom", func(int) []byte { return track(1, "vide", 60, 3000, 90000, 1<<20) }),
		"an MP4 with more sizes than there are":      bytes.Replace(mp4Of(60), full("stsz", be32(0), be32(1), be32(100)), full("stsz", be32(0), be32(9), be32(100)), 1),
		"a WebM with a block longer than its group":  bytes.Replace(webmOf("webm", 2), []byte{0xA3, 0x10, 0, 0, 104}, []byte{0xA3, 0x10, 0x7f, 0, 104}, 1),
		"an animation with fewer frames than it has": bytes.Replace(apng(8, 8, 3), pngChunk("acTL", join(be32(3), be32(0))), pngChunk("acTL", join(be32(2), be32(0))), 1),
		"a FLAC with fewer samples than it has":      bytes.Replace(flacOf(2), be64(44100<<44|1<<41|15<<36|8192), be64(44100<<44|1<<41|15<<36|4096), 1),
		"a JPEG that declares its size twice":        withSegment(jpegOf(8, 8), jpegSegment(0xc0, []byte{8, 0, 8, 0, 8, 1, 1, 0x11, 0})),
		"a BMP whose pixels are longer":              func() []byte { b := bmpOf(8, 8); copy(b[22:], le32(80)); return b }(),
	} {
		t.Run(name, func(t *testing.T) { refused(t, data, "", verdict.MediaMalformed) })
	}
}

// Content that refers to the same bytes over and over must not make them be
// read over and over: the test ends in time, or it hangs.
func TestWhatIsReferredToManyTimesIsNotReadAgainAndAgain(t *testing.T) {
	const n = 1000
	packet := strings.Repeat("<x>", 1<<20/3)
	tags := []byte{}
	for range n {
		tags = join(tags, be16(0x02bc), be16(1), be32(len(packet)), be32(8+2+12*n+4))
	}
	refused(t, join([]byte("MM\x00*"), be32(8), be16(n), tags, be32(0), []byte(packet)), "", verdict.MediaMalformed)
	for name, data := range map[string][]byte{
		"actions on opening": pdfOf(1, strings.Repeat("/OpenAction 99 0 R ", 200_000)),
		"relations":          docx(file{"word/a.rels", strings.Repeat("<Relationship ", 70_000)}),
		"streams":            pdfOf(1, strings.Repeat("stream ", 500_000)),
	} {
		if _, err := inspect(data, ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused(t, pdfOf(1, func() string {
		var b strings.Builder
		for i := range 100_000 {
			fmt.Fprintf(&b, "/Count %d ", i)
		}
		return b.String()
	}()), "", verdict.MediaLimit)
}

func TestMemoryIsBoundedForStreamedFormats(t *testing.T) {
	big := wavOf(48000, 2, 5<<20) // 20 MB
	l := limits()
	if _, err := Inspect(bytes.NewReader(big), "", "", l); err != nil { // fills the pool
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const times = 3
	for range times {
		if _, err := Inspect(bytes.NewReader(big), "", "", l); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / times; n > 256<<10 {
		t.Errorf("%d bytes for content of %d", n, len(big))
	}
}

func TestRefusalsNameTheirPlaceAndNoContent(t *testing.T) {
	secret := "hunter2-hunter2"
	for _, s := range samples() {
		if s.name == "text" {
			continue // it goes on, or is of an unknown kind
		}
		_, err := Inspect(bytes.NewReader(join(s.data, []byte(secret+"\x00"))), "/messages/0", "", limits())
		if err == nil {
			t.Errorf("%s with a tail is allowed", s.name)
			continue
		}
		if text := err.Error(); !strings.HasPrefix(text, "/messages/0: ") || strings.Contains(text, "hunter2") || text != fmt.Sprint(err) {
			t.Errorf("%s: %s", s.name, text)
		}
	}
}
