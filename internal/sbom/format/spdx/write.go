package spdx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format/document"
	"github.com/apexlogic/apex/internal/sbom/purl"
	"github.com/apexlogic/apex/verdict"
)

// written is the document, its members in the order of the specification.
type written struct {
	ID          string `json:"SPDXID"`
	Version     string `json:"spdxVersion"`
	DataLicense string `json:"dataLicense"`
	Name        string `json:"name"`
	// Namespace names the document; it is made from all the rest.
	Namespace string `json:"documentNamespace"`
	Creation  struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	} `json:"creationInfo"`
	Annotations   []annotation     `json:"annotations,omitempty"`
	Packages      []writtenPackage `json:"packages"`
	Extracted     []extracted      `json:"hasExtractedLicensingInfos,omitempty"`
	Relationships []relationship   `json:"relationships"`
}

type writtenPackage struct {
	ID               string        `json:"SPDXID"`
	Name             string        `json:"name"`
	Version          string        `json:"versionInfo,omitempty"`
	DownloadLocation string        `json:"downloadLocation"`
	FilesAnalyzed    bool          `json:"filesAnalyzed"`
	Checksums        []checksum    `json:"checksums,omitempty"`
	Concluded        string        `json:"licenseConcluded"`
	Declared         string        `json:"licenseDeclared"`
	Copyright        string        `json:"copyrightText"`
	Purpose          string        `json:"primaryPackagePurpose,omitempty"`
	Description      string        `json:"description,omitempty"`
	SourceInfo       string        `json:"sourceInfo,omitempty"`
	ExternalRefs     []externalRef `json:"externalRefs,omitempty"`
	Annotations      []annotation  `json:"annotations,omitempty"`
}

// Write writes the inventory as an SPDX 2.3 document in JSON. The same inventory
// gives the same bytes, and the namespace is made from all the rest. An
// inventory that does not say when it was made gets the time 1970-01-01, since
// SPDX wants one.
func Write(w io.Writer, inv *fact.Inventory) error {
	d := written{ID: documentID, Version: "SPDX-2.3", DataLicense: "CC0-1.0", Name: inv.Subject.String()}
	if d.Name == "" {
		d.Name = "unnamed"
	}
	made := inv.Made
	if made.IsZero() {
		made = unknownTime()
	}
	d.Creation.Created = made.UTC().Format(seconds)
	a := author{annotation{Date: d.Creation.Created, Type: "OTHER", Annotator: creator(inv)}}
	d.Creation.Creators = []string{a.Annotator}
	about, err := a.say(inventoryComment, wholeOf(inv))
	if err != nil {
		return fmt.Errorf("write SPDX: %w", err)
	}
	d.Annotations = []annotation{about}

	d.Packages = append(make([]writtenPackage, 0, len(inv.Packages)+2), subject(inv))
	d.Relationships = []relationship{{From: documentID, To: subjectID, Type: "DESCRIBES"}}
	if s := inv.Distribution; s.ID != "" {
		d.Packages = append(d.Packages, writtenPackage{
			ID: systemID, Name: s.ID, Version: s.Version, Description: s.Name, Purpose: "OPERATING-SYSTEM",
			DownloadLocation: noAssertion, Concluded: noAssertion, Declared: noAssertion, Copyright: noAssertion,
		})
		d.Relationships = append(d.Relationships, relationship{From: subjectID, To: systemID, Type: "CONTAINS"})
	}
	first := map[string]int{}
	for i := range inv.Packages {
		if url := inv.Packages[i].PURL; url != "" {
			if _, ok := first[url]; !ok {
				first[url] = i
			}
		}
	}
	texts := refs{ids: map[string]string{}}
	for i := range inv.Packages {
		p := &inv.Packages[i]
		if p.Name == "" {
			return fmt.Errorf("write SPDX: package %d (%s) has no name", i, p.Path)
		}
		out := packageOf(p, i, &texts)
		note, err := a.say(packageComment, extraOf(p, inv.Layers))
		if err != nil {
			return fmt.Errorf("write SPDX: %w", err)
		}
		out.Annotations = []annotation{note}
		d.Packages = append(d.Packages, out)
		by := subjectID
		if owner, ok := first[p.Owner]; ok && p.Owner != "" && owner != i {
			by = packageID(owner)
		}
		d.Relationships = append(d.Relationships, relationship{From: by, To: out.ID, Type: "CONTAINS"})
	}
	d.Extracted = texts.list

	var unnamed bytes.Buffer
	e := json.NewEncoder(&unnamed)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		return fmt.Errorf("write SPDX: %w", err)
	}
	// The namespace is made from the document without it, and put in its place.
	const place = "\n  \"documentNamespace\": \""
	head, tail, _ := bytes.Cut(unnamed.Bytes(), []byte(place))
	name := "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceURL, unnamed.Bytes()).String()
	for _, part := range [][]byte{head, []byte(place + name), tail} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// author makes annotations of one tool and time.
type author struct{ annotation }

