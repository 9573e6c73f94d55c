package cyclonedx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format/document"
	"github.com/apexlogic/apex/internal/sbom/purl"
	"github.com/apexlogic/apex/verdict"
)

const (
	schema     = "http://cyclonedx.org/schema/bom-1.6.schema.json"
	subjectRef = "subject"
	systemRef  = "distribution"
)

// Write writes the inventory as a CycloneDX 1.6 document in JSON. The same
// inventory gives the same bytes; the serial number is made from all the rest,
// so no two different documents share one.
func Write(w io.Writer, inv *fact.Inventory) error {
	doc := &cdx.BOM{JSONSchema: schema, BOMFormat: cdx.BOMFormat, SpecVersion: cdx.SpecVersion1_6, Version: 1}
	doc.Metadata = metadata(inv)
	components := make([]cdx.Component, 0, len(inv.Packages)+1)
	if d := inv.Distribution; d.ID != "" {
		components = append(components, cdx.Component{BOMRef: systemRef, Type: cdx.ComponentTypeOS, Name: d.ID, Version: d.Version, Description: d.Name})
	}
	refs, first := references(inv.Packages)
	for i := range inv.Packages {
		p := &inv.Packages[i]
		if p.Name == "" {
			return fmt.Errorf("write CycloneDX: package %d (%s) has no name", i, p.Path)
		}
		components = append(components, component(p, refs[i], inv.Layers))
	}
	doc.Components = &components
	doc.Dependencies = dependencies(inv.Packages, refs, first)
	if len(inv.Gaps) > 0 {
		doc.Compositions = &[]cdx.Composition{{Aggregate: cdx.CompositionAggregateIncomplete, Assemblies: &[]cdx.BOMReference{subjectRef}}}
	}
	var unnumbered bytes.Buffer
	if err := encode(&unnumbered, doc); err != nil {
		return fmt.Errorf("write CycloneDX: %w", err)
	}
	// RFC 9562 §5.5: the version 5 of a name in the namespace of URLs.
	doc.SerialNumber = "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceURL, unnumbered.Bytes()).String()
	// Encoding once more would take as long again; the number has its place
	// before the version of the document, which is the first of its name.
	const after = "\n  \"version\": 1,"
	head, tail, _ := bytes.Cut(unnumbered.Bytes(), []byte(after))
	for _, part := range [][]byte{head, []byte("\n  \"serialNumber\": \"" + doc.SerialNumber + "\","), []byte(after), tail} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

func encode(w io.Writer, doc *cdx.BOM) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(doc)
}

func metadata(inv *fact.Inventory) *cdx.Metadata {
	m := &cdx.Metadata{Component: subject(inv)}
	if inv.Source != "" {
		m.Tools = &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: inv.Source, Version: inv.Version}}}
	}
	if !inv.Made.IsZero() {
		m.Timestamp = inv.Made.UTC().Format(time.RFC3339Nano)
	}
	var props []cdx.Property
	if !inv.Database.IsZero() {
		props = append(props, cdx.Property{Name: propDatabase, Value: inv.Database.UTC().Format(time.RFC3339Nano)})
	}
	for _, g := range inv.Gaps {
		value, _ := json.Marshal(gap(g)) // texts and a number cannot fail
		props = append(props, cdx.Property{Name: propGap, Value: string(value)})
	}
	if len(props) > 0 {
		m.Properties = &props
	}
	return m
}

// subject is what the inventory is about.
func subject(inv *fact.Inventory) *cdx.Component {
	s := inv.Subject
	c := &cdx.Component{BOMRef: subjectRef, Type: cdx.ComponentTypeApplication, Name: s.Repo, Version: string(s.Digest)}
	var props []cdx.Property
	if s.Digest != "" && s.Kind == verdict.KindImage {
		c.Type = cdx.ComponentTypeContainer
		c.PackageURL = purl.To(fact.Package{Ecosystem: "oci", Name: s.Repo, Version: string(s.Digest)})
	} else if s.Kind != verdict.KindUnknown {
		props = append(props, cdx.Property{Name: propKind, Value: s.Kind.String()})
	}
	if s.Repo != "" {
		props = append(props, cdx.Property{Name: propRepo, Value: s.Repo})
	}
	if c.Name == "" {
		c.Name = "unnamed" // a name is required
	}
	for _, d := range inv.Layers {
		props = append(props, cdx.Property{Name: propRoot, Value: string(d)})
	}
	if len(props) > 0 {
		c.Properties = &props
	}
	return c
}

