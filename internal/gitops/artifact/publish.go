package artifact

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// Config is what a publisher needs; all but URL and Clock has to be given.
type Config struct {
	// Source is the name of the GitSource, and its stage.
	Source string
	// URL of the source's repository. Credentials and local paths in it are not
	// published.
	URL string
	// Repository is where it goes, "host/path"; Tag names the newest artifact.
	Repository, Tag string

	Registry *oci.Client
	// Signer signs the statements.
	Signer crypto.Signer
	// Store keeps what was published, and Sign and Verify protect that, see
	// [gitops.Records].
	Store  gitops.Store
	Sign   func(ctx context.Context, message []byte) ([]byte, error)
	Verify func(ctx context.Context, message, signature []byte) error

	Clock clock.Clock
	// Checkpoint is called with the name of each point between two writes; tests
	// end the process there. May be nil.
	Checkpoint func(name string)
}

// Revision is what is published.
type Revision struct {
	Commit string
	Set    verdict.Digest
	// Counter is that of the source's state when the revision was decided on.
	Counter uint64
	// Read returns the set's bytes as they were applied, and whether the commit
	// may delete more than a mistake may. It is called when they are needed, and
	// answers the same each time.
	Read func(ctx context.Context) (set *gitops.Set, allowPrune bool, err error)
}

// Published is an artifact that was published.
type Published struct {
	Source     string         `json:"source"`
	Repository string         `json:"repository"`
	Digest     verdict.Digest `json:"digest"` // of the artifact
	Commit     string         `json:"commit"`
	Set        verdict.Digest `json:"set"`
	Counter    uint64         `json:"counter"`
	// Predecessor is the artifact before it in the same repository.
	Predecessor verdict.Digest `json:"predecessor,omitempty"`
	// Tag that names it, "" until it does.
	Tag string    `json:"tag,omitempty"`
	At  time.Time `json:"at"`
}

const publishedSchema = "apex.gitops.published/v1"

// maxRecord is four times what the longest texts in it need.
const maxRecord = 16 << 10

type record struct {
	Schema string `json:"schema"`
	Published
	version string
}

// Publisher pushes one source's revisions to a registry, as a chain of signed
// artifacts. It is safe for concurrent use; of two processes that publish at the
// same time, one gets [gitops.ErrConflict].
type Publisher struct {
	c       Config
	key     string // of the record in the store: each repository has a chain of its own
	records gitops.Records
	self    *Verifier
	mu      sync.Mutex
}

// NewPublisher checks the configuration. Nothing is asked yet.
func NewPublisher(c Config) (*Publisher, error) {
	if c.Registry == nil || c.Signer == nil || c.Store == nil || c.Sign == nil || c.Verify == nil {
		return nil, errors.New("publish: a registry, a signer, a store, and functions that sign and verify are needed")
	}
	if err := gitops.CheckSource(c.Source); err != nil {
		return nil, err
	}
	if _, err := reference.Parse(c.Repository + ":" + c.Tag); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Checkpoint == nil {
		c.Checkpoint = func(string) {}
	}
	c.URL = public(c.URL)
	pem, err := trust.PublicPEM(c.Signer.Public())
	if err != nil {
		return nil, fmt.Errorf("publish: the signer's key: %w", err)
	}
	const own = "publisher"
	root, err := trust.Compile([]trust.Entry{{Name: own, Key: &trust.KeyEntry{PEM: pem}}}, trust.Options{})
	if err != nil {
		return nil, fmt.Errorf("publish: the signer's key: %w", err)
	}
	sum := sha256.Sum256([]byte("published of " + c.Source + " in " + c.Repository))
	return &Publisher{
		c: c, key: "published-" + hex.EncodeToString(sum[:20]),
		records: gitops.Records{Purpose: "apex gitops published v1", Most: maxRecord, Sign: c.Sign, Verify: c.Verify},
		self:    &Verifier{trust: Trust{Source: c.Source, Signers: []string{own}}, root: root},
	}, nil
}

