// Package kubernetes reads what manifests declare about functions and their
// rights: RBAC, service accounts, workloads and the kinds that serve without a
// server (Knative, KServe, KEDA, Fission, Nuclio, OpenFaaS).
//
// Start at [NewFolder]: a folder's manifests are one unit, because a binding
// refers to a role by its name.
//
// Source: the API references of Kubernetes, Knative Serving v1, KServe v1beta1,
// KEDA v1alpha1, Fission v1 and Nuclio v1beta1.
package kubernetes

import (
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/openfaas"
	"github.com/apexlogic/apex/internal/function/stack"
)

const (
	maxObjects = 20_000    // of one folder
	maxNested  = 5         // lists of lists
	maxWays    = 5         // ways into one workload that are named
	maxJoins   = 2_000_000 // services that are held against workloads
)

// gatewayLabel says that every way into a workload passes the Apex gateway.
const gatewayLabel = "security.apexlogic.com/gateway"

// Is says whether a document is a manifest, by its content.
func Is(doc *node.Node) bool {
	return doc.Get("apiVersion").IsScalar() && doc.Get("kind").IsScalar()
}

// Folder gathers the manifests of one folder.
type Folder struct {
	stack     *stack.Stack
	accounts  map[string]int
	objects   int
	exposures map[string][]stack.Exposure // Ingresses, by "namespace/service"
	services  map[string][]service        // by namespace
}

// service is a Service and the pods that it selects.
type service struct {
	stack.Where
	name     string
	selector map[string]string
	outside  bool // LoadBalancer, NodePort
}

// NewFolder starts the unit of a folder.
func NewFolder(dir string) *Folder {
	return &Folder{stack: &stack.Stack{Unit: stack.Kubernetes, Root: dir}, accounts: map[string]int{},
		exposures: map[string][]stack.Exposure{}, services: map[string][]service{}}
}

// Add takes one document: an object, or a List of objects.
func (f *Folder) Add(doc *node.Node) { f.add(doc, 0) }

func (f *Folder) add(doc *node.Node, depth int) {
	if !doc.IsMap() {
		return
	}
	if items := doc.Get("items"); items.IsList() && strings.HasSuffix(doc.Get("kind").Text(), "List") && depth < maxNested {
		for _, item := range items.Items {
			f.add(item, depth+1)
		}
		return
	}
	if f.objects++; f.objects > maxObjects {
		if f.objects == maxObjects+1 {
			f.gap(doc.Where, "more objects than any folder has: the rest was not read")
		}
		return
	}
	group, _, _ := strings.Cut(doc.Get("apiVersion").Text(), "/")
	if !strings.Contains(doc.Get("apiVersion").Text(), "/") {
		group = ""
	}
	f.object(group, doc.Get("kind").Text(), doc)
}

func (f *Folder) gap(at stack.Where, why string) {
	if len(f.stack.Gaps) < node.MaxGaps {
		f.stack.Gaps = append(f.stack.Gaps, stack.Gap{Where: at, Why: why})
	}
}

// Stack returns what was gathered. The folder is not used afterwards.
func (f *Folder) Stack() *stack.Stack {
	f.expose()
	return f.stack
}

// namespaceOf is where a namespaced object lives.
func namespaceOf(doc *node.Node) string {
	if ns := doc.Get("metadata", "namespace"); ns.IsScalar() && ns.Str != "" {
		return ns.Value().Value
	}
	return "default"
}

func nameOf(doc *node.Node) string {
	if n := doc.Get("metadata", "name"); n.IsScalar() {
		return n.Value().Value
	}
	return doc.Get("metadata", "generateName").Value().Value
}

// object takes one object by its kind.
func (f *Folder) object(group, kind string, doc *node.Node) {
	switch group {
	case "rbac.authorization.k8s.io", "authorization.openshift.io":
		f.rbac(kind, doc)
		return
	case "serving.knative.dev":
		f.knative(kind, doc)
		return
	case "serving.kserve.io":
		f.kserve(kind, doc)
		return
	case "openfaas.com":
		if kind == "Function" {
			fn := openfaas.Function(doc)
			fn.ID = kind + " " + namespaceOf(doc) + "/" + nameOf(doc)
			f.stack.Functions = append(f.stack.Functions, fn)
		}
		return
	case "fission.io":
		f.fission(kind, doc)
		return
	case "nuclio.io":
		f.nuclio(kind, doc)
		return
	}
	switch kind {
	case "ServiceAccount":
		a := f.account(namespaceOf(doc), nameOf(doc), doc.Where)
		a.Where = doc.Where
		if v, known := doc.Get("automountServiceAccountToken").True(); known {
			a.AutomountToken = &v
		}
	case "Pod":
		f.workload(kind, doc, doc)
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "DeploymentConfig", "Rollout":
		f.workload(kind, doc, doc.Get("spec", "template"))
	case "CronJob":
		f.workload(kind, doc, doc.Get("spec", "jobTemplate", "spec", "template"))
	case "ScaledJob":
		f.workload(kind, doc, doc.Get("spec", "jobTargetRef", "template"))
	case "Ingress":
		f.ingress(doc)
	case "Service":
		f.service(doc)
	}
}

// account returns an account of the folder, made when it is only mentioned. The
// pointer is good until the next call.
func (f *Folder) account(namespace, name string, at stack.Where) *stack.Account {
	id := namespace + "/" + name
	i, ok := f.accounts[id]
	if !ok {
		i = len(f.stack.Accounts)
		f.stack.Accounts = append(f.stack.Accounts, stack.Account{Where: at, Namespace: namespace, Name: name})
		f.accounts[id] = i
	}
	return &f.stack.Accounts[i]
}

// rbac takes roles and bindings.
func (f *Folder) rbac(kind string, doc *node.Node) {
	at := doc.Where
	switch kind {
	case "Role", "ClusterRole":
		r := stack.RBACRole{Where: at, Name: nameOf(doc), Aggregates: doc.Has("aggregationRule")}
		if kind == "Role" {
			r.Namespace = namespaceOf(doc)
		}
		for _, rule := range doc.Get("rules").All() {
			if !rule.IsMap() {
				continue
			}
			r.Rules = append(r.Rules, stack.RBACRule{Where: rule.Where, Verbs: shown(rule.Get("verbs")), Groups: shown(rule.Get("apiGroups")),
				Resources: shown(rule.Get("resources")), Names: shown(rule.Get("resourceNames")), URLs: shown(rule.Get("nonResourceURLs"))})
		}
		f.stack.Roles = append(f.stack.Roles, r)
	case "RoleBinding", "ClusterRoleBinding":
		b := stack.RBACBinding{Where: at, Name: nameOf(doc), Role: doc.Get("roleRef", "name").Value().Value,
			ClusterRole: doc.Get("roleRef", "kind").Text() == "ClusterRole"}
		if kind == "RoleBinding" {
			b.Namespace = namespaceOf(doc)
		}
		for _, s := range doc.Get("subjects").All() {
			if s.IsMap() {
				b.Subjects = append(b.Subjects, stack.RBACSubject{Kind: s.Get("kind").Value().Value, Namespace: s.Get("namespace").Value().Value, Name: s.Get("name").Value().Value})
			}
		}
		f.stack.Bindings = append(f.stack.Bindings, b)
	}
}

// shown are the texts of a list.
func shown(n *node.Node) []string {
	var out []string
	for _, item := range n.All() {
		if item.IsScalar() {
			out = append(out, item.Value().Value)
		}
	}
	return out
}
