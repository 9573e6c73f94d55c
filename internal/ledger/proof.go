package ledger

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/apexlogic/apex/internal/bounded"
)

// ProofSchema is the value of [Proof.Schema].
const ProofSchema = "apex.proof/v1"

const (
	// maxProof bounds a proof: the largest record in base64, and what surrounds it.
	maxProof = MaxData/3*4 + 128<<10
	// maxPath is the height of the highest tree that fits a 63-bit size.
	maxPath = 63
	// proofDepth is how deep a proof nests.
	proofDepth = 4
)

// ErrProof is wrapped by every error about a proof that does not hold.
var ErrProof = errors.New("the proof does not hold")

// Disclosure says whether a proof shows the record's data.
type Disclosure uint8

const (
	// Withhold shows type, id and time, and a salted digest in place of the
	// data; a guess of the data cannot be tested against it.
	Withhold Disclosure = iota
	// Disclose shows the data and its salt.
	Disclose
)

// Proof shows, without the ledger, that a record is in the log: from the record
// to its commitment, by a path to the segment's root, from the segment's seal by
// a path to the log's root, and to the signed checkpoint. It is a JSON document.
type Proof struct {
	Schema   string       `json:"schema"`
	Verifier string       `json:"verifier"` // name and hash of the key: "origin+01234567"
	Record   ProofRecord  `json:"record"`
	Segment  ProofSegment `json:"segment"`
	Log      ProofLog     `json:"log"`
}

// ProofRecord is the record: with Salt and Data, or with Body.
type ProofRecord struct {
	ID   ID      `json:"id"`
	Type string  `json:"type"`
	Time Instant `json:"time"`
	Salt Bytes   `json:"salt,omitempty"`
	Data *Bytes  `json:"data,omitempty"`
	Body Bytes   `json:"body,omitempty"` // the salted digest of withheld data
}

// ProofSegment is the seal of the record's segment, and the path to its root.
type ProofSegment struct {
	Number   uint64  `json:"number"`
	Records  uint64  `json:"records"`
	Earliest Instant `json:"earliest"`
	Latest   Instant `json:"latest"`
	Root     Bytes   `json:"root"`
	Previous Bytes   `json:"previous"` // digest of the previous seal
	Index    uint64  `json:"index"`    // the record's
	Path     []Bytes `json:"path"`
}

// ProofLog is the path from the seal to the checkpoint's root.
type ProofLog struct {
	Path       []Bytes `json:"path"`
	Checkpoint string  `json:"checkpoint"` // a signed note
}

// Encode returns the proof as a file to hand out.
func (p *Proof) Encode() ([]byte, error) {
	data, err := json.MarshalIndent(p, "", "  ")
	return append(data, '\n'), err
}

// Bytes is bytes in the one spelling of standard base64. encoding/json's own would
// take others for the same bytes.
type Bytes []byte

// MarshalText writes the one spelling.
func (b Bytes) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText refuses every other spelling.
func (b *Bytes) UnmarshalText(text []byte) error {
	if bytes.ContainsAny(text, "\r\n") {
		return errors.New("base64 with line breaks")
	}
	data, err := base64.StdEncoding.Strict().AppendDecode([]byte{}, text)
	*b = data
	return err
}

// Instant is a time in the one spelling of a proof: UTC with six decimals. It
// does not embed time.Time, whose own JSON would take others.
type Instant time.Time

const instantLayout = "2006-01-02T15:04:05.000000Z"

// MarshalText writes the one spelling.
func (t Instant) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, instantLayout), nil
}

// UnmarshalText refuses every other spelling.
func (t *Instant) UnmarshalText(text []byte) error {
	at, err := time.Parse(instantLayout, string(text))
	*t = Instant(at)
	if err == nil && at.Format(instantLayout) != string(text) {
		err = fmt.Errorf("time %.40q", text)
	}
	return err
}

func instant(micro int64) Instant { return Instant(time.UnixMicro(micro).UTC()) }
func (t Instant) micro() int64    { return time.Time(t).UnixMicro() }

