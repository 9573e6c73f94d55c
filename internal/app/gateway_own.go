package app

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"path/filepath"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/identity/own"
)

// GatewayIdentity says where a gateway asks for its identity, which is
// spiffe://TRUST-DOMAIN/apex/gateway. Several gateways that ask one authority show
// the same identity by the same keys, which several authorities do not have.
type GatewayIdentity struct {
	// Exchange is the https URL of an exchange, and TokenFile a token of the
	// gateway's service account that was made for the trust domain. The exchange
	// is known by TRUST-DOMAIN.json in the directory of bundles.
	Exchange, TokenFile string
	// Socket is the path of a Workload API, ours or SPIRE's.
	Socket string
}

func (o *GatewayIdentity) asked() bool {
	return o.Exchange != "" || o.Socket != "" || o.TokenFile != ""
}

// maxEvidenceToken is twice as large as the largest tokens of service accounts.
const maxEvidenceToken = 32 << 10

// gatewayIdentity is the gateway's own: of the authority that it is itself, of
// another one, or nil.
func gatewayIdentity(o *GatewayOptions) (*own.Identity, error) {
	i := &o.Identity
	switch {
	case !i.asked() && o.TrustDomain == "":
		return nil, nil
	case !i.asked():
		return own.Open(filepath.Join(o.State, "ca"), o.TrustDomain, gatewayPath, o.Clock)
	case o.TrustDomain == "" || o.Bundles == "":
		return nil, errors.New("an identity of somebody else's authority needs the trust domain, --trust-domain, and its keys, TRUST-DOMAIN.json in the folder of --trust-bundles")
	case o.Issuer.asked():
		return nil, errors.New("the gateway is either given its identity or gives identities itself: leave --identity-exchange and --identity-socket out, or --workload-socket and --exchange-address")
	case (i.Exchange == "") == (i.Socket == "") || (i.Exchange == "") != (i.TokenFile == ""):
		return nil, errors.New("say who gives the gateway its identity: --identity-exchange with --identity-token, or --identity-socket")
	}
	id := "spiffe://" + o.TrustDomain + gatewayPath
	return own.From(id, func(ctx context.Context) ([]*x509.Certificate, crypto.Signer, error) {
		source, err := identitySource(o)
		if err != nil {
			return nil, nil, err
		}
		c, err := source.Certificate(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		return c.Chain, c.Key, nil
	}, o.Clock)
}

// identitySource is made anew for each identity, five minutes apart: the keys of
// the exchange change.
func identitySource(o *GatewayOptions) (IdentitySource, error) {
	if o.Identity.Socket != "" {
		return FromSocket(o.Identity.Socket)
	}
	return FromExchange(ExchangeSource{
		URL: o.Identity.Exchange, TrustDomain: o.TrustDomain, BundleFile: filepath.Join(o.Bundles, o.TrustDomain+".json"),
		Kind: evidenceKubernetes, File: o.Identity.TokenFile, Clock: o.Clock,
		Read: func(path string) ([]byte, error) { return bounded.ReadFile(path, maxEvidenceToken) },
	})
}

// renewEvery is how often it is looked whether the identity has to be renewed,
// so that no handshake waits for it.
const renewEvery = 2 * time.Second

// renewIdentity has the identity renewed in time, and says when there is none.
func (g *runningGateway) renewIdentity(ctx context.Context) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	had := true
	for {
		_, err := g.identity.Certificate()
		switch {
		case err != nil && had:
			g.o.Logger.Error("the gateway has no identity to show", "err", err)
		case err == nil && !had:
			g.o.Logger.Warn("the gateway has its identity again", "id", g.identity.ID)
		}
		had = err == nil
		g.unknown.Store(!had)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// hasIdentity says whether the gateway can be met: it has no identity to show, or
// has it.
func (g *runningGateway) hasIdentity() bool { return !g.unknown.Load() }
