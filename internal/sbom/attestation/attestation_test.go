package attestation_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/sbom"
	"github.com/apexlogic/apex/internal/sbom/attestation"
	"github.com/apexlogic/apex/internal/sbom/integrity"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

var signedAt = time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)

const (
	actions  = "https://token.actions.githubusercontent.com"
	workflow = "https://github.com/vision/captioner/.github/workflows/release.yml@refs/tags/v1.0"
	publish  = "https://docs.pypi.org/attestations/publish/v1"
	slsa     = "https://slsa.dev/provenance/v1"
	npmPub   = "https://github.com/npm/attestation/tree/main/specs/publish/v0.1"
	archive  = "captioner-1.0-py3-none-any.whl"
	content  = "not really a zip, and never opened"
)

type object = map[string]any

// index is an index whose publishers sign at a sigstore of the test's own.
type index struct {
	t        testing.TB
	sigstore *trusttest.Sigstore
}

func newIndex(t testing.TB) index { return index{t, trusttest.NewSigstore(t, signedAt)} }

// options trust the index.
func (x index) options() attestation.Options {
	return attestation.Options{TrustedRootJSON: x.sigstore.TrustedRoot(nil)}
}

// signing describes one signature.
type signing struct {
	name, digest, predicate string // of the statement; by default those of the wheel
	identity, issuer        string
	edit                    func(bundle object)
}

