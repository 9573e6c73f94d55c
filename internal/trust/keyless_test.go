package trust_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

const (
	ci     = "ci@apexlogic.example"
	issuer = "https://issuer.example"
	signV1 = "https://sigstore.dev/cosign/sign/v1"
)

// Rows 11, 15, 16, 17 and 18 for certificates. The first case is the twin of
// all others: each of them changes one thing.
func TestKeylessSignatures(t *testing.T) {
	ss := trusttest.NewSigstore(t, now.Add(-24*time.Hour))
	subject := trusttest.Digest("image")
	payload := trusttest.Statement(repo, subject, signV1, map[string]any{})
	leaf := ss.Certify(trusttest.Certify{Subject: ci, Issuer: issuer, Extensions: map[int]string{12: "https://git.example/captioner"}})
	later := now.Add(-time.Hour) // when the leaf has expired
	bothLogs := ss.TrustedRoot(&trusttest.TrustedRootParts{Logs: []*trusttest.RekorLog{ss.Log, ss.OtherLog}, TSAs: []*trusttest.TimestampAuthority{ss.TSA}})
	noLogs := ss.TrustedRoot(&trusttest.TrustedRootParts{TSAs: []*trusttest.TimestampAuthority{ss.TSA}})
	type K = trusttest.Keyless
	type E = trust.KeylessEntry
	for _, c := range []struct {
		name   string
		bundle K
		entry  E
		code   verdict.Code
		detail string
	}{
		{"a good one", K{}, E{}, verdict.OK, ""},
		{"a good one of v0.2", K{Version: "v0.2"}, E{}, verdict.OK, ""},
		{"a good one of v0.1", K{Version: "v0.1"}, E{}, verdict.OK, ""},
		{"log alone", K{WithoutTSA: true}, E{}, verdict.OK, ""},
		{"timestamp alone, where no log is required", K{WithoutLog: true}, E{WithoutLog: true}, verdict.OK, ""},
		{"a matching pattern", K{}, E{SubjectRegexp: `.*@apexlogic\.example`, Issuer: issuer}, verdict.OK, ""},
		{"a matching extension", K{}, E{Issuer: issuer, Subject: ci, Extensions: trust.Extensions{SourceRepository: "https://git.example/captioner"}}, verdict.OK, ""},
		{"two logs of two required", K{Logs: []*trusttest.RekorLog{ss.Log, ss.OtherLog}}, E{LogThreshold: 2, TrustedRootJSON: bothLogs}, verdict.OK, ""},

		{"another subject", K{}, E{Issuer: issuer, Subject: "someone@else.example"}, verdict.SignatureIdentity, ci},
		{"another issuer", K{}, E{Issuer: "https://other.example", Subject: ci}, verdict.SignatureIdentity, issuer},
		{"a pattern is anchored in front", K{}, E{Issuer: issuer, SubjectRegexp: `@apexlogic\.example`}, verdict.SignatureIdentity, ""},
		{"a pattern is anchored at the end", K{}, E{Issuer: issuer, SubjectRegexp: `ci@apexlogic`}, verdict.SignatureIdentity, ""},
		{"an alternative does not slip the anchors", K{}, E{Issuer: issuer, SubjectRegexp: `nobody|ci@apex`}, verdict.SignatureIdentity, ""},
		{"another source repository", K{}, E{Issuer: issuer, Subject: ci, Extensions: trust.Extensions{SourceRepository: "https://git.example/other"}}, verdict.SignatureIdentity, "source repository"},
		{"an extension that the certificate lacks", K{}, E{Issuer: issuer, Subject: ci, Extensions: trust.Extensions{Workflow: "w"}}, verdict.SignatureIdentity, "workflow"},

		{"the log is absent", K{WithoutLog: true}, E{}, verdict.SignatureLogMissing, ""},
		{"the log is one that the root does not name", K{}, E{WithoutLog: false, TrustedRootJSON: ss.TrustedRoot(&trusttest.TrustedRootParts{Logs: []*trusttest.RekorLog{ss.OtherLog}, TSAs: []*trusttest.TimestampAuthority{ss.TSA}})}, verdict.SignatureLogMissing, "does not name"},
		{"the log entry is another artifact's", K{LogPayload: []byte("other")}, E{}, verdict.SignatureLogMissing, "payload hash"},
		{"the promise is forged", K{EditEntry: func(_ int, e *trusttest.LogEntry) { e.SET = ss.OtherLog.EntryDSSE(nil, nil, "", later, 1).SET }}, E{}, verdict.SignatureLogMissing, ""},
		{"the checkpoint is signed by an unknown key", K{EditEntry: func(_ int, e *trusttest.LogEntry) {
			e.Checkpoint = ss.OtherLog.EntryDSSE(nil, nil, "", later, 1).Checkpoint
		}}, E{}, verdict.SignatureLogMissing, "checkpoint"},
		{"the inclusion proof is about another tree", K{EditEntry: func(_ int, e *trusttest.LogEntry) { e.Root = make([]byte, 32) }}, E{}, verdict.SignatureLogMissing, ""},
		{"one log of two required", K{}, E{LogThreshold: 2, TrustedRootJSON: bothLogs}, verdict.SignatureLogMissing, "1 distinct"},
		{"one log twice of two required", K{Logs: []*trusttest.RekorLog{ss.Log, ss.Log}}, E{LogThreshold: 2, TrustedRootJSON: bothLogs}, verdict.SignatureLogMissing, "1 distinct"},

		{"neither log nor timestamp, and expired", K{WithoutLog: true, WithoutTSA: true}, E{WithoutLog: true}, verdict.SignatureTimeMissing, "nothing trusted"},
		{"a timestamp of an unknown authority", K{WithoutLog: true, TSAs: []*trusttest.TimestampAuthority{ss.OtherTSA}}, E{WithoutLog: true, TrustedRootJSON: noLogs}, verdict.SignatureTimeMissing, ""},
		{"a timestamp is required beside the log and absent", K{WithoutTSA: true}, E{RequireTimestamp: true}, verdict.SignatureTimeMissing, "required"},
		{"a timestamp is required and an unknown authority's", K{TSAs: []*trusttest.TimestampAuthority{ss.OtherTSA}}, E{RequireTimestamp: true}, verdict.SignatureTimeMissing, ""},
		{"logged after the certificate ended", K{LoggedAt: later, WithoutTSA: true}, E{}, verdict.SignatureKeyValidity, ""},
		{"timestamped after the certificate ended", K{StampedAt: later, WithoutLog: true}, E{WithoutLog: true}, verdict.SignatureKeyValidity, ""},
		{"timestamped after the certificate ended, logged in time", K{StampedAt: later}, E{}, verdict.SignatureKeyValidity, ""},

		{"a certificate that is not for code signing", K{Leaf: ss.Certify(trusttest.Certify{Subject: ci, Issuer: issuer, Usage: x509.ExtKeyUsageServerAuth})}, E{}, verdict.SignatureUntrusted, "usage"},
		{"no certificate transparency", K{Leaf: ss.Certify(trusttest.Certify{Subject: ci, Issuer: issuer, WithoutSCT: true})}, E{}, verdict.SignatureUntrusted, "transparency timestamp"},
		{"no certificate transparency, where none is required", K{Leaf: ss.Certify(trusttest.Certify{Subject: ci, Issuer: issuer, WithoutSCT: true})}, E{WithoutSCT: true}, verdict.OK, ""},
		{"certificate transparency of a foreign log", K{Leaf: ss.Certify(trusttest.Certify{Subject: ci, Issuer: issuer, ForeignSCT: true})}, E{}, verdict.SignatureUntrusted, "transparency timestamp"},
		{"another payload type", K{PayloadType: "application/json"}, E{}, verdict.SignatureInvalid, "payload type"},
		{"an extra signature behind the good one", K{ExtraSignatures: [][]byte{[]byte("junk")}}, E{}, verdict.OK, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.entry.Issuer == "" {
				c.entry.Issuer, c.entry.Subject = issuer, ci
			}
			if c.entry.TrustedRootJSON == nil {
				c.entry.TrustedRootJSON = ss.TrustedRoot(nil)
			}
			c.bundle.Payload = payload
			if c.bundle.Leaf.Certificate == nil {
				c.bundle.Leaf = leaf
			}
			root := trusttest.Root(t, trust.Options{}, trust.Entry{Name: "ci", Keyless: &c.entry})
			raw := ss.Bundle(c.bundle)
			for pass := range 2 { // the second one finds the chain in the cache
				got := root.VerifyBundle(raw, subject, "", now).Signatures[0]
				if got.Code != c.code || !strings.Contains(got.Detail, c.detail) {
					t.Fatalf("pass %d: got %s %q, want %s %q", pass, got.Code, got.Detail, c.code, c.detail)
				}
				if c.code == verdict.OK && (!got.Valid() || got.Identity.Subject != ci || got.Identity.Issuer != issuer ||
					!got.SignedAt.Equal(leaf.NotBefore.Add(time.Minute)) || got.Repository != repo || !got.Until.IsZero()) {
					t.Fatalf("pass %d: got %+v", pass, got)
				}
			}
		})
	}
}

