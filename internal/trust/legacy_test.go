package trust_test

import (
	"encoding/base64"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

func TestLegacySignaturesByKeys(t *testing.T) {
	key, subject := trusttest.NewKey(t), trusttest.Digest("image")
	root := trusttest.Root(t, trust.Options{}, key.Entry("release"))
	good := string(trusttest.SimpleSigning(repo, subject))
	for _, c := range []struct {
		name, payload string
		code          verdict.Code
		detail        string
	}{
		{"as cosign writes it", good, verdict.OK, ""},
		{"the older type", strings.Replace(good, "cosign container image signature", "atomic container signature", 1), verdict.OK, ""},
		{"an unknown type", strings.Replace(good, "cosign container image signature", "blob signature", 1), verdict.SignatureInvalid, "critical.type"},
		{"another digest", string(trusttest.SimpleSigning(repo, trusttest.Digest("other"))), verdict.SignatureSubject, "not about"},
		{"a digest of another kind", strings.Replace(good, "sha256:", "sha512:", 1), verdict.SignatureInvalid, "digest"},
		{"two digests", strings.Replace(good, `"image":{`, `"image":{"docker-manifest-digest":"x",`, 1), verdict.SignatureInvalid, "duplicate"},
		{"a critical field that nobody judges", strings.Replace(good, `"critical":{`, `"critical":{"expires":1,`, 1), verdict.SignatureInvalid, "unknown field"},
		{"names in capitals", strings.Replace(good, `"critical"`, `"Critical"`, 1), verdict.SignatureInvalid, "unknown field"},
		{"no JSON", "hello", verdict.SignatureInvalid, "payload"},
	} {
		t.Run(c.name, func(t *testing.T) {
			layer := map[string]string{trust.AnnotationSignature: base64.StdEncoding.EncodeToString(signSHA256(t, key, []byte(c.payload)))}
			got := root.VerifyLegacySignature([]byte(c.payload), layer, subject, "src", now)
			if got.Code != c.code || !strings.Contains(got.Detail, c.detail) || got.Valid() != (c.code == verdict.OK) {
				t.Fatalf("got %+v", got)
			}
			if got.Valid() && (got.Repository != repo || got.KeyID != key.ID || got.Format != fact.FormatLegacy || got.Subject != subject) {
				t.Fatalf("got %+v", got)
			}
		})
	}
}

func TestWhatApexSignsInTheOlderFormatVerifies(t *testing.T) {
	key, subject := trusttest.NewKey(t), trusttest.Digest("image")
	root := trusttest.Root(t, trust.Options{}, key.Entry("release"))
	payload, layer, err := trust.SignLegacy(key, repo, subject, map[string]string{"team": "vision"})
	must(t, err)
	got := root.VerifyLegacySignature(payload, layer, subject, "", now)
	if !got.Valid() || got.Repository != repo || got.Annotations["team"] != "vision" {
		t.Fatalf("got %+v", got)
	}
	// The same signature without its annotation, under another key, over another payload.
	if got := root.VerifyLegacySignature(payload, nil, subject, "", now); got.Code != verdict.SignatureInvalid {
		t.Fatalf("no annotation: %+v", got)
	}
	if got := trusttest.Root(t, trust.Options{}, trusttest.NewKey(t).Entry("x")).VerifyLegacySignature(payload, layer, subject, "", now); got.Code != verdict.SignatureUntrusted {
		t.Fatalf("another key: %+v", got)
	}
	if got := root.VerifyLegacySignature(trusttest.SimpleSigning("else/where", subject), layer, subject, "", now); got.Valid() || got.Repository != "" {
		t.Fatalf("another payload: %+v", got)
	}

	envelope, layer, err := trust.AttestLegacy(key, repo, subject, "spdxjson", []byte(`{"spdxVersion":"SPDX-2.3"}`))
	must(t, err)
	res := root.VerifyLegacyAttestation(envelope, layer, subject, "", now)
	if len(res.Signatures) != 0 || len(res.Attestations) != 1 || !res.Attestations[0].Valid() ||
		res.Attestations[0].PredicateType != "https://spdx.dev/Document" || res.Attestations[0].Repository != repo || res.Attestations[0].Format != fact.FormatLegacy {
		t.Fatalf("got %+v", res)
	}
	if res := root.VerifyLegacyAttestation(envelope, layer, trusttest.Digest("other"), "", now); res.Attestations[0].Code != verdict.SignatureSubject {
		t.Fatalf("another subject: %+v", res)
	}
	if res := root.VerifyLegacyAttestation([]byte("{}"), layer, subject, "", now); len(res.Attestations) != 1 || res.Attestations[0].Code != verdict.AttestationInvalid {
		t.Fatalf("no envelope: %+v", res)
	}
}

func TestTheClaimedReferenceLosesTagAndDigest(t *testing.T) {
	key, subject := trusttest.NewKey(t), trusttest.Digest("image")
	root := trusttest.Root(t, trust.Options{}, key.Entry("release"))
	for claimed, want := range map[string]string{
		"r.example:5000/app":                   "r.example:5000/app",
		"r.example:5000/app:1.2":               "r.example:5000/app",
		"r.example/app@" + string(subject):     "r.example/app",
		"r.example/app:1.2@" + string(subject): "r.example/app",
		"":                                     "",
	} {
		payload := trusttest.SimpleSigning(claimed, subject)
		layer := map[string]string{trust.AnnotationSignature: base64.StdEncoding.EncodeToString(signSHA256(t, key, payload))}
		if got := root.VerifyLegacySignature(payload, layer, subject, "", now); !got.Valid() || got.Repository != want {
			t.Errorf("%q: got %+v", claimed, got)
		}
	}
}

func TestLegacyKeylessSignatures(t *testing.T) {
	ss := trusttest.NewSigstore(t, now.Add(-24*time.Hour))
	subject := trusttest.Digest("image")
	leaf := ss.Certify(trusttest.Certify{Subject: ci, Issuer: issuer})
	payload, good := ss.Legacy(leaf, repo, subject)
	_, others := ss.Legacy(leaf, repo, trusttest.Digest("other"))
	_, strangers := trusttest.NewSigstore(t, now.Add(-24*time.Hour)).Legacy(leaf, repo, subject)
	set := func(key, value string) func(map[string]string) {
		return func(a map[string]string) { a[key] = value }
	}
	drop := func(keys ...string) func(map[string]string) {
		return func(a map[string]string) {
			for _, k := range keys {
				delete(a, k)
			}
		}
	}
	type E = trust.KeylessEntry
	for _, c := range []struct {
		name  string
		edit  func(map[string]string)
		entry E
		code  verdict.Code
	}{
		{"a good one", func(map[string]string) {}, E{}, verdict.OK},
		{"without its chain", drop(trust.AnnotationChain), E{}, verdict.OK},
		{"without a timestamp, the log dates it", drop(trust.AnnotationTimestamp), E{}, verdict.OK},
		{"without a log entry, where none is required", drop(trust.AnnotationLog), E{WithoutLog: true}, verdict.OK},
		{"without a log entry", drop(trust.AnnotationLog), E{}, verdict.SignatureLogMissing},
		{"another payload's log entry", set(trust.AnnotationLog, others[trust.AnnotationLog]), E{}, verdict.SignatureLogMissing},
		{"a foreign log's entry", set(trust.AnnotationLog, strangers[trust.AnnotationLog]), E{}, verdict.SignatureLogMissing},
		{"a log entry that is no JSON", set(trust.AnnotationLog, "x"), E{}, verdict.SignatureLogMissing},
		{"a log entry that is no JSON, where none is required", set(trust.AnnotationLog, "x"), E{WithoutLog: true}, verdict.OK},
		{"neither log entry nor timestamp", drop(trust.AnnotationLog, trust.AnnotationTimestamp), E{WithoutLog: true}, verdict.SignatureTimeMissing},
		{"another payload's timestamp", set(trust.AnnotationTimestamp, others[trust.AnnotationTimestamp]), E{RequireTimestamp: true}, verdict.SignatureTimeMissing},
		{"a foreign authority's timestamp", set(trust.AnnotationTimestamp, strangers[trust.AnnotationTimestamp]), E{RequireTimestamp: true}, verdict.SignatureTimeMissing},
		{"a timestamp that is no JSON", set(trust.AnnotationTimestamp, "x"), E{}, verdict.SignatureInvalid},
		{"without its certificate", drop(trust.AnnotationCertificate), E{}, verdict.SignatureUntrusted},
		{"a certificate that is none", set(trust.AnnotationCertificate, "x"), E{}, verdict.SignatureInvalid},
		{"another identity", func(map[string]string) {}, E{Issuer: issuer, Subject: "else"}, verdict.SignatureIdentity},
		{"another certificate", set(trust.AnnotationCertificate, ss.Certify(trusttest.Certify{Subject: ci, Issuer: issuer}).PEM()), E{}, verdict.SignatureInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.entry.Issuer == "" {
				c.entry.Issuer, c.entry.Subject = issuer, ci
			}
			c.entry.TrustedRootJSON = ss.TrustedRoot(nil)
			root := trusttest.Root(t, trust.Options{}, trust.Entry{Name: "ci", Keyless: &c.entry})
			layer := maps.Clone(good)
			c.edit(layer)
			got := root.VerifyLegacySignature(payload, layer, subject, "", now)
			if got.Code != c.code || got.Valid() != (c.code == verdict.OK) {
				t.Fatalf("got %+v", got)
			}
			if got.Valid() && (got.Repository != repo || !got.SignedAt.Equal(leaf.NotBefore.Add(time.Minute))) {
				t.Fatalf("got %+v", got)
			}
		})
	}
}
