package render_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/verdict"
)

func TestAFolderOfManifestsIsRendered(t *testing.T) {
	set := must(t, map[string]string{
		"apps/captioner.yaml":  "# the service\n" + deployment + "---\n# nothing\n---\n" + config,
		"apps/more/ns.json":    `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"vision","creationTimestamp":null},"status":{}}`,
		"apps/README.md":       "not read",
		"apps/.github/ci.yaml": "on: push",
		"other/x.yaml":         "kind: [not read",
	}, "apps", options)
	if got, want := ids(set), "ConfigMap vision/settings, Namespace vision, Deployment.apps vision/captioner"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	o := set.Objects()[2]
	if o.Where.File != "apps/captioner.yaml" || o.Where.Line != 2 {
		t.Errorf("the place is %v", o.Where)
	}
	if _, there := set.Objects()[1].Body["status"]; there {
		t.Error("the status is in the set")
	}
	again, err := gitops.ReadSet(set.Bytes())
	if err != nil || again.Digest() != set.Digest() {
		t.Errorf("the set is not read back: %v", err)
	}
}

// edited is a manifest with one text replaced by another.
func edited(text, old, to string) string {
	if !strings.Contains(text, old) {
		panic("nothing to edit: " + old)
	}
	return strings.Replace(text, old, to, 1)
}

