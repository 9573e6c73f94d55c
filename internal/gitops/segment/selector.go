package segment

import "slices"

// selector is a label selector.
type selector struct {
	labels map[string]string
	terms  []term
}

type term struct {
	key, operator string
	values        []string
}

func readSelector(body map[string]any) selector {
	s := selector{labels: texts(at(body, "matchLabels"))}
	for _, e := range items(body["matchExpressions"]) {
		t := term{}
		t.key, _ = e["key"].(string)
		t.operator, _ = e["operator"].(string)
		values, _ := e["values"].([]any)
		for _, v := range values {
			if text, ok := v.(string); ok {
				t.values = append(t.values, text)
			}
		}
		s.terms = append(s.terms, t)
	}
	return s
}

// matches follows apimachinery's labels.Selector: NotIn and DoesNotExist hold
// for what lacks the key.
func (s *selector) matches(labels map[string]string) bool {
	for k, v := range s.labels {
		if have, ok := labels[k]; !ok || have != v {
			return false
		}
	}
	for _, t := range s.terms {
		have, ok := labels[t.key]
		holds := false
		switch t.operator {
		case "In":
			holds = ok && slices.Contains(t.values, have)
		case "NotIn":
			holds = !ok || !slices.Contains(t.values, have)
		case "Exists":
			holds = ok
		case "DoesNotExist":
			holds = !ok
		}
		if !holds {
			return false
		}
	}
	return true
}

// within reports whether whatever s matches has all the labels. It is sure when
// it says yes; a no may only mean that it cannot be told.
func (s *selector) within(labels map[string]string) bool {
	for k, v := range labels {
		if s.labels[k] == v && v != "" {
			continue
		}
		if !slices.ContainsFunc(s.terms, func(t term) bool {
			return t.key == k && t.operator == "In" && len(t.values) > 0 && !slices.ContainsFunc(t.values, func(x string) bool { return x != v })
		}) {
			return false
		}
	}
	return true
}
