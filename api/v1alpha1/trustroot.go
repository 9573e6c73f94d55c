package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TrustRoot names whom we believe: keys, KMS keys, keyless identities,
// certificates and scanners. Policies refer to its entries by name.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=troot,categories=apex
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Summary",type=string,JSONPath=`.status.summary`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Why",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type TrustRoot struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec TrustRootSpec `json:"spec"`
	// +optional
	Status PolicyStatus `json:"status,omitempty"`
}

// TrustRootList is a list of TrustRoot.
// +kubebuilder:object:root=true
type TrustRootList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TrustRoot `json:"items"`
}

// TrustRootSpec holds the entries. A name may be defined once in all trust roots together.
type TrustRootSpec struct {
	// Entries of the trust root.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	Entries []TrustEntry `json:"entries"`
}

// TrustUse is what an entry's signature is believed for.
// +kubebuilder:validation:Enum=Images;Models;Exceptions;Revocations;Sources;VEX;Commits;Promotions;Actions
type TrustUse string

// The uses.
const (
	UseImages      TrustUse = "Images"
	UseModels      TrustUse = "Models" // signatures, scans, provenance and dataset manifests of models
	UseExceptions  TrustUse = "Exceptions"
	UseRevocations TrustUse = "Revocations"
	UseSources     TrustUse = "Sources"    // files that declare functions and workloads
	UseVEX         TrustUse = "VEX"        // statements that a product is not affected
	UseCommits     TrustUse = "Commits"    // commits, or artifacts of them, that a GitSource follows
	UsePromotions  TrustUse = "Promotions" // that a revision may go on to the next stage, or back
	UseActions     TrustUse = "Actions"    // that something is done about what runs and no longer complies
)

// TrustEntry is one signer or scanner. Exactly one of key, kms, keyless,
// certificate, ssh, openPGP and scanner is given.
//
// +kubebuilder:validation:XValidation:rule="[has(self.key), has(self.kms), has(self.keyless), has(self.certificate), has(self.scanner), has(self.ssh), has(self.openPGP)].filter(x, x).size() == 1",message="exactly one of key, kms, keyless, certificate, ssh, openPGP and scanner is needed"
// +kubebuilder:validation:XValidation:rule="!(has(self.ssh) || has(self.openPGP)) || (has(self.uses) && self.uses == ['Commits'])",message="ssh and openPGP keys sign commits: uses has to be [Commits]"
// +kubebuilder:validation:XValidation:rule="!has(self.uses) || !self.uses.exists(u, u == 'Commits') || has(self.ssh) || has(self.openPGP) || has(self.keyless) || has(self.key) || has(self.kms)",message="commits are signed with ssh, openPGP or keyless, artifacts of commits with key, kms or keyless"
// +kubebuilder:validation:XValidation:rule="!has(self.uses) || !self.uses.exists(u, u == 'Exceptions') || has(self.owner)",message="an entry that approves exceptions needs an owner, so that nobody approves their own"
type TrustEntry struct {
	// Name that policies refer to.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`
	Name string `json:"name"`

	// Uses says what the entry's signature is believed for. Default: Images.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=9
	Uses []TrustUse `json:"uses,omitempty"`

	// Owner is the person or team who holds the key, for example an e-mail address.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Owner string `json:"owner,omitempty"`

	// Formats of signatures that are looked for; all when empty. Naming one
	// saves requests to the registry.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=3
	// +kubebuilder:validation:items:Enum=bundle;legacy;notation
	Formats []string `json:"formats,omitempty"`

	// Key is a public key.
	// +optional
	Key *KeyEntry `json:"key,omitempty"`

	// KMS is a public key whose private half is in a key management service.
	// +optional
	KMS *KMSEntry `json:"kms,omitempty"`

	// Keyless is an identity that a certificate authority vouches for.
	// +optional
	Keyless *KeylessEntry `json:"keyless,omitempty"`

	// Certificate is a certificate authority for Notary Project signatures.
	// +optional
	Certificate *CertificateEntry `json:"certificate,omitempty"`

	// SSH is a key that signs commits (git config gpg.format ssh).
	// +optional
	SSH *SSHEntry `json:"ssh,omitempty"`

	// OpenPGP is a key that signs commits.
	// +optional
	OpenPGP *OpenPGPEntry `json:"openPGP,omitempty"`

	// Scanner is a vulnerability scanner and who signs its reports.
	// +optional
	Scanner *ScannerEntry `json:"scanner,omitempty"`
}

