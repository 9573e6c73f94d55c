package controller

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/kube"
)

// conditionOf is a condition of a GitSource: status, reason, message.
func (s *scene) conditionNamed(source, typ string) string {
	o, err := s.client.Get(s.t.Context(), kube.ID{Kind: app.OurKind("GitSource"), Name: source})
	if err != nil {
		return err.Error()
	}
	c := readCondition(o, typ)
	return fmt.Sprint(c.status, " ", c.reason, " ", c.message)
}

// noted says whether there is an Event with the reason about the object.
func (s *scene) noted(namespace, reason, name string) (bool, string) {
	list, err := s.client.List(s.t.Context(), kube.Kind{Group: "events.k8s.io", Version: "v1", Kind: "Event"}, namespace, "")
	for i := range list {
		regarding, _ := list[i].Object["regarding"].(map[string]any)
		if list[i].Object["reason"] == reason && regarding["name"] == name {
			return true, ""
		}
	}
	return false, fmt.Sprint(len(list), " events ", err)
}

func (s *scene) remove(kind kube.Kind, namespace, name string) {
	s.t.Helper()
	if err := s.client.Delete(s.t.Context(), kube.ID{Kind: kind, Namespace: namespace, Name: name}, kube.Precondition{}); err != nil {
		s.t.Fatal(err)
	}
}

func TestAWayAroundTheGatewayThatIsOpenedBesideGitIsFoundUntilItIsClosed(t *testing.T) {
	s := newRunningScene(t)
	s.holds("true")
	const segmentation = "  segmentation: {gateway: {namespace: apex-system, labels: {app: gateway}}}"
	s.source("ways", segmentation, map[string]string{"a.yaml": `
apiVersion: apps/v1
kind: Deployment
metadata: {name: captioner}
spec:
  replicas: 0
  selector: {matchLabels: {app: x}}
  template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c, image: "` + s.image + `"}]}}
---
apiVersion: v1
kind: Service
metadata: {name: captioner}
spec: {selector: {app: x}, ports: [{port: 80}]}
`})
	const closed, open = "True NoWayAround", "False WayAroundGateway"
	says := func(want ...string) func() (bool, string) {
		return func() (bool, string) {
			c := s.conditionNamed("ways", waysCondition)
			for _, w := range want {
				if !strings.Contains(c, w) {
					return false, c + "; " + s.condition("ways")
				}
			}
			return true, c
		}
	}
	// Nothing is judged by the time that is said here; looks without a change are
	// half a minute apart, so that what is watched is seen by its watch.
	took := func(what string, want ...string) {
		t.Helper()
		began := time.Now()
		s.await(what, says(want...))
		t.Logf("%s: %v", what, time.Since(began).Round(time.Millisecond))
	}
	s.await("it is applied", func() (bool, string) {
		c := s.condition("ways")
		return strings.HasPrefix(c, "True Applied"), c
	})
	s.await("no way leads around the gateway", says(closed))

	service := func(kind string) string {
		return "{apiVersion: v1, kind: Service, metadata: {name: side, namespace: ways}, spec: {type: " + kind + ", selector: {app: x}, ports: [{port: 80}]}}"
	}
	s.apply(service("LoadBalancer"))
	took("a LoadBalancer is found", open, "network.route.around-gateway", "Service ways/side", "Deployment.apps ways/captioner", "LoadBalancer")
	s.await("an Event of the Service", func() (bool, string) { return s.noted("ways", "WayAroundGateway", "side") })
	s.apply(service("ClusterIP"))
	took("made a ClusterIP, it is none", closed)

	ingress := func(to string) string {
		return "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: door, namespace: ways}, spec: {defaultBackend: {service: {name: " + to + ", port: {number: 80}}}}}"
	}
	s.apply(ingress("captioner"))
	took("an Ingress is found", open, "Ingress.networking.k8s.io ways/door")
	s.await("an Event of the Ingress", func() (bool, string) { return s.noted("ways", "WayAroundGateway", "door") })
	s.remove(kube.Kind{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"}, "ways", "door")
	took("removed, it is none", closed)

	s.apply("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: all, namespace: ways}, spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{}]}}")
	took("a policy that lets everybody in is found", open, "NetworkPolicy.networking.k8s.io ways/all")
	s.remove(networkPolicyKind, "ways", "all")
	took("removed, it is none", closed)

	// Without segmentation nothing is said about ways.
	o, err := s.client.Get(t.Context(), kube.ID{Kind: app.OurKind("GitSource"), Name: "ways"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Patch(t.Context(), kube.IDOf(o), "a-person", []byte(`[{"op":"remove","path":"/spec/segmentation"}]`)); err != nil {
		t.Fatal(err)
	}
	s.await("the condition is gone", func() (bool, string) {
		c := s.conditionNamed("ways", waysCondition)
		return strings.TrimSpace(c) == "", c
	})
	s.stop()
	var of []string // how many ways each record says, and of what
	for line := range strings.Lines(s.records(recordWays)) {
		var record struct {
			Ways     int
			Complete bool
			Findings []struct{ Object struct{ Name string } }
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		said := fmt.Sprint(record.Ways, record.Complete)
		if record.Ways > 0 {
			said += " " + record.Findings[0].Object.Name
		}
		of = append(of, said)
	}
	// A look may find the workload before its own policy is there.
	if at := slices.Index(of, "1 true side"); at < 1 || !slices.Equal(of[at-1:], []string{"0 true", "1 true side", "0 true", "1 true door", "0 true", "1 true all", "0 true"}) {
		t.Errorf("the ledger says %q", of)
	}
}
