package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

func lock(image string, diffIDs ...verdict.Digest) v1alpha1.LockedBaseImage {
	l := v1alpha1.LockedBaseImage{Image: image, Digest: string(digestOf(image))}
	l.Platforms = []v1alpha1.LockedPlatform{{Platform: "linux/amd64", Digest: string(digestOf(image))}}
	for _, d := range diffIDs {
		l.Platforms[0].DiffIDs = append(l.Platforms[0].DiffIDs, string(d))
	}
	return l
}

// basedWorld is an image on a locked base that the reference example's pattern approves.
func basedWorld() *world {
	w := newWorld(v1alpha1.AllowOnlyApprovedBaseImages)
	w.param.AllowedBaseImages = []string{"gcr.io/tensorflow/tensorflow:2.x-gpu", "pytorch/pytorch:2.x-cuda"}
	w.locks = []v1alpha1.LockedBaseImage{
		lock("pytorch/pytorch:2.6-cuda", base...),
		lock("python:3.13-slim", other...),
	}
	return w
}

func named(w *world, image string) {
	w.image.Annotations = map[string]string{fact.AnnotationBaseName: image, fact.AnnotationBaseDigest: string(digestOf(image))}
}

func TestABaseIsProvedByItsLayersAlone(t *testing.T) {
	empty := emptyLayers[0]
	stranger := func(w *world) { w.image.DiffIDs = []verdict.Digest{digestOf("stranger"), own} }
	runTwins(t, basedWorld, []twin{
		{"the layers are a stranger's", stranger, verdict.Fail, verdict.BaseUnapproved, "first layers"},
		{"an annotation names an approved base, the layers are others", func(w *world) { stranger(w); named(w, "pytorch/pytorch:2.6-cuda") }, verdict.Fail, verdict.BaseForged, "docker.io/pytorch/pytorch:2.6-cuda"},
		{"an annotation names a base that was never locked", func(w *world) { stranger(w); named(w, "pytorch/pytorch:2.9-cuda") }, verdict.Fail, verdict.BaseForged, ""},
		{"an annotation names a base that no pattern approves", func(w *world) { stranger(w); named(w, "nginx:1") }, verdict.Fail, verdict.BasePattern, "docker.io/library/nginx:1"},
		{"an annotation names no image", func(w *world) { stranger(w); named(w, "::::") }, verdict.Fail, verdict.BaseUnapproved, "no image reference"},
		{"the layers are reordered", func(w *world) { slices.Reverse(w.image.DiffIDs) }, verdict.Fail, verdict.BaseUnapproved, ""},
		{"one layer of the base is missing", func(w *world) { w.image.DiffIDs = w.image.DiffIDs[1:] }, verdict.Fail, verdict.BaseUnapproved, ""},
		{"there are fewer layers than the base has", func(w *world) { w.image.DiffIDs = w.image.DiffIDs[:1] }, verdict.Fail, verdict.BaseUnapproved, ""},
		{"there are no layers", func(w *world) { w.image.DiffIDs = nil }, verdict.Fail, verdict.BaseUnapproved, ""},
		{"empty layers are put before the base", func(w *world) { w.image.DiffIDs = append([]verdict.Digest{empty}, w.image.DiffIDs...) }, verdict.Fail, verdict.BaseUnapproved, ""},
		{"an empty layer is put inside of the base", func(w *world) { w.image.DiffIDs = slices.Insert(w.image.DiffIDs, 1, empty) }, verdict.Fail, verdict.BaseUnapproved, ""},
		{"the base's digest is right and its layers differ", func(w *world) {
			named(w, "pytorch/pytorch:2.6-cuda")
			w.image.DiffIDs[1] = digestOf("another torch")
		}, verdict.Fail, verdict.BaseForged, ""},
		{"the base was locked for another platform", func(w *world) { w.image.Platform = "linux/arm64" }, verdict.Fail, verdict.BaseUnapproved, "first layers"},
		{"it is built on a locked base that no pattern approves", func(w *world) { w.image.DiffIDs = append(slices.Clone(other), own) }, verdict.Fail, verdict.BasePattern, "python:3.13-slim"},
		{"no approved base is locked", func(w *world) { w.locks = w.locks[1:] }, verdict.Fail, verdict.BaseNotLocked, "locked"},
		{"nothing is locked at all", func(w *world) { w.locks = nil }, verdict.Fail, verdict.BaseNotLocked, "locked"},
		{"the image could not be fetched", func(w *world) { w.unknown = fact.NeedImage }, verdict.Unknown, verdict.RegistryUnreachable, ""},
	})
}

