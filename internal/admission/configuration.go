package admission

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// The names of what [Configuration] and [Protection] return.
const (
	ConfigurationName = "apex.admission.apexlogic.com" // of both webhook configurations
	ProtectionName    = "apex-protects-itself.apexlogic.com"
)

// The names of the webhooks. An API server puts them in front of its messages
// and of the keys in its audit log.
const (
	WebhookPins      = "pins.admission.apexlogic.com"
	WebhookWorkloads = "workloads.admission.apexlogic.com"
	WebhookOthers    = "others.admission.apexlogic.com"
	WebhookGuard     = "guard.admission.apexlogic.com"
)

// Webhooks say where API servers find the handler, and what is left alone.
type Webhooks struct {
	// Service in front of the handler; its zero value: URL.
	Service Service
	// URL of a handler outside of the cluster, for example
	// "https://192.0.2.1:8443", without a path.
	URL string
	// CABundle is the authorities that the handler's certificate is verified by
	// (PEM). It is replaced when they rotate.
	CABundle []byte
	// Namespace that Apex itself runs in: it is not asked about, because nothing
	// could start Apex while no Apex answers.
	Namespace string
	// Exempt are further namespaces that are not asked about. kube-system always
	// is one: a cluster that cannot start its network cannot start Apex. They are
	// exempt by name, so that nobody labels a namespace out of the policies.
	Exempt []string
	// GuardLabel marks the objects that /guard is asked about; "": none.
	GuardLabel string
}

// Service is a Service of the cluster. Port 0 is 443.
type Service struct {
	Namespace, Name string
	Port            int32
}

// timeout of a call, in seconds. It is longer than [Options.Deadline], so that
// it is always Apex that answers.
const timeout = 10

// Configuration returns the MutatingWebhookConfiguration and the
// ValidatingWebhookConfiguration, in this order, as they are applied. Each call
// makes them anew.
//
// All webhooks fail closed. API servers do not ask any webhook about these two
// objects themselves: who may write them is a matter of RBAC, and of the
// controller, which puts back what somebody else writes.
func Configuration(w Webhooks) []map[string]any {
	names := []string{"kube-system", w.Namespace}
	names = append(names, w.Exempt...)
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
	notExempt := expression("kubernetes.io/metadata.name", "NotIn", names...)

	workloads := map[string]any{
		"name":              WebhookWorkloads,
		"rules":             workloadRules(),
		"namespaceSelector": selector(notExempt),
		"sideEffects":       "NoneOnDryRun", // verdicts are recorded
	}
	// Kinds that we do not know are judged by what is in them, where a namespace
	// asks for it: there, an outage of Apex stops all writes of such kinds.
	others := map[string]any{
		"name":              WebhookOthers,
		"rules":             []any{rule("Namespaced", []string{"*"}, []string{"*"}, "CREATE", "UPDATE")},
		"namespaceSelector": selector(notExempt, expression(EnforceLabel, "In", "true")),
		"sideEffects":       "NoneOnDryRun",
		"matchConditions": []any{
			map[string]any{"name": "a-custom-kind", "expression": `request.resource.group.contains(".") && !request.resource.group.endsWith(".k8s.io")`},
			map[string]any{"name": "a-kind-without-a-rule", "expression": `!((request.resource.group + "/" + request.resource.resource) in ` + celList(customWorkloads()) + `) && request.resource.group != "` + ownGroup + `"`},
		},
	}
	validating := []any{w.webhook(workloads, PathValidate), w.webhook(others, PathValidate)}
	if w.GuardLabel != "" {
		guarded := rule("*", []string{"*"}, []string{"*/*"}, "CREATE", "UPDATE", "DELETE")
		validating = append(validating, w.webhook(map[string]any{
			"name":              WebhookGuard,
			"rules":             []any{guarded},
			"namespaceSelector": selector(notExempt),
			"objectSelector":    selector(map[string]any{"key": w.GuardLabel, "operator": "Exists"}), // before or after the write
			"sideEffects":       "None",
		}, PathGuard))
	}
	pins := w.webhook(map[string]any{
		"name":               WebhookPins,
		"rules":              pinRules(),
		"namespaceSelector":  selector(notExempt),
		"sideEffects":        "None",
		"reinvocationPolicy": "IfNeeded", // other webhooks add containers
	}, PathMutate)
	return []map[string]any{
		object("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", ConfigurationName, "webhooks", []any{pins}),
		object("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", ConfigurationName, "webhooks", validating),
	}
}

