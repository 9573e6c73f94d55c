package heal_test

import (
	"github.com/apexlogic/apex/internal/gitops"
)

// base are the objects of an application, each a victim in the corpus.
const (
	deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: captioner, namespace: HERE, labels: {app: captioner}, annotations: {team: vision}}
spec:
  replicas: 2
  selector: {matchLabels: {app: captioner}}
  template:
    metadata: {labels: {app: captioner}}
    spec:
      serviceAccountName: captioner
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true}
      initContainers:
      - {name: fetch, image: "registry.local/fetch@sha256:1111111111111111111111111111111111111111111111111111111111111111"}
      - {name: check, image: "registry.local/check@sha256:2222222222222222222222222222222222222222222222222222222222222222"}
      containers:
      - name: app
        image: registry.local/captioner@sha256:3333333333333333333333333333333333333333333333333333333333333333
        command: [/captioner]
        args: [--model, /models/captioner.safetensors]
        env: [{name: MODE, value: caption}, {name: LEVEL, value: info}]
        ports: [{name: http, containerPort: 8080}]
        resources: {limits: {cpu: 1000m, memory: 1Gi}, requests: {cpu: 0.5}}
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
        volumeMounts: [{name: models, mountPath: /models, readOnly: true}]
        readinessProbe: {httpGet: {path: /healthz, port: http}}
      volumes:
      - {name: models, emptyDir: {}}
`
	configMap = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: HERE}
data: {mode: strict, limit: "10"}
`
	secret = `
apiVersion: v1
kind: Secret
metadata: {name: token, namespace: HERE}
type: Opaque
data: {token: c2VjcmV0}
`
	service = `
apiVersion: v1
kind: Service
metadata: {name: captioner, namespace: HERE}
spec:
  selector: {app: captioner}
  ports: [{name: http, port: 80, targetPort: http}]
`
	serviceAccount = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: captioner, namespace: HERE}
automountServiceAccountToken: false
`
	role = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: captioner, namespace: HERE}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
`
	roleBinding = `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: captioner, namespace: HERE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: captioner}
subjects: [{kind: ServiceAccount, name: captioner}]
`
	networkPolicy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: captioner, namespace: HERE}
spec:
  podSelector: {matchLabels: {app: captioner}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {app: gateway}}}], ports: [{port: 8080}]}]
`
	ingress = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: captioner, namespace: HERE}
spec:
  rules: [{host: captions.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: captioner, port: {number: 80}}}}]}}]
`
	cronJob = `
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: HERE}
spec:
  schedule: "0 3 * * *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: run, image: "registry.local/run@sha256:4444444444444444444444444444444444444444444444444444444444444444"}]}}}}
`
	job = `
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: HERE}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: run, image: "registry.local/run@sha256:4444444444444444444444444444444444444444444444444444444444444444"}]}}}
`
	pod = `
apiVersion: v1
kind: Pod
metadata: {name: probe, namespace: HERE, labels: {app: probe}}
spec: {containers: [{name: app, image: "registry.local/app@sha256:5555555555555555555555555555555555555555555555555555555555555555"}]}
`
	claim = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: cache, namespace: HERE}
spec: {accessModes: [ReadWriteOnce], storageClassName: slow, resources: {requests: {storage: 1024Mi}}}
`
	budget = `
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: captioner, namespace: HERE}
spec: {minAvailable: 1, selector: {matchLabels: {app: captioner}}}
`
	webhook = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: checks.heal.example, annotations: {cert-manager.io/inject-ca-from: shop/checks}}
webhooks:
- name: check.heal.example
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Ignore
  clientConfig: {url: "https://127.0.0.1:1/check"}
  rules: [{apiGroups: [none.example], apiVersions: [v1], operations: [CREATE], resources: [things]}]
`
	clusterRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: heal-reader}
