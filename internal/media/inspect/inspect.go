// Package inspect describes a piece of binary content by what its bytes are,
// not by what is said about them.
//
// Start with [Inspect]. It recognises the format by its first bytes, walks the
// whole container to its end while it hashes, and holds what the container
// declares to the limits before anybody unfolds it. Content that is cut off,
// that goes on after its end, that is two formats at once, or that is of
// another type than declared is refused. Content of a format that is not in the
// table has the kind media.Unknown, and it is the caller who refuses that.
//
// A format is one file in a package below format, and one line in its Formats.
//
// Sources: those of the formats; WHATWG MIME Sniffing for the names of types.
package inspect

import (
	"bytes"
	"io"
	"strings"
	"sync"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
	"github.com/apexlogic/apex/internal/media/format/audio"
	"github.com/apexlogic/apex/internal/media/format/document"
	"github.com/apexlogic/apex/internal/media/format/image"
	"github.com/apexlogic/apex/internal/media/format/video"
	"github.com/apexlogic/apex/verdict"
)

// formats are all formats. The first that matches counts, so those with weak
// magics come after those with strong ones, and plain text is the last.
var formats = sync.OnceValue(func() []format.Format {
	all := image.Formats()
	all = append(all, video.Formats()...)
	all = append(all, audio.Formats()...)
	return append(all, document.Formats()...)
})

// names are other names of types, as clients write them.
var names = map[string]string{
	"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png", "image/vnd.mozilla.apng": "image/apng",
	"image/x-ms-bmp": "image/bmp", "image/x-bmp": "image/bmp", "image/tif": "image/tiff", "image/heif": "image/heic",
	"image/heic-sequence": "image/heic", "image/heif-sequence": "image/heic", "image/avif-sequence": "image/avif",
	"image/vnd.microsoft.icon": "image/x-icon",
	"audio/x-wav":              "audio/wav", "audio/wave": "audio/wav", "audio/vnd.wave": "audio/wav", "audio/x-pn-wav": "audio/wav",
	"audio/mp3": "audio/mpeg", "audio/x-mp3": "audio/mpeg", "audio/mpeg3": "audio/mpeg", "audio/mpga": "audio/mpeg",
	"audio/x-flac": "audio/flac", "audio/opus": "audio/ogg", "audio/vorbis": "audio/ogg", "application/ogg": "audio/ogg", "audio/x-ogg": "audio/ogg",
	"audio/x-aac": "audio/aac", "audio/aacp": "audio/aac", "audio/x-hx-aac-adts": "audio/aac",
	"audio/m4a": "audio/mp4", "audio/x-m4a": "audio/mp4",
	"video/x-m4v": "video/mp4", "video/mov": "video/quicktime", "video/matroska": "video/x-matroska", "audio/matroska": "audio/x-matroska",
	"video/avi": "video/x-msvideo", "video/msvideo": "video/x-msvideo", "video/vnd.avi": "video/x-msvideo",
	"application/x-pdf": "application/pdf", "text/x-markdown": "text/markdown", "application/csv": "text/csv",
}

// wider are types whose name is also used for a closer one.
var wider = map[string]string{"image/png": "image/apng"}

// plain returns a declared type in lower case, without its parameters.
func plain(declared string) string {
	declared, _, _ = strings.Cut(declared, ";")
	return strings.ToLower(strings.TrimSpace(declared))
}

// canonical returns the name that the table has for a plain type.
func canonical(declared string) string {
	if name, known := names[declared]; known {
		return name
	}
	return declared
}

// Inspect reads content to its end and describes it. Where is its place in the
// message; declared is the media type that the message claims, "" or
// application/octet-stream for none. The error is a *media.Refusal, or what r
// returned. It is safe for concurrent use, and needs 200 KB beside what zip
// based documents, PDF and TIFF hold: the content, at most l.PartBytes, and one
// unfolded stream of it.
func Inspect(r io.Reader, where, declared string, l *media.Limits) (media.Part, error) {
	in := format.Open(r, where, l)
	defer in.Close()
	part := media.Part{Where: where, Declared: plain(declared)}
	claim := canonical(part.Declared)
	head, err := in.Peek(format.Head)
	if err != nil {
		return media.Part{}, err
	}
	if len(head) == 0 {
		return media.Part{}, in.Malformed("the content is empty")
	}
	if err := walk(in, &part, head, claim); err != nil {
		return media.Part{}, err
	}
	if part.Bytes, part.Digest, err = in.Sum(); err != nil {
		return media.Part{}, err
	}
	if part.Carries&archive == 0 && in.Archived() {
		return media.Part{}, in.Polyglot("readers of ZIP archives find one at the end of the content")
	}
	part.Carries &^= archive
	if claim != "" && claim != "application/octet-stream" && claim != part.Type && wider[claim] != part.Type {
		return media.Part{}, media.Refuse(verdict.MediaMismatch, where, "the content is declared as another type than it has: it is %s", part.Type)
	}
	return part, nil
}

// archive marks content that may be a ZIP archive, while it is walked.
const archive = document.Archive

// sealMagic begins an envelope of Apex, into which nobody can look here: its kind
// is media.Unknown like that of everything else that is not known.
const sealMagic = "apex-seal/1\n"

// walk chooses the format and walks the content by it.
func walk(in *format.Reader, part *media.Part, head []byte, claim string) error {
	all := formats()
	for i := range all {
		f := &all[i]
		if !f.Match(head) {
			continue
		}
		part.Kind, part.Type = f.Kind, f.Type
		if err := in.Foreign(f.Type); err != nil {
			return err
		}
		if err := f.Walk(in, part); err != nil {
			return err
		}
		if part.Kind == media.Document && document.Text(claim) && document.Text(part.Type) {
			part.Type = claim // text says nothing about which notation it is in
		}
		return nil
	}
	part.Type = "application/octet-stream"
	if bytes.HasPrefix(head, []byte(sealMagic)) {
		part.Type = "application/vnd.apex.sealed"
	}
	return in.Foreign("")
}
