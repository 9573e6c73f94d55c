package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/verdict"
)

// What a person says on a namespace about what runs there and no longer complies.
const (
	// labelOnViolation is report (the default), isolate or scaleToZero.
	labelOnViolation = "apexlogic.com/on-violation"
	// labelApproval with the value required makes actions wait for annotationApproved.
	labelApproval = "apexlogic.com/on-violation-approval"
	// annotationApproved names the generation under which actions may begin. What
	// has begun goes on until the object complies: a newer policy that has to be
	// approved again must not connect what was cut off.
	annotationApproved = "apexlogic.com/approved"
)

// The actions, as the label names them in lower case.
const (
	actReport  = "report"
	actIsolate = "isolate"
	actStop    = "scaletozero"
)

// RecordAction is the type of the ledger's records of what was done about
// violations: one before, and one after.
const RecordAction = "apex.compliance.action/v1"

// ActionRecord says what is done to something that runs.
type ActionRecord struct {
	Object     string       `json:"object"`
	UID        string       `json:"uid,omitempty"`
	Action     string       `json:"action"` // Isolate, Connect, ScaleToZero, ScaleBack
	Phase      string       `json:"phase"`  // Intent, Done, Failed
	Code       verdict.Code `json:"code,omitempty"`
	Detail     string       `json:"detail,omitempty"`
	Generation string       `json:"generation"`
	At         time.Time    `json:"at"`
}

// wish is what a person wants to be done in a namespace.
type wish struct {
	action string
	waits  string // why actions may not begin
}

func wishOf(p place, generation string) (wish, error) {
	w := wish{action: cmp.Or(labelOf(p, labelOnViolation), actReport)}
	switch w.action {
	case actReport, actIsolate, actStop:
	default:
		return wish{action: actReport}, fmt.Errorf("the label %s is %q: write report, isolate or scaleToZero; until then violations are reported", labelOnViolation, p.labels[labelOnViolation])
	}
	if p.labels[labelApproval] != "" && p.annotations[annotationApproved] != generation {
		w.waits = fmt.Sprintf("it waits for a person's approval: annotate the namespace with %s=%s", annotationApproved, generation)
	}
	return w, nil
}

// act brings what is done about violations in a namespace up to date: begins it
// where it is wanted and undoes it where the object complies, is gone, or nobody
// wants it any more. What cannot be judged stays as it is.
func (b *background) act(ctx context.Context, w *world, j *judged, have []isolation) error {
	p := w.places[j.namespace]
	wanted, err := wishOf(p, j.report.Generation)
	if err != nil {
		b.say(ctx, kube.ID{Kind: namespaceKind, Name: j.namespace}, "", "ActionRefused", err.Error())
	} else {
		delete(b.acted, kube.ID{Kind: namespaceKind, Name: j.namespace})
	}
	var errs error
	covered := []selector{}
	kept := map[string]bool{}
	isolated := map[string]isolation{}
	for _, i := range have {
		isolated[i.name] = i
	}
	// Pods come last: what their controller's action reaches needs none.
	for _, s := range podsLast(j.subjects) {
		f := j.findings[s.id]
		was, is := isolated[isolationName(s.id)]
		if f.level == unknown && is {
			kept[was.name] = true
			covered = append(covered, s.pods)
			continue
		}
		if f.level != denied {
			if f.level == complies {
				errs = errors.Join(errs, b.restart(ctx, s))
				if !is {
					delete(b.acted, s.id)
				}
			}
			continue
		}
		switch {
		case wanted.action == actReport:
			errs = errors.Join(errs, b.restart(ctx, s))
		case wanted.waits != "" && (wanted.action == actIsolate && !is || wanted.action == actStop && s.stoppedFrom == ""):
			b.say(ctx, s.id, s.uid, "ApprovalNeeded", wanted.waits)
		case wanted.action == actIsolate:
			if s.id.Kind.Kind == "Pod" && coveredBy(covered, s.labels) {
				continue
			}
			why := b.isolate(ctx, s, f, was, is)
			if why == nil || is {
				kept[isolationName(s.id)], covered = true, append(covered, s.pods)
			}
			errs = errors.Join(errs, b.failed(ctx, s, why))
			if why == nil {
				errs = errors.Join(errs, b.restart(ctx, s))
			}
		case wanted.action == actStop:
			if s.id.Kind.Kind == "Pod" && coveredBy(covered, s.labels) {
				continue
			}
			why := b.stop(ctx, s, f)
			switch {
			case why == nil && s.pods != nil:
				covered = append(covered, s.pods)
			case why != nil && is:
				kept[was.name] = true // better cut off than neither
			}
			errs = errors.Join(errs, b.failed(ctx, s, why))
		}
	}
	if j.partial {
		return errs
	}
	for _, i := range have {
		if !kept[i.name] && !w.unseen[i.object.Kind] {
			errs = errors.Join(errs, b.connect(ctx, i))
		}
	}
	return errs
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

// say makes an Event once, until something else is said about the object.
func (b *background) say(ctx context.Context, id kube.ID, uid, reason, text string) {
	said := uid + " " + reason + " " + text
	if b.acted[id] == said {
		return
	}
	if len(b.acted) >= maxRemembered {
		clear(b.acted) // the server counts up what is said again
	}
	b.acted[id] = said
	warning := reason != "Connected" && reason != "ScaledBack"
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
