package rightsize

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/function/stack"
)

// Access is one allowed request to a Kubernetes API server.
type Access struct {
	Time      time.Time
	User      string // "system:serviceaccount:vision:captioner"
	Verb      string
	Group     string // "" for the core group
	Resource  string // "pods", "pods/log"; "" for a path
	Namespace string
	Name      string // "" for lists
	URL       string // of a request that is not for a resource
}

// Audit reads events of audit.k8s.io/v1, one a line. Only those of the last
// stage count, and only those that the authorizer allowed.
func Audit(r io.Reader, each func(Access)) error {
	err := lines(r, func(line []byte) error {
		var e struct {
			Stage      string    `json:"stage"`
			Verb       string    `json:"verb"`
			RequestURI string    `json:"requestURI"`
			Time       time.Time `json:"requestReceivedTimestamp"`
			User       struct {
				Username string `json:"username"`
			} `json:"user"`
			ObjectRef *struct {
				Resource    string `json:"resource"`
				Subresource string `json:"subresource"`
				APIGroup    string `json:"apiGroup"`
				Namespace   string `json:"namespace"`
				Name        string `json:"name"`
			} `json:"objectRef"`
			ResponseStatus struct {
				Code int `json:"code"`
			} `json:"responseStatus"`
			Annotations map[string]string `json:"annotations"`
		}
		if err := audit.Unmarshal(line, &e); err != nil {
			return err
		}
		if e.Verb == "" || e.User.Username == "" {
			return errors.New("no verb or user: it is no audit event")
		}
		if e.Stage != "ResponseComplete" || e.ResponseStatus.Code == 403 || e.ResponseStatus.Code == 401 || e.Annotations["authorization.k8s.io/decision"] == "forbid" {
			return nil
		}
		a := Access{Time: e.Time, User: e.User.Username, Verb: e.Verb}
		if o := e.ObjectRef; o != nil {
			a.Group, a.Resource, a.Namespace, a.Name = o.APIGroup, o.Resource, o.Namespace, o.Name
			if o.Subresource != "" {
				a.Resource += "/" + o.Subresource
			}
		} else {
			a.URL, _, _ = strings.Cut(e.RequestURI, "?")
		}
		each(a)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read audit log: %w", err)
	}
	return nil
}

// audit lets the objects of requests have any keys.
var audit = bounded.Rules{Depth: maxDepth, FreeMaps: []string{"annotations", "labels", "requestObject", "responseObject", "data"}}

// ShrinkRBAC narrows the rules of a role to what was observed of those who are
// bound to it. Verbs are kept by resource; the names and URLs of rules stay. It
// never widens: every new rule lies within one of the old.
func ShrinkRBAC(rules []stack.RBACRule, observed []Access) (narrowed []stack.RBACRule, replayed int, err error) {
	for i := range rules {
		narrowed = append(narrowed, shrinkRule(&rules[i], observed)...)
	}
	for _, a := range observed {
		if !slices.ContainsFunc(rules, func(r stack.RBACRule) bool { return permits(&r, a) }) {
			continue // something else allows it
		}
		if !slices.ContainsFunc(narrowed, func(r stack.RBACRule) bool { return permits(&r, a) }) {
			return nil, replayed, fmt.Errorf("%w: %s %s", ErrLoses, a.Verb, a.Resource)
		}
		replayed++
	}
	for i := range narrowed {
		if !slices.ContainsFunc(rules, func(o stack.RBACRule) bool { return holds(&o, &narrowed[i]) }) {
			return nil, replayed, fmt.Errorf("%w: %v", ErrWidens, narrowed[i].Resources)
		}
	}
	return narrowed, replayed, nil
}

func shrinkRule(r *stack.RBACRule, observed []Access) []stack.RBACRule {
	type thing struct{ group, resource string }
	verbs := map[thing][]string{}
	var paths []string
	for _, a := range observed {
		switch {
		case !permits(r, a):
		case a.Resource == "":
			paths = append(paths, a.Verb)
		default:
			t := thing{a.Group, a.Resource}
			verbs[t] = append(verbs[t], a.Verb)
		}
	}
	// Resources of a group that were used in the same way share a rule.
	type use struct{ group, verbs string }
	resources := map[use][]string{}
	for t, v := range verbs {
		u := use{t.group, strings.Join(unique(v), ",")}
		resources[u] = append(resources[u], t.resource)
	}
	var out []stack.RBACRule
	for u, list := range resources {
		out = append(out, stack.RBACRule{Where: r.Where, Groups: []string{u.group}, Resources: unique(list), Verbs: strings.Split(u.verbs, ","), Names: r.Names})
	}
	if len(paths) > 0 {
		out = append(out, stack.RBACRule{Where: r.Where, URLs: r.URLs, Verbs: unique(paths)})
	}
	slices.SortFunc(out, func(a, b stack.RBACRule) int {
		return strings.Compare(strings.Join(append(a.Groups, a.Resources...), ","), strings.Join(append(b.Groups, b.Resources...), ","))
	})
	return out
}

func unique(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// permits says whether a rule allows a request, as Kubernetes' RBAC decides.
func permits(r *stack.RBACRule, a Access) bool {
	if !listed(r.Verbs, a.Verb) {
		return false
	}
	if a.Resource == "" {
		return slices.ContainsFunc(r.URLs, func(u string) bool {
			return u == "*" || u == a.URL || strings.HasSuffix(u, "*") && strings.HasPrefix(a.URL, strings.TrimSuffix(u, "*"))
		})
	}
	return listed(r.Groups, a.Group) && onResource(r.Resources, a.Resource) && (len(r.Names) == 0 || slices.Contains(r.Names, a.Name))
}

func listed(list []string, s string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, s)
}

// onResource knows "*/scale", which is that subresource of everything.
func onResource(list []string, s string) bool {
	if listed(list, s) {
		return true
	}
	_, sub, ok := strings.Cut(s, "/")
	return ok && slices.Contains(list, "*/"+sub)
}

// holds says whether the rule n lies within o.
func holds(o, n *stack.RBACRule) bool {
	for _, v := range n.Verbs {
		if !listed(o.Verbs, v) {
			return false
		}
	}
	for _, g := range n.Groups {
		if !listed(o.Groups, g) {
			return false
		}
	}
	for _, r := range n.Resources {
		if !onResource(o.Resources, r) {
			return false
		}
	}
	for _, u := range n.URLs {
		if !slices.Contains(o.URLs, u) {
			return false
		}
	}
	return slices.Equal(o.Names, n.Names) || len(o.Names) == 0
}
