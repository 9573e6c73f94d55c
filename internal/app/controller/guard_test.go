package controller

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/config"
)

// guardOf is a controller in which the documents are in force.
func guardOf(t *testing.T, documents ...string) *controller {
	t.Helper()
	var sources []config.Source
	for i, text := range documents {
		sources = append(sources, config.Bytes(string(rune('a'+i))+".yaml", []byte(text)))
	}
	set, err := config.Load(t.Context(), sources...)
	if err != nil {
		t.Fatal(err)
	}
	c := &controller{}
	c.locks.Store(locksOf(set))
	return c
}

const commitSigner = `
apiVersion: security.apexlogic.com/v1alpha1
kind: TrustRoot
metadata: {name: commits}
spec: {entries: [{name: platform, owner: platform, uses: [Commits], ssh: {publicKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE0NRDS6BRCgFYaGDXSYIj3VbtxyqWxiBYo+wXNoNVBS a"}}]}`

func lockedSource(name, more string) string {
	return `
apiVersion: security.apexlogic.com/v1alpha1
kind: GitSource
metadata: {name: ` + name + `}
spec:
  url: /srv/` + name + `
  namespace: vision
  trust: {firstCommit: "0000000000000000000000000000000000000000", signers: [platform]}
  target: {cluster: {serviceAccount: vision/deployer, namespaces: [vision]}}
` + more
}

func body(t *testing.T, text string) map[string]any {
	t.Helper()
	if text == "" {
		return nil
	}
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhatOthersMayWriteIsAsTheModesOfTheSourceSay(t *testing.T) {
	c := guardOf(t, commitSigner,
		lockedSource("deny", "  heal: {mode: Deny}"),
		lockedSource("open", "  heal: {mode: Heal}"),
		lockedSource("part", "  heal: {mode: Heal, except: [{kind: ConfigMap, path: /data, mode: Deny}]}"),
		lockedSource("notes", "  heal: {mode: Deny, except: [{path: /metadata/annotations, mode: Warn}]}"),
		lockedSource("staged", "  heal: {mode: Deny}\n  stages: [{name: dev}, {name: prod, after: dev, target: {cluster: {serviceAccount: live/writer, namespaces: [live]}}}]"))
	configMap := func(annotations, data string) string {
		return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"vision","annotations":{` + annotations + `}},"data":{` + data + `}}`
	}
	const mode = `"apexlogic.com/heal":`
	for _, test := range []struct {
		name, source, before, after string
		want                        []string
	}{
		{"a field of a source in mode deny", "deny", configMap("", `"k":"1"`), configMap("", `"k":"2"`), []string{"/data/k"}},
		{"a write that changes nothing", "deny", configMap("", `"k":"1"`), configMap("", `"k":"1"`), nil},
		{"an object that is made", "deny", "", configMap("", ""), []string{""}},
		{"an object that is deleted", "deny", configMap("", ""), "", []string{""}},
		{"a field of a source in mode heal", "open", configMap("", `"k":"1"`), configMap("", `"k":"2"`), nil},
		{"an object of mode heal that is deleted", "open", configMap("", ""), "", nil},
		{"a field that is locked alone", "part", configMap("", `"k":"1"`), configMap("", `"k":"2"`), []string{"/data/k"}},
		{"a field beside the one that is locked", "part", configMap("", `"k":"1"`), configMap(`"n":"x"`, `"k":"1"`), nil},
		{"a place that is excepted", "notes", configMap(`"n":"1"`, ""), configMap(`"n":"2"`, ""), nil},
		{"a place beside the excepted one", "notes", configMap(`"n":"1"`, `"k":"1"`), configMap(`"n":"1"`, `"k":"2"`), []string{"/data/k"}},
		{"an object that Git locks in an open source", "open", configMap(mode+`"Deny"`, `"k":"1"`), configMap(mode+`"Deny"`, `"k":"2"`), []string{"/data/k"}},
		{"an object that Git opens in a locked source", "deny", configMap(mode+`"Heal"`, `"k":"1"`), configMap(mode+`"Heal"`, `"k":"2"`), nil},
		{"who writes the annotation that opens", "deny", configMap("", `"k":"1"`), configMap(mode+`"Heal"`, `"k":"2"`), []string{"/data/k", annotationPointer}},
		{"an annotation that opens where everybody may write it", "notes", configMap(mode+`"Heal"`, `"k":"1"`), configMap(mode+`"Heal"`, `"k":"2"`), []string{"/data/k"}},
		{"an annotation that opens what is only being made", "deny", "", configMap(mode+`"Heal"`, ""), []string{""}},
		{"a stage of a source", "staged.prod", configMap("", `"k":"1"`), configMap("", `"k":"2"`), []string{"/data/k"}},
		{"the name of a source that has stages", "staged", configMap("", `"k":"1"`), configMap("", `"k":"2"`), nil},
		{"a source that is not there", "gone", configMap("", `"k":"1"`), configMap("", `"k":"2"`), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := admission.Write{Version: "v1", Kind: "ConfigMap", Namespace: "vision", Name: "a", Before: body(t, test.before), After: body(t, test.after)}
			if got := c.denied(test.source, w); !slices.Equal(got, test.want) {
				t.Errorf("denied at %q, want %q", got, test.want)
			}
		})
	}
	for source, want := range map[string][]string{
		"deny": {"system:serviceaccount:vision:deployer"}, "staged.dev": {"system:serviceaccount:vision:deployer"},
		"staged.prod": {"system:serviceaccount:live:writer"}, "staged": nil, "gone": nil,
	} {
		if got := c.writers(source); !slices.Equal(got, want) {
			t.Errorf("%s is written by %q, want %q", source, got, want)
		}
	}
}

func TestNobodyWritesWhileModesAreNotRead(t *testing.T) {
	write := admission.Write{Version: "v1", Kind: "ConfigMap", Name: "a", Before: map[string]any{}, After: map[string]any{}}
	c := &controller{}
	if got := c.denied("vision", write); !slices.Equal(got, []string{""}) || c.writers("vision") != nil {
		t.Errorf("before anything is read: %q, %q", got, c.writers("vision"))
	}
	set := &config.Set{}
	broken := &v1alpha1.GitSource{Spec: v1alpha1.GitSourceSpec{Heal: v1alpha1.GitHeal{Mode: "Sometimes"}}}
	broken.Name = "vision"
	set.GitSources = append(set.GitSources, config.Object[v1alpha1.GitSource]{Value: broken})
	c.locks.Store(locksOf(set))
	if got := c.denied("vision", write); !slices.Equal(got, []string{""}) {
		t.Errorf("with a mode that is none: %q", got)
	}
	broken.Spec.Heal.Mode = v1alpha1.ModeHeal
	c.locks.Store(locksOf(set))
	if got := c.denied("vision", write); got != nil {
		t.Errorf("the twin: %q", got)
	}
}

func TestASourceWithADotInItsNameIsNoStage(t *testing.T) {
	for _, c := range [][3]string{{"vision", "vision", ""}, {"vision", "vision.prod", "prod"}, {"team.vision", "team.vision", ""}, {"team.vision", "team.vision.prod", "prod"}} {
		if got := stageIn(c[0], c[1]); got != c[2] {
			t.Errorf("%s of %s is the stage %q, want %q", c[1], c[0], got, c[2])
		}
	}
}
