package trust_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/notaryproject/notation-core-go/signature"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

func TestNotationSignatures(t *testing.T) {
	// The authority lives a day in the past: envelopes cannot be made for a
	// signing time that the library finds in the future.
	ca, stranger := trusttest.NewNotation(t, now), trusttest.NewNotation(t, now)
	ss := trusttest.NewSigstore(t, now)
	subject := trusttest.Digest("image")
	good := trust.CertificateEntry{RootsPEM: ca.RootPEM(), Identities: []string{"x509.subject: CN=signer, O=Apex Logic"}, TimestampRootsPEM: ss.TSA.RootPEM()}
	with := func(edit func(*trust.CertificateEntry)) trust.CertificateEntry {
		e := good
		edit(&e)
		return e
	}
	hour, day := time.Hour, 24*time.Hour
	type E = trusttest.Envelope
	for _, c := range []struct {
		name     string
		envelope E
		entry    trust.CertificateEntry
		at       time.Time // of verification; zero: now
		code     verdict.Code
		detail   string
	}{
		{"a good one", E{}, good, now, verdict.OK, ""},
		{"an expiry that lies ahead", E{Expiry: now.Add(hour)}, good, now, verdict.OK, ""},
		{"an expiry that has passed", E{Expiry: now.Add(hour)}, good, now.Add(2 * hour), verdict.SignatureTooOld, "expire"},
		{"another root", E{}, with(func(e *trust.CertificateEntry) { e.RootsPEM = stranger.RootPEM() }), now, verdict.SignatureUntrusted, "root"},
		{"another common name", E{CommonName: "someone"}, good, now, verdict.SignatureIdentity, "someone"},
		{"another organisation", E{}, with(func(e *trust.CertificateEntry) { e.Identities = []string{"CN=signer,O=Else"} }), now, verdict.SignatureIdentity, ""},
		{"one of several identities", E{}, with(func(e *trust.CertificateEntry) { e.Identities = []string{"CN=x", "C=DE,O=Apex Logic"} }), now, verdict.OK, ""},
		{"a critical attribute that is not known", E{Attributes: []signature.Attribute{{Key: "x.plugin", Critical: true, Value: "y"}}}, good, now, verdict.SignatureInvalid, "critical"},
		{"an attribute that is not critical", E{Attributes: []signature.Attribute{{Key: "x.note", Value: "y"}}}, good, now, verdict.OK, ""},
		{"another subject", E{Subject: trusttest.Digest("other")}, good, now, verdict.SignatureSubject, "not about"},
		{"another content type", E{ContentType: "application/json"}, good, now, verdict.SignatureInvalid, "content type"},
		{"the certificate has expired", E{NotAfter: now.Add(hour)}, good, now.Add(day), verdict.SignatureTimeMissing, "nothing trusted"},
		{"the certificate has expired after it was countersigned", E{NotAfter: now.Add(hour), TSA: ss.TSA, StampedAt: now}, good, now.Add(day), verdict.OK, ""},
		{"it was countersigned after the certificate had expired", E{NotAfter: now.Add(hour), TSA: ss.TSA, StampedAt: now.Add(2 * hour)}, good, now.Add(day), verdict.SignatureKeyValidity, ""},
		{"it was countersigned by an unknown authority", E{NotAfter: now.Add(hour), TSA: ss.OtherTSA, StampedAt: now}, good, now.Add(day), verdict.SignatureTimeMissing, ""},
		{"another signing scheme", E{Scheme: signature.SigningSchemeX509SigningAuthority}, good, now, verdict.SignatureUntrusted, "scheme"},
		{"a signing authority dates it", E{Scheme: signature.SigningSchemeX509SigningAuthority, NotAfter: now.Add(hour)},
			with(func(e *trust.CertificateEntry) { e.SigningAuthority = true }), now.Add(day), verdict.OK, ""},
		{"a signing authority dates it in the future", E{Scheme: signature.SigningSchemeX509SigningAuthority, SignedAt: now.Add(day)},
			with(func(e *trust.CertificateEntry) { e.SigningAuthority = true }), now, verdict.SignatureKeyValidity, ""},
	} {
		for _, mediaType := range []string{"application/jose+json", "application/cose"} {
			t.Run(c.name+" as "+mediaType, func(t *testing.T) {
				c.envelope.MediaType = mediaType
				if c.envelope.Subject == "" {
					c.envelope.Subject = subject
				}
				raw := ca.Sign(c.envelope)
				root := trusttest.Root(t, trust.Options{}, trust.Entry{Name: "notary", Certificate: &c.entry})
				got := root.VerifyNotation(raw, mediaType, subject, "src", c.at)
				if got.Code != c.code || !strings.Contains(got.Detail, c.detail) {
					t.Fatalf("got %s %q, want %s %q", got.Code, got.Detail, c.code, c.detail)
				}
				if c.code != verdict.OK {
					if got.Valid() || len(got.Annotations) > 0 {
						t.Fatalf("got %+v", got)
					}
					return
				}
				if !got.Valid() || got.Subject != subject || got.Annotations["team"] != "vision" || got.Format != fact.FormatNotation ||
					!strings.Contains(got.Identity.Subject, "CN=signer") || !strings.HasPrefix(got.KeyID, "sha256:") {
					t.Fatalf("got %+v", got)
				}
				if dated := c.envelope.TSA != nil || c.entry.SigningAuthority; dated != !got.SignedAt.IsZero() {
					t.Fatalf("signed at %s", got.SignedAt)
				}
			})
		}
	}
}

