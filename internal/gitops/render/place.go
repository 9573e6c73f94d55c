package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// TagsAnnotation keeps what the references of an object said before they were
// pinned: a JSON object from "host/path:tag" to the digest. Nothing judges it.
const TagsAnnotation = "apexlogic.com/tags"

// place checks every object and puts it into its namespace.
func (r *renderer) place() {
	crds := declared(r.items)
	for i := range r.items {
		it := &r.items[i]
		p := placement{it: it, o: &r.o}
		p.object()
		if len(p.reasons) == 0 {
			p.namespace(crds)
		}
		it.where.Object = ""
		r.reject(p.reasons...)
		if len(r.reasons) >= maxReasons {
			return
		}
	}
}

// placement is one object while it is checked.
type placement struct {
	it      *item
	o       *Options
	reasons []verdict.Unresolved
}

func (p *placement) reject(code verdict.Code, pointer, format string, args ...any) {
	where := p.it.at(pointer)
	where.Object, where.Pointer = describe(p.it.body), pointer
	p.reasons = append(p.reasons, verdict.Unresolved{Where: where, Code: code, Why: fmt.Sprintf(format, args...)})
}

// object checks what every object has.
func (p *placement) object() {
	body := p.it.body
	apiVersion, _ := body["apiVersion"].(string)
	kind, _ := body["kind"].(string)
	group, version := splitVersion(apiVersion)
	switch {
	case apiVersion == "" || kind == "":
		p.reject(verdict.ObjectInvalid, "", "an object needs apiVersion and kind, and this is none that Apex knows: write both, or move the file out of the path")
		return
	case group != "" && !isSubdomain(group) || !isLabel(version):
		p.reject(verdict.ObjectName, "/apiVersion", "%q is no API version: write group/version, for example apps/v1", clip(apiVersion))
	case !isKind(kind):
		p.reject(verdict.ObjectName, "/kind", "%q is no kind", clip(kind))
	case group == "kustomize.config.k8s.io":
		p.reject(verdict.RenderFeature, "/kind", "a kustomization under another name: call it kustomization.yaml and name its folder")
	}
	meta, ok := body["metadata"].(map[string]any)
	if !ok {
		p.reject(verdict.ObjectInvalid, "/metadata", "metadata is missing or not a mapping: write at least a name")
		return
	}
	p.metadata(meta, group)
	// What a target writes itself can never be what Git says.
	delete(body, "status")
	if w := weigh(body, gitops.MaxObjectBytes); w > gitops.MaxObjectBytes {
		p.reject(verdict.RenderTooLarge, "", "the object has more than %d bytes: split it", gitops.MaxObjectBytes)
	}
}

// serverSet are the fields of metadata that only an API server can know.
var serverSet = [...]string{"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields",
	"ownerReferences", "resourceVersion", "selfLink", "uid"}

func (p *placement) metadata(meta map[string]any, group string) {
	for _, key := range serverSet {
		switch v, there := meta[key]; {
		case !there:
		case v == nil || v == "":
			delete(meta, key)
		default:
			p.reject(verdict.ObjectInvalid, "/metadata/"+key, "metadata.%s is set by the target, which cannot be known in Git: remove it", key)
		}
	}
	if v, there := meta["generateName"]; there && v != nil && v != "" {
		p.reject(verdict.ObjectName, "/metadata/generateName", "generateName makes a new object with every apply: write a name")
	}
	delete(meta, "generateName")
	if name, ok := meta["name"].(string); !ok || name == "" {
		p.reject(verdict.ObjectName, "/metadata/name", "the name is missing or not a string: write one, in quotes if it is a number")
	} else if why := checkName(group, name); why != "" {
		p.reject(verdict.ObjectName, "/metadata/name", "the name %q has %s", clip(name), why)
	}
	for _, key := range [...]string{"labels", "annotations"} {
		m, ok := meta[key].(map[string]any)
		if !ok && meta[key] != nil {
			p.reject(verdict.ObjectInvalid, "/metadata/"+key, "metadata.%s is not a mapping", key)
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if _, ok := m[name].(string); !ok {
				p.reject(verdict.ObjectInvalid, "/metadata/"+key+"/"+escape(name), "%s is not a string: quote it", clip(name))
			}
		}
		for _, ours := range [...]string{gitops.LabelSource, TagsAnnotation} {
			if _, there := m[ours]; there {
				p.reject(verdict.ObjectInvalid, "/metadata/"+key+"/"+escape(ours), "%s is written by Apex alone: remove it", ours)
			}
		}
	}
}

