package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

const (
	// MaxKeys is how many keys an issuer may publish; the largest of the public
	// issuers publish about ten.
	MaxKeys = 64
	// minRSA and maxRSA are the sizes of an RSA modulus in bits (RFC 7518
	// section 3.3; a larger one costs each verification more).
	minRSA, maxRSA = 2048, 4096
)

var setRules = bounded.Rules{Depth: 8, Values: 1 << 14, Keys: 1 << 12}

// family of keys that an algorithm is used with.
type family uint8

const (
	onRSA family = iota + 1
	onP256
	onP384
	onP521
	onEd25519
)

// algorithms are those that may sign a token. Symmetric ones are not among them:
// who can verify could then also sign.
var algorithms = map[string]family{
	"ES256": onP256, "ES384": onP384, "ES512": onP521,
	"RS256": onRSA, "RS384": onRSA, "RS512": onRSA,
	"PS256": onRSA, "PS384": onRSA, "PS512": onRSA,
	"EdDSA": onEd25519,
}

// Algorithms returns the names of those that may sign a token, sorted.
func Algorithms() []string {
	names := make([]string, 0, len(algorithms))
	for name := range algorithms {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

type key struct {
	public crypto.PublicKey
	family family
	only   string // the one algorithm that the issuer uses it with; "" for any of its family
	id     [sha256.Size]byte
}

// Keys are the public keys of one issuer, by their ids. They are immutable.
type Keys struct{ byID map[string]key }

// Len is how many keys there are.
func (k *Keys) Len() int { return len(k.byID) }

// Has reports whether there is a key with that id.
func (k *Keys) Has(id string) bool { _, ok := k.byID[id]; return ok }

// Holds reports whether one of the keys has that SHA-256, as in Token.SignedBy.
func (k *Keys) Holds(hash [sha256.Size]byte) bool {
	for _, one := range k.byID {
		if one.id == hash {
			return true
		}
	}
	return false
}

// ParseKeys reads a JWK set (RFC 7517). Keys that cannot verify a token here are
// left out, as the RFC wants: other kinds, other uses, without an id, too small;
// so is an id that two keys have, since either could be meant. A set that holds
// private or symmetric keys is refused whole: its issuer has lost them.
func ParseKeys(data []byte) (*Keys, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := setRules.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("the key set is not strict JSON: %w", err)
	}
	if len(set.Keys) > MaxKeys {
		return nil, fmt.Errorf("the key set has %d keys, and at most %d are read", len(set.Keys), MaxKeys)
	}
	k, twice := &Keys{byID: map[string]key{}}, map[string]bool{}
	for i, raw := range set.Keys {
		var about struct {
			Kty string          `json:"kty"`
			Use string          `json:"use"`
			Ops []string        `json:"key_ops"`
			D   json.RawMessage `json:"d"`
			K   json.RawMessage `json:"k"`
		}
		if err := json.Unmarshal(raw, &about); err != nil {
			return nil, fmt.Errorf("key %d of the set is not a JSON Web Key", i+1)
		}
		if about.D != nil || about.K != nil || about.Kty == "oct" {
			return nil, fmt.Errorf("key %d of the set is private or symmetric: the issuer must replace it", i+1)
		}
		// SPIFFE names its own use (SPIFFE Trust Domain and Bundle section 4.2.2).
		if about.Use != "" && about.Use != "sig" && about.Use != "jwt-svid" || about.Ops != nil && !slices.Contains(about.Ops, "verify") {
			continue
		}
		var parsed jose.JSONWebKey
		if parsed.UnmarshalJSON(raw) != nil || parsed.KeyID == "" || len(parsed.KeyID) > maxKeyID {
			continue
		}
		one, err := newKey(parsed.Key, parsed.Algorithm)
		if err != nil {
			continue
		}
		if _, known := k.byID[parsed.KeyID]; known {
			twice[parsed.KeyID] = true
		}
		k.byID[parsed.KeyID] = one
	}
	for id := range twice {
		delete(k.byID, id)
	}
	return k, nil
}

// NewKeys returns the keys of a map from ids, for trust that comes in another
// form than a JWK set. Keys of other kinds are an error.
func NewKeys(byID map[string]crypto.PublicKey) (*Keys, error) {
	k := &Keys{byID: make(map[string]key, len(byID))}
	for id, public := range byID {
		one, err := newKey(public, "")
		if err != nil {
			return nil, err
		}
		k.byID[id] = one
	}
	return k, nil
}

func newKey(public crypto.PublicKey, only string) (key, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return key{}, errors.New("the key is of no kind that signs tokens")
	}
	k := key{public: public, only: only, id: sha256.Sum256(der)}
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		switch p.Curve {
		case elliptic.P256():
			k.family = onP256
		case elliptic.P384():
			k.family = onP384
		case elliptic.P521():
			k.family = onP521
		}
		if _, err := p.ECDH(); err != nil { // refuses a point that is not on the curve
			return key{}, errors.New("the key is not a point of its curve")
		}
	case *rsa.PublicKey:
		if bits := p.N.BitLen(); bits < minRSA || bits > maxRSA || p.E < 3 || p.E%2 == 0 {
			return key{}, fmt.Errorf("the RSA key has not %d to %d bits, or a wrong exponent", minRSA, maxRSA)
		}
		if isROCA(p.N) {
			return key{}, errors.New("the RSA key was made by a library whose keys can be broken (CVE-2017-15361)")
		}
		k.family = onRSA
	case ed25519.PublicKey:
		if len(p) == ed25519.PublicKeySize {
			k.family = onEd25519
		}
	}
	if k.family == 0 {
		return key{}, errors.New("the key is of no kind that signs tokens")
	}
	if only != "" && algorithms[only] != k.family {
		return key{}, errors.New("the key is for an algorithm that signs no tokens")
	}
	return k, nil
}

// ErrNoKey says that no key has the id that a token names: it may be a new one,
// which is to be fetched.
var ErrNoKey = identity.Refuse(verdict.IdentitySignature, "the token names a key that its issuer does not publish")

// Verify checks the token's signature with the key that it names. The key says
// which algorithms may be used with it; the token only chooses among those.
// SignedBy of the token is set when it holds.
func (k *Keys) Verify(t *Token) error {
	key, ok := k.byID[t.KeyID]
	if !ok {
		return ErrNoKey
	}
	if algorithms[t.Algorithm] != key.family || key.only != "" && key.only != t.Algorithm {
		return identity.Refuse(verdict.IdentitySignature, "the token's algorithm is not the one of the key that it names")
	}
	if !verify(key.public, t.Algorithm, t.signed(), t.signature) {
		return identity.Refuse(verdict.IdentitySignature, "the token's signature is not by the key that it names")
	}
	t.SignedBy = key.id
	return nil
}
