package fact

import (
	"time"

	"github.com/apexlogic/apex/verdict"
)

// Provenance is one signed SLSA provenance statement, v0.2 or v1, in common terms.
type Provenance struct {
	Signing Signing `json:"signing"`
	// Subjects of the statement that named it.
	Subjects []AttestationSubject `json:"subjects"`
	// Version of the predicate: "0.2" or "1".
	Version   string `json:"version"`
	Builder   string `json:"builder"`
	BuildType string `json:"buildType,omitempty"`
	// SourceRepository without "git+", ".git" and revision, host in lower case.
	SourceRepository string       `json:"sourceRepository,omitempty"`
	SourceDigest     string       `json:"sourceDigest,omitempty"` // commit, hex
	EntryPoint       string       `json:"entryPoint,omitempty"`
	Finished         time.Time    `json:"finished,omitzero"`
	Dependencies     []Dependency `json:"dependencies,omitempty"`
	Code             verdict.Code `json:"code"` // verdict.OK when the predicate could be read
	Detail           string       `json:"detail,omitempty"`
}

// Dependency is one resolved dependency (v1) or material (v0.2).
type Dependency struct {
	URI    string         `json:"uri"`
	Digest verdict.Digest `json:"digest,omitempty"`
	// Repository and Tag are set when the dependency is a container image:
	// pkg:docker, pkg:oci, docker:// and oci:// URIs, canonical.
	Repository string `json:"repository,omitempty"`
	Tag        string `json:"tag,omitempty"`
}
