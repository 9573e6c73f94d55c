package scan

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// The predicate types of SLSA provenance.
const (
	PredicateSLSA01 = "https://slsa.dev/provenance/v0.1" // recognised, and refused
	PredicateSLSA02 = "https://slsa.dev/provenance/v0.2"
	PredicateSLSA1  = "https://slsa.dev/provenance/v1"
)

const (
	// maxProvenance is how many bytes a predicate may have: at some 200 bytes a
	// dependency four times as many as are kept.
	maxProvenance = 16 << 20
	// maxDependencies bounds the dependencies that are kept.
	maxDependencies = 20_000
	maxURI          = 2048
)

// ParseProvenance reads SLSA provenance v0.2 or v1 from a signed statement. ok
// is false when the statement is none, and then there is no error either.
//
// Where the source is stated depends on the build type: v0.2 has
// invocation.configSource; for v1 the parameters of the well-known build types
// are read (GitHub Actions, slsa-github-generator, Google Cloud Build,
// BuildKit). A statement that names two different sources is refused, since a
// policy could only compare one of them.
//
// On an error the result's Code is [verdict.ProvenanceInvalid].
func ParseProvenance(a *fact.Attestation) (p fact.Provenance, ok bool, err error) {
	var read func(json.RawMessage, *fact.Provenance) error
	switch a.PredicateType {
	case PredicateSLSA1:
		p.Version, read = "1", readSLSA1
	case PredicateSLSA02:
		p.Version, read = "0.2", readSLSA02
	case PredicateSLSA01:
		p.Version, read = "0.1", func(json.RawMessage, *fact.Provenance) error {
			return errors.New("v0.1 is not read: have the builder write v0.2 or v1")
		}
	default:
		return fact.Provenance{}, false, nil
	}
	err = checkPredicate(a.Predicate)
	if err == nil {
		err = read(a.Predicate, &p)
	}
	if err == nil && p.Builder == "" {
		err = errors.New("it names no builder")
	}
	if err == nil && len(p.Builder) > maxURI {
		err = errors.New("the builder's id is too long")
	}
	p.Code = verdict.OK
	if err != nil {
		err = fmt.Errorf("provenance v%s: %w", p.Version, err)
		p = fact.Provenance{Version: p.Version, Code: verdict.ProvenanceInvalid, Detail: clip(err.Error(), maxText)}
	}
	p.Signing, p.Subjects = a.Signing, a.Subjects
	return p, true, err
}

func checkPredicate(data json.RawMessage) error {
	if len(data) > maxProvenance {
		return fmt.Errorf("%w of %d bytes", bounded.ErrTooLarge, maxProvenance)
	}
	return strict().Check(data)
}

type digestSet map[string]string

// commit is the Git commit, under the names that builders use for it.
func (d digestSet) commit() string {
	for _, algorithm := range []string{"gitCommit", "sha1"} {
		if hex := d[algorithm]; hex != "" {
			return clip(hex, 64)
		}
	}
	return ""
}

type resource struct {
	Name   string    `json:"name"`
	URI    string    `json:"uri"`
	Digest digestSet `json:"digest"`
}

// resources is a long list of dependencies.
type resources []resource

func (l *resources) UnmarshalJSON(data []byte) error {
	w := newWalker(data)
	_, err := w.array(func() error {
		if len(*l) == maxDependencies {
			return fmt.Errorf("%w (%d)", ErrTooMany, maxDependencies)
		}
		var r resource
		if err := w.decode(&r); err != nil {
			return err
		}
		*l = append(*l, r)
		return nil
	})
	return err
}

