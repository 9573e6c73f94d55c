// Package artifact makes a rendered set a signed artifact of a registry, and
// decides which artifact of a registry may be followed, as package history does
// for commits.
//
// Start with [NewPublisher] and [Publisher.Publish] to push what is applied, and
// with [Compile] and [Verifier.Verify] to follow it elsewhere. [Pull] reads what
// was verified.
//
// # What an artifact says
//
// An artifact is the bytes of a set under a manifest. A [Statement] about the
// manifest's digest, signed as an in-toto attestation and attached to it, says
// which commit it was rendered from, the publisher's counter, and the digest of
// the artifact before it. Annotations say the same for people; nothing is
// believed of them.
//
// # What is followed
//
// A tag is a branch: it may move to an artifact that descends from the accepted
// one, over statements that each were signed by somebody whom the source trusts,
// with counters that grow. A tag that is moved back, sideways, or to something
// that was rolled back, is refused whoever signed what it names. The first
// trusted artifact is named by its digest.
//
// Sources: in-toto Statement v1, OCI image-spec v1.1 ("Guidelines for artifact
// usage"); TUF's rollback protection for the counters.
package artifact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// PredicateType is the type of a [Statement] within its attestation.
const PredicateType = "https://apexlogic.com/attestations/revision/v1"

// Limits of a statement.
const (
	// maxStatement is far above the longest URL and commit.
	maxStatement = 8 << 10
	maxText      = 2048
	maxCommit    = 256 // as package apply has it
)

// Statement is what is signed about an artifact.
type Statement struct {
	// Source is the GitSource, and the stage, that published it.
	Source string `json:"source"`
	// URL of the repository, without credentials; "" for a local one.
	URL string `json:"url,omitempty"`
	// Commit that was applied and published.
	Commit string `json:"commit"`
	// Content is the digest of the artifact's only blob: that of the set.
	Content verdict.Digest `json:"content"`
	// Counter of the revisions that the source decided on. It grows from one
	// artifact to the next.
	Counter uint64 `json:"counter"`
	// Predecessor is the artifact that was published before; "" for the first.
	Predecessor verdict.Digest `json:"predecessor,omitempty"`
	// AllowPrune says that the commit may delete more than a mistake may.
	AllowPrune bool `json:"allowPrune,omitempty"`
}

// ParseStatement reads a predicate. Unknown fields are refused: what is signed
// and not understood could change its meaning.
func ParseStatement(predicate []byte) (Statement, error) {
	var s Statement
	if len(predicate) > maxStatement {
		return s, fmt.Errorf("the statement has %d bytes; it may have %d", len(predicate), maxStatement)
	}
	d := json.NewDecoder(bytes.NewReader(predicate))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("the statement: %w", err)
	}
	if d.More() {
		return s, errors.New("the statement is followed by something else")
	}
	return s, s.check()
}

func (s *Statement) check() error {
	if err := gitops.CheckSource(s.Source); err != nil {
		return fmt.Errorf("the statement's source: %w", err)
	}
	switch {
	case s.Commit == "" || len(s.Commit) > maxCommit:
		return fmt.Errorf("the statement names no commit of at most %d bytes", maxCommit)
	case len(s.URL) > maxText:
		return fmt.Errorf("the statement's url has more than %d bytes", maxText)
	case s.Counter == 0:
		return errors.New("the statement's counter is zero: it begins at one")
	}
	if _, err := verdict.ParseDigest(string(s.Content)); err != nil {
		return fmt.Errorf("the statement's content: %w", err)
	}
	if s.Predecessor != "" {
		if _, err := verdict.ParseDigest(string(s.Predecessor)); err != nil {
			return fmt.Errorf("the statement's predecessor: %w", err)
		}
	}
	return nil
}

// Refusal is why an artifact is not followed. Trying the same again changes
// nothing.
type Refusal struct {
	Code   verdict.Code
	Digest verdict.Digest // of the artifact that is to blame
	Why    string
}

// Error returns "artifact DIGEST: why".
func (r *Refusal) Error() string { return fmt.Sprintf("artifact %s: %s", r.Digest, r.Why) }

func refuse(code verdict.Code, d verdict.Digest, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Digest: d, Why: fmt.Sprintf(format, args...)}
}
