package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/verdict"
)

// RecordAction is the type of the ledger's records of what was done about
// violations: one before, and one after.
const RecordAction = "apex.compliance.action/v1"

// ActionRecord says what is done to something that runs.
type ActionRecord struct {
	Object     string       `json:"object"`
	UID        string       `json:"uid,omitempty"`
	Action     string       `json:"action"` // Isolate, Connect, ScaleToZero, ScaleBack, RollBack
	Phase      string       `json:"phase"`  // Intent, Done, Failed
	Code       verdict.Code `json:"code,omitempty"`
	Detail     string       `json:"detail,omitempty"`
	Generation string       `json:"generation"`
	At         time.Time    `json:"at"`
}

// act brings what is done about violations in a namespace up to date: begins what
// the policies ask for and undoes it where the object complies, is gone, or no
// policy asks for it any more. What cannot be judged stays as it is.
func (b *background) act(ctx context.Context, w *world, j *judged, have []isolation) error {
	set := b.c.set.Load()
	if set.Hash() != j.report.Generation {
		return nil // the next pass is about what is in force by then
	}
	a := acting{background: b, place: w.places[j.namespace], judged: j, demands: demandsOf(set), kept: map[string]bool{}, isolated: map[string]isolation{}}
	var err error
	if a.approvers, err = b.approvers(set); err != nil {
		return err
	}
	for _, i := range have {
		a.isolated[i.name] = i
	}
	for _, s := range j.subjects {
		if s.source != "" && s.pods != nil {
			a.followed = append(a.followed, s.pods)
		}
	}
	var errs error
	// Pods come last: what their controller's action reaches needs none.
	for _, s := range podsLast(j.subjects) {
		if s.stoppedFrom == "" {
			s.stoppedFrom = b.stoppedFrom(s)
		}
		errs = errors.Join(errs, a.one(ctx, s))
	}
	if j.partial {
		return errs
	}
	for _, i := range have {
		if !a.kept[i.name] && !w.unseen[i.object.Kind] {
			errs = errors.Join(errs, b.connect(ctx, i))
		}
	}
	return errs
}

// acting is one namespace's turn.
type acting struct {
	*background
	place     place
	judged    *judged
	demands   demands
	approvers *approvers
	isolated  map[string]isolation // that are there, by name
	kept      map[string]bool      // of those
	covered   []selector           // Pods that are cut off or stopped
	followed  []selector           // Pods of what belongs to a source
}

func (a *acting) one(ctx context.Context, s *subject) error {
	f := a.judged.findings[s.id]
	was, is := a.isolated[isolationName(s.id)]
	switch {
	case f.level == unknown:
		if is {
			a.keep(was.name, s)
		}
		return nil
	case f.level == complies:
		if !is {
			delete(a.acted, s.id)
		}
		return a.restart(ctx, s)
	}
	d := a.due(ctx, s, f, is)
	a.judged.next = verdict.Earliest(a.judged.next, d.next)
	if d.nothing() {
		return a.restart(ctx, s)
	}
	if s.id.Kind.Kind == "Pod" && (coveredBy(a.covered, s.labels) || d.rollBack && coveredBy(a.followed, s.labels)) {
		return nil
	}
	var errs error
	if d.rollBack {
		left, err := a.rollBack(ctx, s, f)
		switch {
		case err == nil && left:
			a.covered = append(a.covered, s.pods)
			if is {
				a.keep(was.name, s) // until it complies
			}
			return nil
		case err == nil: // what is applied complies, and is healed to
		default:
			if _, refused := errors.AsType[refusal](err); !refused {
				if is {
					a.keep(was.name, s) // until it is known what is possible
				}
				return a.failed(ctx, s, err)
			}
			// The next best: stopped where that is possible, cut off elsewhere.
			if _, _, can := stoppable(s.id.Kind.Kind); can {
				d.stop = true
			} else {
				d.isolate = true
			}
			errs = a.failed(ctx, s, err)
		}
	}
	if d.isolate {
		err := a.isolate(ctx, s, f, was, is)
		if err == nil || is {
			a.keep(isolationName(s.id), s)
		}
		errs = errors.Join(errs, a.failed(ctx, s, err))
	}
	if !d.stop {
		return errors.Join(errs, a.restart(ctx, s))
	}
	err := a.stop(ctx, s, f)
	switch {
	case err == nil && s.pods != nil:
		a.covered = append(a.covered, s.pods)
	case err != nil && is:
		a.keep(was.name, s) // better cut off than neither
	}
	return errors.Join(errs, a.failed(ctx, s, err))
}

