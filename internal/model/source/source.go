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
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

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
	Registry *oci.Client
	// HTTP is asked for everything but registries and buckets; nil: a client
	// with bounded redirects and header times.
	HTTP *http.Client
	// Getenv is asked for HF_ENDPOINT, HF_TOKEN, MLFLOW_TRACKING_URI,
	// MLFLOW_TRACKING_TOKEN and what the S3 client reads; see [os.Getenv].
	Getenv func(string) string
}

type scheme struct {
	prefix string
	open   func(ctx context.Context, uri string, o *Options) (Source, error)
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
// https://…, s3://BUCKET/PREFIX, models:/NAME/VERSION.
func Open(ctx context.Context, uri string, o Options) (Source, error) {
	if o.HTTP == nil {
		o.HTTP = defaultClient()
	}
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	for _, s := range schemes() {
		if strings.HasPrefix(uri, s.prefix) {
			src, err := s.open(ctx, uri, &o)
			if err != nil {
				return nil, fmt.Errorf("open %s: %w", redact(uri), err)
			}
			return src, nil
		}
	}
	return nil, fmt.Errorf("%s names no place that is read: use oci://, hf://, https://, s3:// or models:/", redact(uri))
}

// redact takes credentials and queries, which may hold signatures, off a URI.
func redact(uri string) string {
	uri, _, _ = strings.Cut(uri, "?")
	if scheme, rest, ok := strings.Cut(uri, "://"); ok {
		host, path, slash := strings.Cut(rest, "/")
		if _, after, user := strings.Cut(host, "@"); user {
			host = after
		}
		uri = scheme + "://" + host
		if slash {
			uri += "/" + path
		}
	}
	return uri
}

func defaultClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = 30 * time.Second
	transport.DisableCompression = true // ranges are of what is stored
	return &http.Client{Transport: transport, Timeout: 5 * time.Minute, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		switch {
		case len(via) > 5:
			return errors.New("more than 5 redirects")
		case r.URL.Scheme != "https" && via[0].URL.Scheme == "https":
			return errors.New("a redirect leaves HTTPS")
		}
		return nil
	}}
}

var errChanged = errors.New("the file changed while it was read")

var _ io.ReaderAt = (*Ranges)(nil)
