package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// tagFile is the content of a tag's file. The tag is in it, so that a file
// system that ignores case cannot pass off one tag as another.
type tagFile struct {
	Tag    string         `json:"tag"`
	Digest verdict.Digest `json:"digest"`
	Pushed time.Time      `json:"pushed"`
}

// readTag returns what a tag names; fs.ErrNotExist when there is no such tag.
func (r *Registry) readTag(repo, tag string) (verdict.Digest, error) {
	raw, err := r.disk.read(repoPath(repo, "_tags", tag), maxLink)
	if err != nil {
		return "", err
	}
	var t tagFile
	if err := json.Unmarshal(raw, &t); err != nil {
		return "", fmt.Errorf("tag %s of %s: %w", tag, repo, err)
	}
	d, err := verdict.ParseDigest(string(t.Digest))
	if err != nil {
		return "", fmt.Errorf("tag %s of %s: %w", tag, repo, err)
	}
	if t.Tag != tag {
		return "", fmt.Errorf("tag %s of %s is the file of tag %s: the file system ignores case", tag, repo, t.Tag)
	}
	return d, nil
}

// mayMove reports, as an error, why a tag that names old may not come to name
// a manifest m.
func (r *Registry) mayMove(repo, tag string, old verdict.Digest, m *manifest, attached bool) error {
	if r.mutable(repo, tag) {
		return nil
	}
	if !attached {
		return refuse(http.StatusConflict, codeDenied, "tag %s names %s and is immutable: push another tag", tag, old)
	}
	was, err := r.loadManifest(repo, old)
	if err != nil {
		return err
	}
	wasAttached, err := r.isAttachment(repo, tag, was)
	if err != nil {
		return err
	}
	if !wasAttached || !m.keeps(was) {
		return refuse(http.StatusConflict, codeDenied, "tag %s may only grow: keep every entry of %s unchanged and add to them", tag, old)
	}
	return nil
}

// setTag makes the tag name d, durably. It decides again what tagManifest
// decided before the gate, because the world may have moved on meanwhile.
func (r *Registry) setTag(repo, tag string, d verdict.Digest, m *manifest, attached bool) error {
	raw, err := json.Marshal(tagFile{tag, d, r.clock.Now().UTC()})
	if err != nil {
		return err
	}
	err = r.createTag(repo, tag, d, raw)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if old, err := r.readTag(repo, tag); err == nil && old == d {
		return nil // create has synchronised the entry
	}
	unlock, err := r.disk.lock(repoPath(repo, "_lock"), lockExclusive)
	if err != nil {
		return err
	}
	defer unlock()
	if err := r.stillThere(repo, d); err != nil {
		return err
	}
	name := repoPath(repo, "_tags", tag)
	old, err := r.readTag(repo, tag)
	switch {
	case errors.Is(err, fs.ErrNotExist): // deleted in between
	case err != nil:
		return err
	case old == d:
		return r.disk.syncDir(path.Dir(name))
	default:
		if err := r.mayMove(repo, tag, old, m, attached); err != nil {
			return err
		}
	}
	return r.disk.replace(name, raw)
}

// createTag makes a tag that does not exist. link(2) decides between pushes;
// the shared lock only keeps the manifest from being deleted meanwhile.
func (r *Registry) createTag(repo, tag string, d verdict.Digest, raw []byte) error {
	unlock, err := r.disk.lock(repoPath(repo, "_lock"), lockShared)
	if err != nil {
		return err
	}
	defer unlock()
	if err := r.stillThere(repo, d); err != nil {
		return err
	}
	return r.disk.create(repoPath(repo, "_tags", tag), raw)
}

func (r *Registry) stillThere(repo string, d verdict.Digest) error {
	_, err := r.manifestLink(repo, d)
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(http.StatusNotFound, codeManifestUnknown, "manifest %s was deleted while it was being tagged: push it again", d)
	}
	return err
}

func (r *Registry) removeTag(repo, tag string) error {
	if _, err := r.readTag(repo, tag); err != nil {
		return err
	}
	if !r.mutable(repo, tag) {
		return refuse(http.StatusMethodNotAllowed, codeUnsupported, "tag %s is immutable and stays", tag)
	}
	return r.disk.remove(repoPath(repo, "_tags", tag))
}

// tagNames lists the repository's tags in the order of their bytes.
func (r *Registry) tagNames(repo string) ([]string, error) {
	names, err := r.disk.names(repoPath(repo, "_tags"))
	if err != nil {
		return nil, err
	}
	tags := names[:0]
	for _, name := range names {
		if ValidTag(name) {
			tags = append(tags, name)
		}
	}
	return tags, nil
}

// tagsOf lists the tags that name d.
func (r *Registry) tagsOf(repo string, d verdict.Digest) ([]string, error) {
	all, err := r.tagNames(repo)
	if err != nil {
		return nil, err
	}
	var of []string
	for _, tag := range all {
		named, err := r.readTag(repo, tag)
		if err != nil {
			return nil, err
		}
		if named == d {
			of = append(of, tag)
		}
	}
	return of, nil
}

// isAttachment reports whether what is pushed under tag is something that a
// client attaches to another manifest: such a tag grows, and the gate is not
// asked about it, because signatures must come before the gate can allow.
//
// It is one only when it holds nothing but documents. Otherwise a person could
// push an image under the name of a signature and deploy it past the gate; such
// a manifest is treated as any other, immutable and gated.
func (r *Registry) isAttachment(repo, tag string, m *manifest) (bool, error) {
	subject, suffix, ok := attachmentTag(tag)
	if !ok {
		return false, nil
	}
	if suffix != "" {
		return m.documents() && len(m.layers) > 0, nil
	}
	if m.mediaType != typeOCIIndex {
		return false, nil
	}
	for _, child := range m.manifests {
		if child.platform || child.MediaType != typeOCIManifest {
			return false, nil
		}
		c, err := r.loadManifest(repo, child.Digest)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if c.subject == nil || c.subject.Digest != subject || !c.documents() {
			return false, nil
		}
	}
	return true, nil
}
