package kubetest

import (
	"bytes"
	"context"
	_ "embed" // testdata
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// knative is the version whose CRDs are installed: the newest with which the
// kinds were tried.
const knative = "knative.dev/serving@v0.51.0"

//go:embed testdata/kserve.yaml
var kserve []byte

var (
	createOptions = metav1.CreateOptions{}
	deleteOptions = metav1.DeleteOptions{}
	crds          = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// InstallCRDs makes the CustomResourceDefinitions of the YAML documents, other
// documents are passed over, and returns when the server serves them. Those that
// are there already stay as they are.
func (s *Server) InstallCRDs(t testing.TB, documents ...[]byte) {
	t.Helper()
	client := s.Dynamic(t).Resource(crds)
	var names []string
	for _, data := range documents {
		decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
		for {
			var body map[string]any
			err := decoder.Decode(&body)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if body["kind"] != "CustomResourceDefinition" {
				continue
			}
			o := &unstructured.Unstructured{Object: body}
			if _, err := client.Create(t.Context(), o, createOptions); err != nil && !apierrors.IsAlreadyExists(err) {
				t.Fatalf("install %s: %v", o.GetName(), err)
			}
			names = append(names, o.GetName())
		}
	}
	for _, name := range names {
		s.awaitServed(t, awaitEstablished(t, client, name))
	}
}

// awaitServed waits until the server lists the kind's resource under each of its
// versions, which on a busy machine is later than Established.
func (s *Server) awaitServed(t testing.TB, crd *unstructured.Unstructured) {
	t.Helper()
	ask, err := rest.HTTPClientFor(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
	plural, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "plural")
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, v := range versions {
		version, _ := v.(map[string]any)
		if version["served"] != true {
			continue
		}
		name := group + "/" + version["name"].(string)
		err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Config().Host+"/apis/"+name, nil)
			if err != nil {
				return false, err
			}
			answer, err := ask.Do(r)
			if err != nil {
				return false, nil // a busy server is asked again, until the minute is over
			}
			defer answer.Body.Close()
			var list metav1.APIResourceList
			if answer.StatusCode != http.StatusOK || json.NewDecoder(answer.Body).Decode(&list) != nil {
				return false, nil
			}
			return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == plural }), nil
		})
		if err != nil {
			t.Fatalf("%s of %s is not served: %v", plural, name, err)
		}
	}
}

func awaitEstablished(t testing.TB, client dynamic.ResourceInterface, name string) (crd *unstructured.Unstructured) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		o, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		for _, c := range conditions {
			if m, _ := c.(map[string]any); m["type"] == "Established" && m["status"] == "True" {
				crd = o
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		t.Fatalf("%s is not established: %v", name, err)
	}
	return crd
}

// KServe returns CustomResourceDefinitions with the groups, versions and field
// paths of KServe's. They are ours: KServe's own module cannot be had here.
func KServe() []byte { return kserve }

// Knative returns Knative Serving's own CustomResourceDefinitions, read from its
// Go module. The test is skipped when the module cannot be downloaded.
func Knative(t testing.TB) [][]byte {
	t.Helper()
	dir := t.TempDir() // a module of its own, so that ours does not come to require it
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module knative\n\ngo 1.26\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", knative)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("go mod download %s: %v", knative, err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(module.Dir, "config/core/300-resources/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s holds no CRDs: %v", module.Dir, err)
	}
	var all [][]byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data)
	}
	return all
}
