// Package format is what the inspectors of media formats stand on: a reader
// that hashes while it walks, and the measures that a walk is held to.
//
// Start with [Format] (one line of the table of formats) and [Reader]. A format
// is one function that walks a container from its first byte to its last and
// notes in the part what it measures. Nothing is decoded to pixels or samples,
// and what a container declares is held to the limits before it is believed.
//
// The formats are in the packages image, audio, video and document; package
// inspect chooses among them. What several of them share is here: [Reader.RIFF],
// [Reader.Boxes] (ISO base media), and the marks of other formats in a place
// where another reader would find them ([Reader.Foreign]).
package format

import (
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// Head is how many of the first bytes a format is recognised by.
const Head = Reach

// Format is one format.
type Format struct {
	// Type and Kind of the content, unless Walk finds a closer one.
	Type string
	Kind media.Kind
	// Match reports whether content begins like this format. Head holds the
	// first bytes: Head of them, or all when there are fewer.
	Match func(head []byte) bool
	// Walk reads the content to its end, and notes in the part what it found.
	// Its errors are a *media.Refusal, or what the source returned.
	Walk func(*Reader, *media.Part) error
}

// Malformed refuses content that is not what its format says.
func (r *Reader) Malformed(format string, args ...any) error {
	return media.Refuse(verdict.MediaMalformed, r.Where, format, args...)
}

// Truncated refuses content that ends too early, or declares more than there is.
func (r *Reader) Truncated() error {
	return r.Malformed("the content ends at byte %d, in the middle of what it declares", r.total)
}

// Polyglot refuses content that other readers may take for something else.
func (r *Reader) Polyglot(format string, args ...any) error {
	return media.Refuse(verdict.MediaPolyglot, r.Where, format, args...)
}

// Opaque refuses content that cannot be looked into.
func (r *Reader) Opaque(format string, args ...any) error {
	return media.Refuse(verdict.MediaOpaque, r.Where, format, args...)
}

// Active refuses content that is a program.
func (r *Reader) Active(format string, args ...any) error {
	return media.Refuse(verdict.MediaActive, r.Where, format, args...)
}

// Over refuses content that is larger than a limit.
func (r *Reader) Over(format string, args ...any) error {
	return media.Refuse(verdict.MediaLimit, r.Where, format, args...)
}
