// Package exchange gives identities to workloads that have no socket, such as
// functions: over HTTPS, evidence of what they are against a certificate or a
// token.
//
// Start with [New], which makes the handler. It answers three requests:
//
//	POST /v1/svid/x509  {"kind": "kubernetes", "evidence": "…", "csr": "…"}
//	POST /v1/svid/jwt   {"kind": "kubernetes", "evidence": "…", "audience": ["…"]}
//	GET  /v1/bundle     the trust domain's public keys, as a SPIFFE bundle
//
// with "id" beside it where the evidence allows several. The CSR (PKCS #10, DER
// in base64) proves possession of the key by its signature; nothing else of it
// is used. Every identity that is issued is recorded before it is sent.
//
// Source: SPIFFE Trust Domain and Bundle, section 5 (the bundle endpoint).
package exchange

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/attest"
	"github.com/apexlogic/apex/internal/identity/ca"
	"github.com/apexlogic/apex/internal/identity/rate"
	"github.com/apexlogic/apex/verdict"
)

const (
	// maxBody holds the largest evidence and a CSR.
	maxBody = attest.MaxEvidence + 16<<10
	maxCSR  = 8 << 10
	// maxAtOnce are judged at a time: some evidence makes us ask somebody else.
	maxAtOnce = 64
	// patience with one request, the asking of others included.
	patience = 10 * time.Second
)

// Options are what an exchange needs; all of them but Refused.
type Options struct {
	Authority *ca.CA
	// Attestor of a kind of evidence; nil for one that is not taken.
	Attestor func(kind string) attest.Attestor
	Entries  func() *attest.Entries
	Life     time.Duration // of what is issued: ca.MinLife to ca.MaxLife
	// PerMinute is how many requests an address may make; an IPv6 /64 is one.
	PerMinute int
	// Record keeps what is issued. When it fails, nothing is.
	Record func(context.Context, ca.Issued) error
	// Refused is told of each refusal; it may be nil.
	Refused func(verdict.Code)
	Clock   clock.Clock
}

type exchange struct {
	o      Options
	rates  *rate.Limits[netip.Prefix]
	places chan struct{}
}

// New returns the handler. It is safe for concurrent use, and refuses requests
// that did not come over TLS.
func New(o Options) (http.Handler, error) {
	switch {
	case o.Authority == nil || o.Entries == nil || o.Record == nil || o.Clock == nil || o.Attestor == nil:
		return nil, errors.New("an exchange needs an authority, attestors, entries, a record and a clock")
	case o.Life < ca.MinLife || o.Life > ca.MaxLife:
		return nil, fmt.Errorf("identities live %s to %s, not %s", ca.MinLife, ca.MaxLife, o.Life)
	case o.PerMinute < 1 || o.PerMinute > 60_000:
		return nil, errors.New("an exchange allows an address 1 to 60000 requests a minute")
	}
	if o.Refused == nil {
		o.Refused = func(verdict.Code) {}
	}
	e := &exchange{o: o, rates: rate.New[netip.Prefix](o.Clock, o.PerMinute), places: make(chan struct{}, maxAtOnce)}
	mux := http.NewServeMux()
	mux.Handle("POST /v1/svid/x509", e.limited(e.handler(e.certificate)))
	mux.Handle("POST /v1/svid/jwt", e.limited(e.handler(e.token)))
	mux.Handle("GET /v1/bundle", e.limited(e.bundle))
	return mux, nil
}

// Request is what is asked; CSR or Audience.
type Request struct {
	Kind     string   `json:"kind"`
	Evidence string   `json:"evidence"`
	ID       string   `json:"id,omitempty"`
	CSR      []byte   `json:"csr,omitempty"`
	Audience []string `json:"audience,omitempty"`
}

// Certificate answers a request for a certificate: DER in base64, the leaf first.
type Certificate struct {
	ID      string    `json:"id"`
	Chain   [][]byte  `json:"chain"`
	Bundle  [][]byte  `json:"bundle"`
	Expires time.Time `json:"expires"`
}

// Token answers a request for a token.
type Token struct {
	ID      string    `json:"id"`
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// limited makes what all requests have in common.
func (e *exchange) limited(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "application/json")
		if r.TLS == nil {
			e.refuse(w, identity.Refuse(verdict.RequestProtocol, "evidence is taken over HTTPS only"))
			return
		}
		wait := time.Minute
		who, ok := rate.Network(r.RemoteAddr)
		if ok {
			wait, ok = e.rates.Take(who)
		}
		if !ok {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			e.refuse(w, identity.Refuse(verdict.LimitRate, "the address asks more than %d times a minute", e.o.PerMinute))
			return
		}
		next(w, r)
	})
}

