package scan

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

const cleanTrivy = `{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Target":"t","Class":"os-pkgs"}]}`

func attest(predicateType, predicate string, subjects ...verdict.Digest) *fact.Attestation {
	a := &fact.Attestation{PredicateType: predicateType, Predicate: json.RawMessage(predicate)}
	a.TrustedBy, a.Code = []string{"scanner-key"}, verdict.OK
	for _, d := range subjects {
		a.Subjects = append(a.Subjects, fact.AttestationSubject{Digest: d})
	}
	return a
}

// vuln is a predicate in cosign's and in-toto's form.
func vuln(result, finished string) string {
	return `{"invocation":{"uri":"","parameters":[]},"scanner":{"uri":"pkg:github/aquasecurity/trivy@0.72.0","version":"0.72.0","db":{"uri":"","version":"2","lastUpdate":"2026-11-20T06:00:00Z"},"result":` +
		result + `},"metadata":{"scanStartedOn":"2026-11-20T08:00:00Z","scanFinishedOn":"` + finished + `"}}`
}

const finishedOn = "2026-11-20T08:30:00Z"

func mustRead(t *testing.T, a *fact.Attestation) fact.Report {
	t.Helper()
	r, ok, err := FromAttestation(a)
	if err != nil || !ok {
		t.Fatalf("ok %v, error %v", ok, err)
	}
	return r
}

func TestACosignAttestationHoldsAReportOfAnyFormat(t *testing.T) {
	uri := map[string]string{"grype.json": "pkg:github/anchore/grype@0.121.2", "osv.json": "https://github.com/google/osv-scanner"}
	for _, name := range []string{"trivy.json", "grype.json", "cyclonedx.json", "trivy.sarif", "osv.json"} {
		t.Run(name, func(t *testing.T) {
			inner := mustParse(t, read(t, name))
			predicate := vuln(read(t, name), finishedOn)
			if u, ok := uri[name]; ok {
				predicate = strings.Replace(predicate, "pkg:github/aquasecurity/trivy@0.72.0", u, 1)
			}
			r := mustRead(t, attest(PredicateVuln, predicate, manifest))
			if r.Code != verdict.OK || r.Subject != manifest || len(r.Findings) != len(inner.Findings) || r.Scanner != inner.Scanner {
				t.Errorf("code %s (%s), subject %s, %d findings, scanner %s", r.Code, r.Detail, r.Subject, len(r.Findings), r.Scanner)
			}
			if got := r.Finished.Format("15:04"); got != "08:30" {
				t.Errorf("finished %s, want what the predicate says", r.Finished)
			}
			if r.DBUpdated.Hour() != 6 || r.Version != "0.72.0" || r.URI == "" {
				t.Errorf("database %s, version %q, uri %q", r.DBUpdated, r.Version, r.URI)
			}
			if !r.Signing.Valid() {
				t.Error("the report lost its signature")
			}
		})
	}
}

func TestAnAttestationWithoutAScanIsNoCleanReport(t *testing.T) {
	failedRun := `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Trivy"}},"invocations":[{"executionSuccessful":false}],"results":[]}]}`
	missing := strings.Replace(vuln("0", finishedOn), `,"result":0`, "", 1)
	tests := []struct {
		name, kind, predicate string
		code                  verdict.Code
	}{
		{"a result", PredicateVuln, vuln(cleanTrivy, finishedOn), verdict.OK},
		{"no result", PredicateVuln, missing, verdict.ReportFailed},
		{"a null result", PredicateVuln, vuln("null", finishedOn), verdict.ReportFailed},
		{"an empty object", PredicateVuln, vuln("{}", finishedOn), verdict.ReportFailed},
		{"an empty list", PredicateVuln, vuln("[]", finishedOn), verdict.ReportFailed},
		{"a run that failed", PredicateVuln, vuln(failedRun, finishedOn), verdict.ReportFailed},
		{"an empty predicate", PredicateVuln, "{}", verdict.ReportFailed},
		{"a result that scanned, in CycloneDX, and found nothing", PredicateVuln, vuln(`{"bomFormat":"CycloneDX","vulnerabilities":[]}`, finishedOn), verdict.OK},
		{"a result that is an SBOM", PredicateVuln, vuln(`{"bomFormat":"CycloneDX","components":[]}`, finishedOn), verdict.ReportFailed},
		{"no time at all", PredicateVuln, vuln(cleanTrivy, ""), verdict.ReportInvalid},
		{"Go's zero time", PredicateVuln, vuln(cleanTrivy, "0001-01-01T00:00:00Z"), verdict.ReportInvalid},
		{"in-toto's empty list", PredicateVulns02, vuln("[]", finishedOn), verdict.OK},
		{"in-toto without a result", PredicateVulns02, missing, verdict.ReportFailed},
		{"in-toto with a null result", PredicateVulns01, vuln("null", finishedOn), verdict.ReportFailed},
		{"in-toto without a time", PredicateVulns02, vuln("[]", ""), verdict.ReportInvalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := mustRead(t, attest(test.kind, test.predicate, manifest))
			if r.Code != test.code || (r.Detail == "") != (r.Code == verdict.OK) {
				t.Errorf("code %s (%q), want %s", r.Code, r.Detail, test.code)
			}
		})
	}
}

