package attest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/attest"
	"github.com/apexlogic/apex/internal/identity/identitytest"
	"github.com/apexlogic/apex/internal/identity/oidc"
	"github.com/apexlogic/apex/verdict"
)

var (
	noon   = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	domain = spiffeid.RequireTrustDomainFromString("claims.example")
	intake = spiffeid.RequireFromString("spiffe://claims.example/intake")
	admin  = spiffeid.RequireFromString("spiffe://claims.example/admin")
)

// refused fails unless err is a refusal with that code.
func refused(t *testing.T, what string, err error, want verdict.Code) {
	t.Helper()
	if r, ok := errors.AsType[*identity.Refusal](err); !ok || r.Code != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

func TestAnEntryNeedsAllOfItsSelectors(t *testing.T) {
	e, err := attest.NewEntries(domain,
		attest.Entry{ID: intake, Selectors: []attest.Selector{"k8s:ns:claims", "k8s:sa:intake"}},
		attest.Entry{ID: admin, Selectors: []attest.Selector{"unix:uid:0"}},
		attest.Entry{ID: intake, Selectors: []attest.Selector{"unix:uid:0"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		has  []attest.Selector
		want []spiffeid.ID
	}{
		{nil, nil},
		{[]attest.Selector{"k8s:ns:claims"}, nil},
		{[]attest.Selector{"k8s:ns:claims", "k8s:sa:intake2"}, nil},
		{[]attest.Selector{"k8s:sa:intake", "k8s:pod:x", "k8s:ns:claims"}, []spiffeid.ID{intake}},
		{[]attest.Selector{"unix:uid:0", "k8s:ns:claims", "k8s:sa:intake"}, []spiffeid.ID{intake, admin}},
	} {
		if got := e.Match(tt.has); !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v, want %v", tt.has, got, tt.want)
		}
	}
	for name, wrong := range map[string]attest.Entry{
		"without selectors":         {ID: intake},
		"with a selector of no use": {ID: intake, Selectors: []attest.Selector{"unix:uid:"}},
		"with a word":               {ID: intake, Selectors: []attest.Selector{"unix"}},
		"of another domain":         {ID: spiffeid.RequireFromString("spiffe://vision.example/a"), Selectors: []attest.Selector{"unix:uid:0"}},
		"of the domain itself":      {ID: domain.ID(), Selectors: []attest.Selector{"unix:uid:0"}},
		"with very many":            {ID: intake, Selectors: slices.Repeat([]attest.Selector{"unix:uid:0"}, 100)},
	} {
		if _, err := attest.NewEntries(domain, wrong); err == nil {
			t.Errorf("an entry %s is taken", name)
		}
	}
}

func TestTheKernelSaysWhoIsAtTheOtherEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	p, err := attest.PeerOf(server.(*net.UnixConn))
	if err != nil || p != (attest.Peer{PID: os.Getpid(), UID: os.Getuid(), GID: os.Getgid()}) {
		t.Fatalf("%+v, %v", p, err)
	}
	got, err := attest.Unix{Hash: true}.Attest(p)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := bounded.ReadFile(self, 512<<20)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(program)
	want := []attest.Selector{
		attest.Selector("unix:uid:" + strconv.Itoa(os.Getuid())), attest.Selector("unix:gid:" + strconv.Itoa(os.Getgid())),
		attest.Selector("unix:path:" + self), attest.Selector("unix:sha256:" + hex.EncodeToString(sum[:])),
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, err = (attest.Unix{}).Attest(p); err != nil || !slices.Equal(got, want[:3]) {
		t.Errorf("without a hash: %v, %v", got, err)
	}
	p.PID = 1 << 30
	_, err = attest.Unix{}.Attest(p)
	refused(t, "a process that has ended", err, verdict.IdentityAttestation)
	p.PID, p.UID = os.Getpid(), os.Getuid()+1
	_, err = attest.Unix{}.Attest(p)
	refused(t, "a process of another user than noted", err, verdict.IdentityAttestation)
	p.PID = 0
	if got, err := (attest.Unix{}).Attest(p); err != nil || len(got) != 2 {
		t.Errorf("of another namespace: %v, %v", got, err)
	}
}

// api is a fake API server that answers TokenReviews as a real one writes them.
func api(t *testing.T, answer func(w http.ResponseWriter, body string)) *attest.TokenReviews {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := bounded.ReadAll(r.Body, 1<<20)
		if r.Method != "POST" || r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" || r.Header.Get("Authorization") != "Bearer own" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		answer(w, string(body))
	}))
	t.Cleanup(s.Close)
	return &attest.TokenReviews{Server: s.URL, Client: s.Client(), Token: func() (string, error) { return "own", nil }}
}

