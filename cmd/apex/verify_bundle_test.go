package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
)

// The client protocol of sigstore-conformance: 0 when the bundle verifies, 1
// and a reason on standard error when it does not.
func TestVerifyBundleSpeaksTheConformanceProtocol(t *testing.T) {
	const identity, issuer = "https://ci.example.com/build", "https://issuer.example.com"
	now := time.Now().UTC()
	sigstore := trusttest.NewSigstore(t, now.Add(-24*time.Hour))
	leaf := sigstore.Certify(trusttest.Certify{Subject: identity, Issuer: issuer})
	artifact := []byte("artifact\n")
	sum := sha256.Sum256(artifact)
	digest := "sha256:" + hex.EncodeToString(sum[:])

	key := trusttest.NewKey(t)
	unlogged, err := trust.Attest(key, "artifact", trusttest.Digest(string(artifact)), "https://example.com/p", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for name, data := range map[string][]byte{
		"artifact": artifact, "other": []byte("other\n"), "empty": {},
		"bundle":        sigstore.BundleMessage(leaf, artifact),
		"bundle-by-key": sigstore.BundleLoggedKey(key, unlogged, now.Add(-time.Hour), time.Time{}),
		"unlogged":      unlogged,
		"root":          sigstore.TrustedRoot(nil),
		"key.pub":       key.PEM,
		"stranger.pub":  trusttest.NewKey(t).PEM,
		// A file may be called like a digest of something else.
		"sha256:" + strings.Repeat("0", 63): artifact,
	} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	byIdentity := func(more ...string) []string {
		return append([]string{"--bundle", "bundle", "--trusted-root", "root", "--certificate-identity", identity, "--certificate-oidc-issuer", issuer}, more...)
	}
	byKey := func(bundle, key, subject string) []string {
		return []string{"--bundle", bundle, "--trusted-root", "root", "--key", key, subject}
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		want string // in the reason
	}{
		{"the file", byIdentity("artifact"), 0, ""},
		{"its digest", byIdentity(digest), 0, ""},
		{"a file that is called almost like a digest", byIdentity("sha256:" + strings.Repeat("0", 63)), 0, ""},
		{"another file", byIdentity("other"), 1, "does not verify"},
		{"another digest", byIdentity("sha256:" + strings.Repeat("0", 64)), 1, "does not verify"},
		{"a file that is not there", byIdentity("nothing"), 1, "nothing"},
		{"another identity", byIdentity("--certificate-identity", "https://ci.example.com/other", "artifact"), 1, "identity"},
		{"another issuer", byIdentity("--certificate-oidc-issuer", "https://other.example.com", "artifact"), 1, "issuer"},
		{"the public good root", []string{"--bundle", "bundle", "--certificate-identity", identity, "--certificate-oidc-issuer", issuer, "artifact"}, 1, "does not verify"},
		{"an empty root", byIdentity("--trusted-root", "empty", "artifact"), 1, "empty is empty"},
		{"no identity and no key", []string{"--bundle", "bundle", "--trusted-root", "root", "artifact"}, 1, "identity"},

		{"a key", byKey("bundle-by-key", "key.pub", digest), 0, ""},
		{"another key", byKey("bundle-by-key", "stranger.pub", digest), 1, "does not verify"},
		{"an empty key", byKey("bundle-by-key", "empty", digest), 1, "empty is empty"},
		{"a signature that is in no log", byKey("unlogged", "key.pub", digest), 1, "log"},
		{"a bundle that is none", byKey("artifact", "key.pub", digest), 1, "bundle"},

		{"no bundle", []string{"--key", "key.pub", "artifact"}, 2, "--bundle is missing"},
		{"an unknown flag", []string{"--cert", "x", "artifact"}, 2, "unknown flag"},
		{"no artifact", byIdentity(), 2, "arg"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, reason bytes.Buffer
			code := run(t.Context(), append([]string{"verify-bundle"}, c.args...), streams{nil, &out, &reason})
			if code != c.code || !strings.Contains(reason.String(), c.want) {
				t.Errorf("exit %d, want %d; reason %q, want %q in it", code, c.code, reason.String(), c.want)
			}
			if (c.code == 0) != (reason.Len() == 0) || out.Len() != 0 {
				t.Errorf("standard output %q, standard error %q", out.String(), reason.String())
			}
		})
	}
}

func TestVerifyBundleIsHiddenFromHelp(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), []string{"--help"}, streams{nil, &out, &out}); code != 0 || strings.Contains(out.String(), "verify-bundle") || !strings.Contains(out.String(), "verify ") {
		t.Errorf("exit %d:\n%s", code, out.String())
	}
}
