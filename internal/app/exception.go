package app

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/policy"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/verdict"
)

// DocumentYAML writes one of our documents, and refuses to write one that
// nothing would accept.
func DocumentYAML(ctx context.Context, doc any) ([]byte, error) {
	text, err := documentYAML(doc)
	if err != nil {
		return nil, err
	}
	set, err := config.Load(ctx, config.Bytes("document", text))
	if err != nil {
		return nil, err
	}
	return text, set.Err()
}

// ExceptionRequest is what a person asks for with [NewException].
type ExceptionRequest struct {
	// Image is a reference or a digest. A tag is resolved once; what the
	// exception names is the digest, in the repository of the reference.
	Image        string
	Policy, Rule string
	Reason       string
	Author       string
	Expires      time.Time
	BreakGlass   bool
	// Name of the document; "": made of the rule and the digest.
	Name string
}

// NewException makes an exception that nobody has approved yet. registry is
// asked only when Image is not a digest already.
func NewException(ctx context.Context, registry *oci.Client, r ExceptionRequest) (*v1alpha1.PolicyException, error) {
	digest, repository, err := digestOf(ctx, registry, r.Image)
	if err != nil {
		return nil, err
	}
	if r.Name == "" {
		r.Name = strings.ToLower(r.Rule) + "-" + digest.Short()
	}
	return &v1alpha1.PolicyException{
		TypeMeta:   typeMeta("PolicyException"),
		ObjectMeta: metav1.ObjectMeta{Name: r.Name},
		Spec: v1alpha1.PolicyExceptionSpec{
			Digest: string(digest), Repository: repository, Policy: r.Policy, Rule: r.Rule,
			Reason: r.Reason, Author: r.Author, BreakGlass: r.BreakGlass,
			// Seconds are what the document keeps, and what is signed.
			ExpiresAt: metav1.NewTime(r.Expires.UTC().Truncate(time.Second)),
		},
	}, nil
}

// digestOf returns the digest that text names, and its repository when it names one.
func digestOf(ctx context.Context, registry *oci.Client, text string) (verdict.Digest, string, error) {
	if d, err := verdict.ParseDigest(text); err == nil {
		return d, "", nil
	}
	ref, err := reference.Parse(text)
	if err != nil {
		return "", "", err
	}
	if ref.Digest != "" {
		return ref.Digest, ref.Name(), nil
	}
	m, err := registry.Resolve(ctx, ref)
	return m.Digest, ref.Name(), err
}

// CheckExceptionTarget refuses an exception from a policy or rule that is not
// in the set: it would have no effect.
func CheckExceptionTarget(set *config.Set, policyName, rule string) error {
	var policies []string
	for _, p := range set.ImageSecurityPolicies {
		policies = append(policies, p.Value.Name)
		if p.Value.Name != policyName {
			continue
		}
		var rules []string
		for _, r := range p.Value.Spec.Rules {
			rules = append(rules, string(r.Name))
		}
		if !slices.Contains(rules, rule) {
			return fmt.Errorf("the policy %s has no rule %q; its rules are %s", policyName, rule, strings.Join(rules, ", "))
		}
		return nil
	}
	return fmt.Errorf("there is no policy %q; the policies are %s", policyName, strings.Join(policies, ", "))
}

// ErrApproval is wrapped when an approval would have no effect.
var ErrApproval = errors.New("the approval would have no effect")

// Approve signs the exception in text, a file with this one document, and
// returns the file with the signature in it and the approver's name. A
// signature that is there and is over the same text is kept beside the new one.
//
// trusted says who may approve. nil leaves that open: the approver is then ""
// and whether the approval counts shows where it is used.
func Approve(ctx context.Context, text []byte, key crypto.Signer, trusted *config.Set, now time.Time) (signed []byte, doc *v1alpha1.PolicyException, approver string, err error) {
	set, err := config.Load(ctx, config.Bytes("exception", text))
	if err != nil {
		return nil, nil, "", err
	}
	if err := set.Err(); err != nil {
		return nil, nil, "", err
	}
	if len(set.PolicyExceptions) != 1 || set.Len() != 1 {
		return nil, nil, "", fmt.Errorf("the file holds %d documents; to approve is to sign one PolicyException", set.Len())
	}
	e := *set.PolicyExceptions[0].Value
	e.TypeMeta = typeMeta("PolicyException")
	if !now.Before(e.Spec.ExpiresAt.Time) {
		return nil, nil, "", fmt.Errorf("%w: it has expired on %s", ErrApproval, e.Spec.ExpiresAt.UTC().Format(time.RFC3339))
	}
	if trusted != nil {
		if approver, err = mayApprove(trusted, key.Public(), e.Spec.Author); err != nil {
			return nil, nil, "", err
		}
	}
	before := e.Spec.Signature
	e.Spec.Signature = nil
	if e.Spec.Signature, err = signSpec(key, policy.DocumentException, e.Spec, before); err != nil {
		return nil, nil, "", err
	}
	if trusted != nil {
		if err := counts(trusted, e, now); err != nil {
			return nil, nil, "", err
		}
	}
	if signed, err = DocumentYAML(ctx, &e); err != nil {
		return nil, nil, "", err
	}
	return signed, &e, approver, nil
}

