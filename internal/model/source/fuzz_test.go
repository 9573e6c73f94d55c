package source_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/model/source"
)

// Whatever a hub lists, the files have plain paths, each once, and a length.
func FuzzListing(f *testing.F) {
	f.Add(`[{"type":"file","path":"a.pkl","size":3}]`, "")
	f.Add(`[{"type":"file","path":"../a","size":3}]`, `<?cursor=1>; rel="next"`)
	f.Add(`[{"type":"file","path":"b","size":-1},{"type":"directory","path":"c"}]`, `<https://other.example/>; rel="next"`)
	f.Add(`[{"type":"file","path":"b","size":1,"lfs":{"oid":"`+strings.Repeat("a", 64)+`","size":5}}]`, `<>; rel=next`)
	f.Add(`[{"type":"file","path":"x","size":1e3}]`, `<:>; rel="next", <a`)
	f.Fuzz(func(t *testing.T, body, link string) {
		page := 0
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/revision/") {
				json.NewEncoder(w).Encode(map[string]string{"sha": commit})
				return
			}
			if page++; page == 1 && !strings.ContainsAny(link, "\r\n\x00") {
				w.Header().Set("Link", link)
			}
			w.Write([]byte(body))
		})
		src, err := source.Open(t.Context(), "hf://vision/captioner", source.Options{Getenv: env("HF_ENDPOINT", server.URL)})
		if err != nil {
			t.Fatal(err)
		}
		files, err := src.Files(t.Context())
		if err != nil {
			return
		}
		for i, e := range files {
			if artifact.CheckPath(e.Path) != nil || e.Size < 0 || i > 0 && files[i-1].Path >= e.Path {
				t.Errorf("file %+v", e)
			}
		}
		if page > 2 {
			t.Errorf("%d pages were asked for", page)
		}
	})
}

// A URI is shown without what stands before its host and behind its path.
func FuzzRedact(f *testing.F) {
	for _, uri := range []string{"https://u:p@h/x?q#f", "hf://a/b@main", "s3://b/k?x", "models:/a/3", "https://a@b@c/d", "x", "://@?"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		shown := source.Redact(uri)
		if strings.ContainsAny(shown, "?#") || len(shown) > len(uri) {
			t.Errorf("%q is shown as %q", uri, shown)
		}
		if _, rest, ok := strings.Cut(shown, "://"); ok {
			if host, _, _ := strings.Cut(rest, "/"); strings.Contains(host, "@") {
				t.Errorf("%q is shown as %q", uri, shown)
			}
		}
	})
}

// A file that is read anywhere, in any order, reads as it is, and no byte of it
// is asked for twice.
func FuzzRanges(f *testing.F) {
	f.Add(uint32(3<<20), []byte{0, 1, 2, 255, 254, 3})
	f.Add(uint32(100), []byte{255, 0})
	f.Add(uint32(1<<20), []byte{128, 64, 192, 32, 160})
	f.Fuzz(func(t *testing.T, size uint32, places []byte) {
		n := int64(size%(8<<20)) + 1
		asked := map[int64]bool{}
		at := func(off int64) byte { return byte(off ^ off>>8 ^ off>>16) }
		r := source.NewRanges(t.Context(), n, func(off, n int64) []byte {
			b := make([]byte, n)
			for i := range b {
				b[i] = at(off + int64(i))
			}
			for block := off; block < off+n; block += 512 {
				if asked[block] {
					t.Errorf("byte %d is asked for again", block)
				}
				asked[block] = true
			}
			return b
		})
		for _, p := range slices.Concat(places, []byte{0}) {
			off := n * int64(p) / 256
			b := make([]byte, min(int64(p)*97+1, n-off))
			if _, err := r.ReadAt(b, off); err != nil {
				return // over the budget
			}
			for i := range b {
				if b[i] != at(off+int64(i)) {
					t.Fatalf("byte %d is wrong", off+int64(i))
				}
			}
		}
		requests, bytes := r.Cost()
		if requests > source.MaxRequests || bytes > source.MaxBytes || bytes > n {
			t.Errorf("%d requests for %d of %d bytes", requests, bytes, n)
		}
	})
}
