package source

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// atURL is one file behind a URL.
type atURL struct {
	web    *web
	target *url.URL
	size   int64
	etag   string
}

func openURL(ctx context.Context, uri string, client *http.Client, _ *Options) (Source, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" {
		return nil, errors.New("it is no URL")
	}
	s := &atURL{web: &web{client: client, base: u, access: "download the file with your credentials and scan the copy"}, target: u}
	if s.size, s.etag, err = s.web.stat(ctx, uri); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *atURL) Pinned() string {
	if s.etag == "" {
		return redact(s.target.String())
	}
	return redact(s.target.String()) + "#etag=" + url.PathEscape(strings.Trim(s.etag, `"`))
}

func (s *atURL) Files(context.Context) ([]Entry, error) {
	name := path.Base("/" + s.target.Path)
	if name == "/" {
		name = s.target.Hostname()
	}
	return listed([]Entry{{Path: name, Size: s.size, where: s.target.String(), etag: s.etag}})
}

func (s *atURL) Open(ctx context.Context, e *Entry) *Ranges {
	return newRanges(ctx, e.Size, s.web.ranges(e.where, e.Size, e.etag))
}
