package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/verdict"
)

// aheadClock is the machine's clock, set forward.
type aheadClock struct{ by atomic.Int64 }

func (c *aheadClock) Now() time.Time { return time.Now().Add(time.Duration(c.by.Load())) }

// identityWorld is an authority of claims.example and a gateway of vision.example
// that believes it, each with what apex identity serve and apex gateway start, and
// one folder that both follow.
type identityWorld struct {
	t                *testing.T
	dir, state       string
	clock            *aheadClock
	socket, exchange string
	gateway          *served
	vision           *x509bundle.Bundle // that the gateway's own certificate is of
	inForce          chan string        // generations of the authority
	now              string
	end              func() error
}

// entry is a WorkloadIdentity.
func entry(name, evidence string) string {
	return "apiVersion: security.apexlogic.com/v1alpha1\nkind: WorkloadIdentity\nmetadata: {name: " + name + "}\nspec:\n  spiffeID: spiffe://claims.example/" + name + "\n  " + evidence + "\n"
}

const intakeOrOther = `["spiffe://claims.example/intake", "spiffe://claims.example/other"]`

// newIdentityWorld starts both, with a route that lets the identities infer.
func newIdentityWorld(t *testing.T, entries, upstream string, change func(*IdentityServerOptions)) *identityWorld {
	t.Helper()
	short, err := os.MkdirTemp("", "id") // a socket's path may have some hundred bytes only
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(short) })
	w := &identityWorld{t: t, dir: t.TempDir(), state: t.TempDir(), clock: &aheadClock{}, socket: filepath.Join(short, "agent.sock"), inForce: make(chan string, 64)}
	put(t, w.dir, "entries.yaml", entries)
	put(t, w.dir, "route.yaml", "apiVersion: security.apexlogic.com/v1alpha1\nkind: ProtectedRoute\nmetadata: {name: captioner}\nspec:\n  hosts: [captioner.example]\n  api: OpenAI\n"+
		"  upstream: {url: \""+upstream+"\", tls: Plaintext}\n  identities:\n    - spiffe: {trustDomain: claims.example, audience: captioner}\n"+
		"  allow:\n    - {identities: "+intakeOrOther+", actions: [infer, embed]}\n  models:\n    - {name: captioner}\n  limits: {requests: 100000}\n")
	o := IdentityServerOptions{
		TrustDomain: "claims.example", Registrations: w.dir, State: w.state, Clock: w.clock,
		IssuerOptions: IssuerOptions{Socket: w.socket, Exchange: "127.0.0.1:0"},
	}
	listening, ended := make(chan string, 1), make(chan error, 1)
	o.Ready = func(_, exchange net.Addr) { listening <- exchange.String() }
	o.InForce = func(h config.Health, _, _, _ int) {
		if h.OK() {
			w.inForce <- h.Generation
		} else {
			t.Error(h.Problems)
		}
	}
	if change != nil {
		change(&o)
	}
	ctx, stop := context.WithCancel(t.Context())
	go func() { ended <- ServeIdentities(ctx, o) }()
	w.end = sync.OnceValue(func() error { stop(); return <-ended })
	t.Cleanup(func() {
		if err := w.end(); err != nil {
			t.Error(err)
		}
	})
	select {
	case w.exchange = <-listening:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	w.now = <-w.inForce
	w.openGateway()
	return w
}

