package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
)

// provenLedger returns a ledger with some segments, and its receipts.
func provenLedger(t testing.TB) (*Ledger, []Receipt) {
	l := open(t, t.TempDir(), Options{SegmentBytes: minSegmentBytes})
	var all []Receipt
	for i := range 60 {
		all = append(all, mustAppend(t, l, Durable, fmt.Sprintf("payload %d", i))...)
	}
	mustSeal(t, l)
	return l, all
}

func encoded(t testing.TB, l *Ledger, id ID, d Disclosure) []byte {
	t.Helper()
	p, err := l.Prove(t.Context(), id, d)
	if err != nil {
		t.Fatal(err)
	}
	data, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestProofsHoldForTwoUnrelatedImplementations(t *testing.T) {
	l, receipts := provenLedger(t)
	for _, r := range receipts {
		p, err := l.Prove(t.Context(), r.ID, Withhold)
		if err != nil {
			t.Fatal(err)
		}
		c, err := openCheckpoint([]byte(p.Log.Checkpoint), l.VerifierKey())
		if err != nil {
			t.Fatal(err)
		}
		s, err := p.Segment.seal()
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			leaf        []byte
			index, size uint64
			path        []Bytes
			root        tlog.Hash
		}{
			{r.Commitment[:], r.Index, s.count, p.Segment.Path, s.root},
			{s.encode(), r.Segment, c.size, p.Log.Path, c.root},
		} {
			var plain [][]byte
			var hashes tlog.RecordProof
			for _, h := range step.path {
				plain, hashes = append(plain, h), append(hashes, tlog.Hash(h))
			}
			leaf := rfc6962.DefaultHasher.HashLeaf(step.leaf)
			if err := proof.VerifyInclusion(rfc6962.DefaultHasher, step.index, step.size, leaf, plain, step.root[:]); err != nil {
				t.Fatalf("transparency-dev/merkle: %v", err)
			}
			if err := tlog.CheckRecord(hashes, int64(step.size), step.root, int64(step.index), tlog.RecordHash(step.leaf)); err != nil {
				t.Fatalf("x/mod tlog: %v", err)
			}
			leaf[0] ^= 1
			if proof.VerifyInclusion(rfc6962.DefaultHasher, step.index, step.size, leaf, plain, step.root[:]) == nil {
				t.Fatal("a proof of another leaf holds")
			}
		}
	}
}

func TestTheTreeIsThatOfTwoUnrelatedImplementations(t *testing.T) {
	var leaves []tlog.Hash
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for i, n := range at {
			out[i] = stored[n]
		}
		return out, nil
	})
	if treeRoot(nil) != tlog.Hash(rfc6962.DefaultHasher.EmptyRoot()) {
		t.Error("the empty root differs")
	}
	for n := range 70 {
		data := []byte{byte(n)}
		more, err := tlog.StoredHashes(int64(n), data, read)
		if err != nil {
			t.Fatal(err)
		}
		stored, leaves = append(stored, more...), append(leaves, tlog.RecordHash(data))
		want, err := tlog.TreeHash(int64(n+1), read)
		if err != nil || treeRoot(leaves) != want {
			t.Fatalf("root over %d leaves differs (%v)", n+1, err)
		}
		for i := range leaves {
			want, err := tlog.ProveRecord(int64(n+1), int64(i), read)
			if got := treePath(leaves, i); err != nil || !(len(got) == 0 && len(want) == 0) && !reflect.DeepEqual(got, want) {
				t.Fatalf("path of leaf %d of %d differs (%v)", i, n+1, err)
			}
		}
	}
}

