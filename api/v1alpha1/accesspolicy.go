package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AccessPolicy says in Cedar who may do what with which model, on which
// content. Nothing is allowed that no policy permits; a forbid wins; an error
// in a policy denies.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=apex,shortName=accp
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Enforcement",type=string,JSONPath=`.spec.enforcement`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Why",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type AccessPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec AccessPolicySpec `json:"spec"`
	// +optional
	Status PolicyStatus `json:"status,omitempty"`
}

// AccessPolicyList is a list of AccessPolicy.
// +kubebuilder:object:root=true
type AccessPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AccessPolicy `json:"items"`
}

// AccessPolicySpec holds policies and what they may speak about.
type AccessPolicySpec struct {
	// Description for people.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`

	// Enforcement: Enforce counts; Observe records what would be decided
	// otherwise if the policies counted. Default: Enforce.
	// +optional
	// +kubebuilder:default=Enforce
	// +kubebuilder:validation:Enum=Observe;Enforce
	Enforcement string `json:"enforcement,omitempty"`

	// Routes are the names of the ProtectedRoutes that the policies are about.
	// Default: all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=253
	Routes []string `json:"routes,omitempty"`

	// Cedar holds the policies, in the Cedar language. Each one may be named by
	// an annotation @id("name").
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=262144
	Cedar string `json:"cedar"`

	// Claims are the attributes of principals, beside those that each one has,
	// that the policies may ask for; they come from the claims of identities.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Claims []AccessClaim `json:"claims,omitempty"`

	// Tests are questions with the answers that the policies have to give. A set
	// whose tests fail does not come into force.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=512
	Tests []AccessTest `json:"tests,omitempty"`
}

// AccessClaim is an attribute of principals.
type AccessClaim struct {
	// Name of the claim, for example team.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_]*$`
	Name string `json:"name"`

	// Type of the claim. An identity whose claim has another type has none.
	// +kubebuilder:validation:Enum=String;Long;Bool;Strings
	Type string `json:"type"`
}

// AccessTest is a question and its answer.
type AccessTest struct {
	// Name of the test.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name"`

	// Principal that asks: a SPIFFE ID, ISSUER#SUBJECT, or anonymous.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Principal string `json:"principal"`

	// Groups that the principal is in.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	Groups []string `json:"groups,omitempty"`

	// Claims of the principal, as JSON.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Claims string `json:"claims,omitempty"`

	// Action that is asked for, for example infer.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Action string `json:"action"`

	// Route of the model.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Route string `json:"route,omitempty"`

	// Model that is asked for.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Model string `json:"model"`

	// Properties of the model, as JSON: its digest, its verdict, its labels.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Properties string `json:"properties,omitempty"`

	// Context of the request, as JSON. What is left out has its zero value, and
	// the time none: a policy that needs it denies.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Context string `json:"context,omitempty"`

	// Expect is the answer.
	// +kubebuilder:validation:Enum=Allow;Deny
	Expect string `json:"expect"`

	// Policies that have to be among those that decided, each by its whole name
	// or, in the same document, by its id. Default: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	Policies []string `json:"policies,omitempty"`
}
