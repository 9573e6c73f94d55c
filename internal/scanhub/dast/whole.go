package dast

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// largeBody is more than any JSON that an operation is for.
	largeBody = 32 << 20
	// deepBody nests deeper than parsers that call themselves can follow.
	deepBody = 100_000
	// strange is an origin that nobody trusts.
	strange = "https://apex-canary.example"
)

// operation probes one operation: as a whole, then value by value.
func (s *scanner) operation(ctx context.Context, op *operation) error {
	valid, err := s.send(ctx, op, change{header: http.Header{"Origin": {strange}}})
	if err != nil {
		return err
	}
	s.disturbed(op, "", valid, nil)
	s.headers(op, valid)
	for _, probe := range []func(context.Context, *operation, *answer) error{s.anonymous, s.verbs, s.bodies} {
		if err := probe(ctx, op, valid); err != nil {
			return err
		}
	}
	for i := range op.slots {
		if err := s.slot(ctx, op, &op.slots[i], valid); err != nil {
			return err
		}
	}
	return nil
}

// headers looks at what an answer tells browsers.
func (s *scanner) headers(op *operation, a *answer) {
	if a.cut {
		return
	}
	if got := a.header.Get("Access-Control-Allow-Origin"); (got == strange || got == "*") && strings.EqualFold(a.header.Get("Access-Control-Allow-Credentials"), "true") {
		s.add(ruleOrigin, op, "", "an origin that is made up is allowed with credentials", a.req, a.sent)
	}
	var missing []string
	if !strings.EqualFold(a.header.Get("X-Content-Type-Options"), "nosniff") && a.body != "" {
		missing = append(missing, "X-Content-Type-Options: nosniff")
	}
	if strings.HasPrefix(strings.ToLower(a.header.Get("Content-Type")), "text/html") && a.header.Get("Content-Security-Policy") == "" {
		missing = append(missing, "Content-Security-Policy")
	}
	if s.base.Scheme == "https" && a.header.Get("Strict-Transport-Security") == "" {
		missing = append(missing, "Strict-Transport-Security")
	}
	if len(missing) > 0 {
		s.add(ruleHeaders, op, "", "missing: "+strings.Join(missing, ", "), a.req, a.sent)
	}
}

// anonymous leaves the credentials out where the description asks for some.
func (s *scanner) anonymous(ctx context.Context, op *operation, _ *answer) error {
	if !op.secured {
		return nil
	}
	for _, h := range []http.Header{nil, {"Authorization": {"Bearer "}}, {"Authorization": {"Bearer " + s.token()}}} {
		a, err := s.send(ctx, op, change{anonymous: true, header: h})
		if err != nil {
			return err
		}
		if a.ok() {
			s.add(ruleAuth, op, "", "it answers without credentials that are valid", a.req, a.sent)
		}
	}
	return nil
}

// verbs tries methods that the description does not list for the path.
func (s *scanner) verbs(ctx context.Context, op *operation, valid *answer) error {
	if op.method != http.MethodGet && op.method != http.MethodPost {
		return nil
	}
	for _, method := range []string{http.MethodTrace, http.MethodPut, http.MethodDelete, "APEXVERB"} {
		if slices.Contains(s.methods[op.path], method) {
			continue
		}
		a, err := s.send(ctx, op, change{method: method})
		if err != nil {
			return err
		}
		s.disturbed(op, "", a, valid)
		if a.ok() {
			s.add(ruleVerb, op, "", "it answers "+method+" too", a.req, a.sent)
		}
	}
	return nil
}

// bodies sends what is no body of the operation.
func (s *scanner) bodies(ctx context.Context, op *operation, valid *answer) error {
	if !op.body {
		return nil
	}
	token := s.token()
	entity := `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e SYSTEM "` + s.canary.url(token) + `">]><a>&e;</a>`
	half, deep, empty := `{"a":`, strings.Repeat("[", deepBody), ""
	for _, c := range []change{
		{raw: &half}, {raw: &deep}, {raw: &empty}, {raw: &entity, contentType: "application/xml"}, {contentType: "application/x-apex-canary"},
	} {
		a, err := s.send(ctx, op, c)
		if err != nil {
			return err
		}
		s.disturbed(op, "body", a, valid)
	}
	if s.canary.called(token) {
		s.add(ruleEntities, op, "body", "an entity of the document was loaded from us", nil, entity)
	}
	return s.large(ctx, op)
}

// large sends a body that is larger than any use of it, piece by piece: a
// service that stops reading gets no more.
func (s *scanner) large(ctx context.Context, op *operation) error {
	if op.form {
		return nil
	}
	req, _, err := s.build(ctx, op, change{})
	if err != nil {
		return err
	}
	if s.sent >= s.o.Requests {
		return errBudget
	}
	s.sent++
	if err := s.pace(ctx); err != nil {
		return err
	}
	body := &counter{r: io.MultiReader(strings.NewReader(`{"apex":"`), io.LimitReader(filler{}, largeBody), strings.NewReader(`"}`))}
	req.Body, req.ContentLength, req.GetBody = io.NopCloser(body), -1, nil
	within, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	resp, err := s.transport.RoundTrip(req.WithContext(within))
	if err != nil {
		return ctx.Err() // it hung up: that is a way to refuse
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	if body.n.Load() > largeBody && resp.StatusCode != http.StatusRequestEntityTooLarge {
		s.add(ruleUnbounded, op, "body", fmt.Sprintf("%d MiB were taken and answered with %d", largeBody>>20, resp.StatusCode), req, "")
	}
	return nil
}

// filler is text without an end.
type filler struct{}

func (filler) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'A'
	}
	return len(p), nil
}

// counter counts what was read. The transport may still read the body while the
// answer is there already.
type counter struct {
	r io.Reader
	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// slow begins a request and never ends it. That a service still waits after
// Options.Slow is a note, since how long is too long is its owner's to say.
func (s *scanner) slow(ctx context.Context) error {
	host := s.base.Host
	if s.base.Port() == "" {
		host = net.JoinHostPort(s.base.Hostname(), map[string]string{"http": "80", "https": "443"}[s.base.Scheme])
	}
	d := s.transport.DialContext
	conn, err := d(ctx, "tcp", host)
	if err != nil {
		return err
	}
	defer conn.Close()
	if s.base.Scheme == "https" {
		conn = tls.Client(conn, &tls.Config{ServerName: s.base.Hostname(), MinVersion: tls.VersionTLS12})
	}
	conn.SetDeadline(time.Now().Add(s.o.Slow))
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nX-Apex: ", s.base.Host)
	_, err = bufio.NewReader(conn).ReadByte()
	if t, ok := err.(net.Error); ok && t.Timeout() && ctx.Err() == nil {
		s.add(ruleSlow, &operation{method: "GET", path: "/"}, "", fmt.Sprintf("headers that never end are waited for longer than %s", s.o.Slow), nil, "")
	}
	return nil
}
