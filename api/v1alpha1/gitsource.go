package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GitSource is a repository whose verified commits say what a target holds. It
// is kept beside the target, not in the repository that it protects: who may
// push there cannot change whom it trusts.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=apex,shortName=gits
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Compliant",type=string,JSONPath=`.status.conditions[?(@.type=="Compliant")].status`
// +kubebuilder:printcolumn:name="Commit",type=string,JSONPath=`.status.commit`
// +kubebuilder:printcolumn:name="Objects",type=integer,JSONPath=`.status.objects`
// +kubebuilder:printcolumn:name="Drift",type=integer,JSONPath=`.status.drift`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Why",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type GitSource struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec GitSourceSpec `json:"spec"`
	// +optional
	Status GitSourceStatus `json:"status,omitempty"`
}

// GitSourceList is a list of GitSource.
// +kubebuilder:object:root=true
type GitSourceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GitSource `json:"items"`
}

// GitSourceSpec says where commits come from, which of them count, and where
// they go.
//
// +kubebuilder:validation:XValidation:rule="self.url.startsWith('oci://') == has(self.trust.firstDigest)",message="trust.firstDigest goes with an oci:// url, trust.firstCommit with any other"
// +kubebuilder:validation:XValidation:rule="!self.url.startsWith('oci://') || !has(self.trust.paths) && !has(self.trust.sealers)",message="an artifact is signed as a whole: paths and sealers are for repositories"
type GitSourceSpec struct {
	// URL of the repository: https://, ssh://, file:// or an absolute path. Or
	// oci://host/path, a repository of a registry that holds revisions as signed
	// artifacts, as publish makes them.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^(https://|http://(127\.0\.0\.1|localhost)[:/]|ssh://|oci://[a-z0-9]|file:///|/).*$`
	URL string `json:"url"`

	// Branch that is followed; of a registry's repository the tag.
	// +optional
	// +kubebuilder:default=main
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9._/-]*$`
	Branch string `json:"branch,omitempty"`

	// Path is the directory of the repository that is rendered. Default: all of it.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')",message="path stays within the repository: no leading / and no .."
	Path string `json:"path,omitempty"`

	// Interval between two looks at the branch. Default: 15s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,6}([.][0-9]{1,9})?m)?([0-9]{1,6}([.][0-9]{1,9})?s)?([0-9]{1,6}([.][0-9]{1,9})?ms)?$') && self != '' && duration(self) > duration('0s')",message="is not a duration above zero, for example 24h or 90m"
	Interval *metav1.Duration `json:"interval,omitempty"`

	// Suspend stops following the branch. What is applied stays healed.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// Trust says which commits count.
	Trust GitTrust `json:"trust"`

	// Namespace that objects without one get.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// Target is the place that is made to look like the repository.
	Target GitTarget `json:"target"`

	// Heal says what happens to changes behind Git's back.
	// +optional
	Heal GitHeal `json:"heal,omitempty"`

	// Prune bounds what one commit may delete.
	// +optional
	Prune GitPrune `json:"prune,omitempty"`

	// Quota bounds what the source may hold.
	// +optional
	Quota GitQuota `json:"quota,omitempty"`

	// Publish pushes every revision that is applied to a registry, as a signed
	// artifact that another GitSource can follow. Default: nothing is pushed.
	// +optional
	Publish *GitPublish `json:"publish,omitempty"`

	// Segmentation adds NetworkPolicies, so that the workloads are reached
	// through the gateway only, and refuses revisions that open another way.
	// +optional
	Segmentation *Segmentation `json:"segmentation,omitempty"`

	// Stages are the places that a commit goes through one after the other, for
	// example dev, staging and prod. The first takes every commit that is
	// trusted; each other one those that somebody promoted. Without stages the
	// source's own path and target are the only place.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.size() == 0 || self.filter(s, !has(s.after)).size() == 1",message="exactly one stage has no after: the first"
	// +kubebuilder:validation:XValidation:rule="self.all(s, !has(s.after) || s.after != s.name && self.exists(t, t.name == s.after))",message="after names another stage of the source"
	Stages []GitStage `json:"stages,omitempty"`

	// Canary moves the traffic of Knative Services and KServe InferenceServices
	// to a new revision step by step, and back by itself when it fails. Default:
	// all at once.
	// +optional
	Canary *GitCanary `json:"canary,omitempty"`
}

// GitPublish is where revisions are pushed to. What is pushed is byte for byte
// what was judged and applied. It is signed with a key of the installation,
// which apex gitops status shows.
type GitPublish struct {
	// Repository of a registry, "host/path".
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+$`
	Repository string `json:"repository"`

	// Tag that names the newest artifact. Default: main, and of a stage its name.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_][A-Za-z0-9._-]*$`
	Tag string `json:"tag,omitempty"`
}

// GitSourceStatus is what became of a source.
type GitSourceStatus struct {
	// Commit that is applied.
	// +optional
	Commit string `json:"commit,omitempty"`

	// Set is the digest of what it rendered to.
	// +optional
	Set string `json:"set,omitempty"`

	// Counter of accepted revisions; it never falls.
	// +optional
	Counter int64 `json:"counter,omitempty"`

	// Objects that are applied.
	// +optional
	Objects int32 `json:"objects,omitempty"`

	// Drift is how many objects were changed behind Git's back and healed.
	// +optional
	Drift int64 `json:"drift,omitempty"`

	// Conditions: Ready says whether the newest commit is applied, Compliant
	// whether all that runs still may.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
