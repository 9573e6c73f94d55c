package render

import (
	"context"
	"fmt"
	"strconv"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/verdict"
)

// The types of a set in a registry. Its one blob is the set's bytes, so that
// the blob's digest is the set's.
const (
	ArtifactType = "application/vnd.apexlogic.set.v1"
	SetMediaType = "application/vnd.apexlogic.set.v1+jsonl"
)

// The annotations of a set in a registry. The first two are those of OCI
// image-spec ("Pre-Defined Annotation Keys").
const (
	annotationSource  = "org.opencontainers.image.source"
	annotationCommit  = "org.opencontainers.image.revision"
	annotationCounter = "com.apexlogic.counter"
	annotationStage   = "com.apexlogic.source"
)

// maxAnnotation bounds what is taken from an annotation.
const maxAnnotation = 2048

// Provenance says what a set was rendered from. It is what the artifact says of
// itself: its signature covers it, nothing else proves it.
type Provenance struct {
	Source  string // name of the GitSource
	URL     string // of the repository
	Commit  string
	Counter uint64 // of the source's generations
}

// Push stores a set in a repository ("host/path") and has it signed: sign is
// called with the artifact's descriptor, and an error of it is one of Push. The
// tag may be "". Whoever follows the artifact names it by the returned digest.
func Push(ctx context.Context, c *oci.Client, repo, tag string, s *gitops.Set, from Provenance, sign func(ctx context.Context, repo string, d oci.Descriptor) error) (verdict.Digest, error) {
	d, err := c.PushArtifact(ctx, repo, tag, ArtifactType, from.annotations(), oci.Blob{MediaType: SetMediaType, Data: s.Bytes()})
	if err != nil {
		return "", fmt.Errorf("push the rendered set %s: %w", s.Digest().Short(), err)
	}
	if err := sign(ctx, repo, d); err != nil {
		return "", fmt.Errorf("sign the rendered set %s@%s: %w", repo, d.Digest, err)
	}
	return d.Digest, nil
}

// Pull reads a set by the digest of its artifact. The caller has verified that
// digest's signature: Pull proves that the bytes belong to it and are a set in
// canonical form, and holds them to the same rules as a commit's files.
func Pull(ctx context.Context, c *oci.Client, repo string, digest verdict.Digest, o Options) (*gitops.Set, Provenance, error) {
	a, err := c.PullArtifact(ctx, repo, digest, ArtifactType, SetMediaType, gitops.MaxSetBytes)
	if err != nil {
		return nil, Provenance{}, fmt.Errorf("pull a rendered set: %w", err)
	}
	from, err := provenanceOf(a.Annotations)
	if err != nil {
		return nil, Provenance{}, fmt.Errorf("%s@%s: %w", repo, digest, err)
	}
	s, err := gitops.ReadSet(a.Layers[0].Data)
	if err != nil {
		return nil, Provenance{}, fmt.Errorf("%s@%s: %w", repo, digest, err)
	}
	if err := Check(s, o); err != nil {
		return nil, Provenance{}, err
	}
	return s, from, nil
}

// Check holds a set that was rendered elsewhere to the rules of a source: names,
// namespaces, quota, nothing that a target sets itself, every reference pinned.
// It changes nothing. The error is an [*Error].
func Check(s *gitops.Set, o Options) error {
	if o.MaxObjects <= 0 || o.MaxObjects > gitops.MaxObjects {
		o.MaxObjects = gitops.MaxObjects
	}
	if n := len(s.Objects()); n == 0 {
		return refuse(verdict.RenderEmpty, verdict.Origin{}, "the set is empty: nothing would be applied, and everything that was would be removed")
	} else if n > o.MaxObjects {
		return refuse(verdict.RenderTooLarge, verdict.Origin{}, "%d objects, and the source's quota is %d", n, o.MaxObjects)
	}
	r := &renderer{o: o}
	for i := range s.Objects() {
		object := &s.Objects()[i]
		body := clone(object.Body).(map[string]any)
		if meta, ok := body["metadata"].(map[string]any); ok {
			if annotations, ok := meta["annotations"].(map[string]any); ok {
				delete(annotations, TagsAnnotation) // it is ours, and there when this is a set
			}
		}
		r.items = append(r.items, item{body: body, where: object.Where, at: func(string) verdict.Origin { return object.Where }})
	}
	r.place()
	for i := range s.Objects() {
		// What would have to be changed first is not what the gate saw.
		if object := &s.Objects()[i]; len(r.reasons) == 0 && !sameButTags(object.Body, r.items[i].body) {
			r.reject(refuse(verdict.ObjectInvalid, object.Where, "%s is not as it would be rendered: render the set again", object.ID).Reasons...)
		}
	}
	_, refused := References(s)
	r.reject(refused...)
	return r.refused()
}

func (p Provenance) annotations() map[string]string {
	out := map[string]string{annotationCounter: strconv.FormatUint(p.Counter, 10)}
	for key, value := range map[string]string{annotationStage: p.Source, annotationSource: p.URL, annotationCommit: p.Commit} {
		if value != "" {
			out[key] = value
		}
	}
	return out
}

func provenanceOf(annotations map[string]string) (Provenance, error) {
	for _, key := range []string{annotationStage, annotationSource, annotationCommit} {
		if len(annotations[key]) > maxAnnotation {
			return Provenance{}, fmt.Errorf("the annotation %s has more than %d bytes", key, maxAnnotation)
		}
	}
	p := Provenance{Source: annotations[annotationStage], URL: annotations[annotationSource], Commit: annotations[annotationCommit]}
	var err error
	if p.Counter, err = strconv.ParseUint(annotations[annotationCounter], 10, 64); err != nil {
		return Provenance{}, fmt.Errorf("the annotation %s is missing or no number", annotationCounter)
	}
	return p, nil
}

// clone copies maps and lists, which checking may change.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = clone(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = clone(value)
		}
		return out
	}
	return v
}

// sameButTags compares an object with its checked copy, which lost the note of
// its tags.
func sameButTags(was, now map[string]any) bool {
	was = clone(was).(map[string]any)
	if meta, ok := was["metadata"].(map[string]any); ok {
		if annotations, ok := meta["annotations"].(map[string]any); ok {
			delete(annotations, TagsAnnotation)
		}
	}
	a, errA := encode(was)
	b, errB := encode(now)
	return errA == nil && errB == nil && string(a) == string(b)
}
