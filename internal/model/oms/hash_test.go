package oms

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/zeebo/blake3"
	"golang.org/x/crypto/blake2b"
)

func TestDigestsAreThoseOfTheFiles(t *testing.T) {
	content := noise(2*readSize + 12345)
	dir := writeModel(t, map[string]string{"a": string(content), "b": ""})
	one := func(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
	two := func(b []byte) string { s := blake2b.Sum512(b); return hex.EncodeToString(s[:]) }
	three := func(b []byte) string { s := blake3.Sum256(b); return hex.EncodeToString(s[:]) }
	for algorithm, sum := range map[Algorithm]func([]byte) string{SHA256: one, BLAKE2b: two, BLAKE3: three} {
		m := mustHash(t, dir, Options{Algorithm: algorithm}).Manifest
		want := []Resource{{"a", sum(content)}, {"b", sum(nil)}}
		if !slices.Equal(m.Resources, want) {
			t.Errorf("%s: %v", algorithm, m.Resources)
		}
		raws := append(must[[]byte](t)(hex.DecodeString(want[0].Digest)), must[[]byte](t)(hex.DecodeString(want[1].Digest))...)
		if m.Root().Hex() != one(raws) {
			t.Errorf("%s: root %s", algorithm, m.Root())
		}
	}
	remove(t, dir, "b")
	m := mustHash(t, dir, Options{Method: Shards, ShardSize: 300_000}).Manifest
	want := []Resource{
		{"a:0:300000", one(content[:300000])}, {"a:300000:536633", one(content[300000:])},
	}
	if !slices.Equal(m.Resources, want) {
		t.Errorf("shards: %v", m.Resources)
	}
	if d := mustHash(t, dir, Options{Method: Shards}).Manifest.Serialization.ShardSize; d != 1_000_000_000 {
		t.Errorf("default shard size %d", d)
	}
}

func TestOnlyWhatIsPartOfTheModelIsListed(t *testing.T) {
	dir := writeModel(t, map[string]string{
		".git/config": "", ".github/x/y": "", ".gitignore": "", ".gitattributes": "", ".gitmodules": "1",
		"sub/.git/config": "2", "sub/.gitignore": "3", "cache/a": "", "cache2/b": "4", "sub/cache/c": "5", "model.sig": "",
	})
	if err := os.MkdirAll(filepath.Join(dir, "empty/folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	h := mustHash(t, dir, Options{Ignore: []string{"cache/", "./sub/.git", "nowhere"}, Signature: filepath.Join(dir, "model.sig")})
	var names []string
	for _, r := range h.Manifest.Resources {
		names = append(names, r.Name)
	}
	if want := []string{".gitmodules", "cache2/b", "sub/.gitignore", "sub/cache/c"}; !slices.Equal(names, want) {
		t.Errorf("listed %q", names)
	}
	if want := []string{".git", ".gitattributes", ".github", ".gitignore", "cache", "model.sig", "sub/.git"}; !slices.Equal(h.Ignored, want) {
		t.Errorf("ignored %q", h.Ignored)
	}
	if want := []string{".git", ".gitattributes", ".github", ".gitignore", "cache", "model.sig", "nowhere", "sub/.git"}; !slices.Equal(h.Manifest.Serialization.IgnorePaths, want) {
		t.Errorf("recorded %q", h.Manifest.Serialization.IgnorePaths)
	}
	// A signature elsewhere ignores nothing, nor does one of a like name.
	h = mustHash(t, dir, Options{Signature: filepath.Join(filepath.Dir(dir), "model.sig")})
	if !slices.ContainsFunc(h.Manifest.Resources, func(r Resource) bool { return r.Name == "model.sig" }) {
		t.Error("a signature outside of the model hid a file inside")
	}
}

func TestWhatIsNoModelIsRefused(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(t *testing.T, dir string)
		o    Options
		want string // "": accepted
	}{
		{name: "plain files", make: func(*testing.T, string) {}},
		{name: "no files", make: func(t *testing.T, dir string) { remove(t, dir, "a") }, want: "no files"},
		{name: "a link to a file", make: func(t *testing.T, dir string) { link(t, "a", filepath.Join(dir, "l")) }, want: "symbolic link"},
		{name: "a link to a file, allowed", make: func(t *testing.T, dir string) { link(t, "a", filepath.Join(dir, "l")) }, o: Options{AllowSymlinks: true}},
		{name: "a link to an absolute path inside, allowed", make: func(t *testing.T, dir string) { link(t, filepath.Join(dir, "a"), filepath.Join(dir, "l")) },
			o: Options{AllowSymlinks: true}, want: "follow the symbolic link"},
		{name: "a link that leads out, allowed", make: func(t *testing.T, dir string) {
			write(t, filepath.Join(filepath.Dir(dir), "secret"), "x")
			link(t, "../secret", filepath.Join(dir, "l"))
		}, o: Options{AllowSymlinks: true}, want: "follow the symbolic link"},
		{name: "a link that leads nowhere, allowed", make: func(t *testing.T, dir string) { link(t, "gone", filepath.Join(dir, "l")) }, o: Options{AllowSymlinks: true}, want: "follow the symbolic link"},
		{name: "a link to itself, allowed", make: func(t *testing.T, dir string) { link(t, "l", filepath.Join(dir, "l")) }, o: Options{AllowSymlinks: true}, want: "follow the symbolic link"},
		{name: "a link to a folder, allowed", make: func(t *testing.T, dir string) { link(t, ".", filepath.Join(dir, "l")) }, o: Options{AllowSymlinks: true}, want: "leads to no regular file"},
		{name: "an ignored link", make: func(t *testing.T, dir string) { link(t, "/etc", filepath.Join(dir, "l")) }, o: Options{Ignore: []string{"l"}}},
		{name: "a socket", make: func(t *testing.T, dir string) {
			wd, err := os.Getwd()
			if err != nil {
				t.Fatal(err)
			}
			rel, err := filepath.Rel(wd, filepath.Join(dir, "s")) // socket paths are short
			if err != nil {
				t.Fatal(err)
			}
			l, err := net.Listen("unix", rel)
			if err != nil {
				t.Skip("no unix sockets: ", err)
			}
			t.Cleanup(func() { l.Close() })
		}, want: "socket"},
		{name: "a backslash", make: func(t *testing.T, dir string) { write(t, filepath.Join(dir, `b\c`), "") }, want: "backslash"},
		{name: "a line break", make: func(t *testing.T, dir string) { write(t, filepath.Join(dir, "b\nc"), "") }, want: "control character"},
		{name: "not UTF-8", make: func(t *testing.T, dir string) { write(t, filepath.Join(dir, "b\xff"), "") }, want: "not UTF-8"},
		{name: "other scripts and a colon", make: func(t *testing.T, dir string) { write(t, filepath.Join(dir, "模型: één"), "") }},
		{name: "an empty file in shards", make: func(t *testing.T, dir string) { write(t, filepath.Join(dir, "b"), "") }, o: Options{Method: Shards}, want: "is empty"},
		{name: "too deep", make: func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, strings.Repeat("d/", maxDepth+1), "f"), "")
		}, want: "nested deeper"},
		{name: "deep", make: func(t *testing.T, dir string) { write(t, filepath.Join(dir, strings.Repeat("d/", maxDepth), "f"), "") }},
		{name: "an unknown algorithm", make: func(*testing.T, string) {}, o: Options{Algorithm: "md5"}, want: "unknown algorithm"},
		{name: "tiny shards", make: func(*testing.T, string) {}, o: Options{Method: Shards, ShardSize: 1}, want: "at least"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if runtime.GOOS == "windows" {
				t.Skip("names and links of unix")
			}
			dir := writeModel(t, map[string]string{"a": "1"})
			test.make(t, dir)
			_, err := Hash(t.Context(), dir, test.o)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := Hash(t.Context(), filepath.Join(t.TempDir(), "gone"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no model: %v", err)
	}
	if _, err := Hash(t.Context(), os.DevNull, Options{}); err == nil || !strings.Contains(err.Error(), "neither a file nor a folder") {
		t.Errorf("a device: %v", err)
	}
}

func TestALinkIsSignedUnderItsOwnName(t *testing.T) {
	dir := writeModel(t, map[string]string{"blobs/1": "weights"})
	link(t, "blobs/1", filepath.Join(dir, "model.bin"))
	key := edKey(t)
	raw := mustSign(t, mustHash(t, dir, Options{AllowSymlinks: true}).Manifest, Signer{Key: key})
	p := trusting(t, key)
	if _, err := Verify(t.Context(), raw, dir, p); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("links not allowed by the policy: %v", err)
	}
	p.AllowSymlinks = true
	if _, err := Verify(t.Context(), raw, dir, p); err != nil {
		t.Error(err)
	}
	never := resigned(t, key, raw, func(_, _, s node) { s["allow_symlinks"] = false })
	if _, err := Verify(t.Context(), never, dir, p); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("links not followed by the signer: %v", err)
	}
	write(t, filepath.Join(dir, "blobs/2"), "other")
	remove(t, dir, "model.bin")
	link(t, "blobs/2", filepath.Join(dir, "model.bin"))
	var diff *MismatchError
	if _, err := Verify(t.Context(), raw, dir, p); !errors.As(err, &diff) || !slices.Equal(diff.Changed, []string{"model.bin"}) {
		t.Errorf("a link that leads elsewhere: %v", err)
	}
}

