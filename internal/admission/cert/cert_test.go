package cert_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apexlogic/apex/internal/admission/cert"
	"github.com/apexlogic/apex/internal/clock"
)

const day = 24 * time.Hour

var start = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// secret is a store with compare and swap.
type secret struct {
	mu      sync.Mutex
	data    []byte
	version int
	saves   int
	before  func() // called within Save, once
}

func (s *secret) Load(context.Context) ([]byte, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.data), strconv.Itoa(s.version), nil
}

func (s *secret) Save(_ context.Context, data []byte, version string) error {
	s.mu.Lock()
	before := s.before
	s.before = nil
	s.mu.Unlock()
	if before != nil {
		before()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if version != strconv.Itoa(s.version) {
		return cert.ErrConflict
	}
	s.data, s.version, s.saves = bytes.Clone(data), s.version+1, s.saves+1
	return nil
}

func (s *secret) set(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data, s.version = data, s.version+1
}

// world is a cluster: a Secret, an API server that believes what was published,
// and replicas.
type world struct {
	t       testing.TB
	clock   *clock.Fixed
	secret  *secret
	bundle  atomic.Pointer[[]byte]
	refuse  atomic.Bool
	options cert.Options
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, clock: clock.At(start), secret: &secret{}}
	w.options = cert.Options{
		Store: w.secret, Names: []string{"apex.apex-system.svc", "127.0.0.1"}, Clock: w.clock,
		Publish: func(_ context.Context, bundle []byte) error {
			if w.refuse.Load() {
				return errors.New("the API server does not answer")
			}
			bundle = bytes.Clone(bundle)
			w.bundle.Store(&bundle)
			return nil
		},
	}
	return w
}

