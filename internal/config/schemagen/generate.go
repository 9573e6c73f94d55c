package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/cel-go/cel"
	expr "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"
)

// definition is what is read of a CustomResourceDefinition.
type definition struct {
	Spec struct {
		Names struct {
			Kind       string   `json:"kind"`
			Plural     string   `json:"plural"`
			Singular   string   `json:"singular"`
			ShortNames []string `json:"shortNames"`
		} `json:"names"`
		Versions []struct {
			Name   string `json:"name"`
			Schema struct {
				OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
			} `json:"schema"`
		} `json:"versions"`
	} `json:"spec"`
}

// generate returns the files, by name, that belong to the CRDs in dir.
func generate(dir string) (map[string][]byte, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no CRD in %s", dir)
	}
	env, err := cel.NewEnv(cel.Variable("self", cel.DynType))
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte, len(paths))
	for _, path := range paths {
		name, data, err := compact(env, path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		files[name] = data
	}
	return files, nil
}

func compact(env *cel.Env, path string) (string, []byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", nil, err
	}
	var def definition
	if err := yaml.Unmarshal(data, &def); err != nil {
		return "", nil, err
	}
	if len(def.Spec.Versions) != 1 || def.Spec.Names.Kind == "" {
		return "", nil, fmt.Errorf("a CRD with a kind and exactly one version is expected")
	}
	schema := def.Spec.Versions[0].Schema.OpenAPIV3Schema
	if err := compileRules(env, schema, "$"); err != nil {
		return "", nil, err
	}
	names := def.Spec.Names
	out, err := json.Marshal(map[string]any{
		"kind":       names.Kind,
		"plural":     names.Plural,
		"singular":   names.Singular,
		"shortNames": names.ShortNames,
		"schema":     schema,
	})
	return names.Kind + ".json", append(out, '\n'), err
}

// compileRules adds the checked expression to every CEL rule at or below node.
func compileRules(env *cel.Env, node any, path string) error {
	switch n := node.(type) {
	case []any:
		for i, item := range n {
			if err := compileRules(env, item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		rules, _ := n["x-kubernetes-validations"].([]any)
		for _, r := range rules {
			rule, _ := r.(map[string]any)
			text, _ := rule["rule"].(string)
			checked, err := compileRule(env, text)
			if err != nil {
				return fmt.Errorf("%s: rule %q: %w", path, text, err)
			}
			rule["checked"] = base64.StdEncoding.EncodeToString(checked)
		}
		for key, child := range n {
			if err := compileRules(env, child, path+"."+key); err != nil {
				return err
			}
		}
	}
	return nil
}

// compileRule returns the rule as a CheckedExpr. Positions and types are left
// out: the planner works without them, and they are most of the bytes.
func compileRule(env *cel.Env, text string) ([]byte, error) {
	ast, issues := env.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, err
	}
	// Whatever passes through self is dynamic; the evaluator checks the result.
	if out := ast.OutputType(); out != cel.BoolType && out != cel.DynType {
		return nil, fmt.Errorf("the result is %s, not bool", ast.OutputType())
	}
	checked, err := cel.AstToCheckedExpr(ast)
	if err != nil {
		return nil, err
	}
	for _, reference := range checked.GetReferenceMap() {
		// The checker lists candidates in the order of a map.
		slices.Sort(reference.OverloadId)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(&expr.CheckedExpr{
		Expr:         checked.GetExpr(),
		ReferenceMap: checked.GetReferenceMap(),
	})
}
