package gateway

import "github.com/apexlogic/apex/internal/meter"

// Units count what a route's requests are and cost, each for the route's owner.
// A nil handle counts nothing.
type Units struct {
	Allowed, Denied *meter.Handle // requests
	Bytes           *meter.Handle // of bodies that were looked at
	Parts           *meter.Handle // pieces of content
	Fetched         *meter.Handle // bytes of content that stood at an address
	Input, Output   *meter.Handle // tokens that requests were predicted to cost
	Answered        *meter.Handle // bytes of answers
	Resent          *meter.Handle // requests that were sent to the server once more
	Withheld        *meter.Handle // answers, by the firewall
	Nanoseconds     *meter.Handle // from the first byte to the decision
	// Stages count the nanoseconds spent in each of them, in the order of
	// StageNames; the last one's hold the server's own time. None: nothing is counted.
	Stages []*meter.Handle
}

// maxStages is room for the stages that there are.
const maxStages = 16

// StageNames are the stages in their order.
func StageNames() []string {
	names := make([]string, len(stages))
	for i := range stages {
		names[i] = stages[i].name
	}
	return names
}

// chargeStages adds what each stage took, once there is a route to charge it to.
func (x *Exchange) chargeStages() {
	if x.Route == nil {
		return
	}
	for i, h := range x.Route.Units.Stages {
		if x.spent[i] > 0 {
			h.Add(uint64(x.spent[i]))
		}
	}
}

// count adds an exchange that was decided about.
func (u *Units) count(x *Exchange) {
	if x.Decision.Allowed {
		u.Allowed.Add(1)
	} else {
		u.Denied.Add(1)
	}
	u.Bytes.Add(uint64(x.Decision.Bytes))
	u.Parts.Add(uint64(len(x.Decision.Parts)))
	u.Input.Add(uint64(x.Decision.Tokens.Input))
	u.Output.Add(uint64(x.Decision.Tokens.Output))
	u.Nanoseconds.Add(uint64(max(0, x.gateway.options.Clock.Now().Sub(x.Began))))
}
