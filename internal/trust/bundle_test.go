package trust_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

func TestASignedImageNamesItsRepositoryAndAnnotations(t *testing.T) {
	key, subject := trusttest.NewKey(t), trusttest.Digest("image")
	root := trusttest.Root(t, trust.Options{}, trusttest.NewKey(t).Entry("other"), key.Entry("release"))
	bundle, err := trust.SignImage(key, repo, subject, map[string]string{"team": "vision"})
	if err != nil {
		t.Fatal(err)
	}
	got := root.VerifyBundle(bundle, subject, "sha256:abc", now)
	if len(got.Signatures) != 1 || len(got.Attestations) != 0 {
		t.Fatalf("got %+v", got)
	}
	s := got.Signatures[0]
	if !s.Valid() || s.TrustedBy[0] != "release" || s.KeyID != key.ID || s.Repository != repo ||
		s.Subject != subject || s.Annotations["team"] != "vision" || s.Source != "sha256:abc" || s.Format != fact.FormatBundle {
		t.Fatalf("got %+v", s)
	}
}

// cosign v3 states no repository in its signatures; the annotation may.
func TestTheRepositoryComesFromNameThenAnnotation(t *testing.T) {
	key, subject := trusttest.NewKey(t), trusttest.Digest("image")
	root := trusttest.Root(t, trust.Options{}, key.Entry("k"))
	for _, c := range []struct{ name, resource, want string }{
		{"a name", `"name":"r.example/a",`, "r.example/a"},
		{"an annotation", `"annotations":{"dev.apexlogic.repository":"r.example/b"},`, "r.example/b"},
		{"name before annotation", `"name":"r.example/a","annotations":{"dev.apexlogic.repository":"r.example/b"},`, "r.example/a"},
		{"neither", ``, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			payload := `{"_type":"https://in-toto.io/Statement/v1","subject":[{` + c.resource + `"digest":{"sha256":"` + subject.Hex() + `"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`
			got := root.VerifyBundle(keyBundle(t, key, "application/vnd.in-toto+json", payload), subject, "", now)
			if !got.Signatures[0].Valid() || got.Signatures[0].Repository != c.want {
				t.Fatalf("got %+v, want repository %q", got.Signatures[0], c.want)
			}
		})
	}
}

