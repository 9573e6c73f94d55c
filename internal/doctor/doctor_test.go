package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/ledger"
)

const (
	policyYAML = `apiVersion: security.apexlogic.com/v1alpha1
kind: ImageSecurityPolicy
metadata:
  name: images
spec:
  imageSelector:
    matchLabels:
      app: inference
  rules:
    - name: RequireImageSignature
      action: Deny
      parameters:
        requireSignatureFrom: ["release"]
    - name: AllowOnlyApprovedBaseImages
      action: Deny
      parameters:
        allowedBaseImages: ["docker.io/library/python:3.x-slim"]
`
	trustYAML = `apiVersion: security.apexlogic.com/v1alpha1
kind: TrustRoot
metadata:
  name: ours
spec:
  entries:
    - name: release
      key:
        pem: |
          -----BEGIN PUBLIC KEY-----
          MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt
          6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==
          -----END PUBLIC KEY-----
`
	lockYAML = `apiVersion: security.apexlogic.com/v1alpha1
kind: BaseImageLock
metadata:
  name: bases
spec:
  images:
    - image: docker.io/library/python:3.12-slim
      digest: sha256:1111111111111111111111111111111111111111111111111111111111111111
      resolvedAt: "2026-11-01T00:00:00Z"
      platforms:
        - platform: linux/amd64
          digest: sha256:2222222222222222222222222222222222222222222222222222222222222222
          diffIDs: ["sha256:3333333333333333333333333333333333333333333333333333333333333333"]
`
)

// house is a healthy installation that a test breaks in one place.
type house struct {
	t *testing.T
	Patient
	registry, api http.HandlerFunc
}

func healthy(t *testing.T) *house {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "the workspace") // with a space: fixes have to quote it
	h := &house{t: t}
	h.Patient = Patient{
		Workspace: dir, State: filepath.Join(dir, ".apex"), Clock: clock.System{},
		RegistryUser: "apex", RegistryToken: "registry-token", APIToken: "api-token",
		DockerConfig: filepath.Join(dir, ".apex", "docker", "config.json"),
		Head: func() (string, error) {
			c := exec.Command("git", "-C", dir, "rev-parse", "--verify", "-q", "HEAD")
			c.Env = gitEnv()
			out, err := c.Output()
			return strings.TrimSpace(string(out)), err
		},
		Documents: func(ctx context.Context) (*config.Set, error) {
			return config.Load(ctx, config.Dir(filepath.Join(dir, "policies")))
		},
		VerifierKey: func(dir string) (string, error) {
			data, err := os.ReadFile(filepath.Join(dir, "verifier"))
			return strings.TrimSpace(string(data)), err
		},
		Free: func(string) (uint64, error) { return 10 << 30, nil },
	}
	h.write("policies/policy.yaml", policyYAML, 0o644)
	h.write("policies/trust.yaml", trustYAML, 0o644)
	h.write("policies/lock.yaml", lockYAML, 0o644)
	h.write(".gitignore", "/.apex/\n", 0o644)
	h.sh("git init -q -b main . && git config user.name t && git config user.email t@example.com && git commit -q --allow-empty -m Begin && git add -A && git commit -q -m Policies")
	h.write(".apex/token", "api-token", 0o600)
	h.write(".apex/keys/release.key", "secret", 0o600)
	h.write(".apex/meter/up/x", "", 0o600)
	h.write(".apex/docker/config.json", `{"auths":{"registry.example.com":{"auth":"YTpi"}}}`, 0o600)
	h.ledger("up")
	h.registry = func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "registry-token" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	h.api = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer api-token" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	h.Registry = h.serve(&h.registry)
	h.API = h.serve(&h.api)
	return h
}

