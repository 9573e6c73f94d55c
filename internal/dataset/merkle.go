package dataset

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/apexlogic/apex/verdict"
)

type hash = [sha256.Size]byte

func leafHash(record []byte) hash {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(record)
	return hash(h.Sum(nil))
}

func nodeHash(left, right hash) hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// tree computes the Merkle tree hash of RFC 6962 §2.1 over leaves that come one
// by one, in memory for one hash per level.
type tree struct {
	n     uint64
	stack []hash // of complete subtrees, the largest first
}

func (t *tree) add(h hash) {
	for n := t.n; n&1 == 1; n >>= 1 {
		last := len(t.stack) - 1
		h = nodeHash(t.stack[last], h)
		t.stack = t.stack[:last]
	}
	t.stack = append(t.stack, h)
	t.n++
}

func (t *tree) root() hash {
	if len(t.stack) == 0 {
		return sha256.Sum256(nil)
	}
	h := t.stack[len(t.stack)-1]
	for i := len(t.stack) - 2; i >= 0; i-- {
		h = nodeHash(t.stack[i], h)
	}
	return h
}

func digestOf(h hash) verdict.Digest {
	return verdict.Digest("sha256:" + hex.EncodeToString(h[:]))
}

func hashOf(d verdict.Digest) (h hash, ok bool) {
	raw, err := hex.DecodeString(d.Hex())
	if err != nil || len(raw) != len(h) {
		return h, false
	}
	return hash(raw), true
}

func filesRoot(files []File) verdict.Digest {
	h := sha256.New()
	for i := range files {
		d, _ := hashOf(files[i].Digest)
		h.Write(d[:])
	}
	return digestOf(hash(h.Sum(nil)))
}
