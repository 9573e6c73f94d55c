package registry

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// machine remembers what a disk has synchronised: the content of files and the
// entries of directories, each as it was at its last fsync. What was not
// synchronised is lost when the machine dies, in the worst case that POSIX allows.
type machine struct {
	mu    sync.Mutex
	files map[uint64][]byte            // by inode
	dirs  map[uint64]map[string]uint64 // by inode: name to inode
	kinds map[uint64]bool              // true for directories
}

func newMachine() *machine {
	return &machine{files: map[uint64][]byte{}, dirs: map[uint64]map[string]uint64{}, kinds: map[uint64]bool{}}
}

func inode(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

func (m *machine) fsync(f *os.File) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.IsDir() {
		data := make([]byte, info.Size())
		if _, err := f.ReadAt(data, 0); err != nil && info.Size() > 0 {
			// A file that is open for writing only.
			if data, err = os.ReadFile(f.Name()); err != nil {
				return err
			}
		}
		m.files[inode(info)] = data
		return nil
	}
	entries, err := os.ReadDir(f.Name())
	if err != nil {
		return err
	}
	names := map[string]uint64{}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err != nil {
			return err
		}
		names[e.Name()], m.kinds[inode(info)] = inode(info), e.IsDir()
	}
	m.dirs[inode(info)] = names
	return nil
}

// restart writes what is left after the machine died to a new directory.
func (m *machine) restart(t *testing.T, dir string) string {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	after := t.TempDir()
	var build func(ino uint64, at string)
	build = func(ino uint64, at string) {
		for name, child := range m.dirs[ino] {
			p := filepath.Join(at, name)
			if m.kinds[child] {
				if err := os.Mkdir(p, 0o700); err != nil {
					t.Fatal(err)
				}
				build(child, p)
			} else if err := os.WriteFile(p, m.files[child], 0o600); err != nil { // empty when never synchronised
				t.Fatal(err)
			}
		}
	}
	build(inode(info), after)
	return after
}

// open makes a registry whose writes go to the machine.
func (m *machine) serve(t *testing.T, dir string) *fixture {
	if _, err := OpenLocal(dir); err != nil {
		t.Fatal(err)
	}
	f := serve(t, Options{Dir: dir, fsync: m.fsync})
	// The local token was made before the machine was watched.
	for _, name := range []string{"token", "."} {
		h, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.fsync(h); err != nil {
			t.Fatal(err)
		}
		h.Close()
	}
	return f
}

// After every single answer the machine dies, and a registry on what is left
// of the disk must have what was answered for.
func TestWhatWasAcknowledgedSurvivesTheDeathOfTheMachine(t *testing.T) {
	const simple = "application/vnd.dev.cosign.simplesigning.v1+json"
	dir, m := t.TempDir(), newMachine()
	f := m.serve(t, dir)
	survives := func(path string, want []byte) {
		t.Helper()
		g := serve(t, Options{Dir: m.restart(t, dir)})
		if got := g.do("GET", path, nil); got.status != 200 || !bytes.Equal(got.body, want) {
			t.Errorf("%s after the death of the machine: %v", path, got)
		}
	}
	blob := func(repo string, data []byte) string { return "/v2/" + repo + "/blobs/" + string(digestOf(data)) }

	whole := []byte("a blob in one request")
	f.pushBlob(repo, whole)
	survives(blob(repo, whole), whole)

	chunked := bytes.Repeat([]byte("chunk "), 50_000)
	at := f.begin(repo)
	f.want(f.do("PATCH", at, bytes.NewReader(chunked)), 202, "")
	f.want(f.do("PUT", at+"?digest="+string(digestOf(chunked)), nil), 201, "")
	survives(blob(repo, chunked), chunked)

	f.want(f.do("POST", "/v2/team/mounted/blobs/uploads/?mount="+string(digestOf(chunked))+"&from="+repo, nil), 201, "")
	survives(blob("team/mounted", chunked), chunked)

	img := f.image(repo, "x")
	f.want(f.put(repo, string(digestOf(img)), img, typeOCIManifest), 201, "")
	survives("/v2/"+repo+"/manifests/"+string(digestOf(img)), img)

	f.want(f.put(repo, "v1", img, typeOCIManifest), 201, "")
	survives("/v2/"+repo+"/manifests/v1", img)
	survives("/v2/"+repo+"/tags/list", []byte(`{"name":"team/app","tags":["v1"]}`))

	ref := f.artifact(repo, digestOf(img), "application/vnd.example", "application/vnd.oci.empty.v1+json", "ref")
	f.want(f.put(repo, string(digestOf(ref)), ref, typeOCIManifest), 201, "")
	g := serve(t, Options{Dir: m.restart(t, dir)})
	if l, _ := g.referrers("/v2/" + repo + "/referrers/" + string(digestOf(img))); len(l.Manifests) != 1 {
		t.Errorf("%d referrers", len(l.Manifests))
	}

	sigTag := "sha256-" + digestOf(img).Hex() + ".sig"
	f.want(f.put(repo, sigTag, f.signature(simple, "ana"), typeOCIManifest), 201, "")
	grown := f.signature(simple, "ana", "bob")
	f.want(f.put(repo, sigTag, grown, typeOCIManifest), 201, "")
	survives("/v2/"+repo+"/manifests/"+sigTag, grown)

	// And it is the same registry still: tags are where they were, uploads
	// that nobody finished are gone.
	open := f.begin(repo)
	g = serve(t, Options{Dir: m.restart(t, dir)})
	g.want(g.put(repo, "v1", g.image(repo, "other"), typeOCIManifest), 409, codeDenied)
	g.want(g.do("GET", open, nil), 404, codeUploadUnknown)
}