func TestAChangedNotationEnvelopeIsInvalid(t *testing.T) {
	ca, subject := trusttest.NewNotation(t, now), trusttest.Digest("image")
	root := trusttest.Root(t, trust.Options{}, trust.Entry{Name: "notary", Certificate: &trust.CertificateEntry{RootsPEM: ca.RootPEM(), Identities: []string{"CN=signer"}}})
	for _, mediaType := range []string{"application/jose+json", "application/cose"} {
		raw := ca.Sign(trusttest.Envelope{MediaType: mediaType, Subject: subject})
		if got := root.VerifyNotation(raw, mediaType, subject, "", now); !got.Valid() {
			t.Fatalf("the twin: %+v", got)
		}
		for i := 0; i < len(raw); i += 1 + len(raw)/64 {
			if i+1 < len(raw) && (raw[i+1] == '"' || raw[i+1] == '=') {
				continue // the last character of base64 may hold bits that say nothing
			}
			changed := bytes.Clone(raw)
			changed[i] ^= 4
			if got := root.VerifyNotation(changed, mediaType, subject, "", now); got.Valid() && !bytes.Contains(raw[max(0, i-60):i], []byte("signingAgent")) {
				t.Errorf("%s with byte %d changed verifies: %q", mediaType, i, changed[max(0, i-40):min(len(raw), i+40)])
			}
		}
		if got := root.VerifyNotation(raw, "text/plain", subject, "", now); got.Code != verdict.SignatureFormatDenied {
			t.Errorf("an unknown media type: %+v", got)
		}
	}
	if got := trusttest.Root(t, trust.Options{}, trusttest.NewKey(t).Entry("k")).VerifyNotation(ca.Sign(trusttest.Envelope{Subject: subject}), "application/jose+json", subject, "", now); got.Code != verdict.SignatureUntrusted {
		t.Errorf("a root without authorities: %+v", got)
	}
}

func TestNotationIdentitiesThatNameNobodyAreRefused(t *testing.T) {
	ca := trusttest.NewNotation(t, now)
	for _, c := range []struct {
		identities []string
		ok         bool
	}{
		{nil, false}, {[]string{"*"}, false}, {[]string{""}, false}, {[]string{"signer"}, false}, {[]string{"XX=signer"}, false},
		{[]string{"CN="}, false}, {[]string{"CN=signer", "*"}, false}, {[]string{`CN=a\,b,O=c`}, true}, {[]string{"CN=signer"}, true},
	} {
		_, err := trust.Compile([]trust.Entry{{Name: "n", Certificate: &trust.CertificateEntry{RootsPEM: ca.RootPEM(), Identities: c.identities}}}, trust.Options{})
		if (err == nil) != c.ok {
			t.Errorf("%q: error %v", c.identities, err)
		}
	}
}
