package body

import (
	"bytes"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

func TestDecoderEqualsTheStandardLibrary(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 70 {
		content := make([]byte, n+1)
		for i := range content {
			content[i] = byte(random.Uint32())
		}
		text := []byte(base64.StdEncoding.EncodeToString(content))
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "by halves": iotest.HalfReader,
		} {
			got, err := io.ReadAll(wrap(&decoder{src: text}))
			if err != nil || !bytes.Equal(got, content) {
				t.Fatalf("%d bytes %s: %v", n+1, name, err)
			}
		}
		if got := (&decoder{src: text}).size(); got != int64(n+1) {
			t.Errorf("size of %d bytes: %d", n+1, got)
		}
	}
}

func TestOneWrongCharacterIsFoundWhereverItStands(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	content := make([]byte, 3*96)
	for i := range content {
		content[i] = byte(random.Uint32())
	}
	right := base64.StdEncoding.EncodeToString(content)
	for at := range len(right) {
		for c := range 256 {
			text := []byte(right)
			text[at] = byte(c)
			_, err := io.ReadAll(&decoder{src: text})
			ours := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/'
			if c == '=' && at == len(right)-1 {
				_, strict := base64.StdEncoding.Strict().DecodeString(string(text))
				ours = strict == nil // padding, whose unused bits are zero
			}
			if (err == nil) != ours {
				t.Fatalf("%#x at %d: %v", c, at, err)
			}
		}
	}
}

func FuzzBase64(f *testing.F) {
	f.Add([]byte("QUJDREVGR0g="), 3)
	f.Add([]byte("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="), 64)
	f.Add([]byte("QQ=="), 1)
	f.Add(bytes.Repeat([]byte("QUJD"), 40), 99)
	f.Add(append(bytes.Repeat([]byte("QUJD"), 40), "QQ==QUJDQUJD\n"...), 99)
	f.Fuzz(func(t *testing.T, text []byte, chunk int) {
		want, wrong := base64.StdEncoding.Strict().DecodeString(string(text))
		if bytes.ContainsAny(text, "\r\n") {
			wrong = io.ErrUnexpectedEOF // the library passes over line ends
		}
		var got []byte
		d := decoder{src: text}
		buf := make([]byte, 1+max(chunk, -chunk)%400)
		for {
			n, err := d.Read(buf)
			got = append(got, buf[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				if wrong == nil {
					t.Fatalf("refused %q", text)
				}
				return
			}
		}
		if wrong != nil {
			t.Fatalf("accepted %q: %v", text, wrong)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%q: %x, want %x", text, got, want)
		}
	})
}
