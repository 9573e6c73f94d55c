// Package foreign reads the JSON that other tools write in a format of their own,
// as inventories: Syft, Trivy, Grype and OSV-Scanner.
//
// Start with [Syft], [Trivy], [Grype] and [OSVScanner]. What Syft lists, and
// Trivy with --list-all-pkgs, is everything that they found; the others list
// what they have findings about, which is a gap of the inventory: it proves what
// is there and never what is not. What is known of tool, version and the date
// of its database is kept.
//
// Documents have passed [document.Check]. The functions are pure and safe for
// concurrent use.
//
// Sources: Syft's JSON schema 16 and the older ones in their common part; Trivy's
// report of schema version 2; Grype's JSON document; OSV-Scanner's output format.
package foreign

import (
	"cmp"
	"encoding/json"
	"errors"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format/document"
	"github.com/apexlogic/apex/internal/sbom/purl"
)

// ErrSchema is wrapped by errors about a version of a format that is not read.
var ErrSchema = errors.New("the version of the format is not read")

// partial is the gap of reports that list findings.
const partial = "the document lists only packages with findings, so what it does not list may be there all the same"

// artifact is a package as Syft and Grype write it.
type artifact struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Version   string `json:"version"`
	Type      string `json:"type"`
	FoundBy   string `json:"foundBy"`
	PURL      string `json:"purl"`
	Locations document.List[struct {
		Path        string `json:"path"`
		LayerID     string `json:"layerID"`
		Annotations struct {
			Evidence string `json:"evidence"`
		} `json:"annotations"`
	}] `json:"locations"`
	Licenses  document.List[license] `json:"licenses"`
	Upstreams document.List[struct { // Grype
		Name    string `json:"name"`
		Version string `json:"version"`
	}] `json:"upstreams"`
	Metadata json.RawMessage `json:"metadata"`
}

// license is a text until schema 7, and an object since.
type license string

func (l *license) UnmarshalJSON(data []byte) error {
	var object struct {
		Value          string `json:"value"`
		SPDXExpression string `json:"spdxExpression"`
	}
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(l))
	}
	if err := json.Unmarshal(data, &object); err != nil {
		return err
	}
	*l = license(cmp.Or(object.SPDXExpression, object.Value))
	return nil
}

// pkg returns the artifact as a package, and the digest of its layer.
func (a *artifact) pkg(b *document.Builder) (p fact.Package, diffID string) {
	p = b.Identify(a.PURL, a.Name, a.Version)
	if a.PURL == "" {
		named(b, &p, a.Type)
	}
	p.By = a.FoundBy
	var licenses []string
	for _, l := range a.Licenses {
		licenses = append(licenses, string(l))
	}
	p.Licenses = document.Licenses(licenses)
	// Of several places the one that proves the package, else the first.
	for i, l := range a.Locations {
		if i == 0 || l.Annotations.Evidence == "primary" {
			p.Path, diffID = l.Path, l.LayerID
		}
		if l.Annotations.Evidence == "primary" {
			break
		}
	}
	var meta struct {
		Source        string          `json:"source"` // dpkg
		SourceVersion string          `json:"sourceVersion"`
		OriginPackage string          `json:"originPackage"` // apk
		Architecture  string          `json:"architecture"`
		SourceRPM     string          `json:"sourceRpm"`
		GoVersion     json.RawMessage `json:"goCompiledVersion"`
	}
	// The metadata differ by type and version; what is of another kind is left out.
	_ = json.Unmarshal(a.Metadata, &meta)
	if p.SourceName == "" {
		switch {
		case len(a.Upstreams) > 0:
			p.SourceName, p.SourceVersion = a.Upstreams[0].Name, a.Upstreams[0].Version
		case meta.Source != "":
			p.SourceName, p.SourceVersion = meta.Source, meta.SourceVersion
		case meta.OriginPackage != "" && meta.OriginPackage != p.Name:
			p.SourceName, p.SourceVersion = meta.OriginPackage, p.Version
		}
	}
	if p.Arch == "" {
		p.Arch = meta.Architecture
	}
	p.State = document.StateOf(p.Path)
	if a.Type == "go-module" && (len(meta.GoVersion) > 0 || a.FoundBy == "go-module-binary-cataloger") {
		p.State = fact.Linked
	}
	return p, diffID
}