// Row 16 (CVE-2026-24122): with the log check off and no timestamp, the present
// time judges the whole chain.
func TestAnExpiredIntermediateDeniesWhatNothingDates(t *testing.T) {
	subject := trusttest.Digest("image")
	payload := trusttest.Statement(repo, subject, signV1, map[string]any{})
	for _, c := range []struct {
		name   string
		expire bool
		code   verdict.Code
	}{{"intermediate is valid", false, verdict.OK}, {"intermediate has expired", true, verdict.SignatureUntrusted}} {
		t.Run(c.name, func(t *testing.T) {
			ss := trusttest.NewSigstore(t, now.Add(-48*time.Hour))
			if c.expire {
				ss.ExpireIntermediate(now.Add(-time.Hour))
			}
			leaf := ss.Certify(trusttest.Certify{Subject: ci, Issuer: issuer, NotAfter: now.AddDate(1, 0, 0)})
			root := trusttest.Root(t, trust.Options{}, trust.Entry{Name: "ci", Keyless: &trust.KeylessEntry{
				TrustedRootJSON: ss.TrustedRoot(nil), Issuer: issuer, Subject: ci, WithoutLog: true,
			}})
			raw := ss.Bundle(trusttest.Keyless{Leaf: leaf, Payload: payload, WithoutLog: true, WithoutTSA: true})
			got := root.VerifyBundle(raw, subject, "", now).Signatures[0]
			if got.Code != c.code {
				t.Fatalf("got %+v", got)
			}
			if c.code == verdict.OK && !got.Until.Equal(leaf.NotAfter) {
				t.Fatalf("until %s, want the certificate's end", got.Until)
			}
			// While the intermediate was valid the same bundle was good: the
			// cache must not carry that over.
			if early := root.VerifyBundle(raw, subject, "", now.Add(-2*time.Hour)).Signatures[0]; early.Code != verdict.OK {
				t.Fatalf("earlier: %+v", early)
			}
			if again := root.VerifyBundle(raw, subject, "", now).Signatures[0]; again.Code != c.code {
				t.Fatalf("again: %+v", again)
			}
		})
	}
}

