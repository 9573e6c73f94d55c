package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/apexlogic/apex/verdict"
)

// onHub is a repository of a Hugging Face Hub at one commit.
type onHub struct {
	web      *web
	endpoint string
	repo     string
	commit   string
}

var (
	hubName   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$`) })
	hubCommit = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-f]{40}$`) })
)

// maxPages bounds the pages of a listing; the Hub's have up to 1000 files.
const maxPages = 1000

func openHub(ctx context.Context, uri string, client *http.Client, o *Options) (Source, error) {
	name, revision, _ := strings.Cut(strings.TrimPrefix(uri, "hf://"), "@")
	owner, model, two := strings.Cut(name, "/")
	if !two || !hubName().MatchString(owner) || !hubName().MatchString(model) {
		return nil, errors.New("it is no hf://OWNER/NAME[@REVISION]")
	}
	if revision == "" {
		revision = "main"
	}
	endpoint := strings.TrimSuffix(o.Getenv("HF_ENDPOINT"), "/")
	if endpoint == "" {
		endpoint = "https://huggingface.co"
	}
	base, err := url.Parse(endpoint)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, errors.New("HF_ENDPOINT is no URL")
	}
	s := &onHub{web: &web{client: client, base: base, token: o.Getenv("HF_TOKEN"), access: "set HF_TOKEN to a token that may read it"}, endpoint: endpoint, repo: name}
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
		var items []struct {
			Type string `json:"type"`
			Path string `json:"path"`
			Size int64  `json:"size"`
			LFS  *struct {
				OID  string `json:"oid"`
				Size int64  `json:"size"`
			} `json:"lfs"`
		}
		next, err := s.web.json(ctx, page, &items)
		if err != nil {
			return nil, fmt.Errorf("list the files of %s: %w", s.Pinned(), err)
		}
		for _, f := range items {
			switch f.Type {
			case "directory":
				continue
			case "file":
			default:
				return nil, fmt.Errorf("%q is a %.20q, which is not read", f.Path, f.Type)
			}
			e := Entry{Path: f.Path, Size: f.Size, where: s.endpoint + "/" + s.repo + "/resolve/" + s.commit + "/" + escaped(f.Path)}
			if f.LFS != nil {
				e.Size = f.LFS.Size
				if e.Digest, err = verdict.ParseDigest("sha256:" + f.LFS.OID); err != nil {
					return nil, fmt.Errorf("the Hub's digest of %q: %w", f.Path, err)
				}
			}
			out = append(out, e)
		}
		if len(out) > maxFiles || pages >= maxPages {
			return nil, tooMany()
		}
		page = next
	}
	return listed(out)
}

func (s *onHub) Open(ctx context.Context, e *Entry) *Ranges {
	return newRanges(ctx, e.Size, s.web.ranges(e.where, e.Size, ""))
}
