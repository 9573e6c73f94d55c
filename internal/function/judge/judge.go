// Package judge finds what is wrong with the rights and the exposure of
// functions: what a stack declares, held against a table of classes.
//
// Start at [Judge]; [Classes] is the table, one file per class, with what each
// means and how it is mended. Rights are judged per principal, all policies
// together, so that a Deny in one takes effect on another; a policy that is
// attached to nobody in the stack is judged as if somebody had it and no other.
//
// What depends on values that are not known is not reported as a fault and is
// not taken for safe either: [Options.Unknown] asks for it.
package judge

import (
	"cmp"
	"slices"

	"github.com/apexlogic/apex/internal/function/stack"
)

// Options ask for classes that not everybody wants.
type Options struct {
	Timeout bool // function_no_timeout
	Egress  bool // function_egress_anywhere
	Gateway bool // function_no_gateway
	Unknown bool // function_rights_unknown, also where a template just has not been given its values
}

// Class is one kind of fault.
type Class struct {
	ID       string
	Severity string // "critical", "high", "medium" or "low"
	Why      string // what it means, as a sentence
	Mend     string // what to do, as a sentence
	find     func(*scene)
	asked    func(Options) bool // nil: always
}

// Classes is the table, in the order of docs/functions.md.
func Classes() []Class {
	return []Class{
		privilegeEscalation(),
		dataExfiltration(),
		credentialsExposure(),
		adminOrServiceStar(),
		starResource(),
		unconstrainedPermissionsManagement(),
		unconstrainedWrite(),
		publicOrCrossAccountTrust(),
		publicResourcePolicy(),
		functionPublicInvoke(),
		functionSecretInEnv(),
		functionSharedRole(),
		functionEnvNotEncrypted(),
		rbacWildcard(),
		rbacDangerous(),
		defaultAccountBinding(),
		functionNoTimeout(),
		functionEgressAnywhere(),
		functionNoGateway(),
		functionRightsUnknown(),
	}
}

// Judge finds what is wrong with a stack. There is one finding per class and
// resource, at the line that causes it, in the order of files and lines. It
// changes nothing and is safe for concurrent use.
func Judge(s *stack.Stack, o Options) []stack.Finding {
	sc := newScene(s, o)
	for _, c := range Classes() {
		if c.asked != nil && !c.asked(o) {
			continue
		}
		sc.class = c
		c.find(sc)
	}
	slices.SortStableFunc(sc.found, func(a, b stack.Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Resource, b.Resource))
	})
	return sc.found
}

type key struct{ class, resource string }

// report adds a finding of the class at hand, unless the resource has one.
func (sc *scene) report(where stack.Where, resource, detail string, related ...stack.Where) {
	if resource == "" {
		resource = where.File
	}
	k := key{sc.class.ID, resource}
	if sc.told[k] {
		return
	}
	sc.told[k] = true
	related = slices.DeleteFunc(related, func(w stack.Where) bool { return w == where || w == stack.Where{} })
	sc.found = append(sc.found, stack.Finding{
		Where: where, Class: sc.class.ID, Resource: resource, Detail: detail,
		Severity: sc.class.Severity, Mend: sc.class.Mend, Related: related,
	})
}
