package trust

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

func TestTheChainCacheForgetsTheLeastRecentlyUsed(t *testing.T) {
	c := newChainCache()
	key := func(i int) [32]byte { return sha256.Sum256(binary.BigEndian.AppendUint32(nil, uint32(i))) }
	for i := range maxChains {
		c.put(key(i), &proof{})
	}
	if c.get(key(0)) == nil { // and thereby used
		t.Fatal("the first one is gone while there is room")
	}
	c.put(key(maxChains), &proof{})
	c.put(key(maxChains), &proof{}) // twice is once
	if c.get(key(1)) != nil || c.get(key(0)) == nil || c.get(key(maxChains)) == nil {
		t.Error("not the least recently used one was forgotten")
	}
	if n := len(c.byKey); n != maxChains || c.order.Len() != n {
		t.Errorf("%d entries, %d in order, want %d", n, c.order.Len(), maxChains)
	}
}
