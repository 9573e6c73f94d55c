package registry

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

const repo = "team/app"

// begin opens an upload and returns its location.
func (f *fixture) begin(repo string) string {
	f.t.Helper()
	r := f.want(f.do("POST", "/v2/"+repo+"/blobs/uploads/", nil), 202, "")
	if r.header.Get("Range") != "0-0" || r.header.Get("Docker-Upload-UUID") == "" {
		f.t.Fatalf("headers of a new upload: %v", r.header)
	}
	return r.header.Get("Location")
}

func TestABlobIsPushedInEachWayOfTheSpecification(t *testing.T) {
	f := serve(t, Options{})
	for name, push := range map[string]func(t *testing.T, f *fixture, data []byte) reply{
		"one POST": func(t *testing.T, f *fixture, data []byte) reply {
			return f.do("POST", "/v2/"+repo+"/blobs/uploads/?digest="+string(digestOf(data)), bytes.NewReader(data))
		},
		"one POST without the slash at the end": func(t *testing.T, f *fixture, data []byte) reply {
			return f.do("POST", "/v2/"+repo+"/blobs/uploads?digest="+string(digestOf(data)), bytes.NewReader(data))
		},
		"POST then PUT": func(t *testing.T, f *fixture, data []byte) reply {
			return f.do("PUT", f.begin(repo)+"?digest="+string(digestOf(data)), bytes.NewReader(data))
		},
		"chunks with ranges, the last one in the PUT": func(t *testing.T, f *fixture, data []byte) reply {
			at, half := f.begin(repo), len(data)/2
			r := f.want(f.do("PATCH", at, bytes.NewReader(data[:half]), "Content-Range", fmt.Sprintf("0-%d", half-1)), 202, "")
			if got := r.header.Get("Range"); got != fmt.Sprintf("0-%d", half-1) {
				t.Errorf("Range %q", got)
			}
			return f.do("PUT", r.header.Get("Location")+"?digest="+string(digestOf(data)), bytes.NewReader(data[half:]),
				"Content-Range", fmt.Sprintf("%d-%d", half, len(data)-1))
		},
		"one streamed chunk of unknown length": func(t *testing.T, f *fixture, data []byte) reply {
			at := f.begin(repo)
			f.want(f.do("PATCH", at, bufio.NewReader(bytes.NewReader(data))), 202, "")
			return f.do("PUT", at+"?digest="+string(digestOf(data)), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := *f
			g.t = t
			data := bytes.Repeat([]byte(name), 1000)
			r := g.want(push(t, &g, data), 201, "")
			if r.header.Get("Docker-Content-Digest") != string(digestOf(data)) {
				t.Errorf("digest header %q", r.header.Get("Docker-Content-Digest"))
			}
			got := g.want(g.do("GET", r.header.Get("Location"), nil), 200, "")
			if !bytes.Equal(got.body, data) {
				t.Error("other bytes came back")
			}
		})
	}
	t.Run("a blob of no bytes", func(t *testing.T) {
		g := *f
		g.t = t
		d := g.pushBlob(repo, nil)
		if r := g.want(g.do("GET", "/v2/"+repo+"/blobs/"+string(d), nil), 200, ""); len(r.body) != 0 {
			t.Errorf("%d bytes", len(r.body))
		}
	})
}

func TestAnUploadIsRefusedWhenItsBytesAreNotWhatTheClientSays(t *testing.T) {
	f := serve(t, Options{Limits: Limits{Blob: 100}})
	data := []byte("0123456789")
	good, other := string(digestOf(data)), string(digestOf([]byte("other")))
	for _, c := range []struct {
		name   string
		digest string
		rng    string
		body   []byte
		status int
		code   string
	}{
		{"the right digest and range are stored", good, "0-9", data, 201, ""},
		{"another digest", other, "", data, 400, codeDigestInvalid},
		{"no digest", "", "", data, 400, codeDigestInvalid},
		{"an algorithm that nothing here verifies", "sha512:" + strings.Repeat("a", 128), "", data, 400, codeDigestInvalid},
		{"a digest in upper case", strings.ToUpper(good), "", data, 400, codeDigestInvalid},
		{"a range that begins later", good, "5-14", data, 416, codeUploadInvalid},
		{"a range that is longer than the body", good, "0-10", data, 400, codeSizeInvalid},
		{"a range that is shorter than the body", good, "0-8", data, 400, codeSizeInvalid},
		{"a range that is not one", good, "bytes 0-9/10", data, 400, codeUploadInvalid},
		{"a range that overflows", good, "0-9223372036854775807", data, 400, codeUploadInvalid},
		{"as many bytes as a blob may have are stored", string(digestOf(make([]byte, 100))), "", make([]byte, 100), 201, ""},
		{"one byte more", string(digestOf(make([]byte, 101))), "", make([]byte, 101), 413, codeSizeInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := *f
			g.t = t
			var headers []string
			if c.rng != "" {
				headers = []string{"Content-Range", c.rng}
			}
			at := g.begin("t/" + strings.ToLower(strings.ReplaceAll(c.name[:5], " ", "x")))
			g.want(g.do("PUT", at+"?digest="+c.digest, bytes.NewReader(c.body), headers...), c.status, c.code)
			// Without a length the limit must hold while the bytes come.
			if c.status == 413 {
				g.want(g.do("PATCH", at, bufio.NewReader(bytes.NewReader(c.body))), 413, codeSizeInvalid)
			}
			// Nothing that was refused may be there.
			if d := c.digest; c.status != 201 && strings.HasPrefix(d, "sha256:") && strings.ToLower(d) == d {
				g.want(g.do("GET", at[:strings.Index(at, "uploads/")]+d, nil), 404, codeBlobUnknown)
			}
		})
	}
}

