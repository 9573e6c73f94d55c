package cyclonedx

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/fact"
)

func statement(v fact.VEX) string {
	out := fmt.Sprintf("%s %s %v of %v in %v because %q %q by %s %s", v.Status, v.Vulnerability, v.Aliases, v.Subcomponents, v.Products, v.Justification, v.Impact, v.Author, v.Made.Format("2006-01-02"))
	if !v.Until.IsZero() {
		out += " until " + v.Until.Format("2006-01-02")
	}
	return out
}

func statements(t *testing.T, metadata, vulnerabilities string) []string {
	t.Helper()
	_, all, err := Read(filled(`{"bomFormat":"CycloneDX","specVersion":"1.6","vulnerabilities":[` + vulnerabilities + `],
	 "components":[{"bom-ref":"t","type":"library","name":"torch","version":"2.6.0","purl":"pkg:pypi/torch@2.6.0"},{"bom-ref":"r","type":"library","name":"ray","purl":"pkg:pypi/ray@2.8.0"}],
	 "metadata":{"timestamp":"2026-08-01T00:00:00Z","supplier":{"name":"Acme"}` + metadata + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, v := range all {
		if v.Format != Name || v.Signing.Valid() {
			t.Errorf("format %s, signed %v", v.Format, v.Signing.Valid())
		}
		out = append(out, statement(v))
	}
	return out
}

func TestAnalysesAreStatements(t *testing.T) {
	const image = `,"component":{"bom-ref":"root","type":"container","name":"app","version":"A"}`
	const cve = `{"id":"CVE-1","analysis":{"state":"STATE"},"affects":[{"ref":"t"}]}`
	of := func(state string) string { return strings.Replace(cve, "STATE", state, 1) }
	in := " in [" + a + "] because "
	for _, tc := range []struct {
		name, metadata, vulnerability string
		want                          []string
	}{
		{"not affected, with a reason and an expiry", image,
			`{"id":"CVE-1","references":[{"id":"GHSA-a"},{"id":"CVE-1"}],"analysis":{"state":"not_affected","justification":"code_not_reachable","detail":"never called","lastUpdated":"2026-08-05T00:00:00Z"},"affects":[{"ref":"t"},{"ref":"r"}],"properties":[{"name":"apexlogic:vex:expires","value":"2027-01-01T00:00:00Z"}]}`,
			[]string{`not_affected CVE-1 [GHSA-a] of [pkg:pypi/torch@2.6.0 pkg:pypi/ray@2.8.0]` + in + `"vulnerable_code_not_in_execute_path" "never called" by Acme 2026-08-05 until 2027-01-01`}},
		{"the image itself", image, `{"id":"CVE-1","analysis":{"state":"exploitable"},"affects":[{"ref":"root"},{"ref":"t"}]}`,
			[]string{`affected CVE-1 [] of []` + in + `"" "" by Acme 2026-08-01`, `affected CVE-1 [] of [pkg:pypi/torch@2.6.0]` + in + `"" "" by Acme 2026-08-01`}},
		{"resolved", image, of("resolved"), []string{`fixed CVE-1 [] of [pkg:pypi/torch@2.6.0]` + in + `"" "" by Acme 2026-08-01`}},
		{"in triage", image, of("in_triage"), []string{`under_investigation CVE-1 [] of [pkg:pypi/torch@2.6.0]` + in + `"" "" by Acme 2026-08-01`}},
		{"a false positive", image, of("false_positive"), []string{`not_affected CVE-1 [] of [pkg:pypi/torch@2.6.0]` + in + `"" "the supplier says that the finding is wrong" by Acme 2026-08-01`}},
		{"a link to another document", "", `{"id":"CVE-1","analysis":{"state":"resolved"},"affects":[{"ref":"urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#pkg%3Apypi/torch@2.6.0"}]}`,
			[]string{`fixed CVE-1 [] of [] in [pkg:pypi/torch@2.6.0] because "" "" by Acme 2026-08-01`}},
		{"a component of nothing named", "", of("resolved"), []string{`fixed CVE-1 [] of [] in [pkg:pypi/torch@2.6.0] because "" "" by Acme 2026-08-01`}},
		{"a reference that leads nowhere", image, `{"id":"CVE-1","analysis":{"state":"resolved"},"affects":[{"ref":"gone"}]}`, []string{`fixed CVE-1 [] of [] in [gone] because "" "" by Acme 2026-08-01`}},
		{"no analysis", image, `{"id":"CVE-1","affects":[{"ref":"t"}]}`, nil},
		{"a state of the future", image, of("harmless"), nil},
		{"affecting nothing", image, `{"id":"CVE-1","analysis":{"state":"not_affected"}}`, nil},
		{"no vulnerability", image, `{"analysis":{"state":"not_affected"},"affects":[{"ref":"t"}]}`, nil},
		{"one of the versions that are affected elsewhere", image, `{"id":"CVE-1","analysis":{"state":"not_affected"},"affects":[{"ref":"t","versions":[{"range":"vers:pypi/<2.7.0","status":"affected"}]}]}`,
			[]string{`not_affected CVE-1 [] of [pkg:pypi/torch@2.6.0]` + in + `"" "" by Acme 2026-08-01`}},
		{"any of the versions that are affected", image, `{"id":"CVE-1","analysis":{"state":"not_affected"},"affects":[{"ref":"pkg:pypi/torch","versions":[{"version":"2.6.0","status":"affected"}]}]}`, nil},
		{"versions of nobody knows what", image, `{"id":"CVE-1","analysis":{"state":"not_affected"},"affects":[{"ref":"gone","versions":[{"version":"2.6.0","status":"affected"}]}]}`, nil},
		{"affected versions", image, `{"id":"CVE-1","analysis":{"state":"exploitable"},"affects":[{"ref":"pkg:pypi/torch","versions":[{"version":"2.6.0","status":"affected"}]}]}`,
			[]string{`affected CVE-1 [] of [] in [pkg:pypi/torch] because "" "" by Acme 2026-08-01`}},
		{"a version that is not", image, `{"id":"CVE-1","analysis":{"state":"resolved"},"affects":[{"ref":"t","versions":[{"version":"2.6.0","status":"unaffected"}]}]}`,
			[]string{`fixed CVE-1 [] of [pkg:pypi/torch@2.6.0]` + in + `"" "" by Acme 2026-08-01`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := statements(t, tc.metadata, tc.vulnerability)
			if strings.Join(got, "\n") != strings.Join(tc.want, "\n") {
				t.Errorf("\n got %s\nwant %s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}
