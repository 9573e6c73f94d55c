package fetch_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity/attest"
	"github.com/apexlogic/apex/internal/identity/ca"
	"github.com/apexlogic/apex/internal/identity/fetch"
	"github.com/apexlogic/apex/internal/identity/workload"
)

// socket serves the Workload API to this process, which may have these identities.
func socket(t *testing.T, paths ...string) fetch.Socket {
	t.Helper()
	domain := spiffeid.RequireTrustDomainFromString("claims.example")
	authority, err := ca.Open(filepath.Join(t.TempDir(), "ca"), domain, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	var all []attest.Entry
	for _, path := range paths {
		all = append(all, attest.Entry{ID: spiffeid.RequireFromPath(domain, path), Selectors: []attest.Selector{attest.Selector("unix:uid:" + strconv.Itoa(os.Getuid()))}})
	}
	entries, err := attest.NewEntries(domain, all...)
	if err != nil {
		t.Fatal(err)
	}
	s, err := workload.New(workload.Options{
		Authority: authority, Entries: func() *attest.Entries { return entries }, Life: ca.MinLife, PerMinute: 60_000, Clock: clock.System{},
		Record: func(context.Context, ca.Issued) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "a") // a socket's path may have some hundred bytes only
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "agent.sock")
	l, err := workload.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		authority.Close()
		os.RemoveAll(dir)
	})
	return fetch.Socket("unix://" + path)
}

func TestASocketGivesTheIdentityThatIsAskedFor(t *testing.T) {
	one, two, none := socket(t, "/intake"), socket(t, "/intake", "/report"), socket(t)
	const intake = "spiffe://claims.example/intake"
	for _, tt := range []struct {
		name   string
		socket fetch.Socket
		id     string
		says   string // of the refusal; "" when it is given
	}{
		{"the only one", one, "", ""},
		{"the only one, by its name", one, intake, ""},
		{"one of two, by its name", two, intake, ""},
		{"one of two", two, "", "ask for one by its SPIFFE ID (--id)"},
		{"another one", two, "spiffe://claims.example/admin", "may not have the identity"},
		{"nobody's", none, "", "no entry names this process"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := tt.socket.Certificate(t.Context(), tt.id)
			var token *fetch.Token
			if err == nil {
				token, err = tt.socket.Token(t.Context(), tt.id, []string{"captioner"})
			}
			if tt.says == "" {
				if err != nil || c.ID != intake || token.ID != intake || len(c.Bundle) != 1 {
					t.Fatal(c, err)
				}
				return
			}
			if _, refused := errors.AsType[*fetch.Refused](err); !refused || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want a refusal with %q", err, tt.says)
			}
		})
	}
	if b, err := one.Bundle(t.Context()); err != nil || !strings.Contains(string(b), "jwt-svid") {
		t.Errorf("%s %v", b, err)
	}
	if _, err := one.Token(t.Context(), "", nil); err == nil || !strings.Contains(err.Error(), "needs an audience") {
		t.Error("a token for everybody:", err)
	}
	if _, err := one.Token(t.Context(), "claims", []string{"captioner"}); err == nil {
		t.Error("a token of what is no SPIFFE ID")
	}
}
