package trusttest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/apexlogic/apex/verdict"
)

// TimestampAuthority is an RFC 3161 authority with a P-384 chain.
type TimestampAuthority struct {
	s                        *Sigstore
	URL                      string
	Root, Intermediate, Leaf *x509.Certificate
	key                      *ecdsa.PrivateKey
}

func (s *Sigstore) newTSA(url string) *TimestampAuthority {
	a := &TimestampAuthority{s: s, URL: url, key: s.key(elliptic.P384())}
	rootKey, midKey := s.key(elliptic.P384()), s.key(elliptic.P384())
	from, till := s.now.AddDate(-1, 0, 0), s.now.AddDate(9, 0, 0)
	ca := func(name string) *x509.Certificate {
		return &x509.Certificate{
			Subject: pkix.Name{CommonName: name + " " + url}, IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign, NotBefore: from, NotAfter: till,
		}
	}
	a.Root = s.issue(ca("tsa root"), nil, rootKey.Public(), rootKey)
	a.Intermediate = s.issue(ca("tsa intermediate"), a.Root, midKey.Public(), rootKey)
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	s.must(err)
	a.Leaf = s.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "tsa " + url}, NotBefore: from, NotAfter: till,
		KeyUsage:        x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}, a.Intermediate, a.key.Public(), midKey)
	return a
}

// Stamp says that the signature existed at this time: a whole RFC 3161 response.
func (a *TimestampAuthority) Stamp(sig []byte, at time.Time) []byte {
	a.s.t.Helper()
	sum := sha256.Sum256(sig)
	ts := timestamp.Timestamp{
		HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Time: at, SerialNumber: a.s.serial(),
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}, AddTSACertificate: true,
	}
	out, err := ts.CreateResponseWithOpts(a.Leaf, a.key, crypto.SHA384)
	a.s.must(err)
	return out
}

// Statement is an in-toto statement v1 about a digest; name may be empty.
func Statement(name string, subject verdict.Digest, predicateType string, predicate any) []byte {
	resource := map[string]any{"digest": map[string]any{"sha256": subject.Hex()}}
	if name != "" {
		resource["name"] = name
	}
	data, _ := json.Marshal(map[string]any{
		"_type": "https://in-toto.io/Statement/v1", "subject": []any{resource},
		"predicateType": predicateType, "predicate": predicate,
	})
	return data
}

// Keyless describes a keyless bundle over a statement. The zero value is a good
// one: logged and timestamped one minute into the certificate's life.
type Keyless struct {
	Leaf        Leaf
	Payload     []byte
	PayloadType string    // default: in-toto
	LoggedAt    time.Time // default: a minute after NotBefore
	StampedAt   time.Time // same
	Logs        []*RekorLog
	TSAs        []*TimestampAuthority
	WithoutLog  bool
	WithoutTSA  bool
	// Edit changes the bundle's JSON before it is written.
	Edit func(bundle map[string]any)
	// EditEntry changes log entries before they are packed.
	EditEntry func(i int, e *LogEntry)
	// LogPayload is what the log entry is about; default: Payload.
	LogPayload []byte
	// ExtraSignatures are added behind the good one.
	ExtraSignatures [][]byte
	Version         string // "v0.3" by default, or "v0.1", "v0.2"
}

// Bundle packs a keyless bundle.
func (s *Sigstore) Bundle(k Keyless) []byte {
	s.t.Helper()
	if k.PayloadType == "" {
		k.PayloadType = "application/vnd.in-toto+json"
	}
	signedAt := k.Leaf.NotBefore.Add(time.Minute)
	if k.LoggedAt.IsZero() {
		k.LoggedAt = signedAt
	}
	if k.StampedAt.IsZero() {
		k.StampedAt = signedAt
	}
	if k.Logs == nil {
		k.Logs = []*RekorLog{s.Log}
	}
	if k.TSAs == nil {
		k.TSAs = []*TimestampAuthority{s.TSA}
	}
	if k.LogPayload == nil {
		k.LogPayload = k.Payload
	}
	sig := s.sign(k.Leaf.Key, dsse.PAE(k.PayloadType, k.Payload))
	material := map[string]any{"certificate": map[string]any{"rawBytes": k.Leaf.Raw}}
	mediaType := "application/vnd.dev.sigstore.bundle.v0.3+json"
	if k.Version != "" && k.Version != "v0.3" {
		mediaType = "application/vnd.dev.sigstore.bundle+json;version=" + k.Version[1:]
		material = map[string]any{"x509CertificateChain": map[string]any{"certificates": []any{
			map[string]any{"rawBytes": k.Leaf.Raw}, map[string]any{"rawBytes": s.Intermediate.Raw},
		}}}
	}
	if !k.WithoutLog {
		var entries []any
		for i, l := range k.Logs {
			e := l.EntryDSSE(k.LogPayload, sig, k.Leaf.PEM(), k.LoggedAt, int64(100+i))
			if k.EditEntry != nil {
				k.EditEntry(i, &e)
			}
			entries = append(entries, e.bundleJSON())
		}
		material["tlogEntries"] = entries
	}
	if !k.WithoutTSA {
		var stamps []any
		for _, a := range k.TSAs {
			stamps = append(stamps, map[string]any{"signedTimestamp": a.Stamp(sig, k.StampedAt)})
		}
		material["timestampVerificationData"] = map[string]any{"rfc3161Timestamps": stamps}
	}
	sigs := []any{map[string]any{"sig": sig}}
	for _, extra := range k.ExtraSignatures {
		sigs = append(sigs, map[string]any{"sig": extra})
	}
	bundle := map[string]any{
		"mediaType": mediaType, "verificationMaterial": material,
		"dsseEnvelope": map[string]any{"payload": k.Payload, "payloadType": k.PayloadType, "signatures": sigs},
	}
	if k.Edit != nil {
		k.Edit(bundle)
	}
	return s.json(bundle)
}

