package gateway

import (
	"context"
	"errors"
	"io"

	"github.com/apexlogic/apex/internal/gateway/bodies"
	"github.com/apexlogic/apex/internal/gateway/stream"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// room takes memory for so many more bytes of the message, or waits for it within
// the budget of the stage at hand.
func (x *Exchange) room(n int64) error {
	if x.memory.Try(n) == nil {
		return nil
	}
	ctx, stop := x.within()
	defer stop()
	return noRoom(x.memory.Take(ctx, n))
}

// roomFor returns what reads content for the message, and takes memory for it as it
// comes.
func (x *Exchange) roomFor(ctx context.Context) func(io.Reader) io.Reader {
	return func(r io.Reader) io.Reader { return roomy{x.memory.Reader(ctx, r)} }
}

// roomy is a reader that refuses where there is no memory for what comes.
type roomy struct{ from io.Reader }

func (r roomy) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	return n, noRoom(err)
}

// streamMemory is what an exchange holds, as a stream takes of it message by message.
type streamMemory bodies.Hold

// Take implements [stream.Memory].
func (m *streamMemory) Take(ctx context.Context, n int64) error {
	return noRoom((*bodies.Hold)(m).Take(ctx, n))
}

// Give implements [stream.Memory].
func (m *streamMemory) Give(n int64) { (*bodies.Hold)(m).Give(n) }

var _ stream.Memory = (*streamMemory)(nil)

// noRoom is the refusal for an error of a hold; other errors are returned as they are.
func noRoom(err error) error {
	switch err {
	case bodies.ErrLarge: // waiting would not help
		return media.Refuse(verdict.BodyLimit, "", "the message alone needs more memory than one caller may have: send a smaller one, or raise --body-memory")
	case bodies.ErrShare:
		return media.Refuse(verdict.BodyMemory, "", "the caller's messages under way hold as much memory as one caller may")
	case bodies.ErrFull:
		return media.Refuse(verdict.BodyMemory, "", "the messages under way hold all the memory there is for them")
	}
	return err
}

// refusal says whether a reader refused, rather than that it could not read.
func refusal(err error) bool {
	_, is := errors.AsType[*media.Refusal](err)
	return is
}
