package address

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

func TestHostsAreReadInOneWayOrRefused(t *testing.T) {
	for in, want := range map[string]string{
		"media.example":          "media.example",
		"Media.EXAMPLE":          "media.example",
		"a-1.b2.example":         "a-1.b2.example",
		"xn--mnchen-3ya.example": "xn--mnchen-3ya.example",
		"3com.example":           "3com.example",
		"93.184.216.34":          "93.184.216.34",
		"[2606:2800:220::1]":     "[2606:2800:220::1]",
	} {
		if h, err := ParseHost(in); err != nil || h.String() != want {
			t.Errorf("%q: %v %v, want %s", in, h, err, want)
		}
	}
	for what, in := range map[string]string{
		"nothing":                        "",
		"one decimal number":             "2130706433",
		"octal numbers":                  "0177.0.0.1",
		"hexadecimal numbers":            "0x7f.0x0.0x0.0x1",
		"one hexadecimal number":         "0x7f000001",
		"an empty hexadecimal number":    "127.0.0.0x",
		"fewer than four numbers":        "127.1",
		"a leading zero":                 "010.0.0.1",
		"too large a number":             "256.1.1.1",
		"a name that ends in a number":   "media.1",
		"a name without a dot":           "localhost",
		"a dot at the end":               "media.example.",
		"an empty label":                 "media..example",
		"an underscore":                  "media_1.example",
		"letters beyond ASCII":           "münchen.example",
		"digits beyond ASCII":            "①②⑦.⓪.⓪.①",
		"a full-width dot":               "media。example",
		"an escape":                      "media%2eexample",
		"a user":                         "user@media.example",
		"a zero byte":                    "media.example\x00.evil.example",
		"a space":                        "media .example",
		"a hyphen at the start":          "-media.example",
		"a label that is too long":       strings.Repeat("a", 64) + ".example",
		"a name that is too long":        strings.Repeat("a.", 127) + "example",
		"an IPv6 address without bounds": "2606:2800:220::1",
		"IPv4 in IPv6's form":            "[::ffff:93.184.216.34]",
		"a zone":                         "[fe80::1%eth0]",
		"IPv4 in brackets":               "[93.184.216.34]",
		"a bracket that stays open":      "[2606:2800:220::1",
	} {
		if h, err := ParseHost(in); media.CodeOf(err) != verdict.MediaAddress {
			t.Errorf("%s was read as %v (%v)", what, h, err)
		}
	}
}

func TestOnlyOrdinaryPublicAddressesArePublic(t *testing.T) {
	for _, a := range []string{"93.184.216.34", "8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
		"2606:2800:220::1", "2001:4860:4860::8888", "2a00:1450::1", "2001:200::1", "2003::1", "3ffe::1"} {
		if !Public(netip.MustParseAddr(a)) {
			t.Errorf("%s is an ordinary public address", a)
		}
	}
	for _, a := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "100.100.100.200", "127.0.0.1", "127.255.255.255", "169.254.169.254", "169.254.170.2",
		"172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.0.1", "192.175.48.1",
		"198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16",
		"::", "::1", "::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "100:0:0:1::1", "2001::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:1ff::1",
		"2001:db8::1", "2002:808:808::1", "2620:4f:8000::1", "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "2606:2800:220::1%eth0",
	} {
		if Public(netip.MustParseAddr(a)) {
			t.Errorf("%s is not an ordinary public address", a)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("no address is not a public one")
	}
}