func (a author) say(kind string, v any) (annotation, error) {
	data, err := json.Marshal(v)
	out := a.annotation
	out.Comment = kind + string(data)
	return out, err
}

// creator names the tool as the specification does, "Tool: name-version".
func creator(inv *fact.Inventory) string {
	name := inv.Source
	if name == "" {
		return "Tool: " + noTool
	}
	if inv.Version != "" {
		name += "-" + inv.Version
	}
	return "Tool: " + name
}

// noTool is written where the inventory names no tool: there has to be one.
const noTool = "unknown"

func subject(inv *fact.Inventory) writtenPackage {
	s := inv.Subject
	p := writtenPackage{
		ID: subjectID, Name: s.Repo, Version: string(s.Digest),
		DownloadLocation: noAssertion, Concluded: noAssertion, Declared: noAssertion, Copyright: noAssertion, Purpose: "OTHER",
	}
	if p.Name == "" {
		p.Name = "unnamed"
	}
	if s.Digest != "" && s.Kind == verdict.KindImage {
		p.Purpose = "CONTAINER"
		if url := purl.To(fact.Package{Ecosystem: "oci", Name: s.Repo, Version: string(s.Digest)}); url != "" {
			p.ExternalRefs = []externalRef{{Category: "PACKAGE-MANAGER", Type: "purl", Locator: url}}
		}
	}
	return p
}

func wholeOf(inv *fact.Inventory) whole {
	out := whole{Repo: inv.Subject.Repo, Made: inv.Made, Database: inv.Database}
	if inv.Subject.Kind != verdict.KindUnknown {
		out.Kind = inv.Subject.Kind.String()
	}
	for _, d := range inv.Layers {
		out.Layers = append(out.Layers, string(d))
	}
	for _, g := range inv.Gaps {
		out.Gaps = append(out.Gaps, gap(g))
	}
	return out
}

func extraOf(p *fact.Package, layers []verdict.Digest) extra {
	out := extra{
		Ecosystem: p.Ecosystem, SourceName: p.SourceName, SourceVersion: p.SourceVersion, Arch: p.Arch, State: p.State.String(),
		Path: p.Path, Layer: -1, Removed: p.Removed, Owner: p.Owner, By: p.By, Modules: p.Modules, Attributes: p.Attributes,
	}
	if p.Layer >= 0 && p.Layer < len(layers) {
		out.Layer, out.LayerDigest = p.Layer, string(layers[p.Layer])
	}
	for _, h := range p.Hashes {
		if _, ok := checksumOf(h); !ok {
			out.Hashes = append(out.Hashes, h)
		}
	}
	if stated := document.Licenses(p.Licenses); len(stated) > 1 {
		out.Licenses = stated
	}
	return out
}

func packageID(i int) string { return "SPDXRef-Package-" + strconv.Itoa(i+1) }

func packageOf(p *fact.Package, i int, texts *refs) writtenPackage {
	out := writtenPackage{
		ID: packageID(i), Name: p.Name, Version: p.Version, DownloadLocation: noAssertion,
		Concluded: noAssertion, Declared: texts.expression(document.Licenses(p.Licenses)), Copyright: noAssertion, Purpose: "LIBRARY",
	}
	if p.Path != "" {
		out.SourceInfo = "found in " + p.Path
	}
	if p.PURL != "" {
		out.ExternalRefs = []externalRef{{Category: "PACKAGE-MANAGER", Type: "purl", Locator: p.PURL}}
	}
	for _, h := range p.Hashes {
		if c, ok := checksumOf(h); ok {
			out.Checksums = append(out.Checksums, c)
		}
	}
	return out
}

func checksumOf(h string) (checksum, bool) {
	name, sum, _ := strings.Cut(h, ":")
	if n := digits(name); n == 0 || len(sum) != n || strings.Trim(sum, "0123456789abcdef") != "" {
		return checksum{}, false
	}
	return checksum{Algorithm: strings.ToUpper(name), Value: sum}, true
}

// refs are the licences that SPDX has no identifier for.
type refs struct {
	ids  map[string]string
	list []extracted
}

// expression is what the stated licences are together. Whoever states several
// seldom says whether one may choose, so all of them apply.
func (r *refs) expression(stated []string) string {
	if len(stated) == 0 {
		return noAssertion
	}
	parts := make([]string, len(stated))
	for i, s := range stated {
		switch {
		case document.Identifier(s):
			parts[i] = s
		case document.Expression(s) && len(stated) == 1:
			parts[i] = s
		case document.Expression(s):
			parts[i] = "(" + s + ")"
		default:
			parts[i] = r.ref(s)
		}
	}
	return strings.Join(parts, " AND ")
}

func (r *refs) ref(text string) string {
	id, ok := r.ids[text]
	if !ok {
		id = "LicenseRef-" + strconv.Itoa(len(r.list)+1)
		r.ids[text] = id
		r.list = append(r.list, extracted{ID: id, Text: text})
	}
	return id
}
