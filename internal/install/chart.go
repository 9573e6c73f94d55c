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
	{mark + "storagesize", `{{ printf "%q" .Values.storage.size }}`},
	{mark + "gatewayreplicas", `{{ int .Values.gateway.replicas }}`},
	{mark + "gatewayrequestscpu", `{{ printf "%q" .Values.gateway.resources.requests.cpu }}`},
	{mark + "gatewayrequestsmemory", `{{ printf "%q" .Values.gateway.resources.requests.memory }}`},
	{mark + "gatewaylimitsmemory", `{{ printf "%q" .Values.gateway.resources.limits.memory }}`},
	{"- " + mark + "trustdomain\n", "- {{ printf \"%q\" .Values.gateway.trustDomain }}\n"}, // 1.5 is one
	{mark + "trustdomain", `{{ .Values.gateway.trustDomain }}`},                            // within a word, too
	{mark + "limits", `{{ printf "%q" .Values.gateway.limits }}`},
	{mark + "asker", `{{ printf "%q" . }}`},     // within a range over who may ask
	{mark + "namespace", `{{ printf "%q" . }}`}, // within a range over namespaces
}

// What stands in the chart only under a condition: text of the object, and what the
// chart has instead.
const (
	storageClass         = "      storageClassName: " + mark + "storageclass\n"
	storageClassTemplate = "{{- with .Values.storage.class }}\n      storageClassName: {{ printf \"%q\" . }}\n{{- end }}\n"
	claims               = "  volumeClaimTemplates:\n" // the last field of the object
	claimsTemplate       = "{{- if not .Values.storage.ephemeral }}\n" + claims
	volumes              = "      volumes:\n"
	volumesTemplate      = volumes + "{{- if .Values.storage.ephemeral }}\n      - emptyDir:\n          sizeLimit: %s\n        name: state\n{{- end }}\n"
)

// Arguments of the gateway that are there only where somebody may ask, or where
// limits are shared.
const (
	extauthzOf      = "        - --extauthz-address\n"
	authzenOf       = "        - --authzen-address\n"
	limitsOf        = "        - --limits\n        - " + mark + "limits\n"
	limitsCAOf      = "        - --limits-ca\n        - /etc/apex/limits/ca.crt\n"
	proxyOf         = "        - --extauthz-proxy\n        - " + mark + "asker\n"
	callerOf        = "        - --authzen-caller\n        - " + mark + "asker\n"
	gatewayTemplate = "{{- if .Values.gateway.enabled }}\n"
)

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
	o.Image, o.Replicas, o.Actions, o.Ephemeral, o.Gateway = "apex@sha256:"+strings.Repeat("0", 64), 0, nil, false, Gateway{}
	if err := o.complete(); err != nil {
		return nil, err
	}
	o.Actions = []string{"*", mark + "namespace"}
	o.Gateway = Gateway{Enabled: true, TrustDomain: mark + "trustdomain", Replicas: 1, ExtAuthz: []string{mark + "asker"}, AuthZEN: []string{mark + "asker"}, Limits: mark + "limits", LimitsCA: true}
	objects, err := everything(&o)
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
	case "StatefulSet":
		spec := body["spec"].(Object)
		of := map[string]string{ServiceAccount: "", GatewayAccount: "gateway"}
		claim := spec["volumeClaimTemplates"].([]any)[0].(Object)["spec"].(Object)
		claim["storageClassName"] = mark + "storageclass"
		container := spec["template"].(Object)["spec"].(Object)["containers"].([]any)[0].(Object)
		container["image"] = mark + "image"
		if value, open := of[idOf(body).Name]; open {
			spec["replicas"] = mark + value + "replicas"
			claim["resources"].(Object)["requests"].(Object)["storage"] = mark + "storagesize"
			resources := container["resources"].(Object)
			resources["requests"] = Object{"cpu": mark + value + "requestscpu", "memory": mark + value + "requestsmemory"}
			resources["limits"] = Object{"memory": mark + value + "limitsmemory"}
		}
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
	if body["kind"] == "StatefulSet" {
		text = strings.Replace(text, storageClass, storageClassTemplate, 1)
		size := `{{ printf "%q" .Values.storage.size }}`
		if idOf(body).Name == IdentityAccount {
			size = identitySize
		}
		text = strings.Replace(text, volumes, fmt.Sprintf(volumesTemplate, size), 1)
		text = strings.Replace(text, claims, claimsTemplate, 1) + "{{- end }}\n"
	}
	text = asking(text)
	if component := metadata["labels"].(Object)["app.kubernetes.io/component"]; component == "gateway" || component == "identity" {
		text = gatewayTemplate + text + "{{- end }}\n"
	}
	switch called(body) {
	case "ClusterRoleBinding apex-actions":
		text = "{{- if .Values.actions.everywhere }}\n" + text + "{{- end }}\n"
	case "RoleBinding " + mark + "namespace/apex-actions":
		text = "{{- if not .Values.actions.everywhere }}\n{{- range .Values.actions.namespaces }}\n---\n" + text + "{{- end }}\n{{- end }}\n"
	}
	for _, h := range holes {
		text = strings.ReplaceAll(text, h.mark, h.template)
	}
	if strings.Contains(text, mark) {
		return nil, fmt.Errorf("a mark was left")
	}
	return []byte(text), nil
}

