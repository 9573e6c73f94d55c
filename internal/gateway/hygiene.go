package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// Bounds of what comes before a body.
const (
	maxHeaders = 100     // lines, also of one name
	maxTarget  = 8 << 10 // bytes of path and query
)

// once are headers that have one value: of a second one different servers would
// read a different one. They are the singletons of RFC 9110, those of the Fetch
// standard, of W3C Trace Context, and those that inference servers steer by.
var once = []string{
	"Authorization", "Proxy-Authorization", "Content-Type", "Content-Encoding", "Content-Length", "Content-Location", "Content-Range",
	"Cookie", "Date", "From", "Host", "If-Modified-Since", "If-Range", "If-Unmodified-Since", "Max-Forwards", "Origin", "Range", "Referer",
	"User-Agent", "Dnt", "Access-Control-Request-Method", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User",
	"Upgrade-Insecure-Requests", "Traceparent", "X-Request-Id", "X-Requested-With", "X-Csrf-Token", "Idempotency-Key", "X-Api-Key",
	"Inference-Header-Content-Length", "Openai-Organization", "Openai-Project", "Openai-Beta", "Upgrade", ClassHeader,
}

// hops are what a request may say of its own connection. Any other option would
// name a header that the next server is not to see (RFC 9110, section 7.6.1), and
// that could be one that this gateway sets.
var hops = []string{"close", "keep-alive", "te", "upgrade", "http2-settings"}

// ours begin the headers that say who somebody is, where they come from, or where they go to: only
// the gateway may say that to the server behind it. Spelled with '-'; a server
// that maps '_' or '.' to '-' sees the same name, so other spellings never pass.
var ours = []string{
	"x-forwarded", "forwarded", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip", "x-envoy", "x-spiffe", "x-apex",
	"x-auth", "x-user", "x-remote", "remote-user", "x-identity", "x-original", "x-rewrite", "x-jwt", "x-ssl", "ssl-client", "x-amzn-oidc",
	"x-goog-iap", "x-ms-client-principal", "x-consumer", "x-credential", "x-webauth", "x-http-method", "x-method",
	// RFC 9440, and what proxies, meshes and clouds say of a certificate, a session or an address.
	"client-cert", "x-client-cert", "x-client-dn", "x-client-verify", "x-client-s-dn", "x-tls-client", "x-arr-clientcert", "x-amzn-mtls",
	"x-goog-authenticated", "x-endpoint-api", "x-apigateway-api", "x-appengine", "x-ms-token", "cf-access", "x-pomerium", "x-vouch", "x-authelia",
	"remote-groups", "remote-name", "remote-email", "kubeflow-userid", "impersonate-", "tailscale-user", "x-id-token", "x-token-subject",
	"x-email", "x-groups", "x-proxy-user", "x-cluster-client-ip", "x-azure-clientip", "x-azure-socketip", "fastly-client-ip", "fly-client-ip", "x-host",
	// What routers of inference go by: the server, its model and its queue (Gateway API
	// Inference Extension, llm-d, vLLM, Portkey, Helicone, LiteLLM).
	"x-gateway-", "x-prefiller-", "x-encoder-hosts", "x-data-parallel", "x-portkey-", "helicone-", "x-litellm-",
	"proxy", // which a server that makes variables of headers takes for HTTP_PROXY (CVE-2016-5385)
}

// inChunks reports that a connection has to end with the request: there may have been
// a length beside the chunks, which net/http leaves out, and who goes by that has
// another idea of where the next request begins. So there is none (RFC 9112, section
// 6.1).
func inChunks(r *http.Request) bool { return len(r.TransferEncoding) > 0 && r.ProtoMajor == 1 }

