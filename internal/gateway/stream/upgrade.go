package stream

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1" // what RFC 6455 asks for; nothing rests on it
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// Bounds of the handshake with the server behind.
const (
	handshakeTime  = 10 * time.Second
	handshakeBytes = 16 << 10
)

// asked is what a client asks for in its handshake.
type asked struct {
	key       string
	protocols []string
}

// readHandshake holds a request to RFC 6455, section 4.2.1. A page of another
// site may not open a socket: a browser would send its user's cookies along.
func readHandshake(r *http.Request, origins []string) (asked, error) {
	refuse := func(what string) (asked, error) { return asked{}, cut(verdict.RequestProtocol, "%s", what) }
	one := func(name string) (string, bool) {
		all := r.Header[name]
		if len(all) != 1 {
			return "", false
		}
		return all[0], true
	}
	key, hasKey := one("Sec-Websocket-Key")
	version, hasVersion := one("Sec-Websocket-Version")
	nonce, err := base64.StdEncoding.DecodeString(key)
	switch {
	case r.Method != http.MethodGet || r.ProtoMajor != 1 || r.ProtoMinor != 1:
		return refuse("a WebSocket begins with GET in HTTP/1.1")
	case !listed(r.Header["Connection"], "upgrade") || !listed(r.Header["Upgrade"], "websocket") || len(r.Header["Upgrade"]) != 1:
		return refuse("a WebSocket begins with Upgrade: websocket")
	case !hasVersion || version != "13":
		return refuse("the version of a WebSocket is 13")
	case !hasKey || err != nil || len(nonce) != 16:
		return refuse("a WebSocket begins with one key of 16 bytes")
	case r.ContentLength != 0:
		return refuse("a WebSocket begins without a body")
	}
	if origin := r.Header["Origin"]; len(origin) > 0 && !sameSite(origin, r.Host, origins) {
		return asked{}, cut(verdict.RequestOrigin, "a page of another site may not open a WebSocket here")
	}
	a := asked{key: key}
	for _, line := range r.Header["Sec-Websocket-Protocol"] {
		for p := range strings.SplitSeq(line, ",") {
			if p = strings.TrimSpace(p); !isToken(p) || len(a.protocols) == 16 {
				return refuse("a protocol of a WebSocket is a word, and there are at most 16")
			}
			a.protocols = append(a.protocols, p)
		}
	}
	return a, nil
}

// Handshake refuses a request that does not begin a WebSocket, or does so for a
// page of another site, with a *Cut: for who decides before it is served.
func Handshake(r *http.Request) error {
	_, err := readHandshake(r, nil)
	return err
}

func sameSite(origin []string, host string, more []string) bool {
	if len(origin) != 1 {
		return false
	}
	u, err := url.Parse(origin[0])
	return err == nil && u.Host != "" && (strings.EqualFold(u.Host, host) || slices.Contains(more, origin[0]))
}

// listed reports whether a list of words in a header holds one.
func listed(lines []string, word string) bool {
	for _, line := range lines {
		for w := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(w), word) {
				return true
			}
		}
	}
	return false
}

func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 64
}

// acceptOf is the answer to a key.
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// connect opens the socket to the server behind, with the protocols that the
// client asks for and never with an extension. Protocol is the one that was
// agreed on, "" for none.
func (s *Socket) connect(ctx context.Context, a asked) (conn net.Conn, from *bufio.Reader, protocol string, err error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	conn, err = s.Dial(ctx)
	if isCut(err) {
		return nil, nil, "", err
	}
	if err != nil {
		return nil, nil, "", cut(verdict.UpstreamDown, "the server behind the route does not answer")
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	from, protocol, err = s.greet(conn, a)
	if !stop() || err != nil {
		conn.Close()
		if err == nil || !isCut(err) {
			err = cut(verdict.UpstreamDown, "the server behind the route does not open a WebSocket")
		}
		return nil, nil, "", err
	}
	return conn, from, protocol, nil
}

func (s *Socket) greet(conn net.Conn, a asked) (*bufio.Reader, string, error) {
	nonce := make([]byte, 16)
	rand.Read(nonce) // never fails
	key := base64.StdEncoding.EncodeToString(nonce)
	out := &http.Request{Method: http.MethodGet, URL: s.URL, Host: s.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}}
	for name, values := range s.Header {
		if !strings.HasPrefix(name, "Sec-Websocket-") && name != "Connection" && name != "Upgrade" {
			out.Header[name] = values
		}
	}
	out.Header.Set("Connection", "Upgrade")
	out.Header.Set("Upgrade", "websocket")
	out.Header.Set("Sec-WebSocket-Version", "13")
	out.Header.Set("Sec-WebSocket-Key", key)
	if len(a.protocols) > 0 {
		out.Header.Set("Sec-WebSocket-Protocol", strings.Join(a.protocols, ", "))
	}
	if err := out.Write(conn); err != nil {
		return nil, "", err
	}
	first := &io.LimitedReader{R: conn, N: handshakeBytes}
	from := bufio.NewReader(first)
	res, err := http.ReadResponse(from, out)
	if err != nil {
		return nil, "", err
	}
	first.N = 1<<63 - 1 // from here on frames are counted, not bytes
	chosen := res.Header["Sec-Websocket-Protocol"]
	switch {
	case res.StatusCode != http.StatusSwitchingProtocols:
		return nil, "", errors.New("no change of protocol")
	case !listed(res.Header["Upgrade"], "websocket") || !listed(res.Header["Connection"], "upgrade") || res.Header.Get("Sec-Websocket-Accept") != acceptOf(key):
		return nil, "", cut(verdict.StreamInvalid, "the server behind the route does not answer the handshake that was sent")
	case len(res.Header["Sec-Websocket-Extensions"]) > 0:
		return nil, "", cut(verdict.StreamInvalid, "the server behind the route takes an extension that was not offered")
	case len(chosen) == 0:
		return from, "", nil
	case len(chosen) > 1 || !slices.Contains(a.protocols, chosen[0]):
		return nil, "", cut(verdict.StreamInvalid, "the server behind the route takes a protocol that was not offered")
	}
	return from, chosen[0], nil
}

// welcome takes the connection over from the HTTP server and answers the
// client's handshake.
func welcome(w http.ResponseWriter, a asked, protocol string) (net.Conn, *bufio.Reader, error) {
	conn, both, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, cut(verdict.RequestProtocol, "the connection cannot become a WebSocket")
	}
	conn.SetDeadline(time.Time{}) // those of the HTTP server
	text := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + acceptOf(a.key) + "\r\n"
	if protocol != "" {
		text += "Sec-WebSocket-Protocol: " + protocol + "\r\n"
	}
	conn.SetWriteDeadline(time.Now().Add(writeTime))
	io.WriteString(conn, text+"\r\n") // when it fails, so does the first reading
	return conn, both.Reader, nil
}
