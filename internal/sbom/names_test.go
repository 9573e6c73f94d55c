package sbom

import (
	"testing"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

func TestAnInventorySaysWhichNamesLookLikeOthers(t *testing.T) {
	const site = "usr/lib/python3/site-packages"
	for _, c := range []struct {
		name  string
		layer []entry
		want  string
	}{
		{"a wheel with a wrong name", wheel(site, "reqeusts", "2.0"), "requests"},
		{"a wheel with the right name", wheel(site, "requests", "2.0"), ""},
		{"a requirement with a wrong name", []entry{file("app/requirements.txt", "torch-cuda121==1.0\n")}, "torch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inv, err := Collect(t.Context(), open(t, layout(t, []entry{dir("app")}, c.layer)), Options{Scratch: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			var found fact.InventoryFinding
			if len(inv.Findings) > 0 {
				found = inv.Findings[0]
			}
			if found.Like != c.want || len(inv.Findings) > 1 {
				t.Errorf("%+v", inv.Findings)
			}
			if c.want != "" && (found.Code != verdict.InventoryLookalike || found.Layer != 1 || found.Path == "") {
				t.Errorf("%+v", found)
			}
		})
	}
}
