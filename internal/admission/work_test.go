package admission_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/verdict"
)

func TestALateVerificationIsDeniedForNowAndWarmsTheRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var evidence atomic.Bool // fetched and kept
		var fetches atomic.Int32
		d := newDoor(t)
		d.say = func(ctx context.Context, q verdict.Question) verdict.Verdict {
			if !evidence.Load() {
				fetches.Add(1)
				time.Sleep(20 * time.Second) // in synctest's time
				if ctx.Err() != nil {
					return verdict.Verdict{Code: verdict.DeadlineExceeded}
				}
				evidence.Store(true)
			}
			return byName(ctx, q)
		}
		r := review{object: pod("good" + pinned)}
		started := time.Now()
		for i := range 2 {
			a := d.denied(r, verdict.DeadlineExceeded)
			if a.Status.Code != 429 || a.Status.Reason != "TooManyRequests" || a.Status.Details.RetryAfterSeconds == 0 {
				t.Fatalf("status %+v", a.Status)
			}
			if took := time.Since(started); took != time.Duration(i+1)*8*time.Second {
				t.Fatalf("answered after %s", took)
			}
		}
		a := d.allowed(r)
		if took := time.Since(started); took != 20*time.Second {
			t.Errorf("allowed after %s: the verification did not go on", took)
		}
		if fetches.Load() != 1 {
			t.Errorf("%d verifications were begun for one Pod that was asked about again", fetches.Load())
		}
		if a.AuditAnnotations["generation"] != "g1" {
			t.Errorf("%q", a.AuditAnnotations)
		}
		// A Pod of other images does not wait for that one.
		evidence.Store(true)
		d.denied(review{object: pod("bad" + pinned)}, verdict.SignatureMissing)
	})
}

func TestADenialThatMayPassByItselfIsRetried(t *testing.T) {
	for code, again := range map[verdict.Code]bool{
		verdict.DeadlineExceeded: true, verdict.EvidenceDeferred: true, verdict.LedgerClosed: true, verdict.RegistryUnreachable: true, verdict.RegistryLimited: true,
		verdict.RegistryNotFound: false, verdict.SignatureMissing: false, verdict.Revoked: false,
	} {
		d := newDoor(t)
		d.say = func(_ context.Context, q verdict.Question) verdict.Verdict {
			if q.Asked == "app"+pinned {
				return verdict.Verdict{Code: code, Reason: "as it is now"}
			}
			return byName(t.Context(), q)
		}
		a := d.denied(review{object: pod("app" + pinned)}, code)
		if (a.Status.Code == 429) != again {
			t.Errorf("%s: status %+v", code, a.Status)
		}
	}
}

func TestAVerdictThatRanOutOfTimeIsRetried(t *testing.T) {
	d := newDoor(t)
	d.say = func(_ context.Context, q verdict.Question) verdict.Verdict {
		if q.Asked == "slow"+pinned {
			return verdict.Verdict{Code: verdict.DeadlineExceeded, Reason: "the registry is slow"}
		}
		return byName(t.Context(), q)
	}
	if a := d.denied(review{object: pod("slow" + pinned)}, verdict.DeadlineExceeded); a.Status.Code != 429 {
		t.Errorf("status %+v", a.Status)
	}
	// With something that stays wrong beside it, asking again is no use.
	if a := d.denied(review{object: pod("slow"+pinned, "bad"+pinned)}, verdict.DeadlineExceeded); a.Status.Code != 403 {
		t.Errorf("status %+v", a.Status)
	}
}

func TestAVerificationEndsEvenIfNobodyAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		ended := make(chan time.Duration, 1)
		started := time.Now()
		d.say = func(ctx context.Context, q verdict.Question) verdict.Verdict {
			<-ctx.Done()
			ended <- time.Since(started)
			return verdict.Verdict{Code: verdict.DeadlineExceeded}
		}
		d.denied(review{object: pod("never" + pinned)}, verdict.DeadlineExceeded)
		if took := <-ended; took != time.Minute {
			t.Errorf("ended after %s", took)
		}
	})
}

