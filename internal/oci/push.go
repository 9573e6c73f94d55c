package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// PushBlob uploads data unless the repository has it already, and returns its
// descriptor with the media type.
func (c *Client) PushBlob(ctx context.Context, repo, mediaType string, data []byte) (Descriptor, error) {
	d := Descriptor{MediaType: mediaType, Digest: digestOf(data), Size: int64(len(data))}
	return d, c.PushStream(ctx, repo, d, opener(data))
}

func opener(data []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}

// PushStream uploads the blob that d names unless the repository has it
// already. open may be called more than once; each reader must give d.Size bytes.
func (c *Client) PushStream(ctx context.Context, repo string, d Descriptor, open func() (io.ReadCloser, error)) error {
	r, err := parseRepository(repo)
	if err != nil {
		return err
	}
	cl := c.newCall("push blob", repo+"@"+string(d.Digest), r)
	return cl.wrap(cl.pushBlob(ctx, d, open))
}

func (c *call) pushBlob(ctx context.Context, d Descriptor, open func() (io.ReadCloser, error)) error {
	if err := d.check(); err != nil {
		return &fault{code: verdict.ReferenceInvalid, err: err}
	}
	// HEAD comes first also because a challenge to it costs no upload.
	res, err := c.ask(ctx, request{method: http.MethodHead, path: "/v2/" + c.repo.path + "/blobs/" + string(d.Digest), actions: pullPush, redirects: true})
	if err != nil {
		return err
	}
	switch res.status {
	case http.StatusOK:
		return nil
	case http.StatusNotFound:
	default:
		return c.refused(res)
	}
	res, err = c.ask(ctx, request{method: http.MethodPost, path: "/v2/" + c.repo.path + "/blobs/uploads/", actions: pullPush,
		body: opener(nil), limit: maxErrorBytes})
	if err != nil {
		return err
	}
	if res.status != http.StatusAccepted {
		return c.refused(res)
	}
	location, err := res.url.Parse(res.header.Get("Location"))
	if err != nil || res.header.Get("Location") == "" {
		return faultf(verdict.RegistryAnswer, "%s names no place to upload to", c.repo.host)
	}
	query := location.Query()
	query.Set("digest", string(d.Digest))
	location.RawQuery = query.Encode()
	res, err = c.upload(ctx, location, request{method: http.MethodPut, path: location.String(), actions: pullPush,
		header: http.Header{"Content-Type": {"application/octet-stream"}},
		body:   open, length: d.Size, limit: maxErrorBytes,
		wait: pushHeaderWait + time.Duration(d.Size/slowestUpload)*time.Second})
	if err != nil {
		return err
	}
	if res.status != http.StatusCreated && res.status != http.StatusNoContent {
		return c.refused(res)
	}
	return nil
}

// upload sends the body to where the registry wants it. Another host gets it
// without credentials and only if it may be dialled.
func (c *call) upload(ctx context.Context, to *url.URL, r request) (*response, error) {
	h := c.hosts.get(c.repo.host)
	transport, err := c.hop(h, to)
	if err != nil {
		return nil, err
	}
	if transport == c.open && to.Host == h.name {
		return c.ask(ctx, r)
	}
	return c.exchange(ctx, transport, to, r, "")
}

// PushManifest stores raw under a tag or digest. The caller has checked that
// raw is what mediaType says.
func (c *Client) PushManifest(ctx context.Context, repo, tagOrDigest, mediaType string, raw []byte) (Descriptor, error) {
	r, err := parseRepository(repo)
	if err != nil {
		return Descriptor{}, err
	}
	cl := c.newCall("push manifest", repo+" "+tagOrDigest, r)
	d, _, err := cl.pushManifest(ctx, tagOrDigest, mediaType, raw)
	return d, cl.wrap(err)
}

// pushManifest also reports whether the registry keeps the listing of
// referrers itself (the OCI-Subject header).
func (c *call) pushManifest(ctx context.Context, tagOrDigest, mediaType string, raw []byte) (d Descriptor, listed bool, err error) {
	d = Descriptor{MediaType: mediaType, Digest: digestOf(raw), Size: int64(len(raw))}
	text := c.repo.name + ":" + tagOrDigest
	if _, err := verdict.ParseDigest(tagOrDigest); err == nil {
		text = c.repo.name + "@" + tagOrDigest
		if tagOrDigest != string(d.Digest) {
			return d, false, faultf(verdict.RegistryDigest, "the manifest has the digest %s and not %s", d.Digest, tagOrDigest)
		}
	}
	if _, err := reference.Parse(text); err != nil {
		return d, false, &fault{code: verdict.ReferenceInvalid, err: err}
	}
	if d.Size > c.limits.Manifest {
		return d, false, faultf(verdict.RegistryTooLarge, "the manifest has %d bytes; the limit is %d", d.Size, c.limits.Manifest)
	}
	res, err := c.ask(ctx, request{method: http.MethodPut, path: "/v2/" + c.repo.path + "/manifests/" + tagOrDigest, actions: pullPush,
		header: http.Header{"Content-Type": {mediaType}},
		body:   opener(raw), length: d.Size, limit: maxErrorBytes, wait: pushHeaderWait})
	if err != nil {
		return d, false, err
	}
	if res.status != http.StatusCreated && res.status != http.StatusOK {
		return d, false, c.refused(res)
	}
	if said := res.header.Get("Docker-Content-Digest"); said != "" && said != string(d.Digest) {
		return d, false, faultf(verdict.RegistryDigest, "pushed %s and the registry stored %.80q", d.Digest, said)
	}
	return d, res.header.Get("OCI-Subject") != "", nil
}

