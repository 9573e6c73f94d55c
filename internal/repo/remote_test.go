package repo

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// served is a repository, made by git, that somebody else serves.
type served struct {
	dir      string
	url      string
	opt      RemoteOptions
	requests *atomic.Int64
}

func (s served) commit(t testing.TB, name, content string) Commit {
	t.Helper()
	writeFile(t, s.dir, name, content)
	gitCmd(t, s.dir, "add", "-A")
	gitCmd(t, s.dir, "commit", "-qm", "change "+name)
	return Commit(gitCmd(t, s.dir, "rev-parse", "HEAD"))
}

func (s served) remote(t testing.TB) *Remote {
	t.Helper()
	r, err := NewRemote(s.url, s.opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// overHTTP serves the directory above dir with git's own program. middle, when
// not nil, sees the requests first; env is for the program.
func overHTTP(t testing.TB, dir string, middle func(http.Handler) http.Handler, env ...string) served {
	t.Helper()
	core, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Skip("the git command is not on the PATH: install git to fetch from it")
	}
	gitCmd(t, dir, "config", "http.receivepack", "false")
	s := served{dir: dir, requests: new(atomic.Int64)}
	var h http.Handler = &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(core)), "git-http-backend"),
		Env: append([]string{"GIT_PROJECT_ROOT=" + filepath.Dir(dir), "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1",
			"GIT_CONFIG_GLOBAL=/dev/null", "HOME=/nonexistent"}, env...),
		Stderr: io.Discard,
	}
	// The protocol's header reaches the program under its own name.
	backend := h
	h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := *backend.(*cgi.Handler)
		if p := r.Header.Get("Git-Protocol"); p != "" {
			c.Env = append(c.Env[:len(c.Env):len(c.Env)], "GIT_PROTOCOL="+p)
		}
		c.ServeHTTP(w, r)
	})
	if middle != nil {
		h = middle(h)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL + "/" + filepath.Base(dir) + "/.git"
	return s
}

// withoutV2 makes a server answer in version 0 of the protocol.
func withoutV2(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Git-Protocol")
		h.ServeHTTP(w, r)
	})
}

// overSSH serves all directories with a server of SSH that runs git-upload-pack.
func overSSH(t testing.TB, dir string, acceptEnv bool) served {
	t.Helper()
	if _, err := exec.LookPath("git-upload-pack"); err != nil {
		if _, err := exec.LookPath("git"); err != nil {
			t.Skip("the git command is not on the PATH: install git to fetch from it")
		}
	}
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	host, err := ssh.NewSignerFromKey(hostKey)
	if err != nil {
		t.Fatal(err)
	}
	public, userKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	user, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	conf := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "git" || string(key.Marshal()) != string(user.Marshal()) {
			return nil, errors.New("not known")
		}
		return nil, nil
	}}
	conf.AddHostKey(host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveSSH(conn, conf, acceptEnv)
		}
	}()
	known := filepath.Join(t.TempDir(), "known_hosts")
	writeFile(t, "/", known, knownhosts.Line([]string{l.Addr().String()}, host.PublicKey())+"\n")
	return served{dir: dir, url: "ssh://git@" + l.Addr().String() + dir, opt: RemoteOptions{
		KnownHosts:  known,
		Credentials: func(context.Context) (Credentials, error) { return Credentials{Key: userKey}, nil },
	}}
}

func serveSSH(conn net.Conn, conf *ssh.ServerConfig, acceptEnv bool) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, conf)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		ch, in, err := c.Accept()
		if err != nil {
			return
		}
		env := append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		for req := range in {
			switch req.Type {
			case "env":
				var kv struct{ Name, Value string }
				if acceptEnv && ssh.Unmarshal(req.Payload, &kv) == nil {
					env = append(env, kv.Name+"="+kv.Value)
				}
				_ = req.Reply(acceptEnv, nil)
			case "exec":
				var run struct{ Command string }
				_ = ssh.Unmarshal(req.Payload, &run)
				_ = req.Reply(true, nil)
				cmd := exec.Command("sh", "-c", strings.Replace(run.Command, "git-upload-pack", "git upload-pack", 1))
				cmd.Env, cmd.Stdout, cmd.Stderr = env, ch, ch.Stderr()
				stdin, err := cmd.StdinPipe()
				if err != nil {
					return
				}
				go func() { // which Run would wait for
					_, _ = io.Copy(stdin, ch)
					stdin.Close()
				}()
				status := struct{ Code uint32 }{}
				if cmd.Run() != nil {
					status.Code = 1
				}
				_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(status))
				ch.Close()
			}
		}
	}
}

// ways are all ways to reach a repository.
func ways(t *testing.T) map[string]func(t testing.TB) served {
	return map[string]func(testing.TB) served{
		"a path":            func(t testing.TB) served { dir := byGit(t); return served{dir: dir, url: dir} },
		"a file URL":        func(t testing.TB) served { dir := byGit(t); return served{dir: dir, url: "file://" + dir} },
		"HTTP":              func(t testing.TB) served { return overHTTP(t, byGit(t), nil) },
		"HTTP of version 0": func(t testing.TB) served { return overHTTP(t, byGit(t), withoutV2) },
		"SSH":               func(t testing.TB) served { return overSSH(t, byGit(t), true) },
		"SSH of version 0":  func(t testing.TB) served { return overSSH(t, byGit(t), false) },
	}
}

func TestURLsOfRemotes(t *testing.T) {
	for _, good := range []string{"https://git.example.com/team/repo.git", "https://git.example.com:8443/r", "ssh://git@git.example.com/r", "ssh://git.example.com:2222/~me/r",
		"file:///srv/git/r", "file://localhost/srv/r", "/srv/git/r", "http://127.0.0.1:8080/r", "http://localhost/r", "http://[::1]/r"} {
		if _, err := NewRemote(good, RemoteOptions{}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "repo", "./repo", "../repo", "git@git.example.com:team/repo", "http://git.example.com/r", "http://127.0.0.1.example.com/r",
		"https://me:s3cr3t@git.example.com/r", "https://s3cr3t@git.example.com/r", "ssh://git:s3cr3t@git.example.com/r", "https://git.example.com/r?token=s3cr3t",
		"https://git.example.com/r#s3cr3t", "git://git.example.com/r", "ext::sh -c s3cr3t", "fd::3", "ftp://git.example.com/r", "file://elsewhere/r", "file:r",
		"https://git.example.com", "https:///r", "ssh:git", "https://git.example.com/r\nHost: x", "https://[::1/s3cr3t", "https://git.example.com/" + strings.Repeat("r", maxURL)} {
		_, err := NewRemote(bad, RemoteOptions{})
		if !errors.Is(err, ErrBadURL) {
			t.Errorf("%.60q: %v", bad, err)
		} else if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%.60q: the error repeats a secret: %v", bad, err)
		}
	}
}

func TestHead(t *testing.T) {
	for name, serve := range ways(t) {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			r := s.remote(t)
			if _, err := r.Head(t.Context(), "main"); !errors.Is(err, ErrNotFound) {
				t.Errorf("of an empty repository: %v, want ErrNotFound", err)
			}
			c := s.commit(t, "a", "1")
			gitCmd(t, s.dir, "branch", "main-2")
			gitCmd(t, s.dir, "branch", "side/way")
			gitCmd(t, s.dir, "tag", "light")
			gitCmd(t, s.dir, "tag", "-am", "m", "noted")
			for _, ref := range []string{"main", "refs/heads/main", "side/way", "refs/tags/light", "refs/tags/noted"} {
				tip, err := r.Head(t.Context(), ref)
				if object := gitCmd(t, s.dir, "rev-parse", ref); err != nil || tip.Commit != c || tip.Object != object {
					t.Errorf("%s: %v, %v; want the commit %s of %s", ref, tip, err, c, object)
				}
			}
			for _, ref := range []string{"mai", "main-", "refs/heads/side", "refs/tags/main", "light"} {
				if tip, err := r.Head(t.Context(), ref); !errors.Is(err, ErrNotFound) {
					t.Errorf("%s: %v, %v; want ErrNotFound", ref, tip, err)
				}
			}
			for _, ref := range []string{"", "../x", "a b", "refs/heads/", "x\ny", "x.lock", "-x^", strings.Repeat("x", 300), ".git/x"} {
				if tip, err := r.Head(t.Context(), ref); err == nil {
					t.Errorf("%q is %v", ref, tip)
				}
			}
		})
	}
}

