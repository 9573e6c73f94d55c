package oci

import (
	"container/list"
	"sync"
)

// cache keeps manifests by "repository@digest", least recently used out first,
// bounded in bytes. The repository is part of the key: who may read a digest
// in one repository may not read it everywhere.
type cache struct {
	mu    sync.Mutex
	limit int64
	size  int64
	order *list.List // of *cached, most recent first
	items map[string]*list.Element
}

type cached struct {
	key      string
	manifest Manifest
}

// entryOverhead is about what an entry costs beside its bytes.
const entryOverhead = 512

func newCache(limit int64) *cache {
	return &cache{limit: limit, order: list.New(), items: map[string]*list.Element{}}
}

func (c *cache) get(key string) (Manifest, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.items[key]
	if e == nil {
		return Manifest{}, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).manifest, true
}

func (c *cache) put(key string, m Manifest) {
	size := int64(cap(m.Raw)) + entryOverhead
	m.read = nil // it is not in the size, and needed once in most cases
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.items[key] != nil || size > c.limit/4 {
		return
	}
	c.items[key] = c.order.PushFront(&cached{key, m})
	c.size += size
	for c.size > c.limit {
		last := c.order.Back()
		old := c.order.Remove(last).(*cached)
		delete(c.items, old.key)
		c.size -= int64(cap(old.manifest.Raw)) + entryOverhead
	}
}
