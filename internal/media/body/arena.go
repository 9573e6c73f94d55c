package body

import "unsafe"

// arena hands out memory for what has to be unescaped, in few allocations. It
// is not used again for another message, so what it handed out lives as long
// as somebody refers to it; only who says so in the Message has it used again.
type arena struct{ free, first []byte }

const arenaChunk = 1 << 10

// again returns an arena that hands out the same memory once more.
func (a *arena) again() arena { return arena{free: a.first, first: a.first} }

// take returns n bytes with capacity n.
func (a *arena) take(n int) []byte {
	if n > len(a.free) {
		if n > arenaChunk/2 {
			return make([]byte, n)
		}
		a.free = make([]byte, arenaChunk)
		if a.first == nil {
			a.first = a.free
		}
	}
	out := a.free[:n:n]
	a.free = a.free[n:]
	return out
}

// text returns the bytes as a string.
func (a *arena) text(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	out := a.take(len(b))
	copy(out, b)
	return unsafe.String(&out[0], len(out)) // nobody writes to it again
}
