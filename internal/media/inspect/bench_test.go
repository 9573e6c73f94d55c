package inspect

import (
	"bytes"
	"crypto/sha256"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/media"
)

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure reports CPU time for each megabyte, and how it compares to SHA-256
// alone, which is made beside it in the same run.
func measure(b *testing.B, data []byte) {
	l := limits()
	l.FilmFrames, l.FilmPixels = 1<<20, 1<<50
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	var inspecting, hashing time.Duration
	n := 0
	for b.Loop() {
		began := cpuTime()
		p, err := Inspect(media.InMemory(data), "", "", l)
		if err != nil || p.Kind == media.Unknown {
			b.Fatal(p, err)
		}
		middle := cpuTime()
		sha256.Sum256(data)
		inspecting += middle - began
		hashing += cpuTime() - middle
		n++
	}
	b.ReportMetric(float64(inspecting.Microseconds())/float64(n)/(float64(len(data))/1e6), "cpu-µs/MB")
	b.ReportMetric(float64(inspecting)/float64(hashing), "×sha256")
}

func BenchmarkInspect(b *testing.B) {
	const large = 2 << 20
	video := mp4Of(60)
	for _, bc := range []struct {
		name string
		data []byte
	}{
		{"PNG", pngOf(840, 840)},
		{"JPEG", jpegOf(1400, 1400)},
		{"GIF", gifOf(1300, 1300, 1)},
		{"BMP", bmpOf(836, 836)},
		{"TIFF", tiffOf(724, 724)},
		{"WebP", webpOf(0, 1, 1, vp8, chunk("ABCD", noise(large)))},
		{"AVIF", join(heif("avif", 40, 30), box("mdat", noise(large)))},
		{"WAV", wavOf(48000, 2, large/4)},
		{"MP3", mp3Of(large / 417)},
		{"AAC", adtsOf(large / 200)},
		{"FLAC", flacWith(join([]byte{2}, noise(8192), []byte{2}, noise(8192)), 120)},
		{"Opus", opusOf(600)},
		{"MP4", join(video[:len(video)-400-8], box("mdat", noise(large)))},
		{"WebM", webmOf("webm", 20000)},
		{"AVI", aviOf(20000)},
		{"PDF", pdfOf(2000)},
		{"DOCX", docx(file{"word/media/a.png", string(noise(large))})},
		{"text", bytes.Repeat([]byte("The car was parked. "), large/20)},
		{"small PNG", pngOf(40, 30)},
	} {
		b.Run(bc.name, func(b *testing.B) { measure(b, bc.data) })
	}
}
