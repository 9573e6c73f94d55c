package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/capture"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/media/inspect"
	"github.com/apexlogic/apex/internal/meter"
	"github.com/apexlogic/apex/verdict"
)

// CapturesDir is where the captures of a gateway lie below its state directory.
func CapturesDir(state string) string { return capturesDir(state) }

// Judgement is what was decided about a request.
type Judgement struct {
	Decision string   `json:"decision"` // allow or deny
	Code     string   `json:"code,omitempty"`
	Stage    string   `json:"stage,omitempty"`
	Detail   string   `json:"detail,omitempty"`
	Policies []string `json:"policies,omitempty"`
}

func (j *Judgement) String() string {
	if j.Code == "" {
		return j.Decision
	}
	return j.Decision + " " + j.Code
}

// Replayed is what became of a capture that was judged again.
type Replayed struct {
	ID        string     `json:"id"`
	At        time.Time  `json:"at"`
	Route     string     `json:"route"`
	Principal string     `json:"principal"`
	Before    Judgement  `json:"before"`
	After     *Judgement `json:"after,omitempty"` // nil: it was not judged
	Changed   bool       `json:"changed"`
	// Skipped says why it was not judged.
	Skipped string `json:"skipped,omitempty"`
}

// Replay judges captures by the routes and policies of a folder: through the
// stages of a gateway, without a network and without limits, and nothing is passed
// on. It is one goroutine's.
type Replay struct {
	gateway *gateway.Gateway
	now     replayed
}

// replayed is the capture that is judged at the moment, from which a gateway has
// what it asks its surroundings for. One that asks for a time has that of the
// request.
type replayed struct {
	capture   *capture.Capture
	principal *identity.Principal
	decision  gateway.Decision
	at        atomic.Pointer[time.Time] // which other goroutines of the gateway ask for, too
}

// Now is the time of the request.
func (r *replayed) Now() time.Time {
	if t := r.at.Load(); t != nil {
		return *t
	}
	return clock.System{}.Now()
}

// Record keeps the decision, and Outcome nothing.
func (r *replayed) Record(_ context.Context, d *gateway.Decision, _ bool) error {
	r.decision = *d
	return nil
}

func (r *replayed) Outcome(context.Context, *gateway.Outcome) error { return nil }

// Verdict is what was known of the model.
func (r *replayed) Verdict(string, string, string) (string, time.Time) {
	return r.capture.Verdict, r.capture.At
}

// NewReplay compiles the folder. Documents that are wrong are a *config.Invalid.
func NewReplay(ctx context.Context, dir string) (*Replay, error) {
	s, err := config.Load(ctx, config.Path(dir))
	if err == nil {
		err = s.Err()
	}
	if err != nil {
		return nil, err
	}
	r := &Replay{}
	log := slog.New(slog.DiscardHandler)
	r.gateway = gateway.New(gateway.Options{Clock: &r.now, Recorder: &r.now, Verdicts: &r.now, Inspect: inspect.Inspect, Log: log})
	// What the firewall excludes for a time is judged by today's.
	c, err := newGatewayCompiler(&GatewayOptions{Clock: clock.System{}, Logger: log}, nil, meter.New(clock.System{}), r.gateway.Current)
	if err != nil {
		return nil, err
	}
	c.offline = true
	decider, problems := c.accessOf(s)
	labels, wrong := workloadLabels(s)
	problems = append(problems, wrong...)
	var routes []*gateway.Route
	for i := range s.ProtectedRoutes {
		o := s.ProtectedRoutes[i]
		if o.Value.Spec.API == "Events" { // of which nothing is captured
			continue
		}
		route, err := r.route(c, o.Value)
		if at, is := errors.AsType[*fieldError](err); is {
			problems = append(problems, o.Problem(verdict.PolicyInvalid, at.path, at.err.Error()))
			continue
		}
		if err != nil {
			return nil, err
		}
		route.Access = decider
		routes = append(routes, route)
	}
	if len(problems) > 0 {
		return nil, &config.Invalid{Problems: problems}
	}
	snapshot, err := gateway.NewSnapshot(s.Hash(), routes, nil)
	if err != nil {
		return nil, err
	}
	snapshot.Revoked, snapshot.Labels = revokedBy(s), labels
	r.gateway.Use(snapshot)
	return r, nil
}

// route compiles a route without what only a gateway that serves has: a server
// behind, the keys of identities, limits over time.
func (r *Replay) route(c *gatewayCompiler, doc *v1alpha1.ProtectedRoute) (*gateway.Route, error) {
	doc = doc.DeepCopy()
	recognised := doc.Spec.Identities
	doc.Spec.Identities, doc.Spec.Capture = nil, nil
	doc.Spec.Upstream = v1alpha1.Upstream{URL: "http://127.0.0.1", TLS: "Plaintext"} // nothing is passed on
	route, err := c.route(doc)
	if err != nil {
		return nil, err
	}
	route.Identity = &capturedIdentity{recognised, &r.now}
	route.Limits = gateway.Limits{Answer: route.Limits.Answer}
	return route, nil
}

