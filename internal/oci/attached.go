package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/apexlogic/apex/verdict"
)

// Wanted says which things attached to an image are worth their requests.
type Wanted struct {
	// Types of referrers, for example [ArtifactBundle]; a "*" at the end
	// stands for any ending. None: the referrers are not asked for.
	Types []string
	// Legacy suffixes of cosign's tags: [LegacySignature], [LegacyAttestation].
	// None: no tag is asked for.
	Legacy []string
}

// The suffixes of cosign's legacy tags "sha256-<hex><suffix>".
const (
	LegacySignature   = ".sig"
	LegacyAttestation = ".att"
)

// Artifact is something attached to an image, with all of its bytes hashed.
// It is shared between callers: nothing in it must be changed.
type Artifact struct {
	Manifest Manifest
	// Type is what the artifact's own manifest says it is; for legacy tags
	// it is the media type of their layers.
	Type string
	// Tag is the legacy tag under which it was found; "" for a referrer.
	Tag         string
	Annotations map[string]string
	Layers      []Layer
}

// Layer is one blob of an artifact.
type Layer struct {
	Descriptor
	Data []byte
}

// maxArtifactLayers is for artifacts with companions beside the one blob that they usually have.
const maxArtifactLayers = 16

// Attached finds what is attached to the subject and fetches what is wanted.
//
// A nil error means that this is all there is: what is wanted and not there
// does not exist. With an error the artifacts returned are genuine but more
// may exist; an error never means "nothing".
//
// Referrers come from the Referrers API; from the fallback tag "sha256-<hex>"
// when the registry has no such API (404 and the like), and also when the
// API's list holds nothing wanted, because a registry may answer with an empty
// list while the list that clients maintain sits under the tag. The listing's
// artifactType is only a hint. Read first are entries listed under a wanted
// type, then those under no type, a configuration's type or a type not known
// here; entries listed under another known type are not read. What counts is
// the referrer's own manifest: its type, and its subject, which has to be the
// digest asked for. Referrers of something else are left out.
//
// The order is that of the listing within each of these classes, then the
// legacy tags in the order of want.
func (c *Client) Attached(ctx context.Context, repo string, subject verdict.Digest, want Wanted) ([]Artifact, error) {
	r, err := parseRepository(repo)
	if err != nil {
		return nil, err
	}
	cl := c.newCall("find what is attached to", repo+"@"+string(subject), r)
	if _, err := verdict.ParseDigest(string(subject)); err != nil {
		return nil, cl.fail(verdict.ReferenceInvalid, err)
	}
	if len(want.Types)+len(want.Legacy) == 0 {
		return nil, cl.fail(verdict.Internal, errors.New("nothing is wanted, so nothing would be found"))
	}
	for _, suffix := range want.Legacy {
		if legacyLayer(suffix) == "" {
			return nil, cl.fail(verdict.Internal, fmt.Errorf("the legacy suffix %q is neither %s nor %s", suffix, LegacySignature, LegacyAttestation))
		}
	}
	key := cl.ref + "|" + strings.Join(want.Types, ",") + "|" + strings.Join(want.Legacy, ",")
	found, err := c.listings.Do(ctx, key, func(ctx context.Context) ([]Artifact, error) {
		ctx, cancel := c.within(ctx)
		defer cancel()
		return cl.attached(ctx, subject, want)
	})
	return found, cl.wrap(err)
}

func (c *call) attached(ctx context.Context, subject verdict.Digest, want Wanted) ([]Artifact, error) {
	type part struct {
		found []Artifact
		err   error
	}
	// The referrers, when they are wanted, and then the tags.
	parts := make([]part, len(want.Legacy)+min(1, len(want.Types)))
	each(len(parts), func(i int) {
		p, tag := &parts[i], i-(len(parts)-len(want.Legacy))
		if tag < 0 {
			p.found, p.err = c.referrers(ctx, subject, want.Types)
			return
		}
		p.found, p.err = c.legacy(ctx, subject, want.Legacy[tag])
	})
	var found []Artifact
	var errs []error
	for _, p := range parts {
		found = append(found, p.found...)
		errs = append(errs, p.err)
	}
	return found, joined(errs)
}

