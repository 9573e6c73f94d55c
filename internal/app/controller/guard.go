package controller

import (
	"strings"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/internal/gitops/release"
)

// locks say for each source, and for each of its stages, what others than Apex may
// not write. They are made once for a generation and do not change.
type locks map[string]lock

// lock is that of one source, by the name that its objects carry.
type lock struct {
	modes   *heal.Modes // nil: they cannot be read, so that everything is locked
	writers []string    // users as whom Apex writes what the source holds
}

// locksOf reads the modes and accounts of all sources.
func locksOf(set *config.Set) *locks {
	all := locks{}
	for _, g := range set.GitSources {
		modes, err := heal.ReadModes(g.Value.Spec.Heal)
		if err != nil {
			modes = nil // the source itself is not followed, and says why
		}
		for _, p := range destinationsOf(g.Value) {
			l := lock{modes: modes}
			if p.target.Cluster != nil {
				// Written as "namespace/name", which its schema holds.
				l.writers = []string{"system:serviceaccount:" + strings.Replace(p.target.Cluster.ServiceAccount, "/", ":", 1)}
			}
			all[p.name] = l
		}
	}
	return &all
}

// destination is where a source, or one of its stages, goes.
type destination struct {
	name   string // the value of [gitops.LabelSource]
	target v1alpha1.GitTarget
}

// destinationsOf returns where a source goes: one place for each stage, or its own.
func destinationsOf(g *v1alpha1.GitSource) []destination {
	if len(g.Spec.Stages) == 0 {
		return []destination{{g.Name, g.Spec.Target}}
	}
	var out []destination
	for i := range g.Spec.Stages {
		stage := &g.Spec.Stages[i]
		name, err := release.NameIn(g.Name, stage.Name)
		if err != nil {
			continue // a name that no object carries
		}
		d := destination{name, g.Spec.Target}
		if stage.Target != nil {
			d.target = *stage.Target
		}
		out = append(out, d)
	}
	return out
}

// writers implements [admission.Guarded.Writers]. While nothing is read, nobody
// is known to write for a source.
func (c *controller) writers(source string) []string {
	if all := c.locks.Load(); all != nil {
		return (*all)[source].writers
	}
	return nil
}

// whole is the answer that nothing of an object may be written.
func whole() []string { return []string{""} }

// denied implements [admission.Guarded.Denied].
func (c *controller) denied(source string, w admission.Write) []string {
	all := c.locks.Load()
	if all == nil {
		return whole() // its mode is not read yet: nobody else writes until it is
	}
	l, known := (*all)[source]
	if !known {
		return nil // a label that no source has put there
	}
	if l.modes == nil {
		return whole()
	}
	return l.denied(gitops.ID{Group: w.Group, Kind: w.Kind, Namespace: w.Namespace, Name: w.Name}, w)
}

// annotationPointer leads to [heal.AnnotationMode] in an object.
const annotationPointer = "/metadata/annotations/apexlogic.com~1heal"

// denied returns the places that a write changes and that are locked.
//
// What Git says of the object itself is read from the object as it is now. It may
// always lock more. It opens something only where nobody but Apex may have written
// the annotation: elsewhere whoever writes it would unlock the rest.
func (l *lock) denied(id gitops.ID, w admission.Write) []string {
	modes := l.modes
	if w.Before != nil {
		own, err := heal.ModeOf(&gitops.Object{ID: id, Body: w.Before})
		if err == nil && own != "" {
			locked, err := modes.Of(id, annotationPointer)
			if own == v1alpha1.ModeDeny || err == nil && locked == v1alpha1.ModeDeny {
				modes = modes.For(own)
			}
		}
	}
	var out []string
	for _, change := range modes.Denied(id, w.Before, w.After) {
		out = append(out, change.Path)
	}
	return out
}