// named gives a package without URL the ecosystem of its type, as Syft, Grype and
// Trivy call them: older versions write none. Of a distribution's package the
// release would be missing, so it is a gap: nothing can be known about it.
func named(b *document.Builder, p *fact.Package, kind string) {
	if p.PURL != "" || p.Ecosystem != "generic" {
		return
	}
	switch kind {
	case "python", "python-pkg", "pip", "pipenv", "poetry", "uv":
		p.Ecosystem = "PyPI"
	case "npm", "yarn", "pnpm", "node-pkg":
		p.Ecosystem = "npm"
	case "go-module", "gomod", "gobinary":
		p.Ecosystem = "Go"
	case "gem", "bundler", "gemspec":
		p.Ecosystem = "RubyGems"
	case "rust-crate", "cargo", "rustbinary":
		p.Ecosystem = "crates.io"
	case "php-composer", "composer":
		p.Ecosystem = "Packagist"
	case "dotnet", "nuget":
		p.Ecosystem = "NuGet"
	case "deb", "apk", "rpm", "os-pkgs":
		b.Gap(p.Name, "it has no package URL, so its distribution and what is known about it cannot be told")
		return
	default:
		return
	}
	p.PURL = purl.To(*p)
}

// source is what Syft and Grype looked at. The target is an object for images
// and a text for folders.
type source struct {
	Type     string          `json:"type"`
	Target   json.RawMessage `json:"target"`   // Syft until schema 9, Grype
	Metadata json.RawMessage `json:"metadata"` // Syft since
}

func (s *source) read(b *document.Builder) error {
	if s.Type != "image" {
		return nil
	}
	for _, raw := range []json.RawMessage{s.Metadata, s.Target} {
		var image struct {
			ManifestDigest string                `json:"manifestDigest"`
			RepoDigests    document.List[string] `json:"repoDigests"`
			Layers         document.List[struct {
				Digest string `json:"digest"`
			}] `json:"layers"`
		}
		if len(raw) == 0 || raw[0] != '{' {
			continue
		}
		if err := json.Unmarshal(raw, &image); err != nil {
			return err
		}
		// The manifest that was read; repoDigests may name the index above it.
		if b.Subject(image.ManifestDigest); image.ManifestDigest == "" {
			for _, d := range image.RepoDigests {
				b.Subject(d)
			}
		}
		for _, l := range image.Layers {
			if err := b.Layer(l.Digest); err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}

// distribution is Syft's and Grype's. idLike and others are left out.
type distribution struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Version    string `json:"version"`
	VersionID  string `json:"versionID"`
	PrettyName string `json:"prettyName"`
}

func (d *distribution) set(b *document.Builder) {
	b.Inventory().Distribution = fact.Distribution{
		ID: clip(cmp.Or(d.ID, d.Name)), Version: clip(cmp.Or(d.VersionID, d.Version)), Name: clip(d.PrettyName),
	}
}

func clip(s string) string { return document.Clip(document.Clean(s), 256) }

// descriptor names the tool that wrote a document, and its database.
type descriptor struct {
	Name      string          `json:"name"`
	Version   string          `json:"version"`
	Timestamp string          `json:"timestamp"`
	DB        json.RawMessage `json:"db"`
}

func (d *descriptor) set(b *document.Builder) {
	inv := b.Inventory()
	inv.Version, inv.Made = d.Version, document.Time(d.Timestamp)
	// The database's state is nested since Grype 0.88.
	var db struct {
		Built  string `json:"built"`
		Status struct {
			Built string `json:"built"`
		} `json:"status"`
	}
	if len(d.DB) > 0 && json.Unmarshal(d.DB, &db) == nil {
		inv.Database = document.Time(cmp.Or(db.Status.Built, db.Built))
	}
}
