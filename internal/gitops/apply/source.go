package apply

import (
	"slices"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// Defaults of [Source].
const (
	DefaultMaxObjects = 10_000
	DefaultDeletions  = 50
	DefaultPercent    = 20
)

// Source says what a source may do in the target. It is kept beside the target,
// not in the repository.
type Source struct {
	Name string
	// Tenant is the part of the target that the source may write; nil when all
	// of it is the source's.
	Tenant *Tenant
	// MaxObjects of a revision; 0: DefaultMaxObjects.
	MaxObjects int
	// MaxDeletions and MaxPercent bound what one revision may delete, unless it
	// is signed that more is meant. Nil: DefaultDeletions and DefaultPercent.
	MaxDeletions, MaxPercent *int
}

// Tenant is a part of a target.
type Tenant struct {
	// Namespaces that may be written. None: no namespaced object at all.
	Namespaces []string
	// ClusterKinds that may be written besides, as "Kind" or "Kind.group".
	ClusterKinds []string
	// Kinds, when not nil, are the namespaced kinds that may be written, as
	// "Kind" or "Kind.group".
	Kinds []string
}

// admit refuses a set that the source may not hold. It looks at names only: what
// stands behind it (the API server's own rights) is the target's.
func (s *Source) admit(objects []gitops.Object) *Refusal {
	limit := s.MaxObjects
	if limit <= 0 {
		limit = DefaultMaxObjects
	}
	if len(objects) > limit {
		return refuse(verdict.ApplyQuota, "it holds %d objects, the source may have %d", len(objects), limit)
	}
	if s.Tenant == nil {
		return nil
	}
	kinds := refuse(verdict.ApplyKind, "source %s may not have these", s.Name)
	spaces := refuse(verdict.ApplyNamespace, "source %s may write to the namespaces %q", s.Name, s.Tenant.Namespaces)
	for i := range objects {
		o := &objects[i]
		switch {
		case o.Namespace == "" || clusterScoped(o.ID):
			if !lists(s.Tenant.ClusterKinds, o.ID) || o.Namespace != "" {
				kinds.about(o)
			}
		case !slices.Contains(s.Tenant.Namespaces, o.Namespace):
			spaces.about(o)
		case s.Tenant.Kinds != nil && !lists(s.Tenant.Kinds, o.ID):
			kinds.about(o)
		}
	}
	switch {
	case len(kinds.Objects) > 0:
		return kinds
	case len(spaces.Objects) > 0:
		return spaces
	}
	return nil
}

// lists says whether the kind is named: "Kind" is the core group's, or
// "Kind.group".
func lists(names []string, id gitops.ID) bool {
	name := id.Kind
	if id.Group != "" {
		name += "." + id.Group
	}
	return slices.Contains(names, name)
}

func (s *Source) deletions() (most, percent int) {
	most, percent = DefaultDeletions, DefaultPercent
	if s.MaxDeletions != nil {
		most = *s.MaxDeletions
	}
	if s.MaxPercent != nil {
		percent = *s.MaxPercent
	}
	return most, percent
}
