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

func TestAnAttestationInAnImageIsJudgedWhereItCanBeSeen(t *testing.T) {
	const wheel, beside = "srv/a-1.0-py3-none-any.whl", "srv/a-1.0-py3-none-any.whl.publish.attestation"
	first := []entry{dir("srv"), file(wheel, "wheel")}
	for _, c := range []struct {
		name   string
		layers [][]entry
		layer  int // of the finding; -2: there is none
	}{
		{"in a layer above the archive", [][]entry{first, {file(beside, "nothing")}}, 1},
		{"in the layer of the archive", [][]entry{append(first, file(beside, "nothing"))}, 0},
		{"deleted above", [][]entry{append(first, file(beside, "nothing")), {file("srv/.wh."+beside[4:], "")}}, -2},
		{"none", [][]entry{first}, -2},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, report, err := Examine(t.Context(), open(t, layout(t, c.layers...)), Options{Scratch: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Findings) == 0 != (c.layer == -2) || len(report.Attested) > 0 {
				t.Fatalf("%+v", report)
			}
			if c.layer == -2 {
				return
			}
			if f := report.Findings[0]; f.Code() != verdict.InventoryAttested || f.Layer != c.layer || f.Path != beside || f.Detail == "" {
				t.Errorf("%+v", f)
			}
		})
	}
}
