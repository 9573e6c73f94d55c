package release

import (
	"encoding/json"
	"reflect"

	"github.com/apexlogic/apex/internal/gitops"
)

// router is how a kind moves traffic between its revisions: one file, one line in
// the table.
type router struct {
	group, kind string
	// template is the part of a desired body that makes a revision.
	template func(body map[string]any) any
	// free says whether Git leaves the traffic to us: whoever splits it in Git
	// does it by hand.
	free func(body map[string]any) bool
	// stable is the revision that has the traffic, "" when there is none.
	stable func(live map[string]any) string
	// newest is the revision that was made last; ready says whether it can serve,
	// failed why it never will.
	newest func(live map[string]any) (name string, ready bool, failed string)
	// field says how the object's candidate gets that part of the traffic; 0 is
	// all to the stable one.
	field func(o *Moving, percent int32) Field
	// routed is the part, in percent, that the revision is reported to get.
	routed func(live map[string]any, revision string) int64
}

// routers is the table.
func routers() []*router { return []*router{knative(), kserve()} }

// routerOf returns the kind's router, or nil.
func routerOf(id gitops.ID) *router {
	for _, r := range routers() {
		if r.group == id.Group && r.kind == id.Kind {
			return r
		}
	}
	return nil
}

// at returns what the path leads to, nil when it leads nowhere: controllers of
// others write a status.
func at(v any, path ...string) any {
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

func textAt(v any, path ...string) string { s, _ := at(v, path...).(string); return s }

func numberAt(v any, path ...string) int64 {
	switch n := at(v, path...).(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	}
	return 0
}

// seen says whether the status is about the newest spec. One without a
// generation says nothing against it.
func seen(live map[string]any) bool {
	observed := at(live, "status", "observedGeneration")
	return observed == nil || numberAt(observed) == numberAt(live, "metadata", "generation")
}

// condition returns the status and the message of a condition.
func condition(live map[string]any, name string) (status, message string) {
	all, _ := at(live, "status", "conditions").([]any)
	for _, c := range all {
		if textAt(c, "type") == name {
			return textAt(c, "status"), clip(textAt(c, "reason") + " " + textAt(c, "message"))
		}
	}
	return "", ""
}

// share adds up what a revision gets in a list of traffic targets.
func share(targets any, revision string) (percent int64) {
	all, _ := targets.([]any)
	for _, t := range all {
		if textAt(t, "revisionName") == revision {
			percent += numberAt(t, "percent")
		}
	}
	return percent
}

// whole returns the revision that gets all in a list of traffic targets, or "".
func whole(targets any) string {
	all, _ := targets.([]any)
	for _, t := range all {
		if name := textAt(t, "revisionName"); name != "" && share(targets, name) == 100 {
			return name
		}
	}
	return ""
}

func same(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	// Numbers of one value may have two types.
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && string(x) == string(y)
}
