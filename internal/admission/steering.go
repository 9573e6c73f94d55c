package admission

import (
	"fmt"
	"slices"
)

// SteeringName is that of what [Steering] returns.
const SteeringName = "apex-protects-actions.apexlogic.com"

// What steers and marks what Apex does about workloads that no longer comply.
const (
	// LabelAction marks the NetworkPolicies that cut something off.
	LabelAction = "apexlogic.com/action"
	// AnnotationStopped says what a workload was before it was stopped.
	AnnotationStopped = "apexlogic.com/stopped-from"
)

// Steering returns a ValidatingAdmissionPolicy and its binding, by which the API
// server itself keeps everybody but users and groups, Apex's own ServiceAccount
// and those who install it, from taking back what Apex did about a violation: from
// writing NetworkPolicies with [LabelAction], before or after the write, and
// [AnnotationStopped]. A workload that is stopped can be deleted by whoever may
// delete it. The cluster's own controllers may write both: a namespace that is
// deleted takes everything in it along.
//
// What asks for actions are policies, which are cluster-scoped and a matter of
// RBAC, and signed approvals, which nobody else can make. The mark [EnforceLabel]
// is kept by [Protection].
func Steering(users, groups []string) []map[string]any {
	groups = append(ControllerGroups(), groups...)
	users = append(slices.Clone(controllerUsers), users...)
	const (
		labelled  = `(%[1]s != null && has(%[1]s.metadata.labels) && %[2]q in %[1]s.metadata.labels)`
		annotated = `(%[1]s != null && has(%[1]s.metadata.annotations) && %[2]q in %[1]s.metadata.annotations)`
	)
	isolates := fmt.Sprintf(labelled, "object", LabelAction) + " || " + fmt.Sprintf(labelled, "oldObject", LabelAction)
	before, after := fmt.Sprintf(annotated, "oldObject", AnnotationStopped), fmt.Sprintf(annotated, "object", AnnotationStopped)
	same := fmt.Sprintf(`%s == %s && (!%s || object.metadata.annotations[%q] == oldObject.metadata.annotations[%q])`, before, after, before, AnnotationStopped, AnnotationStopped)
	spec := map[string]any{
		"failurePolicy": "Fail",
		"matchConstraints": map[string]any{
			"matchPolicy": "Equivalent",
			"resourceRules": []any{
				rule("Namespaced", []string{"networking.k8s.io"}, []string{"networkpolicies"}, "CREATE", "UPDATE", "DELETE"),
				rule("Namespaced", []string{"apps"}, []string{"deployments", "statefulsets"}, "CREATE", "UPDATE"),
				rule("Namespaced", []string{"batch"}, []string{"jobs", "cronjobs"}, "CREATE", "UPDATE"),
			},
		},
		"matchConditions": []any{
			map[string]any{"name": "not-by-those-who-may", "expression": fmt.Sprintf(
				"!(request.userInfo.username in %s || request.userInfo.groups.exists(g, g in %s))", celList(users), celList(groups))},
		},
		"validations": []any{
			map[string]any{
				"expression": `request.resource.resource != "networkpolicies" || !(` + isolates + `)`,
				"message":    "the NetworkPolicy cuts something off that does not comply: Apex takes it away when it complies again",
				"reason":     "Forbidden",
			},
			map[string]any{
				"expression": `request.resource.resource == "networkpolicies" || ` + same,
				"message":    "the annotation " + AnnotationStopped + " says what the workload was before Apex stopped it: Apex alone writes it",
				"reason":     "Forbidden",
			},
		},
	}
	binding := map[string]any{"policyName": SteeringName, "validationActions": list("Deny", "Audit")}
	return []map[string]any{
		object("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", SteeringName, "spec", spec),
		object("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", SteeringName, "spec", binding),
	}
}
