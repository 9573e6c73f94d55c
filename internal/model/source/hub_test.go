package source_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/model/source"
)

// hub is a fake: a small server that speaks the part of the Hugging Face Hub's
// API that is used here, as huggingface.co/docs/hub/api and the headers of
// huggingface.co's answers have it. Pages of the listing have three files.
type hub struct {
	server *httptest.Server
	cdn    string // where files of LFS are redirected to; "": the hub serves them
	commit string
	files  []hubFile
	// lie changes the listing.
	lie func([]map[string]any)
	// more is the target of the link to the next page; "": the right one.
	more string

	asked, withToken int
	resolved         []string
}

type hubFile struct {
	path    string
	content []byte
	lfs     bool
}

const commit = "0123456789abcdef0123456789abcdef01234567"

func newHub(t *testing.T) *hub {
	h := &hub{commit: commit}
	h.server = serve(t, h.answer)
	return h
}

func (h *hub) answer(w http.ResponseWriter, r *http.Request) {
	h.asked++
	if r.Header.Get("Authorization") == "Bearer hf_secret" {
		h.withToken++
	}
	const repo = "vision/captioner"
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/api/models/"+repo+"/revision/")
	if ok {
		h.resolved = append(h.resolved, rest)
		json.NewEncoder(w).Encode(map[string]string{"sha": h.commit})
		return
	}
	if r.URL.Path == "/api/models/"+repo+"/tree/"+commit && r.URL.Query().Get("recursive") == "true" {
		at, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
		end := min(at+3, len(h.files))
		if end < len(h.files) {
			next := h.more
			if next == "" {
				next = fmt.Sprintf("%s%s?recursive=true&cursor=%d", h.server.URL, r.URL.Path, end)
			}
			w.Header().Set("Link", "<"+next+`>; rel="next"`)
		}
		list := []map[string]any{}
		for _, f := range h.files[at:end] {
			item := map[string]any{"type": "file", "path": f.path, "size": len(f.content), "oid": "x"}
			if f.lfs {
				sum := sha256.Sum256(f.content)
				item["lfs"] = map[string]any{"oid": hex.EncodeToString(sum[:]), "size": len(f.content), "pointerSize": 134}
				item["size"] = len(f.content)
			}
			list = append(list, item)
		}
		list = append(list, map[string]any{"type": "directory", "path": "folder", "size": 0})
		if h.lie != nil {
			h.lie(list)
		}
		json.NewEncoder(w).Encode(list)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/"+repo+"/resolve/"+commit+"/")
	for _, f := range h.files {
		if !ok || f.path != name {
			continue
		}
		if f.lfs && h.cdn != "" {
			http.Redirect(w, r, h.cdn+"/blob?Signature=secret", http.StatusFound)
			return
		}
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
		return
	}
	http.NotFound(w, r)
}

func (h *hub) options() source.Options {
	return source.Options{Getenv: env("HF_ENDPOINT", h.server.URL)}
}

func TestAHubIsReadAtTheCommit(t *testing.T) {
	h := newHub(t)
	h.files = []hubFile{
		{"config.json", []byte(`{"architectures":["Tiny"]}`), false},
		{"empty.txt", nil, false},
		{"sub/a b#c.pkl", []byte(harmless), false},
		{"weights/model.pkl", []byte(system), true},
		{"z.pkl", []byte(harmless), true},
	}
	cdn := serve(t, func(w http.ResponseWriter, r *http.Request) { content([]byte(system))(w, r) })
	h.cdn = cdn.URL
	src, err := source.Open(t.Context(), "hf://vision/captioner@refs/pr/1", h.options())
	if err != nil {
		t.Fatal(err)
	}
	if src.Pinned() != "hf://vision/captioner@"+commit || h.resolved[0] != "refs%2Fpr%2F1" {
		t.Errorf("pinned %s, resolved %s", src.Pinned(), h.resolved)
	}
	h.commit = strings.Repeat("f", 40) // the branch moves; what is read stays
	files, err := scanned(t, "hf://vision/captioner@"+commit, h.options())
	if err == nil || !strings.Contains(err.Error(), "another commit") {
		t.Errorf("got %v %v", files, err)
	}
	list, err := src.Files(t.Context())
	if err != nil || len(list) != 5 || list[0].Path != "config.json" || list[4].Digest == "" {
		t.Fatalf("got %v %v", list, err)
	}
	h.commit = commit
	files, err = scanned(t, "hf://vision/captioner", h.options())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"config.json": "clean", "empty.txt": "clean", "sub/a b#c.pkl": "clean", "weights/model.pkl": "malicious"} {
		if f := files[name]; f == nil || f.Verdict.String() != want || f.Unhashed != 0 {
			t.Errorf("%s: %+v", name, f)
		}
	}
	// The hub says that z.pkl is something else than what it hands out.
	if f := files["z.pkl"]; f == nil || !f.Verdict.Blocked() {
		t.Errorf("%+v", f)
	}
}

