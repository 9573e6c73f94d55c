package controller

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/kube"
)

// annotationStopped holds what an object was before it was stopped: a number of
// replicas, or "running". Admission lets nobody but Apex write it, see
// [admission.Steering].
const annotationStopped = admission.AnnotationStopped

// stoppable says which field stops the kind, and to what it is set.
func stoppable(kind string) (path string, value any, ok bool) {
	switch kind {
	case "Deployment", "StatefulSet":
		return "/spec/replicas", int64(0), true
	case "Job", "CronJob":
		return "/spec/suspend", true, true
	}
	return "", nil, false
}

// stop makes the object run nothing, and keeps in it what it was.
func (b *background) stop(ctx context.Context, s *subject, f finding) error {
	path, value, ok := stoppable(s.id.Kind.Kind)
	switch {
	case s.id.Kind.Kind == "Service" || s.id.Kind.Kind == "InferenceService":
		return refusal("it starts again with the next request, since a greatest scale of 0 means no limit to Knative: use Isolate")
	case !ok:
		return refusal("a " + s.id.Kind.Kind + " cannot be scaled to zero: use Isolate, or delete it")
	case s.count == value:
		return nil
	}
	was := s.stoppedFrom // somebody has started it again: what it was at first counts
	if was == "" {
		was = "running"
		if n, counted := s.count.(int64); counted {
			was = strconv.FormatInt(n, 10)
		}
	}
	err := b.doing(ctx, ActionRecord{Object: s.id.String(), UID: s.uid, Action: "ScaleToZero", Code: f.code}, func() (string, error) {
		b.hold(s, was) // before it is stopped: who heals it to Git would start it again
		return "was " + was, b.edit(ctx, s, path, value, was)
	})
	b.recheck(s)
	if errors.Is(err, kube.ErrConflict) {
		return nil // it changed meanwhile: the next pass looks again
	}
	if err == nil {
		b.say(ctx, s.id, s.uid, "ScaledToZero", "it is stopped: "+f.reason)
	}
	return err
}

// restart takes back what stop did. What somebody else has set meanwhile stays.
func (b *background) restart(ctx context.Context, s *subject) error {
	if s.stoppedFrom == "" {
		return nil
	}
	path, stopped, ok := stoppable(s.id.Kind.Kind)
	if !ok {
		return nil
	}
	var back any
	if _, counts := stopped.(int64); counts {
		n, err := strconv.ParseInt(s.stoppedFrom, 10, 32)
		if err != nil || n < 0 {
			return b.failed(ctx, s, refusal("the annotation "+annotationStopped+" does not say how many replicas it had: scale it yourself, and remove the annotation"))
		}
		back = n
	} else {
		back = false
	}
	if s.count != stopped {
		back = nil
	}
	err := b.doing(ctx, ActionRecord{Object: s.id.String(), UID: s.uid, Action: "ScaleBack"}, func() (string, error) {
		b.c.holds.release(s.id) // what Git says counts again
		return "to " + s.stoppedFrom, b.edit(ctx, s, path, back, "")
	})
	if err != nil {
		b.c.holds.hold(s.id) // the next pass does it
	} else {
		b.unhold(s)
	}
	b.recheck(s)
	if errors.Is(err, kube.ErrConflict) {
		return nil
	}
	if err == nil {
		b.say(ctx, s.id, s.uid, "ScaledBack", "it is no longer stopped")
	}
	return err
}

// stoppedFrom is what an object was before it was stopped, when nothing in it says
// so any more.
func (b *background) stoppedFrom(s *subject) string {
	if was := b.memory.all[s.id.Namespace][s.id]; was.uid == s.uid {
		return was.stopped
	}
	return ""
}

// hold remembers that the object is stopped, and keeps it so.
func (b *background) hold(s *subject, was string) {
	if standing, known := b.memory.all[s.id.Namespace][s.id]; known {
		standing.stopped = was
		b.memory.all[s.id.Namespace][s.id] = standing
	}
	b.c.holds.hold(s.id)
}

// unhold forgets it.
func (b *background) unhold(s *subject) {
	if standing, known := b.memory.all[s.id.Namespace][s.id]; known {
		standing.stopped = ""
		b.memory.all[s.id.Namespace][s.id] = standing
	}
}

// recheck tells who heals the object that what is held has changed.
func (b *background) recheck(s *subject) {
	if from, running := b.c.sources.get(s.source); running {
		from.Healer().Recheck(held(s.id))
	}
}

// edit sets the field, unless the value is nil, and the annotation, or removes it
// when it is empty, if the object is still as it was seen.
func (b *background) edit(ctx context.Context, s *subject, path string, value any, stopped string) error {
	type step struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value,omitempty"`
	}
	steps := []step{{"test", "/metadata/resourceVersion", s.version}}
	at := "/metadata/annotations/" + strings.ReplaceAll(annotationStopped, "/", "~1")
	switch {
	case stopped == "" && !s.noted:
	case stopped == "":
		steps = append(steps, step{"remove", at, nil})
	case s.annotated:
		steps = append(steps, step{"add", at, stopped})
	default:
		steps = append(steps, step{"add", "/metadata/annotations", map[string]string{annotationStopped: stopped}})
	}
	if value != nil {
		steps = append(steps, step{"add", path, value})
	}
	patch, err := json.Marshal(steps)
	if err != nil {
		return err
	}
	_, err = b.c.client.Patch(ctx, s.id, complianceManager, patch)
	if errors.Is(err, kube.ErrNotFound) {
		return nil
	}
	return err
}
