package attest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity/attest"
	"github.com/apexlogic/apex/verdict"
)

const (
	stsBody  = "Action=GetCallerIdentity&Version=2011-06-15"
	audience = "https://gateway.example"
)

// keys are those of AWS's own documentation.
var keys = aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", SessionToken: "session"}

const once = "0123456789abcdef"

// sign signs a request for STS as a workload does, by AWS's own library.
func sign(t testing.TB, region, forAudience string, at time.Time, with aws.Credentials) attest.SignedRequest {
	t.Helper()
	return signOnce(t, region, forAudience, once, at, with)
}

func signOnce(t testing.TB, region, forAudience, nonce string, at time.Time, with aws.Credentials) attest.SignedRequest {
	t.Helper()
	r, err := http.NewRequest("POST", "https://sts."+region+".amazonaws.com/", strings.NewReader(stsBody))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	if forAudience != "" {
		r.Header.Set(attest.AudienceHeader, forAudience)
	}
	if nonce != "" {
		r.Header.Set(attest.NonceHeader, nonce)
	}
	sum := sha256.Sum256([]byte(stsBody))
	if err := v4.NewSigner().SignHTTP(t.Context(), with, r, hex.EncodeToString(sum[:]), "sts", region, at); err != nil {
		t.Fatal(err)
	}
	return attest.SignedRequest{Region: region, Authorization: r.Header.Get("Authorization"), Date: r.Header.Get("X-Amz-Date"), SecurityToken: r.Header.Get("X-Amz-Security-Token"), Nonce: nonce}
}

// fakeSTS stands in for AWS STS, which cannot be run here. It verifies the
// signature as STS does: it signs what arrived anew, by AWS's own library, and
// compares.
type fakeSTS struct {
	t      *testing.T
	status int
	body   string
	fails  bool
	asked  []string
}

