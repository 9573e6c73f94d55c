package release

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// PredicateType of a promotion's in-toto statement. Its subject is the rendered
// set that enters the stage.
const PredicateType = "https://apexlogic.com/promotion/v1"

const (
	maxReason = 1024 // some sentences
	// maxLife of a promotion that waits for its gates. A longer one would be a
	// standing permission.
	maxLife = 30 * 24 * time.Hour
	// maxSkew between the clocks of who signs and who verifies.
	maxSkew   = 5 * time.Minute
	maxCommit = 256
)

// Promotion says that a revision may enter a stage. It counts for one state of
// the stage: the counter that it names.
type Promotion struct {
	Source  string         `json:"source"`
	Stage   string         `json:"stage"`
	From    string         `json:"from"`
	Set     verdict.Digest `json:"set"`
	Commit  string         `json:"commit"`
	Counter uint64         `json:"counter"`
	Reason  string         `json:"reason"`
	// Approver is the TrustRoot entry whose key signs.
	Approver string    `json:"approver"`
	At       time.Time `json:"at"`
	Expires  time.Time `json:"expires"`
}

func (p *Promotion) check() error {
	switch {
	case p.Source == "" || p.Stage == "" || p.From == "" || p.Approver == "" || p.At.IsZero() || p.Expires.IsZero():
		return errors.New("source, stage, from, approver, at and expires are needed")
	case p.Commit == "" || len(p.Commit) > maxCommit:
		return fmt.Errorf("a commit is needed, of at most %d bytes", maxCommit)
	case p.Reason == "" || len(p.Reason) > maxReason:
		return fmt.Errorf("a reason is needed, of at most %d bytes", maxReason)
	case !p.Expires.After(p.At) || p.Expires.Sub(p.At) > maxLife:
		return fmt.Errorf("it has to expire after it is made, at most %s later", maxLife)
	}
	_, err := verdict.ParseDigest(string(p.Set))
	return err
}

// subject names the set within the statement.
func (p *Promotion) subject() string { return p.Source + "/" + p.Stage }

// Sign returns the promotion as a sigstore bundle with an in-toto statement about
// the set. Artifact, when not nil, is where the set was pushed: the statement is
// about that digest too, and can be attached to it.
func (p *Promotion) Sign(signer crypto.Signer, artifact *verdict.Ref) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("sign promotion: %w", err)
	}
	predicate, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("sign promotion: %w", err)
	}
	if artifact != nil {
		return trust.AttestContent(signer, artifact.Repo, artifact.Digest, p.subject(), p.Set, PredicateType, predicate)
	}
	return trust.Attest(signer, p.subject(), p.Set, PredicateType, predicate)
}

// readPromotion reads a predicate whose signature is verified, and whose keys
// were compared with each other already.
func readPromotion(predicate []byte) (*Promotion, error) {
	d := json.NewDecoder(bytes.NewReader(predicate))
	d.DisallowUnknownFields()
	p := &Promotion{}
	if err := d.Decode(p); err != nil {
		return nil, err
	}
	return p, p.check()
}

// verify says what a promotion is worth for the stage in this state, and who
// stands behind it.
func (r *Release) verify(bundle []byte, v apply.Revision, counter uint64) (p *Promotion, owner string, err error) {
	if len(bundle) > maxBundle {
		return nil, "", refuse(verdict.PromotionInvalid, "it has %d bytes, it may have %d", len(bundle), maxBundle)
	}
	now := r.now()
	found := r.c.Trust.VerifyBundle(bundle, v.Set, "promotion", now)
	why := "it is no in-toto statement"
	for i := range found.Attestations {
		a := &found.Attestations[i]
		switch {
		case !a.Valid():
			why = fmt.Sprintf("%s: %s", a.Code, a.Detail)
			continue
		case a.PredicateType != PredicateType:
			why = fmt.Sprintf("it is a statement of the type %.80q", a.PredicateType)
			continue
		}
		if p, err = readPromotion(a.Predicate); err != nil {
			why = err.Error()
			continue
		}
		if !slices.Contains(a.TrustedBy, p.Approver) {
			why = fmt.Sprintf("it names %.80q as its approver and is signed by %s", p.Approver, a.TrustedBy[0])
			continue
		}
		if refused := r.misfit(p, v, counter, now); refused != nil {
			return nil, "", refused
		}
		return p, r.owner(p.Approver), nil
	}
	return nil, "", refuse(verdict.PromotionInvalid, "%s", why)
}

func (r *Release) owner(entry string) string {
	if r.c.Owner != nil {
		if o := r.c.Owner(entry); o != "" {
			return o
		}
	}
	return entry
}

// misfit says what of a signed promotion is not what the stage asks for.
func (r *Release) misfit(p *Promotion, v apply.Revision, counter uint64, now time.Time) *Refusal {
	s := r.c.Stage
	switch {
	case p.Source != r.c.Source || p.Stage != s.Name || p.From != s.After:
		return refuse(verdict.PromotionInvalid, "it promotes %.80s from %.40s to %.40s, this is %s from %s to %s", p.Source, p.From, p.Stage, r.c.Source, s.After, s.Name)
	case p.Commit != v.Commit || p.Set != v.Set:
		return refuse(verdict.PromotionInvalid, "it promotes commit %.12s (%s), this is %.12s (%s)", p.Commit, p.Set.Short(), v.Commit, v.Set.Short())
	case p.Counter != counter:
		return refuse(verdict.PromotionUsed, "it is for the state %d of the stage, this is %d", p.Counter, counter)
	case p.At.After(now.Add(maxSkew)):
		return refuse(verdict.PromotionInvalid, "it is from the future: %s", p.At.UTC().Format(time.RFC3339))
	case !now.Before(p.Expires):
		return refuse(verdict.PromotionExpired, "it expired at %s", p.Expires.UTC().Format(time.RFC3339))
	}
	return nil
}
