// Package source reads models where they are: in a folder's place, a registry,
// a hub, a bucket or behind a URL, by ranges of bytes and bound to what cannot
// change meanwhile.
//
// [Open] takes the URI that a person writes and returns a [Source], which lists
// files and opens each for reading at offsets. A remote file costs at most
// [MaxRequests] requests and [MaxBytes] bytes: enough for headers and for what
// can run, and far less than the weights, which are neither read nor hashed.
//
// A tag, branch or version is resolved once. Everything that is read afterwards
// is read by digest, commit or entity tag, and a file that changes meanwhile is
// an error.
//
// Sources: OCI distribution specification 1.1, RFC 9110 §13-14 (conditional and
// range requests), the Hugging Face Hub API, Amazon S3's API, MLflow's REST API.
package source

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/verdict"
)

// Limits on what one file costs.
const (
	MaxRequests = 20
	MaxBytes    = 16 << 20
	// maxFiles bounds a listing; data sets have more files, models do not.
	maxFiles = 100_000
	// maxListing bounds one page of a listing.
	maxListing = 16 << 20
)

// Entry is one file of a source.
type Entry struct {
	Path string
	Size int64
	// Digest of the content, where the source states it: nothing here proves it.
	Digest verdict.Digest
	// where is what the source needs to open it.
	where string
	etag  string
}

// Source is a model at a place. It is safe for concurrent use.
type Source interface {
	// Pinned is the URI of exactly what is read: by digest, commit or, where a
	// place has neither, the entity tags that each file had.
	Pinned() string
	// Files lists the files, by path.
	Files(context.Context) ([]Entry, error)
	// Open opens a file that Files has listed.
	Open(context.Context, *Entry) *Ranges
}

// Options are what places need.
type Options struct {
	Registry *oci.Client // for oci://
	// Getenv is asked for HF_ENDPOINT, HF_TOKEN, MLFLOW_TRACKING_URI and
	// MLFLOW_TRACKING_TOKEN; see [os.Getenv]. The client of S3 reads AWS's own
	// variables and files by itself.
	Getenv func(string) string

	tls      *tls.Config   // nil: the system's roots
	patience time.Duration // for one answer; 0: answerTime
}

type scheme struct {
	prefix string
	open   func(ctx context.Context, uri string, client *http.Client, o *Options) (Source, error)
}

// schemes lists the places by the scheme of their URIs.
func schemes() []scheme {
	return []scheme{
		{"oci://", openRegistry},
		{"hf://", openHub},
		{"https://", openURL},
		{"http://", openURL},
		{"s3://", openBucket},
		{"models:/", openMLflow},
	}
}

// IsRemote says whether the text names a place that [Open] reads.
func IsRemote(text string) bool {
	for _, s := range schemes() {
		if strings.HasPrefix(text, s.prefix) {
			return true
		}
	}
	return false
}

// Open resolves the URI: oci://REPOSITORY[:TAG|@DIGEST], hf://OWNER/NAME[@REVISION],
// https://…, s3://BUCKET/PREFIX, models:/NAME/VERSION. Errors hold neither
// credentials nor the queries of URLs.
func Open(ctx context.Context, uri string, o Options) (Source, error) {
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	return open(ctx, uri, newClient(o.tls, cmp.Or(o.patience, answerTime)), &o)
}

func open(ctx context.Context, uri string, client *http.Client, o *Options) (Source, error) {
	for _, s := range schemes() {
		if strings.HasPrefix(uri, s.prefix) {
			src, err := s.open(ctx, uri, client, o)
			if err != nil {
				return nil, fmt.Errorf("open %s: %w", redact(uri), err)
			}
			return src, nil
		}
	}
	return nil, fmt.Errorf("%s names no place that is read: use oci://, hf://, https://, s3:// or models:/", redact(uri))
}

// listed checks a list of files, which somebody else wrote, and sorts it.
func listed(entries []Entry) ([]Entry, error) {
	if len(entries) > maxFiles {
		return nil, tooMany()
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	for i := range entries {
		e := &entries[i]
		if err := artifact.CheckPath(e.Path); err != nil {
			return nil, err
		}
		if e.Size < 0 {
			return nil, fmt.Errorf("%q is listed with %d bytes", e.Path, e.Size)
		}
		if i > 0 && entries[i-1].Path == e.Path {
			return nil, fmt.Errorf("%q is listed twice", e.Path)
		}
	}
	return entries, nil
}

func tooMany() error {
	return fmt.Errorf("the place has more than %d files; name the model's own folder, or download the model and scan the copy", maxFiles)
}

// redact takes credentials and queries, which may hold signatures, off a URI.
func redact(uri string) string {
	uri, _, _ = strings.Cut(uri, "?")
	uri, _, _ = strings.Cut(uri, "#")
	if scheme, rest, ok := strings.Cut(uri, "://"); ok {
		host, path, slash := strings.Cut(rest, "/")
		host = host[strings.LastIndexByte(host, '@')+1:]
		uri = scheme + "://" + host
		if slash {
			uri += "/" + path
		}
	}
	return uri
}

var errChanged = errors.New("the file changed while it was read")

var _ io.ReaderAt = (*Ranges)(nil)
