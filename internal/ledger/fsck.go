package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Fsck looks at every file of the ledger in dir: segments and their records,
// seals, checkpoint, all tiles and entry bundles, superseded partial ones
// included, keys, and what does not belong there. Everything is recomputed from
// the records, and signed for by verifierKey. It changes nothing, takes no lock
// and may run beside a writer, whose newest records it may then not see.
//
// It returns by the limit at the latest, even from a directory made to hold it
// up; what was not looked at by then is a problem of the report. The error is
// about the call: a key that is none, a limit that is none.
func Fsck(ctx context.Context, dir, verifierKey string, limit time.Duration) (Report, error) {
	v, err := note.NewVerifier(verifierKey)
	if err != nil {
		return Report{}, fmt.Errorf("check ledger: verifier key: %w", err)
	}
	if limit <= 0 {
		return Report{}, errors.New("check ledger: a time limit is needed")
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out := &sink{r: Report{Schema: ReportSchema, Origin: v.Name()}}
	c := &checker{sink: out, ctx: ctx, dir: dir, vkey: verifierKey, origin: v.Name()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.run()
	}()
	// A file system that does not answer keeps the goroutine, but not the caller.
	select {
	case <-done:
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		select {
		case <-done: // it was over by then
			if c.complete {
				return out.report(), nil
			}
		default:
		}
		out.problem(".", 0, "the check did not end in time (%v): what it has not reached is not checked", err)
		out.update(func(r *Report) { r.Complete = false })
	}
	return out.report(), nil
}

// maxFiles bounds the files that a check looks at: 100 million records in
// segments of ordinary size have a tenth of it.
const maxFiles = 1 << 20

// checker is one run of Fsck. What it collects belongs to its goroutine; only
// the sink is shared.
type checker struct {
	*sink
	ctx      context.Context
	dir      string
	vkey     string
	origin   string
	complete bool // read after the goroutine has ended

	segments  []uint64        // numbers of the segment files, sorted
	seals     map[uint64]bool // numbers of the seal files
	tileFiles []string        // below log/tile
	leaves    []tlog.Hash     // of the log, as the records give them
	leafBytes [][]byte        // the seals that these are of
	erased    map[ID]string   // erased records, and where
	erasures  map[ID]bool     // records that an erasure record names
	present   map[string]bool // files by path relative to dir
}

func (c *checker) run() {
	c.seals, c.present = map[uint64]bool{}, map[string]bool{}
	c.erased, c.erasures = map[ID]string{}, map[ID]bool{}
	c.list()
	c.checkKeys()
	mark, known := c.checkTail()
	c.checkSegments(mark, known)
	c.checkErasures()
	c.checkLog()
	if c.ctx.Err() == nil {
		c.complete = true
		c.update(func(r *Report) { r.Complete = true })
	}
}

// list walks the directory, sorts what belongs to a ledger from what does not,
// and opens nothing.
func (c *checker) list() {
	err := filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		rel, relErr := filepath.Rel(c.dir, path)
		if relErr != nil {
			rel = path
		}
		rel = filepath.ToSlash(rel)
		if err != nil {
			c.problem(rel, 0, "cannot be read: %v", err)
			return nil
		}
		if d.IsDir() {
			if !knownDir(rel) {
				c.problem(rel, 0, "a directory that is not part of a ledger")
				return fs.SkipDir
			}
			return nil
		}
		if len(c.present) >= maxFiles {
			c.problem(".", 0, "more than %d files: the rest is not checked", maxFiles)
			return fs.SkipAll
		}
		if !d.Type().IsRegular() {
			c.problem(rel, 0, "not a regular file (%s)", d.Type())
			return nil
		}
		c.present[rel] = true
		c.sort(rel)
		return nil
	})
	if err != nil && c.ctx.Err() == nil {
		c.problem(".", 0, "cannot be listed: %v", err)
	}
	slices.Sort(c.segments)
}

func knownDir(rel string) bool {
	switch rel {
	case ".", segmentsName, tmpDir, logName, logName + "/.state", logName + "/tile":
		return true
	}
	return strings.HasPrefix(rel, logName+"/tile/")
}

