package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/policy"
	"github.com/apexlogic/apex/internal/trust"
)

// Generation is all that is in force at one moment: policies, exceptions,
// revocations and the trust they refer to. It is immutable, so no decision
// mixes two of them.
type Generation struct {
	// Name identifies the generation: the hash of its documents.
	Name   string
	policy *policy.Set
	images trusted
	models trusted
	// sources are believed about files that declare functions, vex about statements
	// that a product is not affected.
	sources, vex *trust.Root
	// approvers are the owners who may approve exceptions, for the reader of a denial.
	approvers []string
}

// trusted is whom a generation believes about one kind of subject.
type trusted struct {
	root *trust.Root
	// Where a trusted signer may have left evidence.
	bundles, legacy, notation bool
	// factHash identifies all that facts depend on beside the registry's bytes.
	factHash string
}

// Compile compiles documents into a generation. Documents that are wrong do
// not stop it: a policy whose names are not defined denies what it selects, and
// what is wrong with trust is an error, because nothing could be verified then.
func Compile(name string, docs policy.Documents, now time.Time) (*Generation, error) {
	g := &Generation{Name: name}
	// Revocations and exceptions are verified by roots of their own, which hold
	// the entries for that use and nothing else.
	roots := map[v1alpha1.TrustUse]*trust.Root{}
	for _, use := range []v1alpha1.TrustUse{v1alpha1.UseExceptions, v1alpha1.UseRevocations} {
		root, err := CompileRoot(docs.TrustRoots, use, trust.Options{})
		if err != nil {
			return nil, fmt.Errorf("trust roots for %s: %w", use, err)
		}
		roots[use] = root
	}
	g.policy = policy.Compile(docs, func(use v1alpha1.TrustUse, kind string, envelope []byte) ([]byte, []fact.Signing, error) {
		return roots[use].VerifyDocument(envelope, kind, now)
	})

	var options trust.Options
	for _, r := range g.policy.Revocations {
		if r.KeyID != "" || r.Subject != "" {
			options.Revoked = append(options.Revoked, trust.Revoked{KeyID: r.KeyID, Issuer: r.Issuer, Subject: r.Subject, Since: r.Since})
		}
	}
	if asksForLog(docs.Policies) {
		options.TrustedRootJSON = trust.PublicGoodRoot()
	}
	var err error
	if g.images, err = compileTrusted(docs.TrustRoots, v1alpha1.UseImages, options); err != nil {
		return nil, fmt.Errorf("trust roots: %w", err)
	}
	if g.models, err = compileTrusted(docs.TrustRoots, v1alpha1.UseModels, options); err != nil {
		return nil, fmt.Errorf("trust roots for models: %w", err)
	}
	if g.sources, err = CompileRoot(docs.TrustRoots, v1alpha1.UseSources, options); err != nil {
		return nil, fmt.Errorf("trust roots for sources: %w", err)
	}
	if g.vex, err = CompileRoot(docs.TrustRoots, v1alpha1.UseVEX, options); err != nil {
		return nil, fmt.Errorf("trust roots for VEX: %w", err)
	}
	g.approvers = approvers(docs.TrustRoots)
	return g, nil
}

// Problems are documents that do not do what their authors meant.
func (g *Generation) Problems() []policy.Problem { return g.policy.Problems }

// Policies are the compiled policies, by name.
func (g *Generation) Policies() []policy.Policy { return g.policy.Policies }

// Models are the compiled policies about models, by name.
func (g *Generation) Models() []policy.Policy { return g.policy.Models }

// Functions are the compiled policies about functions, by name.
func (g *Generation) Functions() []policy.Policy { return g.policy.Functions }

// Exceptions are the exceptions whose signatures hold, expired ones included.
func (g *Generation) Exceptions() []policy.Exception { return g.policy.Exceptions }

// Approvers are the people who may sign exceptions.
func (g *Generation) Approvers() []string { return g.approvers }

func asksForLog(policies []v1alpha1.ImageSecurityPolicy) bool {
	return slices.ContainsFunc(policies, func(p v1alpha1.ImageSecurityPolicy) bool {
		return slices.ContainsFunc(p.Spec.Rules, func(r v1alpha1.ImageRule) bool { return r.Parameters.RequireLog })
	})
}

