package oms

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// signedBundle is what a signer that is not this package writes around a
// payload.
func signedBundle(t testing.TB, key crypto.Signer, payload []byte) node {
	pub := must[*publicKey](t)(newPublicKey("", key.Public()))
	sig := must[[]byte](t)(signPayload(key, pae(payload)))
	return node{
		"mediaType":            "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": node{"publicKey": node{"hint": pub.hint()}, "tlogEntries": []any{}},
		"dsseEnvelope": node{
			"payload": base64.StdEncoding.EncodeToString(payload), "payloadType": "application/vnd.in-toto+json",
			"signatures": []any{node{"sig": base64.StdEncoding.EncodeToString(sig)}},
		},
	}
}

// resigned changes the statement of a bundle and signs it again: what a signer
// who is trusted and errs, or cheats, would write. The root is made to fit.
func resigned(t testing.TB, key crypto.Signer, raw []byte, change func(statement, predicate, serialization node)) []byte {
	t.Helper()
	payload := must[*Bundle](t)(Read(raw)).payload
	st := decode(t, payload)
	predicate := st["predicate"].(node)
	change(st, predicate, predicate["serialization"].(node))
	return encode(t, signedBundle(t, key, encode(t, st)))
}

// fit computes the root digest of what a test put into a statement.
func fit(st node) {
	h := sha256.New()
	for _, r := range st["predicate"].(node)["resources"].([]any) {
		raw, _ := hex.DecodeString(r.(node)["digest"].(string))
		h.Write(raw)
	}
	st["subject"].([]any)[0].(node)["digest"] = node{"sha256": hex.EncodeToString(h.Sum(nil))}
}

func resources(predicate node) []any { return predicate["resources"].([]any) }

