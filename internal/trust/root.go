package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// maxEntries bounds a root: every signature is tried with every key.
const maxEntries = 128

// Entry is one name that a policy's requireSignatureFrom may refer to. Exactly
// one of Key, Keyless and Certificate is set.
type Entry struct {
	Name        string
	Key         *KeyEntry
	Keyless     *KeylessEntry
	Certificate *CertificateEntry
	// Formats that are accepted from this entry; empty: all that fit its kind.
	Formats []fact.Format
}

// KeyEntry trusts one public key.
type KeyEntry struct {
	// PEM is one "PUBLIC KEY" block: ECDSA P-256, P-384, P-521; RSA from 2048
	// bits; Ed25519.
	PEM []byte
	// ValidFrom and ValidUntil bound the time of signing; zero: unbounded. A
	// signature that nothing trusted dates is judged at the time of verification.
	ValidFrom, ValidUntil time.Time
	// HashAlgorithm is "sha256" (default), "sha384" or "sha512"; empty for Ed25519.
	HashAlgorithm string
	// RequireLog asks for a transparency log entry that verifies against
	// Options.TrustedRootJSON.
	RequireLog bool
}

// KeylessEntry trusts identities that a sigstore deployment certifies.
type KeylessEntry struct {
	// TrustedRootJSON is the deployment's trusted_root.json; empty: the public
	// good instance, as embedded (see root/README.md).
	TrustedRootJSON []byte
	// Issuer and Subject are compared exactly; the patterns must match the
	// whole text. An issuer is always needed, and a subject or an extension.
	Issuer, IssuerRegexp   string
	Subject, SubjectRegexp string
	Extensions             Extensions
	// WithoutLog and WithoutSCT lift the requirements of a transparency log
	// entry and of a certificate transparency timestamp, for private
	// deployments that have no such logs.
	WithoutLog, WithoutSCT bool
	// LogThreshold is how many distinct logs must hold the signature; 0 means 1.
	LogThreshold int
	// RequireTimestamp asks for an RFC 3161 timestamp beside the log.
	RequireTimestamp bool
}

// Revoked stops a key or an identity. Signatures count only when a log or a
// timestamp authority dates them before Since.
type Revoked struct {
	KeyID   string // "sha256:<hex>", see [KeyID]; or
	Issuer  string // of the identity; empty: every issuer
	Subject string // of the identity, or Everybody
	Since   time.Time
}

// Everybody is the Subject of a revocation of all identities of an issuer.
const Everybody = "*"

// Options say what holds for all entries.
type Options struct {
	// TrustedRootJSON names the logs and timestamp authorities that are
	// believed about signatures made by keys; empty: none, such signatures
	// are undated.
	TrustedRootJSON []byte
	Revoked         []Revoked
}

// Root is compiled trust material. It is immutable, apart from a bounded cache
// of certificate chains that were verified, and safe for concurrent use.
type Root struct {
	keys    []*keyed
	byHint  map[string]int // hint or KeyID → index in keys
	groups  []*keylessGroup
	certs   []*certified
	logs    *material // for signatures by keys; nil: none
	revoked []Revoked
	hash    string
}

type keyed struct {
	name       string
	key        *publicKey
	from, till time.Time
	requireLog bool
	formats    []fact.Format
}

// Compile checks the entries and turns them into a Root. Every error names the
// entry and the field that is wrong.
func Compile(entries []Entry, opts Options) (*Root, error) {
	if len(entries) > maxEntries {
		return nil, fmt.Errorf("trust root: %d entries, at most %d", len(entries), maxEntries)
	}
	r := &Root{byHint: map[string]int{}}
	c := compiler{root: r, materials: map[[32]byte]*material{}, names: map[string]bool{}}
	if len(opts.TrustedRootJSON) > 0 {
		m, err := c.material(opts.TrustedRootJSON)
		if err != nil {
			return nil, fmt.Errorf("trust root: trustedRoot: %w", err)
		}
		r.logs = m
	}
	for i := range entries {
		if err := c.add(&entries[i]); err != nil {
			return nil, fmt.Errorf("trust root entry %q: %w", clip(entries[i].Name), err)
		}
	}
	for i, rev := range opts.Revoked {
		if (rev.KeyID == "") == (rev.Subject == "") {
			return nil, fmt.Errorf("trust root: revocation %d must name a keyID or a subject, one of them", i)
		}
		if rev.KeyID != "" {
			if _, err := verdict.ParseDigest(rev.KeyID); err != nil {
				return nil, fmt.Errorf("trust root: revocation %d: keyID %w", i, err)
			}
		}
	}
	r.revoked = slices.Clone(opts.Revoked)
	r.hash = digestOf(entries, opts)
	return r, nil
}

// Hash identifies all of the root's material: "sha256:<hex>". Equal material
// gives an equal hash, whatever the order of the entries. Put it into the key
// of every cache that holds what this root verified.
func (r *Root) Hash() string { return r.hash }

// Names returns the entries' names, sorted.
func (r *Root) Names() []string {
	var names []string
	for _, k := range r.keys {
		names = append(names, k.name)
	}
	for _, g := range r.groups {
		for _, e := range g.entries {
			names = append(names, e.name)
		}
	}
	for _, c := range r.certs {
		names = append(names, c.name)
	}
	sort.Strings(names)
	return names
}

// KeyIDOf returns the key id of a key entry; ok is false for any other name.
func (r *Root) KeyIDOf(name string) (id string, ok bool) {
	for _, k := range r.keys {
		if k.name == name {
			return k.key.id, true
		}
	}
	return "", false
}

type compiler struct {
	root      *Root
	materials map[[32]byte]*material
	names     map[string]bool
}