// tagOrDigest is what a push stores under: the tag when there is one.
func tagOrDigest(ref reference.Reference, digest verdict.Digest) string {
	if ref.Tag != "" {
		return ref.Tag
	}
	return string(digest)
}

// PushImage uploads the image's layers, its configuration and then its
// manifest under the reference's tag (or its digest, which then has to be the
// image's).
func (c *Client) PushImage(ctx context.Context, ref reference.Reference, img v1.Image) (Descriptor, error) {
	cl := c.newCall("push", ref.Canonical(), repositoryOf(ref))
	d, err := cl.pushImage(ctx, img, func(d verdict.Digest) string { return tagOrDigest(ref, d) })
	return d, cl.wrap(err)
}

func (c *call) pushImage(ctx context.Context, img v1.Image, under func(verdict.Digest) string) (Descriptor, error) {
	raw, err := img.RawManifest()
	if err != nil {
		return Descriptor{}, local("manifest", err)
	}
	mediaType, err := img.MediaType()
	if err != nil {
		return Descriptor{}, local("media type", err)
	}
	layers, err := img.Layers()
	if err != nil {
		return Descriptor{}, local("layers", err)
	}
	for i, l := range layers {
		if err := c.pushLayer(ctx, l); err != nil {
			return Descriptor{}, fmt.Errorf("layer %d: %w", i, err)
		}
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return Descriptor{}, local("config", err)
	}
	if err := c.pushBlob(ctx, Descriptor{Digest: digestOf(config), Size: int64(len(config))}, opener(config)); err != nil {
		return Descriptor{}, fmt.Errorf("config: %w", err)
	}
	d, _, err := c.pushManifest(ctx, under(digestOf(raw)), string(mediaType), raw)
	return d, err
}

// local is a failure on our side of a push.
func local(what string, err error) error {
	return faultf(verdict.Internal, "read the image's %s: %w", what, err)
}

func (c *call) pushLayer(ctx context.Context, l v1.Layer) error {
	digest, err := l.Digest()
	if err != nil {
		return local("layer", err)
	}
	size, err := l.Size()
	if err != nil {
		return local("layer", err)
	}
	return c.pushBlob(ctx, Descriptor{Digest: verdict.Digest(digest.String()), Size: size}, l.Compressed)
}

// PushIndex uploads the images of the index and then the index itself. An
// index within the index is refused: [ParseIndex] would refuse it too.
func (c *Client) PushIndex(ctx context.Context, ref reference.Reference, idx v1.ImageIndex) (Descriptor, error) {
	cl := c.newCall("push", ref.Canonical(), repositoryOf(ref))
	d, err := cl.pushIndex(ctx, ref, idx)
	return d, cl.wrap(err)
}

func (c *call) pushIndex(ctx context.Context, ref reference.Reference, idx v1.ImageIndex) (Descriptor, error) {
	raw, err := idx.RawManifest()
	if err != nil {
		return Descriptor{}, local("index", err)
	}
	mediaType, err := idx.MediaType()
	if err != nil {
		return Descriptor{}, local("media type", err)
	}
	list, err := idx.IndexManifest()
	if err != nil {
		return Descriptor{}, local("index", err)
	}
	for _, d := range list.Manifests {
		if !d.MediaType.IsImage() {
			return Descriptor{}, faultf(verdict.ImageIndexNested, "%s is no image but %s", d.Digest, d.MediaType)
		}
		img, err := idx.Image(d.Digest)
		if err != nil {
			return Descriptor{}, local("entry", err)
		}
		if _, err := c.pushImage(ctx, img, func(d verdict.Digest) string { return string(d) }); err != nil {
			return Descriptor{}, fmt.Errorf("image %s: %w", d.Digest, err)
		}
	}
	d, _, err := c.pushManifest(ctx, tagOrDigest(ref, digestOf(raw)), string(mediaType), raw)
	return d, err
}

// errLost is the answer when others keep overwriting what was written.
var errLost = errors.New("other clients keep replacing the tag; try again")