// sort notes what a regular file is.
func (c *checker) sort(rel string) {
	switch rel {
	case lockName, tailName, keyName, verifierName, checkpointFile, treeStateFile, stateVersionFile:
		return
	case logName + "/.state/treeState.lock", logName + "/.state/publish.lock":
		c.wantEmpty(rel)
		return
	}
	if isLeftover(rel) {
		c.update(func(r *Report) { r.Leftovers++ })
		return
	}
	if strings.HasPrefix(rel, logName+"/tile/") {
		c.tileFiles = append(c.tileFiles, rel)
		return
	}
	if name, ok := strings.CutPrefix(rel, segmentsName+"/"); ok {
		if n, ok := parseSegmentName(name, ".seg"); ok {
			c.segments = append(c.segments, n)
			return
		}
		if n, ok := parseSegmentName(name, ".seal"); ok {
			c.seals[n] = true
			return
		}
	}
	c.problem(rel, 0, "a file that is not part of a ledger")
}

func (c *checker) wantEmpty(rel string) {
	info, err := os.Lstat(filepath.Join(c.dir, rel))
	if err != nil || info.Size() != 0 {
		c.problem(rel, 0, "this file is empty in a ledger")
	}
}

// read returns a file of at most limit bytes, and false after it has reported
// why not.
func (c *checker) read(rel string, limit int64) ([]byte, bool) {
	if c.ctx.Err() != nil {
		return nil, false
	}
	data, err := readFile(OSFiles{}, filepath.Join(c.dir, rel), limit)
	if err != nil {
		c.problem(rel, 0, "%s", c.strip(err))
		return nil, false
	}
	c.counted(int64(len(data)))
	return data, true
}

func (c *checker) counted(size int64) {
	c.update(func(r *Report) { r.Files++; r.Bytes += size })
}

// strip takes the directory out of an error; the report names files below it.
func (c *checker) strip(err error) string {
	return strings.ReplaceAll(err.Error(), c.dir+string(filepath.Separator), "")
}

// checkKeys compares the verifier key with the one given and, where the
// directory holds it, the signing key with both.
func (c *checker) checkKeys() {
	if !c.present[verifierName] {
		c.problem(verifierName, 0, "the file is missing")
	} else if data, ok := c.read(verifierName, maxKeyFile); ok && string(data) != c.vkey+"\n" {
		c.problem(verifierName, int64(mismatch(data, []byte(c.vkey+"\n"))), "it is not the key that the check was given")
	}
	if !c.present[keyName] {
		return
	}
	data, ok := c.read(keyName, maxKeyFile)
	if !ok {
		return
	}
	secret, ok := strings.CutSuffix(string(data), "\n")
	vkey, err := verifierOf(secret)
	if !ok || err != nil || vkey != c.vkey {
		c.problem(keyName, 0, "it is not the signing key of the verifier key")
	}
	if info, err := os.Lstat(filepath.Join(c.dir, keyName)); err == nil && info.Mode().Perm()&0o077 != 0 {
		c.problem(keyName, 0, "others may read the signing key (%s): make a new one", info.Mode().Perm())
	}
}

func (c *checker) checkTail() (mark tail, known bool) {
	if !c.present[tailName] {
		c.problem(tailName, 0, "the file is missing")
		return tail{}, false
	}
	data, ok := c.read(tailName, 1<<10)
	if !ok {
		return tail{}, false
	}
	mark, err := decodeTail(data)
	if err != nil {
		c.problem(tailName, 0, "%v", err)
		return tail{}, false
	}
	return mark, true
}

