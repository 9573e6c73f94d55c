package app

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/identity/exchange"
	"github.com/apexlogic/apex/internal/ledger"
)

// The whole of an example: who may ask gets an identity at the socket, and an answer
// of the model through the gateway; who may not gets neither.
func TestTheGatewayOfAWorkspaceStandsInFrontOfItsModel(t *testing.T) {
	short, err := os.MkdirTemp("", "up") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(short) })
	w := Workspace{filepath.Join(short, "ws")}
	r := start(t, w.Dir, nil)

	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewRGBA(image.Rect(0, 0, 32, 32))); err != nil {
		t.Fatal(err)
	}
	chat := func(model, content string) string {
		body, err := json.Marshal(map[string]any{"model": model, "max_tokens": 8, "messages": []any{map[string]any{"role": "user", "content": []any{
			map[string]any{"type": "text", "text": "What is in the picture?"},
			map[string]any{"type": "image_url", "image_url": map[string]any{"url": "data:image/png;base64," + base64.StdEncoding.EncodeToString([]byte(content))}},
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	ask := func(path, token, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+r.first.Gateway+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(answer)
	}

	var source IdentitySource
	r.await(func() bool {
		source, err = FromSocket(w.socket())
		return err == nil
	})
	var token *exchange.Token
	r.await(func() bool {
		token, err = source.Token(t.Context(), "", []string{"captioner"})
		return err == nil
	})
	if token.ID != "spiffe://vision.example/claims/intake" {
		t.Errorf("the identity is %s", token.ID)
	}
	other, err := source.Token(t.Context(), "", []string{"somebody-else"})
	if err != nil {
		t.Fatal(err)
	}
	const path = "/v1/chat/completions"
	for _, c := range []struct {
		name, path, token, body string
		status                  int
		says                    string
	}{
		{"who may", path, token.Token, chat("captioner", picture.String()), 200, `"object":"chat.completion"`},
		{"what the server itself refuses", "/v2/models/captioner/infer", token.Token, "{}", 400, "one tensor"},
		{"nobody", path, "", chat("captioner", picture.String()), 401, "request.identity"},
		{"a token for somebody else", path, other.Token, chat("captioner", picture.String()), 401, "request.identity"},
		{"another model", path, token.Token, chat("stranger", picture.String()), 403, "request."},
		{"what is no picture", path, token.Token, chat("captioner", "MZ\x90\x00 a program"), 415, "request.media"},
		{"a path that no route takes", "/admin", token.Token, "{}", 404, "request.route"},
	} {
		status, answer := ask(c.path, c.token, c.body)
		if status != c.status || !strings.Contains(answer, c.says) {
			t.Errorf("%s: %d %s, want %d and %s", c.name, status, answer, c.status, c.says)
		}
	}

	// What is committed is in force: nobody of team claims may ask any more.
	file := "policies/captioner-routes.yaml"
	routes, err := os.ReadFile(filepath.Join(w.Dir, file))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(t.Context(), map[string][]byte{file: bytes.ReplaceAll(routes, []byte("claims/*"), []byte("others/*"))}, "Let others ask"); err != nil {
		t.Fatal(err)
	}
	r.await(func() bool {
		status, _ := ask(path, token.Token, chat("captioner", picture.String()))
		return status == 403
	})
	// That one may have been let in before and cut, which is its outcome; the next one
	// is not let in.
	if status, answer := ask(path, token.Token, chat("captioner", picture.String())); status != 403 || !strings.Contains(answer, "request.access.denied") {
		t.Errorf("after the commit: %d %s", status, answer)
	}
	// And each decision is in the workspace's ledger.
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), filepath.Join(w.State(), "ledger", roleUp), ledger.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	seen := map[string]int{}
	for e, err := range l.Records(t.Context(), ledger.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		switch e.Type {
		case gateway.DecisionSchema:
			var d gateway.Decision
			if err := json.Unmarshal(e.Data, &d); err != nil {
				t.Fatal(err)
			}
			seen[d.Principal+" "+d.Code]++
		case IssuedSchema:
			seen[e.Type]++
		}
	}
	for _, want := range []string{"spiffe://vision.example/claims/intake ", "spiffe://vision.example/claims/intake request.access.denied", IssuedSchema} {
		if seen[want] == 0 {
			t.Errorf("the ledger has no record %q: %v", want, seen)
		}
	}
}
