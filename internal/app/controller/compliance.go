package controller

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/verdict"
)

// level is how an object stands. That something could not be judged is neither
// compliance nor a violation: at a door it is a denial, but an outage of a
// registry must not stop what runs.
type level uint8

const (
	unknown level = iota
	denied
	complies
)

func (l level) String() string { return [...]string{"Unknown", "NotCompliant", "Compliant"}[l] }

// finding is how an object stands, and by what.
type finding struct {
	level      level
	code       verdict.Code
	reason     string
	generation string
}

// unanswered says whether a code tells of a question that was not answered, and
// may be later, rather than of the subject.
func unanswered(code verdict.Code) bool {
	switch code {
	case verdict.DeadlineExceeded, verdict.EvidenceDeferred, verdict.Internal, verdict.LedgerClosed, verdict.RuleFailed, verdict.RuleNotGathered,
		verdict.PolicyNotReady, verdict.PolicyInvalid,
		verdict.RegistryUnreachable, verdict.RegistryUnauthorized, verdict.RegistryNotFound, verdict.RegistryLimited, verdict.RegistryAnswer,
		verdict.AdvisoriesMissing, verdict.AdvisoriesInvalid, verdict.InventoryMissing:
		return true
	}
	return false
}

// weigh says what a verdict means for something that runs. That no policy selects
// it counts only where everything has to be selected.
func weigh(v *verdict.Verdict, enforced bool) finding {
	if v.Decision != verdict.Deny || v.Code == verdict.Unselected && !enforced {
		return finding{level: complies}
	}
	f := finding{level: denied, code: v.Code, reason: v.Asked + ": " + string(v.Code) + ": " + v.Reason}
	if !unanswered(v.Code) {
		return f
	}
	for i := range v.Checks {
		c := &v.Checks[i]
		bites := c.Outcome != verdict.Pass && c.Exception == "" && !c.Observed && c.Action == verdict.ActionDeny
		if bites && !unanswered(c.Code) {
			f.code, f.reason = c.Code, v.Asked+": "+string(c.Code)+": "+c.Detail
			return f
		}
	}
	f.level = unknown
	return f
}

// worse returns the finding that decides; the zero one decides nothing. What is
// revoked is said before all else.
func worse(a, b finding) finding {
	switch {
	case a.generation == "" && a.level == unknown && a.code == "":
		return b
	case b.level == denied && (a.level != denied || b.code == verdict.Revoked && a.code != verdict.Revoked):
		return b
	case b.level == unknown && a.level == complies:
		return b
	}
	return a
}

// standing is what is remembered of an object.
type standing struct {
	finding
	uid    string
	source string
	// said is the last level that was established, with its code: what could not
	// be judged for a while is not news when it is judged as before.
	said     level
	saidCode verdict.Code
	since    time.Time // when it stopped complying
	stopped  string    // what it was before it was stopped, "" when it is not
}

// memory is how everything that runs stood when it was last asked about.
type memory struct {
	all   map[string]map[kube.ID]standing // by namespace
	saved string                          // the record that was last loaded or saved
	at    string                          // its version
}

func newMemory() *memory { return &memory{all: map[string]map[kube.ID]standing{}} }

func (m *memory) namespaces() []string { return slices.Sorted(maps.Keys(m.all)) }

// denied returns the objects that were last found not to comply, sorted.
func (m *memory) denied() []kube.ID {
	var ids []kube.ID
	for _, in := range m.all {
		for id, s := range in {
			if s.said == denied {
				ids = append(ids, id)
			}
		}
	}
	slices.SortFunc(ids, compareIDs)
	return ids
}

func compareIDs(a, b kube.ID) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind.Kind, b.Kind.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
}

// change is a difference between how an object stood and how it stands.
type change struct {
	id       kube.ID
	uid      string
	from, to finding
	gone     bool
	// news is set when it is worth an Event: what was established is another.
	news bool
}

