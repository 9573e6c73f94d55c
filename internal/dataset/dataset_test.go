package dataset

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// made is a data set on disk with its manifest and records file.
type made struct {
	m *Manifest
	x *Index
}

func makeOf(t testing.TB, files map[string]string) made {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		at := filepath.Join(dir, "set", filepath.FromSlash(name))
		check(t, os.MkdirAll(filepath.Dir(at), 0o755))
		check(t, os.WriteFile(at, []byte(text), 0o644))
	}
	return makeAt(t, filepath.Join(dir, "set"))
}

func makeAt(t testing.TB, dir string) made {
	t.Helper()
	records := filepath.Join(t.TempDir(), "records")
	m, err := Make(t.Context(), dir, Options{Name: "set", Records: records})
	check(t, err)
	x, err := OpenIndex(records)
	check(t, err)
	t.Cleanup(func() { x.Close() })
	return made{m, x}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// told is a short form of what a diff says of records: "changed a", "added 3".
func told(d *Difference) []string {
	out := []string{}
	for _, f := range d.Files {
		for _, r := range f.Records {
			name := r.ID
			if name == "" && r.New != nil {
				name = fmt.Sprint(r.New.Index)
			} else if name == "" {
				name = fmt.Sprint(r.Old.Index)
			}
			out = append(out, r.Change+" "+name)
		}
	}
	return out
}

func lines(n int, withID bool) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(`{"text":"this is line number %d of the set","label":%d}`, i, i%3)
		if withID {
			out[i] = fmt.Sprintf(`{"id":"r%d","text":"this is line number %d of the set","label":%d}`, i, i, i%3)
		}
	}
	return out
}

func TestDiffNamesTheRecordsThatDiffer(t *testing.T) {
	edit := map[string]struct {
		change func([]string) []string
		want   []string
	}{
		"nothing":               {func(l []string) []string { return l }, []string{}},
		"one line changed":      {func(l []string) []string { l[700] += " "; return l }, []string{"changed 700"}},
		"one inserted in front": {func(l []string) []string { return slices.Insert(l, 0, `{"new":1}`) }, []string{"added 0"}},
		"one inserted within":   {func(l []string) []string { return slices.Insert(l, 500, `{"new":1}`) }, []string{"added 500"}},
		"one removed":           {func(l []string) []string { return slices.Delete(l, 10, 11) }, []string{"removed 10"}},
		"the first removed":     {func(l []string) []string { return l[1:] }, []string{"removed 0"}},
		"appended":              {func(l []string) []string { return append(l, `{"new":1}`) }, []string{"added 2000"}},
		"inserted and changed":  {func(l []string) []string { l[900] += " "; return slices.Insert(l, 3, `{"new":1}`) }, []string{"added 3", "changed 901"}},
		"a line twice":          {func(l []string) []string { return append(l, l[5]) }, []string{"added 5 or 2000"}},
		"two lines swapped":     {func(l []string) []string { l[4], l[1500] = l[1500], l[4]; return l }, []string{}},
	}
	for name, c := range edit {
		t.Run(name, func(t *testing.T) {
			old := makeOf(t, map[string]string{"a.jsonl": strings.Join(lines(2000, false), "\n") + "\n"})
			now := makeOf(t, map[string]string{"a.jsonl": strings.Join(c.change(lines(2000, false)), "\n") + "\n"})
			d, err := Diff(old.m, now.m, old.x, now.x)
			check(t, err)
			got := told(d)
			if name == "a line twice" {
				if len(got) != 1 || !strings.HasPrefix(got[0], "added ") {
					t.Fatalf("got %v, want one added record", got)
				}
				return
			}
			if !slices.Equal(got, c.want) {
				t.Fatalf("got %v, want %v", got, c.want)
			}
			if d.Same() != (name == "nothing") {
				t.Fatalf("Same is %v", d.Same())
			}
			if name == "two lines swapped" && !d.Files[0].Reordered {
				t.Fatal("the new order is not told")
			}
		})
	}
}

func TestDiffNamesRecordsByTheirIDs(t *testing.T) {
	l := lines(300, true)
	old := makeOf(t, map[string]string{"a.jsonl": strings.Join(l, "\n")})
	l[7] = strings.Replace(l[7], `"label":1`, `"label":0`, 1)
	l = slices.Delete(l, 100, 101)
	l = slices.Insert(l, 0, `{"id":"new","text":"x"}`)
	now := makeOf(t, map[string]string{"a.jsonl": strings.Join(l, "\n")})
	d, err := Diff(old.m, now.m, old.x, now.x)
	check(t, err)
	if got, want := told(d), []string{"added new", "changed r7", "removed r100"}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	changed := d.Files[0].Records[1]
	if text := strings.Join(l, "\n")[changed.New.Offset:][:changed.New.Length]; text != l[8] {
		t.Fatalf("the place of the record holds %q", text)
	}
}

