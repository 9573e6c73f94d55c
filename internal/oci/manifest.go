package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// Manifest is a manifest or index whose bytes have the digest. Raw is shared:
// it must not be changed.
type Manifest struct {
	Descriptor // MediaType, Digest and Size only
	Raw        []byte

	// read is what Raw says, when that was read just now; nil otherwise.
	read *readManifest
}

// readManifest is an image manifest, or why it is none. It is shared.
type readManifest struct {
	doc *manifestJSON
	err error
}

// document is [decodeManifest] without doing it twice. It must not be changed.
func (m *Manifest) document() (*manifestJSON, error) {
	if m.read != nil {
		return m.read.doc, m.read.err
	}
	return decodeManifest(m.Raw)
}

// judge checks the bytes: JSON that can be trusted, and the one thing that
// they are called. What is wrong with an image manifest beyond that is for
// those to say who ask what is in it.
func (m *Manifest) judge() error {
	const what = "manifest"
	if err := check(verdict.RegistryAnswer, what, m.Raw); err != nil {
		return err
	}
	var h head
	if !m.IsIndex() {
		doc, err := decodeManifest(m.Raw)
		m.read = &readManifest{doc, err}
		if err == nil {
			h = head{doc.SchemaVersion, doc.MediaType}
		}
	}
	if m.read == nil || m.read.err != nil {
		if err := unmarshal(verdict.RegistryAnswer, what, m.Raw, &h); err != nil {
			return err
		}
	}
	return agree(m.MediaType, h, shapeOf(m.Raw))
}

// IsIndex reports whether the manifest lists images instead of being one.
func (m *Manifest) IsIndex() bool { return isIndexType(m.MediaType) }

const acceptManifests = MediaTypeManifest + ", " + MediaTypeIndex + ", " + MediaTypeDockerManifest + ", " + MediaTypeDockerList

// Resolve fetches what the reference names, with exactly one GET (and none
// when its digest is in the cache), and hashes it. A digest in the reference
// wins over a tag beside it. From here on ask by the digest only: a registry
// may answer the same tag differently each time.
//
// Codes of errors: registry.* , and image.media-type.refused for what is no
// image manifest or index, and for manifests that say two things.
func (c *Client) Resolve(ctx context.Context, ref reference.Reference) (Manifest, error) {
	if ref.IsZero() {
		return Manifest{}, &Error{Code: verdict.ReferenceInvalid, Op: "resolve", Ref: ref.String(), Err: reference.ErrInvalid}
	}
	cl := c.newCall("resolve", ref.Canonical(), repositoryOf(ref))
	if ref.Digest != "" {
		m, err := cl.manifest(ctx, ref.Digest)
		return m, cl.wrap(err)
	}
	m, err := c.manifests.Do(ctx, cl.ref, func(ctx context.Context) (Manifest, error) {
		ctx, cancel := c.within(ctx)
		defer cancel()
		return cl.fetchManifest(ctx, ref.Tag, "")
	})
	if err == nil {
		c.cache.put(cl.repo.name+"@"+string(m.Digest), m)
	}
	return m, cl.wrap(err)
}

// manifest returns the manifest with the digest, from the cache or the registry.
func (c *call) manifest(ctx context.Context, d verdict.Digest) (Manifest, error) {
	if _, err := verdict.ParseDigest(string(d)); err != nil {
		return Manifest{}, &fault{code: verdict.ReferenceInvalid, err: err}
	}
	key := c.repo.name + "@" + string(d)
	if m, ok := c.cache.get(key); ok {
		return m, nil
	}
	return c.manifests.Do(ctx, key, func(ctx context.Context) (Manifest, error) {
		// The flight before this one may have landed since the look above.
		if m, ok := c.cache.get(key); ok {
			return m, nil
		}
		ctx, cancel := c.within(ctx)
		defer cancel()
		m, err := c.fetchManifest(ctx, string(d), d)
		if err == nil {
			c.cache.put(key, m)
		}
		return m, err
	})
}