func TestTheModelsOwnPathMayBeALink(t *testing.T) {
	dir := writeModel(t, map[string]string{"a": "1"})
	current := filepath.Join(t.TempDir(), "current")
	link(t, dir, current)
	h := mustHash(t, current, Options{})
	if h.Manifest.Name != "current" || h.Manifest.Root() != mustHash(t, dir, Options{}).Manifest.Root() {
		t.Errorf("got %+v", h.Manifest)
	}
	file := filepath.Join(t.TempDir(), "model.bin")
	link(t, filepath.Join(dir, "a"), file)
	if h := mustHash(t, file, Options{}); h.Manifest.Resources[0].Name != "model.bin" {
		t.Errorf("got %+v", h.Manifest)
	}
}

func TestNamesThatLookAlikeAreReported(t *testing.T) {
	dir := writeModel(t, map[string]string{
		"Config.json": "1", "config.json": "2", "sub/é": "3", "sub/e\u0301": "4", "ﬁle": "5", "file": "6", "sub/E": "7", "straße": "8", "strasse": "9",
	})
	h := mustHash(t, dir, Options{})
	want := [][]string{{"Config.json", "config.json"}, {"file", "ﬁle"}, {"sub/e\u0301", "sub/é"}}
	if len(h.Twins) != len(want) {
		t.Fatalf("twins %q", h.Twins)
	}
	for i := range want {
		if !slices.Equal(h.Twins[i], want[i]) {
			t.Errorf("twins %q", h.Twins[i])
		}
	}
	key := edKey(t)
	v, err := Verify(t.Context(), mustSign(t, h.Manifest, Signer{Key: key}), dir, trusting(t, key))
	if err != nil || len(v.Twins) != 3 {
		t.Errorf("verified: %v", err)
	}
	if h := mustHash(t, small(t), Options{}); h.Twins != nil {
		t.Errorf("plain names: %q", h.Twins)
	}
}