// webhook completes one with what they all share.
func (w *Webhooks) webhook(hook map[string]any, path string) map[string]any {
	client := map[string]any{}
	if len(w.CABundle) > 0 {
		client["caBundle"] = base64.StdEncoding.EncodeToString(w.CABundle)
	}
	if w.Service.Name == "" {
		client["url"] = strings.TrimSuffix(w.URL, "/") + path
	} else {
		port := int64(w.Service.Port)
		if port == 0 {
			port = 443
		}
		client["service"] = map[string]any{"namespace": w.Service.Namespace, "name": w.Service.Name, "path": path, "port": port}
	}
	hook["clientConfig"] = client
	hook["admissionReviewVersions"] = []any{"v1"}
	hook["failurePolicy"] = "Fail"
	hook["matchPolicy"] = "Equivalent" // the same object under another version is the same object
	hook["timeoutSeconds"] = int64(timeout)
	return hook
}

// workload is a group's resources that hold pods, images or models. They are
// those of package manifest's table, by their plural.
type workload struct {
	group     string
	resources string // separated by spaces
}

func workloads() []workload {
	return []workload{
		{"", "pods pods/ephemeralcontainers podtemplates replicationcontrollers"},
		{"apps", "deployments statefulsets daemonsets replicasets"},
		{"batch", "jobs cronjobs"},
		{"apps.openshift.io", "deploymentconfigs"},
		{"serving.knative.dev", "services configurations revisions"},
		{"sources.knative.dev", "containersources"},
		{"serving.kserve.io", "inferenceservices llminferenceservices llminferenceserviceconfigs servingruntimes clusterservingruntimes clusterstoragecontainers trainedmodels localmodelcaches localmodelnamespacecaches clusterlocalmodels localmodelnodes"},
		{"argoproj.io", "workflows workflowtemplates clusterworkflowtemplates cronworkflows rollouts experiments analysistemplates clusteranalysistemplates analysisruns"},
		{"tekton.dev", "tasks clustertasks stepactions taskruns pipelines pipelineruns"},
		{"ray.io", "rayclusters rayjobs rayservices"},
		{"kubeflow.org", "tfjobs pytorchjobs mpijobs xgboostjobs paddlejobs jaxjobs mxjobs notebooks"},
		{"trainer.kubeflow.org", "trainjobs trainingruntimes clustertrainingruntimes"},
		{"jobset.x-k8s.io", "jobsets"},
		{"leaderworkerset.x-k8s.io", "leaderworkersets"},
		{"batch.volcano.sh", "jobs"},
		{"sparkoperator.k8s.io", "sparkapplications scheduledsparkapplications"},
		{"keda.sh", "scaledjobs"},
		{"kubevirt.io", "virtualmachines virtualmachineinstances virtualmachineinstancereplicasets"},
		{"pool.kubevirt.io", "virtualmachinepools"},
		{"cdi.kubevirt.io", "datavolumes dataimportcrons"},
		{"pkg.crossplane.io", "providers configurations functions providerrevisions configurationrevisions functionrevisions deploymentruntimeconfigs"},
		{"openfaas.com", "functions"},
		{"nuclio.io", "nucliofunctions functions"},
		{"fission.io", "environments functions packages"},
	}
}

func workloadRules() []any {
	rules := pinRules()
	return append(rules, rule("Cluster", []string{ownGroup}, []string{"*"}, "CREATE", "UPDATE"))
}

func pinRules() []any {
	var rules []any
	for _, w := range workloads() {
		rules = append(rules, rule("*", []string{w.group}, strings.Fields(w.resources), "CREATE", "UPDATE"))
	}
	return rules
}

// customWorkloads are the resources that have a rule, as "group/resource".
func customWorkloads() []string {
	var all []string
	for _, w := range workloads() {
		if !strings.Contains(w.group, ".") {
			continue // the other condition leaves it out
		}
		for resource := range strings.FieldsSeq(w.resources) {
			all = append(all, w.group+"/"+resource)
		}
	}
	return all
}

