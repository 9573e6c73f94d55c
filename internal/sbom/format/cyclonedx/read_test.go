package cyclonedx

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

var (
	a = "sha256:" + strings.Repeat("a", 64)
	b = "sha256:" + strings.Repeat("b", 64)
)

func line(p fact.Package) string {
	return fmt.Sprintf("%s|%s|%s|%s %s|%s|%s|%d", p.Ecosystem, p.Name, p.Version, p.SourceName, p.SourceVersion, p.State, p.Path, p.Layer)
}

func compare(t *testing.T, got []fact.Package, want ...string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("missing %s", want[i])
		case i >= len(want):
			t.Errorf("unexpected %s", line(got[i]))
		case line(got[i]) != want[i]:
			t.Errorf("package %d\n got %s\nwant %s", i, line(got[i]), want[i])
		}
	}
}

func filled(doc string) []byte {
	return []byte(strings.NewReplacer(`"A"`, `"`+a+`"`, `@A"`, "@"+a+`"`, `"B"`, `"`+b+`"`).Replace(doc))
}

// As Trivy writes it, with the packages of a lock file below it.
const trivy = `{"$schema":"s","bomFormat":"CycloneDX","specVersion":"1.6","version":1,
 "components":[
  {"bom-ref":"os","type":"operating-system","name":"redhat","version":"9.4"},
  {"bom-ref":"1","type":"library","name":"tar","version":"1:1.34-6.el9","purl":"pkg:rpm/redhat/tar@1.34-6.el9?arch=x86_64&distro=redhat-9.4&epoch=1","licenses":[{"expression":"GPL-3.0-or-later"}],
   "properties":[{"name":"aquasecurity:trivy:LayerDiffID","value":"B"},{"name":"aquasecurity:trivy:PkgType","value":"redhat"},{"name":"aquasecurity:trivy:SrcName","value":"tar-src"},
    {"name":"aquasecurity:trivy:SrcVersion","value":"1.34"},{"name":"aquasecurity:trivy:SrcRelease","value":"6.el9"},{"name":"aquasecurity:trivy:SrcEpoch","value":"1"}]},
  {"bom-ref":"2","type":"application","name":"srv/uv.lock","properties":[{"name":"aquasecurity:trivy:Class","value":"lang-pkgs"}],
   "components":[{"bom-ref":"3","type":"library","group":"@babel","name":"core","version":"7.0.0","purl":"pkg:npm/%40babel/core@7.0.0","hashes":[{"alg":"SHA-1","content":"AABBCCDDEEFF00112233445566778899AABBCCDD"}]}]},
  {"bom-ref":"4","type":"library","group":"org.apache","name":"log4j-core","version":"2.17.0","purl":"pkg:maven/org.apache/log4j-core@2.17.0"},
  {"bom-ref":"5","type":"file","name":"/etc/passwd"},{"bom-ref":"6","type":"library","name":"","purl":""},{"bom-ref":"7","type":"library","name":"broken","version":"1","purl":"pkg:"}],
 "metadata":{"timestamp":"2026-08-22T10:00:00+00:00","tools":{"components":[{"type":"application","group":"aquasecurity","name":"trivy","version":"0.72.0"}]},
  "component":{"bom-ref":"root","type":"container","name":"app:1","purl":"pkg:oci/app@sha256%3ADIGEST?arch=amd64&repository_url=ghcr.io%2Facme%2Fapp",
   "properties":[{"name":"aquasecurity:trivy:DiffID","value":"A"},{"name":"aquasecurity:trivy:DiffID","value":"B"},{"name":"aquasecurity:trivy:RepoDigest","value":"ghcr.io/acme/app@A"}]}}}`

func TestWhatTrivyWritesIsRead(t *testing.T) {
	inv, _, err := Read(filled(strings.Replace(trivy, "DIGEST", strings.Repeat("a", 64), 1)))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, inv.Packages,
		"Red Hat:enterprise_linux:9|tar|1:1.34-6.el9|tar-src 1:1.34-6.el9|installed||1",
		"npm|@babel/core|7.0.0| |installed||-1",
		"Maven|org.apache:log4j-core|2.17.0| |installed||-1",
		"generic|broken|1| |installed||-1")
	if inv.Subject != (verdict.Ref{Kind: verdict.KindImage, Repo: "ghcr.io/acme/app", Digest: verdict.Digest(a)}) || len(inv.Layers) != 2 || inv.Source != "Trivy" ||
		inv.Version != "0.72.0" || inv.Distribution.ID != "rhel" || inv.Packages[1].Hashes[0] != "sha1:aabbccddeeff00112233445566778899aabbccdd" {
		t.Errorf("%+v", inv)
	}
	if len(inv.Gaps) != 1 || inv.Gaps[0].Path != "broken" {
		t.Errorf("gaps: %v", inv.Gaps)
	}
}

