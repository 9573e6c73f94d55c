package apply

import (
	"strings"

	"github.com/apexlogic/apex/internal/gitops"
)

// The stages, in the order in which they are applied.
const (
	namespaces = iota
	definitions
	access
	configuration
	workloads
	rest
	webhooks
	stages
)

var stageNames = [stages]string{"namespaces", "definitions", "access", "configuration", "workloads", "rest", "admission"}

// stageOf says in which stage a kind is applied. Kinds that it does not name are
// resources of somebody's definitions, or need nothing that comes after them.
func stageOf(id gitops.ID) int {
	switch id.Group {
	case "":
		switch id.Kind {
		case "Namespace":
			return namespaces
		case "ServiceAccount":
			return access
		case "Pod", "ReplicationController":
			return workloads
		}
		return configuration // ConfigMap, Secret, Service, volumes, quotas
	case "apiextensions.k8s.io":
		return definitions
	case "rbac.authorization.k8s.io":
		return access
	case gitops.LambdaGroup:
		if id.Kind == gitops.LambdaRoleKind {
			return access // a function waits for its role
		}
		return workloads
	case "storage.k8s.io", "scheduling.k8s.io", "node.k8s.io", "networking.k8s.io", "policy":
		// NetworkPolicies are there before what they keep apart.
		return configuration
	case "apps", "batch", "autoscaling":
		return workloads
	case "admissionregistration.k8s.io":
		return webhooks
	}
	return rest
}

// clusterScoped are the built-in kinds without a namespace. One that states a
// namespace would look as if it stayed inside of it.
func clusterScoped(id gitops.ID) bool {
	switch id.Group {
	case "":
		return id.Kind == "Namespace" || id.Kind == "PersistentVolume" || id.Kind == "Node"
	case "rbac.authorization.k8s.io":
		return strings.HasPrefix(id.Kind, "Cluster")
	case "storage.k8s.io":
		return id.Kind != "CSIStorageCapacity"
	case "apiextensions.k8s.io", "admissionregistration.k8s.io", "apiregistration.k8s.io", "scheduling.k8s.io",
		"node.k8s.io", "certificates.k8s.io", "flowcontrol.apiserver.k8s.io":
		return true
	case "networking.k8s.io":
		return id.Kind == "IngressClass" || id.Kind == "IPAddress" || id.Kind == "ServiceCIDR"
	}
	return false
}

// guarded are the kinds that are deleted only when the object said so while it
// was in Git: with them goes what cannot be applied again.
func guarded(id gitops.ID) bool {
	switch id.Group {
	case "":
		switch id.Kind {
		case "Namespace", "PersistentVolume", "PersistentVolumeClaim", "Secret":
			return true
		}
	case "apiextensions.k8s.io":
		return id.Kind == "CustomResourceDefinition"
	}
	return false
}

func isDefinition(id gitops.ID) bool {
	return id.Group == "apiextensions.k8s.io" && id.Kind == "CustomResourceDefinition"
}
