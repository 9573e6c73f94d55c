package app

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/policy"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/verdict"
)

// RevocationTarget is what must stop: exactly one of the three.
type RevocationTarget struct {
	Digest   verdict.Digest
	KeyID    string
	Identity *v1alpha1.RevokedIdentity
}

// String says in words what is stopped.
func (t RevocationTarget) String() string {
	switch {
	case t.Digest != "":
		return "the image " + string(t.Digest)
	case t.KeyID != "":
		return "the key " + t.KeyID
	}
	return fmt.Sprintf("the identity %s of %s", t.Identity.Subject, t.Identity.Issuer)
}

// name is what the document is called when nobody says otherwise.
func (t RevocationTarget) name() string {
	switch {
	case t.Digest != "":
		return "digest-" + t.Digest.Short()
	case t.KeyID != "":
		return "key-" + verdict.Digest(t.KeyID).Short()
	}
	sum := sha256.Sum256([]byte(t.Identity.Issuer + "\x00" + t.Identity.Subject))
	return "identity-" + hex.EncodeToString(sum[:6])
}

// ParseRevocationTarget reads what a person wants stopped: "sha256:<hex>" or
// IMAGE@sha256:<hex> is an image's digest, "key:sha256:<hex>" a key's id, a
// file that is there a key, a SPIFFE ID a workload, and "ISSUER,SUBJECT" a person
// or a keyless identity.
//
// set holds the trust roots; it may be nil, then nothing is known about keys. A
// digest that is the id of one of their keys means that key, and the name of an
// entry means its key or identity.
func ParseRevocationTarget(text string, set *config.Set, password func() ([]byte, error)) (RevocationTarget, error) {
	if id, ok := strings.CutPrefix(text, "key:"); ok {
		d, err := verdict.ParseDigest(id)
		return RevocationTarget{KeyID: string(d)}, err
	}
	if d, err := verdict.ParseDigest(text); err == nil {
		if set != nil && entryWithID(set, text) != nil {
			return RevocationTarget{KeyID: text}, nil
		}
		return RevocationTarget{Digest: d}, nil
	}
	if info, err := os.Stat(text); err == nil && info.Mode().IsRegular() {
		k, err := LoadPublicKey(text, password)
		return RevocationTarget{KeyID: k.ID}, err
	}
	if issuer, subject, ok := strings.Cut(text, ","); ok && strings.Contains(issuer, "://") {
		if subject == "" {
			return RevocationTarget{}, fmt.Errorf("%q names an issuer and no subject; write ISSUER,SUBJECT", text)
		}
		return RevocationTarget{Identity: &v1alpha1.RevokedIdentity{Issuer: issuer, Subject: subject}}, nil
	}
	if strings.HasPrefix(text, "spiffe://") {
		return workloadTarget(text)
	}
	if set != nil {
		if e, _, ok := set.TrustEntry(text); ok {
			return entryTarget(e)
		}
	}
	if ext := path.Ext(text); ext == ".pub" || ext == ".key" {
		return RevocationTarget{}, fmt.Errorf("there is no key file %s", text)
	}
	ref, err := reference.Parse(text)
	if err != nil {
		return RevocationTarget{}, fmt.Errorf("%q is not a digest, a key file, key:sha256:…, a SPIFFE ID, or ISSUER,SUBJECT", text)
	}
	if ref.Digest == "" {
		return RevocationTarget{}, fmt.Errorf("%s is a tag, which may name something else tomorrow; write the digest that must stop, as in %s@sha256:…", text, ref.Name())
	}
	return RevocationTarget{Digest: ref.Digest}, nil
}

// workloadTarget is a workload, by its SPIFFE ID.
func workloadTarget(text string) (RevocationTarget, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || text != "spiffe://"+u.Host+u.Path || u.Path != "" && path.Clean(u.Path) != u.Path {
		return RevocationTarget{}, fmt.Errorf("%q is no SPIFFE ID, such as spiffe://claims.example/intake", text)
	}
	if u.Path == "" {
		return RevocationTarget{}, fmt.Errorf("%s is a whole trust domain; write '%s,*' to stop every workload in it", text, text)
	}
	return RevocationTarget{Identity: &v1alpha1.RevokedIdentity{Issuer: "spiffe://" + u.Host, Subject: text}}, nil
}

func entryTarget(e *v1alpha1.TrustEntry) (RevocationTarget, error) {
	if k := e.Keyless; k != nil && k.Issuer != "" && k.Subject != "" {
		return RevocationTarget{Identity: &v1alpha1.RevokedIdentity{Issuer: k.Issuer, Subject: k.Subject}}, nil
	}
	pub, err := entryKey(e)
	if err != nil {
		return RevocationTarget{}, fmt.Errorf("the TrustRoot entry %s has neither one key nor one identity to revoke: %w", e.Name, err)
	}
	k, err := Public(pub)
	return RevocationTarget{KeyID: k.ID}, err
}

