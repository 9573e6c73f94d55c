package oms

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// asPython prints bytes as Python's repr does, the slow way.
func asPython(b []byte) string {
	quote := "'"
	if strings.Contains(string(b), "'") && !strings.Contains(string(b), `"`) {
		quote = `"`
	}
	var out strings.Builder
	out.WriteString("b" + quote)
	for _, c := range b {
		switch s := string(rune(c)); {
		case s == quote || s == `\`:
			out.WriteString(`\` + s)
		case c == '\t' || c == '\n' || c == '\r':
			out.WriteString(strings.Trim(strconv.Quote(s), `"`))
		case c < 0x20 || c > 0x7e:
			fmt.Fprintf(&out, `\x%02x`, c)
		default:
			out.WriteString(s)
		}
	}
	return out.String() + quote
}

func TestPythonPrintsBytesSo(t *testing.T) {
	for _, payload := range []string{`{"a": "b"}`, "it's", `it's "so"`, "tab\there\r\n", "\x00\x1f\x7f\x80\xff", `back\slash`, ""} {
		want := "DSSEV1 28 application/vnd.in-toto+json " + strconv.Itoa(len(payload)) + " " + asPython([]byte(payload))
		if got := string(paeV02([]byte(payload))); got != want {
			t.Errorf("%q:\n got %s\nwant %s", payload, got, want)
		}
	}
	// As the interpreter prints it.
	if got := asPython([]byte("é's \"x\"\n\\")); got != `b'\xc3\xa9\'s "x"\n\\'` {
		t.Errorf("the test's own printer: %s", got)
	}
}

// v02 writes a bundle as v0.2 did: files as subjects, "DSSEV1" over a printed
// payload, and SHA-256 with any curve.
func v02(t *testing.T, key crypto.Signer, dir string, names ...string) node {
	var subjects []any
	for _, name := range names {
		content := must[[]byte](t)(os.ReadFile(filepath.Join(dir, name)))
		sum := sha256.Sum256(content)
		subjects = append(subjects, node{
			"name": name, "digest": node{"sha256": hex.EncodeToString(sum[:])},
			"annotations": node{"actual_hash_algorithm": "file-sha256"},
		})
	}
	payload := encode(t, node{
		"_type": "https://in-toto.io/Statement/v1", "subject": subjects,
		"predicateType": "https://model_signing/Digests/v0.1", "predicate": node{"unused": "Unused, just passed due to API requirements"},
	})
	b := signedBundle(t, key, payload)
	kind := "application/vnd.in-toto+json"
	sum := sha256.Sum256([]byte(fmt.Sprintf("DSSEV1 %d %s %d %s", len(kind), kind, len(payload), asPython(payload))))
	sig := must[[]byte](t)(key.Sign(rand.Reader, sum[:], crypto.SHA256))
	b["dsseEnvelope"].(node)["signatures"] = []any{node{"sig": base64.StdEncoding.EncodeToString(sig), "keyid": nil}}
	return b
}