func TestAnAnswerOfTheGenerationBeforeIsNotGiven(t *testing.T) {
	d := newDoor(t)
	d.say = func(ctx context.Context, q verdict.Question) verdict.Verdict {
		if d.calls() == 1 { // the policy is replaced while it is being judged
			d.use("g2")
			return verdict.Verdict{Decision: verdict.Allow}
		}
		return verdict.Verdict{Code: verdict.SignatureMissing}
	}
	a := d.denied(review{object: pod("app" + pinned)}, verdict.SignatureMissing)
	if a.AuditAnnotations["generation"] != "g2" || d.calls() != 2 {
		t.Errorf("%q after %d calls", a.AuditAnnotations, d.calls())
	}
	// Policies that never come to rest are denied, and do not hold the handler.
	n := 0
	d.say = func(ctx context.Context, q verdict.Question) verdict.Verdict {
		n++
		d.use(fmt.Sprintf("h%d", n))
		return verdict.Verdict{Decision: verdict.Allow}
	}
	d.denied(review{object: pod("other" + pinned)}, verdict.DeadlineExceeded)
}

func TestTooManyAtOnceAreSentAwayAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, func(o *admission.Options) { o.Concurrent, o.Queue = 2, 3 })
		d.say = func(_ context.Context, q verdict.Question) verdict.Verdict {
			time.Sleep(time.Second)
			return verdict.Verdict{Decision: verdict.Allow}
		}
		var wg sync.WaitGroup
		var let, away atomic.Int32
		for i := range 9 {
			wg.Go(func() {
				a := d.post(admission.PathValidate, review{object: pod(fmt.Sprintf("app-%d%s", i, pinned))})
				switch {
				case a.Allowed:
					let.Add(1)
				case a.Status.Code == 429:
					away.Add(1)
				}
			})
		}
		wg.Wait()
		if let.Load() != 5 || away.Load() != 4 { // two at work and three in the queue
			t.Errorf("%d let in, %d sent away", let.Load(), away.Load())
		}
		for range 5 { // and all room is given back
			d.allowed(review{object: pod("app" + pinned)})
		}
	})
}

func TestATagThatIsResolvedLateIsPinnedWhenItIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		d := newDoor(t, func(o *admission.Options) {
			o.Clock = clock.System{}
			o.Resolve = func(ctx context.Context, q verdict.Question) (verdict.Digest, error) {
				asked.Add(1)
				time.Sleep(9 * time.Second)
				return digest, ctx.Err()
			}
		})
		r := review{object: pod("app:1")}
		a := d.post(admission.PathMutate, r)
		if a.Allowed || a.Status.Code != 429 || a.Status.Details.RetryAfterSeconds == 0 {
			t.Fatalf("%+v", a)
		}
		time.Sleep(2 * time.Second)
		if a = d.post(admission.PathMutate, r); !a.Allowed || a.Patch == nil || asked.Load() != 1 {
			t.Fatalf("%+v, asked %d times", a, asked.Load())
		}
		time.Sleep(time.Minute) // then the tag may name something else
		d.post(admission.PathMutate, r)
		if asked.Load() != 2 {
			t.Errorf("asked %d times", asked.Load())
		}
		time.Sleep(time.Minute)
	})
}

func TestManyPodsOfOneTagResolveItOnceAndTheNextOneAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		d := newDoor(t, func(o *admission.Options) {
			o.Resolve = func(context.Context, verdict.Question) (verdict.Digest, error) {
				asked.Add(1)
				time.Sleep(time.Second)
				return digest, nil
			}
		})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if a := d.post(admission.PathMutate, review{object: pod("app:1")}); a.Patch == nil {
					t.Errorf("%+v", a)
				}
			})
		}
		wg.Wait()
		if asked.Load() != 1 {
			t.Errorf("asked %d times at once", asked.Load())
		}
		d.post(admission.PathMutate, review{object: pod("app:1")})
		if asked.Load() != 2 {
			t.Errorf("asked %d times", asked.Load())
		}
		started := time.Now() // different tags of one Pod are resolved side by side
		d.post(admission.PathMutate, review{object: pod("a:1", "b:1", "c:1", "d:1")})
		if took := time.Since(started); took != time.Second {
			t.Errorf("four tags took %s", took)
		}
	})
}
