package controller

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/verdict"
)

func TestWhatAVerdictMeansForWhatRuns(t *testing.T) {
	check := func(code verdict.Code) verdict.Check { return verdict.Check{Outcome: verdict.Unknown, Code: code} }
	for name, c := range map[string]struct {
		v        verdict.Verdict
		enforced bool
		want     level
		code     verdict.Code
	}{
		"what is allowed complies":                        {v: verdict.Verdict{Decision: verdict.Allow, Code: verdict.OK}, want: complies},
		"what is warned of complies":                      {v: verdict.Verdict{Decision: verdict.Warn, Code: verdict.SignatureMissing}, want: complies},
		"what is revoked does not":                        {v: verdict.Verdict{Code: verdict.Revoked}, want: denied, code: verdict.Revoked},
		"an unsigned image does not":                      {v: verdict.Verdict{Code: verdict.SignatureMissing}, want: denied, code: verdict.SignatureMissing},
		"unselected counts where everything is enforced":  {v: verdict.Verdict{Code: verdict.Unselected}, enforced: true, want: denied, code: verdict.Unselected},
		"unselected does not count elsewhere":             {v: verdict.Verdict{Code: verdict.Unselected}, want: complies},
		"a registry that is down proves nothing":          {v: verdict.Verdict{Code: verdict.RegistryUnreachable}, want: unknown, code: verdict.RegistryUnreachable},
		"a deadline proves nothing":                       {v: verdict.Verdict{Code: verdict.DeadlineExceeded}, want: unknown, code: verdict.DeadlineExceeded},
		"a policy that is not ready proves nothing":       {v: verdict.Verdict{Code: verdict.PolicyNotReady}, want: unknown, code: verdict.PolicyNotReady},
		"one proof among what is not answered is a proof": {v: verdict.Verdict{Code: verdict.RegistryUnreachable, Checks: []verdict.Check{check(verdict.RegistryUnreachable), check(verdict.BaseUnapproved)}}, want: denied, code: verdict.BaseUnapproved},
		"an exception takes the proof away":               {v: verdict.Verdict{Code: verdict.RegistryUnreachable, Checks: []verdict.Check{{Code: verdict.BaseUnapproved, Exception: "e"}}}, want: unknown, code: verdict.RegistryUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			if f := weigh(&c.v, c.enforced); f.level != c.want || f.code != c.code {
				t.Errorf("got %s %s, want %s %s", f.level, f.code, c.want, c.code)
			}
		})
	}
}

