// Package history decides which commit of a repository may be followed.
//
// Start with [Compile], which turns what a source trusts into a [Verifier], and
// with [Verifier.Verify], which takes the state that was accepted last and a new
// head. It answers with the state to remember and every commit that it verified,
// or with a [Refusal] that names the commit, what is wrong and how to mend it.
// [Verifier.Rollback] is the only way back.
//
// # What is verified
//
// Every commit that the head descends from and the accepted one does not, on
// every parent path of every merge: that it is signed by somebody whom the
// source trusts, and that those who signed may change the paths that it changes.
// A merge is held to what it changes itself, which includes a parent's change
// that it drops (see [repo.Graph.Changes]). The commit Trust.First and what it
// descends from are taken as they are.
//
// # Who may change what
//
// Each path has to satisfy every entry of Trust.Paths whose pattern matches; a
// path that none matches may be changed by Trust.Signers. An entry is satisfied
// when as many different owners as its threshold have signed: the commit itself,
// or an approval, which is another signed commit within the same history whose
// message has the trailer
//
//	Apex-Approves: <the 40 hex digits of the commit>
//
// and which may be empty (git commit --allow-empty -S --trailer …). An approval
// is for one commit, by its hash, so it covers exactly that tree and that past.
// Owners count, not keys: two signatures that any owner could have made both of
// count as one.
//
// # Seals
//
// A commit by one of Trust.Sealers whose message has the trailer
//
//	Apex-Seal: <reason>
//
// vouches for everything that it descends from and that is not accepted yet, as
// if its signer had signed that too, for every path: commits by keys that ended,
// were lost or revoked are accepted below it. A seal counts as the signature of
// one owner and no more, so where a threshold asks for two, a stolen sealer's key
// is not enough. It says nothing about what the sealing commit changes itself.
//
// # Time
//
// The dates in commits order nothing and open no key's window. A commit is
// judged at the time that is handed in with it, when Apex looks at it; what was
// accepted then stays accepted, since it is not verified again, and what was
// refused is judged anew. A key that ended in between needs a seal.
//
// # What is new
//
// The accepted state only moves to its descendants. A branch that was set back,
// written anew or replaced is refused whatever signs it, and so is a commit that
// was rolled back, until something is committed on top of it.
//
// Sources: gitformat-signature(5); the source integrity policies of Argo CD for
// the idea of seals; in-toto and TUF for thresholds of different owners.
package history

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// The trailers of commit messages.
const (
	TrailerSeal    = "Apex-Seal"
	TrailerApprove = "Apex-Approves"
)

// Limits on one look at a history.
const (
	// maxCommits that are looked at: the whole of most repositories, within 30 MB.
	maxCommits = 200_000
	// maxPaths that all new commits together change.
	maxPaths = 1_000_000
	// maxApprovals in one commit.
	maxApprovals = 256
	// maxRolledBack commits that may be gone back from, which a State lists.
	maxRolledBack = 4096
	// clockSkew is how far ahead of ours a committer's clock may be.
	clockSkew = time.Hour
)

// Trust is whom the commits of one source are believed from. Names are those of
// the signers of a [trust.CommitVerifier].
type Trust struct {
	First repo.Commit
	// Signers may change what no entry of Paths matches.
	Signers []string
	Paths   []PathRule
	Sealers []string
	// MaxAge of the head, by its signed date and by when it was accepted; an older
	// one is warned about. Zero: any.
	MaxAge time.Duration
}

// PathRule is who may change some paths.
type PathRule struct {
	// Pattern of paths, as in gitattributes(5): without a slash it matches a name
	// in any directory, otherwise the path from the root; * stays within a
	// directory and ** does not.
	Pattern   string
	Signers   []string
	Threshold int // different owners; 0 stands for 1
}

// State is what is remembered of a source, out of reach of its repository.
type State struct {
	// Commit that is accepted; "" before the first one.
	Commit repo.Commit `json:"commit,omitempty"`
	// First is the trusted commit that Commit is known to descend from.
	First repo.Commit `json:"first,omitempty"`
	// Counter grows with every change of the state.
	Counter uint64 `json:"counter"`
	// At is when Commit was accepted, or gone back to, by our clock.
	At time.Time `json:"at,omitzero"`
	// RolledBack are the commits that were gone back from since a head was
	// accepted. None of them, nor what they descend from, is accepted again as it is.
	RolledBack []repo.Commit `json:"rolledBack,omitempty"`
}

