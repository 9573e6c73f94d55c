package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

type groupKind struct{ group, kind string }

// definition is what a CustomResourceDefinition of the set defines.
type definition struct {
	versions []string // that it serves; nil when it does not say
}

// kindOfDefinition is the kind that a CustomResourceDefinition defines.
func kindOfDefinition(body map[string]any) groupKind {
	spec, _ := body["spec"].(map[string]any)
	names, _ := spec["names"].(map[string]any)
	group, _ := spec["group"].(string)
	kind, _ := names["kind"].(string)
	return groupKind{group, kind}
}

// markRedefined marks the steps whose kinds the set defines anew: what the target
// says of them before that does not count.
func (p *Plan) markRedefined() {
	changed := map[groupKind]bool{}
	for _, stage := range p.Stages { // definitions come before what they define
		for i := range stage.Steps {
			s := &stage.Steps[i]
			if isDefinition(s.ID) && s.Action != Unchanged {
				changed[kindOfDefinition(s.object.Body)] = true
			}
			s.redefined = changed[groupKind{s.Group, s.Kind}]
		}
	}
}

// definedKinds returns the kinds that the definitions among the objects define.
func definedKinds(objects []gitops.Object) map[groupKind]definition {
	kinds := map[groupKind]definition{}
	for i := range objects {
		if !isDefinition(objects[i].ID) {
			continue
		}
		spec, _ := objects[i].Body["spec"].(map[string]any)
		var d definition
		versions, _ := spec["versions"].([]any)
		for _, each := range versions {
			version, _ := each.(map[string]any)
			name, _ := version["name"].(string)
			if served, _ := version["served"].(bool); served && name != "" {
				d.versions = append(d.versions, name)
			}
		}
		kinds[kindOfDefinition(objects[i].Body)] = d
	}
	return kinds
}

// defines says whether the set itself defines the kind.
func (p *Plan) defines(group, kind string) bool {
	_, ok := p.kinds[groupKind{group, kind}]
	return ok
}

// unserved refuses objects whose kind the set defines, and not in their version:
// nobody would ever serve it.
func (p *Plan) unserved(objects []gitops.Object) *Refusal {
	for i := range objects {
		o := &objects[i]
		d := p.kinds[groupKind{o.Group, o.Kind}]
		if d.versions == nil || slices.Contains(d.versions, o.Version) {
			continue
		}
		r := refuse(verdict.ApplyUnserved, "%s is written in %s, its definition in this revision serves %s",
			o.Kind, o.Version, strings.Join(d.versions, ", "))
		r.about(o)
		return r
	}
	return nil
}

// served says in the refusal what the target serves instead.
func (a *Applier) served(ctx context.Context, r *Refusal, steps []Step) error {
	var says []string
	asked := map[gitops.Kind]bool{}
	for i := range steps {
		s := &steps[i]
		kind := kindOf(s)
		if !slices.Contains(r.Objects, s.ID) || asked[kind] {
			continue
		}
		asked[kind] = true
		what, err := a.instead(ctx, kind)
		if err != nil {
			return err
		}
		says = append(says, what)
	}
	r.Why = strings.Join(says, "; ")
	return r
}

// instead says which versions of a kind are served.
func (a *Applier) instead(ctx context.Context, kind gitops.Kind) (string, error) {
	name := kind.Kind
	if kind.Group != "" {
		name += "." + kind.Group
	}
	d, ok := gitops.As[gitops.Discoverer](a.target)
	if !ok {
		return fmt.Sprintf("the target does not serve %s in %s", name, kind.Version), nil
	}
	versions, err := d.Served(ctx, kind.Group, kind.Kind)
	if err != nil {
		return "", fmt.Errorf("ask what is served of %s: %w", name, err)
	}
	if len(versions) == 0 {
		return fmt.Sprintf("the target does not serve %s, in no version", name), nil
	}
	return fmt.Sprintf("the target serves %s in %s and not in %s", name, strings.Join(versions, ", "), kind.Version), nil
}
