package corpus

import "testing"

func TestLookup3GivesThePublishedValues(t *testing.T) {
	for text, want := range map[string]uint32{"": 0xdeadbeef, "Four score and seven years ago": 0x17770551} {
		if got := lookup3(text); got != want {
			t.Errorf("%q: %#x, want %#x", text, got, want)
		}
	}
}
