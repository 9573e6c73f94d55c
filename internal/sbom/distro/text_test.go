package distro

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
)

var bookworm = fact.Distribution{ID: "debian", Version: "12"}

func debs(text string) (string, error) {
	var out []string
	err := readDpkg(context.Background(), strings.NewReader(text), func(d *deb) {
		p := d.pkg(bookworm)
		out = append(out, strings.TrimSpace(strings.Join([]string{p.Name, p.Version, p.Arch, p.SourceName, p.SourceVersion}, " ")))
	})
	return strings.Join(out, "; "), err
}

func TestParagraphsOfDpkgAreReadByTheirState(t *testing.T) {
	for _, tc := range []struct{ name, text, want, problem string }{
		{"an installed package",
			"Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2.15-2+b7\nSource: bash (5.2.15-2)\n", "bash 5.2.15-2+b7 amd64 bash 5.2.15-2", ""},
		{"a source of another name and the same version",
			"Package: libssl3\nStatus: install ok installed\nVersion: 3.0.11-1\nSource: openssl\n", "libssl3 3.0.11-1  openssl 3.0.11-1", ""},
		{"a package on hold is installed", "Package: a\nStatus: hold ok installed\nVersion: 1\n", "a 1", ""},
		{"a package to be removed is installed still", "Package: a\nStatus: deinstall ok installed\nVersion: 1\n", "a 1", ""},
		{"one whose files are unpacked is there", "Package: a\nStatus: install ok half-configured\nVersion: 1\n", "a 1", ""},
		{"one of which configuration is left is gone", "Package: a\nStatus: deinstall ok config-files\nVersion: 1\n", "", ""},
		{"one that was never installed is not there", "Package: a\nStatus: purge ok not-installed\n", "", ""},
		{"a paragraph of a distroless image has no state", "Package: tzdata\nVersion: 2024a-0+deb12u1\nArchitecture: all\n", "tzdata 2024a-0+deb12u1 all", ""},
		{"fields in any case, lines that go on, Windows' ends",
			"PACKAGE: a\r\nstatus: install ok installed\r\nDescription: x\r\n Package: b\r\n Version: 9\r\nVERSION: 1\r\n\r\n", "a 1", ""},
		{"two paragraphs, many empty lines between", "\n\nPackage: a\nVersion: 1\n\n\n\nPackage: b\nVersion: 2", "a 1; b 2", ""},
		{"one without a version is said", "Package: a\nStatus: install ok installed\n\nPackage: b\nVersion: 2\n", "b 2", "1 paragraphs of installed packages lack a name or a version"},
		{"a name of control characters is none", "Package: a\x1b[31m\nVersion: 2\n", "", "1 paragraphs of installed packages lack a name or a version"},
		{"a line of megabytes is passed over", "Package: a\nDepends: " + strings.Repeat("x", 3<<20) + "\nVersion: 1\n", "a 1", ""},
	} {
		got, err := debs(tc.text)
		if got != tc.want || errText(err) != tc.problem {
			t.Errorf("%s: %q, %v; want %q, %q", tc.name, got, err, tc.want, tc.problem)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func apks(text string) (string, error) {
	var out []string
	var files []apkFile
	err := readApk(context.Background(), strings.NewReader(text), func(a *apk) {
		p := a.pkg(fact.Distribution{ID: "alpine", Version: "3.20.3"})
		out = append(out, fmt.Sprint(p.Name, " ", p.Version, " ", p.SourceName, " ", p.Licenses, " ", files))
		files = nil
	}, func(f apkFile) { files = append(files, f) })
	return strings.Join(out, "; "), err
}

const apkInstalled = "C:Q1p78yvTLG094tHE1+dToJGbmYzQE=\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\nZ:Q1hTBcRFNWsXgjbHUGUFkrVNZAP9U=\n\n" +
	"P:libcrypto3\nV:3.3.1-r3\nA:x86_64\nL:Apache-2.0\no:openssl\nF:usr/lib\nF:usr/lib/ossl-modules\nR:legacy.so\nZ:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nR:nosum\n"

func TestPackagesOfApkAreReadWithTheirFiles(t *testing.T) {
	got, err := apks(apkInstalled)
	want := "musl 1.2.5-r0  [MIT] [{lib/ld-musl-x86_64.so.1 Q1hTBcRFNWsXgjbHUGUFkrVNZAP9U=}]; " +
		"libcrypto3 3.3.1-r3 openssl [Apache-2.0] [{usr/lib/ossl-modules/legacy.so Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=} {usr/lib/ossl-modules/nosum }]"
	if got != want || err != nil {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	if _, err := apks("P:a\n\nP:b\nV:1\n"); err == nil {
		t.Error("a package without a version is not said")
	}
	for in, want := range map[string]string{
		"Q1" + strings.Repeat("A", 27) + "=": "sha1 " + strings.Repeat("0", 40),
		"Q2" + strings.Repeat("A", 43) + "=": "sha256 " + strings.Repeat("0", 64),
		"Q3" + strings.Repeat("A", 43) + "=": " ",
		"Q1AAAA":                             " ",
		"Q1***":                              " ",
		"":                                   " ",
	} {
		if a, sum := apkSum(in); a+" "+sum != want {
			t.Errorf("%s: %s %s", in, a, sum)
		}
	}
}

// mapTree is a tree in memory.
type mapTree map[string]string

func (m mapTree) Read(name string, limit int64) ([]byte, error) {
	s, ok := m[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("%s: %w", name, errAbsent)
	case int64(len(s)) > limit:
		return nil, bounded.ErrTooLarge
	}
	return []byte(s), nil
}

func (m mapTree) List(name string) ([]string, error) {
	var out []string
	for p := range m {
		if rest, ok := strings.CutPrefix(p, name+"/"); ok && !strings.Contains(rest, "/") {
			out = append(out, rest)
		}
	}
	slices.Sort(out)
	if out == nil {
		return nil, errAbsent
	}
	return out, nil
}

func (m mapTree) Distribution() fact.Distribution { return Of(m) }

func (m mapTree) OpenAt(name string) (extract.ReaderAtCloser, int64, error) {
	s, ok := m[name]
	if !ok {
		return nil, 0, errAbsent
	}
	return closer{strings.NewReader(s)}, int64(len(s)), nil
}

type closer struct{ io.ReaderAt }

func (closer) Close() error { return nil }

func TestOwnersAreFoundThroughAMergedUsr(t *testing.T) {
	tree := mapTree{
		"etc/os-release": "ID=debian\nVERSION_ID=12\n",
		dpkgStatus: "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n\n" +
			"Package: libc6\nStatus: install ok installed\nArchitecture: i386\nVersion: 2.36-9\n\n" +
			"Package: python3-yaml\nStatus: install ok installed\nArchitecture: amd64\nVersion: 6.0-3\n\n" +
			"Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n" +
			"Package: dash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 0.5\n",
		dpkgInfo + "libc6:amd64.list": "/.\n/lib\n/lib/x86_64-linux-gnu/libc.so.6\n",
		dpkgInfo + "libc6:i386.list":  "/lib/i386-linux-gnu/libc.so.6\n",
		dpkgInfo + "python3-yaml.list": "/.\n/usr/lib/python3/dist-packages/PyYAML-6.0.egg-info\n" +
			"/usr/lib/python3/dist-packages/PyYAML-6.0.egg-info/PKG-INFO\n/usr/bin/sh\n",
		dpkgInfo + "gone.list":              "/opt/left\n",
		dpkgInfo + "dash.list":              "/bin/sh\n",
		diversions:                          "/usr/bin/sh\n/usr/bin/sh.distrib\ndash\n",
		dpkgStatusD + "tzdata":              "Package: tzdata\nVersion: 2024a\nArchitecture: all\n",
		dpkgStatusD + "tzdata.md5sums":      "d41d8cd98f00b204e9800998ecf8427e  usr/share/zoneinfo/UTC\n",
		"usr/lib/sysimage/rpm/rpmdb.sqlite": readFixture(t),
		apkOld:                              apkInstalled,
	}
	want := map[string]string{
		"usr/lib/x86_64-linux-gnu/libc.so.6":                         "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12",
		"lib/i386-linux-gnu/libc.so.6":                               "pkg:deb/debian/libc6@2.36-9?arch=i386&distro=debian-12",
		"usr/lib/python3/dist-packages/PyYAML-6.0.egg-info/PKG-INFO": "pkg:deb/debian/python3-yaml@6.0-3?arch=amd64&distro=debian-12",
		"usr/bin/sh.distrib":                                         "pkg:deb/debian/python3-yaml@6.0-3?arch=amd64&distro=debian-12",
		"usr/bin/sh":                                                 "pkg:deb/debian/dash@0.5?arch=amd64&distro=debian-12",
		"usr/share/zoneinfo/UTC":                                     "pkg:deb/debian/tzdata@2024a?arch=all&distro=debian-12",
		"usr/lib/python3.9/site-packages/requests-2.25.1.dist-info/METADATA": "pkg:rpm/debian/python3-requests@2.25.1-8.el9?arch=noarch&distro=debian-12",
		"usr/lib/ld-musl-x86_64.so.1":                                        "pkg:apk/debian/musl@1.2.5-r0?arch=x86_64&distro=debian-12",
		"opt/left":                                                           "",
		"usr/local/lib/python3.11/site-packages/requests-2.32.dist-info/METADATA": "",
	}
	got := map[string]string{}
	for p := range want {
		got[p] = ""
	}
	if err := Owners(t.Context(), tree, got); err != nil {
		t.Fatal(err)
	}
	for p, owner := range want {
		if got[p] != owner {
			t.Errorf("%s: %q; want %q", p, got[p], owner)
		}
	}
}

func TestRecordedFilesCarryTheirSums(t *testing.T) {
	tree := mapTree{
		"etc/os-release": "ID=rocky\nVERSION_ID=9.4\n",
		dpkgStatus:       "Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n",
		dpkgInfo + "a.md5sums": "D41D8CD98F00B204E9800998ECF8427E  usr/bin/a\n" +
			"d41d8cd98f00b204e9800998ecf8427e  usr/share/doc/a/copyright\nnot a line\n\n",
		"var/lib/rpm/rpmdb.sqlite": readFixture(t),
	}
	var got []string
	err := Files(t.Context(), tree, func(f File) {
		if strings.HasPrefix(f.Path, "usr/lib/modules/") {
			return
		}
		got = append(got, fmt.Sprintf("%s %s %.8s config=%t optional=%t", f.Path, f.Algorithm, f.Sum, f.Config, f.Optional))
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	want := []string{
		"etc/pki/openssl.cnf sha256 8d0d4c8a config=true optional=false",
		"usr/bin/a md5 d41d8cd9 config=false optional=false",
		"usr/lib/python3.9/site-packages/requests-2.25.1.dist-info/METADATA sha256 bbcebea9 config=false optional=false",
		"usr/lib/python3.9/site-packages/requests/__init__.py sha256 5bb0bafc config=false optional=false",
		"usr/lib64/libssl.so.3   config=false optional=false",
		"usr/lib64/libssl.so.3.0.7 sha256 b5e0dfe3 config=false optional=false",
		"usr/share/doc/a/copyright md5 d41d8cd9 config=false optional=true",
		"usr/share/doc/openssl/README sha256 30a4ab97 config=false optional=true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func FuzzDpkg(f *testing.F) {
	f.Add("Package: a\nStatus: install ok installed\nVersion: 1\nSource: b (2)\n\nPackage: c\n")
	f.Add("\n \n:\nSource: (\n")
	f.Fuzz(func(t *testing.T, text string) {
		readDpkg(t.Context(), strings.NewReader(text), func(d *deb) {
			if p := d.pkg(bookworm); p.Name == "" || p.Version == "" || p.PURL == "" || strings.ContainsAny(p.Name+p.SourceName, "\n\x00") {
				t.Errorf("%+v", p)
			}
		})
	})
}

func FuzzApk(f *testing.F) {
	f.Add(apkInstalled)
	f.Add("P:a\nV:\nF:\nR:\nZ:Q1\n")
	f.Fuzz(func(t *testing.T, text string) {
		readApk(t.Context(), strings.NewReader(text), func(a *apk) {
			if p := a.pkg(fact.Distribution{}); p.Name == "" || p.Version == "" || p.PURL == "" {
				t.Errorf("%+v", p)
			}
		}, func(file apkFile) { apkSum(file.sum) })
	})
}

// FuzzFiles reads lists and sums of dpkg, diversions among them.
func FuzzFiles(f *testing.F) {
	f.Add("/usr/bin/a\n/../x\n", "d41d8cd98f00b204e9800998ecf8427e  usr/bin/a\n", "/usr/bin/a\n/usr/bin/b\nc\n")
	f.Fuzz(func(t *testing.T, list, sums, moved string) {
		tree := mapTree{
			dpkgStatus:          "Package: a\nStatus: install ok installed\nVersion: 1\n",
			dpkgInfo + "a.list": list, dpkgInfo + "a.md5sums": sums, diversions: moved,
		}
		check := func(file File) {
			if file.Path == "" || strings.HasPrefix(file.Path, "/") || strings.HasPrefix(file.Path, "../") {
				t.Errorf("a path outside: %q", file.Path)
			}
		}
		Files(t.Context(), tree, check)
		dpkgFiles(t.Context(), tree, false, check)
	})
}