// KeyEntry is a public key: ECDSA P-256, P-384, P-521, RSA of 2048 bits or more, or Ed25519.
type KeyEntry struct {
	// PEM of the public key (SubjectPublicKeyInfo).
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16384
	PEM string `json:"pem"`

	// ValidFrom refuses signatures that were made before.
	// +optional
	ValidFrom *metav1.Time `json:"validFrom,omitempty"`

	// ValidUntil refuses signatures that were made after. A signature whose
	// time nobody vouches for counts until then and no longer.
	// +optional
	ValidUntil *metav1.Time `json:"validUntil,omitempty"`
}

// SSHEntry is a public key in the form of an authorized_keys line.
type SSHEntry struct {
	// PublicKey, for example "ssh-ed25519 AAAA… comment".
	// +kubebuilder:validation:MinLength=16
	// +kubebuilder:validation:MaxLength=16384
	PublicKey string `json:"publicKey"`

	// ValidFrom refuses commits that were first seen before.
	// +optional
	ValidFrom *metav1.Time `json:"validFrom,omitempty"`

	// ValidUntil refuses commits that were first seen after.
	// +optional
	ValidUntil *metav1.Time `json:"validUntil,omitempty"`
}

// OpenPGPEntry is a public key with its subkeys.
type OpenPGPEntry struct {
	// PublicKey, armored.
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=262144
	PublicKey string `json:"publicKey"`

	// ValidFrom refuses commits that were first seen before.
	// +optional
	ValidFrom *metav1.Time `json:"validFrom,omitempty"`

	// ValidUntil refuses commits that were first seen after.
	// +optional
	ValidUntil *metav1.Time `json:"validUntil,omitempty"`
}

// KMSEntry is a key in a key management service. Verifying needs the public
// half only, which is kept here so that no cloud has to answer.
type KMSEntry struct {
	// URI of the key, for example awskms:///alias/signing. It is used for signing.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	URI string `json:"uri"`

	// PEM of the public key (SubjectPublicKeyInfo).
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16384
	PEM string `json:"pem"`
}

// KeylessEntry is an identity in a certificate of a sigstore deployment.
//
// +kubebuilder:validation:XValidation:rule="has(self.issuer) != has(self.issuerRegExp)",message="exactly one of issuer and issuerRegExp is needed"
// +kubebuilder:validation:XValidation:rule="has(self.subject) != has(self.subjectRegExp)",message="exactly one of subject and subjectRegExp is needed"
type KeylessEntry struct {
	// Issuer is the OIDC issuer's URL, exactly.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Issuer string `json:"issuer,omitempty"`

	// IssuerRegExp matches the issuer. It has to begin with ^ and end with $.
	// +optional
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^\^.+\$$`
	IssuerRegExp string `json:"issuerRegExp,omitempty"`

	// Subject is the certificate's subject alternative name, exactly.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Subject string `json:"subject,omitempty"`

	// SubjectRegExp matches the subject. It has to begin with ^ and end with $.
	// +optional
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^\^.+\$$`
	SubjectRegExp string `json:"subjectRegExp,omitempty"`

	// TrustedRoot is the sigstore trusted_root.json, inline. The public-good
	// instance's root, as it was at the release, is used when it is left out.
	// +optional
	// +kubebuilder:validation:MaxLength=262144
	TrustedRoot string `json:"trustedRoot,omitempty"`

	// IgnoreLog accepts signatures without a transparency log entry.
	// +optional
	IgnoreLog bool `json:"ignoreLog,omitempty"`

	// LogThreshold is how many different logs have to hold an entry. Default: 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=8
	LogThreshold int32 `json:"logThreshold,omitempty"`

	// RequireTimestamp asks for a timestamp authority's signed timestamp.
	// +optional
	RequireTimestamp bool `json:"requireTimestamp,omitempty"`
}

// CertificateEntry is a certificate authority and the identities that are believed under it.
type CertificateEntry struct {
	// Roots are the authority's certificates, PEM.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=262144
	Roots string `json:"roots"`

	// Identities are the distinguished names that are believed, for example
	// "C=US,ST=WA,O=apexlogic": each part has to be in the certificate's subject.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=3
	// +kubebuilder:validation:items:MaxLength=1024
	Identities []string `json:"identities"`

	// TimestampRoots are the certificates of timestamp authorities, PEM.
	// +optional
	// +kubebuilder:validation:MaxLength=262144
	TimestampRoots string `json:"timestampRoots,omitempty"`
}

// ScannerEntry is a scanner whose reports count.
type ScannerEntry struct {
	// Tool is the name that the scanner's reports state. Default: the entry's name.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Tool string `json:"tool,omitempty"`

	// URI is the scanner.uri that the reports have to state, when given.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	URI string `json:"uri,omitempty"`

	// SignedBy names the entries that sign the scanner's reports.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	SignedBy []string `json:"signedBy"`
}
