package history_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops/history"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/verdict"
)

const base = "app/a=1 app/b=1 infra/net=1 policies/p=1"

// from builds on a first commit that nobody signed.
type build func(f *forge, first repo.Commit) (head repo.Commit)

// one is a history of one commit.
func one(s spec) build {
	return func(f *forge, first repo.Commit) repo.Commit {
		if s.parents == nil {
			s.parents = []repo.Commit{first}
		}
		return f.commit(s)
	}
}

func approves(c repo.Commit) string { return "Approve\n\nApex-Approves: " + string(c) + "\n" }

const seal = "Seal\n\nApex-Seal: keys were rotated\n"

const (
	changedApp    = "app/a=2 app/b=1 infra/net=1 policies/p=1"
	changedB      = "app/a=1 app/b=2 infra/net=1 policies/p=1"
	changedInfra  = "app/a=1 app/b=1 infra/net=2 policies/p=1"
	changedPolicy = "app/a=1 app/b=1 infra/net=1 policies/p=2"
)

// policyWith is a change of a policy by one and a second commit by another.
func policyWith(by, second, message string) build {
	return func(f *forge, first repo.Commit) repo.Commit {
		c := f.commit(spec{by: by, files: changedPolicy, parents: []repo.Commit{first}})
		if message == "" {
			message = approves(c)
		}
		return f.commit(spec{by: second, files: changedPolicy, parents: []repo.Commit{c}, message: message})
	}
}

// below is an unwanted commit with a good one on top.
func below(by, top, message string) build {
	return func(f *forge, first repo.Commit) repo.Commit {
		c := f.commit(spec{by: by, files: changedApp, parents: []repo.Commit{first}})
		return f.commit(spec{by: top, files: changedApp, parents: []repo.Commit{c}, message: message})
	}
}

// merged is a merge of a line by alice, and another one, by somebody.
func merged(side, merger spec) build {
	return func(f *forge, first repo.Commit) repo.Commit {
		ours := f.commit(spec{by: "alice", files: changedApp, parents: []repo.Commit{first}})
		side.parents = []repo.Commit{first}
		theirs := f.commit(side)
		merger.parents = []repo.Commit{ours, theirs}
		return f.commit(merger)
	}
}

