package controller

import (
	"slices"

	"github.com/apexlogic/apex/internal/kube"
)

// selector is a label selector as the API writes it: matchLabels and
// matchExpressions. An empty one selects everything.
type selector map[string]any

// podsOf returns what selects the Pods that the object runs, nil when nothing does.
func podsOf(o *kube.Object) selector {
	spec, _ := o.Object["spec"].(map[string]any)
	byLabels := func(labels map[string]any) selector {
		if len(labels) == 0 {
			return nil
		}
		return selector{"matchLabels": labels}
	}
	switch kind := o.GroupVersionKind(); kind.Kind {
	case "Pod":
		metadata, _ := o.Object["metadata"].(map[string]any)
		labels, _ := metadata["labels"].(map[string]any)
		return byLabels(labels)
	case "Deployment", "StatefulSet", "DaemonSet", "Job":
		s, _ := spec["selector"].(map[string]any)
		if len(s) == 0 {
			return nil
		}
		return selector(s)
	case "CronJob":
		var at map[string]any = spec
		for _, field := range []string{"jobTemplate", "spec", "template", "metadata", "labels"} {
			at, _ = at[field].(map[string]any)
		}
		return byLabels(at)
	case "Service":
		return byLabels(map[string]any{"serving.knative.dev/service": o.GetName()})
	case "InferenceService":
		return byLabels(map[string]any{"serving.kserve.io/inferenceservice": o.GetName()})
	}
	return nil
}

// labels returns the labels that all of the selected have, and whether they are
// known.
func (s selector) labels() (map[string]string, bool) {
	match, _ := s["matchLabels"].(map[string]any)
	out := make(map[string]string, len(match))
	for k, v := range match {
		out[k], _ = v.(string)
	}
	return out, len(out) > 0
}

// matches says whether a selector selects what has the labels. An operator that
// is not known selects nothing.
func (s selector) matches(labels map[string]string) bool {
	match, _ := s["matchLabels"].(map[string]any)
	for k, v := range match {
		if have, is := labels[k]; !is || have != v {
			return false
		}
	}
	expressions, _ := s["matchExpressions"].([]any)
	for _, e := range expressions {
		x, _ := e.(map[string]any)
		key, _ := x["key"].(string)
		values, _ := x["values"].([]any)
		have, is := labels[key]
		among := slices.Contains(values, any(have))
		switch x["operator"] {
		case "In":
			is = is && among
		case "NotIn":
			is = !is || !among
		case "Exists":
		case "DoesNotExist":
			is = !is
		default:
			is = false
		}
		if !is {
			return false
		}
	}
	return true
}

// mayMatch says whether a selector may select something that has the labels and
// perhaps others.
func (s selector) mayMatch(labels map[string]string) bool {
	match, _ := s["matchLabels"].(map[string]any)
	for k, v := range match {
		if have, is := labels[k]; is && have != v {
			return false
		}
	}
	return true
}

// coveredBy says whether one of the selectors selects what has the labels.
func coveredBy(all []selector, labels map[string]string) bool {
	return slices.ContainsFunc(all, func(s selector) bool { return len(s) > 0 && s.matches(labels) })
}