func TestATamperedProofDoesNotHold(t *testing.T) {
	l, receipts := provenLedger(t)
	other := open(t, t.TempDir(), Options{})
	stranger := mustAppend(t, other, Durable, "payload 5")[0]
	foreign, err := other.Prove(t.Context(), stranger.ID, Disclose)
	if err != nil {
		t.Fatal(err)
	}
	neighbour, err := l.Prove(t.Context(), receipts[6].ID, Disclose)
	if err != nil {
		t.Fatal(err)
	}
	last, err := l.Prove(t.Context(), receipts[59].ID, Disclose)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]func(p *Proof){
		"other data":                      func(p *Proof) { d := Bytes("payload 6"); p.Record.Data = &d },
		"no data and no digest":           func(p *Proof) { p.Record.Data, p.Record.Salt = nil, nil },
		"data and a digest":               func(p *Proof) { p.Record.Body = make(Bytes, 32) },
		"another salt":                    func(p *Proof) { p.Record.Salt = make(Bytes, saltSize) },
		"a short salt":                    func(p *Proof) { p.Record.Salt = p.Record.Salt[:15] },
		"another type":                    func(p *Proof) { p.Record.Type = TypeUsage },
		"no type":                         func(p *Proof) { p.Record.Type = "" },
		"another id":                      func(p *Proof) { p.Record.ID[15]++ },
		"an id of another version":        func(p *Proof) { p.Record.ID[6] ^= 0x10 },
		"another time":                    func(p *Proof) { p.Record.Time = instant(p.Record.Time.micro() + 1) },
		"another millisecond":             func(p *Proof) { p.Record.Time = instant(p.Record.Time.micro() + 1000) },
		"another index":                   func(p *Proof) { p.Segment.Index++ },
		"an index beyond the segment":     func(p *Proof) { p.Segment.Index = p.Segment.Records },
		"another count":                   func(p *Proof) { p.Segment.Records++ },
		"a huge count":                    func(p *Proof) { p.Segment.Records = 1 << 63 },
		"no records":                      func(p *Proof) { p.Segment.Records = 0 },
		"another root of the segment":     func(p *Proof) { p.Segment.Root[0] ^= 1 },
		"a short root":                    func(p *Proof) { p.Segment.Root = p.Segment.Root[:31] },
		"another previous seal":           func(p *Proof) { p.Segment.Previous[31] ^= 1 },
		"another number":                  func(p *Proof) { p.Segment.Number++ },
		"other times of the segment":      func(p *Proof) { p.Segment.Earliest = instant(p.Segment.Earliest.micro() - 1) },
		"a hash of the path changed":      func(p *Proof) { p.Segment.Path[1][3] ^= 4 },
		"a hash of the path missing":      func(p *Proof) { p.Segment.Path = p.Segment.Path[1:] },
		"a hash of the path too many":     func(p *Proof) { p.Segment.Path = append(p.Segment.Path, make(Bytes, 32)) },
		"a hash of the path short":        func(p *Proof) { p.Segment.Path[0] = p.Segment.Path[0][1:] },
		"a path without end":              func(p *Proof) { p.Segment.Path = make([]Bytes, 64) },
		"a hash of the log's path":        func(p *Proof) { p.Log.Path[0][0] ^= 1 },
		"the log's path missing":          func(p *Proof) { p.Log.Path = nil },
		"a neighbour's record":            func(p *Proof) { p.Record = neighbour.Record },
		"the last segment's path":         func(p *Proof) { p.Log.Path = last.Log.Path },
		"the last segment":                func(p *Proof) { p.Segment = last.Segment },
		"another log's checkpoint":        func(p *Proof) { p.Log.Checkpoint = foreign.Log.Checkpoint },
		"no checkpoint":                   func(p *Proof) { p.Log.Checkpoint = "" },
		"a checkpoint without signature":  func(p *Proof) { p.Log.Checkpoint, _, _ = strings.Cut(p.Log.Checkpoint, "\n\n") },
		"a checkpoint of another size":    func(p *Proof) { p.Log.Checkpoint = strings.Replace(p.Log.Checkpoint, "\n", "\n1", 1) },
		"another key's name":              func(p *Proof) { p.Verifier = foreign.Verifier },
		"a later schema":                  func(p *Proof) { p.Schema = "apex.proof/v2" },
		"all of another log but its name": func(p *Proof) { v := p.Verifier; *p = foreign; p.Verifier = v },
	}
	whole := encoded(t, l, receipts[5].ID, Disclose)
	for name, tamper := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := VerifyProof(whole, l.VerifierKey()); err != nil {
				t.Fatalf("untouched: %v", err)
			}
			p, err := parseProof(whole)
			if err != nil {
				t.Fatal(err)
			}
			tamper(p)
			data, err := p.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := VerifyProof(data, l.VerifierKey()); !errors.Is(err, ErrProof) {
				t.Fatalf("%v, %+v", err, got)
			}
		})
	}
	t.Run("another key", func(t *testing.T) {
		if _, err := VerifyProof(whole, other.VerifierKey()); !errors.Is(err, ErrProof) {
			t.Fatal(err)
		}
	})
	for name, replace := range map[string][2]string{
		"an unknown field":    {`"schema"`, `"more": 1, "schema"`},
		"a field twice":       {`"schema"`, `"schema": "apex.proof/v1", "schema"`},
		"a field in capitals": {`"schema"`, `"Schema": "apex.proof/v1", "schema"`},
		"bytes behind it":     {"\n}\n", "\n}\n{}"},
		"a time in a zone":    {`Z",`, `+00:00",`},
	} {
		t.Run(name, func(t *testing.T) {
			data := strings.Replace(string(whole), replace[0], replace[1], 1)
			if data == string(whole) {
				t.Fatal("nothing was replaced")
			}
			if _, err := VerifyProof([]byte(data), l.VerifierKey()); !errors.Is(err, ErrProof) {
				t.Fatal(err)
			}
		})
	}
	t.Run("a proof that does not end", func(t *testing.T) {
		if _, err := VerifyProof(bytes.Repeat([]byte("["), maxProof+1), l.VerifierKey()); !errors.Is(err, ErrProof) {
			t.Fatal(err)
		}
	})
}

