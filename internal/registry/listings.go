package registry

import (
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"strings"
)

const (
	// maxTagsPage and maxCatalogPage are the largest pages; what does not fit
	// is linked to.
	maxTagsPage    = 10_000
	maxCatalogPage = 1_000
	// maxRepositories bounds the walk that a listing makes.
	maxRepositories = 1 << 17
)

func (r *Registry) listTags(x *exchange) error {
	q := x.req.URL.Query()
	p, prob := parsePage(q, maxTagsPage)
	if prob != nil {
		return prob
	}
	tags, err := r.tagNames(x.repo)
	if err != nil {
		return err
	}
	if len(tags) == 0 {
		if err := r.mustKnow(x.repo); err != nil {
			return err
		}
	}
	part, more := p.cut(tags)
	if more {
		x.w.Header().Set("Link", linkNext("/v2/"+x.repo+"/tags/list", q, part[len(part)-1]))
	}
	if part == nil {
		part = []string{}
	}
	return writeJSON(x.w, http.StatusOK, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{x.repo, part})
}

// mustKnow is an error unless something was pushed to the repository.
func (r *Registry) mustKnow(repo string) error {
	for _, dir := range []string{"_manifests", "_blobs"} {
		_, err := r.disk.root.Lstat(repoPath(repo, dir))
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return refuse(http.StatusNotFound, codeNameUnknown, "there is no such repository")
}

// listRepositories lists those repositories with manifests that the caller may
// pull from. Other directories are not even read.
func (r *Registry) listRepositories(x *exchange) error {
	q := x.req.URL.Query()
	p, prob := parsePage(q, maxCatalogPage)
	if prob != nil {
		return prob
	}
	names, err := r.repositories("", func(repo string) bool {
		return r.granted(x.who.principal, x.who.anonymous, repo).Has(Pull)
	})
	if err != nil {
		return err
	}
	slices.Sort(names)
	part, more := p.cut(names)
	if more {
		x.w.Header().Set("Link", linkNext("/v2/_catalog", q, part[len(part)-1]))
	}
	if part == nil {
		part = []string{}
	}
	return writeJSON(x.w, http.StatusOK, "application/json", struct {
		Repositories []string `json:"repositories"`
	}{part})
}

// repositories walks below the repository or path component "in".
func (r *Registry) repositories(in string, visible func(repo string) bool) ([]string, error) {
	var found []string
	pending := []string{in}
	for len(pending) > 0 {
		at := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		names, err := r.disk.names(strings.TrimSuffix("repos/"+at, "/"))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			switch {
			case name == "_manifests" && at != "" && visible(at):
				found = append(found, at)
			case validComponent(name):
				pending = append(pending, strings.TrimPrefix(at+"/"+name, "/"))
			}
		}
		if len(found)+len(pending) > maxRepositories {
			return nil, errors.New("more repositories than one listing may walk")
		}
	}
	return found, nil
}
