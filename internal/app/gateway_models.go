package app

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/verdict"
)

// ModelRegistries say how the registries are met in which the models behind
// routes lie.
type ModelRegistries struct {
	// AllowPrivate and PlainHTTP are as in [EngineOptions].
	AllowPrivate, PlainHTTP []string
	Keychain                oci.Keychain
}

const (
	// modelsEvery is how often the verifier is asked about the models behind
	// routes: what is signed or found about one counts within that time.
	modelsEvery = 5 * time.Minute
	// modelsStale is how old what is known of a model may be: six rounds of
	// asking, so that one that fails does no harm, and a verifier that hangs is
	// not believed for long. Older knowledge denies ([rights.Request.Age]).
	modelsStale = 6 * modelsEvery
	// modelsAtOnce bounds one call of the verifier, whose deadline is for all of it.
	modelsAtOnce = 64
)

// modelKey names a model as a route has it: what is decided about an artifact
// depends on its repository, and on the labels by which policies select it.
type modelKey struct{ route, repository, digest string }

// modelRules are the models behind the routes of a generation, and what they
// are judged by.
type modelRules struct {
	keys      []modelKey
	questions []verdict.Question
	judged    *verify.Generation // nil when there is no question
}

// compileModels is a part of each generation of the gateway.
func (g *runningGateway) compileModels(s *config.Set) (*modelRules, error) {
	r := &modelRules{}
	for i := range s.ProtectedRoutes {
		o := &s.ProtectedRoutes[i]
		for _, m := range o.Value.Spec.Models {
			if m.Repository == "" {
				continue
			}
			r.keys = append(r.keys, modelKey{o.Value.Name, m.Repository, m.Digest})
			r.questions = append(r.questions, verdict.Question{
				Subject: verdict.Subject{Ref: verdict.Ref{Kind: verdict.KindModel}}, Asked: m.Repository + "@" + m.Digest, Labels: o.Value.Labels,
			})
		}
	}
	if len(r.questions) == 0 {
		return r, nil
	}
	var err error
	r.judged, err = verify.Compile(s.Hash(), Documents(s), g.o.Clock.Now())
	return r, err
}

// modelVerdicts asks the verifier about the models behind routes, beside the
// requests, and remembers what it says. It implements gateway.Verdicts.
type modelVerdicts struct {
	g     *runningGateway
	asked atomic.Pointer[modelRules]
	known atomic.Pointer[map[modelKey]modelVerdict]
	again chan struct{}
}

type modelVerdict struct {
	decision string
	at       time.Time
}

// Verdict implements gateway.Verdicts.
func (m *modelVerdicts) Verdict(route, repository, digest string) (string, time.Time) {
	known := m.known.Load()
	if known == nil {
		return "", time.Time{}
	}
	v := (*known)[modelKey{route, repository, digest}]
	return v.decision, v.at
}

// use has the models of a generation asked about, at once.
func (m *modelVerdicts) use(r *modelRules) {
	if m.asked.Swap(r) == r {
		return
	}
	select {
	case m.again <- struct{}{}:
	default:
	}
}

// run asks until the context ends. The engine is opened with the first model
// that there is to ask about.
func (m *modelVerdicts) run(ctx context.Context) (err error) {
	var e *Engine
	defer func() {
		if e != nil {
			err = errors.Join(err, e.Close(context.WithoutCancel(ctx)))
		}
	}()
	round := time.NewTicker(modelsEvery)
	defer round.Stop()
	for {
		if r := m.asked.Load(); r != nil && len(r.questions) > 0 {
			if e == nil {
				if e, err = m.g.openModelEngine(ctx); err != nil {
					return err
				}
			}
			m.ask(ctx, e.Verifier, r)
		} else {
			m.known.Store(nil)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-m.again:
		case <-round.C:
		}
	}
}

// ask asks about all models of a generation, and remembers the answers.
func (m *modelVerdicts) ask(ctx context.Context, v *verify.Verifier, r *modelRules) {
	v.Use(r.judged)
	known := make(map[modelKey]modelVerdict, len(r.keys))
	i := 0
	for some := range slices.Chunk(r.questions, modelsAtOnce) {
		report := v.Verify(ctx, some)
		if ctx.Err() != nil {
			return // the answers are about the end, not about the models
		}
		for _, said := range report.Verdicts {
			known[r.keys[i]] = modelVerdict{said.Decision.String(), said.At}
			i++
		}
	}
	before := m.known.Swap(&known)
	same := func(a, b modelVerdict) bool { return a.decision == b.decision }
	if before == nil || !maps.EqualFunc(*before, known, same) {
		m.g.gateway.Live().Review()
	}
}

func (g *runningGateway) openModelEngine(ctx context.Context) (*Engine, error) {
	o := &g.o
	return OpenEngine(ctx, EngineOptions{
		State: o.State, Role: "gateway-models", AllowPrivate: o.Models.AllowPrivate, PlainHTTP: o.Models.PlainHTTP, Keychain: o.Models.Keychain,
		Clock: o.Clock, Logger: o.Logger,
	})
}