// handler judges evidence.
func (e *exchange) handler(issue func(context.Context, *Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// The body is read before a place is taken: who sends slowly holds none.
		// A writer without deadlines (a test's) has none to set.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(patience))
		asked, err := read(r)
		if err != nil {
			e.refuse(w, err)
			return
		}
		select {
		case e.places <- struct{}{}:
			defer func() { <-e.places }()
		default:
			w.Header().Set("Retry-After", "1")
			e.refuse(w, identity.Refuse(verdict.LimitConcurrency, "%d requests are judged already", maxAtOnce))
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		answer, err := issue(ctx, asked)
		if err != nil {
			e.refuse(w, err)
			return
		}
		json.NewEncoder(w).Encode(answer) // a caller who is gone cannot be told
	}
}

// bundle tells everybody the public keys.
func (e *exchange) bundle(w http.ResponseWriter, _ *http.Request) {
	data, err := e.o.Authority.Bundle().Marshal()
	if err != nil {
		e.refuse(w, err)
		return
	}
	w.Write(data)
}

func read(r *http.Request) (*Request, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" || r.Header.Get("Content-Encoding") != "" {
		return nil, identity.Refuse(verdict.BodyType, "the request is not application/json")
	}
	data, err := bounded.ReadAll(r.Body, maxBody)
	if err != nil {
		return nil, identity.Refuse(verdict.BodyLimit, "the request is not one body of up to %d bytes", maxBody)
	}
	if err := bounded.CheckJSON(data, 2); err != nil {
		return nil, identity.Refuse(verdict.BodyMalformed, "the request is not strict JSON")
	}
	asked := &Request{}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(asked); err != nil {
		return nil, identity.Refuse(verdict.BodyMalformed, "the request has other members than kind, evidence, id, and csr or audience")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || asked.Evidence == "" || len(asked.Evidence) > attest.MaxEvidence {
		return nil, identity.Refuse(verdict.BodyMalformed, "the request has no evidence, or more than %d bytes of it", attest.MaxEvidence)
	}
	return asked, nil
}

// identify judges the evidence.
func (e *exchange) identify(ctx context.Context, r *Request) (spiffeid.ID, error) {
	a := e.o.Attestor(r.Kind)
	if a == nil {
		return spiffeid.ID{}, identity.Refuse(verdict.IdentityAttestation, "evidence of this kind is not taken here")
	}
	established, err := a.Attest(ctx, []byte(r.Evidence))
	if err != nil {
		return spiffeid.ID{}, err
	}
	ids := e.o.Entries().Match(established)
	if r.ID != "" {
		ids = slices.DeleteFunc(ids, func(id spiffeid.ID) bool { return id.String() != r.ID })
	}
	switch len(ids) {
	case 0:
		return spiffeid.ID{}, identity.Refuse(verdict.IdentityAttestation, "no entry gives such a workload an identity, or the one that is asked for")
	case 1:
		return ids[0], nil
	}
	return spiffeid.ID{}, identity.Refuse(verdict.IdentityAttestation, "the workload may have %d identities: ask for one by id", len(ids))
}

func (e *exchange) certificate(ctx context.Context, r *Request) (any, error) {
	if len(r.CSR) == 0 || len(r.CSR) > maxCSR || r.Audience != nil {
		return nil, identity.Refuse(verdict.BodyMalformed, "a certificate needs a csr of up to %d bytes, and no audience", maxCSR)
	}
	csr, err := x509.ParseCertificateRequest(r.CSR)
	if err != nil || ca.CheckKey(csr.PublicKey) != nil || csr.CheckSignature() != nil {
		return nil, identity.Refuse(verdict.BodyMalformed, "the csr is not a PKCS #10 request signed by its own key of P-256, P-384, Ed25519 or RSA of 2048 to 4096 bits")
	}
	id, err := e.identify(ctx, r)
	if err != nil {
		return nil, err
	}
	chain, err := e.o.Authority.IssueX509(id, csr.PublicKey, e.o.Life)
	if err != nil {
		return nil, identity.Refuse(verdict.IdentityUnavailable, "no certificate can be issued now")
	}
	leaf := chain[0]
	if err := e.o.Record(ctx, ca.IssuedCertificate(id, r.Kind, leaf)); err != nil {
		return nil, identity.Refuse(verdict.GatewayRecord, "what is issued could not be recorded")
	}
	answer := &Certificate{ID: id.String(), Expires: leaf.NotAfter}
	for _, c := range chain {
		answer.Chain = append(answer.Chain, c.Raw)
	}
	for _, c := range e.o.Authority.Bundle().X509Authorities() {
		answer.Bundle = append(answer.Bundle, c.Raw)
	}
	return answer, nil
}

func (e *exchange) token(ctx context.Context, r *Request) (any, error) {
	if err := ca.CheckAudience(r.Audience); err != nil || r.CSR != nil {
		return nil, identity.Refuse(verdict.BodyMalformed, "a token needs an audience of sensible length, and no csr")
	}
	id, err := e.identify(ctx, r)
	if err != nil {
		return nil, err
	}
	token, until, err := e.o.Authority.IssueJWT(id, r.Audience, e.o.Life)
	if err != nil {
		return nil, identity.Refuse(verdict.IdentityUnavailable, "no token can be issued now")
	}
	if err := e.o.Record(ctx, ca.IssuedToken(id, r.Kind, token, until)); err != nil {
		return nil, identity.Refuse(verdict.GatewayRecord, "what is issued could not be recorded")
	}
	return &Token{ID: id.String(), Token: token, Expires: until}, nil
}

// statuses of refusals; the others are 403.
var statuses = map[verdict.Code]int{
	verdict.RequestProtocol: http.StatusUpgradeRequired, verdict.LimitRate: http.StatusTooManyRequests,
	verdict.LimitConcurrency: http.StatusServiceUnavailable, verdict.IdentityUnavailable: http.StatusServiceUnavailable,
	verdict.GatewayRecord: http.StatusServiceUnavailable, verdict.BodyType: http.StatusUnsupportedMediaType,
	verdict.BodyLimit: http.StatusRequestEntityTooLarge, verdict.BodyMalformed: http.StatusBadRequest,
	verdict.Internal: http.StatusInternalServerError,
}

// refuse answers with the code and the sentence.
func (e *exchange) refuse(w http.ResponseWriter, err error) {
	code, detail := verdict.Internal, "the request could not be judged"
	if r, ok := errors.AsType[*identity.Refusal](err); ok {
		code, detail = r.Code, r.Detail
	}
	e.o.Refused(code)
	status, ok := statuses[code]
	if !ok {
		status = http.StatusForbidden
	}
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"code": string(code), "detail": detail})
}