// Rows 13 and 14: what is signed, by a trusted key, and still does not count.
func TestStatementsThatDoNotCount(t *testing.T) {
	key, subject, other := trusttest.NewKey(t), trusttest.Digest("image"), trusttest.Digest("other image")
	root := trusttest.Root(t, trust.Options{}, key.Entry("k"))
	st := func(kind, digest, more string) string {
		return `{"_type":"` + kind + `","subject":[{"name":"` + repo + `","digest":{"sha256":"` + digest + `"}}],"predicateType":"https://example.com/p/v1",` + more + `"predicate":{"a":1}}`
	}
	v1, v01 := "https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"
	const inToto = "application/vnd.in-toto+json"
	for _, c := range []struct {
		name, payloadType, payload string
		code                       verdict.Code
		detail                     string
	}{
		{"statement v1 counts", inToto, st(v1, subject.Hex(), ""), verdict.OK, ""},
		{"statement v0.1 counts", inToto, st(v01, subject.Hex(), ""), verdict.OK, ""},
		{"an unknown field is ignored", inToto, st(v1, subject.Hex(), `"x":1,`), verdict.OK, ""},
		{"a later statement type", inToto, st("https://in-toto.io/Statement/v2", subject.Hex(), ""), verdict.AttestationInvalid, "_type"},
		{"another payload type", "application/json", st(v1, subject.Hex(), ""), verdict.AttestationInvalid, "payload type"},
		{"a payload type in other letters", "application/vnd.in-toto+JSON", st(v1, subject.Hex(), ""), verdict.AttestationInvalid, "payload type"},
		{"another subject", inToto, st(v1, other.Hex(), ""), verdict.SignatureSubject, "not about " + string(subject)},
		{"a digest in capitals", inToto, st(v1, strings.ToUpper(subject.Hex()), ""), verdict.AttestationInvalid, "lower-case"},
		{"two subjects fields", inToto, st(v1, other.Hex(), `"subject":[{"digest":{"sha256":"`+subject.Hex()+`"}}],`), verdict.AttestationInvalid, "duplicate key"},
		{"two predicate types that differ in case", inToto, st(v1, subject.Hex(), `"PredicateType":"https://example.com/q",`), verdict.AttestationInvalid, "duplicate key"},
		{"a duplicate deep in the predicate", inToto, strings.Replace(st(v1, subject.Hex(), ""), `{"a":1}`, `{"a":{"b":[{"c":1,"c":2}]}}`, 1), verdict.AttestationInvalid, "duplicate key"},
		{"field names in capitals", inToto, strings.Replace(st(v1, subject.Hex(), ""), `"subject"`, `"SUBJECT"`, 1), verdict.AttestationInvalid, "no subject"},
		{"no subject", inToto, `{"_type":"` + v1 + `","predicateType":"p","predicate":{}}`, verdict.AttestationInvalid, "no subject"},
		{"only another hash", inToto, strings.Replace(st(v1, subject.Hex(), ""), `"sha256"`, `"sha512"`, 1), verdict.SignatureSubject, ""},
		{"no predicate type", inToto, strings.Replace(st(v1, subject.Hex(), ""), `https://example.com/p/v1`, ``, 1), verdict.AttestationInvalid, "predicateType"},
		{"deeper than anyone needs", inToto, strings.Replace(st(v1, subject.Hex(), ""), `{"a":1}`, strings.Repeat("[", 80)+strings.Repeat("]", 80), 1), verdict.AttestationInvalid, "nested"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := root.VerifyBundle(keyBundle(t, key, c.payloadType, c.payload), subject, "", now)
			if len(got.Attestations) != 1 {
				t.Fatalf("got %+v", got)
			}
			a := got.Attestations[0]
			if a.Code != c.code || !strings.Contains(a.Detail, c.detail) || a.Valid() != (c.code == verdict.OK) {
				t.Fatalf("got %s %q, want %s %q", a.Code, a.Detail, c.code, c.detail)
			}
			if a.Valid() != (len(a.Predicate) > 0) {
				t.Fatalf("predicate of a %s attestation: %q", a.Code, a.Predicate)
			}
		})
	}
}

// Row 14: of several signatures exactly those that verify count.
func TestOfSeveralSignaturesThoseThatVerifyCount(t *testing.T) {
	a, b, stranger := trusttest.NewKey(t), trusttest.NewKey(t), trusttest.NewKey(t)
	subject := trusttest.Digest("image")
	root := trusttest.Root(t, trust.Options{}, a.Entry("a"), b.Entry("b"))
	payload := string(trusttest.Statement(repo, subject, "https://sigstore.dev/cosign/sign/v1", map[string]any{}))
	for _, c := range []struct {
		name    string
		signers []trusttest.Key
		want    []string
	}{
		{"one known", []trusttest.Key{a}, []string{"a"}},
		{"an unknown one does not spoil", []trusttest.Key{stranger, a}, []string{"a"}},
		{"an unknown one does not help", []trusttest.Key{stranger}, nil},
		{"two known count as two", []trusttest.Key{b, a}, []string{"b", "a"}},
		{"one key twice counts once", []trusttest.Key{a, a}, []string{"a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := root.VerifyBundle(keyBundle(t, c.signers[0], "application/vnd.in-toto+json", payload, c.signers[1:]...), subject, "", now)
			var names []string
			for _, s := range got.Signatures {
				if s.Valid() {
					names = append(names, s.TrustedBy...)
				}
			}
			if strings.Join(names, " ") != strings.Join(c.want, " ") {
				t.Fatalf("trusted by %v, want %v: %+v", names, c.want, got.Signatures)
			}
			if c.want == nil && got.Signatures[0].Code != verdict.SignatureUntrusted {
				t.Fatalf("code %s", got.Signatures[0].Code)
			}
		})
	}
	many := make([]trusttest.Key, 9)
	for i := range many {
		many[i] = stranger
	}
	got := root.VerifyBundle(keyBundle(t, a, "application/vnd.in-toto+json", payload, many...), subject, "", now)
	if got.Signatures[0].Code != verdict.SignatureInvalid || !strings.Contains(got.Signatures[0].Detail, "signatures") {
		t.Fatalf("ten signatures: %+v", got.Signatures[0])
	}
}

