package spdx

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format/document"
	"github.com/apexlogic/apex/internal/sbom/purl"
	"github.com/apexlogic/apex/verdict"
)

// Read reads an SPDX 2.2 or 2.3 document in JSON. The document has passed
// [document.Check].
//
// What the document describes is its subject, and one of its packages as well
// where it is a package of an ecosystem. Files are passed over. A package that
// Syft says another one owns has that one as its owner.
func Read(data []byte) (fact.Inventory, error) {
	r := &reader{b: document.NewBuilder(""), texts: map[string]string{}, described: map[string]bool{}, owners: map[string]string{}, byID: map[string]string{}}
	if err := r.read(data); err != nil {
		return fact.Inventory{}, fmt.Errorf("read SPDX: %w", err)
	}
	return r.b.Finish(), nil
}

type reader struct {
	w *document.Walker
	b *document.Builder
	// texts are licences by the references of this document, described the
	// identifiers of what it is about.
	texts     map[string]string
	described map[string]bool
	// owners are identifiers of packages by those that they own; byID the URLs
	// of packages, and ids their identifiers, in the order of the inventory.
	owners map[string]string
	byID   map[string]string
	ids    []string
}

// item is a package as it is read.
type item struct {
	ID           string `json:"SPDXID"`
	Name         string
	Version      string                     `json:"versionInfo"`
	Checksums    document.List[checksum]    `json:"checksums"`
	Concluded    string                     `json:"licenseConcluded"`
	Declared     string                     `json:"licenseDeclared"`
	Purpose      string                     `json:"primaryPackagePurpose"`
	Description  string                     `json:"description"`
	SourceInfo   string                     `json:"sourceInfo"`
	Attributions document.List[string]      `json:"attributionTexts"`
	ExternalRefs document.List[externalRef] `json:"externalRefs"`
	Annotations  document.List[annotation]  `json:"annotations"`
}

