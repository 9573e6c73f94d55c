package ledger

import (
	"bytes"
	"context"
	"encoding/base64"
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
	// logBatch and logBatchAge are Tessera's batching: seals come one by one or,
	// after a backlog, many at once.
	logBatch    = 256
	logBatchAge = 5 * time.Millisecond
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
	shutdown func(context.Context) error
	cancel   context.CancelFunc
	size     uint64 // leaves that the log has
}

// openLog starts Tessera and compares the log with the seals: it must hold a
// prefix of them.
func (l *Ledger) openLog(ctx context.Context, sealed uint64) (*tileLog, error) {
	signer := l.signer
	if signer == nil {
		var err error
		if signer, err = loadSigner(l.files, l.dir); err != nil {
			return nil, err
		}
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t, err := startLog(run, cancel, filepath.Join(l.dir, logName), signer)
	if err == nil {
		err = t.compare(ctx, l, sealed)
	}
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
	size, err := reader.IntegratedSize(ctx)
	if err != nil {
		return nil, err
	}
	return &tileLog{appender: appender, shutdown: shutdown, cancel: cancel, size: size}, nil
}

func (t *tileLog) compare(ctx context.Context, l *Ledger, sealed uint64) error {
	if t.size > sealed {
		return fmt.Errorf("the log has %d leaves, but %d segments are sealed: segments or seals are missing; run a check of the whole ledger", t.size, sealed)
	}
	if t.size == 0 {
		return nil
	}
	name := filepath.Join(l.dir, logName, layout.EntriesPathForLogIndex(t.size-1, t.size))
	raw, err := readFile(OSFiles{}, name, maxBundle)
	if isNotExist(err) { // a full bundle replaces the partial one
		name = filepath.Join(l.dir, logName, layout.EntriesPath((t.size-1)/layout.EntryBundleWidth, 0))
		raw, err = readFile(OSFiles{}, name, maxBundle)
	}
	if err != nil {
		return err
	}
	var bundle api.EntryBundle
	if err := bundle.UnmarshalText(raw); err != nil {
		return &DamageError{File: name, Err: err}
	}
	s, err := l.readSeal(t.size - 1)
	if err != nil {
		return err
	}
	at := int((t.size - 1) % layout.EntryBundleWidth)
	if at >= len(bundle.Entries) || !bytes.Equal(bundle.Entries[at], s.encode()) {
		return &DamageError{File: name, Err: fmt.Errorf("leaf %d of the log is not the seal of that segment", t.size-1)}
	}
	return ctx.Err()
}

// maxBundle bounds an entry bundle of the log.
const maxBundle = layout.EntryBundleWidth * (2 + sealSize)

// integrate adds the seals that the log lacks, and waits for a checkpoint that
// covers size leaves.
func (t *tileLog) integrate(ctx context.Context, l *Ledger, size uint64) error {
	var futures []tessera.IndexFuture
	for n := t.size; n < size; n++ {
		s, err := l.readSeal(n)
		if err != nil {
			return err
		}
		futures = append(futures, t.appender.Add(ctx, tessera.NewEntry(s.encode())))
	}
	for _, future := range futures {
		index, err := future()
		if err != nil {
			return fmt.Errorf("add segment %d to the log: %w", t.size, err)
		}
		if index.Index != t.size {
			return fmt.Errorf("segment %d became leaf %d of the log: something else writes to it", t.size, index.Index)
		}
		t.size++
	}
	for {
		c, err := readCheckpoint(l.dir, l.vkey)
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

// close waits until all that was added is published; only then do Tessera's
// goroutines have nothing left to write when they are told to end.
func (t *tileLog) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := t.shutdown(ctx)
	t.cancel()
	return err
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
