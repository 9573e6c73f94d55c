package address

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// What a Dialer does at most for one name. A name with more addresses than
// anybody serves from is an attack on who tries them all.
const (
	maxAddresses = 64
	maxTries     = 3
	resolveTime  = 5 * time.Second
	dialTime     = 5 * time.Second
)

// Resolver finds the addresses of a name; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Dialer resolves names and connects to what they stood for. Its zero value
// uses the system's resolver and connects to public addresses only. It is safe
// for concurrent use once its fields are set.
type Dialer struct {
	Resolver Resolver // nil: the system's
	// Private networks that may be connected to although they are not public.
	// Link-local addresses and the clouds' metadata never may.
	Private []netip.Prefix
	// Connect opens a connection to an address and a port, which are numbers;
	// nil: by TCP.
	Connect func(ctx context.Context, network, address string) (net.Conn, error)
}

// Resolve returns the addresses of a host that may be connected to. When one of
// several may not, none is returned: who answers with a private address beside a
// public one wants the private one to be used.
//
// What comes back is connected to with [Dialer.Pinned]; the name is not asked
// for again, so that a second answer cannot differ from the one that was judged.
func (d *Dialer) Resolve(ctx context.Context, h Host) ([]netip.Addr, error) {
	all := []netip.Addr{h.Addr}
	if h.Name != "" {
		resolver := d.Resolver
		if resolver == nil {
			resolver = net.DefaultResolver
		}
		ctx, cancel := context.WithTimeout(ctx, resolveTime)
		defer cancel()
		found, err := resolver.LookupNetIP(ctx, "ip", h.Name+".") // the dot keeps the search list out
		if err != nil || len(found) == 0 {
			return nil, media.Refuse(verdict.AddressUnresolved, "", "the name of the host could not be resolved")
		}
		if len(found) > maxAddresses {
			return nil, media.Refuse(verdict.AddressSpecial, "", "the host has %d addresses, at most %d are looked at", len(found), maxAddresses)
		}
		all = make([]netip.Addr, len(found))
		for i, a := range found {
			all[i] = a.Unmap() // resolvers return IPv4 addresses in either form
		}
	}
	for _, a := range all {
		if !allowed(a, d.Private) {
			return nil, media.Refuse(verdict.AddressSpecial, "", "the host has an address that is not public")
		}
	}
	return all, nil
}

// Pinned connects to the first of the addresses that answers. They are judged
// again, so that no caller can bring one that Resolve did not return.
func (d *Dialer) Pinned(ctx context.Context, all []netip.Addr, port uint16) (net.Conn, error) {
	connect := d.Connect
	if connect == nil {
		connect = (&net.Dialer{}).DialContext
	}
	failure := errors.New("there is no address to connect to")
	for _, a := range all[:min(len(all), maxTries)] {
		if !allowed(a, d.Private) {
			return nil, media.Refuse(verdict.AddressSpecial, "", "the host has an address that is not public")
		}
		try, cancel := context.WithTimeout(ctx, dialTime)
		conn, err := connect(try, "tcp", netip.AddrPortFrom(a, port).String())
		cancel()
		if err == nil {
			return conn, nil
		}
		failure = err
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failure
}
