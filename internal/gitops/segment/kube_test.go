package segment

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/apexlogic/apex/internal/kube/kubetest"
)

// TestARealAPIServerTakesThemAsTheyAre stores what is generated, and reads back
// that it means the same.
func TestARealAPIServerTakesThemAsTheyAre(t *testing.T) {
	server := kubetest.Start(t)
	client := server.Dynamic(t).Resource(schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"})
	namespaces := server.Dynamic(t).Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	vision := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "vision"}}}
	if _, err := namespaces.Create(t.Context(), vision, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	made, err := Generate(objects(t, captioner), spec)
	if err != nil || len(made) != 2 {
		t.Fatalf("%d policies, %v", len(made), err)
	}
	for _, o := range made {
		stored, err := client.Namespace(o.Namespace).Create(t.Context(), &unstructured.Unstructured{Object: o.Body}, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
		if err != nil {
			t.Errorf("%s: %v", o.ID, err)
			continue
		}
		want, _ := json.Marshal(o.Body["spec"])
		got, _ := json.Marshal(stored.Object["spec"])
		if string(got) != string(want) {
			t.Errorf("%s is stored as\n%s, not as\n%s", o.ID, got, want)
		}
	}
}