// A flipped bit either breaks the proof or, in the case of a field's name, leaves
// what it proves as it was.
func TestNoFlippedBitChangesWhatAProofProves(t *testing.T) {
	l, receipts := provenLedger(t)
	for _, d := range []Disclosure{Withhold, Disclose} {
		whole := encoded(t, l, receipts[7].ID, d)
		want, err := VerifyProof(whole, l.VerifierKey())
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(whole)*8; i += 3 { // not a divisor of 8: all bits take turns
			data := bytes.Clone(whole)
			data[i/8] ^= 1 << (i % 8)
			got, err := VerifyProof(data, l.VerifierKey())
			if err == nil && !reflect.DeepEqual(got, want) {
				t.Fatalf("bit %d of byte %d: proves %+v instead of %+v", i%8, i/8, got, want)
			}
			if err == nil && !strings.EqualFold(string(data), string(whole)) {
				t.Fatalf("bit %d of byte %d: the proof still holds", i%8, i/8)
			}
		}
	}
}

func TestErasedDataIsGoneAndAllProofsStay(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{SegmentBytes: minSegmentBytes})
	receipts := mustAppend(t, l, Durable, "the secret of Ada", "the secret of Bob", "")
	before := encoded(t, l, receipts[0].ID, Withhold)
	disclosed := encoded(t, l, receipts[0].ID, Disclose)
	if err := l.Erase(t.Context(), "request 17", receipts[0].ID); err != nil {
		t.Fatal(err)
	}
	mustSeal(t, l)
	for _, name := range regularFiles(t, dir) {
		if data, err := readFile(OSFiles{}, filepath.Join(dir, name), 1<<20); err != nil || bytes.Contains(data, []byte("secret of Ada")) {
			t.Errorf("%s still holds the data (%v)", name, err)
		}
	}
	if e, err := l.Get(t.Context(), receipts[0].ID); err != nil || !e.Erased || e.Data != nil {
		t.Errorf("get: %+v, %v", e, err)
	}
	if e, err := l.Get(t.Context(), receipts[1].ID); err != nil || e.Erased || string(e.Data) != "the secret of Bob" {
		t.Errorf("get its neighbour: %+v, %v", e, err)
	}
	if _, err := l.Prove(t.Context(), receipts[0].ID, Disclose); !errors.Is(err, ErrErased) {
		t.Errorf("disclose: %v", err)
	}
	for name, data := range map[string][]byte{
		"made before": before, "made before, with data": disclosed,
		"made after":       encoded(t, l, receipts[0].ID, Withhold),
		"of its neighbour": encoded(t, l, receipts[1].ID, Disclose),
		"of empty data":    encoded(t, l, receipts[2].ID, Disclose),
	} {
		if _, err := VerifyProof(data, l.VerifierKey()); err != nil {
			t.Errorf("proof %s: %v", name, err)
		}
	}
	if err := l.Erase(t.Context(), "again", receipts[0].ID); err != nil {
		t.Errorf("erase again: %v", err)
	}
	var erasure ID
	for e, err := range l.Records(t.Context(), Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == TypeErasure {
			erasure = e.ID
		}
	}
	if err := l.Erase(t.Context(), "hide it", erasure); err == nil {
		t.Error("the record of an erasure was erased")
	}
	if err := l.Erase(t.Context(), "nobody", ID{6: 0x70, 8: 0x80}); !errors.Is(err, ErrNotFound) {
		t.Errorf("erase nothing: %v", err)
	}
	closeLedger(t, l)
	if r := wantClean(t, dir, l.VerifierKey()); r.Erased != 1 {
		t.Errorf("%d erased", r.Erased)
	}
}

