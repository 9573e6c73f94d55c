package gateway

import (
	"net/http"
	"time"

	"github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/gateway/bodies"
	"github.com/apexlogic/apex/internal/gateway/limit"
	"github.com/apexlogic/apex/internal/gateway/stream"
	"github.com/apexlogic/apex/internal/gateway/trace"
	"github.com/apexlogic/apex/internal/gateway/waf"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/live"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
)

// Exchange is a request on its way through the stages, with what they found so
// far. It is one goroutine's, and must not be kept once ServeHTTP has returned.
type Exchange struct {
	ID       string
	Began    time.Time
	Snapshot *Snapshot
	Writer   http.ResponseWriter
	Request  *http.Request // its headers were cleaned by the first stage

	Principal *identity.Principal
	Route     *Route
	Operation *Operation // what the path does, by the route's API
	Body      *body.Body // nil for a request without one
	Raw       []byte     // the body as it is passed on
	Decision  Decision   // what is recorded
	Outcome   Outcome    // what is recorded of the answer, once there is one

	gateway  *Gateway
	ask      *Ask // nil: the request came by the front door, and is passed on
	parser   body.Parser
	inspect  body.Inspect // of the gateway, as long as there is time
	buffer   []byte
	memory   bodies.Hold // for all that there is of the message
	fields   []waf.Field
	bounds   []limit.Bound
	started  time.Time                // by the machine's clock
	spent    [maxStages]time.Duration // in each stage
	trace    trace.Context
	denied   int             // the status of a refusal
	reached  int             // the last stage that was begun
	until    time.Time       // when the stage at hand is late; zero: never
	upgrades bool            // it asks for a WebSocket
	call     *stream.Call    // of gRPC, once its first message was read
	passed   bool            // the record stands that it is passed on
	asked    *server         // whose breaker waits to be told
	question *access.Request // that the policies allowed
	permit   *permit         // from when it is passed on
	turns    *turns          // of a session of OpenAI's Realtime API; nil: it is none
	reviews  uint64          // live.Live.Reviews when it began
	sends    int             // how often it was sent to the server behind
	running  *live.Run       // from when it is passed on
	answers  stream.Answers
	sent     sent
	arrived  bool // all of the body is here, or there is none
	releases []func()
	// structure and texts of an answer, while the firewall looks at it.
	structure, texts [][]byte
}

// OnEnd has f called when the exchange is over.
func (x *Exchange) OnEnd(f func()) { x.releases = append(x.releases, f) }

// DecisionSchema is the value of Decision.Schema.
const DecisionSchema = "apex.request/v1"

// Decision is the record of an exchange: who asked for what, what was looked
// at, and what was decided. It holds measures and digests, never content.
type Decision struct {
	Schema     string    `json:"schema"`
	ID         string    `json:"id"`
	At         time.Time `json:"at"`
	Generation string    `json:"generation,omitempty"`
	// Trace is the id of the W3C trace that the request is in, where there are traces.
	Trace   string `json:"trace,omitempty"`
	Allowed bool   `json:"allowed"`
	// Code and Detail of a refusal, and the stage that refused.
	Code   string `json:"code,omitempty"`
	Detail string `json:"detail,omitempty"`
	Stage  string `json:"stage,omitempty"`

	// Door that a question came by; "" for a request that is passed on here.
	Door       string   `json:"door,omitempty"`
	Route      string   `json:"route,omitempty"`
	Principal  string   `json:"principal,omitempty"`
	Method     string   `json:"identityMethod,omitempty"`
	Credential string   `json:"credential,omitempty"`
	Action     string   `json:"action,omitempty"`
	Model      string   `json:"model,omitempty"`
	Digest     string   `json:"modelDigest,omitempty"`
	Class      string   `json:"classification,omitempty"` // as policies saw it
	Policies   []string `json:"policies,omitempty"`
	// Bytes and Body are the length and the digest of the body; see body.Body.Digest.
	Bytes int64  `json:"bytes,omitempty"`
	Body  string `json:"body,omitempty"`
	// Forwarded is the digest of the body that is passed on, where content was
	// put into it or metadata were taken out.
	Forwarded string       `json:"forwarded,omitempty"`
	Parts     []PartRecord `json:"parts,omitempty"`
	WAF       *WAFRecord   `json:"waf,omitempty"`
	// Tokens that the request was predicted to cost.
	Tokens Tokens `json:"tokens,omitzero"`
	// Observed are policies that would have denied, if they counted.
	Observed []string `json:"observed,omitempty"`
}

// OutcomeSchema is the value of Outcome.Schema.
const OutcomeSchema = "apex.request.outcome/v1"

// Outcome is the record of what became of an exchange that was allowed; ID is
// that of its Decision.
type Outcome struct {
	Schema string    `json:"schema"`
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	// Status and Bytes of the answer as the caller got it; 0: none.
	Status int   `json:"status,omitempty"`
	Bytes  int64 `json:"bytes,omitempty"`
	// Milliseconds from the request's first byte to the answer's last.
	Milliseconds int64 `json:"milliseconds"`
	// Attempts at sending it to the server behind, where there was more than one.
	Attempts int `json:"attempts,omitempty"`
	// Code says why there is no answer, or why it was cut.
	Code   string          `json:"code,omitempty"`
	Stream *stream.Summary `json:"stream,omitempty"`
	// Sent is what the caller sent in a WebSocket or a call of gRPC, and TextScore
	// what the firewall makes of the texts of its messages after the first.
	Sent      *stream.Summary `json:"sent,omitempty"`
	TextScore int             `json:"textScore,omitempty"`
	// WAF is what the firewall makes of an answer that came as a whole.
	WAF *WAFRecord `json:"waf,omitempty"`
}

// PartRecord is what a record says of a piece of content.
type PartRecord struct {
	Kind   media.Kind `json:"kind"`
	Type   string     `json:"type,omitempty"`
	Where  string     `json:"where,omitempty"`
	Bytes  int64      `json:"bytes"`
	Digest string     `json:"digest,omitempty"`
	// From is the host that the content was fetched from, or will be.
	From string `json:"from,omitempty"`
	// Forwarded is the digest of what is passed on in its place.
	Forwarded string `json:"forwarded,omitempty"`
}

// WAFRecord is what a record says of the firewall.
type WAFRecord struct {
	// RuleSet is what the numbers of Rules mean: "OWASP_CRS/4.25.0".
	RuleSet string `json:"ruleSet"`
	Score   int    `json:"score"`
	Text    int    `json:"textScore"`
	Rules   []int  `json:"rules,omitempty"`
	// Partial says of an answer that not all of it was looked at.
	Partial bool `json:"partial,omitempty"`
}
