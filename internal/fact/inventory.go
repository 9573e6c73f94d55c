package fact

import (
	"fmt"
	"slices"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// Inventory is what is inside an image, a folder or a file system: every
// package that something there says is present.
type Inventory struct {
	// Subject is what was looked at; its digest is "" for a folder.
	Subject verdict.Ref `json:"subject,omitzero"`
	// Source is the tool that made the list ("Apex", "Syft", "Trivy", …), its
	// version, and when; zero when the document does not say.
	Source  string    `json:"source,omitempty"`
	Version string    `json:"version,omitempty"`
	Made    time.Time `json:"made,omitzero"`
	// Database is the state of the vulnerability database that the tool used;
	// zero when it used none or does not say.
	Database time.Time `json:"database,omitzero"`
	// Distribution is the Linux distribution as its os-release says; zero: none.
	Distribution Distribution `json:"distribution,omitzero"`
	// Layers are the diffIDs, lowest first; Package.Layer is an index into them.
	Layers   []verdict.Digest `json:"layers,omitempty"`
	Packages []Package        `json:"packages"`
	// Gaps are places that could not be read to the end. An inventory with gaps
	// proves what is there, never what is not.
	Gaps []Gap `json:"gaps,omitempty"`
	// Findings are what is wrong with packages whichever version they are; none
	// proves nothing.
	Findings []InventoryFinding `json:"findings,omitempty"`
}

// InventoryFinding is something about one package that a person should look at.
type InventoryFinding struct {
	// Code says what it is, for example verdict.InventoryLookalike.
	Code verdict.Code `json:"code"`
	// Package is the package's URL; Name, Version, Path, Layer and Removed are as
	// the package has them.
	Package string `json:"package,omitempty"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Path    string `json:"path"`
	Layer   int    `json:"layer"`
	Removed bool   `json:"removed,omitempty"`
	// Like is the name that this one looks like.
	Like string `json:"like,omitempty"`
	// Detail says in words what was found.
	Detail string `json:"detail"`
}

// Distribution names a Linux distribution (os-release(5)).
type Distribution struct {
	ID      string `json:"id"`                // "debian", "alpine", "rocky", …
	Version string `json:"version,omitempty"` // VERSION_ID
	Name    string `json:"name,omitempty"`    // PRETTY_NAME
}

// Gap is a place that could not be read, and why.
type Gap struct {
	Path  string `json:"path"`
	Layer int    `json:"layer"`
	Why   string `json:"why"`
}

// PackageState says how a package is present.
type PackageState uint8

// The states. Only an Installed package is code that can run as it is; the
// others say what would be installed, or what is carried by something else.
const (
	Installed PackageState = iota // its files are there
	Locked                        // a lock file names exactly this version
	Declared                      // a requirement that allows this version; Version may be ""
	Vendored                      // carried inside another package: a shared object in a wheel, a bundled copy
	Linked                        // compiled into a program, as Go's build information says
)

var stateNames = [...]string{"installed", "locked", "declared", "vendored", "linked"}

// String returns the state's name.
func (s PackageState) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// MarshalText writes the state's name.
func (s PackageState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads exactly what MarshalText writes.
func (s *PackageState) UnmarshalText(text []byte) error {
	i := slices.Index(stateNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("unknown state %q of a package", text)
	}
	*s = PackageState(i)
	return nil
}

// Package is one package in one place. The same package in two layers or two
// folders is two of them.
type Package struct {
	// Ecosystem as OSV spells it, with the release where it has one: "PyPI",
	// "npm", "Go", "Debian:12", "Alpine:v3.20", "Rocky Linux:9"; "conda" and
	// "generic" have no advisories there.
	Ecosystem string `json:"ecosystem"`
	// Name as the package itself spells it. Advisories are looked up by the
	// ecosystem's normal form of it.
	Name    string `json:"name"`
	Version string `json:"version"`
	// SourceName and SourceVersion are what it was built from, where that is
	// called differently: Debian and Alpine advisories name sources.
	SourceName    string       `json:"sourceName,omitempty"`
	SourceVersion string       `json:"sourceVersion,omitempty"`
	Arch          string       `json:"arch,omitempty"`
	State         PackageState `json:"state"`
	// PURL is the package URL (purl-spec), qualifiers included.
	PURL     string   `json:"purl,omitempty"`
	Licenses []string `json:"licenses,omitempty"` // as stated: SPDX expressions or free text

	// Path is the file that says so, slash-separated without a leading slash.
	Path string `json:"path"`
	// Layer is the index of the layer that brought it, -1 outside of images.
	Layer int `json:"layer"`
	// Removed says that a later layer deleted or replaced it: it is in the image
	// and cannot be seen at run time.
	Removed bool `json:"removed,omitempty"`
	// Owner is the PURL of the package that brought these files: the distribution's
	// package of a Python module, the wheel that carries a shared object; "": nobody.
	Owner string `json:"owner,omitempty"`
	// By is the extractor that found it.
	By string `json:"by,omitempty"`
	// Modules are the top-level names by which programs import it.
	Modules []string `json:"modules,omitempty"`
	// Imported is the evidence that programs load it. None proves nothing: an
	// observation is of what ran, and only who read all sources can say never.
	Imported []ImportEvidence `json:"imported,omitempty"`
	// Hashes are what a lock file pins its archives to, "sha256:<hex>".
	Hashes []string `json:"hashes,omitempty"`
	// Attributes are further properties that decide about matching: "yanked",
	// "editable", "direct" (asked for, not pulled in), "dev", "soname".
	Attributes []string `json:"attributes,omitempty"`
}

// ImportEvidence says that programs load a package, and how that is known.
type ImportEvidence struct {
	Source ImportSource `json:"source"`
	// From names the file that says so: a source file or folder, or a record of loads.
	From string `json:"from,omitempty"`
	// Module is the module by which it was loaded, or File the library.
	Module string `json:"module,omitempty"`
	File   string `json:"file,omitempty"`
}

// ImportSource is how an import is known.
type ImportSource string

// The sources of evidence.
const (
	ImportStatic   ImportSource = "static"   // a source file imports it
	ImportObserved ImportSource = "observed" // a program was seen to load it
)

// Has reports whether the package has the attribute.
func (p *Package) Has(attribute string) bool { return slices.Contains(p.Attributes, attribute) }

// Key names the package wherever it lies: what matching depends on and nothing else.
func (p *Package) Key() PackageKey {
	return PackageKey{p.Ecosystem, p.Name, p.Version, p.SourceName, p.SourceVersion}
}

// PackageKey is comparable: equal keys have equal advisories.
type PackageKey struct{ Ecosystem, Name, Version, SourceName, SourceVersion string }

// VEXStatus is what somebody says about a vulnerability in a product (OpenVEX 0.2.0).
type VEXStatus string

// The states of a VEX statement.
const (
	NotAffected        VEXStatus = "not_affected"
	Affected           VEXStatus = "affected"
	Fixed              VEXStatus = "fixed"
	UnderInvestigation VEXStatus = "under_investigation"
)

// VEX is one statement: that a product is, or is not, affected.
type VEX struct {
	Vulnerability string   `json:"vulnerability"`
	Aliases       []string `json:"aliases,omitempty"`
	// Products are PURLs or digests ("pkg:oci/…", "sha256:…"); Subcomponents are
	// the PURLs of packages in them; none: the product itself.
	Products      []string  `json:"products"`
	Subcomponents []string  `json:"subcomponents,omitempty"`
	Status        VEXStatus `json:"status"`
	Justification string    `json:"justification,omitempty"`
	Impact        string    `json:"impact,omitempty"`
	Action        string    `json:"action,omitempty"`
	Author        string    `json:"author,omitempty"`
	Made          time.Time `json:"made,omitzero"`
	// Until is when the statement lapses; zero: the document gives no expiry.
	Until time.Time `json:"until,omitzero"`
	// Format of the document, and who signed it; a statement that nobody
	// signed is shown and changes nothing.
	Format  string  `json:"format"`
	Signing Signing `json:"signing,omitzero"`
}
