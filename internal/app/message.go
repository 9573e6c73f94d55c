package app

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway/message"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/chain"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/internal/identity/svid"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// MaxEvent bounds an event in structured mode on the command line: what a route
// takes by default, in base64, with its attributes.
const MaxEvent = message.DefaultData/3*4 + 64<<10

// maxPEM bounds a chain of certificates or a key.
const maxPEM = 64 << 10

// MessageSigner signs events: with a certificate and its key in files, or with what
// a source gives, which is a token when an audience is named.
type MessageSigner struct {
	Certificate, Key string
	Source           IdentitySource
	ID, Audience     string
	Clock            clock.Clock
}

// Sign signs an event in structured mode, and returns it so, in one line. Data that
// is JSON is written in one line, too, before it is signed.
func (s *MessageSigner) Sign(ctx context.Context, event []byte) ([]byte, error) {
	e, err := message.ReadStructured(event)
	if err != nil {
		return nil, err
	}
	e.Compact()
	now := s.Clock.Now()
	switch {
	case s.Source == nil:
		key, certificates, err := readPair(s.Certificate, s.Key)
		if err != nil {
			return nil, err
		}
		err = message.Sign(e, key, certificates, now)
		if err != nil {
			return nil, err
		}
	case s.Audience == "":
		c, err := s.Source.Certificate(ctx, s.ID)
		if err != nil {
			return nil, err
		}
		if err := message.Sign(e, c.Key, c.Chain, now); err != nil {
			return nil, err
		}
	default:
		bound, err := message.Bind(e, now)
		if err != nil {
			return nil, err
		}
		token, err := s.Source.Token(ctx, s.ID, []string{s.Audience, bound})
		if err != nil {
			return nil, err
		}
		e.Attributes[message.Token] = token.Token
	}
	return e.Structured(), nil
}

// readPair reads a chain of certificates, leaf first, and the leaf's key.
func readPair(certificate, key string) (crypto.Signer, []*x509.Certificate, error) {
	chain, err := bounded.ReadFile(certificate, maxPEM)
	if err != nil {
		return nil, nil, err
	}
	private, err := bounded.ReadFile(key, maxPEM)
	if err != nil {
		return nil, nil, err
	}
	pair, err := tls.X509KeyPair(chain, private)
	if err != nil {
		return nil, nil, fmt.Errorf("%s with %s: %w", certificate, key, err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("%s: the key cannot sign", key)
	}
	all := make([]*x509.Certificate, len(pair.Certificate))
	for i, der := range pair.Certificate {
		if all[i], err = x509.ParseCertificate(der); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", certificate, err)
		}
	}
	return signer, all, nil
}

// MessageCheck says by what events are verified.
type MessageCheck struct {
	Bundles   string   // folder of trust bundles
	Audiences []string // of tokens; none: tokens are not recognised
	Window    time.Duration
	Clock     clock.Clock
}

// VerifiedMessage is what is known of an event: who sent it and what they signed, or
// why it would be refused.
type VerifiedMessage struct {
	Schema    string       `json:"schema"`
	Valid     bool         `json:"valid"`
	Code      verdict.Code `json:"code,omitempty"`
	Detail    string       `json:"detail,omitempty"`
	ID        string       `json:"id"`
	Source    string       `json:"source"`
	Type      string       `json:"type"`
	Principal string       `json:"principal,omitempty"`
	Method    string       `json:"identityMethod,omitempty"`
	Expires   *time.Time   `json:"expires,omitempty"` // of the identity
	Time      *time.Time   `json:"time,omitempty"`
	Signed    []string     `json:"signed,omitempty"`
	Unsigned  []string     `json:"unsigned,omitempty"` // a gateway takes them out
	Bytes     int          `json:"bytes"`              // of data
	Sealed    []string     `json:"sealed,omitempty"`   // places of the data; "" is the whole
}

// VerifyMessage verifies an event in structured mode, as a gateway does; repetitions
// it cannot know. Only what could not be looked at is an error.
func VerifyMessage(ctx context.Context, o MessageCheck, event []byte) (*VerifiedMessage, error) {
	e, err := message.ReadStructured(event)
	if err != nil {
		return nil, err
	}
	domains, err := own.Domains(o.Bundles)
	if err != nil {
		return nil, err
	}
	bundles, err := svid.NewBundles(domains...)
	if err != nil {
		return nil, err
	}
	ways := []identity.Generational{svid.NewX509(bundles, o.Clock)}
	if len(o.Audiences) > 0 {
		tokens, err := svid.NewJWT(bundles, o.Audiences, o.Clock)
		if err != nil {
			return nil, err
		}
		ways = append(ways, tokens)
	}
	who, err := chain.New(ways...)
	if err != nil {
		return nil, err
	}
	a := e.Attributes
	v := &VerifiedMessage{Schema: "apex.message-verification/v1", ID: a["id"], Source: a["source"], Type: a["type"], Bytes: len(e.Data), Unsigned: e.Unsigned()}
	m, err := message.Verifier{Identity: who, Clock: o.Clock, Window: o.Window}.Verify(ctx, e)
	if err != nil {
		if r, ok := errors.AsType[*media.Refusal](err); ok {
			v.Code, v.Detail = r.Code, r.Detail
			return v, nil
		}
		if r, ok := errors.AsType[*identity.Refusal](err); ok {
			v.Code, v.Detail = r.Code, r.Detail
			return v, nil
		}
		return nil, err
	}
	v.Valid, v.Principal, v.Method, v.Time = true, m.Principal.ID, string(m.Principal.Method), &m.Time
	if !m.Principal.NotAfter.IsZero() {
		until := m.Principal.NotAfter.UTC()
		v.Expires = &until
	}
	v.Signed, v.Sealed = e.SignedNames(), message.SealedPlaces(e)
	return v, nil
}