func TestAChunkOutOfOrderIsToldWhereToGoOn(t *testing.T) {
	f := serve(t, Options{})
	at := f.begin(repo)
	f.want(f.do("PATCH", at, strings.NewReader("01234"), "Content-Range", "0-4"), 202, "")
	r := f.want(f.do("PATCH", at, strings.NewReader("01234"), "Content-Range", "0-4"), 416, codeUploadInvalid)
	if r.header.Get("Range") != "0-4" || r.header.Get("Location") != at {
		t.Errorf("headers %v", r.header)
	}
	r = f.want(f.do("GET", at, nil), 204, "")
	if r.header.Get("Range") != "0-4" {
		t.Errorf("status says %q", r.header.Get("Range"))
	}
	// A chunk that is refused leaves nothing behind.
	f.want(f.do("PATCH", at, strings.NewReader("wrong"), "Content-Range", "5-7"), 400, codeSizeInvalid)
	f.want(f.do("PUT", at+"?digest="+string(digestOf([]byte("0123456789"))), strings.NewReader("56789"), "Content-Range", "5-9"), 201, "")
}

func TestAnUploadGoesOnAfterTheRegistryWasOpenedAgain(t *testing.T) {
	dir := t.TempDir()
	data := bytes.Repeat([]byte("resume "), 100_000)
	half := len(data) / 2
	var at string
	t.Run("first process", func(t *testing.T) {
		f := serve(t, Options{Dir: dir})
		at = f.begin(repo)
		f.want(f.do("PATCH", at, bytes.NewReader(data[:half])), 202, "")
	})
	f := serve(t, Options{Dir: dir})
	r := f.want(f.do("GET", at, nil), 204, "")
	if got := r.header.Get("Range"); got != fmt.Sprintf("0-%d", half-1) {
		t.Fatalf("Range %q after opening again", got)
	}
	f.want(f.do("PUT", at+"?digest="+string(digestOf(data)), bytes.NewReader(data[half:])), 201, "")
	f.want(f.do("GET", at, nil), 404, codeUploadUnknown)
}

// A second registry on the same directory is what a second process is: it
// shares no memory with the first that matters.
func TestAnUploadMovesBetweenProcessesAndNeverMixesThem(t *testing.T) {
	dir := t.TempDir()
	a, b := serve(t, Options{Dir: dir}), serve(t, Options{Dir: dir})
	at := a.begin(repo)
	a.want(a.do("PATCH", at, strings.NewReader("one ")), 202, "")
	b.want(b.do("PATCH", at, strings.NewReader("two ")), 202, "")
	a.want(a.do("PUT", at+"?digest="+string(digestOf([]byte("one two three"))), strings.NewReader("three")), 201, "")
}

func TestAnUploadThatBreaksOffKeepsWhatCame(t *testing.T) {
	f := serve(t, Options{})
	at := f.begin(repo)
	addr := strings.TrimPrefix(f.url, "http://")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest("PATCH", f.url+at, nil)
	req.SetBasicAuth(f.user, f.pass)
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Length: 1000\r\n\r\nonly this", at, addr, req.Header.Get("Authorization"))
	conn.(*net.TCPConn).CloseWrite()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if resp.StatusCode != 400 {
		t.Errorf("status %d", resp.StatusCode)
	}
	if r := f.want(f.do("GET", at, nil), 204, ""); r.header.Get("Range") != "0-8" {
		t.Errorf("Range %q", r.header.Get("Range"))
	}
	f.want(f.do("PUT", at+"?digest="+string(digestOf([]byte("only this and that"))), strings.NewReader(" and that")), 201, "")
}