func TestWhatSyftWritesIsRead(t *testing.T) {
	inv, _, err := Read(filled(`{"bomFormat":"CycloneDX","specVersion":"1.4","metadata":{"tools":[{"vendor":"anchore","name":"syft","version":"1.0"}],"component":{"bom-ref":"r","type":"container","name":"app","version":"A"}},
	 "components":[{"bom-ref":"pkg:pypi/pyyaml@6.0?package-id=1","type":"library","name":"PyYAML","version":"6.0","purl":"pkg:pypi/pyyaml@6.0","licenses":[{"license":{"id":"MIT"}},{"license":{"name":"other"}}],
	  "properties":[{"name":"syft:package:foundBy","value":"python-installed-package-cataloger"},{"name":"syft:location:0:layerID","value":"B"},{"name":"syft:location:0:path","value":"/usr/lib/PyYAML/METADATA"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, inv.Packages, "PyPI|PyYAML|6.0| |installed|usr/lib/PyYAML/METADATA|-1")
	if p := inv.Packages[0]; inv.Source != "Syft" || inv.Subject.Digest != verdict.Digest(a) || p.By != "python-installed-package-cataloger" || strings.Join(p.Licenses, ";") != "MIT;other" {
		t.Errorf("%+v", inv)
	}
}

func TestVersionsAreToldApart(t *testing.T) {
	for version, ok := range map[string]bool{`"1.2"`: true, `"1.3"`: true, `"1.4"`: true, `"1.5"`: true, `"1.6"`: true, `"1.7"`: true, `"1.1"`: false, `"2.0"`: false, `""`: false, `1.6`: false} {
		_, _, err := Read([]byte(`{"bomFormat":"CycloneDX","specVersion":` + version + `}`))
		if (err == nil) != ok || !ok && !errors.Is(err, ErrVersion) {
			t.Errorf("%s: %v", version, err)
		}
	}
	for _, doc := range []string{`{"bomFormat":"CycloneDX"}`, `{"specVersion":"1.6"}`, `{"bomFormat":"SPDX","specVersion":"1.6"}`} {
		if _, _, err := Read([]byte(doc)); err == nil {
			t.Errorf("%s was read", doc)
		}
	}
}

// The package URL is what everybody else goes by; a property of ours cannot make
// another package of it.
func TestPropertiesDoNotContradictTheURL(t *testing.T) {
	inv, _, err := Read([]byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[
	 {"type":"library","name":"harmless","version":"9","purl":"pkg:pypi/ray@2.8.0","properties":[{"name":"apexlogic:package:ecosystem","value":"npm"}]},
	 {"type":"library","name":"ssl","version":"1","purl":"pkg:deb/debian/ssl@1","properties":[{"name":"apexlogic:package:ecosystem","value":"Debian:12"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, inv.Packages, "PyPI|ray|2.8.0| |installed||-1", "Debian:12|ssl|1| |installed||-1")
}

func TestADocumentThatSaysThatItIsIncompleteHasAGap(t *testing.T) {
	for composition, gaps := range map[string]int{
		`{"aggregate":"incomplete"}`:                                        1,
		`{"aggregate":"incomplete_third_party_only","assemblies":["root"]}`: 1,
		`{"aggregate":"incomplete","assemblies":["another"]}`:               0,
		`{"aggregate":"complete","assemblies":["root"]}`:                    0,
	} {
		inv, _, err := Read([]byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"bom-ref":"root","name":"a"}},"compositions":[` + composition + `]}`))
		if err != nil || len(inv.Gaps) != gaps {
			t.Errorf("%s: %v, %v", composition, err, inv.Gaps)
		}
	}
}

func TestTheSubjectIsAPackageWhereItIsOne(t *testing.T) {
	for url, packages := range map[string]int{"pkg:pypi/ray@2.8.0": 1, "pkg:oci/ray@1": 0, "pkg:github/a/b@1": 0, "": 0} {
		inv, _, err := Read([]byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"bom-ref":"root","type":"application","name":"ray","version":"2.8.0","purl":"` + url + `"}}}`))
		if err != nil || len(inv.Packages) != packages {
			t.Errorf("%q: %v, %v", url, err, inv.Packages)
		}
	}
}

func TestAnUnknownStateIsRefused(t *testing.T) {
	doc := `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"library","name":"a","properties":[{"name":"apexlogic:package:state","value":"STATE"}]}]}`
	if _, _, err := Read([]byte(strings.Replace(doc, "STATE", "linked", 1))); err != nil {
		t.Error(err)
	}
	if _, _, err := Read([]byte(strings.Replace(doc, "STATE", "harmless", 1))); err == nil {
		t.Error("it was read")
	}
}