// hygiene refuses requests that two servers could read differently, and takes
// out every header that claims an identity or names a server.
//
// Sources: RFC 9110, RFC 9112 section 11 (smuggling and splitting).
func hygiene(x *Exchange) error {
	r := x.Request
	if !(r.ProtoMajor == 1 && r.ProtoMinor == 1) && r.ProtoMajor != 2 {
		return Refuse(verdict.RequestProtocol, "the protocol is neither HTTP/1.1 nor HTTP/2")
	}
	if err := cleanTarget(r); err != nil {
		return err
	}
	lines := 0
	for _, values := range r.Header {
		lines += len(values)
	}
	if lines > maxHeaders {
		return Refuse(verdict.RequestHeader, "the request has more than %d headers", maxHeaders)
	}
	for _, name := range once {
		if len(r.Header[name]) > 1 {
			return Refuse(verdict.RequestHeader, "the header %s is there twice", name)
		}
	}
	for _, line := range r.Header["Connection"] {
		for option := range strings.SplitSeq(line, ",") {
			if !slices.Contains(hops, strings.ToLower(strings.TrimSpace(option))) {
				return Refuse(verdict.RequestHeader, "the header Connection names something else than the connection")
			}
		}
	}
	// HTTP/2 leaves it beside :authority (RFC 9113, section 8.3.1).
	if named := r.Header["Host"]; len(named) == 1 && named[0] != r.Host {
		return Refuse(verdict.RequestHeader, "the request names two hosts")
	}
	if expect := r.Header.Get("Expect"); expect != "" && !strings.EqualFold(expect, "100-continue") {
		return Refuse(verdict.RequestHeader, "the request expects something other than 100-continue")
	}
	r.Header.Del("Expect") // it is met here, where the body is read
	if inChunks(r) {
		x.Writer.Header().Set("Connection", "close")
	}
	if len(r.TransferEncoding) > 1 || len(r.TransferEncoding) == 1 && r.TransferEncoding[0] != "chunked" {
		return Refuse(verdict.RequestHeader, "the transfer encoding is not chunked alone")
	}
	if err := x.upgrade(); err != nil {
		return err
	}
	for name := range r.Header {
		if !passes(name) {
			delete(r.Header, name)
		}
	}
	return nil
}

// passes reports whether a header of the request may go on.
func passes(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	for _, prefix := range ours { // none is shorter than three letters
		if len(name) >= len(prefix) && name[0]|0x20 == prefix[0] && name[2]|0x20 == prefix[2] && strings.EqualFold(name[:len(prefix)], prefix) {
			return false
		}
	}
	return true
}

// cleanTarget refuses hosts and paths that have a second reading.
func cleanTarget(r *http.Request) error {
	if len(r.URL.Path)+len(r.URL.RawQuery) > maxTarget {
		return Refuse(verdict.RequestPath, "path and query have more than %d bytes", maxTarget)
	}
	if r.URL.IsAbs() || r.URL.User != nil || r.URL.Fragment != "" || !strings.HasPrefix(r.URL.Path, "/") {
		return Refuse(verdict.RequestPath, "the request's target is not a path")
	}
	if r.URL.RawPath != "" {
		return Refuse(verdict.RequestPath, "the path holds an encoded character that servers read differently")
	}
	path := r.URL.Path
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == ';' || c == '%' {
			return Refuse(verdict.RequestPath, "the path holds a character that servers read differently")
		}
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if segment == "." || segment == ".." {
			return Refuse(verdict.RequestPath, "the path holds a dot segment")
		}
	}
	if strings.Contains(path, "//") {
		return Refuse(verdict.RequestPath, "the path holds an empty segment")
	}
	if !plainQuery(r.URL.RawQuery) {
		return Refuse(verdict.RequestPath, "the query holds a semicolon, a percent sign that encodes nothing, or a number sign: servers end a parameter or the query there, or not")
	}
	host := r.Host
	if host == "" || strings.ContainsAny(host, "@/\\?# \t") {
		return Refuse(verdict.RequestHeader, "the host cannot be read")
	}
	return nil
}

// plainQuery reports whether a query is passed on as it stands: net/http/httputil
// would drop the parameters that it cannot parse, and sort the others.
func plainQuery(q string) bool {
	for i := 0; i < len(q); i++ {
		switch q[i] {
		case ';', '#':
			return false
		case '%':
			if i+2 >= len(q) || !isHex(q[i+1]) || !isHex(q[i+2]) {
				return false
			}
			i += 2
		}
	}
	return true
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }
