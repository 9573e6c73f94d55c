package foreign

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

var (
	a = "sha256:" + strings.Repeat("a", 64)
	b = "sha256:" + strings.Repeat("b", 64)
	c = "sha256:" + strings.Repeat("c", 64)
)

func line(p fact.Package) string {
	out := fmt.Sprintf("%s|%s|%s|%s %s|%s|%s|%s|%d", p.Ecosystem, p.Name, p.Version, p.SourceName, p.SourceVersion, p.Arch, p.State, p.Path, p.Layer)
	if len(p.Licenses)+len(p.Attributes) > 0 {
		out += "|" + strings.Join(p.Licenses, ";") + "|" + strings.Join(p.Attributes, ";")
	}
	return out
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

const syft = `{"artifacts":[
 {"id":"1","name":"python3-yaml","version":"6.0-3+b2","type":"deb","foundBy":"dpkg-db-cataloger",
  "locations":[{"path":"/usr/share/doc/python3-yaml/copyright","layerID":"B","annotations":{"evidence":"supporting"}},
               {"path":"/var/lib/dpkg/status","layerID":"A","annotations":{"evidence":"primary"}}],
  "licenses":[{"value":"MIT","spdxExpression":"MIT","type":"declared","urls":[]}],"purl":"pkg:deb/debian/python3-yaml@6.0-3%2Bb2?arch=amd64&distro=debian-12&upstream=pyyaml%406.0-3",
  "metadataType":"dpkg-db-entry","metadata":{"package":"python3-yaml","source":"pyyaml","sourceVersion":"6.0-3","architecture":"amd64","files":[]}},
 {"id":"2","name":"PyYAML","version":"6.0","type":"python","foundBy":"python-installed-package-cataloger","locations":[{"path":"/usr/lib/python3/dist-packages/PyYAML-6.0.egg-info/PKG-INFO","layerID":"A"}],
  "licenses":["MIT"],"purl":"pkg:pypi/pyyaml@6.0","metadata":{"name":"PyYAML"}},
 {"id":"3","name":"github.com/BurntSushi/toml","version":"v1.4.0","type":"go-module","foundBy":"go-module-binary-cataloger","locations":[{"path":"/usr/bin/tool","layerID":"B"}],
  "purl":"pkg:golang/github.com/BurntSushi/toml@v1.4.0","metadata":{"goCompiledVersion":"go1.22"}},
 {"id":"4","name":"lodash","version":"4.17.21","type":"npm","foundBy":"javascript-lock-cataloger","locations":[{"path":"/srv/package-lock.json","layerID":"B"}],"purl":"pkg:npm/lodash@4.17.21","metadata":"odd"},
 {"id":"5","name":"busybox","version":"1.37","type":"binary","foundBy":"binary-classifier-cataloger","locations":[],"purl":""}],
 "artifactRelationships":[{"parent":"1","child":"2","type":"ownership-by-file-overlap"},{"parent":"2","child":"4","type":"dependency-of"}],
 "source":{"id":"x","name":"app","type":"image","metadata":{"userInput":"app:1","imageID":"C","manifestDigest":"C","repoDigests":["ghcr.io/acme/app@A"],
   "layers":[{"mediaType":"m","digest":"A","size":1},{"mediaType":"m","digest":"B","size":1}]}},
 "distro":{"prettyName":"Debian GNU/Linux 12 (bookworm)","name":"Debian GNU/Linux","id":"debian","versionID":"12"},
 "descriptor":{"name":"syft","version":"1.57.0","configuration":{}},"schema":{"version":"16.1.0","url":"u"}}`

func filled(doc string) []byte {
	return []byte(strings.NewReplacer(`"A"`, `"`+a+`"`, `@A"`, "@"+a+`"`, `"B"`, `"`+b+`"`, `"C"`, `"`+c+`"`).Replace(doc))
}

func TestSyftListsPackagesWithLayerPathAndOwner(t *testing.T) {
	inv, err := Syft(filled(syft))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, inv.Packages,
		"Debian:12|python3-yaml|6.0-3+b2|pyyaml 6.0-3|amd64|installed|var/lib/dpkg/status|0|MIT|",
		"PyPI|PyYAML|6.0| ||installed|usr/lib/python3/dist-packages/PyYAML-6.0.egg-info/PKG-INFO|0|MIT|",
		"Go|github.com/BurntSushi/toml|v1.4.0| ||linked|usr/bin/tool|1",
		"npm|lodash|4.17.21| ||locked|srv/package-lock.json|1",
		"generic|busybox|1.37| ||installed||-1")
	if inv.Packages[1].Owner != inv.Packages[0].PURL || inv.Packages[3].Owner != "" {
		t.Errorf("owners: %q, %q", inv.Packages[1].Owner, inv.Packages[3].Owner)
	}
	if inv.Source != "Syft" || inv.Version != "1.57.0" || inv.Subject.Digest != verdict.Digest(c) || len(inv.Layers) != 2 || len(inv.Gaps) != 0 ||
		inv.Distribution != (fact.Distribution{ID: "debian", Version: "12", Name: "Debian GNU/Linux 12 (bookworm)"}) {
		t.Errorf("%+v", inv)
	}
}