func TestDiffOfCSVKnowsRowsAndHeader(t *testing.T) {
	text := "id,text,label\r\na,\"two\nlines\",1\r\nb,\"a \"\"quote\"\"\",2\r\nc,x,1\r\n"
	old := makeOf(t, map[string]string{"a.csv": text})
	if f := old.m.Files[0]; f.Kind != CSV || f.Records != 3 || f.Header == "" {
		t.Fatalf("read as %+v", f)
	}
	row := makeOf(t, map[string]string{"a.csv": strings.Replace(text, "two\nlines", "two\nother lines", 1)})
	d, err := Diff(old.m, row.m, old.x, row.x)
	check(t, err)
	if got := told(d); !slices.Equal(got, []string{"changed a"}) || d.Files[0].Header {
		t.Fatalf("got %v", got)
	}
	swapped := makeOf(t, map[string]string{"a.csv": strings.Replace(text, "id,text,label", "id,label,text", 1)})
	d, err = Diff(old.m, swapped.m, old.x, swapped.x)
	check(t, err)
	if len(d.Files) != 1 || !d.Files[0].Header || len(d.Files[0].Records) != 0 {
		t.Fatalf("a swapped header gives %+v", d.Files)
	}
	unix := makeOf(t, map[string]string{"a.csv": strings.ReplaceAll(text, "\r\n", "\n")})
	d, err = Diff(old.m, unix.m, old.x, unix.x)
	check(t, err)
	if !d.Files[0].Framing || old.m.Root == unix.m.Root {
		t.Fatalf("other line breaks give %+v", d.Files)
	}
}

func tarOf(t testing.TB, members ...[2]string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		check(t, w.WriteHeader(&tar.Header{Name: m[0], Mode: 0o644, Size: int64(len(m[1]))}))
		_, err := w.Write([]byte(m[1]))
		check(t, err)
	}
	check(t, w.Close())
	return b.String()
}

