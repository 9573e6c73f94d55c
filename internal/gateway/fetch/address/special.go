package address

import "net/netip"

// special4 are the IPv4 addresses of the IANA registry that are not ordinary
// public ones, with those that are public by number but a cloud's own inside.
var special4 = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
	"192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"224.0.0.0/4", "240.0.0.0/4",
	"168.63.129.16/32", // Azure's wire server
)

// special6 are the special addresses within global6. Everything outside of it
// is special too: NAT64 (64:ff9b::/96), IPv4 in IPv6's form, unique local, link
// local and multicast addresses, and what nobody was given.
var (
	global6  = netip.MustParsePrefix("2000::/3")
	special6 = prefixes(
		"2001::/23",         // protocol assignments: Teredo, ORCHID, benchmarks
		"2001:db8::/32",     // documentation
		"2002::/16",         // 6to4 carries any IPv4 address
		"2620:4f:8000::/48", // AS112
		"3fff::/20",         // documentation
	)
)

// never are the addresses that no list of private networks opens: unspecified,
// link local (where clouds answer with credentials), multicast, and the clouds'
// own.
var never = prefixes(
	"0.0.0.0/8", "169.254.0.0/16", "192.0.0.192/32", "168.63.129.16/32", "100.100.100.200/32", "224.0.0.0/4", "240.0.0.0/4",
	"::/128", "fe80::/10", "fd00:ec2::/32", "fd20:ce::/32", "ff00::/8", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32",
)

func prefixes(all ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(all))
	for i, s := range all {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// Public reports whether an address is an ordinary public one: in none of the
// registries' special ranges, and no other address in disguise.
func Public(a netip.Addr) bool {
	switch {
	case !a.IsValid() || a.Zone() != "":
		return false
	case a.Is4():
		return !within(special4, a)
	}
	return global6.Contains(a) && !within(special6, a)
}

// allowed reports whether an address may be connected to: a public one, or one
// of a private network that is listed.
func allowed(a netip.Addr, private []netip.Prefix) bool {
	return Public(a) || a.IsValid() && a.Zone() == "" && within(private, a) && !within(never, a)
}

func within(all []netip.Prefix, a netip.Addr) bool {
	for _, p := range all {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
