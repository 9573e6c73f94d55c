package own

import (
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

func parsePEM(domain spiffeid.TrustDomain, data []byte) (*spiffebundle.Bundle, error) {
	certificates, err := x509bundle.Parse(domain, data)
	if err != nil {
		return nil, err
	}
	return spiffebundle.FromX509Bundle(certificates), nil
}