func rule(scope string, groups, resources []string, operations ...string) map[string]any {
	return map[string]any{
		"apiGroups": list(groups...), "apiVersions": list("*"), "resources": list(resources...),
		"operations": list(operations...), "scope": scope,
	}
}

func selector(expressions ...map[string]any) map[string]any {
	all := make([]any, len(expressions))
	for i, e := range expressions {
		all[i] = e
	}
	return map[string]any{"matchExpressions": all}
}

func expression(key, operator string, values ...string) map[string]any {
	return map[string]any{"key": key, "operator": operator, "values": list(values...)}
}

func list(texts ...string) []any {
	all := make([]any, len(texts))
	for i, text := range texts {
		all[i] = text
	}
	return all
}

func object(apiVersion, kind, name, key string, value any) map[string]any {
	return map[string]any{
		"apiVersion": apiVersion, "kind": kind,
		"metadata": map[string]any{"name": name, "labels": map[string]any{"app.kubernetes.io/name": "apex", "app.kubernetes.io/component": "admission"}},
		key:        value,
	}
}

// Protection returns a ValidatingAdmissionPolicy and its binding, by which the
// API server itself, also while no Apex answers, denies what would take Apex
// out of the way: writes in Apex's namespace and of the definitions of its kinds,
// and taking [EnforceLabel] off a namespace. users and groups may: Apex's own
// ServiceAccount, and those who install it. The cluster's controllers may, too.
//
// It cannot protect admission configurations, its own included: API servers
// leave those to RBAC, so that nobody locks a cluster for good.
func Protection(namespace string, users, groups []string) []map[string]any {
	groups = append(ControllerGroups(), groups...)
	users = append(slices.Clone(controllerUsers), users...)
	trusted := fmt.Sprintf("request.userInfo.username in %s || request.userInfo.groups.exists(g, g in %s)", celList(users), celList(groups))
	const marked = `(has(oldObject.metadata.labels) && %[1]q in oldObject.metadata.labels && oldObject.metadata.labels[%[1]q] == "true")`
	const stays = `(has(object.metadata.labels) && %[1]q in object.metadata.labels && object.metadata.labels[%[1]q] == "true")`
	spec := map[string]any{
		"failurePolicy": "Fail",
		"matchConstraints": map[string]any{
			"matchPolicy": "Equivalent",
			"resourceRules": []any{
				rule("Namespaced", []string{"*"}, []string{"*"}, "CREATE", "UPDATE", "DELETE"),
				rule("Cluster", []string{""}, []string{"namespaces"}, "UPDATE", "DELETE"),
				rule("Cluster", []string{"apiextensions.k8s.io"}, []string{"customresourcedefinitions"}, "UPDATE", "DELETE"),
			},
		},
		"matchConditions": []any{
			map[string]any{"name": "ours", "expression": fmt.Sprintf(
				`request.namespace == %[1]q || request.resource.resource == "namespaces" || request.resource.resource == "customresourcedefinitions" && request.name.endsWith(%[2]q)`,
				namespace, "."+ownGroup)},
			map[string]any{"name": "not-by-those-who-may", "expression": "!(" + trusted + ")"},
		},
		"validations": []any{
			map[string]any{
				"expression": fmt.Sprintf(`request.resource.resource == "namespaces" && request.name != %q`, namespace),
				"message":    "this is part of Apex: it is changed by those who install it, with apex install",
				"reason":     "Forbidden",
			},
			map[string]any{
				"expression": fmt.Sprintf(`request.resource.resource != "namespaces" || request.operation != "UPDATE" || !`+marked+` || `+stays, EnforceLabel),
				"message":    "the namespace is marked " + EnforceLabel + ": the mark is taken off by those who install Apex",
				"reason":     "Forbidden",
			},
		},
	}
	binding := map[string]any{"policyName": ProtectionName, "validationActions": list("Deny", "Audit")}
	return []map[string]any{
		object("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", ProtectionName, "spec", spec),
		object("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", ProtectionName, "spec", binding),
	}
}

// celList writes texts as a list of CEL.
func celList(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = fmt.Sprintf("%q", text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