func TestAChangedBundleIsInvalidAndAForeignOneUntrusted(t *testing.T) {
	key, subject := trusttest.NewKey(t), trusttest.Digest("image")
	root := trusttest.Root(t, trust.Options{}, key.Entry("k"))
	bundle, err := trust.Attest(key, repo, subject, "vuln", []byte(`{"scanner":{"uri":"pkg:apex"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := root.VerifyBundle(bundle, subject, "", now).Attestations[0]; !got.Valid() || got.PredicateType != "https://cosign.sigstore.dev/attestation/vuln/v1" || got.Repository != repo {
		t.Fatalf("the twin: %+v", got)
	}
	changed := editBundle(t, bundle, func(b map[string]any) {
		env := b["dsseEnvelope"].(map[string]any)
		payload, _ := base64.StdEncoding.DecodeString(env["payload"].(string))
		env["payload"] = bytes.Replace(payload, []byte("pkg:apex"), []byte("pkg:else"), 1)
	})
	got := root.VerifyBundle(changed, subject, "", now).Attestations[0]
	if got.Code != verdict.AttestationInvalid || len(got.Predicate) > 0 || !strings.Contains(got.Detail, `"k"`) {
		t.Fatalf("changed: %+v", got)
	}
	foreign := trusttest.Root(t, trust.Options{}, trusttest.NewKey(t).Entry("k"))
	if got := foreign.VerifyBundle(bundle, subject, "", now).Attestations[0]; got.Code != verdict.AttestationUntrusted || len(got.Predicate) > 0 {
		t.Fatalf("foreign: %+v", got)
	}
	empty := trusttest.Root(t, trust.Options{})
	if got := empty.VerifyBundle(bundle, subject, "", now).Attestations[0]; got.Code != verdict.AttestationUntrusted {
		t.Fatalf("no keys at all: %+v", got)
	}
	if got := root.VerifyBundle(bundle, "", "", now).Attestations[0]; got.Valid() {
		t.Fatalf("an empty subject: %+v", got)
	}
}

func TestAKeyCountsWithinItsValidity(t *testing.T) {
	key, subject := trusttest.NewKey(t), trusttest.Digest("image")
	bundle, err := trust.SignImage(key, repo, subject, nil)
	if err != nil {
		t.Fatal(err)
	}
	hour := time.Hour
	for _, c := range []struct {
		name        string
		from, until time.Time
		code        verdict.Code
	}{
		{"inside", now.Add(-hour), now.Add(hour), verdict.OK},
		{"without bounds", time.Time{}, time.Time{}, verdict.OK},
		{"not yet", now.Add(hour), time.Time{}, verdict.SignatureKeyValidity},
		{"no more", time.Time{}, now.Add(-hour), verdict.SignatureKeyValidity},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := trusttest.Root(t, trust.Options{}, trust.Entry{Name: "k", Key: &trust.KeyEntry{PEM: key.PEM, ValidFrom: c.from, ValidUntil: c.until}})
			got := root.VerifyBundle(bundle, subject, "", now).Signatures[0]
			if got.Code != c.code {
				t.Fatalf("got %+v", got)
			}
			if c.code == verdict.OK && !got.Until.Equal(c.until) {
				t.Fatalf("until %s, want the key's end %s", got.Until, c.until)
			}
		})
	}
}

// Rows 15 and 16 for keys: logs and timestamps date a signature.
func TestLoggedKeySignatures(t *testing.T) {
	ss := trusttest.NewSigstore(t, now)
	key, subject := trusttest.NewKey(t), trusttest.Digest("image")
	plain, err := trust.SignImage(key, repo, subject, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := now.Add(-2 * time.Hour)
	logged := ss.BundleLoggedKey(key, plain, at, time.Time{})
	stamped := ss.BundleLoggedKey(key, plain, time.Time{}, at)
	other, err := trust.SignImage(key, repo, trusttest.Digest("other"), nil)
	if err != nil {
		t.Fatal(err)
	}
	// Row 15: the entry of another artifact under this bundle.
	swapped := editBundle(t, plain, func(b map[string]any) {
		var o map[string]any
		must(t, json.Unmarshal(ss.BundleLoggedKey(key, other, at, time.Time{}), &o))
		b["verificationMaterial"] = o["verificationMaterial"]
	})
	with := trust.Options{TrustedRootJSON: ss.TrustedRoot(nil)}
	for _, c := range []struct {
		name    string
		bundle  []byte
		entry   trust.KeyEntry
		revoked time.Time
		code    verdict.Code
		at      time.Time
	}{
		{"no log is needed and none is there", plain, trust.KeyEntry{}, time.Time{}, verdict.OK, time.Time{}},
		{"a log entry dates the signature", logged, trust.KeyEntry{RequireLog: true}, time.Time{}, verdict.OK, at},
		{"a timestamp dates the signature", stamped, trust.KeyEntry{}, time.Time{}, verdict.OK, at},
		{"the log is required and absent", plain, trust.KeyEntry{RequireLog: true}, time.Time{}, verdict.SignatureLogMissing, time.Time{}},
		{"the entry is another artifact's", swapped, trust.KeyEntry{RequireLog: true}, time.Time{}, verdict.SignatureLogMissing, time.Time{}},
		{"the entry is another artifact's and nobody asked for one", swapped, trust.KeyEntry{}, time.Time{}, verdict.OK, time.Time{}},
		{"dated before the key began", logged, trust.KeyEntry{ValidFrom: now.Add(-time.Hour)}, time.Time{}, verdict.SignatureKeyValidity, at},
		{"dated while a key that has ended was valid", logged, trust.KeyEntry{ValidUntil: now.Add(-time.Hour)}, time.Time{}, verdict.OK, at},
		{"revoked after the dated signature", logged, trust.KeyEntry{}, now.Add(-time.Hour), verdict.OK, at},
		{"revoked before the dated signature", logged, trust.KeyEntry{}, at.Add(-time.Hour), verdict.SignatureRevokedKey, at},
		{"revoked and undated", plain, trust.KeyEntry{}, now.Add(-time.Hour), verdict.SignatureRevokedKey, time.Time{}},
		{"to be revoked and undated", plain, trust.KeyEntry{}, now.Add(time.Hour), verdict.OK, time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := with
			if !c.revoked.IsZero() {
				opts.Revoked = []trust.Revoked{{KeyID: key.ID, Since: c.revoked}}
			}
			c.entry.PEM = key.PEM
			root := trusttest.Root(t, opts, trust.Entry{Name: "k", Key: &c.entry})
			got := root.VerifyBundle(c.bundle, subject, "", now).Signatures[0]
			if got.Code != c.code || !got.SignedAt.Equal(c.at) || got.Valid() != (c.code == verdict.OK) {
				t.Fatalf("got %+v, want %s at %s", got, c.code, c.at)
			}
			if c.name == "to be revoked and undated" && !got.Until.Equal(c.revoked) {
				t.Fatalf("until %s, want %s", got.Until, c.revoked)
			}
			if got.Valid() && !c.at.IsZero() && len(got.Logs)+len(got.Timestamps) != 1 {
				t.Fatalf("logs %v, timestamps %v", got.Logs, got.Timestamps)
			}
		})
	}
}

func TestAnEntryMayRefuseFormats(t *testing.T) {
	key, subject := trusttest.NewKey(t), trusttest.Digest("image")
	bundle, err := trust.SignImage(key, repo, subject, nil)
	if err != nil {
		t.Fatal(err)
	}
	for format, code := range map[fact.Format]verdict.Code{
		fact.FormatBundle: verdict.OK, fact.FormatLegacy: verdict.SignatureFormatDenied,
	} {
		e := key.Entry("k")
		e.Formats = []fact.Format{format}
		if got := trusttest.Root(t, trust.Options{}, e).VerifyBundle(bundle, subject, "", now).Signatures[0]; got.Code != code {
			t.Errorf("only %s: %+v", format, got)
		}
	}
	e := key.Entry("k")
	e.Formats = []fact.Format{fact.FormatNotation}
	if _, err := trust.Compile([]trust.Entry{e}, trust.Options{}); err == nil {
		t.Error("a key entry that accepts Notation only was compiled")
	}
}

func TestUnreadableBundlesAreReportedAsBothKinds(t *testing.T) {
	key, subject := trusttest.NewKey(t), trusttest.Digest("image")
	root := trusttest.Root(t, trust.Options{}, key.Entry("k"))
	good, err := trust.SignImage(key, repo, subject, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{
		"nothing":            nil,
		"HTML":               []byte("<html>"),
		"an array":           []byte("[]"),
		"two documents":      append(append([]byte{}, good...), good...),
		"a later version":    bytes.Replace(good, []byte("v0.3"), []byte("v0.4"), 1),
		"a duplicate key":    bytes.Replace(good, []byte(`{"mediaType"`), []byte(`{"mediaType":"x","mediaType"`), 1),
		"an unknown field":   bytes.Replace(good, []byte(`{"mediaType"`), []byte(`{"x":1,"mediaType"`), 1),
		"a name in capitals": bytes.Replace(good, []byte(`"dsseEnvelope"`), []byte(`"DSSEEnvelope"`), 1),
		"no content":         []byte(`{"mediaType":"` + trust.MediaTypeBundle + `","verificationMaterial":{"publicKey":{}}}`),
	} {
		got := root.VerifyBundle(raw, subject, "src", now)
		if len(got.Signatures) != 1 || len(got.Attestations) != 1 || got.Signatures[0].Code != verdict.SignatureInvalid ||
			got.Attestations[0].Code != verdict.AttestationInvalid || got.Signatures[0].Detail == "" || got.Signatures[0].Source != "src" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := root.VerifyBundle(good, subject, "", now); !got.Signatures[0].Valid() {
		t.Errorf("the twin: %+v", got)
	}
}

// keyBundle signs any payload, as SignImage and Attest never would.
func keyBundle(t testing.TB, key trusttest.Key, payloadType, payload string, more ...trusttest.Key) []byte {
	t.Helper()
	var sigs []any
	for _, k := range append([]trusttest.Key{key}, more...) {
		sigs = append(sigs, map[string]any{"sig": signDSSE(t, k, payloadType, payload)})
	}
	data, err := json.Marshal(map[string]any{
		"mediaType":            trust.MediaTypeBundle,
		"verificationMaterial": map[string]any{"publicKey": map[string]any{"hint": "aGludA=="}},
		"dsseEnvelope":         map[string]any{"payload": []byte(payload), "payloadType": payloadType, "signatures": sigs},
	})
	must(t, err)
	return data
}

func editBundle(t testing.TB, bundle []byte, edit func(map[string]any)) []byte {
	t.Helper()
	var b map[string]any
	must(t, json.Unmarshal(bundle, &b))
	edit(b)
	data, err := json.Marshal(b)
	must(t, err)
	return data
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
