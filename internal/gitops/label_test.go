package gitops_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
)

func TestAnObjectIsAppliedUnderItsSourcesLabel(t *testing.T) {
	for name, c := range map[string]struct {
		labels any
		want   map[string]any // nil: refused
	}{
		"an object without labels gets the one":      {nil, map[string]any{gitops.LabelSource: "vision"}},
		"other labels stay":                          {map[string]any{"app": "captioner"}, map[string]any{"app": "captioner", gitops.LabelSource: "vision"}},
		"one that has the label already is as it is": {map[string]any{gitops.LabelSource: "vision"}, map[string]any{gitops.LabelSource: "vision"}},
		"one that claims another source is refused":  {map[string]any{gitops.LabelSource: "claims"}, nil},
		"a label that is no text is refused":         {map[string]any{gitops.LabelSource: int64(1)}, nil},
		"labels that are a list are refused":         {[]any{"app"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			meta := map[string]any{"name": "settings"}
			if c.labels != nil {
				meta["labels"] = c.labels
			}
			before := gitops.ID{Kind: "ConfigMap", Name: "settings"}
			o := gitops.Object{ID: before, Version: "v1", Body: map[string]any{"metadata": meta, "data": map[string]any{"a": "b"}}}
			got, err := gitops.Labelled(o, "vision")
			if c.want == nil {
				if err == nil {
					t.Fatalf("got %v", got.Body)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			labels := got.Body["metadata"].(map[string]any)["labels"]
			if !reflect.DeepEqual(labels, c.want) || gitops.SourceOf(got.Body) != "vision" {
				t.Errorf("labels %v, source %q", labels, gitops.SourceOf(got.Body))
			}
			if !reflect.DeepEqual(meta["labels"], c.labels) {
				t.Errorf("the object that was given changed: %v", meta)
			}
		})
	}
	if _, err := gitops.Labelled(gitops.Object{Body: map[string]any{"metadata": map[string]any{"labels": map[string]any{gitops.LabelSource: "x"}}}}, "y"); !errors.Is(err, gitops.ErrForbidden) {
		t.Errorf("got %v", err)
	}
	if _, err := gitops.Labelled(gitops.Object{Body: map[string]any{}}, "y"); err == nil {
		t.Error("an object without metadata passes")
	}
	if s := gitops.SourceOf(nil); s != "" {
		t.Errorf("nothing belongs to %q", s)
	}
}
