package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/registry"
)

// cosign is the real program, working in a directory that holds the keys and
// the predicates, with nothing of the user's own in its environment.
type cosign struct {
	t    testing.TB
	path string
	work string
	env  []string
}

// oneRun bounds one run of cosign; it takes a tenth of a second on a free machine.
const oneRun = 2 * time.Minute

// findCosign returns the cosign of $APEX_COSIGN or of the PATH, or "".
func findCosign(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("APEX_COSIGN"); path != "" {
		abs, err := filepath.Abs(path)
		must(t, err)
		return abs
	}
	path, err := exec.LookPath("cosign")
	if err != nil {
		return ""
	}
	return path
}

// newCosign returns cosign, logged in to the house, or skips the test where
// there is none.
func newCosign(t testing.TB, h *house, password string) *cosign {
	t.Helper()
	path := findCosign(t)
	if path == "" {
		t.Skip("no cosign: set APEX_COSIGN, or run tools/interop.sh, which installs it")
	}
	c := &cosign{t: t, path: path, work: t.TempDir()}
	login, err := json.Marshal(map[string]any{"auths": map[string]any{
		h.host: map[string]string{"username": registry.LocalUser, "password": h.password},
	}})
	must(t, err)
	c.write("config.json", login)
	c.env = []string{
		"HOME=" + c.work, "DOCKER_CONFIG=" + c.work, "PATH=" + os.Getenv("PATH"),
		"COSIGN_PASSWORD=" + password, "COSIGN_YES=true",
	}
	for _, name := range []string{"cosign.key", "cosign.pub", "apex.key", "apex.pub", "other.pub"} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			c.write(name, data)
		}
	}
	for _, kind := range predicates {
		c.write(kind+".json", readFile(t, "testdata", "predicates", kind+".json"))
	}
	return c
}

func (c *cosign) write(name string, data []byte) {
	c.t.Helper()
	must(c.t, os.WriteFile(filepath.Join(c.work, name), data, 0o600))
}

// run runs one command, whose first word is "cosign", and returns its exit
// code and what it printed.
func (c *cosign) run(command ...string) (code int, out, errs string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), oneRun)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, c.path, command[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.work, c.env, &stdout, &stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && ctx.Err() == nil {
		return exit.ExitCode(), stdout.String(), stderr.String()
	}
	must(c.t, err)
	return 0, stdout.String(), stderr.String()
}

// succeed fails the test when the command does.
func (c *cosign) succeed(command ...string) string {
	c.t.Helper()
	code, out, errs := c.run(command...)
	if code != 0 {
		c.t.Fatalf("%s: exit code %d\n%s", strings.Join(command, " "), code, errs)
	}
	return out
}

func (c *cosign) version() string {
	c.t.Helper()
	var v struct {
		GitVersion string `json:"gitVersion"`
	}
	must(c.t, json.Unmarshal([]byte(c.succeed("cosign", "version", "--json")), &v))
	return v.GitVersion
}

// predicates are the types of attestations that are tried, as cosign calls them.
var predicates = []string{"slsaprovenance1", "vuln", "spdxjson", "cyclonedx"}

// offline keeps cosign from the public transparency log: nothing here is on a network.
var offline = []string{"--tlog-upload=false", "--use-signing-config=false"}

// about completes a command with the reference of an image.
func about(command []string, image string) []string { return append(slices.Clone(command), image) }

// signing is one way in which cosign is made to sign. The reference is added
// at the end of the command.
type signing struct {
	name    string
	command []string
}

// signings are all of them.
func signings() []signing {
	sign := func(key string, more ...string) []string {
		return slices.Concat([]string{"cosign", "sign", "--key", key}, offline, more)
	}
	const legacy = "--new-bundle-format=false"
	annotated := []string{"-a", "stage=production", "-a", "team=vision"}
	all := []signing{
		{"signed bundle", sign("cosign.key")},
		{"signed bundle, annotated", sign("cosign.key", annotated...)},
		{"signed bundle with the key of Apex", sign("apex.key")},
		{"signed legacy", sign("cosign.key", legacy)},
		{"signed legacy, annotated", sign("cosign.key", append([]string{legacy}, annotated...)...)},
		{"signed legacy under another identity", sign("cosign.key", legacy, "--sign-container-identity", otherIdentity)},
	}
	for _, kind := range predicates {
		attest := slices.Concat([]string{"cosign", "attest", "--key", "cosign.key"}, offline, []string{"--type", kind, "--predicate", kind + ".json"})
		all = append(all,
			signing{"attested " + kind + ", bundle", attest},
			signing{"attested " + kind + ", legacy", append(slices.Clone(attest), legacy)})
	}
	return all
}

// otherIdentity is the repository that one signature names instead of its own.
const otherIdentity = "registry.example/vision/captioner"
