package oci

import (
	"strings"
	"testing"

	"github.com/apexlogic/apex/verdict"
)

func TestForeignJSONIsJudgedBeforeItIsDecoded(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       verdict.Code
	}{
		{"different keys", `{"config":1,"layers":2}`, verdict.OK},
		{"a key twice", `{"config":1,"config":2}`, verdict.ImageConfigInvalid},
		{"a key in two cases", `{"config":1,"Config":2}`, verdict.ImageConfigInvalid},
		{"labels that differ in case", `{"config":{"Labels":{"maintainer":"a","Maintainer":"b"}}}`, verdict.OK},
		{"a label twice", `{"config":{"Labels":{"maintainer":"a","maintainer":"b"}}}`, verdict.ImageConfigInvalid},
		{"annotations that differ in case", `{"annotations":{"a":"1","A":"2"}}`, verdict.OK},
		{"an annotation twice", `{"annotations":{"a":"1","a":"2"}}`, verdict.ImageConfigInvalid},
		{"labels themselves in two cases", `{"config":{"Labels":{"a":"1"},"labels":{"a":"2"}}}`, verdict.ImageConfigInvalid},
		{"nested as deep as allowed", strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), verdict.OK},
		{"nested deeper", strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), verdict.ImageConfigInvalid},
		{"as many values as allowed", "[" + strings.Repeat("1,", maxValues-2) + "1]", verdict.OK},
		{"more values", "[" + strings.Repeat("1,", maxValues-1) + "1]", verdict.RegistryTooMany},
		{"no JSON", `config`, verdict.ImageConfigInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var v any
			err := decode(verdict.ImageConfigInvalid, "configuration", []byte(tc.text), &v)
			if err == nil {
				if tc.want != verdict.OK {
					t.Errorf("accepted, want %s", tc.want)
				}
				return
			}
			if f, ok := err.(*fault); !ok || f.code != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}
