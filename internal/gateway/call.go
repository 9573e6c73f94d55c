package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/gateway/stream"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

// isCall reports whether a request is a call of gRPC, by what it says it is.
func isCall(r *http.Request) bool {
	kind := r.Header.Get("Content-Type")
	return kind == "application/grpc" || strings.HasPrefix(kind, "application/grpc+")
}

// callOperation is what a method of the Open Inference Protocol over gRPC does.
// Reflection and grpc.health.v1 are not among them: the protocol has its own
// metadata and its own readiness.
func callOperation(path string) (*Operation, bool) {
	if _, known := stream.Inference()[path]; !known {
		return nil, false
	}
	action := List
	if strings.HasSuffix(path, "Infer") {
		action = Infer
	}
	return &Operation{Action: action, Call: true}, true
}

// openCall reads the first message of a call, which says what is asked for. The
// stages judge it as they do a body.
func (x *Exchange) openCall() error {
	if x.ask != nil {
		return Refuse(verdict.RequestProtocol, "the messages of a call of gRPC are judged where they pass: send it through the gateway")
	}
	c := &stream.Call{Methods: stream.Inference(), Up: x.sentOptions(), Down: x.answerOptions()}
	c.Up.EventBytes, c.Down.EventBytes = min(x.Route.Media.Bytes, maxMessage), maxMessage
	c.Down.Memory = c.Up.Memory
	c.Up.Message = func(b *body.Body) error {
		x.Body = b // it holds until the next message is read, which is when it is passed on
		for i := range b.Parts {
			if err := x.takes(&b.Parts[i]); err != nil {
				return err
			}
		}
		return nil
	}
	connection := http.NewResponseController(x.Writer)
	if within := x.Route.Limits.Body; within > 0 {
		if err := connection.SetReadDeadline(time.Now().Add(within)); err == nil {
			defer connection.SetReadDeadline(time.Time{})
		}
	}
	x.OnEnd(c.Close)
	first, err := c.Open(x.Request)
	if refused, is := errors.AsType[*stream.Cut](err); is {
		d := &Denial{Code: refused.Code, Detail: refused.Detail}
		if d.Code == verdict.StreamLimit { // as of a later message
			d.Status = http.StatusRequestEntityTooLarge
		}
		return d
	}
	if err != nil {
		return Refuse(verdict.BodyIncomplete, "the first message of the call did not come to its end")
	}
	c.Up.Message = x.message
	x.call, x.arrived = c, true
	x.Decision.Bytes = int64(len(first))
	sum := sha256.Sum256(first)
	x.Decision.Body = hex.EncodeToString(sum[:])
	if x.Body == nil {
		x.Body = &body.Body{}
	}
	if x.Operation.Action == List {
		x.Decision.Model = x.Body.Model
		return nil
	}
	return nameModel(x)
}

// forwardCall passes a call of gRPC on, and has every further message judged.
func (x *Exchange) forwardCall() error {
	x.Body = nil // of the first message, whose memory the next one takes
	s := x.Route.server
	defer x.bound()()
	c := x.call
	c.Transport, c.URL, c.Host, c.Header = caller{s, x}, s.upstream.URL, s.upstream.URL.Host, x.handedOn()
	x.Writer = &x.sent
	ctx := x.running.Context()
	up, down := c.Serve(&x.sent, x.Request.WithContext(ctx))
	switch {
	case down.Cut != verdict.UpstreamDown && down.Cut != verdict.UpstreamIdentity:
		x.settle(answers)
	case ctx.Err() == nil:
		x.settle(fails)
	}
	x.ended(up, down)
	return nil
}

// callStatus is the status of gRPC for one of HTTP, by the mapping that its
// clients use.
func callStatus(status int) int {
	switch status {
	case http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusMethodNotAllowed:
		return 3 // INVALID_ARGUMENT
	case http.StatusUnauthorized:
		return 16 // UNAUTHENTICATED
	case http.StatusNotFound:
		return 12 // UNIMPLEMENTED
	case http.StatusTooManyRequests, http.StatusRequestEntityTooLarge:
		return 8 // RESOURCE_EXHAUSTED
	case http.StatusGatewayTimeout:
		return 4 // DEADLINE_EXCEEDED
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return 14 // UNAVAILABLE
	}
	return 7 // PERMISSION_DENIED
}
