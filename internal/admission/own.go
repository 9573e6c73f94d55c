package admission

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/verdict"
)

// ownGroup is the group of Apex's own kinds.
const ownGroup = "security.apexlogic.com"

// validateOwn judges a policy, a trust root or another document of ours with the
// validator that apex policy lint uses, so that both say the same. Names that
// only other documents define are not looked at: they may come later.
func validateOwn(ctx context.Context, r *Review) answer {
	document, err := documentOf(r.Object)
	if err != nil {
		return deny(http.StatusBadRequest, clip("the object cannot be read: "+err.Error(), maxLine))
	}
	set, err := config.Load(ctx, config.Bytes(r.Kind, document))
	if err != nil {
		return deny(http.StatusInternalServerError, clip("the object cannot be validated: "+err.Error(), maxLine))
	}
	a := answer{allowed: true}
	m := message{}
	for _, p := range set.Problems {
		switch {
		case p.Code == verdict.PolicyNotReady:
		case p.Severity == config.Warning:
			a.warn(problem(p))
		default:
			m.line(problem(p))
		}
	}
	if len(m.lines) > 0 {
		a = deny(http.StatusUnprocessableEntity, m.text(r.Kind+" "+clip(r.Name, 253)+" is not valid:"))
		a.note(auditCode, string(verdict.PolicyInvalid))
	}
	return a
}

// problem writes what apex policy lint writes behind the file and the line,
// which an object in a cluster has not.
func problem(p config.Problem) string {
	p.Position = config.Position{}
	return p.String()[len(": "):]
}

// documentOf returns the object as its author wrote it in Git: without what the
// API server and controllers add to it.
func documentOf(object []byte) ([]byte, error) {
	var all, metadata map[string]json.RawMessage
	if err := json.Unmarshal(object, &all); err != nil {
		return nil, err
	}
	delete(all, "status")
	if err := json.Unmarshal(all["metadata"], &metadata); err != nil {
		return nil, err
	}
	kept := map[string]json.RawMessage{}
	for _, key := range []string{"name", "labels", "annotations"} {
		if value, ok := metadata[key]; ok {
			kept[key] = value
		}
	}
	var err error
	if all["metadata"], err = json.Marshal(kept); err != nil {
		return nil, err
	}
	return json.Marshal(all)
}
