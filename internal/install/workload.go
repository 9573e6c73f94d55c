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

func service(o *Options) Object {
	return made("v1", "Service", o.Namespace, Service, "controller", Object{"spec": Object{
		"selector": labels("controller"),
		"ports":    []any{Object{"name": "webhook", "port": int64(443), "targetPort": "webhook", "protocol": "TCP"}},
	}})
}

// disruptionBudget keeps one replica answering while nodes are emptied.
func disruptionBudget(o *Options) Object { return budget(o, "controller", Service) }

func budget(o *Options, component, name string) Object {
	return made("policy/v1", "PodDisruptionBudget", o.Namespace, name, component, Object{"spec": Object{
		"maxUnavailable": int64(1), "selector": Object{"matchLabels": labels(component)}, "unhealthyPodEvictionPolicy": "AlwaysAllow",
	}})
}

func networkPolicy(o *Options) Object {
	return reachable(o, "controller", Service, webhookPort, healthPort) // API servers and kubelets are no pods: no selector names them
}

// reachable is the NetworkPolicy that lets in what asks, and out to everything but
// the addresses by which clouds hand out a node's credentials.
func reachable(o *Options, component, name string, ports ...int64) Object {
	port := func(protocol string, number int64) any { return Object{"protocol": protocol, "port": number} }
	in := make([]any, len(ports))
	for i, number := range ports {
		in[i] = port("TCP", number)
	}
	return made("networking.k8s.io/v1", "NetworkPolicy", o.Namespace, name, component, Object{"spec": Object{
		"podSelector": Object{"matchLabels": labels(component)},
		"policyTypes": texts("Ingress", "Egress"),
		"ingress":     []any{Object{"ports": in}},
		"egress": []any{
			Object{"ports": []any{port("UDP", 53), port("TCP", 53)}}, // also at a node's own address
			Object{"to": []any{
				Object{"ipBlock": Object{"cidr": "0.0.0.0/0", "except": texts("169.254.0.0/16")}},
				Object{"ipBlock": Object{"cidr": "::/0", "except": texts("fd00:ec2::254/128", "fe80::/10")}},
			}},
		},
	}})
}

// statefulSet is the controller. Replicas share nothing but the cluster.
func statefulSet(o *Options) Object {
	w := workload{
		component: "controller", account: ServiceAccount, service: Service, replicas: int64(o.Replicas),
		args: []string{"controller", "--namespace", o.Namespace, "--service", Service,
			"--webhook-address", ":9443", "--health-address", ":8081", "--state", "/var/lib/apex"},
		env: []any{Object{"name": "DOCKER_CONFIG", "value": "/etc/apex/registry"}},
		ports: []any{
			Object{"name": "webhook", "containerPort": webhookPort, "protocol": "TCP"},
			Object{"name": "health", "containerPort": healthPort, "protocol": "TCP"},
		},
		alive: Object{"path": "/healthz", "port": "health", "scheme": "HTTP"}, ready: Object{"path": "/readyz", "port": "health", "scheme": "HTTP"},
		grace: 30, size: o.StorageSize,
		mounts:  []any{Object{"name": "registry", "mountPath": "/etc/apex/registry", "readOnly": true}},
		volumes: []any{registryCredentials()},
	}
	return w.set(o)
}