// read goes over the document twice: packages need to know what the document
// says elsewhere, in any order.
func (r *reader) read(data []byte) error {
	version := ""
	r.w = document.NewWalker(data)
	err := r.w.Object(func(key string) (err error) {
		switch key {
		case "spdxVersion":
			return r.w.Text(&version)
		case "creationInfo":
			return r.creation()
		case "documentDescribes":
			_, err = r.w.Array(func() error {
				var id string
				err := r.w.Text(&id)
				return errors.Join(err, r.describe(id))
			})
		case "relationships":
			_, err = r.w.Array(r.relationship)
		case "annotations":
			_, err = r.w.Array(func() error {
				var a annotation
				if err := r.w.Decode(&a); err != nil {
					return err
				}
				return r.inventory(&a)
			})
		case "hasExtractedLicensingInfos":
			_, err = r.w.Array(r.extracted)
		default:
			return r.w.Skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	switch version {
	case "SPDX-2.2", "SPDX-2.3":
	default:
		return fmt.Errorf("%w, not %q", ErrVersion, document.Clip(version, 20))
	}
	r.w = document.NewWalker(data)
	err = r.w.Object(func(key string) error {
		if key != "packages" {
			return r.w.Skip()
		}
		_, err := r.w.Array(r.pkg)
		return err
	})
	packages := r.b.Inventory().Packages
	for i, id := range r.ids {
		if owner := r.byID[r.owners[id]]; owner != "" && packages[i].Owner == "" && owner != packages[i].PURL {
			packages[i].Owner = owner
		}
	}
	return err
}

func (r *reader) creation() error {
	var c struct {
		Created  string                `json:"created"`
		Creators document.List[string] `json:"creators"`
	}
	if err := r.w.Decode(&c); err != nil {
		return err
	}
	inv := r.b.Inventory()
	inv.Made = document.Time(c.Created)
	for _, who := range c.Creators {
		name, ok := strings.CutPrefix(who, "Tool: ")
		if !ok || name == noTool || inv.Source != "" {
			continue
		}
		inv.Source, inv.Version = name, ""
		// "name-version", where both may hold dashes: a version begins with a digit or v.
		for i := range len(name) {
			if rest := strings.TrimPrefix(name[i:], "-"); rest != name[i:] && rest != "" && (rest[0] >= '0' && rest[0] <= '9' || rest[0] == 'v' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9') {
				inv.Source, inv.Version = name[:i], rest
				break
			}
		}
		for _, known := range [...]string{"Apex", "Trivy", "Syft"} {
			if strings.EqualFold(inv.Source, known) {
				inv.Source = known
			}
		}
	}
	return nil
}

func (r *reader) describe(id string) error {
	if len(r.described) == document.MaxPackages {
		return fmt.Errorf("%w (%d)", document.ErrTooMany, document.MaxPackages)
	}
	if id != "" {
		r.described[id] = true
	}
	return nil
}

func (r *reader) relationship() error {
	var rel relationship
	if err := r.w.Decode(&rel); err != nil {
		return err
	}
	switch {
	case rel.Type == "DESCRIBES" && rel.From == documentID:
		return r.describe(rel.To)
	case rel.Type == "DESCRIBED_BY" && rel.To == documentID:
		return r.describe(rel.From)
	case rel.Type == "OTHER" && strings.HasPrefix(rel.Comment, "ownership-by-file-overlap"):
		if len(r.owners) == document.MaxPackages {
			return fmt.Errorf("%w (%d owners)", document.ErrTooMany, document.MaxPackages)
		}
		r.owners[rel.To] = rel.From
	}
	return nil
}

func (r *reader) extracted() error {
	var e extracted
	if err := r.w.Decode(&e); err != nil {
		return err
	}
	if len(r.texts) == document.MaxPackages {
		return fmt.Errorf("%w (%d licences)", document.ErrTooMany, document.MaxPackages)
	}
	if r.texts[e.ID] = e.Text; e.Name != "" && e.Name != noAssertion {
		r.texts[e.ID] = e.Name // the text may be the whole licence
	}
	return nil
}

// inventory reads the document's annotation of ours.
func (r *reader) inventory(a *annotation) error {
	text, ok := strings.CutPrefix(a.Comment, inventoryComment)
	if !ok {
		return nil
	}
	var w struct {
		whole
		Layers document.List[string] `json:"layers"`
		Gaps   document.List[gap]    `json:"gaps"`
	}
	if err := strict(text, &w); err != nil {
		return err
	}
	inv := r.b.Inventory()
	if !w.Made.IsZero() {
		inv.Made = w.Made.UTC()
	}
	if !w.Database.IsZero() {
		inv.Database = w.Database.UTC()
	}
	inv.Subject.Repo = document.Clip(document.Clean(w.Repo), document.MaxText)
	if w.Kind != "" {
		if err := inv.Subject.Kind.UnmarshalText([]byte(w.Kind)); err != nil {
			return err
		}
	}
	for _, d := range w.Layers {
		if err := r.b.Layer(d); err != nil {
			return err
		}
	}
	for _, g := range w.Gaps {
		r.b.Gap(g.Path, g.Why)
		if n := len(inv.Gaps); n > 0 {
			inv.Gaps[n-1].Layer = g.Layer
		}
	}
	return nil
}

// strict reads the JSON within a text, which nobody has looked at yet.
func strict(text string, v any) error {
	if err := document.Check([]byte(text)); err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), v)
}

func (r *reader) pkg() error {
	var it item
	if err := r.w.Decode(&it); err != nil {
		return err
	}
	url := ""
	for _, ref := range it.ExternalRefs {
		if ref.Type == "purl" && url == "" {
			url = ref.Locator
		}
	}
	p := r.b.Identify(url, it.Name, it.Version)
	if len(r.described) == 1 && r.described[it.ID] && r.subject(&it, &p) {
		return nil
	}
	switch it.Purpose {
	case "OPERATING-SYSTEM":
		if d := &r.b.Inventory().Distribution; d.ID == "" {
			*d = fact.Distribution{
				ID:      purl.OSRelease(document.Clip(document.Clean(it.Name), 256)),
				Version: document.Clip(document.Clean(it.Version), 256), Name: document.Clip(document.Clean(it.Description), 256),
			}
		}
		return nil
	case "APPLICATION", "CONTAINER", "FILE", "SOURCE", "ARCHIVE", "DEVICE", "FIRMWARE", "INSTALL":
		if url == "" {
			return nil // a lock file, a folder: what is in it is listed by itself
		}
	}
	diffID, err := r.fill(&p, &it)
	if err != nil {
		return fmt.Errorf("%.100s: %w", it.ID, err)
	}
	before := len(r.b.Inventory().Packages)
	if err := r.b.Add(p, diffID); err != nil {
		return err
	}
	if len(r.b.Inventory().Packages) > before {
		r.ids = append(r.ids, it.ID)
		if it.ID != "" && p.PURL != "" {
			r.byID[it.ID] = p.PURL
		}
	}
	return nil
}

// subject reads what the document describes; true when it is no package of an
// ecosystem that could have advisories.
func (r *reader) subject(it *item, p *fact.Package) bool {
	inv := r.b.Inventory()
	if p.Ecosystem == "oci" {
		if inv.Subject.Repo == "" {
			inv.Subject.Repo = document.Clip(document.Clean(p.Name), document.MaxText)
		}
		r.b.Subject(p.Version)
	}
	r.b.Subject(it.Version)
	for _, c := range it.Checksums {
		if c.Algorithm == "SHA256" && it.Purpose == "CONTAINER" {
			r.b.Subject("sha256:" + c.Value)
		}
	}
	for _, line := range lines(it) {
		if d, ok := strings.CutPrefix(line, "RepoDigest: "); ok {
			r.b.Subject(d)
		} else if d, ok := strings.CutPrefix(line, "DiffID: "); ok {
			if r.b.Layer(d) != nil {
				break
			}
		}
	}
	if k := inv.Subject.Kind; k != verdict.KindUnknown && k != verdict.KindImage {
		inv.Subject.Digest, _ = verdict.ParseDigest(it.Version)
	}
	switch p.Ecosystem {
	case "oci", "docker", "generic", "GitHub Actions":
		return true
	}
	return false
}

// lines are where Trivy puts what SPDX has no place for.
func lines(it *item) []string {
	out := append([]string(nil), it.Attributions...)
	for _, a := range it.Annotations {
		out = append(out, a.Comment)
	}
	return out
}

// fill reads what stands about a package beside its URL.
func (r *reader) fill(p *fact.Package, it *item) (diffID string, err error) {
	stated := it.Declared
	if stated == "" || stated == noAssertion || stated == "NONE" {
		stated = it.Concluded
	}
	if text, ok := r.texts[stated]; ok {
		stated = text
	}
	p.Licenses = document.Licenses([]string{stated})
	for _, c := range it.Checksums {
		name := strings.ToLower(c.Algorithm)
		if _, ok := checksumOf(name + ":" + strings.ToLower(c.Value)); ok {
			p.Hashes = append(p.Hashes, name+":"+strings.ToLower(c.Value))
		}
	}
	for _, line := range lines(it) {
		if d, ok := strings.CutPrefix(line, "LayerDiffID: "); ok {
			diffID = d
		}
		if text, ok := strings.CutPrefix(line, packageComment); ok {
			return r.extra(p, text)
		}
	}
	r.source(p, it.SourceInfo)
	p.State = document.StateOf(p.Path)
	return diffID, nil
}

// source reads what Trivy and Syft write of where a package comes from:
// "built package from: openssl 3.0.11-1", "acquired package info from …: /path".
func (r *reader) source(p *fact.Package, info string) {
	if built, ok := strings.CutPrefix(info, "built package from: "); ok && p.SourceName == "" {
		name, version, _ := strings.Cut(built, " ")
		if name != p.Name || version != p.Version {
			p.SourceName, p.SourceVersion = name, version
		}
	}
	if _, file, ok := strings.Cut(info, ": /"); ok && strings.HasPrefix(info, "acquired package info from ") {
		file, _, _ = strings.Cut(file, ", ")
		p.Path = file
	}
}

// extra reads the package's annotation of ours.
func (r *reader) extra(p *fact.Package, text string) (diffID string, err error) {
	var e struct {
		extra
		Modules    document.List[string] `json:"modules"`
		Hashes     document.List[string] `json:"hashes"`
		Licenses   document.List[string] `json:"licenses"`
		Attributes document.List[string] `json:"attributes"`
	}
	e.Layer = -1
	if err := strict(text, &e); err != nil {
		return "", err
	}
	base := func(s string) string { name, _, _ := strings.Cut(s, ":"); return name }
	// The URL decides which ecosystem it is; the annotation, which release.
	if base(p.Ecosystem) == base(e.Ecosystem) || p.PURL == "" && e.Ecosystem != "" {
		p.Ecosystem = e.Ecosystem
	}
	p.SourceName, p.SourceVersion, p.Arch = e.SourceName, e.SourceVersion, e.Arch
	p.Path, p.Layer, p.Removed, p.Owner, p.By = e.Path, e.Layer, e.Removed, e.Owner, e.By
	p.Modules, p.Attributes = clean(e.Modules), clean(e.Attributes)
	p.Hashes = append(p.Hashes, clean(e.Hashes)...)
	if len(e.Licenses) > 0 {
		p.Licenses = document.Licenses(e.Licenses)
	}
	for s := fact.Installed; s <= fact.Linked; s++ {
		if s.String() == e.State {
			p.State = s
			return e.LayerDigest, nil
		}
	}
	return "", fmt.Errorf("unknown state %q", document.Clip(e.State, 40))
}

func clean(texts []string) []string {
	var out []string
	for _, t := range texts {
		out = append(out, document.Clip(document.Clean(t), document.MaxText))
	}
	return out
}
