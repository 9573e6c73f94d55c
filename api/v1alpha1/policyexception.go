package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PolicyException is a person's time-boxed exception from one rule for one
// digest, signed by an approver who is not its author.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=pex,categories=apex
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Policy",type=string,JSONPath=`.spec.policy`
// +kubebuilder:printcolumn:name="Rule",type=string,JSONPath=`.spec.rule`
// +kubebuilder:printcolumn:name="Expires",type=date,JSONPath=`.spec.expiresAt`
// +kubebuilder:printcolumn:name="BreakGlass",type=boolean,JSONPath=`.spec.breakGlass`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Digest",type=string,priority=1,JSONPath=`.spec.digest`
// +kubebuilder:printcolumn:name="Why",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type PolicyException struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec PolicyExceptionSpec `json:"spec"`
	// +optional
	Status PolicyStatus `json:"status,omitempty"`
}

// PolicyExceptionList is a list of PolicyException.
// +kubebuilder:object:root=true
type PolicyExceptionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PolicyException `json:"items"`
}

// PolicyExceptionSpec says what is excepted, why, until when, and who says so.
type PolicyExceptionSpec struct {
	// Digest of the image. A tag cannot be excepted.
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	Digest string `json:"digest"`

	// Repository narrows the exception to one repository.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Repository string `json:"repository,omitempty"`

	// Policy is the name of the policy.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Policy string `json:"policy"`

	// Rule is the name of the rule.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Rule string `json:"rule"`

	// Reason for people and auditors.
	// +kubebuilder:validation:MinLength=10
	// +kubebuilder:validation:MaxLength=2048
	Reason string `json:"reason"`

	// Author is who asks for the exception.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Author string `json:"author"`

	// ExpiresAt is when the exception ends.
	ExpiresAt metav1.Time `json:"expiresAt"`

	// BreakGlass marks an emergency: the exception alarms whenever it is used.
	// +optional
	BreakGlass bool `json:"breakGlass,omitempty"`

	// Signature of the approver: an owner of a TrustRoot entry with the use
	// Exceptions who is not the author. Without it the exception has no effect.
	// +optional
	Signature *DocumentSignature `json:"signature,omitempty"`
}