// BundleMessage packs a keyless message-signature bundle over an artifact.
func (s *Sigstore) BundleMessage(leaf Leaf, artifact []byte) []byte {
	s.t.Helper()
	sig, sum, at := s.sign(leaf.Key, artifact), sha256.Sum256(artifact), leaf.NotBefore.Add(time.Minute)
	return s.json(map[string]any{
		"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": map[string]any{
			"certificate":               map[string]any{"rawBytes": leaf.Raw},
			"tlogEntries":               []any{s.Log.EntryHashed(artifact, sig, leaf.PEM(), at, 7).bundleJSON()},
			"timestampVerificationData": map[string]any{"rfc3161Timestamps": []any{map[string]any{"signedTimestamp": s.TSA.Stamp(sig, at)}}},
		},
		"messageSignature": map[string]any{
			"messageDigest": map[string]any{"algorithm": "SHA2_256", "digest": sum[:]}, "signature": sig,
		},
	})
}

// BundleLoggedKey takes a bundle that is signed by a bare key and adds a log
// entry and a timestamp at the given times; a zero time leaves the one out.
func (s *Sigstore) BundleLoggedKey(key Key, bundle []byte, loggedAt, stampedAt time.Time) []byte {
	s.t.Helper()
	var b map[string]any
	s.must(json.Unmarshal(bundle, &b))
	var env struct {
		DSSEEnvelope struct {
			Payload    []byte
			Signatures []struct{ Sig []byte }
		}
	}
	s.must(json.Unmarshal(bundle, &env))
	sig := env.DSSEEnvelope.Signatures[0].Sig
	material := b["verificationMaterial"].(map[string]any)
	if !loggedAt.IsZero() {
		material["tlogEntries"] = []any{s.Log.EntryDSSE(env.DSSEEnvelope.Payload, sig, string(key.PEM), loggedAt, 5).bundleJSON()}
	}
	if !stampedAt.IsZero() {
		material["timestampVerificationData"] = map[string]any{"rfc3161Timestamps": []any{map[string]any{"signedTimestamp": s.TSA.Stamp(sig, stampedAt)}}}
	}
	return s.json(b)
}

// Legacy makes a keyless signature in cosign's older format: the payload and
// the layer's annotations, logged and timestamped a minute into the
// certificate's life.
func (s *Sigstore) Legacy(leaf Leaf, repo string, subject verdict.Digest) (payload []byte, annotations map[string]string) {
	s.t.Helper()
	payload = SimpleSigning(repo, subject)
	sig, at := s.sign(leaf.Key, payload), leaf.NotBefore.Add(time.Minute)
	return payload, map[string]string{
		"dev.cosignproject.cosign/signature":   string(bytes.Trim(s.json(sig), `"`)),
		"dev.sigstore.cosign/certificate":      leaf.PEM(),
		"dev.sigstore.cosign/chain":            Leaf{Certificate: s.Intermediate}.PEM() + Leaf{Certificate: s.RootCert}.PEM(),
		"dev.sigstore.cosign/bundle":           s.Log.EntryHashed(payload, sig, leaf.PEM(), at, 9).Annotation(),
		"dev.sigstore.cosign/rfc3161timestamp": string(s.json(map[string]any{"SignedRFC3161Timestamp": s.TSA.Stamp(sig, at)})),
	}
}

// SimpleSigning is a payload of cosign's older format, as cosign writes it.
func SimpleSigning(repo string, subject verdict.Digest) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, repo, subject)
}

func (s *Sigstore) sign(key *ecdsa.PrivateKey, message []byte) []byte {
	sum := sha256.Sum256(message)
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	s.must(err)
	return sig
}

// Sign signs a message with SHA-256 and the leaf's key.
func (s *Sigstore) Sign(leaf Leaf, message []byte) []byte { return s.sign(leaf.Key, message) }
