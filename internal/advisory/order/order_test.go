package order

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	pep440lib "github.com/aquasecurity/go-pep440-version"
	apklib "github.com/knqyf263/go-apk-version"
	deblib "github.com/knqyf263/go-deb-version"
	rpmlib "github.com/knqyf263/go-rpm-version"
	semverlib "golang.org/x/mod/semver"
)

func must(t *testing.T, ecosystem string) Order {
	t.Helper()
	o, ok := For(ecosystem)
	if !ok {
		t.Fatalf("%s has no order", ecosystem)
	}
	return o
}

// ascending are versions from the oldest to the newest; those of one list are equal.
var ascending = map[string][][]string{
	"PyPI": {
		{"0.dev0"}, {"0a1"}, {"0", "0.0", "0.0.0", "v0"}, {"1.dev0"}, {"1.0.dev456"}, {"1.0a1", "1.0alpha1", "1.0-alpha-1", "1.0.A.1", "1.0_a_01"}, {"1.0a2.dev456"},
		{"1.0a12.dev456"}, {"1.0a12"}, {"1.0b1.dev456"}, {"1.0b2", "1.0beta2"}, {"1.0b2.post345.dev456"}, {"1.0b2.post345"}, {"1.0rc1.dev456"},
		{"1.0rc1", "1.0c1", "1.0pre1", "1.0-preview-1"}, {"1.0", "1", "1.0.0.0", " 1.0 ", "V1.0"}, {"1.0+abc.5"}, {"1.0+abc.7", "1.0+ABC-7"}, {"1.0+5"}, {"1.0+5.0"},
		{"1.0.post456.dev34"}, {"1.0.post456", "1.0-456", "1.0-r456", "1.0rev456"}, {"1.1.dev1"}, {"1.1"}, {"1.2"}, {"1.10"}, {"2.6.7", "2.6.7.0"},
		{"20260101"}, {"99999999999999999999999"}, {"100000000000000000000000"}, {"1!0.1"}, {"2!0"},
	},
	"npm": {
		{"0.0.0-0"}, {"0.0.0"}, {"1.0.0-alpha"}, {"1.0.0-alpha.1"}, {"1.0.0-alpha.beta"}, {"1.0.0-beta"}, {"1.0.0-beta.2"}, {"1.0.0-beta.11"}, {"1.0.0-rc.1"},
		{"1.0.0", "v1.0.0", "=1.0.0", "1.0.0+build", "1.0", "1"}, {"1.0.1-1"}, {"1.0.1-2"}, {"1.0.1-10"}, {"1.0.1-a"}, {"1.0.1-a-b"}, {"1.0.1"}, {"1.0.10"}, {"1.2.0"}, {"10.0.0"},
	},
	"Go": {
		{"v0.0.0-20190101000000-abcdefabcdef"}, {"v0.0.0"}, {"go1.21.9", "1.21.9"}, {"go1.22beta1", "1.22.0-beta.1"}, {"go1.22rc1", "1.22.0-rc.1"}, {"go1.22rc2"},
		{"go1.22.0", "go1.22", "1.22.0"}, {"go1.22.3", "go1.22.3 X:boringcrypto", "go1.22.3-custom"}, {"v2.0.0", "v2.0.0+incompatible"},
	},
	"Debian:12": {
		{"0~~"}, {"0~~a"}, {"0~"}, {"0", "0-0", "0:0"}, {"0a"}, {"0+"}, {"1.0~beta1~svn1245-1"}, {"1.0~beta1-1"}, {"1.0", "1.0-0", "01.00"}, {"1.0-1~bpo1"}, {"1.0-1"}, {"1.0-1+b1"}, {"1.0-1.1"},
		{"1.0-10"}, {"1.0a-1"}, {"1.0+git-1"}, {"1.0-2-1"}, {"1.0.1"}, {"1.2.3"}, {"1.18446744073709551617"}, {"1.18446744073709551618"}, {"1:0.1"}, {"2:0"},
	},
	"Rocky Linux:9": {
		{"1.0~rc1-1"}, {"1.0~rc2-1"}, {"1.0", "0:1.0", "(none):1.0"}, {"1.0-1", "1.0_-1", "01.00-1"}, {"1.0-1.el9"}, {"1.0-1.el9_2"}, {"1.0-2.el9"}, {"1.0-10.el9"}, {"1.0^-1"}, {"1.0^20200101-1"}, {"1.0a-1", "1.0.a-1"}, {"1.0.1-1"}, {"1.0.18446744073709551617-1"}, {"1:0.1-1"},
	},
	"Alpine:v3.20": {
		{"0.9"}, {"1_alpha"}, {"1_alpha1"}, {"1_beta"}, {"1_pre2"}, {"1_rc1"}, {"1", "01"}, {"1-r0"}, {"1-r1"}, {"1-r10"}, {"1~abc"}, {"1_cvs"}, {"1_git20200101"}, {"1_p"}, {"1_p1"}, {"1a"}, {"1b_alpha"}, {"1b"},
		{"1.0"}, {"1.00"}, {"1.01"}, {"1.05"}, {"1.1_rc1"}, {"1.1"}, {"1.1-r1"}, {"1.1.1"}, {"1.2"}, {"1.10"}, {"2.0"},
	},
}

