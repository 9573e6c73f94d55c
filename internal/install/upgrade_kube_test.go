package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/apexlogic/apex/internal/kube"
)

// TestObjectsOutliveTheUpgradeOfTheirKind installs the definitions as they were
// before a kind had its present form, stores objects, and installs what is
// installed now.
func TestObjectsOutliveTheUpgradeOfTheirKind(t *testing.T) {
	c := newCluster(t)
	files, err := filepath.Glob("testdata/before/*.yaml")
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var body Object
		if err := yaml.Unmarshal(data, &body); err != nil {
			t.Fatal(err)
		}
		// As kubectl apply --server-side of the older release did.
		if _, err := c.client.Apply(t.Context(), body, kube.ApplyOptions{Manager: "kubectl"}); err != nil {
			t.Fatal(err)
		}
		if err := established(t.Context(), c.client, idOf(body).Name); err != nil {
			t.Fatal(err)
		}
	}
	ours := func(kind, name string, spec Object) Object {
		return Object{"apiVersion": "security.apexlogic.com/v1alpha1", "kind": kind, "metadata": Object{"name": name}, "spec": spec}
	}
	digest := "sha256:" + strings.Repeat("a", 64)
	stored := []Object{
		ours("TrustRoot", "roots", Object{"entries": []any{Object{"name": "ci", "keyless": Object{"issuer": "https://issuer.example", "subject": "ada"}}}}),
		ours("ImageSecurityPolicy", "images", Object{"imageSelector": Object{}, "rules": []any{
			Object{"name": "RequireImageSignature", "parameters": Object{"requireSignatureFrom": texts("ci")}},
		}}),
		ours("BaseImageLock", "bases", Object{"images": []any{Object{
			"image": "python:3.13-slim", "digest": digest, "resolvedAt": "2026-01-31T12:00:00Z",
			"platforms": []any{Object{"platform": "linux/amd64", "digest": digest, "diffIDs": texts(digest)}},
		}}}),
	}
	before := map[string]*kube.Object{}
	for _, body := range stored {
		o, err := c.client.Apply(t.Context(), body, kube.ApplyOptions{Manager: "person"})
		if err != nil {
			t.Fatal(err)
		}
		before[o.GetKind()] = o
	}
	// What the older form does not have: the test is about a kind that changed.
	commits := ours("TrustRoot", "signers", Object{"entries": []any{Object{
		"name": "ada", "uses": texts("Commits"), "ssh": Object{"publicKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample"},
	}}})
	if _, err := c.client.Apply(t.Context(), commits, kube.ApplyOptions{Manager: "person"}); err == nil {
		t.Fatal("the older definition knows signers of commits already")
	}
	lock := ours("BaseImageLock", "bases", nil)
	delete(lock, "spec")
	lock["status"] = Object{"summary": "locks 1"}

	c.install(Options{Image: image}, false)

	for _, body := range stored {
		was := before[body["kind"].(string)]
		now, err := c.client.Get(t.Context(), idOf(body))
		if err != nil {
			t.Fatal(err)
		}
		if now.GetUID() != was.GetUID() || now.GetGeneration() != was.GetGeneration() {
			t.Errorf("%s is another object than before the upgrade", called(body))
		}
		contains(t, called(body), now.Object["spec"], body["spec"])
		// Read and written back, as every controller does.
		now.SetAnnotations(map[string]string{"example.com/touched": "yes"})
		if _, err := c.client.Update(t.Context(), now); err != nil {
			t.Errorf("%s cannot be written any more: %v", called(body), err)
		}
	}
	if _, err := c.client.Apply(t.Context(), commits, kube.ApplyOptions{Manager: "person"}); err != nil {
		t.Errorf("the present definition does not know signers of commits: %v", err)
	}
	if _, err := c.client.ApplyStatus(t.Context(), lock, "test"); err != nil {
		t.Errorf("a BaseImageLock has no status: %v", err)
	}
	for _, name := range []string{"trustroots", "imagesecuritypolicies", "baseimagelocks"} {
		o, err := c.client.Get(t.Context(), kube.ID{Kind: kube.Kind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}, Name: name + ".security.apexlogic.com"})
		if err != nil {
			t.Fatal(err)
		}
		status, _ := o.Object["status"].(Object)
		if versions, _ := status["storedVersions"].([]any); len(versions) != 1 || versions[0] != "v1alpha1" {
			t.Errorf("%s: stored versions %v: an older one has to be served until its objects are written anew", name, versions)
		}
	}
}
