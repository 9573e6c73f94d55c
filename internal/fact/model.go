package fact

import (
	"time"

	"github.com/apexlogic/apex/verdict"
)

// Model is what an artifact that holds a model consists of, as its manifest
// says it: the digest that was asked for covers all of it.
type Model struct {
	// ArtifactType of the manifest; for an image, the media type of its configuration.
	ArtifactType string      `json:"artifactType"`
	Files        []ModelFile `json:"files"`
	// Root is the OpenSSF Model Signing root over the files in the order of
	// their paths; "" when a layer is packed, because the manifest then does not
	// say which files there are.
	Root verdict.Digest `json:"root,omitempty"`
	// What the configuration says of the model; nobody vouches for it.
	Name         string   `json:"name,omitempty"`
	Family       string   `json:"family,omitempty"`
	Architecture string   `json:"architecture,omitempty"`
	Format       string   `json:"format,omitempty"`
	Licenses     []string `json:"licenses,omitempty"` // SPDX identifiers
	// Created is when the model was packed; zero: the configuration does not say.
	Created time.Time `json:"created,omitzero"`
}

// ModelFile is one layer of a model's artifact.
type ModelFile struct {
	Path      string         `json:"path"` // "" when the layer is packed
	Digest    verdict.Digest `json:"digest"`
	Size      int64          `json:"size"`
	MediaType string         `json:"mediaType"`
	Packed    bool           `json:"packed,omitempty"` // an archive of files
}

// The predicate types of what is signed about models.
const (
	PredicateModelSignature  = "https://model_signing/signature/v1.0" // OpenSSF Model Signing v1.0
	PredicateModelScan       = "https://security.apexlogic.com/model-scan/v1"
	PredicateDatasetManifest = "https://security.apexlogic.com/dataset-manifest/v1"
)

// ModelScan is the predicate of a scan attestation: what was scanned, by what,
// and what came of it.
type ModelScan struct {
	Scanner struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Lists   string `json:"lists"` // version of the lists of names that it judges by
	} `json:"scanner"`
	// Root is the OpenSSF Model Signing root of the files that were scanned.
	Root verdict.Digest `json:"root"`
	// Finished is when the scan ended.
	Finished time.Time `json:"finished"`
	// Verdict of the worst file: clean, unknown, unscannable, suspicious, malicious.
	Verdict string `json:"verdict"`
	Files   int    `json:"files"`
	Bytes   int64  `json:"bytes"`
	// Unhashed counts bytes that were not read, and so not hashed either.
	Unhashed int64 `json:"unhashed"`
	// Unknown lists files of no known format, at most 100 of them.
	Unknown []string `json:"unknown,omitempty"`
	// Formats that the files were read as, sorted, those inside of archives too.
	Formats []string `json:"formats"`
	// RemoteCode lists the files that ask a loader to run code that comes with
	// the model or from elsewhere.
	RemoteCode []string `json:"remoteCode,omitempty"`
	// Findings above a note, at most 100 of them.
	Findings []ModelFinding `json:"findings,omitempty"`
}

// ModelFinding is one finding of a scan.
type ModelFinding struct {
	Path     string `json:"path"`
	Rule     string `json:"rule"`
	Severity string `json:"severity"`
	Where    string `json:"where,omitempty"`
	Detail   string `json:"detail"`
}

// ModelSignature is the predicate of an OpenSSF Model Signing bundle.
type ModelSignature struct {
	Serialization struct {
		Method        string   `json:"method"` // "files" or "shards"
		HashType      string   `json:"hash_type"`
		AllowSymlinks bool     `json:"allow_symlinks"`
		IgnorePaths   []string `json:"ignore_paths"`
		ShardSize     int64    `json:"shard_size,omitempty"`
	} `json:"serialization"`
	Resources []ModelResource `json:"resources"`
}

// ModelResource is one file, or one shard of a file, of a signed model.
type ModelResource struct {
	Name      string `json:"name"`
	Algorithm string `json:"algorithm"`
	Digest    string `json:"digest"` // hex
}

// DatasetManifest is the predicate of a signed dataset manifest about a model:
// which data it was trained on.
type DatasetManifest struct {
	Datasets []struct {
		Name    string         `json:"name"`
		Root    verdict.Digest `json:"root"`
		Records int64          `json:"records"`
	} `json:"datasets"`
}
