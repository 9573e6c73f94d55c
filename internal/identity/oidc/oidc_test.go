package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/identitytest"
	"github.com/apexlogic/apex/internal/identity/oidc"
	"github.com/apexlogic/apex/verdict"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const audience = "https://gateway.example"

type world struct {
	*identitytest.Issuer
	clock    *clock.Fixed
	provider *oidc.Provider
}

func newWorld(t testing.TB, change func(*oidc.Options)) *world {
	t.Helper()
	w := &world{identitytest.NewIssuer(t).Serve(), clock.At(noon), nil}
	o := oidc.Options{Issuer: w.URL, Audiences: []string{audience}, Private: true, Authorities: w.Pool, Clock: w.clock}
	if change != nil {
		change(&o)
	}
	var err error
	if w.provider, err = oidc.New(o); err != nil {
		t.Fatal(err)
	}
	return w
}

// token of ada that lives for a day.
func (w *world) token(kid string) *identity.Credentials {
	claims := identitytest.Object{"iss": w.URL, "sub": "ada", "aud": audience, "exp": noon.Unix() + 86400}
	return w.with(kid, claims)
}

func (w *world) with(kid string, claims identitytest.Object) *identity.Credentials {
	return &identity.Credentials{Bearer: w.Token("ES256", identitytest.Object{"alg": "ES256", "kid": kid}.String(), claims.String())}
}

// try authenticates, and returns the code, "" for accepted.
func (w *world) try(t *testing.T, c *identity.Credentials) verdict.Code {
	t.Helper()
	p, err := w.provider.Authenticate(t.Context(), c)
	if err == nil && p.ID == w.URL+"#ada" {
		return ""
	}
	r, ok := errors.AsType[*identity.Refusal](err)
	if !ok {
		t.Fatalf("got %v, %v", p, err)
	}
	return r.Code
}

func (w *world) want(t *testing.T, when string, c *identity.Credentials, code verdict.Code) {
	t.Helper()
	if got := w.try(t, c); got != code {
		t.Errorf("%s: %q, want %q", when, got, code)
	}
}

func down(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) }

func TestKeysThatCannotBeRenewedAreBelievedForAnHourAndNoLonger(t *testing.T) {
	w := newWorld(t, nil)
	w.want(t, "at first", w.token("p256"), "")
	g := w.provider.Generation()
	w.Behave(down)
	w.clock.Advance(oidc.Life - time.Second)
	w.want(t, "within the hour", w.token("p256"), "")
	if w.provider.Generation() != g {
		t.Error("the generation changed within the hour")
	}
	w.clock.Advance(time.Second)
	if w.provider.Generation() <= g {
		t.Error("the generation did not change when the keys became too old")
	}
	w.want(t, "after the hour", w.token("p256"), verdict.IdentityUnavailable)
	w.Behave(nil)
	w.clock.Advance(oidc.Pause)
	w.want(t, "when the issuer is back", w.token("p256"), "")
	if w.provider.Generation() <= g+1 {
		t.Error("the generation did not change when the keys were fetched anew")
	}
}

func TestAnIssuerThatIsDownFromTheStartRefusesAndIsAskedAgainAfterAPause(t *testing.T) {
	w := newWorld(t, nil)
	w.Behave(down)
	w.want(t, "down", w.token("p256"), verdict.IdentityUnavailable)
	w.Behave(nil)
	w.want(t, "within the pause", w.token("p256"), verdict.IdentityUnavailable)
	w.clock.Advance(oidc.Pause)
	w.want(t, "after it", w.token("p256"), "")
}