rules: [{apiGroups: [""], resources: [nodes], verbs: [list]}]
`
	scaledDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: scaled, namespace: HERE}
spec:
  replicas: 2
  selector: {matchLabels: {app: scaled}}
  template:
    metadata: {labels: {app: scaled}}
    spec: {containers: [{name: app, image: "registry.local/scaled@sha256:6666666666666666666666666666666666666666666666666666666666666666"}]}
`
	openDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: open, namespace: HERE, annotations: {reloader.stakater.com/auto: "true"}}
spec:
  selector: {matchLabels: {app: open}}
  template:
    metadata: {labels: {app: open}}
    spec: {containers: [{name: app, image: "registry.local/open@sha256:6666666666666666666666666666666666666666666666666666666666666666"}]}
`
	autoscaler = `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: scaled, namespace: HERE}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: scaled}
  minReplicas: 1
  maxReplicas: 9
`
	balancer = `
apiVersion: v1
kind: Service
metadata: {name: balancer, namespace: HERE}
spec: {type: LoadBalancer, selector: {app: captioner}, ports: [{port: 80}]}
`
	knative = `
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: answers, namespace: HERE}
spec:
  template: {spec: {containers: [{name: app, image: "registry.local/answers@sha256:7777777777777777777777777777777777777777777777777777777777777777"}]}}
  traffic: [{latestRevision: false, revisionName: answers-00001, percent: 90}, {latestRevision: true, percent: 10}]
`
	inference = `
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: captions, namespace: HERE}
spec:
  predictor:
    minReplicas: 1
    canaryTrafficPercent: 10
    model: {modelFormat: {name: safetensors}, storageUri: "oci://registry.local/captions@sha256:8888888888888888888888888888888888888888888888888888888888888888"}
