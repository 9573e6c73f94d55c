package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/verdict"
)

// Gate says whether tag may come to name digest in repo. It is asked after the
// manifest and all its blobs are stored and can be pulled by digest, so that
// it can look at the image and at its signatures, and before the tag exists.
//
// Allow and Warn make the tag visible, with the reason of a Warn in the
// answer's Warning header. Deny and any error refuse with 403; the reason is
// shown to the client, the error only to the log. No lock is held meanwhile,
// so the gate may call the registry. Its context ends after 30 s.
//
// It is not asked for tags that already name the digest, nor for the tags
// under which clients attach signatures ("sha256-<hex>.sig"), as long as what
// is pushed there holds nothing but documents.
type Gate func(ctx context.Context, repo, tag string, digest verdict.Digest) (d verdict.Decision, reason string, err error)

// gateTime bounds the gate: longer than any verdict takes, shorter than
// clients wait for a manifest.
const gateTime = 30 * time.Second

// Pushed is a manifest that has become durable, by digest or under a tag.
type Pushed struct {
	Repo      string
	Tag       string // empty when pushed by digest
	Digest    verdict.Digest
	MediaType string
	Size      int64
	Subject   verdict.Digest // what it refers to, or empty
	Principal string
}

// Limits are the bounds that an operator may want to change. Zero values stand
// for the defaults.
type Limits struct {
	Blob                int64         // bytes of one blob; default 32 GiB
	UploadsPerPrincipal int           // open uploads; default 64
	UploadAge           time.Duration // since the last byte, until an upload is removed; default 24 h
	Referrers           int           // per subject; default 10000
	Requests            int           // served at the same time; default 256
	TokenLife           time.Duration // of bearer tokens, at least 1 min; default 5 min
}

func (l Limits) withDefaults() (Limits, error) {
	if l.Blob < 0 || l.UploadsPerPrincipal < 0 || l.UploadAge < 0 || l.Referrers < 0 || l.Requests < 0 || l.TokenLife < 0 {
		return l, errors.New("a limit is negative")
	}
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	if l.Blob == 0 {
		l.Blob = 32 << 30
	}
	set(&l.UploadsPerPrincipal, 64)
	if l.UploadAge == 0 {
		l.UploadAge = 24 * time.Hour
	}
	set(&l.Referrers, 10_000)
	set(&l.Requests, 256)
	if l.TokenLife == 0 {
		l.TokenLife = 5 * time.Minute
	}
	if l.TokenLife < time.Minute {
		// The token specification's clients take 60 s for granted.
		return l, errors.New("Limits.TokenLife is below one minute")
	}
	return l, nil
}

// Options of [New]. Only Dir is required.
type Options struct {
	// Dir is the registry's directory, on one local POSIX file system that has
	// hard links. It is made when it is not there. Several processes may
	// serve the same directory at the same time.
	Dir string
	// Auth checks credentials. Nil accepts the local token of Dir only, see
	// [OpenLocal].
	Auth Authenticator
	// Tenants grant principals their repositories. A principal that no tenant
	// names may do nothing, unless it is an operator.
	Tenants []Tenant
	// AnonymousPull names the prefixes ("public/") or repositories whose
	// content is for everybody. Empty: every request needs credentials.
	AnonymousPull []string
	// Gate is asked before a tag becomes visible. Nil: every tag does.
	Gate Gate
	// Mutable says which tags may be moved and deleted. Nil: none. It may be
	// called with locks held and must not call the registry.
	Mutable func(repo, tag string) bool
	// OnPush is told of every manifest that was pushed, before the client is
	// answered. It must be quick and safe for concurrent use.
	OnPush func(context.Context, Pushed)
	// Realm is the URL of /token as clients reach it, for registries behind a
	// proxy. Empty: made from the request's Host.
	Realm string
	// Service names the registry in tokens; default "apex-registry". Replicas
	// that share Dir share the name.
	Service string
	Limits  Limits
	Clock   clock.Clock  // default: the machine's
	Logger  *slog.Logger // default: discards

	fsync func(*os.File) error // for tests that fail or record it
}

