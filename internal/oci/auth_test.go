package oci_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/verdict"
)

// keychain holds credentials by exact host.
type keychain map[string]authn.AuthConfig

func (k keychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if cred, ok := k[r.RegistryStr()]; ok {
		return authn.FromConfig(cred), nil
	}
	return authn.Anonymous, nil
}

const (
	password    = "p4ssw0rd-that-nobody-may-see"
	bearerToken = "t0ken-that-nobody-may-see"
)

func basicHeader(user, pass string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+pass))
}

// protect lets only requests with the Authorization header through.
func protect(header, challenge string, next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != header {
			ocitest.Status(401, "WWW-Authenticate", challenge)(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// protectedRegistry starts a registry with app:1 and other:1 behind a token service.
func protectedRegistry(t *testing.T, tokens *ocitest.Server) *ocitest.Server {
	t.Helper()
	a, b := ocitest.RawImage(t, "linux/amd64", "a"), ocitest.RawImage(t, "linux/amd64", "b")
	routes := ocitest.Routes{
		"GET /v2/app/manifests/1":             ocitest.Answer(oci.MediaTypeManifest, a.Manifest),
		"GET /v2/app/blobs/" + a.ConfigDigest: ocitest.Answer("application/json", a.Config),
		"GET /v2/other/manifests/1":           ocitest.Answer(oci.MediaTypeManifest, b.Manifest),
	}
	challenge := fmt.Sprintf(`Bearer realm="http://%s/token?account=x",service="the registry",scope="repository:victim:pull,push"`, tokens.Host)
	return ocitest.Hostile(t, ocitest.Routes{"GET /v2/*": protect("Bearer "+bearerToken, challenge, routes)})
}

func tokenService(t *testing.T) *ocitest.Server {
	t.Helper()
	return ocitest.Hostile(t, ocitest.Routes{"GET /token": ocitest.Answer("application/json",
		fmt.Appendf(nil, `{"token":%q,"expires_in":120}`, bearerToken))})
}

func TestATokenIsFetchedOnceAndKeptUntilItExpires(t *testing.T) {
	tokens := tokenService(t)
	srv := protectedRegistry(t, tokens)
	now := clock.At(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
	c := newClientWith(t, oci.Options{Clock: now, Keychain: keychain{srv.Host: {Username: "me", Password: password}}}, srv, tokens)

	m, err := c.Resolve(t.Context(), parse(t, srv.Repo("app:1")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Image(t.Context(), srv.Repo("app"), m.Digest); err != nil {
		t.Fatal(err)
	}
	// 401, manifest, configuration; one token.
	if len(srv.Requests()) != 3 || len(tokens.Requests()) != 1 {
		t.Errorf("registry %v, tokens %v", srv.Requests(), tokens.Requests())
	}
	asked := tokens.Requests()[0]
	if asked.URI != "/token?account=x&scope=repository%3Aapp%3Apull&service=the+registry" {
		t.Errorf("asked for %s", asked.URI)
	}
	if asked.Authorization != basicHeader("me", password) {
		t.Errorf("the token service got %q", asked.Authorization)
	}

	// Another repository needs another token, and no second challenge.
	srv.Forget()
	if _, err := c.Resolve(t.Context(), parse(t, srv.Repo("other:1"))); err != nil {
		t.Fatal(err)
	}
	if len(srv.Requests()) != 1 || len(tokens.Requests()) != 2 {
		t.Errorf("registry %v, tokens %v", srv.Requests(), tokens.Requests())
	}

	now.Advance(100 * time.Second)
	if _, err := c.Resolve(t.Context(), parse(t, srv.Repo("app:1"))); err != nil || len(tokens.Requests()) != 2 {
		t.Errorf("before expiry: %v, tokens %v", err, tokens.Requests())
	}
	now.Advance(20 * time.Second)
	if _, err := c.Resolve(t.Context(), parse(t, srv.Repo("app:1"))); err != nil || len(tokens.Requests()) != 3 {
		t.Errorf("after expiry: %v, tokens %v", err, tokens.Requests())
	}
}

func TestAnonymousTokensCarryNoCredentials(t *testing.T) {
	tokens := tokenService(t)
	srv := protectedRegistry(t, tokens)
	c := newClient(t, srv, tokens)
	if err := resolveTag(t.Context(), c, srv); err != nil {
		t.Fatal(err)
	}
	if got := tokens.Requests()[0].Authorization; got != "" {
		t.Errorf("the token service got %q", got)
	}
}

func TestAnIdentityTokenIsExchangedByPost(t *testing.T) {
	got := make(chan string, 1)
	tokens := ocitest.Hostile(t, ocitest.Routes{"POST /token": func(w http.ResponseWriter, r *http.Request) {
		got <- r.PostFormValue("grant_type") + " " + r.PostFormValue("refresh_token") + " " + r.PostFormValue("scope")
		ocitest.Answer("application/json", []byte(`{"access_token":"`+bearerToken+`"}`))(w, r)
	}})
	srv := protectedRegistry(t, tokens)
	c := newClientWith(t, oci.Options{Keychain: keychain{srv.Host: {IdentityToken: password}}}, srv, tokens)
	if err := resolveTag(t.Context(), c, srv); err != nil {
		t.Fatal(err)
	}
	if g := <-got; g != "refresh_token "+password+" repository:app:pull" {
		t.Errorf("the form was %q", g)
	}
}

func TestBasicCredentialsAreSentOnlyAfterAChallenge(t *testing.T) {
	img := ocitest.RawImage(t, "linux/amd64", "a")
	srv := ocitest.Hostile(t, ocitest.Routes{"GET /v2/*": protect(basicHeader("me", password), `Basic realm="r"`,
		ocitest.Answer(oci.MediaTypeManifest, img.Manifest))})
	c := newClientWith(t, oci.Options{Keychain: keychain{srv.Host: {Username: "me", Password: password}}}, srv)
	for range 2 {
		if err := resolveTag(t.Context(), c, srv); err != nil {
			t.Fatal(err)
		}
	}
	if got := srv.Requests(); len(got) != 3 || got[0].Authorization != "" || got[2].Authorization == "" {
		t.Errorf("requests: %v", got)
	}
	stranger := newClient(t, srv)
	wantCode(t, resolveTag(t.Context(), stranger, srv), verdict.RegistryUnauthorized)
}

func TestARegistryThatNeverAcceptsTheTokenIsAskedTwice(t *testing.T) {
	tokens := tokenService(t)
	srv := ocitest.Hostile(t, ocitest.Routes{"GET /v2/*": ocitest.Status(401, "WWW-Authenticate", `Bearer realm="http://`+tokens.Host+`/token"`)})
	c := newClient(t, srv, tokens)
	wantCode(t, resolveTag(t.Context(), c, srv), verdict.RegistryUnauthorized)
	if len(srv.Requests()) != 2 || len(tokens.Requests()) != 1 {
		t.Errorf("registry %v, tokens %v", srv.Requests(), tokens.Requests())
	}
}

func TestCredentialsStayWithTheirRegistry(t *testing.T) {
	img := ocitest.RawImage(t, "linux/amd64", "a")
	store := ocitest.Hostile(t, ocitest.Routes{"GET /*": ocitest.Answer("application/json", img.Config)})
	srv := ocitest.Hostile(t, ocitest.Routes{"GET /v2/*": protect(basicHeader("me", password), `Basic realm="r"`, ocitest.Routes{
		"GET /v2/app/manifests/*": ocitest.Answer(oci.MediaTypeManifest, img.Manifest),
		"GET /v2/app/blobs/*":     ocitest.Redirect("http://" + store.Host + "/blob?signature=x"),
	})})
	lookalike := ocitest.Hostile(t, ocitest.Routes{"GET /v2/*": ocitest.Status(401, "WWW-Authenticate", `Basic realm="r"`)})
	c := newClientWith(t, oci.Options{Keychain: keychain{srv.Host: {Username: "me", Password: password}}}, srv, store, lookalike)

	if err := image(img.Digest)(t.Context(), c, srv); err != nil {
		t.Fatal(err)
	}
	if n := len(store.Requests()); n != 1 {
		t.Fatalf("the blob store got %d requests", n)
	}
	wantCode(t, resolveTag(t.Context(), c, lookalike), verdict.RegistryUnauthorized)
	for _, r := range append(store.Requests(), lookalike.Requests()...) {
		if r.Authorization != "" {
			t.Errorf("%s came with %s", r, r.Authorization)
		}
	}
	if n := srv.Count("GET", "/blobs/"); n != 1 {
		t.Errorf("the blob was asked for %d times", n)
	}
}

func TestAClientWithOtherCredentialsSeesNothingOfTheFirst(t *testing.T) {
	img := ocitest.RawImage(t, "linux/amd64", "a")
	srv := ocitest.Hostile(t, ocitest.Routes{"GET /v2/*": protect(basicHeader("me", password), "Basic",
		ocitest.Answer(oci.MediaTypeManifest, img.Manifest))})
	mine := newClientWith(t, oci.Options{Keychain: keychain{srv.Host: {Username: "me", Password: password}}}, srv)
	byDigest := func(c *oci.Client) error {
		_, err := c.Resolve(t.Context(), parse(t, srv.Repo("app@"+img.Digest)))
		return err
	}
	if err := byDigest(mine); err != nil {
		t.Fatal(err)
	}
	wantCode(t, byDigest(mine.WithKeychain(nil)), verdict.RegistryUnauthorized)
	if err := byDigest(mine.WithKeychain(keychain{srv.Host: {Username: "me", Password: password}})); err != nil {
		t.Error(err)
	}
}

func TestAChallengeFromABlobStoreIsNotAnswered(t *testing.T) {
	img := ocitest.RawImage(t, "linux/amd64", "a")
	thief := ocitest.Hostile(t, ocitest.Routes{"GET /token": ocitest.Answer("application/json", []byte(`{"token":"x"}`))})
	store := ocitest.Hostile(t, ocitest.Routes{"GET /blob": ocitest.Status(401, "WWW-Authenticate", `Bearer realm="http://`+thief.Host+`/token"`)})
	srv := ocitest.Hostile(t, ocitest.Routes{
		"GET /v2/app/manifests/*": ocitest.Answer(oci.MediaTypeManifest, img.Manifest),
		"GET /v2/app/blobs/*":     ocitest.Redirect("http://" + store.Host + "/blob"),
	})
	c := newClientWith(t, oci.Options{Keychain: keychain{srv.Host: {Username: "me", Password: password}}}, srv, store, thief)
	wantCode(t, image(img.Digest)(t.Context(), c, srv), verdict.RegistryUnauthorized)
	if n := len(thief.Requests()); n != 0 {
		t.Errorf("the thief got %v", thief.Requests())
	}
}

func TestErrorsHoldNoSecrets(t *testing.T) {
	broken := ocitest.Hostile(t, ocitest.Routes{
		"GET /html":   ocitest.LoginPage(),
		"GET /denied": ocitest.Status(403),
		"GET /broken": ocitest.Status(500),
		"GET /moved":  ocitest.Redirect("https://169.254.169.254/?t=" + bearerToken),
		"GET /empty":  ocitest.Answer("application/json", []byte(`{"token":""}`)),
		"GET /bad":    ocitest.Answer("application/json", []byte(`{"token":"`+bearerToken+`\n"}`)),
		"GET /json":   ocitest.Answer("application/json", []byte(`{"token":`+bearerToken+`}`)),
		"GET /good":   ocitest.Answer("application/json", []byte(`{"token":"`+bearerToken+`"}`)),
	})
	for _, path := range []string{"html", "denied", "broken", "moved", "empty", "bad", "json", "good"} {
		t.Run(path, func(t *testing.T) {
			srv := ocitest.Hostile(t, ocitest.Routes{"GET /v2/*": func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "" {
					ocitest.Status(401, "WWW-Authenticate", `Bearer realm="http://`+broken.Host+`/`+path+`"`)(w, r)
					return
				}
				// Echoes what it got, as some gateways do.
				w.WriteHeader(500)
				_, _ = fmt.Fprintf(w, `{"errors":[{"code":%q}]}`, r.Header.Get("Authorization"))
			}})
			c := newClientWith(t, oci.Options{Keychain: keychain{srv.Host: {Username: "me", Password: password}}}, srv, broken)
			err := resolveTag(t.Context(), c, srv)
			if err == nil {
				t.Fatal("no error")
			}
			for _, secret := range []string{password, bearerToken, base64.StdEncoding.EncodeToString([]byte("me:" + password))} {
				if strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
					t.Errorf("the error holds a secret: %v", err)
				}
			}
		})
	}
}

type stuckKeychain struct{ release chan struct{} }

func (k stuckKeychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	<-k.release
	return authn.Anonymous, nil
}

func TestACredentialHelperThatHangsEndsWithTheDeadline(t *testing.T) {
	ocitest.NoLeak(t)
	release := make(chan struct{})
	defer close(release)
	srv := ocitest.Hostile(t, ocitest.Routes{"GET /v2/*": ocitest.Status(401, "WWW-Authenticate", "Basic")})
	c := newClientWith(t, oci.Options{Keychain: stuckKeychain{release}}, srv)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	wantCode(t, resolveTag(ctx, c, srv), verdict.DeadlineExceeded)
}

func TestLoopbackIsTriedOverHTTPSFirst(t *testing.T) {
	img := ocitest.RawImage(t, "linux/amd64", "a")
	plain := ocitest.Hostile(t, ocitest.Routes{getTag: ocitest.Answer(oci.MediaTypeManifest, img.Manifest)})

	t.Run("and over HTTP when it does not speak TLS", func(t *testing.T) {
		c := newClientWith(t, oci.Options{AllowPrivate: []string{plain.Host}})
		for range 2 {
			if err := resolveTag(t.Context(), c, plain); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("but only if its address is allowed", func(t *testing.T) {
		c := newClientWith(t, oci.Options{PlainHTTP: []string{plain.Host}})
		wantCode(t, resolveTag(t.Context(), c, plain), verdict.RegistryAddress)
	})
	t.Run("and TLS is verified", func(t *testing.T) {
		srv := httptest.NewUnstartedServer(ocitest.Answer(oci.MediaTypeManifest, img.Manifest))
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		srv.StartTLS()
		defer srv.Close()
		host := &ocitest.Server{Host: strings.TrimPrefix(srv.URL, "https://")}
		pool := x509.NewCertPool()
		pool.AddCert(srv.Certificate())
		trusting := newClientWith(t, oci.Options{AllowPrivate: []string{host.Host}, TLS: &tls.Config{RootCAs: pool}})
		if err := resolveTag(t.Context(), trusting, host); err != nil {
			t.Fatal(err)
		}
		doubting := newClientWith(t, oci.Options{AllowPrivate: []string{host.Host}})
		wantCode(t, resolveTag(t.Context(), doubting, host), verdict.RegistryUnreachable)
	})
}
