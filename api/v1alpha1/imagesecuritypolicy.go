package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ImageSecurityPolicy says which images may run.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=isp,categories=apex
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Enforcement",type=string,JSONPath=`.spec.enforcement`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Summary",type=string,JSONPath=`.status.summary`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Why",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type ImageSecurityPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ImageSecurityPolicySpec `json:"spec"`
	// +optional
	Status PolicyStatus `json:"status,omitempty"`
}

// ImageSecurityPolicyList is a list of ImageSecurityPolicy.
// +kubebuilder:object:root=true
type ImageSecurityPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ImageSecurityPolicy `json:"items"`
}

// ImageSecurityPolicySpec selects images by the labels of the workload that
// runs them and says what must hold for each of them.
type ImageSecurityPolicySpec struct {
	// Enforcement says whether the policy bites: Observe, Warn or Enforce.
	// +kubebuilder:default=Enforce
	// +optional
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// ImageSelector selects by the labels of the workload's pod template. An
	// empty selector selects every image; leaving it out is an error.
	ImageSelector *metav1.LabelSelector `json:"imageSelector"`

	// Platforms that have to be there and have to pass, as os/arch or
	// os/arch/variant. When it is empty, every platform of an index has to pass.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?$`
	Platforms []string `json:"platforms,omitempty"`

	// Rules of the policy. All of them have to hold; each rule may be there once.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Rules []ImageRule `json:"rules"`

	// OnViolation is what is done in a cluster about workloads that run and whose
	// images the policy denies, or that are revoked. Default: it is reported.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	OnViolation []OnViolation `json:"onViolation,omitempty"`
}

// ImageRuleName names a rule of an ImageSecurityPolicy.
// +kubebuilder:validation:Enum=RequireImageSignature;VulnerabilityScanThreshold;AllowOnlyApprovedBaseImages;RequireProvenance;RequireAttestation;RequireSBOM;Expression
type ImageRuleName string

// The rules.
const (
	RequireImageSignature       ImageRuleName = "RequireImageSignature"
	VulnerabilityScanThreshold  ImageRuleName = "VulnerabilityScanThreshold"
	AllowOnlyApprovedBaseImages ImageRuleName = "AllowOnlyApprovedBaseImages"
	RequireProvenance           ImageRuleName = "RequireProvenance"
	RequireAttestation          ImageRuleName = "RequireAttestation"
	RequireSBOM                 ImageRuleName = "RequireSBOM"
	Expression                  ImageRuleName = "Expression"
)

// ImageRule is one rule with its parameters. The parameters of one rule may
// not be given to another.
//
// +kubebuilder:validation:XValidation:rule="self.name == 'RequireImageSignature' ? has(self.parameters.requireSignatureFrom) : !(has(self.parameters.requireSignatureFrom) || has(self.parameters.threshold) || has(self.parameters.signedRepositories) || has(self.parameters.unboundSignatures) || has(self.parameters.requireLog) || has(self.parameters.builtAfter) || has(self.parameters.signatureAnnotations))",message="requireSignatureFrom is needed by RequireImageSignature; it and threshold, signedRepositories, unboundSignatures, requireLog, builtAfter, signatureAnnotations belong to RequireImageSignature alone"
// +kubebuilder:validation:XValidation:rule="self.name == 'VulnerabilityScanThreshold' ? (has(self.parameters.maxSeverity) != has(self.parameters.blockAtOrAbove)) && has(self.parameters.vulnerabilityScanner) : !(has(self.parameters.maxSeverity) || has(self.parameters.blockAtOrAbove) || has(self.parameters.vulnerabilityScanner) || has(self.parameters.maxReportAge) || has(self.parameters.unknownSeverity) || has(self.parameters.ignoreUnfixed))",message="VulnerabilityScanThreshold needs vulnerabilityScanner and either maxSeverity or blockAtOrAbove; they and maxReportAge, unknownSeverity, ignoreUnfixed belong to VulnerabilityScanThreshold alone"
// +kubebuilder:validation:XValidation:rule="self.name == 'AllowOnlyApprovedBaseImages' ? has(self.parameters.allowedBaseImages) : !(has(self.parameters.allowedBaseImages) || has(self.parameters.baseProvenanceFrom))",message="allowedBaseImages is needed by AllowOnlyApprovedBaseImages; it and baseProvenanceFrom belong to it alone"
// +kubebuilder:validation:XValidation:rule="self.name == 'RequireProvenance' ? has(self.parameters.provenanceFrom) && has(self.parameters.builders) : !(has(self.parameters.provenanceFrom) || has(self.parameters.builders) || has(self.parameters.sourceRepositories) || has(self.parameters.entryPoints) || has(self.parameters.buildTypes) || has(self.parameters.maxBuildAge))",message="RequireProvenance needs provenanceFrom and builders; they and sourceRepositories, entryPoints, buildTypes, maxBuildAge belong to RequireProvenance alone"
// +kubebuilder:validation:XValidation:rule="self.name == 'RequireAttestation' ? has(self.parameters.attestations) : !has(self.parameters.attestations)",message="attestations is needed by RequireAttestation and belongs to it alone"
// +kubebuilder:validation:XValidation:rule="self.name == 'RequireSBOM' ? has(self.parameters.sbomFrom) : !(has(self.parameters.sbomFrom) || has(self.parameters.sbomFormats))",message="sbomFrom is needed by RequireSBOM; it and sbomFormats belong to RequireSBOM alone"
// +kubebuilder:validation:XValidation:rule="self.name == 'Expression' ? has(self.parameters.expressions) : !has(self.parameters.expressions)",message="expressions is needed by Expression and belongs to it alone"
type ImageRule struct {
	// Name of the rule.
	Name ImageRuleName `json:"name"`

	// Description for people; it is shown when the rule denies.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`

	// Action when the check fails or cannot be made: Deny, Warn or Audit.
	// +kubebuilder:default=Deny
	// +optional
	Action Action `json:"action,omitempty"`

	// Parameters of the rule.
	Parameters ImageRuleParameters `json:"parameters"`
}

