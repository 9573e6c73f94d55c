package apply_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/verdict"
)

func TestObjectsAreAppliedInOrderAndDeletedInTheReverse(t *testing.T) {
	var r *recorder
	f := newFixture(t, recorded(&r))
	ordered := []string{
		"Namespace vision @" + apply.AnnotationPrune + "=allow",
		"CustomResourceDefinition widgets.example.com @" + apply.AnnotationPrune + "=allow",
		"ClusterRole runner", "ConfigMap vision/settings", "Deployment vision/captioner", "Widget vision/one",
		"ValidatingWebhookConfiguration guard",
	}
	all := objects(t, ordered...)
	slices.Reverse(all)
	f.must("one", append(all, many(t, 20)...)...)
	order := func(calls []string) (kinds []string) {
		for _, c := range calls {
			if kind := strings.Fields(c)[1]; !strings.Contains(c, "filler") {
				kinds = append(kinds, kind)
			}
		}
		return kinds
	}
	want := []string{"Namespace", "CustomResourceDefinition", "ClusterRole", "ConfigMap", "Deployment", "Widget", "ValidatingWebhookConfiguration"}
	if got := order(r.take("apply")); !slices.Equal(got, want) {
		t.Errorf("applied %v", got)
	}
	req := f.request("two", many(t, 20)...)
	req.AllowPrune = true
	if _, err := f.try(req); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(want)
	if got := order(r.take("delete")); !slices.Equal(got, want) {
		t.Errorf("deleted %v", got)
	}
}

func TestEachObjectThatIsWrittenCostsOneTrialAndOneWrite(t *testing.T) {
	var r *recorder
	// The recorder alone would hide that the target can list.
	lister := struct {
		*recorder
		gitops.Lister
	}{}
	f := newFixture(t, func(c *apply.Config) {
		r = &recorder{Target: c.Target}
		lister.recorder, lister.Lister = r, c.Target.(gitops.Lister)
		c.Target = lister
	})
	req := f.request("one", many(t, 200)...)
	req.Look = apply.LookChanged
	if _, err := f.try(req); err != nil {
		t.Fatal(err)
	}
	calls := r.take("get", "apply", "try")
	if n := slices.IndexFunc(calls, func(c string) bool { return strings.HasPrefix(c, "apply") }); n != 200 || len(calls) != 400 {
		t.Errorf("%d requests, the first write is number %d", len(calls), n)
	}
	set := many(t, 200)
	set[7] = object(t, "ConfigMap vision/filler-7 a=changed")
	req = f.request("two", set...)
	req.Look = apply.LookChanged
	if _, err := f.try(req); err != nil {
		t.Fatal(err)
	}
	if calls := r.take("get", "apply", "try"); !slices.Equal(calls, []string{"get ConfigMap filler-7", "try ConfigMap filler-7", "apply ConfigMap filler-7"}) {
		t.Errorf("requests: %v", calls)
	}
	req = f.request("two", set...)
	req.Look = apply.LookChanged
	if res, err := f.try(req); err != nil || res.Unchanged != 200 {
		t.Errorf("got %+v, %v", res, err)
	}
	if calls := r.take("get", "apply", "try"); len(calls) != 0 {
		t.Errorf("the same again costs %v", calls)
	}
}

