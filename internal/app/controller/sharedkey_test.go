package controller

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apexlogic/apex/internal/kube"
)

// keyServer is an API server with one Secret, whose answers fail for a while.
func keyServer(t *testing.T, record string, failing int, status int) (*controller, *atomic.Int64) {
	t.Helper()
	asked := new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if !strings.Contains(r.URL.Path, "/secrets/") {
			fmt.Fprint(w, `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"v1","resources":[{"name":"secrets","singularName":"secret","namespaced":true,"kind":"Secret","verbs":["get","create"]}]}`)
			return
		}
		if asked.Add(1) <= int64(failing) {
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"message":"not now","code":%d}`, map[int]string{503: "ServiceUnavailable", 403: "Forbidden"}[status], status)
			return
		}
		fmt.Fprintf(w, `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"apex-gitops","namespace":"apex-system","resourceVersion":"1"},"data":{"record":%q}}`, base64.StdEncoding.EncodeToString([]byte(record)))
	}))
	t.Cleanup(s.Close)
	config := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":%q}}],"users":[{"name":"u","user":{}}],"contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],"current-context":"x"}`, s.URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := kube.Open(kube.Config{Kubeconfig: config})
	if err != nil {
		t.Fatal(err)
	}
	return &controller{o: Options{Namespace: "apex-system", Logger: slog.New(slog.DiscardHandler)}, client: client}, asked
}

// Who becomes the leader while the API server restarts would end with an error
// otherwise, and its webhook with it.
func TestALeaderWaitsForAnAPIServerThatIsAway(t *testing.T) {
	record := strings.Repeat("k", 32)
	c, asked := keyServer(t, record, 1, http.StatusServiceUnavailable)
	if key, err := c.sharedKey(t.Context(), "apex-gitops"); err != nil || key != hex.EncodeToString([]byte(record)) || asked.Load() < 2 {
		t.Errorf("%q, %v, asked %d times", key, err, asked.Load())
	}
	// What no waiting helps against is said.
	c, _ = keyServer(t, record, 1, http.StatusForbidden)
	if _, err := c.sharedKey(t.Context(), "apex-gitops"); !errors.Is(err, kube.ErrForbidden) {
		t.Errorf("without the right: %v", err)
	}
	c, _ = keyServer(t, "short", 0, 0)
	if _, err := c.sharedKey(t.Context(), "apex-gitops"); err == nil || !strings.Contains(err.Error(), "holds no key") {
		t.Errorf("a Secret without a key: %v", err)
	}
}
