// Package ledger keeps the record of what Apex decided, so that every record can
// be proved afterwards and nothing can be changed or taken out unnoticed.
//
// Start with [Open], [Ledger.Append] and [Ledger.Prove]. A process that lives
// long runs [Ledger.Run], which seals; one that appends a record and ends does
// not, and what it appended is sealed by the next that does. Who checks needs no
// ledger: [VerifyProof] for one record, [Fsck] for a directory.
//
// A record is type and bytes; what they mean is the caller's. Records are
// group-committed to segments. The Merkle root of a sealed segment is a leaf of
// a C2SP tlog-tiles log, kept by Tessera, whose checkpoints are signed. A
// record's leaf is a salted hash, so its data can be erased ([Ledger.Erase])
// while every proof stays valid.
//
// Sources: RFC 6962 §2.1 (tree hash), C2SP tlog-tiles, tlog-checkpoint and
// signed-note, RFC 9562 §5.7 (UUIDv7). The file formats are described in
// frame.go, segment.go, tail.go and seal.go; README.md tells the life of a
// record.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/apexlogic/apex/internal/clock"
)

var (
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("the ledger is closed")
	// ErrReadOnly is returned where a ledger that was opened to read would have to write.
	ErrReadOnly = errors.New("the ledger is open for reading only")
	// ErrFailed is wrapped by all errors after a write or an fsync has failed.
	// The ledger takes nothing more until it is opened again.
	ErrFailed = errors.New("the ledger has failed and must be opened again")
	// ErrLagging is wrapped by errors about a disk that does not keep up.
	ErrLagging = errors.New("the ledger's disk does not keep up")
	// ErrNotFound is wrapped when there is no record with an id.
	ErrNotFound = errors.New("no such record")
	// ErrErased is wrapped when the data asked for has been erased.
	ErrErased = errors.New("the record's data has been erased")
	// ErrUnsealed is wrapped when a proof is asked of a segment that is still
	// open, and the ledger is open for reading only.
	ErrUnsealed = errors.New("the record's segment is not sealed yet")
)

const (
	defaultSegmentBytes = 4 << 20
	maxSegmentBytes     = 256 << 20 // a proof reads a whole segment
	minSegmentBytes     = 1 << 10
	defaultSegmentAge   = time.Minute
	defaultFsyncLag     = 250 * time.Millisecond
)

// Options say how a ledger is opened. The zero value opens a ledger that exists.
type Options struct {
	// Origin is the log's name and that of its key, such as
	// "apex.example.com/ledger". It is needed to make a ledger; where one
	// exists it may be left empty, or must be the same.
	Origin string
	// Signer signs checkpoints; its name is Origin. When nil, an Ed25519 key is
	// made in the directory, readable by the owner only.
	Signer note.Signer
	// VerifierKey is the note verifier key of Signer, and needed with it.
	VerifierKey string
	// Clock dates records; nil: the machine's.
	Clock clock.Clock
	// Logger is told of what recovery mended; nil: nobody is.
	Logger *slog.Logger
	// Files is the file layer of the segments; nil: OSFiles.
	Files FS
	// SegmentBytes is the size at which a segment is closed: 1 KiB to 256 MiB,
	// 0 for 4 MiB. Opening reads the segment that is not closed.
	SegmentBytes int64
	// SegmentAge is the age at which Run seals a segment; 0 for one minute.
	SegmentAge time.Duration
	// FsyncLag bounds how long a Written record waits for its fsync; 0 for 250 ms.
	FsyncLag time.Duration
	// LockWait is how long Open waits for another holder to end; 0: not at all.
	LockWait time.Duration
	// ReadOnly opens without a lock, beside a writer. Nothing is mended or sealed.
	ReadOnly bool
}

// Ledger is an open ledger. Its methods are safe for concurrent use.
type Ledger struct {
	dir   string
	files FS
	clock clock.Clock
	log   *slog.Logger

	origin string
	vkey   string
	signer note.Signer // nil: in the key file
	age    time.Duration

	lock *os.File
	w    *writer // nil: read-only

	ranges ranges

	sealing sync.Mutex // one sealing, erasing or log opening at a time
	tlog    *tileLog   // nil until something is sealed; guarded by sealing
	sealErr error      // guarded by stateMu

	stateMu sync.Mutex
	closed  bool
}

// Open opens the ledger in dir, and makes it when it does not exist. It mends
// what a crash may leave and refuses what it may not: then the error wraps a
// [*DamageError]. One Ledger at a time holds a directory, others get ErrLocked.
//
// The context bounds Open only.
func Open(ctx context.Context, dir string, o Options) (*Ledger, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l := &Ledger{dir: dir, files: o.Files, clock: o.Clock, log: o.Logger, signer: o.Signer, age: o.SegmentAge}
	open := l.openWriter
	if o.ReadOnly {
		open = l.openReader
	}
	if err := open(ctx, &o); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return l, nil
}