func TestAPlanSaysWhichFieldsChangeAndNoSecretsValue(t *testing.T) {
	f := newFixture(t)
	f.must("one", objects(t, "ConfigMap vision/settings a=b old=1", "Secret vision/token k=hunter2 @note=hunter2", "ConfigMap vision/same a=b")...)
	p, err := f.Plan(t.Context(), f.request("two", objects(t, "ConfigMap vision/settings a=c new=2", "Secret vision/token k=correcthorse @note=hunter3", "ConfigMap vision/same a=b", "ConfigMap vision/more a=b")...))
	if err != nil {
		t.Fatal(err)
	}
	actions := map[string]apply.Action{}
	var fields []apply.Field
	for _, stage := range p.Stages {
		for _, s := range stage.Steps {
			actions[s.Name] = s.Action
			if s.Name == "settings" {
				fields = s.Fields
			}
			if s.Name == "token" && len(s.Fields) == 0 {
				t.Error("a changed Secret shows no change")
			}
		}
	}
	if want := map[string]apply.Action{"settings": apply.Change, "token": apply.Change, "same": apply.Unchanged, "more": apply.Create}; !reflect.DeepEqual(actions, want) {
		t.Errorf("actions are %v", actions)
	}
	want := []apply.Field{{"/data/a", `"b"`, `"c"`}, {"/data/new", "", `"2"`}, {"/data/old", `"1"`, ""}}
	if !slices.Equal(fields, want) {
		t.Errorf("fields are %v", fields)
	}
	if text := fmt.Sprintf("%+v", func() (all []apply.Field) {
		for _, stage := range p.Stages {
			for _, s := range stage.Steps {
				all = append(all, s.Fields...)
			}
		}
		return all
	}()); strings.Contains(text, "hunter") || strings.Contains(text, "horse") {
		t.Errorf("a Secret's value is shown: %s", text)
	}
	if f.has(object(t, "ConfigMap vision/more").ID) {
		t.Error("a plan wrote")
	}
}

func TestWhatTheSourceMayNotWriteIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	tenant := &apply.Tenant{Namespaces: []string{"vision", "vision-dev"}, ClusterKinds: []string{"PriorityClass.scheduling.k8s.io"}}
	narrow := &apply.Tenant{Namespaces: []string{"vision"}, Kinds: []string{"ConfigMap", "Deployment.apps"}}
	for _, c := range []struct {
		name    string
		tenant  *apply.Tenant
		objects string
		code    verdict.Code // "" is the twin that is let in
	}{
		{"its own namespace", tenant, "ConfigMap vision/a", ""},
		{"its second namespace", tenant, "ConfigMap vision-dev/a", ""},
		{"another namespace", tenant, "ConfigMap claims/a", verdict.ApplyNamespace},
		{"the system's namespace", tenant, "ConfigMap kube-system/a", verdict.ApplyNamespace},
		{"a namespace that begins alike", tenant, "ConfigMap vision-prod/a", verdict.ApplyNamespace},
		{"a namespace in other letters", tenant, "ConfigMap Vision/a", verdict.ApplyNamespace},
		{"a cluster-scoped kind that it may have", tenant, "PriorityClass a", ""},
		{"a cluster-scoped kind that it may not have", tenant, "ClusterRole a", verdict.ApplyKind},
		{"a cluster-scoped kind that names a namespace", tenant, "ClusterRole vision/a", verdict.ApplyKind},
		{"an allowed cluster-scoped kind that names a namespace", tenant, "PriorityClass vision/a", verdict.ApplyKind},
		{"a binding to everything", tenant, "ClusterRoleBinding a", verdict.ApplyKind},
		{"a namespace", tenant, "Namespace vision", verdict.ApplyKind},
		{"a definition", tenant, "CustomResourceDefinition widgets.example.com", verdict.ApplyKind},
		{"a webhook", tenant, "MutatingWebhookConfiguration a", verdict.ApplyKind},
		{"a namespaced kind without a namespace", tenant, "ConfigMap a", verdict.ApplyKind},
		{"any namespaced kind where none is named", tenant, "Role vision/a", ""},
		{"a kind that is named", narrow, "ConfigMap vision/a", ""},
		{"a kind with its group that is named", narrow, "Deployment vision/a", ""},
		{"a kind that is not named", narrow, "Role vision/a", verdict.ApplyKind},
		{"a kind of its own definitions that is named", &apply.Tenant{Namespaces: []string{"vision"}, Kinds: []string{"Widget.example.com"}}, "Widget vision/a", ""},
		{"one that is named without its group", &apply.Tenant{Namespaces: []string{"vision"}, Kinds: []string{"Widget"}}, "Widget vision/a", verdict.ApplyKind},
		{"any kind where the list is there and empty", &apply.Tenant{Namespaces: []string{"vision"}, Kinds: []string{}}, "ConfigMap vision/a", verdict.ApplyKind},
		{"a named kind in another namespace", narrow, "ConfigMap claims/a", verdict.ApplyNamespace},
		{"a cluster-scoped kind where none is named", narrow, "PriorityClass a", verdict.ApplyKind},
		{"everything, where the target is the source's", nil, "ClusterRoleBinding a", ""},
		{"one good and one bad object", tenant, "ConfigMap vision/a; ConfigMap claims/a", verdict.ApplyNamespace},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.source.Tenant = c.tenant
			var all []gitops.Object
			for text := range strings.SplitSeq(c.objects, "; ") {
				all = append(all, object(t, text))
			}
			_, err := f.try(f.request("one", all...))
			if c.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantRefusal(t, err, c.code)
			if there := everything(t, f); len(there) > 0 {
				t.Errorf("there is %v", there)
			}
			if s := f.state(); s.Counter != 0 {
				t.Errorf("the counter is %d", s.Counter)
			}
		})
	}
}

