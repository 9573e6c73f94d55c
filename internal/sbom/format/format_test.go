package format_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/sbom/format"
	"github.com/apexlogic/apex/internal/sbom/format/document"
)

// smallest are the smallest documents of each format.
func smallest() map[format.Format]string {
	return map[format.Format]string{
		format.CycloneDX:  `{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"type":"library","name":"ray","version":"2.8.0","purl":"pkg:pypi/ray@2.8.0"}]}`,
		format.SPDX:       `{"spdxVersion":"SPDX-2.3","packages":[{"name":"ray","SPDXID":"SPDXRef-1","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:pypi/ray@2.8.0"}]}]}`,
		format.Syft:       `{"artifacts":[{"id":"1","name":"ray","version":"2.8.0","purl":"pkg:pypi/ray@2.8.0"}],"descriptor":{"name":"syft"},"schema":{"version":"16"}}`,
		format.Trivy:      `{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Target":"t","Packages":[{"Name":"ray","Identifier":{"PURL":"pkg:pypi/ray@2.8.0"},"Version":"2.8.0"}]}]}`,
		format.Grype:      `{"matches":[{"artifact":{"id":"1","name":"ray","version":"2.8.0","purl":"pkg:pypi/ray@2.8.0"}}],"descriptor":{"name":"grype"}}`,
		format.OSVScanner: `{"results":[{"packages":[{"package":{"name":"ray","version":"2.8.0","ecosystem":"PyPI"}}]}]}`,
		format.OpenVEX:    `{"@context":"https://openvex.dev/ns/v0.2.0","author":"a","timestamp":"2026-08-01T00:00:00Z","statements":[{"vulnerability":{"name":"CVE-1"},"status":"fixed","products":[{"@id":"pkg:oci/a"}]}]}`,
		format.CSAF: `{"document":{"category":"csaf_vex","csaf_version":"2.0","tracking":{"status":"final"}},"product_tree":{"full_product_names":[{"name":"a","product_id":"a"}]},
			"vulnerabilities":[{"cve":"CVE-1","product_status":{"fixed":["a"]}}]}`,
	}
}

func TestFormatsAreToldByTheirContent(t *testing.T) {
	for want, doc := range smallest() {
		for how, data := range map[string]string{"as it is": doc, "after a byte order mark": "\xef\xbb\xbf" + doc, "after white space": " \r\n\t" + doc} {
			inv, vex, got, err := format.Read([]byte(data))
			if err != nil || got != want {
				t.Errorf("%s %s: %s, %v", want, how, got, err)
				continue
			}
			isVEX := want == format.OpenVEX || want == format.CSAF
			if isVEX && (len(vex) != 1 || vex[0].Vulnerability != "CVE-1") {
				t.Errorf("%s: %v", want, vex)
			}
			if !isVEX && (len(inv.Packages) != 1 || inv.Packages[0].Name != "ray" || inv.Packages[0].Ecosystem != "PyPI" || inv.Packages[0].Version != "2.8.0" || inv.Packages[0].Layer != -1) {
				t.Errorf("%s: %v", want, inv.Packages)
			}
		}
	}
}

func TestWhatIsNoDocumentIsRefusedWithAWordToThePerson(t *testing.T) {
	for _, tc := range []struct{ name, doc, word string }{
		{"nothing", "", "empty"},
		{"white space", " \n", "empty"},
		{"CycloneDX as XML", `<?xml version="1.0"?><bom xmlns="http://cyclonedx.org/schema/bom/1.6"/>`, "as JSON"},
		{"SPDX as tag-value", "SPDXVersion: SPDX-2.3\n", "tag-value"},
		{"SPDX as YAML", "spdxVersion: SPDX-2.3\n", "YAML"},
		{"UTF-16", "\xff\xfe{\x00", "UTF-8"},
		{"another document", `{"a":1}`, "CycloneDX, SPDX"},
		{"a list", `[]`, "expected an object"},
		{"SARIF", `{"version":"2.1.0","runs":[]}`, "CycloneDX, SPDX"},
		{"two formats at once", `{"bomFormat":"CycloneDX","specVersion":"1.6","spdxVersion":"SPDX-2.3"}`, "could be CycloneDX and SPDX"},
		{"a key in other letters", `{"BomFormat":"CycloneDX","specVersion":"1.6"}`, "CycloneDX, SPDX"},
	} {
		inv, vex, f, err := format.Read([]byte(tc.doc))
		if !errors.Is(err, format.ErrFormat) || !strings.Contains(fmt.Sprint(err), tc.word) || inv.Packages != nil || vex != nil || f != "" {
			t.Errorf("%s: %s, %v", tc.name, f, err)
		}
	}
}