// Prove returns the proof of a record. A record in the open segment is sealed
// first, or the error wraps ErrUnsealed where the ledger is open for reading
// only. Disclosing an erased record is an error that wraps ErrErased.
func (l *Ledger) Prove(ctx context.Context, id ID, d Disclosure) (Proof, error) {
	var segment uint64
	if err := l.find(ctx, id, func(n, _ uint64, _ *frame) { segment = n }); err != nil {
		return Proof{}, fmt.Errorf("prove: %w", err)
	}
	p, err := l.prove(ctx, id, segment, d)
	if err != nil {
		return Proof{}, fmt.Errorf("prove %s: %w", id, err)
	}
	return p, nil
}

func (l *Ledger) prove(ctx context.Context, id ID, n uint64, d Disclosure) (Proof, error) {
	c, err := l.covered(ctx, n)
	if err != nil {
		return Proof{}, err
	}
	s, err := l.readSeal(n)
	if err != nil {
		return Proof{}, err
	}
	p := Proof{Schema: ProofSchema}
	p.Record.ID = id
	found := false
	t, err := l.readTree(ctx, n, func(i int, f *frame) {
		if f.id == id && !found {
			found = true
			p.Segment.Index = uint64(i)
			p.Record.fill(f, d)
		}
	})
	if err != nil {
		return Proof{}, err
	}
	switch {
	case !found:
		return Proof{}, ErrNotFound
	case treeRoot(t.leaves) != s.root:
		return Proof{}, &DamageError{File: segmentPath(l.dir, n), Offset: segmentHead, Err: errors.New("its records do not give the root it was sealed with")}
	case d == Disclose && p.Record.Data == nil:
		return Proof{}, ErrErased
	}
	v, err := note.NewVerifier(l.vkey)
	if err != nil {
		return Proof{}, err
	}
	p.Verifier = keyID(v)
	p.Segment.Number, p.Segment.Records = s.segment, s.count
	p.Segment.Earliest = instant(s.earliest)
	p.Segment.Latest = instant(s.latest)
	p.Segment.Root, p.Segment.Previous = s.root[:], s.previous[:]
	p.Segment.Path = pathOut(treePath(t.leaves, int(p.Segment.Index)))
	path, err := tlog.ProveRecord(int64(c.size), int64(n), tlog.TileHashReader(tlog.Tree{N: int64(c.size), Hash: c.root}, tiles{l.dir}))
	if err != nil {
		return Proof{}, fmt.Errorf("read the log's tiles: %w", err)
	}
	p.Log = ProofLog{Path: pathOut(path), Checkpoint: c.text}
	return p, nil
}

func (r *ProofRecord) fill(f *frame, d Disclosure) {
	r.Type, r.Time = f.typ, Instant(f.time())
	if d == Disclose && !f.erased {
		data := Bytes(bytes.Clone(f.data))
		r.Salt, r.Data = bytes.Clone(f.salt[:]), &data
		return
	}
	r.Body = bytes.Clone(f.body[:])
}

func keyID(v note.Verifier) string { return fmt.Sprintf("%s+%08x", v.Name(), v.KeyHash()) }

func pathOut(path tlog.RecordProof) []Bytes {
	out := make([]Bytes, len(path))
	for i := range path {
		out[i] = bytes.Clone(path[i][:])
	}
	return out
}

// covered returns a checkpoint that covers segment n, and seals it if it must.
func (l *Ledger) covered(ctx context.Context, n uint64) (checkpoint, error) {
	c, err := readCheckpoint(l.dir, l.vkey)
	if err == nil && c.size > n {
		return c, nil
	}
	if err != nil && !isNotExist(err) {
		return checkpoint{}, err
	}
	if l.w == nil {
		return checkpoint{}, fmt.Errorf("%w: prove it with the ledger open for writing", ErrUnsealed)
	}
	if err := l.Seal(ctx); err != nil {
		return checkpoint{}, err
	}
	return readCheckpoint(l.dir, l.vkey)
}

// Proven is what a proof that holds says.
type Proven struct {
	Origin  string // the log's name, which is that of the key
	LogSize uint64 // segments that the checkpoint covers
	Entry          // with Data nil where it was withheld
	// Withheld is true when the proof does not show the data, because it was
	// not disclosed or because it is erased.
	Withheld bool
}

