package app

import (
	"context"
	"slices"

	"github.com/apexlogic/apex/internal/ci"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/verdict"
)

// JudgeChange reads what a commit changes against its base and judges what it
// would deploy: images and models that manifests name, and functions.
func JudgeChange(ctx context.Context, e *Engine, r *repo.Repo, o ci.Options, c clock.Clock) (*ci.Change, *ci.Judgement, error) {
	change, err := ci.Read(ctx, r, o)
	if err != nil {
		return nil, nil, err
	}
	var concerns func([]string) bool
	if change.Everything == "" {
		// A unit is judged as a whole when any of its files changes.
		concerns = func(files []string) bool {
			return slices.ContainsFunc(files, func(f string) bool {
				return slices.Contains(change.Files, f) || slices.Contains(change.Files, f+BundleSuffix)
			})
		}
	}
	functions, err := DeclaredFunctions(ctx, change.Tree, concerns, c.Now())
	if err != nil {
		return change, nil, err
	}
	judgement, err := ci.Judge(ctx, gated{e}, change, functions)
	return change, judgement, err
}

// gated is the engine as the gate asks it.
type gated struct{ *Engine }

func (g gated) Images(ctx context.Context, questions []verdict.Question) verdict.Report {
	return g.Ask(ctx, Asked{Questions: questions})
}

func (g gated) Functions(ctx context.Context, functions []verify.Function) verdict.Report {
	return g.Verifier.Functions(ctx, functions)
}

func (g gated) Publish(ctx context.Context, s *config.Set) error { return g.Engine.Publish(ctx, s) }

var _ ci.Engine = gated{}