func TestABasePassesWithOrWithoutAnnotations(t *testing.T) {
	runPasses(t, basedWorld, []variant{
		{"the annotation names it", func(w *world) { named(w, "pytorch/pytorch:2.6-cuda") }},
		{"the annotation names something else: the layers count", func(w *world) { named(w, "nginx:1") }},
		{"the image is the base itself", func(w *world) { w.image.DiffIDs = slices.Clone(base) }},
		{"an older lock of the same tag is kept", func(w *world) {
			w.locks = append([]v1alpha1.LockedBaseImage{lock("pytorch/pytorch:2.6-cuda", digestOf("newer"))}, w.locks...)
		}},
		{"the lock spells Docker Hub in another way", func(w *world) { w.locks[0].Image = "index.docker.io/pytorch/pytorch:2.6-cuda" }},
	})
}

func TestEmptyLayersCannotBeALockedBase(t *testing.T) {
	for _, layers := range [][]verdict.Digest{{emptyLayers[0]}, {emptyLayers[1]}, {emptyLayers[0], emptyLayers[1], emptyLayers[0]}, nil} {
		w := basedWorld()
		w.locks[0] = lock("pytorch/pytorch:2.6-cuda", layers...)
		deniesAsNotReady(t, w, "no layer with content")
	}
}

// TestADenialOffersThePatternThatWouldMatch is the reference example's own
// case: its second pattern does not match the tags that PyTorch really has.
func TestADenialOffersThePatternThatWouldMatch(t *testing.T) {
	for _, tt := range []struct{ tag, offer string }{
		{"2.6.0-cuda12.4-cudnn9-runtime", "pytorch/pytorch:2.x-cuda*"},
		{"1.13.1-cuda11.6-cudnn8-devel", "pytorch/pytorch:1.x-cuda11.6-cudnn8-devel"},
		{"latest", "pytorch/pytorch:latest"},
	} {
		w := basedWorld()
		w.locks[0] = lock("pytorch/pytorch:"+tt.tag, base...)
		w.locks = append(w.locks, lock("pytorch/pytorch:2.5-cuda", digestOf("older")))
		c := w.check(t)
		if c.Outcome != verdict.Fail || c.Code != verdict.BasePattern || !strings.Contains(c.Mend, `"`+tt.offer+`"`) {
			t.Errorf("%s: %s %s: %s / %s", tt.tag, c.Outcome, c.Code, c.Detail, c.Mend)
		}
		w.param.AllowedBaseImages = append(w.param.AllowedBaseImages, tt.offer)
		if c := w.check(t); c.Outcome != verdict.Pass {
			t.Errorf("%s with the offered pattern: %s %s: %s", tt.tag, c.Outcome, c.Code, c.Detail)
		}
	}
}

// TestTagPatterns goes through the whole rule: the tag is that of the lock
// whose layers the image has.
func TestTagPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern, base string
		want          bool
	}{
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "gcr.io/tensorflow/tensorflow:2.15-gpu", true},
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "gcr.io/tensorflow/tensorflow:2.15.1-gpu", true},
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "gcr.io/tensorflow/tensorflow:2.15.1-gpu-jupyter", false},
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "gcr.io/tensorflow/tensorflow:12.15-gpu", false},
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "gcr.io/tensorflow/tensorflow:2.15rc1-gpu", false},
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "gcr.io/tensorflow/tensorflow:2-gpu", false},
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "docker.io/tensorflow/tensorflow:2.15-gpu", false},
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "gcr.io/tensorflow/tensorflow2:2.15-gpu", false},
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "gcr.io.evil.example/tensorflow/tensorflow:2.15-gpu", false},
		{"pytorch/pytorch:2.x-cuda", "docker.io/pytorch/pytorch:2.6.0-cuda", true},
		{"pytorch/pytorch:2.x-cuda", "pytorch/pytorch:2.6.0-cuda12.4-cudnn9-runtime", false},
		{"pytorch/pytorch:2.x-cuda*", "pytorch/pytorch:2.6.0-cuda12.4-cudnn9-runtime", true},
		{"pytorch/pytorch:2.x-cuda*", "pytorch/pytorch:2.6.0-cpu", false},
		{"pytorch/pytorch:2.x-cuda*", "pytorch/pytorch:1.6.0-cuda12", false},
		{"pytorch/pytorch:x.x.x-cuda*", "pytorch/pytorch:2.6.0-cuda12.4", true},
		{"pytorch/pytorch:x-cuda*-runtime", "pytorch/pytorch:2.6.0-cuda12.4-cudnn9-runtime", true},
		{"pytorch/pytorch:x-cuda*-runtime", "pytorch/pytorch:2.6.0-cuda12.4-cudnn9-devel", false},
		{"python:3.x", "python:3.13", true},
		{"python:3.x", "docker.io/library/python:3.13.1", true},
		{"python:3.x", "index.docker.io/library/python:3.13", true},
		{"python:3.x", "python:3.13-slim", false},
		{"python:3.x", "python:3", false},
		{"python:*", "python:anything", true},
		{"python:latest", "python", true}, // no tag means latest
		{"linux/tools:linux-x", "linux/tools:linux-6", true},
		{"linux/tools:linux-x", "linux/tools:linu9-6", false},
		{"localhost:5000/b:1_x", "localhost:5000/b:1_2", true},
		{"localhost:5000/b:1_x", "localhost:5001/b:1_2", false},
		{"ghcr.io:443/a/b:1", "ghcr.io/a/b:1", true},
	} {
		w := basedWorld()
		w.param.AllowedBaseImages = []string{tt.pattern}
		w.locks = []v1alpha1.LockedBaseImage{lock(tt.base, base...)}
		c := w.check(t)
		if (c.Outcome == verdict.Pass) != tt.want || !tt.want && c.Code != verdict.BasePattern {
			t.Errorf("%s for %s: %s %s: %s", tt.pattern, tt.base, c.Outcome, c.Code, c.Detail)
		}
	}
}