// Judge judges a capture.
func (r *Replay) Judge(c *capture.Capture) (Replayed, error) {
	out := Replayed{ID: c.ID, At: c.At, Route: c.Route, Principal: c.Principal.ID}
	var before gateway.Decision
	if err := json.Unmarshal(c.Decision, &before); err != nil {
		return out, fmt.Errorf("the capture %s: its decision cannot be read", c.ID)
	}
	out.Before = judgementOf(&before)
	out.Skipped = notReplayed(c, &before)
	if out.Skipped != "" {
		return out, nil
	}
	principal, err := c.Principal.Identity()
	if err != nil {
		return out, fmt.Errorf("the capture %s: %w", c.ID, err)
	}
	request, err := requestOf(c)
	if err != nil {
		return out, err
	}
	r.now.capture, r.now.principal, r.now.decision = c, principal, gateway.Decision{}
	r.now.at.Store(&c.At)
	if principal.Method != identity.Anonymous {
		request.Header.Set("Authorization", "Bearer replay") // which capturedIdentity takes
	}
	r.gateway.Judge(&gateway.Ask{Door: "replay", Request: request, Body: c.Request.Body, Rewrites: true})
	after := judgementOf(&r.now.decision)
	if after.Stage == "content" && !r.now.decision.Allowed {
		out.Skipped = "its content stands at an address, and a replay fetches nothing"
		return out, nil
	}
	out.After = &after
	out.Changed = after.Decision != out.Before.Decision || after.Code != out.Before.Code
	return out, nil
}

func judgementOf(d *gateway.Decision) Judgement {
	j := Judgement{Decision: "deny", Code: d.Code, Stage: d.Stage, Detail: d.Detail, Policies: d.Policies}
	if d.Allowed {
		j.Decision = "allow"
	}
	return j
}

// notReplayed says why a decision could not be made again by policies alone.
func notReplayed(c *capture.Capture, before *gateway.Decision) string {
	switch {
	case c.Request.Stream != "":
		return "the messages of a " + c.Request.Stream + " stream are not captured"
	case strings.HasPrefix(before.Code, "request.limit."):
		return "limits depend on all other requests"
	case before.Stage == "upstream" || before.Stage == "record":
		return "it was refused for the state of the gateway or of the server"
	}
	return ""
}

// requestOf makes the request anew, without what says who asks.
func requestOf(c *capture.Capture) (*http.Request, error) {
	at, err := url.ParseRequestURI(c.Request.Target)
	if err != nil {
		return nil, fmt.Errorf("the capture %s: its path cannot be read", c.ID)
	}
	header := c.Request.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	return &http.Request{
		Method: c.Request.Method, URL: at, RequestURI: c.Request.Target, Host: c.Request.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: c.Request.Address,
	}, nil
}

// capturedIdentity recognises who asked, if a route still does.
type capturedIdentity struct {
	sources []v1alpha1.IdentitySource
	now     *replayed
}

// Authenticate implements identity.Authenticator.
func (a *capturedIdentity) Authenticate(context.Context, *identity.Credentials) (*identity.Principal, error) {
	p := a.now.principal
	for i := range a.sources {
		s := &a.sources[i]
		switch {
		case s.SPIFFE != nil && s.SPIFFE.TrustDomain == p.Issuer && p.Method == identity.X509SVID:
			return p, nil
		case s.SPIFFE != nil && s.SPIFFE.TrustDomain == p.Issuer && p.Method == identity.JWTSVID:
			if s.SPIFFE.Audience != "" && slices.Contains(p.Audiences, s.SPIFFE.Audience) {
				return p, nil
			}
		case s.OIDC != nil && s.OIDC.Issuer == p.Issuer && p.Method == identity.OIDC && slices.Contains(p.Audiences, s.OIDC.Audience):
			seen := *p
			seen.Claims = map[string]any{}
			for _, name := range s.OIDC.Claims { // those that policies may ask for now, as far as they were kept
				if v, there := p.Claims[name]; there {
					seen.Claims[name] = v
				}
			}
			return &seen, nil
		}
	}
	return nil, identity.ErrOther
}

// nothing resolves and connects to nothing.
type nothing struct{}

var errOffline = errors.New("a replay fetches nothing")

func (nothing) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, errOffline
}

func (nothing) connect(context.Context, string, string) (net.Conn, error) { return nil, errOffline }

// sendWithin bounds a request that is sent again, with its answer.
const sendWithin = time.Minute

// SendCapture sends the request of a capture to a server or a gateway, with a
// bearer token when there is one, and returns the status of the answer. The
// answer itself is not looked at. Redirects are not followed.
func SendCapture(ctx context.Context, c *capture.Capture, to *url.URL, token string) (status int, err error) {
	if c.Request.Stream != "" {
		return 0, fmt.Errorf("the capture %s: the messages of a %s stream are not captured", c.ID, c.Request.Stream)
	}
	if len(c.Request.Withheld) > 0 {
		return 0, fmt.Errorf("the capture %s: the query's %s were not kept", c.ID, strings.Join(c.Request.Withheld, ", "))
	}
	request, err := requestOf(c)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	at := *to
	at.Path, at.RawQuery = request.URL.Path, request.URL.RawQuery
	sent, err := http.NewRequestWithContext(ctx, c.Request.Method, at.String(), bytes.NewReader(c.Request.Body))
	if err != nil {
		return 0, err
	}
	sent.Host, sent.Header = c.Request.Host, request.Header
	if token != "" {
		sent.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(sent)
	if err != nil {
		return 0, fmt.Errorf("send the capture %s: %w", c.ID, err)
	}
	return answer.StatusCode, answer.Body.Close()
}
