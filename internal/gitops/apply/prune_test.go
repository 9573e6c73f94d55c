package apply_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/verdict"
)

// change edits an object as another program would.
func change(text string, fn func(meta map[string]any)) func(*testing.T, *fixture) {
	return func(t *testing.T, f *fixture) {
		_, err := f.target.Update(t.Context(), object(t, text).ID, "somebody", "", func(body map[string]any) error {
			fn(body["metadata"].(map[string]any))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func label(value any) func(map[string]any) {
	return func(meta map[string]any) {
		labels := meta["labels"].(map[string]any)
		if value == nil {
			delete(labels, gitops.LabelSource)
			return
		}
		labels[gitops.LabelSource] = value
	}
}

func annotate(value string) func(map[string]any) {
	return func(meta map[string]any) {
		meta["annotations"] = map[string]any{apply.AnnotationPrune: value}
	}
}

func remove(text string) func(*testing.T, *fixture) {
	return func(t *testing.T, f *fixture) {
		if err := f.target.Delete(t.Context(), object(t, text).ID, "v1", gitops.Precondition{}); err != nil {
			t.Fatal(err)
		}
	}
}

// plant makes an object behind Git's back.
func plant(text string) func(*testing.T, *fixture) {
	return func(t *testing.T, f *fixture) {
		o := object(t, text)
		if _, err := f.target.Create(t.Context(), &o, "somebody"); err != nil {
			t.Fatal(err)
		}
	}
}

func then(fns ...func(*testing.T, *fixture)) func(*testing.T, *fixture) {
	return func(t *testing.T, f *fixture) {
		for _, fn := range fns {
			fn(t, f)
		}
	}
}

const ours, theirs = "#" + gitops.LabelSource + "=vision", "#" + gitops.LabelSource + "=claims"
const may, never = " @" + apply.AnnotationPrune + "=allow", " @" + apply.AnnotationPrune + "=never"

func numbers(from, to int) []string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, "ConfigMap vision/n-"+strings.Repeat("x", i%3)+string(rune('a'+i%26))+strings.Repeat("y", i/26))
	}
	return all
}

func TestOnlyWhatIsOursIsPrunedAndNeverTooMuchOfIt(t *testing.T) {
	limit := func(most, percent int) func(*apply.Source) {
		return func(s *apply.Source) { s.MaxDeletions, s.MaxPercent = &most, &percent }
	}
	free := limit(1000, 100)
	for _, c := range []struct {
		name   string
		before string // objects of the first revision, beside 20 that stay; ";" between
		tamper func(*testing.T, *fixture)
		after  string
		source func(*apply.Source)
		allow  bool
		gone   string       // what the second revision deletes
		kept   string       // what it names as kept
		code   verdict.Code // or why it is refused
	}{
		// What leaves Git goes, of every ordinary kind.
		{name: "nothing left Git", before: "ConfigMap vision/a", after: "ConfigMap vision/a"},
		{name: "a ConfigMap goes", before: "ConfigMap vision/a", gone: "ConfigMap vision/a"},
		{name: "a Deployment goes", before: "Deployment vision/a", gone: "Deployment vision/a"},
		{name: "a Service goes", before: "Service vision/a", gone: "Service vision/a"},
		{name: "a Job goes", before: "Job vision/a", gone: "Job vision/a"},
		{name: "a ClusterRole goes", before: "ClusterRole a", gone: "ClusterRole a"},
		{name: "a webhook goes", before: "ValidatingWebhookConfiguration a", gone: "ValidatingWebhookConfiguration a"},
		{name: "a resource of somebody's definition goes", before: "Widget vision/a", gone: "Widget vision/a"},
		{name: "several kinds go together", before: "Role vision/a; RoleBinding vision/a; ServiceAccount vision/a", gone: "Role vision/a; RoleBinding vision/a; ServiceAccount vision/a"},
		{name: "of one name in two namespaces only the one that left", before: "ConfigMap vision/a; ConfigMap claims/a", after: "ConfigMap claims/a", gone: "ConfigMap vision/a"},
		{name: "of one name in two kinds only the one that left", before: "ConfigMap vision/a; Service vision/a", after: "Service vision/a", gone: "ConfigMap vision/a"},
		{name: "a new name in place of an old one", before: "ConfigMap vision/a", after: "ConfigMap vision/b", gone: "ConfigMap vision/a"},

		// Kinds with which goes what cannot be applied again.
		{name: "a Namespace stays", before: "Namespace claims", kept: "Namespace claims"},
		{name: "a Namespace goes when it said so", before: "Namespace claims" + may, gone: "Namespace claims"},
		{name: "a definition stays", before: "CustomResourceDefinition widgets.example.com", kept: "CustomResourceDefinition widgets.example.com"},
		{name: "a definition goes when it said so", before: "CustomResourceDefinition widgets.example.com" + may, gone: "CustomResourceDefinition widgets.example.com"},
		{name: "a claim of a volume stays", before: "PersistentVolumeClaim vision/a", kept: "PersistentVolumeClaim vision/a"},
		{name: "a claim of a volume goes when it said so", before: "PersistentVolumeClaim vision/a" + may, gone: "PersistentVolumeClaim vision/a"},
		{name: "a volume stays", before: "PersistentVolume a", kept: "PersistentVolume a"},
		{name: "a volume goes when it said so", before: "PersistentVolume a" + may, gone: "PersistentVolume a"},
		{name: "a Secret stays", before: "Secret vision/a k=v", kept: "Secret vision/a"},
		{name: "a Secret goes when it said so", before: "Secret vision/a k=v" + may, gone: "Secret vision/a"},
		{name: "the trailer does not delete a Namespace", before: "Namespace claims", allow: true, kept: "Namespace claims"},
		{name: "the trailer does not delete a Secret", before: "Secret vision/a", allow: true, kept: "Secret vision/a"},
		{name: "an annotation that somebody put on the live Secret counts for nothing", before: "Secret vision/a", tamper: change("Secret vision/a", annotate("allow")), kept: "Secret vision/a"},
		{name: "an annotation that somebody took from the live Secret counts for nothing", before: "Secret vision/a" + may, tamper: change("Secret vision/a", func(m map[string]any) { delete(m, "annotations") }), gone: "Secret vision/a"},
		{name: "another value of the annotation allows nothing", before: "Secret vision/a @" + apply.AnnotationPrune + "=yes", kept: "Secret vision/a"},
		{name: "never keeps a ConfigMap", before: "ConfigMap vision/a" + never, kept: "ConfigMap vision/a"},
		{name: "never on the live object alone counts for nothing", before: "ConfigMap vision/a", tamper: change("ConfigMap vision/a", annotate("never")), gone: "ConfigMap vision/a"},
		{name: "what stays lets the others go", before: "Secret vision/a; ConfigMap vision/a", gone: "ConfigMap vision/a", kept: "Secret vision/a"},
		{name: "a Namespace of another group is no Namespace", before: "Widget vision/Namespace", gone: "Widget vision/Namespace"},

		// The inventory, the UID and the label have to agree.
		{name: "what others made stays", before: "ConfigMap vision/a", tamper: plant("ConfigMap vision/b"), gone: "ConfigMap vision/a"},
		{name: "what others made under our label stays: the inventory does not have it", before: "ConfigMap vision/a", tamper: plant("ConfigMap vision/b " + ours), gone: "ConfigMap vision/a"},
		{name: "what is not there any more needs no deletion", before: "ConfigMap vision/a", tamper: remove("ConfigMap vision/a")},
		{name: "what somebody made anew stays: it has another UID", before: "ConfigMap vision/a", tamper: then(remove("ConfigMap vision/a"), plant("ConfigMap vision/a"))},
		{name: "what somebody made anew under our label stays, too", before: "ConfigMap vision/a", tamper: then(remove("ConfigMap vision/a"), plant("ConfigMap vision/a "+ours))},
		{name: "what another source made anew stays", before: "ConfigMap vision/a", tamper: then(remove("ConfigMap vision/a"), plant("ConfigMap vision/a "+theirs))},
		{name: "what lost its label stays", before: "ConfigMap vision/a", tamper: change("ConfigMap vision/a", label(nil)), kept: "ConfigMap vision/a"},
		{name: "what carries another source's label stays", before: "ConfigMap vision/a", tamper: change("ConfigMap vision/a", label("claims")), kept: "ConfigMap vision/a"},
		{name: "what only others changed is ours still", before: "ConfigMap vision/a", tamper: change("ConfigMap vision/a", func(m map[string]any) { m["labels"].(map[string]any)["x"] = "y" }), gone: "ConfigMap vision/a"},
		{name: "an owner reference that somebody planted changes nothing", before: "ConfigMap vision/a", tamper: change("ConfigMap vision/a", func(m map[string]any) {
			m["ownerReferences"] = []any{map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u"}}
		}), gone: "ConfigMap vision/a"},
		{name: "another source's objects stay", before: "ConfigMap vision/a", tamper: plant("ConfigMap claims/b " + theirs), gone: "ConfigMap vision/a"},

		// How much.
		{name: "an empty revision is refused", before: "ConfigMap vision/a", after: "-", code: verdict.ApplyEmpty},
		{name: "an empty revision is refused with the trailer, too", before: "ConfigMap vision/a", after: "-", allow: true, code: verdict.ApplyEmpty},
		{name: "an empty revision is refused where any number may go", before: "ConfigMap vision/a", after: "-", source: free, code: verdict.ApplyEmpty},
		{name: "a fifth may go", before: strings.Join(numbers(0, 5), "; "), gone: strings.Join(numbers(0, 5), "; ")},
		{name: "more than a fifth may not", before: strings.Join(numbers(0, 6), "; "), code: verdict.ApplyPruneLimit},
		{name: "more than a fifth may with the trailer", before: strings.Join(numbers(0, 6), "; "), allow: true, gone: strings.Join(numbers(0, 6), "; ")},
		{name: "more than a fifth may where the source says so", before: strings.Join(numbers(0, 6), "; "), source: limit(50, 30), gone: strings.Join(numbers(0, 6), "; ")},
		{name: "51 may not, whatever part they are", before: strings.Join(numbers(0, 51), "; "), source: limit(50, 100), code: verdict.ApplyPruneLimit},
		{name: "50 may", before: strings.Join(numbers(0, 50), "; "), source: limit(50, 100), gone: strings.Join(numbers(0, 50), "; ")},
		{name: "51 may with the trailer", before: strings.Join(numbers(0, 51), "; "), allow: true, gone: strings.Join(numbers(0, 51), "; ")},
		{name: "none may where the source says none", before: "ConfigMap vision/a", source: limit(0, 100), code: verdict.ApplyPruneLimit},
		{name: "none is fine where the source says none", before: "ConfigMap vision/a", after: "ConfigMap vision/a", source: limit(0, 0)},
		{name: "what is kept does not count", before: strings.Join(numbers(0, 3), "; ") + "; Secret vision/a; Secret vision/b; Secret vision/c",
			gone: strings.Join(numbers(0, 3), "; "), kept: "Secret vision/a; Secret vision/b; Secret vision/c"},
		{name: "what is gone already does not count", before: strings.Join(numbers(0, 6), "; "), tamper: then(remove(numbers(0, 6)[0]), remove(numbers(0, 6)[1])),
			gone: strings.Join(numbers(2, 6), "; ")},
		{name: "renaming much is deleting much", before: strings.Join(numbers(0, 6), "; "), after: strings.Join(numbers(30, 36), "; "), code: verdict.ApplyPruneLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			list := func(texts string) (all []gitops.Object) {
				for text := range strings.SplitSeq(texts, ";") {
					if text = strings.TrimSpace(text); text != "" && text != "-" {
						all = append(all, object(t, text))
					}
				}
				return all
			}
			before, after := append(list(c.before), many(t, 20)...), list(c.after)
			if c.after != "-" {
				after = append(after, many(t, 20)...)
			}
			f.must("one", before...)
			if c.source != nil {
				c.source(&f.source)
			}
			if c.tamper != nil {
				c.tamper(t, f)
			}
			there := everything(t, f)
			r := f.request("two", after...)
			r.AllowPrune = c.allow
			p, err := f.Plan(t.Context(), r)
			if c.code != "" {
				wantRefusal(t, err, c.code)
				if now := everything(t, f); !slices.Equal(now, there) {
					t.Errorf("a refused revision changed the target: %v", now)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var kept []gitops.ID
			for _, s := range p.Kept {
				kept = append(kept, s.ID)
				if s.Why == "" {
					t.Errorf("%s is kept, and nothing says why", s.ID)
				}
			}
			if want := ids(list(c.kept)); !sameIDs(kept, want) {
				t.Errorf("kept is %v, want %v", kept, want)
			}
			if _, err := f.Apply(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			gone := ids(list(c.gone))
			want := slices.DeleteFunc(slices.Clone(there), func(id gitops.ID) bool { return slices.Contains(gone, id) })
			for _, id := range ids(after) {
				if !slices.Contains(want, id) {
					want = append(want, id)
				}
			}
			if now := everything(t, f); !sameIDs(now, want) {
				t.Errorf("there is %v, want %v", now, want)
			}
			// What is kept is kept in mind; what went, or is somebody else's, is not.
			var items []gitops.ID
			for _, item := range f.state().Items() {
				items = append(items, item.ID)
			}
			if want := append(ids(after), kept...); !sameIDs(items, want) {
				t.Errorf("the inventory is %v, want %v", items, want)
			}
		})
	}
}

func ids(objects []gitops.Object) []gitops.ID {
	var all []gitops.ID
	for _, o := range objects {
		all = append(all, o.ID)
	}
	return all
}

func sameIDs(a, b []gitops.ID) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	by := func(a, b gitops.ID) int { return strings.Compare(a.String(), b.String()) }
	slices.SortFunc(a, by)
	slices.SortFunc(b, by)
	return slices.Equal(a, b)
}

// everything lists what the target holds.
func everything(t *testing.T, f *fixture) []gitops.ID {
	t.Helper()
	var all []gitops.ID
	for kind, version := range kinds {
		group, _, ok := strings.Cut(version, "/")
		if !ok {
			group = ""
		}
		if err := f.target.List(t.Context(), gitops.Kind{Group: group, Kind: kind}, func(h gitops.Held) { all = append(all, h.ID) }); err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(all, func(a, b gitops.ID) int { return strings.Compare(a.String(), b.String()) })
	return all
}