func TestWhoMayBringInACommit(t *testing.T) {
	bothApps := "app/a=2 app/b=2 infra/net=1 policies/p=1"
	for _, c := range []struct {
		name   string
		build  build
		code   verdict.Code
		detail string
	}{
		{"a signer of the source", one(spec{by: "alice", files: changedApp}), verdict.OK, ""},
		{"nobody", one(spec{files: changedApp}), verdict.CommitUnsigned, "no signature"},
		{"somebody unknown", one(spec{by: "mallory", files: changedApp}), verdict.CommitUntrusted, "no signer has"},
		{"a signer of another source", one(spec{by: "erin", files: changedApp}), verdict.CommitUntrusted, "no signer of the source"},
		{"a signer, in another namespace", one(spec{by: "alice", files: changedApp, space: "file"}), verdict.CommitInvalid, "namespace"},
		{"a signer whose key has ended", one(spec{by: "old", files: changedApp}), verdict.CommitKeyValidity, "valid until"},
		{"a signer whose key has ended, with an old date", one(spec{by: "old", files: changedApp, when: 1700000000}), verdict.CommitKeyValidity, "valid until"},
		{"a signer whose key is revoked", one(spec{by: "lost", files: changedApp}), verdict.CommitKeyRevoked, "revoked"},
		{"a sealer who is no signer", one(spec{by: "carol", files: changedApp}), verdict.CommitPath, "app/a"},
		{"a sealer who is no signer, changing nothing", one(spec{by: "carol", files: base}), verdict.OK, ""},

		{"a signer, below another", below("bob", "alice", ""), verdict.OK, ""},
		{"nobody, below a signer", below("", "alice", ""), verdict.CommitUnsigned, ""},
		{"somebody unknown, below a signer", below("mallory", "alice", ""), verdict.CommitUntrusted, ""},

		{"an altered message", one(spec{by: "alice", files: changedApp, raw: replace("Change", "Chance")}), verdict.CommitInvalid, "does not verify"},
		{"an altered date", one(spec{by: "alice", files: changedApp, raw: replace("+0000", "+0100")}), verdict.CommitInvalid, "does not verify"},
		{"a signature that is there twice", one(spec{by: "alice", files: changedApp, raw: twice}), verdict.CommitMalformed, "second gpgsig"},
		{"another's signature in front", one(spec{by: "alice", files: changedApp, raw: func(text string) string {
			return replace("\ngpgsig ", "\ngpgsig -----BEGIN SSH SIGNATURE-----\n x\ngpgsig ")(text)
		}}), verdict.CommitMalformed, "second gpgsig"},
		{"a second tree behind the signature", one(spec{by: "alice", files: changedApp, raw: replace("\n\nChange", "\ntree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nChange")}), verdict.CommitMalformed, "second tree"},
		{"a parent behind the signature", one(spec{by: "alice", files: changedApp, raw: replace("\n\nChange", "\nparent 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nChange")}), verdict.CommitMalformed, "second parent"},
		{"a NUL in the message, signed", one(spec{by: "alice", files: changedApp, message: "Change\x00\n"}), verdict.CommitMalformed, "NUL"},
		{"a folded author, signed", one(spec{by: "alice", files: changedApp, payload: replace("\ncommitter", "\n x\ncommitter")}), verdict.CommitMalformed, "folded"},
		{"a change of header order, signed", one(spec{by: "alice", files: changedApp, payload: replace("author A <", "committer A <")}), verdict.CommitMalformed, "author and committer"},
		{"an unknown header, signed", one(spec{by: "alice", files: changedApp, payload: replace("\n\nChange", "\nchange-id x\n\nChange")}), verdict.OK, ""},
		{"an unknown header, added", one(spec{by: "alice", files: changedApp, raw: replace("\n\nChange", "\nchange-id x\n\nChange")}), verdict.CommitInvalid, "does not verify"},

		{"bob, for infra", one(spec{by: "bob", files: changedInfra}), verdict.OK, ""},
		{"alice, for infra", one(spec{by: "alice", files: changedInfra}), verdict.CommitPath, "infra/net"},
		{"alice, taking infra away", one(spec{by: "alice", files: "app/a=1 app/b=1 policies/p=1"}), verdict.CommitPath, "infra/net"},
		{"alice, with a file in place of infra", one(spec{by: "alice", files: "app/a=1 app/b=1 infra=1 policies/p=1"}), verdict.CommitPath, "infra/net"},
		{"alice, beside infra", one(spec{by: "alice", files: base + " infrastructure/x=1"}), verdict.OK, ""},
		{"alice, for infra, approved by bob", func(f *forge, first repo.Commit) repo.Commit {
			c := f.commit(spec{by: "alice", files: changedInfra, parents: []repo.Commit{first}})
			return f.commit(spec{by: "bob", files: changedInfra, parents: []repo.Commit{c}, message: approves(c)})
		}, verdict.OK, ""},
		{"alice, for infra, approved by herself", func(f *forge, first repo.Commit) repo.Commit {
			c := f.commit(spec{by: "alice", files: changedInfra, parents: []repo.Commit{first}})
			return f.commit(spec{by: "alice", files: changedInfra, parents: []repo.Commit{c}, message: approves(c)})
		}, verdict.CommitPath, "infra/net"},

		{"two owners, for a policy", policyWith("alice", "bob", ""), verdict.OK, ""},
		{"one owner, for a policy", one(spec{by: "alice", files: changedPolicy}), verdict.CommitThreshold, "1 signed"},
		{"one owner with two keys, for a policy", policyWith("alice", "alice-laptop", ""), verdict.CommitThreshold, "alice@example.com"},
		{"one owner twice, for a policy", policyWith("alice", "alice", ""), verdict.CommitThreshold, "1 signed"},
		{"an owner and an approval by a sealer without a seal", policyWith("alice", "carol", ""), verdict.CommitThreshold, "1 signed"},
		{"an owner and an approval by a key that has ended", policyWith("bob", "old", ""), verdict.CommitThreshold, "1 signed"},
		{"an owner and an approval by nobody", policyWith("alice", "", ""), verdict.CommitThreshold, ""},
		{"an owner and an approval of another commit", policyWith("alice", "bob", approves(repo.Commit(strings.Repeat("1", 40)))), verdict.CommitThreshold, "1 signed"},
		{"an owner and an approval by a shortened hash", func(f *forge, first repo.Commit) repo.Commit {
			c := f.commit(spec{by: "alice", files: changedPolicy, parents: []repo.Commit{first}})
			return f.commit(spec{by: "bob", files: changedPolicy, parents: []repo.Commit{c}, message: approves(c[:12])})
		}, verdict.CommitThreshold, "1 signed"},
		{"an owner and a commit of another without approval", policyWith("alice", "bob", "Change\n"), verdict.CommitThreshold, "1 signed"},
		{"an owner and an approval in the text", func(f *forge, first repo.Commit) repo.Commit {
			c := f.commit(spec{by: "alice", files: changedPolicy, parents: []repo.Commit{first}})
			return f.commit(spec{by: "bob", files: changedPolicy, parents: []repo.Commit{c}, message: approves(c) + "\nor rather not\n"})
		}, verdict.CommitThreshold, "1 signed"},

		{"a merge of what signers did", merged(spec{by: "bob", files: changedB}, spec{by: "alice", files: bothApps}), verdict.OK, ""},
		{"a merge by nobody", merged(spec{by: "bob", files: changedB}, spec{files: bothApps}), verdict.CommitUnsigned, ""},
		{"a merge of an unsigned line", merged(spec{files: changedB}, spec{by: "alice", files: bothApps}), verdict.CommitUnsigned, ""},
		{"a merge of an unknown's line", merged(spec{by: "mallory", files: changedB}, spec{by: "alice", files: bothApps}), verdict.CommitUntrusted, ""},
		{"a merge by alice of bob's infra", merged(spec{by: "bob", files: changedInfra}, spec{by: "alice", files: "app/a=2 app/b=1 infra/net=2 policies/p=1"}), verdict.OK, ""},
		{"an evil merge by alice into infra", merged(spec{by: "bob", files: changedB}, spec{by: "alice", files: "app/a=2 app/b=2 infra/net=9 policies/p=1"}), verdict.CommitPath, "infra/net"},
		{"the same by bob", merged(spec{by: "alice", files: changedB}, spec{by: "bob", files: "app/a=2 app/b=2 infra/net=9 policies/p=1"}), verdict.OK, ""},
		{"a merge by alice that drops bob's infra", merged(spec{by: "bob", files: changedInfra}, spec{by: "alice", files: changedApp}), verdict.CommitPath, "infra/net"},

		{"a sealed unsigned commit", below("", "carol", seal), verdict.OK, ""},
		{"a sealed commit by a key that has ended", below("old", "carol", seal), verdict.OK, ""},
		{"a sealed commit by a revoked key", below("lost", "dave", seal), verdict.OK, ""},
		{"a seal by a signer who is no sealer", below("old", "alice", seal), verdict.CommitSeal, "may not"},
		{"a seal by somebody unknown", below("old", "mallory", seal), verdict.CommitKeyValidity, ""},
		{"a seal by nobody", below("old", "", seal), verdict.CommitKeyValidity, ""},
		{"a seal without a reason", below("old", "carol", "Seal\n\nApex-Seal:\n"), verdict.CommitSeal, "no reason"},
		{"a sealer's commit without a seal", below("old", "carol", ""), verdict.CommitKeyValidity, ""},
		{"a seal over infra", func(f *forge, first repo.Commit) repo.Commit {
			c := f.commit(spec{by: "old", files: changedInfra, parents: []repo.Commit{first}})
			return f.commit(spec{by: "carol", files: changedInfra, parents: []repo.Commit{c}, message: seal})
		}, verdict.OK, ""},
		{"a seal that changes something itself", func(f *forge, first repo.Commit) repo.Commit {
			c := f.commit(spec{by: "old", files: changedApp, parents: []repo.Commit{first}})
			return f.commit(spec{by: "carol", files: "app/a=3 app/b=1 infra/net=1 policies/p=1", parents: []repo.Commit{c}, message: seal})
		}, verdict.CommitPath, "app/a"},
		{"a seal does not cover what comes after it", func(f *forge, first repo.Commit) repo.Commit {
			c := f.commit(spec{by: "carol", files: base, parents: []repo.Commit{first}, message: seal})
			return f.commit(spec{by: "old", files: changedApp, parents: []repo.Commit{c}})
		}, verdict.CommitKeyValidity, ""},
		{"a seal does not cover a line beside it", func(f *forge, first repo.Commit) repo.Commit {
			c := f.commit(spec{by: "carol", files: base, parents: []repo.Commit{first}, message: seal})
			side := f.commit(spec{by: "old", files: changedApp, parents: []repo.Commit{first}})
			return f.commit(spec{by: "alice", files: changedApp, parents: []repo.Commit{c, side}})
		}, verdict.CommitKeyValidity, ""},
		{"a seal on both lines of a merge", merged(spec{by: "old", files: changedB}, spec{by: "carol", files: bothApps, message: seal}), verdict.OK, ""},
		{"one seal over a policy by a key that has ended", policyWith("old", "carol", seal), verdict.CommitThreshold, "1 signed"},
		{"two seals over a policy by a key that has ended", func(f *forge, first repo.Commit) repo.Commit {
			c := f.commit(spec{by: "old", files: changedPolicy, parents: []repo.Commit{first}})
			c = f.commit(spec{by: "carol", files: changedPolicy, parents: []repo.Commit{c}, message: seal})
			return f.commit(spec{by: "dave", files: changedPolicy, parents: []repo.Commit{c}, message: seal})
		}, verdict.OK, ""},
		{"a seal twice by one sealer over such a policy", func(f *forge, first repo.Commit) repo.Commit {
			c := f.commit(spec{by: "old", files: changedPolicy, parents: []repo.Commit{first}})
			c = f.commit(spec{by: "carol", files: changedPolicy, parents: []repo.Commit{c}, message: seal})
			return f.commit(spec{by: "carol", files: changedPolicy, parents: []repo.Commit{c}, message: seal})
		}, verdict.CommitThreshold, "1 signed"},
		{"a seal over what can be read in two ways", func(f *forge, first repo.Commit) repo.Commit {
			c := f.commit(spec{by: "alice", files: changedApp, parents: []repo.Commit{first}, message: "x\x00"})
			return f.commit(spec{by: "carol", files: changedApp, parents: []repo.Commit{c}, message: seal})
		}, verdict.CommitMalformed, "NUL"},
		{"a sealed seal by somebody who may not", func(f *forge, first repo.Commit) repo.Commit {
			c := f.commit(spec{by: "alice", files: changedApp, parents: []repo.Commit{first}, message: seal})
			return f.commit(spec{by: "carol", files: changedApp, parents: []repo.Commit{c}, message: seal})
		}, verdict.OK, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newForge(t)
			first := f.commit(spec{files: base})
			head := c.build(f, first)
			got, err := compile(t, rules(first)).Verify(t.Context(), f.repo(), history.State{}, head, now)
			expect(t, got, err, c.code, c.detail)
			if err == nil && (got.State.Commit != head || got.State.Counter != 1 || !got.State.At.Equal(now) || len(got.Commits) == 0) {
				t.Fatalf("got %+v", got)
			}
		})
	}
}

