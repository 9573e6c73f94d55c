package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RouteCapture says which requests are kept for replay, for whom and how long.
//
// +kubebuilder:validation:XValidation:rule="!has(self.expireAfter) || duration(self.expireAfter) >= duration('1m') && duration(self.expireAfter) <= duration('720h')",message="captures expire after 1m to 720h"
// +kubebuilder:validation:XValidation:rule="!(has(self.answers) && self.answers && has(self.only) && self.only == 'Denied')",message="what is denied has no answer of the server, so answers: true keeps none with only: Denied: leave one of them out"
// +kubebuilder:validation:XValidation:rule="!has(self.maxBytes) || !has(self.keepBytes) || self.maxBytes <= self.keepBytes",message="maxBytes is more than keepBytes, and what is longer than all that is kept is not kept: make keepBytes larger"
type RouteCapture struct {
	// Sample is the share of requests that is kept, as 1% or 0.05%. Chance picks
	// them; callers have no say in it.
	// +kubebuilder:validation:MaxLength=8
	// +kubebuilder:validation:Pattern=`^(100|[0-9]{1,2}([.][0-9]{1,4})?)%$`
	// +kubebuilder:validation:XValidation:rule="self.matches('[1-9]')",message="a sample of nothing keeps nothing: leave capture out"
	Sample string `json:"sample"`

	// SealTo are the public keys, as PEM, whose owners can open what is kept;
	// apex capture keygen makes them. The gateway cannot open it.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=4096
	// +kubebuilder:validation:items:Pattern=`^\s*[-]{5}BEGIN APEX SEAL PUBLIC KEY[-]{5}`
	SealTo []string `json:"sealTo"`

	// ExpireAfter is when a capture is deleted, and opens no more: a minute to 30
	// days. Default: 24h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,6}([.][0-9]{1,9})?m)?([0-9]{1,6}([.][0-9]{1,9})?s)?([0-9]{1,6}([.][0-9]{1,9})?ms)?$') && self != '' && duration(self) > duration('0s')",message="is not a duration above zero, for example 24h or 90m"
	ExpireAfter *metav1.Duration `json:"expireAfter,omitempty"`

	// MaxBytes of a request's body. Of a longer one nothing is kept, and of a longer
	// answer its beginning. Default: 4Mi.
	// +optional
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=67108864
	MaxBytes int64 `json:"maxBytes,omitempty"`

	// KeepBytes of all captures of the route, of which there are at most 10,000; the
	// oldest make room for new ones. Default: 256Mi.
	// +optional
	// +kubebuilder:validation:Minimum=1048576
	// +kubebuilder:validation:Maximum=1099511627776
	KeepBytes int64 `json:"keepBytes,omitempty"`

	// Answers are kept as well, as callers got them. Default: requests only.
	// +optional
	Answers bool `json:"answers,omitempty"`

	// Only keeps the requests that were Allowed, or those that were Denied once they
	// were there. Default: both.
	// +optional
	// +kubebuilder:validation:Enum=Allowed;Denied
	Only string `json:"only,omitempty"`
}