// VerifyProof checks a proof against a verifier key that the caller trusts, and
// returns what it shows. It needs neither ledger nor network. Errors wrap
// ErrProof.
func VerifyProof(data []byte, verifierKey string) (Proven, error) {
	p, err := parseProof(data)
	if err != nil {
		return Proven{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	proven, err := p.verify(verifierKey)
	if err != nil {
		return Proven{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	return proven, nil
}

func parseProof(data []byte) (*Proof, error) {
	if len(data) > maxProof {
		return nil, fmt.Errorf("it has %d bytes, at most %d are allowed", len(data), maxProof)
	}
	if err := bounded.CheckJSON(data, proofDepth); err != nil {
		return nil, err
	}
	var p Proof
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return nil, err
	}
	if p.Schema != ProofSchema {
		return nil, fmt.Errorf("schema %.40q, want %q", p.Schema, ProofSchema)
	}
	return &p, nil
}

func (p *Proof) verify(vkey string) (Proven, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return Proven{}, fmt.Errorf("verifier key: %w", err)
	}
	if p.Verifier != keyID(v) {
		return Proven{}, fmt.Errorf("it was made with key %.300q, the key given is %q", p.Verifier, keyID(v))
	}
	c, err := openCheckpoint([]byte(p.Log.Checkpoint), vkey)
	if err != nil {
		return Proven{}, err
	}
	m, err := p.Record.meta()
	if err != nil {
		return Proven{}, err
	}
	s, err := p.Segment.seal()
	if err != nil {
		return Proven{}, err
	}
	if err := checkPath(p.Segment.Path, s.count, p.Segment.Index, leafHash(m.commitment()), s.root); err != nil {
		return Proven{}, fmt.Errorf("the record is not shown to be in the segment: %w", err)
	}
	if at := m.time().UnixMicro(); at < s.earliest || at > s.latest {
		return Proven{}, errors.New("the record's time is outside of the segment's")
	}
	if err := checkPath(p.Log.Path, c.size, s.segment, tlog.RecordHash(s.encode()), c.root); err != nil {
		return Proven{}, fmt.Errorf("the segment is not shown to be in the log: %w", err)
	}
	out := Proven{Origin: v.Name(), LogSize: c.size, Withheld: p.Record.Data == nil}
	out.Entry = Entry{ID: m.id, Type: m.typ, Time: m.time(), Segment: s.segment, Index: p.Segment.Index}
	if p.Record.Data != nil {
		out.Data = []byte(*p.Record.Data)
	}
	return out, nil
}

func (r *ProofRecord) meta() (meta, error) {
	m := meta{id: r.ID, typ: r.Type}
	if err := checkType(r.Type); err != nil {
		return m, err
	}
	micro := r.Time.micro() - m.id.milli()*1000
	if !m.id.valid() || micro < 0 || micro > 999 {
		return m, errors.New("the record's time is not that of its id")
	}
	m.micro = uint16(micro)
	switch {
	case r.Data != nil && r.Body == nil && len(r.Salt) == saltSize && len(*r.Data) <= MaxData:
		m.body = bodyDigest([saltSize]byte(r.Salt), *r.Data)
	case r.Data == nil && r.Salt == nil && len(r.Body) == hashSize:
		m.body = [hashSize]byte(r.Body)
	default:
		return m, errors.New("the record needs either salt and data, or the body's digest")
	}
	return m, nil
}

func (g *ProofSegment) seal() (seal, error) {
	if len(g.Root) != hashSize || len(g.Previous) != hashSize {
		return seal{}, errors.New("the segment's root and previous seal are 32-byte hashes")
	}
	return seal{
		segment: g.Number, count: g.Records,
		earliest: g.Earliest.micro(), latest: g.Latest.micro(),
		root: tlog.Hash(g.Root), previous: [hashSize]byte(g.Previous),
	}, nil
}

// checkPath checks an inclusion proof (RFC 6962 §2.1.1).
func checkPath(path []Bytes, size, index uint64, leaf, root tlog.Hash) error {
	if len(path) > maxPath || size > 1<<62 || index >= size {
		return fmt.Errorf("%d hashes for leaf %d of %d", len(path), index, size)
	}
	proof := make(tlog.RecordProof, len(path))
	for i := range path {
		if len(path[i]) != hashSize {
			return fmt.Errorf("hash %d of the path has %d bytes", i, len(path[i]))
		}
		proof[i] = tlog.Hash(path[i])
	}
	return tlog.CheckRecord(proof, int64(size), root, int64(index), leaf)
}
