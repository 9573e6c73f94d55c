package spdx

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
	return fmt.Sprintf("%s|%s|%s|%s %s|%s|%s|%d|%s|%s", p.Ecosystem, p.Name, p.Version, p.SourceName, p.SourceVersion, p.State, p.Path, p.Layer, strings.Join(p.Licenses, ";"), strings.Join(p.Hashes, ";"))
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
	return []byte(strings.NewReplacer(`"A"`, `"`+a+`"`, `@A"`, "@"+a+`"`, ` B"`, " "+b+`"`).Replace(doc))
}

func TestWhatSyftWritesIsRead(t *testing.T) {
	inv, err := Read(filled(`{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","creationInfo":{"created":"2026-08-22T10:00:00Z","creators":["Organization: Anchore, Inc","Tool: syft-1.57.0"]},
	 "packages":[
	  {"name":"python3-yaml","SPDXID":"SPDXRef-1","versionInfo":"6.0-3+b2","sourceInfo":"acquired package info from DPKG DB: /var/lib/dpkg/status, /usr/share/doc/python3-yaml/copyright","licenseConcluded":"NOASSERTION","licenseDeclared":"LicenseRef-x",
	   "externalRefs":[{"referenceCategory":"SECURITY","referenceType":"cpe23Type","referenceLocator":"cpe:2.3:a"},{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:deb/debian/python3-yaml@6.0-3%2Bb2?distro=debian-12&upstream=pyyaml%406.0-3"}]},
	  {"name":"PyYAML","SPDXID":"SPDXRef-2","versionInfo":"6.0","licenseDeclared":"NOASSERTION","licenseConcluded":"MIT","checksums":[{"algorithm":"SHA1","checksumValue":"AABBCCDDEEFF00112233445566778899AABBCCDD"},{"algorithm":"ADLER32","checksumValue":"1"}],
	   "externalRefs":[{"referenceCategory":"PACKAGE_MANAGER","referenceType":"purl","referenceLocator":"pkg:pypi/pyyaml@6.0"}]},
	  {"name":"app","SPDXID":"SPDXRef-DocumentRoot","versionInfo":"A","primaryPackagePurpose":"CONTAINER","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:oci/app@sha256%3ADIGEST?arch=amd64"}]}],
	 "hasExtractedLicensingInfos":[{"licenseId":"LicenseRef-x","extractedText":"all of it","name":"X11-like"}],
	 "relationships":[{"spdxElementId":"SPDXRef-1","relatedSpdxElement":"SPDXRef-2","relationshipType":"OTHER","comment":"ownership-by-file-overlap: indicates that the parent package claims ownership"},
	  {"spdxElementId":"SPDXRef-DOCUMENT","relatedSpdxElement":"SPDXRef-DocumentRoot","relationshipType":"DESCRIBES"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, inv.Packages,
		"Debian:12|python3-yaml|6.0-3+b2|pyyaml 6.0-3|installed|var/lib/dpkg/status|-1|X11-like|",
		"PyPI|PyYAML|6.0| |installed||-1|MIT|sha1:aabbccddeeff00112233445566778899aabbccdd")
	if inv.Packages[1].Owner != inv.Packages[0].PURL || inv.Source != "Syft" || inv.Version != "1.57.0" || inv.Subject.Digest != verdict.Digest(a) || inv.Made.IsZero() {
		t.Errorf("%+v", inv)
	}
}

func TestWhatTrivyWritesIsRead(t *testing.T) {
	inv, err := Read(filled(`{"spdxVersion":"SPDX-2.3","documentDescribes":["SPDXRef-root"],"creationInfo":{"created":"2026-08-22T10:00:00Z","creators":["Organization: aquasecurity","Tool: trivy-0.72.0"]},
	 "packages":[
	  {"name":"app:1","SPDXID":"SPDXRef-root","primaryPackagePurpose":"CONTAINER","attributionTexts":["DiffID: B","RepoDigest: ghcr.io/acme/app@A","SchemaVersion: 2"]},
	  {"name":"debian","SPDXID":"SPDXRef-os","versionInfo":"12.5","primaryPackagePurpose":"OPERATING-SYSTEM"},
	  {"name":"libssl3","SPDXID":"SPDXRef-1","versionInfo":"3.0.11-1","sourceInfo":"built package from: openssl 3.0.11-1","primaryPackagePurpose":"LIBRARY","annotations":[{"annotator":"Tool: trivy","annotationType":"OTHER","annotationDate":"x","comment":"LayerDiffID: B"}],
	   "externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:deb/debian/libssl3@3.0.11-1?distro=debian-12.5"}]},
	  {"name":"srv/uv.lock","SPDXID":"SPDXRef-2","primaryPackagePurpose":"APPLICATION"},
	  {"name":"zlib","SPDXID":"SPDXRef-3","versionInfo":"1"},
	  {"name":"broken","SPDXID":"SPDXRef-4","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, inv.Packages, "Debian:12|libssl3|3.0.11-1|openssl 3.0.11-1|installed||0||", "generic|zlib|1| |installed||-1||", "generic|broken|| |installed||-1||")
	if inv.Source != "Trivy" || inv.Distribution != (fact.Distribution{ID: "debian", Version: "12.5"}) || inv.Subject.Digest != verdict.Digest(a) || len(inv.Gaps) != 1 {
		t.Errorf("%+v", inv)
	}
}

// What a document describes is in it, unless it is what holds the rest.
func TestDescribedPackagesAreNotLost(t *testing.T) {
	one := func(described, url, purpose string) string {
		return `{"spdxVersion":"SPDX-2.2","documentDescribes":[` + described + `],"packages":[
		 {"name":"ray","SPDXID":"SPDXRef-1","versionInfo":"2.8.0","primaryPackagePurpose":"` + purpose + `","externalRefs":[{"referenceType":"purl","referenceLocator":"` + url + `"}]},
		 {"name":"zlib","SPDXID":"SPDXRef-2","versionInfo":"1"}]}`
	}
	for name, tc := range map[string]struct {
		doc  string
		want int
	}{
		"a package of an ecosystem": {one(`"SPDXRef-1"`, "pkg:pypi/ray@2.8.0", "APPLICATION"), 2},
		"a repository":              {one(`"SPDXRef-1"`, "pkg:github/a/ray@1", ""), 1},
		"an image":                  {one(`"SPDXRef-1"`, "pkg:oci/ray@1", "CONTAINER"), 1},
		"all of them":               {one(`"SPDXRef-1","SPDXRef-2"`, "pkg:pypi/ray@2.8.0", ""), 2},
		"none of them":              {one(``, "pkg:pypi/ray@2.8.0", ""), 2},
	} {
		if inv, err := Read([]byte(tc.doc)); err != nil || len(inv.Packages) != tc.want {
			t.Errorf("%s: %v, %d packages", name, err, len(inv.Packages))
		}
	}
}

func TestVersionsAndBrokenAnnotationsAreRefused(t *testing.T) {
	doc := `{"spdxVersion":"SPDX-2.3","annotations":[{"comment":"apexlogic:inventory {}"}],"packages":[{"name":"a","SPDXID":"SPDXRef-1","annotations":[{"comment":"apexlogic:package {\"state\":\"linked\",\"layer\":-1}"}]}]}`
	if inv, err := Read([]byte(doc)); err != nil || inv.Packages[0].State != fact.Linked {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"SPDX 3":                       {"SPDX-2.3", "SPDX-3.0"},
		"SPDX 2.1":                     {"SPDX-2.3", "SPDX-2.1"},
		"a state of the future":        {"linked", "harmless"},
		"an annotation that is broken": {`{\"state\"`, `{{\"state\"`},
		"one with a key twice":         {`{\"state\"`, `{\"State\":\"locked\",\"state\"`},
		"an inventory of a new kind":   {"inventory {}", `inventory {\"kind\":\"novel\"}`},
	} {
		inv, err := Read([]byte(strings.Replace(doc, change[0], change[1], 1)))
		if err == nil || inv.Packages != nil || strings.HasPrefix(name, "SPDX") != errors.Is(err, ErrVersion) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
