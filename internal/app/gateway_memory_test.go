package app

import (
	"math"
	"testing"
)

func TestMessagesMayHaveHalfOfWhatTheProcessMayHave(t *testing.T) {
	for _, tc := range []struct {
		name      string
		process   int64
		container string
		want      int64
	}{
		{"nothing bounds it", math.MaxInt64, "", mostBodyMemory},
		{"the container has no limit", math.MaxInt64, "max\n", mostBodyMemory},
		{"the container has one", math.MaxInt64, "268435456\n", 128 << 20},
		{"GOMEMLIMIT is lower", 200 << 20, "268435456\n", 100 << 20},
		{"both are high", 1 << 40, "68719476736\n", mostBodyMemory},
	} {
		if got := bodyMemory(tc.process, []byte(tc.container)); got != tc.want {
			t.Errorf("%s: %d, not %d", tc.name, got, tc.want)
		}
	}
	if b := bodyBudget(4 << 20); b.Share() != 1<<20 {
		t.Errorf("one caller may have %d of the 4 MiB that were said", b.Share())
	}
}
