package install

// workload is a StatefulSet of ours: what all of them have in common is in set.
type workload struct {
	component, account string
	service            string // that finds the Pods
	replicas           int64
	args               []string
	env, ports         []any
	alive, ready       Object // what kubelets get
	stop, grace        int64  // seconds
	size               string // of the volume
	mounts, volumes    []any  // beside the state's and a folder for temporary files
}

// registryCredentials are those for private registries, where there are any.
func registryCredentials() any {
	return Object{"name": "registry", "secret": Object{
		"secretName": "apex-registry", "optional": true,
		"items": []any{Object{"key": ".dockerconfigjson", "path": "config.json"}},
	}}
}

// set keeps one volume for each replica: its ledger outlives the Pod, and what it
// has acknowledged is there when the Pod is back.
func (w *workload) set(o *Options) Object {
	probe := func(get Object, failures int64) Object {
		return Object{"httpGet": get, "periodSeconds": int64(5), "timeoutSeconds": int64(3), "failureThreshold": failures}
	}
	selector := Object{"matchLabels": labels(w.component)}
	container := Object{
		"name": "apex", "image": o.Image, "args": texts(w.args...), "ports": w.ports,
		"startupProbe": probe(w.alive, 24), "livenessProbe": probe(w.alive, 6), "readinessProbe": probe(w.ready, 2),
		"resources": Object{
			"requests": Object{"cpu": "100m", "memory": "256Mi"},
			"limits":   Object{"memory": "1Gi"}, // none for the CPU: who is throttled holds up its callers
		},
		"securityContext": Object{
			"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": Object{"drop": texts("ALL")},
		},
		"volumeMounts": append([]any{
			Object{"name": "state", "mountPath": "/var/lib/apex"},
			Object{"name": "tmp", "mountPath": "/tmp"},
		}, w.mounts...),
	}
	if len(w.env) > 0 {
		container["env"] = w.env
	}
	if w.stop > 0 {
		container["lifecycle"] = Object{"preStop": Object{"sleep": Object{"seconds": w.stop}}}
	}
	spread := func(key string) any {
		return Object{"maxSkew": int64(1), "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector}
	}
	pod := Object{
		"serviceAccountName": w.account, "priorityClassName": Priority, "terminationGracePeriodSeconds": w.grace,
		"topologySpreadConstraints": []any{spread("kubernetes.io/hostname"), spread("topology.kubernetes.io/zone")},
		"securityContext": Object{
			"runAsNonRoot": true, "runAsUser": nonroot, "runAsGroup": nonroot, "fsGroup": nonroot,
			"seccompProfile": Object{"type": "RuntimeDefault"},
		},
		"containers": []any{container},
		"volumes":    append([]any{Object{"name": "tmp", "emptyDir": Object{"sizeLimit": "1Gi"}}}, w.volumes...),
	}
	spec := Object{
		"replicas": w.replicas, "selector": selector, "serviceName": w.service,
		// None waits for another: one that cannot start must not keep the rest down.
		"podManagementPolicy": "Parallel",
		// One after the other: somebody always answers.
		"updateStrategy":                       Object{"type": "RollingUpdate"},
		"persistentVolumeClaimRetentionPolicy": Object{"whenDeleted": "Retain", "whenScaled": "Retain"},
		"template":                             Object{"metadata": Object{"labels": labels(w.component)}, "spec": pod},
	}
	if o.Ephemeral {
		pod["volumes"] = append([]any{Object{"name": "state", "emptyDir": Object{"sizeLimit": w.size}}}, pod["volumes"].([]any)...)
		return made("apps/v1", "StatefulSet", o.Namespace, w.account, w.component, Object{"spec": spec})
	}
	claim := Object{"accessModes": texts("ReadWriteOnce"), "resources": Object{"requests": Object{"storage": w.size}}}
	if o.StorageClass != "" {
		claim["storageClassName"] = o.StorageClass
	}
	spec["volumeClaimTemplates"] = []any{Object{"metadata": Object{"name": "state", "labels": labels(w.component)}, "spec": claim}}
	return made("apps/v1", "StatefulSet", o.Namespace, w.account, w.component, Object{"spec": spec})
}
