package advisory_test

import (
	"testing"

	"github.com/apexlogic/apex/internal/advisory"
	"github.com/apexlogic/apex/internal/fact"
)

func TestRealAdvisoriesOfARealEnvironment(t *testing.T) {
	x := advisory.New(realSnapshot(t))
	t.Log(len(x.Snapshot().Bytes()))
	ms := x.Match([]fact.Package{{Ecosystem: "PyPI", Name: "Torch", Version: "2.6.0+cu124"}, {Ecosystem: "PyPI", Name: "ray", Version: "2.40.0"}, {Ecosystem: "Go", Name: "stdlib", Version: "go1.22.1"}})
	for _, m := range ms {
		t.Logf("%s %s %s %v %s %v fixed %s kev %v epss %v %v", m.Target.Name, m.Status, m.Group, m.IDs, m.Severity.Level, m.Severity.Score, m.Fixed, m.Exploited != nil, m.EPSS, m.Notes)
	}
}
