package history_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/gitops/history"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/verdict"
)

// line is a history of commits by alice, each on top of the one before; it
// begins with the first trusted commit.
func line(f *forge, n int) []repo.Commit {
	out := []repo.Commit{f.commit(spec{files: base})}
	for i := range n {
		out = append(out, f.commit(spec{by: "alice", files: base + " app/n=" + strings.Repeat("x", i+1), parents: out[i:]}))
	}
	return out
}

func accepted(c repo.Commit) history.State { return history.State{Commit: c, Counter: 3, At: now} }

func TestAHeadOnlyMovesForward(t *testing.T) {
	f := newForge(t)
	c := line(f, 3)
	sideways := f.commit(spec{by: "alice", files: base + " app/z=1", parents: c[1:2]})
	remade := f.commit(spec{by: "alice", files: base})
	merge := f.commit(spec{by: "alice", files: base + " app/n=xxx app/z=1", parents: []repo.Commit{c[3], sideways}})
	foreign := f.commit(spec{by: "alice", files: "app/q=1"})
	joined := f.commit(spec{by: "alice", files: base + " app/n=xxx app/q=1", parents: []repo.Commit{c[3], foreign}})
	smuggled := f.commit(spec{by: "alice", files: base + " app/n=xxx", parents: []repo.Commit{c[3], remade}})
	nowhere := repo.Commit(strings.Repeat("1", 40))
	v, r := compile(t, rules(c[0])), f.repo()
	for _, w := range []struct {
		name    string
		last    history.State
		head    repo.Commit
		code    verdict.Code
		detail  string
		commits int
	}{
		{"from nothing to the first trusted commit", history.State{}, c[0], verdict.OK, "", 0},
		{"from nothing to the newest", history.State{}, c[3], verdict.OK, "", 3},
		{"nothing new", accepted(c[2]), c[2], verdict.OK, "", 0},
		{"one step", accepted(c[2]), c[3], verdict.OK, "", 1},
		{"two steps", accepted(c[1]), c[3], verdict.OK, "", 2},
		{"a merge that holds what was accepted", accepted(c[3]), merge, verdict.OK, "", 2},
		{"a merge of the other line's newest", accepted(sideways), merge, verdict.OK, "", 3},
		{"a merge of a history that has nothing in common, signed", accepted(c[3]), joined, verdict.OK, "", 2},
		{"a merge of one that brings what its signer may not change", accepted(c[3]), smuggled, verdict.CommitPath, "infra/net", 0},

		{"set back by one signed commit", accepted(c[3]), c[2], verdict.HistoryRewound, "older than", 0},
		{"set back to the first", accepted(c[3]), c[0], verdict.HistoryRewound, "older than", 0},
		{"another signed line", accepted(c[3]), sideways, verdict.HistoryDiverged, string(c[1]), 0},
		{"a branch that was made anew, signed", accepted(c[3]), remade, verdict.HistoryUnrelated, "nothing in common", 0},
		{"such a branch as the first thing", history.State{}, remade, verdict.HistoryUnrelated, "first trusted", 0},
		{"a repository that lacks what was accepted", accepted(nowhere), c[3], verdict.HistoryDiverged, "not in the repository any more", 0},
		{"a head that is not there", accepted(c[3]), nowhere, verdict.HistoryIncomplete, "the head is missing", 0},
	} {
		t.Run(w.name, func(t *testing.T) {
			got, err := v.Verify(t.Context(), r, w.last, w.head, now)
			expect(t, got, err, w.code, w.detail)
			if err != nil {
				return
			}
			counter := w.last.Counter
			if w.last.Commit != w.head {
				counter++
			}
			if got.State.Commit != w.head || got.State.Counter != counter || len(got.Commits) != w.commits {
				t.Fatalf("got %+v", got)
			}
		})
	}
	t.Run("a first trusted commit that is not there", func(t *testing.T) {
		got, err := compile(t, rules(nowhere)).Verify(t.Context(), r, history.State{}, c[3], now)
		expect(t, got, err, verdict.HistoryUnrelated, "not in the repository")
	})
	t.Run("a first trusted commit beside the accepted one", func(t *testing.T) {
		got, err := compile(t, rules(sideways)).Verify(t.Context(), r, accepted(c[2]), c[3], now)
		expect(t, got, err, verdict.HistoryUnrelated, "does not descend")
	})
	t.Run("a first trusted commit that was moved on", func(t *testing.T) {
		got, err := compile(t, rules(c[2])).Verify(t.Context(), r, accepted(c[1]), c[3], now)
		expect(t, got, err, verdict.OK, "")
		if len(got.Commits) != 1 || got.Commits[0].ID != c[3] {
			t.Fatalf("got %+v", got.Commits)
		}
	})
}

