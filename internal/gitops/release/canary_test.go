package release_test

import (
	"errors"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/release"
	"github.com/apexlogic/apex/verdict"
)

// begun is a place that serves version one and has two on its way.
func begun(t *testing.T) *place {
	t.Helper()
	p := newPlace(t, "", clock.At(noon), nil)
	if c := p.deploy("one", both(t, "one")); c != nil {
		t.Fatalf("a first deployment has a canary: %+v", c)
	}
	p.turn()
	p.wantTraffic("at first", "captioner-00001=100 ", "model-predictor-00001=100 ")
	if c := p.deploy("two", both(t, "two")); c == nil || c.Phase != release.Preparing || len(c.Objects) != 2 {
		t.Fatalf("the second deployment has the canary %+v", c)
	}
	return p
}

func TestTrafficMovesStepByStep(t *testing.T) {
	p := begun(t)
	p.played.Delay("captioner-00002", true)
	p.turn()
	p.wantTraffic("while a revision starts", "captioner-00001=100 ", "model-predictor-00001=100 ")
	p.played.Delay("captioner-00002", false)
	p.until(release.Observing, 0)
	p.wantTraffic("at the first step", "captioner-00001=95 captioner-00002=5 ", "model-predictor-00002=5 model-predictor-00001=95 ")
	p.clock.Advance(59 * time.Second)
	if c := p.turn(); c.Step != 0 {
		t.Fatalf("the step ended early: %+v", c)
	}
	p.clock.Advance(2 * time.Second)
	p.until(release.Observing, 0)
	p.wantTraffic("at the second step", "captioner-00001=50 captioner-00002=50 ", "model-predictor-00002=50 model-predictor-00001=50 ")
	p.until(release.Done, 30*time.Second)
	p.wantTraffic("at the end", "captioner-00002=100 ", "model-predictor-00002=100 ")
	if f := p.Fields(); len(f) != 0 {
		t.Errorf("fields are owned still: %v", f)
	}
	var percents []int32
	for _, e := range p.entries {
		percents = append(percents, e.Percent)
	}
	if len(percents) != 4 || percents[0] != 5 || percents[1] != 50 || percents[2] != 100 || p.entries[3].What != release.Finished {
		t.Errorf("the ledger has %v", p.entries)
	}
}

func TestTrafficGoesBackWhenACanaryFails(t *testing.T) {
	for _, tc := range []struct {
		name  string
		code  verdict.Code
		harm  func(p *place)
		steps time.Duration
	}{
		{"its analysis is out of bounds", verdict.CanaryFailed, func(p *place) {
			p.value = func(s release.Sample) (float64, error) {
				if s.Revision == "captioner-00002" {
					return 0.5, nil
				}
				return 0, nil
			}
		}, 0},
		{"an object reports that it does not serve", verdict.CanaryFailed, func(p *place) { p.played.Sicken(isvcID, "it crashes") }, 0},
		{"its analysis has no answer for too long", verdict.GateUnknown, func(p *place) {
			p.value = func(release.Sample) (float64, error) { return 0, errors.New("no route") }
		}, time.Minute},
		{"somebody makes another revision beside it", verdict.CanaryFailed, func(p *place) {
			_, err := p.target.Update(p.t.Context(), isvcID, "kubectl", "", func(body map[string]any) error {
				body["spec"].(map[string]any)["predictor"].(map[string]any)["model"] = map[string]any{"storageUri": "oci://attacker.example/model"}
				return nil
			})
			if err != nil {
				p.t.Fatal(err)
			}
		}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := begun(t)
			p.until(release.Observing, 0)
			tc.harm(p)
			c := p.until(release.Gone, tc.steps)
			if c.Code != tc.code || c.Why == "" {
				t.Errorf("the reason is %s: %s", c.Code, c.Why)
			}
			p.played.Sicken(ksvcID, "")
			p.played.Sicken(isvcID, "")
			p.turn()
			if got := p.traffic(ksvcID); got != "captioner-00001=100 " {
				t.Errorf("the Service's traffic is %q", got)
			}
			if last := p.entries[len(p.entries)-1]; last.What != release.Returned || last.Code != tc.code || last.Note != c.Why {
				t.Errorf("the ledger's last entry is %+v", last)
			}
			// It stays so.
			p.clock.Advance(time.Hour)
			if c := p.turn(); c.Phase != release.Gone {
				t.Errorf("it does not stay: %+v", c)
			}
		})
	}
}

func TestADeletedObjectEndsItsCanary(t *testing.T) {
	p := begun(t)
	p.until(release.Observing, 0)
	if err := p.target.Delete(t.Context(), ksvcID, "v1", gitops.Precondition{}); err != nil {
		t.Fatal(err)
	}
	if c := p.turn(); c.Phase != release.Gone || c.Code != verdict.CanaryFailed {
		t.Errorf("the canary is %+v", c)
	}
}
