package verify_test

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/verify/verifytest"
	"github.com/apexlogic/apex/verdict"
)

// An image volume, and the gate of a registry, name models as images are named.
func TestModelsThatAreNamedAsImagesAreJudgedAsModels(t *testing.T) {
	k := verifytest.New(t).WithModels()
	m := k.PushModel("vision/model", verifytest.Weights, "Apache-2.0")
	k.Twin(m.Image(), verdict.ModelSignatureMissing, func() string {
		k.AttachEvidence(m, k.Evidence(m))
		return m.Pinned()
	})
	if v := k.Allowed(m.Image()); v.Kind != verdict.KindModel || v.Digest != m.Digest {
		t.Errorf("judged as %s", v.Kind)
	}
	// A policy about images need not select it, nor be there.
	q := verdict.Question{Asked: m.Image(), Labels: verifytest.Labels}
	k.Docs.Policies = nil
	k.Restart()
	if v := k.AskQuestion(q); v.Decision != verdict.Allow {
		t.Errorf("without policies about images: %s %s", v.Decision, v.Code)
	}
	img := k.Good("vision/app")
	k.Denied(img.Image(), verdict.Unselected)
	k.Docs.Models = nil
	k.Restart()
	k.Denied(m.Image(), verdict.Unselected)
}

// An artifact that says model, and that a runtime would start as a container, is
// not judged by the policies about models, whoever signed it.
func TestContainersThatCallThemselvesModelsAreJudgedAsImages(t *testing.T) {
	k := verifytest.New(t).WithModels()
	img := k.Push("vision/app", verifytest.App("app"))
	m, err := k.Client.Resolve(t.Context(), mustParse(t, img.Pinned()))
	if err != nil {
		t.Fatal(err)
	}
	raw := bytes.Replace(m.Raw, []byte(`"config"`), []byte(`"artifactType":"application/vnd.cncf.model.manifest.v1+json","config"`), 1)
	d, err := k.Client.PushManifest(t.Context(), img.Repo, "2.0", oci.MediaTypeManifest, raw)
	if err != nil {
		t.Fatal(err)
	}
	img.Descriptor, img.Tag = d, "2.0"
	k.Sign("modeler", img)
	k.Scanned(img)
	k.Twin(img.Image(), verdict.SignatureUntrusted, func() string { k.Sign("release", img); return img.Image() })
}

// A registry that names a model first and something else afterwards.
func TestATagThatNamesAModelFirstIsJudgedByWhatWasLookedAt(t *testing.T) {
	var mu sync.Mutex
	var answers [][]byte
	k := verifytest.New(t, ocitest.Behind(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if len(answers) > 0 && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/manifests/1.0") {
				ocitest.Answer(oci.MediaTypeManifest, answers[0])(w, r)
				answers = answers[min(1, len(answers)-1):]
				return
			}
			h.ServeHTTP(w, r)
		})
	})).WithModels()
	m, img := k.GoodModel("vision/model"), k.Push("vision/model", verifytest.App("app"))
	k.Sign("modeler", img)
	raw := func(text string) []byte {
		found, err := k.Client.Resolve(t.Context(), mustParse(t, text))
		if err != nil {
			t.Fatal(err)
		}
		return found.Raw
	}
	model, image := raw(m.Pinned()), raw(img.Pinned())
	for _, order := range [][][]byte{{model, image}, {model, model, image}} {
		mu.Lock()
		answers = order
		mu.Unlock()
		k.Restart()
		if v := k.Ask(m.Image()); v.Decision == verdict.Allow && v.Digest != m.Digest {
			t.Errorf("%s was allowed as a %s", v.Digest, v.Kind)
		}
	}
}