func (w *world) replica() *cert.Manager {
	w.t.Helper()
	m, err := cert.New(w.options)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func reconcile(t testing.TB, m *cert.Manager) {
	t.Helper()
	if err := m.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// leaf returns what a manager serves, verified as an API server does.
func (w *world) leaf(m *cert.Manager) *x509.Certificate {
	w.t.Helper()
	c, err := m.GetCertificate(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(*w.bundle.Load())
	for _, name := range []string{"apex.apex-system.svc", "127.0.0.1"} {
		if _, err := c.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: w.clock.Now()}); err != nil {
			w.t.Fatalf("what is served is not believed at %s: %v", w.clock.Now(), err)
		}
	}
	return c.Leaf
}

// authorities counts those that are published.
func (w *world) authorities() int {
	return strings.Count(string(*w.bundle.Load()), "BEGIN CERTIFICATE")
}

func TestTheFirstReplicaMakesWhatAllServe(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica(), w.replica()
	if _, err := a.GetCertificate(nil); !errors.Is(err, cert.ErrNone) || a.Ready() == nil {
		t.Fatal("there is a certificate before anything was made")
	}
	reconcile(t, a)
	reconcile(t, b)
	if !w.leaf(a).Equal(w.leaf(b)) {
		t.Error("two replicas serve two certificates")
	}
	if err := errors.Join(a.Ready(), b.Ready()); err != nil {
		t.Error(err)
	}
	saves := w.secret.saves
	reconcile(t, a)
	reconcile(t, b)
	if w.secret.saves != saves {
		t.Error("with nothing due, the record was written again")
	}
	if !bytes.Equal(a.Bundle(), *w.bundle.Load()) {
		t.Error("the bundle is not the one that was published")
	}
}

func TestTwoReplicasThatBeginTogetherAgree(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica(), w.replica()
	w.secret.before = func() { reconcile(t, b) } // b wins while a is about to save
	reconcile(t, a)
	if !w.leaf(a).Equal(w.leaf(b)) {
		t.Error("two replicas serve two certificates")
	}
}

func TestAServingCertificateIsReplacedBeforeItExpires(t *testing.T) {
	w := newWorld(t)
	m := w.replica()
	reconcile(t, m)
	first := w.leaf(m)
	w.clock.Advance(19 * day)
	reconcile(t, m)
	if !w.leaf(m).Equal(first) {
		t.Error("replaced while more than a third of its time is left")
	}
	w.clock.Advance(2 * day)
	reconcile(t, m)
	if w.leaf(m).Equal(first) || w.authorities() != 1 {
		t.Error("not replaced by the same authority")
	}
}

func TestAnAuthorityIsPublishedBeforeItSignsAndAfterItSigned(t *testing.T) {
	w := newWorld(t)
	m := w.replica()
	reconcile(t, m)
	old := *w.bundle.Load()
	w.clock.Advance(250 * day) // more than two thirds of a year
	reconcile(t, m)
	if w.authorities() != 2 || !bytes.HasPrefix(*w.bundle.Load(), old) {
		t.Fatalf("%d authorities are published", w.authorities())
	}
	believedByOld := func() bool {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(old)
		_, err := w.leaf(m).Verify(x509.VerifyOptions{Roots: roots, CurrentTime: w.clock.Now()})
		return err == nil
	}
	if !believedByOld() {
		t.Error("the new authority signed before API servers could know it")
	}
	w.clock.Advance(3 * time.Minute)
	reconcile(t, m)
	if believedByOld() {
		t.Error("the new authority does not sign")
	}
	var record struct{ Authorities []struct{ Key string } }
	if err := json.Unmarshal(w.secret.data, &record); err != nil || len(record.Authorities) != 2 {
		t.Fatal(err, len(record.Authorities))
	}
	if record.Authorities[0].Key != "" || record.Authorities[1].Key == "" {
		t.Error("the key of the old authority is kept")
	}
	w.clock.Advance(116 * day)
	reconcile(t, m)
	if w.authorities() != 1 {
		t.Errorf("%d authorities are published after the old one expired", w.authorities())
	}
	w.leaf(m)
}

func TestADamagedRecordIsMadeAnewAndWhatIsServedStaysBelieved(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func([]byte) []byte
	}{
		{"deleted", func([]byte) []byte { return nil }},
		{"not JSON", func([]byte) []byte { return []byte("x") }},
		{"no authority", func([]byte) []byte { return []byte(`{"authorities":[]}`) }},
		{"another key", func(data []byte) []byte {
			other := newWorld(t)
			reconcile(t, other.replica())
			var a, b map[string]any
			if json.Unmarshal(data, &a) != nil || json.Unmarshal(other.secret.data, &b) != nil {
				t.Fatal("not JSON")
			}
			key := func(m map[string]any) map[string]any { return m["authorities"].([]any)[0].(map[string]any) }
			key(a)["key"] = key(b)["key"]
			out, _ := json.Marshal(a) // plain data
			return out
		}},
		{"endless", func(data []byte) []byte { return append(data, bytes.Repeat([]byte(" "), 1<<20)...) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.replica(), w.replica()
			reconcile(t, a)
			reconcile(t, b)
			damaged := tt.damage(w.secret.data)
			w.secret.set(damaged)
			reconcile(t, a)
			if bytes.Equal(w.secret.data, damaged) {
				t.Error("the damaged record is kept")
			}
			w.leaf(a)
			w.leaf(b) // it has not looked yet
			reconcile(t, b)
			if !w.leaf(a).Equal(w.leaf(b)) {
				t.Error("two replicas serve two certificates")
			}
		})
	}
	w := newWorld(t) // the twin: an undamaged record is kept
	m := w.replica()
	reconcile(t, m)
	first := w.leaf(m)
	w.secret.set(w.secret.data)
	reconcile(t, m)
	if !w.leaf(m).Equal(first) {
		t.Error("an undamaged record was made anew")
	}
}

func TestNothingIsServedThatNobodyWasToldOf(t *testing.T) {
	w := newWorld(t)
	w.refuse.Store(true)
	m := w.replica()
	if err := m.Reconcile(t.Context()); err == nil || m.Ready() == nil {
		t.Fatalf("served without being published: %v", err)
	}
	w.refuse.Store(false)
	reconcile(t, m)
	w.leaf(m)
	// A replica that starts while publishing fails serves what is known already.
	w.refuse.Store(true)
	late := w.replica()
	if err := late.Reconcile(t.Context()); err == nil {
		t.Error("the failure was not told")
	}
	if !w.leaf(late).Equal(w.leaf(m)) {
		t.Error("another certificate")
	}
}

