//go:build unix

package model_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/apexlogic/apex/internal/model"
	"github.com/apexlogic/apex/internal/model/oms"
	"github.com/apexlogic/apex/internal/model/scan"
)

const (
	harmless = "\x80\x02}q\x00."
	system   = "\x80\x02cposix\nsystem\nX\x04\x00\x00\x00trueq\x00\x85R."
)

// folder writes files below a new folder.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// tree scans and returns "name verdict rule…" for each file.
func tree(t *testing.T, root string, o model.Options) []string {
	t.Helper()
	var out []string
	err := model.New(scan.Limits{}).Tree(t.Context(), root, o, func(f *model.File) error {
		name, err := filepath.Rel(root, f.Path)
		line := name + " " + f.Verdict.String()
		for _, found := range f.Findings {
			line += " " + found.Rule
		}
		out = append(out, line)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestATreeSaysSomethingOfEveryFile(t *testing.T) {
	root := folder(t, map[string]string{"b.pkl": harmless, "a/x.bin": harmless, "c.txt": "hello", "empty": "", "locked": harmless,
		"weights": "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("a", 64) + "\nsize 12345\n"})
	if err := os.Symlink("b.pkl", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(root, "dangling")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", filepath.Join(root, "linked-folder")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{"a/x.bin clean", "b.pkl clean", "c.txt clean", "dangling unscannable file.open", "empty clean", "link clean file.link",
		"linked-folder unscannable file.special", "locked clean", "pipe unscannable file.special", "weights unscannable file.pointer"}
	if os.Getuid() != 0 { // root reads everything
		if err := os.Chmod(filepath.Join(root, "locked"), 0); err != nil {
			t.Fatal(err)
		}
		want[7] = "locked unscannable file.open"
	}
	if got := tree(t, root, model.Options{}); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if err := model.New(scan.Limits{}).Tree(t.Context(), filepath.Join(root, "none"), model.Options{}, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestAReportDoesNotDependOnTheWorkers(t *testing.T) {
	files := map[string]string{}
	for i := range 60 {
		files[fmt.Sprintf("d%d/%d", i%7, i)] = []string{harmless, system, "text", "{}", "PK\x03\x04broken"}[i%5]
	}
	root := folder(t, files)
	report := func(workers int) string {
		var all []model.File
		err := model.New(scan.Limits{}).Tree(t.Context(), root, model.Options{Workers: workers}, func(f *model.File) error {
			all = append(all, *f)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(model.Summarize(all))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	one := report(1)
	if four := report(4); one != four || !strings.Contains(one, `"verdict":"malicious"`) {
		t.Errorf("one worker: %.300s\nfour: %.300s", one, four)
	}
}

func TestAFileThatVanishesIsSaidToHave(t *testing.T) {
	root := folder(t, map[string]string{"a": harmless, "b": harmless, "c": harmless})
	var got []string
	err := model.New(scan.Limits{}).Tree(t.Context(), root, model.Options{Workers: 1}, func(f *model.File) error {
		if len(got) == 0 {
			if err := os.Remove(filepath.Join(root, "c")); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		got = append(got, filepath.Base(f.Path)+" "+f.Verdict.String())
		return nil
	})
	// The walk may have listed c before it went, and may have scanned it.
	if err != nil || len(got) < 2 || len(got) == 3 && got[2] != "c unscannable" && got[2] != "c clean" {
		t.Errorf("%v %v", got, err)
	}
}

func TestATreeEndsWithItsContextAndWithEmit(t *testing.T) {
	files := map[string]string{}
	for i := range 200 {
		files[fmt.Sprintf("%03d", i)] = harmless
	}
	root := folder(t, files)
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	n := 0
	err := model.New(scan.Limits{}).Tree(ctx, root, model.Options{Workers: 2}, func(*model.File) error {
		if n++; n == 3 {
			cancel(interrupted)
		}
		return nil
	})
	if !errors.Is(err, interrupted) || n != 3 {
		t.Errorf("got %v after %d files", err, n)
	}
	full := errors.New("the disk is full")
	n = 0
	err = model.New(scan.Limits{}).Tree(t.Context(), root, model.Options{Workers: 2}, func(*model.File) error {
		n++
		return full
	})
	if !errors.Is(err, full) || n != 1 {
		t.Errorf("got %v after %d files", err, n)
	}
	last := 0
	err = model.New(scan.Limits{}).Tree(t.Context(), root, model.Options{Progress: func(files int, bytes int64) {
		if files != last+1 || bytes != int64(files*len(harmless)) {
			t.Errorf("%d files, %d bytes after %d", files, bytes, last)
		}
		last = files
	}}, func(*model.File) error { return nil })
	if err != nil || last != 200 {
		t.Errorf("%v, progress to %d", err, last)
	}
}

func TestTenThousandFilesAreNotKept(t *testing.T) {
	root := t.TempDir()
	content := strings.Repeat("words of a text\n", 1<<10) // 16 KiB, so 160 MB in all
	if err := os.WriteFile(filepath.Join(root, "0"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 9999 {
		if err := os.Link(filepath.Join(root, "0"), filepath.Join(root, fmt.Sprintf("%d", i+1))); err != nil {
			t.Fatal(err)
		}
	}
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var most uint64
	n := 0
	err := model.New(scan.Limits{}).Tree(t.Context(), root, model.Options{}, func(*model.File) error {
		if n++; n%2000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
		return nil
	})
	if err != nil || n != 10_000 {
		t.Fatalf("%d files, %v", n, err)
	}
	if most > before.HeapAlloc+32<<20 {
		t.Errorf("%d MiB are held in the middle", (most-before.HeapAlloc)>>20)
	}
	t.Logf("the heap grew by %d KiB", (int64(most)-int64(before.HeapAlloc))>>10)
}

func TestExamineScansWhatItHashes(t *testing.T) {
	root := folder(t, map[string]string{"b.pkl": system, "a.json": `{"a":1}`, "sub/c": harmless})
	s := model.New(scan.Limits{})
	e, err := s.Examine(t.Context(), root, oms.Options{}, scan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i, f := range e.FilesOf() {
		names = append(names, f.Path)
		if e.Report.Files[i].Path != f.Path || f.Size != e.Report.Files[i].Size || len(f.Digest) != 71 {
			t.Errorf("%+v beside %+v", f, e.Report.Files[i])
		}
	}
	if strings.Join(names, " ") != "a.json b.pkl sub/c" || e.Report.Verdict != scan.Malicious {
		t.Errorf("%v %v", names, e.Report.Verdict)
	}
	hashed, err := oms.Hash(t.Context(), root, oms.Options{})
	if err != nil || hashed.Manifest.Root() != e.Manifest.Root() {
		t.Errorf("%v, root %s and %s", err, hashed.Manifest.Root(), e.Manifest.Root())
	}
}

func TestExamineRefusesAFileThatChanges(t *testing.T) {
	root := folder(t, map[string]string{"a.bin": harmless + strings.Repeat("x", 1<<20)})
	name := filepath.Join(root, "a.bin")
	changed := false
	o := oms.Options{}
	o.Work.Progress = func(oms.Progress) { // after the file was scanned
		if !changed {
			changed = true
			if err := os.WriteFile(name, []byte(system+strings.Repeat("x", 1<<20)), 0o600); err != nil {
				t.Error(err)
			}
		}
	}
	_, err := model.New(scan.Limits{}).Examine(t.Context(), root, o, scan.Options{})
	if _, ok := errors.AsType[*oms.ChangedError](err); !ok {
		t.Errorf("got %v", err)
	}
	if _, err := model.New(scan.Limits{}).Examine(t.Context(), root, oms.Options{}, scan.Options{}); err != nil {
		t.Errorf("it is at rest now: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := model.New(scan.Limits{}).Examine(ctx, root, oms.Options{}, scan.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTheListsHaveAVersion(t *testing.T) {
	if by := model.Identity(); by.Lists != model.ListVersion() || len(by.Lists) < 8 || by.Name != "apex" {
		t.Errorf("%+v", by)
	}
}
