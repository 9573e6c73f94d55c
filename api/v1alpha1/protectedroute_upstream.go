package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Upstream is a server behind the gateway.
//
// +kubebuilder:validation:XValidation:rule="self.tls == 'Plaintext' ? self.url.startsWith('http://') : self.url.startsWith('https://')",message="the url is https://, or http:// with tls: Plaintext"
// +kubebuilder:validation:XValidation:rule="(self.tls == 'Mutual') == (has(self.spiffeIDs) && size(self.spiffeIDs) > 0)",message="spiffeIDs belong to tls: Mutual, which needs them"
type Upstream struct {
	// URL of the server, without a path.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$`
	URL string `json:"url"`

	// TLS to the server: Mutual checks the server's SPIFFE ID and shows ours,
	// Server checks its name, Plaintext neither encrypts nor checks. Default: Mutual.
	// +optional
	// +kubebuilder:default=Mutual
	// +kubebuilder:validation:Enum=Mutual;Server;Plaintext
	TLS string `json:"tls,omitempty"`

	// SPIFFEIDs that the server may have.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=2048
	// +kubebuilder:validation:items:Pattern=`^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)*$`
	SPIFFEIDs []string `json:"spiffeIDs,omitempty"`

	// Timeout until the first byte of the answer. Default: 60s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,6}([.][0-9]{1,9})?m)?([0-9]{1,6}([.][0-9]{1,9})?s)?([0-9]{1,6}([.][0-9]{1,9})?ms)?$') && self != '' && duration(self) > duration('0s')",message="is not a duration above zero, for example 24h or 90m"
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// Stream bounds how long an answer may take from its first byte to its last.
	// Default: 10m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,6}([.][0-9]{1,9})?m)?([0-9]{1,6}([.][0-9]{1,9})?s)?([0-9]{1,6}([.][0-9]{1,9})?ms)?$') && self != '' && duration(self) > duration('0s')",message="is not a duration above zero, for example 24h or 90m"
	Stream *metav1.Duration `json:"stream,omitempty"`

	// Resend says what is sent to the server once more when it hangs up before the
	// first byte of its answer: Unsent what it got nothing of, and what only reads
	// (GET, HEAD); Idempotent also requests with an Idempotency-Key, of which the
	// server then has to make one. Default: Unsent.
	// +optional
	// +kubebuilder:default=Unsent
	// +kubebuilder:validation:Enum=Unsent;Idempotent
	Resend string `json:"resend,omitempty"`
}
