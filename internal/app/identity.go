package app

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	attestation "github.com/apexlogic/apex/internal/identity/attest"
	"github.com/apexlogic/apex/internal/identity/ca"
	"github.com/apexlogic/apex/internal/identity/exchange"
	workloadapi "github.com/apexlogic/apex/internal/identity/workload"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/internal/meter"
	"github.com/apexlogic/apex/verdict"
)

// IssuerOptions say where callers get identities of the built-in authority, and
// which evidence is taken. To whom they are given is said by WorkloadIdentities.
type IssuerOptions struct {
	// Socket is the path at which the Workload API is served, for processes of
	// this machine; "" for none.
	Socket string
	// Exchange is the address at which evidence is taken over TLS; "" for none.
	Exchange string
	// Kubernetes has the API server asked whose the tokens of service accounts
	// are: that of Kubeconfig, or of the cluster that this process runs in.
	Kubernetes bool
	Kubeconfig string
	// Regions whose AWS STS is asked who signed a request; none: no such evidence.
	Regions []string

	sts http.RoundTripper // reaches AWS STS; nil: the network
}

func (o *IssuerOptions) asked() bool { return o.Socket != "" || o.Exchange != "" }

const (
	// issuedLife is how long an identity lives; a Workload API's client gets the
	// next one at half of it.
	issuedLife = 10 * time.Minute
	// asksPerMinute is how often a network, or a user of this machine, may ask: a
	// host whose functions start all at once, and no signing oracle.
	asksPerMinute = 600
	// IssuedSchema is the type of records of what is issued.
	IssuedSchema = "apex.identity/v1"
)

// issuer gives callers identities.
type issuer struct {
	o       IssuerOptions
	ca      *ca.CA
	ledger  *ledger.Ledger
	meter   *meter.Meter
	clock   clock.Clock
	log     *slog.Logger
	cluster *inCluster // nil: documents are in a directory
	// now is who is given what, in force; nil before anything is.
	now func() (r *registrations, generation string)

	fixed map[string]attestation.Attestor // of kinds that need no registration to judge
}

// audienceOf is what evidence for an authority is made for.
func audienceOf(a *ca.CA) string { return a.TrustDomain().IDString() }

// open makes what judges evidence. State is where join tokens are.
func (i *issuer) open(state string) error {
	tokens, err := attestation.OpenJoinTokens(joinDir(state), i.clock)
	if err != nil {
		return err
	}
	i.fixed = map[string]attestation.Attestor{evidenceJoin: tokens}
	if i.o.Kubernetes || i.o.Kubeconfig != "" {
		c, err := kube.Open(kube.Config{Kubeconfig: i.o.Kubeconfig, Clock: i.clock})
		if err != nil {
			return fmt.Errorf("evidence of Kubernetes: %w", err)
		}
		client, err := c.HTTPClient()
		if err != nil {
			return fmt.Errorf("evidence of Kubernetes: %w", err)
		}
		i.fixed[evidenceKubernetes] = &attestation.Kubernetes{Audience: audienceOf(i.ca), Reviewer: &attestation.TokenReviews{Server: c.Host(), Client: client}}
	}
	if len(i.o.Regions) > 0 {
		if i.o.sts == nil {
			i.o.sts = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: headersWithin, MaxResponseHeaderBytes: 64 << 10, MaxConnsPerHost: 64}
		}
		if i.fixed[evidenceAWS], err = attestation.NewAWS(audienceOf(i.ca), i.o.Regions, i.o.sts, i.clock); err != nil {
			return err
		}
	}
	return nil
}

// joinDir is where join tokens are below a state directory.
func joinDir(state string) string { return filepath.Join(state, "join") }

// JoinToken makes a token that gives its bearer, once, what WorkloadIdentities
// give the name.
func JoinToken(state, name string, life time.Duration, c clock.Clock) (string, error) {
	tokens, err := attestation.OpenJoinTokens(joinDir(state), c)
	if err != nil {
		return "", err
	}
	return tokens.New(name, life)
}

// attestor judges evidence of a kind; nil for one that is not taken.
func (i *issuer) attestor(kind string) attestation.Attestor {
	if kind != evidenceOIDC {
		return i.fixed[kind]
	}
	if r, _ := i.now(); r != nil {
		return r.oidc
	}
	return nil
}

func (i *issuer) entries() *attestation.Entries {
	if r, _ := i.now(); r != nil {
		return r.entries
	}
	return &attestation.Entries{}
}

// issued is the record of an identity that was issued. It holds no token.
type issued struct {
	Schema   string    `json:"schema"`
	At       time.Time `json:"at"`
	ID       string    `json:"id"`
	Evidence string    `json:"evidence"` // its kind
	Method   string    `json:"method"`
	NotAfter time.Time `json:"notAfter"`
	// Credential is the SHA-256 of what was signed, by which requests and
	// revocations name it.
	Credential string `json:"credential"`
	Generation string `json:"generation"`
}

// record keeps what is about to be sent, on the disk.
func (i *issuer) record(ctx context.Context, what ca.Issued) error {
	_, generation := i.now()
	data, err := json.Marshal(issued{
		Schema: IssuedSchema, At: i.clock.Now().UTC(), ID: what.ID.String(), Evidence: what.Evidence, Method: string(what.Method),
		NotAfter: what.NotAfter.UTC(), Credential: hex.EncodeToString(what.Credential[:]), Generation: generation,
	})
	if err != nil {
		return err
	}
	if _, err := i.ledger.Append(ctx, ledger.Record{Type: IssuedSchema, Data: data}, ledger.Durable); err != nil {
		i.log.Error("an identity is not issued, since it cannot be recorded", "id", what.ID.String(), "err", err)
		return err
	}
	i.meter.Handle(meter.Key{Control: "identity", Unit: "issued", Workload: what.ID.String(), Decision: "allow"}).Add(1)
	return nil
}

// refused counts, and says why; nothing of the evidence is in it.
func (i *issuer) refused(code verdict.Code) {
	i.meter.Handle(meter.Key{Control: "identity", Unit: "requests", Decision: "deny"}).Add(1)
	i.log.Info("no identity is issued", "code", string(code))
}

// listenSocket makes the socket of the Workload API, and what serves it until the
// context ends.
func (i *issuer) listenSocket() (net.Listener, func(context.Context) error, error) {
	s, err := workloadapi.New(workloadapi.Options{
		Authority: i.ca, Entries: i.entries, Unix: attestation.Unix{Hash: true}, Life: issuedLife, PerMinute: asksPerMinute, Clock: i.clock,
		Record: i.record, Refused: i.refused,
	})
	if err != nil {
		return nil, nil, err
	}
	l, err := workloadapi.Listen(i.o.Socket)
	if err != nil {
		return nil, nil, fmt.Errorf("serve the Workload API: %w", err)
	}
	return l, func(ctx context.Context) error { return s.Serve(ctx, l) }, nil
}

// handler answers evidence.
func (i *issuer) handler() (http.Handler, error) {
	return exchange.New(exchange.Options{
		Authority: i.ca, Attestor: i.attestor, Entries: i.entries, Life: issuedLife, PerMinute: asksPerMinute, Clock: i.clock,
		Record: i.record, Refused: i.refused,
	})
}

var errNoAuthority = errors.New("identities are issued by the built-in authority: name its --trust-domain")
