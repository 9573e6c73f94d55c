package document

import (
	"errors"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

func TestABuilderKeepsSoManyPackages(t *testing.T) {
	b := NewBuilder("")
	for range MaxPackages {
		if err := b.Add(fact.Package{Name: "a", Ecosystem: "npm"}, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Add(fact.Package{Name: "a", Ecosystem: "npm"}, ""); !errors.Is(err, ErrTooMany) {
		t.Error(err)
	}
	if err := b.Add(fact.Package{}, ""); err != nil {
		t.Errorf("what has no name is no package: %v", err)
	}
}

func TestLayersAreFoundByDigestAndIndex(t *testing.T) {
	x, y := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	b := NewBuilder("")
	for i, tc := range []struct {
		layer  int
		diffID string
	}{{-1, y}, {-1, x}, {2, x}, {1, x}, {7, ""}, {-5, ""}, {1, "sha256:unknown"}, {-1, "unknown"}} {
		if err := b.Add(fact.Package{Name: string(rune('a' + i)), Layer: tc.layer}, tc.diffID); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{x, "no digest", y, x} { // named after the packages
		if err := b.Layer(d); err != nil {
			t.Fatal(err)
		}
	}
	inv := b.Finish()
	for i, want := range []int{1, 0, 2, 0, -1, -1, 1, -1} {
		if got := inv.Packages[i].Layer; got != want {
			t.Errorf("package %d is of layer %d; want %d", i, got, want)
		}
	}
}

func TestASubjectIsOneOrNone(t *testing.T) {
	x, y := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	for _, tc := range []struct {
		named []string
		want  string
	}{{nil, ""}, {[]string{x}, x}, {[]string{"ghcr.io/a@" + x, x}, x}, {[]string{"latest", x}, x}, {[]string{x, y}, ""}} {
		b := NewBuilder("")
		for _, n := range tc.named {
			b.Subject(n)
		}
		if got := b.Finish().Subject.Digest; got != verdict.Digest(tc.want) {
			t.Errorf("%v: %q", tc.named, got)
		}
	}
}

func TestIdentifyBelievesTheURL(t *testing.T) {
	for _, tc := range []struct{ url, name, version, want string }{
		{"pkg:pypi/pyyaml@6.0", "PyYAML", "6.0", "PyPI PyYAML 6.0"},
		{"pkg:pypi/ray@2.8.0", "harmless", "9", "PyPI ray 2.8.0"},
		{"pkg:pypi/ray", "ray", "2.8.0", "PyPI ray 2.8.0"},
		{"", "ray", "2.8.0", "generic ray 2.8.0"},
	} {
		b := NewBuilder("")
		if p := b.Identify(tc.url, tc.name, tc.version); p.Ecosystem+" "+p.Name+" "+p.Version != tc.want || p.Layer != -1 || len(b.Finish().Gaps) != 0 {
			t.Errorf("%q: %+v", tc.url, p)
		}
	}
	b := NewBuilder("")
	if p := b.Identify("pkg:?", "ray", "1"); p.Ecosystem != "generic" || p.PURL != "" || len(b.Finish().Gaps) != 1 {
		t.Errorf("a broken URL: %+v, %v", p, b.Finish().Gaps)
	}
}

func TestExpressionsOfKnownIdentifiers(t *testing.T) {
	for text, want := range map[string]bool{
		"MIT": true, "MIT OR Apache-2.0": true, "(MIT OR Apache-2.0) AND Zlib": true, "BSD-3-Clause AND (MIT OR (ISC))": true,
		"": false, "MIT OR": false, "OR MIT": false, "MIT Apache-2.0": false, "(MIT": false, "MIT)": false, "()": false, "MIT License": false,
		"GPL": false, "mit": false, "MIT or Apache-2.0": false, "MIT WITH x": false,
	} {
		if Expression(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

func TestVersionsArePutTogether(t *testing.T) {
	for _, tc := range []struct{ epoch, version, release, want string }{
		{"", "1", "", "1"}, {"0", "1", "2", "1-2"}, {"1", "1", "2", "1:1-2"}, {"1", "", "", ""}, {"", "1", "2", "1-2"},
	} {
		if got := FullVersion(tc.epoch, tc.version, tc.release); got != tc.want {
			t.Errorf("%v: %q", tc, got)
		}
	}
}

func TestStatesFollowFromNames(t *testing.T) {
	for file, want := range map[string]fact.PackageState{
		"a/uv.lock": fact.Locked, "requirements-dev.txt": fact.Locked, "go.mod": fact.Locked, "a/METADATA": fact.Installed, "": fact.Installed, "requirements.md": fact.Installed,
	} {
		if got := StateOf(file); got != want {
			t.Errorf("%s: %s", file, got)
		}
	}
}

func TestTextsAreCutBetweenCharacters(t *testing.T) {
	if got := Clip("aä", 2); got != "a" {
		t.Errorf("%q", got)
	}
	if got := Clip("aä", 3); got != "aä" {
		t.Errorf("%q", got)
	}
}
