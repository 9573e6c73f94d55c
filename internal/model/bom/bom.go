// Package bom writes what a model consists of and came from for those who read
// bills of materials and provenance: [Write] makes a CycloneDX ML-BOM,
// [Provenance] the predicate of SLSA provenance for a training or conversion.
//
// Both are deterministic: the same input gives the same bytes.
//
// Sources: CycloneDX 1.6 (ECMA-424) with its model cards, SLSA provenance v1.
package bom

import (
	"fmt"
	"io"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// Model is what a bill of materials says of a model.
type Model struct {
	Name, Version, Family, Architecture, Task string
	Licenses                                  []string // SPDX identifiers, or names
	Root                                      verdict.Digest
	Files                                     []fact.ModelFile // by path
	Bases                                     []Origin         // models that it was made from
	Datasets                                  []Origin
	Scan                                      *fact.ModelScan // nil: it was not scanned
	// Created stands in the document; zero: no time does.
	Created time.Time
}

// Origin is something that the model was made from.
type Origin struct {
	Name   string
	URI    string
	Digest verdict.Digest // "" where it is not known
}

// namespace makes serial numbers from roots (RFC 9562 §5.5).
var namespace = uuid.MustParse("9d1c0a5e-6f0b-5a54-9e0e-6c1b4c2f7a10")

// Write writes the model's CycloneDX 1.6 document as JSON.
func Write(w io.Writer, m *Model) error {
	if m.Name == "" {
		return fmt.Errorf("the model has no name")
	}
	doc := cdx.NewBOM()
	doc.SerialNumber = "urn:uuid:" + uuid.NewSHA1(namespace, []byte(m.Root)).String()
	subject := cdx.Component{
		BOMRef: "model", Type: cdx.ComponentTypeMachineLearningModel, Name: m.Name, Version: m.Version,
		Hashes: sha256Of(m.Root), Licenses: licenses(m.Licenses),
		ModelCard: &cdx.MLModelCard{ModelParameters: &cdx.MLModelParameters{
			Task: m.Task, ArchitectureFamily: m.Family, ModelArchitecture: m.Architecture,
		}},
		Properties: properties(m),
	}
	doc.Metadata = &cdx.Metadata{Component: &subject, Tools: &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "apex"}}}}
	if !m.Created.IsZero() {
		doc.Metadata.Timestamp = m.Created.UTC().Format(time.RFC3339)
	}
	var components []cdx.Component
	var depends []string
	for _, f := range m.Files {
		ref := "file:" + f.Path
		components = append(components, cdx.Component{BOMRef: ref, Type: cdx.ComponentTypeFile, Name: f.Path, Hashes: sha256Of(f.Digest)})
		depends = append(depends, ref)
	}
	var datasets []cdx.MLDatasetChoice
	for i, d := range m.Datasets {
		ref := fmt.Sprintf("dataset:%d", i)
		datasets = append(datasets, cdx.MLDatasetChoice{Ref: ref})
		components = append(components, cdx.Component{BOMRef: ref, Type: cdx.ComponentTypeData, Name: d.Name, Hashes: sha256Of(d.Digest), ExternalReferences: distribution(d.URI)})
		depends = append(depends, ref)
	}
	if len(datasets) > 0 {
		subject.ModelCard.ModelParameters.Datasets = &datasets
	}
	var ancestors []cdx.Component
	for i, b := range m.Bases {
		ancestors = append(ancestors, cdx.Component{BOMRef: fmt.Sprintf("base:%d", i), Type: cdx.ComponentTypeMachineLearningModel, Name: b.Name, Hashes: sha256Of(b.Digest), ExternalReferences: distribution(b.URI)})
	}
	if len(ancestors) > 0 {
		subject.Pedigree = &cdx.Pedigree{Ancestors: &ancestors}
	}
	if len(components) > 0 {
		doc.Components = &components
		doc.Dependencies = &[]cdx.Dependency{{Ref: "model", Dependencies: &depends}}
	}
	return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(doc, cdx.SpecVersion1_6)
}

func sha256Of(d verdict.Digest) *[]cdx.Hash {
	if d == "" {
		return nil
	}
	return &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: d.Hex()}}
}

func licenses(names []string) *cdx.Licenses {
	if len(names) == 0 {
		return nil
	}
	out := cdx.Licenses{}
	for _, n := range names {
		// What is no SPDX identifier would be refused as an id by validators,
		// and nothing here knows the list.
		out = append(out, cdx.LicenseChoice{License: &cdx.License{Name: n}})
	}
	return &out
}

func distribution(uri string) *[]cdx.ExternalReference {
	if uri == "" {
		return nil
	}
	return &[]cdx.ExternalReference{{Type: cdx.ERTypeDistribution, URL: uri}}
}

// properties state what the scan said, under names of ours.
func properties(m *Model) *[]cdx.Property {
	if m.Scan == nil {
		return nil
	}
	out := []cdx.Property{
		{Name: "apexlogic:scan:verdict", Value: m.Scan.Verdict},
		{Name: "apexlogic:scan:scanner", Value: m.Scan.Scanner.Name + "/" + m.Scan.Scanner.Version},
		{Name: "apexlogic:scan:lists", Value: m.Scan.Scanner.Lists},
	}
	for _, f := range m.Scan.Formats {
		out = append(out, cdx.Property{Name: "apexlogic:scan:format", Value: f})
	}
	return &out
}
