package cluster

import (
	"testing"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/apexlogic/apex/internal/gitops"
)

func TestHealthIsWhatTheObjectSaysOfItsPresentGeneration(t *testing.T) {
	const ready = `"status":{"observedGeneration":2,"conditions":[{"type":"Ready","status":"True"}]}`
	for _, c := range []struct {
		name, kind, body string
		want             bool
	}{
		{"a deployment that is out", "apps/Deployment", `"spec":{"replicas":2},"status":{"observedGeneration":2,"replicas":2,"updatedReplicas":2,"availableReplicas":2}`, true},
		{"one whose status is about an older spec", "apps/Deployment", `"spec":{"replicas":2},"status":{"observedGeneration":1,"replicas":2,"updatedReplicas":2,"availableReplicas":2}`, false},
		{"one that no controller saw", "apps/Deployment", `"spec":{"replicas":2}`, false},
		{"one with old replicas", "apps/Deployment", `"spec":{"replicas":2},"status":{"observedGeneration":2,"replicas":3,"updatedReplicas":2,"availableReplicas":2}`, false},
		{"one with a replica that is not available", "apps/Deployment", `"spec":{},"status":{"observedGeneration":2,"replicas":1,"updatedReplicas":1}`, false},
		{"one that is scaled to zero", "apps/Deployment", `"spec":{"replicas":0},"status":{"observedGeneration":2}`, true},
		{"one that does not progress", "apps/Deployment", `"spec":{"replicas":1},"status":{"observedGeneration":2,"replicas":1,"updatedReplicas":1,"availableReplicas":1,"conditions":[{"type":"Progressing","status":"False","reason":"ProgressDeadlineExceeded"}]}`, false},
		{"a stateful set that is out", "apps/StatefulSet", `"spec":{"replicas":1},"status":{"observedGeneration":2,"replicas":1,"updatedReplicas":1,"readyReplicas":1,"currentRevision":"a","updateRevision":"a"}`, true},
		{"one in the middle of an update", "apps/StatefulSet", `"spec":{"replicas":1},"status":{"observedGeneration":2,"replicas":1,"updatedReplicas":1,"readyReplicas":1,"currentRevision":"a","updateRevision":"b"}`, false},
		{"one that is updated down to its partition", "apps/StatefulSet", `"spec":{"replicas":3,"updateStrategy":{"rollingUpdate":{"partition":2}}},"status":{"observedGeneration":2,"readyReplicas":3,"updatedReplicas":1,"currentRevision":"a","updateRevision":"b"}`, true},
		{"one below its replicas", "apps/StatefulSet", `"spec":{"replicas":3},"status":{"observedGeneration":2,"readyReplicas":2,"updatedReplicas":3}`, false},
		{"a daemon set on all nodes", "apps/DaemonSet", `"status":{"observedGeneration":2,"desiredNumberScheduled":3,"updatedNumberScheduled":3,"numberAvailable":3}`, true},
		{"one that misses a node", "apps/DaemonSet", `"status":{"observedGeneration":2,"desiredNumberScheduled":3,"updatedNumberScheduled":3,"numberAvailable":2}`, false},
		{"a job that works", "batch/Job", `"status":{"active":1}`, true},
		{"a job that failed", "batch/Job", `"status":{"conditions":[{"type":"Failed","status":"True","reason":"BackoffLimitExceeded"}]}`, false},
		{"a pod that runs and is ready", "/Pod", `"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}`, true},
		{"a pod that runs and is not ready", "/Pod", `"status":{"phase":"Running","conditions":[{"type":"Ready","status":"False"}]}`, false},
		{"a pod that waits", "/Pod", `"status":{"phase":"Pending"}`, false},
		{"a pod that succeeded", "/Pod", `"status":{"phase":"Succeeded"}`, true},
		{"a pod that failed", "/Pod", `"status":{"phase":"Failed"}`, false},
		{"a claim that is bound", "/PersistentVolumeClaim", `"status":{"phase":"Bound"}`, true},
		{"a claim that waits", "/PersistentVolumeClaim", `"status":{"phase":"Pending"}`, false},
		{"a claim that nobody saw", "/PersistentVolumeClaim", `"spec":{}`, false},
		{"a Knative service that is ready", "serving.knative.dev/Service", ready, true},
		{"one that is ready in an older generation", "serving.knative.dev/Service", `"status":{"observedGeneration":1,"conditions":[{"type":"Ready","status":"True"}]}`, false},
		{"one whose controller says nothing about generations", "serving.knative.dev/Service", `"status":{"conditions":[{"type":"Ready","status":"True"}]}`, false},
		{"one that is not known to be ready", "serving.knative.dev/Service", `"status":{"observedGeneration":2,"conditions":[{"type":"Ready","status":"Unknown"}]}`, false},
		{"one without conditions", "serving.knative.dev/Service", `"spec":{}`, false},
		{"an inference service that is ready", "serving.kserve.io/InferenceService", ready, true},
		{"one whose predictor is not", "serving.kserve.io/InferenceService", `"status":{"observedGeneration":2,"conditions":[{"type":"Ready","status":"False","reason":"PredictorNotReady"}]}`, false},
		{"a CRD that is established", "apiextensions.k8s.io/CustomResourceDefinition", `"status":{"conditions":[{"type":"NamesAccepted","status":"True"},{"type":"Established","status":"True"}]}`, true},
		{"a CRD whose names are taken", "apiextensions.k8s.io/CustomResourceDefinition", `"status":{"conditions":[{"type":"NamesAccepted","status":"False"},{"type":"Established","status":"True"}]}`, false},
		{"an unknown kind that is there", "x.example/Thing", `"spec":{}`, true},
		{"an unknown kind that says it is ready", "x.example/Thing", ready, true},
		{"one that says it is not", "x.example/Thing", `"status":{"conditions":[{"type":"Ready","status":"False"}]}`, false},
		{"one that says it is not available", "x.example/Thing", `"status":{"conditions":[{"type":"Available","status":"Unknown"}]}`, false},
		{"one that stalled", "x.example/Thing", `"status":{"conditions":[{"type":"Ready","status":"True"},{"type":"Stalled","status":"True"}]}`, false},
		{"one whose condition is about an older generation", "x.example/Thing", `"status":{"conditions":[{"type":"Ready","status":"True","observedGeneration":1}]}`, false},
		{"one whose status is of other types than expected", "x.example/Thing", `"status":{"conditions":{"Ready":true},"observedGeneration":"2"}`, false},
		{"a deployment whose numbers are texts", "apps/Deployment", `"spec":{"replicas":1},"status":{"observedGeneration":2,"replicas":"1","updatedReplicas":"1","availableReplicas":"1"}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var body map[string]any
			if err := utiljson.Unmarshal([]byte(`{"metadata":{"generation":2},`+c.body+`}`), &body); err != nil {
				t.Fatal(err)
			}
			id := gitops.ID{Kind: c.kind[1:]}
			for i := range c.kind {
				if c.kind[i] == '/' {
					id = gitops.ID{Group: c.kind[:i], Kind: c.kind[i+1:]}
				}
			}
			ok, why := healthy(id, body)
			if ok != c.want || ok == (why != "") {
				t.Errorf("%v, %q", ok, why)
			}
			body["metadata"].(map[string]any)["deletionTimestamp"] = "2026-01-01T00:00:00Z"
			if ok, _ := healthy(id, body); ok {
				t.Error("it is healthy while it is being deleted")
			}
		})
	}
}

// What is stored may be changed by whoever can write Secrets beside us.
func FuzzUnpackReadsNoMoreThanItsLimit(f *testing.F) {
	for _, data := range [][]byte{nil, []byte("a record"), make([]byte, 1<<20)} {
		packed, err := pack(data)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	f.Add([]byte("not compressed"))
	const limit = 64 << 10
	f.Fuzz(func(t *testing.T, packed []byte) {
		data, err := unpack(packed, limit)
		if err == nil && len(data) > limit {
			t.Errorf("%d bytes", len(data))
		}
		again, err := pack(packed)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := unpack(again, len(packed)+1); err != nil || string(back) != string(packed) {
			t.Errorf("what was packed does not come back: %v", err)
		}
	})
}
