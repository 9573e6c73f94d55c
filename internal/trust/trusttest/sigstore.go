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
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	ct "github.com/google/certificate-transparency-go"
	cttls "github.com/google/certificate-transparency-go/tls"
	ctx509 "github.com/google/certificate-transparency-go/x509"
)

// Sigstore is a sigstore deployment: a certificate authority, a transparency
// log, a certificate transparency log and a timestamp authority. Its CA and
// TSA use P-384 as the public good instance does, so that benchmarks mean
// something.
type Sigstore struct {
	t     testing.TB
	now   time.Time
	label string // of fixed keys; "" for random ones
	made  int    // how many keys were made

	RootCert, Intermediate *x509.Certificate
	rootKey, midKey        *ecdsa.PrivateKey
	Log, OtherLog          *RekorLog
	ctKey                  *ecdsa.PrivateKey
	TSA, OtherTSA          *TimestampAuthority
}

// NewSigstore makes a deployment whose certificates are valid around now.
func NewSigstore(t testing.TB, now time.Time) *Sigstore {
	t.Helper()
	return newSigstore(&Sigstore{t: t, now: now})
}

// NewFixedSigstore is NewSigstore with keys that are the same in every process,
// for the seeds of fuzz targets.
func NewFixedSigstore(t testing.TB, now time.Time, label string) *Sigstore {
	t.Helper()
	return newSigstore(&Sigstore{t: t, now: now, label: label})
}

func newSigstore(s *Sigstore) *Sigstore {
	s.t.Helper()
	now := s.now
	s.rootKey, s.midKey, s.ctKey = s.key(elliptic.P384()), s.key(elliptic.P384()), s.key(elliptic.P256())
	s.RootCert = s.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "test fulcio root"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(9, 0, 0),
	}, nil, s.rootKey.Public(), s.rootKey)
	s.Intermediate = s.intermediate(now.AddDate(-1, 0, 0), now.AddDate(5, 0, 0))
	s.Log = &RekorLog{s.t, "https://rekor.test", s.key(elliptic.P256())}
	s.OtherLog = &RekorLog{s.t, "https://other-rekor.test", s.key(elliptic.P256())}
	s.TSA = s.newTSA("https://tsa.test")
	s.OtherTSA = s.newTSA("https://other-tsa.test")
	return s
}

func (s *Sigstore) intermediate(from, till time.Time) *x509.Certificate {
	return s.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "test fulcio intermediate"}, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		NotBefore: from, NotAfter: till,
	}, s.RootCert, s.midKey.Public(), s.rootKey)
}

// ExpireIntermediate replaces the intermediate by one that ended at till.
func (s *Sigstore) ExpireIntermediate(till time.Time) {
	s.Intermediate = s.intermediate(till.AddDate(-1, 0, 0), till)
}

// Certify describes a leaf certificate. The zero value, completed with an
// identity, is a good one: valid for ten minutes from the deployment's time.
type Certify struct {
	Subject, Issuer string
	NotBefore       time.Time        // default: the deployment's time
	NotAfter        time.Time        // default: ten minutes later
	Usage           x509.ExtKeyUsage // default: code signing
	WithoutSCT      bool
	ForeignSCT      bool              // a timestamp of a log that the root does not name
	Extensions      map[int]string    // Fulcio OID suffix → UTF8String
	Key             *ecdsa.PrivateKey // default: new
}

// Leaf is a certificate with its key.
type Leaf struct {
	*x509.Certificate
	Key *ecdsa.PrivateKey
}

// PEM is the certificate for an annotation.
func (l Leaf) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.Raw}))
}

var (
	oidFulcio = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1}
	oidSCT    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
)

// Certify issues a leaf certificate.
func (s *Sigstore) Certify(c Certify) Leaf {
	s.t.Helper()
	if c.NotBefore.IsZero() {
		c.NotBefore = s.now
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = c.NotBefore.Add(10 * time.Minute)
	}
	if c.Usage == 0 {
		c.Usage = x509.ExtKeyUsageCodeSigning
	}
	if c.Key == nil {
		c.Key = s.key(elliptic.P256())
	}
	tmpl := &x509.Certificate{
		SerialNumber: s.serial(), EmailAddresses: []string{c.Subject},
		NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{c.Usage},
		ExtraExtensions: []pkix.Extension{{Id: append(oidFulcio[:8:8], 1), Value: []byte(c.Issuer)}},
	}
	for suffix, text := range c.Extensions {
		value, err := asn1.MarshalWithParams(text, "utf8")
		s.must(err)
		tmpl.ExtraExtensions = append(tmpl.ExtraExtensions, pkix.Extension{Id: append(oidFulcio[:8:8], suffix), Value: value})
	}
	if !c.WithoutSCT {
		key := s.ctKey
		if c.ForeignSCT {
			key = s.key(elliptic.P256())
		}
		// RFC 6962 §3.2: the log signs the certificate as it is without the
		// extension that will hold its timestamp.
		pre := s.issue(tmpl, s.Intermediate, c.Key.Public(), s.midKey)
		tmpl.ExtraExtensions = append(tmpl.ExtraExtensions, s.sct(pre, key))
	}
	return Leaf{s.issue(tmpl, s.Intermediate, c.Key.Public(), s.midKey), c.Key}
}

