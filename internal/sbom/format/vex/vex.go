// Package vex reads what suppliers state about vulnerabilities in their products
// (Vulnerability Exploitability eXchange), and writes such statements.
//
// Start with [OpenVEX] and [CSAF] to read, and [Write] to write OpenVEX. VEX
// within CycloneDX is read by package cyclonedx. Whether a statement counts is
// not decided here: who signed it and until when it holds is for the caller and
// for package advisory.
//
// A statement says of each of its products: this vulnerability, in these
// subcomponents of it, has this status. Products with different subcomponents
// are therefore different statements here, even where the document lists them
// in one.
//
// Neither format has a place for an expiry, without which a statement changes
// nothing. In OpenVEX it is a line of status_notes, "expires: " and an RFC 3339
// time, which is signed with all the rest; [Write] writes it so.
//
// Sources: the OpenVEX specification 0.2.0, and the Common Security Advisory
// Framework 2.0 with its profile VEX (section 4.5).
package vex

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format/document"
	"github.com/apexlogic/apex/verdict"
)

// The names of the formats in statements.
const (
	FormatOpenVEX = "OpenVEX"
	FormatCSAF    = "CSAF VEX"
)

var (
	// ErrVersion is wrapped by errors about a version or profile that is not read.
	ErrVersion = errors.New("the version or profile is not read")
	// ErrStatement is wrapped by errors about a statement that says nothing
	// that one could rely on.
	ErrStatement = errors.New("not a valid statement")
)

// statusOf reads a status of OpenVEX.
func statusOf(word string) (fact.VEXStatus, error) {
	switch s := fact.VEXStatus(word); s {
	case fact.NotAffected, fact.Affected, fact.Fixed, fact.UnderInvestigation:
		return s, nil
	}
	return "", fmt.Errorf("%w: unknown status %q", ErrStatement, document.Clip(word, 40))
}

// maxWork bounds what is made of references: a few groups that name each other
// often say more than a document of any size could.
const maxWork = 4_000_000

// list collects statements.
type list struct {
	statements []fact.VEX
	work       int
}

// spend counts the names that statements are made of.
func (l *list) spend(n int) error {
	if l.work += n; l.work > maxWork {
		return fmt.Errorf("%w (%d references to products)", document.ErrTooMany, maxWork)
	}
	return nil
}

func (l *list) add(v fact.VEX) error {
	if len(l.statements) == document.MaxStatements {
		return fmt.Errorf("%w (%d statements)", document.ErrTooMany, document.MaxStatements)
	}
	l.statements = append(l.statements, v)
	return nil
}

// maxNames is how many names one product has; it is known by those that come
// first, and real ones have three.
const maxNames = 256

// names collects the names of one product, each once.
type names []string

func (n *names) add(text string) {
	if text = clean(text); text != "" && len(*n) < maxNames && !slices.Contains(*n, text) {
		*n = append(*n, text)
	}
}

// hash adds a SHA-256 digest as products are named by it.
func (n *names) hash(algorithm, sum string) {
	switch strings.ToLower(algorithm) {
	case "sha-256", "sha256":
		if d, err := verdict.ParseDigest("sha256:" + strings.ToLower(sum)); err == nil {
			n.add(string(d))
		}
	}
}

func clean(s string) string { return document.Clip(document.Clean(s), document.MaxText) }

// distinct returns the texts cleaned, each once and in their order, without skip.
func distinct(all []string, skip string) []string {
	var out []string
	seen := map[string]bool{"": true, skip: true}
	for _, s := range all {
		if s = clean(s); !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// first returns the first time that a document says.
func first(texts ...string) time.Time {
	for _, t := range texts {
		if at := document.Time(t); !at.IsZero() {
			return at
		}
	}
	return time.Time{}
}
