package ledger

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// inTime is how long anything may take on a machine that does much else.
const inTime = 5 * time.Minute

func wantClean(t testing.TB, dir, vkey string) Report {
	t.Helper()
	r, err := Fsck(t.Context(), dir, vkey, inTime)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Problems {
		t.Error(p)
	}
	if !r.OK() || t.Failed() {
		t.Fatalf("not clean: %+v", r)
	}
	return r
}

// makeLedger returns a closed ledger whose log was published at several sizes,
// with an erased record, an unsealed segment and superseded partial tiles.
func makeLedger(t testing.TB, rounds, segments, records int) (dir, vkey string) {
	t.Helper()
	dir = t.TempDir()
	l := open(t, dir, Options{Origin: "t", SegmentBytes: minSegmentBytes})
	var first ID
	for range rounds {
		for range segments {
			receipts := mustAppend(t, l, Durable, slices.Repeat([]string{"abc"}, records)...)
			if first == (ID{}) {
				first = receipts[0].ID
			}
			if segments == 1 {
				continue
			}
			// Closed, and sealed together with the others below.
			r := &request{roll: true, done: make(chan error, 1)}
			if err := l.w.submit(r); err != nil {
				t.Fatal(err)
			}
			if err := <-r.done; err != nil {
				t.Fatal(err)
			}
		}
		mustSeal(t, l)
	}
	if err := l.Erase(t.Context(), "gone", first); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, Durable, "open")
	closeLedger(t, l)
	return dir, l.VerifierKey()
}

// regularFiles returns the files below dir that hold something.
func regularFiles(t testing.TB, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, _ := d.Info(); info.Size() > 0 {
				rel, _ := filepath.Rel(dir, path)
				names = append(names, rel)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func flip(t testing.TB, name string, bit int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], bit/8); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << (bit % 8)
	if _, err := f.WriteAt(b[:], bit/8); err != nil {
		t.Fatal(err)
	}
}

func TestEveryFlippedBitOfASmallLedgerIsFound(t *testing.T) {
	t.Parallel()
	dir, vkey := makeLedger(t, 2, 1, 1)
	wantClean(t, dir, vkey)
	type bit struct {
		name string
		at   int64
	}
	bits := make(chan bit, 64)
	var checked, missed atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		mine := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(mine, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(mine, keyName), 0o600); err != nil { // CopyFS widens it
			t.Fatal(err)
		}
		wantClean(t, mine, vkey)
		wg.Go(func() {
			for b := range bits {
				name := filepath.Join(mine, b.name)
				flip(t, name, b.at)
				r, err := Fsck(t.Context(), mine, vkey, inTime)
				checked.Add(1)
				if (err != nil || r.OK()) && missed.Add(1) <= 20 {
					t.Errorf("bit %d of byte %d of %s: not found (%v)", b.at%8, b.at/8, b.name, err)
				} else if !namesFile(r, b.name) && missed.Add(1) <= 20 {
					t.Errorf("bit %d of byte %d of %s: blamed on %v", b.at%8, b.at/8, b.name, r.Problems)
				}
				flip(t, name, b.at)
			}
		})
	}
	for _, name := range regularFiles(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for at := range info.Size() * 8 {
			if testing.Short() && at%11 != 0 {
				continue
			}
			bits <- bit{name, at}
		}
	}
	close(bits)
	wg.Wait()
	t.Logf("%d flipped bits, %d not found", checked.Load(), missed.Load())
}

func namesFile(r Report, name string) bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.File == filepath.ToSlash(name) })
}

// flips is how many random bits are tried on a large ledger: APEX_FLIPS, or 400.
func flips(t *testing.T) int {
	if text := os.Getenv("APEX_FLIPS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if testing.Short() {
		return 200
	}
	return 400
}

