package gateway

import "time"

// stage looks at one thing about an exchange.
type stage struct {
	name string
	run  func(*Exchange) error
	// budget is how long it may take; what takes longer is denied. byRoute: the
	// route bounds it.
	budget time.Duration
	// ofRoute says that a route may set the budget.
	ofRoute bool
	// passes says that the stage is part of passing the request on, and is left
	// out where somebody else does that.
	passes bool
}

// stages are gone through in this order: what costs little comes first, nothing
// of the body is read before it is known who asks and that they may ask at all,
// and the record stands before the first byte is passed on. What each denies with
// is in the table of docs/gateway.md, which a test holds to this one.
var stages = [...]stage{
	{name: "hygiene", run: hygiene, budget: shortly},
	{name: "route", run: route, budget: shortly},
	{name: "events", run: takeEvent, budget: byRoute},
	{name: "identity", run: authenticate, budget: identityWithin, ofRoute: true},
	{name: "limits", run: admit, budget: shortly, ofRoute: true},
	{name: "body", run: readBody, budget: bodyWithin, ofRoute: true},
	{name: "media", run: judgeMedia, budget: shortly, ofRoute: true},
	{name: "access", run: decide, budget: shortly, ofRoute: true},
	{name: "firewall", run: firewall, budget: firewallWithin, ofRoute: true},
	{name: "content", run: replaceContent, budget: contentWithin, ofRoute: true},
	{name: "unchanged", run: unchanged, budget: shortly},
	{name: "upstream", run: reach, budget: shortly, passes: true},
	{name: "record", run: recordAllowed, budget: recordWithin, ofRoute: true},
	{name: "forward", run: forward, budget: byRoute, passes: true},
}
