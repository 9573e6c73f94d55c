package function

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folder writes files and returns their folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	template  = "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties: {Handler: a.b}\n"
	sls       = "service: s\nprovider: {name: aws}\nfunctions: {f: {handler: a.b}}\n"
	faas      = "provider: {name: openfaas, gateway: 'http://g'}\nfunctions: {f: {image: 'r/f:1', lang: go}}\n"
	manifests = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: f}\nspec: {template: {spec: {containers: [{image: 'r/f:1'}]}}}\n"
)

func TestUnitsAreFoundByTheirContent(t *testing.T) {
	dir := folder(t, map[string]string{
		"a/readme.yaml":           template,
		"b/values.yml":            sls,
		"c/x.json":                `{"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"F": {"Type": "AWS::Lambda::Function"}}}`,
		"d/notes.yaml":            faas,
		"e/1.yaml":                manifests,
		"e/2.yaml":                strings.ReplaceAll(manifests, "{name: f}", "{name: g}"),
		"tf/main.tf":              "module \"m\" {\n  source = \"../mod\"\n  name = \"x\"\n}\n",
		"mod/main.tf":             "variable \"name\" {}\nresource \"aws_lambda_function\" \"f\" {\n  function_name = var.name\n}\n",
		"json/main.tf.json":       `{"resource": {"aws_lambda_function": {"f": {"function_name": "j"}}}}`,
		"other/config.yaml":       "service: 1\nlist: [a]\n",
		"other/package.json":      `{"name": "x"}`,
		".git/serverless.yml":     sls,
		"broken/not.yaml":         "apiVersion: v1\nkind: {{ .Values.kind }}\n",
		"mod/more/serverless.yml": sls,
	})
	stacks, err := ReadDir(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range stacks {
		got = append(got, string(s.Unit)+" "+s.Root+" "+string(rune('0'+len(s.Functions))))
	}
	want := []string{"cloudformation a/readme.yaml 1", "serverless b/values.yml 1", "kubernetes broken/not.yaml 0", "cloudformation c/x.json 1", "openfaas d/notes.yaml 1",
		"kubernetes e 2", "terraform json 1", "serverless mod/more/serverless.yml 1", "terraform tf 1"}
	if !slices.Equal(got, want) {
		t.Errorf("units\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, s := range stacks {
		if s.Root == "tf" && (s.Functions[0].ID != "module.m.aws_lambda_function.f" || s.Functions[0].Name != "x" || s.Functions[0].File != "mod/main.tf") {
			t.Errorf("the module's function %+v", s.Functions[0])
		}
		if (len(s.Gaps) > 0) != strings.HasPrefix(s.Root, "broken") {
			t.Errorf("gaps of %s: %v", s.Root, s.Gaps)
		}
	}
}

// TestEveryFileThatDecidesIsNamed holds the list that has to be signed: whoever
// changes a variable's default changes the function.
func TestEveryFileThatDecidesIsNamed(t *testing.T) {
	dir := folder(t, map[string]string{
		"tf/main.tf":               "module \"m\" {\n  source = \"../mod\"\n}\nresource \"aws_iam_policy\" \"a\" {\n  policy = file(\"${path.module}/policy.json\")\n}\n",
		"tf/variables.tf":          "variable \"x\" {\n  default = \"y\"\n}\n",
		"tf/terraform.tfvars":      "x = \"z\"\n",
		"tf/policy.json":           `{"Version": "2012-10-17", "Statement": []}`,
		"tf/unused.json":           `{}`,
		"mod/locals.tf":            "locals {\n  a = 1\n}\n",
		"sls/serverless.yml":       "service: s\nprovider: {name: aws, memorySize: '${file(./sizes.yml):small}'}\nfunctions: {f: {handler: a.b}}\n",
		"sls/sizes.yml":            "small: 128\n",
		"sls/notes.yml":            "a: b\n",
		"kube/a.yaml":              manifests,
		"kube/b.yaml":              strings.ReplaceAll(manifests, "{name: f}", "{name: g}"),
		"kube/kustomization.yaml":  "resources: [a.yaml]\n",
		"template/template.yaml":   template,
		"template/parameters.json": `{"a": "b"}`,
	})
	stacks, err := ReadDir(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"tf":                     {"mod/locals.tf", "tf/main.tf", "tf/policy.json", "tf/terraform.tfvars", "tf/variables.tf"},
		"sls/serverless.yml":     {"sls/serverless.yml", "sls/sizes.yml"},
		"kube":                   {"kube/a.yaml", "kube/b.yaml"},
		"template/template.yaml": {"template/template.yaml"},
	}
	for _, s := range stacks {
		if !slices.Equal(s.Files, want[s.Root]) {
			t.Errorf("%s: %q, want %q; gaps %v", s.Root, s.Files, want[s.Root], s.Gaps)
		}
		delete(want, s.Root)
	}
	if len(want) > 0 {
		t.Errorf("not read: %v", want)
	}
}

func TestNothingOutsideOfTheFolderIsRead(t *testing.T) {
	outside := folder(t, map[string]string{"secret.json": `{"Statement": [{"Effect": "Allow", "Action": "SECRET:*", "Resource": "*"}]}`, "mod/main.tf": "resource \"aws_lambda_function\" \"OUT\" {}\n"})
	name := filepath.Base(outside)
	dir := folder(t, map[string]string{
		"main.tf": "resource \"aws_iam_policy\" \"a\" {\n  policy = file(\"../" + name + "/secret.json\")\n}\n" +
			"resource \"aws_iam_policy\" \"b\" {\n  policy = file(\"link.json\")\n}\n" +
			"resource \"aws_iam_policy\" \"c\" {\n  policy = file(\"" + outside + "/secret.json\")\n}\n" +
			"module \"m\" {\n  source = \"../" + name + "/mod\"\n}\n",
		"s/serverless.yml": "service: s\nprovider: {name: aws, iamRoleStatements: ['${file(../../" + name + "/secret.json):Statement}', '${file(link.json)}']}\nfunctions: {f: {handler: h}}\n",
	})
	for _, link := range []string{"link.json", "s/link.json"} {
		if err := os.Symlink(filepath.Join(outside, "secret.json"), filepath.Join(dir, link)); err != nil {
			t.Skip("no symbolic links here")
		}
	}
	stacks, err := ReadDir(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(stacks) != 2 {
		t.Fatalf("%d stacks", len(stacks))
	}
	for _, s := range stacks {
		if len(s.Gaps) < 2 {
			t.Errorf("gaps of %s: %v", s.Root, s.Gaps)
		}
		for _, p := range s.Policies {
			if strings.Contains(string(p.Document), "SECRET") || !p.Unknown {
				t.Errorf("%s holds %s", p.ID, p.Document)
			}
		}
		for _, f := range s.Functions {
			if strings.Contains(f.ID, "OUT") {
				t.Error("a module outside of the folder was read")
			}
		}
	}
}

func TestModulesThatCallEachOtherEnd(t *testing.T) {
	dir := folder(t, map[string]string{
		"a/main.tf": "module \"b\" {\n  source = \"../b\"\n}\nresource \"aws_iam_role\" \"r\" {}\n",
		"b/main.tf": "module \"a\" {\n  source = \"../a\"\n}\n",
	})
	stacks, err := ReadDir(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(stacks) != 2 || len(stacks[0].Gaps) == 0 || len(stacks[0].Principals) != 1 {
		t.Errorf("%+v", stacks)
	}
}

func TestAFolderThatIsNotThereIsAnError(t *testing.T) {
	if _, err := ReadDir(t.Context(), filepath.Join(t.TempDir(), "none"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	stacks, err := ReadDir(t.Context(), t.TempDir(), Options{})
	if err != nil || len(stacks) != 0 {
		t.Errorf("an empty folder: %v, %v", stacks, err)
	}
}

func TestTheOptionsOfADeploymentAreTaken(t *testing.T) {
	dir := folder(t, map[string]string{"serverless.yml": "service: s\nprovider: {name: aws, stage: \"${opt:stage, 'dev'}\"}\nfunctions: {f: {handler: h}}\n"})
	for stage, want := range map[string]string{"": "s-dev-f", "prod": "s-prod-f"} {
		o := Options{}
		if stage != "" {
			o.Variables = map[string]string{"stage": stage}
		}
		stacks, err := ReadDir(t.Context(), dir, o)
		if err != nil {
			t.Fatal(err)
		}
		if got := stacks[0].Functions[0].Name; got != want {
			t.Errorf("stage %q: %s, want %s", stage, got, want)
		}
	}
}
