package gateway

import (
	"time"

	"github.com/apexlogic/apex/internal/gateway/limit"
	"github.com/apexlogic/apex/verdict"
)

// aMoment is after how long it is worth asking again for a place.
const aMoment = time.Second

// admit holds the request to its limits, before anything of its body is read.
func admit(x *Exchange) error {
	l := &x.Route.Limits
	length := x.Request.ContentLength
	if length > x.Route.Media.Bytes {
		return Refuse(verdict.BodyLimit, "the body has %d bytes, allowed are %d", length, x.Route.Media.Bytes)
	}
	x.bounds = x.bounds[:0]
	x.hold(limit.Requests, 1, l.Requests, time.Minute)
	x.hold(limit.Bytes, length, l.Bytes, time.Minute)
	x.hold(limit.Concurrent, 1, l.Concurrent, 0)
	if l.Total > 0 {
		x.bounds = append(x.bounds, limit.Bound{Route: x.Route.Name, Unit: limit.Concurrent, N: 1, Most: l.Total})
	}
	return x.take()
}

// spend takes what is known of the request's cost once it is read: the bytes of
// a body whose length was not said, the tokens that it is predicted to cost, and
// their price.
func spend(x *Exchange) error {
	l := &x.Route.Limits
	if f := &x.Body.Fields; l.Answer > 0 && f.MaxTokens > l.Answer {
		return Refuse(verdict.LimitTokens, "the answer may have %d tokens, %d are asked for", l.Answer, f.MaxTokens)
	}
	x.bounds = x.bounds[:0]
	if x.Request.ContentLength < 0 {
		x.hold(limit.Bytes, x.Decision.Bytes, l.Bytes, time.Minute)
	}
	t := x.predict()
	x.Decision.Tokens = t
	x.hold(limit.Tokens, plus(t.Input, t.Output), l.Tokens, time.Minute)
	if l.Cost > 0 {
		price := x.Route.Models[x.Decision.Model].Price
		if price == nil {
			return Refuse(verdict.LimitCost, "the route has no price for the model, so its cost cannot be bounded")
		}
		x.hold(limit.Cost, plus(times(t.Input, price.Input), times(t.Output, price.Output)), l.Cost, time.Hour)
	}
	return x.take()
}

// hold adds a bound of the caller; without a limit, or for nothing, there is none.
func (x *Exchange) hold(unit string, n, most int64, per time.Duration) {
	if n > 0 && most > 0 {
		x.bounds = append(x.bounds, limit.Bound{Route: x.Route.Name, Who: x.Principal.ID, Unit: unit, N: n, Most: most, Per: per})
	}
}

// take takes the bounds, all or none.
func (x *Exchange) take() error {
	leave, refused := x.gateway.limits.Take(x.bounds)
	if leave != nil {
		x.OnEnd(leave)
	}
	if refused == nil {
		return nil
	}
	d := &Denial{RetryAfter: max(refused.Wait, time.Millisecond)}
	switch refused.Bound.Unit {
	case limit.Requests:
		d.Code, d.Detail = verdict.LimitRate, "more requests in a minute than the route allows"
	case limit.Bytes:
		d.Code, d.Detail = verdict.LimitBytes, "more bytes in a minute than the route allows"
	case limit.Tokens:
		d.Code, d.Detail = verdict.LimitTokens, "more tokens in a minute than the route allows"
	case limit.Cost:
		d.Code, d.Detail = verdict.LimitCost, "requests of a higher price in an hour than the route allows"
	default:
		d.Code, d.Detail, d.RetryAfter = verdict.LimitConcurrency, "more requests at once than the route allows", aMoment
	}
	return d
}