// namespace puts the object into its namespace and checks that the source may
// write there.
func (p *placement) namespace(crds map[string]bool) {
	body := p.it.body
	meta := body["metadata"].(map[string]any)
	apiVersion, kind := body["apiVersion"].(string), body["kind"].(string)
	group, _ := splitVersion(apiVersion)
	namespaced, known := p.o.namespaced(group, kind, crds)
	ns, isText := meta["namespace"].(string)
	if !isText && meta["namespace"] != nil {
		p.reject(verdict.ObjectNamespace, "/metadata/namespace", "the namespace is not a string: quote it")
		return
	}
	if !namespaced && known {
		if ns != "" {
			p.reject(verdict.ObjectNamespace, "/metadata/namespace", "a %s belongs to no namespace: remove metadata.namespace", kind)
		}
		delete(meta, "namespace")
		if name := meta["name"].(string); group == "" && kind == "Namespace" && !p.o.mayWrite(name) {
			p.reject(verdict.ObjectNamespace, "/metadata/name", "the source may not write to the namespace %s: allow it in the GitSource", clip(name))
		}
		return
	}
	if ns == "" {
		if ns = p.o.Namespace; ns == "" {
			p.reject(verdict.ObjectNamespace, "/metadata", "the object names no namespace and the source has none: write metadata.namespace")
			return
		}
		meta["namespace"] = ns
	}
	switch {
	case !isLabel(ns):
		p.reject(verdict.ObjectNamespace, "/metadata/namespace", "%q is no namespace: write up to 63 lower-case letters, digits and dashes", clip(ns))
	case !p.o.mayWrite(ns):
		p.reject(verdict.ObjectNamespace, "/metadata/namespace", "the source may not write to the namespace %s: correct it, or allow it in the GitSource", ns)
	}
}

func (o *Options) mayWrite(namespace string) bool {
	return namespace == o.Namespace || slices.Contains(o.Namespaces, namespace) || slices.Contains(o.Namespaces, "*")
}

// namespaced says whether the kind lives in namespaces. Kubernetes' own kinds
// come first: a CRD cannot change them.
func (o *Options) namespaced(group, kind string, crds map[string]bool) (namespaced, known bool) {
	if group == gitops.LambdaGroup || clusterScoped(group, kind) {
		return false, true
	}
	if builtIn(group) {
		return true, true
	}
	if namespaced, known = crds[group+"/"+kind]; known {
		return namespaced, true
	}
	if o.Namespaced != nil {
		if namespaced, known = o.Namespaced(group, kind); known {
			return namespaced, true
		}
	}
	return true, false
}

// declared are the kinds that CRDs of the revision declare, and whether they
// live in namespaces.
func declared(items []item) map[string]bool {
	out := map[string]bool{}
	for i := range items {
		body := items[i].body
		apiVersion, _ := body["apiVersion"].(string)
		if group, _ := splitVersion(apiVersion); group != "apiextensions.k8s.io" || body["kind"] != "CustomResourceDefinition" {
			continue
		}
		spec, _ := body["spec"].(map[string]any)
		names, _ := spec["names"].(map[string]any)
		group, _ := spec["group"].(string)
		kind, _ := names["kind"].(string)
		if group != "" && kind != "" {
			out[group+"/"+kind] = spec["scope"] != "Cluster"
		}
	}
	return out
}

func splitVersion(apiVersion string) (group, version string) {
	if group, version, ok := strings.Cut(apiVersion, "/"); ok {
		return group, version
	}
	return "", apiVersion
}

// escape writes a key as a step of an RFC 6901 pointer.
func escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }

// weigh returns at least the bytes of the value as JSON, give or take escapes,
// and stops counting beyond limit: text that an alias repeats is cheap to hold
// and dear to write.
func weigh(v any, limit int) int {
	switch v := v.(type) {
	case string:
		return len(v) + 2
	case map[string]any:
		n := 2
		for key, value := range v {
			if n += len(key) + 4 + weigh(value, limit-n); n > limit {
				return n
			}
		}
		return n
	case []any:
		n := 2
		for _, value := range v {
			if n += 1 + weigh(value, limit-n); n > limit {
				return n
			}
		}
		return n
	}
	return 1
}
