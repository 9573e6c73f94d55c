package trust_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

func TestDocumentsAreSignedInCanonicalForm(t *testing.T) {
	alice, bob, stranger := trusttest.NewKey(t), trusttest.NewKey(t), trusttest.NewKey(t)
	root := trusttest.Root(t, trust.Options{}, alice.Entry("alice"), bob.Entry("bob"))
	doc := []byte(`{ "rule": "RequireSBOM", "digest": "sha256:00", "n": 1.0 }`)
	envelope, err := trust.SignDocument(alice, "PolicyException", doc)
	must(t, err)
	got, signers, err := root.VerifyDocument(envelope, "PolicyException", now)
	must(t, err)
	if string(got) != `{"digest":"sha256:00","n":1,"rule":"RequireSBOM"}` || len(signers) != 1 || signers[0].TrustedBy[0] != "alice" {
		t.Fatalf("got %s by %+v", got, signers)
	}
	both, err := trust.AddSignature(bob, envelope)
	must(t, err)
	both, err = trust.AddSignature(bob, both) // twice by the same person
	must(t, err)
	if _, signers, err = root.VerifyDocument(both, "PolicyException", now); err != nil || len(signers) != 2 {
		t.Fatalf("two people signed: %v, %+v", err, signers)
	}
	byStranger, err := trust.SignDocument(stranger, "PolicyException", doc)
	must(t, err)
	for _, c := range []struct {
		name, kind, want string
		envelope         []byte
		root             *trust.Root
	}{
		{"another kind", "Revocation", "payload type", envelope, root},
		{"a kind that is no word", "a/b", "plain word", envelope, root},
		{"a stranger", "PolicyException", "none of the 2 keys", byStranger, root},
		{"a bare document", "PolicyException", "envelope", doc, root},
		{"another form of the same document", "PolicyException", "canonical", rawEnvelope(t, alice, "application/vnd.apexlogic.PolicyException+json", string(doc)), root},
		{"duplicate keys", "PolicyException", "duplicate", rawEnvelope(t, alice, "application/vnd.apexlogic.PolicyException+json", `{"a":1,"a":2}`), root},
		{"a revoked key", "PolicyException", "revoked", envelope, trusttest.Root(t, trust.Options{Revoked: []trust.Revoked{{KeyID: alice.ID, Since: now.Add(-time.Hour)}}}, alice.Entry("alice"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := c.root.VerifyDocument(c.envelope, c.kind, now)
			if err == nil || got != nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %s, error %v, want %q", got, err, c.want)
			}
			if c.name == "a revoked key" && trust.Code(err) != verdict.SignatureRevokedKey {
				t.Fatalf("code %s", trust.Code(err))
			}
		})
	}
	if _, err := trust.SignDocument(alice, "PolicyException", []byte(`{"a":1,"a":2}`)); err == nil {
		t.Error("a document with duplicate keys was signed")
	}
}

func rawEnvelope(t testing.TB, key trusttest.Key, payloadType, payload string) []byte {
	t.Helper()
	data, err := json.Marshal(map[string]any{
		"payload": []byte(payload), "payloadType": payloadType,
		"signatures": []any{map[string]any{"sig": signDSSE(t, key, payloadType, payload)}},
	})
	must(t, err)
	return data
}

func TestWhatCannotBeSignedIsRefused(t *testing.T) {
	key, subject := trusttest.NewKey(t), trusttest.Digest("image")
	attest := func(repo string, d verdict.Digest, kind, predicate string) error {
		_, err := trust.Attest(key, repo, d, kind, []byte(predicate))
		return err
	}
	image := func(repo string, a map[string]string) error {
		_, err := trust.SignImage(key, repo, subject, a)
		return err
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"no repository":             {image("", nil), "repository is empty"},
		"a tag":                     {image(repo+":1", nil), "tag or a digest"},
		"the reserved annotation":   {image(repo, map[string]string{trust.AnnotationRepository: "x"}), "is set from the repository"},
		"no digest":                 {attest(repo, "", "vuln", "{}"), "digest must be"},
		"an unknown alias":          {attest(repo, subject, "sbom", "{}"), "one of slsaprovenance"},
		"a signature's predicate":   {attest(repo, subject, signV1, "{}"), "use SignImage"},
		"a predicate that is none":  {attest(repo, subject, "vuln", "hello"), "predicate"},
		"a predicate with two keys": {attest(repo, subject, "vuln", `{"a":1,"a":2}`), "duplicate"},
		"two predicates":            {attest(repo, subject, "vuln", `{} {}`), "more than one"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, c.err, c.want)
		}
	}
	if err := attest(repo, subject, "vuln", "{}"); err != nil {
		t.Errorf("the twin: %v", err)
	}
	for alias, uri := range map[string]string{
		"slsaprovenance": "https://slsa.dev/provenance/v0.2", "slsaprovenance1": "https://slsa.dev/provenance/v1",
		"vuln": "https://cosign.sigstore.dev/attestation/vuln/v1", "spdxjson": "https://spdx.dev/Document",
		"cyclonedx": "https://cyclonedx.org/bom", "openvex": "https://openvex.dev/ns",
		"https://example.com/x": "https://example.com/x", "urn:x:y": "urn:x:y",
	} {
		if got, err := trust.PredicateType(alias); err != nil || got != uri {
			t.Errorf("%s: %s, %v", alias, got, err)
		}
	}
}
