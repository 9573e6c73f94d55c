// Package attestation verifies what the publishers of Python and npm packages
// attest about them: PEP 740 attestations and provenance objects of PyPI, and the
// attestations of npm's registry.
//
// Start with [Check], which finds such documents in an examined tree, takes more
// that are handed in, and binds each to an archive that lies beside it, or to the
// digests by which lock files and direct_url.json pin the package. It reads no
// network and asks no index.
//
// An attestation that holds says who published the file, in a log that anybody
// can read: a repository and a workflow of it. It does not say that one should
// trust them; that the expected repository stands there is for a person or a
// policy to see. One that is there and does not hold is an integrity finding.
// None says nothing: most packages have none.
//
// Sources: "Index hosted attestations" of packaging.python.org (PEP 740), "PyPI
// Publish Attestation (v1)" of docs.pypi.org, npm's publish attestation v0.1,
// SLSA provenance v0.2 and v1, in-toto Statement v0.1 and v1, and the OID
// directory of Fulcio for what its certificates say.
package attestation

import (
	"context"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/integrity"
)

const (
	// maxDocument bounds one document; the largest provenance of npm has 100 KB.
	maxDocument = 4 << 20
	// maxDocuments of one tree, and maxAttestations in all of them: each costs a
	// signature to verify, about a millisecond.
	maxDocuments    = 5_000
	maxAttestations = 10_000
	// maxDepth is the nesting of any of the documents; SLSA predicates have 10.
	maxDepth = 48
	// maxText bounds what a document may put into a finding.
	maxText = 300
)

// Files is the file system that is examined.
type Files interface {
	integrity.Files
	// Find returns the paths of regular files whose last part matches, sorted and
	// at most that many; whole is false when there are more.
	Find(match func(name string) bool, most int) (paths []string, whole bool)
}

// Document is an attestation that is handed in, under a name for findings.
type Document struct {
	Name string
	Data []byte
}

// Options say what is trusted. The zero value trusts sigstore's public good
// instance, which PyPI and npm use, and no key of a registry.
type Options struct {
	// TrustedRootJSON is a trusted_root.json in its place.
	TrustedRootJSON []byte
	// RegistryKeys are public keys in PEM, by the id under which npm's registry
	// lists them ("SHA256:…"), for its own publish attestations.
	RegistryKeys map[string][]byte
	// Documents are judged beside those that are found.
	Documents []Document
}

// Result is what was found. Attested holds what verifies; Findings what is there
// and does not, with the kind [integrity.Attestation]; Gaps what could not be
// judged, because nothing says which archive was installed, or who the signer is.
type Result struct {
	Attested []integrity.Attested
	Findings []integrity.Finding
	Gaps     []fact.Gap
}

// Check verifies the attestations in the tree and those handed in against the
// packages of its inventory. An error means that the tree could not be read.
func Check(ctx context.Context, files Files, packages []fact.Package, o Options) (Result, error) {
	c := &checker{files: files, options: &o, pins: pinned(packages)}
	if err := c.find(ctx); err != nil {
		return Result{}, err
	}
	for i := range o.Documents {
		c.document(place{path: o.Documents[i].Name, layer: -1}, o.Documents[i].Data, true)
	}
	if err := c.sum(ctx); err != nil {
		return Result{}, err
	}
	if err := c.judge(ctx); err != nil {
		return Result{}, err
	}
	c.sort()
	return c.result, nil
}
