package bom_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/image/scan"
	"github.com/apexlogic/apex/internal/model/bom"
	"github.com/apexlogic/apex/verdict"
)

var update = flag.Bool("update", false, "write the golden files anew")

func digest(c string) verdict.Digest { return verdict.Digest("sha256:" + strings.Repeat(c, 64)) }

func captioner() *bom.Model {
	m := &bom.Model{
		Name: "captioner", Version: "1.0", Family: "vision", Architecture: "TinyCaptioner", Task: "image-to-text",
		Licenses: []string{"Apache-2.0"}, Root: digest("a"), Created: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC),
		Files:    []fact.ModelFile{{Path: "config.json", Digest: digest("b"), Size: 2}, {Path: "model.safetensors", Digest: digest("c"), Size: 99}},
		Bases:    []bom.Origin{{Name: "tiny", URI: "hf://owner/tiny", Digest: digest("d")}},
		Datasets: []bom.Origin{{Name: "cars", URI: "s3://data/cars", Digest: digest("e")}, {Name: "words"}},
		Scan:     &fact.ModelScan{Verdict: "clean", Formats: []string{"json", "safetensors"}},
	}
	m.Scan.Scanner.Name, m.Scan.Scanner.Version, m.Scan.Scanner.Lists = "apex", "1", "2026-11-23.1"
	return m
}

