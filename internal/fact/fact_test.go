package fact

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/verdict"
)

var (
	noon    = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	evening = noon.Add(6 * time.Hour)
)

func TestAFactProvesAbsenceOnlyWhenItIsComplete(t *testing.T) {
	value := []string{"a"}
	for _, tc := range []struct {
		name      string
		fact      Fact[[]string]
		all, some bool
		code      verdict.Code
		why       string
		gathered  bool
	}{
		{"nobody gathered it", Fact[[]string]{}, false, false, verdict.RuleNotGathered, "it was not gathered", false},
		{"gathering failed", Problem[[]string](verdict.RegistryUnreachable, "no answer", "r", noon), false, false, verdict.RegistryUnreachable, "no answer", true},
		{"a part is known", Partial(value, "r", noon, verdict.RegistryTooMany, "the rest"), false, true, verdict.RegistryTooMany, "the rest", true},
		{"all is known", Complete(value, "r", noon), true, true, verdict.OK, "", true},
		{"all is known until the evening", Complete(value, "r", noon).WithUntil(evening), true, true, verdict.OK, "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := &tc.fact
			all, allCode, okAll := f.All()
			some, someCode, okSome := f.Some()
			if okAll != tc.all || okSome != tc.some {
				t.Errorf("All %t, Some %t; want %t, %t", okAll, okSome, tc.all, tc.some)
			}
			if okAll != slices.Equal(all, value) || okSome != slices.Equal(some, value) {
				t.Errorf("a value that is not known was given: %v, %v", all, some)
			}
			if allCode != tc.code || someCode != tc.code || f.Code() != tc.code || f.Why() != tc.why {
				t.Errorf("codes %s, %s, %s because %q; want %s because %q", allCode, someCode, f.Code(), f.Why(), tc.code, tc.why)
			}
			if f.Gathered() != tc.gathered || f.Incomplete() != !tc.all {
				t.Errorf("gathered %t, incomplete %t", f.Gathered(), f.Incomplete())
			}
		})
	}
}

func TestAFactSaysWhereItComesFrom(t *testing.T) {
	f := Complete(1, "registry", noon).WithUntil(evening)
	want := verdict.Evidence{Fact: "signatures", Source: "registry", At: noon, Until: evening}
	if got := f.Evidence(NeedSignatures); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if f.Source() != "registry" || !f.At().Equal(noon) || !f.Until().Equal(evening) {
		t.Errorf("got %s, %s, %s", f.Source(), f.At(), f.Until())
	}
}

func TestWithUntilLeavesTheFactAsItWas(t *testing.T) {
	f := Complete(1, "r", noon)
	g := f.WithUntil(evening)
	if !f.Until().IsZero() || !g.Until().Equal(evening) {
		t.Errorf("got %s and %s", f.Until(), g.Until())
	}
}

