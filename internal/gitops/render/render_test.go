package render_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// digestFor is what the tests' registry says of a reference.
func digestFor(ref string) verdict.Digest {
	sum := sha256.Sum256([]byte(ref))
	return verdict.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

var errGone = errors.New("no such image")

// resolve stands in for a registry that has every image but those called gone.
func resolve(_ context.Context, ref reference.Reference) (verdict.Digest, error) {
	if strings.HasSuffix(ref.Repository, "gone") {
		return "", errGone
	}
	return digestFor(ref.Canonical()), nil
}

var options = render.Options{Namespace: "vision", Resolve: resolve}

// tree makes a file system of names and texts.
func tree(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return fsys
}

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: captioner
spec:
  selector: {matchLabels: {app: captioner}}
  template:
    metadata: {labels: {app: captioner}}
    spec:
      containers:
      - name: serve
        image: ghcr.io/vision/captioner:1.2
`

const config = `apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {level: info}
`

// must renders, or fails the test.
func must(t *testing.T, files map[string]string, dir string, o render.Options) *gitops.Set {
	t.Helper()
	set, err := render.Render(t.Context(), tree(files), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// refusal renders and returns the reasons, which have to be there.
func refusal(t *testing.T, files map[string]string, dir string, o render.Options) []verdict.Unresolved {
	t.Helper()
	set, err := render.Render(t.Context(), tree(files), dir, o)
	var refused *render.Error
	if !errors.As(err, &refused) || set != nil || len(refused.Reasons) == 0 {
		t.Fatalf("got %v, %v", set, err)
	}
	return refused.Reasons
}

// ids are the objects of a set as kubectl names them.
func ids(s *gitops.Set) string {
	var out []string
	for _, o := range s.Objects() {
		out = append(out, o.ID.String())
	}
	return strings.Join(out, ", ")
}