// The test above must be able to fail: with an fsync that does nothing, all is
// lost.
func TestTheMachineForgetsWhatWasNotSynchronised(t *testing.T) {
	dir, m := t.TempDir(), newMachine()
	f := serve(t, Options{Dir: dir, fsync: func(*os.File) error { return nil }})
	f.putImage(repo, "v1", "x")
	g := serve(t, Options{Dir: m.restart(t, dir)})
	g.want(g.do("GET", "/v2/"+repo+"/manifests/v1", nil), 404, codeManifestUnknown)
}

func TestAnUploadWhoseBytesWereLostBeginsAnew(t *testing.T) {
	dir, m := t.TempDir(), newMachine()
	f := m.serve(t, dir)
	at := f.begin(repo)
	f.want(f.do("PATCH", at, strings.NewReader("some")), 202, "")
	g := serve(t, Options{Dir: m.restart(t, dir)})
	g.want(g.do("PUT", at+"?digest="+string(digestOf([]byte("some"))), nil), 404, codeUploadUnknown)
	g.pushBlob(repo, []byte("some"))
}

// The disk fails at the n-th synchronisation, for every n that a push has. The
// client is told, no tag is there that names something incomplete, and once
// there is room the same push succeeds.
func TestAFullDiskLeavesNoHalfState(t *testing.T) {
	data := bytes.Repeat([]byte("layer"), 1000)
	config := []byte("{}")
	push := func(f *fixture) (last reply) {
		for _, blob := range [][]byte{data, config} {
			r := f.do("POST", "/v2/"+repo+"/blobs/uploads/", nil)
			if r.status != 202 {
				return r
			}
			at := r.header.Get("Location")
			if r = f.do("PATCH", at, bytes.NewReader(blob)); r.status != 202 {
				return r
			}
			if r = f.do("PUT", at+"?digest="+string(digestOf(blob)), nil); r.status != 201 {
				return r
			}
		}
		m := marshal(f.t, map[string]any{
			"schemaVersion": 2, "mediaType": typeOCIManifest, "config": desc(typeConfig, config), "layers": []any{desc(typeLayer, data)},
			"subject": desc(typeOCIManifest, []byte("subject")),
		})
		return f.put(repo, "v1", m, typeOCIManifest)
	}
	failures := 0
	for n := 1; ; n++ {
		done := false
		t.Run(fmt.Sprint("synchronisation ", n, " fails"), func(t *testing.T) {
			var mu sync.Mutex
			countdown := 0 // 0: the disk is well
			f := serve(t, Options{fsync: func(h *os.File) error {
				mu.Lock()
				defer mu.Unlock()
				if countdown > 0 {
					if countdown--; countdown == 0 {
						return &os.PathError{Op: "sync", Path: h.Name(), Err: syscall.ENOSPC}
					}
				}
				return nil
			}})
			mu.Lock()
			countdown = n
			mu.Unlock()
			r := push(f)
			if r.status == 201 {
				done = true
				return
			}
			failures++
			if r.status != 507 || r.code() != codeUnavailable || strings.Contains(string(r.body), f.reg.disk.root.Name()) {
				t.Errorf("got %v", r)
			}
			if tag := f.do("GET", "/v2/"+repo+"/manifests/v1", nil); tag.status == 200 {
				for _, blob := range [][]byte{data, config} {
					f.want(f.do("GET", "/v2/"+repo+"/blobs/"+string(digestOf(blob)), nil), 200, "")
				}
			}
			if got := f.do("GET", "/v2/"+repo+"/blobs/"+string(digestOf(data)), nil); got.status == 200 && !bytes.Equal(got.body, data) {
				t.Error("half a blob is visible")
			}
			f.want(push(f), 201, "")
			if l, _ := f.referrers("/v2/" + repo + "/referrers/" + string(digestOf([]byte("subject")))); len(l.Manifests) != 1 {
				t.Errorf("%d referrers", len(l.Manifests))
			}
		})
		if done {
			break
		}
	}
	if failures < 10 {
		t.Errorf("only %d synchronisations in a push", failures)
	}
}

