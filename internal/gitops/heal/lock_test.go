package heal_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/verdict"
)

func modesOf(t testing.TB, c v1alpha1.GitHeal) *heal.Modes {
	t.Helper()
	m, err := heal.ReadModes(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// denyOf makes entries of mode Deny.
func denyOf(kind string, paths ...string) (out []v1alpha1.HealException) {
	for _, p := range paths {
		out = append(out, v1alpha1.HealException{Kind: kind, Path: p, Mode: v1alpha1.ModeDeny})
	}
	return out
}

func TestAWriteIsDeniedWhereTheModeOfItsPathSaysSo(t *testing.T) {
	w := openEmbedded(t)
	workload := object(t, w, deployment)
	bare := deepCopy(workload.Body)
	drop("spec", "template", "metadata")(bare)
	template := "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt"
	warn := v1alpha1.HealException{Kind: "Deployment", Path: template, Mode: v1alpha1.ModeWarn}
	image := set(evilImage, in(container, "image")...)
	for _, c := range []struct {
		name   string
		modes  v1alpha1.GitHeal
		before map[string]any // nil: the Deployment
		change func(map[string]any)
		want   []string
	}{
		{"an image whose path is denied", v1alpha1.GitHeal{Except: denyOf("Deployment", "/spec/template/spec/containers/*/image")}, nil, image, []string{"changed /spec/template/spec/containers/app/image"}},
		{"an image beside a denied path", v1alpha1.GitHeal{Except: denyOf("Deployment", "/spec/template/spec/containers/*/env")}, nil, image, nil},
		{"an image of a kind that is not denied", v1alpha1.GitHeal{Except: denyOf("StatefulSet", "/spec/template/spec/containers/*/image")}, nil, image, nil},
		{"a sidecar below a denied path", v1alpha1.GitHeal{Except: denyOf("", "/spec/template/spec/containers")}, nil,
			add(object1("name", "miner", "image", evilImage), in(podSpec, "containers")...), []string{"added /spec/template/spec/containers/miner"}},
		{"a sidecar whose image alone is denied", v1alpha1.GitHeal{Except: denyOf("", "/spec/template/spec/containers/*/image")}, nil,
			add(object1("name", "miner", "image", evilImage), in(podSpec, "containers")...), []string{"added /spec/template/spec/containers/miner/image"}},
		{"anything in a source that denies", v1alpha1.GitHeal{Mode: v1alpha1.ModeDeny}, nil, set(int64(9), "spec", "replicas"), []string{"changed /spec/replicas"}},
		{"what a source that denies lets others do", v1alpha1.GitHeal{Mode: v1alpha1.ModeDeny, Except: []v1alpha1.HealException{{Path: "/spec/replicas", Mode: v1alpha1.ModeHeal}}}, nil, set(int64(9), "spec", "replicas"), nil},
		{"the status, in a source that denies", v1alpha1.GitHeal{Mode: v1alpha1.ModeDeny}, nil, set(int64(9), "status", "replicas"), nil},
		{"a note that changes nothing, in a source that denies", v1alpha1.GitHeal{Mode: v1alpha1.ModeDeny}, nil, set("drill", "metadata", "annotations", "kubernetes.io/change-cause"), nil},
		{"a map that comes as a whole with a denied entry in it", v1alpha1.GitHeal{Except: denyOf("", "/spec/template/metadata/annotations/sidecar.istio.io~1inject")}, bare,
			set("false", "spec", "template", "metadata", "annotations", "sidecar.istio.io/inject"), []string{"added /spec/template/metadata"}},
		{"a map that comes as a whole with another entry in it", v1alpha1.GitHeal{Except: denyOf("", "/spec/template/metadata/annotations/sidecar.istio.io~1inject")}, bare,
			set("x", "spec", "template", "metadata", "annotations", "team"), nil},
		{"a map that goes as a whole with a denied entry in it", v1alpha1.GitHeal{Except: denyOf("", "/spec/template/spec/containers/*/image")}, nil,
			drop("spec", "template"), []string{"missing /spec/template/spec/containers/app/image"}},
		{"a map that becomes a word where something in it is denied", v1alpha1.GitHeal{Except: denyOf("", "/spec/template/spec/containers/*/image")}, nil,
			set("x", "spec", "template"), []string{"changed /spec/template"}},
		{"the excepted entry of a denied map", v1alpha1.GitHeal{Mode: v1alpha1.ModeDeny, Except: []v1alpha1.HealException{warn}}, bare,
			set("2026-11-23T10:00:00Z", "spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"), nil},
		{"another entry beside the excepted one", v1alpha1.GitHeal{Mode: v1alpha1.ModeDeny, Except: []v1alpha1.HealException{warn}}, bare,
			both(set("2026-11-23T10:00:00Z", "spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"), set("x", "spec", "template", "metadata", "annotations", "y")),
			[]string{"added /spec/template/metadata/annotations/y"}},
		{"taking the label of the source off", v1alpha1.GitHeal{Mode: v1alpha1.ModeDeny}, nil, drop("metadata", "labels", gitops.LabelSource), []string{"missing /metadata/labels/apexlogic.com~1source"}},
		{"more changes than are looked at", v1alpha1.GitHeal{Except: denyOf("", "/spec/replicas")}, nil, func(body map[string]any) {
			for i := range 5000 {
				set(i, "spec", fmt.Sprint("x", i))(body)
			}
		}, []string{"changed "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := c.before
			if before == nil {
				before = workload.Body
			}
			after := deepCopyLoose(t, before)
			c.change(after)
			var got []string
			for _, change := range modesOf(t, c.modes).Denied(workload.ID, before, after) {
				got = append(got, change.What.String()+" "+change.Path)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("denied %q, want %q", got, c.want)
			}
		})
	}
}

// deepCopyLoose copies what holds int, too.
func deepCopyLoose(t testing.TB, body map[string]any) map[string]any {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := utiljson.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMakingAndDeletingAnObjectIsDeniedByTheModeOfTheWhole(t *testing.T) {
	o := object(t, openEmbedded(t), deployment)
	whole := modesOf(t, v1alpha1.GitHeal{Except: denyOf("Deployment", "")})
	part := modesOf(t, v1alpha1.GitHeal{Except: denyOf("Deployment", "/spec")})
	for _, c := range []struct {
		name          string
		before, after map[string]any
	}{{"made", nil, o.Body}, {"deleted", o.Body, nil}} {
		if len(whole.Denied(o.ID, c.before, c.after)) != 1 {
			t.Errorf("%s: let through", c.name)
		}
		if got := part.Denied(o.ID, c.before, c.after); got != nil {
			t.Errorf("%s: denied where only a part is: %v", c.name, got)
		}
	}
	if !part.Locks(o.ID) || part.Locks(gitops.ID{Kind: "ConfigMap", Name: "x"}) {
		t.Error("Locks does not tell kinds apart")
	}
}

// The mode that an object has for itself counts where Git says so, and nowhere else.
func TestTheModeOfOneObjectComesFromGitAlone(t *testing.T) {
	for _, c := range []struct {
		name   string
		inGit  string
		source v1alpha1.GitHeal
		live   string // what somebody writes on the object
		want   verdict.Code
	}{
		{"Git says warn", "Warn", v1alpha1.GitHeal{}, "", verdict.DriftFound},
		{"Git says heal in a source that warns", "Heal", v1alpha1.GitHeal{Mode: v1alpha1.ModeWarn}, "", verdict.DriftHealed},
		{"somebody writes warn on the object", "", v1alpha1.GitHeal{}, "Warn", verdict.DriftHealed},
		{"the GitSource says heal by name where Git says warn", "Warn", v1alpha1.GitHeal{Except: []v1alpha1.HealException{{Kind: "ConfigMap", Mode: v1alpha1.ModeHeal}}}, "", verdict.DriftHealed},
		{"Git says something that is no mode", "Ignore", v1alpha1.GitHeal{}, "", verdict.DriftHealed},
		{"nobody says anything", "", v1alpha1.GitHeal{}, "", verdict.DriftHealed},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := openEmbedded(t)
			g := newGuard(t, w, func(h *heal.Config) { h.Heal = c.source })
			g.run(t)
			o := object(t, w, configMap)
			if c.inGit != "" {
				set(c.inGit, "metadata", "annotations", heal.AnnotationMode)(o.Body)
			}
			g.put(t, o)
			g.rest(t, 0)
			w.write(t, o.ID, o.Version, writers[0], func(body map[string]any) {
				set("lax", "data", "mode")(body)
				if c.live != "" {
					set(c.live, "metadata", "annotations", heal.AnnotationMode)(body)
				}
			})
			g.until(t, "a report", func(r []heal.Report) bool { return len(r) > 0 })
			g.rest(t, 0)
			if got := g.reports[0].Code; got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			live, err := w.Get(t.Context(), o.ID, o.Version)
			if err != nil {
				t.Fatal(err)
			}
			if healed := at(live.Body, "data", "mode") == "strict"; healed != (c.want == verdict.DriftHealed) {
				t.Errorf("healed: %t", healed)
			}
			if notes, _ := live.Body["metadata"].(map[string]any)["annotations"].(map[string]any); c.live != "" && notes[heal.AnnotationMode] != nil {
				t.Error("what somebody wrote on the object stays")
			}
		})
	}
}

func TestAnObjectsOwnModeIsReadOrRefusedWithWhatToWrite(t *testing.T) {
	o := object(t, openEmbedded(t), configMap)
	if m, err := heal.ModeOf(o); m != "" || err != nil {
		t.Errorf("without one: %q, %v", m, err)
	}
	set("Deny", "metadata", "annotations", heal.AnnotationMode)(o.Body)
	if m, err := heal.ModeOf(o); m != v1alpha1.ModeDeny || err != nil {
		t.Errorf("%q, %v", m, err)
	}
	set("deny", "metadata", "annotations", heal.AnnotationMode)(o.Body)
	if _, err := heal.ModeOf(o); err == nil || !strings.Contains(err.Error(), "write Heal, Warn or Deny") || !strings.Contains(err.Error(), "app.yaml") {
		t.Errorf("the error is %v", err)
	}
	g := newGuard(t, openEmbedded(t), nil)
	set("Deny", "metadata", "annotations", heal.AnnotationMode)(o.Body)
	if err := g.Desire(o); err != nil {
		t.Fatal(err)
	}
	tampered := deepCopy(o.Body)
	set("lax", "data", "mode")(tampered)
	if len(g.Denied(o.ID, o.Body, tampered)) != 1 || len(g.Denied(o.ID, o.Body, deepCopy(o.Body))) != 0 {
		t.Error("the healer does not deny what Git says is to be denied")
	}
	if m, err := g.Mode(o.ID, "/data/mode"); m != v1alpha1.ModeDeny || err != nil {
		t.Errorf("the mode of a path is %q, %v", m, err)
	}
}

// A part that is only watched does not take the whole with it, nor the whole it.
func TestWhatComesAsAWholeIsHealedPartByPart(t *testing.T) {
	w := openEmbedded(t)
	const noted = "/spec/template/metadata/annotations/team"
	g := newGuard(t, w, func(c *heal.Config) {
		c.Heal.Except = []v1alpha1.HealException{{Kind: "Deployment", Path: noted, Mode: v1alpha1.ModeWarn}}
	})
	g.run(t)
	o := object(t, w, openDeployment)
	g.put(t, o)
	g.rest(t, 0)
	w.write(t, o.ID, o.Version, writers[0], set(map[string]any{"team": "x", "sidecar.istio.io/inject": "false"}, "spec", "template", "metadata", "annotations"))
	g.until(t, "healing", func([]heal.Report) bool {
		return len(g.of(verdict.DriftHealed, o.ID)) == 1 && len(g.of(verdict.DriftFound, o.ID)) == 1
	})
	g.rest(t, 0)
	live, err := w.Get(t.Context(), o.ID, o.Version)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := at(live.Body, "spec", "template", "metadata", "annotations").(map[string]any)
	if len(got) != 1 || got["team"] != "x" {
		t.Errorf("the annotations are %v", got)
	}
}

// FuzzDenied holds that a write of nothing is never denied, and that one that
// changes a denied field always is.
func FuzzDenied(f *testing.F) {
	f.Add([]byte(`{"spec":{"a":{"b":1},"c":[{"name":"x"}]}}`), []byte(`{"spec":{"a":{"b":2}}}`))
	f.Add([]byte(`{"spec":{}}`), []byte(`{"spec":{"a":{"b":{"c":[]}}}}`))
	f.Add([]byte(`{"spec":{"a":[[1],{"b":null}]}}`), []byte(`{"spec":"a"}`))
	m := modesOf(f, v1alpha1.GitHeal{Mode: v1alpha1.ModeWarn, Except: denyOf("", "/spec/a/b", "/spec/c/*/name")})
	id := gitops.ID{Kind: "Thing", Name: "x"}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var before, after map[string]any
		if utiljson.Unmarshal(a, &before) != nil || utiljson.Unmarshal(b, &after) != nil || before == nil || after == nil {
			return
		}
		spec, _ := before["spec"].(map[string]any)
		inner, _ := spec["a"].(map[string]any)
		was, there := inner["b"].(string)
		denied := m.Denied(id, before, after)
		spec, _ = after["spec"].(map[string]any)
		inner, _ = spec["a"].(map[string]any)
		if is, _ := inner["b"].(string); there && was != is && len(denied) == 0 {
			t.Fatalf("%s became %s and is let through", a, b)
		}
	})
}
