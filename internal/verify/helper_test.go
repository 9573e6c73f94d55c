package verify_test

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/apexlogic/apex/internal/oci/build"
	"github.com/apexlogic/apex/internal/oci/reference"
)

func mustParse(t *testing.T, text string) reference.Reference {
	t.Helper()
	ref, err := reference.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func mustBuild(t *testing.T, img build.Image) v1.Image {
	t.Helper()
	built, err := img.Build()
	if err != nil {
		t.Fatal(err)
	}
	return built
}
