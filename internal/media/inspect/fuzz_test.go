package inspect

import (
	"bytes"
	"image"
	"strings"
	"testing"

	_ "golang.org/x/image/webp" // the other decoders come with the samples
)

// fuzz feeds hostile variants of samples, and holds what is said of them to the
// content's digest and to the limits.
func fuzz(f *testing.F, names ...string) {
	for _, s := range samples() {
		for _, n := range names {
			if s.name == n {
				f.Add(s.data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checked(t, data)
		decodersAgree(t, data)
	})
}

// decodersAgree holds that what is allowed is no larger for a decoder.
func decodersAgree(t *testing.T, data []byte) {
	t.Helper()
	c, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return
	}
	if p, err := inspect(data, ""); err == nil && int64(c.Width)*int64(c.Height) > int64(p.Width)*int64(p.Height) {
		t.Fatalf("a decoder sees %d × %d pixels, not %d × %d", c.Width, c.Height, p.Width, p.Height)
	}
}

func FuzzPNG(f *testing.F)      { fuzz(f, "PNG", "APNG") }
func FuzzJPEG(f *testing.F)     { fuzz(f, "JPEG") }
func FuzzGIF(f *testing.F)      { fuzz(f, "GIF") }
func FuzzWebP(f *testing.F)     { fuzz(f, "WebP", "lossless WebP", "extended WebP", "animated WebP") }
func FuzzBMP(f *testing.F)      { fuzz(f, "BMP") }
func FuzzTIFF(f *testing.F)     { fuzz(f, "TIFF") }
func FuzzHEIF(f *testing.F)     { fuzz(f, "AVIF", "HEIC") }
func FuzzWAV(f *testing.F)      { fuzz(f, "WAV", "RF64") }
func FuzzMP3(f *testing.F)      { fuzz(f, "MP3", "MP3 with a tag") }
func FuzzADTS(f *testing.F)     { fuzz(f, "AAC") }
func FuzzFLAC(f *testing.F)     { fuzz(f, "FLAC") }
func FuzzOgg(f *testing.F)      { fuzz(f, "Opus", "Vorbis") }
func FuzzMP4(f *testing.F)      { fuzz(f, "MP4", "M4A", "fragmented MP4", "QuickTime", "old QuickTime") }
func FuzzMatroska(f *testing.F) { fuzz(f, "WebM", "live WebM", "Matroska") }
func FuzzAVI(f *testing.F)      { fuzz(f, "AVI") }
func FuzzPDF(f *testing.F)      { fuzz(f, "PDF") }
func FuzzZIP(f *testing.F)      { fuzz(f, "DOCX", "ODT", "EPUB") }
func FuzzText(f *testing.F)     { fuzz(f, "text") }

// FuzzDeclared holds that no spelling of a type is taken for another one.
func FuzzDeclared(f *testing.F) {
	for _, s := range []string{"image/png", "image/jpg", "IMAGE/PNG; a=b", "", "application/octet-stream", "image/png\x00", "image/*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, declared string) {
		data := []byte("plain words\n")
		if _, err := inspect(data, declared); err == nil && declared != "" {
			kind, _, _ := strings.Cut(strings.ToLower(declared), ";")
			kind = strings.TrimSpace(kind)
			if kind != "" && !strings.HasPrefix(kind, "text/") && !strings.HasPrefix(kind, "application/") {
				t.Fatalf("text is taken for %q", declared)
			}
		}
	})
}
