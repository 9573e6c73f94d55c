package oms

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// noise is n bytes in which no two blocks are alike.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
}

func TestAWitnessReadsWhatIsThere(t *testing.T) {
	for _, size := range []int{0, 1, witnessBlock - 1, witnessBlock, witnessBlock + 1, 5*witnessBlock + 77} {
		for _, span := range []int64{0, 1 << 62, 1000, witnessBlock, 2*witnessBlock + 5} {
			content := noise(size)
			w := NewWitness(bytes.NewReader(content), int64(size), span)
			r := rand.New(rand.NewPCG(1, uint64(size)))
			for range 60 {
				off, n := r.IntN(size+3), r.IntN(size+5)
				got := make([]byte, n)
				k, err := w.ReadAt(got, int64(off))
				want := content[min(off, size):min(off+n, size)]
				if !bytes.Equal(got[:k], want) || (err == nil) != (k == n) || err != nil && err != io.EOF {
					t.Fatalf("size %d, span %d, read %d at %d: %d bytes, %v", size, span, n, off, k, err)
				}
			}
			if err := checkAll(w, content, span); err != nil {
				t.Errorf("size %d, span %d: %v", size, span, err)
			}
		}
	}
}

// checkAll does what the hashing pass does.
func checkAll(w *Witness, content []byte, span int64) error {
	if span <= 0 || span > int64(len(content)) {
		return w.Check(content, 0)
	}
	for off := int64(0); off < int64(len(content)); off += span {
		if err := w.Check(content[off:min(off+span, int64(len(content)))], off); err != nil {
			return err
		}
	}
	return nil
}

func TestAWitnessSeesEveryChangeOfWhatWasRead(t *testing.T) {
	const size = 4*witnessBlock + 1000
	before := noise(size)
	for _, span := range []int64{0, witnessBlock + 4096} {
		for _, read := range []struct{ off, n int64 }{{0, 8}, {0, size}, {100, 2 * witnessBlock}, {size - 1, 1}, {witnessBlock - 1, 2}} {
			for _, at := range []int64{0, 50, witnessBlock, witnessBlock + 5000, size - 1} {
				w := NewWitness(bytes.NewReader(before), size, span)
				if _, err := w.ReadAt(make([]byte, read.n), read.off); err != nil {
					t.Fatal(err)
				}
				after := bytes.Clone(before)
				after[at] ^= 1
				first, _ := w.block(read.off)
				_, last := w.block(read.off + read.n - 1)
				err := checkAll(w, after, span)
				var changed *ChangedError
				if seen := first <= at && at < last; seen != errors.As(err, &changed) || (err == nil) == seen {
					t.Errorf("span %d, read %d at %d, changed %d: %v", span, read.n, read.off, at, err)
				}
			}
		}
	}
}

// flicker gives other bytes with every read of its first block.
type flicker struct {
	content []byte
	reads   byte
}

func (f *flicker) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, f.content[off:])
	if off == 0 {
		f.reads++
		p[0] = f.reads
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func TestAScannerThatReadsTwiceSeesOneFile(t *testing.T) {
	const size = 20 * witnessBlock
	w := NewWitness(&flicker{content: noise(size)}, size, 0)
	b := make([]byte, 1)
	for range 3 { // from memory
		if _, err := w.ReadAt(b, 0); err != nil || b[0] != 1 {
			t.Fatalf("read %d: %v", b[0], err)
		}
	}
	for off := int64(0); off < size; off += witnessBlock { // forget the first block
		if _, err := w.ReadAt(b, off+1); err != nil {
			t.Fatal(err)
		}
	}
	var changed *ChangedError
	if _, err := w.ReadAt(b, 0); !errors.As(err, &changed) {
		t.Fatalf("another first byte: %v", err)
	}
	if _, err := w.ReadAt(b, 5*witnessBlock); !errors.As(err, &changed) {
		t.Errorf("reading on after a change: %v", err)
	}
	if err := w.Check(noise(size)[:witnessBlock], 0); !errors.As(err, &changed) {
		t.Errorf("hashing after a change: %v", err)
	}
}

func TestAFileThatEndsEarlyHasChanged(t *testing.T) {
	w := NewWitness(bytes.NewReader(noise(10)), 20, 0)
	var changed *ChangedError
	if _, err := w.ReadAt(make([]byte, 4), 0); !errors.As(err, &changed) {
		t.Errorf("got %v", err)
	}
	if _, err := NewWitness(bytes.NewReader(nil), 0, 0).ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("a negative offset was read")
	}
}

