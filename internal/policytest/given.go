package policytest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/image/scan"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

const (
	defaultPlatform = "linux/amd64"
	// unbound stands for a signature that names no repository.
	unbound = "none"
	source  = "the test"
)

// builder turns what is given into facts.
type builder struct {
	set  *config.Set
	dir  string // that paths are relative to
	now  time.Time
	q    verdict.Question
	errs []error
}

func (b *builder) fail(path, format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf("%s: %w", path, fmt.Errorf(format, args...)))
}

// build returns the question and the facts of a case.
func build(set *config.Set, dir string, now time.Time, g *Given) (verdict.Question, *fact.Set, error) {
	b := &builder{set: set, dir: dir, now: now}
	ref, err := reference.Parse(g.Image)
	if err != nil {
		return verdict.Question{}, nil, fmt.Errorf("image: %w", err)
	}
	digest := ref.Digest
	if digest == "" {
		digest = invented("image " + ref.Name())
	}
	b.q = verdict.Question{
		Subject: verdict.Subject{
			Ref:   verdict.Ref{Kind: verdict.KindImage, Repo: ref.Name(), Digest: digest},
			Index: verdict.Digest(g.Index), Platform: orElse(g.Platform, defaultPlatform),
		},
		Asked: g.Image, Namespace: g.Namespace, Labels: g.Labels,
	}
	attestations := b.attestations(g.Attestations)
	reports, provenance := b.inside(attestations)
	facts := &fact.Set{
		Image:        fact.Complete(b.image(&g.Config), source, now),
		Signatures:   fact.Complete(b.signatures(g.Signatures), source, now),
		Attestations: fact.Complete(attestations, source, now),
		Reports:      fact.Complete(append(reports, b.reports(g.Reports)...), source, now),
		Provenance:   fact.Complete(append(provenance, b.provenance(g.Provenance)...), source, now),
	}
	b.unknown(facts, g.Unknown)
	return b.q, facts, errors.Join(b.errs...)
}