func (o *Options) complete() error {
	if o.Files == nil {
		o.Files = OSFiles{}
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.SegmentAge == 0 {
		o.SegmentAge = defaultSegmentAge
	}
	if o.FsyncLag == 0 {
		o.FsyncLag = defaultFsyncLag
	}
	switch {
	case o.SegmentBytes < minSegmentBytes || o.SegmentBytes > maxSegmentBytes:
		return fmt.Errorf("segments of %d bytes: want %d to %d", o.SegmentBytes, minSegmentBytes, maxSegmentBytes)
	case o.SegmentAge < 0 || o.FsyncLag < 0 || o.LockWait < 0:
		return errors.New("a duration is negative")
	case (o.Signer == nil) != (o.VerifierKey == ""):
		return errors.New("a signer and its verifier key have to be handed in together")
	}
	return nil
}

func (l *Ledger) openReader(_ context.Context, _ *Options) error {
	vkey, err := readVerifier(l.files, l.dir)
	if err != nil {
		return err
	}
	return l.setVerifier(vkey)
}

func (l *Ledger) openWriter(ctx context.Context, o *Options) (err error) {
	for _, name := range []string{segmentsName, tmpDir} {
		if err := l.files.MkdirAll(filepath.Join(l.dir, name), 0o700); err != nil {
			return err
		}
	}
	var unclean bool
	if l.lock, unclean, err = lockDir(ctx, l.dir, o.LockWait); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			unlockDir(l.lock, false)
		}
	}()
	if unclean {
		if err := settle(l.files, l.dir); err != nil {
			return err
		}
	}
	vkey, err := ensureKeys(l.files, l.dir, o)
	if err != nil {
		return err
	}
	if err := l.setVerifier(vkey); err != nil {
		return err
	}
	pos, err := recoverDir(ctx, l.files, l.dir, l.origin, o.SegmentBytes, l.log)
	if err != nil {
		return err
	}
	tailFile, err := l.openTail(pos)
	if err != nil {
		if pos.file != nil {
			pos.file.Close()
		}
		return err
	}
	l.w = &writer{
		files: l.files, dir: l.dir, origin: l.origin, clock: l.clock,
		segmentBytes: o.SegmentBytes, lag: o.FsyncLag,
		tail: tailFile, pos: pos, synced: pos.size,
		changed: make(chan struct{}), rolled: make(chan struct{}, 1),
		wake: make(chan struct{}, 1), wakeSync: make(chan struct{}, 1),
		stopSync: make(chan struct{}), wrote: make(chan struct{}), syncs: make(chan struct{}),
	}
	return nil
}

// openTail opens the tail file and brings it up to what recovery has synced.
func (l *Ledger) openTail(pos position) (File, error) {
	name := filepath.Join(l.dir, tailName)
	ok, err := exists(l.files, name)
	if err != nil {
		return nil, err
	}
	mark := tail{segment: pos.next}
	if pos.file != nil {
		mark = tail{segment: pos.next - 1, synced: pos.size}
	}
	if !ok {
		// A ledger that is made: the directory's own name, too, must be durable,
		// and before the mark, since who finds that takes the ledger for made.
		if err := l.files.SyncDir(filepath.Dir(l.dir)); err != nil {
			return nil, err
		}
		if err := writeFile(l.files, l.dir, tailName, mark.encode(), 0o600); err != nil {
			return nil, err
		}
	}
	f, err := l.files.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if ok && pos.file != nil {
		if _, err := f.WriteAt(mark.encode(), 0); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

func (l *Ledger) setVerifier(vkey string) error {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return &DamageError{File: filepath.Join(l.dir, verifierName), Err: err}
	}
	l.vkey, l.origin = vkey, v.Name()
	return nil
}

// VerifierKey returns the note verifier key that proofs and checks are made
// with. Hand it to whoever checks, by another way than the ledger's directory.
func (l *Ledger) VerifierKey() string { return l.vkey }

// Healthy returns nil while the ledger keeps its promises. Otherwise the error
// wraps ErrFailed, ErrLagging or ErrClosed, or is the one of the last sealing.
// A door closes on it.
func (l *Ledger) Healthy() error {
	if l.w != nil {
		if err := l.w.health(); err != nil {
			return err
		}
	}
	l.stateMu.Lock()
	defer l.stateMu.Unlock()
	if l.closed {
		return ErrClosed
	}
	return l.sealErr
}

// Close writes and syncs what was handed in, and lets go of the directory. It
// seals nothing: an open segment is legal at rest. End Run before.
func (l *Ledger) Close() error {
	l.stateMu.Lock()
	if l.closed {
		l.stateMu.Unlock()
		return ErrClosed
	}
	l.closed = true
	l.stateMu.Unlock()
	if l.w == nil {
		return nil
	}
	l.sealing.Lock()
	defer l.sealing.Unlock()
	err := l.w.close()
	if l.tlog != nil {
		err = errors.Join(err, l.tlog.close(l.dir, l.vkey))
		l.tlog = nil
	}
	l.stateMu.Lock()
	clean := err == nil && l.sealErr == nil
	l.stateMu.Unlock()
	return errors.Join(err, unlockDir(l.lock, clean))
}
