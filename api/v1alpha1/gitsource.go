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
type GitSourceSpec struct {
	// URL of the repository: https://, ssh://, file:// or an absolute path.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^(https://|http://(127\.0\.0\.1|localhost)[:/]|ssh://|file:///|/).*$`
	URL string `json:"url"`

	// Branch that is followed.
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

// GitStage is a place that commits go through.
//
// +kubebuilder:validation:XValidation:rule="has(self.after) || !has(self.gate)",message="the first stage has no gate: nothing is promoted into it"
type GitStage struct {
	// Name of the stage.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=30
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// After is the stage that a commit has to be in before it is promoted into
	// this one. The first stage has none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=30
	After string `json:"after,omitempty"`

	// Path is the directory of the repository that is rendered for the stage.
	// Default: that of the source.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')",message="path stays within the repository: no leading / and no .."
	Path string `json:"path,omitempty"`

	// Target of the stage. Default: that of the source.
	// +optional
	Target *GitTarget `json:"target,omitempty"`

	// Gate is what has to hold, beside a promotion, the verdicts, and the health
	// of the stage before.
	// +optional
	Gate *GitGate `json:"gate,omitempty"`
}

// GitGate is what has to hold before a commit enters a stage.
type GitGate struct {
	// Approvals is how many different owners have to sign a promotion. Default: 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=8
	Approvals int32 `json:"approvals,omitempty"`

	// NotAuthor takes no promotion from an owner who signed one of the commits.
	// +optional
	NotAuthor bool `json:"notAuthor,omitempty"`

	// Soak is how long the stage before has to be healthy with the commit,
	// without interruption.
	// +optional
	Soak *metav1.Duration `json:"soak,omitempty"`

	// Metrics that have to be within their bounds, for example an error budget.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Metrics []GitMetric `json:"metrics,omitempty"`

	// Freeze are times in which nothing enters the stage.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Freeze []GitFreeze `json:"freeze,omitempty"`
}

// GitMetric is a query to a server that speaks Prometheus' HTTP API, with the
// bounds of its answer. A query that fails, or that answers with no value or
// with several, is outside of every bound.
//
// +kubebuilder:validation:XValidation:rule="has(self.max) || has(self.min)",message="max or min is needed"
type GitMetric struct {
	// Server, for example http://prometheus.monitoring:9090.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^?#]+$`
	Server string `json:"server"`

	// Query in PromQL. In a canary's analysis ${namespace}, ${name} and
	// ${revision} stand for those of the object and of its new revision.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Query string `json:"query"`

	// Max that the answer may be, a decimal number.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^-?[0-9]+([.][0-9]+)?$`
	Max string `json:"max,omitempty"`

	// Min that the answer has to be, a decimal number.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^-?[0-9]+([.][0-9]+)?$`
	Min string `json:"min,omitempty"`
}

// GitFreeze is a time in which nothing enters a stage.
//
// +kubebuilder:validation:XValidation:rule="timestamp(self.from) < timestamp(self.until)",message="until comes after from"
type GitFreeze struct {
	// From when.
	From metav1.Time `json:"from"`

	// Until when.
	Until metav1.Time `json:"until"`

	// Reason that people are told.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`
}

// GitCanary is how traffic moves to a new revision.
type GitCanary struct {
	// Steps are the parts of the traffic, in percent, that the new revision gets
	// one after the other. Default: 5, 25, 50, 100.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=100
	// +kubebuilder:validation:XValidation:rule="self.exists(s, s == 100) && self.all(s, self.filter(t, t == s).size() == 1)",message="every step comes once, and 100 is among them"
	Steps []int32 `json:"steps,omitempty"`

	// Interval that a step lasts. Default: 5m.
	// +optional
	Interval *metav1.Duration `json:"interval,omitempty"`

	// ReadyWithin is how long the new revision may take to become ready, and a
	// question to stay without an answer, before traffic goes back. Default: 10m.
	// +optional
	ReadyWithin *metav1.Duration `json:"readyWithin,omitempty"`

	// Analysis are the metrics that have to be within their bounds, for each
	// object, for as long as a step lasts.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Analysis []GitMetric `json:"analysis,omitempty"`
}

// Segmentation is who may reach what, beside the gateway.
type Segmentation struct {
	// Gateway is where requests come from.
	Gateway NetworkPeer `json:"gateway"`

	// Allow are ways from pods to pods.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Allow []NetworkFlow `json:"allow,omitempty"`

	// Egress are ways from pods to addresses outside of the cluster. The cloud's
	// metadata service is never among them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Egress []NetworkEgress `json:"egress,omitempty"`
}

// NetworkPeer names pods.
type NetworkPeer struct {
	// Namespace of the pods.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace"`

	// Labels of the pods.
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	Labels map[string]string `json:"labels"`
}

// NetworkFlow is a way from pods to pods.
type NetworkFlow struct {
	// From are the pods that connect.
	From NetworkPeer `json:"from"`

	// To are the pods that listen.
	To NetworkPeer `json:"to"`

	// Ports that they listen on. Default: all.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Ports []NetworkPort `json:"ports,omitempty"`
}

// NetworkEgress is a way out of the cluster.
type NetworkEgress struct {
	// From are the pods that connect.
	From NetworkPeer `json:"from"`

	// CIDR of the addresses, for example 203.0.113.0/24.
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=64
	CIDR string `json:"cidr"`

	// Ports there. Default: all.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Ports []NetworkPort `json:"ports,omitempty"`
}

// NetworkPort is a port by number, or by the name that a container gives it.
//
// +kubebuilder:validation:XValidation:rule="has(self.number) != has(self.name)",message="exactly one of number and name is needed"
type NetworkPort struct {
	// Protocol. Default: TCP.
	// +optional
	// +kubebuilder:validation:Enum=TCP;UDP;SCTP
	Protocol string `json:"protocol,omitempty"`

	// Number of the port.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Number int32 `json:"number,omitempty"`

	// Name of the port.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	Name string `json:"name,omitempty"`
}

// GitTrust is whom a repository's commits are believed from. The names are
// those of TrustRoot entries with the use Commits.
type GitTrust struct {
	// FirstCommit is the first commit that is trusted: it and what comes before
	// it are taken as they are, everything after it is verified.
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{40}$`
	FirstCommit string `json:"firstCommit"`

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

	// Sealers may vouch for all that their commit descends from, with a commit
	// whose message has the trailer "Apex-Seal: reason". That is how keys are rotated.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Sealers []string `json:"sealers,omitempty"`

	// MaxAge of the newest commit; an older one is reported, since somebody may
	// be holding newer ones back.
	// +optional
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

// GitTarget is where a source goes; exactly one of its fields is given.
//
// +kubebuilder:validation:XValidation:rule="[has(self.cluster), has(self.directory), has(self.embedded), has(self.lambda)].filter(x, x).size() == 1",message="exactly one of cluster, directory, embedded and lambda is needed"
type GitTarget struct {
	// Cluster is the cluster that the controller runs in, or that the
	// kubeconfig of the command names.
	// +optional
	Cluster *ClusterTarget `json:"cluster,omitempty"`

	// Directory is a directory of manifests.
	// +optional
	Directory *DirectoryTarget `json:"directory,omitempty"`

	// Embedded is an object store inside of Apex, for trying things out.
	// +optional
	Embedded *EmbeddedTarget `json:"embedded,omitempty"`

	// Lambda is AWS Lambda with its roles.
	// +optional
	Lambda *LambdaTarget `json:"lambda,omitempty"`
}

// ClusterTarget is what of a cluster a source may write.
type ClusterTarget struct {
	// ServiceAccount that is impersonated, "namespace/name". Its RBAC is what
	// the source may do.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	ServiceAccount string `json:"serviceAccount"`

	// Namespaces that the source may write. Objects elsewhere stop the revision.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=63
	Namespaces []string `json:"namespaces"`

	// ClusterKinds are the cluster-scoped kinds that it may write too, as
	// "Kind" or "Kind.group". Default: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=253
	ClusterKinds []string `json:"clusterKinds,omitempty"`
}

// DirectoryTarget is a directory that holds one file per object.
type DirectoryTarget struct {
	// Path of the directory. It belongs to Apex: files in it that no commit
	// names are drift.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Path string `json:"path"`
}

// EmbeddedTarget is a store in one file.
type EmbeddedTarget struct {
	// Path of the file's directory. Default: in the workspace's state.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Path string `json:"path,omitempty"`
}

// LambdaTarget is a region of an AWS account. Credentials are found where the
// AWS SDK looks for them.
type LambdaTarget struct {
	// Region, for example eu-central-1.
	// +kubebuilder:validation:Pattern=`^[a-z]{2}(-[a-z]+)+-[0-9]$`
	Region string `json:"region"`

	// Account that has to be the one of the credentials.
	// +kubebuilder:validation:Pattern=`^[0-9]{12}$`
	Account string `json:"account"`

	// Endpoint of the API, for a compatible one. Default: that of AWS.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://.+$`
	Endpoint string `json:"endpoint,omitempty"`
}

// HealMode says what happens to drift.
// +kubebuilder:validation:Enum=Heal;Warn;Deny
type HealMode string

// The modes.
const (
	ModeHeal HealMode = "Heal" // undo it
	ModeWarn HealMode = "Warn" // report it
	ModeDeny HealMode = "Deny" // undo it, and let admission refuse it to begin with
)

// GitHeal is how drift is treated.
type GitHeal struct {
	// Mode for everything that no entry of except names. Default: Heal.
	// +optional
	// +kubebuilder:default=Heal
	Mode HealMode `json:"mode,omitempty"`

	// Except are objects, or parts of them, that are treated otherwise; the
	// first that matches counts.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Except []HealException `json:"except,omitempty"`

	// Sweep is how long it takes at most to look at every object once, whether
	// or not something was reported. Default: 10m.
	// +optional
	Sweep *metav1.Duration `json:"sweep,omitempty"`
}

// HealException is a part that is treated otherwise.
type HealException struct {
	// Kind of the objects, "Kind" or "Kind.group". Default: all.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Kind string `json:"kind,omitempty"`

	// Namespace of the objects. Default: all.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// Name of the object. Default: all.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// Path is a JSON pointer (RFC 6901) to the field; * stands for one element.
	// Default: the whole object.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^/.*$`
	Path string `json:"path,omitempty"`

	// Mode for what matches.
	Mode HealMode `json:"mode"`
}

// GitPrune bounds deletions. What a commit deletes beyond it needs the trailer
// "Apex-Prune: allow" in the signed commit.
type GitPrune struct {
	// MaxObjects that one commit may delete. Default: 50.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MaxObjects *int32 `json:"maxObjects,omitempty"`

	// MaxPercent of the objects that one commit may delete. Default: 20.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	MaxPercent *int32 `json:"maxPercent,omitempty"`
}

// GitQuota bounds a source.
type GitQuota struct {
	// Objects that a revision may hold. Default: 10000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Objects int32 `json:"objects,omitempty"`
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
