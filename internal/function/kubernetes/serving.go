package kubernetes

import (
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// knative takes Services and Configurations of Knative, and of Cloud Run, which
// speaks the same API.
func (f *Folder) knative(kind string, doc *node.Node) {
	const group = "serving.knative.dev"
	switch kind {
	case "Service", "Configuration", "Revision":
	default:
		return
	}
	template := doc.Get("spec", "template")
	spec := template.Get("spec")
	if kind == "Revision" {
		spec = doc.Get("spec")
	}
	fn := function(group, kind, doc)
	fn.Gateway = fn.Gateway || labels(template.Get("metadata", "labels"))[gatewayLabel] != ""
	fn.Timeout = seconds(spec.Get("timeoutSeconds"))
	fn.Concurrency = spec.Get("containerConcurrency").Int()
	f.pod(&fn, kind, doc, spec)
	// A Service has a route to the world unless its label says otherwise; on
	// Cloud Run the annotation says who gets in, and the platform asks for an
	// identity by default.
	local := fn.Labels["networking.knative.dev/visibility"] == "cluster-local" || fn.Labels["serving.knative.dev/visibility"] == "cluster-local"
	_, cloudRun := labels(doc.Get("metadata", "annotations"))["run.googleapis.com/ingress"]
	if kind == "Service" && !local && !cloudRun {
		fn.Public = append(fn.Public, stack.Exposure{Where: doc.Where, How: "Knative route that is not cluster-local"})
	}
	f.stack.Functions = append(f.stack.Functions, fn)
}

// kserve takes the kinds that serve models.
func (f *Folder) kserve(kind string, doc *node.Node) {
	const group = "serving.kserve.io"
	fn := function(group, kind, doc)
	spec := doc.Get("spec")
	switch kind {
	case "InferenceService":
		account := node.Map(doc.Where, nil)
		for _, part := range []string{"predictor", "transformer", "explainer"} {
			p := spec.Get(part)
			if !p.IsMap() {
				continue
			}
			if p.Has("serviceAccountName") || p.Has("serviceAccount") {
				account = p
			}
			f.component(&fn, p)
		}
		f.runsAs(&fn, kind, doc, account)
		if v := doc.Get("metadata", "labels", "networking.kserve.io/visibility").Text(); v != "cluster-local" &&
			fn.Labels["networking.knative.dev/visibility"] != "cluster-local" {
			fn.Public = append(fn.Public, stack.Exposure{Where: doc.Where, How: "InferenceService that is not cluster-local"})
		}
	case "LLMInferenceService":
		model(&fn, spec.Get("model", "uri"))
		for _, a := range spec.Get("model", "lora", "adapters").All() {
			model(&fn, a.Get("uri"))
		}
		for _, p := range []*node.Node{spec.Get("template"), spec.Get("worker"), spec.Get("prefill", "template"), spec.Get("prefill", "worker"), spec.Get("router", "scheduler", "template")} {
			if p.IsMap() {
				f.component(&fn, p)
			}
		}
		f.runsAs(&fn, kind, doc, spec.Get("template"))
	case "ServingRuntime", "ClusterServingRuntime":
		f.component(&fn, spec)
		f.component(&fn, spec.Get("workerSpec"))
	case "TrainedModel":
		model(&fn, spec.Get("model", "storageUri"))
	case "LocalModelCache", "LocalModelNamespaceCache":
		model(&fn, spec.Get("sourceModelUri"))
	default:
		return
	}
	f.stack.Functions = append(f.stack.Functions, fn)
}

// component takes a part of an InferenceService: containers, and one field per
// framework that is a container with a model.
func (f *Folder) component(fn *stack.Function, p *node.Node) {
	if !p.IsMap() {
		return
	}
	for _, key := range []string{"containers", "initContainers"} {
		for _, c := range p.Get(key).All() {
			container(fn, c)
		}
	}
	for _, c := range p.Get("workerSpec", "containers").All() {
		container(fn, c)
	}
	for _, field := range p.Fields {
		c := field.Value
		if !c.IsMap() {
			continue
		}
		if c.Has("storageUri") || c.Has("image") || c.Has("runtimeVersion") || c.Has("modelFormat") {
			container(fn, c)
			model(fn, c.Get("storageUri"))
		}
	}
	for _, u := range p.Get("storageUris").All() {
		model(fn, u.Get("uri"))
	}
}

func model(fn *stack.Function, n *node.Node) {
	if n.IsScalar() {
		fn.Models = append(fn.Models, stack.Ref{Where: n.Where, Text: n.Value()})
	}
}

// fission takes functions, environments, packages and triggers of Fission.
func (f *Folder) fission(kind string, doc *node.Node) {
	fn := function("fission.io", kind, doc)
	spec := doc.Get("spec")
	switch kind {
	case "Environment":
		for _, image := range []*node.Node{spec.Get("runtime", "image"), spec.Get("builder", "image")} {
			if image.IsScalar() && fn.Image.Value == "" {
				fn.Image = image.Value()
			} else if image.IsScalar() {
				fn.Code = append(fn.Code, stack.Ref{Where: image.Where, Text: image.Value()})
			}
		}
	case "Package":
		for _, part := range []string{"source", "deployment"} {
			if url := spec.Get(part, "url"); url.IsScalar() {
				fn.Code = append(fn.Code, stack.Ref{Where: url.Where, Text: url.Value()})
			}
		}
	case "Function":
		fn.Timeout = seconds(spec.Get("functionTimeout"))
		fn.Concurrency = spec.Get("concurrency").Int()
		for _, s := range spec.Get("secrets").All() {
			name := s.Get("name").Value().Value
			fn.Environment = append(fn.Environment, stack.Variable{Where: s.Where, Name: name, From: "secret " + name})
		}
		for _, c := range spec.Get("podspec", "containers").All() {
			container(&fn, c)
		}
	case "HTTPTrigger":
		if on, _ := spec.Get("createingress").True(); !on {
			return
		}
		target := "Function " + namespaceOf(doc) + "/" + spec.Get("functionref", "name").Value().Value
		for i := range f.stack.Functions {
			if f.stack.Functions[i].ID == target {
				f.stack.Functions[i].Public = append(f.stack.Functions[i].Public, stack.Exposure{Where: doc.Where, How: "HTTP trigger with an Ingress"})
				return
			}
		}
		fn.Public = []stack.Exposure{{Where: doc.Where, How: "HTTP trigger with an Ingress"}}
	default:
		return
	}
	f.stack.Functions = append(f.stack.Functions, fn)
}

// nuclio takes functions of Nuclio.
func (f *Folder) nuclio(kind string, doc *node.Node) {
	if kind != "NuclioFunction" && kind != "Function" {
		return
	}
	fn := function("nuclio.io", kind, doc)
	spec := doc.Get("spec")
	if image := spec.Get("image"); image.IsScalar() && image.Str != "" {
		fn.Image = image.Value()
	}
	for _, key := range []string{"baseImage", "onbuildImage", "path"} {
		if v := spec.Get("build", key); v.IsScalar() && v.Str != "" {
			fn.Code = append(fn.Code, stack.Ref{Where: v.Where, Text: v.Value()})
		}
	}
	container(&fn, node.Map(spec.At(), []node.Field{{Key: "env", Value: node.List(spec.At(), spec.Get("env").All())}}))
	f.runsAs(&fn, kind, doc, spec)
	for _, t := range triggers(spec) {
		if !strings.HasPrefix(t.Value.Get("kind").Text(), "http") {
			continue
		}
		if service := t.Value.Get("attributes", "serviceType").Text(); service == "NodePort" || service == "LoadBalancer" || t.Value.Has("attributes", "ingresses") {
			fn.Public = append(fn.Public, stack.Exposure{Where: stack.Where{File: doc.File, Line: t.Line}, How: "HTTP trigger that is reachable from outside"})
		}
	}
	f.stack.Functions = append(f.stack.Functions, fn)
}

func triggers(spec *node.Node) []node.Field {
	if t := spec.Get("triggers"); t.IsMap() {
		return t.Fields
	}
	return nil
}
