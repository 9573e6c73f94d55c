// Package fetch judges the addresses by which messages name content
// (image_url with https://…), and fetches what stands there.
//
// Start with [Fetcher.Inline]: the content is fetched here, inspected, and put
// into the message as a data URL, so that the server behind needs no way out.
// [Fetcher.Check] only judges the address. The server behind then resolves the
// name anew and follows redirects by itself, so that what was judged is not what
// it connects to: use it only for servers whose way out is guarded by other
// means.
//
// A name is resolved once and connected to at the addresses that were judged; a
// redirect is a new address, judged from the start. Content is taken only as it
// is, without a Content-Encoding, so that there is nothing to unfold.
//
// Sources: RFC 3986 (URIs), RFC 9110 (HTTP), RFC 2397 (data URLs).
package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/gateway/fetch/address"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

// Options say what may be fetched.
type Options struct {
	// Hosts that content may come from; nil: none.
	Hosts *address.Hosts
	// PlainHTTP takes http:// too. Its hosts are listed with their port: "media.example:80".
	PlainHTTP bool
	Dialer    *address.Dialer // nil: public addresses, by the system's resolver
	// TLS is how servers are verified; nil: by the system's roots.
	TLS *tls.Config
	// Inspect finds out what the content is; what it refuses is refused.
	Inspect body.Inspect
	// Bytes and Time bound one content, redirects included. Zero is the default.
	Bytes int64
	Time  time.Duration
	// Redirects that are followed; 0: none.
	Redirects int
}

// The defaults, and the bounds of what has none.
const (
	DefaultBytes = 20 << 20
	DefaultTime  = 10 * time.Second
	MaxRedirects = 5
	maxURL       = 2048     // presigned addresses have up to some 1,500 bytes
	maxHeaders   = 32 << 10 // of an answer
)

// Fetcher fetches content. It is safe for concurrent use.
type Fetcher struct {
	options   Options
	transport *http.Transport
}

// New returns a fetcher. Options that contradict each other, or that verify
// nothing, are errors.
func New(o Options) (*Fetcher, error) {
	if o.Inspect == nil {
		return nil, errors.New("fetch: nothing inspects the content")
	}
	if o.TLS != nil && o.TLS.InsecureSkipVerify {
		return nil, errors.New("fetch: servers have to be verified; add the server's authority to the roots instead")
	}
	if o.Redirects < 0 || o.Redirects > MaxRedirects {
		return nil, fmt.Errorf("fetch: %d redirects, at most %d can be followed", o.Redirects, MaxRedirects)
	}
	if o.Dialer == nil {
		o.Dialer = &address.Dialer{}
	}
	if o.Bytes <= 0 {
		o.Bytes = DefaultBytes
	}
	if o.Time <= 0 {
		o.Time = DefaultTime
	}
	f := &Fetcher{options: o}
	tlsConfig := &tls.Config{}
	if o.TLS != nil {
		tlsConfig = o.TLS.Clone()
	}
	tlsConfig.MinVersion = max(tlsConfig.MinVersion, tls.VersionTLS12)
	f.transport = &http.Transport{
		DialContext: f.dial, TLSClientConfig: tlsConfig, TLSHandshakeTimeout: o.Time, ResponseHeaderTimeout: o.Time,
		DisableKeepAlives:  true, // a connection belongs to one judged address
		DisableCompression: true, MaxResponseHeaderBytes: maxHeaders,
	}
	return f, nil
}

type pinnedKey struct{}

// pinned is what a name stood for when it was judged.
type pinned struct {
	addresses []netip.Addr
	port      uint16
}

func (f *Fetcher) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	p, ok := ctx.Value(pinnedKey{}).(pinned)
	if !ok {
		return nil, errors.New("the address was not judged")
	}
	return f.options.Dialer.Pinned(ctx, p.addresses, p.port)
}

// Check judges an address without fetching: its form, its host, and what the
// name stands for now. where is the place in the message, for errors, which are
// *media.Refusal.
func (f *Fetcher) Check(ctx context.Context, where, url string) error {
	ctx, cancel := context.WithTimeout(ctx, f.options.Time)
	defer cancel()
	t, err := f.judge(url)
	if err == nil {
		_, err = f.options.Dialer.Resolve(ctx, t.host)
	}
	return at(where, err)
}

// Content is what stood at an address.
type Content struct {
	Part media.Part
	Data []byte
}

// Inline fetches what stands at an address and inspects it. Limits are those of
// the message. Through, if it is not nil, makes the reader that the content is read
// by, so that its memory is bounded together with others'. Errors are *media.Refusal; what a server says never is in one.
func (f *Fetcher) Inline(ctx context.Context, where, url string, limits *media.Limits, through func(io.Reader) io.Reader) (*Content, error) {
	ctx, cancel := context.WithTimeout(ctx, f.options.Time)
	defer cancel()
	c, err := f.fetch(ctx, where, url, limits, through)
	if err == nil && ctx.Err() == nil { // what ended with the time may be a part of it
		return c, nil
	}
	if _, ok := errors.AsType[*media.Refusal](err); ok {
		return nil, at(where, err)
	}
	late, is := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	if ctx.Err() != nil || is && late.Timeout() {
		return nil, media.Refuse(verdict.FetchLimit, where, "the content did not arrive within %s", f.options.Time)
	}
	return nil, media.Refuse(verdict.FetchFailed, where, "the server of the content could not be reached, or is not the one of that name")
}

