package cyclonedx

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format/document"
	"github.com/apexlogic/apex/internal/sbom/purl"
	"github.com/apexlogic/apex/verdict"
)

// Read reads a CycloneDX document of version 1.2 to 1.7 in JSON: its components
// as an inventory, and the analysis of its vulnerabilities as statements. The
// document has passed [document.Check].
//
// Components that are no packages (files, data, models) are passed over unless
// they have a package URL. What the document says of itself that it is
// incomplete is a gap. Layers are those that the document lists, as Trivy and
// [Write] do.
func Read(data []byte) (fact.Inventory, []fact.VEX, error) {
	r := &reader{w: document.NewWalker(data), b: document.NewBuilder(""), byRef: map[string]string{}}
	format, version := "", ""
	err := r.w.Object(func(key string) (err error) {
		switch key {
		case "bomFormat":
			return r.w.Text(&format)
		case "specVersion":
			if err := r.w.Text(&version); err != nil {
				return err
			}
			return checkVersion(version)
		case "metadata":
			return r.metadata()
		case "components":
			return r.components()
		case "compositions":
			return r.compositions()
		case "vulnerabilities":
			_, err = r.w.Array(r.vulnerability)
			return err
		}
		return r.w.Skip()
	})
	if err == nil && format != "CycloneDX" {
		err = errors.New("bomFormat is not CycloneDX")
	}
	if err == nil {
		err = checkVersion(version)
	}
	if err != nil {
		return fact.Inventory{}, nil, fmt.Errorf("read CycloneDX: %w", err)
	}
	if r.incomplete && len(r.b.Inventory().Gaps) == 0 {
		r.b.Gap("", "the document says of itself that it is incomplete")
	}
	statements, err := r.statements()
	if err != nil {
		return fact.Inventory{}, nil, fmt.Errorf("read CycloneDX: %w", err)
	}
	return r.b.Finish(), statements, nil
}

// reader collects what stands in any order in the document.
type reader struct {
	w *document.Walker
	b *document.Builder
	// root is how the subject is called in references, products its names.
	root     string
	products []string
	author   string
	made     string
	// byRef are the package URLs of components by their reference.
	byRef      map[string]string
	incomplete bool
	analyses   []analysis
}

// item is one component, without those that it holds.
type item struct {
	Type, Ref, Group, Name, Version, PURL, Description string

	hashes     []property // algorithm and sum
	licenses   licenses
	properties []property
	locations  []property // paths
}

func (r *reader) metadata() error {
	inv := r.b.Inventory()
	var authors document.List[struct {
		Name string `json:"name"`
	}]
	organisations := map[string]string{}
	err := r.w.Object(func(key string) error {
		switch key {
		case "timestamp":
			err := r.w.Text(&r.made)
			inv.Made = document.Time(r.made)
			return err
		case "tools":
			var all tools
			if err := r.w.Decode(&all); err != nil {
				return err
			}
			if len(all) > 0 {
				inv.Source, inv.Version = canonical(all[0].Name), all[0].Version
			}
			return nil
		case "authors":
			return r.w.Decode(&authors)
		case "supplier", "manufacturer", "manufacture":
			var o struct {
				Name string `json:"name"`
			}
			err := r.w.Decode(&o)
			organisations[key] = o.Name
			return err
		case "component":
			var c item
			if err := r.item(&c, r.components); err != nil {
				return err
			}
			return r.subject(&c)
		case "properties":
			properties, err := r.pairs("name", "value")
			r.inventoryProperties(properties)
			return err
		}
		return r.w.Skip()
	})
	for _, a := range authors {
		if r.author == "" {
			r.author = a.Name
		}
	}
	for _, key := range []string{"manufacturer", "manufacture", "supplier"} {
		if r.author == "" {
			r.author = organisations[key]
		}
	}
	return err
}

// canonical is the name of a tool as everybody else spells it.
func canonical(name string) string {
	for _, known := range [...]string{"Apex", "Trivy", "Syft", "Grype", "OSV-Scanner"} {
		if strings.EqualFold(name, known) {
			return known
		}
	}
	return name
}

func (r *reader) inventoryProperties(properties []property) {
	inv := r.b.Inventory()
	for _, p := range properties {
		switch p.Name {
		case propDatabase:
			inv.Database = document.Time(p.Value)
		case propGap:
			var g gap
			if json.Unmarshal([]byte(p.Value), &g) != nil {
				g = gap{Layer: -1, Why: "the document tells of a gap in words that cannot be read"}
			}
			r.b.Gap(g.Path, g.Why)
			if n := len(inv.Gaps); n > 0 {
				inv.Gaps[n-1].Layer = g.Layer
			}
		}
	}
}

