// Package oci is the registry client: the only part of Apex that talks to
// registries, and the only owner of OCI libraries.
//
// Start with [New]. To judge an image call [Client.Resolve] once with its
// reference; it turns a tag into a digest and everything after it asks by
// digest only: [Client.Image] for the configuration and layers, [ParseIndex]
// for the platforms of an index, [Client.Attached] for signatures,
// attestations and reports. To publish call [Client.PushImage],
// [Client.Attach] and [Client.AttachLegacy]. Every failure is an [*Error] with
// a code of package verdict; an error never means "there is nothing".
//
// A registry is hostile until the digests agree. Every answer is bounded in
// bytes, items, nesting and time ([Limits]); addresses are filtered when they
// are dialled ([Options.AllowPrivate]); credentials reach only the registry
// that they belong to and the token service which that registry names.
//
// Sources: OCI distribution-spec v1.1 and image-spec v1.1, the Docker registry
// token specification, and cosign's tag scheme for legacy signatures.
package oci

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/flight"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// Options configure a [Client]. The zero value talks anonymously to public
// registries over HTTPS.
type Options struct {
	// Limits replaces the default limits; fields that are zero keep the default.
	Limits Limits
	// AllowPrivate lists what may be dialled although its address is not
	// public: "host", "host:port", an IP address, or a CIDR such as "10.0.0.0/8".
	// A host name does not open link-local and cloud metadata addresses; only
	// writing the address or a CIDR does.
	AllowPrivate []string
	// PlainHTTP lists hosts ("host" or "host:port") that are asked over HTTP.
	// A loopback host in AllowPrivate is tried over HTTPS first and over HTTP
	// if it turns out not to speak TLS; nothing else is ever asked over HTTP.
	PlainHTTP []string
	// Keychain finds credentials; nil asks anonymously. [DockerKeychain] reads
	// the usual Docker and Podman configuration.
	Keychain Keychain
	// TLS holds trusted certificate authorities and client certificates; nil
	// trusts the system's. It is cloned.
	TLS *tls.Config
	// Clock tells when tokens expire; nil is the system's clock.
	Clock clock.Clock
	// Meter is told of each HTTP exchange that is charged to nobody, see
	// [ChargeTo]; nil meters nothing.
	Meter Charge
	// UserAgent is sent with every request; "" sends "apex".
	UserAgent string
}

// Client talks to registries. It is safe for concurrent use; concurrent equal
// reads are one fetch. Close it to drop idle connections.
type Client struct {
	limits   Limits
	guard    *guard
	open     *wire // obeys AllowPrivate
	public   *wire // public addresses only: for hops that a public registry asks for
	plain    map[string]bool
	keychain Keychain
	clock    clock.Clock
	meter    Charge
	agent    string

	hosts hostTable
	cache *cache

	manifests flight.Group[Manifest]
	images    flight.Group[fact.Image]
	listings  flight.Group[[]Artifact]
	blobs     flight.Group[[]byte]

	// tags serialises read-modify-write of one tag within this client.
	tags keyedMutex
}

// New returns a client. It does no I/O. The error names the entry of
// AllowPrivate that cannot be understood.
func New(o Options) (*Client, error) {
	g, err := newGuard(o.AllowPrivate)
	if err != nil {
		return nil, err
	}
	c := &Client{
		limits:   o.Limits.withDefaults(),
		guard:    g,
		plain:    make(map[string]bool, len(o.PlainHTTP)),
		keychain: o.Keychain,
		clock:    o.Clock,
		meter:    o.Meter,
		agent:    o.UserAgent,
	}
	for _, h := range o.PlainHTTP {
		c.plain[strings.ToLower(h)] = true
	}
	if c.clock == nil {
		c.clock = clock.System{}
	}
	if c.meter == nil {
		c.meter = func(int64, int64) {}
	}
	if c.agent == "" {
		c.agent = "apex"
	}
	c.cache = newCache(c.limits.CacheBytes)
	c.open = newWire(g.dialAllowed, o.TLS)
	c.public = newWire(g.dialPublic, o.TLS)
	return c, nil
}

// WithKeychain returns a client with other credentials, for example those of
// one workload's pull secrets. It shares connections and limits with c, but
// neither tokens nor cached manifests nor fetches: what one may read is not
// shown to the other. Closing either drops the idle connections of both.
func (c *Client) WithKeychain(k Keychain) *Client {
	return &Client{
		limits: c.limits, guard: c.guard, open: c.open, public: c.public, plain: c.plain,
		keychain: k, clock: c.clock, meter: c.meter, agent: c.agent, cache: newCache(c.limits.CacheBytes),
	}
}

// Close drops idle connections. Calls that are under way finish.
func (c *Client) Close() {
	c.open.CloseIdleConnections()
	c.public.CloseIdleConnections()
}

// repository is a canonical repository name, taken apart.
type repository struct {
	name string // "docker.io/library/nginx"
	host string // what is dialled: "registry-1.docker.io"
	path string // "library/nginx"
}

// parseRepository accepts the canonical name of a repository, without tag and digest.
func parseRepository(name string) (repository, error) {
	ref, err := reference.Parse(name)
	if err != nil {
		return repository{}, &Error{Code: verdict.ReferenceInvalid, Op: "parse repository", Ref: name, Err: err}
	}
	if ref.Name() != name {
		return repository{}, &Error{Code: verdict.ReferenceInvalid, Op: "parse repository", Ref: name,
			Err: fmt.Errorf("not a canonical repository name; write %s", ref.Name())}
	}
	return repositoryOf(ref), nil
}

func repositoryOf(ref reference.Reference) repository {
	return repository{name: ref.Name(), host: ref.RegistryHost(), path: ref.Repository}
}

// call is one public call's view of the client: what it is doing, for errors,
// and how many bytes it may still read.
type call struct {
	*Client
	op, ref string
	repo    repository
	left    *budget
}

func (c *Client) newCall(op, ref string, repo repository) *call {
	return &call{Client: c, op: op, ref: ref, repo: repo, left: newBudget(c.limits.CallBytes)}
}

// fail wraps err with what the call is about. An *Error keeps its code.
func (c *call) fail(code verdict.Code, err error) *Error {
	return &Error{Code: code, Op: c.op, Ref: c.ref, Err: err}
}

// within bounds ctx by the limit on one call. Work within a call is bounded already.
func (c *Client) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= c.limits.Call {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.limits.Call)
}

// keyedMutex is a mutex per key. The zero value is ready.
type keyedMutex struct {
	mu   sync.Mutex
	held map[string]*keyedEntry
}

type keyedEntry struct {
	free  chan struct{} // holds one token while nobody has the key
	users int
}

// lock waits for the key, or for ctx. The returned func releases it.
func (k *keyedMutex) lock(ctx context.Context, key string) (func(), error) {
	k.mu.Lock()
	if k.held == nil {
		k.held = map[string]*keyedEntry{}
	}
	e := k.held[key]
	if e == nil {
		e = &keyedEntry{free: make(chan struct{}, 1)}
		e.free <- struct{}{}
		k.held[key] = e
	}
	e.users++
	k.mu.Unlock()
	leave := func() {
		k.mu.Lock()
		if e.users--; e.users == 0 {
			delete(k.held, key)
		}
		k.mu.Unlock()
	}
	select {
	case <-e.free:
		return func() { e.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
