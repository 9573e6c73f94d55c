package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ModelSecurityPolicy says which models may be served.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=msp,categories=apex
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Enforcement",type=string,JSONPath=`.spec.enforcement`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Summary",type=string,JSONPath=`.status.summary`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Why",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type ModelSecurityPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ModelSecurityPolicySpec `json:"spec"`
	// +optional
	Status PolicyStatus `json:"status,omitempty"`
}

// ModelSecurityPolicyList is a list of ModelSecurityPolicy.
// +kubebuilder:object:root=true
type ModelSecurityPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ModelSecurityPolicy `json:"items"`
}

// ModelSecurityPolicySpec selects models by the labels of the workload that
// serves them and says what must hold for each of them.
type ModelSecurityPolicySpec struct {
	// Enforcement says whether the policy bites: Observe, Warn or Enforce.
	// +kubebuilder:default=Enforce
	// +optional
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// ModelSelector selects by the labels of the workload's pod template, or of
	// the object that names the model. An empty selector selects every model;
	// leaving it out is an error.
	ModelSelector *metav1.LabelSelector `json:"modelSelector"`

	// Rules of the policy. All of them have to hold; each rule may be there once.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Rules []ModelRule `json:"rules"`

	// OnViolation is what is done in a cluster about workloads that run and whose
	// models the policy denies, or that are revoked. Default: it is reported.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	OnViolation []OnViolation `json:"onViolation,omitempty"`
}

// ModelRuleName names a rule of a ModelSecurityPolicy.
// +kubebuilder:validation:Enum=RequireModelSignature;ModelScanThreshold;AllowOnlyFormats;DenyRemoteCode;RequireModelProvenance;AllowedLicenses;RequireDatasetManifest;Expression
type ModelRuleName string

// The rules.
const (
	RequireModelSignature  ModelRuleName = "RequireModelSignature"
	ModelScanThreshold     ModelRuleName = "ModelScanThreshold"
	AllowOnlyFormats       ModelRuleName = "AllowOnlyFormats"
	DenyRemoteCode         ModelRuleName = "DenyRemoteCode"
	RequireModelProvenance ModelRuleName = "RequireModelProvenance"
	AllowedLicenses        ModelRuleName = "AllowedLicenses"
	RequireDatasetManifest ModelRuleName = "RequireDatasetManifest"
	ModelExpression        ModelRuleName = "Expression"
)

// ModelRule is one rule with its parameters. The parameters of one rule may
// not be given to another, except scanFrom, which three rules take.
//
// +kubebuilder:validation:XValidation:rule="self.name == 'RequireModelSignature' ? has(self.parameters.requireSignatureFrom) : !(has(self.parameters.requireSignatureFrom) || has(self.parameters.threshold))",message="requireSignatureFrom is needed by RequireModelSignature; it and threshold belong to RequireModelSignature alone"
// +kubebuilder:validation:XValidation:rule="self.name in ['ModelScanThreshold', 'AllowOnlyFormats', 'DenyRemoteCode'] ? has(self.parameters.scanFrom) : !(has(self.parameters.scanFrom) || has(self.parameters.maxScanAge))",message="scanFrom is needed by ModelScanThreshold, AllowOnlyFormats and DenyRemoteCode; it and maxScanAge belong to them alone"
// +kubebuilder:validation:XValidation:rule="self.name == 'ModelScanThreshold' ? true : !(has(self.parameters.blockAtOrAbove) || has(self.parameters.unknownFiles) || has(self.parameters.minListVersion))",message="blockAtOrAbove, unknownFiles and minListVersion belong to ModelScanThreshold alone"
// +kubebuilder:validation:XValidation:rule="self.name == 'AllowOnlyFormats' ? has(self.parameters.allowedFormats) : !has(self.parameters.allowedFormats)",message="allowedFormats is needed by AllowOnlyFormats and belongs to it alone"
// +kubebuilder:validation:XValidation:rule="self.name == 'RequireModelProvenance' ? has(self.parameters.provenanceFrom) && has(self.parameters.builders) : !(has(self.parameters.provenanceFrom) || has(self.parameters.builders) || has(self.parameters.sourceRepositories) || has(self.parameters.entryPoints) || has(self.parameters.buildTypes) || has(self.parameters.maxBuildAge) || has(self.parameters.baseModels))",message="RequireModelProvenance needs provenanceFrom and builders; they and sourceRepositories, entryPoints, buildTypes, maxBuildAge, baseModels belong to RequireModelProvenance alone"
// +kubebuilder:validation:XValidation:rule="self.name == 'AllowedLicenses' ? has(self.parameters.allowedLicenses) : !(has(self.parameters.allowedLicenses) || has(self.parameters.unknownLicense))",message="allowedLicenses is needed by AllowedLicenses; it and unknownLicense belong to AllowedLicenses alone"
// +kubebuilder:validation:XValidation:rule="self.name == 'RequireDatasetManifest' ? has(self.parameters.datasetFrom) : !(has(self.parameters.datasetFrom) || has(self.parameters.datasets))",message="datasetFrom is needed by RequireDatasetManifest; it and datasets belong to RequireDatasetManifest alone"
// +kubebuilder:validation:XValidation:rule="self.name == 'Expression' ? has(self.parameters.expressions) : !has(self.parameters.expressions)",message="expressions is needed by Expression and belongs to it alone"
type ModelRule struct {
	// Name of the rule.
	Name ModelRuleName `json:"name"`

	// Description for people; it is shown when the rule denies.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`

	// Action when the check fails or cannot be made: Deny, Warn or Audit.
	// +kubebuilder:default=Deny
	// +optional
	Action Action `json:"action,omitempty"`

	// Parameters of the rule.
	Parameters ModelRuleParameters `json:"parameters"`
}

