package trust

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	tsaverify "github.com/sigstore/timestamp-authority/v2/pkg/verification"

	"github.com/apexlogic/apex/internal/bounded"
)

// maxTrustedRoot is far above the public good root's 10 kB.
const maxTrustedRoot = 4 << 20

// material is one compiled trusted_root.json. It embeds sigstore-go's view of
// it and replaces the timestamp authorities by ones that remember their chain.
type material struct {
	*root.TrustedRoot
	authorities []*authority
	stampers    []root.TimestampingAuthority
	chains      *chainCache
}

func newMaterial(trustedRoot []byte) (*material, error) {
	if len(trustedRoot) > maxTrustedRoot {
		return nil, fmt.Errorf("%w of %d bytes", bounded.ErrTooLarge, maxTrustedRoot)
	}
	if err := bounded.CheckJSON(trustedRoot, maxDepth); err != nil {
		return nil, err
	}
	tr, err := root.NewTrustedRootFromJSON(trustedRoot)
	if err != nil {
		return nil, err
	}
	m := &material{TrustedRoot: tr, chains: newChainCache()}
	for _, ca := range tr.FulcioCertificateAuthorities() {
		fulcio, ok := ca.(*root.FulcioCertificateAuthority)
		if !ok || fulcio.Root == nil {
			return nil, errors.New("a certificate authority has no root certificate")
		}
		m.authorities = append(m.authorities, newAuthority(fulcio))
	}
	for _, tsa := range tr.TimestampingAuthorities() {
		stamper, ok := tsa.(*root.SigstoreTimestampingAuthority)
		if !ok {
			return nil, errors.New("a timestamp authority has no certificates")
		}
		m.stampers = append(m.stampers, newTimestampAuthority(stamper))
	}
	return m, nil
}

// TimestampingAuthorities returns the authorities that remember their chains.
func (m *material) TimestampingAuthorities() []root.TimestampingAuthority { return m.stampers }

// distinctLogs counts the logs by operator address: two keys of one log are
// one witness, not two.
func (m *material) distinctLogs() int {
	names := map[string]bool{}
	for id, l := range m.RekorLogs() {
		names[logName(id, l)] = true
	}
	return len(names)
}

func logName(id string, l *root.TransparencyLog) string {
	if l.BaseURL != "" {
		return l.BaseURL
	}
	return id
}

var _ root.TrustedMaterial = (*material)(nil)

// oneLog narrows trusted material to a single log, so that a successful
// verification says which log it was.
type oneLog struct {
	root.TrustedMaterial
	id  string
	log *root.TransparencyLog
}

func (o oneLog) RekorLogs() map[string]*root.TransparencyLog {
	return map[string]*root.TransparencyLog{o.id: o.log}
}

// observation is what logs and timestamp authorities prove about a signature.
type observation struct {
	logs   []string
	stamps []string
	times  []time.Time
	// logErr says why a log entry that is there was not counted, stampErr the
	// same for timestamps; nil when all that is there counts or nothing is.
	logErr, stampErr error
}

// earliest is the first moment at which the signature is proved to have
// existed; zero when nothing trusted says so.
func (o *observation) earliest() time.Time {
	var t time.Time
	for _, at := range o.times {
		if t.IsZero() || at.Before(t) {
			t = at
		}
	}
	return t
}

// observe verifies log entries and timestamps. tm is m, or m with a key added.
func (m *material) observe(e *entity, tm root.TrustedMaterial) observation {
	o := observation{logErr: e.entryErr}
	if len(e.entries) > 0 {
		o.logErr = guarded("log entry", func() error { return m.observeLogs(e, tm, &o) })
		if o.logErr != nil {
			// As in sigstore-go, one bad entry of a known log spoils the others.
			o.logs, o.times = nil, nil
		}
	}
	if len(e.stamps) > 0 {
		o.stampErr = guarded("timestamp", func() error { return observeStamps(e, tm, &o) })
	}
	return o
}

func (m *material) observeLogs(e *entity, tm root.TrustedMaterial, o *observation) error {
	seen := map[string]bool{}
	names := map[string]bool{}
	for _, entry := range e.entries {
		id := hex.EncodeToString([]byte(entry.LogKeyID()))
		l, known := m.RekorLogs()[id]
		if !known || seen[id] {
			continue
		}
		seen[id] = true
		times, err := verify.VerifyTlogEntry(e, oneLog{tm, id, l}, 1, true)
		if err != nil {
			return err
		}
		if name := logName(id, l); !names[name] {
			names[name] = true
			o.logs = append(o.logs, name)
		}
		for _, t := range times {
			o.times = append(o.times, t.Time.UTC())
		}
	}
	if len(o.logs) == 0 {
		return errors.New("the log entry is of a log that the trusted root does not name")
	}
	return nil
}

