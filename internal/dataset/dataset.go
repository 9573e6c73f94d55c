// Package dataset says exactly what a data set holds: a digest for each file, a
// Merkle root over the records of each file, and statistics in which poisoning
// shows as drift between two versions.
//
// Start with [Make], which reads a folder once and returns its [Manifest];
// [Verify] compares a folder with one, and [Diff] compares two manifests. With a
// records file, written by Make, both name the records that changed, were added
// or removed, and read only what leads to them. The package screen looks for
// poisoned rows; the package record cuts files into records.
//
// Hashes are domain separated as in RFC 6962 §2.1: SHA-256(0x00 ‖ record) for
// a leaf, SHA-256(0x01 ‖ left ‖ right) for a node. Nothing here depends on time,
// on the order of files on disk, or on maps.
package dataset

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// Schema of the manifest document.
const Schema = "apex.dataset-manifest/v1"

// Kind says how a file is cut into records.
type Kind string

// The kinds of files.
const (
	JSONL   Kind = "jsonl"   // one record for each line that is not blank
	CSV     Kind = "csv"     // one for each row after the header
	Parquet Kind = "parquet" // one for each row group
	Tar     Kind = "tar"     // one for each sample
	Whole   Kind = "file"    // the file is one record
)

// Manifest is what a data set consists of.
type Manifest struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	// Root covers the paths, sizes, digests, kinds and record roots of all files.
	Root verdict.Digest `json:"root"`
	// FilesRoot is the OpenSSF Model Signing root over the files' digests in the
	// order of their paths, as "apex model hash" gives it.
	FilesRoot  verdict.Digest `json:"filesRoot"`
	Records    int64          `json:"records"`
	Bytes      int64          `json:"bytes"`
	Files      []File         `json:"files"`
	Statistics Statistics     `json:"statistics"`
	Findings   []Finding      `json:"findings"`
}

// File is one file of a data set.
type File struct {
	Path    string         `json:"path"`
	Kind    Kind           `json:"kind"`
	Size    int64          `json:"size"`
	Digest  verdict.Digest `json:"digest"`
	Records int64          `json:"records"`
	// Rows of a Parquet file, whose records are row groups.
	Rows int64 `json:"rows,omitempty"`
	// Header is the leaf hash of what all records share: the header of CSV, the
	// schema of Parquet.
	Header verdict.Digest `json:"header,omitempty"`
	// RecordRoot is the Merkle tree hash over the records' leaf hashes (RFC 6962
	// §2.1), joined with the header's where there is one.
	RecordRoot verdict.Digest `json:"recordRoot"`
	// Index is the root of the tree in the records file.
	Index verdict.Digest `json:"index"`
}

// Statistics describe the content; lists are sorted.
type Statistics struct {
	Labels     []Count `json:"labels"`
	Unlabelled int64   `json:"unlabelled"`
	Sources    []Count `json:"sources"`
	// More says that there were too many labels or sources to list all.
	More bool `json:"more,omitempty"`
	// Duplicates counts records whose content, without id and label, is that of
	// an earlier record; Conflicts those contents that have several labels.
	Duplicates int64 `json:"duplicates"`
	Conflicts  int64 `json:"conflicts"`
	// NearConflicts counts clusters of nearly equal texts with several labels.
	NearConflicts int64     `json:"nearConflicts"`
	Clusters      []Cluster `json:"clusters"`
	// SampledOneIn is more than 1 when there were so many records that duplicates
	// were counted in a sample (by content) and the counts are scaled.
	SampledOneIn int64 `json:"sampledOneIn"`
}

// Count is how many records have a value.
type Count struct {
	Value   string `json:"value"`
	Records int64  `json:"records"`
}

// Cluster is one cluster of nearly equal texts with several labels.
type Cluster struct {
	Labels  []string `json:"labels"`
	Records []string `json:"records"` // "path#index", at most maxClusterRecords
}

// Finding is something that a loader of the data set might act on.
type Finding struct {
	Rule   string `json:"rule"`
	Path   string `json:"path"`
	Where  string `json:"where,omitempty"`
	Detail string `json:"detail"`
	Count  int64  `json:"count"` // how often; Where is the first
}

// maxManifest bounds the document: 100,000 files need 40 MB.
const maxManifest = 256 << 20

// Read parses a manifest and checks that its root is that of its files.
func Read(data []byte) (*Manifest, error) {
	if len(data) > maxManifest {
		return nil, fmt.Errorf("dataset manifest: %w of %d bytes", bounded.ErrTooLarge, maxManifest)
	}
	var m Manifest
	rules := bounded.Rules{Depth: 8, Values: 16 * maxFiles}
	if err := rules.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("dataset manifest: %w", err)
	}
	if m.Schema != Schema {
		return nil, fmt.Errorf("dataset manifest: its schema is %.60q and not %s", m.Schema, Schema)
	}
	for i := range m.Files {
		f := &m.Files[i]
		if err := CheckPath(f.Path); err != nil {
			return nil, fmt.Errorf("dataset manifest: %w", err)
		}
		if i > 0 && f.Path <= m.Files[i-1].Path {
			return nil, fmt.Errorf("dataset manifest: %q is not after %q; paths are sorted, and each is there once", f.Path, m.Files[i-1].Path)
		}
		for _, d := range []verdict.Digest{f.Digest, f.RecordRoot, f.Index} {
			if _, err := verdict.ParseDigest(string(d)); err != nil {
				return nil, fmt.Errorf("dataset manifest: %q: %w", f.Path, err)
			}
		}
		if f.Size < 0 || f.Records < 0 {
			return nil, fmt.Errorf("dataset manifest: %q has a negative size", f.Path)
		}
	}
	if want := m.seal(); want != m.Root {
		return nil, fmt.Errorf("dataset manifest: its files have the root %s and it says %.80s; it was changed", want, m.Root)
	}
	return &m, nil
}

// seal computes the sums and roots over the files, and returns the root.
func (m *Manifest) seal() verdict.Digest {
	var t tree
	m.Records, m.Bytes = 0, 0
	for i := range m.Files {
		f := &m.Files[i]
		m.Records += f.Records
		m.Bytes += f.Size
		line, err := json.Marshal(f) // fields in the order of the struct: deterministic
		if err != nil {
			return ""
		}
		t.add(leafHash(line))
	}
	m.FilesRoot = filesRoot(m.Files)
	return digestOf(t.root())
}

// Predicate is the in-toto predicate about a model that was trained on the data
// set: for "apex attest --type" [fact.PredicateDatasetManifest].
func (m *Manifest) Predicate() fact.DatasetManifest {
	var p fact.DatasetManifest
	p.Datasets = append(p.Datasets, struct {
		Name    string         `json:"name"`
		Root    verdict.Digest `json:"root"`
		Records int64          `json:"records"`
	}{m.Name, m.Root, m.Records})
	return p
}

func kindOf(path string) Kind {
	switch lower := strings.ToLower(path); {
	case strings.HasSuffix(lower, ".jsonl"), strings.HasSuffix(lower, ".ndjson"):
		return JSONL
	case strings.HasSuffix(lower, ".csv"), strings.HasSuffix(lower, ".tsv"):
		return CSV
	case strings.HasSuffix(lower, ".parquet"):
		return Parquet
	case strings.HasSuffix(lower, ".tar"):
		return Tar
	}
	return Whole
}
