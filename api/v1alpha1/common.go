package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LabelCriticality is the label by which a workload says how critical it is;
// policies select on it like on any other label.
const LabelCriticality = "security.apexlogic.com/criticality"

// Enforcement says whether a policy bites.
// +kubebuilder:validation:Enum=Observe;Warn;Enforce
type Enforcement string

// The enforcements, from the mildest.
const (
	// Observe records what would have happened.
	Observe Enforcement = "Observe"
	// Warn turns every deny of the policy into a warning.
	Warn Enforcement = "Warn"
	// Enforce lets every rule act as it says.
	Enforce Enforcement = "Enforce"
)

// Action says what happens when a rule's check fails or cannot be made.
// +kubebuilder:validation:Enum=Deny;Warn;Audit
type Action string

// PolicyStatus says whether a policy is in force.
type PolicyStatus struct {
	// Ready is false while the policy names something that nothing defines.
	// A policy that is not ready denies all that it selects.
	// +optional
	Ready bool `json:"ready,omitempty"`

	// Summary says in words what the policy does, for example
	// "blocks High and above".
	// +optional
	Summary string `json:"summary,omitempty"`

	// Generation is the hash of the generation in force.
	// +optional
	Generation string `json:"generation,omitempty"`

	// Conditions follow the Kubernetes conventions; the type Ready is always there.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// DocumentSignature is a DSSE envelope over the canonical JSON of the spec
// that holds it, without this field.
type DocumentSignature struct {
	// Envelope is the DSSE envelope as JSON, base64-encoded.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=65536
	Envelope string `json:"envelope"`
}
