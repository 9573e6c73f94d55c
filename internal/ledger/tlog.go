package ledger

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	// logBatch and logBatchAge are Tessera's batching: none, since a seal is
	// added once the one before it is in the log. The age never comes to be.
	logBatch    = 1
	logBatchAge = time.Second
	// checkpointEvery is the shortest interval that Tessera allows.
	checkpointEvery = 100 * time.Millisecond
	// checkpointPoll is how often a sealing looks for its checkpoint.
	checkpointPoll = 10 * time.Millisecond
	// maxCheckpoint bounds a checkpoint: three lines and some signatures.
	maxCheckpoint = 16 << 10
)

// tileLog is the running Tessera log.
type tileLog struct {
	appender *tessera.Appender
	reader   tessera.LogReader
	shutdown func(context.Context) error
	cancel   context.CancelFunc
	size     uint64 // leaves that the log had when it was last looked at
}

// openLog starts Tessera. What was started is ended by close only: it may be
// writing at any time until then.
func (l *Ledger) openLog(ctx context.Context) (*tileLog, error) {
	signer := l.signer
	if signer == nil {
		var err error
		if signer, err = loadSigner(l.files, l.dir); err != nil {
			return nil, err
		}
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t, err := startLog(run, cancel, filepath.Join(l.dir, logName), signer)
	if err != nil {
		cancel()
		return nil, err
	}
	return t, nil
}

func startLog(ctx context.Context, cancel context.CancelFunc, dir string, signer note.Signer) (*tileLog, error) {
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		return nil, err
	}
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithCheckpointInterval(checkpointEvery).
		WithCheckpointRepublishInterval(0).
		WithBatching(logBatch, logBatchAge).
		// Superseded partial tiles stay: they are a few MB per 100,000 seals,
		// and proofs made from them can be checked again.
		WithGarbageCollectionInterval(0))
	if err != nil {
		return nil, err
	}
	return &tileLog{appender: appender, reader: reader, shutdown: shutdown, cancel: cancel}, nil
}

// look finds out how many leaves the log has; there are no more than segments
// that are closed. It is asked before every sealing: an Add that failed may have
// reached the log all the same.
func (t *tileLog) look(ctx context.Context, closed uint64) (err error) {
	if t.size, err = t.reader.IntegratedSize(ctx); err != nil {
		return err
	}
	if t.size > closed {
		return fmt.Errorf("the log has %d leaves, but %d segments are sealed: segments or seals are missing; run a check of the whole ledger", t.size, closed)
	}
	return nil
}

// compare says whether the log's newest leaf is the seal of its segment. The
// seals are chained, and so the earlier ones are those that the log has, too.
func (t *tileLog) compare(l *Ledger) error {
	if t.size == 0 {
		return nil
	}
	s, err := l.readSeal(t.size - 1)
	if err != nil {
		return err
	}
	leaf, name, err := t.leaf(l.dir, t.size-1)
	if err != nil {
		return err
	}
	if !bytes.Equal(leaf, s.encode()) {
		return &DamageError{File: name, Err: fmt.Errorf("leaf %d of the log is not the seal of that segment", t.size-1)}
	}
	return nil
}

// leaf returns leaf n, which the log has, and the file that holds it.
func (t *tileLog) leaf(dir string, n uint64) (leaf []byte, name string, err error) {
	name = filepath.Join(dir, logName, layout.EntriesPathForLogIndex(n, t.size))
	raw, err := readFile(OSFiles{}, name, maxBundle)
	if isNotExist(err) { // a full bundle replaces the partial one
		name = filepath.Join(dir, logName, layout.EntriesPath(n/layout.EntryBundleWidth, 0))
		raw, err = readFile(OSFiles{}, name, maxBundle)
	}
	if err != nil {
		return nil, name, err
	}
	var bundle api.EntryBundle
	if err := bundle.UnmarshalText(raw); err != nil {
		return nil, name, &DamageError{File: name, Err: err}
	}
	at := int(n % layout.EntryBundleWidth)
	if at >= len(bundle.Entries) {
		return nil, name, &DamageError{File: name, Offset: int64(len(raw)), Err: fmt.Errorf("it ends before leaf %d", n)}
	}
	return bundle.Entries[at], name, nil
}

// maxBundle bounds an entry bundle of the log.
const maxBundle = layout.EntryBundleWidth * (2 + sealSize)

// integrate adds the seals that the log lacks, and waits for a checkpoint that
// covers size leaves.
//
// Each Add is waited for before the next one is made, and before anything else
// may fail. One that was left behind would reach the log later, beside those of
// the sealing that tries again, and a segment would have two leaves. And of two
// that are under way the first may fail and the second become its leaf.
func (t *tileLog) integrate(ctx context.Context, l *Ledger, size uint64) error {
	// A process that was killed while it made the log may have left it without
	// the checkpoint over nothing. It comes before the first leaf, so that a log
	// with leaves and no checkpoint is one that somebody took it from.
	if err := awaitCheckpoint(ctx, l.dir, l.vkey, 0); err != nil {
		return err
	}
	for n := t.size; n < size; n++ {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("add segment %d to the log: %w", n, err)
		}
		s, err := l.readSeal(n)
		if err != nil {
			return err
		}
		index, err := t.appender.Add(ctx, tessera.NewEntry(s.encode()))()
		if err != nil {
			return fmt.Errorf("add segment %d to the log: %w", n, err)
		}
		if index.Index != n {
			return fmt.Errorf("segment %d became leaf %d of the log: something else writes to it", n, index.Index)
		}
		t.size++
	}
	return awaitCheckpoint(ctx, l.dir, l.vkey, size)
}