func TestMoreObjectsThanTheQuotaAreRefused(t *testing.T) {
	f := newFixture(t)
	f.source.MaxObjects = 5
	_, err := f.try(f.request("one", many(t, 6)...))
	wantRefusal(t, err, verdict.ApplyQuota)
	f.must("one", many(t, 5)...)
}

func TestAnObjectOfAnotherSourceIsNotTaken(t *testing.T) {
	for name, look := range map[string]apply.Look{"looking at all": apply.LookAll, "looking at changes": apply.LookChanged} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			plant("ConfigMap vision/a x=y "+theirs)(t, f)
			r := f.request("one", objects(t, "ConfigMap vision/a a=b", "ConfigMap vision/b a=b")...)
			r.Look = look
			_, err := f.try(r)
			wantRefusal(t, err, verdict.ApplyOwned)
			if f.has(object(t, "ConfigMap vision/b").ID) {
				t.Error("half of it was applied")
			}
			// Its twin: nobody's object is adopted.
			remove("ConfigMap vision/a")(t, f)
			plant("ConfigMap vision/a x=y")(t, f)
			if res, err := f.try(r); err != nil || res.Changed != 1 || res.Created != 1 {
				t.Errorf("got %+v, %v", res, err)
			}
		})
	}
	f := newFixture(t)
	_, err := f.try(f.request("one", objects(t, "ConfigMap vision/a "+theirs)...))
	wantRefusal(t, err, verdict.ApplyOwned)
	// A label that somebody turned on an object of ours does not lock us out.
	f.must("one", objects(t, "ConfigMap vision/a a=b")...)
	change("ConfigMap vision/a", label("claims"))(t, f)
	f.must("two", objects(t, "ConfigMap vision/a a=c")...)
}

func TestARevisionFollowsTheAcceptedOne(t *testing.T) {
	f := newFixture(t)
	f.must("one", many(t, 3)...)
	f.must("two", many(t, 4)...)
	for name, c := range map[string]struct {
		commit, after string
		ok            bool
	}{
		"its descendant":                       {"three", "two", true},
		"the same again":                       {"two", "", true},
		"an older one":                         {"one", "", false},
		"an older one with an old proof":       {"one", "one", false},
		"a descendant of another":              {"three", "one", false},
		"a descendant of nothing":              {"three", "", false},
		"a descendant of something unheard of": {"three", "zero", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.Plan(t.Context(), apply.Request{Source: f.source, Set: setOf(t, many(t, 5)...), Commit: c.commit, After: c.after})
			if c.ok {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantRefusal(t, err, verdict.ApplyStale)
		})
	}
	if s := f.state(); s.Counter != 2 || s.Accepted.Commit != "two" || s.Applied != s.Accepted {
		t.Errorf("the state is %+v", s)
	}
}