func TestEveryTamperingIsRefused(t *testing.T) {
	key, other := ecKey(t, elliptic.P384()), ecKey(t, elliptic.P384())
	envelope := func(n node) node { return n["dsseEnvelope"].(node) }
	material := func(n node) node { return n["verificationMaterial"].(node) }
	// Each kind changes one thing of a bundle, of a statement that is then
	// signed again by the trusted key, of the folder or of the policy.
	kinds := []struct {
		name      string
		options   Options
		bundle    func(node)
		text      func([]byte) []byte
		statement func(st, predicate, serialization node)
		folder    func(t *testing.T, dir string)
		policy    func(*Policy)
		want      string
		is        error // nil: a *MismatchError
	}{
		// The bundle, by somebody without a key.
		{name: "payload changed", want: "does not verify", is: ErrSignature, bundle: func(n node) {
			raw, _ := base64.StdEncoding.DecodeString(envelope(n)["payload"].(string))
			raw = bytes.Replace(raw, []byte(`"tiny"`), []byte(`"tinx"`), 1)
			envelope(n)["payload"] = base64.StdEncoding.EncodeToString(raw)
		}},
		{name: "signature changed", want: "does not verify", is: ErrSignature, bundle: func(n node) {
			sig := envelope(n)["signatures"].([]any)[0].(node)
			raw, _ := base64.StdEncoding.DecodeString(sig["sig"].(string))
			raw[len(raw)-1] ^= 1
			sig["sig"] = base64.StdEncoding.EncodeToString(raw)
		}},
		{name: "signature removed", want: "0 signatures", is: ErrManifest, bundle: func(n node) { envelope(n)["signatures"] = []any{} }},
		{name: "hint of another key", want: "names another key", is: ErrSignature, bundle: func(n node) {
			material(n)["publicKey"].(node)["hint"] = strings.Repeat("ab", 32)
		}},
		{name: "key taken out", want: "neither hint nor rawBytes", is: ErrManifest, bundle: func(n node) { material(n)["publicKey"] = node{} }},
		{name: "rawBytes of another key", want: "another one", is: ErrSignature, bundle: func(n node) {
			material(n)["publicKey"] = node{"rawBytes": base64.StdEncoding.EncodeToString(publicPEM(t, other))}
		}},
		{name: "a certificate beside the key", want: "exactly one of", is: ErrManifest, bundle: func(n node) {
			material(n)["certificate"] = node{"rawBytes": "AAAA"}
		}},
		{name: "bundle media type", want: "mediaType", is: ErrManifest, bundle: func(n node) { n["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1" }},
		{name: "payload type", want: "payloadType", is: ErrManifest, bundle: func(n node) { envelope(n)["payloadType"] = "application/json" }},
		{name: "unknown field", want: "unknown field", is: ErrManifest, bundle: func(n node) { n["messageSignature"] = node{} }},
		{name: "duplicate key", want: "duplicate key", is: ErrManifest, text: func(b []byte) []byte {
			return bytes.Replace(b, []byte(`{"mediaType"`), []byte(`{"mediaType":"x","mediaType"`), 1)
		}},
		{name: "duplicate key but for case", want: "duplicate key", is: ErrManifest, text: func(b []byte) []byte {
			return bytes.Replace(b, []byte(`{"mediaType"`), []byte(`{"MediaType":"x","mediaType"`), 1)
		}},
		{name: "something after the bundle", want: "more than one", is: ErrManifest, text: func(b []byte) []byte { return append(b, '1') }},
		{name: "key swapped", want: "verifies under none", is: ErrSignature, policy: func(p *Policy) { p.Keys = trusting(t, other).Keys }},
		{name: "nobody trusted", want: "names none", is: ErrSignature, policy: func(p *Policy) { p.Keys = nil }},

		// The folder.
		{name: "one byte changed", want: `changed: "model.safetensors"`, folder: func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "model.safetensors"), "weights weights weights weighty")
		}},
		{name: "a file renamed", want: "config.json → Config.json", folder: func(t *testing.T, dir string) {
			rename(t, dir, "config.json", "Config.json")
		}},
		{name: "two files swapped", want: `changed: "config.json", "tokenizer/merges"`, folder: func(t *testing.T, dir string) {
			rename(t, dir, "config.json", "x")
			rename(t, dir, "tokenizer/merges", "config.json")
			rename(t, dir, "x", "tokenizer/merges")
		}},
		{name: "a file added", want: `not signed: "added.py"`, folder: func(t *testing.T, dir string) { write(t, filepath.Join(dir, "added.py"), "") }},
		{name: "a file added that git would keep, below the top", want: `not signed: "tokenizer/.gitattributes"`, folder: func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "tokenizer/.gitattributes"), "")
		}},
		{name: "a file missing", want: `missing: "tokenizer/merges"`, folder: func(t *testing.T, dir string) { remove(t, dir, "tokenizer/merges") }},
		{name: "an empty file missing", want: `missing: "tokenizer/empty.txt"`, folder: func(t *testing.T, dir string) { remove(t, dir, "tokenizer/empty.txt") }},
		{name: "an empty file filled", want: `changed: "tokenizer/empty.txt"`, folder: func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "tokenizer/empty.txt"), "x")
		}},
		{name: "a twin by case", want: `not signed: "MODEL.safetensors"`, folder: func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "MODEL.safetensors"), "weights weights weights weights")
		}},
		{name: "a file swapped for a link to its copy inside", want: "symbolic link", is: errAny, folder: func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, ".git/copy"), `{"architectures":["Tiny"]}`)
			remove(t, dir, "config.json")
			link(t, ".git/copy", filepath.Join(dir, "config.json"))
		}},
		{name: "a folder swapped for a link", want: "symbolic link", is: errAny, folder: func(t *testing.T, dir string) {
			rename(t, dir, "tokenizer", ".git")
			link(t, ".git", filepath.Join(dir, "tokenizer"))
		}},
		{name: "a file swapped for a folder", want: `missing: "config.json"`, folder: func(t *testing.T, dir string) {
			remove(t, dir, "config.json")
			write(t, filepath.Join(dir, "config.json", "x"), "")
		}},

		// The statement, signed by a trusted key.
		{name: "a digest of another file", want: "changed", statement: func(st, p, _ node) {
			resources(p)[0].(node)["digest"] = resources(p)[1].(node)["digest"]
			fit(st)
		}},
		{name: "root digest", want: "make up", is: ErrManifest, statement: func(st, _, _ node) {
			st["subject"].([]any)[0].(node)["digest"] = node{"sha256": strings.Repeat("0", 64)}
		}},
		{name: "no root digest", want: "sha256: missing", is: ErrManifest, statement: func(st, _, _ node) {
			st["subject"].([]any)[0].(node)["digest"] = node{"sha512": strings.Repeat("0", 128)}
		}},
		{name: "a second subject", want: "2 subjects", is: ErrManifest, statement: func(st, _, _ node) {
			st["subject"] = append(st["subject"].([]any), st["subject"].([]any)[0])
		}},
		{name: "resources reordered", want: "not sorted", is: ErrManifest, statement: func(st, p, _ node) {
			r := resources(p)
			r[0], r[1] = r[1], r[0]
			fit(st)
		}},
		{name: "a resource twice", want: "twice", is: ErrManifest, statement: func(st, p, _ node) {
			p["resources"] = slices.Insert(resources(p), 1, resources(p)[0])
			fit(st)
		}},
		{name: "no resources", want: "no file", is: ErrManifest, statement: func(st, p, _ node) {
			p["resources"] = []any{}
			fit(st)
		}},
		{name: "a resource that leads out", want: "clean path", is: ErrManifest, statement: func(st, p, _ node) {
			resources(p)[0].(node)["name"] = "../tiny/config.json"
		}},
		{name: "a resource with a backslash", want: "backslash", is: ErrManifest, statement: func(st, p, _ node) {
			resources(p)[0].(node)["name"] = `.\config.json`
		}},
		{name: "hash type downgraded", want: "hash_type", is: ErrManifest, statement: func(_, _, s node) { s["hash_type"] = "md5" }},
		{name: "hash type swapped", want: "hash_type is", is: ErrManifest, statement: func(_, _, s node) { s["hash_type"] = "blake3" }},
		{name: "algorithm of a resource swapped", want: "is hashed with", is: ErrManifest, statement: func(_, p, _ node) {
			resources(p)[2].(node)["algorithm"] = "sha1"
		}},
		{name: "hash type and algorithms swapped", want: "changed", statement: func(_, p, s node) {
			s["hash_type"] = "blake3"
			for _, r := range resources(p) {
				r.(node)["algorithm"] = "blake3"
			}
		}},
		{name: "unknown method", want: "unknown serialization method", is: ErrManifest, statement: func(_, _, s node) { s["method"] = "tensors" }},
		{name: "unknown serialization field", want: "unknown field", is: ErrManifest, statement: func(_, _, s node) { s["normalize"] = true }},
		{name: "shard size beside files", want: "shard_size", is: ErrManifest, statement: func(_, _, s node) { s["shard_size"] = 4096 }},
		{name: "predicate type", want: "predicateType", is: ErrManifest, statement: func(st, _, _ node) { st["predicateType"] = "https://slsa.dev/provenance/v1" }},
		{name: "statement type", want: "_type", is: ErrManifest, statement: func(st, _, _ node) { st["_type"] = "https://in-toto.io/Statement/v0.1" }},
		{name: "ignored paths widened", want: "asks to ignore", folder: func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "cache/run.py"), "")
		}, statement: func(_, _, s node) { s["ignore_paths"] = []any{"cache"} }},

		// Shards.
		{name: "a byte of the second shard", options: Options{Method: Shards, ShardSize: 1024}, want: "changed", folder: func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "big.bin"), strings.Repeat("a", 2000)+"b"+strings.Repeat("a", 999))
		}},
		{name: "a file with another shard's end", options: Options{Method: Shards, ShardSize: 1024}, want: "changed", folder: func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "big.bin"), strings.Repeat("a", 2999))
		}},
		{name: "an empty file beside shards", options: Options{Method: Shards, ShardSize: 1024}, want: "not signed", folder: func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "__init__.py"), "")
		}},
		{name: "shard boundaries moved", options: Options{Method: Shards, ShardSize: 1024}, want: "not cut", is: ErrManifest, statement: func(_, p, _ node) {
			resources(p)[1].(node)["name"], resources(p)[2].(node)["name"] = "big.bin:0:1000", "big.bin:1000:2048"
		}},
		{name: "a shard left out", options: Options{Method: Shards, ShardSize: 1024}, want: "leave out", is: ErrManifest, statement: func(st, p, _ node) {
			p["resources"] = slices.Delete(resources(p), 1, 2)
			fit(st)
		}},
		{name: "the last shard left out", options: Options{Method: Shards, ShardSize: 1024}, want: `changed: "big.bin"`, statement: func(st, p, _ node) {
			p["resources"] = slices.Delete(resources(p), 3, 4)
			fit(st)
		}},
		{name: "shard size changed", options: Options{Method: Shards, ShardSize: 1024}, want: "not cut", is: ErrManifest, statement: func(_, _, s node) { s["shard_size"] = 1000 }},
		{name: "shard size removed", options: Options{Method: Shards, ShardSize: 1024}, want: "shard_size", is: ErrManifest, statement: func(_, _, s node) { delete(s, "shard_size") }},
		{name: "a shard with a signed offset", options: Options{Method: Shards, ShardSize: 1024}, want: "not an offset", is: ErrManifest, statement: func(_, p, _ node) {
			resources(p)[1].(node)["name"] = "big.bin:+0:1024"
		}},
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			dir := small(t)
			if kind.options.Method == Shards {
				dir = writeModel(t, map[string]string{"big.bin": strings.Repeat("a", 3000), "a:b/c": "x"})
			}
			raw := mustSign(t, mustHash(t, dir, kind.options).Manifest, Signer{Key: key})
			p := trusting(t, key)
			// The twin: the same bundle, taken apart and put together again.
			twin := encode(t, decode(t, raw))
			if kind.statement != nil {
				twin = resigned(t, key, raw, func(st, _, _ node) { fit(st) })
			}
			if _, err := Verify(t.Context(), twin, dir, p); err != nil {
				t.Fatalf("untampered: %v", err)
			}
			tampered := twin
			if kind.statement != nil {
				tampered = resigned(t, key, raw, kind.statement)
			}
			if kind.bundle != nil {
				n := decode(t, raw)
				kind.bundle(n)
				tampered = encode(t, n)
			}
			if kind.text != nil {
				tampered = kind.text(bytes.Clone(raw))
			}
			if kind.folder != nil {
				kind.folder(t, dir)
			}
			if kind.policy != nil {
				kind.policy(&p)
			}
			v, err := Verify(t.Context(), tampered, dir, p)
			if err == nil || v != nil || !strings.Contains(err.Error(), kind.want) {
				t.Fatalf("got %v, want %q", err, kind.want)
			}
			var diff *MismatchError
			switch {
			case kind.is == nil && !errors.As(err, &diff):
				t.Errorf("%v is no *MismatchError", err)
			case kind.is != nil && kind.is != errAny && !errors.Is(err, kind.is):
				t.Errorf("%v does not wrap %v", err, kind.is)
			}
		})
	}
}