func TestDiffOfTarsKnowsSamples(t *testing.T) {
	var members [][2]string
	for i := range 200 {
		members = append(members, [2]string{fmt.Sprintf("s/%04d.jpg", i), strings.Repeat("x", i)}, [2]string{fmt.Sprintf("s/%04d.cls", i), fmt.Sprint(i % 2)})
	}
	old := makeOf(t, map[string]string{"a.tar": tarOf(t, members...)})
	if n := old.m.Files[0].Records; n != 200 {
		t.Fatalf("%d samples, want 200", n)
	}
	members[41][1] = "7" // the class of sample 20
	now := makeOf(t, map[string]string{"a.tar": tarOf(t, members[2:]...)})
	d, err := Diff(old.m, now.m, old.x, now.x)
	check(t, err)
	if got, want := told(d), []string{"removed s/0000", "changed s/0020"}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

type parquetRow struct {
	Text  string
	Label int64
}

func parquetOf(t testing.TB, rows []parquetRow) string {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[parquetRow](&b)
	for from := 0; from < len(rows); from += 100 {
		_, err := w.Write(rows[from:min(from+100, len(rows))])
		check(t, err)
		check(t, w.Flush())
	}
	check(t, w.Close())
	return b.String()
}

func TestDiffOfParquetKnowsRowGroups(t *testing.T) {
	rows := make([]parquetRow, 1000)
	for i := range rows {
		rows[i] = parquetRow{fmt.Sprint("row ", i), int64(i % 2)}
	}
	old := makeOf(t, map[string]string{"a.parquet": parquetOf(t, rows)})
	if f := old.m.Files[0]; f.Kind != Parquet || f.Records != 10 || f.Rows != 1000 {
		t.Fatalf("read as %+v", f)
	}
	rows[350].Label = 7
	now := makeOf(t, map[string]string{"a.parquet": parquetOf(t, rows)})
	d, err := Diff(old.m, now.m, old.x, now.x)
	check(t, err)
	if got, want := told(d), []string{"changed 3"}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestDiffReadsOnlyWhatLeadsToChanges(t *testing.T) {
	const n = 60_000
	l := lines(n, false)
	old := makeOf(t, map[string]string{"a.jsonl": strings.Join(l, "\n")})
	l[n/2] += " "
	l = slices.Insert(l, 0, `{"new":1}`)
	now := makeOf(t, map[string]string{"a.jsonl": strings.Join(l, "\n")})
	old.x.chunks, now.x.chunks = 0, 0
	d, err := Diff(old.m, now.m, old.x, now.x)
	check(t, err)
	if len(d.Files[0].Records) != 2 {
		t.Fatalf("got %v", told(d))
	}
	// Two paths, each with a neighbour where a boundary moved.
	if most := 4 * (bits.Len(n)/6 + 1); old.x.chunks > most || now.x.chunks > most {
		t.Fatalf("%d and %d chunks were read, at most %d lead to the changes", old.x.chunks, now.x.chunks, most)
	}
}

func TestManifestsAreEqualByteForByte(t *testing.T) {
	files := map[string]string{"b/rows.jsonl": strings.Join(lines(500, true), "\n"), "a.csv": "id,label\n1,x\n", "z.bin": "\x00\x01",
		"c.tar": tarOf(t, [2]string{"1.txt", "x"})}
	first, second := makeOf(t, files), makeOf(t, files)
	a, err := json.Marshal(first.m)
	check(t, err)
	b, err := json.Marshal(second.m)
	check(t, err)
	if !bytes.Equal(a, b) {
		t.Fatalf("two manifests of one data set differ:\n%s\n%s", a, b)
	}
	again, err := Read(a)
	check(t, err)
	if again.Root != first.m.Root {
		t.Fatal("a manifest that was read has another root")
	}
}

func TestRecordRootIsTheTreeHashOfRFC6962(t *testing.T) {
	for n := 1; n < 70; n++ {
		var leaves []hash
		var grown tree
		for i := range n {
			leaves = append(leaves, leafHash([]byte{byte(i)}))
			grown.add(leaves[i])
		}
		if got, want := grown.root(), treeHash(leaves); got != want {
			t.Fatalf("%d leaves: the root is %x, want %x", n, got, want)
		}
	}
}

// treeHash is RFC 6962 §2.1 as it is written there.
func treeHash(leaves []hash) hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1 << (bits.Len(uint(len(leaves)-1)) - 1)
	return nodeHash(treeHash(leaves[:k]), treeHash(leaves[k:]))
}

func TestVerifyRefusesEveryChange(t *testing.T) {
	base := map[string]string{"a.jsonl": "{\"id\":1}\n{\"id\":2}\n", "b/c.csv": "id,label\n1,x\n", "d.bin": "data", "t.tar": tarOf(t, [2]string{"1.txt", "x"})}
	mutate := map[string]func(map[string]string){
		"a byte of a line":         func(f map[string]string) { f["a.jsonl"] = "{\"id\":1}\n{\"id\":3}\n" },
		"the last line break":      func(f map[string]string) { f["a.jsonl"] = "{\"id\":1}\n{\"id\":2}" },
		"a blank line":             func(f map[string]string) { f["a.jsonl"] += "\n" },
		"the order of lines":       func(f map[string]string) { f["a.jsonl"] = "{\"id\":2}\n{\"id\":1}\n" },
		"a header":                 func(f map[string]string) { f["b/c.csv"] = "id,class\n1,x\n" },
		"a quoted cell":            func(f map[string]string) { f["b/c.csv"] = "id,label\n1,\"x\"\n" },
		"a plain file":             func(f map[string]string) { f["d.bin"] = "Data" },
		"an emptied file":          func(f map[string]string) { f["d.bin"] = "" },
		"a missing file":           func(f map[string]string) { delete(f, "d.bin") },
		"an extra file":            func(f map[string]string) { f["e.bin"] = "" },
		"a renamed file":           func(f map[string]string) { f["e.bin"] = f["d.bin"]; delete(f, "d.bin") },
		"a file in another folder": func(f map[string]string) { f["x/c.csv"] = f["b/c.csv"]; delete(f, "b/c.csv") },
		"a member's name":          func(f map[string]string) { f["t.tar"] = tarOf(t, [2]string{"2.txt", "x"}) },
		"a member's content":       func(f map[string]string) { f["t.tar"] = tarOf(t, [2]string{"1.txt", "y"}) },
		"bytes after a tar":        func(f map[string]string) { f["t.tar"] += strings.Repeat("\x00", 512) },
	}
	was := makeOf(t, base)
	verify := func(files map[string]string) *Difference {
		dir := t.TempDir()
		for name, text := range files {
			at := filepath.Join(dir, filepath.FromSlash(name))
			check(t, os.MkdirAll(filepath.Dir(at), 0o755))
			check(t, os.WriteFile(at, []byte(text), 0o644))
		}
		d, err := Verify(t.Context(), was.m, dir, VerifyOptions{Index: was.x})
		check(t, err)
		return d
	}
	if d := verify(base); !d.Same() {
		t.Fatalf("the same files differ: %+v", d)
	}
	for name, change := range mutate {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{}
			for k, v := range base {
				files[k] = v
			}
			change(files)
			if verify(files).Same() {
				t.Fatal("it was not noticed")
			}
		})
	}
}

