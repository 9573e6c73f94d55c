package address

import (
	"net/netip"
	"testing"
)

func BenchmarkAllow(b *testing.B) {
	hosts, err := ParseHosts([]string{"media.example", "*.cdn.example"})
	if err != nil {
		b.Fatal(err)
	}
	public := netip.MustParseAddr("93.184.216.34")
	b.ReportAllocs()
	for b.Loop() {
		h, port, err := ParseHostPort("a.b.cdn.example:443", 0)
		if err != nil || !hosts.Allow(h, port) || !Public(public) {
			b.Fatal(err)
		}
	}
}
