package encoding

import (
	"bytes"
	"io"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

var writers = map[string]func(io.Writer) io.WriteCloser{
	"gzip":    func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"deflate": func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
	"br":      func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
	"zstd": func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w)
		if err != nil {
			panic(err)
		}
		return z
	},
}

func encode(t testing.TB, name string, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := writers[name](&out)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func limits() *media.Limits {
	l := media.Defaults()
	l.Bytes = 1 << 20
	return &l
}

func TestEachEncodingIsTakenOffWithinItsBounds(t *testing.T) {
	text := []byte(`{"model":"captioner","input":"the quick brown fox jumps over the lazy dog"}`)
	for name := range writers {
		whole := encode(t, name, text)
		for _, tc := range []struct {
			name   string
			values []string
			data   []byte
			code   verdict.Code
		}{
			{"once", []string{name}, whole, ""},
			{"spelled otherwise", []string{" " + string(bytes.ToUpper([]byte(name))) + " "}, whole, ""},
			{"twice", []string{name + ", " + name}, encode(t, name, whole), verdict.BodyEncoding},
			{"in two headers", []string{name, name}, encode(t, name, whole), verdict.BodyEncoding},
			{"cut off", []string{name}, whole[:len(whole)-3], verdict.BodyEncoding},
			{"with something after it", []string{name}, append(bytes.Clone(whole), "tail"...), verdict.BodyEncoding},
			{"not encoded at all", []string{name}, text, verdict.BodyEncoding},
			{"zeros without end", []string{name}, encode(t, name, make([]byte, 8<<20)), verdict.BodyLimit},
		} {
			t.Run(name+" "+tc.name, func(t *testing.T) {
				got, err := Decode(tc.values, tc.data, limits())
				if tc.code == "" && (err != nil || !bytes.Equal(got, text)) {
					t.Fatalf("%q, %v", got, err)
				}
				if tc.code != "" && (err == nil || media.CodeOf(err) != tc.code) {
					t.Fatalf("%v, want %s", err, tc.code)
				}
			})
		}
	}
}

func TestASecondMemberOfAnArchiveIsRefused(t *testing.T) {
	for _, name := range []string{"gzip", "deflate", "br"} { // frames of zstd belong together (RFC 8878 section 3)
		whole := encode(t, name, []byte("abc"))
		if _, err := Decode([]string{name}, append(bytes.Clone(whole), whole...), limits()); media.CodeOf(err) != verdict.BodyEncoding {
			t.Errorf("%s: %v", name, err)
		}
	}
	whole := encode(t, "zstd", []byte("abc"))
	if got, err := Decode([]string{"zstd"}, append(bytes.Clone(whole), whole...), limits()); err != nil || string(got) != "abcabc" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestABodyThatIsNotEncodedIsReturnedItself(t *testing.T) {
	for _, values := range [][]string{nil, {""}, {"identity"}} {
		data := []byte("abc")
		got, err := Decode(values, data, limits())
		if err != nil || &got[0] != &data[0] {
			t.Errorf("%v: %q %v", values, got, err)
		}
	}
	if _, err := Decode([]string{"compress"}, []byte("abc"), limits()); media.CodeOf(err) != verdict.BodyEncoding {
		t.Errorf("%v", err)
	}
}

func TestWhatUnfoldsBeyondTheBodysBoundIsRefusedAsTooLarge(t *testing.T) {
	l := limits()
	l.Bytes, l.Ratio = 1000, 1_000_000
	if _, err := Decode([]string{"gzip"}, encode(t, "gzip", make([]byte, 1001)), l); media.CodeOf(err) != verdict.BodyLimit {
		t.Errorf("%v", err)
	}
	if _, err := Decode([]string{"gzip"}, encode(t, "gzip", make([]byte, 1000)), l); err != nil {
		t.Errorf("%v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for name := range writers {
		f.Add(name, encode(f, name, []byte("abc")))
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		got, err := Decode([]string{name}, data, limits())
		if err != nil {
			if media.CodeOf(err) == verdict.Internal {
				t.Fatal(err)
			}
			return
		}
		if int64(len(got)) > max(limits().Bytes, int64(len(data))) {
			t.Fatalf("%d bytes", len(got))
		}
	})
}
