package oms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/trust"
)

// outsider verifies a bundle as somebody would who has only the specification
// and the standard library: nothing of this package is called.
func outsider(raw []byte, keyPEM []byte, dir string) error {
	var b struct {
		MediaType            string
		VerificationMaterial struct{ PublicKey struct{ Hint string } }
		DsseEnvelope         struct {
			Payload     []byte
			PayloadType string
			Signatures  []struct{ Sig []byte }
		}
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return err
	}
	block, _ := pem.Decode(keyPEM)
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return err
	}
	again := sha256.Sum256(pem.EncodeToMemory(block))
	if b.MediaType != "application/vnd.dev.sigstore.bundle.v0.3+json" || b.VerificationMaterial.PublicKey.Hint != hex.EncodeToString(again[:]) {
		return errors.New("media type or hint")
	}
	env := b.DsseEnvelope
	message := fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(env.PayloadType), env.PayloadType, len(env.Payload))
	message = append(message, env.Payload...)
	s256, s384, s512 := sha256.Sum256(message), sha512.Sum384(message), sha512.Sum512(message)
	good := false
	switch key := pub.(type) {
	case *ecdsa.PublicKey:
		sum := map[int][]byte{256: s256[:], 384: s384[:], 521: s512[:]}[key.Curve.Params().BitSize]
		good = ecdsa.VerifyASN1(key, sum, env.Signatures[0].Sig)
	case ed25519.PublicKey:
		good = ed25519.Verify(key, message, env.Signatures[0].Sig)
	case *rsa.PublicKey:
		good = rsa.VerifyPKCS1v15(key, crypto.SHA256, s256[:], env.Signatures[0].Sig) == nil
	}
	if !good {
		return errors.New("signature")
	}
	var st struct {
		Type          string `json:"_type"`
		PredicateType string
		Subject       []struct {
			Name   string
			Digest struct{ Sha256 string }
		}
		Predicate struct {
			Resources     []struct{ Name, Algorithm, Digest string }
			Serialization struct {
				Method        string
				HashType      string `json:"hash_type"`
				AllowSymlinks *bool  `json:"allow_symlinks"`
			}
		}
	}
	if err := json.Unmarshal(env.Payload, &st); err != nil {
		return err
	}
	if st.Type != "https://in-toto.io/Statement/v1" || st.PredicateType != "https://model_signing/signature/v1.0" ||
		len(st.Subject) != 1 || st.Subject[0].Name != filepath.Base(dir) || st.Predicate.Serialization.AllowSymlinks == nil {
		return errors.New("statement")
	}
	var names []string
	root := sha256.New()
	for _, r := range st.Predicate.Resources {
		content, err := os.ReadFile(filepath.Join(dir, r.Name))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		if r.Algorithm != "sha256" || r.Digest != hex.EncodeToString(sum[:]) {
			return errors.New("resource " + r.Name)
		}
		root.Write(sum[:])
		names = append(names, r.Name)
	}
	if !sort.StringsAreSorted(names) || st.Subject[0].Digest.Sha256 != hex.EncodeToString(root.Sum(nil)) {
		return errors.New("root or order")
	}
	files := 0
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files++
		}
		return err
	})
	if err == nil && files != len(names) {
		err = errors.New("files that are not listed")
	}
	return err
}

func TestBundlesVerifyHereAndOutside(t *testing.T) {
	for name, key := range map[string]crypto.Signer{
		"ECDSA P-256": ecKey(t, elliptic.P256()), "ECDSA P-384": ecKey(t, elliptic.P384()), "ECDSA P-521": ecKey(t, elliptic.P521()),
		"Ed25519": edKey(t), "RSA 2048": rsaKey(t),
	} {
		t.Run(name, func(t *testing.T) {
			dir := small(t)
			h := mustHash(t, dir, Options{})
			raw := mustSign(t, h.Manifest, Signer{Key: key})
			v, err := Verify(t.Context(), raw, dir, trusting(t, key))
			if err != nil {
				t.Fatal(err)
			}
			id := must[string](t)(trust.KeyID(key.Public()))
			by := v.SignedBy
			if by.Scheme != ByKey || by.KeyID != id || len(by.TrustedBy) != 1 || by.TrustedBy[0] != "release" || by.Clock != ClockVerifier || !by.Time.Equal(now) {
				t.Errorf("signed by %+v", by)
			}
			if v.Root != h.Manifest.Root() || v.Files != 5 || v.Bytes != h.Bytes || v.Bytes == 0 {
				t.Errorf("verified %s, %d files, %d bytes", v.Root, v.Files, v.Bytes)
			}
			if err := outsider(raw, publicPEM(t, key), dir); err != nil {
				t.Errorf("an independent reader: %v", err)
			}
			if err := outsider(raw, publicPEM(t, edKey(t)), dir); err == nil {
				t.Error("the independent reader takes any key")
			}
			if again := mustSign(t, mustHash(t, dir, Options{Work: Work{Workers: 1}}).Manifest, Signer{Key: key}); !bytes.Equal(again, raw) {
				t.Error("the same model and key gave another bundle")
			}
			// As text above a key is printed by some tools.
			p := trusting(t, key)
			p.Keys[0].PEM = append([]byte("Public Key Info:\n\tKey Id: 01:02\n\n"), p.Keys[0].PEM...)
			if _, err := Verify(t.Context(), raw, dir, p); err != nil {
				t.Errorf("key with a description: %v", err)
			}
		})
	}
}