// ImageRuleParameters holds the parameters of all rules; each rule takes its own only.
type ImageRuleParameters struct {
	SignatureParameters     `json:",inline"`
	VulnerabilityParameters `json:",inline"`
	BaseImageParameters     `json:",inline"`
	ProvenanceParameters    `json:",inline"`
	AttestationParameters   `json:",inline"`
	SBOMParameters          `json:",inline"`
	ExpressionParameters    `json:",inline"`
}

// SignatureParameters belong to RequireImageSignature.
type SignatureParameters struct {
	// RequireSignatureFrom names TrustRoot entries. A signature by any of them
	// is enough, unless threshold asks for more.
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

	// SignedRepositories lists further repositories under whose name a
	// signature is accepted: the origins of a mirror. An entry that ends in
	// "/*" stands for all repositories below it.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	SignedRepositories []string `json:"signedRepositories,omitempty"`

	// UnboundSignatures says whether a signature that names no repository
	// counts. Such a signature can be copied to any repository. Default: Deny.
	// +optional
	// +kubebuilder:validation:Enum=Deny;Allow
	UnboundSignatures string `json:"unboundSignatures,omitempty"`

	// RequireLog asks for a verified transparency log entry, for keys too.
	// +optional
	RequireLog bool `json:"requireLog,omitempty"`

	// BuiltAfter refuses images that were built before this time, so that an
	// old, validly signed image cannot be rolled back to.
	// +optional
	BuiltAfter *metav1.Time `json:"builtAfter,omitempty"`

	// SignatureAnnotations have to be in the signed payload, with these values.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	SignatureAnnotations map[string]string `json:"signatureAnnotations,omitempty"`
}

// Severity of a vulnerability.
// +kubebuilder:validation:Enum=Low;Medium;High;Critical
type Severity string

// VulnerabilityParameters belong to VulnerabilityScanThreshold.
type VulnerabilityParameters struct {
	// MaxSeverity is the lowest severity that is blocked: High blocks High and
	// Critical. BlockAtOrAbove is the clearer name of the same parameter.
	// +optional
	MaxSeverity Severity `json:"maxSeverity,omitempty"`

	// BlockAtOrAbove is the lowest severity that is blocked.
	// +optional
	BlockAtOrAbove Severity `json:"blockAtOrAbove,omitempty"`

	// VulnerabilityScanner names the scanner whose report counts: Trivy, Grype,
	// OSV-Scanner, or a scanner entry of a TrustRoot. A report counts when it
	// is signed by a signer of that scanner's entry, or was handed in by the
	// person who asks.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	VulnerabilityScanner string `json:"vulnerabilityScanner,omitempty"`

	// MaxReportAge is how old the report may be, from the end of the scan.
	// Default: 24h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,6}([.][0-9]{1,9})?m)?([0-9]{1,6}([.][0-9]{1,9})?s)?([0-9]{1,6}([.][0-9]{1,9})?ms)?$') && self != '' && duration(self) > duration('0s')",message="is not a duration above zero, for example 24h or 90m"
	MaxReportAge *metav1.Duration `json:"maxReportAge,omitempty"`

	// UnknownSeverity says whether a finding without any severity blocks.
	// Default: Block.
	// +optional
	// +kubebuilder:validation:Enum=Block;Allow
	UnknownSeverity string `json:"unknownSeverity,omitempty"`

	// IgnoreUnfixed leaves out findings for which no fixed version exists.
	// +optional
	IgnoreUnfixed bool `json:"ignoreUnfixed,omitempty"`
}