func (h *house) serve(handler *http.HandlerFunc) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*handler)(w, r) }))
	h.t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func (h *house) write(name, content string, mode os.FileMode) {
	h.t.Helper()
	name = filepath.Join(h.Workspace, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil { // whatever the umask
		h.t.Fatal(err)
	}
}

func (h *house) sh(command string) {
	h.t.Helper()
	c := exec.CommandContext(h.t.Context(), "sh", "-c", command)
	c.Dir, c.Env = h.Workspace, gitEnv()
	if out, err := c.CombinedOutput(); err != nil {
		h.t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// gitEnv is the environment without what would make git look elsewhere.
func gitEnv() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") })
	return append(env, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
}

// commit puts a changed document in force.
func (h *house) commit(name, content string) {
	h.t.Helper()
	h.write(name, content, 0o644)
	h.sh("git add -A && git commit -q -m Change")
}

// ledger makes a ledger with a sealed record and one that is not sealed.
func (h *house) ledger(role string) {
	h.t.Helper()
	dir := filepath.Join(h.State, "ledger", role)
	l, err := ledger.Open(h.t.Context(), dir, ledger.Options{Origin: "apex/" + role})
	if err != nil {
		h.t.Fatal(err)
	}
	for range 2 {
		if _, err := l.Append(h.t.Context(), ledger.Record{Type: ledger.TypeVerdict, Data: []byte(`{"decision":"deny"}`)}, ledger.Durable); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.Ledgers = append(h.Ledgers, dir)
}

// of returns one check's result.
func (h *house) of(id string) Result {
	h.t.Helper()
	r := Examine(h.t.Context(), h.Patient)
	i := slices.IndexFunc(r.Checks, func(c Result) bool { return c.ID == id })
	if i < 0 {
		h.t.Fatalf("there is no check %s", id)
	}
	return r.Checks[i]
}

func TestNothingIsWrongWithAHealthyInstallation(t *testing.T) {
	h := healthy(t)
	r := Examine(t.Context(), h.Patient)
	if !r.OK || r.Schema != Schema || len(r.Checks) != len(checks) {
		t.Errorf("%+v", r)
	}
	for _, c := range r.Checks {
		if c.Status != OK || c.Fix != "" || c.Evidence == "" {
			t.Errorf("%s: %s (%s), fix %q", c.ID, c.Status, c.Evidence, c.Fix)
		}
	}
}

func TestEachCheckFindsWhatIsBrokenAndItsFixMendsIt(t *testing.T) {
	type damaged struct {
		name   string
		id     string
		damage func(*house)
		want   Status
		says   string
		// fix is how a fix begins that is a command of Apex, or not for a test
		// to run; where it is empty the fix is run, and has to mend it.
		fix string
	}
	cases := []damaged{
		{"there is no workspace", "workspace.found", func(h *house) { h.Workspace = "" }, Fail, "workspace", "apex up"},
		{"git is not installed", "git.path", func(h *house) {
			h.Look = func(string) (string, error) { return "", exec.ErrNotFound }
		}, Warn, "not found", "sudo apt-get install git"},
		{"the branch has lost its commit", "git.head", func(h *house) { h.sh("rm -rf .git/refs/heads/main .git/packed-refs .git/logs") }, Fail, "cannot be read", ""},
		{"a document is misspelled", "documents.valid", func(h *house) {
			h.commit("policies/policy.yaml", strings.Replace(policyYAML, "action: Deny", "action: Dney", 1))
		}, Fail, "policy.yaml", ""},
		{"a document cannot be read at all", "documents.valid", func(h *house) {
			h.commit("policies/policy.yaml", "kind: [")
		}, Fail, "policy.yaml", ""},
		{"the documents are gone", "documents.valid", func(h *house) {
			h.sh("git rm -rq policies && git commit -q -m Gone")
		}, Fail, "policies", ""},
		{"a policy names a key that nothing defines", "policies.ready", func(h *house) {
			h.commit("policies/policy.yaml", strings.Replace(policyYAML, `["release"]`, `["relaese"]`, 1))
		}, Fail, "relaese", ""},
		{"there is no policy", "policies.ready", func(h *house) {
			h.sh("git rm -q policies/policy.yaml && git commit -q -m Gone")
		}, Fail, "no policy", ""},
		{"no approved base image is locked", "base.lock", func(h *house) {
			h.sh("git rm -q policies/lock.yaml && git commit -q -m Gone")
		}, Fail, "0 of 1", "apex base update "},
		{"one approved base image is not locked", "base.lock", func(h *house) {
			h.commit("policies/policy.yaml", strings.Replace(policyYAML, `:3.x-slim"]`, `:3.x-slim", "docker.io/library/node:22.x"]`, 1))
		}, Warn, "node:22.x", "apex base update "},
		{"the disk is full", "disk.space", func(h *house) {
			h.Free = func(string) (uint64, error) { return 100 << 20, nil }
		}, Fail, "100 MiB", "du -xh"},
		{"the disk fills up", "disk.space", func(h *house) {
			h.Free = func(string) (uint64, error) { return 600 << 20, nil }
		}, Warn, "600 MiB", "du -xh"},
		{"the disk does not say how full it is", "disk.space", func(h *house) {
			h.Free = func(string) (uint64, error) { return 0, errors.New("stale handle") }
		}, Warn, "stale handle", "df -h"},
		{"others may read a key", "state.private", func(h *house) { h.chmod(".apex/keys/release.key", 0o644) }, Fail, "release.key", ""},
		{"the group may write a ledger's key", "state.private", func(h *house) { h.chmod(".apex/ledger/up/key", 0o620) }, Fail, "ledger/up/key", ""},
		{"others may read the API's token", "state.private", func(h *house) { h.chmod(".apex/token", 0o604) }, Fail, "token", ""},
		{"a ledger has lost its verifier key", "ledger.opens", func(h *house) {
			h.write(".apex/ledger/up/verifier", "nonsense\n", 0o644)
		}, Fail, "verifier", ""},
		{"a byte of a record has changed", "ledger.check", func(h *house) { h.flip() }, Fail, "damaged", "apex ledger fsck "},
		{"a ledger's verifier key is gone", "ledger.check", func(h *house) {
			h.sh("rm .apex/ledger/up/verifier")
		}, Fail, "cannot be checked", ""},
		{"the meter's folder is a file", "meter.writable", func(h *house) {
			h.sh("rm -r .apex/meter && touch .apex/meter")
		}, Fail, "not a folder", ""},
		{"nobody may write to the meter's folder", "meter.writable", func(h *house) { h.chmod(".apex/meter", 0o500) }, Fail, "may not write", ""},
		{"the registry does not listen", "registry.reachable", func(h *house) { h.Registry = "127.0.0.1:1" }, Fail, "does not answer", "apex up --workspace "},
		{"the registry has another token", "registry.reachable", func(h *house) { h.RegistryToken = "old" }, Fail, "registry/token", "apex up --workspace "},
		{"something else listens in the registry's place", "registry.reachable", func(h *house) { h.registry = http.NotFound }, Fail, "404", "apex up --workspace "},
		{"the API does not listen", "api.reachable", func(h *house) { h.API = "127.0.0.1:1" }, Fail, "does not answer", "apex up --workspace "},
		{"the API has another token", "api.reachable", func(h *house) { h.APIToken = "old" }, Fail, "/token", "apex up --workspace "},
		{"something else listens in the API's place", "api.reachable", func(h *house) { h.api = http.NotFound }, Fail, "404", "apex up --workspace "},
		{"a part of the running process is ill", "api.reachable", func(h *house) {
			h.api = func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusServiceUnavailable)
				fmt.Fprint(w, `{"components":[{"name":"meter","ok":true},{"name":"ledger","ok":false,"detail":"disk full"}]}`)
			}
		}, Fail, "ledger (disk full)", "curl "},
		{"the clock is an hour ahead", "clock.sane", func(h *house) { h.Clock = clock.At(time.Now().Add(time.Hour)) }, Fail, "is 1h0m", "sudo timedatectl"},
		{"the clock is a minute and a half behind", "clock.sane", func(h *house) { h.Clock = clock.At(time.Now().Add(-90 * time.Second)) }, Warn, "is -1m", "sudo timedatectl"},
		{"Docker's configuration is not JSON", "docker.config", func(h *house) { h.write(".apex/docker/config.json", "{", 0o600) }, Fail, "not what Docker writes", ""},
		{"Docker's configuration is a folder", "docker.config", func(h *house) { h.DockerConfig = h.State }, Fail, "regular file", "chmod"},
		{"others may read Docker's passwords", "docker.config", func(h *house) { h.chmod(".apex/docker/config.json", 0o644) }, Warn, "others may read", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := healthy(t)
			c.damage(h)
			r := h.of(c.id)
			if r.Status != c.want || !strings.Contains(r.Evidence, c.says) {
				t.Fatalf("%s: %q, want %s with %q", r.Status, r.Evidence, c.want, c.says)
			}
			if whole := Examine(t.Context(), h.Patient); whole.OK && c.want == Fail {
				t.Error("the report as a whole is fine")
			}
			if !strings.HasPrefix(r.Fix, c.fix) || r.Fix == "" {
				t.Fatalf("the fix is %q, want one that begins with %q", r.Fix, c.fix)
			}
			if c.fix != "" {
				return
			}
			h.sh(r.Fix)
			h.Ledgers = slices.DeleteFunc(h.Ledgers, func(dir string) bool { _, err := os.Stat(dir); return err != nil })
			if after := h.of(c.id); after.Status != OK && after.Status != Skip {
				t.Errorf("after %q it is still %s: %s", r.Fix, after.Status, after.Evidence)
			}
		})
	}
	for _, c := range checks {
		if !slices.ContainsFunc(cases, func(d damaged) bool { return d.id == c.id }) {
			t.Errorf("nothing tests what %s finds", c.id)
		}
	}
}

func (h *house) chmod(name string, mode os.FileMode) {
	h.t.Helper()
	if err := os.Chmod(filepath.Join(h.Workspace, name), mode); err != nil {
		h.t.Fatal(err)
	}
}

// flip changes the data of a record.
func (h *house) flip() {
	h.t.Helper()
	names, err := filepath.Glob(filepath.Join(escapeGlob(h.State), "ledger/up/segments/*.seg"))
	if err != nil || len(names) == 0 {
		h.t.Fatal(names, err)
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		h.t.Fatal(err)
	}
	i := strings.Index(string(data), "deny")
	data[i] ^= 1
	if err := os.WriteFile(names[0], data, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func TestWithoutAnythingThereIsNothingToLookAt(t *testing.T) {
	r := Examine(t.Context(), Patient{State: filepath.Join(t.TempDir(), "nothing")})
	for _, c := range r.Checks {
		switch c.ID {
		case "workspace.found":
			if c.Status != Fail {
				t.Errorf("%+v", c)
			}
		case "git.path", "disk.space":
		default:
			if c.Status != Skip {
				t.Errorf("%+v", c)
			}
		}
	}
}

func TestTheReportIsJSONWithoutSecrets(t *testing.T) {
	h := healthy(t)
	h.Registry, h.API = "127.0.0.1:1", "127.0.0.1:1"
	data, err := json.Marshal(Examine(t.Context(), h.Patient))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"registry-token", "api-token", "YTpi"} {
		if strings.Contains(string(data), secret) {
			t.Errorf("the report holds %q", secret)
		}
	}
	if !strings.Contains(string(data), `"schema":"apex.doctor/v1"`) {
		t.Errorf("%s", data)
	}
}

func TestAListenerThatNeverAnswersDoesNotHoldTheReportUp(t *testing.T) {
	h := healthy(t)
	ctx, cancel := context.WithCancel(t.Context())
	h.api = func(_ http.ResponseWriter, r *http.Request) {
		cancel() // the person gives up; the limit of the check does the same
		<-r.Context().Done()
	}
	r := Examine(ctx, h.Patient)
	if r.OK {
		t.Error("nothing failed")
	}
}

func TestQuoteIsOneWordOfAShell(t *testing.T) {
	for _, text := range []string{"", "plain/path-1.0", "with space", "it's", "$(touch x)", "a;b", "`x`", "\"", "new\nline", "-rf", "*"} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+quote(text)).Output()
		if err != nil || string(out) != text {
			t.Errorf("%q becomes %q, which the shell reads as %q (%v)", text, quote(text), out, err)
		}
	}
}

func FuzzForeignBytes(f *testing.F) {
	f.Add([]byte(`{"components":[{"name":"ledger","ok":false,"detail":"x"}]}`))
	f.Add([]byte(`{"auths":{"a":{"auth":"b","identitytoken":"c"}}}`))
	f.Add([]byte(`{"auths":[]}`))
	f.Add([]byte(`{`))
	name := filepath.Join(f.TempDir(), "config.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		ill(data)
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		r := dockerConfig(t.Context(), &examined{Patient: &Patient{DockerConfig: name}})
		if valid := json.Valid(data); r.status == OK && !valid || r.status == Fail && r.fix == "" {
			t.Errorf("%q: %+v", data, r)
		}
	})
}
