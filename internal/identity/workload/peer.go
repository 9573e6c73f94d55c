package workload

import (
	"context"
	"errors"
	"net"
	"sync"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/apexlogic/apex/internal/identity/attest"
)

// peerCredentials ask the kernel who opened a connection, before anything is
// read from it.
type peerCredentials struct{}

// caller is what is known of a connection.
type caller struct {
	credentials.CommonAuthInfo
	attest.Peer
}

// AuthType names how the caller is known.
func (caller) AuthType() string { return "unix-peer" }

// ServerHandshake reads who is at the other end.
func (peerCredentials) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn := c
	if held, ok := c.(*placed); ok {
		conn = held.Conn
	}
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, nil, errors.New("the Workload API is served over unix sockets only")
	}
	p, err := attest.PeerOf(u)
	if err != nil {
		return nil, nil, err
	}
	return c, caller{credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}, p}, nil
}

// ClientHandshake is never used: this is a server.
func (peerCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are a server's")
}

// Info says what they are.
func (peerCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "unix-peer"}
}

// Clone returns them: they hold nothing.
func (p peerCredentials) Clone() credentials.TransportCredentials { return p }

// OverrideServerName does nothing: a server has no name to check.
func (peerCredentials) OverrideServerName(string) error { return nil }

func peerOf(ctx context.Context) (attest.Peer, bool) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return attest.Peer{}, false
	}
	c, ok := p.AuthInfo.(caller)
	return c.Peer, ok
}

// atMost accepts connections while there are places.
type atMost struct {
	net.Listener
	places chan struct{}
}

// placed gives its place back when it is closed.
type placed struct {
	net.Conn
	once  sync.Once
	leave func()
}

// Accept closes connections that there is no place for.
func (l *atMost) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.places <- struct{}{}:
			return &placed{Conn: c, leave: func() { <-l.places }}, nil
		default:
			c.Close()
		}
	}
}

// Close closes the connection, once.
func (p *placed) Close() error {
	err := p.Conn.Close()
	p.once.Do(p.leave)
	return err
}

var _ credentials.TransportCredentials = peerCredentials{}
