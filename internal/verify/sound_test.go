package verify_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/verify/verifytest"
	"github.com/apexlogic/apex/verdict"
)

// changed pushes the image with another manifest, under path:1.0.
func changed(t *testing.T, k *verifytest.Kit, p verifytest.Pushed, change func(manifest map[string]any)) verifytest.Pushed {
	t.Helper()
	m, err := k.Client.Resolve(t.Context(), mustParse(t, p.Pinned()))
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(m.Raw, &doc); err != nil {
		t.Fatal(err)
	}
	change(doc)
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	p.Descriptor, err = k.Client.PushManifest(t.Context(), p.Repo, "1.0", m.MediaType, raw)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// indexOf pushes an index of images that are in the repository.
func indexOf(t *testing.T, k *verifytest.Kit, platforms map[string]verifytest.Pushed) verifytest.Pushed {
	t.Helper()
	var entries []string
	var p verifytest.Pushed
	for platform, image := range platforms {
		p = image
		os, arch, _ := strings.Cut(platform, "/")
		entries = append(entries, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"platform":{"os":%q,"architecture":%q}}`, image.MediaType, image.Digest, image.Size, os, arch))
	}
	raw := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, oci.MediaTypeIndex, strings.Join(entries, ","))
	d, err := k.Client.PushManifest(t.Context(), p.Repo, "1.0", oci.MediaTypeIndex, []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return verifytest.Pushed{Repo: p.Repo, Tag: "1.0", Descriptor: d}
}

// unsoundImages are manifests that pass for an image as long as nobody reads them.
func unsoundImages() map[verdict.Code]func(map[string]any) {
	return map[verdict.Code]func(map[string]any){
		verdict.ImageForeignLayer: func(m map[string]any) {
			m["layers"].([]any)[0].(map[string]any)["urls"] = []string{"https://elsewhere.example/layer"}
		},
		verdict.ImageConfigInvalid: func(m map[string]any) {
			m["config"].(map[string]any)["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
		},
	}
}

func TestWhatIsNoSoundImageIsDeniedThoughNoRuleReadsIt(t *testing.T) {
	for code, change := range unsoundImages() {
		t.Run(string(code), func(t *testing.T) {
			k := verifytest.New(t)
			k.Only(v1alpha1.RequireImageSignature)
			k.Publish()
			good := k.Push("vision/app", verifytest.App("app"))
			k.Sign("release", good)
			k.Allowed(good.Pinned())
			bad := changed(t, k, good, change)
			k.Sign("release", bad)
			k.Denied(bad.Pinned(), code)
			k.Denied(bad.Image(), code)
		})
	}
}

func TestWhatIsNoSoundImageIsDeniedInAnIndexToo(t *testing.T) {
	for code, change := range unsoundImages() {
		for _, only := range []v1alpha1.ImageRuleName{v1alpha1.RequireImageSignature, v1alpha1.AllowOnlyApprovedBaseImages} {
			t.Run(string(code)+"/"+string(only), func(t *testing.T) {
				k := verifytest.New(t)
				k.Only(only)
				k.Publish()
				good := k.Push("vision/app", verifytest.App("app"))
				bad := changed(t, k, good, change)
				other := k.Push("vision/app", verifytest.App("other"))
				index := func(second verifytest.Pushed) string {
					p := indexOf(t, k, map[string]verifytest.Pushed{"linux/amd64": good, "linux/arm64": second})
					k.Sign("release", p)
					return p.Pinned()
				}
				v := k.Denied(index(bad), code)
				if !strings.HasPrefix(v.Reason, "linux/arm64: ") {
					t.Errorf("the reason does not say which platform: %s", v.Reason)
				}
				k.Allowed(index(other))
			})
		}
	}
}

func TestAnObservingPolicyDoesNotCoverAnUnsoundImage(t *testing.T) {
	k := verifytest.New(t)
	k.Docs.Policies[0].Spec.Enforcement = "Observe"
	k.Publish()
	good := k.Push("vision/app", verifytest.App("app"))
	bad := changed(t, k, good, unsoundImages()[verdict.ImageForeignLayer])
	k.Denied(indexOf(t, k, map[string]verifytest.Pushed{"linux/amd64": bad}).Pinned(), verdict.ImageForeignLayer)
	k.Allowed(indexOf(t, k, map[string]verifytest.Pushed{"linux/amd64": good}).Pinned())
}

func TestAPlatformThatNobodyJudgesNeedNotBeSound(t *testing.T) {
	k := verifytest.New(t)
	k.Only(v1alpha1.RequireImageSignature)
	k.Docs.Policies[0].Spec.Platforms = []string{"linux/amd64"}
	k.Publish()
	good := k.Push("vision/app", verifytest.App("app"))
	windows := changed(t, k, good, unsoundImages()[verdict.ImageForeignLayer]) // as Windows images have them
	p := indexOf(t, k, map[string]verifytest.Pushed{"linux/amd64": good, "windows/amd64": windows})
	k.Sign("release", p)
	k.Server.Forget()
	k.Reconnect()
	k.Allowed(p.Pinned())
	if n := k.Server.Count("", string(windows.Digest)); n != 0 {
		t.Errorf("%d requests about a platform that nobody judges", n)
	}
}

// A manifest that cannot be looked at is not known to be sound.
func TestAPlatformThatCannotBeLookedAtIsDenied(t *testing.T) {
	var gone atomic.Value
	gone.Store("")
	k := verifytest.New(t, ocitest.Behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if d := gone.Load().(string); d != "" && strings.HasSuffix(r.URL.Path, "/manifests/"+d) {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	}))
	k.Only(v1alpha1.RequireImageSignature)
	k.Publish()
	good := k.Push("vision/app", verifytest.App("app"))
	p := indexOf(t, k, map[string]verifytest.Pushed{"linux/amd64": good})
	k.Sign("release", p)
	gone.Store(string(good.Digest))
	k.Reconnect()
	k.Denied(p.Pinned(), verdict.RegistryUnreachable)
	gone.Store("")
	k.Allowed(p.Pinned())
}

func TestSoundnessCostsNoMoreRequestsThanItMust(t *testing.T) {
	k := verifytest.New(t)
	bases := k.Docs.Policies[0].Spec.Rules[2]
	k.Only(v1alpha1.RequireImageSignature)
	k.Publish()
	single := k.Push("vision/single", verifytest.App("single"))
	k.Sign("release", single)
	image := k.Push("vision/multi", verifytest.App("multi"))
	multi := indexOf(t, k, map[string]verifytest.Pushed{"linux/amd64": image})
	k.Sign("release", multi)
	for _, tc := range []struct {
		name  string
		image string
		rules bool // also one that reads the configuration
		most  int
	}{
		// The manifest, the listing, the bundle's manifest and its blob.
		{"a single image with a keyed bundle", single.Image(), false, 4},
		// And of the platform its manifest, its listing and, as that is empty, the fallback tag.
		{"an index with a keyed bundle", multi.Image(), false, 7},
		// And the platform's configuration; its manifest is asked for once.
		{"an index of which a rule reads the configuration", multi.Image(), true, 8},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.rules {
				k.Docs.Policies[0].Spec.Rules = append(k.Docs.Policies[0].Spec.Rules, bases)
			}
			k.Reconnect()
			k.Server.Forget()
			k.Allowed(tc.image)
			if n := len(k.Server.Requests()); n > tc.most {
				t.Errorf("%d requests, want at most %d: %v", n, tc.most, k.Server.Requests())
			}
		})
	}
}