func TestAPlanThatWasOvertakenWritesNothing(t *testing.T) {
	f := newFixture(t)
	f.must("one", many(t, 3)...)
	late, err := f.Plan(t.Context(), f.request("two", append(many(t, 3), object(t, "ConfigMap vision/late a=b"))...))
	if err != nil {
		t.Fatal(err)
	}
	f.must("three", many(t, 4)...)
	if _, err := f.Apply(t.Context(), late); !errors.Is(err, gitops.ErrConflict) {
		t.Errorf("got %v", err)
	}
	if f.has(object(t, "ConfigMap vision/late").ID) {
		t.Error("it wrote")
	}
}

func TestAnErrorStopsBeforeTheNextStageAndTheNextApplyGoesOn(t *testing.T) {
	var r *recorder
	f := newFixture(t, recorded(&r))
	r.fail = func(verb string, id gitops.ID) error {
		if verb == "apply" && id.Name == "broken" {
			return errors.New("spec.replicas: a number is wanted")
		}
		return nil
	}
	all := objects(t, "ConfigMap vision/a a=b", "ConfigMap vision/broken a=b", "ConfigMap vision/c a=b", "Deployment vision/d")
	_, err := f.try(f.request("one", all...))
	if err == nil || !strings.Contains(err.Error(), "all.yaml:1") || !strings.Contains(err.Error(), "broken") {
		t.Fatalf("got %v", err)
	}
	if !f.has(all[0].ID) || !f.has(all[2].ID) || f.has(all[3].ID) {
		t.Errorf("there is %v", everything(t, f))
	}
	if s := f.state(); !s.Unfinished() || s.Stage != "apply-configuration" || s.Applied.Commit != "" {
		t.Errorf("the state is %s %s %v", s.Phase, s.Stage, s.Applied)
	}
	_, err = f.CheckHealth(t.Context(), "vision")
	wantRefusal(t, err, verdict.ApplyUnfinished)
	// A mended commit takes its place; what was made on the way and is not in it goes.
	r.fail = nil
	req := f.request("two", objects(t, "ConfigMap vision/a a=b", "ConfigMap vision/broken a=c", "Deployment vision/d")...)
	req.AllowPrune = true
	if _, err := f.try(req); err != nil {
		t.Fatal(err)
	}
	if got := everything(t, f); len(got) != 3 || f.has(all[2].ID) {
		t.Errorf("there is %v", got)
	}
	if _, err := f.CheckHealth(t.Context(), "vision"); err != nil {
		t.Errorf("its twin: %v", err)
	}
}

// late is a target that serves a kind some time after its definition, which
// takes some time to be established.
type late struct {
	gitops.Target
	until      *atomic.Int64 // refusals of the kind that are left
	pending    *atomic.Int64 // answers that the definition is not established
	definition atomic.Bool
}

func (l *late) Get(ctx context.Context, id gitops.ID, version string) (*gitops.Live, error) {
	if id.Kind == "Widget" && !l.definition.Load() {
		return nil, gitops.ErrUnknownKind
	}
	return l.Target.Get(ctx, id, version)
}

func (l *late) Apply(ctx context.Context, o *gitops.Object, opt gitops.ApplyOptions) (*gitops.Live, error) {
	if o.Kind == "CustomResourceDefinition" {
		l.definition.Store(true)
	}
	if o.Kind == "Widget" && (!l.definition.Load() || l.pending.Load() > 0 || l.until.Add(-1) >= 0) {
		return nil, gitops.ErrUnknownKind
	}
	return l.Target.Apply(ctx, o, opt)
}

func (l *late) Healthy(ctx context.Context, o *gitops.Object) (bool, string, error) {
	if o.Kind == "CustomResourceDefinition" && l.pending.Add(-1) >= 0 {
		return false, "names are not accepted", nil
	}
	l.pending.Store(0)
	return l.Target.Healthy(ctx, o)
}

