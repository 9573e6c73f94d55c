// Package spdx writes inventories as SPDX 2.3 and reads SPDX 2.2 and 2.3.
//
// Start with [Write] and [Read]. What SPDX has a place for stands there; the
// rest is in one annotation of each package, and one of the document, whose
// comments are "apexlogic:package " and "apexlogic:inventory " with a JSON
// object behind it, so that Read returns what Write was given.
//
// The document describes the subject, which contains the packages; a package
// that another one brought is contained in that one.
//
// Source: the SPDX specification 2.3 and its JSON schema.
package spdx

import (
	"errors"
	"time"
)

// ErrVersion is wrapped by errors about a version that is not read.
var ErrVersion = errors.New("the version of SPDX is not read: write SPDX-2.2 or SPDX-2.3 as JSON")

const (
	packageComment   = "apexlogic:package "
	inventoryComment = "apexlogic:inventory "

	documentID = "SPDXRef-DOCUMENT"
	subjectID  = "SPDXRef-Subject"
	systemID   = "SPDXRef-Distribution"

	noAssertion = "NOASSERTION"
	// seconds is how SPDX writes times.
	seconds = "2006-01-02T15:04:05Z"
)

// unknownTime stands where the specification wants a time and there is none.
func unknownTime() time.Time { return time.Unix(0, 0).UTC() }

// extra is what SPDX has no place for in a package.
type extra struct {
	Ecosystem     string   `json:"ecosystem,omitempty"`
	SourceName    string   `json:"sourceName,omitempty"`
	SourceVersion string   `json:"sourceVersion,omitempty"`
	Arch          string   `json:"arch,omitempty"`
	State         string   `json:"state"`
	Path          string   `json:"path,omitempty"`
	Layer         int      `json:"layer"`
	LayerDigest   string   `json:"layerDigest,omitempty"`
	Removed       bool     `json:"removed,omitempty"`
	Owner         string   `json:"owner,omitempty"`
	By            string   `json:"by,omitempty"`
	Modules       []string `json:"modules,omitempty"`
	Hashes        []string `json:"hashes,omitempty"`   // those that are no checksums
	Licenses      []string `json:"licenses,omitempty"` // where there are several
	Attributes    []string `json:"attributes,omitempty"`
}

// whole is what SPDX has no place for in a document.
type whole struct {
	Kind     string    `json:"kind,omitempty"`
	Repo     string    `json:"repository,omitempty"`
	Made     time.Time `json:"made,omitzero"`
	Database time.Time `json:"database,omitzero"`
	Layers   []string  `json:"layers,omitempty"`
	Gaps     []gap     `json:"gaps,omitempty"`
}

type gap struct {
	Path  string `json:"path"`
	Layer int    `json:"layer"`
	Why   string `json:"why"`
}

type annotation struct {
	Date      string `json:"annotationDate"`
	Type      string `json:"annotationType"`
	Annotator string `json:"annotator"`
	Comment   string `json:"comment"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type externalRef struct {
	Category string `json:"referenceCategory"`
	Locator  string `json:"referenceLocator"`
	Type     string `json:"referenceType"`
}

type relationship struct {
	From    string `json:"spdxElementId"`
	To      string `json:"relatedSpdxElement"`
	Type    string `json:"relationshipType"`
	Comment string `json:"comment,omitempty"`
}

type extracted struct {
	ID   string `json:"licenseId"`
	Text string `json:"extractedText"`
	Name string `json:"name,omitempty"`
}

// digits is how long the sums of an algorithm are that SPDX 2.2 knows already;
// 0 for others.
func digits(algorithm string) int {
	switch algorithm {
	case "md5":
		return 32
	case "sha1":
		return 40
	case "sha224":
		return 56
	case "sha256":
		return 64
	case "sha384":
		return 96
	case "sha512":
		return 128
	}
	return 0
}