func (f *fakeSTS) RoundTrip(r *http.Request) (*http.Response, error) {
	f.asked = append(f.asked, r.URL.String())
	if f.fails {
		return nil, errors.New("no route")
	}
	answer := func(status int, body string) *http.Response {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || string(body) != stsBody || r.Method != "POST" {
		return answer(400, ""), nil
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return answer(400, ""), nil
	}
	region := strings.Split(r.URL.Host, ".")[1]
	with := keys
	if with.SessionToken = r.Header.Get("X-Amz-Security-Token"); with.SessionToken != "" && with.SessionToken != "session" {
		return answer(403, ""), nil
	}
	want := signOnce(f.t, region, r.Header.Get(attest.AudienceHeader), r.Header.Get(attest.NonceHeader), at, with)
	if want.Authorization != r.Header.Get("Authorization") {
		return answer(403, "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>"), nil
	}
	return answer(f.status, f.body), nil
}

func stsSays(account, arn string) string {
	return fmt.Sprintf(`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>%s</Arn><UserId>AROA:session</UserId><Account>%s</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>`, arn, account)
}

const roleARN = "arn:aws:sts::123456789012:assumed-role/intake/session"

func TestAWSSaysWhoSignedARequest(t *testing.T) {
	plain := func(*attest.SignedRequest) {}
	for _, tt := range []struct {
		name   string
		region string
		aud    string
		at     time.Time
		with   aws.Credentials
		change func(*attest.SignedRequest)
		said   string
		status int
		asked  bool
		want   verdict.Code
	}{
		{"as it should be", "us-east-1", audience, noon, keys, plain, stsSays("123456789012", roleARN), 200, true, ""},
		{"of a user's own keys", "us-east-1", audience, noon, aws.Credentials{AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey}, plain, stsSays("123456789012", roleARN), 200, true, ""},
		{"for another region", "eu-west-1", audience, noon, keys, plain, "", 200, false, verdict.IdentityAttestation},
		{"for a region that is an address", "us-east-1", audience, noon, keys, func(r *attest.SignedRequest) { r.Region = "us-east-1.attacker.example/#" }, "", 200, false, verdict.IdentityAttestation},
		{"for a region that it was not signed for", "us-east-1", audience, noon, keys, func(r *attest.SignedRequest) { r.Region = "us-west-2" }, "", 200, false, verdict.IdentityAttestation},
		{"for another audience", "us-east-1", "https://other.example", noon, keys, plain, "", 200, true, verdict.IdentityAttestation},
		{"for no audience", "us-east-1", "", noon, keys, plain, "", 200, false, verdict.IdentityAttestation},
		{"too long ago", "us-east-1", audience, noon.Add(-5*time.Minute - time.Second), keys, plain, "", 200, false, verdict.IdentityExpired},
		{"in the future", "us-east-1", audience, noon.Add(5*time.Minute + time.Second), keys, plain, "", 200, false, verdict.IdentityExpired},
		{"with another date than signed", "us-east-1", audience, noon, keys, func(r *attest.SignedRequest) { r.Date = noon.Add(time.Minute).Format("20060102T150405Z") }, "", 200, true, verdict.IdentityAttestation},
		{"with another day than signed", "us-east-1", audience, noon.Add(-24 * time.Hour), keys, func(r *attest.SignedRequest) { r.Date = noon.Format("20060102T150405Z") }, "", 200, false, verdict.IdentityAttestation},
		{"by a stranger's keys", "us-east-1", audience, noon, aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "guess", SessionToken: "session"}, plain, "", 200, true, verdict.IdentityAttestation},
		{"with a signature that is changed", "us-east-1", audience, noon, keys, func(r *attest.SignedRequest) { r.Authorization = r.Authorization[:len(r.Authorization)-1] + "g" }, "", 200, false, verdict.IdentityAttestation},
		{"with a header inside", "us-east-1", audience, noon, keys, func(r *attest.SignedRequest) { r.Authorization += "\r\nHost: x" }, "", 200, false, verdict.IdentityAttestation},
		{"with a header in its token", "us-east-1", audience, noon, keys, func(r *attest.SignedRequest) { r.SecurityToken += "\nHost: x" }, "", 200, false, verdict.IdentityAttestation},
		{"without its token", "us-east-1", audience, noon, keys, func(r *attest.SignedRequest) { r.SecurityToken = "" }, "", 200, true, verdict.IdentityAttestation},
		{"with a token that is not signed", "us-east-1", audience, noon, aws.Credentials{AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey}, func(r *attest.SignedRequest) { r.SecurityToken = "session" }, "", 200, false, verdict.IdentityAttestation},
		{"with another nonce than signed", "us-east-1", audience, noon, keys, func(r *attest.SignedRequest) { r.Nonce = strings.Repeat("x", 16) }, "", 200, true, verdict.IdentityAttestation},
		{"with a short nonce", "us-east-1", audience, noon, keys, func(r *attest.SignedRequest) { r.Nonce = "1" }, "", 200, false, verdict.IdentityAttestation},
		{"with a header in its nonce", "us-east-1", audience, noon, keys, func(r *attest.SignedRequest) { r.Nonce = once + "\r\nX: y" }, "", 200, false, verdict.IdentityAttestation},
		{"with a nonce that is not signed", "us-east-1", audience, noon, keys, func(r *attest.SignedRequest) {
			*r = signOnce(t, "us-east-1", audience, "", noon, keys)
			r.Nonce = once
		}, "", 200, false, verdict.IdentityAttestation},
		{"with a password", "us-east-1", audience, noon, keys, func(r *attest.SignedRequest) { r.Authorization = "Basic YTpi" }, "", 200, false, verdict.IdentityAttestation},
		{"when STS answers something else", "us-east-1", audience, noon, keys, plain, "<html/>", 200, true, verdict.IdentityAttestation},
		{"when STS names two accounts", "us-east-1", audience, noon, keys, plain, stsSays("999999999999", roleARN), 200, true, verdict.IdentityAttestation},
		{"when STS is ill", "us-east-1", audience, noon, keys, plain, "", 503, true, verdict.IdentityUnavailable},
		{"when STS answers without end", "us-east-1", audience, noon, keys, plain, strings.Repeat(" ", 1<<20), 200, true, verdict.IdentityUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sts := &fakeSTS{t: t, status: tt.status, body: tt.said}
			a, err := attest.NewAWS(audience, []string{"us-east-1", "us-west-2"}, sts, starting(noon.Add(-time.Hour)))
			if err != nil {
				t.Fatal(err)
			}
			r := sign(t, tt.region, tt.aud, tt.at, tt.with)
			tt.change(&r)
			evidence, _ := json.Marshal(r)
			got, err := a.Attest(t.Context(), evidence)
			if asked := len(sts.asked) > 0; asked != tt.asked || asked && sts.asked[0] != "https://sts.us-east-1.amazonaws.com/" {
				t.Errorf("asked %v", sts.asked)
			}
			if tt.want != "" {
				refused(t, tt.name, err, tt.want)
				return
			}
			if want := []attest.Selector{"aws:account:123456789012", attest.Selector("aws:arn:" + roleARN), "aws:role:intake"}; err != nil || !slices.Equal(got, want) {
				t.Fatalf("got %v, %v", got, err)
			}
			for what, again := range map[string]string{"again": string(evidence), "again, spelled otherwise": strings.Replace(string(evidence), ", ", ",  ", 1)} {
				_, err = a.Attest(t.Context(), []byte(again))
				refused(t, what, err, verdict.IdentityAttestation)
			}
			if len(sts.asked) != 1 {
				t.Error("STS was asked twice")
			}
		})
	}
}

