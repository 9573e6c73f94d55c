package kubernetes

import (
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

func read(t *testing.T, text string) *stack.Stack {
	t.Helper()
	docs, err := node.YAML("m.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	f := NewFolder(".")
	for _, d := range docs {
		if !Is(d) {
			t.Fatalf("line %d is not taken for a manifest", d.Line)
		}
		f.Add(d)
	}
	return f.Stack()
}

func line(t *testing.T, text, part string) int {
	t.Helper()
	before, _, ok := strings.Cut(text, part)
	if !ok {
		t.Fatalf("%q is not in the manifest", part)
	}
	return strings.Count(before, "\n") + 1
}

const rbac = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
  - apiGroups: [""]
    resources: [secrets]
    verbs: [get, list]
  - nonResourceURLs: ["/metrics"]
    verbs: ["get"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: bind, namespace: team}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects:
  - kind: ServiceAccount
    name: default
    namespace: team
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: ServiceAccount
    metadata: {name: worker, namespace: team}
    automountServiceAccountToken: false
  - apiVersion: rbac.authorization.k8s.io/v1
    kind: Role
    metadata: {name: local}
    rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]
`

func TestRolesAndBindingsAreReadWithTheirLines(t *testing.T) {
	s := read(t, rbac)
	r := s.Roles[0]
	if r.Namespace != "" || r.Line != 1 || len(r.Rules) != 2 || r.Rules[0].Line != line(t, rbac, "- apiGroups") || !slices.Equal(r.Rules[0].Verbs, []string{"get", "list"}) || !slices.Equal(r.Rules[1].URLs, []string{"/metrics"}) {
		t.Errorf("cluster role %+v", r)
	}
	if r := s.Roles[1]; r.Namespace != "default" || !slices.Equal(r.Rules[0].Groups, []string{"*"}) || r.Line != line(t, rbac, "- apiVersion: rbac") {
		t.Errorf("role of a list %+v", r)
	}
	b := s.Bindings[0]
	if b.Namespace != "team" || !b.ClusterRole || b.Role != "reader" || b.Subjects[0] != (stack.RBACSubject{Kind: "ServiceAccount", Namespace: "team", Name: "default"}) {
		t.Errorf("binding %+v", b)
	}
	if a := s.Accounts[0]; a.Name != "worker" || a.AutomountToken == nil || *a.AutomountToken {
		t.Errorf("account %+v", a)
	}
}

const knative = `apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: captioner
  namespace: vision%s
spec:
  template:
    spec:
      serviceAccountName: captioner
      timeoutSeconds: 60
      containers:
        - image: registry.example/captioner@sha256:0123
          args: [--model, hf://team/captioner]
          env:
            - {name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: t}}}
            - name: STORAGE_URI
              value: s3://models/captioner
`

func TestAKnativeServiceIsPublicUnlessItSaysOtherwise(t *testing.T) {
	for _, tc := range []struct {
		name, extra string
		public      bool
		gateway     bool
	}{
		{"by default it is", "", true, false},
		{"with the label it is not", "\n  labels: {networking.knative.dev/visibility: cluster-local}", false, false},
		{"behind the gateway it says so", "\n  labels: {security.apexlogic.com/gateway: main}", true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := read(t, strings.Replace(knative, "%s", tc.extra, 1))
			f := s.Functions[0]
			if (len(f.Public) > 0) != tc.public || f.Gateway != tc.gateway {
				t.Errorf("public %v, gateway %v", f.Public, f.Gateway)
			}
			if f.Account != "vision/captioner" || f.Timeout.Seconds() != 60 || f.Image.Value != "registry.example/captioner@sha256:0123" || len(f.Models) != 2 {
				t.Errorf("%+v", f)
			}
			if f.Environment[0].From != "secret s" || f.Environment[1].Value != stack.Literal("s3://models/captioner") {
				t.Errorf("environment %+v", f.Environment)
			}
			if a := s.Accounts[0]; !slices.Equal(a.UsedBy, []string{"Service vision/captioner"}) {
				t.Errorf("account %+v", a)
			}
		})
	}
}

const behind = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: c, image: web:1, env: [{name: PASSWORD, value: hunter2}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: in%s}
spec:
  rules:
    - http:
        paths:
          - path: /
            backend: {service: {name: web}}
`

