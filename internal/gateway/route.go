package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/gateway/capture"
	"github.com/apexlogic/apex/internal/gateway/stream"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/live"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

// Snapshot is all that requests are judged by, of one generation. It does not
// change.
type Snapshot struct {
	Generation string
	Revoked    live.Revoked // set before the snapshot is used
	// Labels of workloads, by SPIFFE ID; set before the snapshot is used, and not
	// changed afterwards.
	Labels map[string]map[string]string
	// Ended, when there is one, is called once, when another snapshot is in force
	// and the last exchange that began with this one is over. It is set before the
	// snapshot is used, and must not wait.
	Ended func()

	holders atomic.Int64        // exchanges, and one while it is in force
	exact   map[string][]*Route // by host, longest path first
	below   map[string][]*Route // by the host's parent, for *.parent
	servers []*server
	routes  []*Route
}

// Decider answers questions about access; *access.Set is one.
type Decider interface {
	Decide(*access.Request) access.Decision
}

// API is a protocol that a route speaks.
type API uint8

// The protocols.
const (
	JSON API = iota
	OpenAI
	OpenInference
	Events
)

// Route is a ProtectedRoute, ready for use. It does not change once it is in a
// snapshot.
type Route struct {
	Name  string
	Hosts []string
	Path  string
	API   API
	// Events takes CloudEvents that are posted to the route, for the API Events.
	Events http.Handler
	// Messages says where texts and media stand, for the APIs JSON and Events.
	Messages *body.API
	// Answers says where a model's texts stand in answers, for the API JSON; nil: nowhere.
	Answers *body.API

	Identity  identity.Authenticator
	Anonymous bool
	Access    Decider
	Labels    map[string]string // of the route, which policies see as those of its models
	Class     Class             // that all content of the route has at least
	Models    map[string]Model  // empty: any
	Default   string            // the model of a request that names none

	Limits Limits
	Media  media.Limits
	// Kinds of content that pass, and the types that they are narrowed to.
	Kinds  [kinds]bool
	Types  []string
	Active bool
	// References that pass: ids of what the server keeps.
	References [body.References]bool
	// Sealed says that envelopes pass, into which nobody can look, where Messages has
	// media.
	Sealed bool
	// Addresses that may stand for content; nil: none.
	Addresses *Addresses
	// Strip takes metadata out of images.
	Strip bool
	// Sockets says that a route for the API JSON has WebSockets.
	Sockets bool
	// Guards look at the texts of answers, and are safe for concurrent use.
	Guards []stream.Guard

	// Budgets of stages, by their name among [Budgeted]; those that are not there
	// have the usual one.
	Budgets map[string]time.Duration

	// Capture has copies kept for replay; nil: there are none.
	Capture *capture.Rule

	// Firewall holds the request's structure against rules; nil: nothing does.
	Firewall Firewall
	// AnswerFirewall holds answers that come as a whole against rules; nil: nothing does.
	AnswerFirewall AnswerFirewall

	Upstream Upstream
	Units    Units
	server   *server
	snapshot *Snapshot // that it is in

	budgets    [maxStages]time.Duration // of all stages
	perMessage time.Duration            // for the firewall over one message of a stream
	perRecord  time.Duration
}

// kinds is how many kinds of content there may be.
const kinds = 8

// Model is a model behind a route.
type Model struct {
	Digest string
	// Repository that the model's artifact lies in; "" when nobody says.
	Repository string
	Price      *Price // nil: not known
	Class      Class  // that all content for the model has at least
}

// Limits bound what one identity may ask of a route; zero is no bound.
type Limits struct {
	Requests, Bytes, Tokens int64 // a minute
	Cost                    int64 // an hour, in the unit of Price
	Concurrent, Total       int64
	Answer                  int64
	Body                    time.Duration // until all of the body is there
	Take                    time.Duration // until a caller has taken what is written at once; 0: 30 s
}

// Upstream is the server behind a route.
type Upstream struct {
	URL     *url.URL
	TLS     *tls.Config // nil: plain text
	Timeout time.Duration
	Stream  time.Duration
	// Who returns the verified identity of who shows these certificates, so that
	// its revocation and its end are noticed; nil: it has none.
	Who func([]*x509.Certificate) (*identity.Principal, error)
	// Idempotent says that the server makes one of requests with the same
	// Idempotency-Key, so that they may be sent to it twice.
	Idempotent bool
}