func TestEvidenceForAWSIsStrictAndARefusedOneFillsNothing(t *testing.T) {
	sts := &fakeSTS{t: t, fails: true}
	a, err := attest.NewAWS(audience, []string{"us-east-1"}, sts, clock.At(noon))
	if err != nil {
		t.Fatal(err)
	}
	evidence, _ := json.Marshal(sign(t, "us-east-1", audience, noon, keys))
	_, err = a.Attest(t.Context(), evidence)
	refused(t, "STS is down", err, verdict.IdentityUnavailable)
	sts.fails, sts.status, sts.body = false, 200, stsSays("123456789012", roleARN)
	for name, text := range map[string]string{
		"no JSON": "x", "a list": "[]", "two": string(evidence) + string(evidence), "a member twice": `{"region":"x",` + string(evidence[1:]),
		"an unknown member": `{"url":"https://attacker.example",` + string(evidence[1:]), "too long": strings.Repeat(" ", 64<<10),
	} {
		_, err := a.Attest(t.Context(), []byte(text))
		refused(t, name, err, verdict.IdentityAttestation)
	}
	if _, err := a.Attest(t.Context(), evidence); err != nil {
		t.Errorf("the same when STS is back: %v", err)
	}
	for _, regions := range [][]string{nil, {""}, {"us-east-1.evil"}, {"US-EAST-1"}, {"../x"}} {
		if _, err := attest.NewAWS(audience, regions, sts, clock.At(noon)); err == nil {
			t.Errorf("the regions %q are taken", regions)
		}
	}
}

// starting is a clock that stood at another time when it was first asked, and
// stands at noon since.
func starting(at time.Time) clock.Clock { return &started{at: at} }

type started struct{ at time.Time }

func (s *started) Now() time.Time {
	now := s.at
	s.at = noon
	return now
}

func TestWhatWasSignedBeforeTheAuthorityStartedIsSignedAnew(t *testing.T) {
	now := clock.At(noon)
	a, err := attest.NewAWS(audience, []string{"us-east-1"}, &fakeSTS{t: t, status: 200, body: stsSays("123456789012", roleARN)}, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		at   time.Time
		want verdict.Code
	}{{noon.Add(-time.Second), verdict.IdentityExpired}, {noon, ""}} {
		evidence, _ := json.Marshal(sign(t, "us-east-1", audience, tt.at, keys))
		if _, err := a.Attest(t.Context(), evidence); tt.want != "" {
			refused(t, "a second before", err, tt.want)
		} else if err != nil {
			t.Error(err)
		}
	}
}

func TestOurSignatureIsTheOneOfAWSsOwnLibrary(t *testing.T) {
	sts := &fakeSTS{t: t, status: 200, body: stsSays("123456789012", roleARN)}
	a, err := attest.NewAWS(audience, []string{"us-east-1"}, sts, clock.At(noon))
	if err != nil {
		t.Fatal(err)
	}
	of := attest.AWSKeys{AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.SessionToken}
	for name, k := range map[string]attest.AWSKeys{"of a role": of, "of a user": {AccessKeyID: of.AccessKeyID, SecretAccessKey: of.SecretAccessKey}} {
		for range 2 { // two of one second are two
			r, err := attest.SignAWS(k, "us-east-1", audience, noon)
			if err != nil {
				t.Fatal(err)
			}
			evidence, _ := json.Marshal(r)
			if _, err := a.Attest(t.Context(), evidence); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	of.SecretAccessKey = "guess"
	r, err := attest.SignAWS(of, "us-east-1", audience, noon)
	if err != nil {
		t.Fatal(err)
	}
	evidence, _ := json.Marshal(r)
	_, err = a.Attest(t.Context(), evidence)
	refused(t, "of another secret", err, verdict.IdentityAttestation)
	for _, k := range []attest.AWSKeys{{}, {AccessKeyID: "x"}} {
		if _, err := attest.SignAWS(k, "us-east-1", audience, noon); err == nil {
			t.Error("keys that are not there sign")
		}
	}
}
