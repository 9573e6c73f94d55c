package cache_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/cache"
	"github.com/apexlogic/apex/verdict"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// door accepts what begins with "good", and counts how often it is asked.
type door struct {
	asked, generation atomic.Uint64
	until             time.Time
	between           func()
}

func (d *door) Generation() uint64 { return d.generation.Load() }

func (d *door) Recognises(p *identity.Principal) bool { return p.ID == "ada" }

func (d *door) Authenticate(_ context.Context, c *identity.Credentials) (*identity.Principal, error) {
	d.asked.Add(1)
	if d.between != nil {
		d.between()
	}
	if c.Bearer != "" && len(c.Peer) > 0 {
		return nil, identity.Refuse(verdict.IdentityAmbiguous, "two")
	}
	if c.Bearer != "" && !strings.HasPrefix(c.Bearer, "good") {
		return nil, identity.Refuse(verdict.IdentitySignature, "no")
	}
	return &identity.Principal{ID: "ada", NotAfter: d.until}, nil
}

func TestWhoIsRecognisedIsSaidByWhoIsBehind(t *testing.T) {
	k := cache.New(&door{until: noon.Add(time.Hour)}, clock.At(noon), 100)
	if !k.Recognises(&identity.Principal{ID: "ada"}) || k.Recognises(&identity.Principal{ID: "bob"}) {
		t.Error("the cache recognises somebody else than the authenticator behind")
	}
}

func TestAnAnswerIsKeptOnlyWhileItHolds(t *testing.T) {
	bearer := func(s string) *identity.Credentials { return &identity.Credentials{Bearer: s} }
	peer := func(s string) *identity.Credentials {
		return &identity.Credentials{Peer: []*x509.Certificate{{Raw: []byte(s)}}}
	}
	long := "good" + strings.Repeat("x", 4<<10)
	for _, tt := range []struct {
		name          string
		life          time.Duration // of the credential
		first, second *identity.Credentials
		between       func(*door, *clock.Fixed)
		asked         uint64
	}{
		{"the same token", time.Hour, bearer("good"), bearer("good"), nil, 1},
		{"the same long token", time.Hour, bearer(long), bearer(long), nil, 1},
		{"the same certificate", time.Hour, peer("a"), peer("a"), nil, 1},
		{"another token", time.Hour, bearer("good1"), bearer("good2"), nil, 2},
		{"a long token with another end", time.Hour, bearer(long), bearer(long + "y"), nil, 2},
		{"another certificate", time.Hour, peer("a"), peer("b"), nil, 2},
		{"a token that is refused", time.Hour, bearer("bad"), bearer("bad"), nil, 2},
		{"two credentials", time.Hour, bearer("good"), &identity.Credentials{Bearer: "good", Peer: peer("a").Peer}, nil, 2},
		{"just before its minute ends", time.Hour, bearer("good"), bearer("good"), func(_ *door, c *clock.Fixed) { c.Advance(cache.Life - 1) }, 1},
		{"after its minute", time.Hour, bearer("good"), bearer("good"), func(_ *door, c *clock.Fixed) { c.Advance(cache.Life) }, 2},
		{"just before it expires", 10 * time.Second, bearer("good"), bearer("good"), func(_ *door, c *clock.Fixed) { c.Advance(10*time.Second - 1) }, 1},
		{"when it has expired", 10 * time.Second, bearer("good"), bearer("good"), func(_ *door, c *clock.Fixed) { c.Advance(10 * time.Second) }, 2},
		{"after trust has changed", time.Hour, bearer("good"), bearer("good"), func(d *door, _ *clock.Fixed) { d.generation.Add(1) }, 2},
		{"after the clock was set back", time.Hour, bearer("good"), bearer("good"), func(_ *door, c *clock.Fixed) { c.Advance(-time.Second) }, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := clock.At(noon)
			d := &door{until: noon.Add(tt.life)}
			k := cache.New(d, now, 1000)
			k.Authenticate(t.Context(), tt.first)
			if tt.between != nil {
				tt.between(d, now)
			}
			k.Authenticate(t.Context(), tt.second)
			if got := d.asked.Load(); got != tt.asked {
				t.Errorf("asked %d times, want %d", got, tt.asked)
			}
		})
	}
}

func TestAnAnswerThatWasMadeWhileTrustChangedIsNotKept(t *testing.T) {
	d := &door{until: noon.Add(time.Hour)}
	d.between = func() { d.generation.Add(1) }
	k := cache.New(d, clock.At(noon), 1000)
	for range 3 {
		k.Authenticate(t.Context(), &identity.Credentials{Bearer: "good"})
	}
	if got := d.asked.Load(); got != 3 {
		t.Errorf("asked %d times", got)
	}
}

func TestTheCacheStaysBounded(t *testing.T) {
	d := &door{until: noon.Add(time.Hour)}
	k := cache.New(d, clock.At(noon), 640)
	for i := range 10_000 {
		if _, err := k.Authenticate(t.Context(), &identity.Credentials{Bearer: fmt.Sprint("good", i)}); err != nil {
			t.Fatal(err)
		}
		k.Authenticate(t.Context(), &identity.Credentials{Bearer: fmt.Sprint("bad", i)})
	}
	if n := k.Len(); n > 640 || n < 320 {
		t.Errorf("%d answers are kept", n)
	}
}

func TestManyMayAskAtOnce(t *testing.T) {
	d := &door{until: noon.Add(time.Hour)}
	k := cache.New(d, clock.At(noon), 64)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 500 {
				p, err := k.Authenticate(t.Context(), &identity.Credentials{Bearer: fmt.Sprint("good", i%100)})
				if err != nil || p.ID != "ada" {
					t.Errorf("%v, %v", p, err)
				}
				_, err = k.Authenticate(t.Context(), &identity.Credentials{Bearer: "bad"})
				if _, ok := errors.AsType[*identity.Refusal](err); !ok {
					t.Errorf("%v", err)
				}
			}
		})
	}
	wg.Wait()
}
