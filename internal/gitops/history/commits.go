package history

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// record is what is found out about one new commit.
type record struct {
	id      repo.Commit
	read    func() (*repo.RawCommit, error)
	parents []repo.Commit
	signing trust.CommitSigning
	// problem is why its own signature does not count; nil when it does.
	problem error
	// broken is why nothing of it counts, whoever vouches.
	broken   error
	seals    []string      // the reasons of its Apex-Seal trailers
	approves []repo.Commit // that its Apex-Approves trailers name
	paths    []string

	approvals, sealed []vote
	falseSeal         bool // by somebody who may not seal
}

// vote is a signature that counts for a commit.
type vote struct {
	signing *trust.CommitSigning
	seal    bool
}

// verifyNew verifies the commits that are new, and lists them.
func (l *look) verifyNew() ([]Commit, error) {
	fresh, err := l.g.Between(l.ctx, l.known(), l.head)
	if err != nil {
		return nil, l.explain(l.head, err)
	}
	records := make([]record, len(fresh))
	for i, c := range fresh {
		records[i].id, records[i].read = c, l.g.Commit(c)
	}
	// Signatures are verified beside the comparison of trees.
	signed := l.readSignatures(records)
	paths := 0
	for i := range records {
		rec := &records[i]
		var err error
		if rec.paths, err = l.g.Changes(l.ctx, rec.id); err != nil {
			signed()
			return nil, l.explain(rec.id, err)
		}
		if paths += len(rec.paths); paths > maxPaths {
			signed()
			return nil, refuse(verdict.HistoryTooLong, rec.id, "the new commits change more than %d paths", maxPaths)
		}
	}
	signed()
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	byID := make(map[repo.Commit]*record, len(records))
	for i := range records {
		byID[records[i].id] = &records[i]
	}
	l.collectSeals(records, byID)
	l.collectApprovals(records, byID)
	for i := range records {
		// Named before what it does not cover: it says more about what is wrong.
		if rec := &records[i]; rec.falseSeal && len(rec.sealed) == 0 {
			if err := l.unlessKnown(rec.id, rec.problem); err != nil {
				return nil, err
			}
		}
	}
	out := make([]Commit, 0, len(records))
	for i := range records {
		rec := &records[i]
		if err := l.judge(rec); err == nil {
			out = append(out, rec.result())
		} else if err := l.unlessKnown(rec.id, err); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// unlessKnown is the refusal of a commit, or nil when it was judged before:
// where dates of commits are wrong, Between lists more than what is new.
func (l *look) unlessKnown(c repo.Commit, refusal error) error {
	for _, k := range l.known() {
		if old, err := l.ancestor(c, k); err != nil {
			return err
		} else if old {
			return nil
		}
	}
	return refusal
}

// readSignatures begins to read and verify the commits, on every processor. The
// returned function waits until that is done.
func (l *look) readSignatures(records []record) (wait func()) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(records)) {
		group.Go(func() {
			for l.ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(records) {
					return
				}
				l.readOne(&records[i])
			}
		})
	}
	return group.Wait
}

func (l *look) readOne(rec *record) {
	c, err := rec.read()
	rec.read = nil
	if err != nil {
		rec.broken = l.explain(rec.id, err)
		return
	}
	rec.parents = c.Parents
	rec.signing, err = l.signers.Verify(c.Payload, c.Signature, l.now)
	if err != nil {
		rec.problem = refuse(trust.Code(err), rec.id, "%v", err)
		return
	}
	if !anyIn(rec.signing.Names, l.members) {
		rec.problem = refuse(verdict.CommitUntrusted, rec.id, "it is signed by %q, who is no signer of the source %s", rec.signing.Names, l.source)
		return
	}
	rec.seals = c.Trailers(TrailerSeal)
	for _, text := range c.Trailers(TrailerApprove) {
		if len(rec.approves) < maxApprovals {
			rec.approves = append(rec.approves, repo.Commit(text))
		}
	}
}

