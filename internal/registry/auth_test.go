package registry

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

// token gets a bearer token for the scopes.
func (f *fixture) token(scopes ...string) string {
	f.t.Helper()
	r := f.want(f.do("GET", "/token?"+url.Values{"service": {"apex-registry"}, "scope": scopes}.Encode(), nil), 200, "")
	var body struct {
		Token       string
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
		IssuedAt    string `json:"issued_at"`
	}
	if err := json.Unmarshal(r.body, &body); err != nil || body.Token == "" || body.Token != body.AccessToken || body.ExpiresIn < 60 || body.IssuedAt == "" {
		f.t.Fatalf("token answer %s", r.body)
	}
	if r.header.Get("Cache-Control") != "no-store" {
		f.t.Error("a token may be cached")
	}
	return body.Token
}

func tenants() Options {
	return Options{
		Auth: staticUsers{"ana": "1", "bob": "2", "cyd": "3"},
		Tenants: []Tenant{
			{Prefix: "vision/", Members: map[string]Actions{"ana": Pull | Push}},
			{Prefix: "claims/", Members: map[string]Actions{"bob": Pull | Push | Delete}},
			{Prefix: "vision/shared", Members: map[string]Actions{"bob": Pull}},
		},
	}
}

func TestTenantsSeeTheirOwnAndCannotTellWhatOthersHave(t *testing.T) {
	f := serve(t, tenants())
	for _, r := range []string{"vision/secret", "vision/shared", "vision/sharedmore", "claims/forms"} {
		f.putImage(r, "v1", r)
	}
	layer := "/blobs/" + string(digestOf([]byte("layer vision/secret")))
	users := map[string]*fixture{"ana": f.as("ana", "1"), "bob": f.as("bob", "2"), "cyd": f.as("cyd", "3")}
	for _, c := range []struct {
		user, method, path string
		status             int
	}{
		{"ana", "GET", "/v2/", 200},
		{"cyd", "GET", "/v2/", 200},
		{"ana", "GET", "/v2/vision/secret/manifests/v1", 200},
		{"ana", "GET", "/v2/vision/secret" + layer, 200},
		{"ana", "GET", "/v2/vision/none/manifests/v1", 404},
		{"ana", "POST", "/v2/vision/secret/blobs/uploads/", 202},
		{"ana", "DELETE", "/v2/vision/secret/manifests/v1", 403},
		{"ana", "GET", "/v2/claims/forms/manifests/v1", 403},
		{"ana", "GET", "/v2/claims/none/manifests/v1", 403}, // as if it were there
		{"ana", "GET", "/v2/visionary/app/manifests/v1", 403},
		{"bob", "GET", "/v2/vision/shared/manifests/v1", 200},
		{"bob", "PUT", "/v2/vision/shared/manifests/v2", 403},
		{"bob", "GET", "/v2/vision/sharedmore/manifests/v1", 403},
		{"bob", "GET", "/v2/vision/secret/tags/list", 403},
		{"bob", "GET", "/v2/vision/none/tags/list", 403},
		{"bob", "GET", "/v2/vision/secret/referrers/" + string(digestOf(nil)), 403},
		{"bob", "GET", "/v2/claims/forms" + layer, 404}, // the bytes are on the disk, and not his
		{"bob", "HEAD", "/v2/claims/forms" + layer, 404},
		{"bob", "DELETE", "/v2/claims/none/manifests/v1", 404},
		{"cyd", "GET", "/v2/vision/secret/manifests/v1", 403},
		{"cyd", "POST", "/v2/vision/secret/blobs/uploads/", 403},
	} {
		if r := users[c.user].do(c.method, c.path, nil); r.status != c.status {
			t.Errorf("%s %s %s: %v, want %d", c.user, c.method, c.path, r, c.status)
		}
	}
	// What is denied looks the same whether it exists or not, byte for byte.
	there, absent := users["bob"].do("GET", "/v2/vision/secret/manifests/v1", nil), users["bob"].do("GET", "/v2/vision/none/manifests/v1", nil)
	if string(there.body) != string(absent.body) {
		t.Errorf("%s differs from %s", there.body, absent.body)
	}
	for user, want := range map[string]string{
		"ana": `{"repositories":["vision/secret","vision/shared","vision/sharedmore"]}`,
		"bob": `{"repositories":["claims/forms","vision/shared"]}`,
		"cyd": `{"repositories":[]}`,
	} {
		if r := users[user].want(users[user].do("GET", "/v2/_catalog", nil), 200, ""); string(r.body) != want {
			t.Errorf("%s sees %s, want %s", user, r.body, want)
		}
	}
}