// public is what of a repository's address may be told to everybody.
func public(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme == "file" {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	if len(u.String()) > maxText {
		return ""
	}
	return u.String()
}

// Last is what was published last; nil when nothing was.
func (p *Publisher) Last(ctx context.Context) (*Published, error) {
	rec, err := p.load(ctx)
	if err != nil || rec.Digest == "" {
		return nil, err
	}
	return &rec.Published, nil
}

// Publish makes the revision the newest artifact, and says whether that changed
// anything. It can be repeated after an error, or after the process was killed
// at any point: an artifact is remembered before a tag names it, so that whoever
// follows the tag sees one chain.
func (p *Publisher) Publish(ctx context.Context, r Revision) (_ *Published, changed bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rec, err := p.load(ctx)
	if err != nil {
		return nil, false, err
	}
	same := rec.Counter == r.Counter && rec.Commit == r.Commit && rec.Set == r.Set
	switch {
	case same && rec.Tag == p.c.Tag:
		return &rec.Published, false, nil
	case !same && r.Counter <= rec.Counter:
		return nil, false, fmt.Errorf("publish %s: the revision %d comes after %d, which is published", p.c.Source, r.Counter, rec.Counter)
	case !same:
		if err := p.push(ctx, rec, &r); err != nil {
			return nil, false, fmt.Errorf("publish %s: %w", p.c.Source, err)
		}
	}
	if err := p.name(ctx, rec); err != nil {
		return nil, false, fmt.Errorf("publish %s: %w", p.c.Source, err)
	}
	return &rec.Published, true, nil
}

// push stores and signs the artifact, and remembers it. No tag names it yet.
func (p *Publisher) push(ctx context.Context, rec *record, r *Revision) error {
	set, allowPrune, err := r.Read(ctx)
	if err != nil {
		return err
	}
	if set.Digest() != r.Set {
		return fmt.Errorf("the set %s was read, and %s is applied", set.Digest(), r.Set)
	}
	st := Statement{
		Source: p.c.Source, URL: p.c.URL, Commit: r.Commit, Content: r.Set, Counter: r.Counter,
		Predecessor: rec.Digest, AllowPrune: allowPrune,
	}
	if err := st.check(); err != nil {
		return err
	}
	from := render.Provenance{Source: st.Source, URL: st.URL, Commit: st.Commit, Counter: st.Counter}
	sign := func(ctx context.Context, repo string, d oci.Descriptor) error {
		p.c.Checkpoint("pushed")
		return p.sign(ctx, repo, d, &st)
	}
	digest, err := render.Push(ctx, p.c.Registry, p.c.Repository, "", set, from, sign)
	if err != nil {
		return err
	}
	p.c.Checkpoint("signed")
	rec.Published = Published{
		Source: p.c.Source, Repository: p.c.Repository, Digest: digest, Commit: r.Commit, Set: r.Set, Counter: r.Counter,
		Predecessor: st.Predecessor, At: p.c.Clock.Now().UTC(),
	}
	if err := p.save(ctx, rec); err != nil {
		return err
	}
	p.c.Checkpoint("remembered")
	return nil
}

// sign attaches the statement, unless a run that was cut off has done so.
func (p *Publisher) sign(ctx context.Context, repo string, d oci.Descriptor, st *Statement) error {
	if was, _, err := p.self.statement(ctx, p.c.Registry, repo, d.Digest, p.c.Clock.Now()); err == nil && was == *st {
		return nil
	}
	predicate, err := json.Marshal(st)
	if err != nil {
		return err
	}
	bundle, err := trust.Attest(p.c.Signer, repo, d.Digest, PredicateType, predicate)
	if err != nil {
		return err
	}
	_, err = p.c.Registry.Attach(ctx, repo, d, oci.ArtifactBundleV03, nil, oci.Blob{MediaType: trust.MediaTypeBundle, Data: bundle})
	return err
}

// name moves the tag to what is remembered.
func (p *Publisher) name(ctx context.Context, rec *record) error {
	ref, err := reference.Parse(p.c.Repository + "@" + string(rec.Digest))
	if err != nil {
		return err
	}
	m, err := p.c.Registry.Resolve(ctx, ref)
	if err != nil {
		return err
	}
	if _, err := p.c.Registry.PushManifest(ctx, p.c.Repository, p.c.Tag, m.MediaType, m.Raw); err != nil {
		return err
	}
	p.c.Checkpoint("tagged")
	rec.Tag = p.c.Tag
	return p.save(ctx, rec)
}

func (p *Publisher) load(ctx context.Context) (*record, error) {
	data, version, err := p.c.Store.Load(ctx, p.key)
	if err != nil {
		return nil, fmt.Errorf("load what %s has published: %w", p.c.Source, err)
	}
	rec := &record{Schema: publishedSchema}
	if data != nil {
		if err := p.decode(ctx, data, rec); err != nil {
			return nil, fmt.Errorf("what %s has published: %w", p.c.Source, err)
		}
	}
	rec.version = version
	return rec, nil
}

func (p *Publisher) decode(ctx context.Context, data []byte, rec *record) error {
	if err := p.records.Decode(ctx, data, rec); err != nil {
		return err
	}
	if rec.Schema != publishedSchema || rec.Source != p.c.Source || rec.Repository != p.c.Repository {
		return fmt.Errorf("the record is a %.40q of %.80q in %.80q", rec.Schema, rec.Source, rec.Repository)
	}
	return nil
}

func (p *Publisher) save(ctx context.Context, rec *record) error {
	data, err := p.records.Encode(ctx, rec)
	if err != nil {
		return fmt.Errorf("what %s has published: %w", p.c.Source, err)
	}
	version, err := p.c.Store.Save(ctx, p.key, data, rec.version)
	if err != nil {
		return fmt.Errorf("save the record: %w", err)
	}
	rec.version = version
	return nil
}
