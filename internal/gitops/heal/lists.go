package heal

import (
	"slices"
	"strings"
)

// listKeys names the fields that tell the elements of a list apart, by the name
// of the list, as Kubernetes' schemas do (x-kubernetes-list-map-keys). The first
// candidate that all elements have counts.
var listKeys = map[string][][]string{
	"containers":                {{"name"}},
	"initContainers":            {{"name"}},
	"ephemeralContainers":       {{"name"}},
	"env":                       {{"name"}},
	"volumes":                   {{"name"}},
	"volumeMounts":              {{"mountPath"}},
	"volumeDevices":             {{"devicePath"}},
	"ports":                     {{"containerPort", "protocol"}, {"port", "protocol"}},
	"imagePullSecrets":          {{"name"}},
	"secrets":                   {{"name"}},
	"hostAliases":               {{"ip"}},
	"topologySpreadConstraints": {{"topologyKey", "whenUnsatisfiable"}},
	"resourceClaims":            {{"name"}},
	"ownerReferences":           {{"uid"}},
	"webhooks":                  {{"name"}},
	"matchConditions":           {{"name"}},
	"validations":               nil,
	"traffic":                   nil,
	"rules":                     nil,
	"subjects":                  nil,
}

// keysOf returns the fields that name the elements; nil when only their position
// does. In a list that is not in the table, elements that all have a name of
// their own are told apart by it: custom kinds repeat the shapes of Pods.
func keysOf(list string, want, have []any) []string {
	candidates, known := listKeys[list]
	if !known {
		candidates = [][]string{{"name"}}
	}
	for _, keys := range candidates {
		if all(keys, want) && all(keys, have) && distinct(keys, want) && (known || distinct(keys, have)) {
			return keys
		}
	}
	return nil
}

// all says whether each element is a map with the first of the keys: the others
// have defaults.
func all(keys []string, list []any) bool {
	return !slices.ContainsFunc(list, func(v any) bool {
		m, ok := v.(map[string]any)
		return !ok || m[keys[0]] == nil || !isScalar(m[keys[0]])
	})
}

func distinct(keys []string, list []any) bool {
	seen := make(map[string]struct{}, len(list))
	for _, v := range list {
		k := keyText(keys, v)
		if _, ok := seen[k]; ok {
			return false
		}
		seen[k] = struct{}{}
	}
	return true
}

func keyText(keys []string, element any) string {
	m, _ := element.(map[string]any)
	if len(keys) == 1 {
		return text(m[keys[0]])
	}
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = text(keyValue(m, k))
	}
	return strings.Join(parts, ",")
}

func keyValues(keys []string, element any) []keyed {
	m, _ := element.(map[string]any)
	out := make([]keyed, len(keys))
	for i, k := range keys {
		out[i] = keyed{k, keyValue(m, k)}
	}
	return out
}

// keyValue returns a part of a key, with the one default that keys have.
func keyValue(m map[string]any, key string) any {
	if v := m[key]; v != nil || key != "protocol" {
		return v
	}
	return "TCP"
}

// isSet says whether the list is a set of words.
func isSet(way []step, name string) bool {
	return name == "finalizers" && len(way) == 2 && way[0].name == "metadata"
}

// orderMatters says whether the order of elements that have keys means something:
// init containers run one after the other, variables refer to earlier ones.
func orderMatters(list string) bool {
	switch list {
	case "initContainers", "env", "webhooks", "containers":
		return true
	}
	return false
}

// behavioural says whether an annotation on the object itself changes what it
// does, by the groups whose controllers are told things that way. Others carry
// notes of controllers, and are nobody's business.
func behavioural(annotation string) bool {
	group, name, ok := strings.Cut(annotation, "/")
	if !ok {
		return false
	}
	switch annotation {
	case "kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision",
		"kubernetes.io/description", "autoscaling.knative.dev/observed":
		return false
	}
	for _, suffix := range [...]string{
		"apexlogic.com", "istio.io", "linkerd.io", "knative.dev", "kserve.io", "kubeflow.org", "keda.sh", "cert-manager.io",
		"vault.hashicorp.com", "ingress.kubernetes.io", "container.apparmor.security.beta.kubernetes.io",
		"seccomp.security.alpha.kubernetes.io", "pod-security.kubernetes.io", "scheduler.alpha.kubernetes.io",
		"rbac.authorization.kubernetes.io", "traefik.io", "projectcontour.io", "konghq.com", "haproxy.org",
		"external-dns.alpha.kubernetes.io", "service.beta.kubernetes.io", "eks.amazonaws.com", "iam.gke.io", "azure.workload.identity",
		"openfaas.com", "reloader.stakater.com", "fluxcd.io", "argoproj.io", "openshift.io",
	} {
		if group == suffix || strings.HasSuffix(group, "."+suffix) {
			return true
		}
	}
	// The classes of storage and ingress, made default for everybody; tokens.
	switch group {
	case "storageclass.kubernetes.io", "ingressclass.kubernetes.io", "kubernetes.io":
		return name != "" && !strings.HasPrefix(name, "change-cause")
	}
	return false
}
