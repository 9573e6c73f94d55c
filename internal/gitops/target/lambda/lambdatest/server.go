// Package lambdatest is a fake: a server in memory that speaks as much of the
// HTTP APIs of AWS Lambda, IAM, STS and S3 as the target over them uses, and what
// others can do to a function and its role. It decides nothing about rights, runs
// no code, and knows only the rules that the target's steps meet: revisions,
// updates that take a while, roles that cannot be assumed yet, throttling, reads
// that lag behind writes.
//
// Start with [Start]; point the real SDK at [Server.URL].
package lambdatest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Account and Region are those that the server stands for.
const (
	Account = "123456789012"
	Region  = "eu-central-1"
)

type object = map[string]any

// Server is the fake. Its methods are safe for concurrent use.
type Server struct {
	URL string

	mu        sync.Mutex
	account   string
	functions map[string]*function
	roles     map[string]*role
	calls     map[string]int
	order     []string // the writes, in order
	fail      func(op string) *Fault
	busy      int // reads of the configuration that an update takes
	lag       int // reads that a write is not seen by
	serial    int
	oldURLs   bool
	checksums string // the type of those that S3 keeps, "" for none
}

// Fault is an answer in place of the right one. After: the call takes effect
// before it fails, as when the connection is lost.
type Fault struct {
	Status  int
	Code    string
	Message string
	After   bool
}

// Start starts a server that ends with the test.
func Start(t testing.TB) *Server {
	s := &Server{account: Account, functions: map[string]*function{}, roles: map[string]*role{}, calls: map[string]int{}}
	h := httptest.NewServer(s.handler())
	t.Cleanup(h.Close)
	s.URL = h.URL
	return s
}

// Calls returns how often each operation was called, and all of them together.
func (s *Server) Calls() (map[string]int, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := 0
	for _, n := range s.calls {
		sum += n
	}
	return maps.Clone(s.calls), sum
}

// Writes returns the operations that were not reads, in order, and forgets them.
func (s *Server) Writes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	order := s.order
	s.order = nil
	return order
}

// Fail has each call asked about; nil ends it.
func (s *Server) Fail(f func(op string) *Fault) { s.mu.Lock(); defer s.mu.Unlock(); s.fail = f }

// Busy has each update take so many reads of the configuration.
func (s *Server) Busy(reads int) { s.mu.Lock(); defer s.mu.Unlock(); s.busy = reads }

// Lag has each write unseen by so many reads of the object.
func (s *Server) Lag(reads int) { s.mu.Lock(); defer s.mu.Unlock(); s.lag = reads }

// OldURLs has the server not know lambda:InvokedViaFunctionUrl, as before October 2025.
func (s *Server) OldURLs(on bool) { s.mu.Lock(); defer s.mu.Unlock(); s.oldURLs = on }

// SetAccount changes whose credentials the callers are said to have.
func (s *Server) SetAccount(account string) { s.mu.Lock(); defer s.mu.Unlock(); s.account = account }

// Tamper replaces the variables of a function, as somebody else does.
func (s *Server) Tamper(name string, variables map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.functions[name]
	f.config["Environment"] = object{"Variables": variables}
	f.config["RevisionId"] = s.next()
}

// call is one request.
type call struct {
	*Server
	w     http.ResponseWriter
	r     *http.Request
	op    string
	name  string
	body  object
	query func(string) string
}

// refuse is an error of AWS's.
type refuse struct {
	status  int
	code    string
	message string
}

func notFound(what string) *refuse {
	return &refuse{http.StatusNotFound, "ResourceNotFoundException", what + " was not found"}
}

func invalid(message string) *refuse {
	return &refuse{http.StatusBadRequest, "InvalidParameterValueException", message}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, op := range operations {
		name, do := op.name, op.do
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, name, do) })
	}
	mux.HandleFunc("POST /{$}", s.query)
	mux.HandleFunc("GET /{bucket}/{key...}", s.archive) // HEAD too
	return mux
}

func isRead(op string) bool {
	return strings.HasPrefix(op, "Get") || strings.HasPrefix(op, "Head") || strings.HasPrefix(op, "List")
}

// count notes the call, and returns the fault that it meets.
func (s *Server) count(op string) *Fault {
	s.calls[op]++
	if !isRead(op) {
		s.order = append(s.order, op)
	}
	if s.fail != nil {
		return s.fail(op)
	}
	return nil
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, op string, do func(*call) (any, *refuse)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.PathValue("name")
	if parts := strings.Split(name, ":"); len(parts) == 7 {
		name = parts[6]
	}
	c := &call{Server: s, w: w, r: r, op: op, name: name, query: r.URL.Query().Get, body: object{}}
	if r.Body != nil {
		_ = json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<20)).Decode(&c.body) // empty for most
	}
	fault := s.count(op)
	if fault != nil && !fault.After {
		answer(w, nil, &refuse{fault.Status, fault.Code, fault.Message})
		return
	}
	out, err := do(c)
	if fault != nil {
		err = &refuse{fault.Status, fault.Code, fault.Message}
	}
	answer(w, out, err)
}

func answer(w http.ResponseWriter, out any, err *refuse) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.Header().Set("X-Amzn-Errortype", err.code)
		w.WriteHeader(err.status)
		out = object{"Type": "User", "Message": err.message, "message": err.message}
	} else if out == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (s *Server) next() string {
	s.serial++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", s.serial)
}

// page returns some of the names after the marker, and the next marker.
func page(names []string, marker string, size int) ([]string, string) {
	slices.Sort(names)
	at, _ := strconv.Atoi(marker)
	at = min(at, len(names))
	end := min(at+size, len(names))
	if end == len(names) {
		return names[at:], ""
	}
	return names[at:end], strconv.Itoa(end)
}