func TestANewKeyIsFetchedOnceSomebodyShowsIt(t *testing.T) {
	w := newWorld(t, nil)
	w.want(t, "the first key", w.token("p256"), "")
	old := w.token("p256")
	w.P256 = identitytest.NewIssuer(t).P256 // the issuer rotates under another id
	w.Behave(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			w.Asked.Add(1)
			fmt.Fprint(rw, strings.ReplaceAll(string(w.Keys()), `"p256"`, `"next"`))
			return
		}
		w.Answer(rw, r)
	})
	w.want(t, "the new key within the pause", w.token("next"), verdict.IdentitySignature)
	w.clock.Advance(oidc.Pause)
	g := w.provider.Generation()
	w.want(t, "the new key", w.token("next"), "")
	w.want(t, "the old key, which is gone", old, verdict.IdentitySignature)
	if w.provider.Generation() <= g {
		t.Error("the generation did not change with the keys")
	}
	if n := w.Asked.Load(); n != 2 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

func TestUnknownKeysDoNotMakeAHammer(t *testing.T) {
	w := newWorld(t, nil)
	w.want(t, "a known key", w.token("p256"), "")
	for i := range 200 {
		w.want(t, "an unknown key", w.token(fmt.Sprint("unknown", i)), verdict.IdentitySignature)
	}
	if n := w.Asked.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

func TestManyWhoWaitCauseOneFetch(t *testing.T) {
	w := newWorld(t, nil)
	arrived, release := make(chan struct{}), make(chan struct{})
	w.Behave(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			close(arrived) // panics on a second fetch
			<-release
		}
		w.Answer(rw, r)
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { w.want(t, "one of many", w.token("p256"), "") })
	}
	<-arrived
	close(release)
	wg.Wait()
	if n := w.Asked.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

func TestKeysAreRenewedWithoutAnybodyWaiting(t *testing.T) {
	w := newWorld(t, nil)
	w.want(t, "at first", w.token("p256"), "")
	w.clock.Advance(oidc.Fresh)
	arrived, release := make(chan struct{}), make(chan struct{})
	w.Behave(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			close(arrived)
			<-release
		}
		w.Answer(rw, r)
	})
	w.want(t, "while they are fetched", w.token("p256"), "")
	<-arrived
	close(release)
	if err := w.provider.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAnIssuerThatBehavesBadlyIsNotBelieved(t *testing.T) {
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect inside was followed") }))
	t.Cleanup(inner.Close)
	discovery := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, text) }
	}
	w := newWorld(t, nil)
	keys := func(text string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/keys" {
				fmt.Fprint(rw, text)
				return
			}
			w.Answer(rw, r)
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"a redirect to an address inside": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inner.URL, http.StatusFound) },
		"a redirect of the keys": func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/keys" {
				http.Redirect(rw, r, inner.URL, http.StatusTemporaryRedirect)
				return
			}
			w.Answer(rw, r)
		},
		"a document of another issuer": discovery(`{"issuer":"https://other.example","jwks_uri":"` + w.URL + `/keys"}`),
		"an issuer with a slash more":  discovery(`{"issuer":"` + w.URL + `/","jwks_uri":"` + w.URL + `/keys"}`),
		"keys over plain HTTP":         discovery(`{"issuer":"` + w.URL + `","jwks_uri":"` + inner.URL + `"}`),
		"keys in a file":               discovery(`{"issuer":"` + w.URL + `","jwks_uri":"file:///etc/passwd"}`),
		"no keys":                      discovery(`{"issuer":"` + w.URL + `"}`),
		"an issuer that is said twice": discovery(`{"issuer":"` + w.URL + `","Issuer":"` + w.URL + `","jwks_uri":"` + w.URL + `/keys"}`),
		"a document without end":       func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, strings.Repeat(" ", 1<<20)) },
		"keys without end":             keys(strings.Repeat(" ", 1<<20)),
		"an answer that is an error":   down,
		"keys that are not JSON":       keys("<html>"),
		"an empty set of keys":         keys(`{"keys":[]}`),
		"a symmetric key":              keys(`{"keys":[{"kty":"oct","kid":"p256","k":"c2VjcmV0"}]}`),
		"a private key":                keys(strings.Replace(string(w.Keys()), `"kty":"EC"`, `"kty":"EC","d":"AA"`, 1)),
		"keys for encryption":          keys(strings.ReplaceAll(string(w.Keys()), `"sig"`, `"enc"`)),
		"two keys of one id":           keys(strings.ReplaceAll(string(w.Keys()), `"p384"`, `"p256"`)),
		"a set of very many keys":      keys(`{"keys":[` + strings.Repeat(`{"kty":"EC"},`, 100) + `{"kty":"EC"}]}`),
		"a point that is on no curve":  keys(`{"keys":[{"kty":"EC","crv":"P-256","kid":"p256","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"}]}`),
		"an RSA key of 1024 bits":      keys(`{"keys":[{"kty":"RSA","kid":"p256","e":"AQAB","n":"` + strings.Repeat("w", 171) + `"}]}`),
	} {
		t.Run(name, func(t *testing.T) {
			o := oidc.Options{Issuer: w.URL, Audiences: []string{audience}, Private: true, Authorities: w.Pool, Clock: clock.At(noon)}
			p, err := oidc.New(o)
			if err != nil {
				t.Fatal(err)
			}
			w.Behave(h)
			if err := p.Refresh(t.Context()); err == nil && name != "two keys of one id" {
				t.Error("the fetch succeeds")
			}
			_, err = p.Authenticate(t.Context(), w.token("p256"))
			if r, ok := errors.AsType[*identity.Refusal](err); !ok || r.Code != verdict.IdentityUnavailable && r.Code != verdict.IdentitySignature {
				t.Errorf("got %v", err)
			}
			w.Behave(nil)
			if p, err = oidc.New(o); err != nil || p.Refresh(t.Context()) != nil {
				t.Fatalf("its honest twin: %v", err)
			}
			if _, err := p.Authenticate(t.Context(), w.token("p256")); err != nil {
				t.Errorf("its honest twin: %v", err)
			}
		})
	}
}

