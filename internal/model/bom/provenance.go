package bom

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// The build types of Apex: how a model came to be.
const (
	BuildTraining   = "https://security.apexlogic.com/model-training/v1"
	BuildConversion = "https://security.apexlogic.com/model-conversion/v1"
)

// Run is a training or conversion.
type Run struct {
	BuildType  string // BuildTraining, BuildConversion or a URI of the builder's own
	Builder    string // URI of who ran it
	Invocation string // id of the run; may be empty
	// Code is the source repository as a URI with its commit: git+https://…@HEX.
	Code       string
	CodeCommit string // all of it, in hex
	EntryPoint string // script or workflow in the repository
	Image      Origin // that it ran in
	Bases      []Origin
	Datasets   []Origin
	Parameters map[string]string
	Started    time.Time
	Finished   time.Time
}

type (
	provenanceJSON struct {
		BuildDefinition definitionJSON `json:"buildDefinition"`
		RunDetails      detailsJSON    `json:"runDetails"`
	}
	definitionJSON struct {
		BuildType  string            `json:"buildType"`
		External   externalJSON      `json:"externalParameters"`
		Resolved   []dependencyJSON  `json:"resolvedDependencies"`
		Parameters map[string]string `json:"internalParameters,omitempty"`
	}
	externalJSON struct {
		Workflow *workflowJSON `json:"workflow,omitempty"`
	}
	workflowJSON struct {
		Repository string `json:"repository,omitempty"`
		Path       string `json:"path,omitempty"`
		Ref        string `json:"ref,omitempty"`
	}
	dependencyJSON struct {
		Name   string            `json:"name,omitempty"`
		URI    string            `json:"uri,omitempty"`
		Digest map[string]string `json:"digest,omitempty"`
	}
	detailsJSON struct {
		Builder  builderJSON  `json:"builder"`
		Metadata metadataJSON `json:"metadata"`
	}
	builderJSON struct {
		ID string `json:"id"`
	}
	metadataJSON struct {
		InvocationID string     `json:"invocationId,omitempty"`
		StartedOn    *time.Time `json:"startedOn,omitempty"`
		FinishedOn   *time.Time `json:"finishedOn,omitempty"`
	}
)

// The names of dependencies, by which policies tell them apart.
const (
	DependencyCode      = "code"
	DependencyImage     = "image"
	DependencyBaseModel = "base-model"
	DependencyDataset   = "dataset"
)

// check says what in the run proves nothing, or would not be read.
func (r *Run) check() error {
	for _, id := range []struct{ what, uri string }{{"the builder", r.Builder}, {"the build type", r.BuildType}} {
		if u, err := url.Parse(id.uri); err != nil || u.Scheme == "" || checkURI(id.uri) != nil {
			return fmt.Errorf("%s is no URI, such as https://ci.example.com/training@v2", id.what)
		}
	}
	if err := checkURI(r.Code); err != nil {
		return fmt.Errorf("the code: %w", err)
	}
	_, err := hex.DecodeString(r.CodeCommit)
	switch {
	case r.Code == "" && (r.CodeCommit != "" || r.EntryPoint != ""):
		return errors.New("a commit or an entry point without the repository that it is in")
	case r.Code != "" && (err != nil || len(r.CodeCommit) != 40 && len(r.CodeCommit) != 64):
		return errors.New("the code has no full commit in hex; a branch can change and proves nothing")
	case !r.Started.IsZero() && !r.Finished.IsZero() && r.Finished.Before(r.Started):
		return errors.New("the run finished before it started")
	}
	return nil
}

// Provenance returns the SLSA v1 predicate of the run. Everything that it names
// has a digest.
func Provenance(r *Run) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	p := provenanceJSON{
		BuildDefinition: definitionJSON{BuildType: r.BuildType, Parameters: r.Parameters, Resolved: []dependencyJSON{}},
		RunDetails:      detailsJSON{Builder: builderJSON{r.Builder}, Metadata: metadataJSON{InvocationID: r.Invocation, StartedOn: moment(r.Started), FinishedOn: moment(r.Finished)}},
	}
	d := &p.BuildDefinition
	if r.Code != "" {
		d.External.Workflow = &workflowJSON{Repository: r.Code, Path: r.EntryPoint}
		d.Resolved = append(d.Resolved, dependencyJSON{Name: DependencyCode, URI: r.Code, Digest: map[string]string{"gitCommit": r.CodeCommit}})
	}
	add := func(name string, all ...Origin) error {
		for _, o := range all {
			if o.Digest == "" {
				return fmt.Errorf("%s %s has no digest; provenance that names what can change proves nothing", name, o.URI)
			}
			if err := o.check(); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			d.Resolved = append(d.Resolved, dependencyJSON{Name: name, URI: o.URI, Digest: map[string]string{"sha256": o.Digest.Hex()}})
		}
		return nil
	}
	if r.Image != (Origin{}) {
		if err := add(DependencyImage, r.Image); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(add(DependencyBaseModel, r.Bases...), add(DependencyDataset, r.Datasets...)); err != nil {
		return nil, err
	}
	return json.MarshalIndent(p, "", "  ")
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}
