package trust

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// Limits on what signs commits.
const (
	maxCommitSigners = 1024
	// maxCommitSignature is far above a gitsign signature with a chain and a
	// log entry, which has 4 kB; the others have less than 1 kB.
	maxCommitSignature = 64 << 10
	// maxAuthorizedKey and maxOpenPGPKey are those of the kind TrustRoot.
	maxAuthorizedKey = 16 << 10
	maxOpenPGPKey    = 256 << 10
)

// The formats of signatures over commits and tags.
const (
	FormatSSH     = fact.Format("ssh")     // gpg.format ssh: SSHSIG in the namespace git
	FormatOpenPGP = fact.Format("openpgp") // gpg.format openpgp
	FormatGitsign = fact.Format("gitsign") // gpg.format x509 by gitsign
)

// CommitSigner is a name whose signatures over commits and tags count. Exactly
// one of SSH, OpenPGP and Keyless is set.
type CommitSigner struct {
	Name string
	// Owner is the person or team who holds the key; "" stands for the name.
	// Signatures of one owner count once, whatever keys made them.
	Owner string
	// SSH is a line of authorized_keys without options: "ssh-ed25519 AAAA… comment".
	SSH string
	// OpenPGP is one armored public key with its subkeys.
	OpenPGP string
	// Keyless is an identity that signs with gitsign.
	Keyless *KeylessEntry
	// ValidFrom and ValidUntil bound when the signature may be seen first; zero:
	// unbounded. See [CommitVerifier.Verify].
	ValidFrom, ValidUntil time.Time
}

// CommitSigning is who signed a commit or a tag.
type CommitSigning struct {
	// Names of the signers, sorted. An identity may match several keyless
	// entries; a key has one name.
	Names []string
	// Owners of those names, sorted: all stand for the one who signed.
	Owners []string
	Format fact.Format
	// KeyID names the key as [Revoked] does: that of an SSH key is [KeyID], that
	// of a security key (sk-…) the SHA-256 of its SSH encoding, that of an OpenPGP
	// key the SHA-256 of what its fingerprint is over.
	KeyID    string
	Identity fact.Identity // of gitsign's certificates
	// SignedAt is when a transparency log or timestamp authority saw the
	// signature; zero when nobody vouches for a time.
	SignedAt time.Time
}

// CommitVerifier says who signed a commit or tag. It is immutable, apart from a
// cache of certificate chains, and safe for concurrent use.
type CommitVerifier struct {
	ssh     map[string]*sshSigner // by the key's SSH encoding
	openpgp *openpgpSigners
	named   map[string]*namedSigner
	// root holds the keyless entries and the revocations.
	root *Root
}

// namedSigner is what all kinds of signers have in common.
type namedSigner struct {
	name, owner string
	from, until time.Time
}

// CompileCommits checks the signers and turns them into a CommitVerifier. Every
// error names the signer and what is wrong.
func CompileCommits(signers []CommitSigner, revoked []Revoked) (*CommitVerifier, error) {
	if len(signers) > maxCommitSigners {
		return nil, fmt.Errorf("commit signers: %d, at most %d", len(signers), maxCommitSigners)
	}
	v := &CommitVerifier{ssh: map[string]*sshSigner{}, named: map[string]*namedSigner{}, openpgp: newOpenPGPSigners()}
	var keyless []Entry
	for i := range signers {
		s := &signers[i]
		if err := v.add(s); err != nil {
			return nil, fmt.Errorf("commit signer %q: %w", clip(s.Name), err)
		}
		if s.Keyless != nil {
			keyless = append(keyless, Entry{Name: s.Name, Keyless: s.Keyless})
		}
	}
	var err error
	if v.root, err = Compile(keyless, Options{Revoked: revoked}); err != nil {
		return nil, fmt.Errorf("commit signers: %w", err)
	}
	return v, nil
}

