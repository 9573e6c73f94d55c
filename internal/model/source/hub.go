package source

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/verdict"
)

// onHub is a repository of a Hugging Face Hub at one commit.
type onHub struct {
	web      web
	endpoint string
	repo     string
	commit   string
}

var (
	hubName   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$`) })
	hubCommit = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-f]{40}$`) })
)

func openHub(ctx context.Context, uri string, o *Options) (Source, error) {
	name, revision, _ := strings.Cut(strings.TrimPrefix(uri, "hf://"), "@")
	owner, model, two := strings.Cut(name, "/")
	if !two || !hubName().MatchString(owner) || !hubName().MatchString(model) {
		return nil, errors.New("it is no hf://OWNER/NAME[@REVISION]")
	}
	if revision == "" {
		revision = "main"
	}
	s := &onHub{web: web{client: o.HTTP, token: o.Getenv("HF_TOKEN")}, endpoint: strings.TrimSuffix(o.Getenv("HF_ENDPOINT"), "/"), repo: name}
	if s.endpoint == "" {
		s.endpoint = "https://huggingface.co"
	}
	base, err := url.Parse(s.endpoint)
	if err != nil || base.Host == "" {
		return nil, errors.New("HF_ENDPOINT is no URL")
	}
	s.web.host = base.Host
	var info struct {
		SHA string `json:"sha"`
	}
	if _, err := s.web.json(ctx, s.endpoint+"/api/models/"+name+"/revision/"+url.PathEscape(revision), &info); err != nil {
		return nil, err
	}
	if !hubCommit().MatchString(info.SHA) {
		return nil, fmt.Errorf("%s names no commit for the revision %q", base.Host, revision)
	}
	if hubCommit().MatchString(revision) && revision != info.SHA {
		return nil, fmt.Errorf("%s answers with another commit than was asked for", base.Host)
	}
	s.commit = info.SHA
	return s, nil
}

func (s *onHub) Pinned() string { return "hf://" + s.repo + "@" + s.commit }

func (s *onHub) Files(ctx context.Context) ([]Entry, error) {
	var out []Entry
	page := s.endpoint + "/api/models/" + s.repo + "/tree/" + s.commit + "?recursive=true"
	for pages := 0; page != ""; pages++ {
		var listed []struct {
			Type string `json:"type"`
			Path string `json:"path"`
			Size int64  `json:"size"`
			LFS  *struct {
				OID  string `json:"oid"`
				Size int64  `json:"size"`
			} `json:"lfs"`
		}
		next, err := s.web.json(ctx, page, &listed)
		if err != nil {
			return nil, err
		}
		for _, f := range listed {
			if f.Type != "file" {
				continue
			}
			if err := artifact.CheckPath(f.Path); err != nil {
				return nil, err
			}
			e := Entry{Path: f.Path, Size: f.Size}
			if f.LFS != nil {
				e.Size = f.LFS.Size
				e.Digest, _ = verdict.ParseDigest("sha256:" + f.LFS.OID) // one that cannot be read is none
			}
			segments := strings.Split(f.Path, "/")
			for i := range segments {
				segments[i] = url.PathEscape(segments[i])
			}
			e.where = s.endpoint + "/" + s.repo + "/resolve/" + s.commit + "/" + strings.Join(segments, "/")
			out = append(out, e)
		}
		if len(out) > maxFiles || pages > 1000 {
			return nil, fmt.Errorf("more than %d files", maxFiles)
		}
		page = next
	}
	return out, nil
}

func (s *onHub) Open(ctx context.Context, e *Entry) *Ranges {
	return newRanges(ctx, e.Size, s.web.ranges(e.where, e.Size, ""))
}
