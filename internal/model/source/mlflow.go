package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/apexlogic/apex/internal/model/artifact"
)

// inMLflow is a model's folder that an MLflow server hands out itself.
type inMLflow struct {
	web     web
	server  string
	version string // as it was asked for
	folder  string
}

// openMLflow resolves models:/NAME/VERSION to where the version's files are.
func openMLflow(ctx context.Context, uri string, o *Options) (Source, error) {
	name, version, ok := strings.Cut(strings.Trim(strings.TrimPrefix(uri, "models:"), "/"), "/")
	if !ok || name == "" || version == "" || strings.Contains(version, "/") {
		return nil, errors.New("it is no models:/NAME/VERSION")
	}
	server := strings.TrimSuffix(o.Getenv("MLFLOW_TRACKING_URI"), "/")
	base, err := url.Parse(server)
	if err != nil || (base.Scheme != "https" && base.Scheme != "http") {
		return nil, errors.New("MLFLOW_TRACKING_URI does not name the server")
	}
	s := &inMLflow{web: web{client: o.HTTP, token: o.Getenv("MLFLOW_TRACKING_TOKEN"), host: base.Host}, server: server, version: uri}
	var answer struct {
		ArtifactURI string `json:"artifact_uri"`
	}
	query := url.Values{"name": {name}, "version": {version}}
	if _, err := s.web.json(ctx, server+"/api/2.0/mlflow/model-versions/get-download-uri?"+query.Encode(), &answer); err != nil {
		return nil, err
	}
	at, err := url.Parse(answer.ArtifactURI)
	if err != nil {
		return nil, errors.New("the server names a place that cannot be read")
	}
	switch at.Scheme {
	case "mlflow-artifacts":
		if at.Host != "" && at.Host != base.Host {
			return nil, errors.New("the server names artifacts of another server")
		}
		s.folder = strings.Trim(at.Path, "/")
		return s, nil
	case "s3", "https", "hf":
		return Open(ctx, answer.ArtifactURI, *o)
	}
	return nil, fmt.Errorf("the version's files are in a place that is not read from here (%s)", redact(answer.ArtifactURI))
}

func (s *inMLflow) Pinned() string { return s.version } // versions of a registered model do not change

func (s *inMLflow) Files(ctx context.Context) ([]Entry, error) {
	var out []Entry
	queue := []string{s.folder}
	for len(queue) > 0 {
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
			return nil, err
		}
		for _, f := range answer.Files {
			full := path.Join(folder, path.Base(f.Path)) // servers list names below the folder
			if f.IsDir {
				queue = append(queue, full)
				continue
			}
			name := strings.TrimPrefix(full, s.folder+"/")
			if err := artifact.CheckPath(name); err != nil {
				return nil, err
			}
			size, err := f.Size.Int64()
			if err != nil || size < 0 {
				return nil, fmt.Errorf("the server does not say how long %q is", name)
			}
			segments := strings.Split(full, "/")
			for i := range segments {
				segments[i] = url.PathEscape(segments[i])
			}
			out = append(out, Entry{Path: name, Size: size, where: s.server + "/api/2.0/mlflow-artifacts/artifacts/" + strings.Join(segments, "/")})
		}
		if len(out)+len(queue) > maxFiles {
			return nil, fmt.Errorf("more than %d files", maxFiles)
		}
	}
	return out, nil
}

func (s *inMLflow) Open(ctx context.Context, e *Entry) *Ranges {
	return newRanges(ctx, e.Size, s.web.ranges(e.where, e.Size, ""))
}