func TestProvenanceProvesABaseToo(t *testing.T) {
	vouched := func() *world {
		w := basedWorld()
		w.param.BaseProvenanceFrom = []string{"alice"}
		w.image.DiffIDs = []verdict.Digest{digestOf("squashed")}
		w.provenance = []fact.Provenance{{
			Signing: signing("alice"), Subjects: about(subject), Builder: "https://ci.example", Code: verdict.OK,
			Dependencies: []fact.Dependency{{URI: "pkg:docker/pytorch/pytorch@2.6-cuda", Digest: digestOf("pytorch"), Repository: "docker.io/pytorch/pytorch", Tag: "2.6-cuda"}},
		}}
		return w
	}
	runTwins(t, vouched, []twin{
		{"nobody is believed about bases", func(w *world) { w.param.BaseProvenanceFrom = nil }, verdict.Fail, verdict.BaseUnapproved, ""},
		{"somebody else signed it", func(w *world) { w.provenance[0].Signing = signing("bob") }, verdict.Fail, verdict.BaseUnapproved, ""},
		{"it is about another digest", func(w *world) { w.provenance[0].Subjects = about(digestOf("else")) }, verdict.Fail, verdict.BaseUnapproved, ""},
		{"it cannot be read", func(w *world) { w.provenance[0].Code = verdict.ProvenanceInvalid }, verdict.Fail, verdict.BaseUnapproved, ""},
		{"it names another base", func(w *world) { w.provenance[0].Dependencies[0].Repository = "docker.io/library/nginx" }, verdict.Fail, verdict.BaseUnapproved, ""},
		{"it names the base without its digest", func(w *world) { w.provenance[0].Dependencies[0].Digest = "" }, verdict.Fail, verdict.BaseUnapproved, ""},
		{"it names the base without its tag", func(w *world) { w.provenance[0].Dependencies[0].Tag = "" }, verdict.Fail, verdict.BaseUnapproved, ""},
		{"it could not be fetched", func(w *world) { w.unknown = fact.NeedProvenance }, verdict.Unknown, verdict.RegistryUnreachable, ""},
		{"not all of it was looked at", func(w *world) { w.partial, w.provenance = fact.NeedProvenance, nil }, verdict.Unknown, verdict.RegistryTooMany, ""},
	})
}

func TestBadPatternsLeaveThePolicyNotReady(t *testing.T) {
	for _, text := range []string{"python", "python@sha256:" + strings.Repeat("a", 64), "Python:3", "pyth*n:3", "python:3/x", "python:", "*:1"} {
		w := basedWorld()
		w.param.AllowedBaseImages = append(w.param.AllowedBaseImages, text)
		deniesAsNotReady(t, w, "allowedBaseImages")
	}
}

func FuzzBaseImages(f *testing.F) {
	f.Add("pytorch/pytorch:2.x-cuda", "pytorch/pytorch:2.6.0-cuda12.4-cudnn9-runtime")
	f.Add("index.docker.io/library/python:3.x", "python:3.13")
	f.Add("a:x*x*x*x*", "a:1.1.1.1")
	f.Add("a.b:443/c:x_", "a.b/c:2x.-x")
	f.Fuzz(func(t *testing.T, pattern, image string) {
		w := basedWorld()
		w.param.AllowedBaseImages = []string{pattern}
		w.locks = []v1alpha1.LockedBaseImage{lock(image, base...)}
		p := Compile(w.documents(), nil).Policies[0]
		c := p.Check(&w.q, w.facts(), w.now)[0]
		if c.Outcome == verdict.Pass && len(p.NotReady) > 0 {
			t.Fatalf("%q for %q passes although the policy is not ready", pattern, image)
		}
		if c.Outcome == verdict.Pass || c.Mend == "" || c.Code != verdict.BasePattern {
			return
		}
		// What is offered is a pattern, and it matches.
		_, offer, _ := strings.Cut(c.Mend, `pattern "`)
		offer, _, _ = strings.Cut(offer, `"`)
		w.param.AllowedBaseImages = []string{offer}
		p = Compile(w.documents(), nil).Policies[0]
		if c := p.Check(&w.q, w.facts(), w.now)[0]; c.Outcome != verdict.Pass {
			t.Fatalf("%q for %q offers %q: %s %s", pattern, image, offer, c.Code, c.Detail)
		}
	})
}
