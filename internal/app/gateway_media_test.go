package app

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apexlogic/apex/verdict"
)

func TestTheModelSeesWhatStandsAtAnAddressOnAListedHost(t *testing.T) {
	png, err := base64.StdEncoding.DecodeString(drawing(t))
	if err != nil {
		t.Fatal(err)
	}
	store := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		w.Write(png)
	}))
	defer store.Close()
	dir, bundles, keys := t.TempDir(), t.TempDir(), t.TempDir()
	put(t, keys, "store.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: store.Certificate().Raw})))
	intake := caller(t, bundles, "/intake")
	host := strings.TrimPrefix(store.URL, "https://")
	content := fmt.Sprintf("media: {kinds: [Image], hosts: [%q], networks: [127.0.0.0/8], stripMetadata: true}", host)
	put(t, dir, "route.yaml", strings.Replace(fmt.Sprintf(routeOf, inference(t).URL), "media: {kinds: [Image]}", content, 1))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles, ServerAuthorities: filepath.Join(keys, "store.pem")})
	chat := func(url string) string {
		return strings.Replace(imageChat(t), "data:image/png;base64,"+drawing(t), url, 1)
	}
	for url, want := range map[string]verdict.Code{store.URL + "/a.png": "", "https://127.0.0.1:1/a.png": verdict.MediaAddress} {
		status, code, text := s.ask(t, s.as(t, intake), "captioner.example", "/v1/chat/completions", chat(url), nil)
		if (status == 200) != (want == "") || code != want || want == "" && !strings.Contains(text, `"content":`) {
			t.Errorf("%s: %d %s %s", url, status, code, text)
		}
	}
	decisions, _ := s.records(t)
	for _, d := range decisions {
		if p := d.Parts[0]; d.Allowed && (p.From != host || p.Bytes != int64(len(png)) || d.Forwarded == "") {
			t.Errorf("%+v", d)
		}
	}
}
