package oci

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
)

// errRate is wrapped by the error about a body that only drips.
var errRate = errors.New("slow body")

// watch judges a body by its average rate once the grace is over.
type watch struct {
	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
}

// watchRate starts a watch over the bytes counted in got. It calls tooSlow, at
// most once, when they have come more slowly than the limit.
func watchRate(l Limits, got *atomic.Int64, tooSlow func()) *watch {
	w := &watch{}
	started := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(l.Grace, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.stopped {
			return
		}
		if float64(got.Load()) < time.Since(started).Seconds()*float64(l.MinRate) {
			tooSlow()
			return
		}
		w.timer.Reset(max(l.Grace/5, 10*time.Millisecond))
	})
	return w
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
}

// paceOf judges as watchRate does, for a body that is read with deadlines: each
// read may wait until the average would be too low.
func paceOf(l Limits, got *atomic.Int64) func() (time.Time, error) {
	started := time.Now()
	return func() (time.Time, error) {
		enough := time.Duration(float64(got.Load()) / float64(l.MinRate) * float64(time.Second))
		until := started.Add(max(l.Grace, enough))
		if !time.Now().Before(until) {
			return until, errRate
		}
		return until, nil
	}
}

// readBody reads to the end. The buffer grows with what really came, by four,
// and not further than the announced length (-1: none): a lie about it costs nothing.
func readBody(r io.Reader, limit, announced int64) ([]byte, error) {
	const first = 16 << 10
	most := limit
	if announced >= 0 {
		most = min(announced, limit)
	}
	// One byte more, so that the end is seen without growing again.
	buf := make([]byte, 0, min(most, first)+1)
	for {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), max(min(4*int64(len(buf)), most+1), int64(len(buf))+512))
			copy(grown, buf)
			buf = grown
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > limit {
			return buf[:limit], fmt.Errorf("%w of %d bytes", bounded.ErrTooLarge, limit)
		}
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

// countedBody counts bytes for the meter and the rate, and takes them from the call's budget.
type countedBody struct {
	r    io.Reader
	n    *atomic.Int64
	left *budget
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n.Add(int64(n))
	if n > 0 {
		if tooMany := b.left.take(int64(n)); tooMany != nil {
			return n, tooMany
		}
	}
	return n, err
}