// collectSeals hands each seal down to all new commits that it vouches for.
// Seals of the same owners say the same, so each such group is walked once.
func (l *look) collectSeals(records []record, byID map[repo.Commit]*record) {
	groups := map[string][]*record{}
	var order []string
	for i := range records {
		rec := &records[i]
		if rec.broken != nil || rec.problem != nil || len(rec.seals) == 0 {
			continue
		}
		if !anyIn(rec.signing.Names, l.sealers) || slices.Contains(rec.seals, "") {
			rec.falseSeal = true
			rec.problem = refuse(verdict.CommitSeal, rec.id, "it seals the history, and %q may not, or gives no reason", rec.signing.Names)
			continue
		}
		key := strings.Join(rec.signing.Owners, "\x00")
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], rec)
	}
	for _, key := range order {
		stack := slices.Clone(groups[key])
		given := map[*record]bool{}
		for len(stack) > 0 {
			top := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			for _, p := range top.parents {
				if below := byID[p]; below != nil && !given[below] {
					given[below] = true
					below.sealed = append(below.sealed, vote{&groups[key][0].signing, true})
					stack = append(stack, below)
				}
			}
		}
	}
}

// collectApprovals hands each approval to the commit that it names.
func (l *look) collectApprovals(records []record, byID map[repo.Commit]*record) {
	for i := range records {
		rec := &records[i]
		if rec.broken != nil || rec.problem != nil {
			continue
		}
		for _, c := range rec.approves {
			if approved := byID[c]; approved != nil {
				approved.approvals = append(approved.approvals, vote{signing: &rec.signing})
			}
		}
	}
}

// judge says why a commit does not count, or nil.
func (l *look) judge(rec *record) error {
	if rec.broken != nil {
		return rec.broken
	}
	if rec.problem != nil && len(rec.sealed) == 0 {
		return rec.problem
	}
	votes := slices.Concat(rec.sealed, rec.approvals)
	if rec.problem == nil {
		votes = append(votes, vote{signing: &rec.signing})
	}
	satisfied := map[int]bool{}
	for _, p := range rec.paths {
		for _, i := range l.rulesFor(p) {
			if satisfied[i] {
				continue
			}
			if err := l.rules[i].satisfied(rec, votes, p); err != nil {
				return err
			}
			satisfied[i] = true
		}
	}
	return nil
}

// rulesFor are the indexes of all rules that a path has to satisfy.
func (v *Verifier) rulesFor(path string) []int {
	var matching []int
	otherwise := len(v.rules) - 1
	for i := range otherwise {
		if v.rules[i].pattern.matches(path) {
			matching = append(matching, i)
		}
	}
	if len(matching) == 0 {
		return []int{otherwise}
	}
	return matching
}

// satisfied counts the different owners who may change what the rule is about.
func (r *rule) satisfied(rec *record, votes []vote, path string) error {
	var people [][]string // the owners of each person; those who share one are the same
	for _, v := range votes {
		if v.seal || anyIn(v.signing.Names, r.signers) {
			people = addPerson(people, v.signing.Owners)
		}
	}
	have := len(people)
	if have >= r.threshold {
		return nil
	}
	what := "paths that no rule names"
	if r.pattern != nil {
		what = "the rule " + r.text
	}
	if have == 0 {
		return refuse(verdict.CommitPath, rec.id, "it changes %q, which %s lets others change: signed by %q", path, what, rec.signing.Names)
	}
	return refuse(verdict.CommitThreshold, rec.id, "it changes %q, for which %s asks for %d different owners: %d signed (%s)",
		path, what, r.threshold, have, strings.Join(slices.Concat(people...), ", "))
}

// addPerson adds a signature's owners, joined with all whom they may be.
func addPerson(people [][]string, owners []string) [][]string {
	merged := slices.Clone(owners)
	people = slices.DeleteFunc(people, func(p []string) bool {
		same := slices.ContainsFunc(p, func(o string) bool { return slices.Contains(merged, o) })
		if same {
			merged = append(merged, p...)
		}
		return same
	})
	slices.Sort(merged)
	return append(people, slices.Compact(merged))
}

func (rec *record) result() Commit {
	c := Commit{ID: rec.id, Paths: rec.paths}
	if rec.problem == nil {
		c.Signers, c.KeyID = rec.signing.Names, rec.signing.KeyID
	}
	for _, v := range rec.approvals {
		c.Approvers = append(c.Approvers, v.signing.Names...)
	}
	for _, v := range rec.sealed {
		c.Sealers = append(c.Sealers, v.signing.Names...)
	}
	for _, list := range []*[]string{&c.Approvers, &c.Sealers} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return c
}
