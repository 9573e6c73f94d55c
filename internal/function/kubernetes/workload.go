package kubernetes

import (
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// function starts a function of an object.
func function(group, kind string, doc *node.Node) stack.Function {
	f := stack.Function{Where: doc.Where, ID: kind + " " + namespaceOf(doc) + "/" + nameOf(doc), Name: nameOf(doc), Kind: kind, Labels: labels(doc.Get("metadata", "labels"))}
	if group != "" {
		f.Kind = group + "/" + kind
	}
	f.Gateway = f.Labels[gatewayLabel] != "" || labels(doc.Get("metadata", "annotations"))[gatewayLabel] != ""
	return f
}

func labels(n *node.Node) map[string]string {
	if !n.IsMap() || len(n.Fields) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, f := range n.Fields {
		if f.Value.IsScalar() {
			out[f.Key] = f.Value.Str
		}
	}
	return out
}

// workload takes an object with the template of a pod.
func (f *Folder) workload(kind string, doc, template *node.Node) {
	if !template.Get("spec").IsMap() {
		return
	}
	fn := function("", kind, doc)
	for k, v := range labels(template.Get("metadata", "labels")) {
		if fn.Labels == nil {
			fn.Labels = map[string]string{}
		}
		if _, ok := fn.Labels[k]; !ok {
			fn.Labels[k] = v
		}
	}
	fn.Gateway = fn.Gateway || fn.Labels[gatewayLabel] != ""
	f.pod(&fn, kind, doc, template.Get("spec"))
	f.stack.Functions = append(f.stack.Functions, fn)
}

// pod fills a function from the specification of a pod.
func (f *Folder) pod(fn *stack.Function, kind string, doc, spec *node.Node) {
	for _, key := range []string{"containers", "initContainers", "ephemeralContainers"} {
		for _, c := range spec.Get(key).All() {
			container(fn, c)
		}
	}
	for _, v := range spec.Get("volumes").All() {
		if ref := v.Get("image", "reference"); ref != nil {
			fn.Code = append(fn.Code, stack.Ref{Where: ref.Where, Text: ref.Value()})
		}
	}
	f.runsAs(fn, kind, doc, spec)
}

// runsAs notes the account that a workload runs as.
func (f *Folder) runsAs(fn *stack.Function, kind string, doc, spec *node.Node) {
	name := "default"
	for _, key := range []string{"serviceAccount", "serviceAccountName"} {
		if v := spec.Get(key); v.IsScalar() && v.Str != "" {
			name = v.Value().Value
		}
	}
	a := f.account(namespaceOf(doc), name, doc.Where)
	a.UsedBy = append(a.UsedBy, kind+" "+namespaceOf(doc)+"/"+nameOf(doc))
	fn.Account = a.Namespace + "/" + a.Name
}

// modelVariables are the environment variables that servers of models read
// theirs from.
var modelVariables = []string{"HF_MODEL_ID", "MODEL_ID", "STORAGE_URI", "MODEL_NAME", "MODEL_URI"}

// container fills a function from one container.
func container(fn *stack.Function, c *node.Node) {
	if !c.IsMap() {
		return
	}
	if image := c.Get("image"); image.IsScalar() {
		if fn.Image.Value == "" {
			fn.Image = image.Value()
		} else {
			fn.Code = append(fn.Code, stack.Ref{Where: image.Where, Text: image.Value()})
		}
	}
	for _, e := range c.Get("env").All() {
		name := e.Get("name").Value().Value
		v := stack.Variable{Where: e.Where, Name: name, Value: e.Get("value").Value()}
		switch from := e.Get("valueFrom"); {
		case from.Has("secretKeyRef"):
			v.From = "secret " + from.Get("secretKeyRef", "name").Value().Value
		case from.Has("configMapKeyRef"):
			v.Value = stack.Text{Value: "${configMap " + from.Get("configMapKeyRef", "name").Value().Value + "}"}
		case !from.IsNull():
			v.Value = stack.Text{Value: "${valueFrom}"}
		}
		// $(OTHER) is replaced when the container starts.
		if strings.Contains(v.Value.Value, "$(") {
			v.Value.Known = false
		}
		fn.Environment = append(fn.Environment, v)
		for _, m := range modelVariables {
			if m == name && v.Value.Value != "" {
				fn.Models = append(fn.Models, stack.Ref{Where: e.Get("value").At(), Text: v.Value})
			}
		}
	}
	args := append(c.Get("command").All(), c.Get("args").All()...)
	for i, a := range args {
		for _, flag := range []string{"--model", "--model-id", "--lora-modules", "--model_name"} {
			text := a.Value()
			if value, ok := strings.CutPrefix(text.Value, flag+"="); ok {
				fn.Models = append(fn.Models, stack.Ref{Where: a.Where, Text: stack.Text{Value: value, Known: text.Known}})
			} else if text.Value == flag && i+1 < len(args) {
				fn.Models = append(fn.Models, stack.Ref{Where: args[i+1].Where, Text: args[i+1].Value()})
			}
		}
	}
}

// seconds reads a number of seconds.
func seconds(n *node.Node) time.Duration {
	return time.Duration(min(max(n.Int(), 0), 1<<30)) * time.Second
}

// ingress notes which services an Ingress leads to.
func (f *Folder) ingress(doc *node.Node) {
	annotations := labels(doc.Get("metadata", "annotations"))
	for key, value := range annotations {
		// Controllers that ask who calls before they let through.
		if value != "" && (strings.Contains(key, "/auth-url") || strings.Contains(key, "/auth-type") || strings.Contains(key, "/auth-signin") || strings.Contains(key, "/auth-tls-secret")) {
			return
		}
	}
	add := func(backend *node.Node, at stack.Where) {
		name := backend.Get("service", "name")
		if name == nil {
			name = backend.Get("serviceName")
		}
		if name.IsScalar() {
			key := namespaceOf(doc) + "/" + name.Str
			if len(f.exposures[key]) < maxWays {
				f.exposures[key] = append(f.exposures[key], stack.Exposure{Where: at, How: "Ingress " + nameOf(doc)})
			}
		}
	}
	for _, key := range []string{"defaultBackend", "backend"} {
		if b := doc.Get("spec", key); b != nil {
			add(b, b.Where)
		}
	}
	for _, rule := range doc.Get("spec", "rules").All() {
		for _, p := range rule.Get("http", "paths").All() {
			add(p.Get("backend"), p.Where)
		}
	}
}

// service notes which pods a Service leads to.
func (f *Folder) service(doc *node.Node) {
	kind := doc.Get("spec", "type").Text()
	s := service{name: nameOf(doc), selector: labels(doc.Get("spec", "selector")), Where: doc.Where,
		outside: kind == "LoadBalancer" || kind == "NodePort"}
	for key, value := range labels(doc.Get("metadata", "annotations")) {
		if strings.Contains(key, "internal") && value != "false" && value != "" {
			s.outside = false // a load balancer inside of the network
		}
	}
	f.services[namespaceOf(doc)] = append(f.services[namespaceOf(doc)], s)
}

// expose joins ingresses and services with the workloads behind them.
func (f *Folder) expose() {
	joins := 0
	for i := range f.stack.Functions {
		fn := &f.stack.Functions[i]
		if strings.Contains(fn.Kind, "/") {
			continue // of a kind that has routes of its own
		}
		_, rest, _ := strings.Cut(fn.ID, " ")
		namespace, _, _ := strings.Cut(rest, "/")
		for _, s := range f.services[namespace] {
			if joins++; joins > maxJoins {
				f.gap(stack.Where{File: fn.File}, "more services and workloads than are joined: their exposure is not known")
				return
			}
			if !selects(s.selector, fn.Labels) {
				continue
			}
			if s.outside && len(fn.Public) < maxWays {
				fn.Public = append(fn.Public, stack.Exposure{Where: s.Where, How: "Service " + s.name + " that is reachable from outside"})
			}
			for _, e := range f.exposures[namespace+"/"+s.name] {
				if len(fn.Public) < maxWays {
					fn.Public = append(fn.Public, e)
				}
			}
		}
	}
}

func selects(selector, have map[string]string) bool {
	if len(selector) == 0 {
		return false
	}
	for k, v := range selector {
		if have[k] != v {
			return false
		}
	}
	return true
}
