package app

import (
	"context"
	"slices"

	"github.com/apexlogic/apex/internal/ci"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/function/stack"
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
	askFunctions(change, functions)
	judgement, err := ci.Judge(ctx, gated{e}, change, functions)
	return change, judgement, err
}

// askFunctions adds questions about the images and models that run in functions.
// What a manifest names was asked already.
func askFunctions(change *ci.Change, functions []verify.Function) {
	asked := map[string]bool{}
	for i := range change.Questions {
		q := &change.Questions[i]
		asked[q.Where.File+" "+q.Asked] = true
	}
	for i := range functions {
		f, _, _ := functions[i].Fact.Some()
		if f.Unit == string(stack.Kubernetes) {
			continue
		}
		for _, r := range f.References {
			if r.Kind == "code" || asked[r.Where.File+" "+r.Text] {
				continue
			}
			asked[r.Where.File+" "+r.Text] = true
			if !r.Known {
				change.Unresolved = append(change.Unresolved, verdict.Unresolved{Text: r.Text, Where: r.Where, Code: verdict.ReferenceUnresolved, Why: "it depends on something outside of the files"})
				continue
			}
			q := verdict.Question{Asked: r.Text, Labels: f.Labels, Where: r.Where}
			if r.Kind == "model" {
				q.Kind = verdict.KindModel
			}
			change.Questions = append(change.Questions, q)
		}
	}
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