func TestTheTimeInsideCountsWhenThePredicateNamesNone(t *testing.T) {
	r := mustRead(t, attest(PredicateVuln, vuln(read(t, "trivy.json"), ""), manifest))
	if r.Code != verdict.OK || r.Finished.Hour() != 9 {
		t.Errorf("code %s, finished %s", r.Code, r.Finished)
	}
}

func TestAttestationsThatCannotBeReadAreInvalid(t *testing.T) {
	tests := []struct{ name, kind, predicate, says string }{
		{"not JSON", PredicateVuln, "x", "expected a value"},
		{"no predicate", PredicateVuln, "", "ends too early"},
		{"a key twice", PredicateVuln, `{"scanner":{"result":` + cleanTrivy + `,"Result":null}}`, "duplicate key"},
		{"a result in no known format", PredicateVuln, vuln(`{"a":1}`, finishedOn), "supported format"},
		{"a result that is a text", PredicateVuln, vuln(`"clean"`, finishedOn), "supported format"},
		{"another scanner inside", PredicateVuln, vuln(`{"matches":[],"descriptor":{"name":"grype"}}`, finishedOn), "scanner.uri names Trivy, but the result is one of Grype"},
		{"a time that is none", PredicateVuln, vuln(cleanTrivy, "yesterday"), `scanFinishedOn "yesterday" is not a time`},
		{"in-toto with an object", PredicateVulns02, vuln("{}", finishedOn), "expected a list"},
		{"in-toto with a finding without an id", PredicateVulns02, vuln(`[{"severity":[]}]`, finishedOn), "without an id"},
		{"CycloneDX that is Trivy JSON", PredicateCycloneDX, strings.Replace(cleanTrivy, `"t"`, `"t","vulnerabilities":[]`, 1), "the predicate is Trivy JSON"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, ok, err := FromAttestation(attest(test.kind, test.predicate, manifest))
			if !ok || err == nil || r.Code != verdict.ReportInvalid {
				t.Fatalf("ok %v, code %s, error %v", ok, r.Code, err)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q does not say %q", err, test.says)
			}
		})
	}
}

func TestAnAttestationThatIsNoReportIsPassedOver(t *testing.T) {
	trivySBOM := `{"bomFormat":"CycloneDX","metadata":{"timestamp":"` + finishedOn + `"},"components":[],"vulnerabilities":[]}`
	for name, a := range map[string]*fact.Attestation{
		"SPDX":                   attest("https://spdx.dev/Document", `{}`),
		"provenance":             attest(PredicateSLSA1, `{}`),
		"an unknown version":     attest("https://in-toto.io/attestation/vulns/v9", `{}`),
		"an SBOM":                attest(PredicateCycloneDX, `{"bomFormat":"CycloneDX","components":[]}`),
		"an SBOM of Trivy":       attest(PredicateCycloneDX, trivySBOM),
		"a type that begins so":  attest(PredicateCycloneDX+"bard", `{"bomFormat":"CycloneDX","vulnerabilities":[{"id":"CVE-1"}]}`),
		"an SBOM of a version":   attest(PredicateCycloneDX+"/v1.6", trivySBOM),
		"an SBOM that is broken": attest(PredicateCycloneDX, `{"bomFormat":`),
	} {
		if _, ok, err := FromAttestation(a); ok || err != nil {
			t.Errorf("%s: ok %v, error %v", name, ok, err)
		}
	}
	for _, kind := range []string{PredicateCycloneDX, PredicateCycloneDX + "/v1.6"} {
		r := mustRead(t, attest(kind, read(t, "cyclonedx.json"), manifest))
		if r.Code != verdict.OK || len(r.Findings) != 4 || r.Scanner != "Trivy" {
			t.Errorf("%s with vulnerabilities: code %s, %d findings", kind, r.Code, len(r.Findings))
		}
	}
}