// awaitCheckpoint returns when there is a checkpoint that covers size leaves.
func awaitCheckpoint(ctx context.Context, dir, vkey string, size uint64) error {
	for {
		c, err := readCheckpoint(dir, vkey)
		if err == nil && c.size >= size {
			return nil
		}
		if err != nil && !isNotExist(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for a checkpoint over %d segments: %w", size, ctx.Err())
		case <-time.After(checkpointPoll):
		}
	}
}

// close waits until all that the log has is published, whoever added it; only
// then do Tessera's goroutines, which nobody can wait for, have nothing left to
// write when they are told to end and the directory's next holder comes.
func (t *tileLog) close(dir, vkey string) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	size, err := t.reader.IntegratedSize(ctx)
	if err == nil {
		err = awaitCheckpoint(ctx, dir, vkey, size)
	}
	err = errors.Join(err, t.shutdown(ctx))
	t.cancel()
	return err
}

// treeStateFile is Tessera's own state: what is integrated, published or not.
const (
	treeStateFile = logName + "/.state/treeState"
	maxTreeState  = 1 << 10
)

// integratedSize returns how many leaves the log has, without starting it.
func integratedSize(dir string) (uint64, error) {
	name := filepath.Join(dir, treeStateFile)
	data, err := readFile(OSFiles{}, name, maxTreeState)
	if isNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	size, _, err := decodeTreeState(data)
	if err != nil {
		return 0, &DamageError{File: name, Err: err}
	}
	return size, nil
}

// decodeTreeState takes only the spelling that is written: everything else was
// changed.
func decodeTreeState(data []byte) (size uint64, root tlog.Hash, err error) {
	var state struct {
		Size uint64 `json:"size"`
		Root []byte `json:"root"`
	}
	if err := json.Unmarshal(data, &state); err != nil {
		return 0, tlog.Hash{}, err
	}
	if again, _ := json.Marshal(state); !bytes.Equal(again, data) || len(state.Root) != hashSize {
		return 0, tlog.Hash{}, errors.New("it is not written as the log writes it")
	}
	return state.Size, tlog.Hash(state.Root), nil
}

// checkpoint is a verified checkpoint (C2SP tlog-checkpoint).
type checkpoint struct {
	text string // as signed, with its signatures
	size uint64
	root tlog.Hash
}

func readCheckpoint(dir, vkey string) (checkpoint, error) {
	raw, err := readFile(OSFiles{}, filepath.Join(dir, logName, layout.CheckpointPath), maxCheckpoint)
	if err != nil {
		return checkpoint{}, err
	}
	return openCheckpoint(raw, vkey)
}

// openCheckpoint verifies a checkpoint: one spelling of three lines, signed by
// the key, whose name is the origin. Signatures of others, such as witnesses,
// may stand beside it.
func openCheckpoint(raw []byte, vkey string) (checkpoint, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return checkpoint{}, fmt.Errorf("verifier key: %w", err)
	}
	n, err := note.Open(raw, note.VerifierList(v))
	if err != nil {
		return checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	for _, sig := range append(n.Sigs, n.UnverifiedSigs...) {
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return checkpoint{}, fmt.Errorf("checkpoint: signature of %s: %w", sig.Name, err)
		}
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return checkpoint{}, errors.New("checkpoint: want three lines")
	}
	if lines[0] != v.Name() {
		return checkpoint{}, fmt.Errorf("checkpoint: it is that of %q, not of %q", lines[0], v.Name())
	}
	size, err := strconv.ParseUint(lines[1], 10, 63)
	if err != nil || strconv.FormatUint(size, 10) != lines[1] {
		return checkpoint{}, fmt.Errorf("checkpoint: size %.32q", lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != hashSize {
		return checkpoint{}, errors.New("checkpoint: its root is not a hash")
	}
	return checkpoint{text: string(raw), size: size, root: tlog.Hash(root)}, nil
}

// tiles reads the log's tiles for x/mod's tlog, which checks them against the
// checkpoint's root.
type tiles struct{ dir string }

func (tiles) Height() int                         { return layout.TileHeight }
func (tiles) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (t tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(want))
	for i, tile := range want {
		var err error
		if out[i], err = t.read(tile); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (t tiles) read(tile tlog.Tile) ([]byte, error) {
	full := filepath.Join(t.dir, logName, layout.TilePath(uint64(tile.L), uint64(tile.N), 0))
	name := full
	if tile.W < layout.TileWidth {
		name = filepath.Join(t.dir, logName, layout.TilePath(uint64(tile.L), uint64(tile.N), uint8(tile.W)))
	}
	data, err := readFile(OSFiles{}, name, layout.TileWidth*hashSize)
	if isNotExist(err) && name != full {
		name = full
		data, err = readFile(OSFiles{}, name, layout.TileWidth*hashSize)
	}
	if err != nil {
		return nil, err
	}
	if len(data) < tile.W*hashSize {
		return nil, &DamageError{File: name, Offset: int64(len(data)), Err: fmt.Errorf("the tile ends before hash %d", tile.W)}
	}
	return data[:tile.W*hashSize], nil
}
