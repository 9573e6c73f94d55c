// Package permissions lists what functions may do: the rights of every principal
// of a stack, by service, with what bounds them and where they are given.
//
// Start at [List]. It says what is there and judges nothing; package judge does.
// All policies of a principal are taken together: what a Deny takes away and what
// a boundary does not allow is not listed. What depends on values outside of the
// files is counted as allowed, and what could not be read stands in
// [Permission.Unresolved]: a list that is shorter than the truth says so.
//
// Sources: AWS IAM User Guide, "Policy evaluation logic" and "Access level
// summaries"; Kubernetes, "Using RBAC authorization".
package permissions

import (
	"cmp"
	"slices"

	"github.com/apexlogic/apex/internal/function/stack"
)

// Permission is what one principal may do.
type Permission struct {
	stack.Where
	ID        string   `json:"principal"` // in the stack: "Role", "aws_iam_role.fn", "vision/captioner"
	Name      string   `json:"name,omitempty"`
	Kind      string   `json:"kind"`                // "role", "user", "group"; "ServiceAccount", "User", "Group" of Kubernetes
	Functions []string `json:"functions,omitempty"` // that run as it; workloads of Kubernetes

	Services []Service `json:"services,omitempty"` // AWS, sorted
	Rules    []Rule    `json:"rules,omitempty"`    // Kubernetes, sorted
	// Boundary says that a permissions boundary limits it, and was respected.
	Boundary bool `json:"boundary,omitempty"`
	// Unresolved are parts of its rights that are not known here.
	Unresolved []Unresolved `json:"unresolved,omitempty"`
}

// Service is what a principal may do with one service of AWS.
type Service struct {
	Service string   `json:"service"` // prefix of its actions: "s3"
	Levels  []string `json:"levels"`  // of "list", "read", "write", "tagging", "permissions management"
	Actions int      `json:"actions"` // that are allowed, for certain or perhaps
	Of      int      `json:"of"`      // all that the service has
	// Width is how much of what the actions are about they reach: [Star], [Wide],
	// [Narrow] or [None].
	Width string `json:"resources"`
	// Conditions are those of the statements that allow, and, with "unless" in
	// front of them, those under which a statement denies.
	Conditions []string      `json:"conditions,omitempty"`
	From       []stack.Where `json:"from"` // the statements
}

// The widths.
const (
	Star   = "*"      // some action on whatever there is
	Wide   = "wide"   // some action on all of a kind: "arn:aws:s3:::*"
	Narrow = "narrow" // named things and families of them
	None   = "none"   // its actions take no resource
)

// Rule is what a principal may do with one resource of Kubernetes.
type Rule struct {
	Namespace string        `json:"namespace,omitempty"` // "": in all of them
	Group     string        `json:"group"`               // API group, "" is the core group
	Resource  string        `json:"resource,omitempty"`
	URL       string        `json:"url,omitempty"` // in place of a resource
	Names     []string      `json:"names,omitempty"`
	Verbs     []string      `json:"verbs"`
	From      []stack.Where `json:"from"`
}

// Unresolved is a part of somebody's rights that is not known, and why.
type Unresolved struct {
	stack.Where
	Why string `json:"why"`
}

// List lists the rights of the principals of a stack, in the order of their
// names: those that functions run as first. It changes nothing and is safe for
// concurrent use.
func List(s *stack.Stack) []Permission {
	out := append(identities(s), accounts(s)...)
	slices.SortStableFunc(out, func(a, b Permission) int {
		return cmp.Or(compareBool(len(b.Functions) > 0, len(a.Functions) > 0), cmp.Compare(a.ID, b.ID))
	})
	return out
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func places(list []stack.Where) []stack.Where {
	slices.SortFunc(list, func(a, b stack.Where) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line)) })
	return slices.Compact(list)
}