// Accepted is the answer when a head may be followed.
type Accepted struct {
	// State to remember, before anything of the head is applied.
	State State
	// Commits that were verified, parents before their children; none when the
	// head was accepted before.
	Commits  []Commit
	Warnings []Warning
}

// Commit is a commit that was verified.
type Commit struct {
	ID repo.Commit `json:"id"`
	// Signers are the names under which it is signed; none when it is only sealed.
	Signers   []string `json:"signers,omitempty"`
	Approvers []string `json:"approvers,omitempty"`
	Sealers   []string `json:"sealers,omitempty"`
	KeyID     string   `json:"keyID,omitempty"`
	// Paths that it changes itself, sorted.
	Paths []string `json:"paths,omitempty"`
}

// Warning is what a person should look at and nothing is refused for.
type Warning struct {
	Code verdict.Code
	Why  string
}

// Refusal is why a head is not followed.
type Refusal struct {
	Code   verdict.Code
	Commit repo.Commit // that is to blame
	Why    string
}

func (r *Refusal) Error() string { return fmt.Sprintf("commit %s: %s", r.Commit, r.Why) }

// Mend is what a person does about it.
func (r *Refusal) Mend() string { return r.Code.Info().Mend }

func refuse(code verdict.Code, c repo.Commit, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Commit: c, Why: fmt.Sprintf(format, args...)}
}

// Verifier verifies the histories of one source. It is safe for concurrent use.
type Verifier struct {
	source    string
	trust     Trust
	signers   *trust.CommitVerifier
	rollbacks *trust.Root
	rules     []rule // the last one is for what no other matches
	members   map[string]bool
	sealers   map[string]bool
	// proved is a commit that descends from trust.First, for callers that do not
	// remember State.First: it spares them a walk over the whole history.
	proved atomic.Pointer[repo.Commit]
}

// Compile checks a source's trust. Rollbacks says whose rollback records count;
// nil: nobody's. Every error names the field that is wrong.
func Compile(source string, t Trust, signers *trust.CommitVerifier, rollbacks *trust.Root) (*Verifier, error) {
	v := &Verifier{source: source, trust: t, signers: signers, rollbacks: rollbacks, members: map[string]bool{}}
	if source == "" {
		return nil, errors.New("the source has no name")
	}
	if len(t.First) != 40 {
		return nil, errors.New("firstCommit: give the 40 hex digits of the first commit that is trusted")
	}
	for i := range t.Paths {
		p := &t.Paths[i]
		r, err := v.rule(p.Pattern, p.Signers, p.Threshold)
		if err != nil {
			return nil, fmt.Errorf("paths[%d] %q: %w", i, p.Pattern, err)
		}
		if r.pattern, err = compilePattern(p.Pattern); err != nil {
			return nil, fmt.Errorf("paths[%d] %q: %w", i, p.Pattern, err)
		}
		v.rules = append(v.rules, r)
	}
	otherwise, err := v.rule("", t.Signers, 1)
	if err != nil {
		return nil, fmt.Errorf("signers: %w", err)
	}
	v.rules = append(v.rules, otherwise)
	if v.sealers, err = v.names(t.Sealers); err != nil {
		return nil, fmt.Errorf("sealers: %w", err)
	}
	return v, nil
}

// rule is a compiled PathRule.
type rule struct {
	text      string
	pattern   *pattern // nil for what no other rule matches
	signers   map[string]bool
	threshold int
}

func (v *Verifier) rule(text string, signers []string, threshold int) (rule, error) {
	r := rule{text: text, threshold: cmp.Or(threshold, 1)}
	var err error
	if r.signers, err = v.names(signers); err != nil {
		return r, err
	}
	owners := map[string]bool{}
	for _, name := range signers {
		owner, _ := v.signers.Owner(name)
		owners[owner] = true
	}
	if r.threshold < 1 || r.threshold > len(owners) {
		return r, fmt.Errorf("%d different owners are asked for and the signers have %d", r.threshold, len(owners))
	}
	return r, nil
}

// names looks the names up.
func (v *Verifier) names(list []string) (map[string]bool, error) {
	set := map[string]bool{}
	for _, name := range list {
		if _, ok := v.signers.Owner(name); !ok {
			return nil, fmt.Errorf("no TrustRoot entry for commits has the name %q", name)
		}
		set[name], v.members[name] = true, true
	}
	return set, nil
}

func anyIn(names []string, set map[string]bool) bool {
	return slices.ContainsFunc(names, func(n string) bool { return set[n] })
}