func TestAWitnessMayBeSharedByGoroutines(t *testing.T) {
	content := noise(9 * witnessBlock)
	w := NewWitness(bytes.NewReader(content), int64(len(content)), 0)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			b := make([]byte, 3000)
			for k := range 50 {
				off := (i*7919 + k*104729) % (len(content) - len(b))
				if _, err := w.ReadAt(b, int64(off)); err != nil || !bytes.Equal(b, content[off:off+len(b)]) {
					t.Errorf("read at %d: %v", off, err)
				}
				if err := w.Check(content, 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func TestWhatWasScannedIsWhatWasHashed(t *testing.T) {
	content := string(noise(3*witnessBlock + 10))
	// Each writes to the file after the inspector read its head, so that sizes
	// and, where they can, times stay as they were.
	for _, test := range []struct {
		name  string
		write func(t *testing.T, path string)
		ok    bool
	}{
		{"nothing", func(*testing.T, string) {}, true},
		{"the head", func(t *testing.T, path string) { patch(t, path, 3, "x") }, false},
		{"the end of the block that was read", func(t *testing.T, path string) { patch(t, path, witnessBlock-1, "x") }, false},
		{"the end of the file", func(t *testing.T, path string) { patch(t, path, int64(len(content))-1, "xx") }, false},
		{"less", func(t *testing.T, path string) {
			if err := os.Truncate(path, witnessBlock+1); err != nil {
				t.Error(err)
			}
		}, false},
		{"another file", func(t *testing.T, path string) {
			write(t, path+".new", content)
			if err := os.Rename(path+".new", path); err != nil {
				t.Error(err)
			}
		}, false},
	} {
		for _, o := range []Options{{}, {Method: Shards, ShardSize: 40_000}} {
			t.Run(test.name+" "+string(o.Method), func(t *testing.T) {
				dir := writeModel(t, map[string]string{"model.bin": content})
				key := edKey(t)
				raw := mustSign(t, mustHash(t, dir, o).Manifest, Signer{Key: key})
				inspect := func(_ context.Context, path string, r io.ReaderAt, size int64) error {
					if path != "model.bin" || size != int64(len(content)) {
						t.Errorf("inspect %s, %d bytes", path, size)
					}
					if _, err := r.ReadAt(make([]byte, 8), 0); err != nil {
						t.Error(err)
					}
					test.write(t, filepath.Join(dir, path))
					return nil
				}
				o.Work.Inspect = inspect
				_, err := Hash(t.Context(), dir, o)
				var changed *ChangedError
				if test.ok != (err == nil) || !test.ok && !errors.As(err, &changed) {
					t.Errorf("hash: %v", err)
				}
				// A verifier is told so as well, whatever it finds there now.
				write(t, filepath.Join(dir, "model.bin"), content)
				p := trusting(t, key)
				p.Work.Inspect = inspect
				_, err = Verify(t.Context(), raw, dir, p)
				if test.ok != (err == nil) || !test.ok && !errors.As(err, &changed) {
					t.Errorf("verify: %v", err)
				}
			})
		}
	}
}

// patch overwrites bytes and gives the file its old times again.
func patch(t *testing.T, path string, at int64, text string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Error(err)
		return
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Error(err)
		return
	}
	_, err = f.WriteAt([]byte(text), at)
	if err := errors.Join(err, f.Close(), os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
		t.Error(err)
	}
}

// TestTheWitnessAloneCatchesAChangeThatLeavesNoTrace takes the file system's
// stamps out of the game: the inspector's bytes differ from those hashed.
func TestTheWitnessAloneCatchesAChangeThatLeavesNoTrace(t *testing.T) {
	content := noise(3 * witnessBlock)
	other := bytes.Clone(content)
	other[10] ^= 1
	for _, test := range []struct {
		scanned []byte
		ok      bool
	}{{content, true}, {other, false}} {
		dir := writeModel(t, map[string]string{"m": string(content)})
		tr := must[*tree](t)(openTree(dir, rules{}))
		defer tr.close()
		files, _, err := tr.list()
		if err != nil {
			t.Fatal(err)
		}
		e := &engine{tree: tr, files: files, algorithm: SHA256}
		if err := e.prepare(); err != nil {
			t.Fatal(err)
		}
		o := &e.open[0]
		o.once.Do(func() {
			o.f, o.err = tr.open(&files[0])
			o.witness = NewWitness(bytes.NewReader(test.scanned), int64(len(test.scanned)), 0)
			if _, err := o.witness.ReadAt(make([]byte, 100), 0); err != nil {
				t.Error(err)
			}
		})
		h, _ := SHA256.new()
		err = e.do(t.Context(), task{}, h, make([]byte, readSize))
		if (err == nil) != test.ok || err != nil && !strings.Contains(err.Error(), `"m" changed while it was read: the bytes from 0 on are not those that were scanned`) {
			t.Errorf("got %v", err)
		}
	}
}
