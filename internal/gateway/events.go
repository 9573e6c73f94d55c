package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/apexlogic/apex/internal/gateway/limit"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// roomyBody is a body that takes memory for what comes.
type roomyBody struct {
	io.Reader
	io.Closer
}

// errServed is returned by the stage that has served the exchange itself.
var errServed = errors.New("the exchange was served")

// arriving is the place of an event until it is judged: then it takes the
// caller's as well.
const arriving = "arriving"

// takeEvent hands what is posted to a route of events to who takes them: the
// identity is in the event itself, and with it the event comes back as an [Ask].
// Until then only the place that it takes is bounded.
func takeEvent(x *Exchange) error {
	r := x.Route
	if r.API != Events || x.ask != nil {
		return nil
	}
	if len(x.Request.Header[ClassHeader]) > 0 { // which is not of the event, and would be lost
		return Refuse(verdict.RequestHeader, "the class of an event is said by its attribute dataclassification, not by the header %s", ClassHeader)
	}
	if n := x.Request.ContentLength; n > 2*r.Media.Bytes {
		return Refuse(verdict.BodyLimit, "the event has %d bytes, allowed are %d of data", n, r.Media.Bytes)
	}
	if most := r.Limits.Total; most > 0 {
		x.bounds = append(x.bounds[:0], limit.Bound{Route: r.Name, Unit: arriving, N: 1, Most: most})
		if err := x.take(); err != nil {
			return err
		}
	}
	// Whose it is nobody knows yet, so its memory is the route's.
	x.memory.Begin(x.gateway.options.Bodies, "route "+r.Name)
	event := x.Request.WithContext(x.traceInto(x.Request.Context()))
	event.Body = roomyBody{x.roomFor(event.Context())(event.Body), event.Body}
	r.Events.ServeHTTP(x.Writer, event)
	return errServed
}

// answerBytes is how much of a receiver's answer is read, so that its connection
// can be used again.
const answerBytes = 64 << 10

// Deliver posts what was judged to the server behind a route. A *media.Refusal
// says that the server refuses it for good; every other error, that it may be
// delivered again.
func (g *Gateway) Deliver(ctx context.Context, r *Route, header http.Header, body []byte) error {
	s := r.server
	to := *s.upstream.URL
	to.Path = r.Path
	if _, ok := s.breaker.enter(&to, g.options.Clock.Now()); !ok {
		return errors.New("the server behind the route is left alone for a moment")
	}
	found := nothing
	defer func() { s.breaker.settle(&to, g.options.Clock.Now(), found) }()
	ctx, cancel := context.WithTimeout(ctx, s.upstream.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header = header
	answer, err := s.transport.RoundTrip(request)
	if err != nil {
		found = fails
		return errors.New("the server behind the route does not answer") // the error could name an address
	}
	io.CopyN(io.Discard, answer.Body, answerBytes)
	answer.Body.Close()
	found = answers
	switch status := answer.StatusCode; {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status == http.StatusNotFound, status == http.StatusConflict:
		return errors.New("the server behind the route asks for it again") // as Knative Eventing reads them
	case status >= 400 && status < 500:
		return media.Refuse(verdict.MessageRefused, "", "the receiver answered %d", status)
	}
	return errors.New("the server behind the route failed")
}