// CompileRoot compiles the entries of trust roots that are believed for a use.
func CompileRoot(roots []v1alpha1.TrustRoot, use v1alpha1.TrustUse, options trust.Options) (*trust.Root, error) {
	var entries []trust.Entry
	for i := range roots {
		for j := range roots[i].Spec.Entries {
			e := &roots[i].Spec.Entries[j]
			if e.Scanner == nil && usedFor(e, use) {
				entries = append(entries, TrustEntry(e))
			}
		}
	}
	return trust.Compile(entries, options)
}

func usedFor(e *v1alpha1.TrustEntry, use v1alpha1.TrustUse) bool {
	if len(e.Uses) == 0 {
		return use == v1alpha1.UseImages
	}
	return slices.Contains(e.Uses, use)
}

// TrustEntry is an entry of a TrustRoot as package trust reads it. Entries of
// scanners and of commit signers are none.
func TrustEntry(e *v1alpha1.TrustEntry) trust.Entry {
	out := trust.Entry{Name: e.Name}
	for _, f := range e.Formats {
		out.Formats = append(out.Formats, fact.Format(f))
	}
	switch {
	case e.Key != nil:
		out.Key = &trust.KeyEntry{PEM: []byte(e.Key.PEM)}
		if e.Key.ValidFrom != nil {
			out.Key.ValidFrom = e.Key.ValidFrom.Time
		}
		if e.Key.ValidUntil != nil {
			out.Key.ValidUntil = e.Key.ValidUntil.Time
		}
	case e.KMS != nil:
		out.Key = &trust.KeyEntry{PEM: []byte(e.KMS.PEM)}
	case e.Keyless != nil:
		k := e.Keyless
		out.Keyless = &trust.KeylessEntry{
			TrustedRootJSON: []byte(k.TrustedRoot),
			Issuer:          k.Issuer, IssuerRegexp: k.IssuerRegExp,
			Subject: k.Subject, SubjectRegexp: k.SubjectRegExp,
			WithoutLog: k.IgnoreLog, LogThreshold: int(k.LogThreshold), RequireTimestamp: k.RequireTimestamp,
		}
	case e.Certificate != nil:
		c := e.Certificate
		out.Certificate = &trust.CertificateEntry{RootsPEM: []byte(c.Roots), Identities: c.Identities, TimestampRootsPEM: []byte(c.TimestampRoots)}
	}
	return out
}

// compileTrusted also works out where evidence can be that some signer would be
// believed for.
func compileTrusted(roots []v1alpha1.TrustRoot, use v1alpha1.TrustUse, options trust.Options) (trusted, error) {
	root, err := CompileRoot(roots, use, options)
	if err != nil {
		return trusted{}, err
	}
	t := trusted{root: root}
	for i := range roots {
		for j := range roots[i].Spec.Entries {
			e := &roots[i].Spec.Entries[j]
			if e.Scanner != nil || !usedFor(e, use) {
				continue
			}
			if e.Certificate != nil {
				t.notation = true
				continue
			}
			every := len(e.Formats) == 0
			t.bundles = t.bundles || every || slices.Contains(e.Formats, string(fact.FormatBundle))
			t.legacy = t.legacy || every || slices.Contains(e.Formats, string(fact.FormatLegacy))
		}
	}
	// Facts depend on the trust material alone, not on the policies: an edited
	// policy fetches nothing again.
	sum := sha256.Sum256([]byte(strings.Join([]string{root.Hash(), fmt.Sprint(t.bundles, t.legacy, t.notation)}, "\x00")))
	t.factHash = hex.EncodeToString(sum[:])
	return t, nil
}

func approvers(roots []v1alpha1.TrustRoot) []string {
	var owners []string
	for i := range roots {
		for j := range roots[i].Spec.Entries {
			e := &roots[i].Spec.Entries[j]
			if usedFor(e, v1alpha1.UseExceptions) && e.Owner != "" && !slices.Contains(owners, e.Owner) {
				owners = append(owners, e.Owner)
			}
		}
	}
	slices.Sort(owners)
	return owners
}
