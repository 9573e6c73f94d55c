package admission

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"runtime/debug"
	"sync"

	"github.com/apexlogic/apex/internal/manifest"
)

// The paths that are served.
const (
	PathValidate = "/validate"
	PathMutate   = "/mutate"
	PathGuard    = "/guard"
	PathHealthy  = "/healthz"
	PathReady    = "/readyz"
)

// MaxReview bounds the body of a request. An object has at most 1.5 MiB; an
// update carries it twice.
const MaxReview = manifest.MaxBytes

// busy is how long a client waits before it asks again.
const busy = 2 // seconds

// ServeHTTP answers reviews and probes.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case PathValidate:
		h.review(w, r, h.validate)
	case PathMutate:
		h.review(w, r, h.mutate)
	case PathGuard:
		h.review(w, r, h.guard)
	case PathHealthy:
		probe(w, nil)
	case PathReady:
		probe(w, h.ready())
	default:
		http.NotFound(w, r)
	}
}

func probe(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, clip(err.Error(), maxMessage))
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

func (h *Handler) ready() error {
	if h.state.draining.Load() {
		return errors.New("shutting down")
	}
	if h.o.Ready != nil {
		return h.o.Ready()
	}
	return nil
}

// review reads one review, has it answered within the deadline and writes the
// answer. What is no review gets an HTTP error, on which an API server does what
// failurePolicy says: Fail.
func (h *Handler) review(w http.ResponseWriter, r *http.Request, judge func(context.Context, *Review, *scratch) answer) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "an AdmissionReview is posted", http.StatusMethodNotAllowed)
		return
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		http.Error(w, "the Content-Type is not application/json", http.StatusUnsupportedMediaType)
		return
	}
	size := r.ContentLength
	switch {
	case size > MaxReview:
		http.Error(w, fmt.Sprintf("an AdmissionReview has at most %d bytes", int64(MaxReview)), http.StatusRequestEntityTooLarge)
		return
	case size < 0:
		size = MaxReview
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.o.Deadline)
	defer cancel()
	if err := h.bodies.enter(ctx, size); err != nil {
		w.Header().Set("Retry-After", "2")
		http.Error(w, "too many reviews at once", http.StatusServiceUnavailable)
		return
	}
	defer h.bodies.leave(size)

	s := scratches.Get().(*scratch)
	defer s.release()
	if err := s.read(r.Body, int(size)); err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, errTooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, err.Error(), status)
		return
	}
	review, err := ParseReview(s.body)
	if err != nil {
		http.Error(w, clip(err.Error(), maxMessage), http.StatusBadRequest)
		return
	}
	a := h.safely(ctx, review, s, judge)
	s.out = a.appendTo(s.out[:0], review.UID)
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(s.out)
}

var jsonType = []string{"application/json"}

// isJSON says whether a Content-Type is JSON in UTF-8.
func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	kind, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/json" {
		return false
	}
	for key, value := range parameters {
		if key != "charset" || value != "utf-8" && value != "UTF-8" {
			return false
		}
	}
	return true
}

// safely turns a panic into a denial.
func (h *Handler) safely(ctx context.Context, r *Review, s *scratch, judge func(context.Context, *Review, *scratch) answer) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			h.o.Logger.Error("an admission review panicked", "kind", r.Kind, "namespace", r.Namespace, "name", r.Name, "panic", p, "stack", string(debug.Stack()))
			a = h.internal()
		}
		if generation := h.o.Generation(); len(a.audit) == 0 {
			a.note(auditGeneration, generation)
		}
	}()
	return judge(ctx, r, s)
}

func (h *Handler) internal() answer {
	return deny(http.StatusInternalServerError, "Apex failed while it was judging this, so it is denied; its log says where")
}

// scratch is the memory of one request, used again by later ones.
type scratch struct {
	body    []byte
	reduced []byte // a review for package manifest
	out     []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// keep is the largest buffer that is used again: larger ones are rare, and would
// stay for ever.
const keep = 256 << 10

func (s *scratch) release() {
	if cap(s.body) <= keep && cap(s.reduced) <= keep && cap(s.out) <= keep {
		scratches.Put(s)
	}
}

var errTooLarge = fmt.Errorf("an AdmissionReview has at most %d bytes", int64(MaxReview))

// read reads the body, which promised size bytes at most.
func (s *scratch) read(body io.Reader, size int) error {
	if s.body = s.body[:0]; size < MaxReview && cap(s.body) <= size {
		s.body = make([]byte, 0, size+512)
	}
	for {
		if len(s.body) == cap(s.body) {
			s.body = append(s.body, 0)[:len(s.body)]
		}
		n, err := body.Read(s.body[len(s.body):cap(s.body)])
		if s.body = s.body[:len(s.body)+n]; len(s.body) > MaxReview {
			return errTooLarge
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the AdmissionReview: %w", err)
		}
	}
}