func TestManifestsAreRefusedWithTheirReason(t *testing.T) {
	deep := strings.Repeat("{a: ", 120) + "1" + strings.Repeat("}", 120)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 'b'; i <= 'i'; i++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1)
	}
	amplified := "x: &x " + strings.Repeat("y", 100_000) + "\nlist: [" + strings.Repeat("*x, ", 20) + "*x]\n"
	for name, tc := range map[string]struct {
		file, twin string // refused, rendered; in f.yaml unless name says otherwise
		code       verdict.Code
		why        string
		line       int
	}{
		"a name that is no name": {edited(config, "settings", "Settings"), config, verdict.ObjectName, "characters that no name has", 3},
		"a name in a path":       {edited(config, "settings", "../settings"), edited(config, "settings", "my.settings"), verdict.ObjectName, "characters", 3},
		"no name":                {edited(config, "name: settings", "labels: {a: b}"), config, verdict.ObjectName, "missing", 3},
		"a number for a name":    {edited(config, "settings", "7"), edited(config, "settings", `"7"`), verdict.ObjectName, "in quotes", 3},
		"a name that is too long": {edited(config, "settings", strings.Repeat("a", 254)), edited(config, "settings", strings.Repeat("a", 253)),
			verdict.ObjectName, "253", 3},
		"generateName":            {edited(config, "name: settings", "generateName: settings-"), config, verdict.ObjectName, "new object with every apply", 3},
		"generateName and a name": {edited(config, "name: settings", "{name: settings, generateName: x-}"[1:32]), config, verdict.ObjectName, "generateName", 3},
		"a UID":                   {edited(config, "name: settings", "name: settings, uid: abc"), config, verdict.ObjectInvalid, "metadata.uid", 3},
		"a resource version": {edited(config, "name: settings", `name: settings, resourceVersion: "12"`),
			edited(config, "name: settings", `name: settings, resourceVersion: ""`), verdict.ObjectInvalid, "metadata.resourceVersion", 3},
		"an owner":                     {edited(config, "name: settings", "name: settings, ownerReferences: [{name: x, uid: y}]"), config, verdict.ObjectInvalid, "ownerReferences", 3},
		"no kind":                      {edited(config, "kind: ConfigMap\n", ""), config, verdict.ObjectInvalid, "apiVersion and kind", 1},
		"no apiVersion":                {edited(config, "apiVersion: v1\n", ""), config, verdict.ObjectInvalid, "apiVersion and kind", 1},
		"an apiVersion that is a path": {edited(config, "apiVersion: v1", "apiVersion: ../v1"), config, verdict.ObjectName, "API version", 1},
		"a kind with a slash":          {edited(config, "kind: ConfigMap", "kind: pods/exec"), config, verdict.ObjectName, "no kind", 2},
		"no metadata":                  {edited(config, "metadata: {name: settings}\n", ""), config, verdict.ObjectInvalid, "metadata is missing", 1},
		"a label that is a number":     {edited(config, "name: settings", "name: settings, labels: {a: 1}"), edited(config, "name: settings", `name: settings, labels: {a: "1"}`), verdict.ObjectInvalid, "not a string: quote it", 3},
		"a label of another source":    {edited(config, "name: settings", "name: settings, labels: {apexlogic.com/source: claims}"), edited(config, "name: settings", "name: settings, labels: {example.com/source: claims}"), verdict.ObjectInvalid, "written by Apex alone", 3},
		"a forged note of tags":        {edited(config, "name: settings", `name: settings, annotations: {apexlogic.com/tags: "{}"}`), config, verdict.ObjectInvalid, "written by Apex alone", 3},
		"a document that is a list":    {"[1, 2]", config, verdict.ObjectInvalid, "no Kubernetes object", 1},
		"a document that is text":      {"just text", config, verdict.ObjectInvalid, "no Kubernetes object", 1},
		"values of a chart":            {"replicas: 3\nimage: {tag: x}", config, verdict.ObjectInvalid, "no Kubernetes object", 1},
		"a template":                   {edited(deployment, "captioner:1.2", "captioner:{{ .Values.tag }}"), deployment, verdict.ReferenceUnresolved, "render the manifest first", 12},
		"a template that is no YAML":   {"{{- if .Values.on }}\n" + config + "{{- end }}", config, verdict.ManifestInvalid, "", 1},
		"a parameter for an image":     {edited(deployment, "captioner:1.2", "captioner:$(TAG)"), deployment, verdict.ReferenceUnresolved, "not known here", 12},
		"no image":                     {edited(deployment, "        image: ghcr.io/vision/captioner:1.2\n", "        args: [x]\n"), deployment, verdict.ReferenceUnresolved, "no image", 11},
		"an image that is no image":    {edited(deployment, "captioner:1.2", "Captioner:1.2"), deployment, verdict.ReferenceInvalid, "", 12},
		"an image that nobody has":     {edited(deployment, "captioner:1.2", "gone:1.2"), edited(deployment, "captioner:1.2", "gone@"+string(digestFor("x"))), verdict.ReferenceUnresolved, "no such image", 12},
		"an image in another spelling": {edited(deployment, "image:", "Image:"), deployment, verdict.ManifestInvalid, "differs from", 0},
		"an image in a place that nobody knows": {edited(config, "level: info", "sidecar: quay.io/a/b:1"),
			edited(config, "level: info", "sidecar: quay.io/a/b@"+string(digestFor("b"))), verdict.ReferenceUnknown, "with its digest", 4},
		"a key twice":                 {edited(config, "data:", "data: {a: b}\ndata:"), config, verdict.ManifestInvalid, "duplicate key", 5},
		"a merge behind its key":      {"x: &x {name: other}\n" + edited(config, "{name: settings}", "{name: settings, <<: *x}"), "x: &x {namespace: vision}\n" + edited(config, "{name: settings}", "{<<: *x, name: settings}"), verdict.ManifestInvalid, "parsers disagree", 4},
		"a boolean of YAML 1.1":       {edited(config, "level: info", "level: yes"), edited(config, "level: info", `level: "yes"`), verdict.ManifestInvalid, "quote it", 4},
		"text behind a separator":     {config + "---x\n" + config, config + "---\n", verdict.ManifestInvalid, "---", 5},
		"two byte order marks":        {"\ufeff" + config + "---\n\ufeff" + config, "\ufeff" + config, verdict.ManifestInvalid, "byte order mark", 6},
		"bytes that are not UTF-8":    {edited(config, "info", "\xff\xfe"), config, verdict.ManifestInvalid, "UTF-8", 4},
		"a tag of some tool":          {edited(config, "info", "!Ref X"), edited(config, "info", "!!str X"), verdict.ManifestInvalid, "own tag", 4},
		"binary in disguise":          {edited(deployment, "ghcr.io/vision/captioner:1.2", "!!binary bmdpbng="), deployment, verdict.ManifestInvalid, "!!binary", 12},
		"an alias of itself":          {"a: &a [*a]\n" + config, config, verdict.ManifestInvalid, "part of what it names", 1},
		"a bomb of aliases":           {bomb + config, config, verdict.ManifestInvalid, "aliases", 0},
		"text that aliases repeat":    {amplified + config, config, verdict.RenderTooLarge, "1048576", 1},
		"nesting without end":         {"a: " + deep + "\n" + config, config, verdict.ManifestInvalid, "deeper", 1},
		"an object of more than 1MiB": {edited(config, "info", strings.Repeat("x", 1<<20)), edited(config, "info", strings.Repeat("x", 1<<19)), verdict.RenderTooLarge, "split it", 1},
		"more documents than allowed": {strings.Repeat("---\n{}\n", 2002), config, verdict.ManifestInvalid, "documents", 0},
		"SOPS": {edited(config, "info", "ENC[AES256_GCM,data:4aGf,iv:x,tag:y,type:str]") + "sops: {version: 3.9.0}\n", config,
			verdict.RenderEncrypted, "SOPS", 0},
		"age":                           {"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n", config, verdict.RenderEncrypted, "age", 0},
		"binary age":                    {"age-encryption.org/v1\n-> X25519 x\n", config, verdict.RenderEncrypted, "age", 0},
		"a message of OpenPGP":          {"-----BEGIN PGP MESSAGE-----\n", config, verdict.RenderEncrypted, "OpenPGP", 0},
		"git-crypt":                     {"\x00GITCRYPT\x00\x01\x02", config, verdict.RenderEncrypted, "git-crypt", 0},
		"an Ansible vault":              {"$ANSIBLE_VAULT;1.1;AES256\n61", config, verdict.RenderEncrypted, "Ansible", 0},
		"a pointer of LFS":              {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", config, verdict.RenderEncrypted, "LFS", 0},
		"a kustomization by other name": {"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nmetadata: {name: x}\n", config, verdict.RenderFeature, "kustomization.yaml", 2},
		"nothing at all":                {"# only a comment\n", config, verdict.RenderEmpty, "nothing would be applied", 0},
		"KServe picking a tag": {kserve("runtimeVersion: 1.0.0"), kserve("protocolVersion: v2"),
			verdict.ReferenceUnresolved, "runtimeVersion picks a tag", 7},
		"KServe picking a tag in other case": {kserve("RuntimeVersion: 1.0.0"), kserve("protocolVersion: v2"), verdict.ReferenceUnresolved, "runtimeVersion", 7},
	} {
		t.Run(name, func(t *testing.T) {
			reasons := refusal(t, map[string]string{"f.yaml": tc.file}, ".", options)
			r := reasons[0]
			if r.Code != tc.code || !strings.Contains(r.Why, tc.why) {
				t.Errorf("got %s %q, want %s %q", r.Code, r.Why, tc.code, tc.why)
			}
			if tc.code != verdict.RenderEmpty && r.Where.File != "f.yaml" || tc.line != 0 && r.Where.Line != tc.line {
				t.Errorf("the place is %v, want line %d", r.Where, tc.line)
			}
			must(t, map[string]string{"f.yaml": tc.twin}, ".", options)
		})
	}
}