func sum256(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func sum512(text string) string {
	sum := sha512.Sum512([]byte(text))
	return hex.EncodeToString(sum[:])
}

func orElse(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// bundle signs a statement and packs it as sigstore does.
func (x index) bundle(s signing) object {
	x.t.Helper()
	algorithm, digest := "sha256", orElse(s.digest, sum256(content))
	if len(digest) == 128 {
		algorithm = "sha512"
	}
	payload := marshal(x.t, object{
		"_type": "https://in-toto.io/Statement/v1", "predicateType": orElse(s.predicate, publish), "predicate": nil,
		"subject": []object{{"name": orElse(s.name, archive), "digest": object{algorithm: digest}}},
	})
	leaf := x.sigstore.Certify(trusttest.Certify{
		Subject: orElse(s.identity, workflow), Issuer: orElse(s.issuer, actions),
		Extensions: map[int]string{8: orElse(s.issuer, actions), 12: "https://github.com/vision/captioner", 18: orElse(s.identity, workflow)},
	})
	var b object
	if err := json.Unmarshal(x.sigstore.Bundle(trusttest.Keyless{Leaf: leaf, Payload: payload, WithoutTSA: true}), &b); err != nil {
		x.t.Fatal(err)
	}
	if s.edit != nil {
		s.edit(b)
	}
	return b
}

// pep740 packs it as PyPI does.
func (x index) pep740(s signing) object {
	b := x.bundle(s)
	material, envelope := b["verificationMaterial"].(object), b["dsseEnvelope"].(object)
	return object{
		"version":               1,
		"verification_material": object{"certificate": material["certificate"].(object)["rawBytes"], "transparency_entries": material["tlogEntries"]},
		"envelope":              object{"statement": envelope["payload"], "signature": envelope["signatures"].([]any)[0].(object)["sig"]},
	}
}

func provenance(publisher object, attestations ...object) object {
	return object{"version": 1, "attestation_bundles": []object{{"publisher": publisher, "attestations": attestations}}}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// examine writes the files and examines the folder.
func examine(t *testing.T, o attestation.Options, files map[string]string) integrity.Report {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, report, err := sbom.Examine(t.Context(), sbom.Folder(dir), sbom.Options{Attestations: o, Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// expect compares with "holds", "gap: …", "wrong: …" or "" for nothing at all.
func expect(t *testing.T, r integrity.Report, want string) {
	t.Helper()
	var wrong []integrity.Finding
	for _, f := range r.Findings {
		if f.Kind == integrity.Attestation {
			wrong = append(wrong, f)
		}
	}
	got := ""
	switch {
	case len(wrong) == 1 && len(r.Attested)+len(r.Gaps) == 0:
		got = "wrong: " + wrong[0].Detail
		if wrong[0].Code() != verdict.InventoryAttested || wrong[0].Source != "attestation" {
			t.Errorf("%+v", wrong[0])
		}
	case len(wrong) == 0 && len(r.Attested) == 1 && len(r.Gaps) == 0:
		got = "holds"
	case len(wrong)+len(r.Attested) == 0 && len(r.Gaps) == 1:
		got = "gap: " + r.Gaps[0].Why
	case len(wrong)+len(r.Attested)+len(r.Gaps) > 0:
		got = fmt.Sprintf("%+v %+v %+v", wrong, r.Attested, r.Gaps)
	}
	kind, words, _ := strings.Cut(want, ":")
	if !strings.HasPrefix(got, kind) || !strings.Contains(got, strings.TrimSpace(words)) || (got == "") != (want == "") {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAttestationsBesideAnArchive(t *testing.T) {
	x := newIndex(t)
	captioner := object{"kind": "GitHub", "repository": "Vision/captioner", "workflow": "release.yml"}
	for _, c := range []struct {
		name, file string
		document   any
		want       string
	}{
		{"of PEP 740", archive + ".publish.attestation", x.pep740(signing{}), "holds"},
		{"of provenance", archive + ".slsa.attestation", x.pep740(signing{predicate: slsa}), "holds"},
		{"as PyPI's provenance object", archive + ".provenance", provenance(captioner, x.pep740(signing{})), "holds"},
		{"as a file that is not named after the archive", "provenance.json", provenance(captioner, x.pep740(signing{})), "holds"},
		{"as a sigstore bundle", archive + ".sigstore.json", x.bundle(signing{}), "holds"},
		{"about another content", archive + ".publish.attestation", x.pep740(signing{digest: sum256("other")}), "wrong: it is about an archive of the digest"},
		{"about another file", archive + ".publish.attestation", x.pep740(signing{name: "captioner-1.1-py3-none-any.whl"}), "wrong: lies beside"},
		{"about what is no archive", archive + ".publish.attestation", x.pep740(signing{name: "captioner"}), "wrong: names no package"},
		{"about a path", archive + ".publish.attestation", x.pep740(signing{name: "../" + archive}), "wrong: names no package"},
		{"by another repository than the index names", archive + ".provenance", provenance(object{"kind": "GitHub", "repository": "claims/captioner", "workflow": "release.yml"}, x.pep740(signing{})), "wrong: the index names GitHub claims/captioner"},
		{"by another workflow of it", archive + ".provenance", provenance(object{"kind": "GitHub", "repository": "vision/captioner", "workflow": "test.yml"}, x.pep740(signing{})), "wrong: the index names"},
		{"by a publisher of an unknown kind", archive + ".provenance", provenance(object{"kind": "Forge"}, x.pep740(signing{})), "wrong: not known"},
		{"by a person, whom no index takes", archive + ".publish.attestation", x.pep740(signing{identity: "mallory@example.com", issuer: "https://github.com/login/oauth"}), "wrong: takes no publisher"},
		{"of another sigstore", archive + ".publish.attestation", newIndex(t).pep740(signing{}), "wrong: "},
		{"with another statement under the signature", archive + ".publish.attestation", x.pep740(signing{digest: sum256("other"), edit: func(b object) {
			envelope := b["dsseEnvelope"].(object)
			text, _ := base64.StdEncoding.DecodeString(envelope["payload"].(string))
			envelope["payload"] = []byte(strings.Replace(string(text), sum256("other"), sum256(content), 1))
		}}), "wrong: "},
		{"without a log entry", archive + ".publish.attestation", x.pep740(signing{edit: func(b object) { b["verificationMaterial"].(object)["tlogEntries"] = []any{} }}), "wrong: "},
		{"of an unknown predicate", archive + ".publish.attestation", x.pep740(signing{predicate: "https://example.com/x"}), "gap: of a type that is not read"},
		{"of npm about a file of PyPI", archive + ".publish.attestation", x.pep740(signing{predicate: npmPub}), "wrong: names no package"},
		{"of a later version", archive + ".publish.attestation", object{"version": 2, "envelope": object{}}, "wrong: version 2"},
		{"that is empty", archive + ".provenance", provenance(captioner), "wrong: no attestation"},
		{"that is no JSON", archive + ".publish.attestation", "nothing", "wrong: neither an attestation"},
		{"another tool's file of a common name", "provenance.json", object{"builder": "x"}, ""},
		{"a signature that is none of PEP 740", archive + ".sigstore", object{"base64Signature": "x"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, ok := c.document.(string)
			if !ok {
				text = string(marshal(t, c.document))
			}
			r := examine(t, x.options(), map[string]string{"wheels/" + archive: content, "wheels/" + c.file: text})
			expect(t, r, c.want)
			if c.want != "holds" {
				return
			}
			a := r.Attested[0]
			if a.Package != "pkg:pypi/captioner@1.0" || a.File != "wheels/"+archive || a.Digest != "sha256:"+sum256(content) || a.Publisher.Identity != workflow ||
				a.Publisher.Issuer != actions || a.Publisher.Repository != "https://github.com/vision/captioner" || a.Publisher.Workflow != workflow {
				t.Errorf("%+v", a)
			}
		})
	}
}

func TestAttestationsOfWhatIsInstalled(t *testing.T) {
	x := newIndex(t)
	const info = "site/captioner-1.0.dist-info/"
	installed := func(more map[string]string) map[string]string {
		files := map[string]string{info + "METADATA": "Metadata-Version: 2.1\nName: captioner\nVersion: 1.0\n", info + "RECORD": ""}
		for k, v := range more {
			files[k] = v
		}
		return files
	}
	good := string(marshal(t, x.pep740(signing{})))
	pinned := "captioner==1.0 --hash=sha256:" + sum256(content) + "\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"a lock file pins the archive", installed(map[string]string{info + "captioner.publish.attestation": good, "requirements.txt": pinned}), "holds"},
		{"direct_url.json does", installed(map[string]string{info + "captioner.publish.attestation": good,
			info + "direct_url.json": `{"url":"https://files.example/` + archive + `","archive_info":{"hashes":{"sha256":"` + sum256(content) + `"}}}`}), "holds"},
		{"a lock file pins another archive", installed(map[string]string{info + "captioner.publish.attestation": good, "requirements.txt": "captioner==1.0 --hash=sha256:" + sum256("x") + "\n"}), "wrong: none of those that are pinned"},
		{"nothing says which archive it was", installed(map[string]string{info + "captioner.publish.attestation": good}), "gap: nothing says which archive"},
		{"it is about another version", installed(map[string]string{info + "captioner.publish.attestation": string(marshal(t, x.pep740(signing{name: "captioner-1.1.tar.gz"}))), "requirements.txt": pinned}), "wrong: lies in"},
		{"it is about another package", installed(map[string]string{info + "captioner.publish.attestation": string(marshal(t, x.pep740(signing{name: "other-1.0.tar.gz"}))), "requirements.txt": pinned}), "wrong: lies in"},
		{"there is none", installed(map[string]string{"requirements.txt": pinned}), ""},
	} {
		t.Run(c.name, func(t *testing.T) { expect(t, examine(t, x.options(), c.files), c.want) })
	}
}

func TestAttestationsThatAreHandedIn(t *testing.T) {
	x := newIndex(t)
	lock := func(integrity string) map[string]string {
		return map[string]string{"package-lock.json": `{"name":"app","lockfileVersion":3,"packages":{"":{"name":"app"},"node_modules/@vision/captioner":{"version":"1.0.0","resolved":"https://registry.example/c.tgz","integrity":"` + integrity + `"}}}`}
	}
	sum := sha512.Sum512([]byte(content))
	sri := "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
	statement := signing{name: "pkg:npm/%40vision/captioner@1.0.0", digest: sum512(content), predicate: slsa}
	npm := func(bundles ...object) string {
		var all []object
		for _, b := range bundles {
			all = append(all, object{"predicateType": "said here and not believed", "bundle": b})
		}
		return string(marshal(t, object{"attestations": all}))
	}
	other := statement
	other.digest = sum512("other")
	absent := statement
	absent.name = "pkg:npm/absent@1.0.0"
	google := statement
	google.identity, google.issuer = "a@example.com", "https://accounts.google.com"
	for _, c := range []struct {
		name, document string
		files          map[string]string
		want           string
	}{
		{"provenance of what a lock file pins", npm(x.bundle(statement)), lock(sri), "holds"},
		{"provenance as a bundle of its own", string(marshal(t, x.bundle(statement))), lock(sri), "holds"},
		{"provenance of another archive", npm(x.bundle(other)), lock(sri), "wrong: none of those that are pinned"},
		{"provenance of a package that is not here", npm(x.bundle(absent)), lock(sri), ""},
		{"provenance where nothing is pinned", npm(x.bundle(statement)), lock(""), "gap: nothing says which archive"},
		{"provenance by whom npm does not take", npm(x.bundle(google)), lock(sri), "wrong: takes no publisher"},
		{"an envelope with two signatures", npm(x.bundle(signing{name: statement.name, digest: statement.digest, predicate: slsa, edit: func(b object) {
			e := b["dsseEnvelope"].(object)
			e["signatures"] = append(e["signatures"].([]any), object{"sig": "AAAA"})
		}})), lock(sri), "wrong: one signature"},
		{"what is no attestation", `{"attestations":[{"bundle":{}}]}`, lock(sri), "wrong: "},
		{"what is no JSON", `{`, lock(sri), "wrong: neither"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := x.options()
			o.Documents = []attestation.Document{{Name: "handed-in.json", Data: []byte(c.document)}}
			expect(t, examine(t, o, c.files), c.want)
		})
	}
}

func TestPublicationsThatTheRegistrySigns(t *testing.T) {
	x := newIndex(t)
	key := trusttest.NewKey(t)
	sum := sha512.Sum512([]byte(content))
	files := map[string]string{"package-lock.json": `{"name":"app","lockfileVersion":3,"packages":{"":{"name":"app"},"node_modules/captioner":{"version":"1.0.0","integrity":"sha512-` + base64.StdEncoding.EncodeToString(sum[:]) + `"}}}`}
	sign := func(predicate string) []byte {
		payload := marshal(t, object{"_type": "https://in-toto.io/Statement/v0.1", "predicateType": predicate, "subject": []object{{"name": "pkg:npm/captioner@1.0.0", "digest": object{"sha512": sum512(content)}}}})
		return x.sigstore.BundleLoggedKey(key, keyed(t, key, payload), signedAt, signedAt)
	}
	for _, c := range []struct {
		name      string
		predicate string
		keys      map[string][]byte
		want      string
	}{
		{"with its key", npmPub, map[string][]byte{"SHA256:registry": key.PEM}, "holds"},
		{"with another key under that id", npmPub, map[string][]byte{"SHA256:registry": trusttest.NewKey(t).PEM}, "wrong: "},
		{"without its key", npmPub, nil, "gap: key that was not handed in: SHA256:registry"},
		{"provenance by a key", slsa, map[string][]byte{"SHA256:registry": key.PEM}, "wrong: only npm's registry"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := x.options()
			o.RegistryKeys = c.keys
			o.Documents = []attestation.Document{{Name: "attestations.json", Data: sign(c.predicate)}}
			expect(t, examine(t, o, files), c.want)
		})
	}
}

// keyed packs a payload that the key signs (DSSE v1) under the id "SHA256:registry".
func keyed(t *testing.T, key trusttest.Key, payload []byte) []byte {
	t.Helper()
	const kind = "application/vnd.in-toto+json"
	sum := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(kind), kind, len(payload), payload))
	sig, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return marshal(t, object{
		"mediaType":            "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": object{"publicKey": object{"hint": "SHA256:registry"}},
		"dsseEnvelope":         object{"payload": payload, "payloadType": kind, "signatures": []object{{"sig": sig}}},
	})
}
