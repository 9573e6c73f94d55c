package rate

import (
	"net/netip"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

func TestANetworkIsOneCallerAndStrangersFillNoMemory(t *testing.T) {
	now := clock.At(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	l := New[netip.Prefix](now, 1)
	take := func(remote string) bool {
		who, ok := Network(remote)
		if ok {
			_, ok = l.Take(who)
		}
		return ok
	}
	for _, tt := range []struct {
		remote string
		ok     bool
	}{
		{"[2001:db8::1]:1", true}, {"[2001:db8::2]:1", false}, {"[2001:db8:0:1::1]:1", true},
		{"192.0.2.1:1", true}, {"[::ffff:192.0.2.1]:2", false}, {"192.0.2.2:1", true}, {"nobody", false},
	} {
		if ok := take(tt.remote); ok != tt.ok {
			t.Errorf("%s: %v", tt.remote, ok)
		}
	}
	for i := range maxCounted {
		l.Take(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32))
	}
	if len(l.full) != maxCounted {
		t.Errorf("%d are counted", len(l.full))
	}
	if take("198.51.100.1:1") {
		t.Error("one more is let in uncounted")
	}
	now.Advance(time.Minute)
	if !take("198.51.100.1:1") {
		t.Error("when the others owe nothing, one more is refused")
	}
}
