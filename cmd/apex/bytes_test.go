package main

import "testing"

func TestANumberOfBytesIsReadInItsUnit(t *testing.T) {
	for said, want := range map[string]int64{
		"1": 1, "1024": 1 << 10, "3KiB": 3 << 10, "256MiB": 256 << 20, "1GiB": 1 << 30, "4294967296GiB": 1 << 62,
		"": 0, "0": 0, "0MiB": 0, "-1MiB": 0, "256": 256, "256MB": 0, "256 MiB": 0, "MiB": 0, "1.5GiB": 0, "4294967297GiB": 0, "1MiBMiB": 0,
	} {
		var got int64
		b := byteCount{&got}
		if err := b.Set(said); (err == nil) != (want > 0) || got != want {
			t.Errorf("%q: %d, %v", said, got, err)
		}
		var again int64
		if want > 0 && ((byteCount{&again}).Set(b.String()) != nil || again != want) {
			t.Errorf("%q is shown as %q", said, b.String())
		}
	}
}
