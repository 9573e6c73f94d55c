// Package integrity compares what is installed with what its packages recorded
// when they were installed: the RECORD of wheels, the md5sums of dpkg, the
// checksums of apk and the digests of rpm.
//
// Start with [Check]: it reports files that were changed, files that are
// missing, and files in Python's folders that no package brought and that run
// by themselves (*.pth) or within a package. What is compared lies in the same
// image as what it is compared with: a finding is certain, silence only means
// that nobody forgot to forge the record as well.
//
// Sources: PyPA "Recording installed projects" (RECORD), deb-md5sums(5),
// apk-package(5), rpm's header tags.
package integrity

import (
	"context"
	"io"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
	"github.com/apexlogic/apex/verdict"
)

// Files is a file system as it can be seen at the end.
type Files interface {
	extract.Tree
	// Stat follows links; ok is false when there is nothing.
	Stat(path string) (s Stat, ok bool)
	// Visit reads the files of canonical paths, in any order; do gets all the
	// names of one content, and a reader that may fail.
	Visit(ctx context.Context, paths []string, do func(paths []string, r io.Reader) error) error
}

// Stat is what is known of a name.
type Stat struct {
	Canon   string // the path without links
	Layer   int    // the index of the layer that brought the file
	Regular bool   // it is a file, or a link to one
	Link    bool   // the name itself is a link
}

// Kind says what is wrong with a file.
type Kind uint8

// The kinds of finding.
const (
	Changed     Kind = iota // another content than the package recorded
	Missing                 // the package recorded it, and it is not there
	Extra                   // no package recorded it, and it runs
	Attestation             // what its publisher attests does not hold
)

var kindNames = [...]string{"changed", "missing", "extra", "attestation"}

// String returns the kind's name.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// MarshalText writes the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Finding is one file that is not as its package recorded it.
type Finding struct {
	Kind Kind   `json:"kind"`
	Path string `json:"path"`
	// Layer is the index of the layer that brought what is there now, -1 outside
	// of images and for a file that is missing.
	Layer int `json:"layer"`
	// Package is the PURL of the package; "" for a file of none.
	Package string `json:"package,omitempty"`
	// Source is the record: "RECORD", "dpkg", "apk" or "rpm"; or "attestation".
	Source string `json:"source"`
	// Want and Got are digests, "sha256:<hex>"; Want is "" for an extra file,
	// Got for a missing one.
	Want string `json:"want,omitempty"`
	Got  string `json:"got,omitempty"`
	// Detail says in words why an attestation does not hold.
	Detail string `json:"detail,omitempty"`
}

// Code is the finding's code.
func (f *Finding) Code() verdict.Code {
	if f.Kind == Attestation {
		return verdict.InventoryAttested
	}
	return verdict.InventoryIntegrity
}

// Attested is an attestation about a package that holds.
type Attested struct {
	// Package is the PURL of the package that it is about.
	Package string `json:"package"`
	// Path is the document's, as it was handed in or found; Layer the index of the
	// layer that brought it, -1 outside of images.
	Path  string `json:"path"`
	Layer int    `json:"layer"`
	// File is the archive that was compared; "" when lock files or direct_url.json
	// told its digest.
	File   string `json:"file,omitempty"`
	Digest string `json:"digest"` // "sha256:<hex>" or "sha512:<hex>"
	// Predicate is the type of what is attested: a publication, or provenance.
	Predicate string    `json:"predicate"`
	Publisher Publisher `json:"publisher"`
}

// Publisher is who signed an attestation, as the certificate says.
type Publisher struct {
	Issuer   string `json:"issuer,omitempty"`   // of the identity, for example "https://token.actions.githubusercontent.com"
	Identity string `json:"identity,omitempty"` // the workflow with its ref, or an address
	// Repository and Workflow are addresses, where the certificate has them.
	Repository string `json:"repository,omitempty"`
	Workflow   string `json:"workflow,omitempty"`
	// Key is the id of the registry's key that signed in place of a certificate.
	Key string `json:"key,omitempty"`
}

// Report is the outcome of a check.
type Report struct {
	// Checked is how many files were compared with a digest.
	Checked int `json:"checked"`
	// Unrecorded are the packages whose files nothing records, by PURL.
	Unrecorded []string   `json:"unrecorded,omitempty"`
	Findings   []Finding  `json:"findings"`
	Gaps       []fact.Gap `json:"gaps,omitempty"`
	// Attested are the attestations of publishers that hold. Most packages have
	// none, and that says nothing.
	Attested []Attested `json:"attested,omitempty"`
}
