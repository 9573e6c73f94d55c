package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	rights "github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/capture"
	"github.com/apexlogic/apex/internal/gateway/message"
	"github.com/apexlogic/apex/internal/gateway/stream"
	"github.com/apexlogic/apex/internal/identity/live"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/internal/identity/svid"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/internal/meter"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/verdict"
)

// What a route has where it says nothing; docs/kinds/ProtectedRoute.md tells.
const (
	defaultRequests   = 600
	defaultConcurrent = 32
	defaultTotal      = 1024
	defaultTimeout    = time.Minute
	defaultStream     = 10 * time.Minute
	// bodyWithin is how long a body may take to arrive: 32 MiB over a line of
	// 5 Mbit/s.
	bodyWithin = time.Minute
)

// gatewayCompiler turns the documents of a directory into what requests are
// judged by. What is dear to make or keeps a state outlives a generation:
// engines, authenticators with their keys, and connections to servers.
type gatewayCompiler struct {
	o        *GatewayOptions
	identity *own.Identity
	meter    *meter.Meter
	current  func() *gateway.Snapshot

	servers, issuers *x509.CertPool
	trust            *trustDomains
	believed         *svid.Bundles // every trust domain that is believed
	workloads        *svid.X509    // of any of them
	behind           *svid.X509    // of any of them, as a server

	mu        sync.Mutex
	tls       map[string]*tls.Config
	known     map[string]*known // by what a route says of its identities
	firewalls firewalls
	captures  *capture.Store
	offline   bool // nothing is resolved or fetched

	// What events need: who judges and records them, what was processed by route,
	// and what is sent to by what is said of it.
	judge   *gateway.Gateway
	ledger  *ledger.Ledger
	seen    map[string]*message.Journal
	senders map[string]*sender

	rules struct { // of the set that was compiled last
		of       *config.Set
		set      *rights.Set
		problems []config.Problem
	}
}

func newGatewayCompiler(o *GatewayOptions, id *own.Identity, m *meter.Meter, current func() *gateway.Snapshot) (_ *gatewayCompiler, err error) {
	c := &gatewayCompiler{o: o, identity: id, meter: m, current: current, tls: map[string]*tls.Config{}, known: map[string]*known{}}
	c.firewalls.clock, c.firewalls.log = o.Clock, o.Logger
	if c.servers, err = authorities(o.ServerAuthorities); err != nil {
		return nil, fmt.Errorf("authorities of servers: %w", err)
	}
	if c.issuers, err = authorities(o.IssuerAuthorities); err != nil {
		return nil, fmt.Errorf("authorities of issuers: %w", err)
	}
	if c.trust, err = openTrustDomains(o.Bundles, id); err != nil {
		return nil, err
	}
	if c.believed, err = c.trust.all(); err != nil {
		return nil, err
	}
	c.workloads, c.behind = svid.NewX509(c.believed, o.Clock), svid.NewServers(c.believed, o.Clock)
	return c, nil
}

// follow brings new keys of trust domains into force until the context ends, and
// has what runs asked whether it may go on by them.
func (c *gatewayCompiler) follow(ctx context.Context) {
	c.trust.follow(ctx, c.judge.Live().Review, func(err error) { c.o.Logger.Error("trust bundles stay as they were", "err", err) })
}

// close lets go of everything that no request under way needs.
func (c *gatewayCompiler) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.firewalls.begin()
	c.firewalls.sweep()
}

// enforce has what was compiled for a snapshot last until its requests are over,
// and then brings it into force by use.
func (c *gatewayCompiler) enforce(s *gateway.Snapshot, use func(*gateway.Snapshot)) {
	c.mu.Lock()
	c.firewalls.keep(s)
	c.mu.Unlock()
	s.Ended = func() {
		go func() { // whose request was the last shall not wait for a compilation
			c.mu.Lock()
			defer c.mu.Unlock()
			c.firewalls.ended(s)
		}()
	}
	use(s)
	c.retire()
}

// retire lets go of what the snapshot in force does not need.
func (c *gatewayCompiler) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.firewalls.sweep()
	for name, k := range c.known {
		if !k.used {
			delete(c.known, name)
		}
	}
}

// compile is the gateway's share of a generation.
func (c *gatewayCompiler) compile(s *config.Set) (*gateway.Snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.known {
		k.used = false
	}
	c.firewalls.begin()
	var problems []config.Problem
	decider, wrong := c.accessOf(s)
	problems = append(problems, wrong...)
	labels, wrong := workloadLabels(s)
	problems = append(problems, wrong...)
	var routes []*gateway.Route
	for i := range s.ProtectedRoutes {
		o := s.ProtectedRoutes[i]
		r, err := c.route(o.Value)
		if at, is := errors.AsType[*fieldError](err); is {
			problems = append(problems, o.Problem(verdict.PolicyInvalid, at.path, at.err.Error()))
			continue
		}
		if err != nil {
			return nil, err
		}
		r.Access = decider
		routes = append(routes, r)
	}
	if len(problems) > 0 {
		return nil, &config.Invalid{Problems: problems}
	}
	snapshot, err := gateway.NewSnapshot(s.Hash(), routes, c.current())
	if err != nil {
		return nil, err
	}
	snapshot.Revoked, snapshot.Labels = revokedBy(s), labels
	return snapshot, nil
}