const trivy = `{"SchemaVersion":2,"Trivy":{"Version":"0.72.0"},"CreatedAt":"2026-08-22T10:00:00.5+02:00","ArtifactName":"app","ArtifactType":"container_image",
 "Metadata":{"OS":{"Family":"debian","Name":"12.5"},"ImageID":"C","DiffIDs":["A","B"],"RepoDigests":["ghcr.io/acme/app@A"],"ImageConfig":{"config":{"Labels":{"x":"1","X":"2"}}}},
 "Results":[
  {"Packages":[{"ID":"tar@1.34","Name":"tar","Identifier":{"PURL":"pkg:deb/debian/tar@1.34%2Bdfsg-1.2?arch=amd64&distro=debian-12.5&epoch=1","UID":"u"},"Version":"1.34+dfsg","Release":"1.2","Epoch":1,"Arch":"amd64",
      "SrcName":"tar","SrcVersion":"1.34+dfsg","SrcRelease":"1.2","SrcEpoch":1,"Licenses":["GPL-3.0-or-later"],"Layer":{"Digest":"B","DiffID":"A"}},
    {"Name":"libssl3","Identifier":{"PURL":"pkg:deb/debian/libssl3@3.0.11-1~deb12u2?distro=debian-12.5"},"Version":"3.0.11","Release":"1~deb12u2","SrcName":"openssl","SrcVersion":"3.0.11","SrcRelease":"1~deb12u2","Layer":{"DiffID":"A"}}],
   "Target":"app (debian 12.5)","Class":"os-pkgs","Type":"debian"},
  {"Target":"Python","Class":"lang-pkgs","Type":"python-pkg","Packages":[{"Name":"torch","Identifier":{"PURL":"pkg:pypi/torch@2.6.0%2Bcu124"},"Version":"2.6.0+cu124","Layer":{"DiffID":"B"},"FilePath":"opt/torch-2.6.0.dist-info/METADATA"}]},
  {"Target":"srv/uv.lock","Class":"lang-pkgs","Type":"uv","Packages":[{"Name":"pytest","Identifier":{"PURL":"pkg:pypi/pytest@8.0"},"Version":"8.0","Dev":true,"Relationship":"direct","Layer":{"DiffID":"B"}}]},
  {"Target":"usr/bin/tool","Class":"lang-pkgs","Type":"gobinary","Packages":[{"Name":"stdlib","Identifier":{"PURL":"pkg:golang/stdlib@v1.22.0"},"Version":"v1.22.0","Layer":{"DiffID":"B"}}]}MORE]}`

func TestTrivyListsAllPackages(t *testing.T) {
	inv, err := Trivy(filled(strings.Replace(trivy, "MORE", "", 1)))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, inv.Packages,
		"Debian:12|tar|1:1.34+dfsg-1.2| |amd64|installed||0|GPL-3.0-or-later|",
		"Debian:12|libssl3|3.0.11-1~deb12u2|openssl 3.0.11-1~deb12u2||installed||0",
		"PyPI|torch|2.6.0+cu124| ||installed|opt/torch-2.6.0.dist-info/METADATA|1",
		"PyPI|pytest|8.0| ||locked|srv/uv.lock|1||direct;dev",
		"Go|stdlib|v1.22.0| ||linked|usr/bin/tool|1")
	if inv.Version != "0.72.0" || !inv.Made.Equal(time.Date(2026, 8, 22, 8, 0, 0, 5e8, time.UTC)) || inv.Subject.Digest != verdict.Digest(a) || len(inv.Gaps) != 0 ||
		inv.Distribution != (fact.Distribution{ID: "debian", Version: "12.5"}) {
		t.Errorf("%+v", inv)
	}
}

