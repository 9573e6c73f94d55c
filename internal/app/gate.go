package app

import (
	"context"
	"errors"

	"github.com/apexlogic/apex/internal/registry"
	"github.com/apexlogic/apex/verdict"
)

// Gate makes the engine the push gate of the registry that listens on host: a
// tag becomes visible when an image with these labels may be deployed. The
// engine's registry client has to reach host, and to have credentials for it.
func (e *Engine) Gate(host string, labels map[string]string) registry.Gate {
	return func(ctx context.Context, repo, tag string, digest verdict.Digest) (verdict.Decision, string, error) {
		q := verdict.Question{Asked: host + "/" + repo + ":" + tag, Labels: labels}
		q.Digest = digest // the tag does not exist yet
		report := e.Verifier.Verify(ctx, []verdict.Question{q})
		if len(report.Verdicts) != 1 {
			return verdict.Deny, "", errors.New("the engine gave no verdict")
		}
		v := &report.Verdicts[0]
		reason := string(v.Code)
		if v.Reason != "" {
			reason += ": " + v.Reason
		}
		return v.Decision, reason, nil
	}
}
