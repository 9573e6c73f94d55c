package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/apexlogic/apex/internal/model/artifact"
)

// inMLflow is a model's folder that an MLflow server hands out itself.
type inMLflow struct {
	web     *web
	server  string
	version string // as it was asked for
	folder  string
}

// maxFolders bounds the folders that are listed, each with a request of its own.
const maxFolders = 1000

// openMLflow resolves models:/NAME/VERSION to where the version's files are.
func openMLflow(ctx context.Context, uri string, client *http.Client, o *Options) (Source, error) {
	name, version, ok := strings.Cut(strings.Trim(strings.TrimPrefix(uri, "models:"), "/"), "/")
	if !ok || name == "" || version == "" || strings.Contains(version, "/") {
		return nil, errors.New("it is no models:/NAME/VERSION")
	}
	server := strings.TrimSuffix(o.Getenv("MLFLOW_TRACKING_URI"), "/")
	base, err := url.Parse(server)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, errors.New("MLFLOW_TRACKING_URI does not name the server, such as https://mlflow.example.com")
	}
	s := &inMLflow{web: &web{client: client, base: base, token: o.Getenv("MLFLOW_TRACKING_TOKEN"), access: "set MLFLOW_TRACKING_TOKEN to a token that may read it"},
		server: server, version: uri}
	var answer struct {
		ArtifactURI string `json:"artifact_uri"`
	}
	query := url.Values{"name": {name}, "version": {version}}
	if _, err := s.web.json(ctx, server+"/api/2.0/mlflow/model-versions/get-download-uri?"+query.Encode(), &answer); err != nil {
		return nil, err
	}
	at, err := url.Parse(answer.ArtifactURI)
	if err != nil {
		return nil, fmt.Errorf("%s names a place that cannot be read", base.Host)
	}
	switch at.Scheme {
	case "mlflow-artifacts":
		if at.Host != "" && at.Host != base.Host {
			return nil, fmt.Errorf("%s names artifacts of another server", base.Host)
		}
		s.folder = strings.Trim(at.Path, "/")
		if err := artifact.CheckPath(s.folder); err != nil {
			return nil, fmt.Errorf("the folder that %s names: %w", base.Host, err)
		}
		return s, nil
	case "s3", "https", "hf":
		return open(ledBy(ctx, base), answer.ArtifactURI, client, o)
	}
	return nil, fmt.Errorf("the version's files are in a place that is not read from here (%.200q); download them and scan the copy", redact(answer.ArtifactURI))
}

func (s *inMLflow) Pinned() string { return s.version } // versions of a registered model do not change

func (s *inMLflow) Files(ctx context.Context) ([]Entry, error) {
	var out []Entry
	queue := []string{s.folder}
	for folders := 0; len(queue) > 0; folders++ {
		if folders >= maxFolders || len(out) > maxFiles {
			return nil, tooMany()
		}
		folder := queue[0]
		queue = queue[1:]
		var answer struct {
			Files []struct {
				Path  string      `json:"path"`
				IsDir bool        `json:"is_dir"`
				Size  json.Number `json:"file_size"` // servers write it as a number or as text
			} `json:"files"`
		}
		if _, err := s.web.json(ctx, s.server+"/api/2.0/mlflow-artifacts/artifacts?"+url.Values{"path": {folder}}.Encode(), &answer); err != nil {
			return nil, fmt.Errorf("list the files of %s: %w", s.version, err)
		}
		for _, f := range answer.Files {
			base := path.Base(f.Path) // some servers list names, others paths
			if err := artifact.CheckPath(base); err != nil {
				return nil, err
			}
			full := folder + "/" + base
			if f.IsDir {
				queue = append(queue, full)
				continue
			}
			name := strings.TrimPrefix(full, s.folder+"/")
			size, err := f.Size.Int64()
			if err != nil {
				return nil, fmt.Errorf("the server does not say how long %q is", name)
			}
			out = append(out, Entry{Path: name, Size: size, where: s.server + "/api/2.0/mlflow-artifacts/artifacts/" + escaped(full)})
		}
	}
	return listed(out)
}

func (s *inMLflow) Open(ctx context.Context, e *Entry) *Ranges {
	return newRanges(ctx, e.Size, s.web.ranges(e.where, e.Size, ""))
}
