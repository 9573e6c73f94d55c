package advisory_test

import (
	"reflect"
	"sync"
	"testing"

	"github.com/apexlogic/apex/internal/advisory"
	"github.com/apexlogic/apex/internal/fact"
)

func TestAnIndexAnswersManyAtOnceAsItAnswersOne(t *testing.T) {
	lines := []byte(advisoryOf("A", "lib", everything, `"1.0"`, `,"aliases":["CVE-2025-1000"]`) + advisoryOf("B", "lib", everything, "", `,"aliases":["CVE-2025-1000"]`) +
		advisoryOf("C", "other", everything, "", ""))
	packages := []fact.Package{{Ecosystem: "PyPI", Name: "lib", Version: "1.0"}, {Ecosystem: "PyPI", Name: "other", Version: "1.0"}}
	want := indexOf(t, lines).Match(packages)
	x := indexOf(t, lines)
	got := make([][]advisory.Match, 16)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() { got[i] = x.Match(packages) })
	}
	all.Wait()
	for i := range got {
		if !reflect.DeepEqual(got[i], want) {
			t.Errorf("%d: %+v, want %+v", i, got[i], want)
		}
	}
}