func (s *Sigstore) sct(pre *x509.Certificate, key *ecdsa.PrivateKey) pkix.Extension {
	s.t.Helper()
	sct := ct.SignedCertificateTimestamp{
		SCTVersion: ct.V1, LogID: ct.LogID{KeyID: sha256.Sum256(s.spki(key))}, Timestamp: uint64(s.now.UnixMilli()),
	}
	chain := make([]*ctx509.Certificate, 2)
	var err error
	for i, raw := range [][]byte{pre.Raw, s.Intermediate.Raw} {
		chain[i], err = ctx509.ParseCertificate(raw)
		s.must(err)
	}
	leaf := ct.MerkleTreeLeaf{
		Version: ct.V1, LeafType: ct.TimestampedEntryLeafType,
		TimestampedEntry: &ct.TimestampedEntry{
			Timestamp: sct.Timestamp, EntryType: ct.PrecertLogEntryType,
			PrecertEntry: &ct.PreCert{
				IssuerKeyHash:  sha256.Sum256(s.Intermediate.RawSubjectPublicKeyInfo),
				TBSCertificate: chain[0].RawTBSCertificate,
			},
		},
	}
	input, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: leaf})
	s.must(err)
	sum := sha256.Sum256(input)
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	s.must(err)
	sct.Signature = ct.DigitallySigned{
		Algorithm: cttls.SignatureAndHashAlgorithm{Hash: cttls.SHA256, Signature: cttls.ECDSA}, Signature: sig,
	}
	one, err := cttls.Marshal(sct)
	s.must(err)
	list, err := cttls.Marshal(ctx509.SignedCertificateTimestampList{SCTList: []ctx509.SerializedSCT{{Val: one}}})
	s.must(err)
	value, err := asn1.Marshal(list)
	s.must(err)
	return pkix.Extension{Id: oidSCT, Value: value}
}

// TrustedRoot is the deployment's trusted_root.json. with chooses what it
// names; nil means the log, the CT log and the timestamp authority.
func (s *Sigstore) TrustedRoot(with *TrustedRootParts) []byte {
	s.t.Helper()
	if with == nil {
		with = &TrustedRootParts{Logs: []*RekorLog{s.Log}, TSAs: []*TimestampAuthority{s.TSA}}
	}
	since := map[string]any{"start": s.now.AddDate(-1, 0, 0).UTC().Format(time.RFC3339)}
	log := func(url string, key *ecdsa.PrivateKey) map[string]any {
		spki := s.spki(key)
		id := sha256.Sum256(spki)
		return map[string]any{
			"baseUrl": url, "hashAlgorithm": "SHA2_256", "logId": map[string]any{"keyId": id[:]},
			"publicKey": map[string]any{"rawBytes": spki, "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": since},
		}
	}
	chain := func(url string, certs ...*x509.Certificate) map[string]any {
		var raw []any
		for _, c := range certs {
			raw = append(raw, map[string]any{"rawBytes": c.Raw})
		}
		return map[string]any{"uri": url, "certChain": map[string]any{"certificates": raw}, "validFor": since}
	}
	var logs, tsas []any
	for _, l := range with.Logs {
		logs = append(logs, log(l.URL, l.key))
	}
	for _, a := range with.TSAs {
		tsas = append(tsas, chain(a.URL, a.Leaf, a.Intermediate, a.Root))
	}
	return s.json(map[string]any{
		"mediaType":              "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		"tlogs":                  logs,
		"certificateAuthorities": []any{chain("https://fulcio.test", s.Intermediate, s.RootCert)},
		"ctlogs":                 []any{log("https://ct.test", s.ctKey)},
		"timestampAuthorities":   tsas,
	})
}

// TrustedRootParts chooses the logs and timestamp authorities of a trusted root.
type TrustedRootParts struct {
	Logs []*RekorLog
	TSAs []*TimestampAuthority
}

func (s *Sigstore) issue(tmpl, parent *x509.Certificate, pub crypto.PublicKey, signer *ecdsa.PrivateKey) *x509.Certificate {
	s.t.Helper()
	if tmpl.SerialNumber == nil {
		tmpl.SerialNumber = s.serial()
	}
	if parent == nil {
		parent = tmpl
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, signer)
	s.must(err)
	cert, err := x509.ParseCertificate(der)
	s.must(err)
	return cert
}

