package release_test

import (
	"context"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/internal/gitops/release"
)

// TestATamperOfTrafficIsHealedToWhatWasPromoted writes other traffic behind the
// back of a real healer, at a step of a canary and after it went back.
func TestATamperOfTrafficIsHealedToWhatWasPromoted(t *testing.T) {
	var healer *heal.Healer
	reports := make(chan heal.Report, 64)
	p := newPlace(t, "", clock.At(noon), func(c *release.Config) {
		var err error
		healer, err = heal.New(heal.Config{Target: c.Target, Source: "captioner", Report: func(r heal.Report) { reports <- r }})
		if err != nil {
			t.Fatal(err)
		}
		c.Keeper = healer
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = healer.Run(ctx) }()
	defer func() { stop(); <-ended }()

	tamper := func(when string, want int64) {
		t.Helper()
		_, err := p.target.Update(t.Context(), isvcID, "attacker", "", func(body map[string]any) error {
			body["spec"].(map[string]any)["predictor"].(map[string]any)["canaryTrafficPercent"] = int64(77)
			return nil
		})
		if err == nil {
			_, err = p.target.Update(t.Context(), ksvcID, "attacker", "", func(body map[string]any) error {
				body["spec"].(map[string]any)["traffic"] = []any{map[string]any{"latestRevision": true, "percent": int64(100)}}
				return nil
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		healed := map[gitops.ID]bool{}
		late := time.After(2 * time.Minute)
		for len(healed) < 2 {
			select {
			case r := <-reports:
				healed[r.ID] = true
			case <-late:
				t.Fatalf("%s: only %v are healed", when, healed)
			}
		}
		live, err := p.target.Get(t.Context(), isvcID, "v1beta1")
		if err != nil {
			t.Fatal(err)
		}
		if got := live.Body["spec"].(map[string]any)["predictor"].(map[string]any)["canaryTrafficPercent"]; got != want {
			t.Errorf("%s: canaryTrafficPercent is %v, want %d", when, got, want)
		}
		if live, err = p.target.Get(t.Context(), ksvcID, "v1"); err != nil {
			t.Fatal(err)
		}
		first := live.Body["spec"].(map[string]any)["traffic"].([]any)[0].(map[string]any)
		if first["revisionName"] != "captioner-00001" || first["percent"] != 100-want {
			t.Errorf("%s: the first target is %v", when, first)
		}
	}
	p.deploy("one", both(t, "one"))
	p.turn()
	p.deploy("two", both(t, "two"))
	p.until(release.Observing, 0)
	tamper("at the first step", 5)
	p.value = func(release.Sample) (float64, error) { return 1, nil }
	p.until(release.Gone, 0)
	tamper("after it went back", 0)
}