func TestTheTrustRootVerifiesModelsToo(t *testing.T) {
	dir := small(t)
	for name, c := range map[string]struct {
		key  crypto.Signer
		hash string
	}{"P-256": {ecKey(t, elliptic.P256()), ""}, "P-384": {ecKey(t, elliptic.P384()), "sha384"}, "Ed25519": {edKey(t), ""}} {
		t.Run(name, func(t *testing.T) {
			raw := mustSign(t, mustHash(t, dir, Options{}).Manifest, Signer{Key: c.key})
			entry := trust.Entry{Name: "apexlogic-model-signing-key-v1", Key: &trust.KeyEntry{PEM: publicPEM(t, c.key), HashAlgorithm: c.hash}}
			root := must[*trust.Root](t)(trust.Compile([]trust.Entry{entry}, trust.Options{}))
			v, err := Verify(t.Context(), raw, dir, Policy{Trust: root, Now: now})
			if err != nil {
				t.Fatal(err)
			}
			if v.SignedBy.TrustedBy[0] != entry.Name {
				t.Errorf("trusted by %v", v.SignedBy.TrustedBy)
			}
			id := must[string](t)(trust.KeyID(c.key.Public()))
			revoked := must[*trust.Root](t)(trust.Compile([]trust.Entry{entry}, trust.Options{Revoked: []trust.Revoked{{KeyID: id, Since: now.AddDate(0, 0, -1)}}}))
			if _, err := Verify(t.Context(), raw, dir, Policy{Trust: revoked, Now: now}); !errors.Is(err, ErrSignature) {
				t.Errorf("revoked key: %v", err)
			}
			other := must[*trust.Root](t)(trust.Compile([]trust.Entry{{Name: "other", Key: &trust.KeyEntry{PEM: publicPEM(t, edKey(t))}}}, trust.Options{}))
			if _, err := Verify(t.Context(), raw, dir, Policy{Trust: other, Now: now}); !errors.Is(err, ErrSignature) {
				t.Errorf("another key: %v", err)
			}
		})
	}
}

