package format_test

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"testing"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format"
	"github.com/apexlogic/apex/internal/sbom/format/cyclonedx"
	"github.com/apexlogic/apex/internal/sbom/format/spdx"
	"github.com/apexlogic/apex/verdict"
)

// writers are the formats that inventories are written in.
func writers() map[format.Format]func(io.Writer, *fact.Inventory) error {
	return map[format.Format]func(io.Writer, *fact.Inventory) error{format.CycloneDX: cyclonedx.Write, format.SPDX: spdx.Write}
}

func write(t testing.TB, f format.Format, inv *fact.Inventory) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := writers()[f](&b, inv); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	folder := sample()
	folder.Subject, folder.Layers, folder.Gaps = verdict.Ref{}, nil, nil
	for i := range folder.Packages {
		folder.Packages[i].Layer = -1
	}
	empty := &fact.Inventory{Packages: []fact.Package{}}
	model := &fact.Inventory{Subject: verdict.Ref{Kind: verdict.KindFunction, Repo: "functions/resize", Digest: digest("b")}, Packages: []fact.Package{}}
	for f := range writers() {
		for name, inv := range map[string]*fact.Inventory{"an image": sample(), "a folder": folder, "nothing": empty, "a function": model} {
			t.Run(string(f)+" of "+name, func(t *testing.T) {
				data := write(t, f, inv)
				got, vex, found, err := format.Read(data)
				if err != nil || found != f || vex != nil {
					t.Fatalf("%v, %s, %v", err, found, vex)
				}
				if len(got.Packages) != len(inv.Packages) {
					t.Fatalf("%d packages; want %d", len(got.Packages), len(inv.Packages))
				}
				for i := range inv.Packages {
					if !reflect.DeepEqual(got.Packages[i], inv.Packages[i]) {
						t.Errorf("package %d\n got %s\nwant %s", i, text(got.Packages[i]), text(inv.Packages[i]))
					}
				}
				got.Packages = inv.Packages
				if !reflect.DeepEqual(got, *inv) {
					t.Errorf("got %s\nwant %s", text(got), text(inv))
				}
			})
		}
	}
}

func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func TestTheSameInventoryGivesTheSameBytes(t *testing.T) {
	for f := range writers() {
		first := write(t, f, sample())
		if !bytes.Equal(first, write(t, f, sample())) {
			t.Errorf("%s: two documents of one inventory differ", f)
		}
		other := sample()
		other.Packages[0].Version += "1"
		if bytes.Contains(write(t, f, other), serial(t, f, first)) {
			t.Errorf("%s: another inventory has the same serial number", f)
		}
	}
}

// serial is what names the document.
func serial(t *testing.T, f format.Format, data []byte) []byte {
	t.Helper()
	var doc struct{ SerialNumber, DocumentNamespace string }
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.SerialNumber+doc.DocumentNamespace == "" {
		t.Fatalf("%s: the document has no name", f)
	}
	return []byte(doc.SerialNumber + doc.DocumentNamespace)
}
