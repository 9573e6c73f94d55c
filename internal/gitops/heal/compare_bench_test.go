package heal

import (
	"encoding/json"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

const benchWorkload = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: captioner, namespace: shop, labels: {app: captioner, apexlogic.com/source: vision}}
spec:
  replicas: 2
  selector: {matchLabels: {app: captioner}}
  template:
    metadata: {labels: {app: captioner}}
    spec:
      serviceAccountName: captioner
      initContainers: [{name: fetch, image: "registry.local/fetch@sha256:11"}]
      containers:
      - name: app
        image: registry.local/captioner@sha256:33
        args: [--model, /models/captioner.safetensors]
        env: [{name: MODE, value: caption}, {name: LEVEL, value: info}]
        ports: [{name: http, containerPort: 8080}]
        resources: {limits: {cpu: 1000m, memory: 1Gi}}
        volumeMounts: [{name: models, mountPath: /models}]
      volumes: [{name: models, emptyDir: {}}]
`

// BenchmarkComparison is what a suspect costs beside its request, for a
// Deployment of one application container.
func BenchmarkComparison(b *testing.B) {
	body := parse(b, benchWorkload)
	live := parse(b, benchWorkload)
	live["spec"].(map[string]any)["revisionHistoryLimit"] = int64(10)
	live["spec"].(map[string]any)["progressDeadlineSeconds"] = int64(600)
	o, err := gitops.NewObject(body, verdict.Origin{})
	if err != nil {
		b.Fatal(err)
	}
	h := newHasher()
	b.Run("compare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if len(compare(h, &o, live)) != 2 {
				b.Fatal("not two")
			}
		}
	})
	data, err := json.Marshal(body)
	if err != nil {
		b.Fatal(err)
	}
	s := newShelf(data)
	kept, err := s.put(data)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("with-the-desired-body-from-the-ledger", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			desired, err := s.get(kept)
			if err != nil {
				b.Fatal(err)
			}
			o := o
			o.Body = desired
			compare(h, &o, live)
		}
	})
}
