package oci

import "context"

// Charge is told of an HTTP exchange when its body has been read, or when it
// failed: how many requests it was (1: redirects, tokens and retries are
// exchanges of their own) and how many body bytes came. It must be safe for
// concurrent use and must not block.
type Charge func(requests, bytes int64)

type chargeKey struct{}

// ChargeTo returns a context whose exchanges are charged to an owner instead of
// [Options.Meter], so that the two together are all there is. What several
// callers wait for is one exchange: whoever asked first pays for it.
func ChargeTo(ctx context.Context, owner Charge) context.Context {
	return context.WithValue(ctx, chargeKey{}, owner)
}

// charge tells the owner of the context, or else the client's meter.
func (c *Client) charge(ctx context.Context, bytes int64) {
	if owner, ok := ctx.Value(chargeKey{}).(Charge); ok && owner != nil {
		owner(1, bytes)
		return
	}
	c.meter(1, bytes)
}