func TestABlobIsMountedOnlyByThoseWhoMayPullIt(t *testing.T) {
	f := serve(t, tenants())
	d := string(f.pushBlob("vision/secret", []byte("weights")))
	f.pushBlob("vision/shared", []byte("shared"))
	bob := f.as("bob", "2")
	mount := func(from, d string) reply {
		return bob.do("POST", "/v2/claims/forms/blobs/uploads/?mount="+d+"&from="+from, nil)
	}
	bob.want(mount("vision/secret", d), 202, "") // as if the source had no such blob
	bob.want(mount("vision/none", d), 202, "")
	bob.want(bob.do("GET", "/v2/claims/forms/blobs/"+d, nil), 404, codeBlobUnknown)
	bob.want(mount("vision/shared", string(digestOf([]byte("shared")))), 201, "")
	bob.want(bob.do("GET", "/v2/claims/forms/blobs/"+string(digestOf([]byte("shared"))), nil), 200, "")
	bob.want(mount("../vision/shared", d), 202, "")
	bob.want(mount("vision/shared", "sha256:short"), 400, codeDigestInvalid)
}

func TestEveryRequestIsAuthenticated(t *testing.T) {
	f := serve(t, tenants())
	f.putImage("vision/app", "v1", "x")
	for _, path := range []string{"/v2/", "/v2/_catalog", "/v2/vision/app/manifests/v1", "/v2/vision/app/tags/list", "/v2/Bad/manifests/v1", "/v2/x", "/elsewhere"} {
		for name, who := range map[string]*fixture{
			"nobody":             f.anonymous(),
			"a wrong password":   f.as("ana", "2"),
			"an unknown user":    f.as("eve", "1"),
			"the local user":     f.as(LocalUser, "guess"),
			"an empty password":  f.as("ana", ""),
			"an unsigned bearer": f.anonymous(),
		} {
			var headers []string
			if name == "an unsigned bearer" {
				headers = []string{"Authorization", "Bearer " + tokenHeader + ".e30."}
			}
			r := who.do("GET", path, nil, headers...)
			if r.status != 401 || r.code() != codeUnauthorized || !strings.HasPrefix(r.header.Get("WWW-Authenticate"), `Bearer realm="`+f.url+`/token",service="apex-registry"`) {
				t.Errorf("%s, %s: %v %q", name, path, r, r.header.Get("WWW-Authenticate"))
			}
		}
	}
	f.want(f.do("GET", "/v2/vision/app/manifests/v1", nil), 200, "")
}

func TestTheChallengeAsksForWhatTheRequestNeeds(t *testing.T) {
	f := serve(t, tenants()).anonymous()
	for _, c := range []struct{ method, path, scope string }{
		{"GET", "/v2/vision/app/manifests/v1", "repository:vision/app:pull"},
		{"HEAD", "/v2/vision/app/blobs/" + string(digestOf(nil)), "repository:vision/app:pull"},
		{"PUT", "/v2/vision/app/manifests/v1", "repository:vision/app:pull,push"},
		{"POST", "/v2/vision/app/blobs/uploads/", "repository:vision/app:pull,push"},
		{"DELETE", "/v2/vision/app/manifests/v1", "repository:vision/app:delete"},
		{"GET", "/v2/_catalog", "registry:catalog:*"},
	} {
		r := f.do(c.method, c.path, nil)
		if got := r.header.Get("WWW-Authenticate"); r.status != 401 || !strings.HasSuffix(got, `,scope="`+c.scope+`"`) {
			t.Errorf("%s %s: %d %q", c.method, c.path, r.status, got)
		}
	}
}

