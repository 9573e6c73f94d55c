package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
)

// web asks one kind of server, with a token for its own host only.
type web struct {
	client *http.Client
	token  string
	host   string // that gets the token
}

func (w *web) request(ctx context.Context, method, target string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return nil, err
	}
	if w.token != "" && r.URL.Host == w.host {
		r.Header.Set("Authorization", "Bearer "+w.token) // net/http takes it off when a redirect leaves the host
	}
	r.Header.Set("Accept-Encoding", "identity")
	return r, nil
}

// json reads a small answer and returns the next page, where there is one.
func (w *web) json(ctx context.Context, target string, v any) (next string, err error) {
	r, err := w.request(ctx, http.MethodGet, target)
	if err != nil {
		return "", err
	}
	res, err := w.client.Do(r)
	if err != nil {
		return "", bare(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", status(res)
	}
	data, err := bounded.ReadAll(res.Body, maxListing)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return "", fmt.Errorf("%s answers with something that cannot be read: %w", r.URL.Host, err)
	}
	return nextPage(res), nil
}

// nextPage reads RFC 8288's link, which must stay on the same server.
func nextPage(res *http.Response) string {
	for _, link := range strings.Split(strings.Join(res.Header.Values("Link"), ","), ",") {
		target, parameters, _ := strings.Cut(strings.TrimSpace(link), ">")
		if !strings.Contains(parameters, `rel="next"`) {
			continue
		}
		u, err := res.Request.URL.Parse(strings.TrimPrefix(target, "<"))
		if err == nil && u.Host == res.Request.URL.Host && u.Scheme == res.Request.URL.Scheme {
			return u.String()
		}
	}
	return ""
}

// stat asks for the size and the entity tag of a file with a request for its
// first byte, which also says whether the server answers ranges.
func (w *web) stat(ctx context.Context, target string) (size int64, etag string, err error) {
	r, err := w.request(ctx, http.MethodGet, target)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Range", "bytes=0-0")
	res, err := w.client.Do(r)
	if err != nil {
		return 0, "", bare(err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusPartialContent:
	case http.StatusRequestedRangeNotSatisfiable:
		if res.Header.Get("Content-Range") == "bytes */0" {
			return 0, strong(res), nil
		}
		return 0, "", status(res)
	case http.StatusOK:
		return 0, "", fmt.Errorf("%s ignores ranges, so the file cannot be read in parts; download it and scan the copy", r.URL.Host)
	default:
		return 0, "", status(res)
	}
	_, total, ok := strings.Cut(res.Header.Get("Content-Range"), "/")
	size, err = strconv.ParseInt(total, 10, 64)
	if !ok || err != nil || size < 0 {
		return 0, "", fmt.Errorf("%s does not say how long the file is", r.URL.Host)
	}
	return size, strong(res), nil
}

// strong returns an entity tag that stands for the bytes; "" where there is none.
func strong(res *http.Response) string {
	if tag := res.Header.Get("ETag"); !strings.HasPrefix(tag, "W/") {
		return tag
	}
	return ""
}

// ranges reads a file in parts, all of them of the same bytes as far as the
// entity tag tells.
func (w *web) ranges(target string, size int64, etag string) fetcher {
	return func(ctx context.Context, off, n int64) ([]byte, error) {
		r, err := w.request(ctx, http.MethodGet, target)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
		if etag != "" {
			r.Header.Set("If-Match", etag)
		}
		res, err := w.client.Do(r)
		if err != nil {
			return nil, bare(err)
		}
		defer res.Body.Close()
		switch {
		case res.StatusCode == http.StatusPreconditionFailed:
			return nil, errChanged
		case res.StatusCode == http.StatusOK && size <= MaxBytes:
			// It ignores ranges, and the whole costs no more than a part may.
			whole, err := bounded.ReadAll(res.Body, size)
			if err == nil && int64(len(whole)) != size {
				err = errChanged
			}
			if err != nil {
				return nil, err
			}
			return whole[off : off+n], nil
		case res.StatusCode == http.StatusOK:
			return nil, fmt.Errorf("%s ignores ranges; download the file and scan the copy", r.URL.Host)
		case res.StatusCode != http.StatusPartialContent:
			return nil, status(res)
		case res.Header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, size):
			return nil, errChanged
		}
		if got := strong(res); etag != "" && got != "" && got != etag {
			return nil, errChanged
		}
		data := make([]byte, n)
		if _, err := io.ReadFull(res.Body, data); err != nil {
			return nil, fmt.Errorf("the answer of %s ends early: %w", r.URL.Host, err)
		}
		return data, nil
	}
}

// bare takes the URL, whose query may be a credential, out of an error.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func status(res *http.Response) error {
	host := res.Request.URL.Host
	switch res.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%s refuses (%d): give a token, or ask its owner for access", host, res.StatusCode)
	case http.StatusNotFound:
		return fmt.Errorf("%s has no such model or file", host)
	}
	return fmt.Errorf("%s answers %d", host, res.StatusCode)
}

// atURL is one file behind a URL.
type atURL struct {
	web    web
	target string
	size   int64
	etag   string
}

func openURL(ctx context.Context, uri string, o *Options) (Source, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" {
		return nil, errors.New("it is no URL")
	}
	s := &atURL{web: web{client: o.HTTP}, target: uri}
	if s.size, s.etag, err = s.web.stat(ctx, uri); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *atURL) Pinned() string {
	if s.etag == "" {
		return redact(s.target)
	}
	return redact(s.target) + "#etag=" + strings.Trim(s.etag, `"`)
}

func (s *atURL) Files(context.Context) ([]Entry, error) {
	u, err := url.Parse(s.target)
	if err != nil {
		return nil, err
	}
	return []Entry{{Path: path.Base("/" + u.Path), Size: s.size, where: s.target, etag: s.etag}}, nil
}

func (s *atURL) Open(ctx context.Context, e *Entry) *Ranges {
	return newRanges(ctx, e.Size, s.web.ranges(e.where, e.Size, e.etag))
}