`
)

const evilImage = "registry.evil/x@sha256:9999999999999999999999999999999999999999999999999999999999999999"

var (
	podSpec   = []any{"spec", "template", "spec"}
	container = []any{"spec", "template", "spec", "containers", 0}
)

func in(prefix []any, path ...any) []any { return append(append([]any{}, prefix...), path...) }

type tamper struct {
	name   string
	victim string
	change func(map[string]any)
}

// tampers: each is done by every kind of writer.
var tampers = []tamper{
	{"an image is swapped by digest", deployment, set(evilImage, in(container, "image")...)},
	{"an image is swapped by tag", deployment, set("registry.local/captioner:latest", in(container, "image")...)},
	{"the command is changed", deployment, set([]any{"/bin/sh"}, in(container, "command")...)},
	{"an argument is added", deployment, add("--debug", in(container, "args")...)},
	{"arguments are swapped", deployment, swap(in(container, "args")...)},
	{"a variable's value is changed", deployment, set("other", in(container, "env", 0, "value")...)},
	{"a variable is added", deployment, add(object1("name", "LD_PRELOAD", "value", "/tmp/x.so"), in(container, "env")...)},
	{"a variable is put before the others", deployment, first(object1("name", "LD_PRELOAD", "value", "/tmp/x.so"), in(container, "env")...)},
	{"a variable is taken away", deployment, cut(1, in(container, "env")...)},
	{"a variable is read from elsewhere", deployment, set([]any{object1("name", "MODE", "valueFrom", object1("fieldRef", object1("fieldPath", "metadata.name"))), object1("name", "LEVEL", "value", "info")}, in(container, "env")...)},
	{"variables come from a secret", deployment, set([]any{object1("secretRef", object1("name", "other"))}, in(container, "envFrom")...)},
	{"a port is opened", deployment, add(object1("name", "debug", "containerPort", int64(2345), "protocol", "TCP"), in(container, "ports")...)},
	{"a limit is raised", deployment, set("8", in(container, "resources", "limits", "cpu")...)},
	{"a limit is added", deployment, set("2Gi", in(container, "resources", "limits", "ephemeral-storage")...)},
	{"a limit is taken away", deployment, drop(in(container, "resources", "limits", "memory")...)},
	{"a container becomes privileged", deployment, both(set(true, in(container, "securityContext", "privileged")...), set(true, in(container, "securityContext", "allowPrivilegeEscalation")...))},
	{"a capability is added", deployment, set([]any{"SYS_ADMIN"}, in(container, "securityContext", "capabilities", "add")...)},
	{"a container may run as root", deployment, set(int64(0), in(container, "securityContext", "runAsUser")...)},
	{"the Pod may run as root", deployment, set(false, in(podSpec, "securityContext", "runAsNonRoot")...)},
	{"the Pod's group is set", deployment, set(int64(0), in(podSpec, "securityContext", "fsGroup")...)},
	{"a sidecar is added", deployment, add(object1("name", "miner", "image", evilImage), in(podSpec, "containers")...)},
	{"a sidecar is put before the container", deployment, first(object1("name", "miner", "image", evilImage), in(podSpec, "containers")...)},
	{"an init container is added", deployment, add(object1("name", "seed", "image", evilImage), in(podSpec, "initContainers")...)},
	{"init containers are swapped", deployment, swap(in(podSpec, "initContainers")...)},
	{"an init container is taken away", deployment, cut(1, in(podSpec, "initContainers")...)},
	{"a volume is added", deployment, add(object1("name", "more", "emptyDir", object1()), in(podSpec, "volumes")...)},
	{"a path of the host is mounted", deployment, both(
		add(object1("name", "host", "hostPath", object1("path", "/")), in(podSpec, "volumes")...),
		add(object1("name", "host", "mountPath", "/host"), in(container, "volumeMounts")...))},
	{"a volume becomes a path of the host", deployment, set([]any{object1("name", "models", "hostPath", object1("path", "/etc"))}, in(podSpec, "volumes")...)},
	{"a volume is mounted for writing", deployment, set(false, in(container, "volumeMounts", 0, "readOnly")...)},
	{"the service account is changed", deployment, set("admin", in(podSpec, "serviceAccountName")...)},
	{"the token is mounted", deployment, drop(in(podSpec, "automountServiceAccountToken")...)},
	{"the host's network is used", deployment, set(true, in(podSpec, "hostNetwork")...)},
	{"the host's processes are seen", deployment, set(true, in(podSpec, "hostPID")...)},
	{"the node is chosen", deployment, set(object1("disk", "ssd"), in(podSpec, "nodeSelector")...)},
	{"a toleration is added", deployment, add(object1("operator", "Exists"), in(podSpec, "tolerations")...)},
	{"the runtime class is set", deployment, set("unsafe", in(podSpec, "runtimeClassName")...)},
	{"the DNS policy is changed", deployment, set("Default", in(podSpec, "dnsPolicy")...)},
	{"a host alias is added", deployment, add(object1("ip", "10.0.0.1", "hostnames", []any{"registry.local"}), in(podSpec, "hostAliases")...)},
	{"a pull secret is added", deployment, add(object1("name", "stolen"), in(podSpec, "imagePullSecrets")...)},
	{"the pull policy is changed", deployment, set("Never", in(container, "imagePullPolicy")...)},
	{"a hook runs a command", deployment, set(object1("postStart", object1("exec", object1("command", []any{"sh"}))), in(container, "lifecycle")...)},
	{"the probe is turned elsewhere", deployment, set("/other", in(container, "readinessProbe", "httpGet", "path")...)},
	{"a probe runs a command", deployment, set(object1("exec", object1("command", []any{"sh"})), in(container, "livenessProbe")...)},
	{"an annotation is added to the template", deployment, set("true", "spec", "template", "metadata", "annotations", "sidecar.istio.io/inject")},
	{"a label is added to the template", deployment, set("high", "spec", "template", "metadata", "labels", "tier")},
	{"a label is changed", deployment, set("other", "metadata", "labels", "app")},
	{"a label is added", deployment, set("low", "metadata", "labels", "apexlogic.com/criticality")},
	{"the source's label is taken away", deployment, drop("metadata", "labels", gitops.LabelSource)},
	{"the source's label is changed", deployment, set("other", "metadata", "labels", gitops.LabelSource)},
	{"an annotation of ours is changed", deployment, set("other", "metadata", "annotations", "team")},
	{"an annotation that changes behaviour is added", deployment, set("true", "metadata", "annotations", "sidecar.istio.io/inject")},
	{"an owner is planted", deployment, add(object1("apiVersion", "v1", "kind", "ConfigMap", "name", "nobody", "uid", "00000000-0000-4000-8000-000000000000"), "metadata", "ownerReferences")},
	{"a finalizer is planted", deployment, add("evil.example/hold", "metadata", "finalizers")},
	{"it is scaled to nothing", deployment, set(int64(0), "spec", "replicas")},
	{"it is paused", deployment, set(true, "spec", "paused")},
	{"its strategy is changed", deployment, set(object1("type", "Recreate"), "spec", "strategy")},
	{"its history is cut", deployment, set(int64(0), "spec", "revisionHistoryLimit")},

	{"a value is changed", configMap, set("lax", "data", "mode")},
	{"a key is added", configMap, set("x", "data", "extra")},
	{"a key is taken away", configMap, drop("data", "mode")},
	{"all keys are taken away", configMap, drop("data")},
	{"binary data is added", configMap, set(object1("blob", "AAAA"), "binaryData")},
	{"a secret's value is changed", secret, set("b3RoZXI=", "data", "token")},
	{"a secret's key is added", secret, set("b3RoZXI=", "data", "extra")},

	{"a service selects other Pods", service, set("evil", "spec", "selector", "app")},
	{"a service selects fewer Pods", service, set("canary", "spec", "selector", "track")},
	{"a service is opened on all nodes", service, set("NodePort", "spec", "type")},
	{"a service takes an outside address", service, set([]any{"203.0.113.7"}, "spec", "externalIPs")},
	{"a service's port leads elsewhere", service, set(int64(2345), "spec", "ports", 0, "targetPort")},
	{"a service gets a port", service, add(object1("name", "debug", "port", int64(2345), "targetPort", int64(2345), "protocol", "TCP"), "spec", "ports")},
	{"a service keeps its callers", service, set("ClientIP", "spec", "sessionAffinity")},

	{"an account's token is mounted", serviceAccount, set(true, "automountServiceAccountToken")},
	{"an account gets a pull secret", serviceAccount, add(object1("name", "stolen"), "imagePullSecrets")},
	{"a role gets a rule", role, add(object1("apiGroups", []any{"*"}, "resources", []any{"*"}, "verbs", []any{"*"}), "rules")},
	{"a role gets a rule before the others", role, first(object1("apiGroups", []any{"*"}, "resources", []any{"*"}, "verbs", []any{"*"}), "rules")},
	{"a role's rule gets a verb", role, add("delete", "rules", 0, "verbs")},
	{"a role's rules are taken away", role, set([]any{}, "rules")},
	{"a cluster role gets a rule", clusterRole, add(object1("apiGroups", []any{""}, "resources", []any{"secrets"}, "verbs", []any{"get"}), "rules")},
	{"a binding gets a subject", roleBinding, add(object1("kind", "User", "name", "mallory", "apiGroup", "rbac.authorization.k8s.io"), "subjects")},
	{"a binding's subject is swapped", roleBinding, set("other", "subjects", 0, "name")},

	{"a network policy lets everybody in", networkPolicy, add(object1(), "spec", "ingress")},
	{"a network policy's peer gets wider", networkPolicy, set(object1(), "spec", "ingress", 0, "from", 0, "podSelector")},
	{"a network policy's ports are opened", networkPolicy, drop("spec", "ingress", 0, "ports")},
	{"a network policy lets everything out", networkPolicy, set([]any{object1()}, "spec", "egress")},
	{"a network policy selects nothing", networkPolicy, set("none", "spec", "podSelector", "matchLabels", "app")},

	{"an ingress leads elsewhere", ingress, set("other", "spec", "rules", 0, "http", "paths", 0, "backend", "service", "name")},
	{"an ingress gets a host", ingress, add(object1("host", "evil.example"), "spec", "rules")},
	{"an ingress gets a default", ingress, set(object1("service", object1("name", "x", "port", object1("number", int64(1)))), "spec", "defaultBackend")},
	{"an ingress gets a snippet", ingress, set("return 301 https://evil.example;", "metadata", "annotations", "nginx.ingress.kubernetes.io/configuration-snippet")},

	{"a schedule is changed", cronJob, set("* * * * *", "spec", "schedule")},
	{"a schedule is suspended", cronJob, set(true, "spec", "suspend")},
	{"a scheduled image is swapped", cronJob, set(evilImage, "spec", "jobTemplate", "spec", "template", "spec", "containers", 0, "image")},
	{"a scheduled sidecar is added", cronJob, add(object1("name", "miner", "image", evilImage), "spec", "jobTemplate", "spec", "template", "spec", "containers")},
	{"a job is suspended", job, set(true, "spec", "suspend")},
	{"a Pod's image is swapped", pod, set(evilImage, "spec", "containers", 0, "image")},
	{"a Pod's toleration is added", pod, add(object1("operator", "Exists"), "spec", "tolerations")},
	{"a budget is raised", budget, set(int64(0), "spec", "minAvailable")},
	{"a claim gets a label", claim, set("x", "metadata", "labels", "team")},

	{"a webhook is turned off", webhook, set([]any{}, "webhooks")},
	{"a webhook is added", webhook, add(object1("name", "evil.heal.example", "admissionReviewVersions", []any{"v1"}, "sideEffects", "None", "failurePolicy", "Ignore",
		"clientConfig", object1("url", "https://127.0.0.1:1/steal"), "rules", []any{object1("apiGroups", []any{"none.example"}, "apiVersions", []any{"v1"}, "operations", []any{"CREATE"}, "resources", []any{"things"})}), "webhooks")},
	{"a webhook asks somebody else", webhook, set("https://127.0.0.1:2/check", "webhooks", 0, "clientConfig", "url")},
	{"a webhook leaves namespaces out", webhook, set(object1("matchLabels", object1("a", "b")), "webhooks", 0, "namespaceSelector")},
	{"a webhook trusts another authority", webhook, set("LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K", "webhooks", 0, "clientConfig", "caBundle")},

	{"Knative's traffic is turned", knative, set([]any{object1("latestRevision", true, "percent", int64(100))}, "spec", "traffic")},
	{"Knative's traffic gets a tag", knative, set("evil", "spec", "traffic", 0, "tag")},
	{"Knative's image is swapped", knative, set(evilImage, in(container, "image")...)},
	{"Knative's sidecar is added", knative, add(object1("name", "miner", "image", evilImage), in(podSpec, "containers")...)},
	{"Knative's visibility is changed", knative, set("cluster-local", "metadata", "labels", "networking.knative.dev/visibility")},
	{"Knative's scale is changed", knative, set("100", "spec", "template", "metadata", "annotations", "autoscaling.knative.dev/min-scale")},

	{"KServe's model is swapped", inference, set("s3://evil/model", "spec", "predictor", "model", "storageUri")},
	{"KServe's canary is turned up", inference, set(int64(100), "spec", "predictor", "canaryTrafficPercent")},
	{"KServe's container is added", inference, add(object1("name", "miner", "image", evilImage), "spec", "predictor", "containers")},
	{"KServe gets a transformer", inference, set(object1("containers", []any{object1("name", "t", "image", evilImage)}), "spec", "transformer")},
	{"KServe's runtime is chosen", inference, set("evil-runtime", "spec", "predictor", "model", "runtime")},
}

// writers is everybody who tampers.
var writers = []writer{
	{"evil-controller", "Update", ""},
	{"kubectl-edit", "Update", ""},
	{gitops.FieldManager, "Update", ""},
	{gitops.FieldManager, "Apply", ""},
	{"evil-controller", "Wipe", ""},
}