func write(t *testing.T, m *bom.Model) string {
	t.Helper()
	var b bytes.Buffer
	if err := bom.Write(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheDocumentIsAsItWas(t *testing.T) {
	const golden = "testdata/captioner.cdx.json"
	got := write(t, captioner())
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || got != string(want) {
		t.Errorf("%v, got\n%s", err, got)
	}
	if again := write(t, captioner()); again != got {
		t.Error("twice is not the same")
	}
}

// What the JSON schema of CycloneDX 1.6 and its prose ask of the document.
func TestTheDocumentKeepsCycloneDXsRules(t *testing.T) {
	for name, m := range map[string]*bom.Model{"whole": captioner(), "least": {Name: "x"}} {
		text := write(t, m)
		var doc cdx.BOM
		if err := cdx.NewBOMDecoder(strings.NewReader(text), cdx.BOMFileFormatJSON).Decode(&doc); err != nil {
			t.Fatal(err)
		}
		if doc.SpecVersion != cdx.SpecVersion1_6 || doc.BOMFormat != "CycloneDX" || doc.Version != 1 {
			t.Errorf("%s: %s %s %d", name, doc.BOMFormat, doc.SpecVersion, doc.Version)
		}
		if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`).MatchString(doc.SerialNumber) {
			t.Errorf("%s: serial number %s", name, doc.SerialNumber)
		}
		refs := map[string]bool{}
		see := func(c *cdx.Component) {
			if c.BOMRef == "" || refs[c.BOMRef] || c.Name == "" || c.Type == "" {
				t.Errorf("%s: component %+v", name, c)
			}
			refs[c.BOMRef] = true
			if c.Hashes != nil {
				for _, h := range *c.Hashes {
					if h.Algorithm != cdx.HashAlgoSHA256 || len(h.Value) != 64 {
						t.Errorf("%s: hash %+v", name, h)
					}
				}
			}
		}
		subject := doc.Metadata.Component
		see(subject)
		if subject.Type != cdx.ComponentTypeMachineLearningModel || subject.ModelCard == nil {
			t.Errorf("%s: %+v", name, subject)
		}
		if subject.Pedigree != nil {
			for i := range *subject.Pedigree.Ancestors {
				see(&(*subject.Pedigree.Ancestors)[i])
			}
		}
		if doc.Components != nil {
			for i := range *doc.Components {
				see(&(*doc.Components)[i])
			}
		}
		if doc.Dependencies != nil {
			for _, d := range *doc.Dependencies {
				for _, ref := range append([]string{d.Ref}, *d.Dependencies...) {
					if !refs[ref] {
						t.Errorf("%s: nothing is called %s", name, ref)
					}
				}
			}
		}
		if data := subject.ModelCard.ModelParameters.Datasets; data != nil {
			for _, d := range *data {
				if !refs[d.Ref] {
					t.Errorf("%s: no dataset is called %s", name, d.Ref)
				}
			}
		}
	}
}

func TestDifferentDocumentsHaveDifferentNumbers(t *testing.T) {
	other := captioner()
	other.Licenses = []string{"MIT"}
	number := regexp.MustCompile(`urn:uuid:[0-9a-f-]+`)
	if number.FindString(write(t, captioner())) == number.FindString(write(t, other)) {
		t.Error("two documents have one serial number")
	}
}

func TestAModelThatCannotBeDescribedIsRefused(t *testing.T) {
	for want, change := range map[string]func(*bom.Model){
		"no name":          func(m *bom.Model) { m.Name = "" },
		"there twice":      func(m *bom.Model) { m.Files = append(m.Files, m.Files[0]) },
		"of config.json":   func(m *bom.Model) { m.Files[0].Digest = "sha256:00" },
		"of the model":     func(m *bom.Model) { m.Root = "md5:00" },
		"no URI":           func(m *bom.Model) { m.Bases[0].URI = "hf://a b" },
		"holds a password": func(m *bom.Model) { m.Datasets[0].URI = "https://u:secret@data.example/cars" },
		"has no name":      func(m *bom.Model) { m.Datasets[0].Name = "" },
		"s3://data/cars":   func(m *bom.Model) { m.Datasets[0].Digest = "sha512:00" },
	} {
		m := captioner()
		change(m)
		var b bytes.Buffer
		if err := bom.Write(&b, m); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || b.Len() > 0 {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

const commit = "0123456789abcdef0123456789abcdef01234567"

func training() *bom.Run {
	return &bom.Run{
		BuildType: bom.BuildTraining, Builder: "https://ci.example.com/training@v2", Invocation: "run-7",
		Code: "git+https://git.example.com/vision/captioner", CodeCommit: commit, EntryPoint: "train.py",
		Image:      bom.Origin{URI: "oci://registry.example.com/trainer", Digest: digest("1")},
		Bases:      []bom.Origin{{URI: "hf://owner/tiny", Digest: digest("2")}},
		Datasets:   []bom.Origin{{URI: "s3://data/cars", Digest: digest("3")}},
		Parameters: map[string]string{"lr": "0.1", "epochs": "3"},
		Started:    time.Date(2026, 11, 20, 10, 0, 0, 5, time.UTC), Finished: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC),
	}
}

func TestProvenanceIsReadAsItWasMeant(t *testing.T) {
	predicate, err := bom.Provenance(training())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := bom.Provenance(training()); err != nil || !bytes.Equal(predicate, again) {
		t.Errorf("twice is not the same: %v", err)
	}
	p, ok, err := scan.ParseProvenance(&fact.Attestation{PredicateType: scan.PredicateSLSA1, Predicate: json.RawMessage(predicate)})
	if err != nil || !ok || p.Code != verdict.OK {
		t.Fatalf("%v %v", ok, err)
	}
	if p.Builder != "https://ci.example.com/training@v2" || p.BuildType != bom.BuildTraining || p.SourceDigest != commit || p.EntryPoint != "train.py" ||
		p.SourceRepository != fact.SourceRepository("git+https://git.example.com/vision/captioner") || !p.Finished.Equal(training().Finished) {
		t.Errorf("%+v", p)
	}
	named := map[string]verdict.Digest{}
	for _, d := range p.Dependencies {
		named[d.Name] = d.Digest
	}
	if len(named) != 4 || named["base-model"] != digest("2") || named["dataset"] != digest("3") || named["image"] != digest("1") {
		t.Errorf("%+v", named)
	}
	if _, err := bom.Provenance(&bom.Run{Builder: "https://b", BuildType: bom.BuildConversion}); err != nil {
		t.Errorf("the least that is enough: %v", err)
	}
}

func TestProvenanceThatProvesNothingIsRefused(t *testing.T) {
	for want, change := range map[string]func(*bom.Run){
		"the builder is no URI":         func(r *bom.Run) { r.Builder = "" },
		"the build type is no URI":      func(r *bom.Run) { r.BuildType = "baking" },
		"no full commit":                func(r *bom.Run) { r.CodeCommit = "main" },
		"no full commit in hex":         func(r *bom.Run) { r.CodeCommit = "" },
		"without the repository":        func(r *bom.Run) { r.Code = "" },
		"hf://owner/tiny has no digest": func(r *bom.Run) { r.Bases[0].Digest = "" },
		"dataset":                       func(r *bom.Run) { r.Datasets[0].Digest = "sha256:xyz" },
		"image":                         func(r *bom.Run) { r.Image.Digest = "" },
		"finished before it started":    func(r *bom.Run) { r.Finished = r.Started.Add(-time.Second) },
		"holds a password":              func(r *bom.Run) { r.Code = "git+https://u:secret@git.example.com/x" },
	} {
		r := training()
		change(r)
		if _, err := bom.Provenance(r); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestAFullDiskIsAnError(t *testing.T) {
	if err := bom.Write(full{}, captioner()); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}

var errFull = errors.New("no space left")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
