package shared

import (
	"context"
	"errors"
	"time"
)

const (
	// sharersKey lists the gateways that share.
	sharersKey = "apex:limit:gateways"
	// elsewhereKey holds nothing. A Redis Cluster has it on another node, and so
	// refuses at once what it would refuse of the limits of a request.
	elsewhereKey = "apex:limit:elsewhere"
)

// Run keeps the store informed, and finds out whether it answers, until the
// context ends. What this gateway still holds then ends with its leases.
func (s *Store) Run(ctx context.Context) {
	var renewed time.Time
	for {
		if err := s.beat(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			s.failed(err)
		} else if time.Since(renewed) >= renewEvery && s.renew(ctx) == nil {
			renewed = time.Now()
		}
		every := beatEvery
		if s.away.Load() {
			every = probeEvery
		}
		if !s.leaves(ctx, every) {
			s.leaveAll()
			return
		}
	}
}

// beat says that this gateway is there. Who answers in time is back, if it was lost
// when it was asked: an answer from before says nothing of what failed since.
func (s *Store) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	began, lost := time.Now(), s.away.Load()
	n, err := beatScript.Run(ctx, s.client, []string{sharersKey, elsewhereKey}, presentFor.Microseconds(), s.id).Int64()
	switch {
	case err != nil:
		return err
	case n < 1 || n > maxSharers:
		return errors.New("the store says that an impossible number of gateways share it")
	}
	s.sharers.Store(int32(n))
	if !lost {
		return nil
	}
	if took := time.Since(began); took > s.within {
		return nil // it lives, and is too slow to be asked by requests
	}
	s.failures.Store(0)
	s.away.Store(false)
	s.log.Info("limits are shared", "gateways", n)
	return nil
}

// renew holds on to what requests under way hold.
func (s *Store) renew(ctx context.Context) error {
	var keys []string
	args := []any{leaseFor.Microseconds()}
	s.mu.Lock()
	for name, at := range s.held {
		for _, k := range at {
			keys, args = append(keys, k), append(args, name)
		}
	}
	s.mu.Unlock()
	for i := 0; i < len(keys); i += renewTogether {
		end := min(i+renewTogether, len(keys))
		ctx, cancel := context.WithTimeout(ctx, connectWithin)
		err := renewScript.Run(ctx, s.client, keys[i:end], append([]any{args[0]}, args[1+i:1+end]...)...).Err()
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// leaves gives places back for a while; false when the context has ended.
func (s *Store) leaves(ctx context.Context, while time.Duration) bool {
	timer := time.NewTimer(while)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case l := <-s.leaving:
			s.remove(ctx, l)
		}
	}
}

// remove gives back a place and those that wait with it.
func (s *Store) remove(ctx context.Context, l lease) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	pipe := s.client.Pipeline()
	for {
		for _, k := range l.keys {
			pipe.ZRem(ctx, k, l.name)
		}
		if pipe.Len() >= renewTogether {
			break
		}
		select {
		case l = <-s.leaving:
			continue
		default:
		}
		break
	}
	pipe.Exec(ctx) // what is not given back ends with its lease
}

// leaveAll gives back what waits, and this gateway's own place.
func (s *Store) leaveAll() {
	ctx, cancel := context.WithTimeout(context.Background(), connectWithin)
	defer cancel()
	if s.away.Load() {
		return
	}
	for len(s.leaving) > 0 {
		s.remove(ctx, <-s.leaving)
	}
	s.client.ZRem(ctx, sharersKey, s.id)
}
