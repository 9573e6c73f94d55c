package purl

import (
	"errors"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/fact"
)

// Of a URL in the table the package follows, and of the package the URL again.
func TestURLsAndPackagesNameEachOther(t *testing.T) {
	for _, tc := range []struct {
		name, url string
		want      fact.Package
	}{
		{"a local version of Python", "pkg:pypi/torch@2.6.0%2Bcu124", fact.Package{Ecosystem: "PyPI", Name: "torch", Version: "2.6.0+cu124"}},
		{"an epoch of Python", "pkg:pypi/thing@1%212.0", fact.Package{Ecosystem: "PyPI", Name: "thing", Version: "1!2.0"}},
		{"a scope of npm", "pkg:npm/%40babel/core@7.24.0", fact.Package{Ecosystem: "npm", Name: "@babel/core", Version: "7.24.0"}},
		{"a plain name of npm", "pkg:npm/left_Pad@1.0.0", fact.Package{Ecosystem: "npm", Name: "left_Pad", Version: "1.0.0"}},
		{"a module of Go", "pkg:golang/golang.org/x/net@v0.30.0", fact.Package{Ecosystem: "Go", Name: "golang.org/x/net", Version: "v0.30.0"}},
		{"Go's own library", "pkg:golang/stdlib@1.26.0", fact.Package{Ecosystem: "Go", Name: "stdlib", Version: "1.26.0"}},
		{"a pseudo-version of Go", "pkg:golang/a.b/c@v0.0.0-20240101000000-abcdefabcdef%2Bincompatible", fact.Package{Ecosystem: "Go", Name: "a.b/c", Version: "v0.0.0-20240101000000-abcdefabcdef+incompatible"}},
		{"a crate", "pkg:cargo/serde_json@1.0.0", fact.Package{Ecosystem: "crates.io", Name: "serde_json", Version: "1.0.0"}},
		{"a gem", "pkg:gem/rails@7.1.0", fact.Package{Ecosystem: "RubyGems", Name: "rails", Version: "7.1.0"}},
		{"a package of Composer", "pkg:composer/laravel/framework@v11.0.0", fact.Package{Ecosystem: "Packagist", Name: "laravel/framework", Version: "v11.0.0"}},
		{"an artifact of Maven", "pkg:maven/org.apache.logging.log4j/log4j-core@2.17.0", fact.Package{Ecosystem: "Maven", Name: "org.apache.logging.log4j:log4j-core", Version: "2.17.0"}},
		{"a package of NuGet", "pkg:nuget/Newtonsoft.Json@13.0.1", fact.Package{Ecosystem: "NuGet", Name: "Newtonsoft.Json", Version: "13.0.1"}},
		{"a package of conda", "pkg:conda/numpy@1.26.4", fact.Package{Ecosystem: "conda", Name: "numpy", Version: "1.26.4"}},
		{"something of nobody's", "pkg:generic/openssl@3.0.11", fact.Package{Ecosystem: "generic", Name: "openssl", Version: "3.0.11"}},
		{"an image", "pkg:oci/app@sha256:" + strings.Repeat("a", 64) + "?repository_url=ghcr.io%2Facme%2Fapp", fact.Package{Ecosystem: "oci", Name: "ghcr.io/acme/app", Version: "sha256:" + strings.Repeat("a", 64)}},
		{"Debian with an epoch and a source", "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1~bpo?arch=amd64&distro=debian-12&upstream=gcc-12%4012.2.0-14",
			fact.Package{Ecosystem: "Debian:12", Name: "libstdc++6", Version: "1:12.2.0-14+deb12u1~bpo", Arch: "amd64", SourceName: "gcc-12", SourceVersion: "12.2.0-14"}},
		{"Ubuntu with long-term support", "pkg:deb/ubuntu/bash@5.1-6ubuntu1?distro=ubuntu-22.04", fact.Package{Ecosystem: "Ubuntu:22.04:LTS", Name: "bash", Version: "5.1-6ubuntu1"}},
		{"Ubuntu without", "pkg:deb/ubuntu/bash@5.1?distro=ubuntu-24.10", fact.Package{Ecosystem: "Ubuntu:24.10", Name: "bash", Version: "5.1"}},
		{"Alpine", "pkg:apk/alpine/busybox@1.36.1-r29?distro=alpine-3.20&upstream=busybox-src", fact.Package{Ecosystem: "Alpine:v3.20", Name: "busybox", Version: "1.36.1-r29", SourceName: "busybox-src"}},
		{"Wolfi", "pkg:apk/wolfi/git@2.39.0-r1?distro=wolfi", fact.Package{Ecosystem: "Wolfi", Name: "git", Version: "2.39.0-r1"}},
		{"Rocky Linux with an epoch", "pkg:rpm/rocky/openssl-libs@3.0.7-27.el9?arch=x86_64&distro=rocky-9&epoch=1", fact.Package{Ecosystem: "Rocky Linux:9", Name: "openssl-libs", Version: "1:3.0.7-27.el9", Arch: "x86_64"}},
		{"Red Hat", "pkg:rpm/rhel/bash@5.1.8-9.el9?distro=rhel-9", fact.Package{Ecosystem: "Red Hat:enterprise_linux:9", Name: "bash", Version: "5.1.8-9.el9"}},
		{"SUSE", "pkg:rpm/sles/zlib@1.2.13-1?distro=sles-15.5", fact.Package{Ecosystem: "SUSE:Linux Enterprise Server 15 SP5", Name: "zlib", Version: "1.2.13-1"}},
		{"openSUSE Leap", "pkg:rpm/opensuse-leap/zlib@1.2.13-1?distro=opensuse-leap-15.6", fact.Package{Ecosystem: "openSUSE:Leap 15.6", Name: "zlib", Version: "1.2.13-1"}},
		{"openSUSE Tumbleweed", "pkg:rpm/opensuse-tumbleweed/zlib@1.3-1?distro=opensuse-tumbleweed", fact.Package{Ecosystem: "openSUSE:Tumbleweed", Name: "zlib", Version: "1.3-1"}},
		{"openEuler", "pkg:rpm/openeuler/zlib@1.2.13-2?distro=openeuler-24.03-LTS-SP1", fact.Package{Ecosystem: "openEuler:24.03-LTS-SP1", Name: "zlib", Version: "1.2.13-2"}},
		{"Amazon Linux", "pkg:rpm/amzn/curl@8.5.0-1.amzn2023?distro=amzn-2023", fact.Package{Ecosystem: "Amazon Linux:2023", Name: "curl", Version: "8.5.0-1.amzn2023"}},
		{"a requirement without a version", "pkg:pypi/requests", fact.Package{Ecosystem: "PyPI", Name: "requests"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := From(tc.url)
			tc.want.PURL = tc.url
			if err != nil || text(got) != text(tc.want) {
				t.Fatalf("%v\n got %s\nwant %s", err, text(got), text(tc.want))
			}
			got.PURL = ""
			if back := To(got); back != tc.url {
				t.Errorf("back: %s; want %s", back, tc.url)
			}
		})
	}
}

