package heal

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/gitops"
)

// Holder knows which objects Apex itself has stopped, because what they run no
// longer complies. It answers from its own memory: field managers and annotations
// of the object itself prove nothing, since anybody can write under any name. It is
// asked at every look, by several goroutines at once, and must not wait.
type Holder interface {
	// Held returns JSON pointers to the fields of the object that are held at what
	// stops it, and false when it is not stopped. Only those of [Holdable] count,
	// so that no holder can keep anything but a stop.
	//
	// While it says so, the healer keeps the object stopped, whatever Git, an
	// autoscaler or anybody else says. Whoever changes the answer calls
	// [Healer.Recheck]; what is put back then is no drift and is not reported.
	Held(id gitops.ID) (paths []string, ok bool)
}

// HoldFunc is a function as a [Holder].
type HoldFunc func(gitops.ID) ([]string, bool)

// Held implements [Holder].
func (f HoldFunc) Held(id gitops.ID) ([]string, bool) { return f(id) }

// AnnotationStopped is where whoever stops an object may keep what it was before,
// "3" or "running". It is left alone on a held object, and removed from others.
const AnnotationStopped = "apexlogic.com/stopped-from"

// Holdable returns the field that stops an object of the kind, as a JSON pointer,
// and the value that does; "" when nothing does.
func Holdable(id gitops.ID) (path string, value any) {
	switch (groupKind{id.Group, id.Kind}) {
	case groupKind{"apps", "Deployment"}, groupKind{"apps", "StatefulSet"}:
		return "/spec/replicas", int64(0)
	case groupKind{"batch", "Job"}, groupKind{"batch", "CronJob"}:
		return "/spec/suspend", true
	}
	return "", nil
}

// stopped says whether the holder has stopped the object.
func stopped(by Holder, id gitops.ID) bool {
	path, _ := Holdable(id)
	if by == nil || path == "" {
		return false
	}
	paths, ok := by.Held(id)
	return ok && slices.Contains(paths, path)
}

// stop returns the object with the field in it that stops it. It shares everything
// else with o, which stays as it was.
func stop(o *gitops.Object) *gitops.Object {
	path, value := Holdable(o.ID)
	field := strings.TrimPrefix(path, "/spec/")
	out := *o
	out.Body = maps.Clone(o.Body)
	spec, _ := out.Body["spec"].(map[string]any)
	if spec = maps.Clone(spec); spec == nil {
		spec = map[string]any{}
	}
	spec[field] = value
	out.Body["spec"] = spec
	return &out
}

// atStop says whether the difference is at the field that stops the object.
func atStop(id gitops.ID, f *finding) bool {
	path, _ := Holdable(id)
	return path != "" && len(f.way) == 2 && f.way[0].name == "spec" && "/spec/"+f.way[1].name == path
}

// ofHolder says whether the difference is the note of what a stopped object was.
func ofHolder(f *finding) bool {
	if f.what != Added || len(f.way) < 2 || f.way[0].name != "metadata" || f.way[1].name != "annotations" {
		return false
	}
	if len(f.way) == 3 {
		return f.way[2].name == AnnotationStopped
	}
	all, _ := f.have.(map[string]any) // the first annotation brings the map with it
	_, ok := all[AnnotationStopped]
	return ok && len(all) == 1
}

// Recheck has an object compared again though the target reported no change: what
// its [Holder] says has changed. It returns at once.
func (h *Healer) Recheck(id gitops.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.entries[id]; e != nil {
		e.doubted = true
		h.suspect(e, true)
	}
}

// Holding returns the target as those see it who apply from Git: an object that
// the holder has stopped is applied stopped, so that a commit does not start it for
// a moment.
func Holding(t gitops.Target, by Holder) gitops.Target {
	return holding{t, by}
}

type holding struct {
	gitops.Target
	by Holder
}

// Unwrap implements [gitops.Wrapper].
func (h holding) Unwrap() gitops.Target { return h.Target }

func (h holding) Apply(ctx context.Context, o *gitops.Object, opt gitops.ApplyOptions) (*gitops.Live, error) {
	if stopped(h.by, o.ID) {
		o = stop(o)
	}
	return h.Target.Apply(ctx, o, opt)
}

var (
	_ gitops.Wrapper = holding{}
	_ Holder         = HoldFunc(nil)
)