// A check of the large ledger finds many flipped bits at once, each in another
// file, and names every one of these files.
func TestRandomFlippedBitsOfALargeLedgerAreFound(t *testing.T) {
	t.Parallel()
	dir, vkey := makeLedger(t, 4, 80, 5) // the log has more than one full tile
	if r := wantClean(t, dir, vkey); r.LogSize < 300 {
		t.Fatalf("the log has %d leaves", r.LogSize)
	}
	names := regularFiles(t, dir)
	r := rand.New(rand.NewPCG(1, 2))
	const atOnce = 40
	for left := flips(t); left > 0; left -= atOnce {
		type bit struct {
			name string
			at   int64
		}
		var done []bit
		r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			if len(done) == min(atOnce, left) {
				break
			}
			// The seal stands in for a damaged segment, so that not both are.
			if left%(2*atOnce) < atOnce && strings.HasSuffix(name, ".seal") || left%(2*atOnce) >= atOnce && strings.HasSuffix(name, ".seg") {
				continue
			}
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			done = append(done, bit{name, r.Int64N(info.Size() * 8)})
		}
		for _, b := range done {
			flip(t, filepath.Join(dir, b.name), b.at)
		}
		report, err := Fsck(t.Context(), dir, vkey, inTime)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range done {
			if !namesFile(report, b.name) {
				t.Errorf("bit %d of byte %d of %s: not found", b.at%8, b.at/8, b.name)
			}
			flip(t, filepath.Join(dir, b.name), b.at)
		}
		// A flipped bit may leave a second trace, but not a flood of them.
		if len(report.Problems) > len(done)+3 {
			t.Errorf("%d problems for %d flipped bits: %v", len(report.Problems), len(done), report.Problems)
		}
	}
	wantClean(t, dir, vkey)
}

func TestWhatIsMissingOrTooMuchIsFound(t *testing.T) {
	t.Parallel()
	orig, vkey := makeLedger(t, 3, 1, 2)
	var sealed = sealPath("", 1)
	cases := []struct {
		name   string
		change func(dir string) error
		file   string
	}{
		{"a segment in the middle is gone", func(d string) error { return os.Remove(segmentPath(d, 1)) }, segmentPath("", 1)},
		{"the newest segment is gone", func(d string) error { return os.Remove(segmentPath(d, 4)) }, segmentPath("", 4)},
		{"a seal is gone", func(d string) error { return os.Remove(filepath.Join(d, sealed)) }, ""},
		{"the checkpoint is gone", func(d string) error { return os.Remove(filepath.Join(d, checkpointFile)) }, checkpointFile},
		{"the newest tile is gone", func(d string) error { return os.Remove(filepath.Join(d, logName, "tile/0/000.p/4")) }, logName + "/tile/0/000.p/4"},
		{"the tail is gone", func(d string) error { return os.Remove(filepath.Join(d, tailName)) }, tailName},
		{"the newest segment is shorter by a record", func(d string) error { return os.Truncate(segmentPath(d, 4), segmentHead) }, segmentPath("", 4)},
		{"a sealed segment is longer", func(d string) error { return appendFile(segmentPath(d, 1), []byte{0}) }, segmentPath("", 1)},
		{"a foreign file lies about", func(d string) error { return os.WriteFile(filepath.Join(d, "segments", "notes"), nil, 0o600) }, "segments/notes"},
		{"a tile of the future lies about", func(d string) error {
			return os.WriteFile(filepath.Join(d, logName, "tile/0/000.p/200"), make([]byte, 200*32), 0o600)
		}, logName + "/tile/0/000.p/200"},
		{"a foreign directory lies about", func(d string) error { return os.Mkdir(filepath.Join(d, "more"), 0o700) }, "more"},
		{"others may read the key", func(d string) error { return os.Chmod(filepath.Join(d, keyName), 0o644) }, keyName},
		{"a symbolic link stands for a segment", func(d string) error {
			if err := os.Rename(segmentPath(d, 1), filepath.Join(d, tmpDir, "x")); err != nil {
				return err
			}
			return os.Symlink(filepath.Join(d, tmpDir, "x"), segmentPath(d, 1))
		}, segmentPath("", 1)},
		{"two segments have changed places", func(d string) error {
			a, b, c := segmentPath(d, 1), segmentPath(d, 2), filepath.Join(d, tmpDir, "x")
			return firstError(os.Rename(a, c), os.Rename(b, a), os.Rename(c, b))
		}, segmentPath("", 1)},
		{"a record is replaced, checksum and all", func(d string) error { return forge(segmentPath(d, 1)) }, sealPath("", 1)},
		{"a record and its seal are replaced", func(d string) error {
			if err := forge(segmentPath(d, 1)); err != nil {
				return err
			}
			return reseal(d, 1)
		}, checkpointFile},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "copy")
			if err := firstError(os.CopyFS(dir, os.DirFS(orig)), os.Chmod(filepath.Join(dir, keyName), 0o600)); err != nil {
				t.Fatal(err)
			}
			wantClean(t, dir, vkey)
			if err := tc.change(dir); err != nil {
				t.Fatal(err)
			}
			r, err := Fsck(t.Context(), dir, vkey, inTime)
			if err != nil || r.OK() || (tc.file != "" && !namesFile(r, tc.file)) {
				t.Fatalf("%v, %v", err, r.Problems)
			}
		})
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func appendFile(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return firstError(err, f.Close())
}

