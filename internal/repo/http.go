package repo

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Git over HTTP (gitprotocol-http(5), the smart one).

const (
	maxRedirects  = 3
	maxHTTPHeader = 256 << 10
	headerTime    = time.Minute      // the server collects what it will send before it answers
	idleTime      = 30 * time.Second // that a connection stays open for the next look
	uploadPack    = "git-upload-pack"
)

// webClient asks one server.
type webClient struct {
	http *http.Client

	mu   sync.Mutex
	base *url.URL // where the repository is, after redirects
}

func newWebClient(r *Remote) *webClient {
	c := &webClient{base: r.url}
	conf := r.opt.TLS.Clone()
	if conf == nil {
		conf = &tls.Config{}
	}
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            r.connect,
			TLSClientConfig:        conf,
			TLSHandshakeTimeout:    15 * time.Second,
			ResponseHeaderTimeout:  headerTime,
			IdleConnTimeout:        idleTime,
			MaxResponseHeaderBytes: maxHTTPHeader,
			DisableCompression:     true, // packs are compressed; other answers are counted as they come
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			from := via[0]
			switch {
			case from.Method != http.MethodGet:
				return fmt.Errorf("%w: it redirects what is sent to it", ErrRedirect)
			case len(via) > maxRedirects:
				return fmt.Errorf("%w: through more than %d redirects", ErrRedirect, maxRedirects)
			case next.URL.Scheme != from.URL.Scheme || next.URL.Host != from.URL.Host || next.URL.User != nil:
				// Whoever names the repository decides whom we ask and show credentials.
				return fmt.Errorf("%w: from %s to %.60q on %.100q: if that is meant, use that URL", ErrRedirect, from.URL.Host, next.URL.Scheme, next.URL.Host)
			case !strings.HasSuffix(next.URL.Path, "/info/refs"):
				return fmt.Errorf("%w: to what is not a repository", ErrRedirect)
			}
			return nil
		},
	}
	return c
}

// webWire is one exchange: each request stands for itself.
type webWire struct {
	client      *webClient
	credentials Credentials
	body        io.Closer // of the answer that is being read
}

func (w *webWire) advertisement(ctx context.Context) (io.Reader, error) {
	base := w.client.location()
	u := base.JoinPath("info/refs")
	u.RawQuery = "service=" + uploadPack
	res, err := w.do(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	if err := checkType(res, "advertisement"); err != nil {
		return nil, err
	}
	if final := res.Request.URL; final.Path != u.Path { // redirected
		moved := *base
		moved.Path, moved.RawPath = strings.TrimSuffix(final.Path, "/info/refs"), ""
		w.client.mu.Lock()
		w.client.base = &moved
		w.client.mu.Unlock()
	}
	return res.Body, nil
}

func (w *webWire) request(ctx context.Context, message []byte) (io.Reader, error) {
	res, err := w.do(ctx, http.MethodPost, w.client.location().JoinPath(uploadPack), message)
	if err != nil {
		return nil, err
	}
	if err := checkType(res, "result"); err != nil {
		return nil, err
	}
	return res.Body, nil
}

func (c *webClient) location() *url.URL {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base
}

func (w *webWire) do(ctx context.Context, method string, u *url.URL, message []byte) (*http.Response, error) {
	if err := w.close(false); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Git-Protocol", "version=2")
	req.Header.Set("User-Agent", "git/2.0 ("+agent+")") // some servers answer only to names that begin so
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-"+uploadPack+"-request")
		req.Header.Set("Accept", "application/x-"+uploadPack+"-result")
	}
	if c := w.credentials; c.Password != "" {
		user := c.User
		if user == "" {
			user = "git"
		}
		req.SetBasicAuth(user, c.Password)
	}
	res, err := w.client.http.Do(req)
	if err != nil {
		var inner *url.Error // its text repeats the request, which ours names already
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return nil, err
	}
	w.body = res.Body
	switch res.StatusCode {
	case http.StatusOK:
		return res, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("%w (HTTP %d)", ErrCredentials, res.StatusCode)
	case http.StatusNotFound:
		return nil, fmt.Errorf("%w: no repository is there, or none that these credentials may see", ErrNotFound)
	}
	return nil, fmt.Errorf("%w: HTTP %d", ErrRemote, res.StatusCode)
}

func checkType(res *http.Response, what string) error {
	want := "application/x-" + uploadPack + "-" + what
	if got := res.Header.Get("Content-Type"); got != want {
		return fmt.Errorf("%w: it answers with %.60q instead of %s: is this the URL of a repository?", ErrProtocol, got, want)
	}
	return nil
}

// close gives the connection back for the next request when the little that is
// left of the answer can be read.
func (w *webWire) close(early bool) error {
	if w.body == nil {
		return nil
	}
	body := w.body
	w.body = nil
	if r, ok := body.(io.Reader); ok && !early {
		const rest = 4 << 10
		_, _ = io.CopyN(io.Discard, r, rest)
	}
	return body.Close()
}
