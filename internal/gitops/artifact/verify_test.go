package artifact_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops/artifact"
	"github.com/apexlogic/apex/internal/gitops/history"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/verdict"
)

func TestATagThatIsMovedIsRefusedByName(t *testing.T) {
	w := newWorld(t)
	one := w.publish(1)
	v := w.verifier(one)
	two, three := w.publish(2), w.publish(3)
	w.accept(v, two)
	w.refused(v, one, verdict.HistoryRewound)
	w.accept(v, three)
	w.refused(v, two, verdict.HistoryRewound)
	w.accept(v, three) // the twin: nothing newer is nothing wrong
	s := set(t, "9")
	w.refused(v, w.forge(s, w.statement(s, 9, two), w.signer), verdict.HistoryDiverged)
	w.refused(v, w.forge(s, w.statement(s, 10, ""), w.signer), verdict.HistoryDiverged)
	w.refused(v, w.forge(s, w.statement(s, 3, three), w.signer), verdict.HistoryRewound)
	w.accept(v, w.forge(s, w.statement(s, 11, three), w.signer))
}

func TestOnlyAStatementOfSomebodyTrustedCounts(t *testing.T) {
	w := newWorld(t)
	one := w.publish(1)
	v := w.verifier(one)
	w.accept(v, one)
	s, thief := set(t, "x"), key(t)
	w.refused(v, w.forge(s, w.statement(s, 2, one)), verdict.ArtifactUnsigned)
	w.refused(v, w.forge(s, w.statement(s, 3, one), thief), verdict.ArtifactUntrusted)
	w.refused(v, w.forge(s, w.statement(s, 3, one), w.other), verdict.ArtifactUntrusted)
	bad := w.statement(s, 4, one)
	bad.Commit = ""
	w.refused(v, w.forge(s, bad, w.signer), verdict.ArtifactInvalid)
	other := w.statement(s, 5, one)
	other.Source = "other"
	other.Predecessor = w.forge(s, w.statement(s, 4, one), w.signer)
	w.refused(v, w.forge(s, other, w.signer), verdict.HistoryDiverged)

	// What is untrusted on the way stops what is trusted at the end.
	between := w.forge(s, w.statement(s, 6, one), thief)
	w.refused(v, w.forge(s, w.statement(s, 7, between), w.signer), verdict.ArtifactUntrusted)
	gone := verdict.Digest("sha256:" + strings.Repeat("ab", 32))
	_, err := w.verify(v, w.forge(s, w.statement(s, 8, gone), w.signer))
	if err == nil {
		t.Error("an artifact whose predecessor is not there is followed")
	}
	falling := w.forge(s, w.statement(s, 20, one), w.signer)
	w.refused(v, w.forge(s, w.statement(s, 19, falling), w.signer), verdict.ArtifactInvalid)

	// A thief's statement beside a good one changes nothing.
	w.accept(v, w.forge(s, w.statement(s, 30, one), thief, w.signer))
}