func TestAnIssuerThatDoesNotAnswerHoldsNobodyForLongerThanTheyWait(t *testing.T) {
	w := newWorld(t, nil)
	asked, release := make(chan struct{}, 1), make(chan struct{})
	w.Behave(func(rw http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-release
		down(rw, r)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }() // whoever asks goes away once the issuer has the question
	_, err := w.provider.Authenticate(ctx, w.token("p256"))
	if r, ok := errors.AsType[*identity.Refusal](err); !ok || r.Code != verdict.IdentityUnavailable {
		t.Errorf("got %v", err)
	}
	close(release)
	w.Behave(nil)
	if err := w.provider.Refresh(t.Context()); err == nil { // the question that was under way
		t.Error("an answer that was an error is believed")
	}
	w.clock.Advance(oidc.Pause)
	w.want(t, "the issuer that answers again", w.token("p256"), "")
}

func TestAnIssuerInsideIsAskedOnlyWhenThatIsAllowed(t *testing.T) {
	w := newWorld(t, func(o *oidc.Options) { o.Private = false })
	if err := w.provider.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "not public") {
		t.Errorf("not allowed: %v", err)
	}
	w.want(t, "not allowed", w.token("p256"), verdict.IdentityUnavailable)
	if w.Asked.Load() != 0 {
		t.Error("it was asked")
	}
	w = newWorld(t, nil)
	w.want(t, "allowed", w.token("p256"), "")
}

func TestAnIssuerWithAnUnknownCertificateIsNotBelieved(t *testing.T) {
	w := newWorld(t, func(o *oidc.Options) { o.Authorities = nil })
	w.want(t, "the system's authorities", w.token("p256"), verdict.IdentityUnavailable)
}

