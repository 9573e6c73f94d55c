package message

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gocloud.dev/pubsub"

	"github.com/apexlogic/apex/verdict"
)

// Dead says what becomes of messages that are denied.
type Dead struct {
	// Topic gets them. Without it they are acknowledged: the record is what is left
	// of them.
	Topic *Topic
	// Kept says that the broker delivers what was not acknowledged again, later.
	Kept bool
}

// ErrLost says that a message could not be processed, and that its broker takes it
// not back: who consumes has to stop, rather than lose the next one, and to
// subscribe again, upon which a broker that keeps messages repeats it.
var ErrLost = errors.New("a message could not be processed, and its broker does not take it back")

// Consume takes messages from a subscription until ctx ends, which is no error.
// A message is acknowledged when it was passed on, or denied and that recorded.
// One that could not be processed is given back, after a moment. Where the broker
// takes none back (NATS, Kafka) it is tried again here, [Options].Attempts times
// with twice the time in between; then it goes to the dead letters, and when there
// are none, Consume ends with [ErrLost]. Messages are judged beside each other, so
// that their order is not kept.
func (g *Gate) Consume(ctx context.Context, s *pubsub.Subscription, dead Dead) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	places := make(chan struct{}, g.options.Concurrent)
	var all sync.WaitGroup
	defer all.Wait()
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return ended(ctx)
		}
		m, err := s.Receive(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return ended(ctx)
			}
			return fmt.Errorf("receive messages: %w", err)
		}
		all.Go(func() {
			defer func() { <-places }()
			if err := g.settle(ctx, m, dead); err != nil {
				cancel(err)
			}
		})
	}
}

// ended is the reason of an end, when it was ours.
func ended(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// latest is the gate that judges now.
func (g *Gate) latest() *Gate {
	if g.options.Latest == nil {
		return g
	}
	return g.options.Latest()
}

// longestWait bounds the time between two attempts.
const longestWait = 30 * time.Second

// settle judges a message, and tells the broker.
func (g *Gate) settle(ctx context.Context, m *pubsub.Message, dead Dead) error {
	// What was taken is judged to its end: a broker may not deliver it again.
	lasting := context.WithoutCancel(ctx)
	outcome, code := g.latest().takeFrom(lasting, m)
	wait := g.options.Retry
	for n := 1; outcome == Failed && !m.Nackable() && n < g.options.Attempts && sleep(ctx, wait); n++ {
		outcome, code = g.latest().takeFrom(lasting, m)
		wait = min(2*wait, longestWait)
	}
	if outcome == Failed && dead.Kept && !m.Nackable() && ctx.Err() != nil {
		return nil // it comes again to whoever subscribes next
	}
	if dead.Topic != nil && (outcome == Denied || outcome == Failed && !m.Nackable()) {
		err := dead.Topic.Bury(lasting, m, code)
		if err == nil {
			m.Ack()
			return nil
		}
		g.options.Log.Error("a dead letter was not sent", "error", err)
		outcome = Failed
	}
	switch {
	case outcome != Failed:
		m.Ack()
	case m.Nackable():
		sleep(ctx, g.options.Retry) // a broker gives it back at once
		m.Nack()
	default:
		return ErrLost
	}
	return nil
}

// sleep waits, and reports whether there is more to do.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// takeFrom reads the event of a message, and takes it.
func (g *Gate) takeFrom(ctx context.Context, m *pubsub.Message) (Outcome, verdict.Code) {
	metadata := make(map[string][]string, len(m.Metadata))
	for name, value := range m.Metadata {
		metadata[name] = []string{value}
	}
	var outcome Outcome
	e, err := Read(metadata, m.Body, false)
	if err == nil {
		outcome, err = g.Take(ctx, e)
	} else {
		outcome, err = g.deny(ctx, &Record{Schema: RecordSchema, At: g.options.Clock.Now(), Bytes: len(m.Body)}, err)
	}
	if err == nil {
		return outcome, ""
	}
	code, _ := codeOf(err)
	return outcome, code
}
