package vex

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format/document"
)

func line(v fact.VEX) string {
	out := fmt.Sprintf("%s %v %s of %v in %v because %q %q do %q by %s", v.Status, v.Aliases, v.Vulnerability, v.Subcomponents, v.Products, v.Justification, v.Impact, v.Action, v.Author)
	for _, t := range []time.Time{v.Made, v.Until} {
		if !t.IsZero() {
			out += " " + t.Format("2006-01-02")
		}
	}
	return out
}

func compare(t *testing.T, got []fact.VEX, want ...string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("missing %s", want[i])
		case i >= len(want):
			t.Errorf("unexpected %s", line(got[i]))
		case line(got[i]) != want[i]:
			t.Errorf("statement %d\n got %s\nwant %s", i, line(got[i]), want[i])
		}
	}
}

const hash = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func openVEX(statements string) []byte {
	return []byte(`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.com/vex-1","author":"Acme","timestamp":"2026-08-01T00:00:00Z","last_updated":"2026-08-09T00:00:00Z","version":1,"statements":[` + statements + `]}`)
}

func TestOpenVEXStatementsAreReadPerProduct(t *testing.T) {
	got, err := OpenVEX(openVEX(`
	 {"vulnerability":{"@id":"https://nvd.nist.gov/CVE-2026-1","name":"CVE-2026-1","aliases":["GHSA-a","CVE-2026-1","GHSA-a"]},"status":"not_affected","justification":"vulnerable_code_not_in_execute_path",
	  "status_notes":"looked at by two\nexpires: 2027-01-31T00:00:00Z\n","timestamp":"2026-08-02T00:00:00Z",
	  "products":[{"@id":"pkg:oci/app@sha256:` + hash + `","hashes":{"sha-256":"` + hash + `","md5":"x"},"subcomponents":[{"@id":"pkg:pypi/torch@2.6.0"}]},
	              {"@id":"urn:x:other","identifiers":{"purl":"pkg:oci/other","cpe23":"cpe:2.3:a"},"subcomponents":[{"@id":"pkg:pypi/torch@2.6.0"}]},
	              {"@id":"pkg:oci/third"}]},
	 {"vulnerability":{"@id":"https://nvd.nist.gov/CVE-2026-2"},"status":"affected","action_statement":"update","products":[{"@id":"urn:sha256:` + hash + `"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, got,
		`not_affected [GHSA-a] CVE-2026-1 of [pkg:pypi/torch@2.6.0] in [pkg:oci/app@sha256:`+hash+` sha256:`+hash+` urn:x:other pkg:oci/other] because "vulnerable_code_not_in_execute_path" "" do "" by Acme 2026-08-02 2027-01-31`,
		`not_affected [GHSA-a] CVE-2026-1 of [] in [pkg:oci/third] because "vulnerable_code_not_in_execute_path" "" do "" by Acme 2026-08-02 2027-01-31`,
		`affected [] https://nvd.nist.gov/CVE-2026-2 of [] in [sha256:`+hash+`] because "" "" do "update" by Acme 2026-08-01`)
	for _, v := range got {
		if v.Format != FormatOpenVEX || v.Signing.Valid() {
			t.Errorf("%s is of %s, signed: %v", v.Vulnerability, v.Format, v.Signing.Valid())
		}
	}
}

func TestOpenVEXThatSaysNothingIsRefused(t *testing.T) {
	good := `{"vulnerability":{"name":"CVE-1"},"status":"fixed","products":[{"@id":"pkg:oci/a"}]}`
	if got, err := OpenVEX(openVEX(good)); err != nil || len(got) != 1 {
		t.Fatalf("the twin: %v", err)
	}
	for name, change := range map[string][2]string{
		"an unknown status":       {`"fixed"`, `"mitigated"`},
		"no status":               {`"status":"fixed",`, ``},
		"no vulnerability":        {`{"name":"CVE-1"}`, `{}`},
		"no product":              {`[{"@id":"pkg:oci/a"}]`, `[]`},
		"a product without name":  {`{"@id":"pkg:oci/a"}`, `{}`},
		"a part without name":     {`{"@id":"pkg:oci/a"}`, `{"@id":"pkg:oci/a","subcomponents":[{}]}`},
		"an expiry in words":      {`"status":"fixed"`, `"status":"fixed","status_notes":"expires: next year"`},
		"products of the old way": {`[{"@id":"pkg:oci/a"}]`, `["pkg:oci/a"]`},
	} {
		if got, err := OpenVEX(openVEX(strings.Replace(good, change[0], change[1], 1))); err == nil || got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	old := strings.Replace(good, `[{"@id":"pkg:oci/a"}]`, `["pkg:oci/a"]`, 1)
	for name, doc := range map[string][]byte{
		"another version": bytes.Replace(openVEX(good), []byte("v0.2.0"), []byte("v0.9.0"), 1), "an old one": bytes.Replace(openVEX(old), []byte("/v0.2.0"), nil, 1),
		"none": bytes.Replace(openVEX(good), []byte(`"@context":"https://openvex.dev/ns/v0.2.0",`), nil, 1),
	} {
		if got, err := OpenVEX(doc); !errors.Is(err, ErrVersion) || got != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrittenStatementsAreReadBack(t *testing.T) {
	day := func(d int) time.Time { return time.Date(2026, 8, d, 1, 2, 3, 4000, time.UTC) }
	all := []fact.VEX{
		{Vulnerability: "CVE-2026-1", Aliases: []string{"GHSA-a"}, Products: []string{"pkg:oci/app@sha256:" + hash}, Subcomponents: []string{"pkg:pypi/torch@2.6.0%2Bcu124"},
			Status: fact.NotAffected, Justification: "inline_mitigations_already_exist", Impact: "the gateway refuses it", Made: day(1), Until: day(30)},
		{Vulnerability: "CVE-2026-2", Products: []string{"sha256:" + hash}, Status: fact.Affected, Action: "update", Made: day(2)},
		{Vulnerability: "CVE-2026-3", Products: []string{"pkg:pypi/a@1"}, Status: fact.Fixed, Made: day(3)},
		{Vulnerability: "CVE-2026-4", Products: []string{"pkg:pypi/a@1"}, Status: fact.UnderInvestigation, Made: day(4)},
	}
	var out, again bytes.Buffer
	if err := errors.Join(Write(&out, all, "Acme", day(5)), Write(&again, all, "Acme", day(5))); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Error("two documents of the same statements differ")
	}
	if err := document.Check(out.Bytes()); err != nil {
		t.Fatal(err)
	}
	got, err := OpenVEX(out.Bytes())
	if err != nil || len(got) != len(all) {
		t.Fatalf("%v, %d statements", err, len(got))
	}
	for i := range all {
		want := all[i]
		want.Author, want.Format = "Acme", FormatOpenVEX
		if i == 1 || i == 0 {
			got[i].Products = got[i].Products[:1] // its hash is a second name
		}
		if !reflect.DeepEqual(got[i], want) {
			t.Errorf("got  %+v\nwant %+v", got[i], want)
		}
	}
}

func TestStatementsThatOpenVEXForbidsAreNotWritten(t *testing.T) {
	good := fact.VEX{Vulnerability: "CVE-1", Products: []string{"pkg:oci/a"}, Status: fact.NotAffected, Justification: "component_not_present"}
	at := time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)
	if err := Write(&bytes.Buffer{}, []fact.VEX{good}, "Acme", at); err != nil {
		t.Fatalf("the twin: %v", err)
	}
	for name, change := range map[string]func(*fact.VEX){
		"no reason":                     func(v *fact.VEX) { v.Justification = "" },
		"a reason of another format":    func(v *fact.VEX) { v.Justification = "requires_environment" },
		"affected and nothing to do":    func(v *fact.VEX) { v.Status = fact.Affected },
		"no status":                     func(v *fact.VEX) { v.Status = "" },
		"no product":                    func(v *fact.VEX) { v.Products = nil },
		"a product that is no IRI":      func(v *fact.VEX) { v.Products = []string{"my app"} },
		"a subcomponent that is no IRI": func(v *fact.VEX) { v.Subcomponents = []string{"torch"} },
		"no vulnerability":              func(v *fact.VEX) { v.Vulnerability = "" },
	} {
		v := good
		change(&v)
		if err := Write(&bytes.Buffer{}, []fact.VEX{v}, "Acme", at); !errors.Is(err, ErrStatement) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"no author": Write(&bytes.Buffer{}, []fact.VEX{good}, "", at), "no time": Write(&bytes.Buffer{}, []fact.VEX{good}, "Acme", time.Time{}),
		"no statements": Write(&bytes.Buffer{}, nil, "Acme", at),
	} {
		if !errors.Is(err, ErrStatement) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const csafDoc = `{"document":{"category":"csaf_vex","csaf_version":"2.0","title":"t","publisher":{"category":"vendor","name":"Acme","namespace":"https://example.com"},
  "tracking":{"id":"1","status":"final","version":"1","initial_release_date":"2026-08-01T00:00:00Z","current_release_date":"2026-08-03T00:00:00Z","revision_history":[]}},
 "product_tree":{"branches":[{"category":"vendor","name":"Acme","branches":[
    {"category":"product_version","name":"1","product":{"name":"image","product_id":"image","product_identification_helper":{"purl":"pkg:oci/app@sha256:` + hash + `","hashes":[{"filename":"f","file_hashes":[{"algorithm":"sha256","value":"` + hash + `"}]}]}}},
    {"category":"product_version","name":"torch","product":{"name":"torch","product_id":"torch","product_identification_helper":{"purl":"pkg:pypi/torch@2.6.0"}}}]}],
   "full_product_names":[{"name":"Enterprise Linux 9","product_id":"el9","product_identification_helper":{"cpe":"cpe:/o:acme:el:9"}},{"name":"thing","product_id":"thing"}],
   "relationships":[{"category":"default_component_of","full_product_name":{"name":"torch in image","product_id":"image:torch"},"product_reference":"torch","relates_to_product_reference":"image"},
                    {"category":"default_component_of","full_product_name":{"name":"torch in el9","product_id":"el9:torch"},"product_reference":"torch","relates_to_product_reference":"el9"}],
   "product_groups":[{"group_id":"both","product_ids":["image:torch","el9:torch"]}]},
 "vulnerabilities":[
  {"cve":"CVE-2026-1","ids":[{"system_name":"GHSA","text":"GHSA-a"}],"product_status":{"known_not_affected":["image:torch","el9:torch"],"fixed":["image"],"known_affected":["el9"],"under_investigation":["thing"]},
   "flags":[{"label":"vulnerable_code_not_present","group_ids":["both"]}],"threats":[{"category":"impact","details":"not compiled in","product_ids":["image:torch"]},{"category":"exploit_status","details":"x","product_ids":["el9:torch"]}],
   "remediations":[{"category":"vendor_fix","details":"update","product_ids":["el9"]}]}]}`

func TestCSAFStatementsAreAboutPartsOfProducts(t *testing.T) {
	got, err := CSAF([]byte(csafDoc))
	if err != nil {
		t.Fatal(err)
	}
	image := "pkg:oci/app@sha256:" + hash + " sha256:" + hash
	compare(t, got,
		`affected [GHSA-a] CVE-2026-1 of [] in [cpe:/o:acme:el:9] because "" "" do "update" by Acme 2026-08-03`,
		`under_investigation [GHSA-a] CVE-2026-1 of [] in [thing] because "" "" do "" by Acme 2026-08-03`,
		`fixed [GHSA-a] CVE-2026-1 of [] in [`+image+`] because "" "" do "" by Acme 2026-08-03`,
		`not_affected [GHSA-a] CVE-2026-1 of [pkg:pypi/torch@2.6.0] in [`+image+`] because "vulnerable_code_not_present" "not compiled in" do "" by Acme 2026-08-03`,
		`not_affected [GHSA-a] CVE-2026-1 of [pkg:pypi/torch@2.6.0] in [cpe:/o:acme:el:9] because "vulnerable_code_not_present" "" do "" by Acme 2026-08-03`)
}

func TestCSAFThatCannotBeReliedOnIsRefused(t *testing.T) {
	for name, change := range map[string][2]string{
		"an advisory":                        {`"csaf_vex"`, `"csaf_security_advisory"`},
		"another version":                    {`"csaf_version":"2.0"`, `"csaf_version":"3.0"`},
		"a draft":                            {`"final"`, `"draft"`},
		"a product of no tree":               {`"under_investigation":["thing"]`, `"under_investigation":["other"]`},
		"a product that is both":             {`"known_affected":["el9"]`, `"known_affected":["el9","image"]`},
		"a product that is a part of itself": {`"product_reference":"torch","relates_to_product_reference":"image"`, `"product_reference":"torch","relates_to_product_reference":"image:torch"`},
		"a vulnerability without name":       {`"cve":"CVE-2026-1","ids":[{"system_name":"GHSA","text":"GHSA-a"}],`, ``},
		"a product without identifier":       {`{"name":"thing","product_id":"thing"}`, `{"name":"thing"}`},
	} {
		if got, err := CSAF([]byte(strings.Replace(csafDoc, change[0], change[1], 1))); err == nil || got != nil {
			t.Errorf("%s: %d statements", name, len(got))
		}
	}
}

// A few groups that are named often must not say more than anybody can hold.
func TestGroupsAreNotMultipliedWithoutEnd(t *testing.T) {
	ids := strings.TrimSuffix(strings.Repeat(`"image:torch",`, 9000), ",")
	groups := strings.TrimSuffix(strings.Repeat(`"both",`, 9000), ",")
	doc := strings.Replace(csafDoc, `["image:torch","el9:torch"]}]}`, `[`+ids+`]}]}`, 1)
	doc = strings.Replace(doc, `"group_ids":["both"]`, `"group_ids":[`+groups+`]`, 1)
	if err := document.Check([]byte(doc)); err != nil {
		t.Fatal(err)
	}
	if _, err := CSAF([]byte(doc)); !errors.Is(err, document.ErrTooMany) {
		t.Errorf("%v", err)
	}
}