func TestALookCostsOneRequest(t *testing.T) {
	s := overHTTP(t, byGit(t), nil)
	s.commit(t, "a", "1")
	r := s.remote(t)
	for i, want := range []int64{2, 1, 1} {
		s.requests.Store(0)
		if _, err := r.Head(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
		if got := s.requests.Load(); got != want {
			t.Errorf("look %d took %d requests, want %d", i+1, got, want)
		}
	}
}

func TestCredentialsOfHTTPS(t *testing.T) {
	s := overHTTP(t, byGit(t), func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user != "git" || password != "s3cr3t" {
				w.Header().Set("WWW-Authenticate", "Basic")
				http.Error(w, "s3cr3t is what you need", http.StatusUnauthorized)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	c := s.commit(t, "a", "1")
	for _, tt := range []struct {
		name     string
		password string
		fails    error
	}{{"the right ones", "s3cr3t", nil}, {"none", "", ErrCredentials}, {"wrong ones", "other-s3cr3t", ErrCredentials}} {
		t.Run(tt.name, func(t *testing.T) {
			s.opt.Credentials = func(context.Context) (Credentials, error) { return Credentials{Password: tt.password}, nil }
			tip, err := s.remote(t).Head(t.Context(), "main")
			if !errors.Is(err, tt.fails) || tt.fails == nil && tip.Commit != c {
				t.Errorf("%v, %v", tip, err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("the error repeats a secret: %v", err)
			}
		})
	}
	broken := errors.New("vault is sealed")
	s.opt.Credentials = func(context.Context) (Credentials, error) { return Credentials{}, broken }
	if _, err := s.remote(t).Head(t.Context(), "main"); !errors.Is(err, broken) {
		t.Errorf("credentials that cannot be had: %v", err)
	}
}

func TestServersOverTLSAreRecognised(t *testing.T) {
	plain := overHTTP(t, byGit(t), nil)
	c := plain.commit(t, "a", "1")
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		forward(w, r, plain.url)
	}))
	t.Cleanup(server.Close)
	url := server.URL + "/" + filepath.Base(plain.dir) + "/.git"
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	s := served{url: url, opt: RemoteOptions{TLS: &tls.Config{RootCAs: roots}}}
	if tip, err := s.remote(t).Head(t.Context(), "main"); err != nil || tip.Commit != c {
		t.Errorf("%v, %v", tip, err)
	}
	var unknown *tls.CertificateVerificationError
	if _, err := (served{url: url}).remote(t).Head(t.Context(), "main"); !errors.As(err, &unknown) {
		t.Errorf("a certificate that nobody knows: %v", err)
	}
}

func TestServersOverSSHAreRecognised(t *testing.T) {
	s := overSSH(t, byGit(t), true)
	c := s.commit(t, "a", "1")
	_, otherKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ssh.NewSignerFromKey(otherKey)
	if err != nil {
		t.Fatal(err)
	}
	address := strings.Split(strings.TrimPrefix(s.url, "ssh://git@"), "/")[0]
	swapped := filepath.Join(t.TempDir(), "swapped")
	writeFile(t, "/", swapped, knownhosts.Line([]string{address}, other.PublicKey())+"\n")
	empty := filepath.Join(t.TempDir(), "empty")
	writeFile(t, "/", empty, "")
	for _, tt := range []struct {
		name  string
		spoil func(*RemoteOptions)
		is    error
	}{
		{"the key that is known", func(*RemoteOptions) {}, nil},
		{"no known hosts", func(o *RemoteOptions) { o.KnownHosts = "" }, ErrHostKey},
		{"a file that is not there", func(o *RemoteOptions) { o.KnownHosts = "/nonexistent" }, ErrHostKey},
		{"another host only", func(o *RemoteOptions) { o.KnownHosts = empty }, ErrHostKey},
		{"another key", func(o *RemoteOptions) { o.KnownHosts = swapped }, ErrHostKey},
		{"a user's key that the server does not know", func(o *RemoteOptions) {
			o.Credentials = func(context.Context) (Credentials, error) { return Credentials{Key: otherKey}, nil }
		}, ErrCredentials},
		{"no user's key", func(o *RemoteOptions) { o.Credentials = nil }, ErrCredentials},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bent := s
			tt.spoil(&bent.opt)
			tip, err := bent.remote(t).Head(t.Context(), "main")
			if !errors.Is(err, tt.is) || tt.is == nil && tip.Commit != c {
				t.Errorf("%v, %v; want %v", tip, err, tt.is)
			}
		})
	}
	gone := s
	gone.url = strings.Replace(s.url, s.dir, "/no'where", 1)
	if _, err := gone.remote(t).Head(t.Context(), "main"); !errors.Is(err, ErrRemote) || !strings.Contains(err.Error(), "no'where") {
		t.Errorf("a repository that is not there: %v", err)
	}
}

func TestAddressesAreJudged(t *testing.T) {
	refused := errors.New("the policy allows public addresses only")
	for name, s := range map[string]served{"HTTP": overHTTP(t, byGit(t), nil), "SSH": overSSH(t, byGit(t), true)} {
		t.Run(name, func(t *testing.T) {
			s.commit(t, "a", "1")
			var asked netip.Addr
			s.opt.Address = func(a netip.Addr) error { asked = a; return refused }
			if _, err := s.remote(t).Head(t.Context(), "main"); !errors.Is(err, ErrAddress) || !errors.Is(err, refused) {
				t.Errorf("got %v", err)
			}
			if !asked.IsLoopback() {
				t.Errorf("it was asked about %v", asked)
			}
			s.opt.Address = func(netip.Addr) error { return nil }
			if _, err := s.remote(t).Head(t.Context(), "main"); err != nil {
				t.Errorf("when it accepts: %v", err)
			}
		})
	}
	for _, url := range []string{"https://169.254.169.254/r", "https://[fe80::1%25lo]/r", "ssh://git@169.254.169.254/r", "https://224.0.0.1/r", "https://[::ffff:169.254.169.254]/r"} {
		s := served{url: url, opt: RemoteOptions{KnownHosts: os.DevNull}}
		if _, err := s.remote(t).Head(t.Context(), "main"); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestCredentialsDoNotPrint(t *testing.T) {
	c := Credentials{User: "me", Password: "s3cr3t"}
	if got := strings.Join([]string{c.String(), c.GoString()}, " "); strings.Contains(got, "s3cr3t") {
		t.Error(got)
	}
}
