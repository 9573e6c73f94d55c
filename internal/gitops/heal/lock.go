package heal

import (
	"slices"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
)

// Locks says whether any part of the object may be in mode Deny, so that a write to
// it has to be looked at by [Modes.Denied].
func (m *Modes) Locks(id gitops.ID) bool {
	if m.fallback == v1alpha1.ModeDeny {
		return true
	}
	return slices.ContainsFunc(m.rules, func(r modeRule) bool { return r.mode == v1alpha1.ModeDeny && r.about(id) })
}

// Denied returns what a write changes that nobody but Apex may change: the
// differences between the object before and after it, as the API server knows
// both, in fields whose mode is Deny. Without a before (it is made) or an after (it
// is deleted) the mode of the whole object counts, and the one change is of "".
// What the healer does not look at, the status for one, is not denied.
//
// Bodies are as in [gitops.Object], and are not changed.
func (m *Modes) Denied(id gitops.ID, before, after map[string]any) []Change {
	if before == nil || after == nil {
		if m.of(id, nil) != v1alpha1.ModeDeny {
			return nil
		}
		if before == nil {
			return []Change{{What: Added}}
		}
		return []Change{{What: Missing}}
	}
	h := newHasher()
	o := &gitops.Object{ID: id, Body: before}
	found := compare(h, o, after)
	if len(found) >= maxFindings && m.Locks(id) { // more than were looked at
		return []Change{{What: Changed}}
	}
	var out []Change
	for _, f := range m.sort(h, o, after, found) {
		if f.mode == v1alpha1.ModeDeny {
			if out = append(out, Change{f.what, f.path()}); len(out) == maxChanges {
				break
			}
		}
	}
	slices.SortFunc(out, byPath)
	return out
}

// Denied is [Modes.Denied] with what Git says of the object itself.
func (h *Healer) Denied(id gitops.ID, before, after map[string]any) []Change {
	return h.modesOf(id).Denied(id, before, after)
}

// strictness orders the modes.
func strictness(m Mode) int {
	return slices.Index([]Mode{v1alpha1.ModeWarn, v1alpha1.ModeHeal, v1alpha1.ModeDeny}, m)
}

// sort notes the mode of each difference. What comes or goes as a whole while some
// of it is treated otherwise is taken apart: the first annotation brings the map
// with it.
func (m *Modes) sort(h hasher, o *gitops.Object, live map[string]any, found []finding) []finding {
	var out []finding
	for i, f := range found {
		if out == nil && m.mixed(o.ID, &f) {
			out = append(make([]finding, 0, len(found)), found[:i]...)
		}
		if out != nil {
			out = append(out, m.pieces(h, o, live, f)...)
		} else {
			found[i].mode = m.strictest(o.ID, f.way)
		}
	}
	if out != nil {
		return out
	}
	return found
}

// strictest returns the mode of what cannot be taken apart: the strictest of it
// and of all that is below.
func (m *Modes) strictest(id gitops.ID, way []step) Mode {
	mode := m.of(id, way)
	for i := range m.rules {
		if r := &m.rules[i]; strictness(r.mode) > strictness(mode) && r.below(id, way) {
			mode = r.mode
		}
	}
	return mode
}

// below says whether the rule is about something inside of what the way leads to.
func (r *modeRule) below(id gitops.ID, way []step) bool {
	return len(r.path) > len(way) && r.about(id) && r.path[:len(way)].matches(way)
}

// mixed says whether there are rules for parts of the difference.
func (m *Modes) mixed(id gitops.ID, f *finding) bool {
	return (f.what == Added || f.what == Missing) && slices.ContainsFunc(m.rules, func(r modeRule) bool { return r.below(id, f.way) })
}

// pieces returns the parts of a difference, or itself where all of it is treated
// alike or where it cannot be taken apart.
func (m *Modes) pieces(h hasher, o *gitops.Object, live map[string]any, f finding) []finding {
	f.mode = m.strictest(o.ID, f.way)
	if !m.mixed(o.ID, &f) {
		return []finding{f}
	}
	c := newComparison(h, o, live)
	c.way = slices.Clone(f.way)
	if f.positional {
		c.fixed++
	}
	value := f.have
	if f.what == Missing {
		value = f.want
	}
	switch v := value.(type) {
	case map[string]any:
		if f.what == Added {
			c.mapping(nil, v)
		} else {
			c.mapping(v, nil)
		}
	case []any:
		if name := f.way[len(f.way)-1].name; f.what == Added {
			c.list(name, []any{}, v)
		} else {
			c.list(name, v, []any{})
		}
	}
	// A list of words says the whole again.
	if n := len(c.found); n == 0 || n == maxFindings || slices.ContainsFunc(c.found, func(p finding) bool { return len(p.way) <= len(f.way) }) {
		return []finding{f}
	}
	var out []finding
	for _, p := range c.found {
		out = append(out, m.pieces(h, o, live, p)...)
	}
	if !slices.ContainsFunc(out, func(p finding) bool { return p.mode != out[0].mode }) {
		f.mode = out[0].mode
		return []finding{f}
	}
	return out
}
