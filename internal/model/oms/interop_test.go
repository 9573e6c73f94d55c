package oms

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/trust"
)

// TestReferenceBundlesVerify reads the bundles that releases 0.2.0 to 1.1.0 of
// the reference implementation wrote.
func TestReferenceBundlesVerify(t *testing.T) {
	dir := os.Getenv("APEX_OMS_REFERENCE")
	if dir == "" {
		t.Skip("not checked: bundles of other writers; set APEX_OMS_REFERENCE to scripts/tests of a sigstore/model-transparency checkout")
	}
	read := func(path ...string) []byte {
		raw, err := os.ReadFile(filepath.Join(append([]string{dir}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	root, err := trust.Compile([]trust.Entry{{Name: "maintainer", Keyless: &trust.KeylessEntry{
		Issuer: "https://sigstore.verify.ibm.com/oauth2", Subject: "stefanb@us.ibm.com",
	}}}, trust.Options{})
	if err != nil {
		t.Fatal(err)
	}
	policy := Policy{
		Keys:        []Key{{Name: "signing-key", PEM: read("keys", "certificate", "signing-key-pub.pem")}},
		Authorities: []Authority{{Name: "ca", PEM: read("keys", "certificate", "ca-cert.pem")}},
		Trust:       root,
		Now:         time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	bundles, err := filepath.Glob(filepath.Join(dir, "v*", "model.sig"))
	if err != nil || len(bundles) == 0 {
		t.Fatalf("no bundles below %s: %v", dir, err)
	}
	for _, sig := range bundles {
		folder := filepath.Dir(sig)
		name := filepath.Base(folder)
		t.Run(name, func(t *testing.T) {
			raw := read(name, "model.sig")
			p := policy
			p.Signature = sig
			if _, err := os.Stat(filepath.Join(folder, "ignore-me")); err == nil {
				_, err := Verify(t.Context(), raw, folder, p)
				var diff *MismatchError
				if !errors.As(err, &diff) || !slices.Equal(diff.Extra, []string{"ignore-me"}) {
					t.Fatalf("what nobody but the bundle asks to ignore: %v", err)
				}
				p.Ignore = []string{"ignore-me"}
			}
			model := folder
			if b, err := Read(raw); err != nil {
				t.Fatal(err)
			} else if len(b.Manifest.Resources) == 1 {
				model = filepath.Join(folder, "signme-1")
			}
			if strings.HasPrefix(name, "v0.2") {
				if _, err := Verify(t.Context(), raw, model, p); !errors.Is(err, ErrManifest) {
					t.Fatalf("v0.2 without leave: %v", err)
				}
				p.AllowV02 = true
			}
			v, err := Verify(t.Context(), raw, model, p)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s by %v, %s %s, %s", v.SignedBy.Scheme, v.SignedBy.TrustedBy, v.SignedBy.Clock, v.SignedBy.Time.Format(time.RFC3339), v.Root)
		})
	}
}

// TestSpecificationVectorsAreRead reads the test vectors of the specification,
// which come without files and keys.
func TestSpecificationVectorsAreRead(t *testing.T) {
	dir := os.Getenv("APEX_OMS_VECTORS")
	if dir == "" {
		t.Skip("not checked: the specification's vectors; set APEX_OMS_VECTORS to test-vectors/v1.0 of an ossf/model-signing-spec checkout")
	}
	for _, kind := range []string{"valid", "invalid", "invalid-payload"} {
		bundles, err := filepath.Glob(filepath.Join(dir, kind, "*.json"))
		if err != nil || len(bundles) == 0 {
			t.Fatalf("no bundles in %s: %v", kind, err)
		}
		for _, path := range bundles {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b, err := Read(raw)
			if (err == nil) != (kind == "valid") {
				t.Errorf("%s/%s: %v", kind, filepath.Base(path), err)
			}
			t.Log(kind, filepath.Base(path), err, b != nil)
		}
	}
}