func TestTwoStatementsThatDisagreeAreNone(t *testing.T) {
	w := newWorld(t)
	one := w.publish(1)
	v := w.verifier(one)
	w.accept(v, one)
	s := set(t, "x")
	st := w.statement(s, 2, one)
	d := w.forge(s, st, w.signer)
	w.accept(v, d)
	w.last = artifact.State{Current: artifact.Mark{Digest: one, Counter: 1}, Highest: 1, First: one, Number: 1}
	more := *st
	more.AllowPrune = true
	ref, err := reference.Parse(w.repo + "@" + string(d))
	if err != nil {
		t.Fatal(err)
	}
	m, err := w.client.Resolve(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	w.attest(m.Descriptor, &more, artifact.PredicateType, w.signer)
	w.client = client(t, w.server)
	w.refused(v, d, verdict.ArtifactInvalid)
}

func TestAnArtifactThatHoldsAnotherSetThanIsSignedIsRefused(t *testing.T) {
	w := newWorld(t)
	one := w.publish(1)
	v := w.verifier(one)
	w.accept(v, one)
	st := w.statement(set(t, "good"), 2, one)
	d := w.forge(set(t, "evil"), st, w.signer)
	a := w.accept(v, d)
	_, err := artifact.Pull(t.Context(), w.client, w.repo, d, &a.Statement, render.Options{Namespaces: []string{"*"}})
	if r, is := errors.AsType[*artifact.Refusal](err); !is || r.Code != verdict.ArtifactInvalid {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsTrustedFirstIsNamedByItsDigest(t *testing.T) {
	w := newWorld(t)
	one, two, three := w.publish(1), w.publish(2), w.publish(3)
	w.refused(w.verifier(two), one, verdict.HistoryUnrelated)
	w.accept(w.verifier(two), three)
	w.last = artifact.State{}
	w.accept(w.verifier(one), three)
	// A new anchor ends the old chain; the counter still does not fall.
	s := set(t, "new")
	anchor := w.forge(s, w.statement(s, 9, ""), w.signer)
	next := w.forge(s, w.statement(s, 10, anchor), w.signer)
	w.refused(w.verifier(one), next, verdict.HistoryDiverged)
	low := w.forge(s, w.statement(s, 2, ""), w.signer)
	w.refused(w.verifier(low), low, verdict.HistoryRewound)
	w.accept(w.verifier(anchor), next)
}

func TestARollbackNeedsASignedRecordAndNoRegistry(t *testing.T) {
	w := newWorld(t)
	one := w.publish(1)
	v := w.verifier(one)
	w.accept(v, one)
	two := w.publish(2)
	w.accept(v, two)
	record := func(change func(*history.Rollback), by crypto.Signer) []byte {
		r := history.Rollback{Source: "follower", From: repo.Commit(two), To: repo.Commit(one), Counter: w.last.Number, Reason: "it answers nonsense", At: now}
		if change != nil {
			change(&r)
		}
		data, err := r.Sign(by)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, data := range map[string][]byte{
		"somebody else's signature": record(nil, key(t)),
		"another source":            record(func(r *history.Rollback) { r.Source = "vision" }, w.operator),
		"another state":             record(func(r *history.Rollback) { r.Counter-- }, w.operator),
		"from something else":       record(func(r *history.Rollback) { r.From = "sha256:x" }, w.operator),
		"to what was never there":   record(func(r *history.Rollback) { r.To = repo.Commit("sha256:" + strings.Repeat("0", 64)) }, w.operator),
		"no record":                 []byte("{}"),
	} {
		_, _, err := v.Rollback(w.last, data, now)
		if r, is := errors.AsType[*artifact.Refusal](err); !is || r.Code != verdict.RollbackRefused {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := record(nil, w.operator)
	_, next, err := v.Rollback(w.last, good, now)
	if err != nil {
		t.Fatal(err)
	}
	w.last = next
	if _, _, err := v.Rollback(w.last, good, now); err == nil {
		t.Error("a record counts twice")
	}
	w.refused(v, two, verdict.HistoryRolledBack)
	w.accept(v, one)
	w.accept(v, w.publish(3)) // which descends from what was left
	w.refused(v, two, verdict.HistoryRewound)
}

func TestARegistryThatIsDownDecidesNothing(t *testing.T) {
	w := newWorld(t)
	one := w.publish(1)
	v := w.verifier(one)
	two := w.publish(2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := v.Verify(ctx, w.client, w.repo, w.last, two, now)
	if err == nil || errors.As(err, new(*artifact.Refusal)) {
		t.Errorf("got %v", err)
	}
	w.accept(v, two)
}

func TestTrustThatCannotBeHasAName(t *testing.T) {
	w := newWorld(t)
	root := w.root(map[string]crypto.Signer{"release": w.signer})
	good := verdict.Digest("sha256:" + strings.Repeat("ab", 32))
	for name, tc := range map[string]struct {
		trust artifact.Trust
		want  string // "" is allowed
	}{
		"all of it":      {artifact.Trust{Source: "a", First: good, Signers: []string{"release"}}, ""},
		"nobody":         {artifact.Trust{Source: "a", First: good}, "nobody"},
		"a stranger":     {artifact.Trust{Source: "a", First: good, Signers: []string{"who"}}, `"who"`},
		"no first one":   {artifact.Trust{Source: "a", Signers: []string{"release"}}, "firstDigest"},
		"no such name":   {artifact.Trust{Source: "A b", First: good, Signers: []string{"release"}}, "source"},
		"a first commit": {artifact.Trust{Source: "a", First: verdict.Digest(strings.Repeat("a", 40)), Signers: []string{"release"}}, "firstDigest"},
	} {
		_, err := artifact.Compile(tc.trust, root, nil)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzStatement(f *testing.F) {
	good, err := json.Marshal(&artifact.Statement{Source: "vision", Commit: "c", Content: verdict.Digest("sha256:" + strings.Repeat("ab", 32)), Counter: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"source":"vision","counter":-1}`))
	f.Add([]byte(`{"more":1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		st, err := artifact.ParseStatement(data)
		if err != nil {
			return
		}
		text, err := json.Marshal(&st)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := artifact.ParseStatement(text); err != nil || again != st {
			t.Errorf("%s reads as %+v: %v", text, again, err)
		}
	})
}
