package v1alpha1

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