// readSLSA02 reads v0.2 (slsa.dev/spec/v0.2/provenance).
func readSLSA02(data json.RawMessage, p *fact.Provenance) error {
	var in struct {
		Builder struct {
			ID string `json:"id"`
		} `json:"builder"`
		BuildType  string `json:"buildType"`
		Invocation struct {
			ConfigSource struct {
				resource
				EntryPoint string `json:"entryPoint"`
			} `json:"configSource"`
		} `json:"invocation"`
		Metadata struct {
			Finished string `json:"buildFinishedOn"`
		} `json:"metadata"`
		Materials resources `json:"materials"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	source := &in.Invocation.ConfigSource
	p.Builder = in.Builder.ID
	p.BuildType = clip(in.BuildType, maxURI)
	p.SourceRepository = fact.SourceRepository(source.URI)
	p.SourceDigest = source.Digest.commit()
	p.EntryPoint = clip(source.EntryPoint, maxText)
	p.Finished = instant(in.Metadata.Finished)
	p.Dependencies = dependencies(in.Materials)
	settleCommit(p, in.Materials)
	return nil
}

// source is the part of v1's externalParameters that says what is built. The
// build types spell it differently; what has another type is not a source.
type source struct {
	Repository string    `json:"repository"`
	URI        string    `json:"uri"`
	Path       string    `json:"path"`
	Digest     digestSet `json:"digest"`
}

func (s *source) UnmarshalJSON(data []byte) error {
	type plain source
	var object plain
	if json.Unmarshal(data, &object) == nil {
		*s = source(object)
		return nil
	}
	var uri string
	if json.Unmarshal(data, &uri) == nil {
		s.URI = uri
	}
	return nil
}

// lenient is a text; a value of another type, which some other build type
// gives this name, is "".
type lenient string

func (l *lenient) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*l = lenient(text)
	}
	return nil
}

// readSLSA1 reads v1 (slsa.dev/spec/v1.0/provenance, v1.1 is the same).
func readSLSA1(data json.RawMessage, p *fact.Provenance) error {
	var in struct {
		Definition struct {
			BuildType string `json:"buildType"`
			External  struct {
				Workflow          source  `json:"workflow"`          // GitHub Actions, slsa-github-generator
				BuildConfigSource source  `json:"buildConfigSource"` // Google Cloud Build
				ConfigSource      source  `json:"configSource"`      // BuildKit
				Source            source  `json:"source"`            // container-based builds
				ConfigPath        lenient `json:"configPath"`
			} `json:"externalParameters"`
			Resolved resources `json:"resolvedDependencies"`
		} `json:"buildDefinition"`
		Run struct {
			Builder struct {
				ID string `json:"id"`
			} `json:"builder"`
			Metadata struct {
				Finished string `json:"finishedOn"`
			} `json:"metadata"`
		} `json:"runDetails"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	p.Builder = in.Run.Builder.ID
	p.BuildType = clip(in.Definition.BuildType, maxURI)
	p.Finished = instant(in.Run.Metadata.Finished)
	external, named := &in.Definition.External, false
	for _, s := range []*source{&external.Workflow, &external.BuildConfigSource, &external.ConfigSource, &external.Source} {
		uri := s.Repository
		if uri == "" {
			uri = s.URI
		}
		if uri != "" {
			repository := fact.SourceRepository(uri)
			if named && repository != p.SourceRepository {
				return fmt.Errorf("it names two sources, %q and %q", clip(p.SourceRepository, maxID), clip(repository, maxID))
			}
			p.SourceRepository, named = repository, true
		}
		if p.EntryPoint == "" {
			p.EntryPoint = clip(s.Path, maxText)
		}
		if p.SourceDigest == "" {
			p.SourceDigest = s.Digest.commit()
		}
	}
	if p.EntryPoint == "" {
		p.EntryPoint = clip(string(external.ConfigPath), maxText)
	}
	p.Dependencies = dependencies(in.Definition.Resolved)
	settleCommit(p, in.Definition.Resolved)
	return nil
}

// settleCommit takes the source's commit from the dependency of the same
// repository, if the source itself has none.
func settleCommit(p *fact.Provenance, all []resource) {
	if p.SourceRepository == "" || p.SourceDigest != "" {
		return
	}
	for i := range all {
		if fact.SourceRepository(all[i].URI) == p.SourceRepository {
			p.SourceDigest = all[i].Digest.commit()
			return
		}
	}
}

func dependencies(all []resource) []fact.Dependency {
	out := make([]fact.Dependency, 0, len(all))
	for i := range all {
		d := fact.Dependency{Name: clip(all[i].Name, maxURI), URI: clip(all[i].URI, maxURI)}
		if hex := all[i].Digest["sha256"]; hex != "" {
			d.Digest, _ = verdict.ParseDigest("sha256:" + hex)
		}
		if ref, ok := imageOf(d.URI); ok && (ref.Digest == "" || d.Digest == "" || ref.Digest == d.Digest) {
			// A URI and a digest that disagree name no image.
			d.Repository, d.Tag = ref.Name(), ref.Tag
			if d.Digest == "" {
				d.Digest = ref.Digest
			}
		}
		out = append(out, d)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// imageOf reads the container image that a dependency's URI names:
// "pkg:docker/debian@12?digest=sha256:…" (BuildKit), "pkg:oci/debian@sha256:…
// ?repository_url=ghcr.io/x/debian&tag=12" (purl-spec), "docker://…", "oci://…".
func imageOf(uri string) (reference.Reference, bool) {
	for _, scheme := range []string{"docker://", "oci://", "docker-image://"} {
		if rest, ok := strings.CutPrefix(uri, scheme); ok {
			return parseImage(rest)
		}
	}
	rest, isDocker := strings.CutPrefix(uri, "pkg:docker/")
	if !isDocker {
		var isOCI bool
		if rest, isOCI = strings.CutPrefix(uri, "pkg:oci/"); !isOCI {
			return reference.Reference{}, false
		}
	}
	rest, _, _ = strings.Cut(rest, "#")
	path, query, _ := strings.Cut(rest, "?")
	qualifiers, err := url.ParseQuery(query)
	if err != nil {
		return reference.Reference{}, false
	}
	name, version, _ := strings.Cut(path, "@")
	name, errName := url.PathUnescape(name)
	version, errVersion := url.PathUnescape(version)
	if errName != nil || errVersion != nil {
		return reference.Reference{}, false
	}
	repository := qualifiers.Get("repository_url")
	tag, digest := qualifiers.Get("tag"), qualifiers.Get("digest")
	if strings.HasPrefix(version, "sha256:") {
		digest = version
	} else if version != "" {
		tag = version
	}
	switch {
	case isDocker && repository != "":
		repository += "/" + name // purl-spec, type docker: the registry alone
	case isDocker:
		repository = name
	case repository == "":
		return reference.Reference{}, false // an oci purl without it names no place
	}
	text := repository
	if tag != "" {
		text += ":" + tag
	}
	if digest != "" {
		text += "@" + digest
	}
	ref, ok := parseImage(text)
	if tag == "" {
		ref.Tag = "" // nobody wrote "latest"
	}
	return ref, ok
}

func parseImage(text string) (reference.Reference, bool) {
	ref, err := reference.Parse(text)
	return ref, err == nil
}
