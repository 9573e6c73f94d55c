package ledger

import (
	"testing"
	"time"
)

func wantClean(t testing.TB, dir, vkey string) Report {
	t.Helper()
	r, err := Fsck(t.Context(), dir, vkey, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Problems {
		t.Error(p)
	}
	if !r.OK() || t.Failed() {
		t.Fatalf("not clean: %+v", r)
	}
	return r
}
