package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Revocation stops a digest, a key or an identity everywhere.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=revoke,categories=apex
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Digest",type=string,JSONPath=`.spec.digest`
// +kubebuilder:printcolumn:name="Key",type=string,JSONPath=`.spec.keyID`
// +kubebuilder:printcolumn:name="Identity",type=string,JSONPath=`.spec.identity.subject`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.spec.reason`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Why",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type Revocation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec RevocationSpec `json:"spec"`
	// +optional
	Status PolicyStatus `json:"status,omitempty"`
}

// RevocationList is a list of Revocation.
// +kubebuilder:object:root=true
type RevocationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Revocation `json:"items"`
}

// RevocationSpec names exactly one thing that must stop.
//
// +kubebuilder:validation:XValidation:rule="[has(self.digest), has(self.keyID), has(self.identity)].filter(x, x).size() == 1",message="exactly one of digest, keyID and identity is needed"
type RevocationSpec struct {
	// Digest of an image, manifest or model.
	// +optional
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	Digest string `json:"digest,omitempty"`

	// KeyID is "sha256:" and the hash of the public key's DER.
	// +optional
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	KeyID string `json:"keyID,omitempty"`

	// Identity of a keyless signer, a person or a workload.
	// +optional
	Identity *RevokedIdentity `json:"identity,omitempty"`

	// Reason for people and auditors.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Reason string `json:"reason"`

	// Since is when a key or identity stopped being trustworthy: what it
	// provably signed before still counts. Left out: nothing of it counts.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// Signature of an owner of a TrustRoot entry with the use Revocations. A
	// revocation that is not signed stops its target all the same, and is
	// reported: stopping too much is the safe side.
	// +optional
	Signature *DocumentSignature `json:"signature,omitempty"`
}

// RevokedIdentity is a keyless signer, a person, or a workload.
type RevokedIdentity struct {
	// Issuer is the OIDC issuer's URL, or a workload's trust domain as spiffe://DOMAIN.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Issuer string `json:"issuer"`

	// Subject is the subject alternative name, the subject of tokens, or the SPIFFE
	// ID; "*" is everybody of the issuer.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Subject string `json:"subject"`
}