// item reads one component; nested reads those that it holds.
func (r *reader) item(c *item, nested func() error) error {
	return r.w.Object(func(key string) (err error) {
		switch key {
		case "type":
			return r.w.Text(&c.Type)
		case "bom-ref":
			return r.w.Text(&c.Ref)
		case "group":
			return r.w.Text(&c.Group)
		case "name":
			return r.w.Text(&c.Name)
		case "version":
			return r.w.Text(&c.Version)
		case "purl":
			return r.w.Text(&c.PURL)
		case "description":
			return r.w.Text(&c.Description)
		case "hashes":
			c.hashes, err = r.pairs("alg", "content")
			return err
		case "licenses":
			return r.w.Decode(&c.licenses)
		case "properties":
			c.properties, err = r.pairs("name", "value")
			return err
		case "evidence":
			return r.w.Object(func(key string) (err error) {
				if key != "occurrences" {
					return r.w.Skip()
				}
				c.locations, err = r.pairs("location", "")
				return err
			})
		case "components":
			return nested()
		}
		return r.w.Skip()
	})
}

// pairs reads a list of objects of which two members matter. Most of a document
// is such lists, and unmarshalling them would take most of the time.
func (r *reader) pairs(name, value string) (out []property, err error) {
	_, err = r.w.Array(func() error {
		if len(out) == document.MaxInner {
			return fmt.Errorf("%w (%d)", document.ErrTooMany, document.MaxInner)
		}
		var p property
		err := r.w.Object(func(key string) error {
			switch key {
			case name:
				return r.w.Text(&p.Name)
			case value:
				return r.w.Text(&p.Value)
			}
			return r.w.Skip()
		})
		out = append(out, p)
		return err
	})
	return out, err
}

// subject reads what the document is about.
func (r *reader) subject(c *item) error {
	inv := r.b.Inventory()
	r.root = c.Ref
	kind := verdict.KindImage
	r.b.Subject(c.Version)
	switch p := r.b.Identify(c.PURL, fullName(c), c.Version); p.Ecosystem {
	case "oci":
		inv.Subject.Repo = p.Name
		r.b.Subject(p.Version)
	case "generic", "docker", "GitHub Actions":
	default:
		// An application that is a package of an ecosystem: it is there as well.
		if err := r.add(c); err != nil {
			return err
		}
	}
	for _, p := range c.properties {
		switch p.Name {
		case propRepo:
			inv.Subject.Repo = p.Value
		case propKind:
			if err := kind.UnmarshalText([]byte(p.Value)); err != nil {
				return err
			}
		case propRoot, "aquasecurity:trivy:DiffID":
			if err := r.b.Layer(p.Value); err != nil {
				return err
			}
		case "aquasecurity:trivy:RepoDigest":
			r.b.Subject(p.Value)
		}
	}
	if kind != verdict.KindImage {
		inv.Subject.Kind = kind
		inv.Subject.Digest, _ = verdict.ParseDigest(c.Version)
	}
	if len(inv.Subject.Repo) > document.MaxText {
		return fmt.Errorf("component: %w", document.ErrTooLong)
	}
	inv.Subject.Repo = document.Clean(inv.Subject.Repo)
	for _, name := range []string{c.PURL, c.Version} {
		if _, err := verdict.ParseDigest(name); name != "" && (err == nil || name == c.PURL) && !slices.Contains(r.products, name) {
			r.products = append(r.products, name)
		}
	}
	return nil
}

// components reads a list of components, which may hold components.
func (r *reader) components() error {
	_, err := r.w.Array(func() error {
		var c item
		if err := r.item(&c, r.components); err != nil {
			return err
		}
		return r.component(&c)
	})
	return err
}

func (r *reader) component(c *item) error {
	if c.Ref != "" && c.PURL != "" {
		if len(r.byRef) == document.MaxPackages {
			return fmt.Errorf("%w (%d references)", document.ErrTooMany, document.MaxPackages)
		}
		r.byRef[c.Ref] = c.PURL
	}
	switch c.Type {
	case "operating-system":
		// A few documents name one for each package manager; the first is the image's.
		if d := &r.b.Inventory().Distribution; d.ID == "" {
			*d = fact.Distribution{
				ID:      purl.OSRelease(document.Clip(document.Clean(c.Name), 256)),
				Version: document.Clip(document.Clean(c.Version), 256), Name: document.Clip(document.Clean(c.Description), 256),
			}
		}
		return nil
	case "library", "framework", "application", "platform":
	default:
		if c.PURL == "" {
			return nil
		}
	}
	return r.add(c)
}

// add keeps a component as a package.
func (r *reader) add(c *item) error {
	p := r.b.Identify(c.PURL, fullName(c), c.Version)
	p.Licenses = document.Licenses(c.licenses)
	for _, h := range c.hashes {
		if ours := hashOf(h.Name, h.Value); ours != "" {
			p.Hashes = append(p.Hashes, ours)
		}
	}
	diffID, stated, err := r.properties(&p, c.properties)
	if err != nil || p.Ecosystem == "" {
		return err // the ecosystem is emptied for what is no package
	}
	if p.Path == "" && len(c.locations) > 0 {
		p.Path = c.locations[0].Name
	}
	if !stated {
		p.State = document.StateOf(p.Path)
	}
	return r.b.Add(p, diffID)
}