func TestAnInspectorMayEndTheWork(t *testing.T) {
	dir := small(t)
	stop := errors.New("stop")
	_, err := Hash(t.Context(), dir, Options{Work: Work{Inspect: func(_ context.Context, path string, _ io.ReaderAt, _ int64) error {
		if path == "tokenizer/empty.txt" {
			return stop
		}
		return nil
	}}})
	if !errors.Is(err, stop) || !strings.Contains(err.Error(), "tokenizer/empty.txt") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Hash(ctx, dir, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestProgressEndsAtTheWhole(t *testing.T) {
	dir := writeModel(t, map[string]string{"a": "", "b": "12345", "c": ""})
	if err := os.Truncate(filepath.Join(dir, "c"), reportEvery+reportEvery/2); err != nil {
		t.Fatal(err)
	}
	var last Progress
	var calls int
	var inside atomic.Int32
	h := mustHash(t, dir, Options{Work: Work{Progress: func(p Progress) {
		if inside.Add(1) != 1 {
			t.Error("two calls at once")
		}
		if p.Bytes < last.Bytes || p.Files < last.Files {
			t.Errorf("from %+v to %+v", last, p)
		}
		last, calls = p, calls+1
		inside.Add(-1)
	}}})
	if want := (Progress{3, 3, h.Bytes, h.Bytes}); last != want || calls < 4 {
		t.Errorf("%d calls, the last %+v", calls, last)
	}
}

func TestAHashThatWasInterruptedGoesOn(t *testing.T) {
	dir := writeModel(t, map[string]string{"small": "1"})
	for _, big := range []string{"a", "b"} {
		write(t, filepath.Join(dir, big), "")
		if err := os.Truncate(filepath.Join(dir, big), resumeFrom); err != nil {
			t.Fatal(err)
		}
	}
	state := filepath.Join(t.TempDir(), "state.json")
	stop := errors.New("stop")
	// Interrupted after the first file: by the context, as a person would.
	ctx, cancel := context.WithCancelCause(t.Context())
	o := Options{State: state, Work: Work{Workers: 1, Progress: func(p Progress) {
		if p.Files == 1 {
			cancel(stop)
		}
	}}}
	if _, err := Hash(ctx, dir, o); !errors.Is(err, stop) {
		t.Fatalf("got %v", err)
	}
	resumed := func() int64 {
		t.Helper()
		first := int64(-1)
		o.Work.Progress = func(p Progress) {
			if first < 0 {
				first = p.Bytes // with what was known before
			}
		}
		h := mustHash(t, dir, o)
		if want := mustHash(t, dir, Options{}).Manifest; h.Manifest.Root() != want.Root() {
			t.Errorf("resumed to %s, want %s", h.Manifest.Root(), want.Root())
		}
		return first
	}
	if got := resumed(); got < resumeFrom {
		t.Errorf("after the interruption the first report was at %d", got)
	}
	if got := resumed(); got < 2*resumeFrom {
		t.Errorf("after the end the first report was at %d", got)
	}
	patch(t, filepath.Join(dir, "a"), 5, "x") // same size, same modification time
	if got := resumed(); got >= 2*resumeFrom || got < resumeFrom {
		t.Errorf("after a change the first report was at %d", got)
	}
	o.Algorithm = BLAKE3
	h := mustHash(t, dir, o)
	if h.Manifest.Root() != mustHash(t, dir, Options{Algorithm: BLAKE3}).Manifest.Root() {
		t.Error("digests of another algorithm were taken over")
	}
}

func TestAStateFileThatCannotBeTrustedIsRefused(t *testing.T) {
	dir := small(t)
	state := filepath.Join(t.TempDir(), "state.json")
	mustHash(t, dir, Options{State: state}) // the twin
	for name, c := range map[string]struct {
		o       Options
		content string
		want    string
	}{
		"damaged":           {Options{State: state}, `{"version":1,`, "delete it"},
		"of duplicate keys": {Options{State: state}, `{"version":1,"version":1}`, "delete it"},
		"in the model":      {Options{State: filepath.Join(dir, "state.json")}, "", "outside of the model"},
		"with an inspector": {Options{State: state, Work: Work{Inspect: func(context.Context, string, io.ReaderAt, int64) error { return nil }}}, "", "exclude"},
	} {
		if c.content != "" {
			write(t, state, c.content)
		}
		if _, err := Hash(t.Context(), dir, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFilesThatComeAndGoMeanwhileAreNoticed(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, dir string){
		"added":   func(t *testing.T, dir string) { write(t, filepath.Join(dir, "z"), "") },
		"removed": func(t *testing.T, dir string) { remove(t, dir, "a") },
		"written": func(t *testing.T, dir string) { write(t, filepath.Join(dir, "a"), "1 and more") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := writeModel(t, map[string]string{"a": "1", "b": "22"})
			// "a" is the smaller one, so it is done last; by then all were read.
			_, err := Hash(t.Context(), dir, Options{Work: Work{Workers: 1, Progress: func(p Progress) {
				if p.Files == p.TotalFiles {
					change(t, dir)
				}
			}}})
			var changed *ChangedError
			if !errors.As(err, &changed) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestALargeSparseFileNeedsNoMemory(t *testing.T) {
	dir := writeModel(t, map[string]string{"huge": ""})
	if err := os.Truncate(filepath.Join(dir, "huge"), 100<<30); err != nil {
		t.Skip("not checked: this file system has no sparse files of 100 GiB: ", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	_, err := Hash(ctx, dir, Options{Method: Shards, ShardSize: 1 << 30, Work: Work{
		Inspect: func(_ context.Context, _ string, r io.ReaderAt, size int64) error {
			_, err := r.ReadAt(make([]byte, 8), size-8)
			return err
		},
		Progress: func(Progress) { cancel() },
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("%d bytes were allocated", used)
	}
}
