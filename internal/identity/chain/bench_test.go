package chain_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/ca"
	"github.com/apexlogic/apex/internal/identity/cache"
	"github.com/apexlogic/apex/internal/identity/chain"
	"github.com/apexlogic/apex/internal/identity/identitytest"
	"github.com/apexlogic/apex/internal/identity/oidc"
	"github.com/apexlogic/apex/internal/identity/svid"
)

// BenchmarkAuthenticate is what one request pays for its identity: each kind,
// verified anew and remembered, through a chain of all kinds as the gateway has
// it. cpu-us/op is the processor's time of the whole program.
func BenchmarkAuthenticate(b *testing.B) {
	c := clock.System{}
	i := identitytest.NewIssuer(b).Serve()
	provider, err := oidc.New(oidc.Options{Issuer: i.URL, Audiences: []string{audience}, Private: true, Authorities: i.Pool, Clock: c, Groups: "groups"})
	if err != nil {
		b.Fatal(err)
	}
	authority, err := ca.Open(filepath.Join(b.TempDir(), "ca"), spiffeid.RequireTrustDomainFromString("claims.example"), c)
	if err != nil {
		b.Fatal(err)
	}
	defer authority.Close()
	bundles, err := svid.NewBundles(authority.Bundle())
	if err != nil {
		b.Fatal(err)
	}
	tokens, err := svid.NewJWT(bundles, []string{audience}, c)
	if err != nil {
		b.Fatal(err)
	}
	all, err := chain.New(svid.NewX509(bundles, c), tokens, provider)
	if err != nil {
		b.Fatal(err)
	}
	id := spiffeid.RequireFromString("spiffe://claims.example/intake")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	leaf, err := authority.IssueX509(id, key.Public(), ca.MaxLife)
	if err != nil {
		b.Fatal(err)
	}
	token, _, err := authority.IssueJWT(id, []string{audience}, ca.MaxLife)
	if err != nil {
		b.Fatal(err)
	}
	claims := identitytest.Object{"iss": i.URL, "sub": "ada", "aud": audience, "exp": time.Now().Unix() + 3600, "iat": time.Now().Unix(), "groups": []string{"vision", "claims"}, "name": "Ada Lovelace", "email": "ada@claims.example"}
	kinds := []struct {
		name  string
		shown *identity.Credentials
	}{
		{"X509SVID", &identity.Credentials{Peer: []*x509.Certificate{leaf[0]}}},
		{"JWTSVID", &identity.Credentials{Bearer: token}},
		{"OIDC-ES256", &identity.Credentials{Bearer: i.Token("ES256", `{"alg":"ES256","kid":"p256","typ":"JWT"}`, claims.String())}},
		{"OIDC-RS256", &identity.Credentials{Bearer: i.Token("RS256", `{"alg":"RS256","kid":"rsa","typ":"JWT"}`, claims.String())}},
	}
	doors := []struct {
		name string
		door identity.Authenticator
	}{{"anew", all}, {"remembered", cache.New(all, c, 10_000)}}
	for _, kind := range kinds {
		for _, d := range doors {
			b.Run(kind.name+"/"+d.name, func(b *testing.B) {
				if _, err := d.door.Authenticate(b.Context(), kind.shown); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				before := cpu(b)
				for b.Loop() {
					if _, err := d.door.Authenticate(b.Context(), kind.shown); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-us/op")
			})
		}
	}
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
