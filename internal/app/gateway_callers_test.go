package app

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/apexlogic/apex/internal/identity/svid"
)

// pipes is a listener whose callers are in the bubble.
type pipes struct {
	callers chan net.Conn
	closed  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.callers:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// call begins a connection.
func (p *pipes) call() net.Conn {
	ours, theirs := net.Pipe()
	p.callers <- theirs
	return ours
}

// serving serves as all doors do, and tells after how long a connection ended.
func serving(t *testing.T, secure *tls.Config) (*pipes, <-chan time.Duration) {
	t.Helper()
	began := time.Now()
	ended := make(chan time.Duration, 8)
	g := &runningGateway{o: GatewayOptions{Logger: slog.New(slog.DiscardHandler)}}
	s := g.server(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			ended <- time.Since(began)
		}
	}
	p := &pipes{make(chan net.Conn), make(chan struct{})}
	var l net.Listener = p
	if secure != nil {
		l = tls.NewListener(p, secure)
	}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return p, ended
}

// answered is the status of the answer that comes.
func answered(t *testing.T, c net.Conn) int {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

const greeting = "GET / HTTP/1.1\r\nHost: captioner.example\r\n\r\n"

// dribble writes a byte a second, until the other side has enough.
func dribble(c net.Conn, text string) {
	for i := range len(text) {
		if _, err := c.Write([]byte{text[i]}); err != nil {
			return
		}
		time.Sleep(time.Second) // of the bubble
	}
}

func TestHeadersHaveToComeInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, ended := serving(t, nil)
		slow := p.call()
		defer slow.Close()
		go io.Copy(io.Discard, slow)
		dribble(slow, greeting)
		if after := <-ended; after != headersWithin {
			t.Errorf("a caller whose headers come a byte a second is let go after %v", after)
		}
		quick := p.call()
		defer quick.Close()
		io.WriteString(quick, greeting[:10])
		time.Sleep(headersWithin - time.Second)
		io.WriteString(quick, greeting[10:])
		if status := answered(t, quick); status != http.StatusOK {
			t.Errorf("one whose headers come within the time gets %d", status)
		}
	})
}

func TestAHandshakeHasToComeInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shown := oneCertificate(t)
		p, ended := serving(t, svid.ServerTLS(func() (*tls.Certificate, error) { return shown, nil }))
		slow := p.call()
		defer slow.Close()
		go io.Copy(io.Discard, slow)
		dribble(slow, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"+strings.Repeat("\x00", 64)) // the beginning of a ClientHello
		if after := <-ended; after != headersWithin {
			t.Errorf("a caller whose handshake comes a byte a second is let go after %v", after)
		}
		raw := p.call()
		time.Sleep(headersWithin - time.Second)
		quick := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}) // the certificate is the test's own
		defer quick.Close()
		io.WriteString(quick, greeting)
		if status := answered(t, quick); status != http.StatusOK {
			t.Errorf("one whose handshake comes within the time gets %d", status)
		}
	})
}

func oneCertificate(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	from := x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &from, &from, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Who asks in HTTP/2 and reads nothing would otherwise keep the connection: even
// the frame that ends an idle one waits behind what is not taken.
func TestACallerOfHTTP2ThatReadsNothingIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, ended := serving(t, nil)
		deaf := p.call()
		defer deaf.Close()
		io.WriteString(deaf, http2.ClientPreface)
		f := http2.NewFramer(deaf, nil)
		f.WriteSettings()
		if after := <-ended; after > frameTakenWithin+headersWithin {
			t.Errorf("it is let go after %v", after)
		}
		reading := p.call()
		defer reading.Close()
		go func() {
			io.WriteString(reading, http2.ClientPreface)
			http2.NewFramer(reading, nil).WriteSettings()
		}()
		heard := http2.NewFramer(io.Discard, reading)
		go func() {
			for {
				if _, err := heard.ReadFrame(); err != nil {
					return
				}
			}
		}()
		time.Sleep(frameTakenWithin + headersWithin)
		select {
		case <-ended:
			t.Error("one that reads is let go as well")
		default:
		}
	})
}

// A header block without an end takes a connection, and no longer than one that
// is idle.
func TestAHeaderBlockOfHTTP2WithoutAnEndIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, ended := serving(t, nil)
		endless := p.call()
		defer endless.Close()
		go io.Copy(io.Discard, endless)
		io.WriteString(endless, http2.ClientPreface)
		f := http2.NewFramer(endless, nil)
		f.WriteSettings()
		f.WriteSettingsAck()
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
		for f.WriteContinuation(1, false, nil) == nil {
			time.Sleep(time.Second)
		}
		if after := <-ended; after > gatewayIdle+headersWithin {
			t.Errorf("it is let go after %v", after)
		}
	})
}