func TestAKindIsWaitedForWhenTheSetDefinesItAndNotElse(t *testing.T) {
	for _, c := range []struct {
		name             string
		objects          []string
		pending, refused int64
		ok               bool
	}{
		{"a definition and its resource", []string{"CustomResourceDefinition widgets.example.com", "Widget vision/a"}, 5, 5, true},
		{"a resource that nobody defines", []string{"Widget vision/a", "ConfigMap vision/a"}, 0, 0, false},
		{"a definition that is never established", []string{"CustomResourceDefinition widgets.example.com", "Widget vision/a"}, 1 << 40, 0, false},
		{"a kind that is never served", []string{"CustomResourceDefinition widgets.example.com", "Widget vision/a"}, 0, 1 << 40, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &late{until: &atomic.Int64{}, pending: &atomic.Int64{}}
				l.pending.Store(c.pending)
				l.until.Store(c.refused)
				f := newFixture(t, func(cfg *apply.Config) { l.Target, cfg.Target = cfg.Target, l })
				_, err := f.try(f.request("one", objects(t, c.objects...)...))
				if (err == nil) != c.ok {
					t.Errorf("got %v", err)
				}
				if c.name == "a resource that nobody defines" && f.has(object(t, "ConfigMap vision/a").ID) {
					t.Error("half of it was applied")
				}
			})
		})
	}
}

func TestAStateThatWeDidNotWriteIsRefused(t *testing.T) {
	f := newFixture(t)
	f.must("one", many(t, 3)...)
	record, version, err := f.store.Load(t.Context(), "vision")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := bytes.Cut(record, []byte("\n"))
	for name, forged := range map[string][]byte{
		"another counter":     bytes.Replace(record, []byte(`"counter":1`), []byte(`"counter":9`), 1),
		"no signature":        append(slices.Clone(line), '\n'),
		"an empty record":     {},
		"another's signature": append(slices.Clone(line), []byte("\nAAAA\n")...),
		"more after it":       append(slices.Clone(record), []byte("x")...),
	} {
		t.Run(name, func(t *testing.T) {
			if version, err = f.store.Save(t.Context(), "vision", forged, version); err != nil {
				t.Fatal(err)
			}
			_, err := f.Load(t.Context(), "vision")
			wantRefusal(t, err, verdict.ApplyState)
		})
	}
	t.Run("the state of another source", func(t *testing.T) {
		if _, err := f.store.Save(t.Context(), "claims", record, ""); err != nil {
			t.Fatal(err)
		}
		_, err := f.Load(t.Context(), "claims")
		wantRefusal(t, err, verdict.ApplyState)
	})
	t.Run("its twin, as it was", func(t *testing.T) {
		if version, err = f.store.Save(t.Context(), "vision", record, version); err != nil {
			t.Fatal(err)
		}
		s := f.state()
		if err := f.store.DropSet(t.Context(), s.Inventory); err != nil {
			t.Fatal(err)
		}
		_, err := f.Load(t.Context(), "vision")
		wantRefusal(t, err, verdict.ApplyState) // without its inventory it is none
	})
}

