package gateway

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/apexlogic/apex/internal/gateway/stream"
	"github.com/apexlogic/apex/verdict"
)

// stay keeps a caller at the gateway. Servers lead away by their own address, which
// they name in redirects, for example when a path lacks its slash, and by the one that
// they advertise for later requests: whoever follows goes around every stage, and takes
// the message along (RFC 9110, section 15.4; RFC 7838).
//
// What leads to the server itself is made to lead here. A redirect to a third one is
// refused: a server that may reach nobody could have its callers do it.
func (s *server) stay(res *http.Response, here string) error {
	res.Header.Del("Alt-Svc")
	res.Header.Del("Refresh")
	lines := res.Header["Location"]
	if len(lines) == 0 {
		return nil
	}
	// Browsers take a backslash for a slash, and more than two slashes for two.
	to, err := url.Parse(lines[0])
	if err != nil || len(lines) > 1 || strings.Contains(lines[0], `\`) || strings.HasPrefix(lines[0], "///") {
		return &stream.Cut{Code: verdict.UpstreamRedirect, Detail: "the answer leads to an address that cannot be read in one way"}
	}
	if to.Scheme == "" && to.Host == "" {
		return nil
	}
	known := to.Scheme == "" || to.Scheme == "http" || to.Scheme == "https"
	if known && to.User == nil && (strings.EqualFold(to.Host, s.upstream.URL.Host) || strings.EqualFold(to.Host, here)) && !strings.HasPrefix(to.Path, "//") {
		to.Scheme, to.Host = "", ""
		if to.Path == "" {
			to.Path = "/"
		}
		res.Header.Set("Location", to.String())
		return nil
	}
	if res.StatusCode/100 == 3 {
		return &stream.Cut{Code: verdict.UpstreamRedirect, Detail: "the answer leads away from the gateway"}
	}
	return nil // nobody goes there by himself
}