// asking puts the arguments that say who may ask under their conditions.
func asking(text string) string {
	for first, last := range map[string]struct{ argument, value string }{
		extauthzOf: {proxyOf, "extauthzProxies"}, authzenOf: {callerOf, "authzenCallers"},
	} {
		text = strings.Replace(text, first, "{{- if .Values.gateway."+last.value+" }}\n"+first, 1)
		text = strings.Replace(text, last.argument, "{{- range .Values.gateway."+last.value+" }}\n"+last.argument+"{{- end }}\n{{- end }}\n", 1)
	}
	text = strings.Replace(text, limitsOf, "{{- if .Values.gateway.limits }}\n"+limitsOf+"{{- end }}\n", 1)
	return strings.Replace(text, limitsCAOf, "{{- if .Values.gateway.limitsCA }}\n"+limitsCAOf+"{{- end }}\n", 1)
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

# Where Apex may act about what no longer complies, as the policies' onViolation
# says. Nowhere: violations are reported, and nothing is done about them.
actions:
  namespaces: []
  everywhere: false

# The volume of each replica: it keeps the ledger there.
storage:
  size: 8Gi
  # A StorageClass; empty: the cluster's default.
  class: ""
  # For trials: the ledger is in the Pod, and is lost with it.
  ephemeral: false

# A gateway in front of inference servers, and the authority that gives it and its
# callers their identities. Its ledger is on volumes like those of storage.
gateway:
  enabled: false
  # Trust domain of the authority, as claims.example. It has to be given.
  trustDomain: ""
  replicas: 2
  resources:
    requests:
      cpu: 100m
      memory: 256Mi
    limits:
      memory: 1Gi
  # SPIFFE IDs of Envoys that may ask by ext_authz, at port 9191.
  extauthzProxies: []
  # SPIFFE IDs of enforcement points that may ask by AuthZEN, at port 8445.
  authzenCallers: []
  # Redis by which replicas count limits together: rediss://HOST:PORT/DB. Its
  # password is "password" in the Secret apex-limits.
  limits: ""
  # Its certificate is of authorities that are "ca.crt" in the same Secret.
  limitsCA: false

# The webhooks fail closed. There is no other way to install them.
failurePolicy: Fail
`

const schemaFile = `{
  "$schema": "http://json-schema.org/draft-07/schema#",
  "type": "object",
  "additionalProperties": false,
  "required": ["image", "replicas", "resources", "actions", "storage", "gateway", "failurePolicy"],
  "properties": {
    "image": {"type": "string", "pattern": "^[a-zA-Z0-9][a-zA-Z0-9._:/-]{0,511}@sha256:[0-9a-f]{64}$"},
    "replicas": {"type": "integer", "minimum": 1, "maximum": 16},
    "namespaceLabels": {
      "type": "object",
      "propertyNames": {"pattern": "^[A-Za-z0-9]([A-Za-z0-9._/-]{0,251}[A-Za-z0-9])?$", "not": {"pattern": "^(pod-security\\.kubernetes\\.io/|app\\.kubernetes\\.io/(name|component)$)"}},
      "additionalProperties": {"type": "string", "pattern": "^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$"}
    },
    "resources": {"$ref": "#/definitions/resources"},
    "gateway": {
      "type": "object",
      "additionalProperties": false,
      "required": ["enabled", "trustDomain", "replicas", "resources", "extauthzProxies", "authzenCallers", "limits", "limitsCA"],
      "properties": {
        "enabled": {"type": "boolean"},
        "trustDomain": {"type": "string", "pattern": "^([a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?)?$"},
        "replicas": {"type": "integer", "minimum": 1, "maximum": 16},
        "resources": {"$ref": "#/definitions/resources"},
        "extauthzProxies": {"$ref": "#/definitions/identities"},
        "authzenCallers": {"$ref": "#/definitions/identities"},
        "limits": {"type": "string", "pattern": "^(rediss?://[^/?#@\\s]+(/[0-9]*)?)?$"},
        "limitsCA": {"type": "boolean"}
      },
      "allOf": [
        {
          "if": {"properties": {"enabled": {"const": true}}},
          "then": {"properties": {"trustDomain": {"minLength": 1}}}
        },
        {
          "if": {"properties": {"limitsCA": {"const": true}}},
          "then": {"properties": {"limits": {"pattern": "^rediss:"}}}
        }
      ]
    },
    "actions": {
      "type": "object",
      "additionalProperties": false,
      "required": ["namespaces", "everywhere"],
      "properties": {
        "namespaces": {"type": "array", "maxItems": 256, "uniqueItems": true, "items": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"}},
        "everywhere": {"type": "boolean"}
      }
    },
    "storage": {
      "type": "object",
      "additionalProperties": false,
      "required": ["size", "class", "ephemeral"],
      "properties": {
        "size": {"type": "string", "pattern": "^[1-9][0-9]{0,8}(Ki|Mi|Gi|Ti|k|M|G|T)?$"},
        "class": {"type": "string", "pattern": "^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$"},
        "ephemeral": {"type": "boolean"}
      }
    },
    "failurePolicy": {"const": "Fail"},
    "global": {"type": "object"}
  },
  "definitions": {
    "quantity": {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"},
    "identities": {"type": "array", "maxItems": 64, "uniqueItems": true, "items": {"type": "string", "pattern": "^spiffe://[a-z0-9._-]{1,255}(/[a-zA-Z0-9._-]+)+$"}},
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
    }
  }
}
`

const notesFile = `Apex is installed. Namespaces that are labelled apexlogic.com/enforce=true take
nothing that no policy allows, and nothing at all while no replica answers.

{{- if .Values.storage.ephemeral }}

WARNING: storage.ephemeral is set. The ledger of a replica, which proves what was
decided, is lost with its Pod. That is for trials.
{{- end }}
{{- if not (or .Values.actions.everywhere .Values.actions.namespaces) }}

Violations of what runs are reported, and nothing is done about them: no namespace
is named under actions, whatever the policies say.
{{- end }}

Before this release is uninstalled, run: apex uninstall
The controller writes the webhook configurations itself, so Helm does not know
them, and they fail closed.
`