// NewSnapshot puts routes into force together. Two routes for the same host and
// path are an error. Servers that the snapshot before knows keep their connections
// and their health; it may be nil.
func NewSnapshot(generation string, routes []*Route, before *Snapshot) (*Snapshot, error) {
	s := &Snapshot{Generation: generation, exact: map[string][]*Route{}, below: map[string][]*Route{}}
	s.holders.Store(1)
	s.routes = routes
	for _, r := range routes {
		if err := r.budget(); err != nil {
			return nil, err
		}
		r.server, r.snapshot = s.serverOf(&r.Upstream, before), s
		for _, host := range r.Hosts {
			in := s.exact
			if parent, wild := strings.CutPrefix(host, "*."); wild {
				in, host = s.below, parent
			}
			for _, other := range in[host] {
				if other.Path == r.Path {
					return nil, Refuse(verdict.PolicyInvalid, "the routes %s and %s are both for %s%s", other.Name, r.Name, host, r.Path)
				}
			}
			in[host] = append(in[host], r)
		}
	}
	for _, in := range []map[string][]*Route{s.exact, s.below} {
		for _, all := range in {
			slices.SortFunc(all, func(a, b *Route) int { return len(b.Path) - len(a.Path) })
		}
	}
	return s, nil
}

// Routes returns all routes of the snapshot; it is not to be changed.
func (s *Snapshot) Routes() []*Route { return s.routes }

// hold counts one more who needs the snapshot; false when it has ended.
func (s *Snapshot) hold() bool {
	for {
		n := s.holders.Load()
		if n == 0 {
			return false
		}
		if s.holders.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release takes back a hold.
func (s *Snapshot) release() {
	if s.holders.Add(-1) == 0 && s.Ended != nil {
		s.Ended()
	}
}

// serverOf returns what passes requests on to an upstream.
func (s *Snapshot) serverOf(u *Upstream, before *Snapshot) *server {
	same := func(known *server) bool { return known.is(u) }
	if i := slices.IndexFunc(s.servers, same); i >= 0 {
		return s.servers[i]
	}
	if before != nil {
		if i := slices.IndexFunc(before.servers, same); i >= 0 {
			s.servers = append(s.servers, before.servers[i])
			return before.servers[i]
		}
	}
	s.servers = append(s.servers, newServer(u))
	return s.servers[len(s.servers)-1]
}

// find returns the route of a host and a path; nil when there is none. Mistaken
// is a route that a server which ignores case would take the path for.
func (s *Snapshot) find(host, path string) (found, mistaken *Route) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if found, mistaken = match(s.exact[host], path); found != nil || mistaken != nil {
		return found, mistaken
	}
	if _, parent, ok := strings.Cut(host, "."); ok {
		return match(s.below[parent], path)
	}
	return nil, nil
}

// match goes through the routes from the longest path to the shortest.
func match(routes []*Route, path string) (found, mistaken *Route) {
	for _, r := range routes {
		prefix := strings.TrimSuffix(r.Path, "/")
		n := len(prefix)
		if len(path) < n || len(path) > n && path[n] != '/' || !strings.EqualFold(path[:n], prefix) {
			continue
		}
		if path[:n] != prefix {
			return nil, r
		}
		return r, nil
	}
	return nil, nil
}

// route finds the route, and what its API does at the path.
func route(x *Exchange) error {
	if x.ask != nil && x.ask.Route != nil {
		x.Route, x.Operation = x.ask.Route, x.ask.Operation
		x.Decision.Route, x.Decision.Action = x.Route.Name, x.Operation.Action
		return nil
	}
	r, mistaken := x.Snapshot.find(x.Request.Host, x.Request.URL.Path)
	switch {
	case mistaken != nil:
		return Refuse(verdict.RequestPath, "the path differs from the one of a route by case only: servers differ in whether it is the same")
	case r == nil:
		return Refuse(verdict.RequestRoute, "no route is for this host and path")
	}
	x.Route, x.Decision.Route = r, r.Name
	op, ok := r.API.operation(x.Request.Method, x.Request.URL.Path, r)
	switch {
	case x.upgrades:
		op, ok = r.API.socket(x.Request, r)
	case r.API == OpenInference && isCall(x.Request):
		op, ok = callOperation(x.Request.URL.Path)
	}
	if !ok {
		return Refuse(verdict.RequestRoute, "the API has no such operation")
	}
	x.Operation, x.Decision.Action = op, op.Action
	return nil
}
