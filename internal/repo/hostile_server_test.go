package repo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// evil is a server over HTTP that says what it is told to. Each part is a whole
// answer; nil stands for the honest one.
type evil struct {
	greeting, refs, answer func(w io.Writer)
	pack                   []byte // for the honest answer
	head                   string
}

func (e evil) serve(t testing.TB) served {
	t.Helper()
	say := func(w io.Writer, special, honest func(io.Writer)) {
		if special != nil {
			honest = special
		}
		honest(w)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			say(w, e.greeting, func(w io.Writer) { w.Write(greeting()) })
			return
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if bytes.Contains(body, []byte("command=ls-refs")) {
			say(w, e.refs, func(w io.Writer) { fmt.Fprintf(w, "%s0000", pktLine(nil, "%s refs/heads/main\n", e.head)) })
			return
		}
		say(w, e.answer, func(w io.Writer) {
			w.Write(pktLine(nil, "packfile\n"))
			band(w, 1, e.pack)
			io.WriteString(w, flushPkt)
		})
	}))
	t.Cleanup(server.Close)
	return served{url: server.URL + "/r"}
}

func greeting() []byte {
	out := append(pktLine(nil, "# service=git-upload-pack\n"), flushPkt...)
	out = pktLine(out, "version 2\n")
	out = pktLine(out, "ls-refs\n")
	out = pktLine(out, "fetch=shallow\n")
	return append(out, flushPkt...)
}

func band(w io.Writer, channel byte, data []byte) {
	for chunk := range slices.Chunk(data, 60_000) {
		w.Write(pktLine(nil, "%c%s", channel, chunk))
	}
}