func kserve(field string) string {
	return `apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: captioner}
spec:
  predictor:
    model:
      ` + field + `
      modelFormat: {name: onnx}
      storageUri: s3://models/captioner
`
}

func TestFoldersAreRefusedWithTheirReason(t *testing.T) {
	plain := map[string]string{"a/config.yaml": config}
	for name, tc := range map[string]struct {
		files map[string]string // beside a/config.yaml
		dir   string
		code  verdict.Code
		file  string
	}{
		"a chart":                       {map[string]string{"a/Chart.yaml": "name: x", "a/templates/x.yaml": "{{ x }}"}, "a", verdict.RenderChart, "a/Chart.yaml"},
		"a chart below":                 {map[string]string{"a/x/Chart.yaml": "name: x"}, "a", verdict.RenderChart, "a/x/Chart.yaml"},
		"a kustomization below":         {map[string]string{"a/x/kustomization.yaml": "resources: []"}, "a", verdict.RenderFeature, "a/x/kustomization.yaml"},
		"two kustomizations":            {map[string]string{"a/kustomization.yaml": "resources: [config.yaml]", "a/Kustomization": "resources: [config.yaml]"}, "a", verdict.ManifestInvalid, "a/Kustomization"},
		"a path that leaves":            {nil, "../a", verdict.RenderPath, "../a"},
		"a path that leaves in between": {nil, "a/../../a", verdict.RenderPath, "a/../../a"},
		"a path that is absolute":       {nil, "/a", verdict.RenderPath, "/a"},
		"a path that is not there":      {nil, "b", verdict.RenderPath, "b"},
		"the same object in two files":  {map[string]string{"a/copy.yaml": config}, "a", verdict.ObjectInvalid, "a"},
		"folders without end":           {map[string]string{"a/" + strings.Repeat("x/", 40) + "c.yaml": config}, "a", verdict.RenderTooLarge, ""},
	} {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(plain)
			maps.Copy(files, tc.files)
			r := refusal(t, files, tc.dir, options)[0]
			if r.Code != tc.code || tc.file != "" && r.Where.File != tc.file {
				t.Errorf("got %s at %v: %s", r.Code, r.Where, r.Why)
			}
			must(t, plain, "a", options)
		})
	}
}

