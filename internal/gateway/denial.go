package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/apexlogic/apex/internal/gateway/stream"
	"github.com/apexlogic/apex/internal/gateway/trace"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// Denial is the error of a stage that refuses.
type Denial struct {
	Code   verdict.Code
	Detail string
	// Recorded is the detail as it is recorded, without what the caller wrote; "": Detail.
	Recorded string
	// Status of the answer; 0: the one of the code.
	Status int
	// RetryAfter tells when to ask again; 0: not at all.
	RetryAfter time.Duration
}

// Error returns the detail.
func (d *Denial) Error() string { return d.Detail }

// Refuse returns a *Denial with a formatted sentence. The sentence never quotes
// content or credentials.
func Refuse(code verdict.Code, format string, args ...any) error {
	return &Denial{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// denialOf turns any error of a stage into a denial. What is no refusal of ours
// is a failure, and says nothing about itself to the outside.
func denialOf(err error) *Denial {
	if d, ok := errors.AsType[*Denial](err); ok {
		own := *d // its status is filled in
		return &own
	}
	if r, ok := errors.AsType[*media.Refusal](err); ok {
		recorded := media.Refusal{Where: recordedPlace(r.Where), Detail: r.Detail}
		d := &Denial{Code: r.Code, Detail: r.Error(), Recorded: recorded.Error()}
		if r.Code == verdict.BodyMemory { // it is there again when another message has passed
			d.RetryAfter = aMoment
		}
		return d
	}
	if r, ok := errors.AsType[*identity.Refusal](err); ok {
		return &Denial{Code: r.Code, Detail: r.Detail}
	}
	if errors.Is(err, context.DeadlineExceeded) { // who gave the stage's time up for it
		own := *errLate
		return &own
	}
	return &Denial{Code: verdict.GatewayFailed, Detail: "a check could not be made"}
}

// statuses are the answers' status by code. Every code of a request is here;
// others, which answers of a stage cannot have, are 403.
var statuses = map[verdict.Code]int{
	verdict.GatewayNotReady: http.StatusServiceUnavailable,
	verdict.GatewayRecord:   http.StatusServiceUnavailable,
	verdict.GatewayOverdue:  http.StatusServiceUnavailable,
	verdict.RequestProtocol: http.StatusBadRequest,
	verdict.RequestHeader:   http.StatusBadRequest,
	verdict.RequestPath:     http.StatusBadRequest,
	verdict.RequestRoute:    http.StatusNotFound,
	verdict.RequestMethod:   http.StatusMethodNotAllowed,
	verdict.RequestIdentity: http.StatusUnauthorized,
	verdict.PolicyNotReady:  http.StatusServiceUnavailable,
	verdict.AccessStale:     http.StatusServiceUnavailable,
	verdict.AccessInvalid:   http.StatusForbidden,

	verdict.IdentityMalformed:   http.StatusUnauthorized,
	verdict.IdentityUntrusted:   http.StatusUnauthorized,
	verdict.IdentitySignature:   http.StatusUnauthorized,
	verdict.IdentityAudience:    http.StatusUnauthorized,
	verdict.IdentityExpired:     http.StatusUnauthorized,
	verdict.IdentityAmbiguous:   http.StatusUnauthorized,
	verdict.IdentityUnavailable: http.StatusUnauthorized,
	verdict.IdentityRevoked:     http.StatusUnauthorized,
	verdict.BodyMalformed:       http.StatusBadRequest,
	verdict.BodyAmbiguous:       http.StatusBadRequest,
	verdict.BodyOutside:         http.StatusBadRequest,
	verdict.BodyReference:       http.StatusForbidden,
	verdict.BodyLimit:           http.StatusRequestEntityTooLarge,
	verdict.BodyMemory:          http.StatusServiceUnavailable,
	verdict.BodyType:            http.StatusUnsupportedMediaType,
	verdict.BodyEncoding:        http.StatusUnsupportedMediaType,
	verdict.BodyIncomplete:      http.StatusBadRequest,
	verdict.MediaEncoding:       http.StatusBadRequest,
	verdict.MediaKind:           http.StatusUnsupportedMediaType,
	verdict.MediaMismatch:       http.StatusUnsupportedMediaType,
	verdict.FetchFailed:         http.StatusBadRequest,
	verdict.FetchLimit:          http.StatusRequestEntityTooLarge,
	verdict.TensorShape:         http.StatusBadRequest,
	verdict.LimitRate:           http.StatusTooManyRequests,
	verdict.LimitBytes:          http.StatusTooManyRequests,
	verdict.LimitCost:           http.StatusTooManyRequests,
	verdict.LimitTokens:         http.StatusTooManyRequests,
	verdict.LimitConcurrency:    http.StatusTooManyRequests,
	verdict.UpstreamDown:        http.StatusBadGateway,
	verdict.UpstreamIdentity:    http.StatusBadGateway,
	verdict.UpstreamRedirect:    http.StatusBadGateway,
	verdict.AnswerBlocked:       http.StatusBadGateway,
	verdict.AnswerUnchecked:     http.StatusBadGateway,
	verdict.UpstreamTimeout:     http.StatusGatewayTimeout,
	verdict.UpstreamOpen:        http.StatusServiceUnavailable,
	verdict.StreamExpired:       http.StatusUnauthorized,

	// The request was understood, and may not be.
	verdict.GatewayFailed:       http.StatusForbidden,
	verdict.IdentityAttestation: http.StatusForbidden,
	verdict.RequestOrigin:       http.StatusForbidden,
	verdict.RequestModel:        http.StatusForbidden,
	verdict.AccessDenied:        http.StatusForbidden,
	verdict.AccessForbidden:     http.StatusForbidden,
	verdict.AccessFailed:        http.StatusForbidden,
	verdict.WAFBlocked:          http.StatusForbidden,
	verdict.WAFLimit:            http.StatusForbidden,
	verdict.WAFFailed:           http.StatusForbidden,
	verdict.StreamInvalid:       http.StatusForbidden,
	verdict.StreamLimit:         http.StatusForbidden,
	verdict.StreamIdle:          http.StatusForbidden,
	verdict.StreamDrained:       http.StatusForbidden,
	verdict.StreamCredential:    http.StatusForbidden,
	verdict.MediaActive:         http.StatusForbidden,
	verdict.MediaAddress:        http.StatusForbidden,
	verdict.AddressSpecial:      http.StatusForbidden,
	verdict.AddressUnresolved:   http.StatusForbidden,
	verdict.EgressDestination:   http.StatusForbidden,
	verdict.EgressHello:         http.StatusForbidden,
	verdict.EgressLimit:         http.StatusForbidden,
	verdict.AskedBy:             http.StatusForbidden,
	verdict.MessageMalformed:    http.StatusForbidden,
	verdict.MessageSignature:    http.StatusForbidden,
	verdict.MessageStale:        http.StatusForbidden,
	verdict.MessageReplay:       http.StatusForbidden,
	verdict.MessageBusy:         http.StatusForbidden,
	verdict.MessageRefused:      http.StatusForbidden,
	verdict.MessageSealed:       http.StatusForbidden,
	verdict.MediaMalformed:      http.StatusForbidden,
	verdict.MediaPolyglot:       http.StatusForbidden,
	verdict.MediaOpaque:         http.StatusForbidden,
	verdict.MediaLimit:          http.StatusForbidden,
	verdict.MediaMetadata:       http.StatusForbidden,
}

// deny records the refusal, and answers it.
func (x *Exchange) deny(err error) { x.answer(x.refuse(err)) }

// refuse records the refusal, and returns what is answered.
func (x *Exchange) refuse(err error) *Denial {
	d := denialOf(err)
	if d.Status == 0 {
		if d.Status = statuses[d.Code]; d.Status == 0 {
			d.Status = http.StatusForbidden
		}
	}
	x.denied = d.Status
	x.Decision.Allowed, x.Decision.Code, x.Decision.Detail = false, string(d.Code), cmp.Or(d.Recorded, d.Detail)
	// The caller may be gone; the record is made all the same.
	if err := x.record(context.WithoutCancel(x.Request.Context()), true); err != nil {
		d = &Denial{Code: verdict.GatewayRecord, Detail: "the decision could not be recorded", Status: http.StatusServiceUnavailable}
		x.denied = d.Status
	}
	return d
}

// answer writes a denial in the form that clients of the route's API expect.
// Who is not known is told the code and its general meaning only.
func (x *Exchange) answer(d *Denial) {
	message := d.Code.Info().Meaning
	if x.Principal != nil {
		message = d.Detail
	}
	h := x.Writer.Header()
	clear(h)
	if x.trace.In() {
		h.Set(trace.Response, x.trace.Header(0))
	}
	if isCall(x.Request) && x.Request.ProtoMajor == 2 {
		h.Set("X-Request-Id", x.ID)
		stream.DenyCall(x.Writer, callStatus(d.Status), string(d.Code)+": "+message)
		return
	}
	var content any
	if x.Route != nil && x.Route.API == OpenInference {
		content = map[string]any{"error": fmt.Sprintf("%s (%s, request %s)", message, d.Code, x.ID)}
	} else { // the form of the OpenAI API, which serves everybody else as well
		content = map[string]any{"error": map[string]any{"message": message, "type": "apex_denied", "code": d.Code, "param": nil, "request_id": x.ID}}
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Request-Id", x.ID)
	if d.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((d.RetryAfter+time.Second-1)/time.Second)))
	}
	if d.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	switch r := x.Request; {
	case r.ProtoMajor != 1:
	case x.Body == nil && r.ContentLength != 0, inChunks(r): // the rest of the body is not read
		h.Set("Connection", "close")
	case r.Method == http.MethodConnect || r.Header.Get("Upgrade") != "": // what follows may be no request
		h.Set("Connection", "close")
	}
	x.Writer.WriteHeader(d.Status)
	json.NewEncoder(x.Writer).Encode(content)
}