// openGateway starts the gateway, whose certificate lies in files.
func (w *identityWorld) openGateway() {
	w.t.Helper()
	bundles, files := w.t.TempDir(), w.t.TempDir()
	data, err := TrustBundle(w.state, w.clock)
	if err != nil {
		w.t.Fatal(err)
	}
	put(w.t, bundles, "claims.example.json", string(data))
	id, err := own.Open(filepath.Join(w.t.TempDir(), "ca"), "vision.example", "/apex/gateway", clock.System{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { id.Close() })
	w.vision = id.CA.Bundle().X509Bundle()
	shown, err := id.Certificate()
	if err != nil {
		w.t.Fatal(err)
	}
	writePair(w.t, files, shown)
	w.gateway = serveGateway(w.t, GatewayOptions{
		Config: w.dir, Bundles: bundles, Clock: w.clock, CertificateFile: filepath.Join(files, "gateway.pem"), KeyFile: filepath.Join(files, "gateway.key"),
	})
}

func writePair(t *testing.T, dir string, c *tls.Certificate) {
	t.Helper()
	key, err := keyDER(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "gateway.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
	put(t, dir, "gateway.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
}

// change writes a document, or takes it away, and waits until both go by it.
func (w *identityWorld) change(name, text string) {
	w.t.Helper()
	if text == "" {
		if err := os.Remove(filepath.Join(w.dir, name)); err != nil {
			w.t.Fatal(err)
		}
	} else {
		put(w.t, w.dir, name, text)
	}
	for next := w.now; next == w.now; {
		next = <-w.inForce
		if next != w.now {
			w.now = next
			break
		}
	}
	w.gateway.now = w.gateway.wait(w.t, func(h config.Health) bool { return h.OK() && h.Generation != w.gateway.now }).Generation
}

// client speaks mTLS with the gateway by go-spiffe alone: it shows what the source
// has, and wants the gateway's own identity.
func (w *identityWorld) client(source x509svid.Source, keep bool) *http.Client {
	transport := &http.Transport{
		DisableKeepAlives: !keep,
		TLSClientConfig:   tlsconfig.MTLSClientConfig(source, w.vision, tlsconfig.AuthorizeID(spiffeid.RequireFromString("spiffe://vision.example/apex/gateway"))),
	}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// ask asks the gateway a question, by a certificate or by a token.
func (w *identityWorld) ask(c *http.Client, token string) (int, verdict.Code) {
	w.t.Helper()
	status, code, _ := w.gateway.ask(w.t, c, "captioner.example", "/v1/embeddings", `{"model":"captioner","input":"a dent"}`, func(r *http.Request) {
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
	})
	return status, code
}

// post shows evidence to the exchange for a token, and returns the refusal; "" for
// none.
func (w *identityWorld) post(kind, evidence, id string) (code verdict.Code, detail string) {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"kind": kind, "evidence": evidence, "id": id, "audience": []string{"captioner"}})
	if err != nil {
		w.t.Fatal(err)
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: shows(nil), DisableKeepAlives: true}}
	answer, err := c.Post("https://"+w.exchange+"/v1/svid/jwt", "application/json", bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	var said struct {
		Code          verdict.Code
		Detail, Token string
	}
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
		w.t.Fatal(err)
	}
	if (said.Code == "") != (said.Token != "") || (answer.StatusCode == 200) != (said.Code == "") {
		w.t.Fatalf("%d %s %q", answer.StatusCode, said.Code, said.Detail)
	}
	return said.Code, said.Detail
}

// source asks the exchange as apex identity fetch does.
func (w *identityWorld) source(kind, evidence, region string) IdentitySource {
	w.t.Helper()
	bundle := filepath.Join(w.t.TempDir(), "claims.example.json")
	data, err := TrustBundle(w.state, w.clock)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(bundle, data, 0o600); err != nil {
		w.t.Fatal(err)
	}
	s, err := FromExchange(ExchangeSource{
		URL: "https://" + w.exchange, TrustDomain: "claims.example", BundleFile: bundle, Kind: kind, File: "evidence", AWSRegion: region,
		Read: func(string) ([]byte, error) { return []byte(evidence), nil }, Clock: w.clock,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// oneUser is the evidence of this process.
func oneUser() string { return "unix: {uid: " + strconv.Itoa(os.Getuid()) + "}" }

// revocation of a workload of claims.example.
func revocation(path string) string {
	return strings.ReplaceAll("apiVersion: security.apexlogic.com/v1alpha1\nkind: Revocation\nmetadata: {name: stolen}\nspec:\n  identity: {issuer: claims.example, subject: PATH}\n  reason: its key was stolen\n", "PATH", path)
}