func TestListsAreUnfolded(t *testing.T) {
	for name, text := range map[string]string{
		"a List":               "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: settings}\n",
		"a typed list":         "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: settings}\n- null\n",
		"a List within a List": "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMapList\n  items:\n  - metadata: {name: settings}\n",
	} {
		t.Run(name, func(t *testing.T) {
			set := must(t, map[string]string{"f.yaml": text}, ".", options)
			if ids(set) != "ConfigMap vision/settings" || set.Objects()[0].Version != "v1" {
				t.Errorf("got %s", ids(set))
			}
		})
	}
	nested := strings.Repeat("{apiVersion: v1, kind: List, items: [", 5) + "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}" + strings.Repeat("]}", 5)
	for name, text := range map[string]string{
		"lists without end":            nested,
		"items that are no list":       "apiVersion: v1\nkind: List\nitems: {a: b}\n",
		"an element that is no object": "apiVersion: v1\nkind: List\nitems: [1]\n",
	} {
		t.Run(name, func(t *testing.T) {
			if r := refusal(t, map[string]string{"f.yaml": text}, ".", options)[0]; r.Code != verdict.ObjectInvalid {
				t.Errorf("got %s: %s", r.Code, r.Why)
			}
		})
	}
}

func TestObjectsStayInTheNamespacesOfTheirSource(t *testing.T) {
	role := "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: \"system:x\"}\n"
	custom := "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n"
	crd := "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.com}\nspec:\n  group: example.com\n  names: {kind: Widget}\n  scope: Cluster\n"
	within := func(ns string) string { return edited(config, "name: settings", "name: settings, namespace: "+ns) }
	cluster := func(group, kind string) (bool, bool) { return false, kind == "Widget" }
	for name, tc := range map[string]struct {
		text string
		o    render.Options
		want string // the objects, or a part of the reason
	}{
		"none named, none given":                 {config, render.Options{}, "names no namespace"},
		"none named, one given":                  {config, render.Options{Namespace: "vision"}, "ConfigMap vision/settings"},
		"the source's own":                       {within("vision"), render.Options{Namespace: "vision"}, "ConfigMap vision/settings"},
		"another":                                {within("claims"), render.Options{Namespace: "vision"}, "may not write to the namespace claims"},
		"another that is allowed":                {within("claims"), render.Options{Namespace: "vision", Namespaces: []string{"claims"}}, "ConfigMap claims/settings"},
		"any":                                    {within("claims"), render.Options{Namespaces: []string{"*"}}, "ConfigMap claims/settings"},
		"one that is no name":                    {within("Claims"), render.Options{Namespaces: []string{"*"}}, "is no namespace"},
		"one that is a number":                   {within("7"), render.Options{Namespaces: []string{"*"}}, "not a string"},
		"a kind of the cluster":                  {role, render.Options{Namespace: "vision"}, "ClusterRole.rbac.authorization.k8s.io system:x"},
		"a kind of the cluster with a namespace": {edited(role, "name: ", "namespace: vision, name: "), render.Options{Namespace: "vision"}, "belongs to no namespace"},
		"a namespace itself":                     {"apiVersion: v1\nkind: Namespace\nmetadata: {name: vision}\n", render.Options{Namespace: "vision"}, "Namespace vision"},
		"another's namespace itself":             {"apiVersion: v1\nkind: Namespace\nmetadata: {name: claims}\n", render.Options{Namespace: "vision"}, "may not write to the namespace claims"},
		"a kind that nobody knows":               {custom, render.Options{Namespace: "vision"}, "Widget.example.com vision/w"},
		"a kind that the target knows":           {custom, render.Options{Namespace: "vision", Namespaced: cluster}, "Widget.example.com w"},
		"a kind that the revision declares":      {crd + "---\n" + custom, render.Options{Namespace: "vision"}, "CustomResourceDefinition.apiextensions.k8s.io widgets.example.com, Widget.example.com w"},
		"a CRD that would redeclare ConfigMaps":  {edited(edited(crd, "group: example.com", `group: ""`), "Widget", "ConfigMap") + "---\n" + config, render.Options{}, "names no namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := render.Render(t.Context(), tree(map[string]string{"f.yaml": tc.text}), ".", tc.o)
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = ids(set)
			}
			if err == nil && got != tc.want || err != nil && !strings.Contains(got, tc.want) {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestAQuotaOnObjects(t *testing.T) {
	o := options
	o.MaxObjects = 1
	if r := refusal(t, map[string]string{"a.yaml": config, "b.yaml": deployment}, ".", o)[0]; r.Code != verdict.RenderTooLarge || r.Where.File != "b.yaml" {
		t.Errorf("got %s at %v", r.Code, r.Where)
	}
	o.MaxObjects = 2
	must(t, map[string]string{"a.yaml": config, "b.yaml": deployment}, ".", o)
}

func TestSeveralReasonsAreShownAtOnceAndNotTooMany(t *testing.T) {
	files := map[string]string{}
	for i := range 30 {
		files[fmt.Sprintf("f%02d.yaml", i)] = edited(config, "settings", fmt.Sprintf("Settings%d", i))
	}
	reasons := refusal(t, files, ".", options)
	if len(reasons) != 20 || reasons[1].Where.File != "f01.yaml" {
		t.Errorf("got %d reasons, the second at %v", len(reasons), reasons[1].Where)
	}
}