func TestHostileDocumentsAreRefused(t *testing.T) {
	list := func(n int, part string) string { return strings.TrimSuffix(strings.Repeat(part+",", n), ",") }
	cyclone := func(members string) string { return `{"bomFormat":"CycloneDX","specVersion":"1.6",` + members + `}` }
	for _, tc := range []struct {
		name, doc string
		want      error
	}{
		{"more bytes than are read", `{"a":"` + strings.Repeat("a", format.MaxBytes) + `"}`, bounded.ErrTooLarge},
		{"components within components without end", cyclone(strings.Repeat(`"components":[{`, 200) + strings.Repeat(`}]`, 200)), bounded.ErrTooDeep},
		{"more properties than one has", cyclone(`"components":[{"properties":[` + list(document.MaxInner+1, `{}`) + `]}]`), document.ErrTooMany},
		{"a key twice", cyclone(`"components":[{"name":"a","NAME":"b"}]`), bounded.ErrDuplicateKey},
		{"a name without end", cyclone(`"components":[{"type":"library","name":"` + strings.Repeat("a", document.MaxText+1) + `"}]`), document.ErrTooLong},
		{"more layers than an image has", `{"SchemaVersion":2,"ArtifactName":"a","Metadata":{"DiffIDs":[` + list(document.MaxInner+1, `"`+string(digest("a"))+`"`) + `]}}`, document.ErrTooMany},
		{"more values than there are bytes for", `{"results":[` + list(9_000_000, `0`) + `]}`, bounded.ErrTooMany},
	} {
		if inv, _, _, err := format.Read([]byte(tc.doc)); !errors.Is(err, tc.want) || inv.Packages != nil {
			t.Errorf("%s: %.200v; want %v", tc.name, err, tc.want)
		}
	}
}

func TestWhatATerminalWouldObeyIsReplaced(t *testing.T) {
	inv, _, _, err := format.Read([]byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"library","name":"a\u001b[2Jb","version":"1\u0000","properties":[{"name":"apexlogic:package:path","value":"/../../etc/\u009b/x"}]}]}`))
	if err != nil || inv.Packages[0].Name != "a\ufffd[2Jb" || inv.Packages[0].Version != "1\ufffd" || inv.Packages[0].Path != "etc/\ufffd/x" {
		t.Errorf("%v, %s", err, text(inv.Packages))
	}
}

// FuzzRead holds every format to the same: no document makes an inventory that
// breaks its own rules.
func FuzzRead(f *testing.F) {
	for _, doc := range smallest() {
		f.Add([]byte(doc))
	}
	for _, name := range []format.Format{format.CycloneDX, format.SPDX} {
		f.Add(write(f, name, sample()))
	}
	for _, name := range []string{"cyclonedx.json", "grype.json", "osv.json", "trivy.json"} {
		if data, err := os.ReadFile("../../image/scan/testdata/" + name); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		inv, vex, name, err := format.Read(data)
		if err != nil {
			if inv.Packages != nil || vex != nil {
				t.Fatalf("%s: an error and half a document", name)
			}
			return
		}
		for _, p := range inv.Packages {
			if p.Name == "" || p.Ecosystem == "" || p.Layer < -1 || p.Layer >= len(inv.Layers) || strings.HasPrefix(p.Path, "/") || strings.Contains("/"+p.Path+"/", "/../") {
				t.Fatalf("%s: %s", name, text(p))
			}
		}
		for _, v := range vex {
			if v.Vulnerability == "" || len(v.Products) == 0 || v.Status == "" || v.Format == "" || v.Signing.Valid() {
				t.Fatalf("%s: %s", name, text(v))
			}
		}
		// What was read can be written, and is the same when it is read again.
		for other := range writers() {
			again, _, _, err := format.Read(write(t, other, &inv))
			if err != nil {
				t.Fatalf("%s as %s: %v", name, other, err)
			}
			if len(again.Packages) != len(inv.Packages) {
				t.Fatalf("%s as %s: %d packages of %d", name, other, len(again.Packages), len(inv.Packages))
			}
			for i := range inv.Packages {
				if again.Packages[i].Key() != inv.Packages[i].Key() {
					t.Fatalf("%s as %s: %s became %s", name, other, text(inv.Packages[i]), text(again.Packages[i]))
				}
			}
		}
	})
}

func TestNamesOfADocumentAreJudgedLikeThoseThatWereFound(t *testing.T) {
	for name, want := range map[string]int{"reqeusts": 1, "requests": 0} {
		inv, _, _, err := format.Read([]byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[
			{"type":"library","name":"` + name + `","version":"1.0","purl":"pkg:pypi/` + name + `@1.0"}]}`))
		if err != nil || len(inv.Packages) != 1 || len(inv.Findings) != want {
			t.Errorf("%s: %+v %v", name, inv, err)
		}
	}
}
