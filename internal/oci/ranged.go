package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// MaxRange is the most bytes that one call of [Client.BlobRange] reads.
const MaxRange = 16 << 20

// BlobRange reads exactly n bytes of a blob from off (RFC 9110 §14). Nothing
// proves that they belong to the blob: whoever reads the whole hashes it, and
// whoever reads a part says so. A registry that ignores ranges is refused with
// the code registry.answer.invalid, unless it was asked for the whole.
func (c *Client) BlobRange(ctx context.Context, repo string, d Descriptor, off, n int64) ([]byte, error) {
	r, err := parseRepository(repo)
	if err != nil {
		return nil, err
	}
	cl := c.newCall("fetch part of blob", repo+"@"+string(d.Digest), r)
	data, err := cl.blobRange(ctx, d, off, n)
	return data, cl.wrap(err)
}

func (c *call) blobRange(ctx context.Context, d Descriptor, off, n int64) ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, &fault{code: verdict.ReferenceInvalid, err: err}
	}
	if off < 0 || n <= 0 || n > MaxRange || off > d.Size-n {
		return nil, faultf(verdict.RegistryTooLarge, "bytes %d+%d of a blob of %d bytes cannot be read; at most %d at a time", off, n, d.Size, int64(MaxRange))
	}
	ctx, cancel := c.within(ctx)
	defer cancel()
	res, err := c.ask(ctx, request{
		method:    http.MethodGet,
		path:      "/v2/" + c.repo.path + "/blobs/" + string(d.Digest),
		actions:   pull,
		header:    http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", off, off+n-1)}},
		limit:     n,
		redirects: true,
	})
	if f, ok := errors.AsType[*fault](err); ok && f.code == verdict.RegistryTooLarge {
		return nil, faultf(verdict.RegistryAnswer, "%s sends more than the %d bytes that it was asked for; does it ignore ranges?: %w", c.repo.host, n, f.err)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case res.status == http.StatusOK && off == 0 && n == d.Size:
	case res.status == http.StatusOK:
		return nil, faultf(verdict.RegistryAnswer, "%s ignores ranges, so a part of %s cannot be read", c.repo.host, d.Digest)
	case res.status != http.StatusPartialContent:
		return nil, c.refused(res)
	case strings.HasPrefix(strings.ToLower(res.header.Get("Content-Type")), "multipart/"):
		return nil, faultf(verdict.RegistryAnswer, "%s sends several ranges where it was asked for one", c.repo.host)
	default:
		if err := checkRange(res.header.Get("Content-Range"), off, n, d.Size); err != nil {
			return nil, faultf(verdict.RegistryAnswer, "%s: %w", c.repo.host, err)
		}
	}
	if int64(len(res.body)) != n {
		return nil, faultf(verdict.RegistryAnswer, "%s was asked for %d bytes of %s and sent %d", c.repo.host, n, d.Digest, len(res.body))
	}
	return res.body, nil
}

// checkRange compares a Content-Range with what was asked for.
func checkRange(got string, off, n, size int64) error {
	rest, ok := strings.CutPrefix(got, "bytes ")
	span, total, cut := strings.Cut(rest, "/")
	if !ok || !cut || span != fmt.Sprintf("%d-%d", off, off+n-1) || (total != "*" && total != strconv.FormatInt(size, 10)) {
		return fmt.Errorf("the range %.60q is not bytes %d-%d/%d, which were asked for", got, off, off+n-1, size)
	}
	return nil
}
