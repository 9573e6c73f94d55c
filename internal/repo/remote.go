package repo

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// The errors of remotes that callers tell apart.
var (
	ErrBadURL      = errors.New("not a URL of a Git repository")
	ErrProtocol    = errors.New("the server does not follow Git's protocol")
	ErrRemote      = errors.New("the Git server refuses")
	ErrCredentials = errors.New("the Git server does not accept the credentials")
	ErrHostKey     = errors.New("the host key is not the known one")
	ErrRedirect    = errors.New("the Git server leads elsewhere")
	ErrAddress     = errors.New("address refused")
	ErrShallow     = errors.New("history is cut off: the repository is shallow")
	ErrIncomplete  = errors.New("objects are missing")
)

// Limits bound one fetch. Zero stands for the default.
type Limits struct {
	Bytes    int64         // received, all answers together
	Objects  int           // in one fetch
	Unpacked int64         // bytes that one fetch inflates to, differences applied
	Object   int64         // bytes of one object, at most DefaultObject
	Disk     int64         // bytes of all packs of a mirror
	Time     time.Duration // of one look or fetch
}

// The default limits. A repository of manifests is text: 10,000 commits of
// 1,000 files have some 50,000 objects, 20 MB packed and 1 GB unpacked.
const (
	DefaultBytes    = 512 << 20
	DefaultObjects  = 1 << 20
	DefaultUnpacked = 8 << 30
	DefaultObject   = maxBase
	DefaultDisk     = 4 << 30
	DefaultTime     = 10 * time.Minute
)

func (l Limits) orDefaults() Limits {
	set := func(v *int64, def int64) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&l.Bytes, DefaultBytes)
	set(&l.Unpacked, DefaultUnpacked)
	set(&l.Object, DefaultObject)
	set(&l.Disk, DefaultDisk)
	l.Object = min(l.Object, DefaultObject)
	if l.Objects <= 0 {
		l.Objects = DefaultObjects
	}
	if l.Time <= 0 {
		l.Time = DefaultTime
	}
	return l
}

// Credentials are what a server is shown. They print as "credentials".
type Credentials struct {
	User     string // for SSH "" is the URL's, or git; for HTTPS "" is git
	Password string // or a token
	// Key is for SSH.
	Key crypto.Signer
}

// String keeps secrets out of logs.
func (Credentials) String() string { return "credentials" }

// GoString keeps secrets out of logs.
func (Credentials) GoString() string { return "credentials" }

// RemoteOptions say how a remote is reached.
type RemoteOptions struct {
	// Credentials is asked at each connection; nil when none are needed. They
	// are sent over HTTPS and SSH, and over HTTP to this machine only.
	Credentials func(context.Context) (Credentials, error)
	// KnownHosts is a file of host keys as ssh writes it (sshd(8), SSH_KNOWN_HOSTS
	// FILE FORMAT). ssh:// needs it: who cannot be recognised is not asked.
	KnownHosts string
	// TLS holds root certificates and such; nil is the system's.
	TLS *tls.Config
	// Address judges each address before it is connected to, after DNS; nil
	// accepts all but link-local ones, where clouds serve credentials. Behind
	// an HTTP proxy the address is the proxy's.
	Address func(netip.Addr) error
	Limits  Limits
}

// Remote is a repository elsewhere. It is safe for concurrent use.
type Remote struct {
	url    *url.URL // nil for a directory
	dir    string
	opt    RemoteOptions
	limits Limits
	web    *webClient // for https and http

	mu    sync.Mutex
	known *capabilities // what a server of protocol version 2 said about itself
}

// NewRemote names a repository by its URL: https://, ssh://, file:// or the
// absolute path of a directory; http:// reaches this machine only. Nothing is
// asked yet. A URL that holds a password, a query or a fragment is refused:
// URLs end in logs.
func NewRemote(rawURL string, opt RemoteOptions) (*Remote, error) {
	r := &Remote{opt: opt, limits: opt.Limits.orDefaults()}
	if err := r.parse(rawURL); err != nil {
		return nil, fmt.Errorf("remote repository: %w", err)
	}
	if r.url != nil && r.url.Scheme != "ssh" {
		r.web = newWebClient(r)
	}
	return r, nil
}

const maxURL = 2048

