package app

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/build"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/oci/reference"
)

func TestALockRemembersWhatATagNamed(t *testing.T) {
	server := ocitest.Registry(t)
	client, err := oci.New(oci.Options{AllowPrivate: []string{server.Host}, PlainHTTP: []string{server.Host}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	image := server.Repo("pytorch/pytorch") + ":2.6-cuda"
	push := func(layers ...build.Layer) string {
		t.Helper()
		ref, err := reference.Parse(image)
		if err != nil {
			t.Fatal(err)
		}
		img, err := build.Image{Platform: "linux/amd64", Layers: layers}.Build()
		if err != nil {
			t.Fatal(err)
		}
		d, err := client.PushImage(t.Context(), ref, img)
		if err != nil {
			t.Fatal(err)
		}
		return string(d.Digest)
	}
	file := filepath.Join(t.TempDir(), "lock.yaml")
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	update := func() (BaseChange, error) {
		t.Helper()
		l, err := OpenBaseLock(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		change, err := l.Update(t.Context(), client, image, nil, now)
		if err == nil {
			err = l.Write(t.Context())
		}
		return change, err
	}
	locked := func() []string {
		t.Helper()
		l, err := OpenBaseLock(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, i := range l.Images() {
			out = append(out, i.Digest)
			if i.Image != image || len(i.Platforms) != 1 || i.Platforms[0].Platform != "linux/amd64" || !i.ResolvedAt.Time.Equal(now) {
				t.Errorf("%+v", i)
			}
		}
		return out
	}

	a := push(build.Layer{"etc/os-release": "debian"}, build.Layer{"torch": "2.6.0"})
	if c, err := update(); err != nil || !c.Added || c.Digest != a || len(c.Kept) != 0 {
		t.Fatalf("the first look: %+v, %v", c, err)
	}
	if c, err := update(); err != nil || c.Added {
		t.Errorf("the second look: %+v, %v", c, err)
	}
	b := push(build.Layer{"etc/os-release": "debian"}, build.Layer{"torch": "2.6.1"})
	if c, err := update(); err != nil || !c.Added || c.Digest != b || !slices.Equal(c.Kept, []string{a}) {
		t.Errorf("after the tag has moved: %+v, %v", c, err)
	}
	push(build.Layer{"etc/os-release": "debian"}, build.Layer{"torch": "2.6.0"})
	if c, err := update(); err != nil || c.Added || c.Digest != a || !slices.Equal(c.Kept, []string{b}) {
		t.Errorf("after the tag has moved back: %+v, %v", c, err)
	}

	// A base of nothing would be the base of everything.
	push(build.Layer{})
	if _, err := update(); err == nil || !strings.Contains(err.Error(), "no layer with content") {
		t.Errorf("a base without content: %v", err)
	}
	if got := locked(); !slices.Equal(got, []string{a, b}) {
		t.Errorf("the lock has %v, want %v", got, []string{a, b})
	}
}