// invented is a digest that nothing else has.
func invented(of string) verdict.Digest {
	sum := sha256.Sum256([]byte("apex policy test: " + of))
	return verdict.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

func orElse[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

func (b *builder) image(c *Config) fact.Image {
	i := fact.Image{
		MediaType: "application/vnd.oci.image.manifest.v1+json", Config: invented("configuration of " + string(b.q.Digest)),
		Platform: b.q.Platform, Created: c.Created, User: c.User, Env: c.Env, Labels: c.Labels, Annotations: c.Annotations,
	}
	if c.Base != "" {
		i.DiffIDs = b.locked(c.Base)
	}
	for _, l := range c.Layers {
		i.DiffIDs = append(i.DiffIDs, verdict.Digest(l))
	}
	if len(c.Layers) == 0 {
		i.DiffIDs = append(i.DiffIDs, invented("layer of "+string(b.q.Digest)))
	}
	for _, l := range i.DiffIDs {
		i.Layers = append(i.Layers, invented("stored "+string(l)))
	}
	return i
}

// locked returns the layers of a base image as the lock has them.
func (b *builder) locked(base string) []verdict.Digest {
	want, err := reference.Parse(base)
	if err != nil {
		b.fail("config.base", "%w", err)
		return nil
	}
	for _, lock := range b.set.BaseImageLocks {
		for i := range lock.Value.Spec.Images {
			image := &lock.Value.Spec.Images[i]
			have, err := reference.Parse(image.Image)
			if err != nil || have.Name() != want.Name() || have.Tag != want.Tag {
				continue
			}
			p := slices.IndexFunc(image.Platforms, func(p v1alpha1.LockedPlatform) bool { return p.Platform == b.q.Platform })
			if p < 0 {
				continue
			}
			var layers []verdict.Digest
			for _, d := range image.Platforms[p].DiffIDs {
				layers = append(layers, verdict.Digest(d))
			}
			return layers
		}
	}
	b.fail("config.base", "no BaseImageLock among the policies locks %s for %s", want, b.q.Platform)
	return nil
}

// signing is who signed something. Names have to be entries that are believed
// for images: a slip in a name must not look like a stranger.
func (b *builder) signing(path string, by []string, code Code) fact.Signing {
	for _, name := range by {
		e, _, ok := b.set.TrustEntry(name)
		switch {
		case !ok:
			b.fail(path+".by", "no TrustRoot entry is called %q", clip(name))
		case e.Scanner != nil:
			b.fail(path+".by", "%q is a scanner, which signs nothing; name who signs its reports", name)
		case len(e.Uses) > 0 && !slices.Contains(e.Uses, v1alpha1.UseImages):
			b.fail(path+".by", "the entry %q is not believed for images", name)
		}
	}
	s := fact.Signing{Format: fact.FormatBundle, Source: source, TrustedBy: slices.Sorted(slices.Values(by)), Code: verdict.Code(code)}
	if s.Code == "" {
		s.Code = verdict.OK
		if len(by) == 0 {
			s.Code = verdict.SignatureUntrusted
		}
	}
	if s.Code != verdict.OK {
		s.TrustedBy, s.Detail = nil, s.Code.Info().Meaning
	}
	s.KeyID = string(invented("key of " + strings.Join(by, ", ")))
	s.Repository = b.q.Repo
	return s
}

func (b *builder) signatures(list []Signature) []fact.Signature {
	out := []fact.Signature{}
	for i := range list {
		g, path := &list[i], fmt.Sprintf("signatures[%d]", i)
		s := fact.Signature{Signing: b.signing(path, g.By, g.Code), Subject: b.subject(g.Digest), Annotations: g.Annotations}
		s.SignedAt = g.SignedAt
		if g.Logged {
			s.Logs = []string{source}
		}
		switch g.Repository {
		case "":
		case unbound:
			s.Repository = ""
		default:
			ref, err := reference.Parse(g.Repository)
			if err != nil {
				b.fail(path+".repository", "%w", err)
			}
			s.Repository = ref.Name()
		}
		out = append(out, s)
	}
	return out
}

func (b *builder) subject(d Digest) verdict.Digest { return orElse(verdict.Digest(d), b.q.Digest) }

func (b *builder) subjects(d Digest) []fact.AttestationSubject {
	return []fact.AttestationSubject{{Name: b.q.Repo, Digest: b.subject(d)}}
}

func (b *builder) attestations(list []Attestation) []fact.Attestation {
	out := []fact.Attestation{}
	for i := range list {
		g, path := &list[i], fmt.Sprintf("attestations[%d]", i)
		a := fact.Attestation{
			Signing: b.signing(path, g.By, g.Code), StatementType: "https://in-toto.io/Statement/v1",
			PredicateType: g.PredicateType, Subjects: b.subjects(g.Digest), Predicate: []byte(g.Predicate),
		}
		switch {
		case g.PredicateFile != "" && g.Predicate != nil:
			b.fail(path, "give either predicate or predicateFile")
		case g.PredicateFile != "":
			a.Predicate = b.file(path+".predicateFile", g.PredicateFile)
			if err := bounded.CheckJSON(a.Predicate, maxDepth*2); err != nil {
				b.fail(path+".predicateFile", "%w", err)
			}
		case g.Predicate == nil:
			a.Predicate = []byte("{}")
		}
		out = append(out, a)
	}
	return out
}

// file reads a file beside the file of cases.
func (b *builder) file(path, name string) []byte {
	if !filepath.IsAbs(name) {
		name = filepath.Join(b.dir, filepath.FromSlash(name))
	}
	data, err := bounded.ReadFile(name, scan.MaxReport)
	if err != nil {
		b.fail(path, "%w", err)
	}
	return data
}

// inside reads the reports and the provenance that attestations hold, as the
// engine does.
func (b *builder) inside(attestations []fact.Attestation) ([]fact.Report, []fact.Provenance) {
	var reports []fact.Report
	var provenance []fact.Provenance
	for i := range attestations {
		a := &attestations[i]
		if r, ok, err := scan.FromAttestation(a); ok {
			if err != nil {
				r.Code, r.Detail = verdict.ReportInvalid, err.Error()
			}
			r.Signing = a.Signing
			reports = append(reports, r)
		}
		if p, ok, err := scan.ParseProvenance(a); ok {
			if err != nil {
				p.Code, p.Detail = verdict.ProvenanceInvalid, err.Error()
			}
			p.Signing, p.Subjects = a.Signing, a.Subjects
			provenance = append(provenance, p)
		}
	}
	return reports, provenance
}

func (b *builder) reports(list []Report) []fact.Report {
	var out []fact.Report
	for i := range list {
		g, path := &list[i], fmt.Sprintf("reports[%d]", i)
		var r fact.Report
		if g.File != "" {
			if g.Scanner != "" || g.URI != "" || !g.Finished.IsZero() || g.Digest != "" || len(g.Findings) > 0 || g.Code != "" {
				b.fail(path, "a report with file takes by and nothing else; the rest is in the file")
			}
			var err error
			if r, err = scan.ParseReport(b.file(path+".file", g.File)); err != nil {
				b.fail(path+".file", "%w", err)
			}
		} else {
			if g.Scanner == "" || g.Finished.IsZero() {
				b.fail(path, "scanner and finished are needed, or a file")
			}
			r = fact.Report{Scanner: g.Scanner, URI: g.URI, Finished: g.Finished, Subject: b.subject(g.Digest), Code: orElse(verdict.Code(g.Code), verdict.OK)}
			for _, f := range g.Findings {
				r.Findings = append(r.Findings, fact.Vulnerability{
					ID: f.ID, Package: f.Package, Version: f.Version, Fixed: f.Fixed, Unfixed: f.Unfixed, Severity: f.Severity.Severity,
				})
			}
		}
		r.Signing = fact.Signing{Format: fact.FormatFile, Source: source, Code: verdict.OK}
		if g.By != nil {
			r.Signing = b.signing(path, g.By, "")
		}
		out = append(out, r)
	}
	return out
}

func (b *builder) provenance(list []Provenance) []fact.Provenance {
	var out []fact.Provenance
	for i := range list {
		g, path := &list[i], fmt.Sprintf("provenance[%d]", i)
		p := fact.Provenance{
			Signing: b.signing(path, g.By, ""), Subjects: b.subjects(g.Digest), Version: "1", Builder: g.Builder, BuildType: g.BuildType,
			EntryPoint: g.EntryPoint, Finished: g.Finished, Code: orElse(verdict.Code(g.Code), verdict.OK),
		}
		if g.Source != "" {
			if p.SourceRepository = fact.SourceRepository(g.Source); p.SourceRepository == "" {
				b.fail(path+".source", "%q is not the URI of a repository", clip(g.Source))
			}
		}
		if g.Base != "" {
			ref, err := reference.Parse(g.Base)
			if err != nil {
				b.fail(path+".base", "%w", err)
			}
			p.Dependencies = []fact.Dependency{{URI: "docker://" + g.Base, Digest: orElse(ref.Digest, invented("base "+g.Base)), Repository: ref.Name(), Tag: ref.Tag}}
		}
		out = append(out, p)
	}
	return out
}

func (b *builder) unknown(facts *fact.Set, unknown map[string]Code) {
	for name, code := range unknown {
		c, why := verdict.Code(code), verdict.Code(code).Info().Meaning
		switch name {
		case "image":
			facts.Image = fact.Problem[fact.Image](c, why, source, b.now)
		case "signatures":
			facts.Signatures = fact.Problem[[]fact.Signature](c, why, source, b.now)
		case "attestations":
			facts.Attestations = fact.Problem[[]fact.Attestation](c, why, source, b.now)
		case "reports":
			facts.Reports = fact.Problem[[]fact.Report](c, why, source, b.now)
		case "provenance":
			facts.Provenance = fact.Problem[[]fact.Provenance](c, why, source, b.now)
		default:
			b.fail("unknown."+clip(name), "no fact has this name; they are image, signatures, attestations, reports, provenance")
		}
		if c == verdict.OK {
			b.fail("unknown."+clip(name), "ok is no reason for not knowing")
		}
	}
}
