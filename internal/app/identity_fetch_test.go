package app

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity/fetch"
	"github.com/apexlogic/apex/internal/identity/own"
)

// issuing gives certificates of ten minutes, or fails.
type issuing struct {
	IdentitySource
	id    *own.Identity
	fails atomic.Pointer[error]
	mu    sync.Mutex
	asked []string // the identities that were asked for
}

func (s *issuing) Certificate(_ context.Context, id string) (*fetch.Certificate, error) {
	s.mu.Lock()
	s.asked = append(s.asked, id)
	s.mu.Unlock()
	if err := s.fails.Load(); err != nil {
		return nil, *err
	}
	shown, err := s.id.Certificate()
	if err != nil {
		return nil, err
	}
	return &fetch.Certificate{
		ID: "spiffe://claims.example/intake", Chain: []*x509.Certificate{shown.Leaf}, Bundle: s.id.CA.Bundle().X509Authorities(),
		Key: shown.PrivateKey.(crypto.Signer), Expires: shown.Leaf.NotAfter,
	}, nil
}

// fits returns the certificate in a folder, whose key has to fit.
func fits(t *testing.T, dir string) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "svid.pem"), filepath.Join(dir, "svid.key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf.SerialNumber.String()
}

func TestACertificateIsKeptRenewedUntilItIsStopped(t *testing.T) {
	home := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		id, err := own.Open(filepath.Join(home, "ca"), "claims.example", "/intake", clock.System{})
		if err != nil {
			t.Fatal(err)
		}
		defer id.Close()
		s, dir := &issuing{id: id}, filepath.Join(home, "intake")
		ctx, stop := context.WithCancel(t.Context())
		var told []error
		settled := func() { // what is told and what is read of it follow each other
			s.mu.Lock()
			defer s.mu.Unlock()
		}
		done := make(chan error, 1)
		go func() {
			done <- KeepCertificate(ctx, s, "", dir, clock.System{}, func(_ *FetchedCertificate, err error) {
				s.mu.Lock()
				defer s.mu.Unlock()
				told = append(told, err)
			})
		}()
		synctest.Wait()
		first := fits(t, dir)
		if info, err := os.Stat(filepath.Join(dir, "svid.key")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("others may read the key: %v %v", info.Mode(), err)
		}
		life := 10 * time.Minute
		settled()
		time.Sleep(life/2 - time.Second)
		synctest.Wait()
		settled()
		if len(told) != 1 {
			t.Fatalf("it is asked for %d times before half of its life", len(told))
		}
		settled()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		settled()
		second := fits(t, dir)
		if len(told) != 2 || second == first || !slices.Equal(s.asked, []string{"", "spiffe://claims.example/intake"}) {
			t.Fatalf("it is not renewed: %v %v", told, s.asked)
		}
		// What was written stays while nobody gives another one, and it is asked again.
		down := errors.New("nobody there")
		s.fails.Store(&down)
		settled()
		time.Sleep(life)
		synctest.Wait()
		settled()
		if n := len(told); n < 6 || n > 12 || told[n-1] == nil || fits(t, dir) != second {
			t.Fatalf("asked %d times in ten minutes: %v", n, told)
		}
		s.fails.Store(nil)
		settled()
		time.Sleep(askAgainAtMost)
		synctest.Wait()
		settled()
		if told[len(told)-1] != nil || fits(t, dir) == second {
			t.Error("it is not renewed once it can be")
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 3 {
			t.Errorf("something else lies there: %v %v", left, err)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestAFirstCertificateThatCannotBeHadIsAnError(t *testing.T) {
	s, no := &issuing{}, error(&fetch.Refused{Detail: "no"})
	s.fails.Store(&no)
	err := KeepCertificate(t.Context(), s, "", t.TempDir(), clock.System{}, func(*FetchedCertificate, error) { t.Error("told of none") })
	if _, refused := errors.AsType[*IdentityRefused](err); !refused {
		t.Error(err)
	}
}