func TestHostileServers(t *testing.T) {
	file, tree, commit := story("content")
	honest := evil{pack: packOf(file.entry, tree.entry, commit.entry), head: commit.hash.String()}
	text := func(parts ...string) func(io.Writer) {
		return func(w io.Writer) { io.WriteString(w, strings.Join(parts, "")) }
	}
	lines := func(list ...string) func(io.Writer) {
		return func(w io.Writer) {
			for _, l := range list {
				w.Write(pktLine(nil, "%s", l))
			}
			io.WriteString(w, flushPkt)
		}
	}
	forever := func(begin string, again []byte) func(io.Writer) {
		return func(w io.Writer) {
			io.WriteString(w, begin)
			for {
				if _, err := w.Write(again); err != nil {
					return // the client had enough
				}
			}
		}
	}
	v0 := func(refs func(w io.Writer)) func(io.Writer) {
		return func(w io.Writer) {
			w.Write(append(pktLine(nil, "# service=git-upload-pack\n"), flushPkt...))
			refs(w)
		}
	}
	caps := "\x00side-band-64k ofs-delta agent=evil"
	million := func(w io.Writer) {
		for i := range 1_000_000 {
			if _, err := w.Write(pktLine(nil, "%s refs/heads/main-%07d\n", commit.hash, i)); err != nil {
				return
			}
		}
		io.WriteString(w, flushPkt)
	}
	pack := string(pktLine(nil, "packfile\n"))
	tests := []struct {
		name  string
		spoil func(e *evil)
		is    error
		says  string
	}{
		{"an honest one", func(*evil) {}, nil, ""},
		{"an honest one of version 0", func(e *evil) {
			e.greeting = v0(lines(e.head+" HEAD"+caps+" symref=HEAD:refs/heads/main\n", e.head+" refs/heads/main\n"))
			e.answer = func(w io.Writer) { w.Write(pktLine(nil, "NAK\n")); band(w, 1, e.pack); io.WriteString(w, flushPkt) }
		}, nil, ""},
		{"a web page", func(e *evil) { e.greeting = text("<html>welcome</html>") }, ErrProtocol, "<htm"},
		{"nothing at all", func(e *evil) { e.greeting = text() }, ErrProtocol, "says nothing"},
		{"a line of an impossible length", func(e *evil) { e.greeting = text("0003") }, ErrProtocol, "length"},
		{"a line longer than lines are", func(e *evil) { e.greeting = text("ffff") }, ErrProtocol, "more than"},
		{"a line that ends early", func(e *evil) { e.greeting = text("0010abc") }, ErrProtocol, "ends early"},
		{"endless capabilities", func(e *evil) {
			e.greeting = forever("000eversion 2\n", pktLine(nil, "%s\n", strings.Repeat("x", 1000)))
		}, ErrTooLarge, "capabilities"},
		{"a server that cannot be fetched from", func(e *evil) { e.greeting = lines("version 2\n", "ls-refs\n") }, ErrProtocol, "fetched"},
		{"objects named by SHA-256", func(e *evil) { e.greeting = lines("version 2\n", "fetch\n", "object-format=sha256\n") }, ErrUnsupported, "sha256"},
		{"objects named by SHA-256, in version 0", func(e *evil) {
			e.greeting = v0(lines(strings.Repeat("1", 64) + " refs/heads/main" + caps + " object-format=sha256\n"))
		}, ErrUnsupported, "sha256"},
		{"a server of before 2006", func(e *evil) { e.greeting = v0(lines(e.head + " refs/heads/main\x00multi_ack\n")) }, ErrProtocol, "side-band-64k"},
		{"a shallow one, in version 0", func(e *evil) { e.greeting = v0(lines(e.head+" refs/heads/main"+caps+"\n", "shallow "+e.head+"\n")) }, ErrShallow, ""},
		{"a million references, in version 0", func(e *evil) {
			e.greeting = v0(func(w io.Writer) { w.Write(pktLine(nil, "%s HEAD%s\n", e.head, caps)); million(w) })
		}, ErrTooLarge, "sent more than"},
		{"a million references", func(e *evil) { e.refs = million }, ErrTooLarge, "sent more than"},
		{"a reference twice, in version 0", func(e *evil) {
			e.greeting = v0(lines(e.head+" refs/heads/main"+caps+"\n", e.head+" refs/heads/main\n"))
		}, ErrProtocol, "twice"},
		{"a reference twice", func(e *evil) {
			e.refs = lines(e.head+" refs/heads/main\n", strings.Repeat("1", 40)+" refs/heads/main\n")
		}, ErrProtocol, "twice"},
		{"another reference only", func(e *evil) { e.refs = lines(e.head + " refs/heads/main2\n") }, ErrNotFound, "refs/heads/main"},
		{"a branch that is not born", func(e *evil) { e.refs = lines("unborn refs/heads/main\n") }, ErrNotFound, ""},
		{"a reference to what is no hash", func(e *evil) { e.refs = lines("../../x refs/heads/main\n") }, ErrProtocol, ""},
		{"a branch that leads to another commit than it says", func(e *evil) {
			e.refs = lines(e.head + " refs/heads/main peeled:" + strings.Repeat("1", 40) + "\n")
		}, ErrProtocol, "it says that"},
		{"a refusal with escapes of a terminal", func(e *evil) { e.answer = lines("ERR \x1b[2Jall is well") }, ErrRemote, `\x1b[2Jall is well`},
		{"a refusal in the middle of the pack", func(e *evil) {
			e.answer = func(w io.Writer) {
				io.WriteString(w, pack)
				band(w, 1, e.pack[:30])
				band(w, 3, []byte("out of memory"))
			}
		}, ErrRemote, "out of memory"},
		{"a shallow one", func(e *evil) { e.answer = lines("shallow-info\n", "shallow "+e.head+"\n") }, ErrShallow, ""},
		{"packs from elsewhere", func(e *evil) { e.answer = lines("packfile-uris\n", "1 https://elsewhere/pack\n") }, ErrProtocol, "packfile-uris"},
		{"no pack", func(e *evil) { e.answer = text("0000") }, ErrProtocol, "instead of a pack"},
		{"a channel that does not exist", func(e *evil) { e.answer = func(w io.Writer) { io.WriteString(w, pack); band(w, 7, e.pack) } }, ErrProtocol, "channel 7"},
		{"a line without a channel", func(e *evil) { e.answer = text(pack, "0004") }, ErrProtocol, "no channel"},
		{"a stream that is cut off", func(e *evil) { e.answer = func(w io.Writer) { io.WriteString(w, pack); band(w, 1, e.pack[:30]) } }, ErrProtocol, "ends early"},
		{"endless progress", func(e *evil) { e.answer = forever(pack, pktLine(nil, "\x02counting objects\r")) }, ErrTooLarge, "progress"},
		{"endless signs of life", func(e *evil) { e.answer = forever(pack, []byte("0005\x01")) }, ErrTooLarge, "progress"},
		{"an endless pack", func(e *evil) {
			entry := packEntry(plumbing.BlobObject, 60_000, nil, make([]byte, 60_000))
			begin := pack + string(pktLine(nil, "\x01%s\x00\x00\xc0\x00", packMagic))
			e.answer = forever(begin, pktLine(nil, "\x01%s", entry))
		}, ErrTooLarge, "unpacks"},
		{"an endless pack of noise", func(e *evil) {
			begin := pack + string(pktLine(nil, "\x01%s\x00\x00\xc0\x00", packMagic))
			// Blocks that are stored as they are, of 16 KiB, none of them the last one.
			e.answer = forever(begin+string(pktLine(nil, "\x01%s\x78\x01", entryHeader(plumbing.BlobObject, 32<<20))),
				pktLine(nil, "\x01\x00\x00\x40\xff\xbf%s", strings.Repeat("x", 0x4000)))
		}, ErrTooLarge, "sent more than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := honest
			tt.spoil(&e)
			refusesAll(t, e.serve(t), tt.is, tt.says)
		})
	}
}