func TestARevokedIdentityCountsOnlyBefore(t *testing.T) {
	ss := trusttest.NewSigstore(t, now.Add(-24*time.Hour))
	subject := trusttest.Digest("image")
	leaf := ss.Certify(trusttest.Certify{Subject: ci, Issuer: issuer})
	raw := ss.Bundle(trusttest.Keyless{Leaf: leaf, Payload: trusttest.Statement(repo, subject, signV1, map[string]any{})})
	for _, c := range []struct {
		name    string
		revoked trust.Revoked
		code    verdict.Code
	}{
		{"revoked afterwards", trust.Revoked{Subject: ci, Since: now}, verdict.OK},
		{"revoked before", trust.Revoked{Subject: ci, Since: leaf.NotBefore}, verdict.SignatureRevokedKey},
		{"revoked since ever", trust.Revoked{Subject: ci}, verdict.SignatureRevokedKey},
		{"revoked at this issuer", trust.Revoked{Subject: ci, Issuer: issuer}, verdict.SignatureRevokedKey},
		{"revoked at another issuer", trust.Revoked{Subject: ci, Issuer: "https://other.example"}, verdict.OK},
		{"someone else is revoked", trust.Revoked{Subject: "else"}, verdict.OK},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := trusttest.Root(t, trust.Options{Revoked: []trust.Revoked{c.revoked}}, trust.Entry{Name: "ci", Keyless: &trust.KeylessEntry{
				TrustedRootJSON: ss.TrustedRoot(nil), Issuer: issuer, Subject: ci,
			}})
			if got := root.VerifyBundle(raw, subject, "", now).Signatures[0]; got.Code != c.code {
				t.Fatalf("got %+v", got)
			}
		})
	}
}

