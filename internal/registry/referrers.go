package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/apexlogic/apex/verdict"
)

const (
	// maxReferrersPage is how many bytes of descriptors one answer holds.
	// Clients read at most 4 MiB; many read only the first page, so it is
	// as large as they allow.
	maxReferrersPage = 3 << 20
	// maxDescriptor bounds one stored entry: its annotations were part of a
	// manifest.
	maxDescriptor = maxManifest + 4096
)

// referrerPath is the file of one referrer: adding it twice is adding it once.
func referrerPath(repo string, subject, referrer verdict.Digest) string {
	return repoPath(repo, "_referrers", subject.Hex(), referrer.Hex())
}

func (r *Registry) addReferrer(repo string, m *manifest, d verdict.Digest, size int64) error {
	name := referrerPath(repo, m.subject.Digest, d)
	if ok, err := r.disk.exists(name); err != nil {
		return err
	} else if !ok {
		names, err := r.disk.names(repoPath(repo, "_referrers", m.subject.Digest.Hex()))
		if err != nil {
			return err
		}
		if len(names) >= r.limits.Referrers {
			return refuse(http.StatusForbidden, codeDenied, "%s has %d referrers, which is the limit: delete old ones first", m.subject.Digest, len(names))
		}
	}
	raw, err := json.Marshal(m.describe(d, size))
	if err != nil {
		return err
	}
	return r.disk.replace(name, raw)
}

// listReferrers answers with an index of the manifests that refer to a digest,
// in the order of their digests. It is never a 404: that would tell clients
// that the registry does not know of referrers.
func (r *Registry) listReferrers(x *exchange) error {
	q := x.req.URL.Query()
	p, prob := parsePage(q, maxDirEntries)
	if prob != nil {
		return prob
	}
	names, err := r.disk.names(repoPath(x.repo, "_referrers", x.digest.Hex()))
	if err != nil {
		return err
	}
	names, _ = page{last: p.last, n: len(names)}.cut(names)
	filter := q.Get("artifactType")
	list := []json.RawMessage{}
	size, more, last := 0, false, ""
	for _, name := range names {
		raw, err := r.referrer(x.repo, x.digest, name, filter)
		if err != nil {
			return err
		}
		if raw == nil {
			continue
		}
		if size += len(raw); len(list) == p.n || size > maxReferrersPage && len(list) > 0 {
			more = !p.zero
			break
		}
		list, last = append(list, raw), name
	}
	h := x.w.Header()
	if more {
		h.Set("Link", linkNext("/v2/"+x.repo+"/referrers/"+string(x.digest), q, last))
	}
	if filter != "" {
		h.Set("OCI-Filters-Applied", "artifactType")
	}
	return writeJSON(x.w, http.StatusOK, typeOCIIndex, struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		Manifests     []json.RawMessage `json:"manifests"`
	}{2, typeOCIIndex, list})
}

// referrer returns a stored descriptor, or nil when it is filtered out or its
// manifest is not in the repository (deleted, or its push was not finished).
func (r *Registry) referrer(repo string, subject verdict.Digest, name, filter string) (json.RawMessage, error) {
	d, err := verdict.ParseDigest("sha256:" + name)
	if err != nil {
		return nil, nil // not written by us
	}
	raw, err := r.disk.read(referrerPath(repo, subject, d), maxDescriptor)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if filter != "" {
		var desc descriptor
		if err := json.Unmarshal(raw, &desc); err != nil {
			return nil, fmt.Errorf("referrer %s of %s in %s: %w", d, subject, repo, err)
		}
		if desc.ArtifactType != filter {
			return nil, nil
		}
	}
	if ok, err := r.disk.exists(repoPath(repo, "_manifests", d.Hex())); !ok || err != nil {
		return nil, err
	}
	return raw, nil
}
