package v1alpha1

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
