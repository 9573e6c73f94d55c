package stream

import (
	"context"

	"github.com/apexlogic/apex/internal/media"
)

// Memory bounds what the messages of streams hold together. It is safe for
// concurrent use.
type Memory interface {
	// Take takes memory for so many bytes more, and waits a moment where there is
	// none. Its error is a *media.Refusal, or that of the context.
	Take(ctx context.Context, n int64) error
	// Give gives back so many bytes of those that were taken.
	Give(n int64)
}

// room is what one direction of a stream has of a Memory. Buffers that idle streams
// keep are counted by the number of streams: nothing is taken for them, so that
// small messages ask nobody.
type room struct {
	ctx    context.Context
	memory Memory // nil: there is no bound
	taken  int64
}

// hold takes what is missing for a buffer of so many bytes.
func (r *room) hold(j *judge, size int) error {
	if r.memory == nil || size <= keptBytes || int64(size) <= r.taken {
		return nil
	}
	return r.more(j, int64(size)-r.taken)
}

// more takes memory for so many bytes beside the buffer.
func (r *room) more(j *judge, n int64) error {
	if r.memory == nil || n <= 0 {
		return nil
	}
	if err := r.memory.Take(r.ctx, n); err != nil {
		if r.ctx.Err() != nil {
			return Why(r.ctx)
		}
		return j.refused(err)
	}
	r.taken += n
	return nil
}

// less gives back so many bytes of those that were taken.
func (r *room) less(n int64) {
	if r.memory != nil && n > 0 {
		r.memory.Give(n)
		r.taken -= n
	}
}

// empty gives back all: the message was passed on.
func (r *room) empty() { r.less(r.taken) }

// unfolds is how many bytes a compressed message may unfold into.
func unfolds(packed []byte, l *media.Limits) int64 {
	return min(l.Bytes, int64(len(packed))*l.Ratio)
}