func TestATokenGrantsNoMoreThanItsScopeItsTenantAndItsTime(t *testing.T) {
	now := clock.At(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	o := tenants()
	o.Clock = now
	f := serve(t, o)
	f.putImage("vision/app", "v1", "x")
	f.putImage("claims/app", "v1", "x")
	get := func(token, path string) int {
		return f.anonymous().do("GET", path, nil, "Authorization", "Bearer "+token).status
	}
	ana := f.as("ana", "1")
	pull := ana.token("repository:vision/app:pull,push,delete repository:claims/app:pull", "registry:catalog:*")
	for _, c := range []struct {
		name, path string
		status     int
	}{
		{"its repository", "/v2/vision/app/manifests/v1", 200},
		{"the base", "/v2/", 200},
		{"the catalog", "/v2/_catalog", 200},
		{"another repository of the same tenant", "/v2/vision/other/manifests/v1", 401},
		{"another tenant's, although it was asked for", "/v2/claims/app/manifests/v1", 401},
	} {
		if got := get(pull, c.path); got != c.status {
			t.Errorf("%s: %d, want %d", c.name, got, c.status)
		}
	}
	narrow := ana.token("repository:vision/app:pull")
	r := f.anonymous().do("POST", "/v2/vision/app/blobs/uploads/", nil, "Authorization", "Bearer "+narrow)
	if r.status != 401 || !strings.Contains(r.header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
		t.Errorf("a token to pull pushed: %v", r)
	}
	if got := get(narrow, "/v2/_catalog"); got != 401 {
		t.Errorf("catalog without its scope: %d", got)
	}
	if r := f.anonymous().do("POST", "/v2/vision/app/blobs/uploads/", nil, "Authorization", "Bearer "+pull); r.status != 202 {
		t.Errorf("a token to push did not push: %v", r)
	}
	now.Advance(4*time.Minute + 59*time.Second)
	if got := get(pull, "/v2/"); got != 200 {
		t.Errorf("one second before its end: %d", got)
	}
	now.Advance(time.Second)
	if got := get(pull, "/v2/"); got != 401 {
		t.Errorf("at its end: %d", got)
	}
}

func TestATokenLosesWhatItsPrincipalLoses(t *testing.T) {
	dir := t.TempDir()
	o := tenants()
	o.Dir = dir
	f := serve(t, o)
	f.putImage("vision/app", "v1", "x")
	token := f.as("ana", "1").token("repository:vision/app:pull")
	after := serve(t, Options{Dir: dir, Auth: staticUsers{}, Tenants: []Tenant{{Prefix: "vision/", Members: map[string]Actions{"bob": Pull}}}})
	for name, want := range map[*fixture]int{f: 200, after: 401} {
		if r := name.anonymous().do("GET", "/v2/vision/app/manifests/v1", nil, "Authorization", "Bearer "+token); r.status != want {
			t.Errorf("got %v, want %d", r, want)
		}
	}
}

func TestAForgedTokenIsRefused(t *testing.T) {
	now := clock.At(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	ours := &signer{key: []byte("our key"), service: "ours", clock: now}
	good, err := ours.sign(claims{Subject: "ana"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := ours.verify(good); err != nil || c.Subject != "ana" {
		t.Fatalf("a good token: %+v, %v", c, err)
	}
	theirs, err := (&signer{key: []byte("another key"), service: "ours", clock: now}).sign(claims{Subject: "ana"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := (&signer{key: []byte("our key"), service: "theirs", clock: now}).sign(claims{Subject: "ana"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	early, err := (&signer{key: []byte("our key"), service: "ours", clock: clock.At(now.Now().Add(time.Hour))}).sign(claims{Subject: "ana"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	for name, token := range map[string]string{
		"signed with another key":   theirs,
		"for another service":       elsewhere,
		"not yet in force":          early,
		"with alg none":             none + "." + parts[1] + ".",
		"with alg none, our sum":    none + "." + parts[1] + "." + parts[2],
		"without a sum":             parts[0] + "." + parts[1] + ".",
		"with other claims":         parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"apex","op":true}`)) + "." + parts[2],
		"with a byte more":          good + "A",
		"empty":                     "",
		"a dot":                     ".",
		"longer than tokens may be": good + strings.Repeat("A", maxToken),
	} {
		if c, err := ours.verify(token); err == nil {
			t.Errorf("a token %s was accepted: %+v", name, c)
		}
	}
}

func TestTheTokenEndpointRefusesWhatItCannotAnswer(t *testing.T) {
	f := serve(t, tenants())
	for _, c := range []struct {
		name   string
		who    *fixture
		method string
		path   string
		status int
	}{
		{"good credentials", f.as("ana", "1"), "GET", "/token?service=apex-registry", 200},
		{"no scope and no service", f.as("ana", "1"), "GET", "/token", 200},
		{"an unknown resource type grants nothing", f.as("ana", "1"), "GET", "/token?scope=plugin:x:pull", 200},
		{"no credentials", f.anonymous(), "GET", "/token", 401},
		{"wrong credentials", f.as("ana", "2"), "GET", "/token", 401},
		{"another service", f.as("ana", "1"), "GET", "/token?service=other", 400},
		{"a scope that is none", f.as("ana", "1"), "GET", "/token?scope=repository", 400},
		{"a scope that climbs", f.as("ana", "1"), "GET", "/token?scope=repository:../x:pull", 400},
		{"an unknown action", f.as("ana", "1"), "GET", "/token?scope=repository:a:own", 400},
		{"too many scopes", f.as("ana", "1"), "GET", "/token?scope=" + strings.Repeat("repository:a:pull+", maxScopes+1), 400},
		{"a post", f.as("ana", "1"), "POST", "/token", 404},
	} {
		if r := c.who.do(c.method, c.path, nil); r.status != c.status {
			t.Errorf("%s: %v, want %d", c.name, r, c.status)
		}
	}
}

func TestAnonymousPullReachesTheNamedPrefixesOnly(t *testing.T) {
	o := tenants()
	o.AnonymousPull = []string{"public/"}
	f := serve(t, o)
	f.putImage("public/app", "v1", "x")
	f.putImage("vision/app", "v1", "x")
	anon := f.anonymous()
	token := anon.token("repository:public/app:pull,push repository:vision/app:pull registry:catalog:*")
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/v2/public/app/manifests/v1", 200},
		{"GET", "/v2/vision/app/manifests/v1", 401},
		{"POST", "/v2/public/app/blobs/uploads/", 401},
		{"DELETE", "/v2/public/app/manifests/v1", 401},
	} {
		if r := anon.do(c.method, c.path, nil); r.status != c.status {
			t.Errorf("without a token: %s %s: %v", c.method, c.path, r)
		}
		if r := anon.do(c.method, c.path, nil, "Authorization", "Bearer "+token); r.status != c.status {
			t.Errorf("with an anonymous token: %s %s: %v", c.method, c.path, r)
		}
	}
	r := anon.want(anon.do("GET", "/v2/_catalog", nil, "Authorization", "Bearer "+token), 200, "")
	if string(r.body) != `{"repositories":["public/app"]}` {
		t.Errorf("strangers see %s", r.body)
	}
	anon.want(anon.do("GET", "/v2/", nil), 401, codeUnauthorized) // so that clients log in for the rest
	f.as("ana", "1").want(f.as("ana", "1").do("GET", "/v2/public/app/manifests/v1", nil), 200, "")
}

func TestOptionsThatGrantSomethingElseThanTheySayAreRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"no directory":               {},
		"a tenant of everything":     {Dir: t.TempDir(), Tenants: []Tenant{{Prefix: "", Members: map[string]Actions{"ana": Pull}}}},
		"a tenant that climbs":       {Dir: t.TempDir(), Tenants: []Tenant{{Prefix: "../", Members: map[string]Actions{"ana": Pull}}}},
		"a member without a name":    {Dir: t.TempDir(), Tenants: []Tenant{{Prefix: "a/", Members: map[string]Actions{"": Pull}}}},
		"a member without actions":   {Dir: t.TempDir(), Tenants: []Tenant{{Prefix: "a/", Members: map[string]Actions{"ana": 0}}}},
		"anonymous pull of all":      {Dir: t.TempDir(), AnonymousPull: []string{""}},
		"a service with a quote":     {Dir: t.TempDir(), Service: `a"b`},
		"a token of seconds":         {Dir: t.TempDir(), Limits: Limits{TokenLife: time.Second}},
		"a negative limit":           {Dir: t.TempDir(), Limits: Limits{Blob: -1}},
		"a directory that is a file": {Dir: "auth_test.go"},
	} {
		if r, err := New(o); err == nil {
			r.Close()
			t.Errorf("%s was accepted", name)
		}
	}
	r, err := New(Options{Dir: t.TempDir(), Tenants: tenants().Tenants, AnonymousPull: []string{"public/", "open/app"}})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
}

func FuzzParseScopes(f *testing.F) {
	for _, s := range []string{"repository:a/b:pull,push", "registry:catalog:*", "repository(plugin):a:*", "a:b:c d:e:f", "repository:host:80/a:pull", ":::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		scopes, err := parseScopes([]string{text})
		if err != nil {
			return
		}
		for _, s := range scopes {
			if s.catalog == (s.name != "") || s.name != "" && (!ValidRepository(s.name) || s.actions == 0 || s.actions&^allActions != 0) {
				t.Errorf("%q parsed as %+v", text, s)
			}
		}
	})
}

func FuzzVerifyToken(f *testing.F) {
	now := clock.At(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := &signer{key: []byte("key"), service: "s", clock: now}
	good, err := s.sign(claims{Subject: "ana"}, time.Minute)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(tokenHeader + ".e30.e30")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := s.verify(token); err == nil && token != good {
			t.Errorf("%q was accepted", token)
		}
	})
}
