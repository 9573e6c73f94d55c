// Package authzen lets other enforcement points ask the access policies, by the
// OpenID AuthZEN Authorization API.
//
// Start with [Config] and [New]: the handler answers single and batched
// evaluations, searches for subjects, resources and actions, and the metadata
// of the decision point. A subject's type is Workload, Person or Nobody, and a
// resource's Model, Tool, Topic or Host, as in the policies. Properties are the
// attributes that policies ask for; beside them, subject.properties.groups are
// the groups that the subject is in, and resource.properties.route the route
// that the resource is on. Actions have the names of [access.Actions].
//
// Who calls is authenticated by the caller of this package; what callers say of
// subjects is believed, as the specification has it. What is answered is recorded
// before, as [Asked], and how much each caller may ask is bounded.
//
// Source: OpenID AuthZEN Authorization API 1.0 (January 2026), and its
// certification scenario.
package authzen

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/clock"
)

// Config is what a decision point needs.
type Config struct {
	// Rules returns what is in force; each request is answered by one of them.
	Rules func() Rules
	// Authenticate returns the name of the caller, when it may ask. An error that
	// is [ErrForbidden] is answered with 403, every other one with 401; what it
	// says is not told.
	Authenticate func(*http.Request) (caller string, err error)
	// Take takes so many decisions of what a caller may ask for, n ≥ 1. Where there
	// are not that many it takes none, and says when there may be; the caller is
	// answered with 429. Nil: there is no such bound.
	Take func(caller string, n int) (wait time.Duration, ok bool)
	// Record keeps what is answered, before it is. An error has the caller get
	// 503, and no decision; what it says is not told.
	Record func(context.Context, *Asked) error
	// URL of the decision point, https and without a query, for example
	// https://pdp.example.com or https://example.com/tenant. On loopback it may be
	// http, which the specification has not: nobody but this machine can ask there.
	URL string
	// Clock tells the time of requests that do not say theirs.
	Clock clock.Clock
}

// Rules are what is in force at one moment.
type Rules struct {
	// Generation is the hash of the configuration, for records.
	Generation string
	// Set are the policies. A nil set denies.
	Set *access.Set
	// Directory is what searches look through. A nil directory is empty:
	// evaluations work without, searches find nothing.
	Directory *Directory
}

// ErrForbidden is returned by Authenticate for a caller that is known, and may
// not ask.
var ErrForbidden = errors.New("the caller may not ask for decisions")

// Directory are the subjects and resources that are known. It is immutable.
type Directory struct {
	subjects  []Subject
	resources []Resource
}

// Subject is whom a search may find.
type Subject struct {
	Entity     access.Entity
	Groups     []string
	Attributes map[string]any
}

// Resource is what a search may find.
type Resource struct {
	Entity     access.Entity
	Route      string
	Properties map[string]any
}

// NewDirectory returns a directory of these, in order.
func NewDirectory(subjects []Subject, resources []Resource) *Directory {
	d := &Directory{slices.Clone(subjects), slices.Clone(resources)}
	slices.SortStableFunc(d.subjects, func(a, b Subject) int { return compare(a.Entity, b.Entity) })
	slices.SortStableFunc(d.resources, func(a, b Resource) int {
		if c := compare(a.Entity, b.Entity); c != 0 {
			return c
		}
		return strings.Compare(a.Route, b.Route)
	})
	return d
}

func compare(a, b access.Entity) int {
	if c := strings.Compare(a.Type, b.Type); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}

// subject returns what is known of somebody.
func (d *Directory) subject(e access.Entity) (Subject, bool) {
	i, ok := slices.BinarySearchFunc(d.subjects, e, func(s Subject, e access.Entity) int { return compare(s.Entity, e) })
	if !ok {
		return Subject{}, false
	}
	return d.subjects[i], true
}

// named are the resources of that name, one for each route.
func (d *Directory) named(e access.Entity) []Resource {
	i, _ := slices.BinarySearchFunc(d.resources, e, func(r Resource, e access.Entity) int { return compare(r.Entity, e) })
	n := i
	for n < len(d.resources) && d.resources[n].Entity == e {
		n++
	}
	return d.resources[i:n]
}

// Server answers the API's requests. It is safe for concurrent use.
type Server struct {
	config   Config
	paths    map[string]endpoint
	metadata string // the path of the metadata
	document []byte
}

// endpoint answers one of the API's requests.
type endpoint struct {
	name   string // of records
	answer func(*asking, *message) (any, error)
}

// New returns a decision point.
func New(c Config) (*Server, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) || u.Host == "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("the URL of the decision point: write https://HOST, with a path if need be, and without a query")
	}
	if c.Rules == nil || c.Authenticate == nil || c.Record == nil || c.Clock == nil {
		return nil, errors.New("a decision point needs policies, a way to authenticate its callers, somewhere to record what they ask, and a clock")
	}
	if c.Take == nil {
		c.Take = func(string, int) (time.Duration, bool) { return 0, true }
	}
	s := &Server{config: c}
	base, path := strings.TrimSuffix(c.URL, "/"), strings.TrimSuffix(u.Path, "/")
	s.metadata = "/.well-known/authzen-configuration" + path
	s.paths = map[string]endpoint{
		path + evaluationPath:     {"evaluation", (*asking).evaluation},
		path + evaluationsPath:    {"evaluations", (*asking).evaluations},
		path + searchSubjectPath:  {"search/subject", (*asking).searchSubject},
		path + searchResourcePath: {"search/resource", (*asking).searchResource},
		path + searchActionPath:   {"search/action", (*asking).searchAction},
	}
	s.document = metadataOf(base)
	return s, nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// The paths of the API.
const (
	evaluationPath     = "/access/v1/evaluation"
	evaluationsPath    = "/access/v1/evaluations"
	searchSubjectPath  = "/access/v1/search/subject"
	searchResourcePath = "/access/v1/search/resource"
	searchActionPath   = "/access/v1/search/action"
)

var _ http.Handler = (*Server)(nil)
