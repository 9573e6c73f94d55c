package workload_test

import (
	"crypto/x509"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
)

func toBundle(authorities []*x509.Certificate) *spiffebundle.Bundle {
	return spiffebundle.FromX509Authorities(domain, authorities)
}
