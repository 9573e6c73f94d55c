package gateway

import "sync"

// buffers are what answers are copied through.
var buffers = &pool{sync.Pool{New: func() any { return new([bufferBytes]byte) }}}

const bufferBytes = 32 << 10

type pool struct{ free sync.Pool }

// Get returns a buffer.
func (p *pool) Get() []byte { return p.free.Get().(*[bufferBytes]byte)[:] }

// Put gives it back.
func (p *pool) Put(b []byte) { p.free.Put((*[bufferBytes]byte)(b)) }
