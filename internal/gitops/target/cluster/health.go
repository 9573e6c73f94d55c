package cluster

import (
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/gitops"
)

// healthy says whether an object, as the server holds it, does what it is there
// for. It follows the conventions of the Kubernetes API (conditions, and
// status.observedGeneration: a status that is about an older spec says nothing).
// Kinds that it does not know are judged by a condition Ready or Available, and
// by being there when they have neither.
func healthy(id gitops.ID, body map[string]any) (ok bool, why string) {
	o := status{body}
	if o.text("metadata", "deletionTimestamp") != "" {
		return false, leaving
	}
	generation, observed := o.number("metadata", "generation"), o.number("status", "observedGeneration")
	if o.value("status", "observedGeneration") != nil && observed < generation {
		return false, fmt.Sprintf("its controller has seen generation %d of %d", observed, generation)
	}
	switch id.Group + "/" + id.Kind {
	case "apps/Deployment":
		return o.deployment()
	case "apps/StatefulSet":
		return o.statefulSet()
	case "apps/DaemonSet":
		return o.daemonSet()
	case "apps/ReplicaSet", "/ReplicationController":
		return o.replicas("availableReplicas")
	case "batch/Job":
		return o.job()
	case "/Pod":
		return o.pod()
	case "/PersistentVolumeClaim":
		return o.phase("Bound")
	case "/Namespace":
		return o.phase("Active")
	case "apiextensions.k8s.io/CustomResourceDefinition":
		if ok, why := o.condition("NamesAccepted"); !ok {
			return false, why
		}
		return o.condition("Established")
	case "apiregistration.k8s.io/APIService":
		return o.condition("Available")
	case "serving.knative.dev/Service", "serving.knative.dev/Configuration", "serving.knative.dev/Revision", "serving.knative.dev/Route",
		"serving.kserve.io/InferenceService", "serving.kserve.io/LLMInferenceService", "serving.kserve.io/InferenceGraph":
		return o.served(generation)
	}
	return o.generic()
}

const leaving = "it is being deleted"

// status reads what may be absent or of another type: controllers of others
// write it.
type status struct{ body map[string]any }

func (s status) value(path ...string) any {
	var v any = s.body
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

func (s status) text(path ...string) string { t, _ := s.value(path...).(string); return t }

func (s status) number(path ...string) int64 {
	switch n := s.value(path...).(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	}
	return 0
}

// desired is spec.replicas, whose default is 1.
func (s status) desired() int64 {
	if s.value("spec", "replicas") == nil {
		return 1
	}
	return s.number("spec", "replicas")
}

// unseen is said of kinds whose controllers always write observedGeneration.
func (s status) unseen() bool { return s.value("status", "observedGeneration") == nil }

const notSeen = "its controller has not seen it yet"

func (s status) deployment() (bool, string) {
	if s.unseen() {
		return false, notSeen
	}
	if c := s.find("Progressing"); c != nil && c["reason"] == "ProgressDeadlineExceeded" {
		return false, said("its rollout does not progress", c)
	}
	want := s.desired()
	updated, total, available := s.number("status", "updatedReplicas"), s.number("status", "replicas"), s.number("status", "availableReplicas")
	switch {
	case updated < want:
		return false, fmt.Sprintf("%d of %d replicas are updated", updated, want)
	case total > updated:
		return false, fmt.Sprintf("%d old replicas are still there", total-updated)
	case available < want:
		return false, fmt.Sprintf("%d of %d replicas are available", available, want)
	}
	return true, ""
}

func (s status) statefulSet() (bool, string) {
	if s.unseen() {
		return false, notSeen
	}
	want := s.desired()
	if s.text("spec", "updateStrategy", "type") == "OnDelete" {
		return s.replicas("readyReplicas")
	}
	partition := s.number("spec", "updateStrategy", "rollingUpdate", "partition")
	if updated := s.number("status", "updatedReplicas"); updated < max(want-partition, 0) {
		return false, fmt.Sprintf("%d of %d replicas are updated", updated, want-partition)
	}
	if partition == 0 && want > 0 && s.text("status", "currentRevision") != s.text("status", "updateRevision") {
		return false, "its update is not complete"
	}
	return s.replicas("readyReplicas")
}

func (s status) daemonSet() (bool, string) {
	if s.unseen() {
		return false, notSeen
	}
	want := s.number("status", "desiredNumberScheduled")
	if updated := s.number("status", "updatedNumberScheduled"); updated < want && s.text("spec", "updateStrategy", "type") != "OnDelete" {
		return false, fmt.Sprintf("%d of %d pods are updated", updated, want)
	}
	if available := s.number("status", "numberAvailable"); available < want {
		return false, fmt.Sprintf("%d of %d pods are available", available, want)
	}
	return true, ""
}

func (s status) replicas(field string) (bool, string) {
	if s.unseen() {
		return false, notSeen
	}
	if have, want := s.number("status", field), s.desired(); have < want {
		return false, fmt.Sprintf("%d of %d replicas are ready", have, want)
	}
	return true, ""
}

// job is healthy while it works; a suspended one waits for a person.
func (s status) job() (bool, string) {
	if c := s.find("Failed"); c != nil && c["status"] == "True" {
		return false, said("it failed", c)
	}
	return true, ""
}

func (s status) pod() (bool, string) {
	switch phase := s.text("status", "phase"); phase {
	case "Succeeded":
		return true, ""
	case "Running":
		return s.condition("Ready")
	case "":
		return false, notSeen
	default:
		return false, "it is " + phase
	}
}

func (s status) phase(want string) (bool, string) {
	switch phase := s.text("status", "phase"); phase {
	case want:
		return true, ""
	case "":
		return false, notSeen
	default:
		return false, "it is " + phase
	}
}

// served is for Knative and KServe, whose objects are ready only when they say
// so about their present generation.
func (s status) served(generation int64) (bool, string) {
	if observed := s.value("status", "observedGeneration"); observed == nil && generation > 1 {
		return false, notSeen
	}
	return s.condition("Ready")
}

func (s status) generic() (bool, string) {
	for _, bad := range []string{"Stalled", "Failed"} {
		if c := s.find(bad); c != nil && c["status"] == "True" {
			return false, said("its condition "+bad+" is True", c)
		}
	}
	for _, good := range []string{"Ready", "Available"} {
		if s.find(good) != nil {
			return s.condition(good)
		}
	}
	return true, ""
}

// condition wants a condition to be there and True.
func (s status) condition(kind string) (bool, string) {
	c := s.find(kind)
	if c == nil {
		return false, "it has no condition " + kind + " yet"
	}
	if c["status"] != "True" {
		return false, said(fmt.Sprintf("its condition %s is %v", kind, c["status"]), c)
	}
	if observed, ok := c["observedGeneration"].(int64); ok && observed < s.number("metadata", "generation") {
		return false, fmt.Sprintf("its condition %s is about generation %d of %d", kind, observed, s.number("metadata", "generation"))
	}
	return true, ""
}

func (s status) find(kind string) map[string]any {
	all, _ := s.value("status", "conditions").([]any)
	for _, each := range all {
		if c, _ := each.(map[string]any); c["type"] == kind {
			return c
		}
	}
	return nil
}

// said adds a condition's reason and message, cut short: others write them.
func said(what string, c map[string]any) string {
	const longest = 300
	for _, key := range []string{"reason", "message"} {
		if t, _ := c[key].(string); t != "" {
			what += ": " + strings.ToValidUTF8(t[:min(len(t), longest)], "")
		}
	}
	return what
}