func TestACertificateIsJudgedAtAStatedTime(t *testing.T) {
	c, dir := newCA(t), small(t)
	key := ecKey(t, elliptic.P384())
	m := mustHash(t, dir, Options{}).Manifest
	good := mustSign(t, m, Signer{Key: key, Chain: c.leaf(t, leafTemplate(), key)})
	asAuthority := leafTemplate()
	asAuthority.IsCA = true // as the reference implementation's own test certificates are
	selfMade := newCA(t)
	for _, test := range []struct {
		name   string
		bundle []byte
		change func(*Policy)
		want   string // "": accepted
		clock  Clock
	}{
		{name: "valid now", bundle: good, clock: ClockVerifier},
		{name: "expired now", bundle: good, change: func(p *Policy) { p.Now = now.AddDate(2, 0, 0) }, want: "valid from"},
		{name: "expired now, signed while valid", bundle: good, change: func(p *Policy) { p.Now, p.At = now.AddDate(2, 0, 0), now }, clock: ClockStated},
		{name: "not valid yet", bundle: good, change: func(p *Policy) { p.Now = now.AddDate(-2, 0, 0) }, want: "valid from"},
		{name: "signer named", bundle: good, change: func(p *Policy) { p.Authorities[0].Subjects = []string{"CN=models,O=Example"} }, clock: ClockVerifier},
		{name: "signer not named", bundle: good, change: func(p *Policy) { p.Authorities[0].Subjects = []string{"CN=other,O=Example"} }, want: "does not name"},
		{name: "another authority", bundle: good, change: func(p *Policy) { p.Authorities[0].PEM = selfMade.rootPEM() }, want: "does not lead"},
		{name: "another authority's twin", bundle: good, clock: ClockVerifier, change: func(p *Policy) {
			p.Authorities = append([]Authority{{Name: "other", PEM: selfMade.rootPEM()}}, p.Authorities...)
		}},
		{name: "no authority", bundle: good, change: func(p *Policy) { p.Authorities = nil }, want: "names no authority"},
		{name: "a leaf that may issue too", bundle: mustSign(t, m, Signer{Key: key, Chain: c.leaf(t, asAuthority, key)}), clock: ClockVerifier},
		{name: "without its intermediate", bundle: mustSign(t, m, Signer{Key: key, Chain: c.leaf(t, leafTemplate(), key)[:1]}), want: "does not lead"},
		{name: "a chain for servers", bundle: withChain(t, good, c.leaf(t, serverTemplate(), key)), want: "code signing"},
		{name: "a chain for encryption", bundle: withChain(t, good, c.leaf(t, encryptionTemplate(), key)), want: "digital signatures"},
		{name: "another certificate of the authority", bundle: withChain(t, good, c.leaf(t, leafTemplate(), ecKey(t, elliptic.P384()))), want: "does not verify under the key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := Policy{Now: now, Authorities: []Authority{{Name: "models-ca", PEM: c.rootPEM()}}}
			if test.change != nil {
				test.change(&p)
			}
			v, err := Verify(t.Context(), test.bundle, dir, p)
			if test.want != "" {
				if !errors.Is(err, ErrSignature) || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("got %v, want %q", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			by := v.SignedBy
			if by.Scheme != ByCertificate || by.Clock != test.clock || by.Identity.Subject != "CN=models,O=Example" || by.TrustedBy[0] != "models-ca" {
				t.Errorf("signed by %+v", by)
			}
		})
	}
}

func serverTemplate() *x509.Certificate {
	c := leafTemplate()
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return c
}

func encryptionTemplate() *x509.Certificate {
	c := leafTemplate()
	c.KeyUsage = x509.KeyUsageKeyEncipherment
	return c
}

// withChain puts other certificates into a bundle.
func withChain(t *testing.T, raw []byte, chain []*x509.Certificate) []byte {
	b := decode(t, raw)
	var list []any
	for _, c := range chain {
		list = append(list, node{"rawBytes": base64.StdEncoding.EncodeToString(c.Raw)})
	}
	b["verificationMaterial"] = node{"x509CertificateChain": node{"certificates": list}}
	return encode(t, b)
}

// broken signs something else.
type broken struct{ crypto.Signer }

func (b broken) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	digest = bytes.Clone(digest)
	digest[0] ^= 1
	return b.Signer.Sign(r, digest, o)
}

func TestWhatMustNotBeSigned(t *testing.T) {
	key := ecKey(t, elliptic.P256())
	c := newCA(t)
	good := func() *Manifest { return mustHash(t, small(t), Options{}).Manifest }
	mustSign(t, good(), Signer{Key: key}) // the twin of all of these
	for _, test := range []struct {
		name string
		m    func(*Manifest)
		s    Signer
		want string
	}{
		{"nothing", func(m *Manifest) { m.Resources = nil }, Signer{Key: key}, "no file"},
		{"out of order", func(m *Manifest) { m.Resources[0], m.Resources[1] = m.Resources[1], m.Resources[0] }, Signer{Key: key}, "sorted"},
		{"in the order of the reference implementation", func(m *Manifest) {
			r := m.Resources
			sort.Slice(r, func(i, j int) bool { return byParts(r[i].Name, r[j].Name) < 0 })
		}, Signer{Key: key}, "sorted"},
		{"a path that leads out", func(m *Manifest) { m.Resources[0].Name = "../config.json" }, Signer{Key: key}, "clean path"},
		{"a short digest", func(m *Manifest) { m.Resources[0].Digest = "00" }, Signer{Key: key}, "has 1 bytes"},
		{"by a weak key", nil, Signer{Key: ecKey(t, elliptic.P224())}, "curve"},
		{"by no key", nil, Signer{}, "no key"},
		{"by a signer that errs", nil, Signer{Key: broken{key}}, "does not verify"},
		{"with another's certificate", nil, Signer{Key: key, Chain: c.leaf(t, leafTemplate(), edKey(t))}, "not the key's"},
		{"with a certificate for servers", nil, Signer{Key: key, Chain: c.leaf(t, serverTemplate(), key)}, "code signing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := good()
			if test.m != nil {
				test.m(m)
			}
			if _, err := Sign(m, test.s); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
		})
	}
}