func TestVersionsAreOrderedAsTheirSpecificationSays(t *testing.T) {
	for ecosystem, list := range ascending {
		t.Run(ecosystem, func(t *testing.T) {
			o := must(t, ecosystem)
			for i, same := range list {
				for _, a := range same {
					for j, others := range list {
						for _, b := range others {
							got, err := o.Compare(a, b)
							if err != nil {
								t.Fatal(err)
							}
							if want := sign(i - j); got != want {
								t.Errorf("%q and %q: %d, want %d", a, b, got, want)
							}
						}
					}
				}
			}
		})
	}
}

func sign(n int) int { return max(-1, min(1, n)) }

func TestTextThatIsNoVersionIsRefused(t *testing.T) {
	for ecosystem, all := range map[string][]string{
		"PyPI":          {"", "trunk", "1.0beta6.1", "0.7.0d", "2.6.0-NA", "1.0+", "1.0+a..b", "1.0+ä", "1!", "!1", "1..0", "1.0-", "1.0a1rc1", "2013-02-02T19:59:03+0100", "1.0\x00"},
		"npm":           {"", "latest", "1.x", "1.2.3.4", "1.2.3-", "1.2.3-a..b", "1.2.3-ä", "1..2", "-1"},
		"Debian:12":     {"", "a:1", ":1", "1:", "1-", "1 0", "1_0", "1.0-1_", "-1"},
		"Rocky Linux:9": {"", "a:1-1", ":1-1", "1:2:3", "1 0-1", "-1"},
		"Alpine:v3.20":  {"", "a", "1.", "1.a", "1_", "1_foo", "1-r", "1-1", "1~", "1aa", "1-r1_p"},
	} {
		o := must(t, ecosystem)
		for _, v := range append(all, strings.Repeat("1", MaxVersion+1)) {
			if _, err := o.Parse(v); !errors.Is(err, ErrVersion) {
				t.Errorf("%s %q: %v", ecosystem, v, err)
			}
		}
		if _, err := o.Parse(strings.Repeat("1", MaxVersion)); err != nil {
			t.Errorf("%s: the longest version: %v", ecosystem, err)
		}
	}
}

func TestAnUnknownEcosystemHasNoOrder(t *testing.T) {
	for _, e := range []string{"Maven", "NuGet", "", "pypi", "Debianish:1"} {
		o, ok := For(e)
		if ok || o.Known() {
			t.Errorf("%q has an order", e)
		}
		if _, err := o.Parse("1.0"); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", e, err)
		}
	}
}

func TestThePublicVersionLeavesOutTheLocalLabelOnly(t *testing.T) {
	o := must(t, "PyPI")
	local, err1 := o.Parse("2.1.0+cu121")
	plain, err2 := o.Parse("2.1")
	post, err3 := o.Parse("2.1.0.post1+cu121")
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if local.Public != plain.Full || local.Full <= plain.Full || plain.Public != plain.Full {
		t.Errorf("%q %q", local, plain)
	}
	if post.Public == plain.Full {
		t.Error("the post release was left out too")
	}
}

