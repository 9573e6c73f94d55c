package admission

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

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

// Guarded is a [Options.Guard] for objects that a source put there: with its
// source in mode deny, nobody but Apex and the cluster's own controllers may
// write one. It is safe for concurrent use.
type Guarded struct {
	// Label whose value names the object's source.
	Label string
	// Denies says whether the source's mode is deny.
	Denies func(source string) bool
	// Users and Groups may write all the same: Apex's own ServiceAccount, and the
	// controllers that work on what was applied (garbage collection, scaling,
	// rollouts). [ControllerGroups] are the usual ones.
	Users, Groups []string
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
func (g *Guarded) Check(_ context.Context, r *Review) string {
	if r.SubResource == "status" || slices.Contains(g.Users, r.User.Name) || slices.Contains(controllerUsers, r.User.Name) ||
		slices.ContainsFunc(r.User.Groups, func(group string) bool { return slices.Contains(g.Groups, group) }) {
		return ""
	}
	for _, object := range [][]byte{r.OldObject, r.Object} {
		source, err := labelOf(object, g.Label)
		if err != nil {
			return "the object's labels cannot be read"
		}
		if source != "" && g.Denies(source) {
			return r.Kind + " " + clip(r.Name, 253) + " belongs to the source " + clip(source, 63) + ", which lets nobody else write it"
		}
	}
	return ""
}

func labelOf(object []byte, label string) (string, error) {
	if object == nil {
		return "", nil
	}
	var o struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(object, &o); err != nil {
		return "", err
	}
	return o.Metadata.Labels[label], nil
}