// Registry is an OCI registry on a directory. It serves /v2/ and /token and is
// safe for concurrent use.
type Registry struct {
	disk          *disk
	auth          Authenticator
	signer        *signer
	tenants       []Tenant
	anonymousPull []string
	gate          Gate
	mutable       func(repo, tag string) bool
	onPush        func(context.Context, Pushed)
	realm         string
	limits        Limits
	clock         clock.Clock
	log           *slog.Logger

	slots   chan struct{} // one per request that is served
	opening sync.Mutex    // held while uploads are counted and one is begun
	buffers sync.Pool     // *[copyBuffer]byte
	stats   counters

	closed atomic.Bool
	stop   context.CancelFunc
	sweeps sync.WaitGroup
}

// New opens the directory, removes abandoned uploads, and returns a registry
// that is ready to serve. Call Close when it is no longer served.
func New(o Options) (*Registry, error) {
	r, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("open registry %s: %w", o.Dir, err)
	}
	return r, nil
}

func open(o Options) (*Registry, error) {
	if o.Dir == "" {
		return nil, errors.New("no directory is given")
	}
	if !locksSupported {
		return nil, errors.New("this operating system lacks the file locks that the embedded registry relies on: use an external registry")
	}
	limits, err := o.Limits.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := checkNames(&o); err != nil {
		return nil, err
	}
	d, err := openDisk(o.Dir, o.fsync)
	if err != nil {
		return nil, err
	}
	r := &Registry{
		disk:          d,
		auth:          o.Auth,
		tenants:       o.Tenants,
		anonymousPull: o.AnonymousPull,
		gate:          o.Gate,
		mutable:       o.Mutable,
		onPush:        o.OnPush,
		realm:         o.Realm,
		limits:        limits,
		clock:         o.Clock,
		log:           o.Logger,
		slots:         make(chan struct{}, limits.Requests),
		buffers:       sync.Pool{New: func() any { return new([copyBuffer]byte) }},
	}
	if err := r.prepare(o); err != nil {
		d.close()
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.sweeps.Go(func() { r.sweepHourly(ctx) })
	return r, nil
}

func (r *Registry) prepare(o Options) error {
	key, err := r.disk.secret("token.key")
	if err != nil {
		return err
	}
	if r.auth == nil {
		if r.auth, err = OpenLocal(o.Dir); err != nil {
			return err
		}
	}
	if r.clock == nil {
		r.clock = clock.System{}
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.mutable == nil {
		r.mutable = func(string, string) bool { return false }
	}
	r.signer = &signer{key: []byte(key), service: o.Service, clock: r.clock}
	for _, dir := range []string{"blobs/sha256", "repos", "uploads"} {
		if err := r.disk.ensureDir(dir); err != nil {
			return err
		}
	}
	return r.sweep()
}

// checkNames refuses options that would grant something else than they say.
func checkNames(o *Options) error {
	for _, t := range o.Tenants {
		if !validPrefix(t.Prefix) || t.Prefix == "" {
			return fmt.Errorf(`tenant prefix %q is neither "team/" nor "team/app"`, t.Prefix)
		}
		for name, actions := range t.Members {
			if !validPrincipal(name) {
				return fmt.Errorf("tenant %s: %q is not a principal's name (1 to 64 characters of A-Z a-z 0-9 . _ @ -)", t.Prefix, name)
			}
			if actions == 0 || actions&^allActions != 0 {
				return fmt.Errorf("tenant %s: %s has no known action", t.Prefix, name)
			}
		}
	}
	for _, prefix := range o.AnonymousPull {
		if !validPrefix(prefix) || prefix == "" {
			return fmt.Errorf(`anonymous prefix %q is neither "public/" nor "public/app"`, prefix)
		}
	}
	if o.Service == "" {
		o.Service = "apex-registry"
	}
	for _, text := range []string{o.Service, o.Realm} {
		if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			return fmt.Errorf("%q cannot be sent in a header: use printable ASCII without spaces and quotes", text)
		}
	}
	return nil
}

// Close stops the registry's own work and lets go of the directory. Requests
// that come afterwards are answered with 503; shut the server down first.
func (r *Registry) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	r.stop()
	r.sweeps.Wait()
	return r.disk.close()
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	rec := &recorder{ResponseWriter: w, counters: &r.stats}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	start := r.clock.Now()
	if err := r.admit(rec, req); err != nil {
		p := asProblem(err)
		if p.status >= 500 {
			r.log.ErrorContext(req.Context(), "registry request failed", "method", req.Method, "path", req.URL.Path, "error", err)
		}
		if rec.status == 0 {
			p.write(rec)
		}
	}
	r.stats.count(rec.status)
	if r.log.Enabled(req.Context(), slog.LevelDebug) {
		r.log.DebugContext(req.Context(), "registry request", "method", req.Method, "path", req.URL.Path,
			"status", rec.status, "bytes", rec.bytes, "took", r.clock.Now().Sub(start))
	}
}

