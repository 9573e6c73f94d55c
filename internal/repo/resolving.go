package repo

import (
	"bufio"
	"bytes"
	"container/list"
	"context"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxBases is how many bytes of objects are kept while the differences to them
// are resolved. One that was let go is made again, which the budget counts.
const maxBases = 64 << 20

// resolve makes the objects of all differences, hashes them, and notes what they
// name. It goes from each whole object to the differences to it, and on to the
// differences to those, so that the base is nearly always at hand.
func (in *incoming) resolve(ctx context.Context) error {
	bases := &baseCache{order: list.New(), at: map[int32]*list.Element{}}
	for i := range in.entries {
		if in.entries[i].done {
			in.meet(int32(i))
		}
	}
	var stack []int32
	left := 0
	for i := range in.entries {
		if in.entries[i].kind.IsDelta() {
			left++
		} else if in.entries[i].child >= 0 {
			stack = append(stack, int32(i))
		}
	}
	for len(stack) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if e := &in.entries[i]; e.kind.IsDelta() {
			if err := in.resolveOne(i, bases); err != nil {
				return fmt.Errorf("object at byte %d of the pack: %w", e.offset, err)
			}
			left--
		}
		for c := in.entries[i].child; c >= 0; c = in.entries[c].next {
			stack = append(stack, c)
		}
	}
	if left == 0 {
		return nil
	}
	for h := range in.waiting {
		return fmt.Errorf("%w: %d objects of the pack are differences to others that are not in it (%s), or to each other", ErrIncomplete, left, h)
	}
	return fmt.Errorf("%w: %d objects of the pack are differences to each other", ErrCorrupt, left)
}

// meet gives an object the differences that waited for its hash.
func (in *incoming) meet(i int32) {
	e := &in.entries[i]
	for _, w := range in.waiting[e.hash] {
		d := &in.entries[w]
		d.base, d.next, e.child = i, e.child, w
	}
	delete(in.waiting, e.hash)
}

func (in *incoming) resolveOne(i int32, bases *baseCache) error {
	e := &in.entries[i]
	base := &in.entries[e.base]
	if base.depth+1 >= maxChain {
		return fmt.Errorf("%w: it is made of more than %d differences", ErrTooLarge, maxChain)
	}
	data, err := in.object(i, bases)
	if err != nil {
		return err
	}
	kind := in.kindOf(i)
	if limit := objectLimit(kind, in.limits.Object); int64(len(data)) > limit {
		return fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrTooLarge, len(data), limit)
	}
	if e.hash, err = hashObject(kind, data); err != nil {
		return err
	}
	e.done, e.depth = true, base.depth+1
	in.meet(i)
	return in.links(kind, data)
}

// kindOf is the type of the whole object at the end of a chain.
func (in *incoming) kindOf(i int32) plumbing.ObjectType {
	for in.entries[i].kind.IsDelta() {
		i = in.entries[i].base
	}
	return in.entries[i].kind
}

// object makes the content of an entry whose bases are all known.
func (in *incoming) object(i int32, bases *baseCache) ([]byte, error) {
	var todo []int32 // differences to apply, last one first
	data, ok := bases.get(i)
	for !ok {
		e := &in.entries[i]
		if !e.kind.IsDelta() {
			var err error
			if data, err = in.inflate(e); err != nil {
				return nil, err
			}
			bases.put(i, data)
			break
		}
		todo = append(todo, i)
		i = e.base
		data, ok = bases.get(i)
	}
	for n := len(todo) - 1; n >= 0; n-- {
		e := &in.entries[todo[n]]
		delta, err := in.inflate(e)
		if err != nil {
			return nil, err
		}
		if data, err = applyDelta(data, delta, in.limits.Object); err != nil {
			return nil, err
		}
		if err := in.spend(int64(len(data))); err != nil {
			return nil, err
		}
		if e.child >= 0 || n > 0 {
			bases.put(todo[n], data)
		}
	}
	return data, nil
}

// inflate reads the content of an entry back from quarantine.
func (in *incoming) inflate(e *received) ([]byte, error) {
	if err := in.spend(e.size); err != nil {
		return nil, err
	}
	z, err := in.open(bufio.NewReaderSize(io.NewSectionReader(in.f, e.body, in.in.written-e.body), 4<<10))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	out := bytes.NewBuffer(make([]byte, 0, e.size+bytes.MinRead)) // it had that size before
	if _, err := out.ReadFrom(io.LimitReader(z, e.size)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return out.Bytes(), nil
}

// baseCache keeps the objects that were used last, up to maxBases.
type baseCache struct {
	order *list.List // of cachedBase, the last used one in front
	at    map[int32]*list.Element
	size  int
}

type cachedBase struct {
	entry int32
	data  []byte
}

func (c *baseCache) get(i int32) ([]byte, bool) {
	el, ok := c.at[i]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(el)
	return el.Value.(cachedBase).data, true
}

func (c *baseCache) put(i int32, data []byte) {
	if _, ok := c.at[i]; ok {
		return
	}
	c.at[i] = c.order.PushFront(cachedBase{i, data})
	for c.size += len(data); c.size > maxBases && c.order.Len() > 1; {
		last := c.order.Remove(c.order.Back()).(cachedBase)
		delete(c.at, last.entry)
		c.size -= len(last.data)
	}
}