func TestTheWorstFindingDecidesAndARevocationIsSaidFirst(t *testing.T) {
	good, lost := finding{level: complies, generation: "g"}, finding{level: unknown, code: verdict.RegistryUnreachable, generation: "g"}
	bad, revoked := finding{level: denied, code: verdict.SignatureMissing, generation: "g"}, finding{level: denied, code: verdict.Revoked, generation: "g"}
	for _, c := range []struct{ a, b, want finding }{
		{finding{}, good, good}, {finding{}, lost, lost}, {good, lost, lost}, {lost, good, lost},
		{good, bad, bad}, {lost, bad, bad}, {bad, lost, bad}, {bad, revoked, revoked}, {revoked, bad, revoked},
	} {
		if got := worse(c.a, c.b); got != c.want {
			t.Errorf("worse(%+v, %+v) = %+v", c.a, c.b, got)
		}
	}
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// asked is a namespace with one Deployment that stands as it is said.
func asked(f finding) *judged {
	id := kube.ID{Kind: kube.Kind{Group: "apps", Version: "v1", Kind: "Deployment"}, Namespace: "vision", Name: "captioner"}
	return &judged{namespace: "vision", subjects: []*subject{{id: id, uid: "1"}}, findings: map[kube.ID]finding{id: f}}
}

func TestAChangeIsSaidOnce(t *testing.T) {
	good := finding{level: complies}
	unsigned, revoked := finding{level: denied, code: verdict.SignatureMissing}, finding{level: denied, code: verdict.Revoked}
	lost := finding{level: unknown, code: verdict.RegistryUnreachable}
	m := newMemory()
	for i, step := range []struct {
		f             finding
		changed, news bool
	}{
		{good, false, false}, // what has always complied is no news
		{unsigned, true, true}, {unsigned, false, false},
		{lost, true, false}, {lost, false, false}, {unsigned, true, false}, // as it was before the outage
		{revoked, true, true}, {revoked, false, false},
		{lost, true, false}, {good, true, true}, {good, false, false},
		{lost, true, false}, {good, true, false},
	} {
		changes, after := m.changes(asked(step.f), nil, noon)
		m.all["vision"] = after
		if got := len(changes) == 1; got != step.changed || got && changes[0].news != step.news {
			t.Errorf("step %d, %s %s: changes %+v", i, step.f.level, step.f.code, changes)
		}
	}
}

func TestWhatIsGoneIsSaidAndWhatIsNotSeenStays(t *testing.T) {
	m := newMemory()
	_, m.all["vision"] = m.changes(asked(finding{level: denied, code: verdict.Revoked}), nil, noon)
	nothing := &judged{namespace: "vision"}
	kind := kube.Kind{Group: "apps", Version: "v1", Kind: "Deployment"}
	if changes, after := m.changes(nothing, map[kube.Kind]bool{kind: true}, noon); len(changes) != 0 || len(after) != 1 {
		t.Errorf("a kind that could not be listed: %+v, %d remembered", changes, len(after))
	}
	if changes, after := m.changes(nothing, nil, noon); len(changes) != 1 || !changes[0].gone || len(after) != 0 {
		t.Errorf("a kind that has none: %+v, %d remembered", changes, len(after))
	}
	// Another object of the same name is judged on its own.
	again := asked(finding{level: complies})
	again.subjects[0].uid = "2"
	if changes, _ := m.changes(again, nil, noon); len(changes) != 0 {
		t.Errorf("one that was made anew: %+v", changes)
	}
}

func TestTheNextLeaderRemembersWhatWasSaid(t *testing.T) {
	m := newMemory()
	_, m.all["vision"] = m.changes(asked(finding{level: denied, code: verdict.Revoked}), nil, noon)
	record, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	next := newMemory()
	if err := next.decode(record); err != nil {
		t.Fatal(err)
	}
	if changes, _ := next.changes(asked(finding{level: denied, code: verdict.Revoked}), nil, noon); len(changes) != 0 {
		t.Errorf("it is said again: %+v", changes)
	}
	if changes, _ := next.changes(asked(finding{level: complies}), nil, noon); len(changes) != 1 || !changes[0].news {
		t.Errorf("that it complies again is not said: %+v", changes)
	}
	if again, err := next.encode(); err != nil || !bytes.Equal(again, record) {
		t.Error("the same memory is another record")
	}
}

func TestTheMemoryHasABound(t *testing.T) {
	m := newMemory()
	in := map[kube.ID]standing{}
	for i := range maxRemembered + 5 {
		in[kube.ID{Kind: kube.Kind{Version: "v1", Kind: "Pod"}, Namespace: "n", Name: fmt.Sprint("p", i)}] = standing{said: denied, uid: fmt.Sprint(i), saidCode: verdict.Revoked}
	}
	m.all["n"] = in
	record, err := m.encode()
	if err != nil || len(record) > maxRememberedBytes {
		t.Fatalf("%d bytes, %v", len(record), err)
	}
	next := newMemory()
	if err := next.decode(record); err != nil || len(next.all["n"]) != maxRemembered {
		t.Errorf("%d are remembered, %v", len(next.all["n"]), err)
	}
}

func FuzzMemory(f *testing.F) {
	m := newMemory()
	_, m.all["vision"] = m.changes(asked(finding{level: denied, code: verdict.Revoked}), nil, noon)
	record, err := m.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record)
	f.Add([]byte{})
	f.Add([]byte("\x1f\x8b not gzip"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := newMemory()
		if m.decode(data) != nil {
			return
		}
		for _, in := range m.all {
			for id, s := range in {
				if s.said != denied {
					t.Errorf("%s is remembered as %s", id, s.said)
				}
			}
		}
	})
}

func TestASelectorSelectsAsTheAPISays(t *testing.T) {
	labels := map[string]string{"app": "x", "tier": "web"}
	expression := func(key, operator string, values ...any) selector {
		return selector{"matchExpressions": []any{map[string]any{"key": key, "operator": operator, "values": values}}}
	}
	for name, c := range map[string]struct {
		s    selector
		want bool
	}{
		"nothing asked is everything":  {selector{}, true},
		"a label":                      {selector{"matchLabels": map[string]any{"app": "x"}}, true},
		"another value":                {selector{"matchLabels": map[string]any{"app": "y"}}, false},
		"a label that is not there":    {selector{"matchLabels": map[string]any{"zone": "a"}}, false},
		"in":                           {expression("app", "In", "x", "y"), true},
		"not in, and it is":            {expression("app", "NotIn", "x"), false},
		"not in, and it is not there":  {expression("zone", "NotIn", "x"), true},
		"exists":                       {expression("tier", "Exists"), true},
		"does not exist":               {expression("tier", "DoesNotExist"), false},
		"an operator nobody knows":     {expression("tier", "Gt", "1"), false},
		"in, and the key is not there": {expression("zone", "In", ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.s.matches(labels); got != c.want {
				t.Errorf("%v selects: %t", c.s, got)
			}
		})
	}
	if coveredBy([]selector{nil}, labels) {
		t.Error("what selects no Pods covers them")
	}
}

