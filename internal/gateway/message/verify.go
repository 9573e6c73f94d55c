package message

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// Verifier finds out who sends an event. It remembers nothing, so it does not know
// repetitions. Identity and Clock have to be there; of the others, zero is the
// default. It is safe for concurrent use.
type Verifier struct {
	Identity     identity.Authenticator
	Clock        clock.Clock
	Window, Skew time.Duration
	Data         int64
}

func (v *Verifier) defaults() {
	if v.Window <= 0 {
		v.Window = DefaultWindow
	}
	if v.Skew <= 0 {
		v.Skew = DefaultSkew
	}
	if v.Data <= 0 {
		v.Data = DefaultData
	}
}

// Verify finds out who sends an event, whether it is as they sent it, and whether
// it is of now. Errors are refusals.
func (v Verifier) Verify(ctx context.Context, e *Event) (*Message, error) {
	v.defaults()
	if int64(len(e.Data)) > v.Data {
		return nil, media.Refuse(verdict.BodyLimit, "", "the data has %d bytes, allowed are %d", len(e.Data), v.Data)
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	p, err := payload(e)
	if err != nil {
		return nil, err
	}
	credentials, bound, err := shown(e, p)
	if err != nil {
		return nil, err
	}
	now := v.Clock.Now()
	at, err := time.Parse(time.RFC3339, e.Attributes["time"])
	if err != nil {
		return nil, malformed("the attribute time is missing, or not of RFC 3339")
	}
	if at.After(now.Add(v.Skew)) || !at.Add(v.Window).After(now) {
		return nil, media.Refuse(verdict.MessageStale, "", "the message is older than %s, or of the future", v.Window)
	}
	who, err := v.Identity.Authenticate(ctx, credentials)
	if errors.Is(err, identity.ErrOther) {
		return nil, media.Refuse(verdict.RequestIdentity, "", "identities of this kind are not recognised")
	}
	if err != nil {
		return nil, err
	}
	if who == nil || who.Method != identity.X509SVID && who.Method != identity.JWTSVID {
		return nil, media.Refuse(verdict.RequestIdentity, "", "messages are sent by workloads, with a SPIFFE identity")
	}
	if bound != "" && !slices.Contains(who.Audiences, bound) {
		return nil, media.Refuse(verdict.MessageSignature, "", "the token was not made for this message")
	}
	if !who.NotAfter.IsZero() && !who.NotAfter.After(now) {
		return nil, media.Refuse(verdict.IdentityExpired, "", "the identity has expired")
	}
	return &Message{Event: e.signed(), Principal: who, Time: at, Digest: sha256.Sum256(p)}, nil
}

// signed returns the event with what is signed only, and without the credential,
// which is not for who comes next.
func (e *Event) signed() *Event {
	out := &Event{Attributes: map[string]string{}, Data: e.Data}
	for name := range strings.SplitSeq(e.Attributes[Signed], ",") {
		out.Attributes[name] = e.Attributes[name]
	}
	delete(out.Attributes, Chain)
	return out
}

// SignedNames returns the names of the attributes that are said to be signed, sorted.
func (e *Event) SignedNames() []string { return strings.Split(e.Attributes[Signed], ",") }

// Unsigned returns the names of the attributes that no signature covers, sorted.
// Whoever delivers an event may have added them, so a gate takes them out.
func (e *Event) Unsigned() []string {
	covered := append(e.SignedNames(), Signed, Signature, Token)
	return slices.DeleteFunc(e.names(), func(name string) bool { return slices.Contains(covered, name) })
}
