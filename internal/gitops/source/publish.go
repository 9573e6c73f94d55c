package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/artifact"
	"github.com/apexlogic/apex/internal/trust"
)

// Publication is where publishing stands.
type Publication struct {
	Source string `json:"source"`
	// Last is what was published last; nil when nothing was.
	Last *artifact.Published `json:"last,omitempty"`
	// Problem is why what is applied is not published; "" when it is.
	Problem string `json:"problem,omitempty"`
	// Key is the public key that verifies the artifacts, as a TrustRoot wants it.
	Key string    `json:"key"`
	At  time.Time `json:"at,omitzero"`
}

// How long a push may take, and how soon one that failed is tried again.
const (
	publishWithin   = 10 * time.Minute
	publishRetryMin = time.Second
	publishRetryMax = time.Minute
)

// publishing pushes what is applied. A nil one does nothing.
type publishing struct {
	*artifact.Publisher
	key  string
	woke chan struct{}

	one sync.Mutex // a push at a time

	mu  sync.Mutex
	now Publication
}

// openPublisher sets up publishing, where the source asks for it.
func (s *Source) openPublisher() (*publishing, error) {
	in := s.spec.Publish
	if in == nil {
		return nil, nil
	}
	if s.o.Registry == nil || s.o.Publisher == nil {
		return nil, errors.New("spec.publish: there is no registry, or no key to sign with, here")
	}
	if r, ok := s.origin.(*registryOrigin); ok && r.repo == in.Repository {
		return nil, fmt.Errorf("spec.publish: the source follows %s itself: publish to another repository", r.repo)
	}
	tag := in.Tag
	if s.o.Stage != nil {
		tag = cmp.Or(tag, s.o.Stage.Name)
	}
	pem, err := trust.PublicPEM(s.o.Publisher.Public())
	if err != nil {
		return nil, fmt.Errorf("spec.publish: %w", err)
	}
	p, err := artifact.NewPublisher(artifact.Config{
		Source: s.name, URL: s.spec.URL, Repository: in.Repository, Tag: cmp.Or(tag, "main"),
		Registry: s.o.Registry, Signer: s.o.Publisher, Store: s.place.store, Sign: s.o.Sign, Verify: s.o.Verify, Clock: s.o.Clock,
	})
	if err != nil {
		return nil, fmt.Errorf("spec.publish: %w", err)
	}
	out := &publishing{Publisher: p, key: string(pem), woke: make(chan struct{}, 1)}
	out.now = Publication{Source: s.name, Key: out.key}
	return out, nil
}

// wake says that something else may be applied.
func (p *publishing) wake() {
	if p == nil {
		return
	}
	select {
	case p.woke <- struct{}{}:
	default:
	}
}

// Publication is where publishing stands; nil for a source that does not publish.
func (s *Source) Publication(ctx context.Context) (*Publication, error) {
	p := s.publisher
	if p == nil {
		return nil, nil
	}
	last, err := p.Last(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.now
	out.Last = last
	return &out, nil
}

// publishing publishes what is applied until the context ends, and tries again
// what failed.
func (s *Source) publishing(ctx context.Context) {
	if s.publisher == nil {
		return
	}
	retry := publishRetryMin
	for {
		wait := publishRetryMax
		if err := s.publish(ctx); err != nil {
			wait, retry = retry, min(2*retry, publishRetryMax)
		} else {
			retry = publishRetryMin
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-s.publisher.woke:
			timer.Stop()
		}
	}
}

// publish pushes what is applied whole, unless it is pushed already. What it
// returns is said in the publication too: it never undoes the apply.
func (s *Source) publish(ctx context.Context) error {
	p := s.publisher
	if p == nil {
		return nil
	}
	p.one.Lock()
	defer p.one.Unlock()
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	done, changed, err := s.push(ctx)
	if ctx.Err() != nil && err != nil {
		return err // what was cut off says nothing
	}
	next := Publication{Source: s.name, Last: done, Key: p.key, At: s.o.Clock.Now().UTC()}
	if err != nil {
		next.Problem = err.Error()
	}
	p.mu.Lock()
	if next.Last == nil {
		next.Last = p.now.Last
	}
	told := next.Problem == p.now.Problem && !changed && !p.now.At.IsZero()
	if !told {
		p.now = next
	}
	p.mu.Unlock()
	if told {
		return err
	}
	if err != nil {
		s.o.Logger.Error("what is applied is not published", "source", s.name, "err", err)
	}
	if s.o.Published != nil {
		s.o.Published(next)
	}
	return err
}

func (s *Source) push(ctx context.Context) (*artifact.Published, bool, error) {
	state, err := s.applier.Load(ctx, s.name)
	if err != nil {
		return nil, false, err
	}
	if state.Unfinished() || state.Applied.Set == "" {
		return nil, false, nil
	}
	done, changed, err := s.publisher.Publish(ctx, artifact.Revision{
		Commit: state.Applied.Commit, Set: state.Applied.Set, Counter: state.Counter,
		Read: func(ctx context.Context) (*gitops.Set, bool, error) {
			allowPrune, err := s.origin.allowsPrune(state.Applied.Commit)
			if err != nil {
				return nil, false, err
			}
			// The bytes that were applied, not another rendering of the commit.
			data, err := s.place.store.GetSet(ctx, state.Applied.Set)
			if err != nil {
				return nil, false, err
			}
			set, err := gitops.ReadSet(data)
			return set, allowPrune, err
		},
	})
	if err != nil || !changed {
		return done, changed, err
	}
	return done, true, s.o.Record(ctx, RecordArtifact, done)
}