// admit bounds how many requests are served at the same time.
func (r *Registry) admit(w http.ResponseWriter, req *http.Request) error {
	if r.closed.Load() {
		return refuse(http.StatusServiceUnavailable, codeUnavailable, "the registry is closed")
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	default:
		return refuse(http.StatusTooManyRequests, codeTooManyRequests, "the registry is serving as many requests as it may; try again").
			with("Retry-After", "1")
	}
	if req.URL.Path == "/token" {
		return r.serveToken(w, req)
	}
	return r.route(w, req)
}

// exchange is one authenticated and authorised request.
type exchange struct {
	route
	w   http.ResponseWriter
	req *http.Request
	who *caller
}

// operation says, for each endpoint and method, what a caller must be allowed
// to do and what then happens.
func (r *Registry) operation(end endpoint, method string) (Actions, func(*exchange) error) {
	type op struct {
		need   Actions
		handle func(*exchange) error
	}
	var ops map[string]op
	switch end {
	case endTags:
		ops = map[string]op{"GET": {Pull, r.listTags}}
	case endReferrers:
		ops = map[string]op{"GET": {Pull, r.listReferrers}}
	case endManifest:
		ops = map[string]op{"GET": {Pull, r.getManifest}, "HEAD": {Pull, r.getManifest}, "PUT": {Push, r.putManifest}, "DELETE": {Delete, r.deleteManifest}}
	case endBlob:
		ops = map[string]op{"GET": {Pull, r.getBlob}, "HEAD": {Pull, r.getBlob}, "DELETE": {Delete, r.deleteBlob}}
	case endUploads:
		ops = map[string]op{"POST": {Push, r.beginUpload}}
	case endUpload:
		ops = map[string]op{"GET": {Push, r.uploadStatus}, "PATCH": {Push, r.uploadChunk}, "PUT": {Push, r.finishUpload}, "DELETE": {Push, r.cancelUpload}}
	}
	o := ops[method]
	return o.need, o.handle
}

func (r *Registry) route(w http.ResponseWriter, req *http.Request) error {
	who, prob := r.authenticate(req)
	if prob != nil {
		return prob
	}
	rt, prob := parseRoute(req.URL.Path, req.URL.RawPath)
	if who.anonymous && who.token == nil && (prob != nil || rt.end == endBase) {
		// Strangers learn that they must log in, and nothing about paths.
		return refuse(http.StatusUnauthorized, codeUnauthorized, "authentication is required").
			with("WWW-Authenticate", r.challenge(req, "", ""))
	}
	if prob != nil {
		return prob
	}
	get := req.Method == http.MethodGet || req.Method == http.MethodHead
	x := &exchange{route: rt, w: w, req: req, who: who}
	switch {
	case rt.end == endBase && get:
		return writeJSON(w, http.StatusOK, "application/json", struct{}{})
	case rt.end == endCatalog && get:
		if prob := r.authorizeCatalog(req, who); prob != nil {
			return prob
		}
		return r.listRepositories(x)
	}
	need, handle := r.operation(rt.end, req.Method)
	if handle == nil {
		return refuse(http.StatusMethodNotAllowed, codeUnsupported, "%.10s is not possible here", req.Method)
	}
	if prob := r.authorize(req, who, rt.repo, need); prob != nil {
		return prob
	}
	return handle(x)
}

// repoPath is the path of something of a repository. Names of repositories
// have no component that begins with an underscore, so nothing collides.
func repoPath(repo string, parts ...string) string {
	return strings.Join(slices.Concat([]string{"repos", repo}, parts), "/")
}

func blobPath(d verdict.Digest) string {
	return "blobs/sha256/" + d.Hex()[:2] + "/" + d.Hex()
}

var _ http.Handler = (*Registry)(nil)