func TestSeveralEntriesMayTrustOneIdentity(t *testing.T) {
	ss, stranger := trusttest.NewSigstore(t, now), trusttest.NewSigstore(t, now)
	subject := trusttest.Digest("image")
	raw := ss.Bundle(trusttest.Keyless{
		Leaf: ss.Certify(trusttest.Certify{Subject: ci, Issuer: issuer}), Payload: trusttest.Statement(repo, subject, signV1, map[string]any{}),
	})
	keyless := func(name, subject string, tr []byte, sct bool) trust.Entry {
		return trust.Entry{Name: name, Keyless: &trust.KeylessEntry{TrustedRootJSON: tr, Issuer: issuer, Subject: subject, WithoutSCT: !sct}}
	}
	root := trusttest.Root(t, trust.Options{},
		keyless("strict", ci, ss.TrustedRoot(nil), true), keyless("lax", ci, ss.TrustedRoot(nil), false),
		keyless("else", "someone@else.example", ss.TrustedRoot(nil), true), keyless("stranger", ci, stranger.TrustedRoot(nil), true),
		trusttest.NewKey(t).Entry("key"))
	got := root.VerifyBundle(raw, subject, "", now).Signatures[0]
	if strings.Join(got.TrustedBy, " ") != "lax strict" || len(got.Logs) != 1 || got.Logs[0] != "https://rekor.test" || len(got.Timestamps) != 1 {
		t.Fatalf("got %+v", got)
	}
	only := trusttest.Root(t, trust.Options{}, trusttest.NewKey(t).Entry("key"))
	if got := only.VerifyBundle(raw, subject, "", now).Signatures[0]; got.Code != verdict.SignatureUntrusted {
		t.Fatalf("keys only: %+v", got)
	}
}

func TestKeylessMessageSignatures(t *testing.T) {
	ss := trusttest.NewSigstore(t, now)
	leaf := ss.Certify(trusttest.Certify{Subject: ci, Issuer: issuer})
	root := trusttest.Root(t, trust.Options{}, trust.Entry{Name: "ci", Keyless: &trust.KeylessEntry{TrustedRootJSON: ss.TrustedRoot(nil), Issuer: issuer, Subject: ci}})
	raw := ss.BundleMessage(leaf, []byte("manifest"))
	got := root.VerifyBundle(raw, trusttest.Digest("manifest"), "", now)
	if len(got.Signatures) != 1 || !got.Signatures[0].Valid() || got.Signatures[0].Repository != "" {
		t.Fatalf("got %+v", got)
	}
	if got := root.VerifyBundle(raw, trusttest.Digest("other"), "", now).Signatures[0]; got.Code != verdict.SignatureSubject {
		t.Fatalf("another manifest: %+v", got)
	}
}

// Row 11: identities that name nobody are refused when they are compiled.
func TestIdentitiesThatNameNobodyAreRefused(t *testing.T) {
	ss := trusttest.NewSigstore(t, now)
	unstamped := ss.TrustedRoot(&trusttest.TrustedRootParts{Logs: []*trusttest.RekorLog{ss.Log}})
	for _, c := range []struct {
		name, want string
		entry      trust.KeylessEntry
	}{
		{"no identity", "issuer is not set", trust.KeylessEntry{}},
		{"no issuer", "issuer is not set", trust.KeylessEntry{Subject: ci}},
		{"no subject", "subject is not set", trust.KeylessEntry{Issuer: issuer}},
		{"a pattern for everything", "matches everything", trust.KeylessEntry{Issuer: issuer, SubjectRegexp: `.+`}},
		{"a pattern for everything, disguised", "matches everything", trust.KeylessEntry{Issuer: issuer, SubjectRegexp: `(?s)[^\n][\w\W]*`}},
		{"a pattern for the empty text", "empty text", trust.KeylessEntry{Issuer: issuer, SubjectRegexp: `.*`}},
		{"a pattern that does not compile", "missing closing", trust.KeylessEntry{Issuer: issuer, SubjectRegexp: `(`}},
		{"a pattern that would break out", "unexpected )", trust.KeylessEntry{Issuer: issuer, SubjectRegexp: `a)|(?:.*`}},
		{"exact and pattern", "both given", trust.KeylessEntry{Issuer: issuer, Subject: ci, SubjectRegexp: `c.`}},
		{"more logs than exist", "logs are required", trust.KeylessEntry{Issuer: issuer, Subject: ci, LogThreshold: 9}},
		{"a timestamp that nobody can give", "no timestamp authority", trust.KeylessEntry{Issuer: issuer, Subject: ci, RequireTimestamp: true, TrustedRootJSON: unstamped}},
		{"a trusted root that is none", "trustedRoot", trust.KeylessEntry{Issuer: issuer, Subject: ci, TrustedRootJSON: []byte("{}")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := trust.Compile([]trust.Entry{{Name: "ci", Keyless: &c.entry}}, trust.Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
		})
	}
	twin := trust.KeylessEntry{Issuer: issuer, SubjectRegexp: `https://git\.example/.*`}
	if _, err := trust.Compile([]trust.Entry{{Name: "ci", Keyless: &twin}}, trust.Options{}); err != nil {
		t.Fatalf("the twin, under the embedded root: %v", err)
	}
}