func TestAClusterSaysWhoseAServiceAccountTokenIs(t *testing.T) {
	const good = `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"authenticated":true,"audiences":["apex"],"user":{"username":"system:serviceaccount:claims:intake","uid":"1","groups":["system:serviceaccounts"],"extra":{"authentication.kubernetes.io/pod-name":["intake-1"]}}}}`
	for _, tt := range []struct {
		name, answer string
		status       int
		want         verdict.Code
	}{
		{"ours", good, 201, ""},
		{"unknown", `{"status":{"error":"invalid"}}`, 201, verdict.IdentityAttestation},
		{"known, with an error", strings.Replace(good, `"status":{`, `"status":{"error":"x",`, 1), 201, verdict.IdentityAttestation},
		{"for another audience", strings.Replace(good, `["apex"]`, `["https://kubernetes.default.svc"]`, 1), 201, verdict.IdentityAudience},
		{"without audiences", strings.Replace(good, `"audiences":["apex"],`, "", 1), 201, verdict.IdentityAudience},
		{"of a person", strings.Replace(good, "system:serviceaccount:claims:intake", "ada", 1), 201, verdict.IdentityAttestation},
		{"of a node", strings.Replace(good, "system:serviceaccount:claims:intake", "system:node:a", 1), 201, verdict.IdentityAttestation},
		{"of a name with a colon", strings.Replace(good, "claims:intake", "claims:intake:x", 1), 201, verdict.IdentityAttestation},
		{"of no name", strings.Replace(good, "claims:intake", "claims:", 1), 201, verdict.IdentityAttestation},
		{"when the server fails", good, 500, verdict.IdentityUnavailable},
		{"when it answers something else", "<html>", 201, verdict.IdentityUnavailable},
		{"when it says two things", strings.Replace(good, `"authenticated":true`, `"authenticated":false,"Authenticated":true`, 1), 201, verdict.IdentityUnavailable},
		{"when it answers without end", strings.Repeat(" ", 1<<20), 201, verdict.IdentityUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reviews := api(t, func(w http.ResponseWriter, body string) {
				if !strings.Contains(body, `"token":"eyJ.a.b"`) || !strings.Contains(body, `"audiences":["apex"]`) {
					t.Errorf("asked %s", body)
				}
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.answer)
			})
			k := &attest.Kubernetes{Cluster: "east", Audience: "apex", Reviewer: reviews}
			got, err := k.Attest(t.Context(), []byte("eyJ.a.b"))
			if tt.want != "" {
				refused(t, tt.name, err, tt.want)
				return
			}
			if want := []attest.Selector{"k8s:cluster:east", "k8s:ns:claims", "k8s:sa:intake", "k8s:pod:intake-1"}; err != nil || !slices.Equal(got, want) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	k := &attest.Kubernetes{Audience: "apex", Reviewer: api(t, func(http.ResponseWriter, string) { t.Error("the cluster was asked") })}
	for _, evidence := range []string{"", "a b", "a\nb", strings.Repeat("x", 64<<10)} {
		_, err := k.Attest(t.Context(), []byte(evidence))
		refused(t, "no token", err, verdict.IdentityAttestation)
	}
}

func TestAnAPIServerDoesNotRedirectTheToken(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the token went elsewhere") }))
	defer elsewhere.Close()
	reviews := api(t, func(w http.ResponseWriter, _ string) {
		w.Header().Set("Location", elsewhere.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	_, err := (&attest.Kubernetes{Audience: "apex", Reviewer: reviews}).Attest(t.Context(), []byte("eyJ.a.b"))
	refused(t, "a redirect", err, verdict.IdentityUnavailable)
	reviews.Server = "http" + strings.TrimPrefix(reviews.Server, "https")
	_, err = (&attest.Kubernetes{Audience: "apex", Reviewer: reviews}).Attest(t.Context(), []byte("eyJ.a.b"))
	refused(t, "plain HTTP", err, verdict.IdentityUnavailable)
}

func TestACloudsTokenBecomesSelectors(t *testing.T) {
	i := identitytest.NewIssuer(t).Serve()
	p, err := oidc.New(oidc.Options{Issuer: i.URL, Audiences: []string{"apex"}, Private: true, Authorities: i.Pool, Clock: clock.At(noon), Groups: "groups", Claims: []string{"project", "admin"}})
	if err != nil {
		t.Fatal(err)
	}
	a := &attest.OIDC{Tokens: p}
	claims := identitytest.Object{"iss": i.URL, "sub": "system:serviceaccount:claims:intake", "aud": "apex", "exp": noon.Unix() + 60, "groups": []string{"g"}, "project": "vision", "admin": true}
	token := func(o identitytest.Object) []byte {
		return []byte(i.Token("ES256", `{"alg":"ES256","kid":"p256"}`, o.String()))
	}
	got, err := a.Attest(t.Context(), token(claims))
	want := []attest.Selector{attest.Selector("oidc:iss:" + i.URL), "oidc:aud:apex", "oidc:sub:system:serviceaccount:claims:intake", "oidc:group:g", "oidc:claim:project=vision"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = a.Attest(t.Context(), token(claims.With("iss", "https://other.example")))
	refused(t, "another issuer", err, verdict.IdentityAttestation)
	_, err = a.Attest(t.Context(), token(claims.With("aud", "other")))
	refused(t, "another audience", err, verdict.IdentityAudience)
	_, err = a.Attest(t.Context(), []byte("opaque"))
	refused(t, "no token", err, verdict.IdentityAttestation)
}