// joined returns the only error as it is, and several as one.
func joined(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// referrers fetches the wanted referrers of the subject.
func (c *call) referrers(ctx context.Context, subject verdict.Digest, types []string) ([]Artifact, error) {
	entries, supported, listErr := c.listReferrers(ctx, subject)
	if listErr != nil && len(entries) == 0 {
		return nil, listErr
	}
	found, readErr := c.readReferrers(ctx, subject, entries, types)
	if supported && len(found) > 0 {
		return found, joined([]error{listErr, readErr})
	}
	tagged, err := c.fallbackEntries(ctx, subject)
	if err != nil {
		return found, joined([]error{listErr, readErr, err})
	}
	known := map[verdict.Digest]bool{}
	for i := range entries {
		known[entries[i].Digest] = true
	}
	tagged = slices.DeleteFunc(tagged, func(d Descriptor) bool { return known[d.Digest] })
	more, err := c.readReferrers(ctx, subject, tagged, types)
	return append(found, more...), joined([]error{listErr, readErr, err})
}

// fallbackTag is where clients keep the listing of referrers when the registry
// does not (distribution-spec, "Referrers Tag Schema").
func fallbackTag(subject verdict.Digest) string { return "sha256-" + subject.Hex() }

// fallbackEntries reads the listing under the fallback tag. No tag is no entries.
func (c *call) fallbackEntries(ctx context.Context, subject verdict.Digest) ([]Descriptor, error) {
	tag := fallbackTag(subject)
	m, err := c.tagged(ctx, tag)
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tag %s: %w", tag, err)
	}
	if m.MediaType != MediaTypeIndex {
		return nil, faultf(verdict.RegistryAnswer, "tag %s: it is no index of referrers but %s", tag, m.MediaType)
	}
	var l listing
	if err := unmarshal(verdict.RegistryAnswer, "listing", m.Raw, &l); err != nil {
		return nil, fmt.Errorf("tag %s: %w", tag, err)
	}
	entries, err := l.entries(c.limits.Referrers)
	if err != nil {
		err = fmt.Errorf("tag %s: %w", tag, err)
	}
	return entries, err
}

func isNotFound(err error) bool {
	f, ok := errors.AsType[*fault](err)
	return ok && f.code == verdict.RegistryNotFound
}

// tagged fetches what a tag of our own making points to now.
func (c *call) tagged(ctx context.Context, tag string) (Manifest, error) {
	return c.manifests.Do(ctx, c.repo.name+":"+tag, func(ctx context.Context) (Manifest, error) {
		ctx, cancel := c.within(ctx)
		defer cancel()
		return c.fetchManifest(ctx, tag, "")
	})
}

// listReferrers asks the Referrers API (distribution-spec, "Listing
// Referrers"), page by page. supported is false when the registry has none.
func (c *call) listReferrers(ctx context.Context, subject verdict.Digest) (entries []Descriptor, supported bool, err error) {
	path := "/v2/" + c.repo.path + "/referrers/" + string(subject)
	visited := map[string]bool{}
	for page := 0; ; page++ {
		if page == maxPages {
			return entries, true, faultf(verdict.RegistryTooMany, "the listing of referrers has more than %d pages", maxPages)
		}
		res, err := c.ask(ctx, request{
			method:    http.MethodGet,
			path:      path,
			accept:    MediaTypeIndex,
			actions:   pull,
			limit:     c.limits.Listing,
			redirects: true,
		})
		if err != nil {
			return entries, true, fmt.Errorf("referrers: %w", err)
		}
		switch res.status {
		case http.StatusOK:
		case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented,
			http.StatusBadRequest, http.StatusNotAcceptable:
			if page == 0 {
				return nil, false, nil
			}
			return entries, true, fmt.Errorf("referrers: %w", c.refused(res))
		default:
			return entries, true, fmt.Errorf("referrers: %w", c.refused(res))
		}
		next, got, err := c.readPage(res, c.limits.Referrers-len(entries))
		entries = append(entries, got...)
		if err != nil || next == "" {
			return entries, true, err
		}
		if len(entries) >= c.limits.Referrers {
			return entries, true, tooManyReferrers(c.limits.Referrers)
		}
		if visited[next] || next == path {
			return entries, true, faultf(verdict.RegistryAnswer, "the listing of referrers goes round in circles")
		}
		visited[next] = true
		path = next
	}
}

