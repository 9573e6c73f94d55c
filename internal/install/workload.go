package install

// The ports of the controller.
const (
	webhookPort = int64(9443)
	healthPort  = int64(8081)
)

// nonroot is the user of the image.
const nonroot = int64(65532)

func namespace(o *Options) Object {
	n := made("v1", "Namespace", "", o.Namespace, "namespace", nil)
	l := n["metadata"].(Object)["labels"].(Object)
	for _, mode := range []string{"enforce", "audit", "warn"} {
		l["pod-security.kubernetes.io/"+mode] = "restricted"
	}
	return n
}

// priorityClass puts the controller before what it is asked about: while it
// waits for room, nothing else can start.
func priorityClass() Object {
	return made("scheduling.k8s.io/v1", "PriorityClass", "", Priority, "controller", Object{
		"value":       int64(1_000_000), // below system-cluster-critical, above what has none
		"description": "Apex answers before anything may start",
	})
}

func selector() Object { return Object{"matchLabels": labels("controller")} }

func service(o *Options) Object {
	return made("v1", "Service", o.Namespace, Service, "controller", Object{"spec": Object{
		"selector": labels("controller"),
		"ports":    []any{Object{"name": "webhook", "port": int64(443), "targetPort": "webhook", "protocol": "TCP"}},
	}})
}

// disruptionBudget keeps one replica answering while nodes are emptied.
func disruptionBudget(o *Options) Object {
	return made("policy/v1", "PodDisruptionBudget", o.Namespace, Service, "controller", Object{"spec": Object{
		"maxUnavailable": int64(1), "selector": selector(), "unhealthyPodEvictionPolicy": "AlwaysAllow",
	}})
}

// networkPolicy lets in what asks, and out to everything but the addresses by
// which clouds hand out a node's credentials.
func networkPolicy(o *Options) Object {
	port := func(protocol string, number int64) any { return Object{"protocol": protocol, "port": number} }
	return made("networking.k8s.io/v1", "NetworkPolicy", o.Namespace, Service, "controller", Object{"spec": Object{
		"podSelector": selector(),
		"policyTypes": texts("Ingress", "Egress"),
		// API servers and kubelets are no pods: no selector names them.
		"ingress": []any{Object{"ports": []any{port("TCP", webhookPort), port("TCP", healthPort)}}},
		"egress": []any{
			Object{"ports": []any{port("UDP", 53), port("TCP", 53)}}, // also at a node's own address
			Object{"to": []any{
				Object{"ipBlock": Object{"cidr": "0.0.0.0/0", "except": texts("169.254.0.0/16")}},
				Object{"ipBlock": Object{"cidr": "::/0", "except": texts("fd00:ec2::254/128", "fe80::/10")}},
			}},
		},
	}})
}

func deployment(o *Options) Object {
	probe := func(path string, failures int64) Object {
		return Object{"httpGet": Object{"path": path, "port": "health", "scheme": "HTTP"}, "periodSeconds": int64(5), "timeoutSeconds": int64(3), "failureThreshold": failures}
	}
	container := Object{
		"name":  "apex",
		"image": o.Image,
		"args": texts("controller", "--namespace", o.Namespace, "--service", Service,
			"--webhook-address", ":9443", "--health-address", ":8081", "--state", "/var/lib/apex"),
		"env": []any{Object{"name": "DOCKER_CONFIG", "value": "/etc/apex/registry"}},
		"ports": []any{
			Object{"name": "webhook", "containerPort": webhookPort, "protocol": "TCP"},
			Object{"name": "health", "containerPort": healthPort, "protocol": "TCP"},
		},
		"startupProbe":   probe("/healthz", 24),
		"livenessProbe":  probe("/healthz", 6),
		"readinessProbe": probe("/readyz", 2),
		"resources": Object{
			"requests": Object{"cpu": "100m", "memory": "256Mi"},
			"limits":   Object{"memory": "1Gi"}, // none for the CPU: a throttled webhook holds up the cluster
		},
		"securityContext": Object{
			"allowPrivilegeEscalation": false,
			"readOnlyRootFilesystem":   true,
			"capabilities":             Object{"drop": texts("ALL")},
		},
		"volumeMounts": []any{
			Object{"name": "state", "mountPath": "/var/lib/apex"},
			Object{"name": "tmp", "mountPath": "/tmp"},
			Object{"name": "registry", "mountPath": "/etc/apex/registry", "readOnly": true},
		},
	}
	spread := func(key string) any {
		return Object{"maxSkew": int64(1), "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector()}
	}
	pod := Object{
		"serviceAccountName":            ServiceAccount,
		"priorityClassName":             Priority,
		"terminationGracePeriodSeconds": int64(30),
		"topologySpreadConstraints":     []any{spread("kubernetes.io/hostname"), spread("topology.kubernetes.io/zone")},
		"securityContext": Object{
			"runAsNonRoot": true, "runAsUser": nonroot, "runAsGroup": nonroot, "fsGroup": nonroot,
			"seccompProfile": Object{"type": "RuntimeDefault"},
		},
		"containers": []any{container},
		"volumes": []any{
			Object{"name": "state", "emptyDir": Object{"sizeLimit": "8Gi"}},
			Object{"name": "tmp", "emptyDir": Object{"sizeLimit": "1Gi"}},
			// Credentials for private registries, where there are any.
			Object{"name": "registry", "secret": Object{
				"secretName": "apex-registry", "optional": true,
				"items": []any{Object{"key": ".dockerconfigjson", "path": "config.json"}},
			}},
		},
	}
	return made("apps/v1", "Deployment", o.Namespace, ServiceAccount, "controller", Object{"spec": Object{
		"replicas": int64(o.Replicas),
		"selector": selector(),
		// One more comes before one goes: somebody always answers.
		"strategy": Object{"type": "RollingUpdate", "rollingUpdate": Object{"maxSurge": int64(1), "maxUnavailable": int64(0)}},
		"template": Object{"metadata": Object{"labels": labels("controller")}, "spec": pod},
	}})
}