// forge changes the first record of a segment and makes its checksum right.
func forge(name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	f, err := decodeFrame(data[segmentHead:])
	if err != nil {
		return err
	}
	changed := appendRecord(nil, &f.meta, f.salt, []byte("xyz"))
	copy(data[segmentHead:], changed)
	return os.WriteFile(name, data, 0o600)
}

// reseal gives a segment the seal that fits its changed records.
func reseal(dir string, n uint64) error {
	l := &Ledger{dir: dir, files: OSFiles{}, origin: "t"}
	if err := os.Remove(sealPath(dir, n)); err != nil {
		return err
	}
	return l.writeSeal(context.Background(), n)
}

func TestACheckEndsInTime(t *testing.T) {
	_, vkey := makeLedger(t, 1, 1, 1)
	cases := []struct {
		name string
		make func(t *testing.T, dir string)
	}{
		{"pipes stand for files", func(t *testing.T, dir string) {
			os.MkdirAll(filepath.Join(dir, segmentsName), 0o700)
			os.MkdirAll(filepath.Join(dir, logName, "tile/0"), 0o700)
			for _, name := range []string{tailName, verifierName, keyName, checkpointFile, segmentPath("", 0), sealPath("", 0), "log/tile/0/000"} {
				if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"files are huge and sparse", func(t *testing.T, dir string) {
			os.MkdirAll(filepath.Join(dir, segmentsName), 0o700)
			os.MkdirAll(filepath.Join(dir, logName), 0o700)
			for _, name := range []string{tailName, verifierName, checkpointFile, segmentPath("", 0), sealPath("", 0)} {
				if err := firstError(os.WriteFile(filepath.Join(dir, name), nil, 0o600), os.Truncate(filepath.Join(dir, name), 1<<40)); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"a segment has a far number", func(t *testing.T, dir string) {
			os.MkdirAll(filepath.Join(dir, segmentsName), 0o700)
			if err := os.WriteFile(segmentPath(dir, 999_999_999_999), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"links go in circles", func(t *testing.T, dir string) {
			if err := os.Symlink(dir, filepath.Join(dir, segmentsName)); err != nil {
				t.Fatal(err)
			}
		}},
		{"there is nothing", func(t *testing.T, dir string) {}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			tc.make(t, dir)
			r, err := Fsck(t.Context(), dir, vkey, inTime)
			if err != nil || !r.Complete || len(r.Problems) == 0 {
				t.Fatalf("%v, %+v", err, r)
			}
		})
	}
	t.Run("time is up before the end", func(t *testing.T) {
		dir, vkey := makeLedger(t, 1, 1, 1)
		r, err := Fsck(t.Context(), dir, vkey, time.Nanosecond)
		if err != nil || r.Complete || r.OK() || len(r.Problems) == 0 {
			t.Fatalf("%v, %+v", err, r)
		}
		wantClean(t, dir, vkey)
	})
	t.Run("without a limit or a key nothing is checked", func(t *testing.T) {
		if _, err := Fsck(t.Context(), t.TempDir(), vkey, 0); err == nil {
			t.Error("no limit: no error")
		}
		if _, err := Fsck(t.Context(), t.TempDir(), "key", time.Second); err == nil {
			t.Error("no key: no error")
		}
	})
}

func ExampleProblem() {
	fmt.Println(Problem{"segments/000000000007.seg", 4096, "not a valid frame"})
	// Output: segments/000000000007.seg:4096: not a valid frame
}
