package record

import (
	"archive/tar"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

func rows(text string, delimiter byte) ([]string, error) {
	var out []string
	err := CSV(strings.NewReader(text), delimiter, func(r Record) error {
		if got := text[r.Offset:][:len(r.Bytes)]; got != string(r.Bytes) {
			return fmt.Errorf("at byte %d is %q and not %q", r.Offset, got, r.Bytes)
		}
		out = append(out, string(r.Bytes))
		return nil
	})
	return out, err
}

func TestCSVCutsRows(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"plain":                      {"a,b\n1,2\n", []string{"a,b", "1,2"}},
		"without a last line break":  {"a\n1", []string{"a", "1"}},
		"line breaks of DOS":         {"a\r\n1\r\n", []string{"a", "1"}},
		"a line break in quotes":     {"a\n\"1\n2\"\n3\n", []string{"a", "\"1\n2\"", "3"}},
		"a doubled quote":            {"a\n\"1\"\"\n2\"\n", []string{"a", "\"1\"\"\n2\""}},
		"a quote inside of a field":  {"a\n5\" disk\n2\n", []string{"a", "5\" disk", "2"}},
		"an empty line":              {"a\n\n1\n", []string{"a", "1"}},
		"an empty quoted field last": {"a,b\n1,\"\"\n", []string{"a,b", "1,\"\""}},
		"nothing":                    {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := rows(c.text, ',')
			if err != nil || !slices.Equal(got, c.want) {
				t.Fatalf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
	for _, text := range []string{"a\n\"1\n", "a\n\"1\"x,2\n"} {
		if _, err := rows(text, ','); !errors.Is(err, ErrFormat) {
			t.Fatalf("%q gives %v, want ErrFormat", text, err)
		}
	}
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "a\n\"1\n2\"\n", "x,\"\"\"\"\r\n", "\"", "\xff,\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := rows(text, ',')
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		// Where Go's own reader agrees that it is CSV, the fields are the same.
		if strings.ContainsRune(text, '\r') {
			return
		}
		r := csv.NewReader(strings.NewReader(text))
		r.FieldsPerRecord = -1
		want, err := r.ReadAll()
		if err != nil {
			return
		}
		if len(want) != len(got) {
			t.Fatalf("%d rows, want %d: %q", len(got), len(want), got)
		}
		for i := range want {
			if f := Fields([]byte(got[i]), ',', nil); !slices.Equal(f, want[i]) {
				t.Fatalf("row %d has the fields %q, want %q", i, f, want[i])
			}
		}
	})
}

func FuzzJSONL(f *testing.F) {
	f.Add("{}\n\n{\"a\":1}")
	f.Add("\r\n \n\x00")
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		check := func(r Record) error {
			n++
			if text[r.Offset:][:len(r.Bytes)] != string(r.Bytes) || bytes.ContainsRune(r.Bytes, '\n') {
				t.Fatalf("the line at %d is %q", r.Offset, r.Bytes)
			}
			return nil
		}
		if err := JSONL(strings.NewReader(text), check); err != nil {
			t.Fatal(err)
		}
		want := 0
		for l := range strings.Lines(text) {
			if len(bytes.TrimSpace([]byte(l))) > 0 {
				want++
			}
		}
		if n != want {
			t.Fatalf("%d lines, want %d", n, want)
		}
	})
}

func FuzzTar(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range []string{"a/1.jpg", "a/1.cls", "2.txt"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: 3, Mode: 0o600}); err != nil {
			f.Fatal(err)
		}
		fmt.Fprint(w, "abc")
	}
	w.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		last := int64(-1)
		err := Tar(bytes.NewReader(data), func(s *Sample) error {
			if s.Offset <= last || len(s.Members) == 0 {
				t.Fatalf("the sample %q is at %d, after %d", s.Key, s.Offset, last)
			}
			last = s.Offset
			return nil
		})
		if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	})
}

func FuzzParquet(f *testing.F) {
	type row struct {
		Text  string
		Label int64
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b)
	if _, err := w.Write([]row{{"a", 1}, {"b", 2}}); err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("PAR1PAR1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := Parquet(bytes.NewReader(data), int64(len(data)), func(g *RowGroup) error {
			if g.Offset < 0 && g.Size > 0 || g.Size < 0 {
				t.Fatalf("a row group at %d of %d bytes", g.Offset, g.Size)
			}
			return nil
		})
		if err != nil && !errors.Is(err, ErrFormat) {
			t.Fatal(err)
		}
	})
}

func TestFailuresOfTheMediumAreNotTheContents(t *testing.T) {
	broken := errors.New("the disk is broken")
	r := io.MultiReader(strings.NewReader("a\n"), failing{broken})
	for name, read := range map[string]func() error{
		"jsonl": func() error { return JSONL(r, func(Record) error { return nil }) },
		"csv":   func() error { return CSV(r, ',', func(Record) error { return nil }) },
		"tar":   func() error { return Tar(r, func(*Sample) error { return nil }) },
	} {
		if err := read(); !errors.Is(err, broken) || errors.Is(err, ErrFormat) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
