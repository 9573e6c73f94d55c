package render

// builtIn says whether an API server brings the group itself, so that its kinds
// are all known here.
func builtIn(group string) bool {
	switch group {
	case "", "apps", "batch", "autoscaling", "policy", "extensions",
		"admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "authentication.k8s.io",
		"authorization.k8s.io", "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io",
		"flowcontrol.apiserver.k8s.io", "internal.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io",
		"rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io":
		return true
	}
	return false
}

// clusterScoped says whether a kind of Kubernetes itself, or of Apex, belongs to
// no namespace (kubectl api-resources --namespaced=false, 1.26 to 1.36).
func clusterScoped(group, kind string) bool {
	switch group {
	case "":
		switch kind {
		case "Namespace", "Node", "PersistentVolume", "ComponentStatus":
			return true
		}
	case "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "flowcontrol.apiserver.k8s.io",
		"internal.apiserver.k8s.io", "node.k8s.io", "scheduling.k8s.io", "storagemigration.k8s.io", "security.apexlogic.com":
		return true
	case "certificates.k8s.io":
		return kind != "PodCertificateRequest"
	case "rbac.authorization.k8s.io":
		return kind == "ClusterRole" || kind == "ClusterRoleBinding"
	case "networking.k8s.io":
		return kind == "IngressClass" || kind == "IPAddress" || kind == "ServiceCIDR"
	case "policy":
		return kind == "PodSecurityPolicy"
	case "resource.k8s.io":
		return kind == "DeviceClass" || kind == "ResourceSlice" || kind == "DeviceTaintRule"
	case "storage.k8s.io":
		return kind != "CSIStorageCapacity"
	case "authorization.k8s.io":
		return kind != "LocalSubjectAccessReview"
	case "authentication.k8s.io":
		return true
	}
	return false
}
