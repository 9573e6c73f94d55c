package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BaseImageLock records what approved base images consisted of when they were
// looked at. It is written by "apex base update" and reviewed like code.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=bil,categories=apex
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="First",type=string,JSONPath=`.spec.images[0].image`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Summary",type=string,JSONPath=`.status.summary`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Why",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type BaseImageLock struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec BaseImageLockSpec `json:"spec"`
	// +optional
	Status PolicyStatus `json:"status,omitzero"`
}

// BaseImageLockList is a list of BaseImageLock.
// +kubebuilder:object:root=true
type BaseImageLockList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BaseImageLock `json:"items"`
}

// BaseImageLockSpec lists locked base images. An older entry of the same image
// is kept as long as images built on it may run.
type BaseImageLockSpec struct {
	// Images that are locked.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=1024
	Images []LockedBaseImage `json:"images"`
}

// LockedBaseImage is one base image as it was at one time.
type LockedBaseImage struct {
	// Image as "repository:tag".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image"`

	// Digest that the tag named.
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	Digest string `json:"digest"`

	// ResolvedAt is when the tag was looked at.
	ResolvedAt metav1.Time `json:"resolvedAt"`

	// Platforms of the image.
	// +listType=map
	// +listMapKey=platform
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Platforms []LockedPlatform `json:"platforms"`
}

// LockedPlatform is one platform of a locked base image.
type LockedPlatform struct {
	// Platform as os/arch or os/arch/variant.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?$`
	Platform string `json:"platform"`

	// Digest of the platform's manifest.
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	Digest string `json:"digest"`

	// DiffIDs of the layers, lowest first.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:Pattern=`^sha256:[0-9a-f]{64}$`
	DiffIDs []string `json:"diffIDs"`
}