func TestAnIngressExposesWhatItsServiceSelects(t *testing.T) {
	s := read(t, strings.Replace(behind, "%s", "", 1))
	f := s.Functions[0]
	if len(f.Public) != 1 || f.Public[0].Line != line(t, behind, "- path: /") || f.Account != "default/default" || f.Environment[0].Line != line(t, behind, "PASSWORD") {
		t.Errorf("%+v", f)
	}
	s = read(t, strings.Replace(behind, "%s", `, annotations: {nginx.ingress.kubernetes.io/auth-url: "https://sso.example"}`, 1))
	if p := s.Functions[0].Public; p != nil {
		t.Errorf("an Ingress that asks who calls: %v", p)
	}
}

func TestOtherKindsThatServeAreRead(t *testing.T) {
	for _, tc := range []struct {
		name, text, kind, image, model string
		public                         bool
	}{
		{"an InferenceService with a model", "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: m}\nspec: {predictor: {model: {modelFormat: {name: onnx}, storageUri: 's3://b/m'}}}", "serving.kserve.io/InferenceService", "", "s3://b/m", true},
		{"one that is cluster-local", "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: m, labels: {networking.kserve.io/visibility: cluster-local}}\nspec: {predictor: {containers: [{image: 'p:1'}]}}", "serving.kserve.io/InferenceService", "p:1", "", false},
		{"an LLMInferenceService", "apiVersion: serving.kserve.io/v1alpha1\nkind: LLMInferenceService\nmetadata: {name: m}\nspec: {model: {uri: 'hf://a/b'}}", "serving.kserve.io/LLMInferenceService", "", "hf://a/b", false},
		{"a ScaledJob", "apiVersion: keda.sh/v1alpha1\nkind: ScaledJob\nmetadata: {name: m}\nspec: {jobTargetRef: {template: {spec: {containers: [{image: 'j:1'}]}}}}", "ScaledJob", "j:1", "", false},
		{"a Fission environment", "apiVersion: fission.io/v1\nkind: Environment\nmetadata: {name: m}\nspec: {runtime: {image: 'f:1'}}", "fission.io/Environment", "f:1", "", false},
		{"a Nuclio function with a node port", "apiVersion: nuclio.io/v1beta1\nkind: NuclioFunction\nmetadata: {name: m}\nspec: {image: 'n:1', triggers: {h: {kind: http, attributes: {serviceType: NodePort}}}}", "nuclio.io/NuclioFunction", "n:1", "", true},
		{"an OpenFaaS function", "apiVersion: openfaas.com/v1\nkind: Function\nmetadata: {name: m}\nspec: {name: m, image: 'o:1', environment: {A: b}}", "openfaas.com/Function", "o:1", "", false},
		{"a CronJob", "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: m}\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{image: 'c:1'}]}}}}}", "CronJob", "c:1", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := read(t, tc.text)
			f := s.Functions[0]
			model := ""
			if len(f.Models) > 0 {
				model = f.Models[0].Value
			}
			if f.Kind != tc.kind || f.Image.Value != tc.image || model != tc.model || (len(f.Public) > 0) != tc.public {
				t.Errorf("%+v", f)
			}
		})
	}
}

func FuzzFolder(f *testing.F) {
	f.Add(rbac)
	f.Add(knative)
	f.Add(behind)
	f.Add("apiVersion: nuclio.io/v1\nkind: NuclioFunction\nspec: 1")
	f.Fuzz(func(t *testing.T, text string) {
		docs, _ := node.YAML("m.yaml", []byte(text))
		folder := NewFolder(".")
		for _, d := range docs {
			if Is(d) {
				folder.Add(d)
			}
		}
		for _, fn := range folder.Stack().Functions {
			if fn.ID == "" {
				t.Error("a function without an ID")
			}
		}
	})
}