// references returns a name for each package that nothing else in the document
// has, and the first package of each URL.
func references(packages []fact.Package) (refs []string, first map[string]int) {
	refs = make([]string, len(packages))
	first = make(map[string]int, len(packages))
	next := map[string]int{} // the number to try next for a name that is taken
	taken := make(map[string]bool, len(packages)+2)
	taken[subjectRef], taken[systemRef] = true, true
	for i := range packages {
		p := &packages[i]
		name := p.PURL
		if name == "" {
			name = "package:" + p.Ecosystem + "/" + p.Name + "@" + p.Version
		} else if _, ok := first[name]; !ok {
			first[name] = i
		}
		ref := name
		for n := max(next[name], 2); taken[ref]; n++ {
			ref = name + " (" + strconv.Itoa(n) + ")"
			next[name] = n + 1
		}
		taken[ref] = true
		refs[i] = ref
	}
	return refs, first
}

func component(p *fact.Package, ref string, layers []verdict.Digest) cdx.Component {
	c := cdx.Component{BOMRef: ref, Type: cdx.ComponentTypeLibrary, Name: p.Name, Version: p.Version, PackageURL: p.PURL, Licenses: licensesOf(p)}
	props := make([]cdx.Property, 0, 10)
	add := func(name, value string) {
		if value != "" {
			props = append(props, cdx.Property{Name: name, Value: value})
		}
	}
	add(propEcosystem, p.Ecosystem)
	add(propSource, p.SourceName)
	add(propSourceVersion, p.SourceVersion)
	add(propArch, p.Arch)
	add(propState, p.State.String())
	add(propPath, p.Path)
	if p.Layer >= 0 && p.Layer < len(layers) {
		add(propLayer, string(layers[p.Layer]))
		add(propLayerIndex, strconv.Itoa(p.Layer))
	}
	if p.Removed {
		add(propRemoved, "true")
	}
	add(propOwner, p.Owner)
	add(propBy, p.By)
	for _, m := range p.Modules {
		add(propModule, m)
	}
	var hashes []cdx.Hash
	for _, h := range p.Hashes {
		name, sum, _ := strings.Cut(h, ":")
		if a := algorithm(name, sum); a != "" {
			hashes = append(hashes, cdx.Hash{Algorithm: cdx.HashAlgorithm(a), Value: sum})
		} else {
			add(propHash, h)
		}
	}
	if len(hashes) > 0 {
		c.Hashes = &hashes
	}
	for _, a := range p.Attributes {
		add(propAttribute, a)
	}
	c.Properties = &props
	if p.Path != "" {
		c.Evidence = &cdx.Evidence{Occurrences: &[]cdx.EvidenceOccurrence{{Location: p.Path}}}
	}
	return c
}

// licensesOf writes identifiers and expressions as such where they are known to
// be valid: validators refuse those that are not, and a name is always allowed.
func licensesOf(p *fact.Package) *cdx.Licenses {
	stated := document.Licenses(p.Licenses)
	if len(stated) == 0 {
		return nil
	}
	if len(stated) == 1 && !document.Identifier(stated[0]) && document.Expression(stated[0]) {
		return &cdx.Licenses{{Expression: stated[0]}}
	}
	out := make(cdx.Licenses, 0, len(stated))
	for _, s := range stated {
		if document.Identifier(s) {
			out = append(out, cdx.LicenseChoice{License: &cdx.License{ID: s}})
		} else {
			out = append(out, cdx.LicenseChoice{License: &cdx.License{Name: s}})
		}
	}
	return &out
}

// dependencies says who brought what.
func dependencies(packages []fact.Package, refs []string, first map[string]int) *[]cdx.Dependency {
	owned := make([][]string, len(packages))
	var loose []string
	for i := range packages {
		owner, ok := first[packages[i].Owner]
		if packages[i].Owner == "" || !ok || owner == i {
			loose = append(loose, refs[i])
			continue
		}
		owned[owner] = append(owned[owner], refs[i])
	}
	out := []cdx.Dependency{{Ref: subjectRef}}
	if len(loose) > 0 {
		out[0].Dependencies = &loose
	}
	for i := range owned {
		if len(owned[i]) > 0 {
			out = append(out, cdx.Dependency{Ref: refs[i], Dependencies: &owned[i]})
		}
	}
	return &out
}
