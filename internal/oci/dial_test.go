package oci

import (
	"errors"
	"net/netip"
	"net/url"
	"testing"

	"github.com/apexlogic/apex/verdict"
)

func TestAddressesThatAreNotPublicAreNotDialled(t *testing.T) {
	g, err := newGuard(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"127.0.0.1", "127.1.2.3", "::1", "0.0.0.0", "::", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
		"100.64.0.1", "100.127.255.255", "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1",
		"fd12:3456::1", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.0.1",
		"192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
		"255.255.255.255", "ff02::1", "2001:db8::1", "3fff::1", "100::1", "2001::1", "5f00::1",
		"::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1", "::ffff:0:10.0.0.1",
		"64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
	} {
		if err := g.check("registry.example", "443", netip.MustParseAddr(text), true); !errors.Is(err, errAddress) {
			t.Errorf("%s: got %v, want a refusal", text, err)
		}
	}
	for _, text := range []string{"1.1.1.1", "140.82.121.33", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2606:4700::1111",
		"::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::1", "2600:1f18::1"} {
		if err := g.check("registry.example", "443", netip.MustParseAddr(text), false); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestWhatAnEntryOfAllowPrivateOpens(t *testing.T) {
	for _, tc := range []struct {
		name, entry, host, port, addr string
		want                          bool
	}{
		{"a CIDR opens its addresses", "10.0.0.0/8", "registry.example", "443", "10.1.2.3", true},
		{"and no others", "10.0.0.0/8", "registry.example", "443", "192.168.0.1", false},
		{"a CIDR opens link-local addresses if it says so", "169.254.0.0/16", "r", "80", "169.254.169.254", true},
		{"a CIDR opens mapped addresses too", "10.0.0.0/8", "r", "443", "::ffff:10.1.2.3", true},
		{"an address opens itself", "10.0.0.5", "10.0.0.5", "5000", "10.0.0.5", true},
		{"whoever asks for it", "10.0.0.5", "registry.example", "443", "10.0.0.5", true},
		{"an IPv6 address opens itself", "[::1]", "::1", "5000", "::1", true},
		{"a host opens itself at any port", "registry.local", "registry.local", "5000", "10.0.0.1", true},
		{"in any case", "Registry.Local", "registry.LOCAL", "5000", "10.0.0.1", true},
		{"and no other host", "registry.local", "registry.local.example", "443", "10.0.0.1", false},
		{"a host with a port opens that port", "registry.local:5000", "registry.local", "5000", "10.0.0.1", true},
		{"and no other port", "registry.local:5000", "registry.local", "443", "10.0.0.1", false},
		{"a host that turns into metadata stays shut", "registry.local", "registry.local", "80", "169.254.169.254", false},
		{"a host that turns into link-local stays shut", "registry.local", "registry.local", "80", "fe80::1", false},
		{"a host that turns into an AWS IPv6 metadata address stays shut", "registry.local", "registry.local", "80", "fd00:ec2::254", false},
		{"an address with a port opens both", "169.254.169.254:80", "169.254.169.254", "80", "169.254.169.254", true},
		{"an address with a port is not opened to a name", "10.0.0.5:80", "registry.example", "80", "10.0.0.5", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, err := newGuard([]string{tc.entry})
			if err != nil {
				t.Fatal(err)
			}
			a := netip.MustParseAddr(tc.addr)
			if err := g.check(tc.host, tc.port, a, true); (err == nil) != tc.want {
				t.Errorf("got %v", err)
			}
			if err := g.check(tc.host, tc.port, a, false); err == nil {
				t.Error("the public transport dials it")
			}
		})
	}
	for _, entry := range []string{"", "http://host", "host/path", "me@host", "*.example", "a b", ":80"} {
		if _, err := New(Options{AllowPrivate: []string{entry}}); err == nil {
			t.Errorf("the entry %q is accepted", entry)
		}
	}
}

// TestAPublicRegistryCannotUseWhatWasOpenedForOthers is about server-side
// request forgery through an allowed private registry.
func TestAPublicRegistryCannotUseWhatWasOpenedForOthers(t *testing.T) {
	client, err := New(Options{AllowPrivate: []string{"10.0.0.0/8"}, PlainHTTP: []string{"10.0.0.5:5000"}})
	if err != nil {
		t.Fatal(err)
	}
	c := client.newCall("test", "test", repository{host: "registry.example"})
	private, _ := url.Parse("https://10.0.0.5/token")

	public := client.hosts.get("registry.example")
	if tr, err := c.hop(public, private); err != nil || tr != client.public {
		t.Errorf("a registry at a public address reaches private ones: %v", err)
	}
	if err := client.guard.check("10.0.0.6", "443", netip.MustParseAddr("10.0.0.6"), true); err != nil {
		t.Fatal(err)
	}
	if tr, err := c.hop(client.hosts.get("10.0.0.6"), private); err != nil || tr != client.open {
		t.Errorf("a private registry does not reach its private token service: %v", err)
	}
	elsewhere, _ := url.Parse("http://10.0.0.7/x")
	if _, err := c.hop(client.hosts.get("10.0.0.6"), elsewhere); CodeOf(c.wrap(err)) != verdict.RegistryAddress {
		t.Errorf("plain HTTP to a host that was not listed: %v", err)
	}
	// The public transport judges for itself, whatever the options open.
	_, err = client.public.DialContext(t.Context(), "tcp", "10.0.0.5:1")
	if !errors.Is(err, errAddress) {
		t.Errorf("got %v", err)
	}
	_, err = client.open.DialContext(t.Context(), "tcp", "localhost:1")
	if !errors.Is(err, errAddress) {
		t.Errorf("a name that resolves to loopback: %v", err)
	}
}