func replace(old, with string) func(string) string {
	return func(text string) string {
		out := strings.Replace(text, old, with, 1)
		if out == text {
			panic("nothing to replace: " + old)
		}
		return out
	}
}

func twice(text string) string {
	at, end := strings.Index(text, "\ngpgsig "), strings.Index(text, "\n\n")
	return text[:end] + text[at:end] + text[end:]
}

func TestEveryCommitIsNamedWithThoseWhoStandForIt(t *testing.T) {
	f := newForge(t)
	first := f.commit(spec{files: base})
	change := f.commit(spec{by: "alice", files: changedPolicy, parents: []repo.Commit{first}})
	ended := f.commit(spec{by: "old", files: changedPolicy + " app/c=1", parents: []repo.Commit{change}})
	head := f.commit(spec{by: "bob", files: changedPolicy + " app/c=1", parents: []repo.Commit{ended}, message: approves(change)})
	sealed := f.commit(spec{by: "carol", files: changedPolicy + " app/c=1", parents: []repo.Commit{head}, message: seal})
	got, err := compile(t, rules(first)).Verify(t.Context(), f.repo(), history.State{}, sealed, now)
	expect(t, got, err, verdict.OK, "")
	type want struct {
		id                          repo.Commit
		signers, approvers, sealers string
		paths                       string
	}
	for i, w := range []want{
		{change, "alice", "bob", "carol", "policies/p"},
		{ended, "", "", "carol", "app/c"},
		{head, "bob", "", "carol", ""},
		{sealed, "carol", "", "", ""},
	} {
		c := got.Commits[i]
		is := want{c.ID, strings.Join(c.Signers, " "), strings.Join(c.Approvers, " "), strings.Join(c.Sealers, " "), strings.Join(c.Paths, " ")}
		if is != w || (w.signers != "") != (c.KeyID != "") {
			t.Errorf("commit %d: got %+v, want %+v", i, is, w)
		}
	}
	if len(got.Commits) != 4 {
		t.Errorf("%d commits", len(got.Commits))
	}
}

