package corpus

import (
	"bytes"
	"compress/bzip2"
	"io"
	"strings"
	"testing"

	"github.com/bodgit/sevenzip"
)

func TestBzip2IsReadBack(t *testing.T) {
	for _, want := range []string{"", "a", "aaaaaaaaaaaaaaaaaaaa", "banana", noise(1, 5000), strings.Repeat("abc", 40_000), strings.Repeat("\x00", 70_000) + "x"} {
		got, err := io.ReadAll(bzip2.NewReader(strings.NewReader(bzipped(want))))
		if err != nil || string(got) != want {
			t.Errorf("%.20q…: %d bytes of %d, %v", want, len(got), len(want), err)
		}
	}
}

func TestSevenZipIsReadBack(t *testing.T) {
	files := []sevenFile{{"a.txt", "hello"}, {"dir/model.pkl", noise(2, 300)}, {"c", strings.Repeat("x", 70_000)}}
	for name, b := range map[string][]byte{"stored": sevenStored(files...), "lzma": sevenLZMA(files...), "one": sevenStored(files[1])} {
		r, err := sevenzip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, f := range r.File {
			in, err := f.Open()
			if err != nil {
				t.Errorf("%s: %s: %v", name, f.Name, err)
				continue
			}
			got, err := io.ReadAll(in)
			if err != nil || !strings.Contains(sevenData(files), string(got)) || len(got) == 0 {
				t.Errorf("%s: %s: %d bytes, %v", name, f.Name, len(got), err)
			}
		}
	}
}
