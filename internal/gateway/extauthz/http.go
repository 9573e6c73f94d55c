package extauthz

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// ServeHTTP answers the HTTP flavour: the request that is asked about, with its
// method, path and host, and those of its headers that Envoy's allowed_headers
// names. A certificate is in it only with Options.Forwarded. Status 200 lets it
// pass; the headers of that answer go on where Envoy's
// allowed_upstream_headers names them.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := &question{
		Request: Request{ID: r.Header.Get("X-Request-Id"), Method: r.Method, Scheme: "http", Host: r.Host, Path: r.RequestURI, Protocol: r.Proto},
		size:    -1, counted: true,
	}
	refused := func(d Decision) {
		for _, h := range d.answered() {
			w.Header().Set(h.name, h.value)
		}
		w.WriteHeader(d.status())
		w.Write(content(q, &d))
	}
	if !s.mayAskHTTP(r) {
		refused(Decision{Code: verdict.AskedBy, Detail: verdict.AskedBy.Info().Meaning})
		return
	}
	path, ok := strings.CutPrefix(r.RequestURI, s.options.Prefix)
	if !ok {
		refused(Decision{Code: verdict.RequestPath, Detail: "the path does not begin with the prefix"})
		return
	}
	q.Path = path
	for name, values := range r.Header {
		for _, value := range values {
			q.headers = append(q.headers, header{strings.ToLower(name), value})
		}
	}
	if values := r.Header["X-Forwarded-Client-Cert"]; s.options.Forwarded && len(values) > 0 {
		var ok bool
		if q.Source, q.certificate, ok = forwarded(values); !ok {
			refused(Decision{Code: verdict.IdentityMalformed, Detail: "X-Forwarded-Client-Cert is not that of one client, with URI and Cert"})
			return
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		refused(Decision{Code: verdict.BodyLimit, Detail: "the body cannot be read, or has too many bytes"})
		return
	}
	q.Body = body
	d, remove := s.decide(r.Context(), q)
	if !d.Allow {
		refused(d)
		return
	}
	h := w.Header()
	for _, one := range d.goesOn() {
		h.Set(one.name, one.value)
	}
	if names := d.takenOut(remove); len(names) > 0 {
		h.Set("X-Envoy-Auth-Headers-To-Remove", strings.Join(names, ","))
	}
	w.WriteHeader(http.StatusOK)
}

// forwarded reads X-Forwarded-Client-Cert as Envoy sets it anew: one element,
// with the client's URI and its certificate, each once. A second element would
// be somebody else's word.
func forwarded(values []string) (source, certificate string, ok bool) {
	if len(values) != 1 || len(values[0]) > maxHeaderSize {
		return "", "", false
	}
	for rest, more := values[0], true; more; {
		var name, value string
		if name, rest, more = strings.Cut(rest, "="); !more {
			return "", "", false
		}
		if quoted, is := strings.CutPrefix(rest, `"`); is {
			if value, rest, is = strings.Cut(quoted, `"`); !is || rest != "" && rest[0] != ';' || strings.Contains(value, `\`) {
				return "", "", false
			}
			rest, more = strings.CutPrefix(rest, ";")
		} else {
			value, rest, more = strings.Cut(rest, ";")
			if strings.ContainsAny(value, `,"`) {
				return "", "", false
			}
		}
		to := &source
		switch strings.ToLower(name) {
		case "uri":
		case "cert":
			to = &certificate
		case "by", "hash", "subject", "dns", "chain":
			continue
		default:
			return "", "", false
		}
		if *to != "" || value == "" {
			return "", "", false
		}
		*to = value
	}
	return source, certificate, source != "" && certificate != ""
}

// mayAskHTTP is mayAsk for the HTTP flavour.
func (s *Server) mayAskHTTP(r *http.Request) bool {
	return s.bySocket(r.Context()) || r.TLS != nil && s.isProxy(r.Context(), r.TLS.PeerCertificates)
}

// bySocket reports whether a request to an [http.Server] came by a socket whose
// permissions say who may ask.
func (s *Server) bySocket(ctx context.Context) bool {
	local, ok := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	return ok && s.options.Socket && local.Network() == "unix"
}
