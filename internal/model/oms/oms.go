// Package oms signs and verifies models in the format of OpenSSF Model Signing:
// an in-toto statement that lists every file of a model with its digest, in a
// DSSE envelope, in a sigstore bundle beside the model.
//
// Start with [Hash], which reads a model and lists it, with [Sign], which makes
// a bundle of the list, and with [Verify], which hashes a model again and says
// what differs from what was signed. [Read] shows what a bundle says without
// believing it.
//
// Whoever scans a model hands an inspector to Hash or Verify: it sees each file
// through a [Witness], so that bytes which change between scan and hash are an
// error.
//
// Nothing here is remembered between calls; all functions are safe for
// concurrent use.
//
// Sources: OMS specification v1.0 with its algorithm registry, the bundles of
// the reference implementation from v0.2.0 on, DSSE v1, in-toto Statement v1,
// sigstore bundle v0.3.
package oms

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/zeebo/blake3"
	"golang.org/x/crypto/blake2b"
)

// Limits on what is read. What is larger is refused, never truncated.
const (
	// maxBundle is what internal/trust reads as well; it holds the list of
	// about 120,000 files. Larger sets of files belong into archives.
	maxBundle = 32 << 20
	// maxFiles bounds the memory that listing a folder takes.
	maxFiles = 1 << 20
	// maxDepth is how deeply folders may be nested: each level holds a
	// descriptor open while its files are listed.
	maxDepth = 64
	// maxName is the longest path that common systems open (PATH_MAX).
	maxName = 4096
	// maxSignatures is what internal/trust tries in one envelope.
	maxSignatures = 8
	// maxChain is the number of certificates in one bundle, leaf included.
	maxChain = 9
	// maxKeyPEM holds an RSA-8192 key and the description that some tools
	// write above it.
	maxKeyPEM = 64 << 10
	// maxIgnore is the number of paths that one bundle asks to ignore.
	maxIgnore = 4096
)

// Algorithm is a hash for files, as bundles spell it.
type Algorithm string

// The algorithms of the OMS registry.
const (
	SHA256  Algorithm = "sha256"  // 256 bits
	BLAKE2b Algorithm = "blake2b" // 512 bits
	BLAKE3  Algorithm = "blake3"  // 256 bits
)

// size is the length of a digest in bytes; 0 for what is no algorithm.
func (a Algorithm) size() int {
	switch a {
	case SHA256, BLAKE3:
		return 32
	case BLAKE2b:
		return 64
	}
	return 0
}

func (a Algorithm) new() (hash.Hash, error) {
	switch a {
	case SHA256:
		return sha256.New(), nil
	case BLAKE2b:
		return blake2b.New512(nil)
	case BLAKE3:
		return blake3.New(), nil
	}
	return nil, fmt.Errorf("unknown hash algorithm %q (one of sha256, blake2b, blake3)", clip(string(a)))
}

// Method is how files become entries of a manifest.
type Method string

// The methods of the OMS specification.
const (
	Files  Method = "files"  // one digest for each file
	Shards Method = "shards" // one digest for each run of ShardSize bytes
)

// DefaultShardSize is what the specification recommends, in bytes.
const DefaultShardSize = 1_000_000_000

// minShardSize keeps the list of a large file short enough to be signed.
const minShardSize = 1 << 10

// ErrSignature is wrapped by every error about who signed: the signature does
// not verify, or nobody whom the policy trusts made it.
var ErrSignature = errors.New("the model's signature is not accepted")

// ErrManifest is wrapped by every error about a bundle that is not what the
// specification describes.
var ErrManifest = errors.New("the bundle is not an OMS bundle that can be trusted")

// ChangedError says that the model was not the same throughout: somebody wrote
// to it while it was read.
type ChangedError struct {
	Path   string // below the model's folder; "." for the list of files
	Detail string
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%q changed while it was read: %s; work on a copy that nothing writes to", e.Path, e.Detail)
}

// MismatchError says how a model differs from what was signed. The lists are
// complete and sorted.
type MismatchError struct {
	Missing []string    // signed and not there
	Extra   []string    // there and not signed
	Changed []string    // other bytes than were signed
	Renamed [][2]string // signed name, name under which the same bytes are there
	// Asked are those of Extra that the bundle itself asks to ignore, and that
	// the policy does not.
	Asked []string
}

func (e *MismatchError) Error() string {
	var parts []string
	add := func(what string, names []string) {
		if len(names) == 0 {
			return
		}
		const shown = 5
		list := make([]string, 0, shown)
		for _, n := range names[:min(len(names), shown)] {
			list = append(list, fmt.Sprintf("%q", clip(n)))
		}
		more := ""
		if len(names) > shown {
			more = fmt.Sprintf(" and %d more", len(names)-shown)
		}
		parts = append(parts, fmt.Sprintf("%s: %s%s", what, strings.Join(list, ", "), more))
	}
	add("changed", e.Changed)
	var renamed []string
	for _, r := range e.Renamed {
		renamed = append(renamed, r[0]+" → "+r[1])
	}
	add("renamed", renamed)
	add("missing", e.Missing)
	add("not signed", e.Extra)
	text := "the model is not what was signed: " + strings.Join(parts, "; ")
	if len(e.Asked) > 0 {
		text += fmt.Sprintf(" (the bundle asks to ignore %q; name it yourself to allow that)", clip(e.Asked[0]))
	}
	return text
}

func (e *MismatchError) empty() bool {
	return len(e.Missing)+len(e.Extra)+len(e.Changed)+len(e.Renamed) == 0
}

// clip keeps hostile text from filling an error.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
