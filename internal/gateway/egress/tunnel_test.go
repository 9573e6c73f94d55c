package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway/fetch/address"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/live"
	"github.com/apexlogic/apex/verdict"
)

// open opens a tunnel to the echo, and has it carry a greeting there and back.
func (w *town) open(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, r, err := w.tryOpen(t)
	if err != nil {
		t.Fatal(err)
	}
	return c, r
}

// tryOpen is open, for a tunnel that may be cut before it is open.
func (w *town) tryOpen(t *testing.T) (net.Conn, *bufio.Reader, error) {
	t.Helper()
	c, r := w.raw(t, connect("example.com:7443", "intake"))
	answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, nil, errors.New(answer.Status)
	}
	greeting := greet(t, "example.com", nil)
	c.Write(greeting)
	if _, err := io.ReadFull(r, make([]byte, len(greeting))); err != nil {
		return nil, nil, err
	}
	<-w.records
	return c, r, nil
}

func TestARevokedIdentitysTunnelsAreCutAndOthersAreNot(t *testing.T) {
	known := live.New(clock.At(epoch))
	w := newTown(t, func(o *Options) { o.Watch = known.Watch })
	c, r := w.open(t)
	known.Use(&live.Revoked{Principals: map[string]bool{"spiffe://claims.example/other": true}})
	c.Write([]byte("x"))
	if b, err := r.ReadByte(); err != nil || b != 'x' {
		t.Fatal("the tunnel of another identity was cut", err)
	}
	known.Use(&live.Revoked{Principals: map[string]bool{intake: true}})
	if _, err := r.ReadByte(); err == nil {
		t.Error("the tunnel is still open")
	}
	if closed := <-w.records; closed.Code != string(verdict.IdentityRevoked) || closed.Sent == 0 {
		t.Errorf("%+v", closed)
	}
}

func TestWhoMayNotReachAHostAnyMoreIsCutFromIt(t *testing.T) {
	known := live.New(clock.At(epoch))
	var taken, untrusted atomic.Bool
	w := newTown(t, func(o *Options) {
		o.Watch = known.Watch
		reach, who := o.Reach, o.Identity
		o.Reach = func(p *identity.Principal, to Target) Answer {
			if taken.Load() {
				return Answer{}
			}
			return reach(p, to)
		}
		o.Identity = trusted{who, &untrusted}
	})
	for _, tt := range []struct {
		name string
		off  *atomic.Bool
		code verdict.Code
	}{{"the policy is taken back", &taken, verdict.EgressDestination}, {"the trust is taken back", &untrusted, verdict.IdentityUntrusted}} {
		c, r := w.open(t)
		known.Review() // nothing has changed
		c.Write([]byte("x"))
		if b, err := r.ReadByte(); err != nil || b != 'x' {
			t.Fatal(tt.name, ": it was cut before", err)
		}
		tt.off.Store(true)
		known.Review()
		if _, err := r.ReadByte(); err == nil {
			t.Error(tt.name, ": the tunnel is still open")
		}
		if closed := <-w.records; closed.Code != string(tt.code) || closed.Event != Closed || closed.Sent == 0 {
			t.Errorf("%s: %+v", tt.name, closed)
		}
		tt.off.Store(false)
	}
}

// trusted recognises those that are known, unless it is told not to.
type trusted struct {
	identity.Authenticator
	off *atomic.Bool
}

func (trusted) Generation() uint64                      { return 1 }
func (k trusted) Recognises(p *identity.Principal) bool { return !k.off.Load() }

func TestATunnelEndsWithItsIdentityItsLifetimeItsBytesAndSilence(t *testing.T) {
	for what, test := range map[string]struct {
		change func(*Options, time.Duration)
		send   int
		want   verdict.Code
	}{
		"the identity": {func(o *Options, after time.Duration) {
			o.Identity = known{"intake": {ID: intake, Method: identity.JWTSVID, NotAfter: epoch.Add(after)}}
		}, 0, verdict.IdentityExpired},
		"the lifetime": {func(o *Options, after time.Duration) { o.Lifetime = after }, 0, verdict.EgressLimit},
		"silence":      {func(o *Options, after time.Duration) { o.Idle = after }, 0, verdict.EgressLimit},
		"bytes":        {func(o *Options, _ time.Duration) { o.Bytes = 10_000 }, 10_000, verdict.EgressLimit},
	} {
		t.Run(what, func(t *testing.T) {
			// A machine that does much else may take longer than that to open the tunnel.
			var w *town
			var c net.Conn
			var r *bufio.Reader
			err := errors.New("not tried")
			for after := 200 * time.Millisecond; err != nil; after *= 2 {
				if after > time.Minute {
					t.Fatal(err)
				}
				w = newTown(t, func(o *Options) { test.change(o, after) })
				c, r, err = w.tryOpen(t)
			}
			c.Write(make([]byte, test.send))
			io.Copy(io.Discard, r)
			if closed := <-w.records; closed.Code != string(test.want) || closed.Sent+closed.Received > 10_000 {
				t.Errorf("%+v", closed)
			}
		})
	}
	w := newTown(t, nil)
	c, r := w.open(t)
	c.Write(make([]byte, 10_000))
	if _, err := io.ReadFull(r, make([]byte, 10_000)); err != nil {
		t.Error("as many bytes within the bounds:", err)
	}
}

