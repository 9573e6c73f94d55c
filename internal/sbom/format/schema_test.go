package format_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	spdxjson "github.com/spdx/tools-golang/json"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format"
)

// cyclonedxSchema is the published schema, which comes with the library.
func cyclonedxSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	dir := filepath.Join(strings.TrimSpace(string(out)), "schema")
	if err != nil || dir == "schema" {
		t.Skip("the module of the schema is not here:", err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(jsonschema.SchemeURLLoader{"http": inFolder(dir), "file": jsonschema.FileLoader{}})
	s, err := c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// inFolder finds schemas by their last name; none is fetched.
type inFolder string

func (dir inFolder) Load(url string) (any, error) {
	name := url[strings.LastIndexByte(url, '/')+1:]
	if name == "jsf-0.82.schema.json" {
		name = "jsf-0.82.schemax.json"
	}
	return jsonschema.FileLoader{}.Load("file://" + filepath.Join(string(dir), name))
}

func TestCycloneDXThatIsWrittenIsValid(t *testing.T) {
	schema := cyclonedxSchema(t)
	for name, inv := range map[string]*fact.Inventory{"an image": sample(), "nothing": {}} {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(write(t, format.CycloneDX, inv)))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// The schema must be able to refuse.
		doc.(map[string]any)["components"] = []any{map[string]any{"type": "library"}}
		if schema.Validate(doc) == nil {
			t.Errorf("%s: the schema allows a component without a name", name)
		}
	}
}

// What the schema does not say: references are there once, and lead somewhere.
func TestCycloneDXReferencesLeadSomewhere(t *testing.T) {
	var doc struct {
		SerialNumber string
		Metadata     struct {
			Component struct {
				Ref  string `json:"bom-ref"`
				PURL string
				Type string
			}
		}
		Components []struct {
			Ref  string `json:"bom-ref"`
			Type string
		}
		Dependencies []struct {
			Ref       string
			DependsOn []string
		}
		Compositions []struct{ Aggregate string }
	}
	if err := json.Unmarshal(write(t, format.CycloneDX, sample()), &doc); err != nil {
		t.Fatal(err)
	}
	refs := map[string]bool{doc.Metadata.Component.Ref: true}
	for _, c := range doc.Components {
		if refs[c.Ref] || c.Ref == "" {
			t.Errorf("%q is there twice, or empty", c.Ref)
		}
		refs[c.Ref] = true
	}
	depended := map[string]int{}
	for _, d := range doc.Dependencies {
		for _, ref := range append(d.DependsOn, d.Ref) {
			if !refs[ref] {
				t.Errorf("%q is nowhere", ref)
			}
		}
		for _, ref := range d.DependsOn {
			depended[ref]++
		}
	}
	for _, c := range doc.Components {
		if c.Type == "library" && depended[c.Ref] != 1 {
			t.Errorf("%q was brought %d times", c.Ref, depended[c.Ref])
		}
	}
	owner := doc.Components[1].Ref
	if len(doc.Dependencies) != 3 || doc.Dependencies[1].Ref != owner || doc.Dependencies[1].DependsOn[0] != doc.Components[2].Ref {
		t.Errorf("the distribution's package does not bring its module: %v", doc.Dependencies)
	}
	if len(doc.Compositions) != 1 || doc.Compositions[0].Aggregate != "incomplete" {
		t.Errorf("gaps are not said: %v", doc.Compositions)
	}
	if doc.Metadata.Component.Type != "container" || !strings.HasPrefix(doc.Metadata.Component.PURL, "pkg:oci/captioner@sha256:") {
		t.Errorf("the subject: %v", doc.Metadata.Component)
	}
}

// SPDX as the foundation's own library reads it.
func TestSPDXThatIsWrittenIsReadByOthers(t *testing.T) {
	inv := sample()
	doc, err := spdxjson.Read(bytes.NewReader(write(t, format.SPDX, inv)))
	if err != nil {
		t.Fatal(err)
	}
	if doc.SPDXVersion != "SPDX-2.3" || doc.DataLicense != "CC0-1.0" || !strings.HasPrefix(doc.DocumentNamespace, "urn:uuid:") ||
		doc.CreationInfo.Created != "2026-08-22T10:11:12Z" || len(doc.CreationInfo.Creators) != 1 || doc.CreationInfo.Creators[0].Creator != "Apex-1.2.3" {
		t.Errorf("the document: %s", text(doc.CreationInfo))
	}
	ids := map[string]bool{}
	for _, p := range doc.Packages {
		id := string(p.PackageSPDXIdentifier)
		if strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") != "" || ids[id] || p.PackageDownloadLocation == "" || p.PackageName == "" {
			t.Errorf("package %q %q", id, p.PackageName)
		}
		ids[id] = true
	}
	for _, r := range doc.Relationships {
		if r.Relationship == "DESCRIBES" && r.RefB.ElementRefID == "Subject" {
			continue
		}
		if r.Relationship != "CONTAINS" || !ids[string(r.RefA.ElementRefID)] || !ids[string(r.RefB.ElementRefID)] {
			t.Errorf("relationship %s", text(r))
		}
	}
	torch := doc.Packages[4]
	if torch.PackageName != "torch" || torch.PackageLicenseDeclared != "BSD-3-Clause AND (MIT OR Apache-2.0)" || torch.PackageExternalReferences[0].Locator != "pkg:pypi/torch@2.6.0%2Bcu124" {
		t.Errorf("torch: %s", text(torch))
	}
	yaml := doc.Packages[3]
	if yaml.PackageLicenseDeclared != "LicenseRef-1 AND Apache-2.0" || len(doc.OtherLicenses) != 1 || doc.OtherLicenses[0].ExtractedText != "MIT License" {
		t.Errorf("PyYAML's licences: %s, %s", yaml.PackageLicenseDeclared, text(doc.OtherLicenses))
	}
}
