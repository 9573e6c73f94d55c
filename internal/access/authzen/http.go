package authzen

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
)

// Limits on one request.
const (
	maxBody        = 1 << 20 // 1,000 evaluations with some properties take 300 KB
	maxDepth       = 12      // of nesting; policies look three deep
	maxEvaluations = 1000
)

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	if id := r.Header.Get("X-Request-ID"); id != "" {
		h.Set("X-Request-ID", id) // as it is (section 10.1.3); the server bounds headers
	}
	if r.URL.Path == s.metadata {
		s.serveMetadata(w, r)
		return
	}
	to, ok := s.paths[r.URL.Path]
	if !ok {
		refuse(w, &failure{status: http.StatusNotFound, message: "there is nothing here: ask " + s.metadata})
		return
	}
	h.Set("Cache-Control", "no-store")
	caller, err := s.config.Authenticate(r)
	if err != nil {
		if errors.Is(err, ErrForbidden) {
			refuse(w, &failure{status: http.StatusForbidden, message: ErrForbidden.Error()})
			return
		}
		h.Set("WWW-Authenticate", "Bearer")
		refuse(w, &failure{status: http.StatusUnauthorized, message: "the caller is not authenticated"})
		return
	}
	if r.Method != http.MethodPost {
		h.Set("Allow", http.MethodPost)
		refuse(w, &failure{status: http.StatusMethodNotAllowed, message: "only POST is answered"})
		return
	}
	a := s.asked(r, caller, to.name)
	data, err := a.answer(w, r, to)
	if err != nil {
		refuse(w, err)
		return
	}
	h.Set("Content-Type", "application/json")
	_, _ = w.Write(data) // the caller has gone
}

// failure is an error about the whole request.
type failure struct {
	status  int
	message string
	wait    time.Duration // when to ask again; 0: it is not said
}

func (f *failure) Error() string { return f.message }

func badRequest(format string, args ...any) error {
	return &failure{status: http.StatusBadRequest, message: fmt.Sprintf(format, args...)}
}

// refuse answers with an error: its body is a sentence.
func refuse(w http.ResponseWriter, err error) {
	f, ok := errors.AsType[*failure](err)
	if !ok {
		f = &failure{status: http.StatusInternalServerError, message: "the request could not be answered"}
	}
	if f.wait > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64(math.Ceil(f.wait.Seconds())), 10))
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(f.status)
	_, _ = fmt.Fprintln(w, f.message) // the caller has gone
}

// message is the JSON object of a request. Names that are not known are
// ignored, and names are told apart by case: encoding/json would not.
type message map[string]json.RawMessage

func read(w http.ResponseWriter, r *http.Request) (*message, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, badRequest("the content type is not application/json")
	}
	data, err := bounded.ReadAll(http.MaxBytesReader(w, r.Body, maxBody), maxBody)
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return nil, &failure{status: http.StatusRequestEntityTooLarge, message: fmt.Sprintf("the request is larger than %d bytes", maxBody)}
		}
		return nil, badRequest("the request could not be read")
	}
	rules := bounded.Rules{Depth: maxDepth, FreeMaps: []string{"properties", "context", "labels"}}
	if err := rules.Check(data); err != nil {
		return nil, badRequest("the request is no JSON that is taken: %v", err)
	}
	m, err := object(data)
	if err != nil {
		return nil, badRequest("the request is no JSON object")
	}
	return m, nil
}

func object(data json.RawMessage) (*message, error) {
	var m message
	if err := json.Unmarshal(data, &m); err != nil || m == nil {
		return nil, errors.New("it is no JSON object")
	}
	return &m, nil
}

// absent says that a member is not there.
func (m *message) absent(name string) bool {
	_, ok := (*m)[name]
	return !ok
}

// serveMetadata answers with the decision point's metadata (section 9).
func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, &failure{status: http.StatusMethodNotAllowed, message: "only GET is answered"})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=3600")
	_, _ = w.Write(s.document) // the caller has gone
}

func metadataOf(base string) []byte {
	data, err := json.Marshal(struct {
		PolicyDecisionPoint string `json:"policy_decision_point"`
		AccessEvaluation    string `json:"access_evaluation_endpoint"`
		AccessEvaluations   string `json:"access_evaluations_endpoint"`
		SearchSubject       string `json:"search_subject_endpoint"`
		SearchResource      string `json:"search_resource_endpoint"`
		SearchAction        string `json:"search_action_endpoint"`
	}{base, base + evaluationPath, base + evaluationsPath, base + searchSubjectPath, base + searchResourcePath, base + searchActionPath})
	if err != nil {
		panic(err) // strings are always JSON
	}
	return data
}
