package render

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/apexlogic/apex/internal/function/cloudformation"
	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/openfaas"
	"github.com/apexlogic/apex/internal/function/serverless"
	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/verdict"
)

// functions reads a document that is no Kubernetes object: a stack of OpenFaaS,
// a template of CloudFormation or SAM, a service of the Serverless Framework.
// Each becomes objects in which every value is resolved.
func (r *renderer) functions(name string, data []byte, d manifest.Document) error {
	doc := parseFunctions(name, data)
	switch {
	case doc == nil:
	case openfaas.Is(doc):
		return r.openfaas(d)
	case cloudformation.Is(doc):
		return r.aws(&template{file: name, doc: doc, o: &r.o}, cloudformation.Read(name, doc))
	case serverless.Is(doc):
		t := &template{file: name, doc: doc, o: &r.o, service: true}
		return r.aws(t, serverless.Read(r.files.fsys, name, doc, r.o.Variables))
	}
	return refuse(verdict.ObjectInvalid, d.Where(""), "no Kubernetes object and no functions: write apiVersion and kind, or move the file out of the path")
}

// parseFunctions parses a file of one document, nil when it is none.
func parseFunctions(name string, data []byte) *node.Node {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if text := bytes.TrimLeft(data, " \t\r\n"); len(text) > 0 && text[0] == '{' {
		if doc, err := node.JSON(name, data); err == nil {
			return doc
		}
	}
	docs, err := node.YAML(name, data)
	if err != nil || len(docs) != 1 {
		return nil
	}
	return docs[0]
}

// What a stack of OpenFaaS says about a function ("YAML file reference"): how it
// is built, which is over when it is applied, and how it runs.
var (
	faasBuilds = []string{"lang", "handler", "build_args", "build_options", "skip_build", "copy_extra", "platforms", "buildkit", "publish"}
	faasRuns   = []string{"image", "environment", "secrets", "labels", "annotations", "constraints", "limits", "requests", "readonly_root_filesystem", "fprocess", "namespace"}
)

// openfaas makes the objects that OpenFaaS' operator takes.
func (r *renderer) openfaas(d manifest.Document) error {
	v, err := d.Value()
	if err != nil {
		return invalid(err)
	}
	all, _ := v.(map[string]any)["functions"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		pointer := "/functions/" + escape(name)
		f, ok := all[name].(map[string]any)
		if !ok {
			return refuse(verdict.ObjectInvalid, d.Where(pointer), "the function %s is not a mapping", clip(name))
		}
		spec := map[string]any{"name": name}
		for _, key := range slices.Sorted(maps.Keys(f)) {
			value, where := f[key], d.Where(pointer+"/"+escape(key))
			switch key {
			case "environment", "labels", "annotations":
				if value, err = texts(value); err != nil {
					return refuse(verdict.ObjectInvalid, where, "%s %v", key, err)
				}
				spec[key] = value
			case "image", "secrets", "constraints", "limits", "requests":
				spec[key] = value
			case "readonly_root_filesystem":
				spec["readOnlyRootFilesystem"] = value
			case "fprocess", "namespace": // below
			default:
				if !slices.Contains(faasBuilds, key) {
					return refuse(verdict.RenderFeature, where, "%s is not applied here: write one of %v", clip(key), faasRuns)
				}
			}
		}
		if process, ok := f["fprocess"].(string); ok && process != "" {
			env, _ := spec["environment"].(map[string]any)
			if env == nil {
				env = map[string]any{}
			}
			env["fprocess"] = process
			spec["environment"] = env
		}
		if text := placeholder(spec["environment"]); text != "" {
			return refuse(verdict.FunctionUnresolved, d.Where(pointer+"/environment/"+escape(text)), "the value of %s is taken from the environment of whoever deploys: write the value, or use a secret", clip(text))
		}
		meta := map[string]any{"name": name}
		if ns, ok := f["namespace"].(string); ok && ns != "" {
			meta["namespace"] = ns
		}
		at := func(p string) verdict.Origin {
			// The object's fields are the stack's, one level deeper.
			if rest, ok := cut(p, "/spec"); ok {
				return d.Where(pointer + rest)
			}
			return d.Where(pointer)
		}
		where := at("")
		body := map[string]any{"apiVersion": "openfaas.com/v1", "kind": "Function", "metadata": meta, "spec": spec}
		if err := r.add(item{body: body, where: verdict.Origin{File: where.File, Line: where.Line}, at: at}); err != nil {
			return err
		}
	}
	return nil
}

func cut(pointer, prefix string) (string, bool) {
	if len(pointer) >= len(prefix) && pointer[:len(prefix)] == prefix {
		return pointer[len(prefix):], true
	}
	return "", false
}

// texts makes every value of a map a text, as the command line of OpenFaaS does.
func texts(v any) (any, error) {
	m, ok := v.(map[string]any)
	if !ok {
		if v == nil {
			return map[string]any{}, nil
		}
		return nil, fmt.Errorf("is not a mapping")
	}
	for key, value := range m {
		switch value := value.(type) {
		case string:
		case bool, int64, float64:
			m[key] = fmt.Sprint(value)
		case nil:
			m[key] = ""
		default:
			return nil, fmt.Errorf("holds a value that is no text: %s", clip(key))
		}
	}
	return m, nil
}

// placeholder returns the first name whose value is filled in on deployment.
func placeholder(v any) string {
	m, _ := v.(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if text, _ := m[key].(string); bytes.Contains([]byte(text), []byte("${")) {
			return key
		}
	}
	return ""
}