func TestTheStatementAndTheReportInsideHaveToAgreeOnTheSubject(t *testing.T) {
	inner := func(digest verdict.Digest, config string) string {
		return `{"SchemaVersion":2,"ArtifactName":"a","Metadata":{"ImageID":"` + config + `","RepoDigests":["r/a@` + string(digest) + `"]},"Results":[{"Class":"os-pkgs"}]}`
	}
	tests := []struct {
		name    string
		inner   string
		stated  []verdict.Digest
		subject verdict.Digest
		code    verdict.Code
	}{
		{"they agree", inner(manifest, ""), []verdict.Digest{manifest}, manifest, verdict.OK},
		{"one of several agrees", inner(manifest, ""), []verdict.Digest{layer, manifest}, manifest, verdict.OK},
		{"they disagree", inner(layer, ""), []verdict.Digest{manifest}, layer, verdict.ReportSubject},
		{"they disagree, and the configuration will tell", inner(layer, string(config)), []verdict.Digest{manifest}, layer, verdict.OK},
		{"the report names none", cleanTrivy, []verdict.Digest{manifest}, manifest, verdict.OK},
		{"the report names none and the statement several", cleanTrivy, []verdict.Digest{manifest, layer}, "", verdict.OK},
		{"nobody names any", cleanTrivy, nil, "", verdict.OK},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := mustRead(t, attest(PredicateVuln, vuln(test.inner, finishedOn), test.stated...))
			if r.Code != test.code || r.Subject != test.subject {
				t.Errorf("code %s, subject %q (%s)", r.Code, r.Subject, r.Detail)
			}
		})
	}
}

func TestInTotoFindingsHaveTheirSeverity(t *testing.T) {
	tests := []struct{ name, entry, want string }{
		{"a word", `{"id":"CVE-1","severity":[{"method":"nvd","score":"medium"},{"method":"cvss_score","score":"5.2"}]}`, "CVE-1 Medium @ 5.2"},
		{"a score", `{"id":"CVE-1","severity":[{"method":"CVSS_v3","score":"9.1"}]}`, "CVE-1 Critical @ 9.1"},
		{"a number", `{"id":"CVE-1","severity":[{"method":"cvss","score":7.5}]}`, "CVE-1 High @ 7.5"},
		{"a probability, which is no severity", `{"id":"CVE-1","severity":[{"method":"epss","score":"0.9"}]}`, "CVE-1 Unknown @"},
		{"an object in place of the list", `{"id":"CVE-1","severity":{"method":"nvd","score":"High"}}`, "CVE-1 High @"},
		{"nested as v0.1 specifies", `{"vulnerability":{"id":"CVE-1","severity":{"method":"nvd","score":"Low"}}}`, "CVE-1 Low @"},
		{"nothing", `{"id":"CVE-1"}`, "CVE-1 Unknown @"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, kind := range []string{PredicateVulns01, PredicateVulns02} {
				r := mustRead(t, attest(kind, vuln("["+test.entry+"]", finishedOn), manifest))
				if len(r.Findings) != 1 || line(r.Findings[0]) != test.want || r.Scanner != "Trivy" {
					t.Errorf("%v by %s, want %s", r.Findings, r.Scanner, test.want)
				}
			}
		})
	}
}

func TestTheScannersURINamesTheTool(t *testing.T) {
	for uri, want := range map[string]string{
		"pkg:github/aquasecurity/trivy@244fd47":                  "Trivy",
		"https://github.com/anchore/grype/releases/tag/v0.121.2": "Grype",
		"https://github.com/google/osv-scanner?ref=v2":           "OSV-Scanner",
		"pkg:github/example/inhouse@1":                           "inhouse",
		"inhouse":                                                "inhouse",
		"":                                                       "",
		"https://example.com/trivy-lookalike/":                   "trivy-lookalike",
	} {
		if got := toolName(uri); got != want {
			t.Errorf("%q names %q, want %q", uri, got, want)
		}
	}
}
