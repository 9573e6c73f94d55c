package admission_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/manifest"
)

// FuzzReview holds that the own reader of envelopes never reads something else
// than encoding/json and package manifest do, and that every answer is JSON.
func FuzzReview(f *testing.F) {
	for _, r := range []review{
		{object: pod("good" + pinned)},
		{object: pod("app:1.0"), dryRun: true, groups: []string{"a", "b\"\\\n"}},
		{operation: "UPDATE", old: pod("a"), object: pod("bad"), sub: "ephemeralcontainers"},
		{operation: "DELETE", old: pod("a")},
		{group: "security.apexlogic.com", version: "v1alpha1", kind: "TrustRoot", object: `{"apiVersion":"security.apexlogic.com/v1alpha1","kind":"TrustRoot","metadata":{"name":"x"},"spec":{"entries":[]}}`},
	} {
		f.Add(r.body())
	}
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"\u0041","operation":"CREATE","kind":{"kind":"Pod","version":"v1"},"object":{"a":[{}]}}}`))
	f.Add([]byte(`{"request":{"uid":"a","uid":"b"}}`))
	f.Add([]byte(`{"request":{"object":{"a":"\"}"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := newDoor(t, pinning)
		r, err := admission.ParseReview(data)
		if err == nil && json.Valid(data) {
			var same struct {
				Request struct {
					UID       string          `json:"uid"`
					Operation string          `json:"operation"`
					Namespace string          `json:"namespace"`
					Object    json.RawMessage `json:"object"`
				} `json:"request"`
			}
			if json.Unmarshal(data, &same) == nil && !hasVariants(data) {
				object := []byte(same.Request.Object)
				if string(object) == "null" {
					object = nil
				}
				if r.UID != same.Request.UID || r.Operation != same.Request.Operation || r.Namespace != same.Request.Namespace || !bytes.Equal(r.Object, object) {
					t.Fatalf("read as %+v, and encoding/json says %+v", r, same.Request)
				}
			}
			if m, err := manifest.ParseAdmissionReview(data); err == nil && (m.UID != r.UID || m.Operation != r.Operation || m.Namespace != r.Namespace || m.DryRun != r.DryRun) {
				t.Fatalf("read as %+v, and package manifest says %+v", r, m)
			}
		}
		for _, path := range []string{admission.PathValidate, admission.PathMutate, admission.PathGuard} {
			answer := d.send(path, data)
			if answer.Code == http.StatusOK && !json.Valid(answer.Body.Bytes()) {
				t.Fatalf("%s is not JSON: %s", path, answer.Body)
			}
			if answer.Code == http.StatusOK && err != nil {
				t.Fatalf("what cannot be read is answered: %s", answer.Body)
			}
		}
	})
}

// hasVariants says whether a name could be written in a way that encoding/json
// takes for another's: in another case, or with characters that fold.
func hasVariants(data []byte) bool {
	for _, c := range data {
		if c >= 0x80 {
			return true
		}
	}
	text := string(data)
	for _, name := range []string{"request", "uid", "operation", "namespace", "object"} {
		if strings.Count(strings.ToLower(text), `"`+name+`"`) != strings.Count(text, `"`+name+`"`) || strings.Count(text, `"`+name+`"`) > 1 {
			return true
		}
	}
	return strings.Contains(text, `\u`)
}
