// Package fetch asks for an identity, as a workload does: the Workload API of this
// machine, or an exchange with evidence.
//
// Start with [Socket] or [NewExchange]; both are a [Source]. The error of who says no
// is a [Refused].
//
// Sources: the SPIFFE Workload API; package exchange for the other one.
package fetch

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity/exchange"
	"github.com/apexlogic/apex/internal/identity/svid"
)

// Certificate is an X.509-SVID with its key, and the authorities of its trust
// domain.
type Certificate struct {
	ID            string
	Chain, Bundle []*x509.Certificate
	Key           crypto.Signer
	Expires       time.Time
}

// Token is a JWT-SVID.
type Token = exchange.Token

// Source gives identities. An id of "" is the only one that the workload may have.
type Source interface {
	Certificate(ctx context.Context, id string) (*Certificate, error)
	Token(ctx context.Context, id string, audience []string) (*Token, error)
	// Bundle returns the public keys of the trust domain, as a SPIFFE bundle.
	Bundle(ctx context.Context) ([]byte, error)
}

// Refused is the error of who was asked and said no: there is nothing to mend
// here but the evidence, or what WorkloadIdentities say. Asking again gives the
// same answer until then.
type Refused struct{ Detail string }

// Error returns what was answered.
func (r *Refused) Error() string { return r.Detail }

const (
	// maxAnswer is far more than a chain and the bundle.
	maxAnswer = 1 << 20
	patience  = 15 * time.Second
)

// Exchange asks an exchange over HTTPS.
type Exchange struct {
	base     *url.URL
	client   *http.Client
	evidence func() (kind, evidence string, err error)
}

// ExchangeOptions say which exchange, and by what it is known.
type ExchangeOptions struct {
	URL         string // https://HOST:PORT
	TrustDomain string
	// Bundle, when not nil, is the SPIFFE bundle of the trust domain: the exchange
	// has to have one of Servers as its identity. Without it, the exchange has to
	// have a certificate for its host by an authority of the system.
	Bundle  []byte
	Servers []string // paths, as /apex/gateway
	// Evidence returns what is shown; it is asked for each identity.
	Evidence func() (kind, evidence string, err error)
	Clock    clock.Clock
}

// NewExchange returns the source.
func NewExchange(o ExchangeOptions) (*Exchange, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Scheme != "https" || base.Host == "" || base.User != nil || strings.Trim(base.Path, "/") != "" || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("the exchange's address is not https://HOST:PORT")
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: patience, MaxResponseHeaderBytes: 64 << 10}
	if o.Bundle != nil {
		domain, err := spiffeid.TrustDomainFromString(o.TrustDomain)
		if err != nil {
			return nil, fmt.Errorf("the trust domain %q: %w", o.TrustDomain, err)
		}
		b, err := spiffebundle.Parse(domain, o.Bundle)
		if err != nil {
			return nil, fmt.Errorf("the bundle of %s: %w", domain, err)
		}
		believed, err := svid.NewBundles(b)
		if err != nil {
			return nil, err
		}
		var ids []spiffeid.ID
		for _, path := range o.Servers {
			id, err := spiffeid.FromPath(domain, path)
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
		if transport.TLSClientConfig, err = svid.ClientTLS(nil, believed, o.Clock, ids...); err != nil {
			return nil, err
		}
	}
	client := &http.Client{Transport: transport, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("the exchange sends elsewhere, where evidence is not shown")
	}}
	return &Exchange{base, client, o.Evidence}, nil
}

// Certificate makes a key and has it certified. The key stays here.
func (e *Exchange) Certificate(ctx context.Context, id string) (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	var answer exchange.Certificate
	if err := e.post(ctx, "/v1/svid/x509", exchange.Request{ID: id, CSR: csr}, &answer); err != nil {
		return nil, err
	}
	c := &Certificate{ID: answer.ID, Key: key, Expires: answer.Expires}
	if c.Chain, err = certificates(answer.Chain); err != nil {
		return nil, err
	}
	if c.Bundle, err = certificates(answer.Bundle); err != nil {
		return nil, err
	}
	if public, ok := c.Chain[0].PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(key.Public()) {
		return nil, errors.New("the exchange certified another key than ours")
	}
	return c, nil
}

// Token returns a token for an audience.
func (e *Exchange) Token(ctx context.Context, id string, audience []string) (*Token, error) {
	t := &Token{}
	return t, e.post(ctx, "/v1/svid/jwt", exchange.Request{ID: id, Audience: audience}, t)
}

// Bundle returns the public keys of the trust domain.
func (e *Exchange) Bundle(ctx context.Context) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, e.base.JoinPath("/v1/bundle").String(), nil)
	if err != nil {
		return nil, err
	}
	return e.do(r)
}

func (e *Exchange) post(ctx context.Context, path string, ask exchange.Request, answer any) (err error) {
	if ask.Kind, ask.Evidence, err = e.evidence(); err != nil {
		return err
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	data, err := e.do(r)
	if err != nil {
		return err
	}
	if err := bounded.JSON(data, 4, answer); err != nil {
		return fmt.Errorf("read the exchange's answer: %w", err)
	}
	return nil
}

func (e *Exchange) do(r *http.Request) ([]byte, error) {
	answer, err := e.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask the exchange: %w", err)
	}
	defer answer.Body.Close()
	data, err := bounded.ReadAll(answer.Body, maxAnswer)
	if err != nil {
		return nil, fmt.Errorf("read the exchange's answer: %w", err)
	}
	if answer.StatusCode == http.StatusOK {
		return data, nil
	}
	var refusal struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	if err := bounded.JSON(data, 2, &refusal); err != nil || refusal.Code == "" {
		return nil, fmt.Errorf("the exchange answers %s", answer.Status)
	}
	detail := fmt.Sprintf("the exchange refuses: %s (%s)", refusal.Detail, refusal.Code)
	if answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests {
		return nil, errors.New(detail) // it could not judge
	}
	return nil, &Refused{detail}
}

func certificates(all [][]byte) (list []*x509.Certificate, err error) {
	for _, der := range all {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("read the exchange's answer: %w", err)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("read the exchange's answer: %w", io.ErrUnexpectedEOF)
	}
	return list, nil
}

var _ Source = (*Exchange)(nil)
