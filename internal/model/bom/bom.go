// Package bom writes what a model consists of and came from for those who read
// bills of materials and provenance: [Write] makes a CycloneDX ML-BOM,
// [Provenance] the predicate of SLSA provenance for a training or conversion.
//
// Both are deterministic: the same input gives the same bytes.
//
// Sources: CycloneDX 1.6 (ECMA-424) with its model cards, SLSA provenance v1.
package bom

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
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

// namespace makes serial numbers (RFC 9562 §5.5).
var namespace = uuid.MustParse("9d1c0a5e-6f0b-5a54-9e0e-6c1b4c2f7a10")

// Write writes the model's CycloneDX 1.6 document as JSON. Its serial number is
// made from all that it says, so no two different documents share one.
func Write(w io.Writer, m *Model) error {
	if err := m.check(); err != nil {
		return err
	}
	doc := cdx.NewBOM()
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
	var unnumbered bytes.Buffer
	if err := encode(&unnumbered, doc); err != nil {
		return err
	}
	doc.SerialNumber = "urn:uuid:" + uuid.NewSHA1(namespace, unnumbered.Bytes()).String()
	return encode(w, doc)
}

func encode(w io.Writer, doc *cdx.BOM) error {
	return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(doc, cdx.SpecVersion1_6)
}

func (m *Model) check() error {
	if m.Name == "" {
		return errors.New("the model has no name")
	}
	if err := sha256Or(m.Root, "the model"); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, f := range m.Files {
		if seen[f.Path] || f.Path == "" {
			return fmt.Errorf("the file %q is there twice, or has no path", f.Path)
		}
		seen[f.Path] = true
		if err := sha256Or(f.Digest, f.Path); err != nil {
			return err
		}
	}
	for _, o := range slices.Concat(m.Bases, m.Datasets) {
		if o.Name == "" {
			return errors.New("a base model or dataset has no name")
		}
		if err := o.check(); err != nil {
			return err
		}
	}
	return nil
}

// check refuses what readers of URIs refuse, and passwords: what is written is
// published.
func (o *Origin) check() error {
	if err := checkURI(o.URI); err != nil {
		return err
	}
	return sha256Or(o.Digest, o.URI)
}

func checkURI(uri string) error {
	if uri == "" {
		return nil
	}
	u, err := url.Parse(uri)
	if err != nil || strings.ContainsAny(uri, " <>\"{}|\\^`") {
		return errors.New("it is no URI: write scheme://host/path, with %20 for a space") // url.Error quotes all of it
	}
	if _, password := u.User.Password(); password {
		return fmt.Errorf("the URI of %s holds a password, which would be published", u.Host)
	}
	return nil
}

func sha256Or(d verdict.Digest, of string) error {
	if d == "" {
		return nil
	}
	if _, err := verdict.ParseDigest(string(d)); err != nil || !strings.HasPrefix(string(d), "sha256:") {
		return fmt.Errorf("the digest of %s is no sha256:HEX", of)
	}
	return nil
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

// properties state, under names of ours, what the component's hash is and what
// the scan said.
func properties(m *Model) *[]cdx.Property {
	var out []cdx.Property
	if m.Root != "" {
		out = append(out, cdx.Property{Name: "apexlogic:model:root", Value: string(m.Root)}) // the hash over the files' hashes
	}
	if m.Scan == nil {
		if out == nil {
			return nil
		}
		return &out
	}
	out = append(out,
		cdx.Property{Name: "apexlogic:scan:verdict", Value: m.Scan.Verdict},
		cdx.Property{Name: "apexlogic:scan:scanner", Value: m.Scan.Scanner.Name + "/" + m.Scan.Scanner.Version},
		cdx.Property{Name: "apexlogic:scan:lists", Value: m.Scan.Scanner.Lists},
	)
	for _, f := range m.Scan.Formats {
		out = append(out, cdx.Property{Name: "apexlogic:scan:format", Value: f})
	}
	return &out
}