func TestAnUploadBelongsToItsPrincipalAndRepository(t *testing.T) {
	f := serve(t, Options{Auth: staticUsers{"ana": "1", "bob": "2"}, Tenants: []Tenant{
		{Prefix: "team/", Members: map[string]Actions{"ana": Pull | Push, "bob": Pull | Push}},
	}})
	ana, bob := f.as("ana", "1"), f.as("bob", "2")
	at := ana.begin(repo)
	bob.want(bob.do("GET", at, nil), 404, codeUploadUnknown)
	ana.want(ana.do("GET", strings.Replace(at, repo, "team/other", 1), nil), 404, codeUploadUnknown)
	ana.want(ana.do("GET", at, nil), 204, "")
}

// A request may have opened the file before another one, which held the lock,
// turned it into a blob. It must not write into the blob.
func TestARequestThatComesTooLateDoesNotWriteIntoTheBlob(t *testing.T) {
	f := serve(t, Options{})
	at := f.begin(repo)
	base := uploadDir(Principal{Name: LocalUser}) + at[strings.LastIndexByte(at, '/'):]
	early, err := f.reg.disk.root.OpenFile(base+".data", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	data := []byte("stored")
	f.want(f.do("PUT", at+"?digest="+string(digestOf(data)), bytes.NewReader(data)), 201, "")
	late := &upload{r: f.reg, base: base, file: early, hash: sha256.New()}
	if err := late.load(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the name is gone: %v", err)
	}
	// Not even when another upload has come to have the name.
	damage(t, f, base+".data", nil)
	if err := (&upload{r: f.reg, base: base, hash: sha256.New(), state: state{Repo: repo}}).writeState(); err != nil {
		t.Fatal(err)
	}
	if err := late.load(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the name is another file's: %v", err)
	}
	if r := f.want(f.do("GET", "/v2/"+repo+"/blobs/"+string(digestOf(data)), nil), 200, ""); string(r.body) != "stored" {
		t.Errorf("the blob is %q", r.body)
	}
}

// A process that died while it wrote leaves bytes that it never acknowledged.
func TestBytesThatWereNotAcknowledgedAreCutOff(t *testing.T) {
	f := serve(t, Options{})
	at := f.begin(repo)
	f.want(f.do("PATCH", at, strings.NewReader("acknowledged")), 202, "")
	name := uploadDir(Principal{Name: LocalUser}) + at[strings.LastIndexByte(at, '/'):] + ".data"
	damage(t, f, name, []byte("acknowledged and then some"))
	if r := f.want(f.do("GET", at, nil), 204, ""); r.header.Get("Range") != "0-11" {
		t.Errorf("Range %q", r.header.Get("Range"))
	}
	damage(t, f, name, []byte("acknowledged and then some"))
	d := string(digestOf([]byte("acknowledged")))
	f.want(f.do("PUT", at+"?digest="+d, nil), 201, "")
	if r := f.want(f.do("GET", "/v2/"+repo+"/blobs/"+d, nil), 200, ""); string(r.body) != "acknowledged" {
		t.Errorf("the blob is %q", r.body)
	}
}

func TestACancelledUploadIsGone(t *testing.T) {
	f := serve(t, Options{})
	at := f.begin(repo)
	f.want(f.do("DELETE", at, nil), 204, "")
	f.want(f.do("PATCH", at, strings.NewReader("x")), 404, codeUploadUnknown)
	f.want(f.do("DELETE", at, nil), 404, codeUploadUnknown)
}

func TestOpenUploadsAreBoundedPerPrincipal(t *testing.T) {
	f := serve(t, Options{
		Auth:    staticUsers{"ana": "1"},
		Tenants: []Tenant{{Prefix: "team/", Members: map[string]Actions{"ana": Push}}},
		Limits:  Limits{UploadsPerPrincipal: 2},
	})
	at := f.begin(repo)
	f.begin(repo)
	f.want(f.do("POST", "/v2/"+repo+"/blobs/uploads/", nil), 429, codeTooManyRequests)
	f.as("ana", "1").begin(repo) // another principal's uploads do not count
	f.want(f.do("DELETE", at, nil), 204, "")
	f.begin(repo)
}

func TestAbandonedUploadsAreRemovedAndActiveOnesStay(t *testing.T) {
	now := clock.At(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	f := serve(t, Options{Clock: now, Limits: Limits{UploadAge: time.Hour}})
	old := f.begin(repo)
	now.Advance(50 * time.Minute)
	young := f.begin(repo)
	now.Advance(11 * time.Minute)
	if err := f.reg.sweep(); err != nil {
		t.Fatal(err)
	}
	f.want(f.do("GET", old, nil), 404, codeUploadUnknown)
	f.want(f.do("GET", young, nil), 204, "")
	if n, err := f.reg.openUploads(uploadDir(Principal{Name: LocalUser})); n != 1 || err != nil {
		t.Errorf("%d uploads on the disk, %v", n, err)
	}
}

func TestAnUploadThatIsWorkedOnIsNotAbandoned(t *testing.T) {
	now := clock.At(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	f := serve(t, Options{Clock: now, Limits: Limits{UploadAge: time.Hour}})
	at := f.begin(repo)
	id := at[strings.LastIndexByte(at, '/')+1:]
	u, err := f.reg.takeUpload(Principal{Name: LocalUser}, repo, id)
	if err != nil {
		t.Fatal(err)
	}
	now.Advance(2 * time.Hour)
	if err := f.reg.sweep(); err != nil {
		t.Fatal(err)
	}
	f.want(f.do("PATCH", at, strings.NewReader("x")), 409, codeUploadInvalid) // busy, and not gone
	u.close()
	if err := f.reg.sweep(); err != nil {
		t.Fatal(err)
	}
	f.want(f.do("PATCH", at, strings.NewReader("x")), 404, codeUploadUnknown)
}

func TestABlobIsServedInRangesAndByCondition(t *testing.T) {
	f := serve(t, Options{})
	d := f.pushBlob(repo, []byte("0123456789"))
	path := "/v2/" + repo + "/blobs/" + string(d)
	for _, c := range []struct {
		name, header, value string
		status              int
		body                string
	}{
		{"everything", "Accept", "*/*", 200, "0123456789"},
		{"from the middle", "Range", "bytes=5-", 206, "56789"},
		{"a part", "Range", "bytes=2-4", 206, "234"},
		{"the end", "Range", "bytes=-3", 206, "789"},
		{"a part that reaches beyond the end", "Range", "bytes=8-99", 206, "89"},
		{"nothing but beyond the end", "Range", "bytes=10-", 416, ""},
		{"the last no bytes", "Range", "bytes=-0", 416, ""},
		{"several ranges are sent as a whole", "Range", "bytes=0-1,3-4", 200, "0123456789"},
		{"another unit is ignored", "Range", "lines=0-1", 200, "0123456789"},
		{"a backwards range is ignored", "Range", "bytes=4-2", 200, "0123456789"},
		{"what the client has", "If-None-Match", `"` + string(d) + `"`, 304, ""},
		{"what the client does not have", "If-None-Match", `"sha256:other"`, 200, "0123456789"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := *f
			g.t = t
			r := g.do("GET", path, nil, c.header, c.value)
			if r.status != c.status || c.status != 416 && string(r.body) != c.body {
				t.Errorf("got %v", r)
			}
			if c.status == 416 && (r.header.Get("Content-Range") != "bytes */10" || r.code() == "") {
				t.Errorf("416 with %v", r.header)
			}
		})
	}
	r := f.want(f.do("HEAD", path, nil), 200, "")
	if r.header.Get("Content-Length") != "10" || r.header.Get("Docker-Content-Digest") != string(d) || len(r.body) != 0 {
		t.Errorf("HEAD: %v", r.header)
	}
}

func TestABlobIsDeletedUnlessAManifestConsistsOfIt(t *testing.T) {
	f := serve(t, Options{})
	d := f.pushBlob(repo, []byte("unused"))
	f.putImage(repo, "v1", "seed")
	used := digestOf([]byte("layer seed"))
	f.want(f.do("DELETE", "/v2/"+repo+"/blobs/"+string(used), nil), 405, codeUnsupported)
	f.want(f.do("GET", "/v2/"+repo+"/blobs/"+string(used), nil), 200, "")
	f.want(f.do("DELETE", "/v2/"+repo+"/blobs/"+string(d), nil), 202, "")
	f.want(f.do("GET", "/v2/"+repo+"/blobs/"+string(d), nil), 404, codeBlobUnknown)
	f.want(f.do("DELETE", "/v2/"+repo+"/blobs/"+string(d), nil), 404, codeBlobUnknown)
	f.want(f.do("DELETE", "/v2/no/such/blobs/"+string(d), nil), 404, codeNameUnknown)
}