// Others write URLs in other ways; what is matched with advisories is the same.
func TestOthersWaysOfWritingAreUnderstood(t *testing.T) {
	for _, tc := range []struct{ url, ecosystem, name, version string }{
		{"pkg:deb/debian/libssl3@3.0.11-1?distro=debian-12.5", "Debian:12", "libssl3", "3.0.11-1"},
		{"pkg:deb/debian/libssl3@3.0.11-1?distro=bookworm", "Debian:12", "libssl3", "3.0.11-1"},
		{"pkg:deb/debian/libssl3@3.0.11-1?distro=debian-bookworm", "Debian:12", "libssl3", "3.0.11-1"},
		{"pkg:deb/debian/libssl3@3.0.11-1?distro=sid", "Debian", "libssl3", "3.0.11-1"},
		{"pkg:deb/debian/libssl3@3.0.11-1", "Debian", "libssl3", "3.0.11-1"},
		{"pkg:deb/debian/tar@1.34?epoch=1&distro=debian-12", "Debian:12", "tar", "1:1.34"},
		{"pkg:deb/debian/tar@1:1.34?epoch=1&distro=debian-12", "Debian:12", "tar", "1:1.34"},
		{"pkg:deb/ubuntu/tar@1.34?distro=jammy", "Ubuntu:22.04:LTS", "tar", "1.34"},
		{"pkg:apk/alpine/musl@1.2.5-r0?distro=3.20.3", "Alpine:v3.20", "musl", "1.2.5-r0"},
		{"pkg:apk/alpine/musl@1.2.5-r0?distro=3.24.0_alpha20260127", "Alpine:edge", "musl", "1.2.5-r0"},
		{"pkg:apk/alpine/musl@1.2.5-r0?distro=alpine-edge", "Alpine:edge", "musl", "1.2.5-r0"},
		{"pkg:rpm/redhat/bash@5.1-1?distro=redhat-9.3", "Red Hat:enterprise_linux:9", "bash", "5.1-1"},
		{"pkg:rpm/redhat/bash@5.1-1?distro=rhel-9.3&epoch=0", "Red Hat:enterprise_linux:9", "bash", "5.1-1"},
		{"pkg:rpm/alma/bash@5.1-1?distro=alma-8.10", "AlmaLinux:8", "bash", "5.1-1"},
		{"pkg:rpm/oracle/bash@5.1-1?distro=oracle-9", "Oracle Linux:9", "bash", "5.1-1"},
		{"pkg:rpm/opensuse/zlib@1-1?distro=opensuse-leap-15.6", "openSUSE:Leap 15.6", "zlib", "1-1"},
		{"pkg:rpm/opensuse/zlib@1-1?distro=opensuse-tumbleweed", "openSUSE:Tumbleweed", "zlib", "1-1"},
		{"pkg:rpm/suse/zlib@1-1?distro=sles-15.5", "SUSE:Linux Enterprise Server 15 SP5", "zlib", "1-1"},
		{"pkg:rpm/amazon/curl@8-1?distro=amazon-2", "Amazon Linux:2", "curl", "8-1"},
		{"pkg:pypi/My_Pkg@1.0", "PyPI", "my-pkg", "1.0"},
		{"pkg:PyPI/torch@2.6.0+cu124", "PyPI", "torch", "2.6.0+cu124"},
		{"pkg://npm/lodash@4.17.21", "npm", "lodash", "4.17.21"},
		{"pkg:npm/@babel/core@7.0.0", "npm", "@babel/core", "7.0.0"},
		{"pkg:golang/github.com/BurntSushi/toml@v1.4.0", "Go", "github.com/BurntSushi/toml", "v1.4.0"},
		{"pkg:golang/google.golang.org/genproto@v0.0.1#googleapis/api", "Go", "google.golang.org/genproto", "v0.0.1"},
		{"pkg:github/actions/checkout@v4", "GitHub Actions", "actions/checkout", "v4"},
		{"pkg:alpm/arch/pacman@6.0.1-1", "alpm", "arch/pacman", "6.0.1-1"},
		// The release of another distribution than the namespace's is nobody's.
		{"pkg:deb/debian/libssl3@3.0.11-1?distro=ubuntu-22.04", "Debian", "libssl3", "3.0.11-1"},
	} {
		p, err := From(tc.url)
		if err != nil || p.Ecosystem != tc.ecosystem || p.Name != tc.name || p.Version != tc.version {
			t.Errorf("%s: %v, %s", tc.url, err, text(p))
		}
	}
}