func (r *Remote) parse(raw string) error {
	if len(raw) > maxURL || strings.ContainsFunc(raw, func(c rune) bool { return c < 0x20 || c == 0x7f }) {
		return fmt.Errorf("%w: it has more than %d bytes, or control characters", ErrBadURL, maxURL)
	}
	if filepath.IsAbs(raw) {
		r.dir = filepath.Clean(raw)
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil { // its text would repeat the URL, which may hold a password
		return fmt.Errorf("%w: write https://host/path, ssh://git@host/path, file:///path or an absolute path", ErrBadURL)
	}
	if _, has := u.User.Password(); has || u.User != nil && u.Scheme != "ssh" {
		return fmt.Errorf("%w: take the credentials out of it, and give them apart", ErrBadURL)
	}
	if u.RawQuery != "" || u.Fragment != "" || u.ForceQuery || u.Opaque != "" {
		return fmt.Errorf("%w: take the part after ? or # out of it", ErrBadURL)
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" && u.Host != "localhost" || !filepath.IsAbs(u.Path) {
			return fmt.Errorf("%w: a file URL has three slashes: file:///path", ErrBadURL)
		}
		r.dir = filepath.Clean(u.Path)
		return nil
	case "https", "ssh":
	case "http":
		if !isLoopback(u.Hostname()) {
			return fmt.Errorf("%w: http is not protected: write https://%s", ErrBadURL, u.Host)
		}
	default:
		return fmt.Errorf("%w: write https://host/path, ssh://git@host/path, file:///path or an absolute path, not %.20q", ErrBadURL, u.Scheme)
	}
	if u.Hostname() == "" || strings.Trim(u.Path, "/") == "" {
		return fmt.Errorf("%w: it names no host or no repository", ErrBadURL)
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	r.url = u
	return nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

// String is the URL, without user and password.
func (r *Remote) String() string {
	if r.url == nil {
		return r.dir
	}
	u := *r.url
	u.User = nil
	return u.String()
}

// Tip is what a reference of a remote names.
type Tip struct {
	Object string // the 40 hex digits of a commit, or of an annotated tag
	Commit Commit // the commit itself; "" when the remote did not say what a tag names
}

// Head looks up a reference: a branch, or a whole name such as refs/tags/v1.
// It costs one request once the server is known to speak version 2 of the
// protocol, and transfers one line. The error wraps ErrNotFound when there is
// no such reference.
func (r *Remote) Head(ctx context.Context, ref string) (Tip, error) {
	name, err := wholeRef(ref)
	if err != nil {
		return Tip{}, fmt.Errorf("look at %s: %w", r, err)
	}
	var tip Tip
	err = r.within(ctx, func(ctx context.Context) error {
		if r.url == nil {
			tip, err = localTip(r.dir, name)
			return err
		}
		s, err := r.dial(ctx)
		if err != nil {
			return err
		}
		tip, err = s.lsRefs(ctx, name)
		return errors.Join(err, s.close(err))
	})
	if err != nil {
		return Tip{}, fmt.Errorf("look at %s of %s: %w", name, r, err)
	}
	return tip, nil
}

// wholeRef is the whole name of a branch or another reference.
func wholeRef(ref string) (string, error) {
	name := ref
	if !strings.HasPrefix(ref, "refs/") {
		name = "refs/heads/" + ref
	}
	if err := plumbing.ReferenceName(name).Validate(); err != nil || len(name) > maxName {
		return "", fmt.Errorf("%.100q is not a name that a branch or tag can have", ref)
	}
	for part := range strings.SplitSeq(name, "/") {
		if err := checkName(part); err != nil {
			return "", err
		}
	}
	return name, nil
}

// within bounds f in time, and says so when that is why it failed.
func (r *Remote) within(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.limits.Time)
	defer cancel()
	err := f(ctx)
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

func (r *Remote) credentials(ctx context.Context) (Credentials, error) {
	if r.opt.Credentials == nil {
		return Credentials{}, nil
	}
	c, err := r.opt.Credentials(ctx)
	if err != nil {
		return Credentials{}, fmt.Errorf("get the credentials: %w", err)
	}
	return c, nil
}

// connect opens a connection to an address that is not refused. The address
// that the kernel is about to connect to is judged, so that a name which
// resolves differently the second time gains nothing.
func (r *Remote) connect(ctx context.Context, network, address string) (net.Conn, error) {
	const patience = 15 * time.Second
	d := net.Dialer{Timeout: patience, ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil || network != "tcp4" && network != "tcp6" {
			return fmt.Errorf("%w: %s %s", ErrAddress, network, address)
		}
		a := ap.Addr().WithZone("").Unmap()
		if r.url.Scheme == "http" && !a.IsLoopback() {
			return fmt.Errorf("%w: http is for this machine only, and %s is not", ErrAddress, a)
		}
		if r.opt.Address != nil {
			if err := r.opt.Address(a); err != nil {
				return fmt.Errorf("%w: %w", ErrAddress, err)
			}
			return nil
		}
		if a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
			return fmt.Errorf("%w: no Git server is at %s", ErrAddress, a)
		}
		return nil
	}}
	return d.DialContext(ctx, network, address)
}