func (v *CommitVerifier) add(s *CommitSigner) error {
	if s.Name == "" {
		return errors.New("it has no name")
	}
	if v.named[s.Name] != nil {
		return errors.New("the name is there twice")
	}
	kinds := 0
	for _, set := range []bool{s.SSH != "", s.OpenPGP != "", s.Keyless != nil} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		return errors.New("give exactly one of an SSH key, an OpenPGP key and a keyless identity")
	}
	if !s.ValidFrom.IsZero() && !s.ValidUntil.IsZero() && !s.ValidFrom.Before(s.ValidUntil) {
		return errors.New("validFrom is not before validUntil")
	}
	n := &namedSigner{name: s.Name, owner: s.Owner, from: s.ValidFrom, until: s.ValidUntil}
	if n.owner == "" {
		n.owner = s.Name
	}
	v.named[s.Name] = n
	switch {
	case s.SSH != "":
		return v.addSSH(n, s.SSH)
	case s.OpenPGP != "":
		return v.openpgp.add(n, s.OpenPGP)
	}
	return nil
}

// Owner returns the owner of the signer with this name; ok is false when there
// is none.
func (v *CommitVerifier) Owner(name string) (owner string, ok bool) {
	n := v.named[name]
	if n == nil {
		return "", false
	}
	return n.owner, true
}

// Verify says who made the signature over a commit's or tag's payload: the
// object without its signature. An empty signature is an error too. [Code]
// tells the errors apart: verdict.CommitUnsigned, CommitInvalid,
// CommitUntrusted, CommitWeak, CommitKeyValidity, CommitKeyRevoked and
// CommitEvidence.
//
// The dates in a commit and in SSH and OpenPGP signatures are claims of whoever
// holds the key, so they open no window: who steals a key that has expired would
// date the commit back. A signer's validity, an OpenPGP key's own expiry and
// revocation included, is judged at seen, when the object was first seen by
// someone trusted, which is now for what nobody kept a record of. Only for
// gitsign, where a log or a timestamp authority vouches for a time, that time
// counts. What was accepted before stays so because it is not verified again;
// what was signed by a key that ended before anybody saw it needs a seal.
func (v *CommitVerifier) Verify(payload, signature []byte, seen time.Time) (CommitSigning, error) {
	if len(bytes.TrimSpace(signature)) == 0 {
		return CommitSigning{}, deny(verdict.CommitUnsigned, "it carries no signature")
	}
	if len(signature) > maxCommitSignature {
		return CommitSigning{}, deny(verdict.CommitInvalid, "its signature has %d bytes, the limit is %d", len(signature), maxCommitSignature)
	}
	first, _, _ := strings.Cut(string(signature), "\n")
	var s CommitSigning
	err := guarded("commit signature", func() (err error) {
		switch first {
		case "-----BEGIN SSH SIGNATURE-----":
			s, err = v.verifySSH(payload, signature, seen)
		case "-----BEGIN PGP SIGNATURE-----":
			s, err = v.verifyOpenPGP(payload, signature, seen)
		case "-----BEGIN SIGNED MESSAGE-----":
			s, err = v.verifyGitsign(payload, signature, seen)
		default:
			err = deny(verdict.CommitInvalid, "its signature begins with %.60q and not as one of SSH, OpenPGP or gitsign does", first)
		}
		return err
	})
	if err != nil {
		return CommitSigning{}, asProblem(err, verdict.CommitInvalid)
	}
	return s, nil
}

// signing is what a key's signature proves, or why it does not count at this time.
func (v *CommitVerifier) signing(n *namedSigner, format fact.Format, seen time.Time, keyIDs ...string) (CommitSigning, error) {
	s := CommitSigning{Names: []string{n.name}, Owners: []string{n.owner}, Format: format, KeyID: keyIDs[0]}
	for _, id := range keyIDs {
		if _, p := v.root.checkRevoked(id, fact.Identity{}, &observation{}, seen); p != nil {
			return s, deny(verdict.CommitKeyRevoked, "the key of %q: %s", n.name, p.detail)
		}
	}
	return s, n.check(seen)
}

func (n *namedSigner) check(at time.Time) error {
	if !n.from.IsZero() && at.Before(n.from) || !n.until.IsZero() && at.After(n.until) {
		return deny(verdict.CommitKeyValidity, "the key of %q is valid %s and the commit was first seen at %s",
			n.name, period(n.from, n.until), at.UTC().Format(time.RFC3339))
	}
	return nil
}

// setNames fills in names and their owners.
func (s *CommitSigning) setNames(signers []*namedSigner) {
	s.Names, s.Owners = nil, nil
	for _, n := range signers {
		s.Names, s.Owners = append(s.Names, n.name), append(s.Owners, n.owner)
	}
	slices.Sort(s.Names)
	slices.Sort(s.Owners)
	s.Owners = slices.Compact(s.Owners)
}
