package release_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops/release"
)

// The test binary starts itself: with this variable it is the process that is
// killed. Its value is "story checkpoint directory": at the checkpoint the process
// kills itself.
const killVariable = "APEX_TEST_KILL"

// TestVictim is the process that is killed; without its variable it does nothing.
func TestVictim(t *testing.T) {
	v := strings.Fields(os.Getenv(killVariable))
	if len(v) != 3 {
		t.Skip("only as a process of TestAKilledProcessGoesOn")
	}
	story(t, v[0], v[2], func(name string) {
		if name == v[1] {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	})
}

// story brings a canary from its beginning to its end, whatever was done of it
// before. "good" ends well, "bad" fails at its second step.
func story(t *testing.T, which, dir string, checkpoint func(string)) *place {
	p := newPlace(t, dir, clock.At(noon), func(c *release.Config) {
		c.Checkpoint = checkpoint
		if c.Canary.Interval = duration(time.Nanosecond); which == "bad" {
			c.Measure = func(ctx context.Context, s release.Sample) (float64, error) {
				live, err := c.Target.Get(ctx, ksvcID, "v1")
				if err != nil {
					return 0, err
				}
				if strings.Contains(fmt.Sprint(live.Body["spec"]), "percent:50") {
					return 1, nil
				}
				return 0, nil
			}
		}
	})
	ctx := t.Context()
	if _, err := p.applier.Resume(ctx, applySource(p)); err != nil {
		t.Fatal(err)
	}
	s, err := p.applier.Load(ctx, p.Name())
	if err != nil {
		t.Fatal(err)
	}
	if s.Current.Commit == "" {
		p.deploy("one", both(t, "one"))
		p.turn()
	}
	if s.Current.Commit != "two" {
		p.deploy("two", both(t, "two"))
	}
	for range 60 {
		if c := p.turn(); c.Phase == release.Done || c.Phase == release.Gone {
			break
		}
		p.clock.Advance(time.Second)
	}
	p.turn()
	return p
}

func TestAKilledProcessGoesOn(t *testing.T) {
	points := map[string][]string{
		"good": {"begun", "shifting", "shifted", "settling", "observing", "finishing", "finished", "done"},
		"bad":  {"returning", "sent-back", "returned"},
	}
	for which, names := range points {
		for _, name := range names {
			t.Run(which+" at "+name, func(t *testing.T) {
				dir := t.TempDir()
				victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$")
				victim.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", killVariable, which, name, dir))
				out, err := victim.CombinedOutput()
				if status, ok := victim.ProcessState.Sys().(syscall.WaitStatus); err == nil || !ok || status.Signal() != syscall.SIGKILL {
					t.Fatalf("it was not killed: %v\n%s", err, out)
				}
				p := story(t, which, dir, nil)
				c, err := p.Tick(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if which == "good" {
					p.wantTraffic("at the end", "captioner-00002=100 ", "model-predictor-00002=100 ")
					if c.Phase != release.Done || len(p.Fields()) != 0 {
						t.Errorf("the canary is %+v", c)
					}
				} else {
					p.wantTraffic("at the end", "captioner-00001=100 ", "model-predictor-00001=100 ")
					if c.Phase != release.Gone {
						t.Errorf("the canary is %+v", c)
					}
				}
				// Each step is in the journal once, and the ledger has all of it.
				journal, err := p.Journal(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				said := ""
				for _, e := range journal {
					said += fmt.Sprintf("%s %d, ", e.What, e.Percent)
				}
				want := "shifted 5, shifted 50, shifted 100, finished 100, "
				if which == "bad" {
					want = "shifted 5, shifted 50, returned 50, "
				}
				if said != want {
					t.Errorf("the journal says %q, want %q", said, want)
				}
			})
		}
	}
}
