package install

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// A mark stands in an object for a value of the chart, until the object is text.
// It is a plain word of YAML that nothing else holds.
const mark = "APEXVALUE"

// hole is a place of the objects that the chart lets a person fill in.
type hole struct {
	mark     string // in the object
	template string // in the chart instead
}

// holes are the values of the chart, in full. Their types and bounds are in
// schema, which Helm checks before it renders anything.
var holes = []hole{
	{mark + "image", `{{ .Values.image }}`},
	{mark + "replicas", `{{ int .Values.replicas }}`},
	{mark + "requestscpu", `{{ printf "%q" .Values.resources.requests.cpu }}`},
	{mark + "requestsmemory", `{{ printf "%q" .Values.resources.requests.memory }}`},
	{mark + "limitsmemory", `{{ printf "%q" .Values.resources.limits.memory }}`},
}

// moreLabels is the hole of a line: the namespace's further labels.
const (
	moreLabels         = mark + "labels: more\n"
	moreLabelsTemplate = "{{- range $key, $value := .Values.namespaceLabels }}\n    {{ printf \"%q\" $key }}: {{ printf \"%q\" $value }}\n{{- end }}\n"
)

// keep lets an uninstalled release leave the definitions, and with them all
// policies, where they are.
const keep = "helm.sh/resource-policy"

// File is a file of the chart.
type File struct {
	Path string // within the chart, with slashes
	Data []byte
}

// Chart returns the Helm chart that renders to what [Objects] returns, and to
// nothing else: a file per object, in which only the values are left open. Image
// and replicas of the options do not count, since they are values. The version
// is a semantic one.
func Chart(o Options, version string) ([]File, error) {
	if version == "" || version == "dev" {
		version = "0.0.0-dev"
	}
	o.Image, o.Replicas = "apex@sha256:"+strings.Repeat("0", 64), 0
	objects, err := Objects(o)
	if err != nil {
		return nil, err
	}
	files := []File{
		{"Chart.yaml", fmt.Appendf(nil, chartFile, version, version)},
		{"values.yaml", []byte(valuesFile)},
		{"values.schema.json", []byte(schemaFile)},
		{"templates/NOTES.txt", []byte(notesFile)},
	}
	for i, body := range objects {
		data, err := template(body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", called(body), err)
		}
		files = append(files, File{fmt.Sprintf("templates/%02d-%s.yaml", i, fileName(body)), data})
	}
	return files, nil
}

func fileName(body Object) string {
	id := idOf(body)
	name, _, _ := strings.Cut(id.Name, ".")
	return strings.ToLower(id.Kind.Kind) + "-" + name
}

// template returns the object with its values left open. It may change the object.
func template(body Object) ([]byte, error) {
	metadata := body["metadata"].(Object)
	switch body["kind"] {
	case "Namespace":
		metadata["labels"].(Object)["zz"+mark+"labels"] = "more" // the last line of the labels
	case "CustomResourceDefinition":
		annotations, _ := metadata["annotations"].(Object)
		if annotations == nil {
			annotations = Object{}
			metadata["annotations"] = annotations
		}
		annotations[keep] = "keep"
	case "Deployment":
		spec := body["spec"].(Object)
		spec["replicas"] = mark + "replicas"
		container := spec["template"].(Object)["spec"].(Object)["containers"].([]any)[0].(Object)
		container["image"] = mark + "image"
		resources := container["resources"].(Object)
		resources["requests"] = Object{"cpu": mark + "requestscpu", "memory": mark + "requestsmemory"}
		resources["limits"] = Object{"memory": mark + "limitsmemory"}
	}
	data, err := yaml.Marshal(body)
	if err != nil {
		return nil, err
	}
	text := string(data)
	if strings.Contains(text, "{{") {
		return nil, fmt.Errorf("the object holds {{, which a chart takes for a template")
	}
	text = strings.Replace(text, "    zz"+moreLabels, moreLabelsTemplate, 1)
	for _, h := range holes {
		text = strings.ReplaceAll(text, h.mark, h.template)
	}
	if strings.Contains(text, mark) {
		return nil, fmt.Errorf("a mark was left")
	}
	return []byte(text), nil
}

// Write writes the files of a chart below a directory. Templates that an older
// version wrote there and this one does not are removed, nothing else is.
func Write(dir string, files []File) error {
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			return err
		}
	}
	old, err := filepath.Glob(filepath.Join(dir, "templates", "[0-9][0-9]-*.yaml"))
	if err != nil {
		return err
	}
	for _, path := range old {
		within := "templates/" + filepath.Base(path)
		if slices.ContainsFunc(files, func(f File) bool { return f.Path == within }) {
			continue
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// Rights returns the RBAC objects alone, as YAML, for those who review them.
func Rights(o Options) ([]byte, error) {
	o.Image = "apex@sha256:" + strings.Repeat("0", 64)
	if err := o.complete(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("# What Apex may do in a cluster. Written by go generate ./internal/install.\n")
	err := Export(&b, rights(&o))
	return b.Bytes(), err
}

const chartFile = `apiVersion: v2
name: apex
description: Decides what may be deployed, at the API server and from Git
type: application
version: %q
appVersion: %q
kubeVersion: ">=1.30.0-0"
`

const valuesFile = `# Image of Apex, by digest: registry/repository@sha256:...
image: ""

# Replicas of the controller. Each answers the API server, one at a time writes.
replicas: 2

# Further labels of Apex's own namespace.
namespaceLabels: {}

resources:
  requests:
    cpu: 100m
    memory: 256Mi
  # There is no limit for the CPU: a throttled webhook holds up the cluster.
  limits:
    memory: 1Gi

# The webhooks fail closed. There is no other way to install them.
failurePolicy: Fail
`

const schemaFile = `{
  "$schema": "http://json-schema.org/draft-07/schema#",
  "type": "object",
  "additionalProperties": false,
  "required": ["image", "replicas", "resources", "failurePolicy"],
  "properties": {
    "image": {"type": "string", "pattern": "^[a-zA-Z0-9][a-zA-Z0-9._:/-]{0,511}@sha256:[0-9a-f]{64}$"},
    "replicas": {"type": "integer", "minimum": 1, "maximum": 16},
    "namespaceLabels": {
      "type": "object",
      "propertyNames": {"pattern": "^[A-Za-z0-9]([A-Za-z0-9._/-]{0,251}[A-Za-z0-9])?$", "not": {"pattern": "^(pod-security\\.kubernetes\\.io/|app\\.kubernetes\\.io/(name|component)$)"}},
      "additionalProperties": {"type": "string", "pattern": "^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$"}
    },
    "resources": {
      "type": "object",
      "additionalProperties": false,
      "required": ["requests", "limits"],
      "properties": {
        "requests": {
          "type": "object", "additionalProperties": false, "required": ["cpu", "memory"],
          "properties": {"cpu": {"$ref": "#/definitions/quantity"}, "memory": {"$ref": "#/definitions/quantity"}}
        },
        "limits": {
          "type": "object", "additionalProperties": false, "required": ["memory"],
          "properties": {"memory": {"$ref": "#/definitions/quantity"}}
        }
      }
    },
    "failurePolicy": {"const": "Fail"},
    "global": {"type": "object"}
  },
  "definitions": {"quantity": {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"}}
}
`

const notesFile = `Apex is installed. Namespaces that are labelled apexlogic.com/enforce=true take
nothing that no policy allows, and nothing at all while no replica answers.

Before this release is uninstalled, run: apex uninstall
The controller writes the webhook configurations itself, so Helm does not know
them, and they fail closed.
`
