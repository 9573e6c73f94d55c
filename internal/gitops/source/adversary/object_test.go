package adversary

import (
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// kustomize is a kustomization of what every revision has, with more.
func kustomize(rest string, more files) files {
	return files{"deploy/kustomization.yaml": {regular, "resources: [settings.yaml, app.yaml" + rest}}.with(more)
}

// and are the attempt's own resource and the other fields.
func and(fields string) string { return ", x.yaml]\n" + fields }

var (
	goodFile = files{"deploy/x.yaml": {regular, deployment("x", "«good»")}}
	evilFile = files{"deploy/x.yaml": {regular, deployment("x", "«unsigned»")}}
)

const chart = "helmCharts: [{name: x, repo: \"https://charts.example\", version: 1.0.0}]\n"

// kustomizations are about what kustomize is made to do.
var kustomizations = []attempt{
	{name: "a kustomization", more: kustomize(and(""), goodFile)},
	{name: "a kustomization with an unsigned image", more: kustomize(and(""), evilFile), code: verdict.SignatureMissing},
	{name: "a transformer to a good image", more: kustomize(and("images: [{name: evil, newName: \"«repo»\", digest: \"«digest»\"}]\n"), files{"deploy/x.yaml": {regular, deployment("x", "evil")}})},
	{name: "a transformer to an unsigned image", more: kustomize(and("images: [{name: \"«repo»\", newName: \"«bad repo»\", digest: \"«bad digest»\"}]\n"), goodFile), code: verdict.SignatureMissing},
	{name: "a transformer to another tag", more: kustomize(and("images: [{name: \"«repo»\", newName: \"«bad repo»\", newTag: \"1.0\"}]\n"), goodFile), code: verdict.SignatureMissing},
	{name: "a patch that swaps the image", more: kustomize(and("patches: [{patch: '[{\"op\": \"replace\", \"path\": \"/spec/template/spec/containers/0/image\", \"value\": \"«unsigned»\"}]', target: {kind: Deployment, name: x}}]\n"), goodFile), code: verdict.SignatureMissing},
	{name: "a patch that adds a sidecar", more: kustomize(and("patches: [{path: p.yaml}]\n"), goodFile.with(files{"deploy/p.yaml": {regular, deployment("x", "«unsigned»")}})), code: verdict.SignatureMissing},
	{name: "a patch that adds a good variable", more: kustomize(and("patches: [{patch: '[{\"op\": \"add\", \"path\": \"/spec/template/spec/containers/0/env\", \"value\": [{\"name\": \"A\", \"value\": \"b\"}]}]', target: {kind: Deployment, name: x}}]\n"), goodFile)},
	{name: "a patch of the old kind that swaps the image", more: kustomize(and("patchesStrategicMerge: [p.yaml]\n"), goodFile.with(files{"deploy/p.yaml": {regular, deployment("x", "«unsigned»")}})), code: verdict.SignatureMissing},
	{name: "a replacement that swaps the image", more: kustomize(and("replacements: [{source: {kind: ConfigMap, name: settings-0, fieldPath: data.key}, targets: [{select: {kind: Deployment, name: x}, fieldPaths: [spec.template.spec.containers.0.image]}]}]\n"),
		goodFile.with(files{"deploy/settings.yaml": {regular, strings.Replace(configMaps(settings), "key: value", "key: \"«unsigned»\"", 1)}})), code: verdict.SignatureMissing},
	{name: "a component that swaps the image", more: kustomize(and("components: [c]\n"), goodFile.with(files{"deploy/c/kustomization.yaml": {regular, "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nimages: [{name: \"«repo»\", newName: \"«bad repo»\", digest: \"«bad digest»\"}]\n"}})), code: verdict.SignatureMissing},
	{name: "a base at another address", more: kustomize(", \"https://evil.example/base\"]\n", nil), code: verdict.RenderRemote},
	{name: "a base at GitHub", more: kustomize(", \"github.com/evil/base?ref=main\"]\n", nil), code: verdict.RenderRemote},
	{name: "a base over SSH", more: kustomize(", \"git@evil.example:base.git\"]\n", nil), code: verdict.RenderRemote},
	{name: "a base in another scheme", more: kustomize(", \"git::https://evil.example/base\"]\n", nil), code: verdict.RenderRemote},
	{name: "a base of old at another address", more: kustomize("]\nbases: [\"https://evil.example/base\"]\n", nil), code: verdict.RenderRemote},
	{name: "a remote component", more: kustomize("]\ncomponents: [\"https://evil.example/c\"]\n", nil), code: verdict.RenderRemote},
	{name: "a remote patch", more: kustomize(and("patches: [{path: \"https://evil.example/p.yaml\"}]\n"), goodFile), code: verdict.RenderRemote},
	{name: "a base above the repository", more: kustomize(", ../../../etc]\n", nil), code: verdict.RenderPath},
	{name: "a file above the folder", more: kustomize(", ../README.yaml]\n", files{"README.yaml": {regular, configMap("x")}}), code: verdict.RenderPath},
	{name: "a base at an absolute path", more: kustomize(", /etc/kubernetes]\n", nil), code: verdict.RenderPath},
	{name: "a base that is not there", more: kustomize(", gone.yaml]\n", nil), code: verdict.RenderPath},
	{name: "a base through a symbolic link", more: kustomize(", base]\n", files{"deploy/base": {symlink, "../other"}, "other/kustomization.yaml": {regular, "resources: []\n"}}), code: verdict.RenderPath},
	{name: "a base beside the folder", more: kustomize(", ../base]\n", files{"base/kustomization.yaml": {regular, "resources: [x.yaml]\n"}, "base/x.yaml": {regular, deployment("x", "«good»")}})},
	{name: "a base beside the folder with an unsigned image", more: kustomize(", ../base]\n", files{"base/kustomization.yaml": {regular, "resources: [x.yaml]\n"}, "base/x.yaml": {regular, deployment("x", "«unsigned»")}}), code: verdict.SignatureMissing},
	{name: "a base that is its own", more: kustomize(", ../deploy]\n", nil), code: verdict.RenderFailed},
	{name: "a chart", more: kustomize("]\n"+chart, nil), code: verdict.RenderFeature},
	{name: "a generator that is a program", more: kustomize("]\ngenerators: [g.yaml]\n", files{"deploy/g.yaml": {regular, "apiVersion: v1\nkind: X\nmetadata: {name: x, annotations: {config.kubernetes.io/function: \"exec: {path: ./x.sh}\"}}\n"}}), code: verdict.RenderFeature},
	{name: "a transformer that is a program", more: kustomize("]\ntransformers: [t.yaml]\n", files{"deploy/t.yaml": {regular, configMap("x")}}), code: verdict.RenderFeature},
	{name: "a validator that is a program", more: kustomize("]\nvalidators: [v.yaml]\n", files{"deploy/v.yaml": {regular, configMap("x")}}), code: verdict.RenderFeature},
	{name: "a schema that changes how lists are merged", more: kustomize("]\nopenapi: {path: s.json}\n", files{"deploy/s.json": {regular, "{}"}}), code: verdict.RenderFeature},
	{name: "a field that kustomize does not know", more: kustomize("]\nexec: [x]\n", nil), code: verdict.ManifestInvalid},
	{name: "a key twice in a kustomization", more: kustomize("]\nimages: []\nimages: [{name: a, newName: b}]\n", nil), code: verdict.ManifestInvalid},
	{name: "two kustomizations in one folder", more: kustomize("]\n", files{"deploy/Kustomization": {regular, "resources: []\n"}}), code: verdict.ManifestInvalid},
	{name: "a generator of a ConfigMap", more: kustomize("]\nconfigMapGenerator: [{name: x, literals: [a=b]}]\n", nil)},
	{name: "a generator of a ConfigMap with an unsigned image", more: kustomize("]\nconfigMapGenerator: [{name: x, literals: [\"sidecarImage=«unsigned»\"]}]\n", nil), code: verdict.SignatureMissing},
	{name: "a generator that reads a file above", more: kustomize("]\nconfigMapGenerator: [{name: x, files: [../../secret]}]\n", nil), code: verdict.RenderPath},
	{name: "a generator that reads the process's environment", more: kustomize("]\nsecretGenerator: [{name: x, envs: [e.env]}]\n", files{"deploy/e.env": {regular, "HOME\n"}}), code: verdict.RenderFeature},
	{name: "a generator that reads a symbolic link", more: kustomize("]\nconfigMapGenerator: [{name: x, files: [s.txt]}]\n", files{"deploy/s.txt": {symlink, "/etc/passwd"}}), code: verdict.RenderPath},
	{name: "a prefix for all names", more: kustomize("]\nnamePrefix: other-\n", nil), code: verdict.ApplyPruneLimit},
	{name: "another namespace for all", more: kustomize("]\nnamespace: audio\n", nil), code: verdict.ApplyPruneLimit},
	{name: "the label of another source for all", more: kustomize("]\nlabels: [{pairs: {apexlogic.com/source: other}}]\n", nil), code: verdict.ObjectInvalid},
	{name: "a kustomization under another name", text: "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nmetadata: {name: x}\nresources: [\"https://evil.example\"]\n", code: verdict.RenderFeature},
	{name: "a kustomization in a folder below", more: files{"deploy/below/kustomization.yaml": {regular, "resources: [x.yaml]\n"}}, code: verdict.RenderFeature},
}

// with is an object with metadata of its own.
func with(metadata, rest string) string {
	return "{apiVersion: v1, kind: ConfigMap, metadata: {" + metadata + "}, " + rest + "}\n"
}

const data = "data: {a: b}"

// objects are about what one of them says of itself.
var objects = []attempt{
	{name: "a name that the server makes", text: with("generateName: x-", data), code: verdict.ObjectName},
	{name: "a name, and one that the server makes", text: with("name: x, generateName: x-", data), code: verdict.ObjectName},
	{name: "no name", text: with("labels: {a: b}", data), code: verdict.ObjectName},
	{name: "a name that is a number", text: with("name: 42", data), code: verdict.ObjectName},
	{name: "a name with a path", text: with("name: ../../x", data), code: verdict.ObjectName},
	{name: "a name in capital letters", text: with("name: X", data), code: verdict.ObjectName},
	{name: "a name of 300 letters", text: with("name: "+strings.Repeat("x", 300), data), code: verdict.ObjectName},
	{name: "an owner", text: with("name: x, ownerReferences: [{apiVersion: v1, kind: Namespace, name: kube-system, uid: u}]", data), code: verdict.ObjectInvalid},
	{name: "a UID", text: with("name: x, uid: 00000000-0000-0000-0000-000000000000", data), code: verdict.ObjectInvalid},
	{name: "a resource version", text: with("name: x, resourceVersion: \"1\"", data), code: verdict.ObjectInvalid},
	{name: "managed fields", text: with("name: x, managedFields: [{manager: other, operation: Apply}]", data), code: verdict.ObjectInvalid},
	{name: "a time of deletion", text: with("name: x, deletionTimestamp: \"2026-11-20T12:00:00Z\"", data), code: verdict.ObjectInvalid},
	{name: "a time of creation that is empty", text: with("name: x, creationTimestamp: null", data)},
	{name: "a status", text: with("name: x", "status: {phase: Ready}, "+data)},
	{name: "a status with an unsigned image", text: object("evil.example/v1", "Widget", `status: {image: "«unsigned»"}, spec: {a: b}`)},
	{name: "the label of another source", text: with("name: x, labels: {apexlogic.com/source: other}", data), code: verdict.ObjectInvalid},
	{name: "the label of its own source", text: with("name: x, labels: {apexlogic.com/source: story}", data), code: verdict.ObjectInvalid},
	{name: "an annotation of Apex's own", text: with("name: x, annotations: {apexlogic.com/tags: '{}'}", data), code: verdict.ObjectInvalid},
	{name: "an annotation of its own", text: with("name: x, annotations: {example.com/a: b}", data)},
	{name: "a label that is a number", text: with("name: x, labels: {a: 1}", data), code: verdict.ObjectInvalid},
	{name: "labels that are a list", text: with("name: x, labels: [a]", data), code: verdict.ObjectInvalid},
	{name: "metadata that is a list", text: "{apiVersion: v1, kind: ConfigMap, metadata: [x]}\n", code: verdict.ObjectInvalid},
	{name: "no metadata", text: "{apiVersion: v1, kind: ConfigMap, data: {a: b}}\n", code: verdict.ObjectInvalid},
	{name: "no kind", text: "{apiVersion: v1, metadata: {name: x}}\n", code: verdict.ObjectInvalid},
	{name: "no API version", text: "{kind: ConfigMap, metadata: {name: x}}\n", code: verdict.ObjectInvalid},
	{name: "an API version with a path", text: "{apiVersion: v1/namespaces/kube-system, kind: ConfigMap, metadata: {name: x}}\n", code: verdict.ObjectName},
	{name: "an API version that is a number", text: "{apiVersion: 1, kind: ConfigMap, metadata: {name: x}}\n", code: verdict.ObjectInvalid},
	{name: "a kind with a slash", text: "{apiVersion: v1, kind: ConfigMap/status, metadata: {name: x}}\n", code: verdict.ObjectName},
	{name: "a kind in other letters", text: "{apiVersion: v1, Kind: Pod, kind: ConfigMap, metadata: {name: x}}\n", code: verdict.ManifestInvalid},
	{name: "a Deployment of a group that is gone, unsigned", text: strings.Replace(deployment("x", "«unsigned»"), "apps/v1", "extensions/v1beta1", 1), code: verdict.SignatureMissing},
	{name: "a Deployment of a group of somebody's own, unsigned", text: strings.Replace(deployment("x", "«unsigned»"), "apps/v1", "apps.evil.example/v1", 1), code: verdict.SignatureMissing},
	{name: "a namespace that is none", text: with("name: x, namespace: ../kube-system", data), code: verdict.ObjectNamespace},
	{name: "a namespace that is a number", text: with("name: x, namespace: 42", data), code: verdict.ObjectNamespace},
	{name: "a namespace of a kind that has none", text: "{apiVersion: v1, kind: Namespace, metadata: {name: x, namespace: vision}}\n", code: verdict.ObjectNamespace},
	{name: "one object twice", text: configMap("x") + "---\n" + configMap("x"), code: verdict.ObjectInvalid},
	{name: "one object in two files", text: configMap("settings-0"), code: verdict.ObjectInvalid},
	{name: "an object that is elsewhere too, in a List", text: "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: settings-0}}]}\n", code: verdict.ObjectInvalid},
	{name: "lists in lists in lists in lists", text: strings.Repeat("{apiVersion: v1, kind: List, items: [", 5) + "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}" + strings.Repeat("]}", 5) + "\n", code: verdict.ObjectInvalid},
	{name: "a list whose elements are no objects", text: "{apiVersion: v1, kind: List, items: [a, b]}\n", code: verdict.ObjectInvalid},
	{name: "a list that is none", text: "{apiVersion: v1, kind: List, items: {a: b}}\n", code: verdict.ObjectInvalid},

	// Policies of our own, weakened together with what they should hold back.
	{name: "a policy that only observes, with an unsigned image", text: policy("Observe") + "---\n" + deployment("x", "«unsigned»"), code: verdict.SignatureMissing},
	{name: "a policy that trusts another key, with an image by that", text: strings.Replace(policy("Enforce"), "[release]", "[thief]", 1) + "---\n" + deployment("x", "«wrong»"), code: verdict.SignatureUntrusted},
	{name: "a policy with a field that does not exist", text: strings.Replace(policy("Enforce"), "action:", "akshun:", 1), code: verdict.PolicyInvalid},
	{name: "a policy with an action that does not exist", text: strings.Replace(policy("Enforce"), "Deny", "Alow", 1), code: verdict.PolicyInvalid},
	{name: "an exception without an author, with an unsigned image", text: "apiVersion: security.apexlogic.com/v1alpha1\nkind: PolicyException\nmetadata: {name: x}\nspec: {digest: \"«bad digest»\", rules: [RequireImageSignature], reason: please, expires: \"2026-11-21T00:00:00Z\"}\n---\n" + deployment("y", "«unsigned»"), code: verdict.PolicyInvalid},
}

func policy(enforcement string) string {
	return "apiVersion: security.apexlogic.com/v1alpha1\nkind: ImageSecurityPolicy\nmetadata: {name: reference}\nspec: {enforcement: " + enforcement +
		", imageSelector: {}, rules: [{name: RequireImageSignature, action: Deny, parameters: {requireSignatureFrom: [release]}}]}\n"
}
