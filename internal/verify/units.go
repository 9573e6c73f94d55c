package verify

import (
	"time"

	"github.com/apexlogic/apex/internal/meter"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/verdict"
)

// The controls that this engine's units are counted under.
const (
	Control      = "verify.image"
	ControlModel = "verify.model"
)

func controlOf(kind verdict.Kind) string {
	if kind == verdict.KindModel {
		return ControlModel
	}
	return Control
}

// LabelTeam is the workload label that units are charged to.
const LabelTeam = "security.apexlogic.com/team"

// units counts the engine's work. Requests to registries and the bytes that came
// are charged to the team that asked, and when several ask for the same at once,
// to the one that asked first.
type units struct{ meter *meter.Meter }

func newUnits(m *meter.Meter) *units { return &units{m} }

// inspected counts a look at evidence, which the first team that asks pays for:
// the others find it in the cache.
func (u *units) inspected(kind verdict.Kind, team string, checked uint64, cpu time.Duration) {
	u.meter.Handle(meter.Key{Control: controlOf(kind), Unit: "signatures", Team: team}).Add(checked)
	u.meter.Handle(meter.Key{Control: controlOf(kind), Unit: "cpu_ns", Team: team}).Add(uint64(max(0, cpu)))
}

// traffic returns what the exchanges for a question are charged to.
func (u *units) traffic(q *verdict.Question) oci.Charge {
	team := q.Labels[LabelTeam]
	requests := u.meter.Handle(meter.Key{Control: controlOf(q.Kind), Unit: "requests", Team: team})
	bytes := u.meter.Handle(meter.Key{Control: controlOf(q.Kind), Unit: "bytes", Team: team})
	return func(n, b int64) {
		requests.Add(uint64(max(0, n)))
		bytes.Add(uint64(max(0, b)))
	}
}

func (u *units) decided(d *verdict.Verdict) {
	u.meter.Handle(meter.Key{
		Control: controlOf(d.Kind), Unit: "verdicts",
		Team: d.Labels[LabelTeam], Workload: d.Where.Object, Decision: d.Decision.String(),
	}).Add(1)
}
