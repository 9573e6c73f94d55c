package scan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

func seeds(f *testing.F, add func(doc string)) {
	names, err := filepath.Glob("testdata/*.*")
	if err != nil || len(names) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		add(string(data))
	}
	for _, doc := range []string{cleanTrivy, `[]`, `{}`, `null`, `{"results":[]}`, `{"matches":null,"descriptor":null}`, `{"version":"2.1.0","runs":[null]}`, `{"bomFormat":"CycloneDX","metadata":null,"vulnerabilities":[null]}`} {
		add(doc)
	}
}

// check holds for every report, whatever it was read from.
func check(t *testing.T, r *fact.Report, err error) {
	t.Helper()
	switch {
	case r.Code == "":
		t.Fatal("a report without a code")
	case err != nil && (r.Code != verdict.ReportInvalid || len(r.Findings) > 0):
		t.Fatalf("error %v, but code %s and %d findings", err, r.Code, len(r.Findings))
	case r.Code != verdict.OK && r.Detail == "":
		t.Fatalf("code %s without a reason", r.Code)
	}
	for _, d := range append([]verdict.Digest{r.Subject, r.Config}, r.DiffIDs...) {
		if d == "" {
			continue
		}
		if _, err := verdict.ParseDigest(string(d)); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range r.Findings {
		if v.ID == "" || len(v.ID) > maxID || len(v.Package) > maxText || len(v.Aliases) > maxAliases || v.Score < 0 || v.Score > 10 || (v.Unfixed && v.Fixed != "") {
			t.Fatalf("finding %+v", v)
		}
	}
}

func FuzzParseReport(f *testing.F) {
	seeds(f, func(doc string) { f.Add([]byte(doc)) })
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseReport(data)
		check(t, &r, err)
	})
}

func FuzzFromAttestation(f *testing.F) {
	seeds(f, func(doc string) {
		f.Add(PredicateVuln, []byte(vuln(doc, finishedOn)))
		f.Add(PredicateCycloneDX, []byte(doc))
	})
	f.Add(PredicateVulns02, []byte(vuln(`[{"id":"CVE-1","severity":[{"method":"nvd","score":"medium"}]}]`, finishedOn)))
	f.Add(PredicateVulns01, []byte(strings.Replace(vuln("[]", ""), `"result":[]`, `"result":[{"vulnerability":{"id":"CVE-1"}}]`, 1)))
	f.Fuzz(func(t *testing.T, kind string, predicate []byte) {
		r, ok, err := FromAttestation(attest(kind, string(predicate), manifest))
		if !ok {
			if err != nil {
				t.Fatalf("no report, but error %v", err)
			}
			return
		}
		check(t, &r, err)
		if r.Code == verdict.OK && r.Finished.IsZero() {
			t.Fatal("a report without a time")
		}
	})
}

func FuzzParseProvenance(f *testing.F) {
	f.Add(true, []byte(slsaV1))
	f.Add(true, []byte(buildKit))
	f.Add(true, []byte(cloud))
	f.Add(true, []byte(plainSrc))
	f.Add(false, []byte(slsaV02))
	f.Add(false, []byte(`{"builder":{"id":"b"},"materials":[{"uri":"pkg:docker/debian@12?digest=sha256:`+strings.Repeat("a", 64)+`","digest":{}}]}`))
	f.Fuzz(func(t *testing.T, v1 bool, predicate []byte) {
		kind := PredicateSLSA02
		if v1 {
			kind = PredicateSLSA1
		}
		p, ok, err := ParseProvenance(attest(kind, string(predicate), manifest))
		if !ok || (err == nil) != (p.Code == verdict.OK) || (err == nil && p.Builder == "") {
			t.Fatalf("ok %v, code %s, error %v", ok, p.Code, err)
		}
		if s := p.SourceRepository; s != "" && fact.SourceRepository(s) != s {
			t.Fatalf("the source %q has another spelling %q", s, fact.SourceRepository(s))
		}
	})
}