// ModelRuleParameters holds the parameters of all rules; each rule takes its own only.
type ModelRuleParameters struct {
	ModelSignatureParameters `json:",inline"`
	ModelScanParameters      `json:",inline"`
	ProvenanceParameters     `json:",inline"`
	BaseModelParameters      `json:",inline"`
	LicenseParameters        `json:",inline"`
	DatasetParameters        `json:",inline"`
	ExpressionParameters     `json:",inline"`
}

// ModelSignatureParameters belong to RequireModelSignature.
type ModelSignatureParameters struct {
	// RequireSignatureFrom names TrustRoot entries for Models. What counts is an
	// OpenSSF Model Signing bundle over exactly the files of the model, or a
	// signature over the artifact's digest. One of the entries is enough, unless
	// threshold asks for more.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	RequireSignatureFrom []string `json:"requireSignatureFrom,omitempty"`

	// Threshold is how many different entries have to have signed. Two entries
	// that hold the same key count once.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	Threshold int32 `json:"threshold,omitempty"`
}

// ScanVerdict is what a scan says of a model.
// +kubebuilder:validation:Enum=Unscannable;Suspicious;Malicious
type ScanVerdict string

// ModelScanParameters belong to ModelScanThreshold, AllowOnlyFormats and DenyRemoteCode.
type ModelScanParameters struct {
	// ScanFrom names the TrustRoot entries whose signed scan is believed.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	ScanFrom []string `json:"scanFrom,omitempty"`

	// MaxScanAge is how old the scan may be. Default: 720h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,6}([.][0-9]{1,9})?m)?([0-9]{1,6}([.][0-9]{1,9})?s)?([0-9]{1,6}([.][0-9]{1,9})?ms)?$') && self != '' && duration(self) > duration('0s')",message="is not a duration above zero, for example 24h or 90m"
	MaxScanAge *metav1.Duration `json:"maxScanAge,omitempty"`

	// BlockAtOrAbove is the least that is blocked: Unscannable (the default)
	// blocks unscannable, suspicious and malicious models.
	// +optional
	BlockAtOrAbove ScanVerdict `json:"blockAtOrAbove,omitempty"`

	// UnknownFiles says whether files of no format that the scanner knows
	// block. Default: Allow, because models come with files that no loader reads.
	// +optional
	// +kubebuilder:validation:Enum=Block;Allow
	UnknownFiles string `json:"unknownFiles,omitempty"`

	// MinListVersion is the oldest version of the scanner's lists that counts,
	// as scans state it: versions are compared as text.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	MinListVersion string `json:"minListVersion,omitempty"`

	// AllowedFormats are the formats that the model's files may have, as scans
	// name them by content, for example safetensors, gguf, json, text.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	AllowedFormats []string `json:"allowedFormats,omitempty"`
}

// BaseModelParameters belong to RequireModelProvenance.
type BaseModelParameters struct {
	// BaseModels are what the model may have been made from: the digests of the
	// resolved dependencies of its provenance that are models have to be among
	// them. Any when empty.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:Pattern=`^sha256:[0-9a-f]{64}$`
	BaseModels []string `json:"baseModels,omitempty"`
}

// LicenseParameters belong to AllowedLicenses.
type LicenseParameters struct {
	// AllowedLicenses are SPDX license identifiers, without regard to case. The
	// licence is the one that the artifact's configuration states, which its
	// digest covers; of several, all have to be allowed.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	AllowedLicenses []string `json:"allowedLicenses,omitempty"`

	// UnknownLicense says whether a model that states no licence blocks.
	// Default: Block.
	// +optional
	// +kubebuilder:validation:Enum=Block;Allow
	UnknownLicense string `json:"unknownLicense,omitempty"`
}

// DatasetParameters belong to RequireDatasetManifest.
type DatasetParameters struct {
	// DatasetFrom names the TrustRoot entries whose signed dataset manifest is
	// believed.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	DatasetFrom []string `json:"datasetFrom,omitempty"`

	// Datasets are the root digests of the datasets that the model may have
	// been trained on. Any dataset with a signed manifest when empty.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:Pattern=`^sha256:[0-9a-f]{64}$`
	Datasets []string `json:"datasets,omitempty"`
}
