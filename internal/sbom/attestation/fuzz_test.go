package attestation

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

// FuzzParse reads documents as hostile as they may be: what is read is bounded,
// and names what a lock file could name.
func FuzzParse(f *testing.F) {
	text := base64.StdEncoding.EncodeToString([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a_b-1.0-py3-none-any.whl","digest":{"sha256":"` +
		strings.Repeat("ab", 32) + `"}}],"predicateType":"https://docs.pypi.org/attestations/publish/v1","predicate":null}`))
	one := `{"version":1,"verification_material":{"certificate":"MAA=","transparency_entries":[{}],"timestamps":["AA=="]},"envelope":{"statement":"` + text + `","signature":"AA=="}}`
	bundle := `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"x509CertificateChain":{"certificates":[{"rawBytes":"MAA="}]},"tlogEntries":[]},"dsseEnvelope":{"payload":"` +
		text + `","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AA==","keyid":"SHA256:x"}]}}`
	f.Add([]byte(one))
	f.Add([]byte(`{"version":1,"attestation_bundles":[{"publisher":{"kind":"GitLab","repository":"a/b"},"attestations":[` + one + `]}]}`))
	f.Add([]byte(bundle))
	f.Add([]byte(`{"attestations":[{"predicateType":"x","bundle":` + bundle + `},{"bundle":null}]}`))
	f.Add([]byte(`{"version":1,"attestation_bundles":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := parse(data)
		if (err == nil) != (len(all) > 0) {
			t.Fatalf("%d attestations, %v", len(all), err)
		}
		for i := range all {
			s := &all[i]
			if !json.Valid(s.bundle) || s.certificate != nil && s.statement.Predicate == "" && len(s.payload) == 0 {
				t.Errorf("%+v", s)
			}
			if by, err := identity(s.certificate); err == nil && (by.Identity == "" || by.Issuer == "") {
				t.Errorf("%+v", by)
			}
			about, err := subjectOf(&s.statement)
			if err != nil {
				continue
			}
			if about.name == "" || about.version == "" || len(about.sum) != map[string]int{"sha256": 64, "sha512": 128}[about.algorithm] || strings.ContainsAny(about.file, "/\\") {
				t.Errorf("%+v", about)
			}
		}
	})
}

func TestNamesOfArchives(t *testing.T) {
	for file, want := range map[string]string{
		"a_b-1.0-py3-none-any.whl":                      "a-b 1.0",
		"a-1.0-2-cp310-cp310-manylinux_2_17_x86_64.whl": "a 1.0",
		"Zope.Interface-5.0.tar.gz":                     "zope-interface 5.0",
		"python-dateutil-2.9.0.zip":                     "python-dateutil 2.9.0",
		"a-1.0-py3-none.whl":                            "",
		"a-1.0.tar.bz2":                                 "",
		"-1.0.tar.gz":                                   "",
		"a-.tar.gz":                                     "",
		"x/a-1.0.tar.gz":                                "",
		".whl":                                          "",
		"a-1.0-py3-none-any-more-and-more-and-more-of-it.whl": "",
	} {
		name, version, ok := archiveName(file)
		if got := strings.TrimSpace(name + " " + version); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q %v, want %q", file, got, ok, want)
		}
	}
	for purl, want := range map[string]string{
		"pkg:npm/lodash@4.17.21": "lodash 4.17.21", "pkg:npm/%40scope/name@1.0.0-rc.1": "@scope/name 1.0.0-rc.1", "pkg:npm/lodash": "", "pkg:npm/@1": "",
		"pkg:npm/a@1?x=y": "", "pkg:npm/%zz@1": "", "pkg:npm/a@": "",
	} {
		name, version, ok := npmName(purl)
		if got := name + " " + version; ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q %v, want %q", purl, got, ok, want)
		}
	}
}
