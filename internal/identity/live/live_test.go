package live_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/live"
	"github.com/apexlogic/apex/verdict"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// endedBy returns the code that something was ended with; "" while it runs.
func endedBy(r *live.Run) verdict.Code {
	e, _ := errors.AsType[*live.Ended](context.Cause(r.Context()))
	if e == nil {
		return ""
	}
	return e.Code
}

func TestWhatIsRevokedEndsBeforeUseReturnsAndNothingElseDoes(t *testing.T) {
	key := sha256.Sum256([]byte("a key"))
	ada := &identity.Principal{ID: "https://id.example#ada", Issuer: "https://id.example", Keys: [][32]byte{sha256.Sum256(nil), key}}
	intake := &identity.Principal{ID: "spiffe://claims.example/intake", Issuer: "claims.example"}
	for _, tt := range []struct {
		name    string
		revoked *live.Revoked
		ended   [4]verdict.Code // ada, intake, nobody with a model, nobody
	}{
		{"nothing", &live.Revoked{}, [4]verdict.Code{}},
		{"nil", nil, [4]verdict.Code{}},
		{"a person", &live.Revoked{Principals: map[string]bool{ada.ID: true}}, [4]verdict.Code{verdict.IdentityRevoked}},
		{"another spelling of her", &live.Revoked{Principals: map[string]bool{ada.ID + " ": true}}, [4]verdict.Code{}},
		{"a trust domain", &live.Revoked{Issuers: map[string]bool{"claims.example": true}}, [4]verdict.Code{1: verdict.IdentityRevoked}},
		{"another trust domain", &live.Revoked{Issuers: map[string]bool{"example": true}}, [4]verdict.Code{}},
		{"a key", &live.Revoked{Keys: map[[32]byte]bool{key: true}}, [4]verdict.Code{verdict.IdentityRevoked}},
		{"another key", &live.Revoked{Keys: map[[32]byte]bool{{1}: true}}, [4]verdict.Code{}},
		{"a model", &live.Revoked{Digests: map[string]bool{"sha256:a": true}}, [4]verdict.Code{2: verdict.Revoked}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := live.New(clock.At(noon))
			about := [4]live.About{{Principal: ada}, {Principal: intake, Digest: "sha256:b"}, {Digest: "sha256:a"}, {}}
			var runs [4]*live.Run
			for i := range about {
				runs[i] = l.Begin(t.Context(), about[i])
				defer runs[i].Done()
			}
			watch := make(chan *live.Ended, 1)
			defer l.Watch(ada, nil, func(why *live.Ended) { watch <- why })()
			l.Use(tt.revoked)
			for i := range runs {
				late := l.Begin(t.Context(), about[i]) // allowed a moment before
				if endedBy(runs[i]) != tt.ended[i] || endedBy(late) != tt.ended[i] {
					t.Errorf("%d: %q, begun later %q, want %q", i, endedBy(runs[i]), endedBy(late), tt.ended[i])
				}
				late.Done()
			}
			if tt.ended[0] != "" {
				if why := <-watch; why.Code != tt.ended[0] {
					t.Errorf("a watch is told %s", why.Code)
				}
			}
			if why := l.Why(ada); (why != nil) != (tt.ended[0] != "") {
				t.Errorf("asked beforehand: %v", why)
			}
			l.Use(&live.Revoked{})
			again := l.Begin(t.Context(), about[0])
			defer again.Done()
			if endedBy(again) != "" {
				t.Error("what is not revoked any more does not begin")
			}
		})
	}
}

// permit holds until it is told not to.
type permit struct{ off atomic.Bool }

func (p *permit) Still() *live.Ended {
	if p.off.Load() {
		return &live.Ended{Code: verdict.AccessDenied, Detail: "it was taken back"}
	}
	return nil
}

func TestAReviewEndsWhatIsNotPermittedAnyMoreAndNothingElse(t *testing.T) {
	l := live.New(clock.At(noon))
	var kept, taken permit
	runs := [3]*live.Run{l.Begin(t.Context(), live.About{Permit: &kept}), l.Begin(t.Context(), live.About{Permit: &taken}), l.Begin(t.Context(), live.About{})}
	told := make(chan *live.Ended, 2)
	ada := &identity.Principal{ID: "https://id.example#ada", NotAfter: noon} // that it expires is for others to see
	defer l.Watch(ada, &taken, func(why *live.Ended) { told <- why })()
	stop := l.Watch(ada, &taken, func(*live.Ended) { t.Error("it is told what it does not wait for any more") })
	before := l.Reviews()
	l.Review()
	if n := l.Reviews(); n != before+1 || endedBy(runs[1]) != "" {
		t.Fatal("a review ends what is permitted", n, endedBy(runs[1]))
	}
	stop()
	taken.off.Store(true)
	if endedBy(runs[1]) != "" {
		t.Fatal("it ended by itself")
	}
	l.Review()
	for i, want := range []verdict.Code{"", verdict.AccessDenied, ""} {
		if endedBy(runs[i]) != want {
			t.Errorf("%d: %q, want %q", i, endedBy(runs[i]), want)
		}
		runs[i].Done()
	}
	if why := <-told; why.Code != verdict.AccessDenied {
		t.Error(why.Code)
	}
	late := make(chan *live.Ended, 1) // its permit was given before the review, and is shown after it
	defer l.Watch(ada, &taken, func(why *live.Ended) { late <- why })()
	if why := <-late; why.Code != verdict.AccessDenied {
		t.Error(why.Code)
	}
}

func TestWhatRunsEndsWithItsIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := live.New(clock.System{})
		begin := func(d time.Duration) *live.Run {
			return l.Begin(t.Context(), live.About{Principal: &identity.Principal{NotAfter: time.Now().Add(d)}})
		}
		short, long, forever := begin(10*time.Second), begin(time.Hour), l.Begin(t.Context(), live.About{})
		defer short.Done()
		defer forever.Done()
		time.Sleep(9*time.Second + time.Second/2)
		if endedBy(short) != "" {
			t.Fatal("ended before its time")
		}
		time.Sleep(2 * time.Second)
		if endedBy(short) != verdict.StreamExpired || endedBy(long) != "" || endedBy(forever) != "" {
			t.Fatal(endedBy(short), endedBy(long), endedBy(forever))
		}
		long.Done()
		long.Done()
		if l.Count() != 2 || endedBy(long) != "" {
			t.Error(l.Count(), endedBy(long))
		}
		late := begin(0)
		defer late.Done()
		if endedBy(late) != verdict.StreamExpired {
			t.Error("an expired identity begins something")
		}
	})
}

func TestSettingTheClockLetsNobodyGoOn(t *testing.T) {
	for name, jump := range map[string]time.Duration{"forward": time.Hour, "back": -24 * time.Hour, "not at all": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clock.At(noon)
				l := live.New(c)
				r := l.Begin(t.Context(), live.About{Principal: &identity.Principal{NotAfter: noon.Add(time.Hour)}})
				defer r.Done()
				c.Advance(jump)
				time.Sleep(2 * time.Second)
				if ended := endedBy(r) != ""; ended != (jump > 0) {
					t.Fatalf("ended: %v", ended)
				}
				time.Sleep(time.Hour) // the clock stands, time does not
				if endedBy(r) != verdict.StreamExpired {
					t.Error("an hour later it runs on")
				}
			})
		})
	}
}

func TestTheEndEndsEverythingAndIsWaitedFor(t *testing.T) {
	l := live.New(clock.At(noon))
	if err := l.Wait(t.Context()); err != nil {
		t.Fatal("nothing runs, and it is waited for")
	}
	r := l.Begin(t.Context(), live.About{})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Wait(gone); err == nil {
		t.Fatal("it is not waited for what runs")
	}
	if why := l.Why(&identity.Principal{}); why != nil {
		t.Errorf("nobody may begin: %v", why)
	}
	l.End(&live.Ended{Code: verdict.StreamDrained, Detail: "the gateway ends"})
	late := l.Begin(t.Context(), live.About{})
	if endedBy(r) != verdict.StreamDrained || endedBy(late) != verdict.StreamDrained {
		t.Fatal(endedBy(r), endedBy(late))
	}
	if why := l.Why(&identity.Principal{}); why == nil || why.Code != verdict.StreamDrained {
		t.Errorf("somebody may begin after the end: %v", why)
	}
	waited := make(chan error, 1)
	go func() { waited <- l.Wait(t.Context()) }()
	r.Done()
	late.Done()
	if err := <-waited; err != nil {
		t.Error(err)
	}
}

func TestManyBeginAndEndWhileRevocationsComeAndGo(t *testing.T) {
	l := live.New(clock.At(noon))
	stop := make(chan struct{})
	var revoking sync.WaitGroup
	revoking.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				l.Use(&live.Revoked{Principals: map[string]bool{strconv.Itoa(i % 8): true}})
			}
		}
	})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			p := &identity.Principal{ID: strconv.Itoa(i)}
			for n := 0; n < 1000; n++ {
				r := l.Begin(t.Context(), live.About{Principal: p})
				if code := endedBy(r); code != "" && code != verdict.IdentityRevoked {
					t.Error(code)
				}
				r.Done()
			}
		})
	}
	all.Wait()
	close(stop)
	revoking.Wait()
	if n := l.Count(); n != 0 {
		t.Errorf("%d are left", n)
	}
}

func BenchmarkARevocationOfOneInFiveThousand(b *testing.B) {
	l := live.New(clock.At(noon))
	for i := range 5000 {
		r := l.Begin(b.Context(), live.About{Principal: &identity.Principal{ID: strconv.Itoa(i), NotAfter: noon.Add(time.Hour)}})
		b.Cleanup(r.Done)
	}
	nobody := &live.Revoked{Principals: map[string]bool{"nobody": true}, Keys: map[[32]byte]bool{{}: true}}
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		l.Use(nobody)
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

func BenchmarkBeginAndDone(b *testing.B) {
	l := live.New(clock.At(noon))
	p := &identity.Principal{ID: "ada", NotAfter: noon.Add(time.Hour)}
	b.ReportAllocs()
	for b.Loop() {
		l.Begin(b.Context(), live.About{Principal: p}).Done()
	}
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