// What a slow server is stopped by is the deadline, which is a part of the
// limits; it says so.
func TestSlowServersAreLeft(t *testing.T) {
	file, tree, commit := story("content")
	e := evil{pack: packOf(file.entry, tree.entry, commit.entry), head: commit.hash.String()}
	for name, spoil := range map[string]func(e *evil, wait func(io.Writer)){
		"at the greeting":   func(e *evil, wait func(io.Writer)) { e.greeting = wait },
		"at the references": func(e *evil, wait func(io.Writer)) { e.refs = wait },
		"at the pack":       func(e *evil, wait func(io.Writer)) { e.answer = wait },
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			slow := e
			spoil(&slow, func(w io.Writer) {
				io.WriteString(w, "00") // half of a length
				w.(http.Flusher).Flush()
				<-release
			})
			s := slow.serve(t)
			t.Cleanup(func() { close(release) }) // before the server waits for its answers
			s.opt.Limits = tight
			s.opt.Limits.Time = 300 * time.Millisecond
			refusesAll(t, s, context.DeadlineExceeded, "")
		})
	}
}

func TestRedirects(t *testing.T) {
	honest := overHTTP(t, byGit(t), nil)
	c := honest.commit(t, "a", "1")
	path := "/" + filepath.Base(honest.dir) + "/.git/info/refs?service=git-upload-pack"
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)
	tests := []struct {
		name, to string
		is       error
		says     string
	}{
		{"to another path of the same server", path, nil, ""},
		{"to a file", "file:///etc/passwd", ErrRedirect, `"file"`},
		{"to a private address", "http://10.0.0.1" + path, ErrRedirect, "10.0.0.1"},
		{"to the metadata of a cloud", "http://169.254.169.254/latest/meta-data/", ErrRedirect, "169.254.169.254"},
		{"to another server", elsewhere.URL + path, ErrRedirect, "use that URL"},
		{"to another user", "http://me:pw@HOST" + path, ErrRedirect, ""},
		{"to what is no repository", "/admin/delete", ErrRedirect, "not a repository"},
		{"to itself", "/moved/info/refs?service=git-upload-pack", ErrRedirect, "more than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := honest
			target := tt.to
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/moved") {
					http.Redirect(w, r, strings.Replace(target, "HOST", r.Host, 1), http.StatusFound)
					return
				}
				forward(w, r, honest.url)
			}))
			t.Cleanup(proxy.Close)
			s.url = proxy.URL + "/moved"
			refusesAll(t, s, tt.is, tt.says)
			if tt.is == nil {
				r := s.remote(t)
				for range 2 { // the second look goes to the new place
					if tip, err := r.Head(t.Context(), "main"); err != nil || tip.Commit != c {
						t.Errorf("%v, %v", tip, err)
					}
				}
			}
		})
	}
	posts := honest
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			return
		}
		forward(w, r, honest.url)
	}))
	t.Cleanup(proxy.Close)
	posts.url = proxy.URL + strings.TrimSuffix(path, "/info/refs?service=git-upload-pack")
	refusesAll(t, posts, ErrRedirect, "what is sent")
}

// forward hands a request on to the host of a URL.
func forward(w http.ResponseWriter, r *http.Request, url string) {
	r.RequestURI, r.URL.Scheme, r.URL.Host = "", "http", strings.Split(url, "/")[2]
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		http.Error(w, "", http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, res.Body)
}
