package admission_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/admission/cert"
	"github.com/apexlogic/apex/verdict"
)

// serving is a handler behind TLS, and a client that believes it.
type serving struct {
	url    string
	client *http.Client
	stop   context.CancelFunc
	ended  chan error
}

func serve(t testing.TB, h *admission.Handler) *serving {
	t.Helper()
	certs, err := cert.New(cert.Options{Store: &memory{}, Names: []string{"127.0.0.1"}, Publish: func(context.Context, []byte) error { return nil }})
	if err == nil {
		err = certs.Reconcile(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certs.Bundle())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	l := listen(t)
	ctx, stop := context.WithCancel(context.Background())
	s := &serving{url: "https://" + l.Addr().String(), client: &http.Client{Transport: transport}, stop: stop, ended: make(chan error, 1)}
	go func() { s.ended <- h.Run(ctx, l, certs.GetCertificate) }()
	t.Cleanup(stop)
	return s
}

func (s *serving) post(path string, body []byte) (status int, text string, err error) {
	resp, err := s.client.Post(s.url+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

func TestAShutdownAnswersWhatHasArrived(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	d := newDoor(t)
	d.say = func(ctx context.Context, q verdict.Question) verdict.Verdict {
		close(arrived)
		<-release
		return byName(ctx, q)
	}
	s := serve(t, d.Handler)
	type result struct {
		status int
		text   string
		err    error
	}
	answered := make(chan result, 1)
	go func() {
		status, text, err := s.post(admission.PathValidate, review{object: pod("good" + pinned)}.body())
		answered <- result{status, text, err}
	}()
	<-arrived
	s.stop()
	for d.probe(admission.PathReady) == http.StatusOK { // until it says that it is going
		runtime.Gosched()
	}
	close(release)
	if r := <-answered; r.err != nil || r.status != 200 || !strings.Contains(r.text, `"allowed":true`) {
		t.Errorf("%d %s %v", r.status, r.text, r.err)
	}
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
	s.client.CloseIdleConnections()
	if _, _, err := s.post(admission.PathValidate, review{object: pod("good" + pinned)}.body()); err == nil {
		t.Error("it answers after it has ended")
	}
}

func TestOldTLSAndPlainTextAreRefused(t *testing.T) {
	s := serve(t, newDoor(t).Handler)
	body := review{object: pod("good" + pinned)}.body()
	if status, text, err := s.post(admission.PathValidate, body); err != nil || status != 200 {
		t.Fatal(status, text, err)
	}
	old := s.client.Transport.(*http.Transport).Clone()
	old.TLSClientConfig.MaxVersion = tls.VersionTLS12
	if _, err := (&http.Client{Transport: old}).Post(s.url+admission.PathValidate, "application/json", bytes.NewReader(body)); err == nil {
		t.Error("TLS 1.2 is spoken")
	}
	resp, err := http.Post(strings.Replace(s.url, "https", "http", 1)+admission.PathValidate, "application/json", bytes.NewReader(body))
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode == 200 {
			t.Error("a review is answered in plain text")
		}
	}
}
