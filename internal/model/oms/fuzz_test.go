package oms

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"testing"
)

// fuzzKey is the same in every process, so that seeds can be signed.
func fuzzKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)) }

func FuzzRead(f *testing.F) {
	key := fuzzKey()
	m := mustHash(f, small(f), Options{}).Manifest
	f.Add(mustSign(f, m, Signer{Key: key}))
	shards := mustHash(f, writeModel(f, map[string]string{"a:b": string(noise(5000))}), Options{Method: Shards, ShardSize: 1024, Ignore: []string{"x"}}).Manifest
	f.Add(mustSign(f, shards, Signer{Key: key}))
	authority, ec := newCA(f), fuzzKey()
	f.Add(mustSign(f, m, Signer{Key: ec, Chain: authority.leaf(f, leafTemplate(), ec)}))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"rawBytes":"AA=="}},"dsseEnvelope":{}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := Read(raw)
		if err != nil {
			if b != nil {
				t.Fatal("a bundle beside an error")
			}
			return
		}
		checkRead(t, b)
	})
}

// FuzzStatement fuzzes what is inside of the envelope, which base64 hides from
// the fuzzer.
func FuzzStatement(f *testing.F) {
	for _, o := range []Options{{}, {Method: Shards, ShardSize: 1024}} {
		dir := writeModel(f, map[string]string{"b": string(noise(3000)), "a/c": "1"})
		f.Add(must[[]byte](f)(mustHash(f, dir, o).Manifest.statement()))
	}
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"b","digest":{"sha256":"` +
		`0000000000000000000000000000000000000000000000000000000000000000"},"annotations":{"actual_hash_algorithm":"file-sha256"}}],` +
		`"predicateType":"https://model_signing/Digests/v0.1","predicate":{}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		raw, err := json.Marshal(node{
			"mediaType":            mediaType,
			"verificationMaterial": node{"publicKey": node{"hint": "x"}},
			"dsseEnvelope": node{"payloadType": payloadType, "payload": base64.StdEncoding.EncodeToString(payload),
				"signatures": []any{node{"sig": "AAAA"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := Read(raw); err == nil {
			checkRead(t, b)
		}
	})
}

// checkRead checks what holds for every bundle that is read.
func checkRead(t *testing.T, b *Bundle) {
	again, err := Read(b.raw)
	if err != nil || !reflect.DeepEqual(b, again) {
		t.Fatalf("read again: %v", err)
	}
	if err := b.Manifest.check(); err != nil {
		t.Fatal(err)
	}
	if b.Root != b.Manifest.Root() || len(b.payload) == 0 || len(b.signatures) == 0 {
		t.Fatalf("read %+v", b)
	}
	for _, p := range b.Manifest.paths() {
		if p != "." && checkName(p) != nil {
			t.Fatalf("path %q", p)
		}
	}
}

func FuzzWitness(f *testing.F) {
	f.Add(10, int64(3), int64(0), 5, int64(4))
	f.Add(3*witnessBlock, int64(witnessBlock-1), int64(100_000), 2*witnessBlock, int64(70_000))
	f.Fuzz(func(t *testing.T, size int, off, span int64, n int, flip int64) {
		if size < 1 || size > 1<<20 || off < 0 || n < 1 || n > 1<<20 || flip < 0 || flip >= int64(size) || span > 0 && span < 64 {
			t.Skip()
		}
		content := noise(size)
		w := NewWitness(bytes.NewReader(content), int64(size), span)
		got := make([]byte, n)
		k, _ := w.ReadAt(got, off)
		if k > 0 && !bytes.Equal(got[:k], content[off:off+int64(k)]) {
			t.Fatal("other bytes than there are")
		}
		if err := checkAll(w, content, span); err != nil {
			t.Fatal(err)
		}
		content[flip] ^= 1
		if err := checkAll(w, content, span); err == nil && k > 0 && off <= flip && flip < off+int64(k) {
			t.Fatal("a changed byte that was read is not noticed")
		}
	})
}
