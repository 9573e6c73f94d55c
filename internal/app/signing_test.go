package app

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/image/scan"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

const finished = "2026-11-20T10:00:00.5Z"

func TestReportsBecomePredicatesThatAreRead(t *testing.T) {
	subject := trusttest.Digest("image")
	trivy := `{"SchemaVersion":2,"CreatedAt":"` + finished + `","ArtifactName":"a","ArtifactType":"container_image","Trivy":{"Version":"0.67.0"},"Results":[{"Target":"p","Class":"lang-pkgs","Vulnerabilities":[{"VulnerabilityID":"CVE-2025-1","PkgName":"p","InstalledVersion":"1","Severity":"HIGH"}]}]}`
	grype := `{"matches":[],"source":{"type":"image","target":{"imageID":""}},"descriptor":{"name":"grype","version":"0.90.0","timestamp":"` + finished + `","db":{"built":"2026-11-19T00:00:00Z"}}}`
	sarif := `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Trivy","rules":[]}},"invocations":[{"executionSuccessful":true,"endTimeUtc":"` + finished + `"}],"results":[]}]}`
	wrapped := `{"scanner":{"uri":"https://github.com/aquasecurity/trivy","version":"1","result":` + trivy + `},"metadata":{"scanFinishedOn":"` + finished + `"}}`
	for _, c := range []struct {
		name, report   string
		scanner, wrong string
		findings       int
	}{
		{"Trivy's report", trivy, "Trivy", "", 1},
		{"Grype's report", grype, "Grype", "", 0},
		{"a SARIF log", sarif, "Trivy", "", 0},
		{"a predicate already", wrapped, "Trivy", "", 1},

		{"a report without a time", strings.Replace(trivy, `"CreatedAt":"`+finished+`",`, "", 1), "", "does not say when its scan finished", 0},
		{"a report of nothing", strings.Replace(trivy, `"Results":[`, `"Other":[`, 1), "", "proves nothing", 0},
		{"a failed run", strings.Replace(sarif, "true", "false", 1), "", "proves nothing", 0},
		{"the same key twice", strings.Replace(trivy, `"ArtifactName":"a"`, `"ArtifactName":"a","artifactName":"b"`, 1), "", "duplicate key", 0},
		{"an SBOM", `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[]}`, "", "proves nothing", 0},
		{"no report", `{"approved":true}`, "", "not a vulnerability report", 0},
		{"no JSON", `Total: 0 (HIGH: 0)`, "", "predicate", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			predicate, err := VulnPredicate([]byte(c.report))
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) {
					t.Fatalf("error %v, want %q", err, c.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r, ok, err := scan.FromAttestation(&fact.Attestation{PredicateType: scan.PredicateVuln, Predicate: predicate, Subjects: []fact.AttestationSubject{{Digest: subject}}})
			if err != nil || !ok || r.Code != verdict.OK {
				t.Fatalf("%v %v %+v", ok, err, r)
			}
			at, _ := time.Parse(time.RFC3339Nano, finished)
			if r.Scanner != c.scanner || !r.Finished.Equal(at) || len(r.Findings) != c.findings || r.Subject != subject {
				t.Errorf("%+v", r)
			}
		})
	}
}

func FuzzVulnPredicate(f *testing.F) {
	for _, s := range []string{
		`{"scanner":{},"metadata":{}}`, `{"SchemaVersion":2,"CreatedAt":"` + finished + `","Results":[{"Class":"os-pkgs"}]}`,
		`{"matches":[],"descriptor":{"name":"grype","timestamp":"` + finished + `"}}`, `[]`, `{"results":[]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		predicate, err := VulnPredicate(data)
		if err != nil {
			return
		}
		if !json.Valid(predicate) {
			t.Fatalf("no JSON: %q", predicate)
		}
		// Whatever was wrapped, the statement around it can be signed.
		if _, err := VulnPredicate(predicate); err != nil {
			t.Errorf("what was wrapped is not taken for a predicate: %v", err)
		}
	})
}

// Everything is resolved before anything is signed, and with one request each.
func TestATagIsResolvedOnceAndBeforeAnythingIsSigned(t *testing.T) {
	server := ocitest.Registry(t)
	client, err := oci.New(oci.Options{AllowPrivate: []string{server.Host}, PlainHTTP: []string{server.Host}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	ref, err := reference.Parse(server.Repo("team/app") + ":1.0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.PushIndex(t.Context(), ref, ocitest.Index(t, "linux/amd64", "linux/arm64")); err != nil {
		t.Fatal(err)
	}
	server.Forget()
	key := trusttest.NewKey(t)
	o := SignOptions{Key: key, Format: fact.FormatBundle, AllPlatforms: true}
	if signed, err := SignImages(t.Context(), client, []string{ref.Canonical(), server.Repo("team/app") + ":none"}, o); err == nil || len(signed) != 0 {
		t.Fatalf("%d signed, error %v", len(signed), err)
	}
	if n := server.Count("PUT", ""); n != 0 {
		t.Errorf("%d writes before all images were found", n)
	}
	server.Forget()
	signed, err := SignImages(t.Context(), client, []string{ref.Canonical()}, o)
	if err != nil || len(signed) != 3 {
		t.Fatalf("%d signed, error %v", len(signed), err)
	}
	if n := server.Count("GET", "/manifests/1.0"); n != 1 {
		t.Errorf("the tag was asked for %d times", n)
	}
	root := trusttest.Root(t, trust.Options{}, key.Entry("key"))
	for _, s := range signed {
		found := root.VerifyBundle(s.Bundle, s.Digest, "test", time.Now()).Signatures
		if len(found) != 1 || found[0].Code != verdict.OK || found[0].Repository != ref.Name() {
			t.Errorf("%s: %+v", s.Platform, found)
		}
	}
	server.Forget()
	o.DryRun = true
	if signed, err := SignImages(t.Context(), client, []string{ref.Canonical()}, o); err != nil || len(signed) != 3 || signed[0].Bundle != nil {
		t.Errorf("a dry run: %+v, %v", signed, err)
	}
	if n := server.Count("PUT", "") + server.Count("POST", ""); n != 0 {
		t.Errorf("a dry run wrote %d times", n)
	}
}
