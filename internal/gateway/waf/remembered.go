package waf

import "sync"

const (
	rememberedShards = 16
	// rememberedEach is how many a shard holds; a full one is emptied, which costs
	// one more look at each and keeps no order among them.
	rememberedEach = 512
)

// remembered keeps answers by what they are about, in shards that rarely wait for
// each other. Its zero value is ready, and safe for concurrent use.
type remembered[K comparable, V any] struct {
	shards [rememberedShards]struct {
		sync.RWMutex
		kept map[K]V
	}
}

// get returns what is kept of a key, which has the hash.
func (r *remembered[K, V]) get(hash uint64, key K) (V, bool) {
	s := &r.shards[hash%rememberedShards]
	s.RLock()
	defer s.RUnlock()
	v, ok := s.kept[key]
	return v, ok
}

// put keeps an answer.
func (r *remembered[K, V]) put(hash uint64, key K, v V) {
	s := &r.shards[hash%rememberedShards]
	s.Lock()
	defer s.Unlock()
	if s.kept == nil {
		s.kept = make(map[K]V)
	}
	if len(s.kept) >= rememberedEach {
		clear(s.kept)
	}
	s.kept[key] = v
}
