package v1alpha1

// IdentitySource is a place that identities come from.
//
// +kubebuilder:validation:XValidation:rule="has(self.spiffe) != has(self.oidc)",message="one of spiffe and oidc is needed"
type IdentitySource struct {
	// SPIFFE recognises the certificates and tokens of a trust domain.
	// +optional
	SPIFFE *SPIFFEIdentities `json:"spiffe,omitempty"`

	// OIDC recognises the tokens of an OpenID Connect issuer.
	// +optional
	OIDC *OIDCIdentities `json:"oidc,omitempty"`
}

// SPIFFEIdentities are workloads of a trust domain.
type SPIFFEIdentities struct {
	// TrustDomain, for example example.org.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[a-z0-9._-]+$`
	TrustDomain string `json:"trustDomain"`

	// Audience that a JWT-SVID has to be for. Default: no JWT-SVID is taken.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Audience string `json:"audience,omitempty"`
}

// OIDCIdentities are whom an OpenID Connect issuer vouches for.
type OIDCIdentities struct {
	// Issuer, to the letter as it is in its tokens.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^https://[^?#]+$`
	Issuer string `json:"issuer"`

	// Audience that a token has to be for.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Audience string `json:"audience"`

	// GroupsClaim holds the groups of the identity. Default: groups.
	// +optional
	// +kubebuilder:default=groups
	// +kubebuilder:validation:MaxLength=63
	GroupsClaim string `json:"groupsClaim,omitempty"`

	// Claims that policies may ask for.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	Claims []string `json:"claims,omitempty"`
}

// AccessGrant lets identities do things with models.
//
// +kubebuilder:validation:XValidation:rule="!('*' in self.identities) || size(self.identities) == 1",message="* stands alone: it is everybody whom the route recognises"
type AccessGrant struct {
	// Identities that it is for: SPIFFE IDs, where a last segment * stands for everything below;
	// ISSUER#SUBJECT; group:NAME; anonymous; or * for whoever the route recognises.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=2048
	Identities []string `json:"identities"`

	// Actions that are allowed.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:Enum=infer;embed;generate;transcribe;speak;moderate;list;produce
	Actions []string `json:"actions"`

	// Models that they are allowed with. Default: all of the route.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=256
	Models []string `json:"models,omitempty"`
}
