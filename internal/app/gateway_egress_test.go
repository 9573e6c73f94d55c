package app

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gateway/egress"
	"github.com/apexlogic/apex/internal/gateway/fetch/address"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/verdict"
)

// names answers for the domain name system.
type names map[string]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if a, ok := n[host]; ok {
		return []netip.Addr{netip.MustParseAddr(a)}, nil
	}
	return nil, &net.DNSError{Name: host, IsNotFound: true}
}

const wayOut = `apiVersion: security.apexlogic.com/v1alpha1
kind: AccessPolicy
metadata: {name: out}
spec:
  cedar: |
    @id("weights") permit(principal == Workload::"spiffe://claims.example/intake", action == Action::"egress", resource) when { [Host::"weights.example", Host::"weights.example:8443", Host::"inside.example"].contains(resource) };
    @id("never") forbid(principal, action == Action::"egress", resource == Host::"weights.example:8443");
`

func TestWorkloadsReachOutsideWhatPoliciesPermit(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake, other := caller(t, bundles, "/intake"), workload(t, bundles, "mesh.example", "/other")
	put(t, dir, "out.yaml", wayOut)
	release := make(chan struct{})
	host := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begun\n")
		w.(http.Flusher).Flush()
		if r.URL.Path == "/long" {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	}))
	defer host.Close()
	defer close(release)
	o := GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles, Egress: Egress{Address: "127.0.0.1:0", dialer: &address.Dialer{
		Resolver: names{"weights.example.": "93.184.216.34", "other.example.": "93.184.216.34", "inside.example.": "10.0.0.5"},
		Connect: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, host.Listener.Addr().String())
		},
	}}}
	at := doorsOf(&o)
	s := serveGateway(t, o)
	through := func(id *own.Identity, token string) *http.Client {
		tr := &http.Transport{TLSClientConfig: shows(id), Proxy: http.ProxyURL(&url.URL{Scheme: "https", Host: at(doorEgress)})}
		if token != "" {
			tr.ProxyConnectHeader = http.Header{"Proxy-Authorization": {"Bearer " + token}}
		}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr}
	}
	token, err := intake.Token("spiffe://vision.example/apex/gateway")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := intake.Token("captioner")
	if err != nil {
		t.Fatal(err)
	}
	get := func(c *http.Client, to string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Do(r)
	}
	for _, tc := range []struct {
		name string
		as   *http.Client
		to   string
		says string // of the refusal; "" when it is reached
	}{
		{"what is permitted, by a certificate", through(intake, ""), "https://weights.example/model", ""},
		{"what is permitted, by a token", through(nil, token), "https://weights.example/model", ""},
		{"a token for somebody else", through(nil, elsewhere), "https://weights.example/model", "Proxy Authentication Required"},
		{"nobody", through(nil, ""), "https://weights.example/model", "Proxy Authentication Required"},
		{"somebody else", through(other, ""), "https://weights.example/model", "Forbidden"},
		{"a host that no policy names", through(intake, ""), "https://other.example/model", "Forbidden"},
		{"a port that is forbidden", through(intake, ""), "https://weights.example:8443/model", "Forbidden"},
		{"a port that no policy names", through(intake, ""), "https://weights.example:9443/model", "Forbidden"},
		{"a name of a private address", through(intake, ""), "https://inside.example/", "Forbidden"},
	} {
		answer, err := get(tc.as, tc.to)
		if err == nil {
			answer.Body.Close()
		}
		if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.says)
		}
	}
	long, err := get(through(intake, ""), "https://weights.example/long")
	if err != nil {
		t.Fatal(err)
	}
	defer long.Body.Close()
	if _, err := io.ReadFull(long.Body, make([]byte, len("begun\n"))); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "revocation.yaml", "apiVersion: security.apexlogic.com/v1alpha1\nkind: Revocation\nmetadata: {name: r}\nspec:\n  reason: it was stolen, INC-1\n  identity: {issuer: \"spiffe://claims.example\", subject: /intake}\n")
	if _, err := io.Copy(io.Discard, long.Body); err == nil {
		t.Error("the tunnel of a revoked identity went on to its end")
	}
	s.wait(t, func(h config.Health) bool { return h.OK() && h.Generation != s.now })
	if _, err := get(through(intake, ""), "https://weights.example/model"); err == nil {
		t.Error("a revoked identity opened a new tunnel")
	}
	codes := map[string]int{}
	opened := 0
	for _, r := range egressRecords(t, s) {
		codes[r.Event+" "+r.Code]++
		if r.Event == egress.Opened && r.Allowed {
			opened++
			if r.Principal != "spiffe://claims.example/intake" || r.Host != "weights.example" || r.Generation == "" || len(r.Policies) != 1 || !strings.Contains(r.Policies[0], "weights") {
				t.Errorf("%+v", r)
			}
		}
	}
	for code, n := range map[verdict.Code]int{verdict.EgressDestination: 3, verdict.AccessForbidden: 1, verdict.AddressSpecial: 1, verdict.IdentityRevoked: 1} {
		if codes["opened "+string(code)] != n {
			t.Errorf("%d refusals with %s, want %d: %v", codes["opened "+string(code)], code, n, codes)
		}
	}
	if opened != 3 || codes["closed "+string(verdict.IdentityRevoked)] != 1 {
		t.Errorf("%d tunnels were opened: %v", opened, codes)
	}
}

// egressRecords are those of a gateway, which ends.
func egressRecords(t *testing.T, s *served) (all []egress.Record) {
	t.Helper()
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), filepath.Join(s.state, "ledger", roleGateway), ledger.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for e, err := range l.Records(t.Context(), ledger.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == egress.RecordSchema {
			var r egress.Record
			if err := json.NewDecoder(bytes.NewReader(e.Data)).Decode(&r); err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
	}
	return all
}
