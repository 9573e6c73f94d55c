package sbom

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/build"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/verdict"
)

func TestAnImageInARegistryIsReadByItsDigest(t *testing.T) {
	img, err := build.Image{Platform: "linux/amd64", Layers: []build.Layer{
		{"etc/os-release": bookworm, "var/lib/dpkg/status": status("bash 5.2")},
		{"app/hidden": "left-pad", "app/NOTE": "x"},
	}}.Build()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	srv := ocitest.Registry(t)
	repo, err := name.NewRepository(srv.Repo("app"), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repo.Digest(digest.String()), img); err != nil {
		t.Fatal(err)
	}
	client, err := oci.New(oci.Options{AllowPrivate: []string{srv.Host}, PlainHTTP: []string{srv.Host}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	layers, err := client.Layers(t.Context(), srv.Repo("app"), verdict.Digest(digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	defer layers.Close()
	srv.Forget()
	inv, err := Collect(t.Context(), Image(layers), Options{Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if got := list(inv); got != "Debian:12 bash 5.2 0" {
		t.Error(got)
	}
	if inv.Subject.Repo != srv.Repo("app") || inv.Subject.Digest != verdict.Digest(digest.String()) || len(inv.Layers) != 2 {
		t.Errorf("%+v", inv.Subject)
	}
	if n := srv.Count("", "/"); n != 2 {
		t.Errorf("%d requests for two layers", n)
	}
}
