package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FunctionSecurityPolicy says how serverless functions may be declared: what
// they may do, who may call them, and what stands in their templates.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=fsp,categories=apex
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Enforcement",type=string,JSONPath=`.spec.enforcement`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Summary",type=string,JSONPath=`.status.summary`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Why",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type FunctionSecurityPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec FunctionSecurityPolicySpec `json:"spec"`
	// +optional
	Status PolicyStatus `json:"status,omitempty"`
}

// FunctionSecurityPolicyList is a list of FunctionSecurityPolicy.
// +kubebuilder:object:root=true
type FunctionSecurityPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []FunctionSecurityPolicy `json:"items"`
}

// FunctionSecurityPolicySpec selects functions by their labels or tags and says
// what must hold for each of them.
type FunctionSecurityPolicySpec struct {
	// Enforcement says whether the policy bites: Observe, Warn or Enforce.
	// +kubebuilder:default=Enforce
	// +optional
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// FunctionSelector selects by the function's labels (Kubernetes, Knative,
	// OpenFaaS) or tags (Terraform, CloudFormation, serverless.yml). An empty
	// selector selects every function, and what its unit declares beside them:
	// roles, resources and bindings that no function uses. Leaving it out is an error.
	FunctionSelector *metav1.LabelSelector `json:"functionSelector"`

	// Rules of the policy. All of them have to hold; each rule may be there once.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Rules []FunctionRule `json:"rules"`
}

// FunctionRuleName names a rule of a FunctionSecurityPolicy.
// +kubebuilder:validation:Enum=LeastPrivilege;DenyPublicExposure;DenySecretsInEnvironment;RestrictEgress;LimitTimeout;DenySharedRoles;RequireEncryption;RequireImmutableReferences;RequireSignedSource;Expression
type FunctionRuleName string

// The rules.
const (
	LeastPrivilege             FunctionRuleName = "LeastPrivilege"
	DenyPublicExposure         FunctionRuleName = "DenyPublicExposure"
	DenySecretsInEnvironment   FunctionRuleName = "DenySecretsInEnvironment"
	RestrictEgress             FunctionRuleName = "RestrictEgress"
	LimitTimeout               FunctionRuleName = "LimitTimeout"
	DenySharedRoles            FunctionRuleName = "DenySharedRoles"
	RequireEncryption          FunctionRuleName = "RequireEncryption"
	RequireImmutableReferences FunctionRuleName = "RequireImmutableReferences"
	RequireSignedSource        FunctionRuleName = "RequireSignedSource"
	FunctionExpression         FunctionRuleName = "Expression"
)

// FunctionRule is one rule with its parameters. The parameters of one rule may
// not be given to another.
//
// +kubebuilder:validation:XValidation:rule="self.name == 'LeastPrivilege' ? true : !has(self.parameters) || !(has(self.parameters.forbiddenClasses) || has(self.parameters.unresolved))",message="forbiddenClasses and unresolved belong to LeastPrivilege alone"
// +kubebuilder:validation:XValidation:rule="self.name == 'DenyPublicExposure' ? true : !has(self.parameters) || !has(self.parameters.behindGateway)",message="behindGateway belongs to DenyPublicExposure alone"
// +kubebuilder:validation:XValidation:rule="self.name == 'LimitTimeout' ? has(self.parameters) && has(self.parameters.maxTimeout) : !has(self.parameters) || !has(self.parameters.maxTimeout)",message="maxTimeout is needed by LimitTimeout and belongs to it alone"
// +kubebuilder:validation:XValidation:rule="self.name == 'RequireSignedSource' ? has(self.parameters) && has(self.parameters.requireSignatureFrom) : !has(self.parameters) || !has(self.parameters.requireSignatureFrom)",message="requireSignatureFrom is needed by RequireSignedSource and belongs to it alone"
// +kubebuilder:validation:XValidation:rule="self.name == 'Expression' ? has(self.parameters) && has(self.parameters.expressions) : !has(self.parameters) || !has(self.parameters.expressions)",message="expressions is needed by Expression and belongs to it alone"
type FunctionRule struct {
	// Name of the rule.
	Name FunctionRuleName `json:"name"`

	// Description for people; it is shown when the rule denies.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`

	// Action when the check fails or cannot be made: Deny, Warn or Audit.
	// +kubebuilder:default=Deny
	// +optional
	Action Action `json:"action,omitempty"`

	// Parameters of the rule; most rules need none.
	// +optional
	Parameters FunctionRuleParameters `json:"parameters,omitempty"`
}

// FunctionClass is a class of findings about what a function may do.
// +kubebuilder:validation:Enum=privilege_escalation;data_exfiltration;credentials_exposure;admin_or_service_star;star_resource;unconstrained_permissions_mgmt;unconstrained_write;public_or_cross_account_trust;public_resource_policy;k8s_rbac_wildcard;k8s_rbac_dangerous;k8s_default_sa_binding
type FunctionClass string

// FunctionRuleParameters holds the parameters of all rules; each rule takes its own only.
type FunctionRuleParameters struct {
	// ForbiddenClasses are what LeastPrivilege denies. Default: all of them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	ForbiddenClasses []FunctionClass `json:"forbiddenClasses,omitempty"`

	// Unresolved says whether rights that depend on something outside of the
	// files block. Default: Block.
	// +optional
	// +kubebuilder:validation:Enum=Block;Allow
	Unresolved string `json:"unresolved,omitempty"`

	// BehindGateway says whether a function may be reached without an identity
	// by way of the Apex gateway, which asks for one. Default: Allow.
	// +optional
	// +kubebuilder:validation:Enum=Block;Allow
	BehindGateway string `json:"behindGateway,omitempty"`

	// MaxTimeout is how long one call may last at most. A function that sets
	// none is denied.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,6}([.][0-9]{1,9})?m)?([0-9]{1,6}([.][0-9]{1,9})?s)?([0-9]{1,6}([.][0-9]{1,9})?ms)?$') && self != '' && duration(self) > duration('0s')",message="is not a duration above zero, for example 24h or 90m"
	MaxTimeout *metav1.Duration `json:"maxTimeout,omitempty"`

	// RequireSignatureFrom names TrustRoot entries for Sources. Every file that
	// declares the function has to be signed by one of them (apex sign FILE).
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	RequireSignatureFrom []string `json:"requireSignatureFrom,omitempty"`

	ExpressionParameters `json:",inline"`
}
