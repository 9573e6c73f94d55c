package svid_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/svid"
)

// issuer issues certificates for one identity that begin when they are asked
// for and live ten minutes, until it is down.
type issuer struct {
	t     *testing.T
	root  *party
	id    string
	clock *clock.Fixed
	down  bool
	count int
}

func (i *issuer) issue(context.Context) ([]*x509.Certificate, crypto.Signer, error) {
	if i.count++; i.down {
		return nil, nil, errors.New("down")
	}
	p := issue(i.t, i.root, func(c *x509.Certificate) {
		workload(i.id)(c)
		c.NotBefore, c.NotAfter = i.clock.Now(), i.clock.Now().Add(10*time.Minute)
	})
	return []*x509.Certificate{p.certificate}, p.key, nil
}

func TestAConnectionNeedsALivingIdentityOnBothSides(t *testing.T) {
	root := issue(t, nil, authority("spiffe://claims.example", 24*time.Hour))
	now := clock.At(noon)
	bundles, err := svid.NewBundles(spiffebundle.FromX509Authorities(claims, []*x509.Certificate{root.certificate}))
	if err != nil {
		t.Fatal(err)
	}
	ofServer := &issuer{t: t, root: root, id: "spiffe://claims.example/gateway", clock: now}
	ofClient := &issuer{t: t, root: root, id: "spiffe://claims.example/intake", clock: now}
	clients := svid.NewX509(bundles, now)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := clients.Authenticate(r.Context(), &identity.Credentials{Peer: r.TLS.PeerCertificates})
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		w.Header().Set("Who", p.ID)
	}))
	server.Config.ErrorLog = nil
	shown := svid.NewSource(ofServer.issue, now)
	server.TLS = svid.ServerTLS(func() (*tls.Certificate, error) { return shown.Certificate(t.Context()) })
	server.StartTLS()
	defer server.Close()
	// httptest adds a certificate of its own, which GetCertificate stands before.
	server.TLS.Certificates = nil
	source := svid.NewSource(ofClient.issue, now)
	ask := func(servers ...string) (string, error) {
		var ids []spiffeid.ID
		for _, s := range servers {
			ids = append(ids, spiffeid.RequireFromString(s))
		}
		config, err := svid.ClientTLS(source, bundles, now, ids...)
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
		answer, err := (&http.Client{Transport: transport}).Get(server.URL)
		if err != nil {
			return "", err
		}
		answer.Body.Close()
		return answer.Header.Get("Who"), nil
	}
	const gateway, other = "spiffe://claims.example/gateway", "spiffe://claims.example/other"
	good := func(when string) {
		t.Helper()
		if who, err := ask(other, gateway); err != nil || who != "spiffe://claims.example/intake" {
			t.Errorf("%s: %q, %v", when, who, err)
		}
	}
	good("at first")
	if _, err := ask(other); err == nil || !strings.Contains(err.Error(), "another identity") {
		t.Errorf("a server that is somebody else: %v", err)
	}
	ofServer.down, ofClient.down = true, true
	now.Advance(9 * time.Minute)
	good("when none is issued, until the last one ends")
	ofClient.down = false
	now.Advance(time.Minute)
	if _, err := ask(gateway); err == nil {
		t.Error("the server answers with an identity that has expired")
	}
	ofServer.down = false
	good("when the server has a new one")
	ofClient.down = true
	now.Advance(10 * time.Minute)
	if _, err := ask(gateway); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("the client asks with an identity that has expired: %v", err)
	}
	ofClient.down = false
	good("when the client has a new one")
	if _, err := svid.ClientTLS(source, bundles, now); err == nil {
		t.Error("a client of any server was made")
	}
}

func TestAnIdentityIsRenewedAtHalfItsLife(t *testing.T) {
	root := issue(t, nil, authority("spiffe://claims.example", 24*time.Hour))
	now := clock.At(noon)
	i := &issuer{t: t, root: root, id: "spiffe://claims.example/gateway", clock: now}
	s := svid.NewSource(i.issue, now)
	var last *tls.Certificate
	defer func() {
		i.down, i.count = true, 0
		now.Advance(6 * time.Minute)
		for range 3 {
			s.Certificate(t.Context())
		}
		if i.count != 1 {
			t.Errorf("a renewal that failed was tried %d times at once", i.count)
		}
		now.Advance(5 * time.Second)
		if _, err := s.Certificate(t.Context()); err != nil || i.count != 2 {
			t.Errorf("after a pause it was tried %d times: %v", i.count, err)
		}
	}()
	for _, step := range []struct {
		after time.Duration
		count int
	}{{0, 1}, {5*time.Minute - time.Second, 1}, {time.Second, 2}, {time.Second, 2}, {time.Hour, 3}, {-2 * time.Hour, 4}} {
		now.Advance(step.after)
		c, err := s.Certificate(t.Context())
		if err != nil || i.count != step.count {
			t.Errorf("%s later: %d were issued, %v", step.after, i.count, err)
		}
		last = c
	}
	if last.Leaf.NotBefore.After(now.Now()) {
		t.Error("the last one is not valid yet")
	}
}