func TestAnErasureThatNobodyRecordedIsFound(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{})
	receipts := mustAppend(t, l, Durable, "a", "b")
	mustSeal(t, l)
	if err := l.rewrite(t.Context(), 0, map[ID]bool{receipts[1].ID: true}); err != nil {
		t.Fatal(err)
	}
	closeLedger(t, l)
	r, err := Fsck(t.Context(), dir, l.VerifierKey(), inTime)
	if err != nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Text, receipts[1].ID.String()) {
		t.Fatalf("%v, %v", err, r.Problems)
	}
}

func FuzzVerifyProof(f *testing.F) {
	l, receipts := provenLedger(f)
	f.Add(encoded(f, l, receipts[3].ID, Disclose))
	f.Add(encoded(f, l, receipts[3].ID, Withhold))
	f.Add([]byte(`{"schema":"apex.proof/v1"}`))
	known := map[ID]string{}
	for i, r := range receipts {
		known[r.ID] = fmt.Sprintf("payload %d", i)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := VerifyProof(data, l.VerifierKey())
		if err != nil {
			return
		}
		want, ok := known[got.ID]
		if !ok || (!got.Withheld && string(got.Data) != want) {
			t.Fatalf("a proof of what was never recorded holds: %+v\n%s", got, data)
		}
	})
}

func FuzzDecodeFrame(f *testing.F) {
	m, salt, err := newMeta(TypeVerdict, []byte("data"), time.UnixMicro(1_800_000_000_123_456))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(appendRecord(nil, &m, salt, []byte("data")))
	f.Add(appendErased(nil, &m))
	m.typ = "x/y"
	f.Add(appendRecord(nil, &m, salt, nil))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 36})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decodeFrame(data)
		if err != nil {
			if !errors.Is(err, errFrame) && !errors.Is(err, errIncomplete) {
				t.Fatalf("another error: %v", err)
			}
			// With the checksum made right, more of the decoder is reached.
			if len(data) < frameHead+minFrameBody || len(data) > 1<<12 {
				return
			}
			data = finishFrame(bytes.Clone(data), 0)
			if got, err = decodeFrame(data); err != nil {
				return
			}
		}
		again := appendErased(nil, &got.meta)
		if !got.erased {
			again = appendRecord(nil, &got.meta, got.salt, got.data)
		}
		if !bytes.Equal(again, data[:got.size]) {
			t.Fatalf("two spellings of one frame:\n%x\n%x", data[:got.size], again)
		}
	})
}

func FuzzParseSmallFiles(f *testing.F) {
	f.Add(tail{3, 400}.encode())
	s := seal{segment: 1, count: 2, earliest: 3, latest: 4}
	f.Add(s.encode())
	f.Add(encodeHeader(1, time.Unix(1, 0), "o"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := decodeTail(data); err == nil && !bytes.Equal(got.encode(), data) {
			t.Fatalf("two spellings of tail %+v", got)
		}
		if got, err := decodeSeal(data); err == nil && !bytes.Equal(got.encode(), data) {
			t.Fatalf("two spellings of seal %+v", got)
		}
		if at, err := checkHeader(data, 1, "o"); err == nil && !bytes.Equal(encodeHeader(1, at, "o"), data[:segmentHead]) {
			t.Fatalf("two spellings of a header of %s", at)
		}
	})
}

func TestAProofIsOneJSONDocumentWithItsSchema(t *testing.T) {
	l, receipts := provenLedger(t)
	var doc map[string]any
	if err := json.Unmarshal(encoded(t, l, receipts[0].ID, Withhold), &doc); err != nil || doc["schema"] != ProofSchema {
		t.Fatalf("%v, %v", err, doc["schema"])
	}
	if record := doc["record"].(map[string]any); record["data"] != nil || record["salt"] != nil || record["body"] == nil {
		t.Fatalf("withheld: %v", record)
	}
}