func (s *Sigstore) serial() *big.Int {
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	s.must(err)
	return n
}

func (s *Sigstore) key(c elliptic.Curve) *ecdsa.PrivateKey {
	s.made++
	if s.label != "" {
		return fixedKey(s.t, c, s.label, s.made)
	}
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	s.must(err)
	return key
}

func (s *Sigstore) spki(key *ecdsa.PrivateKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	s.must(err)
	return der
}

func (s *Sigstore) json(v any) []byte {
	data, err := json.Marshal(v)
	s.must(err)
	return data
}

func (s *Sigstore) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// RekorLog is a transparency log with one entry per call.
type RekorLog struct {
	t   testing.TB
	URL string
	key *ecdsa.PrivateKey
}

// LogEntry is an entry with the log's promise and an inclusion proof.
type LogEntry struct {
	Index, IntegratedTime int64
	LogID, Body, SET      []byte
	Kind, Version         string
	Checkpoint            string
	Root                  []byte
}

// EntryDSSE logs a DSSE envelope with one signature, kind dsse v0.0.1.
func (l *RekorLog) EntryDSSE(payload, sig []byte, verifierPEM string, at time.Time, index int64) LogEntry {
	sum := sha256.Sum256(payload)
	hash := map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}
	return l.entry("dsse", map[string]any{
		"envelopeHash": hash, "payloadHash": hash,
		"signatures": []any{map[string]any{"signature": base64.StdEncoding.EncodeToString(sig), "verifier": []byte(verifierPEM)}},
	}, at, index)
}

// EntryHashed logs a signature over a message, kind hashedrekord v0.0.1.
func (l *RekorLog) EntryHashed(message, sig []byte, verifierPEM string, at time.Time, index int64) LogEntry {
	sum := sha256.Sum256(message)
	return l.entry("hashedrekord", map[string]any{
		"data":      map[string]any{"hash": map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}},
		"signature": map[string]any{"content": sig, "publicKey": map[string]any{"content": []byte(verifierPEM)}},
	}, at, index)
}

func (l *RekorLog) entry(kind string, spec any, at time.Time, index int64) LogEntry {
	l.t.Helper()
	must := func(err error) {
		if err != nil {
			l.t.Fatal(err)
		}
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "0.0.1", "kind": kind, "spec": spec})
	must(err)
	der, err := x509.MarshalPKIXPublicKey(l.key.Public())
	must(err)
	id := sha256.Sum256(der)
	e := LogEntry{Index: index, IntegratedTime: at.Unix(), LogID: id[:], Body: body, Kind: kind, Version: "0.0.1"}
	// Go writes map keys sorted, which is the canonical form for these values.
	promise, err := json.Marshal(map[string]any{
		"body": body, "integratedTime": e.IntegratedTime, "logIndex": index, "logID": hex.EncodeToString(id[:]),
	})
	must(err)
	sum := sha256.Sum256(promise)
	e.SET, err = ecdsa.SignASN1(rand.Reader, l.key, sum[:])
	must(err)
	// A tree of one leaf: its hash is the root (RFC 6962 §2.1).
	leaf := sha256.Sum256(append([]byte{0}, body...))
	e.Root = leaf[:]
	text := "rekor.test - 1234567890\n1\n" + base64.StdEncoding.EncodeToString(leaf[:]) + "\n"
	noted := sha256.Sum256([]byte(text))
	sig, err := ecdsa.SignASN1(rand.Reader, l.key, noted[:])
	must(err)
	e.Checkpoint = text + "\n— rekor.test " + base64.StdEncoding.EncodeToString(append(bytes.Clone(id[:4]), sig...)) + "\n"
	return e
}

// bundleJSON is the entry as bundles hold it.
func (e LogEntry) bundleJSON() map[string]any {
	return map[string]any{
		"logIndex": e.Index, "logId": map[string]any{"keyId": e.LogID},
		"kindVersion": map[string]any{"kind": e.Kind, "version": e.Version}, "integratedTime": e.IntegratedTime,
		"inclusionPromise": map[string]any{"signedEntryTimestamp": e.SET},
		"inclusionProof": map[string]any{
			"logIndex": 0, "rootHash": e.Root, "treeSize": 1, "hashes": []any{},
			"checkpoint": map[string]any{"envelope": e.Checkpoint},
		},
		"canonicalizedBody": e.Body,
	}
}

// Annotation is the entry as cosign's older format holds it.
func (e LogEntry) Annotation() string {
	data, _ := json.Marshal(map[string]any{
		"SignedEntryTimestamp": e.SET,
		"Payload": map[string]any{
			"body": e.Body, "integratedTime": e.IntegratedTime, "logIndex": e.Index, "logID": hex.EncodeToString(e.LogID),
		},
	})
	return string(data)
}