func (c *compiler) material(trustedRoot []byte) (*material, error) {
	sum := sha256.Sum256(trustedRoot)
	if m, ok := c.materials[sum]; ok {
		return m, nil
	}
	m, err := newMaterial(trustedRoot)
	if err != nil {
		return nil, err
	}
	c.materials[sum] = m
	return m, nil
}

func (c *compiler) add(e *Entry) error {
	if e.Name == "" {
		return errors.New("it has no name")
	}
	if c.names[e.Name] {
		return errors.New("the name is there twice")
	}
	c.names[e.Name] = true
	kinds := 0
	for _, set := range []bool{e.Key != nil, e.Keyless != nil, e.Certificate != nil} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		return errors.New("give exactly one of key, keyless and certificate")
	}
	for _, f := range e.Formats {
		fits := f == fact.FormatBundle || f == fact.FormatLegacy
		if e.Certificate != nil {
			fits = f == fact.FormatNotation
		}
		if !fits {
			return fmt.Errorf("format %q does not fit this kind of entry", clip(string(f)))
		}
	}
	switch {
	case e.Key != nil:
		return c.addKey(e)
	case e.Keyless != nil:
		return c.addKeyless(e)
	}
	entry, err := newCertified(e)
	if err != nil {
		return err
	}
	c.root.certs = append(c.root.certs, entry)
	return nil
}

func (c *compiler) addKey(e *Entry) error {
	key, err := parsePublicKey(e.Key.PEM, e.Key.HashAlgorithm)
	if err != nil {
		return err
	}
	if i, dup := c.root.byHint[key.id]; dup {
		return fmt.Errorf("it has the same key as %q; one key under two names would count twice", c.root.keys[i].name)
	}
	k := e.Key
	if !k.ValidFrom.IsZero() && !k.ValidUntil.IsZero() && !k.ValidFrom.Before(k.ValidUntil) {
		return errors.New("validFrom is not before validUntil")
	}
	if k.RequireLog && c.root.logs == nil {
		return errors.New("requireLog needs a trustedRoot that names the logs")
	}
	c.root.byHint[key.id] = len(c.root.keys)
	c.root.byHint[key.hint] = len(c.root.keys)
	c.root.keys = append(c.root.keys, &keyed{
		name: e.Name, key: key, from: k.ValidFrom, till: k.ValidUntil,
		requireLog: k.RequireLog, formats: slices.Clone(e.Formats),
	})
	return nil
}

func (c *compiler) addKeyless(e *Entry) error {
	k := e.Keyless
	policy, err := newIdentityPolicy(k)
	if err != nil {
		return err
	}
	if k.LogThreshold < 0 || (k.WithoutLog && k.LogThreshold > 0) {
		return errors.New("logThreshold needs the log and is not negative")
	}
	trustedRoot := k.TrustedRootJSON
	if len(trustedRoot) == 0 {
		trustedRoot = PublicGoodRoot()
	}
	m, err := c.material(trustedRoot)
	if err != nil {
		return fmt.Errorf("trustedRoot: %w", err)
	}
	need := requirements{
		logs: max(k.LogThreshold, 1), timestamp: k.RequireTimestamp, sct: !k.WithoutSCT,
	}
	if k.WithoutLog {
		need.logs = 0
	}
	if n := m.distinctLogs(); need.logs > n {
		return fmt.Errorf("%d logs are required and the trustedRoot names %d", need.logs, n)
	}
	if need.timestamp && len(m.TimestampingAuthorities()) == 0 {
		return errors.New("requireTimestamp is set and the trustedRoot names no timestamp authority")
	}
	entry := keylessEntry{name: e.Name, policy: policy, formats: slices.Clone(e.Formats)}
	for _, g := range c.root.groups {
		if g.material == m && g.need == need {
			g.entries = append(g.entries, entry)
			return nil
		}
	}
	c.root.groups = append(c.root.groups, &keylessGroup{material: m, need: need, entries: []keylessEntry{entry}})
	return nil
}

// digestOf hashes what was configured. Keys are hashed as text: another
// spelling of the same key is another hash, which costs a cache miss and no more.
func digestOf(entries []Entry, opts Options) string {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b Entry) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	revoked := slices.Clone(opts.Revoked)
	slices.SortFunc(revoked, func(a, b Revoked) int {
		ka := a.KeyID + "\x00" + a.Issuer + "\x00" + a.Subject + "\x00" + a.Since.UTC().String()
		kb := b.KeyID + "\x00" + b.Issuer + "\x00" + b.Subject + "\x00" + b.Since.UTC().String()
		switch {
		case ka < kb:
			return -1
		case ka > kb:
			return 1
		}
		return 0
	})
	// An entry that means the embedded root is bound to that root's bytes.
	public := sha256.Sum256(publicGood)
	data, err := json.Marshal(struct {
		Version int
		Public  string
		Entries []Entry
		Logs    []byte
		Revoked []Revoked
	}{1, hex.EncodeToString(public[:]), sorted, opts.TrustedRootJSON, revoked})
	if err != nil {
		// The types above are plain data; a year beyond 9999 is the only way here.
		data = fmt.Append(nil, sorted, opts)
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// parseCertificates reads PEM certificates and nothing else.
func parseCertificates(text []byte, most int) ([]*x509.Certificate, error) {
	if len(text) > maxAnnotation {
		return nil, fmt.Errorf("certificates: larger than %d bytes", maxAnnotation)
	}
	var certs []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf(`certificates: PEM block is %q, expected "CERTIFICATE"`, clip(block.Type))
		}
		if len(certs) == most {
			return nil, fmt.Errorf("certificates: more than %d", most)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificates: %w", err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("certificates: no PEM block")
	}
	return certs, nil
}