func TestAPrincipalHasOnlyTheClaimsThatAreLetThrough(t *testing.T) {
	w := newWorld(t, func(o *oidc.Options) {
		o.Groups, o.Claims = "groups", []string{"department", "admin", "level", "tags", "absent", "note"}
	})
	claims := identitytest.Object{"iss": w.URL, "sub": "ada", "aud": []string{audience, "x"}, "exp": noon.Unix() + 60,
		"groups": []string{"vision", "claims"}, "department": "claims", "admin": true, "level": 7, "tags": []string{"a"}, "secret": "s", "note": ""}
	p, err := w.provider.Authenticate(t.Context(), w.with("p256", claims))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"department": "claims", "admin": true, "level": int64(7), "tags": []string{"a"}, "note": ""}
	if !reflect.DeepEqual(p.Claims, want) || !reflect.DeepEqual(p.Groups, []string{"vision", "claims"}) || !reflect.DeepEqual(p.Audiences, []string{audience, "x"}) || !p.NotAfter.Equal(noon.Add(time.Minute)) {
		t.Errorf("got %+v", p)
	}
	for name, v := range map[string]any{"level": 1.5, "department": map[string]string{}, "admin": nil, "tags": []any{"a", 1}, "groups": []any{1}} {
		changed := claims.With(name, v)
		if v == nil {
			changed["admin"] = struct{}{}
		}
		_, err := w.provider.Authenticate(t.Context(), w.with("p256", changed))
		if r, ok := errors.AsType[*identity.Refusal](err); !ok || r.Code != verdict.IdentityMalformed {
			t.Errorf("%s = %v: %v", name, v, err)
		}
	}
}

func TestAProviderIsConfiguredWholly(t *testing.T) {
	good := oidc.Options{Issuer: "https://id.example", Audiences: []string{audience}, Clock: clock.At(noon)}
	if _, err := oidc.New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*oidc.Options){
		"plain HTTP": func(o *oidc.Options) { o.Issuer = "http://id.example" }, "no host": func(o *oidc.Options) { o.Issuer = "https://" },
		"a fragment": func(o *oidc.Options) { o.Issuer += "#x" }, "a query": func(o *oidc.Options) { o.Issuer += "?x" }, "a user": func(o *oidc.Options) { o.Issuer = "https://a@id.example" },
		"no audience": func(o *oidc.Options) { o.Audiences = nil }, "an empty audience": func(o *oidc.Options) { o.Audiences = []string{""} },
		"no clock": func(o *oidc.Options) { o.Clock = nil }, "the algorithm none": func(o *oidc.Options) { o.Algorithms = []string{"none"} }, "the algorithm HS256": func(o *oidc.Options) { o.Algorithms = []string{"HS256"} },
	} {
		o := good
		change(&o)
		if _, err := oidc.New(o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestTheConfigurationNarrowsAlgorithmsAndTypes(t *testing.T) {
	w := newWorld(t, func(o *oidc.Options) { o.Algorithms, o.Types = []string{"ES256"}, []string{"at+jwt"} })
	claims := identitytest.Object{"iss": w.URL, "sub": "ada", "aud": audience, "exp": noon.Unix() + 60}.String()
	for _, tt := range []struct {
		alg, kid, typ string
		want          verdict.Code
	}{
		{"ES256", "p256", "at+jwt", ""}, {"ES256", "p256", "AT+JWT", ""},
		{"ES256", "p256", "JWT", verdict.IdentityMalformed}, {"RS256", "rsa", "at+jwt", verdict.IdentityMalformed}, {"EdDSA", "ed25519", "at+jwt", verdict.IdentityMalformed},
	} {
		token := w.Token(tt.alg, identitytest.Object{"alg": tt.alg, "kid": tt.kid, "typ": tt.typ}.String(), claims)
		w.want(t, tt.alg+" "+tt.typ, &identity.Credentials{Bearer: token}, tt.want)
	}
	wide := newWorld(t, nil)
	claims = identitytest.Object{"iss": wide.URL, "sub": "ada", "aud": audience, "exp": noon.Unix() + 60}.String()
	for alg, kid := range map[string]string{"ES256": "p256", "ES384": "p384", "RS256": "rsa-only", "PS256": "rsa", "EdDSA": "ed25519"} {
		token := wide.Token(alg, identitytest.Object{"alg": alg, "kid": kid, "typ": "JWT"}.String(), claims)
		wide.want(t, alg, &identity.Credentials{Bearer: token}, "")
	}
	token := wide.Token("PS256", `{"alg":"PS256","kid":"rsa-only"}`, claims)
	wide.want(t, "an algorithm that the key is not for", &identity.Credentials{Bearer: token}, verdict.IdentitySignature)
}
