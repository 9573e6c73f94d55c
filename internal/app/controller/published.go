package controller

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/gitops/source"
)

// The condition that says whether what is applied is in the registry too. A stage
// has its own, "prod/Published", and each has a manager of its own: it says
// nothing about Ready, which is somebody else's.
const (
	publishedCondition = "Published"
	publishedManager   = "apex-published"
)

// publications say in a GitSource's status where publishing stands. What cannot be
// written is written later.
type publications struct {
	c      *controller
	source string
	wake   chan struct{}

	mu  sync.Mutex
	now map[string]condition // by stage, "" without; the zero value: it has none
}

func newPublications(c *controller, source string) *publications {
	return &publications{c: c, source: source, wake: make(chan struct{}, 1), now: map[string]condition{}}
}

// begin says of the stages that do not publish that they have no condition.
func (p *publications) begin(stages []*source.Source) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range stages {
		if _, said := p.now[s.Stage()]; !said {
			p.now[s.Stage()] = condition{}
		}
	}
}

// tell takes over what became of a try. It does not wait.
func (p *publications) tell(in source.Publication) {
	p.mu.Lock()
	p.now[stageIn(p.source, in.Source)] = conditionOfPublication(&in)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func conditionOfPublication(in *source.Publication) condition {
	switch {
	case in.Problem != "":
		return condition{status: "False", reason: "NotPublished", message: clip(in.Problem)}
	case in.Last == nil:
		return condition{status: "Unknown", reason: "NothingApplied", message: "nothing is applied whole that could be published"}
	}
	return condition{status: "True", reason: "Published", message: clip(fmt.Sprintf("commit %.12s is %s@%s", in.Last.Commit, in.Last.Repository, in.Last.Digest))}
}

// run writes until the context ends.
func (p *publications) run(ctx context.Context) {
	written := map[string]condition{} // what the status says
	for ctx.Err() == nil {
		p.mu.Lock()
		now := maps.Clone(p.now)
		p.mu.Unlock()
		var failed error
		for stage, c := range now {
			if err := p.write(ctx, written, stage, c); err != nil {
				failed = err
			}
		}
		var again <-chan time.Time
		if failed != nil && ctx.Err() == nil {
			p.c.o.Logger.Warn("the status of a source is not written", "source", p.source, "err", failed)
			again = time.After(retryInterval)
		}
		select {
		case <-ctx.Done():
		case <-p.wake:
		case <-again:
		}
	}
}

func (p *publications) write(ctx context.Context, written map[string]condition, stage string, now condition) error {
	typ, by := publishedCondition, publishedManager
	if stage != "" {
		typ, by = stage+"/"+typ, by+"-"+stage
	}
	was, known := written[stage]
	if !known {
		var err error
		if was, err = p.c.conditionOf(ctx, p.source, typ); err != nil {
			return err
		}
		written[stage] = was
	}
	if now == (condition{}) {
		if was == now {
			return nil
		}
		err := p.c.applyConditions(ctx, p.source, by)
		if err == nil {
			written[stage] = now
		}
		return err
	}
	err := p.c.say(ctx, p.source, typ, by, &was, now)
	written[stage] = was
	return err
}
