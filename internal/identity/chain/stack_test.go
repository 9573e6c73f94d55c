package chain_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/cache"
	"github.com/apexlogic/apex/internal/identity/chain"
	"github.com/apexlogic/apex/internal/identity/identitytest"
	"github.com/apexlogic/apex/internal/identity/oidc"
	"github.com/apexlogic/apex/internal/identity/svid"
	"github.com/apexlogic/apex/verdict"
)

// The door as the gateway has it: revocations before a cache before a chain.
func TestWhatIsRememberedEndsWithTheTrustThatItRestsOn(t *testing.T) {
	i := identitytest.NewIssuer(t).Serve()
	now := clock.At(noon)
	td := spiffeid.RequireTrustDomainFromString("claims.example")
	trusted := spiffebundle.FromJWTAuthorities(td, i.Public())
	bundles, err := svid.NewBundles(trusted)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := svid.NewJWT(bundles, []string{audience}, now)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := oidc.New(oidc.Options{Issuer: i.URL, Audiences: []string{audience}, Private: true, Authorities: i.Pool, Clock: now})
	if err != nil {
		t.Fatal(err)
	}
	all, err := chain.New(tokens, provider)
	if err != nil {
		t.Fatal(err)
	}
	door := cache.New(all, now, 1000)
	token := func(o identitytest.Object) *identity.Credentials {
		return &identity.Credentials{Bearer: i.Token("ES256", `{"alg":"ES256","kid":"p256"}`, o.With("aud", audience).With("exp", noon.Unix()+7*86400).String())}
	}
	person, workload := token(identitytest.Object{"iss": i.URL, "sub": "ada"}), token(identitytest.Object{"sub": "spiffe://claims.example/intake"})
	want := func(when string, c *identity.Credentials, code verdict.Code) {
		t.Helper()
		for range 2 { // the second time it may be remembered
			_, err := door.Authenticate(t.Context(), c)
			if r, ok := errors.AsType[*identity.Refusal](err); (code == "") != (err == nil) || ok && r.Code != code {
				t.Errorf("%s: %v, want %q", when, err, code)
			}
		}
	}
	want("at first", person, "")
	want("at first", workload, "")

	bundles.Set()
	want("when its trust domain is no longer trusted", workload, verdict.IdentityUntrusted)
	want("another kind then", person, "")
	bundles.Set(trusted)
	want("when it is trusted again", workload, "")

	i.Behave(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	now.Advance(oidc.Life - time.Second)
	want("just before the issuer's keys are too old", person, "")
	now.Advance(time.Second)
	want("when they are", person, verdict.IdentityUnavailable)
	want("another kind then", workload, "")
	i.Behave(nil)
	now.Advance(oidc.Pause)
	want("when the issuer is back", person, "")
}