func TestObjectsThatAreMissingOrForgedAreNamed(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(f *forge, middle repo.Commit)
		code   verdict.Code
		detail string
	}{
		{"nothing", func(*forge, repo.Commit) {}, verdict.OK, ""},
		{"a commit whose bytes were replaced", func(f *forge, c repo.Commit) {
			other := f.commit(spec{by: "alice", files: base})
			r, err := f.repo().RawCommit(other)
			if err != nil {
				t.Fatal(err)
			}
			f.put(string(c), append([]byte("commit 1\x00"), r.Payload...))
		}, verdict.HistoryUnreadable, "states"},
		{"a commit in the place of another", func(f *forge, c repo.Commit) {
			text := "tree " + f.tree(map[string]string{"a": "1"}) + "\nauthor A <a@example.com> 1 +0000\ncommitter A <a@example.com> 1 +0000\n\nx\n"
			f.put(string(c), append([]byte("commit "+itoa(len(text))+"\x00"), text...))
		}, verdict.HistoryUnreadable, "has the hash"},
		{"a shallow file", func(f *forge, c repo.Commit) { f.write("shallow", string(c)+"\n") }, verdict.HistoryIncomplete, "shallow"},
		{"a graft file", func(f *forge, c repo.Commit) { f.write("info/grafts", string(c)+"\n") }, verdict.HistoryReplaced, "info/grafts"},
		{"a replace reference", func(f *forge, c repo.Commit) { f.write("refs/replace/"+string(c), string(c)+"\n") }, verdict.HistoryReplaced, "refs/replace"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newForge(t)
			commits := line(f, 3)
			c.spoil(f, commits[2])
			got, err := compile(t, rules(commits[0])).Verify(t.Context(), f.repo(), history.State{}, commits[3], now)
			expect(t, got, err, c.code, c.detail)
		})
	}
	t.Run("a parent that is not there", func(t *testing.T) {
		f := newForge(t)
		c := line(f, 1)
		gone := repo.Commit(strings.Repeat("1", 40))
		head := f.commit(spec{by: "alice", files: base, parents: []repo.Commit{c[1], gone}})
		got, err := compile(t, rules(c[0])).Verify(t.Context(), f.repo(), history.State{}, head, now)
		expect(t, got, err, verdict.HistoryIncomplete, "1111")
	})
	t.Run("a tree with a name that leads out of it", func(t *testing.T) {
		f := newForge(t)
		c := line(f, 1)
		head := f.commit(spec{by: "alice", files: base + " ../x=1", parents: c[1:]})
		got, err := compile(t, rules(c[0])).Verify(t.Context(), f.repo(), history.State{}, head, now)
		expect(t, got, err, verdict.CommitMalformed, "leads out")
	})
}

func itoa(n int) string {
	var digits []byte
	for ; n > 0; n /= 10 {
		digits = append([]byte{byte('0' + n%10)}, digits...)
	}
	return string(digits)
}

// Whoever makes commits writes their dates: they neither hide a commit from
// being verified nor have one verified that was trusted before.
func TestDatesNeitherHideNorAddCommits(t *testing.T) {
	f := newForge(t)
	root := f.commit(spec{files: base, when: 2000})
	lies := f.commit(spec{files: base, parents: []repo.Commit{root}, when: 1})
	first := f.commit(spec{files: base, parents: []repo.Commit{lies}, when: 3000})
	side := f.commit(spec{by: "alice", files: changedApp, parents: []repo.Commit{root}, when: 1000})
	head := f.commit(spec{by: "alice", files: changedApp, parents: []repo.Commit{first, side}, when: 4000})
	v := compile(t, rules(first))
	got, err := v.Verify(t.Context(), f.repo(), history.State{}, head, now)
	expect(t, got, err, verdict.OK, "")
	for _, when := range []int64{1, 999, 5000, 1 << 33} {
		unsigned := f.commit(spec{files: changedApp, parents: []repo.Commit{root}, when: when})
		head := f.commit(spec{by: "alice", files: changedApp, parents: []repo.Commit{first, unsigned}, when: 4000})
		got, err := v.Verify(t.Context(), f.repo(), history.State{}, head, now)
		expect(t, got, err, verdict.CommitUnsigned, "")
		if refusal := new(history.Refusal); !errors.As(err, &refusal) || refusal.Commit != unsigned {
			t.Errorf("dated %d: blamed %s, want %s", when, refusal.Commit, unsigned)
		}
	}
}