// errAny stands for an error of no particular kind.
var errAny = errors.New("any error")

func rename(t *testing.T, dir, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

func TestAMismatchNamesAllThatDiffers(t *testing.T) {
	key := edKey(t)
	dir := small(t)
	raw := mustSign(t, mustHash(t, dir, Options{}).Manifest, Signer{Key: key})
	raw = resigned(t, key, raw, func(_, _, s node) { s["ignore_paths"] = []any{"notes", "/abs", "*"} })
	write(t, filepath.Join(dir, "model.safetensors"), "other")
	rename(t, dir, "tokenizer/merges", "merges")
	remove(t, dir, "tokenizer-old.json")
	write(t, filepath.Join(dir, "notes", "a"), "1")
	write(t, filepath.Join(dir, "z"), "1")
	_, err := Verify(t.Context(), raw, dir, trusting(t, key))
	want := &MismatchError{
		Missing: []string{"tokenizer-old.json"}, Extra: []string{"notes/a", "z"}, Changed: []string{"model.safetensors"},
		Renamed: [][2]string{{"tokenizer/merges", "merges"}}, Asked: []string{"notes/a"},
	}
	var got *MismatchError
	if !errors.As(err, &got) || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v (%v)\nwant %+v", got, err, want)
	}
}

func TestWhatMayBeUnsignedIsThePolicysBusiness(t *testing.T) {
	key := edKey(t)
	dir := small(t)
	raw := mustSign(t, mustHash(t, dir, Options{Ignore: []string{"notes/"}}).Manifest, Signer{Key: key})
	write(t, filepath.Join(dir, "notes", "a"), "1")
	write(t, filepath.Join(dir, ".git", "HEAD"), "1")
	write(t, filepath.Join(dir, "model.sig"), string(raw))
	signature := filepath.Join(dir, "model.sig")
	for _, test := range []struct {
		name   string
		change func(*Policy)
		passes bool
	}{
		{"nothing allowed", func(*Policy) {}, false},
		{"only the signature", func(p *Policy) { p.Signature = signature }, false},
		{"the signature and the folder", func(p *Policy) { p.Signature, p.Ignore = signature, []string{"notes"} }, true},
		{"the signature and what the bundle asks", func(p *Policy) { p.Signature, p.BundleIgnores = signature, true }, true},
		{"everything unlisted", func(p *Policy) { p.AllowUnlisted = true }, true},
		{"a wildcard", func(p *Policy) { p.Signature, p.Ignore = signature, []string{"note*"} }, false},
		{"a path out of the model", func(p *Policy) { p.Signature, p.Ignore = signature, []string{"../tiny/notes"} }, false},
		{"the whole model", func(p *Policy) { p.Ignore = []string{"."} }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := trusting(t, key)
			test.change(&p)
			v, err := Verify(t.Context(), raw, dir, p)
			if (err == nil) != test.passes {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			all := slices.Sorted(slices.Values(append(slices.Clone(v.Ignored), v.Unlisted...)))
			if p.AllowUnlisted {
				if !slices.Equal(all, []string{".git", "model.sig", "notes/a"}) || !slices.Equal(v.Asked, []string{"notes"}) {
					t.Errorf("ignored %q, unlisted %q, asked %q", v.Ignored, v.Unlisted, v.Asked)
				}
			} else if !slices.Equal(all, []string{".git", "model.sig", "notes"}) || len(v.Asked) != 0 {
				t.Errorf("ignored %q, unlisted %q, asked %q", v.Ignored, v.Unlisted, v.Asked)
			}
		})
	}
	t.Run("a signed file stays signed when its folder is ignored", func(t *testing.T) {
		p := trusting(t, key)
		p.Signature, p.Ignore = signature, []string{"notes", "tokenizer"}
		if _, err := Verify(t.Context(), raw, dir, p); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "tokenizer", "new"), "ignored")
		if _, err := Verify(t.Context(), raw, dir, p); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "tokenizer", "merges"), "b a")
		var diff *MismatchError
		if _, err := Verify(t.Context(), raw, dir, p); !errors.As(err, &diff) || !slices.Equal(diff.Changed, []string{"tokenizer/merges"}) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestManifestsDoNotDependOnWhereAndHow(t *testing.T) {
	dir := small(t)
	first := mustHash(t, dir, Options{Work: Work{Workers: 1}}).Manifest
	for _, workers := range []int{2, 7} {
		if again := mustHash(t, dir, Options{Work: Work{Workers: workers}}).Manifest; !reflect.DeepEqual(first, again) {
			t.Errorf("%d workers: %v", workers, again)
		}
	}
	payload := must[[]byte](t)(first.statement())
	var st json.RawMessage
	if json.Unmarshal(payload, &st) != nil || !bytes.HasPrefix(payload, []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"tiny","digest":{"sha256":"`)) {
		t.Errorf("statement: %s", payload)
	}
}
