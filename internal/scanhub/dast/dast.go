// Package dast probes a running HTTP service with what its OpenAPI description
// says it takes, and with what it should not take.
//
// Start at [Scan], which reads the description, replays every operation once
// with valid values and then with hostile ones, and returns what the answers
// give away. It is the small scanner that is always there; ZAP and nuclei are
// run beside it where they are installed.
//
// It changes data: it calls what the description lists, DELETE included. It is
// for services under test, and so it connects to loopback addresses only,
// unless [Options.AllowRemote] says otherwise: the address that is connected to
// is looked at, not the name. Every probe that needs proof carries a value that
// nobody else sends; what the service did with it is the proof. How long an
// answer takes is never one.
//
// Sources: OpenAPI 3.0 and 3.1; OWASP Web Security Testing Guide 4.2 for what
// is probed; RFC 9110.
package dast

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// The limits that Options may lower.
const (
	// DefaultRequests is 40 operations with four values each, all probes.
	DefaultRequests = 5000
	// DefaultRate, in requests a second, is what a small service under test takes.
	DefaultRate = 200
	// DefaultTime bounds the whole scan.
	DefaultTime = 5 * time.Minute
	// requestTime bounds one request.
	requestTime = 10 * time.Second
	// maxAnswer bounds the part of an answer that is looked at.
	maxAnswer = 256 << 10
)

// ErrNotLoopback is wrapped by the error about a service on another machine.
var ErrNotLoopback = errors.New("the service is not on a loopback address")

// Options say what is probed, and how hard.
type Options struct {
	// Base is the URL that the description's paths are appended to.
	Base string
	// AllowRemote lets other machines be probed: only with the leave of whom
	// they belong to.
	AllowRemote bool
	// Header is sent with every request: credentials, which are taken away
	// again to see whether they are asked for. They are never in a result.
	Header http.Header
	// Requests, Rate (requests a second) and Time bound the scan; 0 takes the
	// defaults. A scan that reaches the first or the last says so.
	Requests int
	Rate     int
	Time     time.Duration
	// Slow is how long a request that is never finished is held open; 0: that
	// is not probed.
	Slow time.Duration
}

// scanner is one scan.
type scanner struct {
	o         Options
	base      *url.URL
	transport *http.Transport
	canary    *listener
	seed      string
	next      int // number of the next canary
	sent      int
	late      int // requests without an answer in time
	last      time.Time
	run       sarif.Run
	seen      map[string]bool
	// methods are those that the description has, by path.
	methods map[string][]string
}

// errBudget ends a scan that has sent all that it may.
var errBudget = errors.New("the budget of requests is used up")

// Scan probes the service at o.Base as description (OpenAPI 3, JSON or YAML)
// has it. The run's Problem says what was not probed. The error is about the
// description, the options, or a service that is not there.
func Scan(ctx context.Context, description []byte, o Options) (sarif.Run, error) {
	base, err := url.Parse(o.Base)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return sarif.Run{}, errors.New("the address of the service is not an http or https URL")
	}
	ops, err := operations(description)
	if err != nil {
		return sarif.Run{}, err
	}
	if o.Requests <= 0 {
		o.Requests = DefaultRequests
	}
	if o.Rate <= 0 {
		o.Rate = DefaultRate
	}
	if o.Time <= 0 {
		o.Time = DefaultTime
	}
	ctx, cancel := context.WithTimeout(ctx, o.Time)
	defer cancel()
	var seed [6]byte
	rand.Read(seed[:])
	s := &scanner{o: o, base: base, transport: newTransport(o.AllowRemote), seed: hex.EncodeToString(seed[:]), seen: map[string]bool{}}
	defer s.transport.CloseIdleConnections()
	if s.canary, err = listen(); err != nil {
		return sarif.Run{}, err
	}
	defer s.canary.close()
	s.methods = map[string][]string{}
	for i := range ops {
		s.methods[ops[i].path] = append(s.methods[ops[i].path], ops[i].method)
	}
	s.run = sarif.Run{Tool: "apex-dast", Results: []sarif.Result{}}
	if len(ops) == 0 {
		s.run.Problem = "the description lists no operation"
	}
	for i := range ops {
		if err := s.operation(ctx, &ops[i]); err != nil {
			if s.sent <= 1 && !errors.Is(err, errBudget) {
				return sarif.Run{}, fmt.Errorf("reach the service: %w", err) // it was never there, or may not be probed
			}
			s.run.Problem = fmt.Sprintf("%s, at operation %d of %d", err, i+1, len(ops))
			break
		}
	}
	if o.Slow > 0 && s.run.Problem == "" {
		if err := s.slow(ctx); err != nil {
			s.run.Problem = err.Error()
		}
	}
	return s.run, nil
}

// token is a value that nobody else sends.
func (s *scanner) token() string {
	s.next++
	return fmt.Sprintf("apex%s%04d", s.seed, s.next)
}

// rule is one kind of finding.
type rule struct {
	id, title string
	class     sarif.Class
	severity  fact.Severity
	cwe       int
}

// add notes a finding, once per rule and place.
func (s *scanner) add(r rule, op *operation, slot, what string, shown *http.Request, body string) {
	place := op.method + " " + op.path
	if slot != "" {
		place += " " + slot
	}
	if key := r.id + "\x00" + place; s.seen[key] {
		return
	} else {
		s.seen[key] = true
	}
	s.run.Results = append(s.run.Results, sarif.Result{
		Rule: r.id, Title: r.title, Message: place + ": " + what, Level: "warning", Severity: r.severity, Class: r.class, CWE: []int{r.cwe},
		Place: sarif.Place{Name: place}, Request: s.show(shown, body),
	})
}

// maxShown bounds the parts of a request that are shown.
const maxShown = 400

// show is the request as a person can send it again, without credentials.
func (s *scanner) show(r *http.Request, body string) string {
	if r == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString(r.Method + " " + sarif.Clip(r.URL.RequestURI(), maxShown) + "\n")
	for _, name := range []string{"Content-Type", "Origin", "X-Http-Method-Override"} {
		if v := r.Header.Get(name); v != "" {
			b.WriteString(name + ": " + sarif.Clip(v, maxShown) + "\n")
		}
	}
	if body != "" {
		b.WriteString("\n" + sarif.Clip(body, maxShown))
	}
	return b.String()
}