func TestARuleIsAboutThePathsThatItMatches(t *testing.T) {
	all := []string{"a", "b.md", "x/a", "x/b.md", "x/y/a", "x/y/b.md", ".github/w"}
	for pattern, want := range map[string]string{
		"a":         "a x/a x/y/a",
		"/a":        "a",
		"*":         strings.Join(all, " "),
		"**":        strings.Join(all, " "),
		"*.md":      "b.md x/b.md x/y/b.md",
		"x/*":       "x/a x/b.md",
		"x/**":      "x/a x/b.md x/y/a x/y/b.md",
		"**/y/*":    "x/y/a x/y/b.md",
		"x/**/a":    "x/a x/y/a",
		"/*":        "a b.md",
		"x/y/[a-c]": "x/y/a",
		"x/?":       "x/a",
		".github/*": ".github/w",
		"X/**":      "",
	} {
		f := newForge(t)
		first := f.commit(spec{files: "z=1"})
		var touched []string
		for _, path := range all {
			// alice may change everything but what the rule gives to bob.
			head := f.commit(spec{by: "alice", files: "z=1 " + path + "=1", parents: []repo.Commit{first}})
			trust := rules(first)
			trust.Paths = []history.PathRule{{Pattern: pattern, Signers: []string{"bob"}}}
			if _, err := compile(t, trust).Verify(t.Context(), f.repo(), history.State{}, head, now); err != nil {
				touched = append(touched, path)
			}
		}
		if got := strings.Join(touched, " "); got != want {
			t.Errorf("%s: matches %q, want %q", pattern, got, want)
		}
	}
}

