package oci_test

import (
	"bytes"
	"context"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/verdict"
)

// part answers 206 with a Content-Range and a body, whatever was asked.
func part(contentRange string, body []byte, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentRange != "" {
			w.Header().Set("Content-Range", contentRange)
		}
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(body)
	}
}

// ranged serves the blob as RFC 9110 says.
func ranged(blob []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(blob))
	}
}

func severalParts(blob []byte) http.HandlerFunc {
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	w, _ := m.CreatePart(textproto.MIMEHeader{"Content-Range": {fmt.Sprintf("bytes 10-13/%d", len(blob))}}) // a buffer takes all
	_, _ = w.Write(blob[10:14])
	_ = m.Close()
	return part(fmt.Sprintf("bytes 10-13/%d", len(blob)), body.Bytes()[:4], "Content-Type", m.FormDataContentType())
}

// TestARangeIsExactlyWhatWasAskedFor asks a registry that misbehaves for four
// bytes in the middle of a blob, and its honest twin for the same.
func TestARangeIsExactlyWhatWasAskedFor(t *testing.T) {
	blob := bytes.Repeat([]byte("0123456789"), 1000)
	d := oci.Descriptor{Digest: verdict.Digest(ocitest.Digest(blob)), Size: int64(len(blob))}
	route := getBlobs + string(d.Digest)
	read := func(ctx context.Context, c *oci.Client, s *ocitest.Server) ([]byte, error) {
		return c.BlobRange(ctx, s.Repo("app"), d, 10, 4)
	}
	right := "bytes 10-13/" + strconv.Itoa(len(blob))
	for _, tc := range []struct {
		name string
		bad  http.HandlerFunc
		code verdict.Code
	}{
		{"the whole, announced", ocitest.Answer("application/octet-stream", blob), verdict.RegistryAnswer},
		{"the whole, without end", ocitest.Endless("application/octet-stream"), verdict.RegistryAnswer},
		{"the whole, as large as the part", ocitest.Answer("application/octet-stream", blob[10:14]), verdict.RegistryAnswer},
		{"another range", part("bytes 0-3/10000", blob[:4]), verdict.RegistryAnswer},
		{"a longer range", part("bytes 10-14/10000", blob[10:15]), verdict.RegistryAnswer},
		{"a longer body", part(right, blob[10:20]), verdict.RegistryAnswer},
		{"a shorter body", part(right, blob[10:12]), verdict.RegistryAnswer},
		{"no body", part(right, nil), verdict.RegistryAnswer},
		{"a body without end", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", right)
			w.WriteHeader(http.StatusPartialContent)
			ocitest.Endless("application/octet-stream")(w, r)
		}, verdict.RegistryAnswer},
		{"a part of a blob of another size", part("bytes 10-13/9999", blob[10:14]), verdict.RegistryAnswer},
		{"no Content-Range", part("", blob[10:14]), verdict.RegistryAnswer},
		{"a Content-Range of another unit", part("items 10-13/10000", blob[10:14]), verdict.RegistryAnswer},
		{"a Content-Range that is not satisfied", part("bytes */10000", blob[10:14]), verdict.RegistryAnswer},
		{"a Content-Range with spaces", part("bytes 10 - 13/10000", blob[10:14]), verdict.RegistryAnswer},
		{"several ranges", severalParts(blob), verdict.RegistryAnswer},
		{"a range that is called compressed", part(right, blob[10:14], "Content-Encoding", "gzip"), verdict.RegistryAnswer},
		{"a gzip bomb", ocitest.GzipBomb("application/octet-stream", 100<<20), verdict.RegistryAnswer},
		{"a range that cannot be satisfied", ocitest.Status(416, "Content-Range", "bytes */10000"), verdict.RegistryAnswer},
		{"nothing there", ocitest.Status(404), verdict.RegistryNotFound},
		{"a redirect to cloud metadata", ocitest.Redirect("http://169.254.169.254/latest/meta-data"), verdict.RegistryAddress},
		{"a redirect to cloud metadata over HTTPS", ocitest.Redirect("https://169.254.169.254/latest"), verdict.RegistryAddress},
		{"a redirect to a private address", ocitest.Redirect("https://10.0.0.1/"), verdict.RegistryAddress},
		{"a body that drips", dripOf(4), verdict.RegistryAnswer}, // 200 and a part: refused, however slowly it comes
	} {
		t.Run(tc.name, func(t *testing.T) {
			ocitest.NoLeak(t)
			srv := ocitest.Hostile(t, ocitest.Routes{route: tc.bad})
			c := newClient(t, srv)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			var got []byte
			var err error
			grown := ocitest.HeapGrowth(func() { got, err = read(ctx, c, srv) })
			wantCode(t, err, tc.code)
			if got != nil {
				t.Errorf("bytes come with the error: %q", got)
			}
			if grown > maxGrowth {
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}

			twin := ocitest.Hostile(t, ocitest.Routes{route: ranged(blob)})
			got, err = read(ctx, newClient(t, twin), twin)
			if err != nil || string(got) != "0123" {
				t.Errorf("the honest twin: %q, %v", got, err)
			}
		})
	}
}

func TestRangesThatNoBlobHasAreNotAskedFor(t *testing.T) {
	blob := []byte("0123456789")
	d := oci.Descriptor{Digest: verdict.Digest(ocitest.Digest(blob)), Size: 10}
	srv := ocitest.Hostile(t, ocitest.Routes{getBlobs + string(d.Digest): ranged(blob)})
	c := newClient(t, srv)
	for _, tc := range []struct{ off, n int64 }{{-1, 2}, {0, 0}, {0, -1}, {0, 11}, {10, 1}, {9, 2}, {1 << 62, 1}, {1, 1<<63 - 1}, {0, oci.MaxRange + 1}} {
		_, err := c.BlobRange(t.Context(), srv.Repo("app"), d, tc.off, tc.n)
		wantCode(t, err, verdict.RegistryTooLarge)
	}
	_, err := c.BlobRange(t.Context(), srv.Repo("app"), oci.Descriptor{Digest: "sha256:short", Size: 10}, 0, 1)
	wantCode(t, err, verdict.ReferenceInvalid)
	if n := len(srv.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
	// Their twins: the first bytes, the last, all of them.
	for _, tc := range []struct {
		off, n int64
		want   string
	}{{0, 1, "0"}, {9, 1, "9"}, {0, 10, "0123456789"}} {
		got, err := c.BlobRange(t.Context(), srv.Repo("app"), d, tc.off, tc.n)
		if err != nil || string(got) != tc.want {
			t.Errorf("%d+%d: %q, %v", tc.off, tc.n, got, err)
		}
	}
	// Asked for all of it, a registry without ranges serves too.
	plain := ocitest.Hostile(t, ocitest.Routes{getBlobs + string(d.Digest): ocitest.Answer("application/octet-stream", blob)})
	if got, err := newClient(t, plain).BlobRange(t.Context(), plain.Repo("app"), d, 0, 10); err != nil || string(got) != string(blob) {
		t.Errorf("the whole from a registry without ranges: %q, %v", got, err)
	}
}
