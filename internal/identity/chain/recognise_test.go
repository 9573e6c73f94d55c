package chain_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/chain"
	"github.com/apexlogic/apex/internal/identity/identitytest"
	"github.com/apexlogic/apex/internal/identity/oidc"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/internal/identity/svid"
)

// Who was accepted is recognised for as long as the keys that the credential rests
// on are trusted, by whoever trusts them for it.
func TestAPrincipalIsRecognisedWhileItsKeysAreTrusted(t *testing.T) {
	now := clock.At(noon)
	i := identitytest.NewIssuer(t).Serve()
	id, err := own.Open(t.TempDir(), "claims.example", "/intake", now)
	if err != nil {
		t.Fatal(err)
	}
	defer id.Close()
	real := id.CA.Bundle()
	bundles, err := svid.NewBundles(real)
	if err != nil {
		t.Fatal(err)
	}
	tokensFor := func(audience string) *svid.JWT {
		a, err := svid.NewJWT(bundles, []string{audience}, now)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	providerFor := func(issuer, audience string) *oidc.Provider {
		p, err := oidc.New(oidc.Options{Issuer: issuer, Audiences: []string{audience}, Private: true, Authorities: i.Pool, Clock: now})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	certificates, tokens, provider := svid.NewX509(bundles, now), tokensFor(audience), providerFor(i.URL, audience)
	all, err := chain.New(certificates, tokens, provider)
	if err != nil {
		t.Fatal(err)
	}
	accept := func(c *identity.Credentials) *identity.Principal {
		t.Helper()
		p, err := all.Authenticate(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	shown, err := id.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	token, err := id.Token(audience)
	if err != nil {
		t.Fatal(err)
	}
	person := identitytest.Object{"iss": i.URL, "sub": "ada", "aud": audience, "exp": noon.Unix() + 300}
	byCertificate, byToken := accept(&identity.Credentials{Peer: identitytest.Parsed(t, shown.Certificate)}), accept(&identity.Credentials{Bearer: token})
	ada := accept(&identity.Credentials{Bearer: i.Token("ES256", `{"alg":"ES256","kid":"p256"}`, person.String())})
	want := func(when string, certificate, jwt, oidc bool) {
		t.Helper()
		if got := [...]bool{all.Recognises(byCertificate), all.Recognises(byToken), all.Recognises(ada)}; got != [...]bool{certificate, jwt, oidc} {
			t.Errorf("%s: %v", when, got)
		}
	}
	set := func(b ...*spiffebundle.Bundle) {
		t.Helper()
		if err := bundles.Set(b...); err != nil {
			t.Fatal(err)
		}
	}
	want("at first", true, true, true)
	if certificates.Recognises(byToken) || tokens.Recognises(byCertificate) || provider.Recognises(byToken) || certificates.Recognises(ada) || tokens.Recognises(ada) {
		t.Error("an authenticator recognises who is another's")
	}
	if tokensFor("https://other.example").Recognises(byToken) || providerFor(i.URL, "https://other.example").Recognises(ada) || providerFor("https://other.example", audience).Recognises(ada) {
		t.Error("a token is recognised for another audience or issuer")
	}
	if !providerFor(i.URL, audience).Recognises(ada) {
		t.Error("a provider that fetched no keys yet does not recognise its token")
	}
	set()
	want("without the trust domain", false, false, true)
	set(real)
	want("with it again", true, true, true)
	stranger, err := own.Open(t.TempDir(), "claims.example", "/intake", now)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	set(stranger.CA.Bundle())
	want("with other keys of the trust domain", false, false, true)
	other := spiffebundle.New(spiffeid.RequireTrustDomainFromString("vision.example"))
	other.SetJWTAuthorities(real.JWTAuthorities())
	set(other)
	want("with its keys as those of another trust domain", false, false, true)
	set(real)
	// The issuer takes the key back, and somebody shows another one.
	i.Behave(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			w.Write([]byte(strings.ReplaceAll(string(identitytest.NewIssuer(t).Keys()), `"p256"`, `"next"`)))
			return
		}
		i.Answer(w, r)
	})
	now.Advance(oidc.Pause)
	if err := provider.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("without the key of the issuer", true, true, false)
}
