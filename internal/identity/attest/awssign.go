package attest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// AWSKeys are what a function or an instance has in its environment.
type AWSKeys struct{ AccessKeyID, SecretAccessKey, SessionToken string }

// SignAWS makes the evidence for AWS: it signs GetCallerIdentity for the STS of a
// region and for our audience, by AWS Signature Version 4, and sends nothing.
func SignAWS(k AWSKeys, region, audience string, now time.Time) (*SignedRequest, error) {
	if k.AccessKeyID == "" || k.SecretAccessKey == "" || !isRegion(region) || audience == "" {
		return nil, errors.New("signing for AWS needs an access key, its secret, a region such as us-east-1 and an audience")
	}
	var random [24]byte
	rand.Read(random[:]) // never fails
	r := &SignedRequest{
		Region: region, Date: now.UTC().Format("20060102T150405Z"), SecurityToken: k.SessionToken,
		Nonce: base64.RawURLEncoding.EncodeToString(random[:]),
	}
	headers := [][2]string{
		{"content-length", strconv.Itoa(len(callerIdentity))}, {"content-type", formType},
		{"host", "sts." + region + ".amazonaws.com"}, {"x-amz-date", r.Date},
	}
	if r.SecurityToken != "" {
		headers = append(headers, [2]string{"x-amz-security-token", r.SecurityToken})
	}
	headers = append(headers, [2]string{strings.ToLower(AudienceHeader), audience}, [2]string{strings.ToLower(NonceHeader), r.Nonce})
	var canonical strings.Builder
	var names []string
	canonical.WriteString("POST\n/\n\n")
	for _, h := range headers {
		canonical.WriteString(h[0] + ":" + h[1] + "\n")
		names = append(names, h[0])
	}
	signed := strings.Join(names, ";")
	canonical.WriteString("\n" + signed + "\n" + hexSum(callerIdentity))
	day := r.Date[:8]
	scope := day + "/" + region + "/sts/aws4_request"
	key := []byte("AWS4" + k.SecretAccessKey)
	for _, part := range []string{day, region, "sts", "aws4_request"} {
		key = keyed(key, part)
	}
	signature := keyed(key, "AWS4-HMAC-SHA256\n"+r.Date+"\n"+scope+"\n"+hexSum(canonical.String()))
	r.Authorization = "AWS4-HMAC-SHA256 Credential=" + k.AccessKeyID + "/" + scope + ", SignedHeaders=" + signed + ", Signature=" + hex.EncodeToString(signature)
	return r, nil
}

func keyed(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
