package release_test

import (
	"errors"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops/release"
)

// failed is a place whose second version failed at its first step.
func failed(t *testing.T) *place {
	t.Helper()
	p := begun(t)
	p.until(release.Observing, 0)
	p.value = func(release.Sample) (float64, error) { return 1, nil }
	p.until(release.Gone, 0)
	p.value = func(release.Sample) (float64, error) { return 0, nil }
	p.turn()
	p.wantTraffic("after it went back", "captioner-00001=100 ", "model-predictor-00001=100 ")
	return p
}

func TestAMendNeverGivesTrafficToWhatFailedBefore(t *testing.T) {
	p := failed(t)
	set := both(t, "three")
	// Begun and not applied yet: what is newest and ready is the revision that failed.
	state, _ := p.applier.Load(t.Context(), p.Name())
	if _, err := p.Begin(t.Context(), release.Change{Commit: "three", Set: set, Before: state.Current.Set}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if c := p.turn(); c.Phase != release.Preparing {
			t.Fatalf("the canary goes on without its revision: %+v", c)
		}
	}
	p.apply("three", set)
	c := p.until(release.Observing, 0)
	for _, o := range c.Objects {
		if o.Stable[len(o.Stable)-1] != '1' || o.Candidate[len(o.Candidate)-1] != '3' {
			t.Errorf("%s goes from %s to %s", o.ID, o.Stable, o.Candidate)
		}
	}
	p.wantTraffic("at the first step of the mend", "captioner-00001=95 captioner-00003=5 ", "model-predictor-00003=5 model-predictor-00001=95 ")
	p.until(release.Done, time.Minute)
	p.wantTraffic("at the end", "captioner-00003=100 ", "model-predictor-00003=100 ")
}

func TestATemplateThatFailedAndStaysInGitGetsNothing(t *testing.T) {
	p := failed(t)
	// Only the settings are another: the two failed templates are still there.
	set := setOf(t, object(t, "ksvc", "captioner", "two"), object(t, "isvc", "model", "two"), object(t, "", "settings", "three"))
	if c := p.deploy("three", set); c.Phase != release.Done || !c.Objects[0].Held || !c.Objects[1].Held {
		t.Errorf("the canary is %+v", c)
	}
	p.clock.Advance(time.Hour)
	p.turn()
	p.wantTraffic("with another commit", "captioner-00001=100 ", "model-predictor-00001=100 ")
	if s, err := p.Look(t.Context()); err != nil || len(s.Sick) != 2 {
		t.Errorf("what failed is one to build on: %+v, %v", s, err)
	}
	if state, err := p.applier.Load(t.Context(), p.Name()); err != nil || len(state.Good) != 0 {
		t.Errorf("what failed is one to go back to: %v, %v", state.Good, err)
	}
}

func TestOnlyWhatIsMendedMovesOn(t *testing.T) {
	p := failed(t)
	p.deploy("three", setOf(t, object(t, "ksvc", "captioner", "three"), object(t, "isvc", "model", "two"), object(t, "", "settings", "two")))
	p.until(release.Done, time.Minute)
	p.wantTraffic("at the end", "captioner-00003=100 ", "model-predictor-00001=100 ")
	if n := len(p.Fields()); n != 1 {
		t.Errorf("%d fields are owned", n)
	}
}

func TestANewCommitTakesACanarysPlace(t *testing.T) {
	p := begun(t)
	p.until(release.Observing, 0)
	p.deploy("three", both(t, "three"))
	c := p.until(release.Observing, 0)
	if c.Commit != "three" || c.Objects[0].Stable != "model-predictor-00001" && c.Objects[0].Stable != "captioner-00001" {
		t.Errorf("the canary is %+v", c)
	}
	p.until(release.Done, time.Minute)
	p.wantTraffic("at the end", "captioner-00003=100 ", "model-predictor-00003=100 ")
}

func TestARollbackMovesTrafficWhenItsRevisionIsReady(t *testing.T) {
	p := failed(t)
	set := both(t, "one")
	state, err := p.applier.Load(t.Context(), p.Name())
	if err != nil {
		t.Fatal(err)
	}
	p.value = func(release.Sample) (float64, error) { return 0, errors.New("nothing is measured on the way back") }
	if _, err := p.Begin(t.Context(), release.Change{Commit: "one", Set: set, Before: state.Current.Set, Direct: true}); err != nil {
		t.Fatal(err)
	}
	p.played.Delay("captioner-00003", true)
	p.apply("one", set)
	p.turn()
	p.wantTraffic("while it starts", "captioner-00001=100 ", "model-predictor-00001=100 ")
	p.played.Delay("captioner-00003", false)
	p.until(release.Done, 0)
	p.wantTraffic("at the end", "captioner-00003=100 ", "model-predictor-00003=100 ")
}

func TestARevisionThatIsNeverReadyGetsNoTraffic(t *testing.T) {
	for _, tc := range []struct {
		name   string
		harm   func(p *place)
		passes time.Duration
	}{
		{"because it fails", func(p *place) { p.played.Break("captioner-00002") }, 0},
		{"because its model cannot be loaded", func(p *place) { p.played.Break("model-predictor-00002") }, 0},
		{"because it takes too long", func(p *place) { p.played.Delay("model-predictor-00002", true) }, time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := begun(t)
			tc.harm(p)
			c := p.until(release.Gone, tc.passes)
			if c.Code != "release.canary.unready" {
				t.Errorf("the reason is %s: %s", c.Code, c.Why)
			}
			p.wantTraffic("afterwards", "captioner-00001=100 ", "model-predictor-00001=100 ")
			for _, e := range p.entries {
				if e.What == release.Shifted {
					t.Errorf("traffic was moved: %+v", e)
				}
			}
		})
	}
}

func TestWhoSplitsTrafficInGitDoesItByHand(t *testing.T) {
	p := newPlace(t, "", clock.At(noon), nil)
	split := object(t, "ksvc", "captioner", "two")
	split.Body["spec"].(map[string]any)["traffic"] = []any{
		map[string]any{"revisionName": "captioner-00001", "percent": int64(90)}, map[string]any{"latestRevision": true, "percent": int64(10)}}
	p.deploy("one", setOf(t, object(t, "ksvc", "captioner", "one")))
	p.turn()
	if c := p.deploy("two", setOf(t, split)); c != nil {
		t.Errorf("there is a canary: %+v", c)
	}
	p.turn()
	if got := p.traffic(ksvcID); got != "captioner-00001=90 captioner-00002=10 " {
		t.Errorf("the traffic is %q", got)
	}
}

func TestTheSameChangeIsTheSameCanary(t *testing.T) {
	p := begun(t)
	was := p.until(release.Observing, 0)
	state, _ := p.applier.Load(t.Context(), p.Name())
	c, err := p.Begin(t.Context(), release.Change{Commit: "two", Set: both(t, "two"), Before: state.Current.Set})
	if err != nil || c.Phase != was.Phase || c.Step != was.Step || !c.Since.Equal(was.Since) {
		t.Errorf("it begins anew: %+v, %v", c, err)
	}
}