// changes returns what differs in a namespace from what is remembered, sorted,
// and the memory as it is afterwards. Objects of kinds that were not seen stay.
func (m *memory) changes(j *judged, unseen map[kube.Kind]bool, at time.Time) ([]change, map[kube.ID]standing) {
	before, after := m.all[j.namespace], map[kube.ID]standing{}
	var out []change
	for _, s := range j.subjects {
		f := j.findings[s.id]
		was, known := before[s.id]
		if !known || was.uid != s.uid {
			// What nobody has heard of complied: only then is it no news.
			was = standing{finding: finding{level: complies}, said: complies}
		}
		now := standing{finding: f, uid: s.uid, source: s.source, said: was.said, saidCode: was.saidCode, since: was.since, stopped: was.stopped}
		if f.level != unknown {
			now.said, now.saidCode = f.level, f.code
		}
		switch {
		case now.said != denied:
			now.since = time.Time{}
		case now.since.IsZero():
			now.since = at.Truncate(time.Second) // what the record keeps
		}
		after[s.id] = now
		if f.level != was.level || f.level != complies && f.code != was.code {
			out = append(out, change{id: s.id, uid: s.uid, from: was.finding, to: f, news: now.said != was.said || now.saidCode != was.saidCode})
		}
	}
	for id, was := range before {
		if _, there := after[id]; there {
			continue
		}
		if unseen[id.Kind] || j.partial {
			after[id] = was
		} else if was.level != complies {
			out = append(out, change{id: id, uid: was.uid, from: was.finding, gone: true})
		}
	}
	slices.SortFunc(out, func(a, b change) int { return compareIDs(a.id, b.id) })
	return out, after
}

// RecordCompliance is the type of the ledger's records of changes of compliance.
const RecordCompliance = "apex.compliance/v1"

// ComplianceRecord says that something that runs came to comply, or no longer does.
type ComplianceRecord struct {
	Object     string       `json:"object"` // "Deployment.apps vision/captioner"
	UID        string       `json:"uid,omitempty"`
	Code       verdict.Code `json:"code"`
	Reason     string       `json:"reason,omitempty"`
	From       string       `json:"from"` // Compliant, NotCompliant, Unknown
	To         string       `json:"to"`   // those, and Gone
	Generation string       `json:"generation"`
	At         time.Time    `json:"at"`
}

// tell records and says what changed. What is recorded is remembered; what could
// not be is recorded by the next pass.
func (b *background) tell(ctx context.Context, w *world, j *judged) error {
	changes, after := b.memory.changes(j, w.unseen, b.c.o.Clock.Now())
	var errs error
	for i := range changes {
		ch := &changes[i]
		r := ComplianceRecord{
			Object: ch.id.String(), UID: ch.uid, Code: cmp.Or(ch.to.code, verdict.OK), Reason: clip(ch.to.reason),
			From: ch.from.level.String(), To: ch.to.level.String(), Generation: j.report.Generation, At: b.c.o.Clock.Now(),
		}
		if ch.gone {
			r.To, r.Code = "Gone", ch.from.code
		}
		if err := b.c.engine.Record(ctx, RecordCompliance, r); err != nil {
			errs = errors.Join(errs, err)
			b.keep(after, j.namespace, ch.id)
			continue
		}
		switch {
		case ch.gone:
			delete(b.acted, ch.id)
			b.c.holds.release(ch.id)
		case !ch.news:
		case ch.to.level == denied:
			b.c.note(ctx, kube.Note{Regarding: ch.id, UID: ch.uid, Warning: true, Reason: "NotCompliant", Action: "Report", Text: clip(ch.to.reason)})
		case ch.to.level == complies:
			b.c.note(ctx, kube.Note{Regarding: ch.id, UID: ch.uid, Reason: "Compliant", Action: "Report", Text: "it complies again"})
		}
	}
	if len(after) == 0 {
		delete(b.memory.all, j.namespace)
	} else {
		b.memory.all[j.namespace] = after
	}
	return errs
}

// keep puts back what was remembered of an object.
func (b *background) keep(after map[kube.ID]standing, namespace string, id kube.ID) {
	if was, known := b.memory.all[namespace][id]; known {
		after[id] = was
		return
	}
	delete(after, id)
}
