package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// emptyLayers are the diffIDs of layers without content: an empty tar of 1,024
// zero bytes, and no bytes at all. A lock entry of nothing else would be a
// prefix of strangers' images.
var emptyLayers = []verdict.Digest{
	"sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
	"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
}

// baseRule is AllowOnlyApprovedBaseImages: the image's first layers are those
// of a locked, approved base, or signed provenance names an approved base as
// what the build resolved. An annotation that names a base only helps to
// explain a denial.
type baseRule struct {
	patterns       []config.BasePattern
	locks          []lockedBase
	provenanceFrom []string
}

type lockedBase struct {
	image      string // as the lock says
	repository string
	tag        string
	digest     verdict.Digest
	platform   string
	diffIDs    []verdict.Digest
	allowed    bool // some pattern matches
}

func compileBase(p *v1alpha1.ImageRuleParameters, env *environment) (Rule, string, []string) {
	r := &baseRule{provenanceFrom: p.BaseProvenanceFrom}
	missing := env.missing("baseProvenanceFrom", p.BaseProvenanceFrom, v1alpha1.UseImages)
	for _, text := range p.AllowedBaseImages {
		pattern, err := config.ParseBasePattern(text)
		if err != nil {
			missing = append(missing, fmt.Sprintf("allowedBaseImages: %q: %v", clean(text), err))
			continue
		}
		r.patterns = append(r.patterns, pattern)
	}
	for i := range env.locks {
		locked, problem := r.lock(&env.locks[i])
		if problem != "" {
			missing = append(missing, problem)
		}
		r.locks = append(r.locks, locked...)
	}
	return r, "needs a base image of " + some(p.AllowedBaseImages, 3), missing
}

func (r *baseRule) lock(image *v1alpha1.LockedBaseImage) ([]lockedBase, string) {
	repository, tag, err := splitImage(image.Image)
	if err != nil {
		return nil, fmt.Sprintf("BaseImageLock: %v", err)
	}
	allowed := slices.ContainsFunc(r.patterns, func(p config.BasePattern) bool { return p.Match(repository, tag) })
	var out []lockedBase
	for _, p := range image.Platforms {
		l := lockedBase{image: image.Image, repository: repository, tag: tag, digest: verdict.Digest(image.Digest), platform: p.Platform, allowed: allowed}
		empty := true
		for _, d := range p.DiffIDs {
			l.diffIDs = append(l.diffIDs, verdict.Digest(d))
			empty = empty && slices.Contains(emptyLayers, verdict.Digest(d))
		}
		if empty {
			return nil, fmt.Sprintf("BaseImageLock: %s for %s has no layer with content, so every image would begin with it", image.Image, p.Platform)
		}
		out = append(out, l)
	}
	return out, ""
}

func (r *baseRule) Needs() fact.Need {
	if len(r.provenanceFrom) > 0 {
		return fact.NeedImage | fact.NeedProvenance
	}
	return fact.NeedImage
}

func (r *baseRule) Check(q *verdict.Question, facts *fact.Set, _ time.Time) verdict.Check {
	image, _, ok := facts.Image.All()
	if !ok {
		return unknown(fact.NeedImage, &facts.Image, "which base the image has")
	}
	c := verdict.Check{
		Expected: "layers that begin with those of " + some(r.patternTexts(), 3),
		Evidence: []verdict.Evidence{facts.Image.Evidence(fact.NeedImage)},
	}
	var stranger *lockedBase // a locked base that the layers prove, but no pattern allows
	for i := range r.locks {
		l := &r.locks[i]
		if l.platform != image.Platform || !hasPrefix(image.DiffIDs, l.diffIDs) {
			continue
		}
		if l.allowed {
			c.Outcome, c.Code = verdict.Pass, verdict.OK
			c.Found = fmt.Sprintf("the first %d layers are those of %s (%s)", len(l.diffIDs), l.image, l.digest.Short())
			c.Detail = c.Found
			return c
		}
		stranger = l
	}
	if found, ok := r.vouched(q, facts); ok {
		c.Outcome, c.Code, c.Found, c.Detail = verdict.Pass, verdict.OK, found, found
		c.Evidence = append(c.Evidence, facts.Provenance.Evidence(fact.NeedProvenance))
		return c
	}
	if len(r.provenanceFrom) > 0 {
		if _, code, ok := facts.Provenance.All(); !ok {
			c.Outcome, c.Code, c.Detail = verdict.Unknown, code, "provenance could not be looked at: "+facts.Provenance.Why()
			return c
		}
	}
	return r.explain(c, &image, stranger)
}

