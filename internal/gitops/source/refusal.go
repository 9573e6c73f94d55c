package source

import (
	"errors"

	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/follow"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/verdict"
)

// refusal makes what a step decided the follower's refusal; other errors, which
// may pass, stay as they are.
func refusal(err error) error {
	if r, is := errors.AsType[*render.Error](err); is {
		first := r.Reasons[0]
		out := &follow.Refused{Step: "render", Code: first.Code, Where: first.Where, Why: first.Why}
		out.Report = &verdict.Report{Schema: verdict.ReportSchema, Unresolved: r.Reasons}
		return out
	}
	if r, is := errors.AsType[*apply.Refusal](err); is {
		return &follow.Refused{Step: "plan", Code: r.Code, Where: r.Where, Why: r.Reason()}
	}
	// A tree that is unsafe as it stands does not get better by trying again.
	for _, unsafe := range []error{repo.ErrBadName, repo.ErrClash, repo.ErrSymlink, repo.ErrSubmodule, repo.ErrTooLarge, repo.ErrCorrupt} {
		if errors.Is(err, unsafe) {
			return &follow.Refused{Step: "render", Code: verdict.ManifestInvalid, Why: err.Error()}
		}
	}
	return err
}
