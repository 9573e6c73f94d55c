package embedded

import (
	"context"
	"fmt"

	"github.com/apexlogic/apex/internal/gitops"
)

// Healthy judges by what is reported in the object's status: it has to be about
// the present generation, and its condition Ready, Available or Established has
// to be True. An object without a status is healthy unless [Options.Reported]
// says that one is due: nothing here runs what objects describe.
func (s *Store) Healthy(ctx context.Context, o *gitops.Object) (ok bool, why string, err error) {
	live, err := s.Get(ctx, o.ID, o.Version)
	if err != nil {
		return false, "", err
	}
	meta, _ := live.Body["metadata"].(map[string]any)
	if meta["deletionTimestamp"] != nil {
		return false, "it is being deleted", nil
	}
	status, _ := live.Body["status"].(map[string]any)
	if len(status) == 0 {
		if s.reported != nil && s.reported(gitops.Kind{Group: o.Group, Version: o.Version, Kind: o.Kind}) {
			return false, "nothing has reported its status yet", nil
		}
		return true, "", nil
	}
	if observed, ok := status["observedGeneration"].(int64); ok && fmt.Sprint(meta["generation"]) != fmt.Sprint(observed) {
		return false, fmt.Sprintf("its status is about generation %d, it is at %v", observed, meta["generation"]), nil
	}
	conditions, _ := status["conditions"].([]any)
	for _, c := range conditions {
		condition, _ := c.(map[string]any)
		switch condition["type"] {
		case "Ready", "Available", "Established":
			if condition["status"] != "True" {
				return false, fmt.Sprintf("%v is %v: %v %v", condition["type"], condition["status"], text(condition["reason"]), text(condition["message"])), nil
			}
		}
	}
	return true, "", nil
}

// text keeps what others wrote into a status short.
func text(v any) string {
	s, _ := v.(string)
	return s[:min(len(s), 200)]
}