func TestReadRefusesManifestsThatWereEdited(t *testing.T) {
	m := makeOf(t, map[string]string{"a.jsonl": "{\"id\":1}\n", "b": "x"}).m
	data, err := json.Marshal(m)
	check(t, err)
	if _, err := Read(data); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string][2]string{
		"a path":      {`"path":"b"`, `"path":"c"`},
		"a size":      {`"size":1`, `"size":2`},
		"an escape":   {`"path":"b"`, `"path":"../b"`},
		"the order":   {`"path":"a.jsonl"`, `"path":"z"`},
		"the schema":  {`manifest/v1`, `manifest/v2`},
		"the records": {`"records":1,"recordRoot"`, `"records":9,"recordRoot"`},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(string(data), edit[0], edit[1], 1)
			if text == string(data) {
				t.Fatal("the edit changes nothing")
			}
			if _, err := Read([]byte(text)); err == nil {
				t.Fatal("it was accepted")
			}
		})
	}
}

func TestIndexOfAnotherManifestIsRefused(t *testing.T) {
	l := lines(1000, false)
	a := makeOf(t, map[string]string{"a.jsonl": strings.Join(l, "\n")})
	l[3] += " "
	b := makeOf(t, map[string]string{"a.jsonl": strings.Join(l, "\n")})
	if _, err := Diff(a.m, b.m, b.x, b.x); err == nil || !strings.Contains(err.Error(), "records file") {
		t.Fatalf("got %v", err)
	}
	if _, err := Diff(a.m, b.m, a.x, b.x); err != nil {
		t.Fatal(err)
	}
}

func TestLinksAndHostileNamesAreRefused(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "a"), nil, 0o644))
	if _, err := Make(t.Context(), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	check(t, os.Symlink("a", filepath.Join(dir, "link")))
	if _, err := Make(t.Context(), dir, Options{}); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Fatalf("got %v", err)
	}
	check(t, os.Remove(filepath.Join(dir, "link")))
	check(t, os.WriteFile(filepath.Join(dir, "a\nb"), nil, 0o644))
	if _, err := Make(t.Context(), dir, Options{}); err == nil || !strings.Contains(err.Error(), "control character") {
		t.Fatalf("got %v", err)
	}
}

func TestFindings(t *testing.T) {
	var linked bytes.Buffer
	w := tar.NewWriter(&linked)
	check(t, w.WriteHeader(&tar.Header{Name: "1.jpg", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}))
	check(t, w.Close())
	for name, c := range map[string]struct {
		file, text string
		rule       string // "": no finding
	}{
		"a loading script":            {"load.py", "print()", "dataset.loading-script"},
		"a text":                      {"load.txt", "print()", ""},
		"a pickle in a tar":           {"a.tar", tarOf(t, [2]string{"1.pkl", "x"}), "dataset.pickle"},
		"an image in a tar":           {"a.tar", tarOf(t, [2]string{"1.jpg", "x"}), ""},
		"a library in a tar":          {"a.tar", tarOf(t, [2]string{"1.pyd", "x"}), "dataset.pickle"},
		"a link in a tar":             {"a.tar", linked.String(), "dataset.tar.link"},
		"a member that escapes":       {"a.tar", tarOf(t, [2]string{"../1.jpg", "x"}), "dataset.tar.path"},
		"a pickle without its name":   {"data.bin", "\x80\x04\x95", "dataset.pickle"},
		"a formula":                   {"a.csv", "a,b\n=cmd|' /C calc'!A0,1\n", "dataset.csv.formula"},
		"a formula after a sign":      {"a.csv", "a,b\n+SUM(1),1\n", "dataset.csv.formula"},
		"a formula after an at":       {"a.csv", "a,b\n@SUM(1),1\n", "dataset.csv.formula"},
		"a link in a formula":         {"a.csv", "a,b\n\"=HYPERLINK(\"\"http://x\"\")\",1\n", "dataset.csv.formula"},
		"a negative number":           {"a.csv", "a,b\n-4.5e3,+12\n", ""},
		"a list in prose":             {"a.csv", "a,b\n- first (of all),@someone said\n", ""},
		"an arrow":                    {"a.csv", "a,b\n=> so,== x\n", ""},
		"a line that is no JSON":      {"a.jsonl", "{}\nnot\n", "dataset.record"},
		"a row with an open quote":    {"a.csv", "a,b\n\"x,1\n", "dataset.unreadable"},
		"a Parquet file that is none": {"a.parquet", "PAR1 and more PAR1", "dataset.unreadable"},
		"a tar that is none":          {"a.tar", strings.Repeat("x", 1024), "dataset.unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			m := makeOf(t, map[string]string{c.file: c.text}).m
			got := ""
			if len(m.Findings) > 0 {
				got = m.Findings[0].Rule
			}
			if got != c.rule {
				t.Fatalf("found %+v, want %q", m.Findings, c.rule)
			}
			if c.rule == "dataset.unreadable" && (m.Files[0].Kind != Whole || m.Records != 1) {
				t.Fatalf("what cannot be read is pinned as %+v", m.Files[0])
			}
		})
	}
}

