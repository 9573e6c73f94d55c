// Package install puts Apex into a cluster, and takes it out again.
//
// Start with [Objects], everything that is installed as plain objects in the
// order in which they are applied. [Apply] applies them, [Export] prints them,
// [Chart] writes the same objects as a Helm chart, and [Remove] takes Apex out.
//
// The webhook configurations are not among the objects. The controller writes
// them once its certificate exists: a webhook that fails closed and that nothing
// answers would hold up the cluster until somebody notices.
//
// Sources: KEP-555 (server-side apply), Pod Security Standards (restricted),
// RBAC good practices of the Kubernetes documentation, Helm's chart format v2.
package install

//go:generate go run ./chartgen ../../config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/apexlogic/apex/config/crd"
)

// The names of what is installed.
const (
	Namespace      = "apex-system"     // unless [Options] say otherwise
	Service        = "apex"            // in front of the webhook
	ServiceAccount = "apex-controller" // of the controller, which is the webhook, too
	Priority       = "apex-critical"
	// SourceAccount is the ServiceAccount that a GitSource writes as, in each
	// namespace that binds the ClusterRole of the same name.
	SourceAccount = "apex-source"
	// WatchedLabel marks the ClusterRoles whose rules the controller gets: what
	// it may read to see drift.
	WatchedLabel = "apexlogic.com/watched"
)

// Options say what is installed.
type Options struct {
	// Namespace of Apex's own objects. Default: [Namespace].
	Namespace string
	// Image of Apex, by digest: "registry/repository@sha256:…".
	Image string
	// Replicas of the controller, at least 1. Default: 2.
	Replicas int
	// Actions are the namespaces in which Apex may act about what no longer
	// complies, "*" alone for all of them. It gets the rights for that there and
	// nowhere else. Default: none, so that violations are reported only.
	Actions []string
	// StorageSize and StorageClass are of the volume that each replica keeps its
	// ledger on. Default: 8Gi of the cluster's default class.
	StorageSize, StorageClass string
	// Ephemeral keeps the ledger in the Pod instead, and loses it with the Pod:
	// for trials.
	Ephemeral bool
	// Users and Groups may change Apex afterwards, besides the controller itself:
	// the API server denies everybody else. Default: the groups of administrators
	// that Kubernetes and kubeadm make.
	Users, Groups []string
	// Gateway says whether a gateway is installed as well.
	Gateway Gateway
}

// Administrators are the groups that may change Apex unless [Options] name
// others.
func Administrators() []string { return []string{"system:masters", "kubeadm:cluster-admins"} }

// The limits of what [Options] hold.
const (
	maxReplicas  = 16  // each keeps a verdict cache of its own: more only cost
	maxOperators = 64  // they are written into one CEL expression
	maxName      = 253 // of a user or group
	maxActions   = 256 // namespaces; whoever has more means all of them
)

var (
	byDigest  = `^[a-zA-Z0-9][a-zA-Z0-9._:/-]{0,511}@sha256:[0-9a-f]{64}$`
	dnsLabel  = `^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`
	dnsName   = `^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`
	quantity  = `^[1-9][0-9]{0,8}(Ki|Mi|Gi|Ti|k|M|G|T)?$`
	errNoText = errors.New("is empty, too long or holds control characters")
)

