package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/verdict"
)

// link is the content of a repository's file about one of its manifests.
type link struct {
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`
}

// maxLink bounds the small files that the registry writes about content.
const maxLink = 4096

// manifestLink reads what the repository says about manifest d; fs.ErrNotExist
// when it does not have it.
func (r *Registry) manifestLink(repo string, d verdict.Digest) (link, error) {
	var l link
	raw, err := r.disk.read(repoPath(repo, "_manifests", d.Hex()), maxLink)
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(raw, &l); err != nil {
		return l, fmt.Errorf("link of manifest %s in %s: %w", d, repo, err)
	}
	return l, nil
}

// readManifest returns the bytes of a manifest of the repository, verified
// against its digest; fs.ErrNotExist when the repository does not have it.
func (r *Registry) readManifest(repo string, d verdict.Digest) ([]byte, link, error) {
	l, err := r.manifestLink(repo, d)
	if err != nil {
		return nil, l, err
	}
	body, err := r.disk.read(blobPath(d), maxManifest)
	if err != nil {
		// Not %w of ErrNotExist: a manifest that is linked and gone is a
		// damaged registry, and must not look like one that was never pushed.
		return nil, l, fmt.Errorf("manifest %s is linked into %s and cannot be read: %v", d, repo, err)
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != d.Hex() {
		return nil, l, fmt.Errorf("manifest %s is damaged on the disk: push it again", d)
	}
	return body, l, nil
}

func (r *Registry) getManifest(x *exchange) error {
	unknown := refuse(http.StatusNotFound, codeManifestUnknown, "this repository has no such manifest")
	d := x.digest
	if x.tag != "" {
		var err error
		if d, err = r.readTag(x.repo, x.tag); errors.Is(err, fs.ErrNotExist) {
			return unknown
		} else if err != nil {
			return err
		}
	}
	body, l, err := r.readManifest(x.repo, d)
	if errors.Is(err, fs.ErrNotExist) {
		return unknown
	}
	if err != nil {
		return err
	}
	x.req.Header.Del("Range") // a manifest is judged as a whole
	return serveContent(x, bytes.NewReader(body), d, l.MediaType)
}

// putManifest stores a manifest by its digest, then asks the gate, then makes
// the tag: see [Gate].
func (r *Registry) putManifest(x *exchange) error {
	body, err := bounded.ReadAll(r.paced(x), maxManifest)
	if errors.Is(err, bounded.ErrTooLarge) {
		return refuse(http.StatusRequestEntityTooLarge, codeSizeInvalid, "a manifest has at most %d bytes", maxManifest)
	}
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	d := verdict.Digest("sha256:" + hex.EncodeToString(sum[:]))
	if x.tag == "" && x.digest != d {
		return refuse(http.StatusBadRequest, codeDigestInvalid, "the manifest that came is %s", d)
	}
	m, err := parseManifest(body, x.req.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	if err := r.storeManifest(x.repo, m, d, body); err != nil {
		return err
	}
	if x.tag != "" {
		if err := r.tagManifest(x, m, d); err != nil {
			return err
		}
	}
	push := Pushed{Repo: x.repo, Tag: x.tag, Digest: d, MediaType: m.mediaType, Size: int64(len(body)), Principal: x.who.principal.Name}
	if m.subject != nil {
		push.Subject = m.subject.Digest
		x.w.Header().Set("OCI-Subject", string(m.subject.Digest))
	}
	if r.onPush != nil {
		r.onPush(x.req.Context(), push)
	}
	created(x, "/manifests/", d)
	return nil
}

// storeManifest makes the manifest pullable by digest. The shared lock keeps
// what it refers to from being deleted meanwhile.
func (r *Registry) storeManifest(repo string, m *manifest, d verdict.Digest, body []byte) error {
	unlock, err := r.disk.lock(repoPath(repo, "_lock"), lockShared)
	if err != nil {
		return err
	}
	defer unlock()
	if err := r.checkReferences(repo, m); err != nil {
		return err
	}
	if err := r.storeBytes(d, body); err != nil {
		return err
	}
	// The referrer's entry comes first: a client that finds the manifest after
	// a crash does not push it again, so the list must be complete by then.
	if m.subject != nil {
		if err := r.addReferrer(repo, m, d, int64(len(body))); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(link{m.mediaType, int64(len(body))})
	if err != nil {
		return err
	}
	return r.disk.replace(repoPath(repo, "_manifests", d.Hex()), raw)
}

// checkReferences refuses a manifest whose content is not all in the
// repository with the size that it states. The subject may be absent.
func (r *Registry) checkReferences(repo string, m *manifest) error {
	for _, ref := range m.references() {
		size, ok, err := r.sizeOf(repo, ref)
		if err != nil {
			return err
		}
		if !ok {
			return refuse(http.StatusBadRequest, codeManifestBlobUnknown, "push %s first: this repository does not have it", ref.Digest)
		}
		if size != ref.Size {
			return invalid("%s has %d bytes and the manifest says %d", ref.Digest, size, ref.Size)
		}
	}
	return nil
}

func (r *Registry) sizeOf(repo string, ref descriptor) (int64, bool, error) {
	if !isManifestType(ref.MediaType) {
		return r.hasBlob(repo, ref.Digest)
	}
	l, err := r.manifestLink(repo, ref.Digest)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	return l.Size, err == nil, err
}

// tagManifest asks the gate and makes the tag. What can be refused without
// the gate is refused before it is asked.
func (r *Registry) tagManifest(x *exchange, m *manifest, d verdict.Digest) error {
	attached, err := r.isAttachment(x.repo, x.tag, m)
	if err != nil {
		return err
	}
	old, err := r.readTag(x.repo, x.tag)
	switch {
	case err == nil && old == d:
		// Visible already, and the gate has allowed it. Only its durability is
		// seen to: making the tag once more could bring it back, past the gate,
		// after another request has moved it.
		return r.disk.syncDir(repoPath(x.repo, "_tags"))
	case err == nil:
		if err := r.mayMove(x.repo, x.tag, old, m, attached); err != nil {
			return err
		}
		fallthrough
	case errors.Is(err, fs.ErrNotExist):
		if !attached {
			if err := r.askGate(x, d); err != nil {
				return err
			}
		}
	default:
		return err
	}
	return r.setTag(x.repo, x.tag, d, m, attached)
}

func (r *Registry) askGate(x *exchange, d verdict.Digest) error {
	if r.gate == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(x.req.Context(), gateTime)
	defer cancel()
	decision, reason, err := r.gate(ctx, x.repo, x.tag, d)
	const kept = "; the manifest is kept as %s, so that it can be signed and the tag pushed again"
	switch {
	case err != nil:
		r.stats.denied.Add(1)
		r.log.ErrorContext(ctx, "the push gate failed", "repo", x.repo, "tag", x.tag, "digest", d, "error", err)
		if reason == "" {
			reason = "it could not be decided whether this may be pushed"
		}
	case decision == verdict.Allow:
		return nil
	case decision == verdict.Warn:
		if text := headerText(reason); text != "" {
			x.w.Header().Add("Warning", `299 - "`+text+`"`)
		}
		return nil
	default:
		r.stats.denied.Add(1)
		if reason == "" {
			reason = "policy denies it"
		}
	}
	return refuse(http.StatusForbidden, codeDenied, "%s"+kept, reason, d)
}

// maxWarning keeps the Warning header within the specification's 4096 bytes.
const maxWarning = 1024

// headerText makes text fit for a quoted string in a header.
func headerText(text string) string {
	clean := strings.Map(func(c rune) rune {
		switch {
		case c == '"' || c == '\\':
			return '\''
		case c < ' ' || c > '~':
			return ' '
		}
		return c
	}, text)
	return strings.TrimSpace(clean[:min(len(clean), maxWarning)])
}

// deleteManifest answers DELETE of a tag or of a manifest. What a tag that may
// not move names, or what another manifest consists of, stays.
func (r *Registry) deleteManifest(x *exchange) error {
	if err := r.mustKnow(x.repo); err != nil {
		return err
	}
	unlock, err := r.disk.lock(repoPath(x.repo, "_lock"), lockExclusive)
	if err != nil {
		return err
	}
	defer unlock()
	if x.tag != "" {
		err = r.removeTag(x.repo, x.tag)
	} else {
		err = r.removeManifest(x.repo, x.digest)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(http.StatusNotFound, codeManifestUnknown, "this repository has no such manifest")
	}
	if err != nil {
		return err
	}
	x.w.WriteHeader(http.StatusAccepted)
	return nil
}

func (r *Registry) removeManifest(repo string, d verdict.Digest) error {
	if _, err := r.manifestLink(repo, d); err != nil {
		return err
	}
	tags, err := r.tagsOf(repo, d)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		if !r.mutable(repo, tag) {
			return refuse(http.StatusMethodNotAllowed, codeUnsupported, "tag %s names this manifest and tags are immutable here", tag)
		}
	}
	user, err := r.userOf(repo, d)
	if err != nil {
		return err
	}
	if user != "" {
		return refuse(http.StatusMethodNotAllowed, codeUnsupported, "index %s lists this manifest: delete the index first", user)
	}
	for _, tag := range tags {
		if err := r.disk.remove(repoPath(repo, "_tags", tag)); err != nil {
			return err
		}
	}
	m, err := r.loadManifest(repo, d)
	if err != nil {
		return err
	}
	// The link first: lists of referrers leave out what has no link.
	if err := r.disk.remove(repoPath(repo, "_manifests", d.Hex())); err != nil {
		return err
	}
	if m.subject == nil {
		return nil
	}
	return r.disk.remove(referrerPath(repo, m.subject.Digest, d))
}

func (r *Registry) loadManifest(repo string, d verdict.Digest) (*manifest, error) {
	body, _, err := r.readManifest(repo, d)
	if err != nil {
		return nil, err
	}
	return parseManifest(body, "")
}

// userOf returns a manifest of the repository that consists of d, or "". It
// reads all manifests; deleting is rare and index files would cost every push.
func (r *Registry) userOf(repo string, d verdict.Digest) (verdict.Digest, error) {
	names, err := r.disk.names(repoPath(repo, "_manifests"))
	if err != nil {
		return "", err
	}
	for _, hexDigest := range names {
		user, err := verdict.ParseDigest("sha256:" + hexDigest)
		if err != nil {
			continue // not written by us
		}
		m, err := r.loadManifest(repo, user)
		if err != nil {
			return "", err
		}
		for _, ref := range m.references() {
			if ref.Digest == d {
				return user, nil
			}
		}
	}
	return "", nil
}