func (f *Fetcher) fetch(ctx context.Context, where, url string, limits *media.Limits, through func(io.Reader) io.Reader) (*Content, error) {
	secure := false // once on https, never back
	for hop := 0; ; hop++ {
		if hop > f.options.Redirects {
			return nil, media.Refuse(verdict.FetchLimit, "", "the address is redirected more than %d times", f.options.Redirects)
		}
		t, err := f.judge(url)
		if err != nil {
			return nil, err
		}
		if secure && t.url.Scheme != "https" {
			return nil, media.Refuse(verdict.MediaAddress, "", "the address is redirected from https to http")
		}
		secure = t.url.Scheme == "https"
		answer, err := f.ask(ctx, t)
		if err != nil {
			return nil, err
		}
		next, err := redirect(answer, t)
		if err != nil || next != "" {
			answer.Body.Close() // unread: what comes with a redirect is nobody's
			if err != nil {
				return nil, err
			}
			url = next
			continue
		}
		defer answer.Body.Close()
		from := io.Reader(answer.Body)
		if through != nil {
			from = through(from)
		}
		return f.read(answer, from, where, limits)
	}
}

// ask sends the one request that is ever sent: GET, without anything of the
// message's sender.
func (f *Fetcher) ask(ctx context.Context, t *target) (*http.Response, error) {
	all, err := f.options.Dialer.Resolve(ctx, t.host)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(context.WithValue(ctx, pinnedKey{}, pinned{all, t.port}), http.MethodGet, t.url.String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "image/*, audio/*, video/*, application/pdf;q=0.9, */*;q=0.1")
	r.Header.Set("Accept-Encoding", "identity")
	r.Header.Set("User-Agent", "apex")
	return f.transport.RoundTrip(r)
}

// read takes the content of an answer, which comes from a reader of its own.
func (f *Fetcher) read(answer *http.Response, from io.Reader, where string, limits *media.Limits) (*Content, error) {
	if answer.StatusCode != http.StatusOK {
		return nil, media.Refuse(verdict.FetchFailed, "", "the server of the content answers with status %d", answer.StatusCode)
	}
	for _, encoding := range answer.Header.Values("Content-Encoding") {
		if !strings.EqualFold(encoding, "identity") {
			return nil, media.Refuse(verdict.FetchFailed, "", "the server sends the content compressed, which was not asked for")
		}
	}
	declared, err := declaredType(answer.Header.Values("Content-Type"))
	if err != nil {
		return nil, err
	}
	most := min(f.options.Bytes, limits.PartBytes)
	if answer.ContentLength > most {
		return nil, media.Refuse(verdict.FetchLimit, "", "the content has %d bytes, allowed are %d", answer.ContentLength, most)
	}
	data, err := readUpTo(from, answer.ContentLength, most)
	if err != nil {
		return nil, err
	}
	part, err := f.options.Inspect(media.InMemory(data), where, declared, limits)
	if err != nil {
		return nil, err
	}
	if part.Type == "" {
		return nil, media.Refuse(verdict.MediaKind, "", "nobody can tell what the content is")
	}
	part.Where, part.Declared = where, declared
	return &Content{Part: part, Data: data}, nil
}

// readUpTo reads all, into a buffer that is never much larger than what came:
// a server that announces much and sends nothing costs nothing.
func readUpTo(r io.Reader, announced, most int64) ([]byte, error) {
	const first = 64 << 10
	var b bytes.Buffer
	b.Grow(int(min(max(announced, 0), first)))
	n, err := b.ReadFrom(io.LimitReader(r, most+1))
	if err != nil {
		return nil, err
	}
	if n > most {
		return nil, media.Refuse(verdict.FetchLimit, "", "the content has more than %d bytes", most)
	}
	return b.Bytes(), nil
}

// declaredType is the type that a server claims; "" when it claims none, or only
// that it is bytes. The inspection holds the content to it.
func declaredType(values []string) (string, error) {
	if len(values) > 1 {
		return "", media.Refuse(verdict.FetchFailed, "", "the server declares two types for the content")
	}
	if len(values) == 0 || values[0] == "" {
		return "", nil
	}
	t, _, err := mime.ParseMediaType(values[0])
	if err != nil {
		return "", media.Refuse(verdict.FetchFailed, "", "the server declares a type that cannot be read")
	}
	if t == "application/octet-stream" || t == "binary/octet-stream" {
		return "", nil
	}
	return t, nil
}

// at puts the place in the message into a refusal that has none.
func at(where string, err error) error {
	if r, ok := errors.AsType[*media.Refusal](err); ok && r.Where == "" {
		return &media.Refusal{Code: r.Code, Where: where, Detail: r.Detail}
	}
	return err
}