func TestAnOldHeadIsWarnedAbout(t *testing.T) {
	f := newForge(t)
	first := f.commit(spec{files: base})
	fresh := f.commit(spec{by: "alice", files: changedApp, parents: []repo.Commit{first}, when: now.Add(-time.Hour).Unix()})
	future := f.commit(spec{by: "alice", files: changedApp, parents: []repo.Commit{first}, when: now.Add(2 * time.Hour).Unix()})
	for _, c := range []struct {
		name   string
		head   repo.Commit
		maxAge time.Duration
		want   string
	}{
		{"young enough", fresh, 2 * time.Hour, ""},
		{"too old", fresh, 30 * time.Minute, "more than 30m"},
		{"no limit", fresh, 0, ""},
		{"from the future", future, time.Hour, "ahead of now"},
	} {
		trust := rules(first)
		trust.MaxAge = c.maxAge
		v := compile(t, trust)
		for _, last := range []history.State{{}, accepted(c.head)} {
			got, err := v.Verify(t.Context(), f.repo(), last, c.head, now)
			expect(t, got, err, verdict.OK, "")
			if (c.want == "") != (len(got.Warnings) == 0) || len(got.Warnings) > 0 && (got.Warnings[0].Code != verdict.HistoryStale || !strings.Contains(got.Warnings[0].Why, c.want)) {
				t.Errorf("%s: got %+v", c.name, got.Warnings)
			}
		}
	}
}

func TestAHeadThatStaysTheNewestIsWarnedAboutWhateverItsDate(t *testing.T) {
	f := newForge(t)
	first := f.commit(spec{files: base})
	// It is dated into the future, within the allowance for clocks.
	head := f.commit(spec{by: "alice", files: changedApp, parents: []repo.Commit{first}, when: now.Add(50 * time.Minute).Unix()})
	trust := rules(first)
	trust.MaxAge = 24 * time.Hour
	v := compile(t, trust)
	seen, err := v.Verify(t.Context(), f.repo(), history.State{}, head, now)
	expect(t, seen, err, verdict.OK, "")
	for after, stale := range map[time.Duration]bool{0: false, 23 * time.Hour: false, 24*time.Hour + time.Minute: true} {
		got, err := v.Verify(t.Context(), f.repo(), seen.State, head, now.Add(after))
		expect(t, got, err, verdict.OK, "")
		if (len(got.Warnings) == 1) != stale || stale && (got.Warnings[0].Code != verdict.HistoryStale || !strings.Contains(got.Warnings[0].Why, "newest one here since")) {
			t.Errorf("after %s: got %+v", after, got.Warnings)
		}
		if got.State.At != seen.State.At {
			t.Errorf("after %s the time at which it was accepted is %s", after, got.State.At)
		}
	}
	// A newer head ends it.
	newer := f.commit(spec{by: "alice", files: base + " app/n=2", parents: []repo.Commit{head}, when: now.Add(25 * time.Hour).Unix()})
	got, err := v.Verify(t.Context(), f.repo(), seen.State, newer, now.Add(25*time.Hour))
	expect(t, got, err, verdict.OK, "")
	if len(got.Warnings) > 0 {
		t.Errorf("got %+v", got.Warnings)
	}
}

func TestAnInterruptedLookIsNoAnswer(t *testing.T) {
	f := newForge(t)
	c := line(f, 2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := compile(t, rules(c[0])).Verify(ctx, f.repo(), history.State{}, c[2], now)
	var refusal *history.Refusal
	if got != nil || !errors.Is(err, context.Canceled) || errors.As(err, &refusal) {
		t.Fatalf("got %+v, %v", got, err)
	}
}
