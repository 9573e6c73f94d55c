package attest_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity/attest"
)

// onlySTS fails the test when a request goes anywhere but to STS.
type onlySTS struct{ t *testing.T }

func (o onlySTS) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.String() != "https://sts.us-east-1.amazonaws.com/" || r.Host != "sts.us-east-1.amazonaws.com" || r.Method != "POST" {
		o.t.Errorf("a request went to %s %s (%s)", r.Method, r.URL, r.Host)
	}
	return nil, http.ErrHandlerTimeout
}

func FuzzAWSEvidence(f *testing.F) {
	good, _ := json.Marshal(sign(f, "us-east-1", audience, noon, keys))
	f.Add(good)
	f.Add([]byte(`{"region":"us-east-1","authorization":"AWS4-HMAC-SHA256 Credential=a/20261123/us-east-1/sts/aws4_request, SignedHeaders=host, Signature=b","date":"20261123T120000Z"}`))
	f.Fuzz(func(t *testing.T, evidence []byte) {
		a, err := attest.NewAWS(audience, []string{"us-east-1"}, onlySTS{t}, clock.At(noon))
		if err != nil {
			t.Fatal(err)
		}
		if all, err := a.Attest(t.Context(), evidence); err == nil {
			t.Errorf("established %v without STS", all)
		}
	})
}