func TestTheSourceOfAPackageIsItsUpstream(t *testing.T) {
	for _, tc := range []struct{ url, name, version string }{
		{"pkg:rpm/rocky/openssl-libs@3.0.7-27.el9?epoch=1&upstream=openssl-3.0.7-27.el9.src.rpm", "openssl", "1:3.0.7-27.el9"},
		{"pkg:rpm/rocky/x@1-1?upstream=nonsense.rpm", "", ""},
		{"pkg:deb/debian/libssl3@3.0.11-1?upstream=openssl", "openssl", ""},
		{"pkg:deb/debian/openssl@3.0.11-1?upstream=openssl", "", ""},
		{"pkg:deb/debian/openssl@3.0.11-1%2Bb1?upstream=openssl%403.0.11-1", "openssl", "3.0.11-1"},
	} {
		if p, err := From(tc.url); err != nil || p.SourceName != tc.name || p.SourceVersion != tc.version {
			t.Errorf("%s: %v, %q %q", tc.url, err, p.SourceName, p.SourceVersion)
		}
	}
}

func TestTextThatIsNoURLIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "another scheme": "https://example.com/a", "no name": "pkg:pypi/", "no type": "pkg:a", "a line break": "pkg:pypi/a\nb",
		"an encoded line break": "pkg:pypi/a%0Ab", "an encoded NUL": "pkg:pypi/a@1%00", "a space": "pkg:pypi/a b", "half an escape": "pkg:pypi/a@1%2",
		"what is no UTF-8": "pkg:pypi/a%FF", "more than a path": "pkg:pypi/" + strings.Repeat("a", MaxLength),
	} {
		if p, err := From(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, %v", name, p, err)
		} else if len(err.Error()) > 600 {
			t.Errorf("%s: the error quotes %d bytes", name, len(err.Error()))
		}
	}
	if _, err := From("pkg:pypi/" + strings.Repeat("a", MaxLength-len("pkg:pypi/"))); err != nil {
		t.Errorf("as long as may be: %v", err)
	}
}

