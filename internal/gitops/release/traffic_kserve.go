package release

import "maps"

// kserve is serving.kserve.io/v1beta1 InferenceService: canaryTrafficPercent is
// the part of the newest revision of the predictor, the rest goes to the one that
// had all of it last; 0 is the way back.
func kserve() *router {
	const percentField = "canaryTrafficPercent"
	part := func(live map[string]any, name string) string {
		return textAt(live, "status", "components", "predictor", name)
	}
	traffic := func(live map[string]any) any { return at(live, "status", "components", "predictor", "traffic") }
	return &router{
		group: "serving.kserve.io", kind: "InferenceService",
		template: func(body map[string]any) any {
			predictor, _ := at(body, "spec", "predictor").(map[string]any)
			predictor = maps.Clone(predictor)
			delete(predictor, percentField)
			return predictor
		},
		free: func(body map[string]any) bool { return at(body, "spec", "predictor", percentField) == nil },
		stable: func(live map[string]any) string {
			if name := part(live, "latestRolledoutRevision"); name != "" {
				return name
			}
			if name := whole(traffic(live)); name != "" {
				return name
			}
			return part(live, "latestReadyRevision")
		},
		newest: func(live map[string]any) (string, bool, string) {
			if !seen(live) {
				return "", false, ""
			}
			name := part(live, "latestCreatedRevision")
			if name != "" && name == part(live, "latestReadyRevision") {
				return name, true, ""
			}
			switch s := textAt(live, "status", "modelStatus", "transitionStatus"); s {
			case "BlockedByFailedLoad", "InvalidSpec":
				return name, false, s + " " + clip(textAt(live, "status", "modelStatus", "lastFailureInfo", "message"))
			}
			return name, false, ""
		},
		field: func(o *Moving, percent int32) Field {
			return Field{ID: o.ID, Path: "/spec/predictor/" + percentField, Value: int64(percent)}
		},
		routed: func(live map[string]any, revision string) int64 {
			if !seen(live) {
				return -1
			}
			return share(traffic(live), revision)
		},
	}
}
