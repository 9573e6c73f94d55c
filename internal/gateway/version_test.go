package gateway

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// The digest of a route's model is that of one artifact, and a server holds others of
// the same name as its versions.
func TestAVersionOfAModelIsNotTheArtifactThatTheRouteKnows(t *testing.T) {
	const text = `{"inputs":[{"name":"x","shape":[1],"datatype":"BYTES","data":["Hello"]}]}`
	for _, tc := range []struct {
		path, digest string
		code         verdict.Code
	}{
		{"/v2/models/captioner/infer", "sha256:" + strings.Repeat("a", 64), ""},
		{"/v2/models/captioner/versions/2/infer", "sha256:" + strings.Repeat("a", 64), verdict.RequestModel},
		{"/v2/models/captioner/versions/2/infer", "", ""},
	} {
		w := newWorld(t, func(r *Route) {
			r.API, r.Models = OpenInference, map[string]Model{"captioner": {Digest: tc.digest}}
			r.Kinds[media.Tensor] = true
		})
		want := http.StatusOK
		if tc.code != "" {
			want = http.StatusForbidden
		}
		if got, _, answer := w.ask(t, "POST", tc.path, text, nil); got != want || !strings.Contains(answer, string(tc.code)) {
			t.Errorf("%s of %q: %d %s", tc.path, tc.digest, got, answer)
		}
		c := newCalls(t, func(r *Route) { r.Models = map[string]Model{"captioner": {Digest: tc.digest}} })
		in := asked("captioner", "Hello")
		if strings.Contains(tc.path, "versions") {
			in = append(in, field(2, []byte("2"))...)
		}
		_, err := c.as(t, "alice", infer, in)
		if denied := status.Code(err) == codes.PermissionDenied && strings.Contains(err.Error(), string(tc.code)); denied != (tc.code != "") || !denied && err != nil {
			t.Errorf("a call for %s of %q: %v", tc.path, tc.digest, err)
		}
	}
}
