package verdict

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

var (
	noon    = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	evening = noon.Add(6 * time.Hour)
)

func TestDecideTakesTheStrictestCheckThatBites(t *testing.T) {
	pass := Check{Rule: "pass", Outcome: Pass}
	fail := Check{Rule: "fail", Outcome: Fail}
	unknown := Check{Rule: "unknown"}
	with := func(c Check, change func(*Check)) Check { change(&c); return c }
	warn := func(c *Check) { c.Action = ActionWarn }
	audit := func(c *Check) { c.Action = ActionAudit }
	excepted := func(c *Check) { c.Exception = "until-friday" }
	observed := func(c *Check) { c.Observed = true }
	until := func(at time.Time) func(*Check) { return func(c *Check) { c.Until = at } }

	for _, tc := range []struct {
		name     string
		checks   []Check
		want     Decision
		decisive int
		until    time.Time
	}{
		{"no checks deny", nil, Deny, -1, time.Time{}},
		{"a check that nobody filled in denies", []Check{{}}, Deny, 0, time.Time{}},
		{"one that passes allows", []Check{pass}, Allow, -1, time.Time{}},
		{"one that fails denies", []Check{fail}, Deny, 0, time.Time{}},
		{"one that could not be made denies", []Check{unknown}, Deny, 0, time.Time{}},
		{"one that fails among many denies", []Check{pass, pass, fail, pass}, Deny, 2, time.Time{}},
		{"the first of two that deny decides", []Check{pass, unknown, fail}, Deny, 1, time.Time{}},
		{"one that fails warns if its rule does", []Check{pass, with(fail, warn)}, Warn, 1, time.Time{}},
		{"one that could not be made warns if its rule does", []Check{with(unknown, warn)}, Warn, 0, time.Time{}},
		{"a denial is stricter than a warning before it", []Check{with(fail, warn), fail}, Deny, 1, time.Time{}},
		{"a denial is stricter than a warning after it", []Check{fail, with(fail, warn)}, Deny, 0, time.Time{}},
		{"one that fails allows if its rule only audits", []Check{with(fail, audit)}, Allow, -1, time.Time{}},
		{"an action that nobody knows denies", []Check{with(fail, func(c *Check) { c.Action = 99 })}, Deny, 0, time.Time{}},
		{"an outcome that nobody knows denies", []Check{with(fail, func(c *Check) { c.Outcome = 99 })}, Deny, 0, time.Time{}},
		{"an exception covers what failed", []Check{with(fail, excepted)}, Allow, -1, time.Time{}},
		{"an exception covers what could not be made", []Check{with(unknown, excepted)}, Allow, -1, time.Time{}},
		{"an exception covers one check and not the next", []Check{with(fail, excepted), fail}, Deny, 1, time.Time{}},
		{"a policy that observes does not bite", []Check{with(fail, observed)}, Allow, -1, time.Time{}},
		{"a policy that observes does not keep another from biting", []Check{with(fail, observed), with(fail, warn)}, Warn, 1, time.Time{}},
		{"the earliest time counts", []Check{with(pass, until(evening)), with(pass, until(noon)), pass}, Allow, -1, noon},
		{"the time of a check that does not bite counts too", []Check{with(with(fail, observed), until(noon)), with(fail, until(evening))}, Deny, 1, noon},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, decisive, until := Decide(tc.checks)
			if d != tc.want || decisive != tc.decisive || !until.Equal(tc.until) {
				t.Errorf("got %s by %d until %s, want %s by %d until %s", d, decisive, until, tc.want, tc.decisive, tc.until)
			}
		})
	}
}

