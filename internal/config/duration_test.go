package config

import (
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
)

// TestEveryDurationIsHeldByOneRule finds each duration of the kinds' Go types and
// looks for the rule in the schema that API servers and lint share.
func TestEveryDurationIsHeldByOneRule(t *testing.T) {
	found, rule := 0, ""
	var walk func(path string, typ reflect.Type, s *schema)
	walk = func(path string, typ reflect.Type, s *schema) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			if typ.Kind() == reflect.Slice {
				s = s.Items
			}
			typ = typ.Elem()
		}
		if typ == reflect.TypeFor[metav1.Duration]() {
			found++
			if len(s.Rules) != 1 || s.Rules[0].Message != "is not a duration above zero, for example 24h or 90m" || rule != "" && s.Rules[0].Rule != rule {
				t.Errorf("%s is held by other rules than the others: copy the markers of another duration", path)
				return
			}
			rule = s.Rules[0].Rule
			return
		}
		if typ.Kind() != reflect.Struct || typ.PkgPath() != reflect.TypeFor[v1alpha1.GitSource]().PkgPath() {
			return
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				walk(path, f.Type, s) // inlined
			} else if child := s.Properties[name]; child != nil {
				walk(path+"."+name, f.Type, child)
			}
		}
	}
	for kind, typ := range map[string]reflect.Type{
		"ImageSecurityPolicy": reflect.TypeFor[v1alpha1.ImageSecurityPolicy](), "ModelSecurityPolicy": reflect.TypeFor[v1alpha1.ModelSecurityPolicy](),
		"FunctionSecurityPolicy": reflect.TypeFor[v1alpha1.FunctionSecurityPolicy](), "GitSource": reflect.TypeFor[v1alpha1.GitSource](),
		"ProtectedRoute": reflect.TypeFor[v1alpha1.ProtectedRoute](),
	} {
		def, err := kinds()[kind]()
		if err != nil {
			t.Fatal(err)
		}
		walk(kind, typ, def.Schema)
	}
	if found < 10 {
		t.Errorf("only %d durations were found", found)
	}
}

func TestADurationIsAboveZeroAndInTheUnitsOfGo(t *testing.T) {
	for text, want := range map[string]bool{
		"24h": true, "90m": true, "1h30m": true, "1.5s": true, "24h0m0s": true, "200ms": true, "999999h": true,
		"2d": false, "1 week": false, "0s": false, "-1h": false, "": false, "24": false, "1h ": false, "9999999h": false, "30m1h": false, "PT1H": false,
	} {
		s := load(t, Bytes("f", []byte(`
apiVersion: security.apexlogic.com/v1alpha1
kind: ImageSecurityPolicy
metadata: {name: p}
spec:
  imageSelector: {}
  rules: [{name: RequireSBOM, parameters: {sbomFrom: [ci]}}]
  onViolation: [{action: Isolate, after: "`+text+`"}]
`)))
		if got := s.Err() == nil; got != want {
			t.Errorf("%q is taken: %v, want %v: %v", text, got, want, s.Problems)
		}
	}
}
