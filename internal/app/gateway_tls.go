package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/internal/identity/svid"
)

// serverTLS is what callers meet; nil for plain text. Certificates of callers
// are asked for, and verified where it is known which route they want.
func serverTLS(o *GatewayOptions, identity *own.Identity) (*tls.Config, error) {
	show, err := certificateOf(o, identity)
	if err != nil || show == nil {
		return nil, err
	}
	return svid.ServerTLS(show), nil
}

// certificateOf returns what gives the certificate to show to callers; nil when
// there is none.
func certificateOf(o *GatewayOptions, identity *own.Identity) (func() (*tls.Certificate, error), error) {
	switch {
	case (o.CertificateFile == "") != (o.KeyFile == ""):
		return nil, errors.New("a certificate and its key are named together")
	case o.CertificateFile != "":
		f := &certificateFile{certificate: o.CertificateFile, key: o.KeyFile}
		_, err := f.get()
		return f.get, err
	case identity != nil:
		return identity.Certificate, nil
	}
	return nil, nil
}

// certificateFile is a certificate in files that somebody else renews.
type certificateFile struct {
	certificate, key string

	mu      sync.Mutex
	current *tls.Certificate
	changed time.Time // of the newer file
	looked  time.Time
}

// lookAgain is how often a handshake looks whether the files have changed.
const lookAgain = 5 * time.Second

// get returns the certificate. While the files cannot be read, the one before
// stays.
func (f *certificateFile) get() (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current != nil && time.Since(f.looked) < lookAgain {
		return f.current, nil
	}
	f.looked = time.Now()
	newest := time.Time{}
	for _, path := range []string{f.certificate, f.key} {
		info, err := os.Stat(path)
		if err != nil {
			return f.current, f.unless(err)
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	if f.current != nil && newest.Equal(f.changed) {
		return f.current, nil
	}
	next, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return f.current, f.unless(err)
	}
	f.current, f.changed = &next, newest
	return f.current, nil
}

func (f *certificateFile) unless(err error) error {
	if f.current != nil {
		return nil
	}
	return err
}

// maxAuthorities bounds a file with authorities; the system's has some 250 KB.
const maxAuthorities = 4 << 20

// authorities are the system's, and those of a file.
func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil // the system's
	}
	data, err := bounded.ReadFile(path, maxAuthorities)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pool, nil
}

// serverBehind is the identity of a server that shows certificates.
func (c *gatewayCompiler) serverBehind(shown []*x509.Certificate) (*identity.Principal, error) {
	return c.behind.Authenticate(context.Background(), &identity.Credentials{Peer: shown})
}

// upstreamTLS is how a server behind a route is met; nil for plain text.
func (c *gatewayCompiler) upstreamTLS(u *v1alpha1.Upstream) (*tls.Config, error) {
	switch u.TLS {
	case "Plaintext":
		return nil, nil
	case "Server":
		return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.servers}, nil
	}
	if c.identity == nil {
		return nil, errors.New("the gateway has no identity to show to this server: start it with --trust-domain, or say with tls that the server needs none")
	}
	return c.identity.ClientTLS(c.believed, u.SPIFFEIDs...)
}
