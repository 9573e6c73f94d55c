package v1alpha1

// Price is what a million tokens of a model cost, as decimal numbers in whatever
// money limits.cost is in.
type Price struct {
	// Input tokens: what requests send.
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,6}([.][0-9]{1,6})?$`
	Input string `json:"input"`

	// Output tokens: what answers hold.
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,6}([.][0-9]{1,6})?$`
	Output string `json:"output"`
}

// RouteModel is a model behind a route.
//
// +kubebuilder:validation:XValidation:rule="!has(self.repository) || has(self.digest)",message="a verdict is about a digest: name the model's digest beside its repository"
type RouteModel struct {
	// Name by which requests ask for it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name"`

	// Digest of the model's artifact. A revocation of it stops the model's
	// requests and streams.
	// +optional
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	Digest string `json:"digest,omitempty"`

	// Price of the model's tokens, by which limits.cost counts.
	// +optional
	Price *Price `json:"price,omitempty"`

	// Classification of what is sent to the model, at least.
	// +optional
	Classification Classification `json:"classification,omitempty"`

	// Repository that the model's artifact lies in. The ModelSecurityPolicies
	// that select the labels of this route judge the artifact, and access
	// policies see the verdict: allow, warn, deny, or unknown as long as nothing
	// was decided. It needs the digest.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[a-zA-Z0-9][a-zA-Z0-9._:/-]*$`
	Repository string `json:"repository,omitempty"`
}

// Classification says how much content has to be protected, from the least to the
// strictest class.
// +kubebuilder:validation:Enum=Public;Internal;Confidential;Restricted
type Classification string
