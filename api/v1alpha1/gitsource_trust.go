package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GitTrust is whom a repository's commits are believed from. The names are
// those of TrustRoot entries with the use Commits; artifacts are signed by
// entries with a key, a key of a KMS, or a keyless identity.
type GitTrust struct {
	// FirstCommit is the first commit that is trusted: it and what comes before
	// it are taken as they are, everything after it is verified.
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{40}$`
	FirstCommit string `json:"firstCommit,omitempty"`

	// FirstDigest is the first artifact that is trusted; those that are followed
	// descend from it. It is the digest of its manifest.
	// +optional
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	FirstDigest string `json:"firstDigest,omitempty"`

	// Signers may change every path that no entry of paths names.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Signers []string `json:"signers"`

	// Paths that only some may change, or that several have to agree on.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Paths []GitPathTrust `json:"paths,omitempty"`

	// Kinds that only some may change, or that several have to agree on, whatever
	// the file. For Apex's own kinds that no entry names, one of the entries of
	// paths with a threshold of two or more has to be satisfied too, wherever the
	// object stands; without such an entry it needs one of signers.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Kinds []GitKindTrust `json:"kinds,omitempty"`

	// Sealers may vouch for all that their commit descends from, with a commit
	// whose message has the trailer "Apex-Seal: reason". That is how keys are rotated.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Sealers []string `json:"sealers,omitempty"`

	// Operator lets Apex roll the source back by itself, with a key of its own
	// that counts for nothing else, where a policy's onViolation says RollBack.
	// +optional
	Operator bool `json:"operator,omitempty"`

	// MaxAge of the newest commit; an older one is reported, since somebody may
	// be holding newer ones back.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,6}([.][0-9]{1,9})?m)?([0-9]{1,6}([.][0-9]{1,9})?s)?([0-9]{1,6}([.][0-9]{1,9})?ms)?$') && self != '' && duration(self) > duration('0s')",message="is not a duration above zero, for example 24h or 90m"
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
}

// GitPathTrust is who may change some paths.
//
// +kubebuilder:validation:XValidation:rule="!has(self.threshold) || self.threshold <= size(self.signers)",message="threshold is larger than the number of signers"
type GitPathTrust struct {
	// Pattern of paths, as in .gitattributes: * stays within a directory, ** does not.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Pattern string `json:"pattern"`

	// Signers who may change them.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Signers []string `json:"signers"`

	// Threshold is how many different owners have to have signed. Default: 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16
	Threshold int32 `json:"threshold,omitempty"`
}

// GitKindTrust is who may change objects of some kinds.
//
// +kubebuilder:validation:XValidation:rule="!has(self.threshold) || self.threshold <= size(self.signers)",message="threshold is larger than the number of signers"
type GitKindTrust struct {
	// Kinds as "Kind.group", or "*.group" for all of a group; "Kind" of the core
	// group.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^([A-Z][A-Za-z0-9]*|\*\.[a-z0-9.-]+|[A-Z][A-Za-z0-9]*\.[a-z0-9.-]+)$`
	Kinds []string `json:"kinds"`

	// Signers who may change them.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Signers []string `json:"signers"`

	// Threshold is how many different owners have to have signed. Default: 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16
	Threshold int32 `json:"threshold,omitempty"`
}
