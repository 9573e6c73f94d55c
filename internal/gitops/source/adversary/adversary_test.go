// Package adversary pushes what an attacker would push, and what a colleague
// would, to a source behind the real gate: the history, the renderer, the
// verifier with its policies, a registry, the applier and a target, as they are
// wired for use. Each line of a table is a commit with the code that refuses it,
// or none. Begin with TestNothingUnverifiedReachesTheTarget.
package adversary

import (
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/internal/verify/verifytest"
	"github.com/apexlogic/apex/verdict"
)

func TestMain(m *testing.M) { kubetest.Main(m) }

// What has to be shown at least.
const (
	leastRefused = 200
	leastAllowed = 100
)

func TestNothingUnverifiedReachesTheTarget(t *testing.T) {
	var refused, allowed atomic.Int64
	t.Run("pushed", func(t *testing.T) {
		for name, groups := range map[string][][]attempt{
			"images":         {images(places[:len(places)/2])},
			"further images": {images(places[len(places)/2:]), badly(), templated},
			"models":         {models()},
			"hidden":         {hidden()},
			"histories":      {signatures, lines, moves, deletions, paths},
			"files":          {texts, trees},
			"kustomizations": {kustomizations, objects},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel() // most of the time is the disk's
				w := newWorld(t, nil, nil, nil)
				w.tryAll(groups...)
				t.Logf("%d adversarial commits refused with their codes, %d good ones applied", w.refused, w.allowed)
				refused.Add(int64(w.refused))
				allowed.Add(int64(w.allowed))
				w.sound()
			})
		}
	})
	t.Logf("%d adversarial commits refused with their codes, %d good ones applied", refused.Load(), allowed.Load())
	if !t.Failed() && (refused.Load() < leastRefused || allowed.Load() < leastAllowed) {
		t.Errorf("%d refused and %d applied, want at least %d and %d", refused.Load(), allowed.Load(), leastRefused, leastAllowed)
	}
}

// sound has the git command itself check what was applied: the good commits are
// such as it writes.
func (w *world) sound() {
	w.Helper()
	if out, err := w.run("--git-dir", w.dir, "rev-list", "--objects", "--quiet", w.head); err != nil {
		w.Errorf("%v\n%s", err, out)
	}
}

// A policy that selects by labels leaves what has none without a verdict, and
// that is no permission.
func TestWhatNoPolicySelectsIsRefused(t *testing.T) {
	labelled := func(k *verifytest.Kit) {
		selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
		k.Docs.Policies[0].Spec.ImageSelector, k.Docs.Models[0].Spec.ModelSelector = selector, selector
	}
	w := newWorld(t, nil, labelled, nil)
	labels := func(object, template, image string) string {
		return `{apiVersion: apps/v1, kind: Deployment, metadata: {name: x, labels: {` + object + `}}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {` + template + `}}, spec: {containers: [{name: c, image: "` + image + `"}]}}}}`
	}
	w.tryAll([]attempt{
		{name: "a good image that a policy selects", text: labels("", "app: x", "«good»")},
		{name: "an unsigned image that a policy selects", text: labels("", "app: x", "«unsigned»"), code: verdict.SignatureMissing},
		{name: "an unsigned image without labels", text: labels("", "", "«unsigned»"), code: verdict.Unselected},
		{name: "a good image without labels", text: labels("", "", "«good»"), code: verdict.Unselected},
		{name: "an unsigned image with another label", text: labels("", "app: other", "«unsigned»"), code: verdict.Unselected},
		{name: "an unsigned image whose object alone has the label", text: labels("app: x", "", "«unsigned»"), code: verdict.SignatureMissing},
		{name: "an unsigned image in a kind without labels", text: object("evil.example/v1", "Widget", `spec: {image: "«unsigned»"}`), code: verdict.Unselected},
		{name: "an unsigned model without labels", text: object(isvc, "InferenceService", `spec: {predictor: {model: {modelFormat: {name: onnx}, storageUri: "«naked»"}}}`), code: verdict.Unselected},
	})
	t.Logf("%d adversarial commits refused with their codes, %d good ones applied", w.refused, w.allowed)
}
