package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GitStage is a place that commits go through.
//
// +kubebuilder:validation:XValidation:rule="has(self.after) || !has(self.gate)",message="the first stage has no gate: nothing is promoted into it"
type GitStage struct {
	// Name of the stage.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=30
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// After is the stage that a commit has to be in before it is promoted into
	// this one. The first stage has none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=30
	After string `json:"after,omitempty"`

	// Path is the directory of the repository that is rendered for the stage.
	// Default: that of the source.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')",message="path stays within the repository: no leading / and no .."
	Path string `json:"path,omitempty"`

	// Target of the stage. Default: that of the source.
	// +optional
	Target *GitTarget `json:"target,omitempty"`

	// Gate is what has to hold, beside a promotion, the verdicts, and the health
	// of the stage before.
	// +optional
	Gate *GitGate `json:"gate,omitempty"`
}

// GitGate is what has to hold before a commit enters a stage.
type GitGate struct {
	// Approvals is how many different owners have to sign a promotion. Default: 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=8
	Approvals int32 `json:"approvals,omitempty"`

	// NotAuthor takes no promotion from an owner who signed one of the commits.
	// +optional
	NotAuthor bool `json:"notAuthor,omitempty"`

	// Soak is how long the stage before has to be healthy with the commit,
	// without interruption.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,6}([.][0-9]{1,9})?m)?([0-9]{1,6}([.][0-9]{1,9})?s)?([0-9]{1,6}([.][0-9]{1,9})?ms)?$') && self != '' && duration(self) > duration('0s')",message="is not a duration above zero, for example 24h or 90m"
	Soak *metav1.Duration `json:"soak,omitempty"`

	// Metrics that have to be within their bounds, for example an error budget.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Metrics []GitMetric `json:"metrics,omitempty"`

	// Freeze are times in which nothing enters the stage.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Freeze []GitFreeze `json:"freeze,omitempty"`
}

// GitMetric is a query to a server that speaks Prometheus' HTTP API, with the
// bounds of its answer. A query that fails, or that answers with no value or
// with several, is outside of every bound.
//
// +kubebuilder:validation:XValidation:rule="has(self.max) || has(self.min)",message="max or min is needed"
type GitMetric struct {
	// Server, for example http://prometheus.monitoring:9090.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^?#]+$`
	Server string `json:"server"`

	// Query in PromQL. In a canary's analysis ${namespace}, ${name} and
	// ${revision} stand for those of the object and of its new revision.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Query string `json:"query"`

	// Max that the answer may be, a decimal number.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^-?[0-9]+([.][0-9]+)?$`
	Max string `json:"max,omitempty"`

	// Min that the answer has to be, a decimal number.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^-?[0-9]+([.][0-9]+)?$`
	Min string `json:"min,omitempty"`
}

// GitFreeze is a time in which nothing enters a stage.
//
// +kubebuilder:validation:XValidation:rule="timestamp(self.from) < timestamp(self.until)",message="until comes after from"
type GitFreeze struct {
	// From when.
	From metav1.Time `json:"from"`

	// Until when.
	Until metav1.Time `json:"until"`

	// Reason that people are told.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`
}

// GitCanary is how traffic moves to a new revision.
type GitCanary struct {
	// Steps are the parts of the traffic, in percent, that the new revision gets
	// one after the other. Default: 5, 25, 50, 100.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=100
	// +kubebuilder:validation:XValidation:rule="self.exists(s, s == 100) && self.all(s, self.filter(t, t == s).size() == 1)",message="every step comes once, and 100 is among them"
	Steps []int32 `json:"steps,omitempty"`

	// Interval that a step lasts. Default: 5m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,6}([.][0-9]{1,9})?m)?([0-9]{1,6}([.][0-9]{1,9})?s)?([0-9]{1,6}([.][0-9]{1,9})?ms)?$') && self != '' && duration(self) > duration('0s')",message="is not a duration above zero, for example 24h or 90m"
	Interval *metav1.Duration `json:"interval,omitempty"`

	// ReadyWithin is how long the new revision may take to become ready, and a
	// question to stay without an answer, before traffic goes back. Default: 10m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,6}([.][0-9]{1,9})?m)?([0-9]{1,6}([.][0-9]{1,9})?s)?([0-9]{1,6}([.][0-9]{1,9})?ms)?$') && self != '' && duration(self) > duration('0s')",message="is not a duration above zero, for example 24h or 90m"
	ReadyWithin *metav1.Duration `json:"readyWithin,omitempty"`

	// Analysis are the metrics that have to be within their bounds, for each
	// object, for as long as a step lasts.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Analysis []GitMetric `json:"analysis,omitempty"`
}