// A replica whose first look fails is not ready, and must not stay so for as long as
// there is between two looks otherwise.
func TestWhatFailedIsTriedAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		publish := w.options.Publish
		var looks atomic.Int64
		w.options.Publish = func(ctx context.Context, bundle []byte) error {
			looks.Add(1)
			return publish(ctx, bundle)
		}
		w.refuse.Store(true)
		m := w.replica()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		synctest.Wait()
		if m.Ready() == nil || looks.Load() != 1 {
			t.Errorf("ready after %d looks: %v", looks.Load(), m.Ready())
		}
		w.refuse.Store(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if err := m.Ready(); err != nil {
			t.Errorf("five seconds after a failure: %v", err)
		}
		// Without a failure it looks once a minute.
		before := looks.Load()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := looks.Load() - before; n != 10 {
			t.Errorf("%d looks in ten minutes", n)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestANameThatIsAddedGetsACertificate(t *testing.T) {
	w := newWorld(t)
	reconcile(t, w.replica())
	w.options.Names = append(w.options.Names, "apex.other.svc")
	m := w.replica()
	reconcile(t, m)
	if err := w.leaf(m).VerifyHostname("apex.other.svc"); err != nil {
		t.Error(err)
	}
}

func TestOptionsThatLeaveNoTimeAreRefused(t *testing.T) {
	for _, change := range []func(*cert.Options){
		func(o *cert.Options) { o.Names = nil },
		func(o *cert.Options) { o.Store = nil },
		func(o *cert.Options) { o.Publish = nil },
		func(o *cert.Options) { o.Authority = time.Hour },
		func(o *cert.Options) { o.Settle = 20 * day },
	} {
		o := newWorld(t).options
		change(&o)
		if _, err := cert.New(o); err == nil {
			t.Errorf("accepted %+v", o)
		}
	}
}

// Two replicas, one of which looks only each fourth day, rotate through two
// years of certificates while requests come in without a pause, each with a new
// connection that believes what is published at that moment.
func TestNoRequestFailsWhileCertificatesRotate(t *testing.T) {
	w := newWorld(t)
	replicas := []*cert.Manager{w.replica(), w.replica()}
	var addresses []string
	for _, m := range replicas {
		reconcile(t, m)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, l.Addr().String())
		server := &http.Server{
			Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }),
			TLSConfig:         &tls.Config{GetCertificate: m.GetCertificate, MinVersion: tls.VersionTLS13},
			ReadHeaderTimeout: time.Minute,
		}
		go server.ServeTLS(l, "", "")
		t.Cleanup(func() { _ = server.Close() })
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var done, failed atomic.Int64
	var failure atomic.Value
	served := sync.Map{}
	// Time stands still during a request: weeks pass between two looks here, and
	// no handshake takes as long. Reconciling does not wait for requests.
	var moment sync.RWMutex
	request := func(address string) error {
		moment.RLock()
		defer moment.RUnlock()
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(*w.bundle.Load())
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Time: w.clock.Now}, DisableKeepAlives: true}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get("https://" + address)
		if err != nil {
			return err
		}
		served.Store(resp.TLS.PeerCertificates[0].SerialNumber.String(), true)
		return resp.Body.Close()
	}
	finished := make(chan struct{})
	pass := func(d time.Duration) {
		moment.Lock()
		defer moment.Unlock()
		w.clock.Advance(d)
	}
	for i := range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := request(addresses[i%2]); err != nil {
					failed.Add(1)
					failure.Store(err)
				}
				done.Add(1)
				select {
				case finished <- struct{}{}:
				default:
				}
			}
		})
	}
	const years = 2
	for d := range years * 365 {
		if d%30 == 0 { // so that the load keeps up with the years
			for range 4 {
				<-finished
			}
		}
		reconcile(t, replicas[0])
		if d%4 == 0 {
			reconcile(t, replicas[1])
		}
		pass(day)
		if d%90 == 1 { // within the time that a new authority settles
			pass(time.Minute)
			reconcile(t, replicas[0])
		}
	}
	stop()
	wg.Wait()
	if failed.Load() != 0 {
		t.Errorf("%d of %d requests failed, one with: %v", failed.Load(), done.Load(), failure.Load())
	}
	different := 0
	served.Range(func(any, any) bool { different++; return true })
	if different < 15 {
		t.Errorf("only %d certificates were served", different)
	}
	t.Logf("%d requests, %d certificates", done.Load(), different)
}

func FuzzRecord(f *testing.F) {
	w := newWorld(f)
	if err := w.replica().Reconcile(context.Background()); err != nil {
		f.Fatal(err)
	}
	f.Add(w.secret.data)
	f.Add([]byte(`{"authorities":[{"cert":"","key":""}],"serving":{}}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, data []byte) {
		w := newWorld(t)
		w.secret.data = data
		m := w.replica()
		reconcile(t, m)
		w.leaf(m)
	})
}