// BaseImageParameters belong to AllowOnlyApprovedBaseImages.
type BaseImageParameters struct {
	// AllowedBaseImages are patterns "repository:tag". Host and path are
	// exact; in the tag, x stands for one or more numeric components and *
	// for anything. The proof of a base is that the image's first layers are
	// those of a locked base image (see BaseImageLock).
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	AllowedBaseImages []string `json:"allowedBaseImages,omitempty"`

	// BaseProvenanceFrom names the TrustRoot entries whose signed provenance
	// proves a base too, by naming it as a resolved dependency.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	BaseProvenanceFrom []string `json:"baseProvenanceFrom,omitempty"`
}

// ProvenanceParameters belong to RequireProvenance.
type ProvenanceParameters struct {
	// ProvenanceFrom names the TrustRoot entries whose provenance is believed.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	ProvenanceFrom []string `json:"provenanceFrom,omitempty"`

	// Builders are the builder ids that are accepted, exactly as the
	// provenance states them; a trailing "@*" accepts any version.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Builders []string `json:"builders,omitempty"`

	// SourceRepositories are the source repositories that are accepted, as
	// URIs without revision; "git+" and ".git" make no difference.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	SourceRepositories []string `json:"sourceRepositories,omitempty"`

	// EntryPoints are the workflows or build files that are accepted.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	EntryPoints []string `json:"entryPoints,omitempty"`

	// BuildTypes are the build types that are accepted; any when empty.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	BuildTypes []string `json:"buildTypes,omitempty"`

	// MaxBuildAge is how long ago the build may have finished.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,6}([.][0-9]{1,9})?m)?([0-9]{1,6}([.][0-9]{1,9})?s)?([0-9]{1,6}([.][0-9]{1,9})?ms)?$') && self != '' && duration(self) > duration('0s')",message="is not a duration above zero, for example 24h or 90m"
	MaxBuildAge *metav1.Duration `json:"maxBuildAge,omitempty"`
}

// AttestationParameters belong to RequireAttestation.
type AttestationParameters struct {
	// Attestations that the image has to have, all of them.
	// +optional
	// +listType=map
	// +listMapKey=predicateType
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Attestations []RequiredAttestation `json:"attestations,omitempty"`
}

// RequiredAttestation asks for one attestation.
type RequiredAttestation struct {
	// PredicateType is the predicate's type URI.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	PredicateType string `json:"predicateType"`

	// From names the TrustRoot entries whose attestation is believed.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	From []string `json:"from"`

	// Condition is a CEL expression over the variable predicate that has to be true.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Condition string `json:"condition,omitempty"`
}

// SBOMParameters belong to RequireSBOM.
type SBOMParameters struct {
	// SBOMFrom names the TrustRoot entries whose SBOM is believed.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	SBOMFrom []string `json:"sbomFrom,omitempty"`

	// SBOMFormats that are accepted. Default: both.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:Enum=CycloneDX;SPDX
	SBOMFormats []string `json:"sbomFormats,omitempty"`
}

// ExpressionParameters belong to Expression.
type ExpressionParameters struct {
	// Expressions that all have to be true.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Expressions []NamedExpression `json:"expressions,omitempty"`
}

// NamedExpression is a CEL expression over verified facts: image, signatures,
// attestations, reports, provenance, labels, workloadNamespace, repository, digest,
// platform, now.
type NamedExpression struct {
	// Name of the expression, shown in verdicts.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// Expression in CEL; its result has to be a bool.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Expression string `json:"expression"`

	// Message that is shown when the expression is false.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}
