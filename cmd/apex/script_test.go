package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/build"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/registry"
	"github.com/apexlogic/apex/internal/trust"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"apex": main})
}

// TestScript runs every script of testdata/script. A script is the manual of
// its command: it shows what a person types and what comes back. Beside
// testscript's own commands, and $NOW, there are
//
//	registry                          starts an empty registry that asks for
//	                                  credentials, puts its host:port into
//	                                  $REGISTRY and the credentials where Docker
//	                                  keeps them
//	push IMAGE PLATFORM[,PLATFORM] TEXT...
//	                                  pushes an image with one layer per text,
//	                                  or an index when there are two platforms
//	key NAME                          makes NAME.key, not encrypted, and NAME.pub
//	expand FILE...                    replaces ${VARIABLE} in the files
//	await FILE PATTERN                waits until a line of the file, which a
//	                                  program in the background writes, matches
//	post URL HOST FILE STATUS         posts the file, as JSON, and holds the answer's
//	                                  status to STATUS
//	match FILE VARIABLE PATTERN       puts what the pattern's last group first
//	                                  matches into the variable; FILE may be
//	                                  stdout or stderr
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("NO_COLOR", "1")
			env.Setenv("UID", strconv.Itoa(os.Getuid()))
			env.Setenv("NOW", time.Now().UTC().Format(time.RFC3339))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"registry": startRegistry,
			"push":     pushImage,
			"key":      makeKey,
			"expand":   expandFiles,
			"match":    matchInto,
			"await":    awaitLine,
			"post":     postFile,
		},
	})
}

func startRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: registry")
	}
	dir := ts.MkAbs("registry")
	ts.Check(os.MkdirAll(dir, 0o700))
	local, err := registry.OpenLocal(dir)
	ts.Check(err)
	// Tags move here, as they do in most registries.
	r, err := registry.New(registry.Options{Dir: dir, Auth: local, Mutable: func(string, string) bool { return true }})
	ts.Check(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	server := registry.Server(r)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	ts.Defer(func() {
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			ts.Logf("registry: %v", err)
		}
		ts.Check(r.Close())
	})
	host := l.Addr().String()
	auth := base64.StdEncoding.EncodeToString([]byte(registry.LocalUser + ":" + local.Token()))
	config, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"auth": auth}}})
	ts.Check(err)
	ts.Check(os.MkdirAll(ts.MkAbs(".docker"), 0o700))
	ts.Check(os.WriteFile(ts.MkAbs(".docker/config.json"), config, 0o600))
	ts.Setenv("REGISTRY", host)
	ts.Setenv("REGISTRY_TOKEN", local.Token())
	ts.Setenv("DOCKER_CONFIG", ts.MkAbs(".docker"))
}

func pushImage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: push IMAGE PLATFORM[,PLATFORM] TEXT...")
	}
	ref, err := reference.Parse(args[0])
	ts.Check(err)
	client, err := oci.New(oci.Options{
		AllowPrivate: []string{ts.Getenv("REGISTRY")}, PlainHTTP: []string{ts.Getenv("REGISTRY")},
		Keychain: localCredentials{authn.Basic{Username: registry.LocalUser, Password: ts.Getenv("REGISTRY_TOKEN")}},
	})
	ts.Check(err)
	defer client.Close()
	var images []build.Image
	for _, platform := range strings.Split(args[1], ",") {
		i := build.Image{Platform: platform, Created: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)}
		for _, text := range args[2:] {
			i.Layers = append(i.Layers, build.Layer{"text": text + "\n"})
		}
		images = append(images, i)
	}
	if len(images) == 1 {
		img, err := images[0].Build()
		ts.Check(err)
		_, err = client.PushImage(context.Background(), ref, img)
		ts.Check(err)
		return
	}
	index, err := build.Index(images...)
	ts.Check(err)
	_, err = client.PushIndex(context.Background(), ref, index)
	ts.Check(err)
}

type localCredentials struct{ authn.Basic }

func (c localCredentials) Resolve(authn.Resource) (authn.Authenticator, error) { return &c.Basic, nil }

// makeKey makes a pair without a password: to decrypt one costs 150 ms.
func makeKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: key NAME")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	public, err := trust.PublicPEM(key.Public())
	ts.Check(err)
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), private, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pub"), public, 0o644))
}

func expandFiles(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand FILE...")
	}
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o644))
	}
}

// awaitLine looks again until the test ends: the program says when it is ready.
func awaitLine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE PATTERN")
	}
	re, err := regexp.Compile(`(?m)` + args[1])
	ts.Check(err)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for until := time.Now().Add(5 * time.Minute); time.Now().Before(until); <-ticker.C {
		if data, err := os.ReadFile(ts.MkAbs(args[0])); err == nil && re.Match(data) {
			return
		}
	}
	ts.Fatalf("no line of %s comes to match %#q", args[0], args[1])
}

// postFile sends a request as the clients of inference servers do.
func postFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: post URL HOST FILE STATUS")
	}
	r, err := http.NewRequest(http.MethodPost, args[0], strings.NewReader(ts.ReadFile(args[2])))
	ts.Check(err)
	r.Host = args[1]
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	answer, err := http.DefaultClient.Do(r)
	ts.Check(err)
	answer.Body.Close()
	if got := strconv.Itoa(answer.StatusCode); got != args[3] {
		ts.Fatalf("the status is %s, want %s", got, args[3])
	}
}

func matchInto(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: match FILE VARIABLE PATTERN")
	}
	re, err := regexp.Compile(`(?m)` + args[2])
	ts.Check(err)
	m := re.FindStringSubmatch(ts.ReadFile(args[0]))
	if m == nil {
		ts.Fatalf("no match for %#q in %s", args[2], args[0])
	}
	ts.Setenv(args[1], m[len(m)-1])
}
