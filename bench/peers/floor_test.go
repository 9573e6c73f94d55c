package peers

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// floor makes the same requests as Apex with nothing but net/http, and looks at
// none of the answers: what is below it no verifier can reach without asking
// the registry less.
func (s *stock) floor(bundles bool) func(b *testing.B) {
	paths := s.paths(bundles)
	return func(b *testing.B) {
		transport := &http.Transport{TLSClientConfig: s.tls(), DisableCompression: true}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		for _, p := range paths {
			s.fetch(client, s.host, p)
		}
	}
}

func (s *stock) fetch(client *http.Client, host, path string) []byte {
	s.b.Helper()
	scheme := "http://"
	if host == s.Secure {
		scheme = "https://"
	}
	req, err := http.NewRequest(http.MethodGet, scheme+host+path, nil)
	must(s.b, err)
	resp, err := client.Do(req)
	must(s.b, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	must(s.b, err)
	if resp.StatusCode != http.StatusOK {
		s.b.Fatalf("GET %s: %s", path, resp.Status)
	}
	return data
}

// paths are what Apex asks for, in its order.
func (s *stock) paths(bundles bool) []string {
	s.b.Helper()
	var all []string
	for _, r := range s.refs {
		name, digest, _ := strings.Cut(strings.TrimPrefix(r, s.host), "@")
		at := "/v2" + name
		all = append(all, at+"/manifests/"+digest)
		evidence := at + "/manifests/" + strings.Replace(digest, ":", "-", 1) + ".sig"
		if bundles {
			var listing struct{ Manifests []struct{ Digest string } }
			all = append(all, at+"/referrers/"+digest)
			must(s.b, json.Unmarshal(s.fetch(http.DefaultClient, s.Plain, at+"/referrers/"+digest), &listing))
			evidence = at + "/manifests/" + listing.Manifests[0].Digest
		}
		var m struct{ Layers []struct{ Digest string } }
		must(s.b, json.Unmarshal(s.fetch(http.DefaultClient, s.Plain, evidence), &m))
		all = append(all, evidence, at+"/blobs/"+m.Layers[0].Digest)
	}
	return all
}
