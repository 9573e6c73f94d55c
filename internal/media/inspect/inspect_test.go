package inspect

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"go/build"
	"image"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

func limits() *media.Limits {
	l := media.Defaults()
	return &l
}

// inspect reads content as a stream and in place, which has to make no
// difference, and to leave it as it is.
func inspect(data []byte, declared string) (media.Part, error) {
	streamed, err := Inspect(bytes.NewReader(data), "/part", declared, limits())
	before := sha256.Sum256(data)
	held, why := Inspect(media.InMemory(data), "/part", declared, limits())
	switch {
	case sha256.Sum256(data) != before:
		return media.Part{}, errors.New("the content was changed in place")
	case !reflect.DeepEqual(streamed, held) || fmt.Sprint(err) != fmt.Sprint(why):
		return media.Part{}, fmt.Errorf("streamed %+v, %v; in place %+v, %v", streamed, err, held, why)
	}
	return held, why
}

// refused holds that content is refused with this code.
func refused(t *testing.T, data []byte, declared string, code verdict.Code) {
	t.Helper()
	p, err := inspect(data, declared)
	if err == nil || media.CodeOf(err) != code {
		t.Errorf("got %+v, %v; want %s", p, err, code)
	}
}

func TestEachFormatIsRecognisedAndMeasured(t *testing.T) {
	type measures struct {
		kind                  media.Kind
		width, height, frames int
		rate, channels, pages int
		duration              time.Duration
	}
	want := map[string]measures{
		"PNG": {kind: media.Image, width: 40, height: 30, frames: 1}, "APNG": {kind: media.Image, width: 20, height: 10, frames: 3},
		"JPEG": {kind: media.Image, width: 40, height: 30, frames: 1}, "GIF": {kind: media.Image, width: 40, height: 30, frames: 3},
		"WebP": {kind: media.Image, width: 1, height: 1, frames: 1}, "lossless WebP": {kind: media.Image, width: 1, height: 1, frames: 1},
		"extended WebP": {kind: media.Image, width: 1, height: 1, frames: 1}, "animated WebP": {kind: media.Image, width: 4, height: 4, frames: 2},
		"BMP": {kind: media.Image, width: 40, height: 30, frames: 1}, "TIFF": {kind: media.Image, width: 40, height: 30, frames: 1},
		"AVIF": {kind: media.Image, width: 40, height: 30, frames: 1}, "HEIC": {kind: media.Image, width: 40, height: 30, frames: 1},
		"WAV": {kind: media.Audio, rate: 16000, channels: 1, duration: time.Second}, "RF64": {kind: media.Audio, rate: 16000, channels: 1, duration: time.Second / 10},
		"MP3":            {kind: media.Audio, rate: 44100, channels: 2, duration: 522448979},
		"MP3 with a tag": {kind: media.Audio, rate: 44100, channels: 2, duration: 522448979},
		"AAC":            {kind: media.Audio, rate: 44100, channels: 2, duration: 464399092},
		"FLAC":           {kind: media.Audio, rate: 44100, channels: 2, duration: 1857596371},
		"Opus":           {kind: media.Audio, rate: 48000, channels: 2, duration: time.Second},
		"Vorbis":         {kind: media.Audio, rate: 44100, channels: 2, duration: 2 * time.Second},
		"M4A":            {kind: media.Audio, rate: 48000, channels: 2, duration: 2 * time.Second},
		"MP4":            {kind: media.Video, width: 320, height: 240, frames: 60, rate: 48000, channels: 2, duration: 2 * time.Second},
		"fragmented MP4": {kind: media.Video, width: 320, height: 240, frames: 60, duration: 2 * time.Second},
		"QuickTime":      {kind: media.Video, width: 320, height: 240, frames: 60, duration: 2 * time.Second},
		"old QuickTime":  {kind: media.Video, width: 320, height: 240, frames: 60, duration: 2 * time.Second},
		"WebM":           {kind: media.Video, width: 320, height: 240, frames: 50, duration: 1960 * time.Millisecond},
		"live WebM":      {kind: media.Audio, rate: 48000, channels: 1, duration: 2 * time.Second},
		"Matroska":       {kind: media.Video, width: 320, height: 240, frames: 50, duration: 1960 * time.Millisecond},
		"AVI":            {kind: media.Video, width: 320, height: 240, frames: 25, duration: time.Second},
		"PDF":            {kind: media.Document, pages: 3}, "DOCX": {kind: media.Document, pages: 3}, "ODT": {kind: media.Document, pages: 4},
		"EPUB": {kind: media.Document, pages: 1}, "text": {kind: media.Document},
	}
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			p, err := inspect(s.data, "")
			if err != nil {
				t.Fatal(err)
			}
			got := measures{p.Kind, p.Width, p.Height, p.Frames, p.Rate, p.Channels, p.Pages, p.Duration}
			if got != want[s.name] || p.Type != s.mediaType || p.Carries != 0 || p.Where != "/part" {
				t.Errorf("%+v; want %+v of type %s", p, want[s.name], s.mediaType)
			}
			if p.Bytes != int64(len(s.data)) || p.Digest != sha256.Sum256(s.data) {
				t.Error("the length or the digest is not that of the content")
			}
		})
	}
}

