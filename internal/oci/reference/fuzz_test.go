package reference_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/apexlogic/apex/internal/oci/reference"
)

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"nginx", "ghcr.io/team/app:V1", "Index.Docker.IO.:443/nginx", "[2001:db8::1]:5000/a/b:1@" + digestA,
		"registry.:443/a", "localhost.:443/a", "user:pw@host/a", "a@" + digestA, hexA, "127.1/a", "a__b/c--d",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := reference.Parse(text)
		if err != nil {
			if !errors.Is(err, reference.ErrInvalid) || r != (reference.Reference{}) {
				t.Fatalf("refused with %v and %+v", err, r)
			}
			return
		}
		again, err := reference.Parse(r.Canonical())
		if err != nil {
			t.Fatalf("canonical form %q of %q is refused: %v", r.Canonical(), text, err)
		}
		if again.Canonical() != r.Canonical() || again.Name() != r.Name() || again.Digest != r.Digest {
			t.Fatalf("%q is %q, which is %q", text, r.Canonical(), again.Canonical())
		}
		for i := range len(r.Canonical()) {
			if c := r.Canonical()[i]; c <= ' ' || c >= 0x7f {
				t.Fatalf("byte %#x in canonical form %q", c, r.Canonical())
			}
		}
		if r.Digest == "" && r.Tag == "" || strings.ToLower(r.Name()) != r.Name() {
			t.Fatalf("%q parsed as %+v", text, r)
		}
		theirs, err := name.ParseReference(r.Canonical())
		if err == nil && hub(theirs.Context().Name()) != r.Name() {
			t.Fatalf("%q: the fetching library reads %s as %s", text, r.Canonical(), theirs.Context().Name())
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := reference.Parse("ghcr.io/team/app:1.2@" + digestA); err != nil {
			b.Fatal(err)
		}
	}
}
