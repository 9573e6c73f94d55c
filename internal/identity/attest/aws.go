package attest

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

const (
	// callerIdentity is the one body that is ever sent to AWS.
	callerIdentity = "Action=GetCallerIdentity&Version=2011-06-15"
	// AudienceHeader must be among the signed ones: without it, a request that
	// was signed for someone else could be shown to us.
	AudienceHeader = "X-Apex-Audience"
	// NonceHeader must be signed as well: it makes each signature another one, so
	// that one which was seen is refused and two of one second are not.
	NonceHeader = "X-Apex-Nonce"
	minNonce    = 16
	maxNonce    = 64
	formType    = "application/x-www-form-urlencoded; charset=utf-8"
	// signedLife is how old a signature may be, and how far ahead; AWS allows 15
	// minutes.
	signedLife = 5 * time.Minute
	// maxSeen signatures that STS accepted are remembered so that none is shown
	// twice: as many as 300 a second are in signedLife and its time ahead.
	maxSeen     = 200_000
	stsTimeout  = 5 * time.Second
	maxIdentity = 16 << 10
)

// AWS attests workloads by a request to AWS STS GetCallerIdentity that they
// signed and did not send. It is sent to the STS of its region, and nowhere
// else; what STS says is believed. It is safe for concurrent use.
type AWS struct {
	audience string
	regions  []string
	sts      http.RoundTripper
	clock    clock.Clock
	began    time.Time // what was signed earlier may have been shown to our predecessor

	mu   sync.Mutex
	seen map[string]time.Time // signatures, until they are too old
}

// NewAWS returns the attestor for requests that are signed for an audience and
// the STS of one of the regions. Transport reaches STS.
func NewAWS(audience string, regions []string, transport http.RoundTripper, c clock.Clock) (*AWS, error) {
	if transport == nil {
		return nil, errors.New("attestation by AWS needs a way to reach STS")
	}
	if audience == "" || len(regions) == 0 || slices.ContainsFunc(regions, func(r string) bool { return !isRegion(r) }) {
		return nil, errors.New("attestation by AWS needs an audience and the regions that workloads run in, as us-east-1")
	}
	return &AWS{audience: audience, regions: slices.Clone(regions), sts: transport, clock: c, began: c.Now().Truncate(time.Second), seen: map[string]time.Time{}}, nil
}

// isRegion says whether a text can be part of a host's name: eu-central-1.
func isRegion(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return len(s) > 3 && len(s) < 32 && s[0] != '-' && s[len(s)-1] != '-'
}

// SignedRequest is the evidence, as JSON. The method, the host, the path and the
// body are not in it: they are always the same.
type SignedRequest struct {
	Region        string `json:"region"`
	Authorization string `json:"authorization"`
	Date          string `json:"date"`          // X-Amz-Date
	SecurityToken string `json:"securityToken"` // X-Amz-Security-Token; "" for a user's keys
	Nonce         string `json:"nonce"`         // X-Apex-Nonce, of 16 to 64 letters, digits, - and _
}

// Attest checks and sends a signed request. It establishes aws:account,
// aws:arn and, for an assumed role, aws:role.
func (a *AWS) Attest(ctx context.Context, evidence []byte) ([]Selector, error) {
	var r SignedRequest
	if len(evidence) > MaxEvidence || strictJSON(evidence, &r) != nil {
		return nil, refuse("the evidence is not the JSON of a signed request to AWS STS")
	}
	if !slices.Contains(a.regions, r.Region) {
		return nil, refuse("the request is signed for a region that is not configured")
	}
	now := a.clock.Now()
	signed, err := time.Parse("20060102T150405Z", r.Date)
	if err != nil || now.Sub(signed) > signedLife || signed.Sub(now) > signedLife {
		return nil, identity.Refuse(verdict.IdentityExpired, "the request to AWS STS was not signed within the last %s", signedLife)
	}
	if signed.Before(a.began) {
		return nil, identity.Refuse(verdict.IdentityExpired, "the request to AWS STS was signed before this authority started, which cannot know whether it was shown before; sign another one")
	}
	signature, err := r.check()
	if err != nil {
		return nil, err
	}
	if !a.first(signature, signed.Add(signedLife), now) {
		return nil, refuse("the signed request was shown before; sign another one")
	}
	account, arn, err := a.ask(ctx, &r)
	if err != nil {
		a.forget(signature) // or strangers could fill the memory
		return nil, err
	}
	all := selector(nil, "aws", "account", account)
	all = selector(all, "aws", "arn", arn)
	// arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[4] != account {
		return nil, refuse("AWS STS answered with an identity that cannot be read")
	}
	if role, ok := strings.CutPrefix(parts[5], "assumed-role/"); ok && parts[2] == "sts" {
		name, _, _ := strings.Cut(role, "/")
		all = selector(all, "aws", "role", name)
	}
	return all, nil
}

