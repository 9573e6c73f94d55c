package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// JSONAPI says where in the messages of an API the texts and the media stand,
// as JSON pointers in which * is every element of a list and ** every member of
// an object.
type JSONAPI struct {
	// Texts that a model or a person reads.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^(/.*)?$`
	Texts []string `json:"texts,omitempty"`

	// Media as data: URLs or bare base64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^(/.*)?$`
	Media []string `json:"media,omitempty"`

	// Sockets lets WebSockets be opened below the path. Their text messages are
	// JSON of this API, and binary ones are refused. Default: none may be opened.
	// +optional
	Sockets bool `json:"sockets,omitempty"`
}

// RouteAnswers says what may come back. Content in answers is held to the bounds
// of media, whatever this says.
type RouteAnswers struct {
	// Credentials in the texts of answers, known by their form (private keys, tokens
	// of well-known services): Cut ends the answer before they pass whole, Pass lets
	// them. Default: Cut.
	// +optional
	// +kubebuilder:default=Cut
	// +kubebuilder:validation:Enum=Cut;Pass
	Credentials string `json:"credentials,omitempty"`

	// Texts are where a model's texts stand in answers of the api JSON, as JSON
	// pointers like those of json. The firewall scores them, and
	// holds everything else of an answer against its rules about leaks. Default:
	// nothing is a model's text.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^(/.*)?$`
	Texts []string `json:"texts,omitempty"`
}

// RouteMedia bounds the content of messages. A kind that is not listed is
// refused.
//
// +kubebuilder:validation:XValidation:rule="has(self.hosts) && size(self.hosts) > 0 || !has(self.addresses) && !has(self.networks)",message="addresses and networks belong to hosts, which says where content may come from"
// +kubebuilder:validation:XValidation:rule="!(has(self.addresses) && self.addresses == 'Pass' && (has(self.types) && size(self.types) > 0 || has(self.stripMetadata) && self.stripMetadata))",message="addresses: Pass leaves fetching to the server behind, so types and stripMetadata cannot be held: leave them out, or use addresses: Inline"
// +kubebuilder:validation:XValidation:rule="!has(self.types) || self.types.all(t, (!t.startsWith('image/') || (has(self.kinds) ? 'Image' in self.kinds : true)) && (!t.startsWith('audio/') || (has(self.kinds) ? 'Audio' in self.kinds : true)) && (!t.startsWith('video/') || (has(self.kinds) ? 'Video' in self.kinds : false)))",message="types narrows kinds: for types of image/, audio/ and video/ kinds has to hold Image, Audio and Video (default: Image, Audio and Tensor)"
// +kubebuilder:validation:XValidation:rule="!has(self.kinds) || !has(self.types) || size(self.types) == 0 || self.kinds.all(k, (k != 'Image' || self.types.exists(t, t.startsWith('image/'))) && (k != 'Audio' || self.types.exists(t, t.startsWith('audio/'))) && (k != 'Video' || self.types.exists(t, t.startsWith('video/'))))",message="types lists none of a kind that kinds lists, so nothing of that kind would pass: add its types, for example image/png, audio/wav or video/mp4, or take the kind out"
// +kubebuilder:validation:XValidation:rule="!has(self.kinds) || self.kinds.exists(k, k != 'Tensor') || !(has(self.stripMetadata) && self.stripMetadata) && !(has(self.hosts) && size(self.hosts) > 0)",message="stripMetadata and hosts are about images, sound, video and documents, of which kinds holds none: add a kind, or leave them out"
type RouteMedia struct {
	// Kinds of content beside text. Default: Image, Audio and Tensor.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:Enum=Image;Audio;Video;Document;Tensor;Unknown
	Kinds []string `json:"kinds,omitempty"`

	// Types narrow the kinds to media types, for example image/png. Default: all
	// that are understood.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=127
	Types []string `json:"types,omitempty"`

	// PartBytes of one piece. Default: 24Mi.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1073741824
	PartBytes int64 `json:"partBytes,omitempty"`

	// Pixels of one frame. Default: 50,000,000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	Pixels int64 `json:"pixels,omitempty"`

	// Frames of one animation or video. Default: 512 of an image, 18,000 of a
	// video, ten minutes at 30 a second.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000000
	Frames int64 `json:"frames,omitempty"`

	// AllPixels of all frames of one animation or video. Default: 1,000,000,000
	// of an image, 40,000,000,000 of a video, 18,000 frames of 1920 × 1080.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000000000000
	AllPixels int64 `json:"allPixels,omitempty"`

	// Duration of audio and video. Default: 1h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,6}([.][0-9]{1,9})?m)?([0-9]{1,6}([.][0-9]{1,9})?s)?([0-9]{1,6}([.][0-9]{1,9})?ms)?$') && self != '' && duration(self) > duration('0s')",message="is not a duration above zero, for example 24h or 90m"
	Duration *metav1.Duration `json:"duration,omitempty"`

	// Active lets through what a viewer would run: macros and scripts in
	// documents. Default: it is refused.
	// +optional
	Active bool `json:"active,omitempty"`

	// StripMetadata takes out of PNG, JPEG and WebP images what they say beside
	// the picture: places, persons, devices, times, comments, second pictures. How a
	// camera was held stays. Content of another type that carries such is refused.
	// +optional
	StripMetadata bool `json:"stripMetadata,omitempty"`

	// References are ids of what the server keeps, which pass: Files (file_id, vector
	// stores, containers, cached media, voices), Conversations (previous_response_id,
	// conversation, items and sound of earlier answers), Prompts (stored ones). What
	// they stand for was not looked at, and to the server all callers may be one, so
	// that any of them may name what is another's. Default: none pass.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=3
	// +kubebuilder:validation:items:Enum=Files;Conversations;Prompts
	References []string `json:"references,omitempty"`

	// Hosts that content may be fetched from by its address, by https; *.example.com
	// stands for every name below, and a port other than 443 is written behind.
	// Default: an address is refused.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=260
	Hosts []string `json:"hosts,omitempty"`

	// Addresses says what becomes of the address of content on one of the hosts.
	// Inline: the gateway fetches the content, looks at it, and puts it into the
	// message. Pass: the address is judged and passed on; the server behind resolves
	// it anew and follows redirects, and what it gets is not looked at. Default: Inline.
	// +optional
	// +kubebuilder:validation:Enum=Inline;Pass
	Addresses string `json:"addresses,omitempty"`

	// Networks that the hosts may lie in although they are not public, as
	// 10.0.0.0/8. Clouds' metadata services are never reached. Default: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=43
	Networks []string `json:"networks,omitempty"`
}
