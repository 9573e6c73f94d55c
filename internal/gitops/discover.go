package gitops

import "context"

// Wrapper is a [Target] around another one, whose other abilities it leaves as
// they are.
type Wrapper interface {
	Target
	Unwrap() Target
}

// As returns an ability of a target beside those of every target, such as
// [Lister]: of the target itself, or of the nearest one that it wraps.
func As[T any](t Target) (ability T, ok bool) {
	for {
		if ability, ok = any(t).(T); ok {
			return ability, true
		}
		w, wraps := t.(Wrapper)
		if !wraps {
			return ability, false
		}
		t = w.Unwrap()
	}
}

// Discoverer is a [Target] that can say what it serves. Whoever is told that a
// kind is not served wants to know what is.
type Discoverer interface {
	// Served names the versions in which the target serves the kind, the one that
	// it prefers first; none when it does not serve the kind at all.
	Served(ctx context.Context, group, kind string) (versions []string, err error)
}

// HealthLister is a [Target] that can judge many objects in few requests.
type HealthLister interface {
	// Unhealthy reports the objects of the source, among the given ones, that are
	// not there or do not do what they are there for, and why. It calls each from
	// one goroutine. A wrapper of a target that cannot returns
	// [errors.ErrUnsupported].
	Unhealthy(ctx context.Context, source string, objects []Object, each func(id ID, why string)) error
}
