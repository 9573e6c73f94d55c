package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/extauthz"
	"github.com/apexlogic/apex/internal/identity/cache"
)

// ExtAuthz is the door for proxies that ask whether a request may pass, and pass
// it on themselves: Envoy's external authorization, by gRPC and by HTTP.
type ExtAuthz struct {
	// Address to listen on: HOST:PORT, by TLS; or unix:PATH, where the socket's
	// permissions say who may ask. Empty: there is no such door.
	Address string
	// Proxies are the SPIFFE IDs of who may ask.
	Proxies []string
	// Prefix that the paths of the HTTP flavour begin with.
	Prefix string
	// ClientCertificates says that in the HTTP flavour X-Forwarded-Client-Cert is
	// set by the proxy anew.
	ClientCertificates bool
}

const doorExtAuthz = "extauthz"

// What a question may take: its body has up to extauthz.MaxBody bytes, from
// within the same machine or mesh.
const (
	askedWithin  = 30 * time.Second
	askingProxys = 256 // remembered certificates, of proxies and of their clients
)

func openExtAuthz(g *runningGateway) (*openDoor, error) {
	o := &g.o.ExtAuthz
	if o.Address == "" {
		return nil, nil
	}
	l, socket, err := g.listenExtAuthz(o)
	if err != nil {
		return nil, err
	}
	s, err := extauthz.New(extauthz.Options{
		Decide: g.answerProxy, Ready: func() bool { return g.unready() == "" }, Bodies: true, Identity: cache.New(g.compiler.workloads, g.o.Clock, askingProxys),
		Forwarded: o.ClientCertificates, Proxies: o.Proxies, Socket: socket, Prefix: strings.TrimSuffix(o.Prefix, "/"), Log: g.o.Logger,
	})
	if err != nil {
		l.Close()
		return nil, err
	}
	server := g.server(s.Both())
	server.ReadTimeout, server.WriteTimeout = askedWithin, askedWithin
	if socket { // there is no TLS by which HTTP/2 would be agreed on
		server.Protocols = new(http.Protocols)
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
	}
	return g.serve(server, l), nil
}

// listenExtAuthz listens where proxies can show who they are.
func (g *runningGateway) listenExtAuthz(o *ExtAuthz) (l net.Listener, socket bool, err error) {
	path, socket := strings.CutPrefix(o.Address, "unix:")
	if socket {
		l, err := listenSocket(path)
		return l, true, err
	}
	if len(o.Proxies) == 0 {
		return nil, false, errors.New("nobody may ask for decisions: name the SPIFFE IDs of proxies with --extauthz-proxy, or listen on unix:PATH")
	}
	secure, err := serverTLS(&g.o, g.identity)
	if err != nil {
		return nil, false, err
	}
	if secure == nil {
		return nil, false, errors.New("proxies show who they are by TLS, and the gateway has no certificate to show: name --trust-domain or --tls-cert, or listen on unix:PATH")
	}
	if l, err = net.Listen("tcp", o.Address); err != nil {
		return nil, false, taken("the door for proxies", o.Address, err, "--extauthz-address names another port")
	}
	return tls.NewListener(l, secure), false, nil
}

// listenSocket listens on a unix socket that the owner and their group may open.
// A socket that a process left behind is replaced.
func listenSocket(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("%s is there, and no socket", path)
		}
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("another process listens on %s", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// answerProxy judges a request that a proxy will pass on.
func (g *runningGateway) answerProxy(ctx context.Context, q *extauthz.Request) extauthz.Decision {
	r := (&http.Request{
		Method: q.Method, URL: &url.URL{Path: q.Path, RawQuery: q.Query}, Host: q.Host, Header: q.Header, RemoteAddr: q.Address, RequestURI: q.Path,
	}).WithContext(ctx)
	if q.Query != "" {
		r.RequestURI += "?" + q.Query
	}
	r.Header.Del("Host") // it is r.Host
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	if major, minor, ok := http.ParseHTTPVersion(q.Protocol); ok && major == 1 {
		r.Proto, r.ProtoMajor, r.ProtoMinor = q.Protocol, major, minor
	}
	// A client that shows a token is whom the token says. The certificate of its
	// connection was held to the trust domains before.
	if q.Peer != nil && r.Header.Get("Authorization") == "" {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: q.Peer}
	}
	j := g.gateway.Judge(&gateway.Ask{Door: doorExtAuthz, Request: r, Body: q.Body, Cut: !q.Complete})
	if d := j.Denial; d != nil {
		return extauthz.Decision{
			Code: d.Code, Detail: d.Detail, Status: d.Status, Known: j.Principal != nil, RetryAfter: int((d.RetryAfter + time.Second - 1) / time.Second),
		}
	}
	return extauthz.Decision{
		Allow: true, Known: true,
		Set:    http.Header{"X-Request-Id": {j.ID}, "X-Apex-Principal": {j.Principal.ID}},
		Remove: []string{"Authorization"},
	}
}
