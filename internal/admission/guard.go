package admission

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// guard answers whether an object that somebody watches over may be written.
func (h *Handler) guard(ctx context.Context, r *Review, _ *scratch) answer {
	if h.o.Guard == nil || r.Operation == "CONNECT" {
		return answer{allowed: true}
	}
	why := h.o.Guard(ctx, r)
	if why == "" {
		return answer{allowed: true}
	}
	a := deny(http.StatusForbidden, why+" ["+string(verdict.AdmissionGuarded)+"]; to mend it: "+verdict.AdmissionGuarded.Info().Mend)
	a.note(auditGeneration, h.o.Generation())
	a.note(auditCode, string(verdict.AdmissionGuarded))
	return a
}

// Guarded is a [Options.Guard] for objects that a source put there: what its
// source has in mode deny, nobody but Apex and the cluster's own controllers may
// write. It is safe for concurrent use.
//
// The scale of a workload is not seen here, because it carries no labels: who
// scales what Git fixes is healed.
type Guarded struct {
	// Label whose value names the object's source.
	Label string
	// Denies says whether the source's mode is deny for whole objects. It decides
	// where Denied is nil.
	Denies func(source string) bool
	// Denied returns the places (JSON pointers, "" for all of it) that the write
	// changes and that the source lets nobody else change; none: it is allowed.
	// The bodies of the write are not to be changed. nil: modes are of sources only.
	Denied func(source string, w Write) []string
	// Writers returns the users as whom Apex writes what the source holds: the
	// ServiceAccount that it impersonates, which API servers name as who asks. They
	// may write the objects of this source, and of no other. nil: none.
	Writers func(source string) []string
	// Users and Groups may write all the same: Apex's own ServiceAccount, and the
	// controllers that work on what was applied (garbage collection, scaling,
	// rollouts). [ControllerGroups] are the usual ones.
	Users, Groups []string
}

// Write is what a request does to an object.
type Write struct {
	Group, Version, Kind string
	Namespace, Name      string
	// Before is nil when the object is made, After when it is deleted. Numbers are
	// as package unstructured of Kubernetes has them: int64 or float64.
	Before, After map[string]any
}

// ControllerGroups returns the groups of those who are part of the cluster
// itself: the ServiceAccounts of kube-system, which are the built-in
// controllers', and nodes. Who can act as one of them owns the cluster.
func ControllerGroups() []string {
	return []string{"system:serviceaccounts:kube-system", "system:nodes"}
}

// controllerUsers are the built-in controllers where they do not have
// ServiceAccounts of their own.
var controllerUsers = []string{"system:kube-controller-manager", "system:kube-scheduler", "system:apiserver"}

// Check implements [Options.Guard]. The label counts whether the object has it
// before the write or after it, so that nobody takes it off first.
//
// What another object controls is not of Git: Knative gives a Configuration all
// labels of its Service. Who controls it keeps it as it is, and whoever would make
// a guarded object look like that has to write it first.
func (g *Guarded) Check(_ context.Context, r *Review) string {
	if r.SubResource == "status" || slices.Contains(g.Users, r.User.Name) || slices.Contains(controllerUsers, r.User.Name) ||
		slices.ContainsFunc(r.User.Groups, func(group string) bool { return slices.Contains(g.Groups, group) }) {
		return ""
	}
	w := Write{Group: r.Group, Version: r.Version, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
	var err error
	if w.Before, err = bodyOf(r.OldObject); err == nil {
		w.After, err = bodyOf(r.Object)
	}
	if err != nil {
		return "the object cannot be read"
	}
	if isControlled(w.Before) || w.Before == nil && isControlled(w.After) {
		return ""
	}
	for _, object := range []map[string]any{w.Before, w.After} {
		source := labelOf(object, g.Label)
		if source == "" || g.Writers != nil && slices.Contains(g.Writers(source), r.User.Name) {
			continue
		}
		what := ""
		if g.Denied == nil {
			if !g.Denies(source) {
				continue
			}
		} else {
			places := g.Denied(source, w)
			if len(places) == 0 {
				continue
			}
			what = placesOf(places)
		}
		return r.Kind + " " + clip(r.Name, 253) + " belongs to the source " + clip(source, 63) + ", which lets nobody else write " + cmp.Or(what, "it")
	}
	return ""
}

// placesOf names the first places for a person; "" for the whole object.
func placesOf(places []string) string {
	const most = 3
	if slices.Contains(places, "") {
		return ""
	}
	text := clip(strings.Join(places[:min(len(places), most)], ", "), maxLine/2)
	if n := len(places) - most; n > 0 {
		text += " and " + strconv.Itoa(n) + " more"
	}
	return text
}

// bodyOf reads an object; nil is none.
func bodyOf(object []byte) (map[string]any, error) {
	if object == nil {
		return nil, nil
	}
	var body map[string]any
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.UseNumber()
	if err := decoder.Decode(&body); err != nil {
		return nil, err
	}
	if body == nil {
		return nil, errors.New("it is not an object")
	}
	if metadata, there := body["metadata"]; there {
		metadata, isMap := metadata.(map[string]any)
		labels, labelled := metadata["labels"]
		if _, areMap := labels.(map[string]any); !isMap || labelled && labels != nil && !areMap {
			return nil, errors.New("its labels are no map")
		}
	}
	return numbers(body).(map[string]any), nil
}

// isControlled says whether another object is the controller of this one.
func isControlled(body map[string]any) bool {
	metadata, _ := body["metadata"].(map[string]any)
	owners, _ := metadata["ownerReferences"].([]any)
	return slices.ContainsFunc(owners, func(owner any) bool {
		o, _ := owner.(map[string]any)
		return o["controller"] == true
	})
}

// numbers turns the numbers of a body into int64 or float64, in place.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, below := range v {
			v[key] = numbers(below)
		}
	case []any:
		for i, below := range v {
			v[i] = numbers(below)
		}
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64() // what is too large is as large as can be
		return f
	}
	return v
}

// labelOf returns the label's value. What is no text belongs to some source, too:
// one that nobody knows.
func labelOf(body map[string]any, label string) string {
	metadata, _ := body["metadata"].(map[string]any)
	labels, _ := metadata["labels"].(map[string]any)
	value, there := labels[label]
	text, isText := value.(string)
	if there && !isText {
		return "?"
	}
	return text
}