func TestBoundsThatAreNoVersionsAreReadAsFarAsTheyTell(t *testing.T) {
	o := must(t, "PyPI")
	exact := func(v string) Key {
		p, err := o.Parse(v)
		if err != nil {
			t.Fatal(err)
		}
		return p.Full
	}
	for _, tc := range []struct{ text, below, above, same string }{
		{"2.6.0-NA", "2.6.0rc1", "2.6.0.post1", "2.6.0"},
		{`0.2.0-alpha\.33`, "0.2.0a32", "0.2.0", "0.2.0a33"},
		{"2.6.0-cu124", "2.6.0", "2.6.1", "2.6.0+cu124"},
		{"7.2.0-12.1", "7.1.9", "7.2.1.dev0", ""},
		{"4.6.0.stable11", "4.5", "4.6.0.1", ""},
		{"0.2.0-n653", "0.1.99", "0.2.1", ""},
	} {
		b := o.Bound(tc.text)
		if b.Blind() || b.Read == "" || b.Exact() != (tc.same != "") {
			t.Errorf("%s: %+v", tc.text, b)
		}
		if exact(tc.below) >= b.Lo || exact(tc.above) <= b.Hi {
			t.Errorf("%s: from %q to %q does not lie between %s and %s", tc.text, b.Lo, b.Hi, tc.below, tc.above)
		}
		if tc.same != "" && exact(tc.same) != b.Lo {
			t.Errorf("%s was not read as %s", tc.text, tc.same)
		}
	}
	for _, text := range []string{"2019-09-12", "2018-04-22b", "trunk", "1!2.0x", strings.Repeat("1.", 300)} {
		if b := o.Bound(text); !b.Blind() {
			t.Errorf("%s: %+v", text, b)
		}
	}
	if b := o.Bound("0"); !b.Exact() || b.Lo != Lowest || exact("0.dev0") <= b.Lo {
		t.Errorf(`"0" is not before everything: %+v`, b)
	}
}

