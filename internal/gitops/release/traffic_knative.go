package release

// knative is serving.knative.dev/v1 Service: spec.traffic names revisions with
// their percents. Both are named, never "the latest one": a template that somebody
// changes meanwhile gets nothing.
func knative() *router {
	return &router{
		group: "serving.knative.dev", kind: "Service",
		template: func(body map[string]any) any { return at(body, "spec", "template") },
		free: func(body map[string]any) bool {
			targets, _ := at(body, "spec", "traffic").([]any)
			if len(targets) == 0 {
				return true
			}
			latest, _ := at(targets[0], "latestRevision").(bool)
			return len(targets) == 1 && latest && numberAt(targets[0], "percent") == 100 && textAt(targets[0], "tag") == ""
		},
		stable: func(live map[string]any) string {
			if name := whole(at(live, "status", "traffic")); name != "" {
				return name
			}
			return textAt(live, "status", "latestReadyRevisionName")
		},
		newest: func(live map[string]any) (string, bool, string) {
			// Until its controller has seen the new template, this is the old one.
			if at(live, "status", "observedGeneration") == nil || !seen(live) {
				return "", false, ""
			}
			name := textAt(live, "status", "latestCreatedRevisionName")
			if name != "" && name == textAt(live, "status", "latestReadyRevisionName") {
				return name, true, ""
			}
			if status, message := condition(live, "ConfigurationsReady"); status == "False" {
				return name, false, message
			}
			return name, false, ""
		},
		field: func(o *Moving, percent int32) Field {
			target := func(revision string, percent int32) map[string]any {
				return map[string]any{"revisionName": revision, "latestRevision": false, "percent": int64(percent)}
			}
			var targets []any
			if percent < 100 {
				targets = append(targets, target(o.Stable, 100-percent))
			}
			if percent > 0 {
				targets = append(targets, target(o.Candidate, percent))
			}
			return Field{ID: o.ID, Path: "/spec/traffic", Value: targets}
		},
		routed: func(live map[string]any, revision string) int64 {
			if !seen(live) {
				return -1
			}
			return share(at(live, "status", "traffic"), revision)
		},
	}
}
