package exchange_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity/attest"
	"github.com/apexlogic/apex/internal/identity/ca"
	"github.com/apexlogic/apex/internal/identity/exchange"
	"github.com/apexlogic/apex/verdict"
)

const (
	childDir   = "APEX_TEST_EXCHANGE_DIR"
	childToken = "APEX_TEST_EXCHANGE_TOKEN"
)

// TestMain is an exchange that kills itself when it has taken a token and is about
// to answer, when the variable names its directory.
func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	var t testing.T
	w := worldIn(&t, dir, 1000, func(context.Context, ca.Issued) error {
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	})
	body := text(map[string]any{"kind": "join", "evidence": os.Getenv(childToken), "csr": request(&t)})
	w.post("/v1/svid/x509", "application/json", body, nil)
	fmt.Println("it lives")
}

// worldIn is a world whose state is in a directory, for who comes after it.
func worldIn(t *testing.T, dir string, perMinute int, record func(context.Context, ca.Issued) error) *world {
	w := &world{t: t, clock: clock.At(noon)}
	var err error
	if w.tokens, err = attest.OpenJoinTokens(filepath.Join(dir, "join"), w.clock); err != nil {
		panic(err)
	}
	if w.authority, err = ca.Open(filepath.Join(dir, "ca"), domain, w.clock); err != nil {
		panic(err)
	}
	entries, err := attest.NewEntries(domain, attest.Entry{ID: intake, Selectors: []attest.Selector{"join:name:intake"}})
	if err != nil {
		panic(err)
	}
	h, err := exchange.New(exchange.Options{
		Authority: w.authority, Attestor: func(string) attest.Attestor { return w.tokens }, Entries: func() *attest.Entries { return entries },
		Life: ca.MinLife, PerMinute: perMinute, Clock: w.clock, Record: record,
	})
	if err != nil {
		panic(err)
	}
	w.server = httptest.NewTLSServer(h)
	return w
}

func TestAJoinTokenIsUsedUpWhenTheExchangeIsKilledBeforeItAnswers(t *testing.T) {
	dir := t.TempDir()
	tokens, err := attest.OpenJoinTokens(filepath.Join(dir, "join"), clock.At(noon))
	if err != nil {
		t.Fatal(err)
	}
	used, err := tokens.New("intake", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := tokens.New("intake", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir, childToken+"="+used)
	out, err := child.CombinedOutput()
	status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the exchange was not killed: %v, %s", err, out)
	}
	after := worldIn(t, dir, 1000, func(context.Context, ca.Issued) error { return nil })
	t.Cleanup(func() { after.server.Close(); after.authority.Close() })
	for _, tt := range []struct {
		name, token string
		status      int
		code        verdict.Code
	}{{"the one that was shown", used, 403, verdict.IdentityAttestation}, {"the other one", kept, 200, ""}} {
		var c exchange.Certificate
		if status, code := after.post("/v1/svid/x509", "application/json", text(map[string]any{"kind": "join", "evidence": tt.token, "csr": request(t)}), &c); status != tt.status || code != tt.code {
			t.Errorf("%s: %d %s, want %d %s", tt.name, status, code, tt.status, tt.code)
		}
	}
}