func TestAListOfFilesThatLiesIsRefused(t *testing.T) {
	pkl := []byte(harmless)
	for name, c := range map[string]struct {
		lie  func([]map[string]any)
		want string
	}{
		"honest":         {nil, ""},
		"above":          {func(l []map[string]any) { l[0]["path"] = "../x" }, "not a plain path"},
		"absolute":       {func(l []map[string]any) { l[0]["path"] = "/etc/x" }, "not a plain path"},
		"backslash":      {func(l []map[string]any) { l[0]["path"] = `..\x` }, "backslash"},
		"twice":          {func(l []map[string]any) { l[0]["path"] = "b.pkl" }, "listed twice"},
		"negative":       {func(l []map[string]any) { l[0]["size"] = -1 }, "-1 bytes"},
		"a submodule":    {func(l []map[string]any) { l[0]["type"] = "commit" }, "not read"},
		"no digest":      {func(l []map[string]any) { l[0]["lfs"] = map[string]any{"oid": "../x", "size": 3} }, "digest"},
		"a huge number":  {func(l []map[string]any) { l[0]["size"] = json.Number("1e30") }, "cannot be read"},
		"LFS negative":   {func(l []map[string]any) { l[0]["lfs"] = map[string]any{"oid": strings.Repeat("a", 64), "size": -3} }, "-3 bytes"},
		"too short":      {func(l []map[string]any) { l[0]["size"] = len(pkl) - 1 }, "says that the file has"},
		"too long":       {func(l []map[string]any) { l[0]["size"] = len(pkl) + 1 }, "says that the file has"},
		"empty, and not": {func(l []map[string]any) { l[0]["size"] = 0 }, "listed with 0"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t)
			h.files, h.lie = []hubFile{{"a.pkl", pkl, false}, {"b.pkl", pkl, false}}, c.lie
			err := refuses(t, "hf://vision/captioner", h.options())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAListThatGoesOnElsewhereIsRefused(t *testing.T) {
	var asked bool
	other := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked = true
		w.Write([]byte("[]"))
	})
	for _, target := range []string{other.URL + "/x", "https:///", "ftp://127.0.0.1/x"} {
		h := newHub(t)
		for i := range 4 {
			h.files = append(h.files, hubFile{path: fmt.Sprint(i), content: []byte("x")})
		}
		h.more = target
		err := refuses(t, "hf://vision/captioner", h.options())
		if err == nil || !strings.Contains(err.Error(), "another server") || asked {
			t.Errorf("%s: got %v", target, err)
		}
	}
}

func TestAListWithoutEndIsRefused(t *testing.T) {
	h := newHub(t)
	for i := range 4 {
		h.files = append(h.files, hubFile{path: fmt.Sprint(i), content: []byte("x")})
	}
	h.more = "?recursive=true&cursor=0"
	if err := refuses(t, "hf://vision/captioner", h.options()); err == nil || !strings.Contains(err.Error(), "more than 100000 files") {
		t.Errorf("got %v", err)
	}
}

func TestARevisionIsACommitOrNothing(t *testing.T) {
	for _, sha := range []string{"", "main", strings.ToUpper(strings.Replace(commit, "0", "A", 1)), commit[:39], commit + "0", "../../x"} {
		h := newHub(t)
		h.commit = sha
		if err := refuses(t, "hf://vision/captioner", h.options()); err == nil || !strings.Contains(err.Error(), "names no commit") {
			t.Errorf("%q: got %v", sha, err)
		}
	}
	for _, uri := range []string{"hf://captioner", "hf://a/b/c", "hf://../x", "hf://a/" + url.PathEscape("b/c"), "hf:///", "hf://a/b%00"} {
		if err := refuses(t, uri, newHub(t).options()); err == nil || !strings.Contains(err.Error(), "OWNER/NAME") {
			t.Errorf("%s: got %v", uri, err)
		}
	}
}
