package trust_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
)

// TestSigstoreConformance runs the verification part of the public suite
// sigstore/sigstore-conformance, by file and by digest, through VerifyFile and
// through Root.VerifyBundle:
//
//	APEX_SIGSTORE_CONFORMANCE=.../test/assets/bundle-verify go test -run SigstoreConformance ./internal/trust
func TestSigstoreConformance(t *testing.T) {
	dir := os.Getenv("APEX_SIGSTORE_CONFORMANCE")
	if dir == "" {
		t.Skip("APEX_SIGSTORE_CONFORMANCE does not name the suite's folder")
	}
	read := func(c, name, otherwise string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, c, name))
		if err != nil {
			return []byte(otherwise)
		}
		return data
	}
	shared := string(read("", "a.txt", ""))
	cases, err := os.ReadDir(dir)
	must(t, err)
	for _, d := range cases {
		if !d.IsDir() {
			continue
		}
		t.Run(d.Name(), func(t *testing.T) {
			good := !strings.HasSuffix(d.Name(), "_fail")
			artifact := read(d.Name(), "artifact", shared)
			subject := trusttest.Digest(string(artifact))
			f := trust.File{
				Bundle: read(d.Name(), "bundle.sigstore.json", ""), TrustedRootJSON: read(d.Name(), "trusted_root.json", ""), KeyPEM: read(d.Name(), "key.pub", ""),
			}
			entry := trust.Entry{Name: "e"}
			opts := trust.Options{TrustedRootJSON: f.TrustedRootJSON}
			if len(opts.TrustedRootJSON) == 0 {
				opts.TrustedRootJSON = trust.PublicGoodRoot()
			}
			if len(f.KeyPEM) > 0 {
				entry.Key = &trust.KeyEntry{PEM: f.KeyPEM, RequireLog: true}
			} else {
				f.Identity = strings.TrimSpace(string(read(d.Name(), "identity", "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main")))
				f.Issuer = strings.TrimSpace(string(read(d.Name(), "issuer", "https://token.actions.githubusercontent.com")))
				entry.Keyless = &trust.KeylessEntry{Issuer: f.Issuer, Subject: f.Identity, TrustedRootJSON: opts.TrustedRootJSON}
			}
			byFile, byDigest := f, f
			byFile.Artifact, byDigest.Digest = &artifact, string(subject)
			if err := trust.VerifyFile(byFile); (err == nil) != good {
				t.Errorf("by file: %v", err)
			}
			if err := trust.VerifyFile(byDigest); (err == nil) != good {
				t.Errorf("by digest: %v", err)
			}
			root, err := trust.Compile([]trust.Entry{entry}, opts)
			if err != nil {
				if good {
					t.Error(err)
				}
				return
			}
			if res := root.VerifyBundle(f.Bundle, subject, "", now); accepted(res) != good {
				t.Errorf("as evidence about an image: %+v", res)
			}
		})
	}
}