func TestTrivysFindingsAloneAreAGap(t *testing.T) {
	finding := `{"VulnerabilityID":"CVE-1","PkgName":"ray","PkgPath":"opt/ray/METADATA","PkgIdentifier":{"PURL":"pkg:pypi/ray@2.8.0"},"InstalledVersion":"2.8.0","Layer":{"DiffID":"B"}}`
	for name, tc := range map[string]struct {
		result    string
		gaps, has int
	}{
		"findings":          {`,{"Target":"Python","Class":"lang-pkgs","Type":"python-pkg","Vulnerabilities":[` + finding + `,` + finding + `]}`, 1, 1},
		"no findings":       {`,{"Target":"Python","Class":"lang-pkgs","Type":"python-pkg"}`, 1, 0},
		"packages and them": {`,{"Target":"Python","Class":"lang-pkgs","Vulnerabilities":[` + finding + `],"Packages":[{"Name":"ray","Identifier":{"PURL":"pkg:pypi/ray@2.8.0"},"Version":"2.8.0"}]}`, 0, 1},
		"secrets":           {`,{"Target":"a.pem","Class":"secret","Secrets":[]}`, 0, 0},
	} {
		inv, err := Trivy(filled(strings.Replace(trivy, "MORE", tc.result, 1)))
		if err != nil || len(inv.Gaps) != tc.gaps || len(inv.Packages) != 5+tc.has {
			t.Errorf("%s: %v, %d packages, %v", name, err, len(inv.Packages), inv.Gaps)
		}
	}
}

func TestATrivyReportOfAnotherSchemaIsRefused(t *testing.T) {
	for _, version := range []string{"1", "3"} {
		doc := strings.Replace(strings.Replace(trivy, "MORE", "", 1), `"SchemaVersion":2`, `"SchemaVersion":`+version, 1)
		if _, err := Trivy([]byte(doc)); !errors.Is(err, ErrSchema) {
			t.Errorf("schema %s: %v", version, err)
		}
	}
}

func TestGrypesMatchesAreSomeOfThePackages(t *testing.T) {
	doc := `{"matches":[
	 {"vulnerability":{"id":"CVE-1"},"artifact":{"id":"1","name":"libssl3","version":"3.0.11-1","type":"deb","locations":[{"path":"/var/lib/dpkg/status","layerID":"A"}],"licenses":[],"purl":"pkg:deb/debian/libssl3@3.0.11-1?distro=debian-12","upstreams":[{"name":"openssl"}]}},
	 {"vulnerability":{"id":"CVE-2"},"artifact":{"id":"1","name":"libssl3","version":"3.0.11-1","type":"deb","purl":"pkg:deb/debian/libssl3@3.0.11-1?distro=debian-12"}}],
	 "ignoredMatches":[{"artifact":{"id":"2","name":"ray","version":"2.8.0","type":"python","purl":"pkg:pypi/ray@2.8.0"}}],
	 "source":{"type":"image","target":{"manifestDigest":"C","layers":[{"digest":"A"}],"repoDigests":["x@B"]}},"distro":{"name":"debian","version":"12"},
	 "descriptor":{"name":"grype","version":"0.121.2","timestamp":"2026-08-22T10:00:00Z","db":DB}}`
	for name, db := range map[string]string{"nested": `{"status":{"built":"2026-08-21T06:00:00Z"}}`, "flat": `{"built":"2026-08-21T06:00:00Z"}`} {
		inv, err := Grype(filled(strings.Replace(doc, "DB", db, 1)))
		if err != nil {
			t.Fatal(name, err)
		}
		compare(t, inv.Packages, "Debian:12|libssl3|3.0.11-1|openssl ||installed|var/lib/dpkg/status|0", "PyPI|ray|2.8.0| ||installed||-1")
		if !inv.Database.Equal(time.Date(2026, 8, 21, 6, 0, 0, 0, time.UTC)) || inv.Version != "0.121.2" || len(inv.Gaps) != 1 || inv.Subject.Digest != verdict.Digest(c) || inv.Distribution.ID != "debian" {
			t.Errorf("%s: %+v", name, inv)
		}
	}
}

