package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// WorkloadIdentity gives a workload the identity that the built-in authority
// issues: to whom exactly one kind of evidence says that it is this one. Whom
// nothing names gets nothing.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=apex,shortName=wid
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="SPIFFE ID",type=string,JSONPath=`.spec.spiffeID`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Why",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type WorkloadIdentity struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec WorkloadIdentitySpec `json:"spec"`
	// +optional
	Status PolicyStatus `json:"status,omitempty"`
}

// WorkloadIdentityList is a list of WorkloadIdentity.
// +kubebuilder:object:root=true
type WorkloadIdentityList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []WorkloadIdentity `json:"items"`
}

// WorkloadIdentitySpec is an identity and the evidence for it. The same identity
// may stand in several documents: any of them is enough.
//
// +kubebuilder:validation:XValidation:rule="[has(self.unix), has(self.kubernetes), has(self.joinToken), has(self.aws), has(self.oidc)].filter(x, x).size() == 1",message="exactly one of unix, kubernetes, joinToken, aws and oidc is needed: evidence is of one kind"
type WorkloadIdentitySpec struct {
	// Description for people.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`

	// SPIFFEID that is issued. An authority leaves those of other trust domains
	// to others; paths below /apex are Apex's own.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)+$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('^spiffe://[^/]+/apex(/|$)')",message="paths below /apex are Apex's own: choose another one"
	SPIFFEID string `json:"spiffeID"`

	// Unix names processes that open the socket, as the kernel sees them.
	// +optional
	Unix *UnixWorkload `json:"unix,omitempty"`

	// Kubernetes names Pods by the service account whose token they show.
	// +optional
	Kubernetes *KubernetesWorkload `json:"kubernetes,omitempty"`

	// JoinToken names who shows a token that apex identity token made.
	// +optional
	JoinToken *JoinTokenWorkload `json:"joinToken,omitempty"`

	// AWS names roles and users whose signature AWS STS confirms.
	// +optional
	AWS *AWSWorkload `json:"aws,omitempty"`

	// OIDC names workloads by the token of their cloud or pipeline.
	// +optional
	OIDC *OIDCWorkload `json:"oidc,omitempty"`
}

// UnixWorkload is a process of the machine; everything that is said has to hold.
//
// +kubebuilder:validation:XValidation:rule="has(self.uid) || has(self.gid) || has(self.path) || has(self.sha256)",message="one of uid, gid, path and sha256 is needed: without any, it would be every process"
type UnixWorkload struct {
	// UID of the process.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967294
	UID *int64 `json:"uid,omitempty"`

	// GID of the process: its primary group.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967294
	GID *int64 `json:"gid,omitempty"`

	// Path of its program.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^/.+$`
	Path string `json:"path,omitempty"`

	// SHA256 of its program, in hexadecimal digits.
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	SHA256 string `json:"sha256,omitempty"`
}

// KubernetesWorkload is a Pod of the cluster that the authority asks.
type KubernetesWorkload struct {
	// Namespace of the service account.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`

	// ServiceAccount of the Pod.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ServiceAccount string `json:"serviceAccount"`

	// Pod that the token has to be bound to. Default: any of the service account.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`
}

// JoinTokenWorkload is who was handed a join token.
type JoinTokenWorkload struct {
	// Name that the token was made for.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._-]+$`
	Name string `json:"name"`
}

// AWSWorkload is a role or a user of an AWS account.
//
// +kubebuilder:validation:XValidation:rule="has(self.role) != has(self.arn)",message="exactly one of role and arn is needed: an account alone would be everybody in it"
// +kubebuilder:validation:XValidation:rule="!has(self.arn) || self.arn.contains(':' + self.account + ':')",message="the arn is not of the account, so nobody has both: mend one of them"
type AWSWorkload struct {
	// Account number.
	// +kubebuilder:validation:MaxLength=12
	// +kubebuilder:validation:Pattern=`^[0-9]{12}$`
	Account string `json:"account"`

	// Role that was assumed, by its name; Lambda functions and instances do that.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Role string `json:"role,omitempty"`

	// ARN as AWS STS gives it, for users and for one session of a role.
	// +optional
	// +kubebuilder:validation:MaxLength=2000
	// +kubebuilder:validation:Pattern=`^arn:.+$`
	ARN string `json:"arn,omitempty"`
}

// OIDCWorkload is a workload whom an OpenID Connect issuer vouches for.
//
// +kubebuilder:validation:XValidation:rule="has(self.subject) || has(self.claims)",message="subject or claims is needed: an issuer alone would be everybody it knows"
type OIDCWorkload struct {
	// Issuer, to the letter as it is in its tokens.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^https://[^?#]+$`
	Issuer string `json:"issuer"`

	// Audience that a token has to be for. Default: the SPIFFE ID of the trust
	// domain, as in spiffe://claims.example.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Audience string `json:"audience,omitempty"`

	// Subject that a token has to have.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Subject string `json:"subject,omitempty"`

	// Claims that a token has to have: texts, equal to the letter.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	Claims map[string]string `json:"claims,omitempty"`
}