func TestHowContentArrivesChangesNothing(t *testing.T) {
	for _, s := range samples() {
		want, err := inspect(s.data, "")
		if err != nil {
			t.Fatal(err)
		}
		for name, how := range map[string]func(io.Reader) io.Reader{"byte by byte": iotest.OneByteReader, "with the end in the last read": iotest.DataErrReader,
			"in memory": func(io.Reader) io.Reader { return media.InMemory(s.data) }} {
			got, err := Inspect(how(bytes.NewReader(s.data)), "/part", "", limits())
			if err != nil || got.Digest != want.Digest || got.Pixels() != want.Pixels() || got.Duration != want.Duration {
				t.Errorf("%s %s: %+v, %v", s.name, name, got, err)
			}
		}
	}
}

func TestTheSourcesErrorIsPassedOn(t *testing.T) {
	for _, s := range samples() {
		r := io.MultiReader(bytes.NewReader(s.data[:len(s.data)/2]), iotest.ErrReader(io.ErrUnexpectedEOF))
		if p, err := Inspect(r, "", "", limits()); err != io.ErrUnexpectedEOF {
			t.Errorf("%s: %+v, %v", s.name, p, err)
		}
	}
}

func TestContentThatIsCutOffIsRefused(t *testing.T) {
	for _, s := range samples() {
		if s.name == "text" {
			continue // text has no end
		}
		t.Run(s.name, func(t *testing.T) {
			for i := range 50 {
				cut := s.data[:max(1, len(s.data)*i/50)]
				p, err := inspect(cut, s.mediaType)
				if err != nil {
					continue
				}
				// Streams of frames end where a frame does, and a live recording
				// where it was stopped.
				if n := len(cut); s.name == "MP3" && n%417 == 0 || s.name == "AAC" && n%200 == 0 || s.name == "live WebM" {
					continue
				}
				t.Errorf("the first %d of %d bytes are %+v", len(cut), len(s.data), p)
			}
			if s.name != "PDF" { // its last byte is the end of a line
				refused(t, s.data[:len(s.data)-1], "", verdict.MediaMalformed)
			}
		})
	}
}

func TestContentThatGoesOnAfterItsEndIsRefused(t *testing.T) {
	archive := zipOf(file{"a.class", "\xca\xfe\xba\xbe"})
	for _, s := range samples() {
		if s.name == "text" {
			continue
		}
		for name, tail := range map[string][]byte{
			"a ZIP archive": archive, "HTML": []byte("<html><script>alert(1)</script></html>"), "PDF": pdfOf(1), "a script": []byte("\n#!/bin/sh\nid\n"),
			"a JPEG image": jpegOf(2, 2), "zeros": make([]byte, 64), "noise": noise(70_000),
		} {
			if s.name == "PDF" && name == "PDF" {
				continue // an incremental update looks the same, and every byte of both was looked at
			}
			p, err := inspect(join(s.data, tail), "")
			if code := media.CodeOf(err); err == nil || code != verdict.MediaPolyglot && code != verdict.MediaMalformed {
				t.Errorf("%s with %s behind it: %+v, %v", s.name, name, p, err)
			}
		}
	}
}

func TestAnythingBeforeContentMakesItAnother(t *testing.T) {
	for _, s := range samples() {
		if s.name == "text" {
			continue
		}
		for name, head := range map[string][]byte{"zeros": make([]byte, 16), "text": []byte("hello "), "a GIF's magic": []byte("GIF89a")} {
			if p, err := inspect(join(head, s.data), s.mediaType); err == nil {
				t.Errorf("%s behind %s: %+v", s.name, name, p)
			}
		}
	}
}

func TestTheDeclaredTypeHasToBeTheFoundOne(t *testing.T) {
	all := samples()
	for _, s := range all {
		for _, other := range all {
			p, err := inspect(s.data, other.mediaType)
			same := s.mediaType == other.mediaType || other.mediaType == "image/png" && s.mediaType == "image/apng"
			if same && err != nil || !same && media.CodeOf(err) != verdict.MediaMismatch {
				t.Errorf("%s declared as %s: %+v, %v", s.name, other.mediaType, p, err)
			}
		}
	}
	for declared, name := range map[string]string{
		"image/jpg": "JPEG", "IMAGE/JPEG": "JPEG", "image/jpeg; q=1": "JPEG", "audio/x-wav": "WAV", "audio/wave": "WAV", "audio/mp3": "MP3",
		"audio/x-m4a": "M4A", "video/avi": "AVI", "text/csv": "text", "text/markdown": "text", "application/octet-stream": "PDF", "": "MP4",
	} {
		p, err := inspect(named(t, name), declared)
		if spelled, _, _ := strings.Cut(strings.ToLower(declared), ";"); err != nil || p.Declared != spelled {
			t.Errorf("%s declared as %q: %q, %v", name, declared, p.Declared, err)
		}
	}
}

