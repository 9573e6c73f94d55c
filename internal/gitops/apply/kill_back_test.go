package apply_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/verdict"
)

// refuser is a target that says no to one object of the revision "bad" when it is
// written, and yes when it is tried.
type refuser struct {
	gitops.Target
	gitops.Lister
}

func (r refuser) Apply(ctx context.Context, o *gitops.Object, opt gitops.ApplyOptions) (*gitops.Live, error) {
	data, _ := o.Body["data"].(map[string]any)
	if !opt.DryRun && o.Name == "changes-1" && data["v"] == "bad" {
		return nil, fmt.Errorf("a webhook says no: %w", gitops.ErrInvalid)
	}
	return r.Target.Apply(ctx, o, opt)
}

// returned takes the error of a revision that was refused on the way; one that
// passed is an error.
func returned(err error) error {
	if r, is := errors.AsType[*apply.Refusal](err); is && r.Code == verdict.ApplyReturned {
		return nil
	}
	return fmt.Errorf("it was not gone back: %w", err)
}

func TestAProcessThatIsKilledWhileItGoesBackGoesBack(t *testing.T) {
	for _, kind := range []string{"embedded", "dir"} {
		_, total := checkpoints(t, kind, "refused")
		if total < 30 {
			t.Fatalf("a revision that is refused passes %d checkpoints", total)
		}
		world := before(t, nil, kind, "change")
		for at := 1; at <= total; at += 3 {
			t.Run(fmt.Sprintf("%s at %d of %d", kind, at, total), func(t *testing.T) {
				t.Parallel()
				root := copyOf(t, world)
				if !runVictim(t, kind, "refused", fmt.Sprintf("@%d", at), root, 0) {
					t.Skip("it passed fewer") // what is done at the same time differs in number
				}
				w, err := openWorld(kind, root, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer w.close()
				// Whatever was left to do is done once, and then nothing is.
				if _, err := w.Resume(t.Context(), apply.Source{Name: victimsSource}); err != nil && returned(err) != nil {
					t.Fatal(err)
				}
				if got, err := w.Resume(t.Context(), apply.Source{Name: victimsSource}); got != nil || err != nil {
					t.Errorf("something was left to do: %+v, %v", got, err)
				}
				check(t, w, kind, root, "one")
			})
		}
	}
}
