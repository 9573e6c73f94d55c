package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var leaseKind = Kind{"coordination.k8s.io", "v1", "Lease"}

// Lease is what several processes agree by on one of them.
type Lease struct {
	Namespace, Name string
	// Identity of this process; no two may have the same.
	Identity string
	// Duration after which a leader that was not heard of is replaced, at least
	// a second. Default: 15 s. The leader renews it each fifth of it, and stops
	// to be one after two thirds without success.
	Duration time.Duration
}

const (
	defaultLease  = 15 * time.Second
	shortestLease = time.Second // the API keeps whole seconds
	// renewals per duration, and the share of it after which a leader stands down:
	// well before anybody else may follow.
	renewals                   = 5
	standDownOver, standDownOf = 2, 3
)

// Lead waits to become the leader and runs the function as one, its context
// ending as soon as this process cannot be sure any more. It returns what the
// function returns; when leadership was lost it waits for the function to return
// and begins again. When the context ends, it gives the lease up, so that another
// follows at once, and returns the context's error.
//
// Time is measured by each process alone, from when it saw the lease change: the
// clocks of the processes need not agree (as client-go's leaderelection). Like
// every lease, it does not stop a process that stands still between its check and
// its write: writes carry their own preconditions.
func (c *Client) Lead(ctx context.Context, l Lease, run func(context.Context) error) error {
	if l.Identity == "" || l.Name == "" || l.Namespace == "" {
		return errors.New("a lease needs a namespace, a name and an identity")
	}
	if l.Duration == 0 {
		l.Duration = defaultLease
	}
	if l.Duration < shortestLease || l.Duration%time.Second != 0 {
		return fmt.Errorf("a lease of %s: whole seconds are needed", l.Duration)
	}
	e := &election{client: c, lease: l, id: ID{leaseKind, l.Namespace, l.Name}}
	for {
		if err := e.win(ctx); err != nil {
			return err
		}
		lost, err := e.hold(ctx, run)
		if !lost || ctx.Err() != nil {
			return err
		}
	}
}

// election is one process's view of a lease.
type election struct {
	client  *Client
	lease   Lease
	id      ID
	seen    string    // resource version at the last change
	since   time.Time // when that was seen, by the monotonic clock
	held    *Object   // the lease as we wrote it last, while we lead
	renewed time.Time // when the last renewal that succeeded was begun
}

// win returns when this process is the leader.
func (e *election) win(ctx context.Context) error {
	tick := time.NewTicker(e.lease.Duration / renewals)
	defer tick.Stop()
	for {
		err := e.try(ctx)
		if err == nil && e.held != nil {
			return nil
		}
		if errors.Is(err, ErrForbidden) || errors.Is(err, ErrInvalid) || errors.Is(err, ErrNotFound) {
			return err // no waiting helps: a right or the namespace is missing
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// try takes the lease when it is free or has expired. Losing the race to take it
// is no error.
func (e *election) try(ctx context.Context) error {
	e.held = nil
	begun := time.Now()
	current, err := e.client.Get(ctx, e.id)
	if errors.Is(err, ErrNotFound) {
		o := &Object{Object: map[string]any{
			"apiVersion": leaseKind.APIVersion(), "kind": leaseKind.Kind,
			"metadata": map[string]any{"namespace": e.id.Namespace, "name": e.id.Name},
		}}
		e.sign(o, 0)
		made, err := e.client.Create(ctx, o)
		if errors.Is(err, ErrExists) {
			return nil
		}
		e.held, e.renewed = made, begun
		return err
	}
	if err != nil {
		return err
	}
	if version := current.GetResourceVersion(); version != e.seen {
		e.seen, e.since = version, time.Now() // after the answer: it may have been written while it was asked for
	}
	holder, _, _ := unstructured.NestedString(current.Object, "spec", "holderIdentity")
	duration, _, _ := unstructured.NestedInt64(current.Object, "spec", "leaseDurationSeconds")
	if holder != "" && holder != e.lease.Identity && time.Since(e.since) < max(time.Duration(duration)*time.Second, shortestLease) {
		return nil
	}
	transitions, _, _ := unstructured.NestedInt64(current.Object, "spec", "leaseTransitions")
	if holder != e.lease.Identity {
		transitions++
	}
	e.sign(current, transitions)
	taken, err := e.client.Update(ctx, current)
	if errors.Is(err, ErrConflict) {
		return nil
	}
	e.held, e.renewed = taken, begun
	return err
}

// sign writes this process into the lease.
func (e *election) sign(o *Object, transitions int64) {
	now := e.now()
	_ = unstructured.SetNestedMap(o.Object, map[string]any{
		"holderIdentity": e.lease.Identity, "leaseDurationSeconds": int64(e.lease.Duration / time.Second),
		"acquireTime": now, "renewTime": now, "leaseTransitions": transitions,
	}, "spec")
}

// hold runs the function and renews the lease until one of them ends.
func (e *election) hold(ctx context.Context, run func(context.Context) error) (lost bool, err error) {
	leading, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- run(leading) }()
	tick := time.NewTicker(e.lease.Duration / renewals)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			e.release(ctx)
			return false, err
		case <-ctx.Done():
			err := <-done
			e.release(ctx)
			return false, errors.Join(ctx.Err(), ignoreEnd(err))
		case <-tick.C:
		}
		if e.renew(leading) {
			continue
		}
		stop()
		return true, <-done
	}
}

// renew renews the lease and says whether this process still leads. It gives up
// when the time is over after which another may think otherwise.
func (e *election) renew(ctx context.Context) bool {
	end := e.renewed.Add(e.lease.Duration * standDownOver / standDownOf)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	begun := time.Now()
	next := e.held.DeepCopy()
	_ = unstructured.SetNestedField(next.Object, e.now(), "spec", "renewTime")
	updated, err := e.client.Update(ctx, next)
	if err == nil {
		e.held, e.renewed = updated, begun
		return true
	}
	if errors.Is(err, ErrConflict) { // perhaps with our own write, whose answer was lost
		current, err := e.client.Get(ctx, e.id)
		if err == nil {
			holder, _, _ := unstructured.NestedString(current.Object, "spec", "holderIdentity")
			e.held = current
			return holder == e.lease.Identity
		}
	}
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrForbidden) {
		return false
	}
	return time.Now().Before(end) // not reached: once more at the next tick
}

// now is the time as metav1.MicroTime writes it. It is for people who read the
// lease: nothing is decided by it.
func (e *election) now() string {
	return e.client.clock.Now().UTC().Format("2006-01-02T15:04:05.000000Z07:00")
}

// release lets another follow at once. It is only courtesy: the lease expires.
func (e *election) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.lease.Duration/renewals)
	defer cancel()
	_ = unstructured.SetNestedField(e.held.Object, "", "spec", "holderIdentity")
	_, _ = e.client.Update(ctx, e.held)
}

// ignoreEnd drops the error that says only that the context ended.
func ignoreEnd(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}
