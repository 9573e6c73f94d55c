package history_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops/history"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

func record(last history.State, to repo.Commit) history.Rollback {
	return history.Rollback{Source: "captioner", From: last.Commit, To: to, Counter: last.Counter, Reason: "answers are wrong", At: now}
}

func signRecord(t *testing.T, key trusttest.Key, b history.Rollback) []byte {
	t.Helper()
	doc, err := b.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestASignedRecordRollsBack(t *testing.T) {
	f := newForge(t)
	c := line(f, 4)
	sideways := f.commit(spec{by: "alice", files: base + " app/z=1", parents: c[1:2]})
	key, _ := operator(t)
	v, r := compile(t, rules(c[1])), f.repo()
	last := accepted(c[4])
	good := record(last, c[2])
	edit := func(change func(*history.Rollback)) []byte {
		b := good
		change(&b)
		return signRecord(t, key, b)
	}
	other, err := trust.SignDocument(key, "Promotion", []byte(`{"source":"captioner"}`))
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := trust.SignDocument(key, history.KindRollback, []byte(`{"source":"captioner","force":true}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []struct {
		name   string
		doc    []byte
		code   verdict.Code
		detail string
	}{
		{"a good one", signRecord(t, key, good), verdict.OK, ""},
		{"to the first trusted commit", edit(func(b *history.Rollback) { b.To = c[1] }), verdict.OK, ""},
		{"by somebody else", signRecord(t, trusttest.FixedKey(t, "mallory"), good), verdict.RollbackRefused, "none of the 1 keys"},
		{"that was altered", bytes.Replace(signRecord(t, key, good), []byte(`"payload":"`), []byte(`"payload":"e30`), 1), verdict.RollbackRefused, ""},
		{"of another kind", other, verdict.RollbackRefused, "payload type"},
		{"with a field that nobody knows", unknown, verdict.RollbackRefused, "force"},
		{"for another source", edit(func(b *history.Rollback) { b.Source = "other" }), verdict.RollbackRefused, `"other"`},
		{"from another commit", edit(func(b *history.Rollback) { b.From = c[3] }), verdict.RollbackRefused, "is accepted"},
		{"for an earlier state", edit(func(b *history.Rollback) { b.Counter-- }), verdict.RollbackRefused, "was used"},
		{"for a later state", edit(func(b *history.Rollback) { b.Counter++ }), verdict.RollbackRefused, "for the state 4"},
		{"to another line", edit(func(b *history.Rollback) { b.To = sideways }), verdict.RollbackRefused, "never accepted"},
		{"to what is older than the first trusted commit", edit(func(b *history.Rollback) { b.To = c[0] }), verdict.HistoryUnrelated, "older than the first"},
		{"to what is not there", edit(func(b *history.Rollback) { b.To = repo.Commit("1111111111111111111111111111111111111111") }), verdict.HistoryIncomplete, "not in the repository"},
		{"of nothing", nil, verdict.RollbackRefused, ""},
	} {
		t.Run(w.name, func(t *testing.T) {
			got, err := v.Rollback(t.Context(), r, last, w.doc, now)
			if w.code != verdict.OK {
				if got != nil {
					t.Fatalf("got %+v", got)
				}
				expect(t, nil, err, w.code, w.detail)
				return
			}
			if err != nil || !slices.Equal(got.Signers, []string{"operator"}) || got.State.Counter != last.Counter+1 || got.State.Commit != got.Record.To {
				t.Fatalf("got %+v, %v", got, err)
			}
		})
	}
	t.Run("where nobody may", func(t *testing.T) {
		v, err := history.Compile("captioner", rules(c[1]), team(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Rollback(t.Context(), r, last, signRecord(t, key, good), now)
		expect(t, nil, err, verdict.RollbackRefused, "nobody is trusted")
	})
	for name, b := range map[string]history.Rollback{
		"without a reason": func() history.Rollback { b := good; b.Reason = ""; return b }(),
		"to itself":        func() history.Rollback { b := good; b.To = b.From; return b }(),
		"of no source":     func() history.Rollback { b := good; b.Source = ""; return b }(),
	} {
		if _, err := b.Sign(key); err == nil {
			t.Errorf("a record %s was signed", name)
		}
	}
}

func TestWhatWasRolledBackStaysAway(t *testing.T) {
	f := newForge(t)
	c := line(f, 4)
	mend := f.commit(spec{by: "alice", files: base + " app/n=mended", parents: c[4:]})
	beside := f.commit(spec{by: "alice", files: base + " app/n=beside", parents: c[2:3]})
	key, _ := operator(t)
	v, r := compile(t, rules(c[0])), f.repo()
	back, err := v.Rollback(t.Context(), r, accepted(c[4]), signRecord(t, key, record(accepted(c[4]), c[2])), now)
	if err != nil {
		t.Fatal(err)
	}
	state := back.State
	data, err := json.Marshal(state) // it is kept as JSON
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &state); err != nil {
		t.Fatal(err)
	}
	try := func(last history.State, head repo.Commit, code verdict.Code, commits int) history.State {
		t.Helper()
		got, err := v.Verify(t.Context(), r, last, head, now)
		expect(t, got, err, code, "")
		if err != nil {
			return last
		}
		if len(got.Commits) != commits {
			t.Fatalf("%d commits were verified, want %d", len(got.Commits), commits)
		}
		return got.State
	}
	try(state, c[4], verdict.HistoryRolledBack, 0) // where the branch still is
	try(state, c[3], verdict.HistoryRolledBack, 0)
	newest := history.State{Commit: state.Commit, Counter: state.Counter, RolledBack: []repo.Commit{c[4]}}
	try(newest, c[4], verdict.HistoryRolledBack, 0) // for whoever remembers the newest alone
	try(newest, c[3], verdict.HistoryRolledBack, 0)
	try(newest, mend, verdict.OK, 1)
	try(newest, beside, verdict.OK, 1)
	gone := history.State{Commit: state.Commit, Counter: state.Counter, RolledBack: []repo.Commit{repo.Commit(strings.Repeat("1", 40)), c[3]}}
	try(gone, c[3], verdict.HistoryRolledBack, 0) // where the newest was collected as garbage
	try(state, c[2], verdict.OK, 0)
	try(state, c[1], verdict.HistoryRewound, 0)
	onTop := try(state, mend, verdict.OK, 1) // what was rolled back is known
	try(onTop, c[4], verdict.HistoryRewound, 0)
	elsewhere := try(state, beside, verdict.OK, 1)
	try(elsewhere, c[4], verdict.HistoryDiverged, 0)
	try(elsewhere, mend, verdict.HistoryDiverged, 0)

	if _, err := v.Rollback(t.Context(), r, state, back1(t, key, accepted(c[4]), c[2]), now); err == nil {
		t.Error("a record counted twice")
	}
	again, err := v.Rollback(t.Context(), r, state, back1(t, key, state, c[1]), now)
	if err != nil || len(again.State.RolledBack) != 3 {
		t.Fatalf("further back: %+v, %v", again, err)
	}
	try(again.State, c[2], verdict.HistoryRolledBack, 0)
	forward, err := v.Rollback(t.Context(), r, again.State, back1(t, key, again.State, c[3]), now)
	if err != nil || !slices.Equal(forward.State.RolledBack, []repo.Commit{c[4]}) {
		t.Fatalf("forward again: %+v, %v", forward, err)
	}
	try(forward.State, c[4], verdict.HistoryRolledBack, 0)
	try(forward.State, mend, verdict.OK, 1)
}

func back1(t *testing.T, key trusttest.Key, last history.State, to repo.Commit) []byte {
	t.Helper()
	return signRecord(t, key, record(last, to))
}