func TestAConditionCountsAndSaysTheFirstReason(t *testing.T) {
	m := newMemory()
	put := func(name string, l level, source string) {
		if m.all["n"] == nil {
			m.all["n"] = map[kube.ID]standing{}
		}
		id := kube.ID{Kind: kube.Kind{Version: "v1", Kind: "Pod"}, Namespace: "n", Name: name}
		m.all["n"][id] = standing{finding: finding{level: l, reason: "why " + name}, source: source}
	}
	want := func(status, reason, part string) {
		t.Helper()
		if c := m.compliance("s"); c.status != status || c.reason != reason || !strings.Contains(c.message, part) {
			t.Errorf("got %+v, want %s %s …%s…", c, status, reason, part)
		}
	}
	want("True", "NothingRuns", "nothing")
	put("a", complies, "s")
	put("z", denied, "another")
	want("True", "Compliant", "all 1 ")
	put("c", unknown, "s")
	want("Unknown", "NotJudged", "1 of 2 objects could not be judged; the first: v1 Pod n/c: why c")
	put("d", denied, "s")
	put("b", denied, "s")
	want("False", "NotCompliant", "2 of 4 objects do not comply, 1 could not be judged; the first: v1 Pod n/b: why b")
}

func TestWhatIsSeenSoonAndWhatIsSpread(t *testing.T) {
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	id := kube.ID{Name: "x"}
	spread := map[time.Duration]bool{}
	for i := range 50 {
		look, ask := nextLook(&judged{namespace: fmt.Sprint("n", i), findings: map[kube.ID]finding{id: {level: complies}}}, now)
		if look != ask || look < rescan/2 || look > rescan {
			t.Fatalf("looked at in %s, asked in %s", look, ask)
		}
		spread[look] = true
	}
	if len(spread) < 25 {
		t.Errorf("50 namespaces share %d times", len(spread))
	}
	for name, c := range map[string]struct {
		j         judged
		look, ask time.Duration
	}{
		"what could not be judged is asked again soon": {judged{findings: map[kube.ID]finding{id: {level: unknown}}}, recheck, recheck},
		"what expires is asked about then":             {judged{until: now.Add(2 * time.Minute)}, 2 * time.Minute, 2 * time.Minute},
		"what has just expired does not spin":          {judged{until: now.Add(-time.Minute)}, recheck, recheck},
	} {
		if look, ask := nextLook(&c.j, now); look != c.look || ask != c.ask {
			t.Errorf("%s: looked at in %s, asked in %s", name, look, ask)
		}
	}
	// What does not comply is looked at soon, and asked about when it has changed.
	if look, ask := nextLook(&judged{findings: map[kube.ID]finding{id: {level: denied}}}, now); look != recheck || ask < rescan/2 {
		t.Errorf("what does not comply: looked at in %s, asked in %s", look, ask)
	}
}

func TestAnIsolationThatWasChangedShutsNoLonger(t *testing.T) {
	pods := selector{"matchLabels": map[string]any{"app": "x"}}
	spec := func(change func(map[string]any)) map[string]any {
		s := map[string]any{"podSelector": map[string]any{"matchLabels": map[string]any{"app": "x"}}, "policyTypes": []any{"Ingress", "Egress"}}
		change(s)
		return s
	}
	if !shuts(spec(func(map[string]any) {}), pods) {
		t.Error("one that nobody changed does not")
	}
	for name, change := range map[string]func(map[string]any){
		"a way in":      func(s map[string]any) { s["ingress"] = []any{map[string]any{}} },
		"a way out":     func(s map[string]any) { s["egress"] = []any{map[string]any{}} },
		"one direction": func(s map[string]any) { s["policyTypes"] = []any{"Ingress"} },
		"other Pods":    func(s map[string]any) { s["podSelector"] = map[string]any{"matchLabels": map[string]any{"app": "y"}} },
		"more conditions": func(s map[string]any) {
			s["podSelector"].(map[string]any)["matchExpressions"] = []any{map[string]any{}}
		},
	} {
		if shuts(spec(change), pods) {
			t.Errorf("%s: it still shuts", name)
		}
	}
}

func TestThePodsOfEachKind(t *testing.T) {
	for text, want := range map[string]selector{
		`{"apiVersion":"apps/v1","kind":"Deployment","spec":{"selector":{"matchLabels":{"a":"b"}}}}`:                                                 {"matchLabels": map[string]any{"a": "b"}},
		`{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"a":"b"}}}`:                                                                           {"matchLabels": map[string]any{"a": "b"}},
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"}}`:                                                                                   nil,
		`{"apiVersion":"batch/v1","kind":"CronJob","spec":{"jobTemplate":{"spec":{"template":{"metadata":{"labels":{"a":"b"}}}}}}}`:                  {"matchLabels": map[string]any{"a": "b"}},
		`{"apiVersion":"serving.knative.dev/v1","kind":"Service","metadata":{"name":"x"}}`:                                                           {"matchLabels": map[string]any{"serving.knative.dev/service": "x"}},
		`{"apiVersion":"serving.kserve.io/v1beta1","kind":"InferenceService","metadata":{"name":"x"}}`:                                               {"matchLabels": map[string]any{"serving.kserve.io/inferenceservice": "x"}},
		`{"apiVersion":"apps/v1","kind":"Deployment","spec":{"selector":{}}}`:                                                                        nil,
		`{"apiVersion":"serving.kserve.io/v1alpha1","kind":"ClusterServingRuntime","metadata":{"name":"x"},"spec":{"containers":[{"image":"a:1"}]}}`: nil,
	} {
		var o kube.Object
		if err := o.UnmarshalJSON([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := podsOf(&o); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