func TestPackagesWithoutAURLHaveNone(t *testing.T) {
	for _, p := range []fact.Package{{Ecosystem: "PyPI"}, {Ecosystem: "Some Feed", Name: "a"}, {Name: "a"}, {Ecosystem: "deb", Name: "a"}, {Ecosystem: "SUSE:Manager 4", Name: "a"}} {
		if got := To(p); got != "" {
			t.Errorf("%s: %s", text(p), got)
		}
	}
	if got := To(fact.Package{Ecosystem: "PyPI", Name: "a", PURL: "pkg:pypi/a?own=1"}); got != "pkg:pypi/a?own=1" {
		t.Errorf("its own URL is not kept: %s", got)
	}
}

func TestSpellingsOfOneName(t *testing.T) {
	for _, same := range [][2]string{{"PyYAML", "pyyaml"}, {"a.b_c", "A-B-c"}, {"", ""}} {
		if !Same(same[0], same[1]) {
			t.Errorf("%q and %q are one name", same[0], same[1])
		}
	}
	for _, other := range [][2]string{{"a", "b"}, {"a", "aa"}, {"a-b", "a/b"}, {"@a", "`a"}} {
		if Same(other[0], other[1]) {
			t.Errorf("%q and %q are two names", other[0], other[1])
		}
	}
}

func text(p fact.Package) string {
	return strings.Join([]string{p.Ecosystem, p.Name, p.Version, p.SourceName, p.SourceVersion, p.Arch, p.PURL}, " | ")
}

// FuzzFrom holds what is read to what is written: a package that a URL names
// has a URL that names the same package.
func FuzzFrom(f *testing.F) {
	for _, seed := range []string{
		"pkg:deb/debian/libstdc%2B%2B6@1:12?arch=amd64&distro=debian-12&upstream=gcc%4012", "pkg:npm/%40a/b@1", "pkg:golang/A/B@v1#c", "pkg:maven/a.b/c@1",
		"pkg:oci/a@sha256%3Aab?repository_url=r/A", "pkg:rpm/opensuse/zlib@1-1?distro=opensuse-leap-15.6&epoch=2", "pkg:apk/alpine/a?distro=edge", "pkg:///x//y@@", "pkg:Apk/0",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		p, err := From(url)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("%q: %v", url, err)
			}
			return
		}
		if p.Ecosystem == "" || p.Name == "" {
			t.Fatalf("%q: %s", url, text(p))
		}
		p.PURL = ""
		written := To(p)
		if written == "" {
			return
		}
		again, err := From(written)
		if err != nil {
			t.Fatalf("%q was written as %q: %v", url, written, err)
		}
		if again.Ecosystem != p.Ecosystem && !strings.Contains(p.Ecosystem, ":") {
			t.Fatalf("%q is of %q, and %q of %q", url, p.Ecosystem, written, again.Ecosystem)
		}
	})
}