func TestEveryRuleThatMatchesHasToBeSatisfied(t *testing.T) {
	f := newForge(t)
	first := f.commit(spec{files: base})
	trust := rules(first)
	trust.Paths = []history.PathRule{{Pattern: "app/**", Signers: []string{"alice", "bob"}}, {Pattern: "app/a", Signers: []string{"bob"}}}
	v := compile(t, trust)
	for _, c := range []struct {
		by, files string
		code      verdict.Code
	}{{"alice", changedB, verdict.OK}, {"alice", changedApp, verdict.CommitPath}, {"bob", changedApp, verdict.OK}} {
		head := f.commit(spec{by: c.by, files: c.files, parents: []repo.Commit{first}})
		got, err := v.Verify(t.Context(), f.repo(), history.State{}, head, now)
		expect(t, got, err, c.code, "")
	}
}

func TestTrustThatCannotBe(t *testing.T) {
	first := repo.Commit(strings.Repeat("1", 40))
	if _, err := history.Compile("s", rules(first), team(t), nil); err != nil {
		t.Fatal(err)
	}
	rule := func(p history.PathRule) history.Trust {
		r := rules(first)
		r.Paths = []history.PathRule{p}
		return r
	}
	bob := []string{"bob"}
	for _, c := range []struct {
		why   string
		trust history.Trust
	}{
		{"firstCommit", rules("abc")},
		{`"nobody"`, func() history.Trust {
			r := rules(first)
			r.Signers = append(slices.Clone(r.Signers), "nobody")
			return r
		}()},
		{"sealers", func() history.Trust { r := rules(first); r.Sealers = []string{"nobody"}; return r }()},
		{"signers", func() history.Trust { r := rules(first); r.Signers = nil; return r }()},
		{"2 different owners", rule(history.PathRule{Pattern: "a", Signers: []string{"alice", "alice-laptop"}, Threshold: 2})},
		{"-1 different owners", rule(history.PathRule{Pattern: "a", Signers: bob, Threshold: -1})},
		{"is empty", rule(history.PathRule{Signers: bob})},
		{"names a directory", rule(history.PathRule{Pattern: "a/", Signers: bob})},
		{"cannot exclude", rule(history.PathRule{Pattern: "!a", Signers: bob})},
		{"whole directories", rule(history.PathRule{Pattern: "a**/b", Signers: bob})},
		{`".."`, rule(history.PathRule{Pattern: "a/../b", Signers: bob})},
		{`""`, rule(history.PathRule{Pattern: "a//b", Signers: bob})},
		{"not a pattern", rule(history.PathRule{Pattern: "a/[", Signers: bob})},
		{"more than three", rule(history.PathRule{Pattern: "**/a/**/a/**/a/**", Signers: bob})},
	} {
		if _, err := history.Compile("s", c.trust, team(t), nil); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: got %v", c.why, err)
		}
	}
	if _, err := history.Compile("", rules(first), team(t), nil); err == nil {
		t.Error("a source without a name")
	}
}
