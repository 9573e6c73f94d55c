// Package stream looks at what passes in both directions once a request was
// allowed: at each event, message or whole answer before it is sent, and at the
// text that many of them make together.
//
// Start with [Guard], which says what a text may not hold, and with the door of a
// protocol: [Answers] for HTTP (events, lines, and answers that come as a whole),
// [Socket] for WebSockets, [Call] for gRPC. Bytes are passed on as they came, and never
// more than one event or message is held back. When a guard says no, its event is
// not sent: what the protocol has for an error takes its place, and the stream ends.
//
// Sources: WHATWG HTML, section 9.2 (server-sent events), RFC 6455 (WebSocket),
// the gRPC over HTTP2 protocol, the Open Inference Protocol's GRPCInferenceService.
package stream

import (
	"fmt"
	"time"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

// Guard judges text. Text holds the end of what was seen before, up to the
// options' Overlap, and then what is new: its last fresh bytes. It returns "" to
// let it pass. It is asked by one goroutine.
type Guard interface {
	Judge(text []byte, fresh int) verdict.Code
}

// Options say how a stream is looked at.
type Options struct {
	// Messages says where texts stand in an event; nil: data is text, and JSON
	// that is in it is of no protocol.
	Messages *body.API
	// Guards look at every text; the first that says no ends the stream.
	Guards []Guard
	// Inspect describes the media in a message; nil: no message may hold any.
	Inspect body.Inspect
	// Message is told of each message, taken apart, before it passes, and refuses it
	// with an error; nil: all pass. What it is given holds until it returns.
	Message func(*body.Body) error
	// Media bounds the content of messages; nil: the defaults.
	Media *media.Limits
	// Part is told of each, and refuses it with an error; nil: all pass. It is
	// asked by one goroutine.
	Part func(*media.Part) error
	// Model is told of each message that names a model, and refuses it with an
	// error; nil: all pass.
	Model func(name string) error
	// Binary is the media type of binary messages of a WebSocket; "": none may come.
	Binary string
	// Memory is what messages hold while they are looked at; nil: nobody counts.
	Memory Memory
	// Overlap is how many bytes before a new text guards see again.
	Overlap int
	// Bounds of a stream. Zero is the default.
	EventBytes int64
	Bytes      int64
	Idle       time.Duration
}

// The defaults.
const (
	DefaultOverlap    = 256
	DefaultEventBytes = 1 << 20
	DefaultBytes      = 1 << 30
	DefaultIdle       = 2 * time.Minute
)

// maxLanes bounds how many texts one stream may interleave.
const maxLanes = 64

// Summary is what a record says of a stream.
type Summary struct {
	Events int64 `json:"events"`
	Bytes  int64 `json:"bytes"`           // passed on
	Text   int64 `json:"text"`            // bytes of text in them
	Parts  int64 `json:"parts,omitempty"` // pieces of media
	// Cut is why the stream was ended, "" when it ended by itself.
	Cut verdict.Code `json:"cut,omitempty"`
}

// Cut is the error of a stream that was ended.
type Cut struct {
	Code   verdict.Code
	Detail string
}

// Error returns the detail.
func (c *Cut) Error() string { return c.Detail }

func cut(code verdict.Code, format string, args ...any) error {
	return &Cut{Code: code, Detail: fmt.Sprintf(format, args...)}
}