// complete fills in the defaults and refuses what cannot be installed.
func (o *Options) complete() error {
	if o.Namespace == "" {
		o.Namespace = Namespace
	}
	if o.Replicas == 0 {
		o.Replicas = 2
	}
	if o.StorageSize == "" {
		o.StorageSize = "8Gi"
	}
	if len(o.Users)+len(o.Groups) == 0 {
		o.Groups = Administrators()
	}
	switch {
	case !matches(dnsLabel, o.Namespace) || strings.HasPrefix(o.Namespace, "kube-") || o.Namespace == "default":
		return fmt.Errorf("namespace %q: Apex needs one of its own, a DNS label that does not begin with kube-", o.Namespace)
	case o.Image == "":
		return errors.New("no image is given: name the image of Apex by digest, registry/repository@sha256:…")
	case !matches(byDigest, o.Image):
		return fmt.Errorf("image %q: name it by digest, registry/repository@sha256:…; a tag may be another image tomorrow", o.Image)
	case o.Replicas < 1 || o.Replicas > maxReplicas:
		return fmt.Errorf("replicas is %d: between 1 and %d are possible", o.Replicas, maxReplicas)
	case !matches(quantity, o.StorageSize):
		return fmt.Errorf("storage of the size %q: write a number of bytes, for example 8Gi", o.StorageSize)
	case o.StorageClass != "" && !matches(dnsName, o.StorageClass):
		return fmt.Errorf("storage of the class %q: name a StorageClass of the cluster", o.StorageClass)
	case len(o.Actions) > maxActions:
		return fmt.Errorf("actions in %d namespaces: at most %d can be named, \"*\" means all", len(o.Actions), maxActions)
	case len(o.Actions) > 1 && slices.Contains(o.Actions, "*"):
		return errors.New("actions in \"*\" and in namespaces: \"*\" alone means all")
	case len(o.Users)+len(o.Groups) > maxOperators:
		return fmt.Errorf("%d users and groups may change Apex: at most %d are possible, name a group", len(o.Users)+len(o.Groups), maxOperators)
	}
	if err := o.Gateway.complete(); err != nil {
		return err
	}
	o.Actions = slices.Compact(slices.Sorted(slices.Values(o.Actions)))
	for _, name := range o.Actions {
		if name != "*" && !matches(dnsLabel, name) {
			return fmt.Errorf("actions in the namespace %q: that is no name of one", name)
		}
	}
	for _, name := range slices.Concat(o.Users, o.Groups) {
		if name == "" || len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("user or group %q %w", name, errNoText)
		}
	}
	return nil
}

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

// Object is one object as it is applied. Nobody changes it.
type Object = map[string]any

// Objects returns everything that is installed, in the order in which it is
// applied. The same options give the same objects. The error says which option
// cannot be.
func Objects(o Options) ([]Object, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	return everything(&o)
}

// everything is what complete options ask for.
func everything(o *Options) ([]Object, error) {
	definitions, err := Definitions()
	if err != nil {
		return nil, err
	}
	return slices.Concat(
		[]Object{namespace(o), priorityClass()},
		definitions,
		rights(o),
		[]Object{networkPolicy(o), service(o), disruptionBudget(o), statefulSet(o)},
		gatewayObjects(o),
		protection(o), // last: it lets the controller write, and those who install
	), nil
}

// Definitions returns the CustomResourceDefinitions of Apex's kinds, by name.
func Definitions() ([]Object, error) {
	files, err := crd.Definitions.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var all []Object
	for _, f := range files {
		data, err := crd.Definitions.ReadFile(f.Name())
		if err != nil {
			return nil, err
		}
		var o Object
		if err := yaml.Unmarshal(data, &o); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		metadata, _ := o["metadata"].(Object)
		if o["kind"] != "CustomResourceDefinition" || metadata == nil {
			return nil, fmt.Errorf("%s is no CustomResourceDefinition", f.Name())
		}
		metadata["labels"] = labels("definitions")
		all = append(all, o)
	}
	return all, nil
}

// Export writes the objects as YAML documents.
func Export(w io.Writer, objects []Object) error {
	var b bytes.Buffer
	for _, o := range objects {
		data, err := yaml.Marshal(o)
		if err != nil {
			return fmt.Errorf("%s: %w", called(o), err)
		}
		b.WriteString("---\n")
		b.Write(data)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// called returns "Kind namespace/name".
func called(o Object) string {
	metadata, _ := o["metadata"].(Object)
	name := fmt.Sprint(metadata["name"])
	if in, ok := metadata["namespace"].(string); ok {
		name = in + "/" + name
	}
	return fmt.Sprint(o["kind"]) + " " + name
}

func labels(component string) Object {
	return Object{"app.kubernetes.io/name": "apex", "app.kubernetes.io/component": component}
}

// made returns an object with a name. An empty namespace is for what is
// cluster-scoped.
func made(apiVersion, kind, namespace, name, component string, rest Object) Object {
	metadata := Object{"name": name, "labels": labels(component)}
	if namespace != "" {
		metadata["namespace"] = namespace
	}
	o := Object{"apiVersion": apiVersion, "kind": kind, "metadata": metadata}
	for key, value := range rest {
		o[key] = value
	}
	return o
}

func texts(all ...string) []any {
	out := make([]any, len(all))
	for i, text := range all {
		out[i] = text
	}
	return out
}