// fetchManifest asks for a tag or digest. want is the digest that must come,
// or "" if any may.
func (c *call) fetchManifest(ctx context.Context, tagOrDigest string, want verdict.Digest) (Manifest, error) {
	res, err := c.ask(ctx, request{
		method:  http.MethodGet,
		path:    "/v2/" + c.repo.path + "/manifests/" + tagOrDigest,
		accept:  acceptManifests,
		actions: pull,
		limit:   c.limits.Manifest,
		// Some registries keep manifests in a blob store.
		redirects: true,
	})
	if err != nil {
		return Manifest{}, err
	}
	if res.status != http.StatusOK {
		return Manifest{}, c.refused(res)
	}
	got := digestOf(res.body)
	if said := res.header.Get("Docker-Content-Digest"); said != "" && said != string(got) && strings.HasPrefix(said, "sha256:") {
		return Manifest{}, faultf(verdict.RegistryDigest, "the registry announces %.80q and sends %s", said, got)
	}
	if want != "" && want != got {
		return Manifest{}, faultf(verdict.RegistryDigest, "asked for %s, got %s", want, got)
	}
	t, err := mediaType(res.header.Get("Content-Type"))
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{Descriptor: Descriptor{MediaType: t, Digest: got, Size: int64(len(res.body))}, Raw: res.body}
	if err := m.judge(); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// The actions of a token's scope.
const (
	pull     = "pull"
	pullPush = "pull,push"
)

// refused turns an answer without success into an error.
func (c *call) refused(res *response) error {
	return statusError(c.clock.Now(), c.repo.host, res.status, res.header, errorCode(res.body))
}

// errorCode reads the registry's first error code (distribution-spec, "Error
// codes") and passes it on only if it looks like one.
func errorCode(body []byte) string {
	var doc struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	if len(body) > maxErrorBytes || checkJSON(body) != nil || json.Unmarshal(body, &doc) != nil || len(doc.Errors) == 0 {
		return ""
	}
	code := doc.Errors[0].Code
	if len(code) > 40 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
		return ""
	}
	return code
}

func digestOf(data []byte) verdict.Digest {
	sum := sha256.Sum256(data)
	return verdict.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// Blob fetches a blob of at most limit bytes (0: the client's Blob limit) and
// checks its digest and size. The bytes are shared with concurrent callers and
// must not be changed.
func (c *Client) Blob(ctx context.Context, repo string, d Descriptor, limit int64) ([]byte, error) {
	r, err := parseRepository(repo)
	if err != nil {
		return nil, err
	}
	cl := c.newCall("fetch blob", repo+"@"+string(d.Digest), r)
	if limit <= 0 {
		limit = c.limits.Blob
	}
	data, err := cl.blob(ctx, d, limit)
	return data, cl.wrap(err)
}

// blob fetches the blob that d names. d.Size is checked: a descriptor is
// hashed together with its manifest, so a wrong size is a broken promise.
func (c *call) blob(ctx context.Context, d Descriptor, limit int64) ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, &fault{code: verdict.ReferenceInvalid, err: err}
	}
	if d.Size > limit {
		return nil, faultf(verdict.RegistryTooLarge, "%s has %d bytes; the limit is %d", d.Digest, d.Size, limit)
	}
	// The size is part of the key: a caller with a wrong one fails alone.
	key := c.repo.name + "@" + string(d.Digest) + "/" + strconv.FormatInt(d.Size, 10)
	return c.blobs.Do(ctx, key, func(ctx context.Context) ([]byte, error) {
		ctx, cancel := c.within(ctx)
		defer cancel()
		res, err := c.ask(ctx, request{
			method:    http.MethodGet,
			path:      "/v2/" + c.repo.path + "/blobs/" + string(d.Digest),
			actions:   pull,
			limit:     d.Size,
			redirects: true,
		})
		if err != nil {
			return nil, err
		}
		if res.status != http.StatusOK {
			return nil, c.refused(res)
		}
		if int64(len(res.body)) != d.Size {
			return nil, faultf(verdict.RegistryDigest, "%s should have %d bytes and has %d", d.Digest, d.Size, len(res.body))
		}
		if got := digestOf(res.body); got != d.Digest {
			return nil, faultf(verdict.RegistryDigest, "asked for %s, got %s", d.Digest, got)
		}
		return res.body, nil
	})
}
