package oci

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
)

// Limits bound what a registry can make us read, keep and wait for. Zero
// fields take the default.
type Limits struct {
	Manifest   int64 // bytes of a manifest or index; default [ManifestBytes]
	Config     int64 // bytes of an image configuration; default [ConfigBytes]
	Listing    int64 // bytes of one page of referrers; default [ListingBytes]
	Blob       int64 // bytes of one blob of an artifact; default [BlobBytes]
	CallBytes  int64 // bytes read by one call, all answers together; default [CallBytes]
	CacheBytes int64 // bytes of manifests kept in memory; default [CacheBytes]

	Header    time.Duration // from dialling to the end of the response header; default [HeaderWait]
	Grace     time.Duration // how long a body may take before MinRate counts; default [BodyGrace]
	MinRate   int64         // bytes per second that a body must average after Grace; default [BodyRate]
	Call      time.Duration // a reading call, whatever its context says; default [CallWait]
	Referrers int           // entries read from a listing of referrers; default [MaxReferrers]
	Artifacts int           // artifact manifests read by one call; default [MaxArtifacts]
}

// The default limits.
const (
	// ManifestBytes is what the distribution specification asks registries to accept.
	ManifestBytes = 4 << 20
	// ConfigBytes covers configurations with thousands of history entries; real ones are below 100 KiB.
	ConfigBytes = 8 << 20
	// ListingBytes is a listing's limit; it is a manifest as well.
	ListingBytes = 4 << 20
	// BlobBytes covers an attested SBOM of a large image; a signature is below 32 KiB.
	BlobBytes = 16 << 20
	// CallBytes keeps one hostile call, with the copies that decoding makes, below 64 MiB of memory.
	CallBytes = 24 << 20
	// CacheBytes holds about 10,000 manifests of the usual 1 to 3 KiB.
	CacheBytes = 32 << 20

	// HeaderWait leaves a cold, distant registry time for DNS, TCP and TLS.
	HeaderWait = 15 * time.Second
	// BodyGrace is for slow starts: a body is not judged by its rate before.
	BodyGrace = 5 * time.Second
	// BodyRate is far below any working link and ends drip-feeding.
	BodyRate = 1 << 10
	// CallWait ends a call whose context has no deadline.
	CallWait = 2 * time.Minute

	// MaxReferrers is ten times what a busy, never pruned digest collects.
	MaxReferrers = 1000
	// MaxArtifacts bounds the requests that one subject can cost.
	MaxArtifacts = 128
)

// Limits that are not for tuning.
const (
	// maxPages bounds pagination: 1,000 entries in pages of 50.
	maxPages = 20
	// maxRedirects is what blob stores behind registries need (one), and some slack.
	maxRedirects = 3
	// maxHeaderBytes holds presigned URLs and long challenges.
	maxHeaderBytes = 64 << 10
	// maxErrorBytes is as much of an error's body as is looked at.
	maxErrorBytes = 16 << 10
	// maxTokenBytes covers cloud tokens with many group claims.
	maxTokenBytes = 256 << 10
	// maxDepth of JSON; image configurations nest 6 deep.
	maxDepth = 32
	// maxValues bounds the JSON values of a document before it is decoded: a
	// value costs 1 byte on the wire and 100 in memory. 1,000 referrers with
	// annotations are about 20,000 values.
	maxValues = 1 << 16
	// maxLayers of one image or artifact. Overlay file systems stop at 500.
	maxLayers = 1000
	// maxIndexEntries of one image index; the widest official ones have about 40.
	maxIndexEntries = 512
	// perRegistry is how many requests run at once against one registry.
	perRegistry = 8
	// maxHosts and maxTokens bound what is remembered about registries.
	maxHosts  = 1024
	maxTokens = 256
	// pushHeaderWait is for registries that hash an upload before they answer.
	pushHeaderWait = 5 * time.Minute
	// slowestUpload, in bytes per second, extends that for the upload itself.
	slowestUpload = 64 << 10
)

func (l Limits) withDefaults() Limits {
	def(&l.Manifest, ManifestBytes)
	def(&l.Config, ConfigBytes)
	def(&l.Listing, ListingBytes)
	def(&l.Blob, BlobBytes)
	def(&l.CallBytes, CallBytes)
	def(&l.CacheBytes, CacheBytes)
	def(&l.Header, HeaderWait)
	def(&l.Grace, BodyGrace)
	def(&l.MinRate, BodyRate)
	def(&l.Call, CallWait)
	def(&l.Referrers, MaxReferrers)
	def(&l.Artifacts, MaxArtifacts)
	return l
}

func def[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// budget counts down the bytes that one call may read.
type budget struct {
	left  atomic.Int64
	total int64
}

func newBudget(total int64) *budget {
	b := &budget{total: total}
	b.left.Store(total)
	return b
}

// take reports an error when n more bytes are too many.
func (b *budget) take(n int64) error {
	if b.left.Add(-n) < 0 {
		return fmt.Errorf("%w of %d bytes for one call", bounded.ErrTooLarge, b.total)
	}
	return nil
}
