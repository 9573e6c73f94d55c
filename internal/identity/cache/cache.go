// Package cache remembers, for a short while, credentials that were accepted, so
// that a caller's signature is not verified anew for each request.
//
// Start with [New]. Only acceptance is remembered: who sends refused credentials
// pays for each, and fills no memory here. An answer is forgotten when the
// credential expires, after [Life], and when the trust behind it changes.
package cache

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
)

const (
	// Life is how long an answer is believed at most.
	Life   = time.Minute
	shards = 64
	// onStack is the length of tokens that are hashed without an allocation.
	onStack = 2 << 10
)

// Cache is an authenticator in front of another one. It is safe for concurrent
// use.
type Cache struct {
	behind identity.Generational
	clock  clock.Clock
	most   int // entries in a shard
	shards [shards]shard
}

type shard struct {
	sync.RWMutex
	entries map[[sha256.Size]byte]entry
}

type entry struct {
	principal  *identity.Principal
	generation uint64
	from, till time.Time
}

// New returns a cache of up to so many credentials in front of an authenticator.
func New(behind identity.Generational, c clock.Clock, credentials int) *Cache {
	k := &Cache{behind: behind, clock: c, most: max(credentials/shards, 1)}
	for i := range k.shards {
		k.shards[i].entries = map[[sha256.Size]byte]entry{}
	}
	return k
}

// Generation is that of the authenticator behind.
func (k *Cache) Generation() uint64 { return k.behind.Generation() }

// Recognises is that of the authenticator behind.
func (k *Cache) Recognises(p *identity.Principal) bool { return k.behind.Recognises(p) }

// Authenticate returns what the authenticator behind says, or said.
func (k *Cache) Authenticate(ctx context.Context, c *identity.Credentials) (*identity.Principal, error) {
	name, ok := nameOf(c)
	if !ok {
		return k.behind.Authenticate(ctx, c)
	}
	s := &k.shards[name[0]%shards]
	// Read before the answer is made: when trust changes in between, the answer
	// is kept under the older generation and never used.
	generation, now := k.behind.Generation(), k.clock.Now()
	s.RLock()
	e, known := s.entries[name]
	s.RUnlock()
	// An answer from the future was given before the clock was set back.
	if known && e.generation == generation && now.Before(e.till) && !now.Before(e.from) {
		return e.principal, nil
	}
	p, err := k.behind.Authenticate(ctx, c)
	if err != nil {
		return nil, err
	}
	e = entry{principal: p, generation: generation, from: now, till: now.Add(Life)}
	if p.NotAfter.Before(e.till) {
		e.till = p.NotAfter // zero, for one that does not expire, is not kept at all
	}
	if e.till.After(now) {
		s.put(name, e, k.most)
	}
	return p, nil
}

// nameOf returns the hash of the one credential that is shown. The signature is
// part of it, or a token with a wrong one would be found. Whole chains are not:
// a leaf that was verified stays so whatever is sent beside it.
func nameOf(c *identity.Credentials) (name [sha256.Size]byte, ok bool) {
	switch {
	case c.Bearer != "" && len(c.Peer) == 0 && len(c.Bearer) <= onStack:
		var buffer [onStack]byte
		return sha256.Sum256(buffer[:copy(buffer[:], c.Bearer)]), true
	case c.Bearer != "" && len(c.Peer) == 0:
		return sha256.Sum256([]byte(c.Bearer)), true
	case c.Bearer == "" && len(c.Peer) > 0:
		return sha256.Sum256(c.Peer[0].Raw), true
	}
	return name, false
}

func (s *shard) put(name [sha256.Size]byte, e entry, most int) {
	s.Lock()
	defer s.Unlock()
	if _, known := s.entries[name]; !known && len(s.entries) >= most {
		s.forget(e)
	}
	s.entries[name] = e
}

// forget makes room for one more: what is over goes, else any one.
func (s *shard) forget(latest entry) {
	var last [sha256.Size]byte
	before := len(s.entries)
	for name, e := range s.entries {
		last = name
		if !latest.from.Before(e.till) || e.generation != latest.generation {
			delete(s.entries, name)
		}
	}
	if len(s.entries) == before {
		delete(s.entries, last)
	}
}

// Len is how many answers are kept now.
func (k *Cache) Len() (n int) {
	for i := range k.shards {
		s := &k.shards[i]
		s.RLock()
		n += len(s.entries)
		s.RUnlock()
	}
	return n
}

var _ identity.Generational = (*Cache)(nil)
