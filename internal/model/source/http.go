package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/apexlogic/apex/internal/bounded"
)

// web asks one kind of server, with a token for its own host only.
type web struct {
	client *http.Client
	base   *url.URL // whose host gets the token
	token  string
	access string // what a person does who is refused
}

func (w *web) request(ctx context.Context, target string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, errors.New("it is no URL") // the error of net/url quotes all of it
	}
	if w.token != "" && r.URL.Scheme == w.base.Scheme && address(r.URL) == address(w.base) {
		r.Header.Set("Authorization", "Bearer "+w.token)
	}
	r.Header.Set("Accept-Encoding", "identity")
	return r, nil
}

// json reads a small answer and returns the next page, where there is one.
func (w *web) json(ctx context.Context, target string, v any) (next string, err error) {
	r, err := w.request(ctx, target)
	if err != nil {
		return "", err
	}
	res, err := w.client.Do(r)
	if err != nil {
		return "", bare(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", w.refused(res)
	}
	data, err := bounded.ReadAll(res.Body, maxListing)
	if err != nil {
		return "", fmt.Errorf("the answer of %s: %w", r.URL.Host, bare(err))
	}
	if err := json.Unmarshal(data, v); err != nil {
		return "", fmt.Errorf("%s answers with something that cannot be read: %w", r.URL.Host, err)
	}
	return nextPage(res)
}

// nextPage reads RFC 8288's link, which must stay on the same server: a page
// that is not read would be files that are not scanned.
func nextPage(res *http.Response) (string, error) {
	for link := range strings.SplitSeq(strings.Join(res.Header.Values("Link"), ","), ",") {
		target, parameters, _ := strings.Cut(strings.TrimSpace(link), ">")
		if !strings.Contains(parameters, `rel="next"`) && !strings.Contains(parameters, "rel=next") {
			continue
		}
		u, err := res.Request.URL.Parse(strings.TrimPrefix(target, "<"))
		if err != nil || address(u) != address(res.Request.URL) || u.Scheme != res.Request.URL.Scheme {
			return "", fmt.Errorf("%s continues its list of files on another server", res.Request.URL.Host)
		}
		return u.String(), nil
	}
	return "", nil
}

// stat asks for the size and the entity tag of a file with a request for its
// first byte, which also says whether the server answers ranges.
func (w *web) stat(ctx context.Context, target string) (size int64, etag string, err error) {
	r, err := w.request(ctx, target)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Range", "bytes=0-0")
	res, err := w.client.Do(r)
	if err != nil {
		return 0, "", bare(err)
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusPartialContent:
	case res.StatusCode == http.StatusRequestedRangeNotSatisfiable && res.Header.Get("Content-Range") == "bytes */0",
		res.StatusCode == http.StatusOK && res.ContentLength == 0:
		return 0, strong(res), nil
	case res.StatusCode == http.StatusOK:
		return 0, "", ignoresRanges(res)
	default:
		return 0, "", w.refused(res)
	}
	_, total, ok := strings.Cut(res.Header.Get("Content-Range"), "/")
	size, err = strconv.ParseInt(total, 10, 64)
	if !ok || err != nil || size < 1 {
		return 0, "", fmt.Errorf("%s does not say how long the file is, so it cannot be read in parts; download it and scan the copy", r.URL.Host)
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

// ranges reads a file in parts. The entity tag of the first answer, or the one
// that is given, holds for all: a file that changes meanwhile is an error.
func (w *web) ranges(target string, size int64, etag string) fetcher {
	f := &webFile{web: w, target: target, size: size, etag: etag}
	return f.fetch
}

// webFile is one file behind a URL. Its fetch may be called by several
// goroutines.
type webFile struct {
	web    *web
	target string
	size   int64

	mu   sync.Mutex
	etag string // "" until an answer has a strong one
	// at is where a redirect led; asking there right away saves a request for
	// every part.
	at   string
	from *url.URL
}

func (f *webFile) fetch(ctx context.Context, off, n int64) ([]byte, int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n == 0 {
		size, _, err := f.web.stat(ctx, f.target)
		if err == nil && size != f.size {
			err = otherSize(f.target, strconv.FormatInt(size, 10), f.size)
		}
		return nil, 1, err
	}
	if f.at != "" {
		data, asked, again, err := f.ask(ledBy(ctx, f.from), f.at, off, n)
		if !again {
			return data, asked, err
		}
		f.at = "" // what it leads to has run out
		data, more, _, err := f.ask(ctx, f.target, off, n)
		return data, asked + more, err
	}
	data, asked, _, err := f.ask(ctx, f.target, off, n)
	return data, asked, err
}

// ask sends one request. again says that a place which was led to refuses.
func (f *webFile) ask(ctx context.Context, target string, off, n int64) (data []byte, asked int, again bool, err error) {
	r, err := f.web.request(ctx, target)
	if err != nil {
		return nil, 0, false, err
	}
	r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	if f.etag != "" {
		r.Header.Set("If-Match", f.etag)
	}
	res, err := f.web.client.Do(r)
	if err != nil {
		return nil, 1, false, bare(err)
	}
	defer res.Body.Close()
	asked = 1
	for via := res.Request; via.Response != nil; via = via.Response.Request {
		asked++
	}
	if err := f.check(res, off, n); err != nil {
		again := target != f.target && (res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusUnauthorized ||
			res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone || res.StatusCode == http.StatusBadRequest)
		return nil, asked, again, err
	}
	data = make([]byte, n)
	if _, err := io.ReadFull(res.Body, data); err != nil {
		return nil, asked, false, fmt.Errorf("the answer of %s ends early: %w", res.Request.URL.Host, bare(err))
	}
	if more, _ := res.Body.Read(make([]byte, 1)); more > 0 { // an error is the end, which is right
		return nil, asked, false, fmt.Errorf("%s answers with more bytes than were asked for", res.Request.URL.Host)
	}
	if f.etag == "" {
		f.etag = strong(res)
	}
	if asked > 1 {
		f.at, f.from = res.Request.URL.String(), r.URL
	}
	return data, asked, false, nil
}

// check says whether the answer is the part that was asked for.
func (f *webFile) check(res *http.Response, off, n int64) error {
	host := res.Request.URL.Host
	switch {
	case res.StatusCode == http.StatusPreconditionFailed:
		return errChanged
	case res.StatusCode == http.StatusOK && off == 0 && n == f.size && (res.ContentLength < 0 || res.ContentLength == n):
		// It ignores ranges, and was asked for the whole file.
	case res.StatusCode == http.StatusOK && off == 0 && n == f.size:
		return otherSize(host, strconv.FormatInt(res.ContentLength, 10), f.size)
	case res.StatusCode == http.StatusOK:
		return ignoresRanges(res)
	case res.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return otherSize(host, strings.TrimPrefix(res.Header.Get("Content-Range"), "bytes */"), f.size)
	case res.StatusCode != http.StatusPartialContent:
		return f.web.refused(res)
	default:
		part, total, _ := strings.Cut(res.Header.Get("Content-Range"), "/")
		if part != fmt.Sprintf("bytes %d-%d", off, off+n-1) && total == strconv.FormatInt(f.size, 10) || total == "" {
			return fmt.Errorf("%s answers with another part than was asked for", host)
		}
		if total != strconv.FormatInt(f.size, 10) {
			return otherSize(host, total, f.size)
		}
	}
	if coding := res.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return fmt.Errorf("%s packs its answers, so parts of the file cannot be read; download it and scan the copy", host)
	}
	if got := strong(res); f.etag != "" && got != "" && got != f.etag {
		return errChanged
	}
	return nil
}

func ignoresRanges(res *http.Response) error {
	return fmt.Errorf("%s ignores ranges, so the file cannot be read in parts; download it and scan the copy", res.Request.URL.Host)
}

// otherSize says that a file is not as long as the list of files had it. got
// comes from the server.
func otherSize(host, got string, want int64) error {
	if _, err := strconv.ParseUint(got, 10, 63); err != nil {
		got = "another number of"
	}
	if u, err := url.Parse(host); err == nil && u.Host != "" {
		host = u.Host
	}
	return fmt.Errorf("%s says that the file has %s bytes, and it was listed with %d: it changed, or the list is wrong", host, got, want)
}

// bare takes the URL, whose query may be a credential, out of an error.
func bare(err error) error {
	e, ok := errors.AsType[*url.Error](err)
	switch {
	case !ok:
		return err
	case strings.Contains(e.Err.Error(), "Location header"):
		return errors.New("the server redirects to no URL") // net/http quotes it
	case e.Timeout():
		return fmt.Errorf("the server takes too long: %w", e.Err)
	}
	return e.Err
}

// refused says why there is no answer, without anything that the server wrote.
func (w *web) refused(res *http.Response) error {
	host := res.Request.URL.Host
	switch res.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%s refuses (%d): %s", host, res.StatusCode, w.access)
	case http.StatusNotFound:
		return fmt.Errorf("%s has no such model or file (404): look at the name and the revision, and %s if it is not public", host, w.access)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		wait := "later"
		if seconds, err := strconv.ParseUint(res.Header.Get("Retry-After"), 10, 16); err == nil {
			wait = fmt.Sprintf("in %d s", seconds)
		}
		return fmt.Errorf("%s answers too many requests or is busy (%d): try again %s", host, res.StatusCode, wait)
	}
	return fmt.Errorf("%s answers %d", host, res.StatusCode)
}

// escaped is the path with its segments as they stand in a URL.
func escaped(path string) string {
	segments := strings.Split(path, "/")
	for i := range segments {
		segments[i] = url.PathEscape(segments[i])
	}
	return strings.Join(segments, "/")
}
