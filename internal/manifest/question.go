package manifest

import (
	"maps"

	"github.com/apexlogic/apex/verdict"
)

// Question asks whether what the reference names may be used where it stands.
// Labels stand in where the workload lacks them.
func (r *Ref) Question(labels map[string]string) verdict.Question {
	have := r.Labels()
	if len(labels) > 0 {
		have = maps.Clone(labels)
		maps.Copy(have, r.Labels())
	}
	q := verdict.Question{Asked: r.Text, Namespace: r.Namespace, Labels: have, Where: r.Where}
	if r.Kind() == verdict.KindModel {
		q.Kind, q.Asked = verdict.KindModel, r.Model
		if r.Revision != "" {
			q.Asked += "@" + r.Revision // it stands beside the model
		}
	}
	return q
}

// Refused is all of the file that cannot be judged, and is denied therefore:
// references that depend on unknown values, and what cannot be read safely.
func (r *Result) Refused() []verdict.Unresolved {
	out := append([]verdict.Unresolved(nil), r.Unresolved...)
	for i := range r.Problems {
		p := &r.Problems[i]
		out = append(out, verdict.Unresolved{Text: r.File, Where: p.Where, Code: p.Code, Why: p.Why})
	}
	if r.Rejected && len(r.Problems) == 0 {
		out = append(out, verdict.Unresolved{Text: r.File, Where: verdict.Origin{File: r.File}, Code: verdict.ManifestInvalid, Why: "the file cannot be read safely"})
	}
	return out
}
