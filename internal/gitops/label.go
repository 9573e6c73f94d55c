package gitops

import (
	"context"
	"fmt"
	"maps"
)

// Labelled returns the object as it is applied: with [LabelSource] set to the
// source. It shares everything else with o, which stays as it was. An object
// that claims another source, or whose labels are no map, is an error.
func Labelled(o Object, source string) (Object, error) {
	meta, ok := o.Body["metadata"].(map[string]any)
	if !ok {
		return Object{}, fmt.Errorf("%s: %s has no metadata", o.Where, o.ID)
	}
	labels, ok := meta["labels"].(map[string]any)
	if !ok && meta["labels"] != nil {
		return Object{}, fmt.Errorf("%s: the labels of %s are not a map", o.Where, o.ID)
	}
	switch was, there := labels[LabelSource]; {
	case there && was != source:
		return Object{}, fmt.Errorf("%s: %s carries the label %s of another source: %w", o.Where, o.ID, LabelSource, ErrForbidden)
	case there:
		return o, nil
	}
	if labels = maps.Clone(labels); labels == nil {
		labels = make(map[string]any, 1)
	}
	labels[LabelSource] = source
	meta = maps.Clone(meta)
	meta["labels"] = labels
	o.Body = maps.Clone(o.Body)
	o.Body["metadata"] = meta
	return o, nil
}

// SourceOf returns the value of [LabelSource] in an object's body, or "".
func SourceOf(body map[string]any) string {
	meta, _ := body["metadata"].(map[string]any)
	labels, _ := meta["labels"].(map[string]any)
	source, _ := labels[LabelSource].(string)
	return source
}

// Held is an object that a target holds, without its body.
type Held struct {
	ID
	UID             string
	ResourceVersion string
	Source          string // the value of [LabelSource], "" without one
}

// Lister is a [Target] that can name all objects of a kind in few requests. A
// plan asks it once per kind instead of once per object.
type Lister interface {
	// List reports the objects of the kind, whoever they belong to, in any
	// order. The error is ErrUnknownKind where the target does not serve the
	// kind and ErrForbidden where the source may not list all of it.
	List(ctx context.Context, kind Kind, each func(Held)) error
}