func TestAReportIsAsStrictAsItsStrictestPart(t *testing.T) {
	of := func(decisions ...Decision) Report {
		var r Report
		for _, d := range decisions {
			r.Verdicts = append(r.Verdicts, Verdict{Decision: d})
		}
		return r
	}
	for _, tc := range []struct {
		name   string
		report Report
		want   Decision
	}{
		{"nothing was asked", Report{}, Deny},
		{"all are allowed", of(Allow, Allow), Allow},
		{"one warns", of(Allow, Warn, Allow), Warn},
		{"one is denied", of(Allow, Deny, Warn), Deny},
		{"something could not be resolved", Report{Verdicts: of(Allow).Verdicts, Unresolved: []Unresolved{{Text: "x"}}}, Deny},
		{"something is not judged", Report{Verdicts: of(Allow).Verdicts, NotJudged: []Unresolved{{Text: "x"}}}, Allow},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.report.Decision(); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestZeroValuesFailClosed(t *testing.T) {
	var v Verdict
	var c Check
	if v.Decision != Deny || c.Outcome != Unknown || c.Action != ActionDeny || v.Kind != KindUnknown {
		t.Errorf("got %s, %s, %s, %s", v.Decision, c.Outcome, c.Action, v.Kind)
	}
}

func TestNamesAreReadAsTheyAreWritten(t *testing.T) {
	type text interface {
		encoding.TextMarshaler
		fmt.Stringer
	}
	for _, tc := range []struct {
		values []text
		read   func([]byte) (text, error)
		beyond text
	}{
		{[]text{KindUnknown, KindImage, KindModel, KindDataset, KindManifest, KindCommit, KindRequest},
			func(b []byte) (text, error) { var k Kind; err := k.UnmarshalText(b); return k, err }, Kind(200)},
		{[]text{Unknown, Fail, Pass},
			func(b []byte) (text, error) { var o Outcome; err := o.UnmarshalText(b); return o, err }, Outcome(200)},
		{[]text{ActionDeny, ActionWarn, ActionAudit},
			func(b []byte) (text, error) { var a Action; err := a.UnmarshalText(b); return a, err }, Action(200)},
		{[]text{Deny, Warn, Allow},
			func(b []byte) (text, error) { var d Decision; err := d.UnmarshalText(b); return d, err }, Decision(200)},
	} {
		name := reflect.TypeOf(tc.values[0]).Name()
		seen := map[string]bool{}
		for _, v := range tc.values {
			written, err := v.MarshalText()
			if err != nil || string(written) != v.String() || seen[v.String()] {
				t.Errorf("%s %d is written %q (%v), as %q", name, v, written, err, v)
			}
			seen[v.String()] = true
			if got, err := tc.read(written); err != nil || got != v {
				t.Errorf("%s %q is read as %v, %v", name, written, got, err)
			}
		}
		for _, wrong := range []string{"", "nonsense", strings.ToUpper(tc.values[1].String()), " " + tc.values[1].String(), strings.Repeat("x", 1000)} {
			got, err := tc.read([]byte(wrong))
			if err == nil || got != tc.values[0] {
				t.Errorf("%s %.20q is read as %v, %v; want the zero value and an error", name, wrong, got, err)
			}
			if err != nil && len(err.Error()) > 250 {
				t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
			}
		}
		if got := tc.beyond.String(); got != tc.values[0].String() {
			t.Errorf("%s 200 is called %q, which is not what fails closed", name, got)
		}
	}
}

func TestDigestsAreSha256InLowerCase(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 4)
	for _, tc := range []struct {
		name, text string
		ok         bool
	}{
		{"a digest", "sha256:" + hex, true},
		{"a digit too few", "sha256:" + hex[1:], false},
		{"a digit too many", "sha256:" + hex + "0", false},
		{"upper case", "sha256:" + strings.ToUpper(hex), false},
		{"no hex", "sha256:g" + hex[1:], false},
		{"another algorithm", "sha512:" + hex + hex, false},
		{"another algorithm's name", "sha255:" + hex, false},
		{"the digits alone", hex, false},
		{"white space", " sha256:" + hex, false},
		{"nothing", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := ParseDigest(tc.text)
			if tc.ok && (err != nil || string(d) != tc.text || d.Hex() != hex || d.Short() != hex[:12]) {
				t.Errorf("got %q, %v", d, err)
			}
			if !tc.ok && (err == nil || d != "") {
				t.Errorf("got %q, %v", d, err)
			}
		})
	}
	if d := Digest(""); d.Hex() != "" || d.Short() != "" {
		t.Errorf("the zero digest has digits: %q", d.Hex())
	}
}

