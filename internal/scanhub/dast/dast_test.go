package dast

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

const description = `{"openapi":"3.0.3","info":{"title":"t","version":"1"},
"components":{"securitySchemes":{"b":{"type":"http","scheme":"bearer"}},
 "schemas":{"login":{"type":"object","properties":{"user":{"type":"string"},"password":{"type":"string"},"tries":{"type":"integer"}}}}},
"paths":{
 "/items/{id}":{"get":{"parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"integer"}}],"responses":{}}},
 "/search":{"get":{"parameters":[{"name":"q","in":"query","schema":{"type":"string"}}],"responses":{}}},
 "/users":{"get":{"parameters":[{"name":"name","in":"query","schema":{"type":"string"}}],"responses":{}}},
 "/file":{"get":{"parameters":[{"name":"name","in":"query","schema":{"type":"string"}}],"responses":{}}},
 "/go":{"get":{"parameters":[{"name":"to","in":"query","schema":{"type":"string"}}],"responses":{}}},
 "/fetch":{"get":{"parameters":[{"name":"url","in":"query","schema":{"type":"string","format":"uri"}}],"responses":{}}},
 "/greet":{"get":{"parameters":[{"name":"name","in":"query","schema":{"type":"string"}}],"responses":{}}},
 "/ping":{"get":{"parameters":[{"name":"host","in":"query","schema":{"type":"string"}}],"responses":{}}},
 "/lang":{"get":{"parameters":[{"name":"l","in":"query","schema":{"type":"string"}}],"responses":{}}},
 "/login":{"post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/login"}}}},"responses":{}}},
 "/admin":{"get":{"security":[{"b":[]}],"responses":{}}}
}}`

const credentials = "Bearer the-right-one"

// vulnerable is a service with every weakness that is probed for.
func vulnerable() http.Handler {
	mux := http.NewServeMux() // without methods: it takes any
	mux.HandleFunc("/items/{id}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("id"))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("/search", func(w http.ResponseWriter, r *http.Request) {
		q := r.FormValue("q")
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		if strings.Count(q, "'")%2 == 1 {
			http.Error(w, "You have an error in your SQL syntax near "+strconv.Quote(q), 400)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<p>", q)
	})
	mux.HandleFunc("/users", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.FormValue("name"), "' OR '1'='1") {
			fmt.Fprint(w, `["ann","bob"]`)
			return
		}
		fmt.Fprint(w, `[]`)
	})
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.FormValue("name"), "../etc/passwd") {
			fmt.Fprint(w, "root:x:0:0:root:/root:/bin/sh\n")
		}
	})
	mux.HandleFunc("/go", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.FormValue("to"))
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("/fetch", func(w http.ResponseWriter, r *http.Request) { fetch(w, r.FormValue("url")) })
	mux.HandleFunc("/greet", func(w http.ResponseWriter, r *http.Request) {
		t, err := template.New("").Parse("Hello " + r.FormValue("name"))
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprintf(w, "goroutine 17 [running]:\nmain.greet()\n")
			return
		}
		t.Execute(w, nil)
	})
	mux.HandleFunc("/ping", func(w http.ResponseWriter, r *http.Request) {
		out, _ := exec.Command("sh", "-c", "echo "+r.FormValue("host")).Output()
		w.Write(out)
	})
	mux.HandleFunc("/lang", func(w http.ResponseWriter, r *http.Request) {
		// As a server would that writes headers as they come.
		lang, rest, ok := strings.Cut(r.FormValue("l"), "\r\n")
		w.Header().Set("X-Language", strings.Map(func(c rune) rune {
			if c < ' ' || c > '~' {
				return -1
			}
			return c
		}, lang))
		if name, value, is := strings.Cut(rest, ": "); ok && is {
			w.Header().Set(name, value)
		}
	})
	entity := regexp.MustCompile(`SYSTEM "([^"]+)"`)
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		if m := entity.FindSubmatch(data); m != nil {
			fetch(w, string(m[1]))
			return
		}
		var in struct {
			User, Password any
		}
		json.Unmarshal(data, &in)
		if op, ok := in.Password.(map[string]any); ok && op["$ne"] != nil {
			fmt.Fprint(w, `{"ok":true}`)
			return
		}
		http.Error(w, "no", http.StatusUnauthorized)
	})
	mux.HandleFunc("/admin", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "welcome") })
	return mux
}

func fetch(w io.Writer, from string) {
	if !strings.HasPrefix(from, "http://127.0.0.1:") {
		return
	}
	if resp, err := http.Get(from); err == nil {
		io.Copy(w, resp.Body)
		resp.Body.Close()
	}
}

