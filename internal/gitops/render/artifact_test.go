package render_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/verdict"
)

func client(t *testing.T, s *ocitest.Server) *oci.Client {
	t.Helper()
	c, err := oci.New(oci.Options{AllowPrivate: []string{s.Host}, PlainHTTP: []string{s.Host}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestASetIsASourceLikeACommit(t *testing.T) {
	s := ocitest.Registry(t)
	c := client(t, s)
	set := must(t, overlays, "prod", options)
	from := render.Provenance{Source: "captioner", URL: "https://git.example.com/vision", Commit: strings.Repeat("a", 40), Counter: 7}
	var signed oci.Descriptor
	sign := func(ctx context.Context, repo string, d oci.Descriptor) error {
		signed = d
		_, err := c.Attach(ctx, repo, d, oci.ArtifactBundleV03, nil, oci.Blob{MediaType: "application/json", Data: []byte(`"signed"`)})
		return err
	}
	digest, err := render.Push(t.Context(), c, s.Repo("sets/vision"), "", set, from, sign)
	if err != nil {
		t.Fatal(err)
	}
	if signed.Digest != digest {
		t.Errorf("%s is signed, %s is pushed", signed.Digest, digest)
	}
	o := options
	o.Resolve = nil // nothing is left to resolve
	got, prov, err := render.Pull(t.Context(), c, s.Repo("sets/vision"), digest, o)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), set.Bytes()) || got.Digest() != set.Digest() || prov != from {
		t.Errorf("got %s of %+v", got.Digest(), prov)
	}
	again, err := render.Push(t.Context(), c, s.Repo("sets/vision"), "stable", set, from, sign)
	if err != nil || again != digest {
		t.Errorf("the second time it is %s, %v", again, err)
	}
	failing := errors.New("no key")
	if _, err := render.Push(t.Context(), c, s.Repo("sets/vision"), "", set, from, func(context.Context, string, oci.Descriptor) error { return failing }); !errors.Is(err, failing) {
		t.Errorf("a set that nobody signed is pushed: %v", err)
	}
	narrow := o
	narrow.MaxObjects = 2
	if _, _, err := render.Pull(t.Context(), c, s.Repo("sets/vision"), digest, narrow); err == nil || !strings.Contains(err.Error(), "quota") {
		t.Errorf("the quota does not hold: %v", err)
	}
}

func TestAForeignArtifactIsNoSource(t *testing.T) {
	s := ocitest.Registry(t)
	c := client(t, s)
	good := string(must(t, map[string]string{"c.yaml": config}, ".", options).Bytes())
	counter := map[string]string{"com.apexlogic.counter": "1"}
	for name, tc := range map[string]struct {
		kind, media string
		annotations map[string]string
		data        string
		ok          bool
	}{
		"a set":                       {render.ArtifactType, render.SetMediaType, counter, good, true},
		"another type":                {"application/vnd.example", render.SetMediaType, counter, good, false},
		"another blob":                {render.ArtifactType, "application/json", counter, good, false},
		"no counter":                  {render.ArtifactType, render.SetMediaType, nil, good, false},
		"a counter that is no number": {render.ArtifactType, render.SetMediaType, map[string]string{"com.apexlogic.counter": "-1"}, good, false},
		"a long commit":               {render.ArtifactType, render.SetMediaType, map[string]string{"com.apexlogic.counter": "1", "org.opencontainers.image.revision": strings.Repeat("a", 3000)}, good, false},
		"bytes in another form":       {render.ArtifactType, render.SetMediaType, counter, strings.Replace(good, ":", ": ", 1), false},
		"nothing":                     {render.ArtifactType, render.SetMediaType, counter, "", false},
		"text":                        {render.ArtifactType, render.SetMediaType, counter, "apiVersion: v1", false},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := c.PushArtifact(t.Context(), s.Repo("sets/x"), "", tc.kind, tc.annotations, oci.Blob{MediaType: tc.media, Data: []byte(tc.data)})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := render.Pull(t.Context(), c, s.Repo("sets/x"), d.Digest, options); (err == nil) != tc.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestASetThatWasMadeElsewhereIsHeldToTheRules(t *testing.T) {
	object := func(edit func(body, meta map[string]any)) *gitops.Set {
		meta := map[string]any{"name": "settings", "namespace": "vision"}
		body := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}
		edit(body, meta)
		o, err := gitops.NewObject(body, verdict.Origin{File: "f.yaml"})
		if err != nil {
			t.Fatal(err)
		}
		s, err := gitops.NewSet([]gitops.Object{o})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if err := render.Check(object(func(_, meta map[string]any) { meta["annotations"] = map[string]any{render.TagsAnnotation: "{}"} }), options); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(body, meta map[string]any){
		"another namespace":     func(_, meta map[string]any) { meta["namespace"] = "claims" },
		"no namespace":          func(_, meta map[string]any) { delete(meta, "namespace") },
		"a name that is none":   func(_, meta map[string]any) { meta["name"] = "../x" },
		"a UID":                 func(_, meta map[string]any) { meta["uid"] = "x" },
		"a status":              func(body, _ map[string]any) { body["status"] = map[string]any{} },
		"the label of a source": func(_, meta map[string]any) { meta["labels"] = map[string]any{gitops.LabelSource: "x"} },
		"an image that is not pinned": func(body, _ map[string]any) {
			body["apiVersion"], body["kind"] = "v1", "Pod"
			body["spec"] = map[string]any{"containers": []any{map[string]any{"name": "a", "image": "nginx:1"}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var refused *render.Error
			if err := render.Check(object(edit), options); !errors.As(err, &refused) {
				t.Errorf("got %v", err)
			}
		})
	}
}