func TestReferencesAreWrittenWithWhatIsKnown(t *testing.T) {
	const d = Digest("sha256:ab")
	for _, tc := range []struct {
		ref  Ref
		want string
	}{
		{Ref{Repo: "r/x", Digest: d}, "r/x@sha256:ab"}, {Ref{Repo: "r/x"}, "r/x"}, {Ref{Digest: d}, "sha256:ab"}, {Ref{}, ""},
	} {
		if got := tc.ref.String(); got != tc.want {
			t.Errorf("%+v is %q, want %q", tc.ref, got, tc.want)
		}
	}
}

func TestOriginsAreWrittenWithWhatIsKnown(t *testing.T) {
	for _, tc := range []struct {
		origin Origin
		want   string
	}{
		{Origin{}, ""},
		{Origin{File: "a.yaml"}, "a.yaml"},
		{Origin{File: "a.yaml", Line: 3}, "a.yaml:3"},
		{Origin{File: "a.yaml", Line: 3, Column: 7, Object: "v1/Pod x", Pointer: "/spec"}, "a.yaml:3:7 v1/Pod x /spec"},
		{Origin{File: "a.yaml", Column: 7}, "a.yaml"},
		{Origin{Object: "v1/Pod x"}, "v1/Pod x"},
		{Origin{Pointer: "/spec"}, "/spec"},
	} {
		if got := tc.origin.String(); got != tc.want {
			t.Errorf("%+v is %q, want %q", tc.origin, got, tc.want)
		}
	}
}

func TestAChecksOwnMendComesFirst(t *testing.T) {
	c := Check{Code: SignatureMissing}
	if got := c.Advice(); got == "" || got != SignatureMissing.Info().Mend {
		t.Errorf("got %q", got)
	}
	c.Mend = "apex sign it"
	if got := c.Advice(); got != c.Mend {
		t.Errorf("got %q", got)
	}
}

func TestEarliestTakesZeroForNever(t *testing.T) {
	for _, tc := range []struct{ a, b, want time.Time }{
		{noon, evening, noon}, {evening, noon, noon}, {noon, noon, noon},
		{time.Time{}, noon, noon}, {noon, time.Time{}, noon}, {time.Time{}, time.Time{}, time.Time{}},
	} {
		if got := Earliest(tc.a, tc.b); !got.Equal(tc.want) {
			t.Errorf("of %s and %s: %s", tc.a, tc.b, got)
		}
	}
}

func TestAReportSurvivesJSON(t *testing.T) {
	subject := Subject{Ref: Ref{Kind: KindImage, Repo: "r.example/x", Digest: Digest("sha256:" + strings.Repeat("a", 64))}, Index: Digest("sha256:" + strings.Repeat("b", 64)), Platform: "linux/amd64"}
	want := Report{
		Schema: ReportSchema, Generation: "g1", At: noon,
		Verdicts: []Verdict{{
			ID:       "1",
			Question: Question{Subject: subject, Asked: "x:1", Namespace: "n", Labels: map[string]string{"a": "b"}, Where: Origin{File: "f.yaml", Line: 1, Column: 2, Object: "o", Pointer: "/p", Container: "c"}},
			Decision: Warn, Code: SignatureMissing, Reason: "r",
			Checks: []Check{{
				Policy: "p", Rule: "r", Platform: "linux/amd64", Outcome: Fail, Action: ActionWarn, Code: SignatureMissing, Detail: "d", Expected: "e",
				Found: "f", Mend: "m", Evidence: []Evidence{{Fact: "signatures", Source: "s", At: noon, Until: evening}}, Until: evening, Exception: "x", Observed: true,
			}, {Rule: "zero"}},
			Policies: []string{"p"}, Generation: "g1", At: noon, Until: evening, Cached: true,
		}},
		Unresolved: []Unresolved{{Text: "t", Where: Origin{File: "f"}, Code: ReferenceInvalid, Why: "w"}},
		NotJudged:  []Unresolved{{Text: "u", Code: OK}},
	}
	data, err := json.Marshal(&want)
	if err != nil {
		t.Fatal(err)
	}
	var got Report
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, field := range []string{`"decision":"warn"`, `"outcome":"fail"`, `"action":"Warn"`, `"kind":"image"`, `"outcome":"unknown","action":"Deny"`} {
		if !strings.Contains(string(data), field) {
			t.Errorf("%s is not in %s", field, data)
		}
	}
}