func observeStamps(e *entity, tm root.TrustedMaterial, o *observation) error {
	stamps, failed, err := verify.VerifySignedTimestamp(e, tm)
	if err != nil {
		return err
	}
	for _, s := range stamps {
		o.stamps = append(o.stamps, s.URI)
		o.times = append(o.times, s.Time.UTC())
	}
	if len(stamps) == 0 {
		return errors.Join(failed...)
	}
	return nil
}

// entity is the evidence beside one signature, in the shape that sigstore-go
// verifies. Everything in it was parsed once.
type entity struct {
	verify.BaseSignedEntity
	content verify.VerificationContent
	sig     verify.SignatureContent
	entries []*tlog.Entry
	stamps  [][]byte
	// entryErr is why a log entry that is there could not be read.
	entryErr error
}

func (e *entity) VerificationContent() (verify.VerificationContent, error) { return e.content, nil }
func (e *entity) SignatureContent() (verify.SignatureContent, error)       { return e.sig, nil }
func (e *entity) Timestamps() ([][]byte, error)                            { return e.stamps, nil }
func (e *entity) TlogEntries() ([]*tlog.Entry, error)                      { return e.entries, nil }

// keyContent is the verification content of a signature by a bare key. Whether
// the key was valid at some time is judged by the caller, who can say why.
type keyContent struct{ key *publicKey }

func (k keyContent) CompareKey(key any, _ root.TrustedMaterial) bool {
	return equalKeys(k.key.key, key)
}
func (k keyContent) ValidAtTime(time.Time, root.TrustedMaterial) bool { return true }
func (k keyContent) Certificate() *x509.Certificate                   { return nil }
func (k keyContent) Intermediates() []*x509.Certificate               { return nil }
func (k keyContent) PublicKey() verify.PublicKeyProvider              { return k }
func (k keyContent) Hint() string                                     { return k.key.hint }

// equalKeys compares public keys of any kind.
func equalKeys(a, b any) bool {
	eq, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && eq.Equal(b)
}

// timestampAuthority verifies RFC 3161 responses. The chain of its certificate
// is proved once; later responses cost one signature instead of three, as long
// as their time lies where the whole chain is valid.
type timestampAuthority struct {
	full       *root.SigstoreTimestampingAuthority
	from, till time.Time   // when every certificate of the chain is valid
	proved     atomic.Bool // a response verified in full, and so did the configured chain
}

func newTimestampAuthority(tsa *root.SigstoreTimestampingAuthority) root.TimestampingAuthority {
	if named := *tsa; tsa.URI == "" && tsa.Root != nil {
		// Authorities are told apart by their address; one without has its root's name.
		named.URI = tsa.Root.Subject.String()
		tsa = &named
	}
	if tsa.Leaf == nil || tsa.Root == nil {
		return tsa // the response names its signer: there is nothing to remember
	}
	t := &timestampAuthority{full: tsa}
	t.from, t.till = validity(append([]*x509.Certificate{tsa.Leaf, tsa.Root}, tsa.Intermediates...))
	return t
}

func (t *timestampAuthority) Verify(response, signature []byte) (*root.Timestamp, error) {
	if !t.proved.Load() {
		ts, err := t.full.Verify(response, signature)
		if err == nil && t.proves(ts.Time) {
			t.proved.Store(true)
		}
		return ts, err
	}
	// The leaf is its own anchor here: its chain was proved before. The library
	// checks the leaf, its validity and its usage again.
	ts, err := tsaverify.VerifyTimestampResponse(response, bytes.NewReader(signature), tsaverify.VerifyOpts{
		Roots: []*x509.Certificate{t.full.Leaf}, TSACertificate: t.full.Leaf,
	})
	if err != nil {
		return nil, err
	}
	switch {
	case ts.Time.Before(t.from) || ts.Time.After(t.till):
		return nil, errors.New("timestamp is outside of the validity of the authority's certificates")
	case !t.full.ValidityPeriodStart.IsZero() && ts.Time.Before(t.full.ValidityPeriodStart):
		return nil, errors.New("timestamp is before the authority's validity")
	case !t.full.ValidityPeriodEnd.IsZero() && ts.Time.After(t.full.ValidityPeriodEnd):
		return nil, errors.New("timestamp is after the authority's validity")
	}
	return &root.Timestamp{Time: ts.Time, URI: t.full.URI}, nil
}

// proves verifies the chain from the configured certificates alone, without
// those that a response brings along.
func (t *timestampAuthority) proves(at time.Time) bool {
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(t.full.Root)
	for _, c := range t.full.Intermediates {
		middle.AddCert(c)
	}
	_, err := t.full.Leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: middle, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	})
	return err == nil
}

// certificateHash keys the cache of chains.
func certificateHash(cert *x509.Certificate) [32]byte { return sha256.Sum256(cert.Raw) }