func TestContentOfNoKnownFormatIsUnknown(t *testing.T) {
	for name, data := range map[string][]byte{"noise": append([]byte{0x81, 0}, noise(5000)...), "a program": append([]byte("\x7fELF\x02\x01\x01\x00"), noise(100)...), "UTF-16": []byte("\xff\xfeh\x00i\x00")} {
		p, err := inspect(data, "")
		if err != nil || p.Kind != media.Unknown || p.Digest != sha256.Sum256(data) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		refused(t, data, "image/png", verdict.MediaMismatch)
	}
	p, err := inspect(zipOf(file{"a.txt", "a"}), "")
	if err != nil || p.Kind != media.Unknown || p.Carries != media.Attachment {
		t.Errorf("an archive: %+v, %v", p, err)
	}
	refused(t, nil, "", verdict.MediaMalformed)
	refused(t, join(noise(100), pdfOf(1)), "", verdict.MediaPolyglot)
	refused(t, join(append([]byte{0x81, 0}, noise(2000)...), zipOf(file{"a.txt", "a"})), "", verdict.MediaPolyglot)
}

func TestActiveContentIsRefusedByWhateverNameItComes(t *testing.T) {
	for name, text := range map[string]string{
		"SVG": `<svg xmlns="http://www.w3.org/2000/svg"/>`, "SVG behind XML's declaration": "<?xml version=\"1.0\"?>\n<!-- a -->\n<svg/>",
		"SVG with a prefix": `<?xml version="1.0"?><s:svg xmlns:s="http://www.w3.org/2000/svg"/>`, "SVG behind a mark": "\xef\xbb\xbf  <SVG/>",
		"SVG in UTF-16": "\xff\xfe<\x00s\x00v\x00g\x00>\x00", "HTML": "<!DOCTYPE html><html></html>", "PostScript": "%!PS-Adobe-3.0\n", "RTF": `{\rtf1 a}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, declared := range []string{"", "image/svg+xml", "image/png", "text/plain"} {
				refused(t, []byte(text), declared, verdict.MediaActive)
			}
		})
	}
	for name, text := range map[string]string{"prose about SVG": "An <svg> element is a drawing.", "a number less than": "<3 you", "XML of data": "<?xml version=\"1.0\"?><claim><car/></claim>"} {
		if _, err := inspect([]byte(text), "text/plain"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAJPEGWithJunkBehindItsFirstMarkerIsNoUnknownContent(t *testing.T) {
	good := jpegOf(8, 8)
	refused(t, join(good[:2], []byte("0"), good[2:]), "", verdict.MediaMalformed)
	if _, err := inspect(good, ""); err != nil {
		t.Error(err)
	}
}

func TestIconsAreNotTaken(t *testing.T) {
	icon := join([]byte{0, 0, 1, 0, 1, 0, 16, 16, 0, 0, 1, 0, 32, 0}, le32(40), le32(22), make([]byte, 40))
	refused(t, icon, "", verdict.MediaKind)
	if _, err := inspect(named(t, "PNG"), ""); err != nil {
		t.Error(err)
	}
}

func TestThePicturesOfTheStandardLibraryAreAllowedUnlessTheyAreBroken(t *testing.T) {
	root := filepath.Join(build.Default.GOROOT, "src", "image")
	files, err := filepath.Glob(filepath.Join(root, "testdata", "*.*"))
	if err != nil || len(files) == 0 {
		t.Skip("the toolchain came without its test data")
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := image.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			continue // no picture
		}
		if p, err := inspect(data, ""); err != nil || p.Width != c.Width || p.Height != c.Height {
			t.Errorf("%s: %+v, %v", filepath.Base(f), p, err)
		}
	}
}

func TestFlippedBytesAreRefusedOrMeasuredWithinTheLimits(t *testing.T) {
	for _, s := range samples() {
		step := max(1, len(s.data)/400)
		for at := 0; at < len(s.data); at += step {
			for _, v := range []byte{0, 0x7f, 0xff, s.data[at] ^ 0x80} {
				data := bytes.Clone(s.data)
				data[at] = v
				checked(t, data)
			}
		}
	}
}

// checked inspects hostile content and holds what is said about it to the limits.
func checked(t *testing.T, data []byte) {
	t.Helper()
	l := limits()
	p, err := inspect(data, "")
	if err != nil {
		if media.CodeOf(err) == verdict.Internal {
			t.Fatalf("an error without a code: %v", err)
		}
		return
	}
	if p.Bytes != int64(len(data)) || p.Digest != sha256.Sum256(data) {
		t.Fatalf("%+v has not the content's digest", p)
	}
	if int64(p.Width)*int64(p.Height) > l.Pixels || p.Frames > max(l.Frames, l.FilmFrames) || p.Pixels() > max(l.AllPixels, l.FilmPixels) || p.Duration > l.Duration || p.Pages > l.Pages || p.Width < 0 || p.Height < 0 || p.Duration < 0 {
		t.Fatalf("%+v is beyond the limits", p)
	}
}
