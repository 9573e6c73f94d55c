package app

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	attestation "github.com/apexlogic/apex/internal/identity/attest"
	"github.com/apexlogic/apex/internal/identity/ca"
)

func TestDocumentsSayWhoIsGivenWhat(t *testing.T) {
	authority, err := ca.Open(filepath.Join(t.TempDir(), "ca"), spiffeid.RequireTrustDomainFromString("claims.example"), clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	defer authority.Close()
	r := &registrar{ca: authority, clock: clock.System{}}
	const issuer = "https://token.example"
	for _, tt := range []struct {
		name, documents string
		established     []attestation.Selector
		ids             string // that they give
		counts          [3]int // given, revoked, elsewhere
		tokens          bool   // an issuer's are judged
		says            string // of what is wrong
	}{
		{"nobody", revocation("/intake"), []attestation.Selector{"unix:uid:0"}, "", [3]int{}, false, ""},
		{"a user", entry("intake", "unix: {uid: 1001}"), []attestation.Selector{"unix:uid:1001", "unix:gid:7"}, "spiffe://claims.example/intake", [3]int{1}, false, ""},
		{"another user", entry("intake", "unix: {uid: 1001}"), []attestation.Selector{"unix:uid:1002"}, "", [3]int{1}, false, ""},
		{"all that is said has to hold", entry("intake", "unix: {uid: 1001, path: /bin/intake}"), []attestation.Selector{"unix:uid:1001"}, "", [3]int{1}, false, ""},
		{"a Pod", entry("intake", "kubernetes: {namespace: claims, serviceAccount: intake}"), []attestation.Selector{"k8s:ns:claims", "k8s:sa:intake", "k8s:pod:a"}, "spiffe://claims.example/intake", [3]int{1}, false, ""},
		{"a Pod of another namespace", entry("intake", "kubernetes: {namespace: claims, serviceAccount: intake}"), []attestation.Selector{"k8s:ns:other", "k8s:sa:intake"}, "", [3]int{1}, false, ""},
		{"a role", entry("intake", "aws: {account: \"123456789012\", role: resize}"), []attestation.Selector{"aws:account:123456789012", "aws:role:resize"}, "spiffe://claims.example/intake", [3]int{1}, false, ""},
		{"a token, for our audience where it says none", entry("intake", "oidc: {issuer: \""+issuer+"\", subject: ci}"), []attestation.Selector{"oidc:iss:" + issuer, "oidc:sub:ci", "oidc:aud:spiffe://claims.example"}, "spiffe://claims.example/intake", [3]int{1}, true, ""},
		{"a token for somebody else", entry("intake", "oidc: {issuer: \""+issuer+"\", subject: ci}"), []attestation.Selector{"oidc:iss:" + issuer, "oidc:sub:ci", "oidc:aud:sts.amazonaws.com"}, "", [3]int{1}, true, ""},
		{"a token for the audience that it says", entry("intake", "oidc: {issuer: \""+issuer+"\", subject: ci, audience: sts.amazonaws.com}"), []attestation.Selector{"oidc:iss:" + issuer, "oidc:sub:ci", "oidc:aud:sts.amazonaws.com"}, "spiffe://claims.example/intake", [3]int{1}, true, ""},
		{"claims of a token", entry("intake", "oidc: {issuer: \""+issuer+"\", claims: {ref: main, repository: a/b}}"), []attestation.Selector{"oidc:iss:" + issuer, "oidc:aud:spiffe://claims.example", "oidc:claim:ref=main", "oidc:claim:repository=a/b"}, "spiffe://claims.example/intake", [3]int{1}, true, ""},
		{"two identities", entry("intake", "unix: {uid: 1001}") + "---\n" + entry("other", "unix: {gid: 7}"), []attestation.Selector{"unix:uid:1001", "unix:gid:7"}, "spiffe://claims.example/intake spiffe://claims.example/other", [3]int{2}, false, ""},
		{"one of two is revoked", entry("intake", "unix: {uid: 1001}") + "---\n" + entry("other", "unix: {gid: 7}") + "---\n" + revocation("/intake"), []attestation.Selector{"unix:uid:1001", "unix:gid:7"}, "spiffe://claims.example/other", [3]int{1, 1}, false, ""},
		{"the whole trust domain is revoked", entry("intake", "unix: {uid: 1001}") + "---\n" + revocation("\"*\""), []attestation.Selector{"unix:uid:1001"}, "", [3]int{0, 1}, false, ""},
		{"the issuer of its evidence is revoked", entry("intake", "oidc: {issuer: \""+issuer+"\", subject: ci}") + "---\n" + strings.Replace(revocation("\"*\""), "claims.example", issuer, 1), []attestation.Selector{"oidc:iss:" + issuer, "oidc:sub:ci", "oidc:aud:spiffe://claims.example"}, "", [3]int{0, 1}, false, ""},
		{"the subject of its evidence is revoked", entry("intake", "oidc: {issuer: \""+issuer+"\", subject: ci}") + "---\n" + strings.Replace(revocation("ci"), "claims.example", issuer, 1), []attestation.Selector{"oidc:iss:" + issuer, "oidc:sub:ci", "oidc:aud:spiffe://claims.example"}, "", [3]int{0, 1}, false, ""},
		{"another subject of its issuer is revoked", entry("intake", "oidc: {issuer: \""+issuer+"\", subject: ci}") + "---\n" + strings.Replace(revocation("cd"), "claims.example", issuer, 1), []attestation.Selector{"oidc:iss:" + issuer, "oidc:sub:ci", "oidc:aud:spiffe://claims.example"}, "spiffe://claims.example/intake", [3]int{1}, true, ""},
		{"another trust domain's", strings.Replace(entry("intake", "unix: {uid: 1001}"), "claims.example", "vision.example", 1), []attestation.Selector{"unix:uid:1001"}, "", [3]int{0, 0, 1}, false, ""},
		{"a claim that no token can be held to", entry("intake", "oidc: {issuer: \""+issuer+"\", claims: {\"a=b\": c}}"), nil, "", [3]int{}, false, "is none that a token can be held to"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set, err := config.Load(t.Context(), config.Bytes("f", []byte(tt.documents)))
			if err == nil {
				err = set.Err()
			}
			if err != nil {
				t.Fatal(err)
			}
			made, err := r.compile(set)
			if tt.says != "" {
				if invalid, is := errors.AsType[*config.Invalid](err); !is || !strings.Contains(invalid.Error(), tt.says) {
					t.Fatalf("%v, want %q", err, tt.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, id := range made.entries.Match(tt.established) {
				ids = append(ids, id.String())
			}
			if got := strings.Join(ids, " "); got != tt.ids || [3]int{made.given, made.revoked, made.elsewhere} != tt.counts || (made.oidc != nil) != tt.tokens {
				t.Errorf("%q %+v, want %q %v %v", got, made, tt.ids, tt.counts, tt.tokens)
			}
		})
	}
}

// Keys that were fetched from an issuer outlive a change of who is given what.
func TestIssuersThatAreAskedTheSameAreKept(t *testing.T) {
	authority, err := ca.Open(filepath.Join(t.TempDir(), "ca"), spiffeid.RequireTrustDomainFromString("claims.example"), clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	defer authority.Close()
	r := &registrar{ca: authority, clock: clock.System{}}
	compile := func(documents string) {
		t.Helper()
		set, err := config.Load(t.Context(), config.Bytes("f", []byte(documents)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.compile(set); err != nil {
			t.Fatal(err)
		}
	}
	ci := entry("intake", `oidc: {issuer: "https://token.example", subject: ci}`)
	compile(ci)
	before := r.known
	compile(ci + "---\n" + entry("other", "unix: {uid: 1}"))
	for name, p := range before {
		if r.known[name] != p {
			t.Error("an issuer is forgotten by a change that does not concern it")
		}
	}
	compile(entry("other", "unix: {uid: 1}"))
	if len(r.known) != 0 {
		t.Error("an issuer that nobody names is kept")
	}
}
