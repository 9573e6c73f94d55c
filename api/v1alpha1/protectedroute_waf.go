package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RouteWAF says how the OWASP Core Rule Set looks at requests. What steers a
// program (line, headers, query, keys, names, tools' arguments) can be blocked;
// what a model reads is scored only.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.mode) && self.mode == 'Disabled' && (!has(self.answers) || self.answers == 'Disabled')) || !has(self.paranoia) && !has(self.threshold) && !has(self.answerThreshold) && (!has(self.exclusions) || size(self.exclusions) == 0)",message="mode: Disabled looks at nothing, so paranoia, threshold, answerThreshold and exclusions do nothing: leave them out, or use mode: Detect"
// +kubebuilder:validation:XValidation:rule="!(has(self.mode) && self.mode == 'Disabled' && has(self.answers) && self.answers != 'Disabled') || !has(self.threshold) && (!has(self.exclusions) || self.exclusions.all(e, e.rule >= 950000))",message="mode: Disabled looks at no request, so threshold and exclusions of rules below 950000 do nothing: leave them out, or use mode: Detect; for answers there is answerThreshold"
// +kubebuilder:validation:XValidation:rule="!(has(self.answers) && self.answers == 'Disabled' && (!has(self.mode) || self.mode != 'Disabled')) || !has(self.answerThreshold) && (!has(self.exclusions) || self.exclusions.all(e, e.rule < 950000))",message="answers: Disabled looks at no answer, so answerThreshold and exclusions of rules from 950000 do nothing: leave them out, or use answers: Detect"
type RouteWAF struct {
	// Mode: Block denies, Detect records, Disabled does not look. Default: Block.
	// +optional
	// +kubebuilder:default=Block
	// +kubebuilder:validation:Enum=Block;Detect;Disabled
	Mode string `json:"mode,omitempty"`

	// Paranoia level of the rules. Default: 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4
	Paranoia int32 `json:"paranoia,omitempty"`

	// Threshold is the score from which a request is blocked. Default: 5, one
	// critical rule.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Threshold int32 `json:"threshold,omitempty"`

	// Answers: what comes of answers that look like a leak of the server behind: its
	// errors, source text, web shells. Block withholds them, Detect records, Disabled
	// does not look. What a model writes is scored only, and streams are not looked
	// at by rules. Default: as mode.
	// +optional
	// +kubebuilder:validation:Enum=Block;Detect;Disabled
	Answers string `json:"answers,omitempty"`

	// AnswerThreshold is the score from which an answer is withheld. Default: 4, one
	// rule about a leak.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	AnswerThreshold int32 `json:"answerThreshold,omitempty"`

	// Exclusions take rules back where they are wrong, for a time.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	Exclusions []WAFExclusion `json:"exclusions,omitempty"`
}

// WAFExclusion takes a rule back, at a place, until a day.
type WAFExclusion struct {
	// Rule of the Core Rule Set, for example 942100.
	// +kubebuilder:validation:Minimum=900000
	// +kubebuilder:validation:Maximum=999999
	Rule int32 `json:"rule"`

	// Where it is taken back, as the Core Rule Set names places, for example
	// ARGS:query. Default: everywhere.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[A-Z_]+(:[A-Za-z0-9_./\[\]*-]+)?$`
	Where string `json:"where,omitempty"`

	// Until is when the rule counts again.
	Until metav1.Time `json:"until"`

	// Reason for people and auditors.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason"`
}
