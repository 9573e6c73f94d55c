package app

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway"
)

func TestAnEngineIsClosedWhenItsLastSnapshotEnds(t *testing.T) {
	f := firewalls{clock: clock.System{}, log: slog.New(slog.DiscardHandler)}
	compile := func(threshold int32) *gateway.Snapshot {
		t.Helper()
		f.begin()
		if _, _, err := f.of("captioner", &v1alpha1.RouteWAF{Threshold: threshold}); err != nil {
			t.Fatal(err)
		}
		s := new(gateway.Snapshot)
		f.keep(s)
		f.sweep()
		return s
	}
	has := func(n int) {
		t.Helper()
		if len(f.engines) != n {
			t.Errorf("there are %d engines, not %d", len(f.engines), n)
		}
	}
	one := compile(5)
	again := compile(5)
	has(1)
	two := compile(7)
	has(2)
	f.ended(one)
	has(2) // a later snapshot has the same profile, and requests of it are under way
	f.ended(again)
	has(1)
	f.begin() // the process ends
	f.sweep()
	has(1)
	f.ended(two)
	has(0)
}

func TestAnExclusionThatExpiredIsToldAndTheOtherIsNot(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var told strings.Builder
	f := firewalls{clock: clock.At(now), log: slog.New(slog.NewTextHandler(&told, nil))}
	spec := v1alpha1.RouteWAF{Exclusions: []v1alpha1.WAFExclusion{
		{Rule: 942100, Where: "ARGS:q", Until: metav1.NewTime(now.Add(-time.Hour)), Reason: "was mended"},
		{Rule: 941100, Where: "ARGS:q", Until: metav1.NewTime(now.Add(time.Hour)), Reason: "is being mended"},
	}}
	if _, _, err := f.of("captioner", &spec); err != nil {
		t.Fatal(err)
	}
	f.begin()
	f.sweep()
	if s := told.String(); strings.Count(s, "expired") != 1 || !strings.Contains(s, "942100") || strings.Contains(s, "941100") {
		t.Error(s)
	}
}
