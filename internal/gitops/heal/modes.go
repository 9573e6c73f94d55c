package heal

import (
	"fmt"
	"strings"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
)

// Mode says what happens to drift.
type Mode = v1alpha1.HealMode

// Modes are what a source says about drift, read once. They do not change and are
// safe for concurrent use. The healer and admission ask the same ones.
type Modes struct {
	fallback Mode
	rules    []modeRule
}

type modeRule struct {
	group, kind, namespace, name string
	anyGroup                     bool
	path                         pattern
	mode                         Mode
}

// maxRules bounds the work per difference; the kind's schema says the same.
const maxRules = 256

// ReadModes reads the modes of a source.
func ReadModes(c v1alpha1.GitHeal) (*Modes, error) {
	m := &Modes{fallback: c.Mode}
	if m.fallback == "" {
		m.fallback = v1alpha1.ModeHeal
	}
	if err := checkMode("heal.mode", m.fallback); err != nil {
		return nil, err
	}
	if len(c.Except) > maxRules {
		return nil, fmt.Errorf("heal.except has %d entries: at most %d are allowed", len(c.Except), maxRules)
	}
	for i, e := range c.Except {
		where := fmt.Sprintf("heal.except[%d]", i)
		if err := checkMode(where+".mode", e.Mode); err != nil {
			return nil, err
		}
		r := modeRule{namespace: e.Namespace, name: e.Name, mode: e.Mode}
		r.kind, r.group, _ = strings.Cut(e.Kind, ".")
		r.anyGroup = r.group == "" // "Deployment" is written by people who do not know of groups
		var err error
		if r.path, err = readPattern(e.Path); err != nil {
			return nil, fmt.Errorf("%s.path: %w", where, err)
		}
		m.rules = append(m.rules, r)
	}
	return m, nil
}

func checkMode(where string, m Mode) error {
	switch m {
	case v1alpha1.ModeHeal, v1alpha1.ModeWarn, v1alpha1.ModeDeny:
		return nil
	}
	return fmt.Errorf("%s is %q: write Heal, Warn or Deny", where, m)
}

// AnnotationMode on an object in Git says what happens to drift of that object: the
// source's mode for what no entry of heal.except names. Whoever keeps the
// GitSource has the last word by such entries. On an object in the target it means
// nothing: it is drift.
const AnnotationMode = "apexlogic.com/heal"

// ModeOf returns what [AnnotationMode] of an object in Git says; "" without one. The
// error says what to write instead, for whoever gates the commit.
func ModeOf(o *gitops.Object) (Mode, error) {
	meta, _ := o.Body["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	v, there := annotations[AnnotationMode]
	if !there {
		return "", nil
	}
	text, _ := v.(string)
	if err := checkMode("the annotation "+AnnotationMode, Mode(text)); err != nil {
		return "", fmt.Errorf("%s: %s: %w", o.Where, o.ID, err)
	}
	return Mode(text), nil
}

// For returns the modes for an object with a mode of its own in Git, see [ModeOf];
// with "" they stay the same.
func (m *Modes) For(own Mode) *Modes {
	if own == "" || own == m.fallback {
		return m
	}
	return &Modes{own, m.rules}
}

// Of returns what happens to a change of the field that the JSON pointer names,
// where an element of a list is named by its key; "" asks about the whole object.
func (m *Modes) Of(id gitops.ID, pointer string) (Mode, error) {
	p, err := readPattern(pointer)
	if err != nil {
		return "", err
	}
	way := make([]step, len(p))
	for i, name := range p {
		way[i] = step{name: name}
	}
	return m.of(id, way), nil
}

// of returns the mode of a way; nil asks about the whole object.
func (m *Modes) of(id gitops.ID, way []step) Mode {
	for i := range m.rules {
		if r := &m.rules[i]; r.about(id) && r.path.matches(way) {
			return r.mode
		}
	}
	return m.fallback
}

func (r *modeRule) about(id gitops.ID) bool {
	return (r.kind == "" || r.kind == id.Kind && (r.anyGroup || r.group == id.Group)) &&
		(r.namespace == "" || r.namespace == id.Namespace) && (r.name == "" || r.name == id.Name)
}

// Mode is [Modes.Of] with what Git says of the object itself.
func (h *Healer) Mode(id gitops.ID, pointer string) (Mode, error) {
	return h.modesOf(id).Of(id, pointer)
}

func (h *Healer) modesOf(id gitops.ID) *Modes {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.entries[id]; e != nil {
		return h.modes.For(e.mode)
	}
	return h.modes
}

// pattern is a JSON pointer in which * stands for one element, and at the end of
// a part for the rest of it. What it names includes everything below.
type pattern []string

// maxParts of a pattern: what is deeper than an object may be is nowhere.
const maxParts = maxDepth

func readPattern(text string) (pattern, error) {
	if text == "" {
		return nil, nil
	}
	if text[0] != '/' {
		return nil, fmt.Errorf("%q is no JSON pointer: it begins with a slash", text)
	}
	parts := strings.Split(text[1:], "/")
	if len(parts) > maxParts {
		return nil, fmt.Errorf("a path of %d parts is too deep: at most %d", len(parts), maxParts)
	}
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~")
	}
	return parts, nil
}

func (p pattern) matches(way []step) bool {
	if len(p) > len(way) {
		return false
	}
	for i, part := range p {
		prefix, open := strings.CutSuffix(part, "*")
		if part != way[i].name && (!open || !strings.HasPrefix(way[i].name, prefix)) {
			return false
		}
	}
	return true
}
