package fetch

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/apexlogic/apex/internal/gateway/fetch/address"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// target is an address that was read.
type target struct {
	url  *url.URL
	host address.Host
	port uint16
}

// judge reads an address and holds it to the list.
func (f *Fetcher) judge(raw string) (*target, error) {
	t, err := parse(raw)
	if err != nil {
		return nil, err
	}
	if t.url.Scheme != "https" && !f.options.PlainHTTP {
		return nil, media.Refuse(verdict.MediaAddress, "", "the address of the content is not https")
	}
	if !f.options.Hosts.Allow(t.host, t.port) {
		return nil, media.Refuse(verdict.MediaAddress, "", "the host and port of the content are not listed")
	}
	return t, nil
}

// parse reads an address of content. It takes only what every reader takes for
// the same: the host is found here by itself, and has to be the one that net/url
// finds.
func parse(raw string) (*target, error) {
	bad := func(what string) (*target, error) {
		return nil, media.Refuse(verdict.MediaAddress, "", "the address of the content %s", what)
	}
	if len(raw) > maxURL {
		return nil, media.Refuse(verdict.MediaAddress, "", "the address of the content has more than %d bytes", maxURL)
	}
	if !plain(raw) {
		return bad("holds a character that readers take differently, or a fragment")
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "https" && scheme != "http" {
		return bad("is not http or https")
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority = rest[:i]
	}
	if strings.Contains(authority, "@") {
		return bad("holds a user")
	}
	standard := uint16(443)
	if scheme == "http" {
		standard = 80
	}
	host, port, err := address.ParseHostPort(authority, standard)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.User != nil || u.Host != authority || u.Scheme != scheme {
		return bad("can be read in two ways")
	}
	return &target{url: u, host: host, port: port}, nil
}

// redirect returns where an answer sends on to; "" when it does not.
func redirect(answer *http.Response, from *target) (string, error) {
	switch answer.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return "", nil
	}
	locations := answer.Header.Values("Location")
	if len(locations) != 1 || len(locations[0]) > maxURL {
		return "", media.Refuse(verdict.FetchFailed, "", "the server of the content redirects to no place, or to several")
	}
	to, err := url.Parse(locations[0])
	if err != nil || !plain(locations[0]) {
		return "", media.Refuse(verdict.MediaAddress, "", "the address that the content is redirected to cannot be read")
	}
	if to.IsAbs() || to.Host != "" || strings.HasPrefix(locations[0], "//") {
		if !to.IsAbs() {
			return from.url.Scheme + ":" + locations[0], nil
		}
		return locations[0], nil // as it is written: parse finds what is wrong with it
	}
	return from.url.ResolveReference(to).String(), nil
}

// plain reports whether an address holds nothing that readers take differently:
// some take a backslash for a slash, drop tabs, or end the host at a fragment.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '#' {
			return false
		}
	}
	return true
}