// vouched looks for signed provenance that names an approved base as resolved.
func (r *baseRule) vouched(q *verdict.Question, facts *fact.Set) (string, bool) {
	if len(r.provenanceFrom) == 0 {
		return "", false
	}
	statements, _, ok := facts.Provenance.Some()
	if !ok {
		return "", false
	}
	for i := range statements {
		p := &statements[i]
		if p.Code != verdict.OK || len(signedBy(&p.Signing, r.provenanceFrom)) == 0 || !names(p.Subjects, q) {
			continue
		}
		for _, d := range p.Dependencies {
			if d.Digest == "" || d.Tag == "" {
				continue
			}
			for _, pattern := range r.patterns {
				if pattern.Match(d.Repository, d.Tag) {
					return fmt.Sprintf("provenance by %s says that the build used %s:%s (%s)", p.Builder, d.Repository, d.Tag, d.Digest.Short()), true
				}
			}
		}
	}
	return "", false
}

// explain finds the reason that helps most.
func (r *baseRule) explain(c verdict.Check, image *fact.Image, stranger *lockedBase) verdict.Check {
	c.Outcome = verdict.Fail
	named, hasName := image.Annotations[fact.AnnotationBaseName]
	switch {
	case stranger != nil:
		c.Code = verdict.BasePattern
		c.Found = stranger.image
		c.Detail = fmt.Sprintf("the image is built on %s, which no allowed pattern matches", stranger.image)
		c.Mend = r.offer(stranger.repository, stranger.tag)
	case !slices.ContainsFunc(r.locks, func(l lockedBase) bool { return l.allowed }):
		c.Code = verdict.BaseNotLocked
		c.Found = "no locked base image matches"
		c.Detail = "no allowed base image has been locked, so no base can be proved"
	case hasName:
		c.Found = "the annotation names " + clean(named)
		c.Code, c.Detail, c.Mend = r.explainName(named)
	default:
		c.Code = verdict.BaseUnapproved
		c.Found = fmt.Sprintf("%d layers that begin with no approved base for %s", len(image.DiffIDs), image.Platform)
		c.Detail = "the image's first layers are not those of any approved base image"
	}
	return c
}

func (r *baseRule) explainName(named string) (verdict.Code, string, string) {
	repository, tag, err := splitImage(named)
	if err != nil {
		return verdict.BaseUnapproved, "the annotation names a base that is no image reference, and the layers are those of no approved base", ""
	}
	for _, p := range r.patterns {
		if p.Match(repository, tag) {
			return verdict.BaseForged, fmt.Sprintf("the annotation names %s:%s, but the layers are not those of any locked digest of it", repository, tag),
				"Build FROM " + clean(named) + "; if its tag has moved since, run apex base update and commit the lock file."
		}
	}
	return verdict.BasePattern, fmt.Sprintf("the annotation names %s:%s, which no allowed pattern matches", repository, tag), r.offer(repository, tag)
}

// offer proposes the pattern that would have matched, when the repository is one of ours.
func (r *baseRule) offer(repository, tag string) string {
	for _, p := range r.patterns {
		if p.Names(repository) {
			return fmt.Sprintf("Build on an approved tag, or allow this one with the pattern %q in allowedBaseImages.", p.Offer(tag))
		}
	}
	return ""
}

func (r *baseRule) patternTexts() []string {
	out := make([]string, len(r.patterns))
	for i, p := range r.patterns {
		out[i] = p.String()
	}
	return out
}

func hasPrefix(layers, prefix []verdict.Digest) bool {
	return len(prefix) > 0 && len(layers) >= len(prefix) && slices.Equal(layers[:len(prefix)], prefix)
}

// names reports whether a statement is about the subject: its platform's
// digest, or the index through which it was asked for.
func names(subjects []fact.AttestationSubject, q *verdict.Question) bool {
	return slices.ContainsFunc(subjects, func(s fact.AttestationSubject) bool {
		return s.Digest != "" && (s.Digest == q.Digest || s.Digest == q.Index)
	})
}

var _ Rule = (*baseRule)(nil)