// What one direction was let have counts for the other one before it is written.
func TestBytesAreCountedForBothDirectionsBeforeTheyAreWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caller, client := net.Pipe()
		host, server := net.Pipe()
		tun := &tunnel{proxy: &Proxy{options: Options{Bytes: 10_000, Idle: time.Minute}}, client: client, server: server}
		tun.active.Store(time.Now().UnixNano())
		ended := make(chan error, 2)
		go func() { ended <- tun.pump(server, client, client, &tun.sent) }()
		go func() { ended <- tun.pump(client, server, server, &tun.received) }()
		caller.Write(make([]byte, 6000))
		synctest.Wait() // it lies between the two: the host does not read
		host.Write(make([]byte, 6000))
		if n, err := io.ReadFull(caller, make([]byte, 6000)); err == nil {
			t.Errorf("%d bytes came back beside 6000 on their way, of 10,000", n)
		}
		caller.Close()
		host.Close()
		if err := errors.Join(<-ended, <-ended); !errors.Is(tun.why(err), errBytes) || tun.sent.Load()+tun.received.Load() > 10_000 {
			t.Errorf("%d and %d: %v", tun.sent.Load(), tun.received.Load(), err)
		}
	})
}

func TestAnIdentityHasSoManyConnectionsAtOnce(t *testing.T) {
	w := newTown(t, func(o *Options) { o.Concurrent = 1 })
	c, _ := w.open(t)
	_, r := w.raw(t, connect("example.com:7443", "intake"))
	if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != http.StatusTooManyRequests {
		t.Fatal(answer, err)
	}
	if record := <-w.records; record.Code != string(verdict.EgressLimit) {
		t.Errorf("%+v", record)
	}
	c.Close()
	<-w.records // its end; the place is given back right after
	for {
		_, r := w.raw(t, connect("example.com:7443", "intake"))
		answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
		if err != nil {
			t.Fatal(err)
		}
		<-w.records
		if answer.StatusCode == http.StatusOK {
			return
		}
	}
}

func TestAProxyThatStopsCutsWhatIsOpen(t *testing.T) {
	w := newTown(t, nil)
	_, r := w.open(t)
	w.proxy.Close()
	if _, err := r.ReadByte(); err == nil {
		t.Error("the tunnel is still open")
	}
	c, r := w.raw(t, connect("example.com:7443", "intake"))
	http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	c.Write(greet(t, "example.com", nil))
	if _, err := r.ReadByte(); err == nil {
		t.Error("a new tunnel was opened")
	}
}

func TestAClientMayShowACertificateToTheProxy(t *testing.T) {
	w := newTown(t, func(o *Options) {
		hosts, _ := address.ParseHosts([]string{"example.com"})
		o.Reach = func(p *identity.Principal, t Target) Answer {
			return Answer{Allow: p.ID == "intake" && hosts.Allow(t.Host, t.Port)}
		}
	})
	for name, status := range map[string]int{"intake": 200, "stranger": 403, "": 407} {
		certificate := newCertificate(t, name)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		server := &Proxy{options: w.proxy.options, open: map[*connection]struct{}{}}
		server.plain = server.newPlain()
		go func() {
			done <- serve(ctx, server, tls.NewListener(l, TLS(&tls.Config{Certificates: []tls.Certificate{newCertificate(t, "proxy")}, ClientAuth: tls.RequestClientCert})))
		}()
		config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}}
		if name != "" {
			config.Certificates = []tls.Certificate{certificate}
		}
		c, err := tls.Dial("tcp", l.Addr().String(), config)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: http.MethodConnect})
		if err != nil || answer.StatusCode != status {
			t.Errorf("%q: %v %v", name, answer, err)
		}
		c.Close()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestAProxyWithoutItsPartsIsNotMade(t *testing.T) {
	w := newTown(t, nil)
	for i, change := range []func(*Options){
		func(o *Options) { o.Identity = nil }, func(o *Options) { o.Reach = nil }, func(o *Options) { o.Recorder = nil }, func(o *Options) { o.Clock = nil },
	} {
		o := w.proxy.options
		change(&o)
		if _, err := New(o); err == nil {
			t.Error(i)
		}
	}
	if _, err := New(w.proxy.options); err != nil {
		t.Error(err)
	}
}
