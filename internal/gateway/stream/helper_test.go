package stream

import (
	"context"
	"io"
	"log"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// cpu is the time that this process has spent on all processors.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func appendNumber(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

// contextual is a transport with a context that ends the calls made through it.
type contextual struct {
	context.Context
	http.RoundTripper
}

// flusher is where events go.
type flusher interface {
	io.Writer
	Flush()
}

// passEvents passes a stream of server-sent events on, event by event. It ends with
// the source, with the context (whose cause becomes the cut's), or with a cut,
// which is written to the stream in the form of last. A destination that is gone
// is an error without a cut.
func passEvents(ctx context.Context, to flusher, from io.ReadCloser, o Options, last func(*Cut) []byte) (Summary, error) {
	e := newEvents(ctx, from, o, last)
	defer e.Close()
	for {
		some, err := e.next()
		if len(some) > 0 {
			if _, failed := to.Write(some); failed != nil {
				return e.judge.sum, failed
			}
			to.Flush()
		}
		if err == io.EOF {
			return e.judge.sum, nil
		}
		if err != nil {
			return e.judge.sum, err
		}
	}
}