// fullName joins group and name as the package's ecosystem does.
func fullName(c *item) string {
	switch {
	case c.Group == "" || strings.HasPrefix(c.PURL, "pkg:deb/") || strings.HasPrefix(c.PURL, "pkg:apk/") || strings.HasPrefix(c.PURL, "pkg:rpm/"):
		return c.Name
	case strings.HasPrefix(c.PURL, "pkg:maven/"):
		return c.Group + ":" + c.Name
	}
	return c.Group + "/" + c.Name
}

// properties reads our properties, and those of Trivy and Syft that say what
// ours do. stated says whether they name the package's state.
func (r *reader) properties(p *fact.Package, properties []property) (diffID string, stated bool, err error) {
	var epoch, source, version, release string
	for _, q := range properties {
		switch q.Name {
		case propEcosystem:
			// The URL decides which ecosystem it is; the property, which release.
			if base(p.Ecosystem) == base(q.Value) || p.PURL == "" && q.Value != "" {
				p.Ecosystem = q.Value
			}
		case propSource:
			p.SourceName = q.Value
		case propSourceVersion:
			p.SourceVersion = q.Value
		case propArch:
			p.Arch = q.Value
		case propState:
			if p.State, err = state(q.Value); err != nil {
				return "", false, err
			}
			stated = true
		case propPath, "aquasecurity:trivy:FilePath", "syft:location:0:path":
			p.Path = q.Value
		case propLayer, "aquasecurity:trivy:LayerDiffID", "syft:location:0:layerID":
			diffID = q.Value
		case propLayerIndex:
			if n, err := strconv.Atoi(q.Value); err == nil {
				p.Layer = n
			}
		case propRemoved:
			p.Removed = q.Value == "true"
		case propOwner:
			p.Owner = q.Value
		case propBy, "syft:package:foundBy":
			p.By = q.Value
		case propModule:
			p.Modules = append(p.Modules, document.Clip(document.Clean(q.Value), document.MaxText))
		case propHash:
			p.Hashes = append(p.Hashes, document.Clip(document.Clean(q.Value), document.MaxText))
		case propAttribute:
			p.Attributes = append(p.Attributes, document.Clip(document.Clean(q.Value), document.MaxText))
		case "aquasecurity:trivy:SrcName":
			source = q.Value
		case "aquasecurity:trivy:SrcVersion":
			version = q.Value
		case "aquasecurity:trivy:SrcRelease":
			release = q.Value
		case "aquasecurity:trivy:SrcEpoch":
			epoch = q.Value
		case "aquasecurity:trivy:Class":
			if p.PURL == "" { // a lock file, under which Trivy lists what it names
				p.Ecosystem = ""
			}
		}
	}
	if source != "" && p.SourceName == "" {
		if full := document.FullVersion(epoch, version, release); source != p.Name || full != p.Version {
			p.SourceName, p.SourceVersion = source, full
		}
	}
	return diffID, stated, nil
}

// base is an ecosystem without the release.
func base(ecosystem string) string {
	name, _, _ := strings.Cut(ecosystem, ":")
	return name
}

func state(text string) (fact.PackageState, error) {
	for s := fact.Installed; s <= fact.Linked; s++ {
		if s.String() == text {
			return s, nil
		}
	}
	return 0, fmt.Errorf("property %s: unknown state %q", propState, document.Clip(text, 40))
}

// hashOf returns "sha256:<hex>", "" for an algorithm that has no name here.
func hashOf(alg, sum string) string {
	sum = strings.ToLower(sum)
	for _, a := range algorithms {
		if a.theirs == alg && algorithm(a.ours, sum) != "" {
			return a.ours + ":" + sum
		}
	}
	return ""
}

// compositions looks whether the document says that it is incomplete.
func (r *reader) compositions() error {
	_, err := r.w.Array(func() error {
		var c struct {
			Aggregate  string                `json:"aggregate"`
			Assemblies document.List[string] `json:"assemblies"`
		}
		if err := r.w.Decode(&c); err != nil {
			return err
		}
		whole := len(c.Assemblies) == 0 || slices.Contains(c.Assemblies, r.root)
		r.incomplete = r.incomplete || whole && strings.HasPrefix(c.Aggregate, "incomplete")
		return nil
	})
	return err
}

// purlOf returns the package URL that a reference means: that of a component of
// this document or, in a link to another document, the reference itself.
func (r *reader) purlOf(ref string) string {
	if url := r.byRef[ref]; url != "" {
		return url
	}
	if rest, ok := strings.CutPrefix(ref, "urn:cdx:"); ok {
		_, fragment, _ := strings.Cut(rest, "#")
		if text, err := url.PathUnescape(fragment); err == nil && strings.HasPrefix(text, "pkg:") {
			// The fragment is encoded once over the encoding of the URL itself.
			return text
		}
		if strings.HasPrefix(fragment, "pkg:") {
			return fragment
		}
	}
	if strings.HasPrefix(ref, "pkg:") {
		return ref
	}
	return ""
}
