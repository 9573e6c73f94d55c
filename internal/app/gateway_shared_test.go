package app

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/apexlogic/apex/internal/clock"
)

// openRoute lets everybody in, so that a test can ask without an identity.
const openRoute = `apiVersion: security.apexlogic.com/v1alpha1
kind: ProtectedRoute
metadata: {name: captioner}
spec:
  hosts: [captioner.example]
  api: OpenAI
  upstream: {url: "%s", tls: Plaintext}
  anonymous: true
  allow:
    - {identities: [anonymous], actions: [infer, list]}
  models:
    - {name: captioner}
  limits: {requests: %d}
`

// list asks a gateway for its models, as nobody.
func (s *served) list(t testing.TB) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.address+"/v1/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "captioner.example"
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestTwoGatewaysShareOneLimitAndFallBackToTheirShare(t *testing.T) {
	store := miniredis.RunT(t)
	store.RequireAuth("open sesame")
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("open sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	policies := t.TempDir()
	put(t, policies, "route.yaml", fmt.Sprintf(openRoute, inference(t).URL, 8))
	o := GatewayOptions{Config: policies, Clock: clock.At(time.Now()), Limits: SharedLimits{URL: "redis://" + store.Addr(), PasswordFile: password, Within: 20 * time.Second}}
	a, b := serveGateway(t, o), serveGateway(t, o)
	counted := func(key string) bool {
		for _, k := range store.Keys() {
			if strings.HasPrefix(k, key) {
				return true
			}
		}
		return false
	}
	// Who has spoken three times has read the answer to the second, which counts both.
	spoken := map[string]map[float64]bool{}
	heard := func() bool {
		members, _ := store.ZMembers("apex:limit:gateways")
		both := len(members) == 2
		for _, m := range members {
			if spoken[m] == nil {
				spoken[m] = map[float64]bool{}
			}
			at, _ := store.ZScore("apex:limit:gateways", m)
			if len(members) == 2 {
				spoken[m][at] = true
			}
			both = both && len(spoken[m]) >= 3
		}
		return both
	}
	for deadline := time.Now().Add(5 * time.Minute); !heard(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the gateways do not share the store")
		}
	}
	now := time.Now()
	store.SetTime(now) // nothing comes back while the test runs
	allowed := 0
	for range 8 {
		for _, g := range []*served{a, b} {
			if status := g.list(t); status == 200 {
				allowed++
			} else if status != 429 {
				t.Fatal(status)
			}
		}
	}
	if !counted("apex:limit:requests:") || allowed != 8 {
		t.Errorf("%d of 16 requests were allowed, 8 a minute are", allowed)
	}
	// One comes back, and no gateway is taken for dead yet.
	store.SetTime(now.Add(10 * time.Second))
	if status := a.list(t); status != 200 {
		t.Errorf("ten seconds later: %d", status)
	}
	store.Close()
	allowed = 0
	for range 20 {
		if a.list(t) == 200 {
			allowed++
		}
	}
	if allowed != 4 { // time stands still for the gateways, too
		t.Errorf("%d requests were allowed without the store, a share of 8 is 4", allowed)
	}
}

func TestAPasswordForNoStoreIsRefused(t *testing.T) {
	err := Gateway(t.Context(), GatewayOptions{
		Config: t.TempDir(), State: t.TempDir(), Address: "127.0.0.1:0", HealthAddress: "127.0.0.1:0", Limits: SharedLimits{PasswordFile: "password"},
	})
	if err == nil || !strings.Contains(err.Error(), "--limits") {
		t.Error(err)
	}
}
