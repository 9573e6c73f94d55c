package app

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	attestation "github.com/apexlogic/apex/internal/identity/attest"
	"github.com/apexlogic/apex/internal/identity/identitytest"
	"github.com/apexlogic/apex/verdict"
)

// fakeSTS stands in for AWS STS, which cannot be run here: it signs what arrived
// anew, by AWS's own library, compares, and answers in AWS's words.
type fakeSTS struct{ t *testing.T }

// These are the keys of AWS's own documentation.
const (
	fakeKey    = "AKIDEXAMPLE"
	fakeSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	fakeRole   = "arn:aws:sts::123456789012:assumed-role/claims-resize/session"
	region     = "eu-central-1"
)

func (f fakeSTS) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return answer(400, "")
	}
	again, err := http.NewRequest(r.Method, r.URL.String(), strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"Content-Type", attestation.AudienceHeader, attestation.NonceHeader} {
		again.Header.Set(name, r.Header.Get(name))
	}
	sum := sha256.Sum256(body)
	with := aws.Credentials{AccessKeyID: fakeKey, SecretAccessKey: fakeSecret, SessionToken: r.Header.Get("X-Amz-Security-Token")}
	if err := v4.NewSigner().SignHTTP(f.t.Context(), with, again, hex.EncodeToString(sum[:]), "sts", strings.Split(r.URL.Host, ".")[1], at); err != nil {
		return nil, err
	}
	if again.Header.Get("Authorization") != r.Header.Get("Authorization") {
		return answer(403, "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>")
	}
	return answer(200, "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>"+fakeRole+"</Arn><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>")
}

// gives is a WorkloadIdentity of the identity that the route lets in.
func gives(name, evidence string) string {
	return strings.Replace(entry(name, evidence), "claims.example/"+name, "claims.example/intake", 1) + "---\n"
}

// letIn has evidence make a certificate and a token that the gateway lets in.
func (w *identityWorld) letIn(what string, source func() IdentitySource) {
	w.t.Helper()
	c, err := source().Certificate(w.t.Context(), "")
	if err != nil {
		w.t.Fatal(what, err)
	}
	id, err := spiffeid.FromString(c.ID)
	if err != nil {
		w.t.Fatal(what, err)
	}
	if status, code := w.ask(w.client(&x509svid.SVID{ID: id, Certificates: c.Chain, PrivateKey: c.Key}, false), ""); status != 200 {
		w.t.Errorf("%s: by its certificate: %d %s", what, status, code)
	}
	token, err := source().Token(w.t.Context(), "", []string{"captioner"})
	if err != nil {
		w.t.Fatal(what, err)
	}
	if status, code := w.ask(w.gateway.as(w.t, nil), token.Token); status != 200 {
		w.t.Errorf("%s: by its token: %d %s", what, status, code)
	}
}

// refuses wants evidence to be refused with a code and a sentence.
func (w *identityWorld) refuses(what, kind, evidence string, want verdict.Code, says string) {
	w.t.Helper()
	if code, detail := w.post(kind, evidence, ""); code != want || !strings.Contains(detail, says) {
		w.t.Errorf("%s: %q %q, want %s %q", what, code, detail, want, says)
	}
}

// answering is a server that answers every question.
func answering(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, "{}")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

const trustAudience = "spiffe://claims.example"