// accessOf compiles the access rules of a set once, although two parts of a
// generation need them.
func (c *gatewayCompiler) accessOf(s *config.Set) (*rights.Set, []config.Problem) {
	if c.rules.of != s {
		c.rules.of = s
		c.rules.set, c.rules.problems = compileTested(s)
	}
	return c.rules.set, c.rules.problems
}

// compileAccess is the share of a generation that enforcement points and the way
// out ask. What is wrong with it was told with the routes.
func (c *gatewayCompiler) compileAccess(s *config.Set) (*accessInForce, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	set, problems := c.accessOf(s)
	if len(problems) > 0 {
		return nil, nil
	}
	return inForce(s, set), nil
}

// fieldError is what is wrong with a field of a document.
type fieldError struct {
	path string
	err  error
}

func (e *fieldError) Error() string { return e.path + ": " + e.err.Error() }

func wrongField(path, format string, args ...any) error {
	return &fieldError{path, fmt.Errorf(format, args...)}
}

// route makes a route of its document.
func (c *gatewayCompiler) route(doc *v1alpha1.ProtectedRoute) (*gateway.Route, error) {
	spec := &doc.Spec
	r := &gateway.Route{Name: doc.Name, Labels: doc.Labels, Class: gateway.ParseClass(string(spec.Classification)), Hosts: spec.Hosts, Path: cmp.Or(spec.Path, "/"), Anonymous: spec.Anonymous}
	var err error
	switch spec.API {
	case "OpenAI":
		r.API = gateway.OpenAI
	case "OpenInference":
		r.API = gateway.OpenInference
	case "Events":
		r.API = gateway.Events
		texts, media := []string(nil), []string(nil)
		if spec.JSON != nil {
			texts, media = spec.JSON.Texts, spec.JSON.Media
		}
		if spec.Events != nil && spec.Events.Sealed != nil {
			r.Sealed = true
			for i, place := range spec.Events.Sealed.Places {
				if slices.Contains(texts, place) || slices.Contains(media, place) {
					return nil, wrongField(fmt.Sprintf("spec.events.sealed.places[%d]", i), "%q is in spec.json, too: what is sealed there is neither text nor media", place)
				}
				if place != "" {
					media = append(slices.Clip(media), place)
				}
			}
		}
		if r.Messages, err = body.Generic(texts, media); err != nil {
			return nil, &fieldError{"spec.json", err}
		}
	case "JSON":
		r.API = gateway.JSON
		if r.Messages, err = body.Generic(spec.JSON.Texts, spec.JSON.Media); err != nil {
			return nil, &fieldError{"spec.json", err}
		}
	default:
		return nil, wrongField("spec.api", "%q is an API that this gateway does not speak", spec.API)
	}
	for _, m := range spec.Models {
		if r.Models == nil {
			r.Models, r.Default = map[string]gateway.Model{}, m.Name
		}
		r.Models[m.Name] = gateway.Model{Digest: m.Digest, Repository: m.Repository, Price: priceOf(m.Price), Class: gateway.ParseClass(string(m.Classification))}
	}
	if spec.JSON != nil {
		r.Sockets = spec.JSON.Sockets
	}
	if len(spec.Answers.Texts) > 0 {
		if r.Answers, err = body.AnswersWith(spec.Answers.Texts); err != nil {
			return nil, &fieldError{"spec.answers.texts", err}
		}
	}
	if spec.Answers.Credentials != "Pass" {
		r.Guards = []stream.Guard{stream.Credentials{}}
	}
	limits(r, &spec.Limits)
	if err := c.content(r, &spec.Media); err != nil {
		return nil, err
	}
	if r.Upstream, err = c.upstream(&spec.Upstream); err != nil {
		return nil, err
	}
	if r.Identity, err = c.authenticator(spec); err != nil {
		return nil, &fieldError{"spec.identities", err}
	}
	if r.Firewall, r.AnswerFirewall, err = c.firewalls.of(doc.Name, &spec.WAF); err != nil {
		return nil, &fieldError{"spec.waf", err}
	}
	if r.Capture, err = captureOf(doc.Name, spec.Capture, c.captures); err != nil {
		return nil, err
	}
	r.Units = c.units(r, doc.Labels[verify.LabelTeam])
	if r.API == gateway.Events {
		if r.Events, err = c.events(r, spec.Events); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func limits(r *gateway.Route, l *v1alpha1.RouteLimits) {
	r.Limits = gateway.Limits{
		Requests: cmp.Or(l.Requests, defaultRequests), Bytes: l.Bytes, Tokens: l.Tokens, Answer: l.Answer,
		Concurrent: cmp.Or(l.Concurrent, defaultConcurrent), Total: cmp.Or(l.Total, defaultTotal), Body: bodyWithin,
	}
	if l.Cost != "" {
		r.Limits.Cost = max(1, millionths(l.Cost)*1_000_000) // 0 would be no bound
	}
	r.Media = media.Defaults()
	r.Media.Bytes = cmp.Or(l.BodyBytes, r.Media.Bytes)
	r.Budgets = budgets(l.Stages)
	if own := r.Budgets["body"]; own > 0 {
		r.Limits.Body = min(r.Limits.Body, own)
	}
}

// budgets are those that a route says of its stages.
func budgets(s *v1alpha1.RouteStages) map[string]time.Duration {
	if s == nil {
		return nil
	}
	all := map[string]time.Duration{}
	for name, d := range map[string]*metav1.Duration{
		"identity": s.Identity, "limits": s.Limits, "body": s.Body, "media": s.Media,
		"access": s.Access, "firewall": s.Firewall, "content": s.Content, "record": s.Record,
	} {
		if d != nil {
			all[name] = d.Duration
		}
	}
	return all
}

func durationOr(d *metav1.Duration, or time.Duration) time.Duration {
	if d == nil {
		return or
	}
	return d.Duration
}

// upstream says how a server is met. The same server has the same TLS
// configuration in each generation, by which its connections are kept.
func (c *gatewayCompiler) upstream(u *v1alpha1.Upstream) (gateway.Upstream, error) {
	at, err := url.Parse(u.URL)
	if err != nil || at.Host == "" {
		return gateway.Upstream{}, wrongField("spec.upstream.url", "it is not the URL of a server")
	}
	name := u.TLS + " " + strings.Join(u.SPIFFEIDs, " ")
	secure, known := c.tls[name]
	if !known {
		if secure, err = c.upstreamTLS(u); err != nil {
			return gateway.Upstream{}, &fieldError{"spec.upstream.tls", err}
		}
		c.tls[name] = secure
	}
	up := gateway.Upstream{
		URL: at, TLS: secure, Timeout: durationOr(u.Timeout, defaultTimeout), Stream: durationOr(u.Stream, defaultStream),
		Idempotent: u.Resend == "Idempotent",
	}
	if u.TLS == "Mutual" {
		up.Who = c.serverBehind
	}
	return up, nil
}

// units counts for the route, and for the model where there is one only.
func (c *gatewayCompiler) units(r *gateway.Route, team string) gateway.Units {
	model := ""
	if len(r.Models) == 1 {
		model = r.Default
	}
	handle := func(unit, decision string) *meter.Handle {
		return c.meter.Handle(meter.Key{Control: "gateway", Unit: unit, Team: team, Workload: r.Name, Model: model, Decision: decision})
	}
	stages := make([]*meter.Handle, 0, 16)
	for _, name := range gateway.StageNames() {
		stages = append(stages, handle("nanoseconds."+name, ""))
	}
	return gateway.Units{
		Stages:  stages,
		Allowed: handle("requests", "allow"), Denied: handle("requests", "deny"), Withheld: handle("answers", "deny"), Bytes: handle("bytes", ""), Parts: handle("parts", ""),
		Input: handle("input-tokens", ""), Output: handle("output-tokens", ""),
		Fetched: handle("fetched-bytes", ""), Answered: handle("answered-bytes", ""), Resent: handle("resent-requests", ""), Nanoseconds: handle("nanoseconds", ""),
	}
}

// revokedBy says what the revocations of a set stop.
func revokedBy(s *config.Set) live.Revoked {
	r := live.Revoked{Principals: map[string]bool{}, Issuers: map[string]bool{}, Keys: map[[sha256.Size]byte]bool{}, Digests: map[string]bool{}}
	for i := range s.Revocations {
		switch spec := &s.Revocations[i].Value.Spec; {
		case spec.Digest != "":
			r.Digests[spec.Digest] = true
		case spec.KeyID != "":
			var id [sha256.Size]byte
			if n, err := hex.Decode(id[:], []byte(strings.TrimPrefix(spec.KeyID, "sha256:"))); n == len(id) && err == nil {
				r.Keys[id] = true
			}
		case spec.Identity != nil:
			// A workload's subject is its whole SPIFFE ID, or its path behind its
			// trust domain as issuer; a person's is behind the issuer.
			issuer, subject := strings.TrimSuffix(spec.Identity.Issuer, "/"), spec.Identity.Subject
			if subject == trust.Everybody {
				r.Issuers[spec.Identity.Issuer] = true
				r.Issuers[strings.TrimPrefix(issuer, "spiffe://")] = true
				continue
			}
			r.Principals[spec.Identity.Issuer+"#"+subject] = true
			r.Principals[subject] = true
			r.Principals["spiffe://"+strings.TrimPrefix(issuer, "spiffe://")+"/"+strings.TrimPrefix(subject, "/")] = true
		}
	}
	return r
}

// nameOf names what a part of a document says, whatever else the document does.
func nameOf(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic("app: a document that was read cannot be written: " + err.Error())
	}
	return string(data)
}

// audiences are those of all sources, each once.
func audiences(sources []v1alpha1.IdentitySource) []string {
	var all []string
	for i := range sources {
		if s := sources[i].SPIFFE; s != nil && s.Audience != "" && !slices.Contains(all, s.Audience) {
			all = append(all, s.Audience)
		}
	}
	return all
}