// careful is the same service with everything mended.
func careful() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, f http.HandlerFunc) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			f(w, r)
		})
	}
	handle("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) {
		if _, err := strconv.Atoi(r.PathValue("id")); err != nil {
			http.Error(w, `{"error":"id is not a number"}`, 400)
			return
		}
		fmt.Fprint(w, `{}`)
	})
	handle("GET /search", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		fmt.Fprint(w, "<p>", html.EscapeString(r.FormValue("q")))
	})
	for _, path := range []string{"/users", "/file", "/greet", "/ping"} {
		handle("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			for _, v := range r.URL.Query() {
				json.NewEncoder(w).Encode(map[string]any{"given": v[0], "found": []string{}})
			}
		})
	}
	handle("GET /go", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/go/to?path="+url.QueryEscape(r.FormValue("to")))
		w.WriteHeader(http.StatusFound)
	})
	handle("GET /fetch", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, `{"error":"that host is not on the list"}`, 400)
	})
	handle("GET /lang", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Language", "en")
		fmt.Fprint(w, `{}`)
	})
	handle("POST /login", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			User, Password string
			Tries          int
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&in); err != nil {
			http.Error(w, `{"error":"not what is described"}`, 400)
			return
		}
		http.Error(w, `{"error":"no"}`, http.StatusUnauthorized)
	})
	handle("GET /admin", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != credentials {
			http.Error(w, `{}`, http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"admin":true}`)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// serve runs a service; limited gives it limits on time.
func serve(t *testing.T, h http.Handler, limited bool) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.MaxHeaderBytes = 1 << 20
	if limited {
		s.Config.ReadHeaderTimeout = 3 * time.Second // far more than a busy machine needs for what it does end
	}
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func options(base string) Options {
	return Options{Base: base, Header: http.Header{"Authorization": {credentials}}, Rate: 100_000, Slow: 2 * time.Second}
}

func TestAVulnerableServiceAndItsTwin(t *testing.T) {
	bad, err := Scan(t.Context(), []byte(description), options(serve(t, vulnerable(), false)))
	if err != nil || bad.Problem != "" {
		t.Fatal(bad.Problem, err)
	}
	found := map[string]sarif.Result{}
	for _, r := range bad.Results {
		found[r.Rule+" "+r.Place.Name] = r
		if strings.Contains(r.Request+r.Message, credentials) {
			t.Error("credentials are in a result: ", r)
		}
	}
	for _, want := range []string{
		"dast/server-error GET /items/{id} path:id",
		"dast/cross-site-scripting GET /search query:q",
		"dast/cross-origin GET /search",
		"dast/sql-injection GET /search query:q",
		"dast/sql-injection GET /users query:name",
		"dast/path-traversal GET /file query:name",
		"dast/open-redirect GET /go query:to",
		"dast/request-forgery GET /fetch query:url",
		"dast/template-injection GET /greet query:name",
		"dast/stack-trace GET /greet query:name",
		"dast/command-injection GET /ping query:host",
		"dast/header-injection GET /lang query:l",
		"dast/nosql-injection POST /login body:/password",
		"dast/external-entities POST /login body",
		"dast/unbounded-body POST /login body",
		"dast/missing-authentication GET /admin",
		"dast/verb-tampering GET /admin",
		"dast/security-headers GET /admin",
		"dast/slow-request GET /",
	} {
		r, ok := found[want]
		if !ok {
			t.Errorf("not found: %s", want)
			continue
		}
		if r.Class == "" || r.Severity == 0 || sarif.ClassOf(r.CWE) != r.Class {
			t.Errorf("%s: class %q is not that of CWE %v", want, r.Class, r.CWE)
		}
		if strings.Contains(want, "query:") && !strings.HasPrefix(r.Request, "GET /") {
			t.Errorf("%s shows no request: %q", want, r.Request)
		}
	}
	o := options(serve(t, careful(), true))
	o.Slow = 2 * time.Minute // far more than a busy machine needs to cut it
	good, err := Scan(t.Context(), []byte(description), o)
	if err != nil || good.Problem != "" {
		t.Fatal(good.Problem, err)
	}
	for _, r := range good.Results {
		t.Errorf("the careful one has %s (%s)\n%s", r.Rule, r.Message, r.Request)
	}
}

func TestOnlyThisMachineIsProbed(t *testing.T) {
	base := serve(t, careful(), false)
	for name, address := range map[string]string{"another network": "http://192.0.2.1", "any address": "http://0.0.0.0" + base[strings.LastIndex(base, ":"):]} {
		t.Run(name, func(t *testing.T) {
			if _, err := Scan(t.Context(), []byte(description), Options{Base: address}); !errors.Is(err, ErrNotLoopback) {
				t.Error(err)
			}
		})
	}
	// The twin: with leave it is connected to. Nothing else is on that address,
	// so that the scan of a service is this machine's own.
	o := options("http://0.0.0.0" + base[strings.LastIndex(base, ":"):])
	o.AllowRemote, o.Requests, o.Slow = true, 3, 0
	if run, err := Scan(t.Context(), []byte(description), o); err != nil || !strings.Contains(run.Problem, "budget") {
		t.Error(run, err)
	}
}

func TestAScanThatIsCutShortSaysSo(t *testing.T) {
	o := options(serve(t, careful(), false))
	o.Requests = 20
	if run, err := Scan(t.Context(), []byte(description), o); err != nil || !strings.Contains(run.Problem, "budget") {
		t.Error(run.Problem, err)
	}
	n := 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := careful()
	o = options(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n++; n == 10 {
			cancel()
		}
		h.ServeHTTP(w, r)
	}), false))
	if run, err := Scan(ctx, []byte(description), o); err != nil || !strings.Contains(run.Problem, "canceled") {
		t.Error(run.Problem, err)
	}
}

func TestWhatCannotBeScanned(t *testing.T) {
	s := httptest.NewServer(careful())
	gone := s.URL
	s.Close()
	for _, c := range []struct{ name, base, description, why string }{
		{"a service that is not there", gone, description, "reach the service"},
		{"an address that is none", "ftp://127.0.0.1", description, "not an http"},
		{"a description that is none", gone, "x", "OpenAPI"},
		{"another version", gone, `{"swagger":"2.0","paths":{}}`, "version 3"},
		{"references to files", gone, `{"openapi":"3.0.0","info":{"title":"t","version":"1"},"paths":{"/a":{"$ref":"/etc/passwd"}}}`, "external"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Scan(t.Context(), []byte(c.description), Options{Base: c.base}); err == nil || !strings.Contains(err.Error(), c.why) {
				t.Error(err)
			}
		})
	}
	if run, err := Scan(t.Context(), []byte(`{"openapi":"3.0.0","info":{"title":"t","version":"1"},"paths":{}}`), Options{Base: gone}); err != nil || run.Problem == "" {
		t.Error("nothing was looked at: ", run, err)
	}
}

func TestASchemaThatHoldsItselfManyTimesIsBounded(t *testing.T) {
	var b strings.Builder
	for i := range 50 {
		fmt.Fprintf(&b, `"p%02d":{"$ref":"#/components/schemas/a"},`, i)
	}
	ops, err := operations([]byte(`{"openapi":"3.0.0","info":{"title":"t","version":"1"},"components":{"schemas":{"a":{"type":"object","properties":{` + b.String() + `"x":{"type":"string"}}}}},
	"paths":{"/a":{"post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/a"}}}},"responses":{}}}}}`))
	if err != nil || len(ops) != 1 {
		t.Fatal(ops, err)
	}
	data, err := json.Marshal(ops[0].example)
	if err != nil || len(data) < 1000 || len(data) > 100*maxValues || len(ops[0].slots) > maxSlots {
		t.Error(len(data), len(ops[0].slots), err)
	}
}

func FuzzDescription(f *testing.F) {
	f.Add([]byte(description))
	f.Add([]byte("openapi: 3.1.0\ninfo: {title: t, version: '1'}\npaths: {/a: {post: {requestBody: {content: {application/json: {schema: {type: array, items: {type: string}}}}}}}}\n"))
	f.Add([]byte("openapi: 3.1.0\npaths: {/a: {get: {parameters: [{in: query, name: x, example: {1: .nan, ? [a] : 2026-01-01}}]}, post: {requestBody: {content: {application/json: {schema: {example: {1: .inf, true: x}}}}}}}}\n"))
	f.Add([]byte(`{"openapi":"3.0.0","components":{"schemas":{"a":{"type":"object","properties":{"a":{"$ref":"#/components/schemas/a"}}}}},"paths":{"/a":{"post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/a"}}}}}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ops, err := operations(data)
		if err != nil {
			return
		}
		for i := range ops {
			if len(ops[i].slots) > maxSlots {
				t.Fatalf("%d slots", len(ops[i].slots))
			}
			if _, err := json.Marshal(ops[i].example); err != nil {
				t.Fatal(err)
			}
		}
	})
}
