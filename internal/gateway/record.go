package gateway

import (
	"context"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// maxSegment is how long a key may be to be recorded.
const maxSegment = 32

// recordedPlace is a pointer without the keys that are more than a short name: a
// caller may write anything there, and a record holds no content.
func recordedPlace(pointer string) string {
	if pointer == "" {
		return ""
	}
	segments := strings.Split(pointer[1:], "/")
	for i, s := range segments {
		if len(s) > maxSegment || !plain([]byte(strings.NewReplacer("[", "", "]", "").Replace(s))) {
			segments[i] = "?"
		}
	}
	return "/" + strings.Join(segments, "/")
}

// recordAllowed keeps that the request is passed on, before it is.
func recordAllowed(x *Exchange) error {
	x.Decision.Allowed = true
	if err := x.record(x.Request.Context(), false); err != nil {
		return err
	}
	x.passed = true
	x.copyAnswer()
	return nil
}

// record keeps the decision. One that cannot be kept denies: what is not
// recorded did not happen by the rules.
func (x *Exchange) record(ctx context.Context, durable bool) error {
	within := recordWithin
	if x.Route != nil {
		within = x.Route.perRecord
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := x.keep(ctx, durable); err != nil {
		x.gateway.options.Log.Error("a decision was not recorded", "request", x.ID, "error", err)
		return &Denial{Code: verdict.GatewayRecord, Detail: "the decision could not be recorded"}
	}
	if x.Route != nil {
		x.Route.Units.count(x)
	}
	return nil
}

// keep keeps the decision by itself, or together with others where strangers come
// too fast.
func (x *Exchange) keep(ctx context.Context, durable bool) error {
	s := x.gateway.strangers
	if s == nil || x.Decision.Allowed || !x.stranger() || s.alone(x.Request.RemoteAddr, x.Began) {
		return x.gateway.options.Recorder.Record(ctx, &x.Decision, durable)
	}
	return s.record(ctx, &x.Decision)
}

// recordOutcome keeps what became of the exchange, if it was allowed.
func (x *Exchange) recordOutcome() {
	if !x.passed {
		return
	}
	o := &x.Outcome
	now := x.gateway.options.Clock.Now()
	o.Schema, o.ID, o.At = OutcomeSchema, x.ID, now
	o.Status, o.Bytes, o.Milliseconds = x.sent.status, x.sent.bytes, now.Sub(x.Began).Milliseconds()
	if up, down := o.Sent, o.Stream; up != nil && down != nil { // messages, without what frames them
		o.Bytes = down.Bytes
		x.Route.Units.Bytes.Add(uint64(up.Bytes))
		x.Route.Units.Parts.Add(uint64(up.Parts))
	}
	x.Route.Units.Answered.Add(uint64(o.Bytes))
	// The caller may be gone; the record is made all the same.
	if err := x.gateway.options.Recorder.Outcome(context.WithoutCancel(x.Request.Context()), o); err != nil {
		x.gateway.options.Log.Error("an outcome was not recorded", "request", x.ID, "error", err)
	}
}