// RevocationRequest is what a person orders with [NewRevocation].
type RevocationRequest struct {
	Target RevocationTarget
	Reason string
	// Since is for keys and identities: what they provably signed before still
	// counts. Zero: nothing of it counts.
	Since time.Time
	// Name of the document; "": made of the target.
	Name string
}

// NewRevocation makes and signs a revocation.
func NewRevocation(key crypto.Signer, r RevocationRequest) (*v1alpha1.Revocation, error) {
	if r.Name == "" {
		r.Name = r.Target.name()
	}
	doc := &v1alpha1.Revocation{
		TypeMeta:   typeMeta("Revocation"),
		ObjectMeta: metav1.ObjectMeta{Name: r.Name},
		Spec: v1alpha1.RevocationSpec{
			Digest: string(r.Target.Digest), KeyID: r.Target.KeyID, Identity: r.Target.Identity, Reason: r.Reason,
		},
	}
	if !r.Since.IsZero() {
		if r.Target.Digest != "" {
			return nil, errors.New("a digest is stopped whatever the time; since is for keys and identities")
		}
		since := metav1.NewTime(r.Since.UTC().Truncate(time.Second))
		doc.Spec.Since = &since
	}
	var err error
	doc.Spec.Signature, err = signSpec(key, policy.DocumentRevocation, doc.Spec, nil)
	return doc, err
}

// RevocationFile is where a workspace keeps a revocation.
func RevocationFile(name string) string {
	return path.Join(folderExceptions, "revocation-"+name+".yaml")
}

// ApproverKey is the private key that signs exceptions and revocations of the
// example workspace. It is an error when the workspace has none.
func (w Workspace) ApproverKey() (string, error) {
	file := filepath.Join(w.State(), "keys", approverKey+".key")
	if _, err := os.Stat(file); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("the workspace has no key %s; name one with --key", file)
		}
		return "", err
	}
	return file, nil
}

// Revoked says what became of a revocation that a workspace was given.
type Revoked struct {
	// Commit that holds it; "" when Already is set.
	Commit string
	File   string
	// Already names the revocation that stops the same thing since before.
	Already string
	// Unvouched is why nobody trusted vouches for the document; "" when
	// somebody does. It stops its target all the same, but Since does not hold.
	Unvouched string
}

// Revoke commits the revocation, after making sure that the commit will come
// into force: documents that are wrong would keep all of it from being so.
func (w Workspace) Revoke(ctx context.Context, doc *v1alpha1.Revocation, now time.Time) (Revoked, error) {
	set, head, err := w.Load(ctx)
	if err != nil {
		return Revoked{}, err
	}
	if err := set.Err(); err != nil {
		return Revoked{}, fmt.Errorf("the commit %.12s is not in force because of its documents, and a revocation on top of it would not be either; mend them first:\n%w", head, err)
	}
	for _, o := range set.Revocations {
		if sameTarget(&o.Value.Spec, &doc.Spec) && !later(&o.Value.Spec, &doc.Spec) {
			return Revoked{Already: o.Value.Name}, nil
		}
		if o.Value.Name == doc.Name {
			return Revoked{}, fmt.Errorf("a Revocation %s is there already; choose another name with --name", doc.Name)
		}
	}
	docs := Documents(set)
	docs.Revocations = append(slices.Clone(docs.Revocations), *doc)
	g, err := verify.Compile("", docs, now)
	if err != nil {
		return Revoked{}, err
	}
	out := Revoked{File: RevocationFile(doc.Name)}
	for _, p := range g.Problems() {
		if p.Kind == "Revocation" && p.Name == doc.Name {
			out.Unvouched = p.Detail
		}
	}
	text, err := DocumentYAML(ctx, doc)
	if err != nil {
		return Revoked{}, err
	}
	out.Commit, err = w.Commit(ctx, map[string][]byte{out.File: text}, fmt.Sprintf("Revoke %s\n\n%s\n", doc.Name, doc.Spec.Reason))
	return out, err
}

func sameTarget(a, b *v1alpha1.RevocationSpec) bool {
	if a.Digest != b.Digest || a.KeyID != b.KeyID || (a.Identity == nil) != (b.Identity == nil) {
		return false
	}
	return a.Identity == nil || *a.Identity == *b.Identity
}

// later reports whether the revocation that is there lets more count than the
// new one would.
func later(there, wanted *v1alpha1.RevocationSpec) bool {
	switch {
	case there.Since == nil:
		return false
	case wanted.Since == nil:
		return true
	}
	return there.Since.After(wanted.Since.Time)
}