// counts asks the engine itself whether the signed exception has an effect.
// That finds what the entry alone does not show: a key that is out of its
// validity, for example.
func counts(trusted *config.Set, e v1alpha1.PolicyException, now time.Time) error {
	docs := Documents(trusted)
	docs.Exceptions = []v1alpha1.PolicyException{e}
	g, err := verify.Compile("", docs, now)
	if err != nil {
		return err
	}
	if len(g.Exceptions()) == 0 {
		_, detail := withoutEffect(g.Problems(), e.Name)
		return fmt.Errorf("%w: %s", ErrApproval, detail)
	}
	return nil
}

// mayApprove returns the owner who approves with the key.
func mayApprove(set *config.Set, pub crypto.PublicKey, author string) (string, error) {
	e, err := entryOf(set, pub)
	switch {
	case err != nil:
		return "", err
	case e == nil:
		return "", fmt.Errorf("%w: no TrustRoot entry holds this key (apex keys trust prints one)", ErrApproval)
	case !slices.Contains(e.Uses, v1alpha1.UseExceptions):
		return "", fmt.Errorf("%w: the TrustRoot entry %s is not for the use Exceptions", ErrApproval, e.Name)
	case strings.EqualFold(strings.TrimSpace(e.Owner), strings.TrimSpace(author)):
		return "", fmt.Errorf("%w: %s asked for the exception and owns the key %s; another person has to approve it", ErrApproval, author, e.Name)
	}
	return e.Owner, nil
}

// entryOf returns the trust entry that holds the public key, or nil.
func entryOf(set *config.Set, pub crypto.PublicKey) (*v1alpha1.TrustEntry, error) {
	want, err := trust.KeyID(pub)
	if err != nil {
		return nil, err
	}
	return entryWithID(set, want), nil
}

func entryWithID(set *config.Set, id string) *v1alpha1.TrustEntry {
	for _, root := range set.TrustRoots {
		for i := range root.Value.Spec.Entries {
			e := &root.Value.Spec.Entries[i]
			pub, err := entryKey(e)
			if err != nil {
				continue
			}
			if have, err := trust.KeyID(pub); err == nil && have == id {
				return e
			}
		}
	}
	return nil
}

// entryKey returns the public key of an entry that is one.
func entryKey(e *v1alpha1.TrustEntry) (crypto.PublicKey, error) {
	text := ""
	switch {
	case e.Key != nil:
		text = e.Key.PEM
	case e.KMS != nil:
		text = e.KMS.PEM
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("it holds no key")
	}
	return x509.ParsePKIXPublicKey(block.Bytes)
}

// signSpec signs a spec that has no signature in it. A signature of before that
// is over the same text is kept.
func signSpec(key crypto.Signer, kind string, spec any, before *v1alpha1.DocumentSignature) (*v1alpha1.DocumentSignature, error) {
	doc, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	envelope, err := trust.SignDocument(key, kind, doc)
	if err != nil {
		return nil, err
	}
	if before != nil {
		old, err := base64.StdEncoding.DecodeString(before.Envelope)
		if err == nil && samePayload(old, envelope) {
			if envelope, err = trust.AddSignature(key, old); err != nil {
				return nil, err
			}
		}
	}
	return &v1alpha1.DocumentSignature{Envelope: base64.StdEncoding.EncodeToString(envelope)}, nil
}

