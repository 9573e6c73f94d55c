// Package message judges messages: CloudEvents that arrive over HTTP (as Knative
// Eventing delivers them) or from a broker, through gocloud.dev/pubsub (memory,
// NATS, Kafka, SQS).
//
// Start with [Gate]: it is the handler for HTTP, and [Gate.Consume] reads a
// subscription. Senders use [Sign], or [Bind] where they only have tokens; [Verifier]
// says who sent an event, and nothing more.
//
// A message says who sends it, by an X.509-SVID whose key signed it or by a
// JWT-SVID that was made for it; it says when, and is taken once. Attributes that
// are not signed, such as those that brokers add on the way, are taken out. It
// is acknowledged only when the decision about it is recorded and it was passed
// on. Data that is sealed stays so: it is described by its digest.
//
// The signature is over the data's bytes. A broker that writes JSON data anew
// breaks it; let senders use binary mode.
//
// Sources: CloudEvents 1.0.2 with its HTTP, JSON, NATS and Kafka bindings, DSSE
// 1.0, RFC 8785 (JCS), SPIFFE's X509-SVID and JWT-SVID.
package message

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"maps"
	"mime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// Message is an event whose sender is verified.
type Message struct {
	Event     *Event // signed attributes only
	Principal *identity.Principal
	Time      time.Time
	Digest    [sha256.Size]byte // of what is signed, the data included
	Parts     []media.Part      // what the data holds
	Sealed    bool              // nobody here can look into the data
	Request   string            // the id by which it was judged, for the record
}

// Recorder keeps what was decided. Durable asks that the record survives the
// death of the machine before Record returns.
type Recorder interface {
	Record(ctx context.Context, r *Record, durable bool) error
}

// RecordSchema is the value of Record.Schema.
const RecordSchema = "apex.message/v1"

// Record is what is kept of a message: never its data.
type Record struct {
	Schema     string    `json:"schema"`
	At         time.Time `json:"at"`
	Allowed    bool      `json:"allowed"`
	Repeated   bool      `json:"repeated,omitempty"` // it had been passed on before
	Request    string    `json:"request,omitempty"`  // the id of what was judged with it
	Code       string    `json:"code,omitempty"`
	Detail     string    `json:"detail,omitempty"`
	Principal  string    `json:"principal,omitempty"`
	Method     string    `json:"identityMethod,omitempty"`
	Credential string    `json:"credential,omitempty"`
	ID         string    `json:"id,omitempty"`
	Source     string    `json:"source,omitempty"`
	Type       string    `json:"type,omitempty"`
	Digest     string    `json:"digest,omitempty"` // of what is signed
	Data       string    `json:"data,omitempty"`   // SHA-256 of the data
	Bytes      int       `json:"bytes"`
	Parts      []Part    `json:"parts,omitempty"`
}

// Part is what a record says of a piece of content.
type Part struct {
	Kind   media.Kind `json:"kind"`
	Type   string     `json:"type,omitempty"`
	Where  string     `json:"where,omitempty"`
	Bytes  int64      `json:"bytes"`
	Digest string     `json:"digest"`
}

// Options are what a gate needs. Identity, Inspect, Decide, Pass, Recorder and
// Clock have to be there.
type Options struct {
	Identity identity.Authenticator
	// Inspect describes data; what it refuses is refused.
	Inspect func(ctx context.Context, contentType string, data []byte) ([]media.Part, error)
	// Decide says whether a message may pass; a *media.Refusal says why not.
	Decide func(context.Context, *Message) error
	// Pass hands a message on. It may get the same message again when it fails; a
	// *media.Refusal denies it for good.
	Pass     func(context.Context, *Message) error
	Recorder Recorder
	Clock    clock.Clock
	Seen     Seen // nil: a [Memory] of this gate
	// Latest returns the gate that judges the next message of a subscription, which
	// outlives the rules that it began with; nil: this one, for ever.
	Latest func() *Gate
	Log    *slog.Logger // nil: nothing is logged
	// Window is how old a message may be, Skew how far in the future. Zero is the
	// default; what is older than the sender's credential is refused in any case.
	Window, Skew time.Duration
	Data         int64 // bytes of data; 0: the default
	Concurrent   int   // messages of one subscription at once; 0: the default
	// Retry is how long a message waits that could not be processed; 0: the default.
	Retry time.Duration
	// Attempts is how often one is tried that its broker does not take back; 0: the
	// default.
	Attempts int
}

