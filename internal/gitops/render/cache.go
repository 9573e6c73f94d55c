package render

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
)

// Cache keeps what kustomizations were built to, so that a commit that changes
// one file does not build all of them again. A build is known by every byte that
// it is made from; what it is made to is never changed. It is safe for concurrent
// use; [NewCache] makes one.
type Cache struct {
	mu      sync.Mutex
	room    int64
	entries map[buildKey]*list.Element
	recent  list.List // of cached, the one that was used last in front
}

type (
	buildKey [sha256.Size]byte
	cached   struct {
		key   buildKey
		built []built
		size  int64
	}
)

// NewCache makes a cache that holds builds of so many bytes; those that were not
// used for longest make room. A build takes about as much as its YAML.
func NewCache(bytes int64) *Cache {
	return &Cache{room: bytes, entries: map[buildKey]*list.Element{}}
}

func (c *Cache) get(key buildKey) ([]built, bool) {
	if c == nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok {
		return nil, false
	}
	c.recent.MoveToFront(e)
	return e.Value.(*cached).built, true
}

func (c *Cache) put(key buildKey, objects []built) {
	if c == nil {
		return
	}
	// An entry costs something beside its text: the key, the list, the map.
	entry := &cached{key, objects, 256}
	for i := range objects {
		entry.size += int64(len(objects[i].text)+len(objects[i].file)+len(objects[i].name)+len(objects[i].kind)) + 64
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.entries[key]; there || entry.size > c.room {
		return
	}
	c.entries[key] = c.recent.PushFront(entry)
	for c.room -= entry.size; c.room < 0; {
		last := c.recent.Remove(c.recent.Back()).(*cached)
		delete(c.entries, last.key)
		c.room += last.size
	}
}

// keyOf names a build by all that it is made from: the folder, and the names and
// bytes of the files. Everything else about it is part of the program.
func keyOf(dir string, content map[string][]byte, sums map[string]buildKey) buildKey {
	h := sha256.New()
	var size [8]byte
	text := func(s string) {
		binary.BigEndian.PutUint64(size[:], uint64(len(s)))
		h.Write(size[:])
		h.Write([]byte(s))
	}
	text(dir)
	for _, name := range slices.Sorted(maps.Keys(content)) {
		text(name)
		sum, known := sums[name]
		if !known {
			sum = sha256.Sum256(content[name])
		}
		h.Write(sum[:])
	}
	return buildKey(h.Sum(nil))
}