// readPage reads one page of referrers and where the next one is ("" when it is the last).
func (c *call) readPage(res *response, limit int) (next string, entries []Descriptor, err error) {
	t, err := mediaType(res.header.Get("Content-Type"))
	if err != nil {
		return "", nil, faultf(verdict.RegistryAnswer, "referrers: %w", err)
	}
	var l listing
	if err := decode(verdict.RegistryAnswer, "listing", res.body, &l); err != nil {
		return "", nil, err
	}
	if err := agree(t, l.head, shapeOf(res.body)); err != nil {
		return "", nil, faultf(verdict.RegistryAnswer, "referrers: %w", err)
	}
	if t != MediaTypeIndex {
		return "", nil, faultf(verdict.RegistryAnswer, "it is no index of referrers but %s", t)
	}
	entries, err = l.entries(limit)
	if err != nil {
		return "", entries, err
	}
	link, err := nextLink(res.header.Values("Link"))
	if err != nil || link == "" {
		if err != nil {
			err = faultf(verdict.RegistryAnswer, "referrers: %w", err)
		}
		return "", entries, err
	}
	u, err := res.url.Parse(link)
	if err != nil || !sameOrigin(u, res.url) || !strings.EqualFold(u.Host, c.repo.host) || !strings.HasPrefix(u.Path, "/v2/") {
		return "", entries, faultf(verdict.RegistryAnswer, "the listing of referrers goes on at another host or outside of the registry's API")
	}
	u.Fragment = ""
	return u.String(), entries, nil
}

// knownOthers are types that a listing may be believed about when they are not
// wanted: whoever lies about them could as well leave the entry out.
var knownOthers = []string{ArtifactBundle, ArtifactNotation, ArtifactSARIF, ArtifactSPDX, ArtifactCycloneDX, "application/vnd.in-toto+json"}

// matches reports whether t is one of types.
func matches(t string, types []string) bool {
	for _, want := range types {
		if prefix, any := strings.CutSuffix(want, "*"); t == want || any && strings.HasPrefix(t, prefix) {
			return true
		}
	}
	return false
}

// candidates orders the entries that are worth reading.
func candidates(entries []Descriptor, types []string) []Descriptor {
	var listed, unsure []Descriptor
	seen := map[verdict.Digest]bool{}
	for _, d := range entries {
		switch {
		case seen[d.Digest] || d.MediaType != "" && !isManifestType(d.MediaType):
			continue
		case matches(d.ArtifactType, types):
			listed = append(listed, d)
		case !matches(d.ArtifactType, knownOthers):
			unsure = append(unsure, d)
		default:
			continue
		}
		seen[d.Digest] = true
	}
	return append(listed, unsure...)
}

// readReferrers reads the manifests of the entries and the layers of those that are wanted.
func (c *call) readReferrers(ctx context.Context, subject verdict.Digest, entries []Descriptor, types []string) ([]Artifact, error) {
	list := candidates(entries, types)
	var tooMany error
	if len(list) > c.limits.Artifacts {
		list = list[:c.limits.Artifacts]
		tooMany = faultf(verdict.RegistryTooMany, "more than %d attached things may be wanted; remove old ones", c.limits.Artifacts)
	}
	found := make([]*Artifact, len(list))
	errs := make([]error, len(list)+1)
	errs[len(list)] = tooMany
	each(len(list), func(i int) {
		if found[i], errs[i] = c.readReferrer(ctx, subject, list[i].Digest, types); errs[i] != nil {
			errs[i] = fmt.Errorf("referrer %s: %w", list[i].Digest, errs[i])
		}
	})
	var out []Artifact
	for _, a := range found {
		if a != nil {
			out = append(out, *a)
		}
	}
	return out, first(errs)
}

