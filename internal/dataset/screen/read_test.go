package screen

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func writeFiles(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func picturePNG(t testing.TB, side int, c color.Color) string {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			img.Set(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReadTakesTheShapesThatPeopleHave(t *testing.T) {
	red := picturePNG(t, 2, color.RGBA{200, 0, 0, 255})
	raw := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{200, 0, 0}, 4))
	pixels := bytes.Repeat([]byte{200, 0, 0}, 4)
	for name, c := range map[string]struct {
		files map[string]string
		at    string
		want  Set
	}{
		"a table": {map[string]string{"features.csv": "a,label,b\n1,x,2\n3,y,\n"}, "",
			Set{Kind: Table, Columns: []string{"a", "b"}, Labels: []string{"x", "y"}, Label: []int32{0, 1}}},
		"a table whatever its name": {map[string]string{"train.bin": "a\tlabel\n1\tx\n3\ty\n"}, "train.bin",
			Set{Kind: Table, Columns: []string{"a"}, Values: []float32{1, 3}, Labels: []string{"x", "y"}, Label: []int32{0, 1}}},
		"categories": {map[string]string{"a.csv": "c,label\nred,1\nblue,2\n"}, "",
			Set{Kind: Table, Columns: []string{"c is blue", "c is red"}, Values: []float32{0, 1, 1, 0}, Labels: []string{"1", "2"}, Label: []int32{0, 1}}},
		"texts in CSV": {map[string]string{"a.csv": "text,label\n\"one, two\",1\nthree,2\n"}, "",
			Set{Kind: Text, Texts: []string{"one, two", "three"}, Labels: []string{"1", "2"}, Label: []int32{0, 1}}},
		"texts in JSONL": {map[string]string{"a.jsonl": `{"text":"b","label":1}` + "\n" + `{"text":"a","label":true}`}, "",
			Set{Kind: Text, Texts: []string{"b", "a"}, Labels: []string{"1", "true"}, Label: []int32{0, 1}}},
		"features in JSONL": {map[string]string{"a.jsonl": `{"features":[1,2],"label":"x"}`}, "",
			Set{Kind: Table, Columns: []string{"f0", "f1"}, Values: []float32{1, 2}, Labels: []string{"x"}, Label: []int32{0}}},
		"raw pixels": {map[string]string{"a.jsonl": `{"image":"` + raw + `","width":2,"height":2,"label":"x"}`}, "",
			Set{Kind: Image, Pixels: pixels, Labels: []string{"x"}, Label: []int32{0}}},
		"raw pixels of a square": {map[string]string{"a.jsonl": `{"image":"` + raw + `","label":"x"}`}, "",
			Set{Kind: Image, Pixels: pixels, Labels: []string{"x"}, Label: []int32{0}}},
		"a picture in base64": {map[string]string{"a.jsonl": `{"image":"data:image/png;base64,` + base64.StdEncoding.EncodeToString([]byte(red)) + `","label":"x"}`}, "",
			Set{Kind: Image, Pixels: pixels, Labels: []string{"x"}, Label: []int32{0}}},
		"a picture beside the file": {map[string]string{"a.jsonl": `{"image":"p/1.png","label":"x"}`, "p/1.png": red}, "a.jsonl",
			Set{Kind: Image, Pixels: pixels, Labels: []string{"x"}, Label: []int32{0}}},
		"nested lists": {map[string]string{"a.jsonl": `{"image":[[[200,0,0],[200,0,0]],[[200,0,0],[200,0,0]]],"label":"x"}`}, "",
			Set{Kind: Image, Pixels: pixels, Labels: []string{"x"}, Label: []int32{0}}},
		"folders by label": {map[string]string{"x/1.png": red, "y/1.png": red}, "",
			Set{Kind: Image, Pixels: slices.Concat(pixels, pixels), Labels: []string{"x", "y"}, Label: []int32{0, 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Read(t.Context(), filepath.Join(writeFiles(t, c.files), c.at), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if s.Kind != c.want.Kind || !slices.Equal(s.Label, c.want.Label) || !slices.Equal(s.Labels, c.want.Labels) ||
				!slices.Equal(s.Texts, c.want.Texts) || !bytes.Equal(s.Pixels, c.want.Pixels) || !slices.Equal(s.Columns, c.want.Columns) ||
				c.want.Values != nil && !slices.Equal(s.Values, c.want.Values) {
				t.Fatalf("got %+v", s)
			}
		})
	}
}

func TestReadRefusesWhatIsNoLabelledSet(t *testing.T) {
	for name, text := range map[string]string{
		"no label column":         "a,b\n1,2\n",
		"rows of different width": "a,label\n1,2,3\n",
		"no rows":                 "a,label\n",
		"an open quote":           "a,label\n\"1,2\n",
		"an object without label": `{"text":"x"}`,
		"mixed kinds":             `{"text":"x","label":1}` + "\n" + `{"features":[1],"label":1}`,
		"features of other width": `{"features":[1,2],"label":1}` + "\n" + `{"features":[1],"label":1}`,
		"a path that leads out":   `{"image":"../secret.png","label":1}`,
		"pixels of another size":  `{"image":"AAAA","width":9,"height":9,"label":1}`,
		"a huge picture":          `{"image":"AAAA","width":99999999,"height":99999999,"label":1}`,
		"too many labels": "a,label\n" + func() (s string) {
			for i := range 300 {
				s += fmt.Sprintf("1,%d\n", i)
			}
			return
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			dir := writeFiles(t, map[string]string{"in/a.data": text, "secret.png": picturePNG(t, 2, color.White)})
			if s, err := Read(t.Context(), filepath.Join(dir, "in", "a.data"), Options{}); err == nil {
				t.Fatalf("it was read as %+v", s)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a,label\n1,x\n2,y\n")
	f.Add(`{"text":"x","label":1}` + "\n")
	f.Add(`{"image":[[1,2],[3,4]],"label":1}` + "\n")
	f.Add(`{"features":[1e30,-2],"label":null}`)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<12 || strings.Count(text, "\n") > 64 {
			return
		}
		at := filepath.Join(dir, "a")
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := Read(t.Context(), at, Options{})
		if err != nil {
			return
		}
		report, err := Run(t.Context(), s, Options{})
		if err != nil || len(report.Rows) != s.Len() {
			t.Fatalf("%d rows of %d, %v", len(report.Rows), s.Len(), err)
		}
		for _, r := range report.Rows {
			if r.Score != r.Score {
				t.Fatalf("the score of row %d is no number", r.Row)
			}
		}
	})
}