func TestNamesAndEcosystemsHaveOneSpelling(t *testing.T) {
	for in, want := range map[string]string{"Flask": "flask", "a_b.c": "a-b-c", "a-_.b": "a-b", "plain-name": "plain-name", "A--B": "a-b", "": ""} {
		if got := must(t, "PyPI").Name(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := must(t, "Go").Name("github.com/BurntSushi/toml"); got != "github.com/BurntSushi/toml" {
		t.Errorf("a module's name was changed: %q", got)
	}
	for in, want := range map[string]string{
		"Ubuntu:22.04:LTS": "Ubuntu:22.04", "Ubuntu:Pro:18.04:LTS": "Ubuntu:Pro:18.04", "Alpine:3.20.1": "Alpine:v3.20", "Alpine:v3.20": "Alpine:v3.20", "Debian:12.5": "Debian:12",
		"Rocky Linux:9.3": "Rocky Linux:9", "Debian": "Debian", "PyPI": "PyPI", "Red Hat:enterprise_linux:9::appstream": "Red Hat:enterprise_linux:9::appstream",
	} {
		if got := Ecosystem(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestTheLibrariesAgree holds the keys to the published libraries where these
// follow the specification.
func TestTheLibrariesAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	pick := func(all ...string) string { return all[rng.IntN(len(all))] }
	for name, tc := range map[string]struct {
		ecosystem string
		make      func() string
		compare   func(a, b string) (int, bool)
	}{
		"PEP 440": {"PyPI", func() string {
			return pick("", "1!", "v") + pick("0", "1", "2", "10") + pick("", ".0", ".1", ".0.1") + pick("", "a1", "-b-2", ".rc3", "pre") + pick("", ".post1", "-2", "rev") + pick("", ".dev1", "dev") + pick("", "", "+a.1", "+2", "+a")
		}, func(a, b string) (int, bool) {
			x, err1 := pep440lib.Parse(a)
			y, err2 := pep440lib.Parse(b)
			return x.Compare(y), err1 == nil && err2 == nil
		}},
		"dpkg": {"Debian", func() string {
			return pick("", "1:") + pick("0", "1", "10", "1.2", "01") + pick("", "~rc1", "+b", "a", ".", "~~") + pick("", "1", "10") + pick("", "-1", "-1~b", "-10")
		}, func(a, b string) (int, bool) {
			x, err1 := deblib.NewVersion(a)
			y, err2 := deblib.NewVersion(b)
			return sign(x.Compare(y)), err1 == nil && err2 == nil
		}},
		"rpm": {"Rocky Linux", func() string {
			return pick("", "1:") + pick("0", "1", "10", "1.2", "a1") + pick("", "~rc1", ".b", "a", "_1") + pick("-1", "-1.el9", "-10")
		}, func(a, b string) (int, bool) {
			return rpmlib.NewVersion(a).Compare(rpmlib.NewVersion(b)), true
		}},
		"apk": {"Alpine", func() string {
			return pick("1", "2", "10") + pick("", ".1", ".2.10") + pick("", "a", "b") + pick("", "_rc1", "_p", "_p1", "_alpha") + pick("", "-r0", "-r10")
		}, func(a, b string) (int, bool) {
			x, err1 := apklib.NewVersion(a)
			y, err2 := apklib.NewVersion(b)
			return x.Compare(y), err1 == nil && err2 == nil
		}},
		"SemVer": {"Go", func() string {
			return "v" + pick("0", "1", "10") + "." + pick("0", "2", "10") + "." + pick("0", "1") + pick("", "", "-rc.1", "-rc.10", "-0", "-a-b", "-1a") + pick("", "+x")
		}, func(a, b string) (int, bool) {
			return semverlib.Compare(a, b), semverlib.IsValid(a) && semverlib.IsValid(b)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o := must(t, tc.ecosystem)
			compared := 0
			for range 20_000 {
				a, b := tc.make(), tc.make()
				want, ok := tc.compare(a, b)
				if !ok {
					continue
				}
				got, err := o.Compare(a, b)
				if err != nil {
					t.Fatalf("%q and %q: %v", a, b, err)
				}
				if got != want {
					t.Fatalf("%q and %q: %d, the library says %d", a, b, got, want)
				}
				compared++
			}
			if compared < 10_000 {
				t.Errorf("only %d pairs were compared", compared)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	ecosystems := []string{"PyPI", "npm", "Go", "Debian", "Rocky Linux", "Alpine"}
	for i, e := range ecosystems {
		for _, list := range ascending[map[string]string{"Debian": "Debian:12", "Rocky Linux": "Rocky Linux:9", "Alpine": "Alpine:v3.20"}[e]] {
			f.Add(uint8(i), list[0])
		}
		f.Add(uint8(i), "2.6.0-cu124")
	}
	for _, list := range ascending["PyPI"] {
		f.Add(uint8(0), list[0])
	}
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		e := ecosystems[int(which)%len(ecosystems)]
		o, _ := For(e)
		b := o.Bound(text)
		if b.Lo > b.Hi {
			t.Fatalf("%s %q: the bound's ends are exchanged", e, text)
		}
		v, err := o.Parse(text)
		if err != nil {
			return
		}
		if v.Full == Lowest || v.Full >= Highest || v.Public > v.Full {
			t.Fatalf("%s %q: %q", e, text, v)
		}
		if text != "0" && !b.Exact() {
			t.Fatalf("%s %q is a version and no exact bound", e, text)
		}
		lib, err := pep440lib.Parse(text)
		if e != "PyPI" || err != nil {
			return
		}
		again, err := o.Parse(lib.String())
		if err == nil && again.Full != v.Full {
			t.Fatalf("%q is %q to the library, which has another key", text, lib.String())
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for ecosystem, list := range ascending {
		b.Run(ecosystem, func(b *testing.B) {
			o, _ := For(ecosystem)
			b.ReportAllocs()
			for b.Loop() {
				for _, same := range list {
					_, _ = o.Parse(same[0])
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(list)), "ns/version")
		})
	}
}

// BenchmarkPublishedPEP440 is what parsing costs with the library.
func BenchmarkPublishedPEP440(b *testing.B) {
	list := slices.Collect(func(yield func(string) bool) {
		for _, same := range ascending["PyPI"] {
			if !yield(same[0]) {
				return
			}
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		for _, v := range list {
			_, _ = pep440lib.Parse(v)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(list)), "ns/version")
}