func TestEvidenceBecomesAnIdentityThatTheGatewayLetsInAndForgedEvidenceDoesNot(t *testing.T) {
	issuer, stranger := identitytest.NewIssuer(t).Serve(), identitytest.NewIssuer(t).Serve()
	authorities := filepath.Join(t.TempDir(), "issuers.pem")
	if err := os.WriteFile(authorities, append(issuer.PEM, stranger.PEM...), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newIdentityWorld(t, gives("pipeline", "oidc: {issuer: \""+issuer.URL+"\", subject: \"repo:claims/intake\"}")+
		gives("function", "aws: {account: \"123456789012\", role: claims-resize}")+gives("laptop", "joinToken: {name: laptop}"), answering(t), func(o *IdentityServerOptions) {
		o.PrivateIssuers, o.IssuerAuthorities = []string{issuer.URL, stranger.URL}, authorities
		o.Regions, o.sts = []string{region}, fakeSTS{t}
	})

	// A cloud's OpenID Connect token.
	claims := identitytest.Object{"iss": issuer.URL, "sub": "repo:claims/intake", "aud": trustAudience, "exp": time.Now().Unix() + 300, "iat": time.Now().Unix()}
	signed := func(by *identitytest.Issuer, c identitytest.Object) string {
		return by.Token("ES256", `{"alg":"ES256","kid":"p256"}`, c.String())
	}
	w.letIn("a cloud's token", func() IdentitySource { return w.source(evidenceOIDC, signed(issuer, claims), "") })
	for _, tt := range []struct {
		name, token string
		code        verdict.Code
		says        string
	}{
		{"a token for somebody else", signed(issuer, claims.With("aud", "sts.amazonaws.com")), verdict.IdentityAudience, "not made for"},
		{"a token of another issuer", signed(stranger, claims.With("iss", stranger.URL)), verdict.IdentityUntrusted, "trusted here"},
		{"a token of another issuer under the name of ours", signed(stranger, claims), verdict.IdentitySignature, "not by the key"},
		{"an expired token", signed(issuer, claims.With("exp", time.Now().Unix()-1)), verdict.IdentityExpired, "expired"},
		{"a token of another pipeline", signed(issuer, claims.With("sub", "repo:claims/other")), verdict.IdentityAttestation, "no entry"},
		{"a subject that begins like ours", signed(issuer, claims.With("sub", "repo:claims/intake:ref")), verdict.IdentityAttestation, "no entry"},
		{"a token that nobody signed", identitytest.Encode(`{"alg":"none","kid":"p256"}`) + "." + identitytest.Encode(claims.String()) + ".", verdict.IdentityMalformed, ""},
		{"no token", "x", verdict.IdentityUntrusted, ""},
	} {
		w.refuses(tt.name, evidenceOIDC, tt.token, tt.code, tt.says)
	}

	// A request to AWS STS that a function signed.
	t.Setenv("AWS_ACCESS_KEY_ID", fakeKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakeSecret)
	t.Setenv("AWS_SESSION_TOKEN", "session")
	w.letIn("a function's signature", func() IdentitySource { return w.source("", "", region) })
	keys := attestation.AWSKeys{AccessKeyID: fakeKey, SecretAccessKey: fakeSecret, SessionToken: "session"}
	sign := func(k attestation.AWSKeys, region, audience string, at time.Time) *attestation.SignedRequest {
		r, err := attestation.SignAWS(k, region, audience, at)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	shown := func(change func(*attestation.SignedRequest)) string {
		r := sign(keys, region, trustAudience, w.clock.Now())
		change(r)
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	whole := func(r *attestation.SignedRequest) func(*attestation.SignedRequest) {
		return func(to *attestation.SignedRequest) { *to = *r }
	}
	thief := keys
	thief.SecretAccessKey = "a guess"
	replayed := shown(func(*attestation.SignedRequest) {})
	if code, detail := w.post(evidenceAWS, replayed, ""); code != "" {
		t.Fatal(code, detail)
	}
	for _, tt := range []struct {
		name, evidence string
		code           verdict.Code
		says           string
	}{
		{"a signature that was shown before", replayed, verdict.IdentityAttestation, "was shown before"},
		{"a signature for somebody else", shown(whole(sign(keys, region, "spiffe://other.example", w.clock.Now()))), verdict.IdentityAttestation, "does not accept the signature"},
		{"a signature for another region", shown(whole(sign(keys, "us-east-1", trustAudience, w.clock.Now()))), verdict.IdentityAttestation, "region that is not configured"},
		{"a signature for another region that is said to be for ours", shown(func(r *attestation.SignedRequest) {
			*r = *sign(keys, "us-east-1", trustAudience, w.clock.Now())
			r.Region = region
		}), verdict.IdentityAttestation, "in the region"},
		{"a signature for another service", shown(func(r *attestation.SignedRequest) {
			r.Authorization = strings.Replace(r.Authorization, "/sts/aws4_request", "/s3/aws4_request", 1)
		}), verdict.IdentityAttestation, "not for AWS STS"},
		{"an old signature", shown(whole(sign(keys, region, trustAudience, w.clock.Now().Add(-6*time.Minute)))), verdict.IdentityExpired, "not signed within"},
		{"a signature of tomorrow", shown(whole(sign(keys, region, trustAudience, w.clock.Now().Add(6*time.Minute)))), verdict.IdentityExpired, "not signed within"},
		{"a date that is not the signed one", shown(func(r *attestation.SignedRequest) {
			r.Date = w.clock.Now().Add(30 * time.Second).UTC().Format("20060102T150405Z")
		}), verdict.IdentityAttestation, ""},
		{"an audience that is not signed", shown(func(r *attestation.SignedRequest) {
			r.Authorization = strings.Replace(r.Authorization, ";x-apex-audience", "", 1)
		}), verdict.IdentityAttestation, "x-apex-audience is not signed"},
		{"a host that is not signed", shown(func(r *attestation.SignedRequest) {
			r.Authorization = strings.Replace(r.Authorization, ";host", "", 1)
		}), verdict.IdentityAttestation, "host is not signed"},
		{"another nonce", shown(func(r *attestation.SignedRequest) { r.Nonce = strings.Repeat("a", 32) }), verdict.IdentityAttestation, "does not accept the signature"},
		{"keys that were guessed", shown(whole(sign(thief, region, trustAudience, w.clock.Now()))), verdict.IdentityAttestation, "does not accept the signature"},
		{"a host of the sender's choice", `{"host":"sts.evil.example",` + shown(func(*attestation.SignedRequest) {})[1:], verdict.IdentityAttestation, "not the JSON of a signed request"},
	} {
		w.refuses(tt.name, evidenceAWS, tt.evidence, tt.code, tt.says)
	}

	// A token that somebody was handed.
	join := func(name string) string {
		token, err := JoinToken(w.state, name, time.Minute, w.clock)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	w.letIn("a join token", func() IdentitySource { return w.source(evidenceJoin, join("laptop"), "") })
	used, late := join("laptop"), join("laptop")
	if code, detail := w.post(evidenceJoin, used, ""); code != "" {
		t.Fatal(code, detail)
	}
	w.refuses("a join token, twice", evidenceJoin, used, verdict.IdentityAttestation, "was used")
	w.refuses("a join token of another name", evidenceJoin, join("tablet"), verdict.IdentityAttestation, "no entry")
	w.refuses("a path for a join token", evidenceJoin, "../ca/authorities.json", verdict.IdentityAttestation, "unknown")
	w.refuses("a service account's token where none is taken", evidenceKubernetes, "x", verdict.IdentityAttestation, "not taken here")
	w.clock.by.Add(int64(2 * time.Minute))
	w.refuses("a join token that has expired", evidenceJoin, late, verdict.IdentityAttestation, "has expired")
	w.letIn("another one", func() IdentitySource { return w.source(evidenceJoin, join("laptop"), "") })
}

// moto is somebody else's stand-in for AWS (github.com/getmoto/moto).
func moto(t *testing.T) *url.URL {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("moto_server is not installed: pip install 'moto[server]'")
	}
	said := &awaited{line: "Running on http://127.0.0.1:", found: make(chan string, 1)}
	c := exec.CommandContext(t.Context(), path, "-H", "127.0.0.1", "-p", "0")
	c.Stdout, c.Stderr = said, said
	if err := c.Start(); err != nil {
		t.Skipf("moto_server does not start: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	t.Cleanup(func() { _ = c.Process.Kill(); <-done })
	select {
	case port := <-said.found:
		return &url.URL{Scheme: "http", Host: "127.0.0.1:" + port}
	case err := <-done:
		done <- err
		t.Skipf("moto_server does not start: %v", err)
	case <-time.After(2 * time.Minute):
		t.Skip("moto_server does not answer")
	}
	return nil
}

// awaited looks for the port in what a program says.
type awaited struct {
	line, text string
	found      chan string
}

func (a *awaited) Write(p []byte) (int, error) {
	a.text += string(p)
	if _, rest, ok := strings.Cut(a.text, a.line); ok && strings.Contains(rest, "\n") {
		port, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
		select {
		case a.found <- strings.TrimSpace(port):
		default:
		}
		a.text = ""
	}
	return len(p), nil
}

// toMoto sends what is for AWS to moto, as it is.
type toMoto struct{ at *url.URL }

func (m toMoto) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host, r.URL.Scheme, r.URL.Host = r.URL.Host, m.at.Scheme, m.at.Host
	return http.DefaultTransport.RoundTrip(r)
}

func TestAFunctionIsKnownToSomebodyElsesAWS(t *testing.T) {
	to := toMoto{moto(t)}
	w := newIdentityWorld(t, gives("function", "aws: {account: \"123456789012\", role: claims-resize}"), answering(t), func(o *IdentityServerOptions) {
		o.Regions, o.sts = []string{region}, to
	})
	assume := func(role string) {
		t.Helper()
		form := url.Values{"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {"arn:aws:iam::123456789012:role/" + role}, "RoleSessionName": {"session"}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://sts."+region+".amazonaws.com/", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/20261123/%s/sts/aws4_request, SignedHeaders=host, Signature=%064d", fakeKey, region, 0))
		answer, err := to.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var said struct {
			Credentials struct{ AccessKeyId, SecretAccessKey, SessionToken string } `xml:"AssumeRoleResult>Credentials"`
		}
		if err := xml.NewDecoder(answer.Body).Decode(&said); err != nil || said.Credentials.AccessKeyId == "" {
			t.Fatal(answer.Status, err)
		}
		t.Setenv("AWS_ACCESS_KEY_ID", said.Credentials.AccessKeyId)
		t.Setenv("AWS_SECRET_ACCESS_KEY", said.Credentials.SecretAccessKey)
		t.Setenv("AWS_SESSION_TOKEN", said.Credentials.SessionToken)
	}
	assume("claims-resize")
	w.letIn("the role", func() IdentitySource { return w.source("", "", region) })
	assume("claims-other")
	if _, err := w.source("", "", region).Token(t.Context(), "", []string{"captioner"}); err == nil || !strings.Contains(err.Error(), "no entry") {
		t.Errorf("another role: %v", err)
	}
}
