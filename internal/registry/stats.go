package registry

import (
	"io"
	"net/http"
	"sync/atomic"
)

// Stats are counts since [New].
type Stats struct {
	Requests map[int]int64 // answers by HTTP status
	BytesIn  int64         // of blobs and manifests received
	BytesOut int64         // of all bodies sent
	Denied   int64         // tags that the gate refused
}

// Stats returns the counts of this moment. They are read one after the other,
// so they may differ by what happens meanwhile.
func (r *Registry) Stats() Stats {
	s := Stats{
		Requests: map[int]int64{},
		BytesIn:  r.stats.in.Load(),
		BytesOut: r.stats.out.Load(),
		Denied:   r.stats.denied.Load(),
	}
	for code := range r.stats.byStatus {
		if n := r.stats.byStatus[code].Load(); n > 0 {
			s.Requests[code] = n
		}
	}
	return s
}

type counters struct {
	byStatus [600]atomic.Int64
	in, out  atomic.Int64
	denied   atomic.Int64
}

func (c *counters) count(status int) {
	if status > 0 && status < len(c.byStatus) {
		c.byStatus[status].Add(1)
	}
}

// recorder notes what was answered. It passes on ReadFrom, so that blobs still
// go from the file to the socket inside of the kernel, and Unwrap, so that
// deadlines can be set.
type recorder struct {
	http.ResponseWriter
	counters *counters
	status   int
	bytes    int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.add(int64(n))
	return n, err
}

// ReadFrom implements io.ReaderFrom.
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := io.Copy(r.ResponseWriter, src)
	r.add(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) add(n int64) {
	r.bytes += n
	r.counters.out.Add(n)
}

var _ io.ReaderFrom = (*recorder)(nil)