func samePayload(a, b []byte) bool {
	var envelopes [2]struct {
		Payload     []byte `json:"payload"`
		PayloadType string `json:"payloadType"`
	}
	for i, data := range [][]byte{a, b} {
		if err := json.Unmarshal(data, &envelopes[i]); err != nil {
			return false
		}
	}
	return envelopes[0].PayloadType == envelopes[1].PayloadType && bytes.Equal(envelopes[0].Payload, envelopes[1].Payload)
}

// ExceptionFile is where a workspace keeps an exception.
func ExceptionFile(name string) string { return path.Join(folderExceptions, name+".yaml") }

// ExceptionPlace is where the workspace commits the exception in the file: where
// it is, when that is in the folder of exceptions, so that it is not there twice.
func (w Workspace) ExceptionPlace(file, name string) string {
	if abs, err := filepath.Abs(file); err == nil {
		rel, err := filepath.Rel(w.Dir, abs)
		if rel = filepath.ToSlash(rel); err == nil && strings.HasPrefix(rel, folderExceptions+"/") {
			return rel
		}
	}
	return ExceptionFile(name)
}

// The states of an exception. Only a live one has an effect.
const (
	ExceptionLive         = "live"
	ExceptionExpired      = "expired"
	ExceptionUnsigned     = "unsigned"
	ExceptionSelfApproved = "self-approved"
	ExceptionConflict     = "conflict" // another live one covers the same check
	ExceptionInvalid      = "invalid"
)

// ExceptionState is one exception and whether it has an effect.
type ExceptionState struct {
	Name       string         `json:"name"`
	State      string         `json:"state"`
	Detail     string         `json:"detail,omitempty"`
	Digest     verdict.Digest `json:"digest"`
	Repository string         `json:"repository,omitempty"`
	Policy     string         `json:"policy"`
	Rule       string         `json:"rule"`
	Reason     string         `json:"reason"`
	Author     string         `json:"author"`
	Approver   string         `json:"approver,omitempty"`
	ExpiresAt  time.Time      `json:"expiresAt"`
	BreakGlass bool           `json:"breakGlass,omitempty"`
}

// ExceptionStates lists the set's exceptions by name, judged by the set's trust
// roots as the engine judges them.
func ExceptionStates(set *config.Set, now time.Time) ([]ExceptionState, error) {
	g, err := verify.Compile(set.Hash(), Documents(set), now)
	if err != nil {
		return nil, err
	}
	compiled := g.Exceptions()
	out := make([]ExceptionState, 0, len(set.PolicyExceptions))
	for _, o := range set.PolicyExceptions {
		spec := o.Value.Spec
		s := ExceptionState{
			Name: o.Value.Name, Digest: verdict.Digest(spec.Digest), Repository: spec.Repository, Policy: spec.Policy, Rule: spec.Rule,
			Reason: spec.Reason, Author: spec.Author, ExpiresAt: spec.ExpiresAt.Time, BreakGlass: spec.BreakGlass,
		}
		i := slices.IndexFunc(compiled, func(e policy.Exception) bool { return e.Name == s.Name })
		switch {
		case i < 0:
			s.State, s.Detail = withoutEffect(g.Problems(), s.Name)
		case !now.Before(s.ExpiresAt):
			s.State, s.Approver = ExceptionExpired, compiled[i].Approver
		default:
			s.State, s.Approver = ExceptionLive, compiled[i].Approver
			if other := rival(compiled, &compiled[i], now); other != "" {
				s.State, s.Detail = ExceptionConflict, other+" covers the same check, so neither has an effect"
			}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b ExceptionState) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func withoutEffect(problems []policy.Problem, name string) (state, detail string) {
	for _, p := range problems {
		if p.Kind != "PolicyException" || p.Name != name {
			continue
		}
		switch p.Code {
		case verdict.ExceptionUnsigned:
			return ExceptionUnsigned, p.Detail
		case verdict.ExceptionSelfApproved:
			return ExceptionSelfApproved, p.Detail
		}
		return ExceptionInvalid, p.Detail
	}
	return ExceptionInvalid, "it is not in force"
}

// rival returns another live exception for the same check.
func rival(all []policy.Exception, e *policy.Exception, now time.Time) string {
	for i := range all {
		o := &all[i]
		if o.Name != e.Name && now.Before(o.Expires) && o.Digest == e.Digest && o.Policy == e.Policy && o.Rule == e.Rule &&
			(o.Repository == e.Repository || o.Repository == "" || e.Repository == "") {
			return o.Name
		}
	}
	return ""
}
