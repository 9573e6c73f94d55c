package message

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestKeysOfEveryKindSign(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	for _, key := range []crypto.Signer{rsaKey, ed, p384, p521} {
		template := &x509.Certificate{SerialNumber: epochSerial, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		e := event("1")
		err = Sign(e, key, []*x509.Certificate{c}, epoch)
		if key == crypto.Signer(p521) {
			if err == nil {
				t.Error("a key of a kind that is not taken")
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := payload(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := shown(e, b); err != nil {
			t.Errorf("%T: %v", key, err)
		}
		if _, _, err := shown(e, append(b, ' ')); err == nil {
			t.Errorf("%T: signed something else", key)
		}
	}
}

func TestWhatIsSignedIsWrittenInOneWay(t *testing.T) {
	e := event("<&>é\U0001f600\"\\")
	if _, err := Bind(e, epoch); err != nil {
		t.Fatal(err)
	}
	b, err := payload(e)
	want := `{"attributes":{"apexsigned":"datacontenttype,id,source,specversion,tenant,time,type","datacontenttype":"application/json","id":"<&>é😀\"\\","source":"/intake",` +
		`"specversion":"1.0","tenant":"a","time":"2026-11-23T12:00:00Z","type":"claim.filed"},"data":"sha256:` + fmt.Sprintf("%x", sha256.Sum256(e.Data)) + `"}`
	if err != nil || string(b) != want {
		t.Errorf("%s\n%v", b, err)
	}
	if got := pae([]byte("abc")); string(got) != "DSSEv1 36 "+PayloadType+" 3 abc" {
		t.Errorf("%s", got)
	}
}

func TestEventsArriveOverHTTPInBothModes(t *testing.T) {
	p := newPost(t, nil)
	server := httptest.NewServer(p.gate)
	t.Cleanup(server.Close)
	binary := func(e *Event) *http.Request {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, bytes.NewReader(e.Data))
		for name, value := range e.Metadata("ce-") {
			r.Header.Set(name, value)
		}
		return r
	}
	whole := func(e *Event) *http.Request {
		fields := map[string]any{"data_base64": base64.StdEncoding.EncodeToString(e.Data)}
		for name, value := range e.Attributes {
			fields[name] = value
		}
		b, _ := json.Marshal(fields)
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, bytes.NewReader(b))
		r.Header.Set("Content-Type", structured+"; charset=UTF-8")
		return r
	}
	again := p.signed(t, "again", nil)
	for _, test := range []struct {
		what   string
		r      *http.Request
		change func(*http.Request)
		status int
	}{
		{"binary", binary(again), nil, 202},
		{"the same, structured", whole(again), nil, 202},
		{"structured", whole(p.signed(t, "2", nil)), nil, 202},
		{"with a token", binary(p.bound(t, "3")), nil, 202},
		{"forbidden", binary(p.signed(t, "4", func(e *Event) { e.Attributes["type"] = "forbidden" })), nil, 403},
		{"not signed", binary(event("5")), nil, 401},
		{"a failure", binary(p.signed(t, "6", func(e *Event) { e.Attributes["type"] = "broken" })), nil, 503},
		{"an attribute twice", binary(p.signed(t, "7", nil)), func(r *http.Request) { r.Header.Add("Ce-Id", "8") }, 400},
		{"an attribute in Kafka's spelling", binary(p.signed(t, "8", nil)), func(r *http.Request) { r.Header["ce_id"] = []string{"9"} }, 400},
		{"compressed", binary(p.signed(t, "9", nil)), func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 400},
		{"with GET", binary(p.signed(t, "10", nil)), func(r *http.Request) { r.Method = http.MethodGet }, 400},
		{"in both modes", whole(p.signed(t, "11", nil)), func(r *http.Request) { r.Header.Set("Ce-Id", "11") }, 400},
		{"a batch", whole(p.signed(t, "12", nil)), func(r *http.Request) { r.Header.Set("Content-Type", structuredBatch) }, 400},
		{"in UTF-16", whole(p.signed(t, "13", nil)), func(r *http.Request) { r.Header.Set("Content-Type", structured+"; charset=utf-16") }, 400},
	} {
		if test.change != nil {
			test.change(test.r)
		}
		answer, err := http.DefaultClient.Do(test.r)
		if err != nil {
			t.Fatal(err)
		}
		var content struct{ Error struct{ Message string } }
		json.NewDecoder(answer.Body).Decode(&content)
		answer.Body.Close()
		if answer.StatusCode != test.status || strings.Contains(content.Error.Message, "secret") || (answer.StatusCode == 503) != (answer.Header.Get("Retry-After") != "") {
			t.Errorf("%s: status %d, want %d (%s)", test.what, answer.StatusCode, test.status, content.Error.Message)
		}
	}
	if _, passed := p.counts(); passed != 3 {
		t.Errorf("%d were passed on", passed)
	}
}

func TestAGateWithoutItsPartsIsNotMade(t *testing.T) {
	p := newPost(t, nil)
	for i, change := range []func(*Options){
		func(o *Options) { o.Identity = nil }, func(o *Options) { o.Inspect = nil }, func(o *Options) { o.Decide = nil },
		func(o *Options) { o.Pass = nil }, func(o *Options) { o.Recorder = nil }, func(o *Options) { o.Clock = nil },
	} {
		o := p.gate.options
		change(&o)
		if _, err := NewGate(o); err == nil {
			t.Error(i)
		}
	}
	if _, err := NewGate(p.gate.options); err != nil {
		t.Error(err)
	}
}
