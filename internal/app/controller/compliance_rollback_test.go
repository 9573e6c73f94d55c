package controller

import (
	"errors"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/verdict"
)

// A Revocation has every source begun anew. What it is about must not be stopped in
// place of being rolled back for that.
func TestASourceThatIsBegunAnewIsWaitedForBeforeARollbackIsRefused(t *testing.T) {
	set, err := config.Load(t.Context(), config.Bytes("s.yaml", []byte(commitSigner+"\n---"+lockedSource("vision", "")+"---"+
		lockedSource("staged", "  stages: [{name: dev}, {name: prod, after: dev, target: {cluster: {serviceAccount: live/writer, namespaces: [live]}}}]"))))
	if err != nil || set.Err() != nil {
		t.Fatal(err, set.Err())
	}
	for _, name := range []string{"vision", "staged.prod"} {
		now := clock.At(noon)
		b := &background{c: &controller{o: Options{Clock: now}}}
		b.init()
		b.turns = 1
		b.c.set.Store(set)
		refused := func(source string) bool {
			t.Helper()
			left, err := b.rollBack(t.Context(), &subject{source: source}, finding{})
			if left || err == nil {
				t.Fatalf("%s is rolled back by nobody: %v", source, err)
			}
			_, is := errors.AsType[refusal](err)
			return is
		}
		if refused(name) {
			t.Errorf("%s is refused at once", name)
		}
		if !refused("gone") || !refused("staged") {
			t.Error("a source that is not there is waited for")
		}
		now.Advance(followWithin - time.Second)
		if refused(name) {
			t.Errorf("%s is refused while it may still begin", name)
		}
		now.Advance(2 * time.Second)
		if !refused(name) {
			t.Errorf("%s is waited for without an end", name)
		}
		// Followed meanwhile, it is waited for again.
		b.c.sources.all = map[string]followedSource{name: {}}
		b.forgetAway()
		b.c.sources.all = nil
		if refused(name) {
			t.Errorf("%s, which was followed meanwhile, is refused at once", name)
		}
	}
}

// What was cut off before stays cut off while nobody knows yet whether it can be
// rolled back.
func TestWhatIsCutOffStaysSoWhileARollbackIsWaitedFor(t *testing.T) {
	set, err := config.Load(t.Context(), config.Bytes("s.yaml", []byte(commitSigner+"\n---"+lockedSource("vision", "")+`---
apiVersion: security.apexlogic.com/v1alpha1
kind: ImageSecurityPolicy
metadata: {name: p}
spec:
  imageSelector: {}
  onViolation: [{action: RollBack}]
  rules: [{name: VulnerabilityScanThreshold, parameters: {maxSeverity: High, vulnerabilityScanner: Apex}}]`)))
	if err != nil || set.Err() != nil {
		t.Fatal(err, set.Err())
	}
	b := &background{c: &controller{o: Options{Clock: clock.At(noon)}}}
	b.init()
	b.turns = 1
	b.c.set.Store(set)
	j := asked(finding{level: denied, code: verdict.Revoked})
	s := j.subjects[0]
	s.source = "vision"
	j.violates = map[kube.ID][]violation{s.id: {{"ImageSecurityPolicy", "p", verdict.Revoked}}}
	name := isolationName(s.id)
	a := acting{background: b, judged: j, demands: demandsOf(set), isolated: map[string]isolation{name: {name: name}}, kept: map[string]bool{}}
	if err := a.one(t.Context(), s); err == nil || !a.kept[name] {
		t.Errorf("%v, kept %v", err, a.kept)
	}
}
