package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ProtectedRoute puts the gateway in front of an inference server: who may ask
// it for what, how much, and with which content. A request that no route takes
// is denied.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=apex,shortName=proute
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Hosts",type=string,JSONPath=`.spec.hosts`
// +kubebuilder:printcolumn:name="API",type=string,JSONPath=`.spec.api`
// +kubebuilder:printcolumn:name="Upstream",type=string,JSONPath=`.spec.upstream.url`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Why",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type ProtectedRoute struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ProtectedRouteSpec `json:"spec"`
	// +optional
	Status PolicyStatus `json:"status,omitempty"`
}

// ProtectedRouteList is a list of ProtectedRoute.
// +kubebuilder:object:root=true
type ProtectedRouteList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ProtectedRoute `json:"items"`
}

// ProtectedRouteSpec says what is in front of what.
//
// +kubebuilder:validation:XValidation:rule="has(self.anonymous) && self.anonymous || has(self.identities) && size(self.identities) > 0",message="identities says who may come; anonymous: true lets in who shows nothing"
// +kubebuilder:validation:XValidation:rule="!has(self.limits) || !has(self.limits.cost) || has(self.limits.answer) && has(self.models) && size(self.models) > 0 && self.models.all(m, has(m.price))",message="limits.cost needs limits.answer and a price for each of the models: what cannot be predicted cannot be bounded"
// +kubebuilder:validation:XValidation:rule="self.api == 'JSON' ? has(self.json) : self.api == 'Events' || !has(self.json)",message="json, where texts and media stand, belongs to api: JSON, which needs it, and to api: Events"
// +kubebuilder:validation:XValidation:rule="!has(self.events) || self.api == 'Events'",message="events, where they come from and go to, belongs to api: Events"
// +kubebuilder:validation:XValidation:rule="!has(self.capture) || self.api != 'Events'",message="capture keeps requests: it does not belong to api: Events, whose events a broker or their sender still has"
// +kubebuilder:validation:XValidation:rule="self.api != 'Events' || !(has(self.anonymous) && self.anonymous) && !has(self.models)",message="events are signed and have types: anonymous and models do not belong to api: Events"
// +kubebuilder:validation:XValidation:rule="!has(self.media) || !has(self.media.references) || size(self.media.references) == 0 || self.api == 'OpenAI'",message="media.references are ids of the OpenAI API, and belong to api: OpenAI"
// +kubebuilder:validation:XValidation:rule="!has(self.answers) || !has(self.answers.texts) || size(self.answers.texts) == 0 || self.api == 'JSON'",message="answers.texts belongs to api: JSON; the other APIs say themselves where texts stand: leave it out"
// +kubebuilder:validation:XValidation:rule="self.api != 'Events' || !(has(self.json) && has(self.json.sockets) && self.json.sockets) && !has(self.upstream.stream) && !(has(self.upstream.resend) && self.upstream.resend == 'Idempotent')",message="events are posted one by one: json.sockets, upstream.stream and upstream.resend: Idempotent do nothing with api: Events: leave them out"
// +kubebuilder:validation:XValidation:rule="self.api != 'Events' || !(has(self.answers) && has(self.answers.credentials) && self.answers.credentials == 'Pass') && !(has(self.waf) && (has(self.waf.answers) || has(self.waf.answerThreshold)))",message="nobody gets what a server answers to events: answers, waf.answers and waf.answerThreshold do nothing with api: Events: leave them out"
// +kubebuilder:validation:XValidation:rule="!has(self.limits) || !has(self.limits.answer) || self.api == 'OpenAI' || has(self.limits.tokens) || has(self.limits.cost)",message="requests of this API do not say how long an answer may be, so limits.answer only counts for limits.tokens and limits.cost: give one of them, or leave it out"
// +kubebuilder:validation:XValidation:rule="has(self.limits) && has(self.limits.cost) || !has(self.models) || !self.models.exists(m, has(m.price))",message="prices of models count for limits.cost alone: give it, or leave them out"
// +kubebuilder:validation:XValidation:rule="!has(self.limits) || !has(self.limits.stages) || !has(self.limits.stages.firewall) || !has(self.waf) || !has(self.waf.mode) || self.waf.mode != 'Disabled' || has(self.waf.answers) && self.waf.answers != 'Disabled'",message="limits.stages.firewall bounds nothing with waf.mode: Disabled: leave one of them out"
type ProtectedRouteSpec struct {
	// Hosts that the route answers for, without a port; *.example.com stands for
	// every name directly below.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Hosts []string `json:"hosts"`

	// Path is the beginning of the paths that the route answers for, in whole
	// segments. Default: /.
	// +optional
	// +kubebuilder:default="/"
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^/[A-Za-z0-9._~/-]*$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('(^|/)[.][.]?(/|$)') && !self.matches('//')",message="path has no empty segment, no . and no .."
	Path string `json:"path,omitempty"`

	// API that is spoken. It says which paths there are, what each one does, and
	// where in a message its texts and media stand.
	// +kubebuilder:validation:Enum=OpenAI;OpenInference;JSON;Events
	API string `json:"api"`

	// JSON describes an API that is plain JSON.
	// +optional
	JSON *JSONAPI `json:"json,omitempty"`

	// Events says where CloudEvents come from beside HTTP, and where they go.
	// +optional
	Events *RouteEvents `json:"events,omitempty"`

	// Upstream is the server behind.
	Upstream Upstream `json:"upstream"`

	// Identities that are recognised.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Identities []IdentitySource `json:"identities,omitempty"`

	// Anonymous lets in who shows nothing. What they may do is said by allow and
	// by policies, as for everybody else.
	// +optional
	Anonymous bool `json:"anonymous,omitempty"`

	// Allow says who may do what with which model. AccessPolicies may allow more,
	// and forbid what is allowed here. Without either nothing is allowed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Allow []AccessGrant `json:"allow,omitempty"`

	// Classification of what goes over the route, which policies see as
	// context.classification: the strictest of it, of the model's, and of what the
	// caller says in the header Data-Classification.
	// +optional
	Classification Classification `json:"classification,omitempty"`

	// Models that are behind the route. A request for another is denied; one that
	// names none is for the first. Default: any model.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Models []RouteModel `json:"models,omitempty"`

	// Limits bound what one caller may ask for.
	// +optional
	Limits RouteLimits `json:"limits,omitempty"`

	// Media bounds the content of messages.
	// +optional
	Media RouteMedia `json:"media,omitempty"`

	// Answers says what may come back.
	// +optional
	Answers RouteAnswers `json:"answers,omitempty"`

	// WAF says how the web application firewall looks at requests and answers.
	// +optional
	WAF RouteWAF `json:"waf,omitempty"`

	// Capture keeps copies of some requests, sealed, so that policies can be tried
	// on them later. Default: none are kept.
	// +optional
	Capture *RouteCapture `json:"capture,omitempty"`
}
