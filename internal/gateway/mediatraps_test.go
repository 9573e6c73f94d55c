package gateway

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"image"
	"image/color/palette"
	"image/gif"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/internal/media/inspect"
	"github.com/apexlogic/apex/verdict"
)

func archive(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(files[i+1]))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// word is a document of an office program.
func word(t testing.TB, more ...string) []byte {
	return archive(t, append([]string{
		"[Content_Types].xml", `<Types><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>`,
		"_rels/.rels", `<Relationships/>`, "word/document.xml", `<w:document/>`}, more...)...)
}

func animation(t testing.TB, frames int) []byte {
	t.Helper()
	g := &gif.GIF{}
	for range frames {
		g.Image, g.Delay = append(g.Image, image.NewPaletted(image.Rect(0, 0, 2, 2), palette.WebSafe)), append(g.Delay, 1)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sound is a WAV file that lasts so many seconds of 8 samples each.
func sound(seconds int) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32([]byte("RIFF"), uint32(36+8*seconds))
	b = append(b, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x08\x00\x00\x00\x08\x00\x00\x00\x01\x00\x08\x00data"...)
	return append(le.AppendUint32(b, uint32(8*seconds)), make([]byte, 8*seconds)...)
}

func packed(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(content)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestTheTrapsOfMedia sends content as attackers would, and beside it the same
// with the one thing mended, through the gateway with the real inspectors.
func TestTheTrapsOfMedia(t *testing.T) {
	w := newWorld(t, func(r *Route) {
		r.Kinds[media.Audio], r.Kinds[media.Document] = true, true
		r.Media.Frames, r.Media.Duration, r.Media.Pixels, r.Media.EntryBytes = 4, 10*time.Second, 10_000, 1<<20
	})
	w.gateway.options.Inspect = inspect.Inspect
	png := picture(t, 8)
	behind := func(more []byte) []byte { return append(bytes.Clone(png), more...) }
	file := func(of string, content []byte) string {
		return `{"model":"captioner","messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"` + dataURL(of, content) + `"}}]}]}`
	}
	spoken := func(content []byte) string {
		return `{"model":"captioner","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"` + base64.StdEncoding.EncodeToString(content) + `","format":"wav"}}]}]}`
	}
	const docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	longer := sound(4) // the header says 40 s, there are 4
	binary.LittleEndian.PutUint32(longer[40:], 8*40)
	binary.LittleEndian.PutUint32(longer[4:], 36+8*40)
	for _, tc := range []struct {
		name, body string
		code       verdict.Code // "": passes
	}{
		{"an image", chatOf(dataURL("image/png", png)), ""},
		{"an image with a ZIP archive behind it", chatOf(dataURL("image/png", behind(archive(t, "a", "b")))), verdict.MediaPolyglot},
		{"an image with a JAR behind it", chatOf(dataURL("image/png", behind(archive(t, "META-INF/MANIFEST.MF", "Main-Class: A\n", "A.class", "\xca\xfe\xba\xbe")))), verdict.MediaPolyglot},
		{"an image with HTML behind it", chatOf(dataURL("image/png", behind([]byte("<html><script>alert(1)</script>")))), verdict.MediaPolyglot},
		{"an image with one byte behind it", chatOf(dataURL("image/png", behind([]byte{0}))), verdict.MediaPolyglot},
		{"a magic alone", chatOf(dataURL("image/png", png[:8])), verdict.MediaMalformed},
		{"SVG as an image", chatOf(dataURL("image/svg+xml", []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`))), verdict.MediaActive},
		{"SVG as a PNG", chatOf(dataURL("image/png", []byte(`<?xml version="1.0"?><svg onload="alert(1)"/>`))), verdict.MediaActive},
		{"HTML as an image", chatOf(dataURL("image/png", []byte(`<!doctype html><script>alert(1)</script>`))), verdict.MediaActive},
		{"gzip within base64", chatOf(dataURL("image/png", packed(t, png))), verdict.MediaMismatch},
		{"gzip within base64 that is declared as bytes", chatOf(dataURL("application/octet-stream", packed(t, png))), verdict.MediaKind},
		{"an image that is declared as bytes", chatOf(dataURL("application/octet-stream", png)), ""},
		{"a pixel bomb", chatOf(dataURL("image/png", picture(t, 101))), verdict.MediaLimit},
		{"as many pixels as are allowed", chatOf(dataURL("image/png", picture(t, 100))), ""},
		{"too many frames", chatOf(dataURL("image/gif", animation(t, 5))), verdict.MediaLimit},
		{"as many frames as are allowed", chatOf(dataURL("image/gif", animation(t, 4))), ""},
		{"a sound that lasts too long", spoken(sound(11)), verdict.MediaLimit},
		{"a sound that says it lasts longer than it is", spoken(longer), verdict.MediaLimit},
		{"a sound that lasts as long as is allowed", spoken(sound(10)), ""},
		{"an image as a sound", spoken(png), verdict.MediaMismatch},
		{"a document", file(docx, word(t)), ""},
		{"a document with macros", file(docx, word(t, "word/vbaProject.bin", "x")), verdict.MediaActive},
		{"a document that is a bomb", file(docx, word(t, "word/media/a.bin", strings.Repeat("0", 2<<20))), verdict.MediaLimit},
		{"a document with an executable behind it", file(docx, append(word(t), "MZ\x90\x00"...)), verdict.MediaPolyglot},
		{"an archive as a document", file(docx, archive(t, "a", "b")), verdict.MediaMismatch},
		{"base64 that is none", strings.Replace(chatOf(dataURL("image/png", png)), "iVBORw0K", "iVBORw0*", 1), verdict.MediaEncoding},
		{"base64 of the other alphabet", strings.Replace(chatOf(dataURL("image/png", png)), "iVBORw0K", "iVBORw_K", 1), verdict.MediaEncoding},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := w.behind.count()
			status, code, text := w.ask(t, "POST", completions, tc.body, nil)
			if (status == 200) != (tc.code == "") || code != string(tc.code) || (w.behind.count() > before) != (tc.code == "") {
				t.Errorf("%d %s, want %q: %s", status, code, tc.code, text)
			}
		})
	}
}

func TestBase64InATextStaysText(t *testing.T) {
	w := newWorld(t, func(r *Route) { r.Firewall = rules{} })
	w.gateway.options.Inspect = inspect.Inspect
	for _, content := range []string{"' UNION SELECT password FROM users--", "<script>alert(1)</script>", `<svg onload="alert(1)"/>`, string(picture(t, 8))} {
		for _, text := range []string{base64.StdEncoding.EncodeToString([]byte(content)), dataURL("image/png", []byte(content))} {
			// The word is there for the firewall to score: it is shown the text as it stands.
			chat := fmt.Sprintf(`{"model":"captioner","messages":[{"role":"user","content":[{"type":"text","text":"attack %s"}]}]}`, text)
			if status, code, _ := w.ask(t, "POST", completions, chat, nil); status != 200 {
				t.Fatal(status, code)
			}
			if d, _ := w.records.last(t); len(d.Parts) != 0 || d.WAF.Text != 1 {
				t.Errorf("lifted out of a text: %+v", d)
			}
		}
	}
}

func TestTensorsAreHeldToWhatTheyDeclare(t *testing.T) {
	w := newWorld(t, func(r *Route) {
		r.API = OpenInference
		r.Kinds[media.Tensor] = true
	})
	w.gateway.options.Inspect = inspect.Inspect
	ask := func(head, data string, change func(http.Header)) (int, string) {
		status, code, _ := w.ask(t, "POST", "/v2/models/captioner/infer", head+data, func(r *http.Request) {
			r.Header.Set("Content-Type", "application/octet-stream")
			r.Header.Set("Inference-Header-Content-Length", fmt.Sprint(len(head)))
			if change != nil {
				change(r.Header)
			}
		})
		return status, code
	}
	head := func(shape, of string, bytes int) string {
		return fmt.Sprintf(`{"inputs":[{"name":"x","shape":%s,"datatype":%q,"parameters":{"binary_data_size":%d}}]}`, shape, of, bytes)
	}
	data := strings.Repeat("\x00", 24)
	for _, tc := range []struct {
		name, head, data string
		passes           bool
	}{
		{"six floats", head("[2,3]", "FP32", 24), data, true},
		{"three doubles", head("[3]", "FP64", 24), data, true},
		{"another shape", head("[2,4]", "FP32", 24), data, false},
		{"another type", head("[2,3]", "FP64", 24), data, false},
		{"another length", head("[2,3]", "FP32", 20), data, false},
		{"a shape that overflows", head("[4294967296,4294967296,1]", "FP32", 24), data, false},
		{"a negative shape", head("[-2,-3]", "FP32", 24), data, false},
		{"a type that there is not", head("[2,3]", "FP33", 24), data, false},
		{"bytes behind the last tensor", head("[2,3]", "FP32", 24), data + "PK\x03\x04", false},
	} {
		if status, code := ask(tc.head, tc.data, nil); (status == 200) != tc.passes {
			t.Errorf("%s: %d %s", tc.name, status, code)
		}
	}
	// By its type alone a body is no tensor: without the schema it is JSON in disguise.
	if status, _ := ask(head("[2,3]", "FP32", 24), data, func(h http.Header) { h.Del("Inference-Header-Content-Length") }); status != http.StatusUnsupportedMediaType {
		t.Error(status)
	}
	if d, _ := w.records.last(t); d.Code != string(verdict.BodyType) {
		t.Errorf("%+v", d)
	}
}

func TestBodiesUnfoldWithinTheirBounds(t *testing.T) {
	api, err := body.Generic([]string{"/text"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(r *Route) { r.API, r.Messages = JSON, api })
	ask := func(raw []byte, encodings ...string) (int, string) {
		status, code, _ := w.ask(t, "POST", "/ask", string(raw), func(r *http.Request) {
			for _, e := range encodings {
				r.Header.Add("Content-Encoding", e)
			}
		})
		return status, code
	}
	var words strings.Builder
	for i := range 400 {
		fmt.Fprintf(&words, "claim %d, ", i*i*7919)
	}
	ordinary, bomb := []byte(`{"text":"`+words.String()+`"}`), []byte(`{"text":"`+strings.Repeat("a", 1<<20)+`"}`)
	if status, code := ask(packed(t, ordinary), "gzip"); status != 200 || w.behind.bodies[0] != string(ordinary) {
		t.Error(status, code)
	}
	if status, code := ask(packed(t, bomb), "gzip"); status != 413 {
		t.Errorf("a ratio beyond the bound: %d %s", status, code)
	}
	if status, code := ask(bomb); status != 200 {
		t.Error("the same as it is:", status, code)
	}
	for name, encodings := range map[string][]string{"stacked": {"gzip, gzip"}, "stacked in two headers": {"gzip", "gzip"}, "unknown": {"compress"}} {
		if status, code := ask(packed(t, packed(t, ordinary)), encodings...); status == 200 {
			t.Errorf("%s: %d %s", name, status, code)
		}
	}
	if status, code := ask(ordinary, "gzip"); status == 200 {
		t.Error("an encoding that the body has not:", status, code)
	}
}
