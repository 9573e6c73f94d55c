package controller

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/verify"
)

// DocumentApproval is the kind of signed document that an approval is, see
// [trust.SignDocument].
const DocumentApproval = "ActionApproval"

// ApprovalPrefix begins the annotations of a namespace that hold approvals; what
// follows is the id of the violation and the action.
const ApprovalPrefix = "approval.apexlogic.com/"

// The limits of approvals.
const (
	maxApprovalBytes = 16 << 10  // a document of a kilobyte, with several signatures
	maxApprovalSkew  = time.Hour // between the clocks of who signs and who verifies
	// MaxApprovalLife is how long an approval may wait for its action: a longer
	// one would be a standing permission.
	MaxApprovalLife = 7 * 24 * time.Hour
	maxReason       = 1024
)

// Approval is a person's, that one action is taken about one violation. It counts
// for that violation alone: when the object comes to comply and violates again,
// another one is needed.
type Approval struct {
	// Violation is its id, as the event ApprovalNeeded names it.
	Violation string                   `json:"violation"`
	Namespace string                   `json:"namespace"`
	Action    v1alpha1.ViolationAction `json:"action"`
	Reason    string                   `json:"reason"`
	// Approver is the TrustRoot entry whose key signs; its uses hold Actions.
	Approver string    `json:"approver"`
	At       time.Time `json:"at"`
	Expires  time.Time `json:"expires"`
}

func isViolation(id string) bool {
	_, err := hex.DecodeString(id)
	return err == nil && len(id) == 16
}

func (a *Approval) check() error {
	switch {
	case !isViolation(a.Violation):
		return errors.New("a violation's id has 16 hexadecimal digits: the event ApprovalNeeded names it")
	case a.Namespace == "" || a.Approver == "" || a.At.IsZero() || a.Expires.IsZero():
		return errors.New("namespace, approver, at and expires are needed")
	case !slices.Contains([]v1alpha1.ViolationAction{v1alpha1.ActionIsolate, v1alpha1.ActionScaleToZero, v1alpha1.ActionRollBack}, a.Action):
		return fmt.Errorf("the action %.40q is none of Isolate, ScaleToZero and RollBack", a.Action)
	case a.Reason == "" || len(a.Reason) > maxReason:
		return fmt.Errorf("a reason is needed, of at most %d bytes", maxReason)
	case !a.Expires.After(a.At) || a.Expires.Sub(a.At) > MaxApprovalLife:
		return fmt.Errorf("it has to expire after it is made, at most %s later", MaxApprovalLife)
	}
	return nil
}

// Sign returns the annotation that holds the approval.
func (a Approval) Sign(signer crypto.Signer) (key, value string, err error) {
	if err := a.check(); err != nil {
		return "", "", fmt.Errorf("sign approval: %w", err)
	}
	doc, err := json.Marshal(a)
	if err != nil {
		return "", "", fmt.Errorf("sign approval: %w", err)
	}
	envelope, err := trust.SignDocument(signer, DocumentApproval, doc)
	if err != nil {
		return "", "", fmt.Errorf("sign approval: %w", err)
	}
	return a.annotation(), base64.StdEncoding.EncodeToString(envelope), nil
}

func (a *Approval) annotation() string { return ApprovalPrefix + a.Violation + "." + string(a.Action) }

// Approve signs the approval and puts it where the controller looks: into the
// namespace, which the client's user has to be allowed to patch.
func Approve(ctx context.Context, c *kube.Client, a Approval, signer crypto.Signer) error {
	key, value, err := a.Sign(signer)
	if err != nil {
		return err
	}
	// Each annotation has a manager of its own: of one manager, what is applied
	// last is all that there is.
	_, err = c.Apply(ctx, map[string]any{
		"apiVersion": "v1", "kind": "Namespace",
		"metadata": map[string]any{"name": a.Namespace, "annotations": map[string]any{key: value}},
	}, kube.ApplyOptions{Manager: "apex-approval-" + a.Violation + "-" + strings.ToLower(string(a.Action))})
	return err
}

// approvers verifies approvals under one generation's trust.
type approvers struct {
	root  *trust.Root
	named map[string]bool // the entries that may approve
}

func approversOf(set *config.Set) (*approvers, error) {
	var roots []v1alpha1.TrustRoot
	a := &approvers{named: map[string]bool{}}
	for _, r := range set.TrustRoots {
		roots = append(roots, *r.Value)
		for i := range r.Value.Spec.Entries {
			if e := &r.Value.Spec.Entries[i]; slices.Contains(e.Uses, v1alpha1.UseActions) {
				a.named[e.Name] = true
			}
		}
	}
	var options trust.Options
	for _, r := range set.Revocations {
		switch spec := &r.Value.Spec; {
		case spec.KeyID != "":
			options.Revoked = append(options.Revoked, trust.Revoked{KeyID: spec.KeyID})
		case spec.Identity != nil:
			options.Revoked = append(options.Revoked, trust.Revoked{Issuer: spec.Identity.Issuer, Subject: spec.Identity.Subject})
		}
	}
	var err error
	a.root, err = verify.CompileRoot(roots, v1alpha1.UseActions, options)
	return a, err
}

// approved says whether the namespace's annotations hold an approval of the action
// that counts now. Without an error there is none.
func (a *approvers) approved(namespace string, annotations map[string]string, violation string, action v1alpha1.ViolationAction, now time.Time) (bool, error) {
	want := Approval{Violation: violation, Namespace: namespace, Action: action}
	value, there := annotations[want.annotation()]
	if !there {
		return false, nil
	}
	one, err := a.one(value, now)
	switch {
	case err != nil:
		return false, err
	case one.Namespace != namespace || one.Violation != violation || one.Action != action:
		return false, errors.New("it is for something else than the annotation says")
	}
	return true, nil
}

func (a *approvers) one(value string, now time.Time) (*Approval, error) {
	if len(value) > maxApprovalBytes {
		return nil, fmt.Errorf("it has %d bytes, it may have %d", len(value), maxApprovalBytes)
	}
	envelope, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return nil, errors.New("it is not base64")
	}
	doc, signers, err := a.root.VerifyDocument(envelope, DocumentApproval, now)
	if err != nil {
		return nil, err
	}
	fields := json.NewDecoder(bytes.NewReader(doc)) // its keys were compared with each other already
	fields.DisallowUnknownFields()
	one := &Approval{}
	if err := fields.Decode(one); err != nil {
		return nil, err
	}
	if err := one.check(); err != nil {
		return nil, err
	}
	by := false
	for i := range signers {
		by = by || signers[i].Valid() && slices.Contains(signers[i].TrustedBy, one.Approver)
	}
	switch {
	case !by || !a.named[one.Approver]:
		return nil, fmt.Errorf("it is not signed by its approver %.80q with a key for the use Actions", one.Approver)
	case one.At.After(now.Add(maxApprovalSkew)):
		return nil, errors.New("it is from the future")
	case !now.Before(one.Expires):
		return nil, fmt.Errorf("it expired at %s", one.Expires.UTC().Format(time.RFC3339))
	}
	return one, nil
}