// checkSegments reads all records, and gathers what the log's leaves have to be.
func (c *checker) checkSegments(mark tail, known bool) {
	var want uint64
	for i, n := range c.segments {
		if c.ctx.Err() != nil {
			return
		}
		for ; want < n && n-want < maxFiles; want++ {
			c.problem(c.segmentFile(want), 0, "the segment is missing")
		}
		want = n + 1
		last := i == len(c.segments)-1
		synced := int64(-1) // all of it
		if last && known {
			synced = 0
			if mark.segment == n {
				synced = mark.synced
			}
		}
		c.checkSegment(n, last, synced)
	}
	// A mark behind the last segment is that of one that was not begun yet.
	if known && mark.synced > 0 && mark.segment >= want {
		c.problem(c.segmentFile(mark.segment), 0, "the segment is missing, of which %d bytes were on the disk", mark.synced)
	}
	for n := range c.seals {
		if !c.present[c.segmentFile(n)] {
			c.problem(c.sealFile(n), 0, "its segment is missing")
		}
	}
	c.update(func(r *Report) { r.Segments, r.Sealed = uint64(len(c.segments)), uint64(len(c.leaves)) })
}

func (c *checker) segmentFile(n uint64) string { return filepath.ToSlash(segmentPath("", n)) }
func (c *checker) sealFile(n uint64) string    { return filepath.ToSlash(sealPath("", n)) }

// checkSegment checks one segment and its seal. synced is how much of an
// unsealed one is known to have been on the disk.
func (c *checker) checkSegment(n uint64, last bool, synced int64) {
	rel := c.segmentFile(n)
	f, size, _, err := openSegment(OSFiles{}, c.dir, n, c.origin)
	if err != nil {
		var d *DamageError
		if last && synced <= 0 && errors.As(err, &d) && c.unwritten(n) {
			c.update(func(r *Report) { r.Torn += segmentHead })
			return
		}
		c.damage(rel, err)
		c.chain(n, nil)
		return
	}
	defer f.Close()
	c.counted(size)
	open := last && !c.seals[n]
	if open && size < synced {
		c.problem(rel, size, "the file ends here, but %d bytes of it were on the disk", synced)
	}
	s := newScanner(f, rel, segmentHead, size)
	var t segmentTree
	for {
		fr, err := s.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if c.ctx.Err() != nil {
				return
			}
			if open && synced >= 0 && s.off >= synced {
				c.update(func(r *Report) { r.Torn += size - s.off })
				break
			}
			c.damage(rel, err)
			if !open {
				c.chain(n, nil)
			}
			return
		}
		fr.digest()
		t.add(&fr)
		c.note(n, &fr)
		if len(t.leaves)%1024 == 0 && c.ctx.Err() != nil {
			return
		}
	}
	c.update(func(r *Report) { r.Records += uint64(len(t.leaves)) })
	switch {
	case c.seals[n]:
		c.chain(n, &t)
	case last:
	default:
		if len(t.leaves) == 0 {
			c.problem(rel, segmentHead, "a closed segment without a record")
		}
	}
}

func (c *checker) unwritten(n uint64) bool {
	f, err := OSFiles{}.OpenFile(segmentPath(c.dir, n), os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return headerUnwritten(f)
}

func (c *checker) damage(rel string, err error) {
	var d *DamageError
	if errors.As(err, &d) {
		c.problem(rel, d.Offset, "%s", c.strip(d.Err))
		return
	}
	c.problem(rel, 0, "%s", c.strip(err))
}

// chain compares segment n's seal file with the seal that its records and the
// seal before it give, which is leaf n of the log. Where the records are damaged
// (t is nil) the seal file is believed, so that one fault is one problem.
func (c *checker) chain(n uint64, t *segmentTree) {
	if !c.seals[n] {
		return
	}
	rel := c.sealFile(n)
	data, ok := c.read(rel, 1<<10)
	if uint64(len(c.leaves)) != n {
		c.problem(rel, 0, "an earlier segment is not sealed")
		return
	}
	var previous []byte
	if n > 0 {
		previous = c.leafBytes[n-1]
	}
	if t != nil && len(t.leaves) > 0 {
		s := t.seal(n, previous)
		want := s.encode()
		if ok && !bytes.Equal(data, want) {
			c.problem(rel, int64(mismatch(data, want)), "it is not the seal of the segment's records: one of the two was changed")
		}
		data = want
	} else if t != nil {
		c.problem(rel, 0, "its segment has no record")
	}
	c.leaves = append(c.leaves, tlog.RecordHash(data))
	c.leafBytes = append(c.leafBytes, data)
}

// mismatch returns where two byte strings begin to differ.
func mismatch(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