func TestStatisticsCountLabelsSourcesAndDuplicates(t *testing.T) {
	text := "The quick brown fox jumps over the lazy dog and runs through the green forest until night"
	m := makeOf(t, map[string]string{"a.jsonl": strings.Join([]string{
		`{"id":1,"text":"` + text + `","label":"x","source":"web"}`,
		`{"id":2,"text":"` + text + `","label":"y","source":"web"}`,
		`{"id":3,"text":"` + text + `!","label":"y","source":"book"}`,
		`{"id":4,"text":"something else that has nothing to do with any of the other texts here","label":"x"}`,
		`{"id":5,"text":"short"}`,
	}, "\n")}).m
	s := m.Statistics
	if !slices.Equal(s.Labels, []Count{{"x", 2}, {"y", 2}}) || !slices.Equal(s.Sources, []Count{{"book", 1}, {"web", 2}}) || s.Unlabelled != 1 {
		t.Fatalf("got %+v", s)
	}
	if s.Duplicates != 1 || s.Conflicts != 1 || s.NearConflicts != 1 || s.SampledOneIn != 1 {
		t.Fatalf("got %+v", s)
	}
	if want := []string{"a.jsonl#0", "a.jsonl#1", "a.jsonl#2"}; !slices.Equal(s.Clusters[0].Records, want) {
		t.Fatalf("the cluster is %v", s.Clusters)
	}
}

func FuzzIndex(f *testing.F) {
	records := filepath.Join(f.TempDir(), "records")
	dir := f.TempDir()
	check(f, os.WriteFile(filepath.Join(dir, "a.jsonl"), []byte(strings.Join(lines(200, true), "\n")), 0o644))
	m, err := Make(f.Context(), dir, Options{Records: records})
	check(f, err)
	data, err := os.ReadFile(records)
	check(f, err)
	f.Add(data)
	f.Add([]byte(indexMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := newIndex(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		n, err := x.top(&m.Files[0])
		if err != nil {
			return
		}
		// Whatever the places say, what is read is what the manifest names.
		for n.level > 0 {
			c, err := x.children(&n)
			if err != nil || len(c) == 0 {
				return
			}
			n = c[0]
		}
		if l, err := x.leaves(&n); err == nil && (len(l) == 0 || l[0].id != "r0") {
			t.Fatalf("a changed records file gives %+v", l)
		}
	})
}

func FuzzRead(f *testing.F) {
	m := makeOf(f, map[string]string{"a.jsonl": "{\"id\":1}\n", "b": "x"}).m
	data, err := json.Marshal(m)
	check(f, err)
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Read(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(m)
		check(t, err)
		if _, err := Read(again); err != nil {
			t.Fatalf("an accepted manifest is refused after writing it: %v", err)
		}
	})
}

func BenchmarkMake(b *testing.B) {
	dir := b.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&text, `{"id":"%d","text":"`, i)
		for range 30 {
			fmt.Fprintf(&text, "w%d ", r.IntN(5000))
		}
		text.WriteString("\",\"label\":1}\n")
	}
	check(b, os.WriteFile(filepath.Join(dir, "a.jsonl"), []byte(text.String()), 0o644))
	records := filepath.Join(b.TempDir(), "records")
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Make(b.Context(), dir, Options{Records: records}); err != nil {
			b.Fatal(err)
		}
	}
}