func TestTheJournalIsBoundedChainedAndKeepsTheWayBack(t *testing.T) {
	f := newFixture(t)
	f.must("one", many(t, 3)...)
	if sick, err := f.CheckHealth(t.Context(), "vision"); err != nil || len(sick) > 0 {
		t.Fatal(sick, err)
	}
	f.must("two", many(t, 4)...)
	for i := range 300 {
		commit := fmt.Sprintf("bad-%d", i)
		for range 2 { // twice in a row is one entry
			if err := f.Refuse(t.Context(), "vision", apply.Revision{Commit: commit}, verdict.SignatureMissing, strings.Repeat("long ", 1000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := f.state()
	if len(s.Journal) != 256 || s.Journal[255].Number != 305 || s.Before == "" {
		t.Errorf("%d entries, the last is %+v", len(s.Journal), s.Journal[len(s.Journal)-1])
	}
	if record, _, err := f.store.Load(t.Context(), "vision"); err != nil || len(record) > 512<<10 {
		t.Errorf("the record has %d bytes: %v", len(record), err)
	}
	if _, err := f.Rollback(t.Context(), f.rollback()); err != nil {
		t.Errorf("refusals took the way back: %v", err)
	}
}

// swapped is a store in which somebody put one set in the place of another.
type swapped struct {
	gitops.Store
	of   verdict.Digest
	data []byte
}

func (s *swapped) GetSet(ctx context.Context, digest verdict.Digest) ([]byte, error) {
	if digest == s.of {
		return s.data, nil
	}
	return s.Store.GetSet(ctx, digest)
}

func TestARollbackAppliesTheSetThatWasJudgedAndNoOther(t *testing.T) {
	var store *swapped
	f := newFixture(t, func(c *apply.Config) {
		store = &swapped{Store: c.Store}
		c.Store = store
	})
	f.must("one", objects(t, "ConfigMap vision/a v=one")...)
	if sick, err := f.CheckHealth(t.Context(), "vision"); err != nil || len(sick) > 0 {
		t.Fatal(sick, err)
	}
	f.must("two", objects(t, "ConfigMap vision/a v=two")...)
	store.of = setOf(t, objects(t, "ConfigMap vision/a v=one")...).Digest()
	store.data = setOf(t, objects(t, "ConfigMap vision/a v=evil")...).Bytes()
	_, err := f.Rollback(t.Context(), f.rollback())
	wantRefusal(t, err, verdict.ApplyState)
	store.of = ""
	if _, err := f.Rollback(t.Context(), f.rollback()); err != nil {
		t.Errorf("its twin, as it was: %v", err)
	}
}

func (f *fixture) rollback() apply.RollbackRequest {
	r := rollbackRequest()
	r.Source = f.source
	return r
}

func TestARollbackGoesBackAndStaysUntilADescendantArrives(t *testing.T) {
	f := newFixture(t)
	_, err := f.Rollback(t.Context(), f.rollback())
	wantRefusal(t, err, verdict.RollbackNone)
	f.must("one", objects(t, "ConfigMap vision/a v=one", "ConfigMap vision/b v=one")...)
	_, err = f.Rollback(t.Context(), f.rollback())
	wantRefusal(t, err, verdict.RollbackNone) // it is applied, and not known as healthy
	if sick, err := f.CheckHealth(t.Context(), "vision"); err != nil || len(sick) > 0 {
		t.Fatal(sick, err)
	}
	f.must("two", objects(t, "ConfigMap vision/a v=two", "ConfigMap vision/b v=two", "ConfigMap vision/c v=two")...)

	unsigned := f.rollback()
	unsigned.Record = func(context.Context, *apply.State, apply.Transition) ([]byte, error) { return []byte("forged"), nil }
	_, err = f.Rollback(t.Context(), unsigned)
	wantRefusal(t, err, verdict.RollbackRecord)

	var said apply.Transition
	r := f.rollback()
	verify := r.Verify
	r.Verify = func(ctx context.Context, s *apply.State, tr apply.Transition, record []byte) (json.RawMessage, error) {
		said = tr
		return verify(ctx, s, tr, record)
	}
	if _, err := f.Rollback(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if said.Source != "vision" || said.From.Commit != "two" || said.To.Commit != "one" || said.Counter != 3 {
		t.Errorf("the record is over %+v", said)
	}
	live, err := f.target.Get(t.Context(), object(t, "ConfigMap vision/a").ID, "v1")
	if err != nil || live.Body["data"].(map[string]any)["v"] != "one" || f.has(object(t, "ConfigMap vision/c").ID) {
		t.Errorf("there is %v, %v", everything(t, f), err)
	}
	s := f.state()
	if s.Counter != 3 || s.Accepted.Commit != "two" || s.Applied.Commit != "one" || s.Pin == nil || string(s.Pin.Record) != "record" {
		t.Errorf("the state is %+v", s)
	}
	// Automation goes on and sees the same head: it is not applied.
	_, err = f.try(f.request("two", objects(t, "ConfigMap vision/a v=two")...))
	wantRefusal(t, err, verdict.ApplyPinned)
	stale := f.request("one", objects(t, "ConfigMap vision/a v=one")...)
	stale.After = ""
	_, err = f.try(stale)
	wantRefusal(t, err, verdict.ApplyStale)
	// Its descendant ends the pin.
	f.must("three", objects(t, "ConfigMap vision/a v=three", "ConfigMap vision/b v=three")...)
	if s := f.state(); s.Pin != nil || s.Counter != 4 || s.Accepted.Commit != "three" {
		t.Errorf("the state is %+v", s)
	}
	named := f.rollback()
	named.To = "two"
	_, err = f.Rollback(t.Context(), named)
	wantRefusal(t, err, verdict.RollbackNone) // it never was healthy
	named.To = "one"
	if _, err := f.Rollback(t.Context(), named); err != nil {
		t.Error(err)
	}
}

func TestHealthNamesWhatIsMissing(t *testing.T) {
	f := newFixture(t)
	f.must("one", many(t, 3)...)
	remove("ConfigMap vision/filler-1")(t, f)
	sick, err := f.CheckHealth(t.Context(), "vision")
	if err != nil || len(sick) != 1 || sick[0].Name != "filler-1" || sick[0].Why == "" {
		t.Errorf("got %v, %v", sick, err)
	}
	if s := f.state(); len(s.Good) != 0 {
		t.Errorf("it counts as good: %v", s.Good)
	}
}

// keeper notes what the healer would hear.
type keeper struct{ calls chan string }

func (k keeper) Desire(o *gitops.Object) error            { k.calls <- "desire " + o.Name; return nil }
func (k keeper) Resume(o *gitops.Object) error            { k.calls <- "resume " + o.Name; return nil }
func (k keeper) Applied(o *gitops.Object, l *gitops.Live) { k.calls <- "applied " + o.Name }
func (k keeper) Forget(id gitops.ID)                      { k.calls <- "forget " + id.Name }

func TestTheHealerHearsOfEachObjectBeforeItIsWritten(t *testing.T) {
	k := keeper{make(chan string, 100)}
	f := newFixture(t, func(c *apply.Config) { c.Keeper = k; c.Workers = 1 })
	heard := func() (all []string) {
		for {
			select {
			case c := <-k.calls:
				all = append(all, c)
			default:
				return all
			}
		}
	}
	f.must("one", objects(t, "ConfigMap vision/a a=b", "Secret vision/s a=b")...)
	if got := heard(); !slices.Equal(got, []string{"desire a", "desire s", "applied a", "applied s"}) {
		t.Errorf("heard %v", got)
	}
	f.must("one", objects(t, "ConfigMap vision/a a=b", "Secret vision/s a=b")...)
	if got := heard(); !slices.Equal(got, []string{"resume a", "resume s"}) {
		t.Errorf("of the same again, heard %v", got)
	}
	if _, err := f.Resume(t.Context(), f.request("one").Source); err != nil {
		t.Fatal(err)
	}
	if got := heard(); !slices.Equal(got, []string{"resume a", "resume s"}) {
		t.Errorf("after a start, heard %v", got)
	}
	r := f.request("two", objects(t, "ConfigMap vision/b a=b")...)
	r.AllowPrune = true
	if _, err := f.try(r); err != nil {
		t.Fatal(err)
	}
	if got := heard(); !slices.Equal(got, []string{"forget s", "desire b", "applied b", "forget a"}) {
		t.Errorf("heard %v", got)
	}
}

func TestAnApplierNeedsKeys(t *testing.T) {
	f := newFixture(t)
	for name, c := range map[string]apply.Config{
		"no target": {Store: f.store, Sign: signState, Verify: verifyState},
		"no store":  {Target: f.target, Sign: signState, Verify: verifyState},
		"no key":    {Target: f.target, Store: f.store, Verify: verifyState},
		"no check":  {Target: f.target, Store: f.store, Sign: signState},
	} {
		if _, err := apply.New(c); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}
