package verify

import (
	"time"

	"github.com/apexlogic/apex/internal/meter"
	"github.com/apexlogic/apex/verdict"
)

// Control is the control that this engine's units are counted under.
const Control = "verify.image"

// LabelTeam is the workload label that units are charged to.
const LabelTeam = "security.apexlogic.com/team"

// units counts the engine's work.
type units struct {
	meter      *meter.Meter
	signatures *meter.Handle
	cpu        *meter.Handle
}

func newUnits(m *meter.Meter) *units {
	return &units{
		meter:      m,
		signatures: m.Handle(meter.Key{Control: Control, Unit: "signatures"}),
		cpu:        m.Handle(meter.Key{Control: Control, Unit: "cpu_ns"}),
	}
}

func (u *units) inspected(checked uint64, cpu time.Duration) {
	u.signatures.Add(checked)
	u.cpu.Add(uint64(max(0, cpu)))
}

func (u *units) decided(d *verdict.Verdict) {
	u.meter.Handle(meter.Key{
		Control: Control, Unit: "verdicts",
		Team: d.Labels[LabelTeam], Workload: d.Where.Object, Decision: d.Decision.String(),
	}).Add(1)
}
