package dast

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// newTransport uses no proxy, and looks at the address that it really connects
// to: a name may resolve to another one each time. It is used without a client,
// which refuses answers that lead to no URL: those are what is looked for.
func newTransport(remote bool) *http.Transport {
	d := &net.Dialer{Timeout: requestTime}
	if !remote {
		d.Control = func(_, address string, _ syscall.RawConn) error {
			host, _, err := net.SplitHostPort(address)
			if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
				return fmt.Errorf("%w (%s)", ErrNotLoopback, host)
			}
			return nil
		}
	}
	return &http.Transport{DialContext: d.DialContext, DisableCompression: true, MaxResponseHeaderBytes: 1 << 20, MaxIdleConnsPerHost: 2}
}

// listener is a service of ours on loopback: who calls it was told to.
type listener struct {
	net  net.Listener
	srv  *http.Server
	mu   sync.Mutex
	hits map[string]bool
}

// maxHits bounds what a service can make the listener remember.
const maxHits = 10_000

func listen() (*listener, error) {
	n, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for callbacks: %w", err)
	}
	l := &listener{net: n, hits: map[string]bool{}}
	l.srv = &http.Server{ReadHeaderTimeout: requestTime, MaxHeaderBytes: 16 << 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		if len(l.hits) < maxHits {
			l.hits[strings.Trim(r.URL.Path, "/")] = true
		}
		l.mu.Unlock()
		io.WriteString(w, "called")
	})}
	go l.srv.Serve(n)
	return l, nil
}

func (l *listener) url(token string) string { return "http://" + l.net.Addr().String() + "/" + token }

// called says whether the service asked for the URL of the token.
func (l *listener) called(token string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hits[token]
}

func (l *listener) close() { l.srv.Close() }

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	// cut: the connection ended without an answer that can be read, as when a handler dies.
	cut bool
	req *http.Request
	// sent is the body of the request.
	sent string
}

func (a *answer) ok() bool { return a.status >= 200 && a.status < 300 }

// change is what a probe does to a valid request.
type change struct {
	slot  *slot // whose value is replaced; nil: none
	value any
	// method, contentType and raw replace those of the operation; raw is the body.
	method, contentType string
	raw                 *string
	header              http.Header
	anonymous           bool
}

// build makes the request of an operation with a change.
func (s *scanner) build(ctx context.Context, op *operation, c change) (*http.Request, string, error) {
	path, query, header := op.path, url.Values{}, http.Header{}
	var cookies []string
	body := op.example
	for i := range op.slots {
		sl := &op.slots[i]
		v := sl.value
		if c.slot == sl {
			v = c.value
		}
		switch sl.in {
		case "path":
			path = strings.ReplaceAll(path, "{"+sl.name+"}", url.PathEscape(text(v)))
		case "query":
			query.Set(sl.name, text(v))
		case "header":
			// A client cannot send line ends in a header; the rest it can.
			header.Set(sl.name, strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ").Replace(text(v)))
		case "cookie":
			cookies = append(cookies, sl.name+"="+url.QueryEscape(text(v)))
		case "body":
			if c.slot == sl {
				body = replace(body, sl.keys, c.value)
			}
		}
	}
	u := *s.base
	u.RawPath = strings.TrimSuffix(u.EscapedPath(), "/") + path
	var err error
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, "", fmt.Errorf("the path %q is not one: %w", op.path, err)
	}
	u.RawQuery = query.Encode()
	var sent, kind string
	switch {
	case c.raw != nil:
		sent, kind = *c.raw, "application/json"
	case op.form:
		form := url.Values{}
		if m, ok := body.(map[string]any); ok {
			for k, v := range m {
				form.Set(k, text(v))
			}
		}
		sent, kind = form.Encode(), "application/x-www-form-urlencoded"
	case op.body:
		data, err := json.Marshal(body)
		if err != nil {
			return nil, "", err
		}
		sent, kind = string(data), "application/json"
	}
	if c.contentType != "" {
		kind = c.contentType
	}
	method := op.method
	if c.method != "" {
		method = c.method
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(sent))
	if err != nil {
		return nil, "", err
	}
	for name, v := range header {
		req.Header[name] = v
	}
	if !c.anonymous {
		for name, v := range s.o.Header {
			req.Header[http.CanonicalHeaderKey(name)] = v
		}
	}
	for name, v := range c.header {
		req.Header[name] = v
	}
	if len(cookies) > 0 {
		req.Header.Add("Cookie", strings.Join(cookies, "; "))
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	req.Header.Set("User-Agent", "apex-dast")
	return req, sent, nil
}

// maxLate is how many requests may go without an answer in time before the
// scan ends: each costs requestTime.
const maxLate = 5

// send sends a changed request. An error ends the scan.
func (s *scanner) send(ctx context.Context, op *operation, c change) (*answer, error) {
	req, sent, err := s.build(ctx, op, c)
	if err != nil {
		return nil, err
	}
	if s.sent >= s.o.Requests {
		return nil, errBudget
	}
	s.sent++
	if err := s.pace(ctx); err != nil {
		return nil, err
	}
	a := &answer{req: req, sent: sent}
	within, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	resp, err := s.transport.RoundTrip(req.WithContext(within))
	if err != nil {
		if within.Err() != nil && ctx.Err() == nil {
			if s.late++; s.late <= maxLate {
				return a, nil // no answer, which proves nothing
			}
		}
		if ctx.Err() != nil || !wasCut(err) {
			return nil, err
		}
		a.cut = true
		return a, nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	a.status, a.header, a.body = resp.StatusCode, resp.Header, string(data)
	return a, nil
}

// wasCut says whether the service took the request and hung up, or answered
// with what is no HTTP. Where no connection came about, nobody is there.
func wasCut(err error) bool {
	var op *net.OpError
	return !errors.As(err, &op) || op.Op != "dial"
}

// pace waits until the rate allows one more request.
func (s *scanner) pace(ctx context.Context) error {
	next := s.last.Add(time.Second / time.Duration(s.o.Rate))
	if wait := time.Until(next); wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
	s.last = time.Now()
	return ctx.Err()
}

// text is a value as it stands in a URL.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case nil:
		return ""
	case map[string]any, []any:
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.Encode(v)
		return strings.TrimSpace(b.String())
	}
	return fmt.Sprint(v)
}

// replace returns body with value where keys lead to; body stays as it is.
func replace(body any, keys []any, value any) any {
	if len(keys) == 0 {
		return value
	}
	switch b := body.(type) {
	case map[string]any:
		if k, ok := keys[0].(string); ok {
			copied := make(map[string]any, len(b))
			for name, v := range b {
				copied[name] = v
			}
			copied[k] = replace(b[k], keys[1:], value)
			return copied
		}
	case []any:
		if i, ok := keys[0].(int); ok && i < len(b) {
			copied := append([]any(nil), b...)
			copied[i] = replace(b[i], keys[1:], value)
			return copied
		}
	}
	return body
}
