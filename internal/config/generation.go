package config

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/verdict"
)

// Generation is all policies and trust in force at one moment, together with
// what each room has compiled from them. It does not change, so a decision
// that asks [Publisher.Current] once never mixes two.
type Generation struct {
	// Hash is the set's hash, the generation's name.
	Hash string
	Set  *Set
	// At is when the generation came into force.
	At time.Time

	publisher *Publisher
	parts     []any
}

// Publisher compiles sets and keeps the generation in force. Make one with
// [NewPublisher]. It is safe for concurrent use; Current does not block.
type Publisher struct {
	clock   clock.Clock
	current atomic.Pointer[Generation]

	mu      sync.Mutex // one publication at a time
	rooms   []room
	started bool
}

type room struct {
	name    string
	compile func(*Set) (any, error)
}

// NewPublisher returns a publisher without a generation.
func NewPublisher(c clock.Clock) *Publisher { return &Publisher{clock: c} }

// Part is a room's share of every generation of one publisher.
type Part[T any] struct {
	publisher *Publisher
	index     int
}

// Register adds a room: compile turns a set into the room's own form. It must
// not keep or change the set, and returns an [*Invalid] where it can say what
// is wrong. All rooms register before the first Publish; a later one panics,
// because the generation in force has nothing for it.
func Register[T any](p *Publisher, name string, compile func(*Set) (T, error)) Part[T] {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started {
		panic("config: the room " + name + " registers after the first generation was published")
	}
	p.rooms = append(p.rooms, room{name, func(s *Set) (any, error) { return compile(s) }})
	return Part[T]{p, len(p.rooms) - 1}
}

// Of returns the room's part of the generation; false when there is no
// generation or it is another publisher's.
func (part Part[T]) Of(g *Generation) (T, bool) {
	var zero T
	if g == nil || part.publisher == nil || g.publisher != part.publisher || part.index >= len(g.parts) {
		return zero, false
	}
	value, ok := g.parts[part.index].(T)
	return value, ok
}

// Current returns the generation in force, nil before the first one. Without a
// generation nothing is allowed.
func (p *Publisher) Current() *Generation { return p.current.Load() }

// Publish compiles the set in every room and then brings it into force. If the
// set has errors or a room fails, the generation in force stays and the error
// is an [*Invalid]; but the set's revocations that are right come into force, and
// the generation that has them is returned beside the error. Publishing what is in
// force already changes nothing and returns it.
func (p *Publisher) Publish(ctx context.Context, s *Set) (*Generation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started = true
	if err := s.Err(); err != nil {
		return p.stop(ctx, s), err
	}
	if g := p.current.Load(); g != nil && g.Hash == s.Hash() {
		return g, nil
	}
	next, err := p.compile(ctx, s)
	if err != nil {
		return p.stop(ctx, s), err
	}
	p.current.Store(next)
	return next, nil
}

// compile makes a generation of a set.
func (p *Publisher) compile(ctx context.Context, s *Set) (*Generation, error) {
	next := &Generation{Hash: s.Hash(), Set: s, publisher: p, parts: make([]any, len(p.rooms))}
	var problems []Problem
	for i, r := range p.rooms {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		part, err := compile(r, s)
		if err != nil {
			problems = append(problems, problemsOf(r, err)...)
			continue
		}
		next.parts[i] = part
	}
	if len(problems) > 0 {
		sortProblems(problems)
		return nil, &Invalid{Problems: problems}
	}
	next.At = p.clock.Now()
	return next, nil
}

// compile calls the room. A room that panics over a document must not take the
// generation in force down with it.
func compile(r room, s *Set) (part any, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			part, err = nil, fmt.Errorf("failed: %v", cause)
		}
	}()
	return r.compile(s)
}

func problemsOf(r room, err error) []Problem {
	var invalid *Invalid
	if errors.As(err, &invalid) && len(invalid.Problems) > 0 {
		return invalid.Problems
	}
	return []Problem{{Code: verdict.PolicyInvalid, Position: Position{File: r.name}, Message: err.Error()}}
}