// first returns the first error: one reason is enough, and a hostile listing could make a thousand.
func first(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// each calls f for 0 to n-1, at most perRegistry at once.
func each(n int, f func(i int)) {
	if n == 1 {
		f(0)
		return
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, perRegistry)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	wg.Wait()
}

// readReferrer returns nil without an error for what is no wanted referrer of the subject.
func (c *call) readReferrer(ctx context.Context, subject, d verdict.Digest, types []string) (*Artifact, error) {
	m, err := c.manifest(ctx, d)
	if err != nil {
		return nil, err
	}
	if m.IsIndex() {
		return nil, nil
	}
	doc, err := m.document()
	if err != nil {
		return nil, err
	}
	if doc.Subject == nil || doc.Subject.Digest != subject || !matches(doc.kind(), types) {
		return nil, nil
	}
	if len(doc.Layers) > maxArtifactLayers {
		return nil, faultf(verdict.RegistryTooMany, "the artifact has %d blobs; the limit is %d", len(doc.Layers), maxArtifactLayers)
	}
	a := &Artifact{Manifest: m, Type: doc.kind(), Annotations: doc.Annotations}
	a.Layers, err = c.readLayers(ctx, doc.Layers)
	if err != nil {
		return nil, err
	}
	return a, nil
}

// readLayers fetches all layers; layers of one digest are fetched once.
func (c *call) readLayers(ctx context.Context, layers []Descriptor) ([]Layer, error) {
	out := make([]Layer, len(layers))
	fetched := map[string]int{}
	var distinct []int
	for i, d := range layers {
		if len(d.URLs) > 0 {
			return nil, faultf(verdict.ImageForeignLayer, "blob %s is to be fetched from elsewhere", d.Digest)
		}
		out[i].Descriptor = d
		key := fmt.Sprintf("%s/%d", d.Digest, d.Size)
		if _, again := fetched[key]; !again {
			fetched[key] = i
			distinct = append(distinct, i)
		}
	}
	errs := make([]error, len(distinct))
	each(len(distinct), func(n int) {
		d := layers[distinct[n]]
		if out[distinct[n]].Data, errs[n] = c.blob(ctx, d, c.limits.Blob); errs[n] != nil {
			errs[n] = fmt.Errorf("blob: %w", errs[n])
		}
	})
	if err := first(errs); err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Data = out[fetched[fmt.Sprintf("%s/%d", layers[i].Digest, layers[i].Size)]].Data
	}
	return out, nil
}

// legacyLayer is the media type that counts under a legacy tag; "" for a suffix that nobody uses.
func legacyLayer(suffix string) string {
	switch suffix {
	case LegacySignature:
		return MediaTypeSimpleSigning
	case LegacyAttestation:
		return MediaTypeDSSE
	}
	return ""
}

// legacy reads cosign's tag for the subject. Its layers are the signatures or
// attestations; layers of another media type are left out.
func (c *call) legacy(ctx context.Context, subject verdict.Digest, suffix string) ([]Artifact, error) {
	tag := fallbackTag(subject) + suffix
	m, err := c.tagged(ctx, tag)
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tag %s: %w", tag, err)
	}
	if m.IsIndex() {
		return nil, faultf(verdict.RegistryAnswer, "tag %s: it is an index and not an image", tag)
	}
	doc, err := m.document()
	if err != nil {
		return nil, fmt.Errorf("tag %s: %w", tag, err)
	}
	kind := legacyLayer(suffix)
	layers := slices.DeleteFunc(slices.Clone(doc.Layers), func(d Descriptor) bool { return d.MediaType != kind })
	var tooMany error
	if len(layers) > c.limits.Artifacts {
		// The newest are at the end.
		layers = layers[len(layers)-c.limits.Artifacts:]
		tooMany = faultf(verdict.RegistryTooMany, "tag %s: more than %d signatures; remove old ones", tag, c.limits.Artifacts)
	}
	if len(layers) == 0 {
		return nil, nil
	}
	a := Artifact{Manifest: m, Type: kind, Tag: tag, Annotations: doc.Annotations}
	if a.Layers, err = c.readLayers(ctx, layers); err != nil {
		return nil, fmt.Errorf("tag %s: %w", tag, err)
	}
	return []Artifact{a}, tooMany
}