// keep leaves an isolation where it is.
func (a *acting) keep(name string, s *subject) {
	a.kept[name] = true
	a.covered = append(a.covered, s.pods)
}

// due says what is due about an object that does not comply, and tells a person
// what waits for them.
func (a *acting) due(ctx context.Context, s *subject, f finding, isolated bool) due {
	since, now := a.memory.all[s.id.Namespace][s.id].since, a.c.o.Clock.Now()
	id := violationID(s, f.code, since)
	wrong := ""
	d := a.demands.due(a.judged.violates[s.id], since, now,
		func(action v1alpha1.ViolationAction) bool {
			return action == v1alpha1.ActionIsolate && isolated || action == v1alpha1.ActionScaleToZero && s.stoppedFrom != ""
		},
		func(action v1alpha1.ViolationAction) bool {
			ok, err := a.approvers.approved(s.id.Namespace, a.place.annotations, id, action, now)
			if err != nil {
				wrong = fmt.Sprintf("; the approval of %s that is there does not count: %v", action, err)
			}
			return ok
		})
	if len(d.waits) > 0 {
		a.say(ctx, s.id, s.uid, "ApprovalNeeded", approvalText(s, id, d.waits)+wrong)
	}
	return d
}

func podsLast(all []*subject) []*subject {
	out := make([]*subject, 0, len(all))
	for _, pods := range []bool{false, true} {
		for _, s := range all {
			if (s.id.Kind.Kind == "Pod") == pods {
				out = append(out, s)
			}
		}
	}
	return out
}

// refusal is why an action is not possible, whatever is tried.
type refusal string

func (r refusal) Error() string { return string(r) }

// failed says of an object why nothing is done about it. A refusal is no error of
// the pass: the next one would change nothing.
func (b *background) failed(ctx context.Context, s *subject, err error) error {
	if err == nil {
		return nil
	}
	if r, is := errors.AsType[refusal](err); is {
		b.say(ctx, s.id, s.uid, "ActionRefused", r.Error())
		return nil
	}
	return fmt.Errorf("act on %s: %w", s.id, err)
}

// say makes an Event once, until another one of its reason, or that an action was
// taken back, is said about the object.
func (b *background) say(ctx context.Context, id kube.ID, uid, reason, text string) {
	if len(b.acted) >= maxRemembered {
		clear(b.acted) // the server counts up what is said again
	}
	good := reason == "Connected" || reason == "ScaledBack"
	if b.acted[id] == nil || good && b.acted[id][reason] == "" {
		b.acted[id] = map[string]string{} // what was said before is over
	}
	if said := uid + " " + text; b.acted[id][reason] == said {
		return
	}
	b.acted[id][reason] = uid + " " + text
	warning := !good && reason != "RolledBack"
	b.c.note(ctx, kube.Note{Regarding: id, UID: uid, Warning: warning, Reason: reason, Action: "OnViolation", Text: clip(text)})
}

// doing records the intent, acts, and records what became of it: after a crash in
// between, the next pass finds the cluster as it is and goes on.
func (b *background) doing(ctx context.Context, r ActionRecord, do func() (detail string, err error)) error {
	r.Generation, r.Phase, r.At = b.c.engine.Generation(), "Intent", b.c.o.Clock.Now()
	if err := b.c.engine.Record(ctx, RecordAction, r); err != nil {
		return err // what cannot be proved is not done
	}
	detail, err := do()
	r.Phase, r.Detail, r.At = "Done", detail, b.c.o.Clock.Now()
	if err != nil {
		r.Phase, r.Detail = "Failed", clip(err.Error())
	}
	return errors.Join(err, b.c.engine.Record(ctx, RecordAction, r))
}
