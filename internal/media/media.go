// Package media says what content a request or an answer carries: which pieces,
// of what kind, how large once unfolded, and which of them is text.
//
// Start with [Part] (one piece, described), [Text] (one piece that people or
// models read) and [Limits]. The packages below find and describe them: body
// parses whole messages in one strict pass, inspect describes a piece of binary
// content by its own header. Nothing here keeps content: a part is its digest
// and its measures.
package media

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// Kind of a piece of content. The zero value is a kind that nobody recognised.
type Kind uint8

// The kinds.
const (
	Unknown Kind = iota
	Words        // text that is read by a person or a model
	Image
	Audio
	Video
	Document // pages: PDF, office files
	Tensor   // numbers with a declared shape
)

var kindNames = [...]string{"unknown", "text", "image", "audio", "video", "document", "tensor"}

// String returns the kind's name, as policies and records spell it.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[Unknown]
}

// MarshalText writes the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the kind's name.
func (k *Kind) UnmarshalText(text []byte) error {
	for i, name := range kindNames {
		if string(text) == name {
			*k = Kind(i)
			return nil
		}
	}
	return errors.New("this is no kind of content")
}

// Digest is the SHA-256 of a part's bytes as they are once every transfer
// encoding (base64, multipart) is taken off.
type Digest = [sha256.Size]byte

// Part describes one piece of binary content. It holds measures only, so it
// may be recorded where content may not.
type Part struct {
	Kind Kind
	// Where it stands: an RFC 6901 pointer in JSON ("/messages/0/content/1/image_url/url"),
	// the name of the field in a multipart body, "" when it is the whole body.
	Where string
	// Declared is the media type that the message claims, Type the one that the
	// bytes have; both in lower case and without parameters.
	Declared, Type string
	// Bytes and Digest are over the decoded content.
	Bytes  int64
	Digest Digest
	// URL that stands for the content, when the message only refers to it.
	// Bytes and Digest are zero then.
	URL string

	Width, Height int           // pixels: image, video
	Frames        int           // of an animation or a video; 1 for a still image
	Duration      time.Duration // audio, video
	Rate          int           // samples a second: audio
	Channels      int           // audio
	Pages         int           // document
	Shape         []int64       // tensor
	Datatype      string        // tensor, as the Open Inference Protocol spells it: "FP32"

	Carries Carries
}

// Pixels of all frames of an image or a video.
func (p *Part) Pixels() int64 {
	return int64(p.Width) * int64(p.Height) * int64(max(p.Frames, 1))
}

// Carries says what a part brings along beside what it shows.
type Carries uint8

// What a part can carry.
const (
	Location   Carries = 1 << iota // a place on Earth: GPS tags
	Personal                       // author, owner, serial numbers, comments
	Thumbnail                      // a second picture in the metadata
	Script                         // something that a viewer would run: macros, JavaScript, event handlers
	Attachment                     // whole files
)

// Text is a piece of text of a message, decoded. Value points into memory of
// the message and lives as long as that.
type Text struct {
	Where string
	// Role of who says it, as far as the protocol tells: "system", "user",
	// "assistant", "tool"; "" when it does not.
	Role  string
	Value []byte
}

// Limits bound what one message may hold. A zero limit allows nothing of what
// it bounds; start from [Defaults].
type Limits struct {
	Bytes      int64 // of the whole message, decoded from its Content-Encoding
	Ratio      int64 // decoded bytes for each encoded byte, for compressed content
	Depth      int   // nested values
	Values     int   // values of a JSON document, or fields of a form
	KeyBytes   int   // of a JSON key, a field's name, a file's name
	TextBytes  int64 // of all text
	Parts      int
	PartBytes  int64         // of one part
	Pixels     int64         // of one frame
	Frames     int           // of one image
	AllPixels  int64         // of all frames of one image
	FilmFrames int           // of one video
	FilmPixels int64         // of all frames of one video
	Duration   time.Duration // of one part
	Samples    int64         // of one part of audio: rate × channels × seconds
	Pages      int           // of one document
	Elements   int64         // of one tensor
	Entries    int           // of one archive (office documents)
	EntryBytes int64         // of all entries of one archive, unfolded
}

// Defaults are limits that ordinary use of multimodal models stays within.
func Defaults() Limits {
	return Limits{
		Bytes: 32 << 20, Ratio: 20, Depth: 64, Values: 100_000, KeyBytes: 256, TextBytes: 4 << 20,
		Parts: 64, PartBytes: 24 << 20, Pixels: 50_000_000, Frames: 512, AllPixels: 1_000_000_000,
		FilmFrames: 10 * 60 * 30, FilmPixels: 40_000_000_000, // ten minutes of 1920 × 1080 at 30 a second
		Duration: time.Hour, Samples: 1 << 30, Pages: 2000, Elements: 1 << 26, Entries: 4096, EntryBytes: 256 << 20,
	}
}

// Refusal is the error for content that is refused: where, with its code and a
// sentence that says what was found and what is allowed. It never quotes
// content.
type Refusal struct {
	Code   verdict.Code
	Where  string
	Detail string
}

// Error returns the sentence.
func (r *Refusal) Error() string {
	if r.Where == "" {
		return r.Detail
	}
	return r.Where + ": " + r.Detail
}

// Refuse returns a *Refusal with a formatted sentence.
func Refuse(code verdict.Code, where, format string, args ...any) error {
	return &Refusal{Code: code, Where: where, Detail: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of a refusal, and [verdict.Internal] for any other
// error.
func CodeOf(err error) verdict.Code {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Code
	}
	return verdict.Internal
}