// The defaults.
const (
	DefaultWindow     = 5 * time.Minute
	DefaultSkew       = 30 * time.Second
	DefaultData       = 16 << 20
	DefaultConcurrent = 16
	DefaultRetry      = time.Second
	DefaultAttempts   = 8 // within a minute and a half
	remembered        = 100_000
)

// sealed are the types of data that only its receiver can open (RFC 7516).
var sealed = []string{"application/jose", "application/jose+json", "application/vnd.apex.sealed"}

// Gate judges messages. It is safe for concurrent use.
type Gate struct {
	options  Options
	verifier Verifier
}

// NewGate returns a gate.
func NewGate(o Options) (*Gate, error) {
	if o.Identity == nil || o.Inspect == nil || o.Decide == nil || o.Pass == nil || o.Recorder == nil || o.Clock == nil {
		return nil, errors.New("message: identity, inspect, decide, pass, recorder and clock have to be given")
	}
	if o.Seen == nil {
		o.Seen = NewMemory(o.Clock, remembered)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	v := Verifier{Identity: o.Identity, Clock: o.Clock, Window: o.Window, Skew: o.Skew, Data: o.Data}
	v.defaults()
	o.Window, o.Skew, o.Data = v.Window, v.Skew, v.Data
	if o.Concurrent <= 0 {
		o.Concurrent = DefaultConcurrent
	}
	if o.Retry <= 0 {
		o.Retry = DefaultRetry
	}
	if o.Attempts <= 0 {
		o.Attempts = DefaultAttempts
	}
	return &Gate{o, v}, nil
}

// Outcome is what became of a message.
type Outcome uint8

// The outcomes.
const (
	Failed   Outcome = iota // nothing is known: it has to be delivered again
	Denied                  // it is refused, and that is recorded
	Passed                  // it is recorded and passed on
	Repeated                // it had been, and was not passed on again
)

// Verify finds out who sends an event; see [Verifier].
func (g *Gate) Verify(ctx context.Context, e *Event) (*Message, error) {
	return g.verifier.Verify(ctx, e)
}

// describe finds out what the data holds.
func (g *Gate) describe(ctx context.Context, m *Message) (err error) {
	contentType := m.Event.Attributes["datacontenttype"]
	t, _, err := mime.ParseMediaType(contentType)
	if contentType != "" && err != nil {
		return media.Refuse(verdict.BodyType, "", "the type of the data cannot be read")
	}
	if slices.Contains(sealed, t) {
		m.Sealed = true
		m.Parts = []media.Part{{Declared: t, Type: t, Bytes: int64(len(m.Event.Data)), Digest: sha256.Sum256(m.Event.Data)}}
		return nil
	}
	if len(m.Event.Data) == 0 {
		return nil
	}
	m.Parts, err = g.options.Inspect(ctx, contentType, m.Event.Data)
	return err
}

// Take judges one event, and passes it on when it may. The error says why it was
// denied or could not be processed.
func (g *Gate) Take(ctx context.Context, e *Event) (outcome Outcome, err error) {
	defer func() {
		if recover() != nil { // not the value: it could hold content
			g.options.Log.Error("judging a message panicked", "stack", string(debug.Stack()))
			outcome, err = Failed, media.Refuse(verdict.GatewayFailed, "", "a check failed")
		}
	}()
	r := &Record{Schema: RecordSchema, At: g.options.Clock.Now(), Bytes: len(e.Data)}
	m, err := g.Verify(ctx, e)
	if err != nil {
		return g.deny(ctx, r, err)
	}
	r.describe(m)
	k := Key{m.Principal.ID, r.Source, r.ID}
	state, err := g.options.Seen.Begin(ctx, k, m.Digest, m.Time.Add(g.options.Window+g.options.Skew))
	if err != nil {
		return Failed, media.Refuse(verdict.GatewayFailed, "", "it is not known whether the message was seen before")
	}
	switch state {
	case Another:
		return g.deny(ctx, r, media.Refuse(verdict.MessageReplay, "", "another message of the sender had the same source and id"))
	case Busy:
		return Failed, media.Refuse(verdict.MessageBusy, "", "the message is being processed, or too many are remembered")
	case Done:
		r.Allowed, r.Repeated = true, true
		if err := g.options.Recorder.Record(ctx, r, false); err != nil {
			return Failed, media.Refuse(verdict.GatewayRecord, "", "the decision could not be recorded")
		}
		return Repeated, nil
	}
	done := false
	defer func() { // whatever happens, and although the caller may be gone
		if failure := g.options.Seen.End(context.WithoutCancel(ctx), k, done); failure != nil {
			g.options.Log.Error("the end of a message was not remembered", "error", failure)
			if done { // who sent it asks again, and then it is known in this process
				outcome, err = Failed, media.Refuse(verdict.GatewayFailed, "", "the message could not be remembered")
			}
		}
	}()
	if err := g.describe(ctx, m); err != nil {
		return g.deny(ctx, r, err)
	}
	r.describe(m)
	err = g.options.Decide(ctx, m)
	r.Request = m.Request
	if err != nil {
		return g.deny(ctx, r, err)
	}
	r.Allowed = true
	if err := g.options.Recorder.Record(ctx, r, true); err != nil {
		g.options.Log.Error("a decision was not recorded", "error", err)
		return Failed, media.Refuse(verdict.GatewayRecord, "", "the decision could not be recorded")
	}
	if err := g.options.Pass(ctx, m); err != nil {
		if refusal, ok := errors.AsType[*media.Refusal](err); ok {
			return g.deny(ctx, r, refusal)
		}
		g.options.Log.Warn("a message was not passed on", "error", err)
		return Failed, media.Refuse(verdict.UpstreamDown, "", "the message could not be passed on")
	}
	done = true
	return Passed, nil
}

// deny records a refusal. An error that is no refusal is a failure: the message
// is neither refused nor passed on.
func (g *Gate) deny(ctx context.Context, r *Record, refusal error) (Outcome, error) {
	code, detail := codeOf(refusal)
	if code == verdict.GatewayFailed || code == verdict.IdentityUnavailable || code == verdict.BodyMemory {
		return Failed, media.Refuse(code, "", "%s", detail)
	}
	r.Allowed, r.Code, r.Detail = false, string(code), detail
	if err := g.options.Recorder.Record(context.WithoutCancel(ctx), r, true); err != nil {
		g.options.Log.Error("a refusal was not recorded", "error", err)
		return Failed, media.Refuse(verdict.GatewayRecord, "", "the decision could not be recorded")
	}
	return Denied, media.Refuse(code, "", "%s", detail)
}

func codeOf(err error) (verdict.Code, string) {
	if r, ok := errors.AsType[*media.Refusal](err); ok {
		return r.Code, r.Error()
	}
	if r, ok := errors.AsType[*identity.Refusal](err); ok {
		return r.Code, r.Detail
	}
	return verdict.GatewayFailed, "a check could not be made"
}

// describe fills in what a verified message says.
func (r *Record) describe(m *Message) {
	a := m.Event.Attributes
	sum := sha256.Sum256(m.Event.Data)
	r.ID, r.Source, r.Type = a["id"], a["source"], a["type"]
	r.Principal, r.Method, r.Credential = m.Principal.ID, string(m.Principal.Method), hex.EncodeToString(m.Principal.Credential[:])
	r.Digest, r.Data = hex.EncodeToString(m.Digest[:]), hex.EncodeToString(sum[:])
	r.Parts = nil
	for i := range m.Parts {
		p := &m.Parts[i]
		r.Parts = append(r.Parts, Part{Kind: p.Kind, Type: p.Type, Where: p.Where, Bytes: p.Bytes, Digest: hex.EncodeToString(p.Digest[:])})
	}
}

// Clone returns a copy that shares the data.
func (e *Event) Clone() *Event { return &Event{Attributes: maps.Clone(e.Attributes), Data: e.Data} }
