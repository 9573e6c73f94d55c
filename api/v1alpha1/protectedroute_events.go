package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RouteEvents says where CloudEvents come from and where they go.
//
// +kubebuilder:validation:XValidation:rule="!has(self.deadLetters) || has(self.from)",message="events that are posted are answered: deadLetters belongs to from"
type RouteEvents struct {
	// From is a broker that they are taken from, beside those that are posted to
	// the route. Default: none.
	// +optional
	From *EventBroker `json:"from,omitempty"`

	// To is a broker that gets what is allowed. Default: it is posted to the
	// upstream.
	// +optional
	To *EventBroker `json:"to,omitempty"`

	// DeadLetters is a broker that gets what is denied, with the code. Default: the
	// record is what is left of it.
	// +optional
	DeadLetters *EventBroker `json:"deadLetters,omitempty"`

	// Window is how old an event may be. Default: 5m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,6}([.][0-9]{1,9})?m)?([0-9]{1,6}([.][0-9]{1,9})?s)?([0-9]{1,6}([.][0-9]{1,9})?ms)?$') && self != '' && duration(self) > duration('0s')",message="is not a duration above zero, for example 24h or 90m"
	Window *metav1.Duration `json:"window,omitempty"`

	// Sealed says what of the data has to be sealed, so that only its receiver reads
	// it. Envelopes then pass although nobody can look into them. Default: none do.
	// +optional
	Sealed *SealedParts `json:"sealed,omitempty"`
}

// SealedParts says which parts of an event are sealed, and for whom.
type SealedParts struct {
	// Places in the data that have to be sealed where they are there, as JSON pointers
	// in which * is every element of a list and ** every member of an object; "" is the
	// whole data.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^(/.*)?$`
	Places []string `json:"places"`

	// Recipients are the keys that envelopes may be for, by the ids that apex message
	// keygen prints. Default: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:Pattern=`^[0-9a-f]{16}$`
	// +kubebuilder:validation:items:MaxLength=16
	Recipients []string `json:"recipients,omitempty"`
}

// EventBroker is a subject, a topic or a queue.
//
// +kubebuilder:validation:XValidation:rule="(has(self.tls) && self.tls == 'Mutual') == (has(self.spiffeIDs) && size(self.spiffeIDs) > 0)",message="spiffeIDs belong to tls: Mutual, which needs them"
type EventBroker struct {
	// URL: nats://HOST:PORT/SUBJECT, with ?queue=NAME to share messages among
	// gateways; kafka://HOST:PORT/TOPIC?group=NAME; or awssqs://HOST/ACCOUNT/QUEUE?region=NAME.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^(nats|kafka|awssqs)://[A-Za-z0-9.:-]+/[A-Za-z0-9._*>/-]+([?][A-Za-z0-9._%&=:/-]*)?$`
	URL string `json:"url"`

	// TLS to the broker: Mutual checks its SPIFFE ID and shows ours, Server checks
	// its name, Plaintext neither encrypts nor checks. Default: Server.
	// +optional
	// +kubebuilder:default=Server
	// +kubebuilder:validation:Enum=Mutual;Server;Plaintext
	TLS string `json:"tls,omitempty"`

	// SPIFFEIDs that the broker may have.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=2048
	// +kubebuilder:validation:items:Pattern=`^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)*$`
	SPIFFEIDs []string `json:"spiffeIDs,omitempty"`
}
