package reference_test

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/apexlogic/apex/internal/oci/reference"
)

// The library that fetches must fetch what was judged: whatever both parsers
// accept, both must read as the same repository, tag and digest.
func TestTheFetchingLibraryReadsTheSameImage(t *testing.T) {
	for _, text := range []string{
		"nginx", "nginx:1.27", "library/nginx", "a/b/c:1", "docker.io/nginx", "docker.io/library/nginx:1",
		"index.docker.io/library/nginx", "ghcr.io/team/app:V1.2_3-x", "localhost/app", "localhost:5000/app:1",
		"127.0.0.1:5000/app", "registry:5000/a/b", "registry/a/b", "quay.io/a/b@" + digestA,
		"quay.io/a/b:1@" + digestA, "my.app", "my.app:1", "quay.io:8443/a__b/c-d:1", "[::1]:5000/app:1",
	} {
		t.Run(text, func(t *testing.T) {
			theirs, err := name.ParseReference(text)
			if err != nil {
				t.Fatalf("the fetching library refuses it: %v", err)
			}
			ours, err := reference.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if want := hub(theirs.Context().Name()); ours.Name() != want {
				t.Errorf("the repository is %s, theirs is %s", ours.Name(), want)
			}
			want := theirs.Identifier()
			if got := identifier(ours); got != want {
				t.Errorf("selects %s, theirs selects %s", got, want)
			}
			// What we hand over is the canonical form: that too must agree.
			canonical, err := name.ParseReference(ours.Canonical(), name.StrictValidation)
			if err != nil {
				t.Fatalf("the fetching library refuses our canonical form: %v", err)
			}
			if hub(canonical.Context().Name()) != ours.Name() || canonical.Identifier() != want {
				t.Errorf("the canonical form %s is read as %s", ours.Canonical(), canonical)
			}
		})
	}
}

// Where the two differ, ours is the stricter one or folds an alias.
func TestWeAreStricterThanTheFetchingLibrary(t *testing.T) {
	for _, text := range []string{hexA, "a..b", "a.-b", "127.1:5000/a", "a:-1"} {
		if _, err := name.ParseReference(text); err != nil {
			t.Errorf("no difference any more about %q: %v", text, err)
		}
		if _, err := reference.Parse(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// hub gives the library's name of Docker Hub our spelling.
func hub(repository string) string {
	if path, ok := strings.CutPrefix(repository, name.DefaultRegistry+"/"); ok {
		return reference.DockerHub + "/" + path
	}
	return repository
}

func identifier(r reference.Reference) string {
	if r.Digest != "" {
		return string(r.Digest)
	}
	return r.Tag
}
