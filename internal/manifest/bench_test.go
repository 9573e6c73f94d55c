package manifest_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/apexlogic/apex/internal/manifest"
)

// release writes a file of n Deployments as a chart renders them.
func release(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-%[1]d
  namespace: team
  labels: {app.kubernetes.io/name: app-%[1]d, app.kubernetes.io/managed-by: Helm}
spec:
  replicas: 2
  selector: {matchLabels: {app: app-%[1]d}}
  template:
    metadata:
      labels: {app: app-%[1]d}
    spec:
      serviceAccountName: app
      containers:
        - name: server
          image: ghcr.io/team/app-%[1]d:1.2.3
          args: ["--listen=:8080", "--log-level=info"]
          env:
            - name: DATABASE
              value: postgres://db.team.svc:5432/app
          ports: [{containerPort: 8080, name: http}]
          resources:
            requests: {cpu: 100m, memory: 128Mi}
            limits: {memory: 256Mi}
          livenessProbe: {httpGet: {path: /healthz, port: http}}
      volumes:
        - name: tmp
          emptyDir: {}
`, i)
	}
	return []byte(b.String())
}

func BenchmarkExtract1000Documents(b *testing.B) {
	data := release(1000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	before := cpuNanoseconds()
	for b.Loop() {
		r := manifest.Extract("release.yaml", data, manifest.Limits{})
		if r.Rejected || len(r.Refs) != 1000 {
			b.Fatal(len(r.Refs), r.Problems)
		}
	}
	b.ReportMetric(float64(cpuNanoseconds()-before)/float64(b.N), "cpu-ns/op")
}

func BenchmarkParseAdmissionReview(b *testing.B) {
	data := []byte(review(podObject))
	b.ReportAllocs()
	for b.Loop() {
		if r, err := manifest.ParseAdmissionReview(data); err != nil || len(r.Result.Refs) != 2 {
			b.Fatal(err)
		}
	}
}

func cpuNanoseconds() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