func TestV02IsReadOnlyWhereAllowed(t *testing.T) {
	key := ecKey(t, elliptic.P384())
	dir := writeModel(t, map[string]string{"a": "1", "ünicode's": "2"})
	raw := encode(t, v02(t, key, dir, "ünicode's", "a"))
	p := trusting(t, key)
	if _, err := Verify(t.Context(), raw, dir, p); !errors.Is(err, ErrManifest) || !strings.Contains(err.Error(), "v0.2") {
		t.Fatalf("without leave: %v", err)
	}
	p.AllowV02 = true
	v, err := Verify(t.Context(), raw, dir, p)
	if err != nil {
		t.Fatal(err)
	}
	if !v.V02 || v.Root != mustHash(t, dir, Options{}).Manifest.Root() {
		t.Errorf("got %+v", v)
	}
	bad := p
	bad.Keys = trusting(t, ecKey(t, elliptic.P384())).Keys
	if _, err := Verify(t.Context(), raw, dir, bad); !errors.Is(err, ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	write(t, filepath.Join(dir, "a"), "2")
	var diff *MismatchError
	if _, err := Verify(t.Context(), raw, dir, p); !errors.As(err, &diff) {
		t.Errorf("changed file: %v", err)
	}
}

func TestTheOldEncodingCountsForNothingElse(t *testing.T) {
	key := ecKey(t, elliptic.P256())
	dir := writeModel(t, map[string]string{"a": "1"})
	b := decode(t, mustSign(t, mustHash(t, dir, Options{}).Manifest, Signer{Key: key}))
	p := trusting(t, key)
	p.AllowV02 = true
	if _, err := Verify(t.Context(), encode(t, b), dir, p); err != nil {
		t.Fatal(err)
	}
	payload := must[[]byte](t)(base64.StdEncoding.DecodeString(b["dsseEnvelope"].(node)["payload"].(string)))
	sum := sha256.Sum256(paeV02(payload))
	sig := must[[]byte](t)(key.Sign(rand.Reader, sum[:], crypto.SHA256))
	b["dsseEnvelope"].(node)["signatures"] = []any{node{"sig": base64.StdEncoding.EncodeToString(sig)}}
	if _, err := Verify(t.Context(), encode(t, b), dir, p); !errors.Is(err, ErrSignature) {
		t.Errorf("a v1.0 statement under the v0.2 encoding: %v", err)
	}
}

func TestOlderAndOtherWritersAreRead(t *testing.T) {
	key := ecKey(t, elliptic.P384())
	dir := small(t)
	single := filepath.Join(dir, "model.safetensors")
	bundleOf := func(path string, o Options) []byte {
		return mustSign(t, mustHash(t, path, o).Manifest, Signer{Key: key})
	}
	whole, shards := bundleOf(dir, Options{}), func() []byte {
		remove(t, dir, "tokenizer/empty.txt")
		defer write(t, filepath.Join(dir, "tokenizer/empty.txt"), "")
		return bundleOf(dir, Options{Method: Shards, ShardSize: 1024})
	}()
	change := func(raw []byte, f func(node)) []byte {
		n := decode(t, raw)
		f(n)
		return encode(t, n)
	}
	signatures := func(n node) []any { return n["dsseEnvelope"].(node)["signatures"].([]any) }
	for _, test := range []struct {
		name   string
		bundle []byte
		path   string
		policy func(*Policy)
		refuse string
	}{
		{name: "rawBytes and a null keyid (before 1.1)", path: dir, bundle: change(whole, func(n node) {
			n["verificationMaterial"] = node{"publicKey": node{
				"rawBytes": base64.StdEncoding.EncodeToString(publicPEM(t, key)), "keyDetails": "PKIX_ECDSA_P384_SHA_384",
			}}
			signatures(n)[0].(node)["keyid"] = nil
		})},
		{name: "no keyid and no log entries (other implementations)", path: dir, bundle: change(whole, func(n node) {
			delete(n["verificationMaterial"].(node), "tlogEntries")
			delete(signatures(n)[0].(node), "keyid")
		})},
		{name: "an unknown signature beside a known one", path: dir, bundle: change(whole, func(n node) {
			n["dsseEnvelope"].(node)["signatures"] = append([]any{node{"sig": "AAAA"}}, signatures(n)...)
		})},
		{name: "more signatures than anybody makes", path: dir, refuse: "9 signatures", bundle: change(whole, func(n node) {
			for len(signatures(n)) < maxSignatures+1 {
				n["dsseEnvelope"].(node)["signatures"] = append(signatures(n), signatures(n)[0])
			}
		})},
		{name: "sorted by components (reference implementation)", path: dir, bundle: resigned(t, key, whole, func(st, p, _ node) {
			r := resources(p)
			sort.Slice(r, func(i, j int) bool { return byParts(r[i].(node)["name"].(string), r[j].(node)["name"].(string)) < 0 })
			if r[len(r)-1].(node)["name"] != "tokenizer-old.json" {
				t.Fatal("the two orders do not differ here")
			}
			fit(st)
		})},
		{name: "fields that descriptors may have", path: dir, bundle: resigned(t, key, whole, func(_, p, _ node) {
			resources(p)[0].(node)["annotations"] = node{"size": 1}
			p["model_card"] = node{}
		})},
		{name: `one file called "."`, path: single, bundle: resigned(t, key, bundleOf(single, Options{}), func(_, p, _ node) {
			resources(p)[0].(node)["name"] = "."
		})},
		{name: `one file called "." for a folder`, path: dir, refuse: ". → model.safetensors", bundle: resigned(t, key, bundleOf(single, Options{}), func(_, p, _ node) {
			resources(p)[0].(node)["name"] = "."
		})},
		{name: "one file by its name", path: single, bundle: bundleOf(single, Options{})},
		{name: "one file by another name", path: filepath.Join(dir, "config.json"), refuse: "missing", bundle: bundleOf(single, Options{})},
		{name: `one file called "." in shards`, path: single, bundle: resigned(t, key, bundleOf(single, Options{Method: Shards, ShardSize: 1024}), func(_, p, _ node) {
			resources(p)[0].(node)["name"] = ".:0:31"
		})},
		{name: "shards named in the algorithm", path: dir, policy: func(p *Policy) { p.AllowEmpty = true }, bundle: resigned(t, key, shards, func(_, p, _ node) {
			for _, r := range resources(p) {
				r.(node)["algorithm"] = "sha256-sharded-1024"
			}
		})},
		{name: "shards of another size in the algorithm", path: dir, refuse: "is hashed with", bundle: resigned(t, key, shards, func(_, p, _ node) {
			resources(p)[0].(node)["algorithm"] = "sha256-sharded-1025"
		})},
		{name: "a shard size as protobuf writes numbers", path: dir, policy: func(p *Policy) { p.AllowEmpty = true },
			bundle: bytesResigned(t, key, shards, `"shard_size":1024`, `"shard_size":1024.0`)},
		{name: "a shard size that is no whole number", path: dir, refuse: "whole number", bundle: bytesResigned(t, key, shards, `"shard_size":1024`, `"shard_size":1024.5`)},
		{name: "an empty file beside shards, allowed", path: dir, bundle: shards, policy: func(p *Policy) { p.AllowEmpty = true }},
		{name: "an empty file beside shards", path: dir, bundle: shards, refuse: `not signed: "tokenizer/empty.txt"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := trusting(t, key)
			if test.policy != nil {
				test.policy(&p)
			}
			_, err := Verify(t.Context(), test.bundle, test.path, p)
			switch {
			case test.refuse == "" && err != nil:
				t.Error(err)
			case test.refuse != "" && (err == nil || !strings.Contains(err.Error(), test.refuse)):
				t.Errorf("got %v, want %q", err, test.refuse)
			}
		})
	}
}

// bytesResigned changes the statement's text and signs it again.
func bytesResigned(t *testing.T, key crypto.Signer, raw []byte, from, to string) []byte {
	payload := must[*Bundle](t)(Read(raw)).payload
	changed := bytes.Replace(payload, []byte(from), []byte(to), 1)
	if bytes.Equal(changed, payload) {
		t.Fatalf("the statement has no %s", from)
	}
	return encode(t, signedBundle(t, key, changed))
}

func TestTheOrderOfASignerDoesNotChangeWhatAModelIsCalled(t *testing.T) {
	key, dir := edKey(t), small(t)
	ours := mustSign(t, mustHash(t, dir, Options{}).Manifest, Signer{Key: key})
	theirs := resigned(t, key, ours, func(st, p, _ node) {
		r := resources(p)
		sort.Slice(r, func(i, j int) bool { return byParts(r[i].(node)["name"].(string), r[j].(node)["name"].(string)) < 0 })
		fit(st)
	})
	a := must[*Verified](t)(Verify(t.Context(), ours, dir, trusting(t, key)))
	b := must[*Verified](t)(Verify(t.Context(), theirs, dir, trusting(t, key)))
	if a.Root == b.Root || a.Canonical != a.Root || b.Canonical != a.Root {
		t.Errorf("ours %s (%s), theirs %s (%s)", a.Root, a.Canonical, b.Root, b.Canonical)
	}
}

func TestDuplicateKeysInTheStatementAreRefused(t *testing.T) {
	key := edKey(t)
	dir := small(t)
	raw := mustSign(t, mustHash(t, dir, Options{}).Manifest, Signer{Key: key})
	for _, change := range [][2]string{
		{`"method":"files"`, `"method":"shards","method":"files"`},
		{`"name":"config.json"`, `"name":"other","name":"config.json"`},
		{`"predicateType":`, `"predicatetype":"x","predicateType":`},
	} {
		if _, err := Verify(t.Context(), bytesResigned(t, key, raw, change[0], change[1]), dir, trusting(t, key)); !errors.Is(err, ErrManifest) || !strings.Contains(err.Error(), "duplicate") {
			t.Errorf("%s: %v", change[1], err)
		}
	}
	if _, err := Verify(t.Context(), bytesResigned(t, key, raw, `"method":"files"`, `"method": "files"`), dir, trusting(t, key)); err != nil {
		t.Errorf("their twin: %v", err)
	}
}