func TestOSVScannersPackagesKeepTheirEcosystem(t *testing.T) {
	inv, err := OSVScanner(filled(`{"results":[
	 {"packages":[{"package":{"name":"torch","version":"2.6.0+cu124","ecosystem":"PyPI","image_origin_details":{"index":2}},"licenses":["BSD-3-Clause"]},
	              {"package":{"name":"thing","commit":"abc"}}],"source":{"path":"/srv/uv.lock","type":"lockfile"}},
	 {"source":{"path":"/var/lib/dpkg/status","type":"os"},"packages":[{"package":{"name":"openssl","os_package_name":"libssl3","version":"3.0.11-1","ecosystem":"Debian:12","image_origin_details":{"index":0}}}]}],
	 "image_metadata":{"os":"Debian","layer_metadata":[{"diff_id":"A"},{"diff_id":"","is_empty":true},{"diff_id":"A"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, inv.Packages,
		"PyPI|torch|2.6.0+cu124| ||locked|srv/uv.lock|1|BSD-3-Clause|",
		"generic|thing|abc| ||locked|srv/uv.lock|-1",
		"Debian:12|libssl3|3.0.11-1|openssl 3.0.11-1||installed|var/lib/dpkg/status|0")
	if len(inv.Gaps) != 1 || inv.Packages[2].PURL != "pkg:deb/debian/libssl3@3.0.11-1?distro=debian-12&upstream=openssl%403.0.11-1" {
		t.Errorf("%v, %s", inv.Gaps, inv.Packages[2].PURL)
	}
}

// Older versions write no package URLs.
func TestPackagesWithoutURLAreNamedByTheirType(t *testing.T) {
	inv, err := Trivy([]byte(`{"SchemaVersion":2,"Results":[{"Type":"poetry","Class":"lang-pkgs","Target":"poetry.lock","Packages":[{"Name":"torch","Version":"2.6.0+cu124"}]},
	 {"Packages":[{"Name":"tar","Version":"1.34"}],"Type":"debian","Class":"os-pkgs","Target":"a (debian 12)"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, inv.Packages, "PyPI|torch|2.6.0+cu124| ||locked|poetry.lock|-1", "generic|tar|1.34| ||installed||-1")
	if inv.Packages[0].PURL != "pkg:pypi/torch@2.6.0%2Bcu124" || len(inv.Gaps) != 1 || inv.Gaps[0].Path != "tar" {
		t.Errorf("%+v", inv)
	}
	inv, err = Grype([]byte(`{"matches":[{"artifact":{"id":"1","name":"@babel/core","version":"7","type":"npm"}},{"artifact":{"id":"2","name":"libc6","version":"2","type":"deb"}}]}`))
	if err != nil || inv.Packages[0].Ecosystem != "npm" || inv.Packages[0].PURL != "pkg:npm/%40babel/core@7" || len(inv.Gaps) != 2 {
		t.Errorf("%v, %+v", err, inv)
	}
}

// A URL that cannot be read is a package about which nothing can be known.
func TestABrokenURLIsAGap(t *testing.T) {
	doc := strings.Replace(syft, `"pkg:npm/lodash@4.17.21"`, `"pkg:npm"`, 1)
	inv, err := Syft(filled(doc))
	if err != nil || len(inv.Gaps) != 1 || inv.Packages[3].Ecosystem != "generic" || inv.Packages[3].PURL != "" {
		t.Errorf("%v, %v, %v", err, inv.Gaps, inv.Packages)
	}
}

// A document of another type than expected somewhere is an error, never half an inventory.
func TestBrokenDocumentsAreNoInventories(t *testing.T) {
	for name, tc := range map[string]struct {
		read func([]byte) (fact.Inventory, error)
		doc  string
	}{
		"Syft's list is an object":  {Syft, `{"artifacts":{}}`},
		"Syft's package is a text":  {Syft, `{"artifacts":["a"]}`},
		"Trivy's results are texts": {Trivy, `{"SchemaVersion":2,"Results":["a"]}`},
		"Trivy's epoch is a word":   {Trivy, `{"SchemaVersion":2,"Results":[{"Packages":[{"Name":"a","Epoch":"b"}]}]}`},
		"Grype's match is a number": {Grype, `{"matches":[1]}`},
		"OSV's results are a text":  {OSVScanner, `{"results":"a"}`},
	} {
		if inv, err := tc.read([]byte(tc.doc)); err == nil || inv.Packages != nil {
			data, _ := json.Marshal(inv)
			t.Errorf("%s: %v, %s", name, err, data)
		}
	}
}