func TestACompleteFactSurvivesStorage(t *testing.T) {
	want := Complete(Image{
		MediaType: "m", Config: "sha256:c", Platform: "linux/amd64", Created: noon, DiffIDs: []verdict.Digest{"sha256:a"}, Layers: []verdict.Digest{"sha256:b"},
		Size: 7, Labels: map[string]string{"a": "1", "A": "2"}, Annotations: map[string]string{"b": "3"}, User: "65532", Env: []string{"A=1"},
	}, "registry", noon).WithUntil(evening)
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Fact[Image]
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSignedFactsSurviveStorage(t *testing.T) {
	signing := Signing{
		Format: FormatBundle, Source: "sha256:s", TrustedBy: []string{"release"}, KeyID: "sha256:k", Identity: Identity{Issuer: "i", Subject: "s"},
		SignedAt: noon, Logs: []string{"l"}, Timestamps: []string{"t"}, Repository: "r", Code: verdict.OK, Detail: "d", Until: evening,
	}
	subjects := []AttestationSubject{{Name: "n", Digest: "sha256:d"}}
	for name, pair := range map[string][2]any{
		"signatures":   {&Signature{Signing: signing, Subject: "sha256:d", Annotations: map[string]string{"a": "b"}}, &Signature{}},
		"attestations": {&Attestation{Signing: signing, StatementType: "st", PredicateType: "pt", Subjects: subjects, Predicate: json.RawMessage(`{"a":1}`)}, &Attestation{}},
		"reports": {&Report{Signing: signing, Scanner: "Trivy", URI: "u", Version: "1", DBUpdated: noon, Finished: noon, Subject: "sha256:d", Config: "sha256:c",
			DiffIDs: []verdict.Digest{"sha256:x"}, Code: verdict.OK, Detail: "d", Suppressed: 2,
			Findings: []Vulnerability{{ID: "CVE-1", Aliases: []string{"GHSA-1"}, Package: "p", Version: "1", Fixed: "2", Unfixed: true, Severity: SeverityHigh, Score: 7.5}}}, &Report{}},
		"provenance": {&Provenance{Signing: signing, Subjects: subjects, Version: "1", Builder: "b", BuildType: "t", SourceRepository: "https://x/y", SourceDigest: "c", EntryPoint: "e",
			Finished: noon, Dependencies: []Dependency{{URI: "u", Digest: "sha256:d", Repository: "r", Tag: "t"}}, Code: verdict.OK, Detail: "d"}, &Provenance{}},
	} {
		data, err := json.Marshal(pair[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, pair[1]); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: got %+v, want %+v", name, pair[1], pair[0])
		}
	}
}

func TestAFailureIsNeverStored(t *testing.T) {
	for name, f := range map[string]Fact[int]{
		"missing": {}, "problem": Problem[int](verdict.RegistryUnreachable, "w", "s", noon), "partial": Partial(1, "s", noon, verdict.RegistryTooMany, "w"),
	} {
		if data, err := json.Marshal(f); err == nil {
			t.Errorf("%s was stored as %s", name, data)
		}
	}
	for _, text := range []string{`{}`, `{"value":1}`, `{"value":1,"complete":false}`, `{"value":"x","complete":true}`, `[]`, `1`} {
		f := Complete(7, "s", noon)
		if err := json.Unmarshal([]byte(text), &f); err == nil {
			t.Errorf("%s was read as a complete fact", text)
		}
		if v, _, ok := f.All(); !ok || v != 7 {
			t.Errorf("%s changed the fact: %d, %t", text, v, ok)
		}
	}
}

func TestNeedsAreSets(t *testing.T) {
	both := NeedImage | NeedReports
	for _, tc := range []struct {
		name string
		got  bool
	}{
		{"a set has its parts", both.Has(NeedImage) && both.Has(NeedReports) && both.Has(both)},
		{"a set has nothing else", !both.Has(NeedSignatures) && !both.Has(NeedImage|NeedSignatures)},
		{"every set has the empty one", both.Has(0) && Need(0).Has(0)},
		{"the empty set has nothing", !Need(0).Has(NeedImage)},
		{"parts come in their order", slices.Equal(both.Each(), []Need{NeedImage, NeedReports})},
		{"the empty set has no parts", Need(0).Each() == nil},
		{"the names are joined", both.String() == "image,reports"},
		{"the empty set has no name", Need(0).String() == ""},
	} {
		if !tc.got {
			t.Error(tc.name)
		}
	}
}

func TestEveryNeedHasANameAndAField(t *testing.T) {
	kinds := (needEnd - 1).Each()
	set := reflect.TypeFor[Set]()
	// Rematched is the same fact as matched, asked for less.
	shared := map[Need]Need{NeedRematched: NeedMatched}
	if len(kinds) != len(needNames) || len(kinds)-len(shared) != set.NumField() {
		t.Fatalf("%d kinds, %d names, %d fields", len(kinds), len(needNames), set.NumField())
	}
	for _, k := range kinds {
		kept := k
		if with, ok := shared[k]; ok {
			kept = with
		}
		if _, ok := set.FieldByNameFunc(func(field string) bool { return strings.ToLower(field) == kept.String() }); !ok {
			t.Errorf("%q is kept nowhere", k)
		}
	}
}

func TestSeveritiesAreOrderedAndReadAsTheyAreWritten(t *testing.T) {
	for s := SeverityUnknown; s <= SeverityCritical; s++ {
		text, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got Severity
		if err := got.UnmarshalText(text); err != nil || got != s {
			t.Errorf("%q is read as %s, %v", text, got, err)
		}
	}
	for _, wrong := range []string{"", "HIGH", "high", "Moderate"} {
		s := SeverityLow
		if err := s.UnmarshalText([]byte(wrong)); err == nil || s != SeverityLow {
			t.Errorf("%q is read as %s", wrong, s)
		}
	}
	if got := Severity(99).String(); got != "Unknown" {
		t.Errorf("99 is called %q", got)
	}
}

func TestASignatureCountsOnlyWhenSomebodyTrustedMadeIt(t *testing.T) {
	for _, tc := range []struct {
		name    string
		signing Signing
		want    bool
	}{
		{"verified under an entry", Signing{Code: verdict.OK, TrustedBy: []string{"release"}}, true},
		{"verified under none", Signing{Code: verdict.OK}, false},
		{"named, with a reason against it", Signing{Code: verdict.SignatureInvalid, TrustedBy: []string{"release"}}, false},
		{"nothing said", Signing{TrustedBy: []string{"release"}}, false},
	} {
		if got := tc.signing.Valid(); got != tc.want {
			t.Errorf("%s: %t", tc.name, got)
		}
	}
}

func TestASourceRepositoryHasOneSpelling(t *testing.T) {
	const want = "https://github.com/o/r"
	for _, same := range []string{
		"https://github.com/o/r", "https://GitHub.com/o/r", "git+https://github.com/o/r.git@refs/heads/main", "https://github.com/o/r/", "https://github.com:443/o/r",
		"git@github.com:o/r", "git@github.com:o/r.git", "ssh://git@github.com/o/r.git", "ssh://git@github.com:22/o/r", "scm:git:https://github.com/o/r.git",
		"https://user:secret@github.com/o/r", "https://github.com/o/r?x=1#main",
	} {
		if got := SourceRepository(same); got != want {
			t.Errorf("%s is %q", same, got)
		}
	}
	for _, other := range []string{"https://github.com/O/r", "http://github.com/o/r", "https://github.com:8443/o/r", "https://github.com.evil.example/o/r", "git://github.com/o/r"} {
		if got := SourceRepository(other); got == want || got == "" {
			t.Errorf("%s is %q", other, got)
		}
	}
	for _, none := range []string{
		"", "o/r", "file:///o/r", "https://", "https://github.com", "https://github.com/", "https://github.com/o/../r", "https://github.com/o//r", "https://github.com/./r",
		`https://github.com/o\r`, "https://github.com/o/%2e%2e/r", "git@evil/x:o/r", "javascript:alert(1)", "https://github.com/" + strings.Repeat("a", maxSourceURI),
	} {
		if got := SourceRepository(none); got != "" {
			t.Errorf("%.60s is %q", none, got)
		}
	}
}

func FuzzSourceRepository(f *testing.F) {
	for _, seed := range []string{"git+https://github.com/o/r.git@refs/heads/main", "git@github.com:o/r", "ssh://[::1]:22/o/r", "https://x/%2e", "scm:git:git://h/p"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		got := SourceRepository(uri)
		if got != "" && SourceRepository(got) != got {
			t.Errorf("%q is %q, which is %q", uri, got, SourceRepository(got))
		}
	})
}