func TestPrivateNetworksOpenOnlyWhatTheyListAndNeverMetadata(t *testing.T) {
	private := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	for a, want := range map[string]bool{"10.1.2.3": true, "127.0.0.1": true, "fd12::1": true,
		"169.254.169.254": false, "0.0.0.0": false, "224.0.0.1": false, "fd00:ec2::254": false, "fe80::1": false, "::ffff:169.254.169.254": false, "64:ff9b::a9fe:a9fe": false, "2002:a9fe:a9fe::1": false} {
		if got := allowed(netip.MustParseAddr(a), private); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
	narrow := private[:1]
	if !allowed(netip.MustParseAddr("10.1.2.3"), narrow) || allowed(netip.MustParseAddr("10.2.2.3"), narrow) {
		t.Error("the list opens what is in it, and nothing beside")
	}
}

func TestAListAllowsWhatIsInItWithItsPort(t *testing.T) {
	hosts, err := ParseHosts([]string{"media.example", "*.cdn.example", "store.example:8443", "93.184.216.34", "[2606:2800:220::1]:444"})
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]bool{
		"media.example:443": true, "MEDIA.example:443": true, "media.example:80": false, "www.media.example:443": false, "xmedia.example:443": false,
		"a.cdn.example:443": true, "a.b.cdn.example:443": true, "cdn.example:443": false, "acdn.example:443": false, "a.cdn.example.evil.example:443": false, "a.cdn.example:444": false,
		"store.example:8443": true, "store.example:443": false,
		"93.184.216.34:443": true, "93.184.216.35:443": false, "[2606:2800:220::1]:444": true, "[2606:2800:220:0::1]:444": true, "[2606:2800:220::1]:443": false,
	} {
		h, port, err := ParseHostPort(in, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := hosts.Allow(h, port); got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
	var none *Hosts
	if none.Allow(Host{Name: "media.example"}, 443) {
		t.Error("no list allows nothing")
	}
}

func TestAListThatSaysTooMuchOrNothingIsAnError(t *testing.T) {
	for what, entry := range map[string]string{
		"everything": "*", "a whole top-level domain": "*.example", "a star in the middle": "a.*.example", "part of a label": "*cdn.example",
		"a port that is none": "media.example:0", "a port with a zero": "media.example:0443", "a signed port": "media.example:+443", "too large a port": "media.example:65536", "no port after the colon": "media.example:",
		"a URL": "https://media.example/", "below an address": "*.93.184.216.34",
	} {
		if _, err := ParseHosts([]string{entry}); err == nil {
			t.Errorf("%s: %q was taken", what, entry)
		}
	}
	if _, err := ParseHosts([]string{"*.media.example"}); err != nil {
		t.Error(err)
	}
}

func TestAPortIsDemandedWhereThereIsNoStandard(t *testing.T) {
	if _, _, err := ParseHostPort("media.example", 0); media.CodeOf(err) != verdict.MediaAddress {
		t.Error(err)
	}
	if _, port, err := ParseHostPort("media.example", 443); err != nil || port != 443 {
		t.Error(port, err)
	}
}

type answers map[string][]string

func (a answers) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	all, ok := a[host]
	if !ok {
		return nil, &net.DNSError{Name: host, IsNotFound: true}
	}
	var out []netip.Addr
	for _, s := range all {
		out = append(out, netip.MustParseAddr(s))
	}
	return out, nil
}

func TestANameIsResolvedWithoutASearchListAndJudgedWhole(t *testing.T) {
	d := Dialer{Resolver: answers{
		"public.example.": {"93.184.216.34", "2606:2800:220::1"}, "mapped.example.": {"::ffff:93.184.216.34"}, "mixed.example.": {"93.184.216.34", "10.0.0.1"},
		"private.example.": {"192.168.1.1"}, "disguised.example.": {"::ffff:127.0.0.1"}, "metadata.example.": {"169.254.169.254"}, "empty.example.": {},
		"many.example.": strings.Split(strings.Repeat("93.184.216.34 ", maxAddresses)+"93.184.216.34", " "),
	}}
	for name, want := range map[string]verdict.Code{
		"public.example": "", "mapped.example": "", "mixed.example": verdict.AddressSpecial, "private.example": verdict.AddressSpecial, "disguised.example": verdict.AddressSpecial,
		"metadata.example": verdict.AddressSpecial, "many.example": verdict.AddressSpecial, "empty.example": verdict.AddressUnresolved, "missing.example": verdict.AddressUnresolved,
	} {
		all, err := d.Resolve(t.Context(), Host{Name: name})
		if want == "" {
			if err != nil || len(all) == 0 || all[0].String() != "93.184.216.34" {
				t.Errorf("%s: %v %v", name, all, err)
			}
		} else if media.CodeOf(err) != want || all != nil {
			t.Errorf("%s: %v %v, want %s", name, all, err, want)
		}
	}
	if _, err := d.Resolve(t.Context(), Host{Addr: netip.MustParseAddr("127.0.0.1")}); media.CodeOf(err) != verdict.AddressSpecial {
		t.Errorf("an address is judged like a name's: %v", err)
	}
	d.Private = []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24")}
	if _, err := d.Resolve(t.Context(), Host{Name: "private.example"}); err != nil {
		t.Errorf("a private network that is listed: %v", err)
	}
}

func TestTheNextAddressIsTriedAndASpecialOneNever(t *testing.T) {
	var tried []string
	down := errors.New("down")
	d := Dialer{Connect: func(_ context.Context, _, address string) (net.Conn, error) {
		tried = append(tried, address)
		if len(tried) == 1 {
			return nil, down
		}
		a, b := net.Pipe()
		b.Close()
		return a, nil
	}}
	all := []netip.Addr{netip.MustParseAddr("93.184.216.34"), netip.MustParseAddr("2606:2800:220::1")}
	conn, err := d.Pinned(t.Context(), all, 443)
	if err != nil || strings.Join(tried, " ") != "93.184.216.34:443 [2606:2800:220::1]:443" {
		t.Fatal(tried, err)
	}
	conn.Close()
	tried = nil
	if _, err := d.Pinned(t.Context(), []netip.Addr{netip.MustParseAddr("127.0.0.1")}, 443); media.CodeOf(err) != verdict.AddressSpecial || tried != nil {
		t.Error(tried, err)
	}
	if _, err := d.Pinned(t.Context(), nil, 443); err == nil {
		t.Error("no address cannot be connected to")
	}
}

// FuzzParseHost holds the reader to net/url and net/netip: what it accepts, they
// read as the same host, and what they take for an address is never a name.
func FuzzParseHost(f *testing.F) {
	for _, s := range []string{"media.example", "93.184.216.34", "[2606:2800:220::1]", "0x7f.1", "[::ffff:1.2.3.4]", "a.b:80", "1.2.3.4.5", "a_b.c", "[fe80::1%25eth0]", "0.0.0.0x1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHost(s)
		if err != nil {
			return
		}
		if (h.Name == "") == (h.Addr == netip.Addr{}) {
			t.Fatalf("%q: %+v is both or neither", s, h)
		}
		u, err := url.Parse("https://" + s + "/x")
		if err != nil || u.Path != "/x" || u.User != nil || u.Port() != "" {
			t.Fatalf("%q: net/url reads something else: %v %v", s, u, err)
		}
		if a, err := netip.ParseAddr(u.Hostname()); (err == nil) != (h.Name == "") || err == nil && a != h.Addr {
			t.Fatalf("%q: net/netip reads %v (%v), we %+v", s, a, err, h)
		}
		if h.Name != "" && h.Name != strings.ToLower(u.Hostname()) {
			t.Fatalf("%q: net/url reads %q, we %q", s, u.Hostname(), h.Name)
		}
		if again, err := ParseHost(h.String()); err != nil || again != h {
			t.Fatalf("%q: %v is not read back: %v %v", s, h, again, err)
		}
	})
}
