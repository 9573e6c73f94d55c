package config

import (
	"strings"
	"testing"
)

func TestBasePatternsMatchWholeTags(t *testing.T) {
	for _, tt := range []struct {
		pattern, repository, tag string
		want                     bool
	}{
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "gcr.io/tensorflow/tensorflow", "2.15-gpu", true},
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "gcr.io/tensorflow/tensorflow", "2.15.1-gpu", true},
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "gcr.io/tensorflow/tensorflow", "2.15.1-gpu-jupyter", false},
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "gcr.io/tensorflow/tensorflow", "2-gpu", false},
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "gcr.io/tensorflow/tensorflow", "2.-gpu", false},
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "gcr.io/tensorflow/tensorflow", "2.x-gpu", false},
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "gcr.io/tensorflow/tensorflow", "12.15-gpu", false},
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "gcr.io/tensorflow/tensorflow", "2.15rc1-gpu", false},
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "tensorflow/tensorflow", "2.15-gpu", false},
		{"gcr.io/tensorflow/tensorflow:2.x-gpu", "gcr.io/tensorflow/tensorflow-evil", "2.15-gpu", false},
		{"pytorch/pytorch:2.x-cuda", "docker.io/pytorch/pytorch", "2.6.0-cuda", true},
		{"pytorch/pytorch:2.x-cuda", "pytorch/pytorch", "2.6.0-cuda12.4-cudnn9-runtime", false},
		{"pytorch/pytorch:2.x-cuda*", "pytorch/pytorch", "2.6.0-cuda12.4-cudnn9-runtime", true},
		{"pytorch/pytorch:2.x-cudax", "pytorch/pytorch", "2.6.0-cuda12", false},
		{"python:3.x", "docker.io/library/python", "3.13", true},
		{"index.docker.io/library/python:3.x", "python", "3.13", true},
		{"python:3.x", "python", "3.13-slim", false},
		{"linux:linux-x", "linux", "linux-6", true},
		{"linux:linux-x", "linux", "linu9-6", false},
		{"linux:x*", "linux", "6-rc1", true},
		{"linux:x_x", "linux", "6_7", true},
		{"linux:x.x", "linux", "6", false},
		{"linux:x.x", "linux", "6.1.2", true},
		{"linux:*", "linux", "anything", true},
		{"linux:*", "linux", "", false},
		{"ghcr.io:443/a/b:1", "ghcr.io/a/b", "1", true},
		{"linux:a*b*c", "linux", "axxbyyc", true},
		{"linux:a*b*c", "linux", "axxbyy", false},
		{"localhost:5000/a:1", "localhost:5000/a", "1", true},
		{"localhost:5000/a:1", "localhost:5001/a", "1", false},
	} {
		p, err := ParseBasePattern(tt.pattern)
		if err != nil {
			t.Errorf("%s: %v", tt.pattern, err)
			continue
		}
		if got := p.Match(tt.repository, tt.tag); got != tt.want {
			t.Errorf("%s matches %s:%s: %v", tt.pattern, tt.repository, tt.tag, got)
		}
	}
	if (BasePattern{}).Match("", "") {
		t.Error("the zero pattern matches")
	}
}

func TestOfferedPatternsMatch(t *testing.T) {
	for _, tt := range []struct{ pattern, tag, want string }{
		{"pytorch/pytorch:2.x-cuda", "2.6.0-cuda12.4-cudnn9-runtime", "pytorch/pytorch:2.x-cuda*"},
		{"pytorch/pytorch:2.x-cuda", "2.6.0-cuda", "pytorch/pytorch:2.x-cuda"},
		{"python:2.x", "3.13-slim", "python:3.x-slim"},
		{"python:2.x", "slim", "python:slim"},
		{"python:2.x", "3.13rc1", "python:3.13rc1"},
	} {
		p, err := ParseBasePattern(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		got := p.Offer(tt.tag)
		if got != tt.want {
			t.Errorf("%s for %s: offers %s", tt.pattern, tt.tag, got)
		}
		offered, err := ParseBasePattern(got)
		if err != nil || !offered.Match(p.Repository(), tt.tag) {
			t.Errorf("%s does not match %s (%v)", got, tt.tag, err)
		}
	}
}

func FuzzBasePattern(f *testing.F) {
	f.Add("pytorch/pytorch:2.x-cuda*", "2.6.0-cuda12.4")
	f.Add("a:x", "1.2.3")
	f.Add("0:0", "")
	f.Add("a:"+strings.Repeat("*x", 60), strings.Repeat("1", 128))
	f.Fuzz(func(t *testing.T, pattern, tag string) {
		p, err := ParseBasePattern(pattern)
		if err != nil {
			return
		}
		if p.Match(p.Repository(), tag) && !strings.ContainsAny(p.tag, "x*") && p.tag != tag {
			t.Errorf("%s matches %q", pattern, tag)
		}
		if !strings.HasPrefix(p.String(), strings.TrimSuffix(pattern, p.tag)) {
			t.Errorf("%s is printed as %s", pattern, p)
		}
		star := BasePattern{text: p.text, repository: p.repository, tag: "*"}
		// An image without a tag is none that a pattern is about.
		if want := tag != "" && len(tag) <= 128; star.Match(p.Repository(), tag) != want {
			t.Errorf("* matches %q: %v, want %v", tag, !want, want)
		}
	})
}