// TestMain serves a directory when the test binary is started again as a
// registry to be killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("REGISTRY_TEST_SERVE"); dir != "" {
		if err := serveUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func serveUntilKilled(dir string) error {
	reg, err := New(Options{Dir: dir})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", l.Addr())
	go func() { // the parent's death closes standard input
		bufio.NewReader(os.Stdin).ReadByte()
		os.Exit(1)
	}()
	return Server(reg).Serve(l)
}

func TestWhatWasAcknowledgedSurvivesKill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	acknowledged := map[string]string{} // path to content
	for round := range 3 {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), "REGISTRY_TEST_SERVE="+dir)
		cmd.Stderr = os.Stderr
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		url, err := bufio.NewReader(stdout).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		pushUntilKilled(t, dir, strings.TrimSpace(url), round, func() { cmd.Process.Kill() }, acknowledged)
		stdin.Close()
		cmd.Wait()
	}
	f := serve(t, Options{Dir: dir})
	blobs, tags := 0, 0
	for path, content := range acknowledged {
		if r := f.do("GET", path, nil); r.status != 200 || string(r.body) != content {
			t.Errorf("%s was acknowledged and is %d with %d bytes", path, r.status, len(r.body))
		}
		if strings.Contains(path, "/blobs/") {
			blobs++
		} else {
			tags++
		}
	}
	if blobs < 30 || tags < 15 {
		t.Errorf("only %d blobs and %d tags were acknowledged before the kills", blobs, tags)
	}
	// What was not acknowledged is whole or not there at all.
	err = fs.WalkDir(os.DirFS(dir), "blobs", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, p))
		if err == nil && digestOf(data).Hex() != e.Name() {
			t.Errorf("%s does not have its digest", p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// pushUntilKilled pushes from several clients; when enough is acknowledged the
// process is killed while the others are in the middle of their uploads.
func pushUntilKilled(t *testing.T, dir, url string, round int, kill func(), acknowledged map[string]string) {
	local, err := OpenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	const clients, enough = 4, 30
	var mu sync.Mutex
	acks := 0
	ack := func(path, content string) {
		mu.Lock()
		defer mu.Unlock()
		acknowledged[path] = content
		if acks++; acks == enough {
			kill()
		}
	}
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("r%d-c%d-i%d", round, c, i)
				k := &killable{url: url, user: LocalUser, pass: local.Token()}
				layer, config := strings.Repeat(id, 20_000), `{"id":"`+id+`"}`
				for _, blob := range []string{layer, config} {
					d := string(digestOf([]byte(blob)))
					if !k.do("POST", "/v2/"+repo+"/blobs/uploads/?digest="+d, blob) {
						return
					}
					ack("/v2/"+repo+"/blobs/"+d, blob)
				}
				m := string(marshal(t, map[string]any{
					"schemaVersion": 2, "mediaType": typeOCIManifest,
					"config": desc(typeConfig, []byte(config)), "layers": []any{desc(typeLayer, []byte(layer))},
				}))
				if !k.do("PUT", "/v2/"+repo+"/manifests/"+id, m) {
					return
				}
				ack("/v2/"+repo+"/manifests/"+id, m)
			}
		})
	}
	wg.Wait()
}