// check makes sure that the signature is over our audience, and names the
// region and the day that are claimed. It returns the signature, which can be
// written in one way only.
func (r *SignedRequest) check() (string, error) {
	rest, found := strings.CutPrefix(r.Authorization, "AWS4-HMAC-SHA256 ")
	if !isNonce(r.Nonce) {
		return "", refuse("the request has no nonce of %d to %d letters, digits, - and _", minNonce, maxNonce)
	}
	if !found || len(r.Authorization) > 1024 || !printable(r.Authorization) || !printable(r.SecurityToken) {
		return "", refuse("the request is not signed by AWS Signature Version 4")
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(rest, ",") {
		name, value, found := strings.Cut(strings.TrimSpace(field), "=")
		if _, twice := fields[name]; !found || twice {
			return "", refuse("the signature's fields cannot be read")
		}
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(fields) != 3 || len(scope) != 5 || !isSignature(fields["Signature"]) ||
		scope[1] != r.Date[:8] || scope[2] != r.Region || scope[3] != "sts" || scope[4] != "aws4_request" {
		return "", refuse("the signature is not for AWS STS in the region and on the day that are claimed")
	}
	headers := strings.Split(fields["SignedHeaders"], ";")
	for _, must := range []string{"host", "x-amz-date", strings.ToLower(AudienceHeader), strings.ToLower(NonceHeader)} {
		if !slices.Contains(headers, must) {
			return "", refuse("the header %s is not signed", must)
		}
	}
	if r.SecurityToken != "" && !slices.Contains(headers, "x-amz-security-token") {
		return "", refuse("the header x-amz-security-token is not signed")
	}
	return fields["Signature"], nil
}

func isNonce(s string) bool {
	return len(s) >= minNonce && len(s) <= maxNonce && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_'
	})
}

func isSignature(s string) bool {
	return len(s) == 64 && !strings.ContainsFunc(s, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') })
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}

// first notes a signature, and reports whether it is new. When there is no room
// it is not.
func (a *AWS) first(signature string, until, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.seen[signature]; known {
		return false
	}
	if len(a.seen) >= maxSeen {
		for s, end := range a.seen {
			if !end.After(now) {
				delete(a.seen, s)
			}
		}
		if len(a.seen) >= maxSeen {
			return false
		}
	}
	a.seen[signature] = until
	return true
}

func (a *AWS) forget(signature string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.seen, signature)
}

func (a *AWS) ask(ctx context.Context, r *SignedRequest) (account, arn string, err error) {
	ctx, cancel := context.WithTimeout(ctx, stsTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://sts."+r.Region+".amazonaws.com/", strings.NewReader(callerIdentity))
	if err != nil {
		return "", "", refuse("the request to AWS STS cannot be made")
	}
	request.Header.Set("Authorization", r.Authorization)
	request.Header.Set("X-Amz-Date", r.Date)
	request.Header.Set("Content-Type", formType)
	request.Header.Set(AudienceHeader, a.audience)
	request.Header.Set(NonceHeader, r.Nonce)
	if r.SecurityToken != "" {
		request.Header.Set("X-Amz-Security-Token", r.SecurityToken)
	}
	answer, err := a.sts.RoundTrip(request) // follows no redirect
	if err != nil {
		return "", "", identity.Refuse(verdict.IdentityUnavailable, "AWS STS cannot be reached")
	}
	defer answer.Body.Close()
	data, err := bounded.ReadAll(answer.Body, maxIdentity)
	switch {
	case answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests || err != nil:
		return "", "", identity.Refuse(verdict.IdentityUnavailable, "AWS STS could not answer")
	case answer.StatusCode != http.StatusOK:
		return "", "", refuse("AWS STS does not accept the signature")
	}
	var said struct {
		XMLName xml.Name `xml:"GetCallerIdentityResponse"`
		Result  struct {
			Arn     string `xml:"Arn"`
			Account string `xml:"Account"`
		} `xml:"GetCallerIdentityResult"`
	}
	if err := xml.NewDecoder(bytes.NewReader(data)).Decode(&said); err != nil || said.Result.Arn == "" || len(said.Result.Account) != 12 {
		return "", "", refuse("AWS STS answered with something else than an identity")
	}
	return said.Result.Account, said.Result.Arn, nil
}

// strictJSON decodes one object without unknown or repeated members.
func strictJSON(data []byte, v any) error {
	if err := bounded.CheckJSON(data, 1); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows it")
	}
	return nil
}

var _ Attestor = (*AWS)(nil)
