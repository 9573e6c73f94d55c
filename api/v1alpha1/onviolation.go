package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ViolationAction is something that is done about what runs and no longer
// complies. Whatever is done is undone when the object complies again.
// +kubebuilder:validation:Enum=Report;Isolate;ScaleToZero;RollBack
type ViolationAction string

// The actions, from the mildest.
const (
	// ActionReport says it and does no more. It is always done.
	ActionReport ViolationAction = "Report"
	// ActionIsolate cuts the object's Pods off with a NetworkPolicy.
	ActionIsolate ViolationAction = "Isolate"
	// ActionScaleToZero stops a Deployment, StatefulSet, Job or CronJob.
	ActionScaleToZero ViolationAction = "ScaleToZero"
	// ActionRollBack takes the GitSource that the object belongs to back to its
	// last healthy revision whose images and models still comply.
	ActionRollBack ViolationAction = "RollBack"
)

// ActionApproval says whether a person has to approve an action.
// +kubebuilder:validation:Enum=None;Required
type ActionApproval string

// The approvals.
const (
	ApprovalNone     ActionApproval = "None"
	ApprovalRequired ActionApproval = "Required"
)

// OnViolation is one action, and when it is taken. Every entry that fits a
// violation is carried out, each at its own time.
//
// +kubebuilder:validation:XValidation:rule="self.action != 'Report' || !(has(self.after) || has(self.codes)) && (!has(self.approval) || self.approval == 'None')",message="Report is always done at once: after, approval and codes belong to the other actions"
type OnViolation struct {
	// Action that is taken: Report, Isolate, ScaleToZero or RollBack. Where
	// RollBack is not possible, the object is stopped instead, or isolated when
	// it cannot be stopped.
	Action ViolationAction `json:"action"`

	// After is how long the object has to have been in violation. Default: at once.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,6}([.][0-9]{1,9})?m)?([0-9]{1,6}([.][0-9]{1,9})?s)?([0-9]{1,6}([.][0-9]{1,9})?ms)?$') && self != '' && duration(self) > duration('0s')",message="is not a duration above zero, for example 24h or 90m"
	After *metav1.Duration `json:"after,omitempty"`

	// Approval says whether the action waits until a person has approved it: an
	// owner of a TrustRoot entry with the use Actions, with a signature.
	// +optional
	// +kubebuilder:default=None
	Approval ActionApproval `json:"approval,omitempty"`

	// Codes of the violations that the entry is about, for example
	// subject.revoked; "image.*" stands for all that begin with "image.".
	// Default: all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[a-z][a-z0-9-]*([.][a-z0-9-]+)*([.][*])?$`
	Codes []string `json:"codes,omitempty"`
}
