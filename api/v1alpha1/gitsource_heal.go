package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// HealMode says what happens to drift.
// +kubebuilder:validation:Enum=Heal;Warn;Deny
type HealMode string

// The modes.
const (
	ModeHeal HealMode = "Heal" // undo it
	ModeWarn HealMode = "Warn" // report it
	ModeDeny HealMode = "Deny" // undo it, and let admission refuse it to begin with
)

// GitHeal is how drift is treated.
type GitHeal struct {
	// Mode for everything that no entry of except names. Default: Heal.
	// +optional
	// +kubebuilder:default=Heal
	Mode HealMode `json:"mode,omitempty"`

	// Except are objects, or parts of them, that are treated otherwise; the
	// first that matches counts.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Except []HealException `json:"except,omitempty"`

	// Sweep is how long it takes at most to look at every object once, whether
	// or not something was reported. Default: 10m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,6}([.][0-9]{1,9})?m)?([0-9]{1,6}([.][0-9]{1,9})?s)?([0-9]{1,6}([.][0-9]{1,9})?ms)?$') && self != '' && duration(self) > duration('0s')",message="is not a duration above zero, for example 24h or 90m"
	Sweep *metav1.Duration `json:"sweep,omitempty"`
}

// HealException is a part that is treated otherwise.
type HealException struct {
	// Kind of the objects, "Kind" or "Kind.group". Default: all.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Kind string `json:"kind,omitempty"`

	// Namespace of the objects. Default: all.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// Name of the object. Default: all.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// Path is a JSON pointer (RFC 6901) to the field; * stands for one element.
	// Default: the whole object.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^/.*$`
	Path string `json:"path,omitempty"`

	// Mode for what matches.
	Mode HealMode `json:"mode"`
}

// GitPrune bounds deletions. What a commit deletes beyond it needs the trailer
// "Apex-Prune: allow" in the signed commit.
type GitPrune struct {
	// MaxObjects that one commit may delete. Default: 50.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MaxObjects *int32 `json:"maxObjects,omitempty"`

	// MaxPercent of the objects that one commit may delete. Default: 20.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	MaxPercent *int32 `json:"maxPercent,omitempty"`
}

// GitQuota bounds a source.
type GitQuota struct {
	// Objects that a revision may hold. Default: 10000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Objects int32 `json:"objects,omitempty"`

	// Kinds of objects that it may hold, as "Kind" or "Kind.group", beside the
	// clusterKinds of its target. Default: all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[A-Z][A-Za-z0-9]*(\.[a-z0-9.-]+)?$`
	Kinds []string `json:"kinds,omitempty"`
}
