package chain_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/chain"
	"github.com/apexlogic/apex/internal/identity/identitytest"
	"github.com/apexlogic/apex/internal/identity/oidc"
	"github.com/apexlogic/apex/internal/identity/svid"
	"github.com/apexlogic/apex/verdict"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const audience = "https://gateway.example/captioner"

// both is a chain that believes the issuer as a trust domain and as an OpenID
// provider.
func both(t *testing.T, i *identitytest.Issuer) *chain.Chain {
	t.Helper()
	c := clock.At(noon)
	td := spiffeid.RequireTrustDomainFromString("claims.example")
	bundles, err := svid.NewBundles(spiffebundle.FromJWTAuthorities(td, i.Public()))
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := svid.NewJWT(bundles, []string{audience}, c)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := oidc.New(oidc.Options{Issuer: i.URL, Audiences: []string{audience}, Private: true, Authorities: i.Pool, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	all, err := chain.New(svid.NewX509(bundles, c), tokens, provider)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestNoForgedTokenIsAcceptedAndEachTwinIs(t *testing.T) {
	i := identitytest.NewIssuer(t).Serve()
	all := both(t, i)
	for kind, claims := range map[string]identitytest.Object{
		"JWT-SVID": {"sub": "spiffe://claims.example/intake", "aud": audience, "exp": noon.Unix() + 300},
		"OIDC":     {"iss": i.URL, "sub": "ada", "aud": audience, "exp": noon.Unix() + 300},
	} {
		forgeries := identitytest.Forgeries(i, claims, noon)
		if len(forgeries) < 60 {
			t.Fatalf("only %d kinds", len(forgeries))
		}
		for _, f := range forgeries {
			t.Run(kind+"/"+f.Name, func(t *testing.T) {
				p, err := all.Authenticate(t.Context(), &identity.Credentials{Bearer: f.Token})
				refusal, ok := errors.AsType[*identity.Refusal](err)
				if p != nil || !ok {
					t.Fatalf("got %v, %v", p, err)
				}
				if !strings.HasPrefix(string(refusal.Code), "request.identity") {
					t.Errorf("code %s", refusal.Code)
				}
				for _, part := range strings.Split(f.Token, ".") {
					if len(part) > 8 && strings.Contains(refusal.Detail, part) {
						t.Errorf("the sentence quotes the token")
					}
				}
				if strings.Contains(refusal.Detail, "attacker") || strings.Contains(refusal.Detail, "ada ") || strings.Contains(refusal.Detail, "intake") {
					t.Errorf("the sentence quotes a claim: %s", refusal.Detail)
				}
				if f.Twin == f.Token {
					t.Fatal("the twin is the forgery")
				}
				if p, err = all.Authenticate(t.Context(), &identity.Credentials{Bearer: f.Twin}); err != nil || p == nil {
					t.Fatalf("the twin is refused: %v", err)
				}
			})
		}
	}
}

func TestASubjectIsASPIFFEIDToTheLetter(t *testing.T) {
	i := identitytest.NewIssuer(t).Serve()
	all := both(t, i)
	for sub, want := range map[string]verdict.Code{
		"spiffe://claims.example/intake":          "",
		"spiffe://claims.example/ns/a/sa/b":       "",
		"spiffe://Claims.example/intake":          verdict.IdentityMalformed,
		"SPIFFE://claims.example/intake":          verdict.IdentityUntrusted,
		"spiffe://other.example/intake":           verdict.IdentityUntrusted,
		"spiffe://claims.example.evil.org/intake": verdict.IdentityUntrusted,
		"spiffe://claims.example":                 verdict.IdentityMalformed,
		"spiffe://claims.example/":                verdict.IdentityMalformed,
		"spiffe://claims.example//intake":         verdict.IdentityMalformed,
		"spiffe://claims.example/a/../intake":     verdict.IdentityMalformed,
		"spiffe://claims.example/in%74ake":        verdict.IdentityMalformed,
		"spiffe://claims.example:443/intake":      verdict.IdentityMalformed,
		"spiffe://a@claims.example/intake":        verdict.IdentityMalformed,
		"spiffe://claims.example/intake?a":        verdict.IdentityMalformed,
		"spiffe://claims.example/intake#a":        verdict.IdentityMalformed,
		"spiffe:/claims.example/intake":           verdict.IdentityMalformed,
		"https://claims.example/intake":           verdict.IdentityUntrusted,
	} {
		claims := identitytest.Object{"sub": sub, "aud": audience, "exp": noon.Unix() + 300}
		token := i.Token("ES256", `{"alg":"ES256","kid":"p256"}`, claims.String())
		p, err := all.Authenticate(t.Context(), &identity.Credentials{Bearer: token})
		if want == "" {
			if err != nil || p.ID != sub || p.Method != identity.JWTSVID || p.Issuer != "claims.example" {
				t.Errorf("%s: %v, %v", sub, p, err)
			}
			continue
		}
		if r, ok := errors.AsType[*identity.Refusal](err); !ok || r.Code != want {
			t.Errorf("%s: %v, want %s", sub, err, want)
		}
	}
}

func TestAnIssuerIsTheOneThatIsPinnedToTheLetter(t *testing.T) {
	i := identitytest.NewIssuer(t).Serve()
	all := both(t, i)
	for _, iss := range []any{nil, i.URL + "/", i.URL + ".evil.org", i.URL[:len(i.URL)-1], strings.ToUpper(i.URL), "http" + i.URL[5:], i.URL + "#", i.URL + "?", i.URL + "\u200b", []string{i.URL}, i.URL + "/../"} {
		claims := identitytest.Object{"sub": "ada", "aud": audience, "exp": noon.Unix() + 300}.With("iss", iss)
		_, err := all.Authenticate(t.Context(), &identity.Credentials{Bearer: i.Token("ES256", `{"alg":"ES256","kid":"p256"}`, claims.String())})
		if r, ok := errors.AsType[*identity.Refusal](err); !ok || r.Code != verdict.IdentityUntrusted && r.Code != verdict.IdentityMalformed {
			t.Errorf("issuer %v: %v", iss, err)
		}
		p, err := all.Authenticate(t.Context(), &identity.Credentials{Bearer: i.Token("ES256", `{"alg":"ES256","kid":"p256"}`, claims.With("iss", i.URL).String())})
		if err != nil || p.ID != i.URL+"#ada" || p.Method != identity.OIDC {
			t.Errorf("its twin: %v, %v", p, err)
		}
	}
}

func TestOneCredentialIsShown(t *testing.T) {
	i := identitytest.NewIssuer(t).Serve()
	all := both(t, i)
	claims := identitytest.Object{"iss": i.URL, "sub": "ada", "aud": audience, "exp": noon.Unix() + 300}
	token := i.Token("RS256", `{"alg":"RS256","kid":"rsa"}`, claims.String())
	if _, err := all.Authenticate(t.Context(), &identity.Credentials{Bearer: token}); err != nil {
		t.Errorf("the token alone: %v", err)
	}
	two := &identity.Credentials{Bearer: token, Peer: identitytest.Chain(t)}
	_, err := all.Authenticate(t.Context(), two)
	if r, ok := errors.AsType[*identity.Refusal](err); !ok || r.Code != verdict.IdentityAmbiguous {
		t.Errorf("two credentials: %v", err)
	}
	if _, err := all.Authenticate(t.Context(), &identity.Credentials{}); !errors.Is(err, identity.ErrOther) {
		t.Errorf("none: %v", err)
	}
	_, err = all.Authenticate(t.Context(), &identity.Credentials{Bearer: "opaque"})
	if r, ok := errors.AsType[*identity.Refusal](err); !ok || r.Code != verdict.IdentityUntrusted {
		t.Errorf("a token that nobody judges: %v", err)
	}
	if _, err := chain.New(); err == nil {
		t.Error("a chain of nobody was made")
	}
}
