package repo

import (
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// hashObject names an object. Content that was made to have the hash of another
// one shows in how SHA-1 works on it (Stevens and Shumow, "Speeding up detection
// of SHA-1 collision attacks"), and is refused: the error is ErrCorrupt and
// ErrCollision, and the name that both share comes with it.
func hashObject(kind plumbing.ObjectType, data []byte) (plumbing.Hash, error) {
	h := plumbing.NewHasher(kind, int64(len(data)))
	_, _ = h.Write(data) // a hash takes everything
	return sumObject(h)
}

// sumObject is hashObject for content that was written to the hasher already. A
// hash that cannot tell is no hash here; go-git's own can.
func sumObject(h plumbing.Hasher) (name plumbing.Hash, err error) {
	detecting, ok := h.Hash.(interface {
		CollisionResistantSum([]byte) ([]byte, bool)
	})
	if !ok {
		return name, fmt.Errorf("%w: this SHA-1 does not detect collisions", ErrCorrupt)
	}
	sum, collision := detecting.CollisionResistantSum(make([]byte, 0, len(name)))
	copy(name[:], sum)
	if collision {
		return name, fmt.Errorf("%w: the object %s was made to have the hash of another one: %w", ErrCorrupt, name, ErrCollision)
	}
	return name, nil
}
